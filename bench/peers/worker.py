"""One peer in a process of its own: reads requests as JSON lines, answers with JSON lines.

Long-lived, so that importing and compiling are paid once and never timed.
"""

import ctypes
import gc
import json
import os
import sys
import time
import traceback

WARM_UP = 2  # steps before each timing, after at least 3 when it is set up
CHUNK = 0.02  # seconds between clock readings, so that asynchronous dispatch is not punished


def build(who, work):
    if who.startswith("torch"):
        from peer_torch import Peer
    else:
        from peer_jax import Peer
    return Peer(who, work)


class Worker:
    def __init__(self):
        self.peer, self.step_seconds = None, 0.0

    def prepare(self, who, work):
        """Checks the peer against the reference, then builds and warms it at full size."""
        from check import check

        self.peer = None
        forget(who)
        figures = check(lambda w: build(who, w), work)
        self.peer = build(who, work)
        start = time.perf_counter()
        self.peer.steps(1)
        figures["first_step_s"] = time.perf_counter() - start
        self.step_seconds = seconds(self.peer, 2) / 2
        return figures

    def time(self, length):
        """Milliseconds per step, by chunks, for about `length` seconds and at least one chunk."""
        peer = self.peer
        if self.step_seconds < length:
            peer.steps(WARM_UP)
        chunk = max(1, round(CHUNK / self.step_seconds))
        times, start = [], time.perf_counter()
        while not times or time.perf_counter() - start < length:
            times.append(1e3 * seconds(peer, chunk) / chunk)
        self.step_seconds = 1e-3 * sorted(times)[len(times) // 2]
        return {"ms": times, "chunk": chunk}

    def memory(self, who, work):
        """Peak bytes of three steps: what they add to the process, plus the state that it holds.

        Counted so, and not from the process's start, because what a compiler leaves behind (tens of
        MiB for XLA) is no cost of a step. The state is data, weights, gradient and two moments.
        """
        peer = build(who, work)
        peer.steps(2)  # compiles
        reset_peak()
        before = resident("VmRSS")
        peer.steps(3)
        weights = sum(p.nbytes for p in peer.parameters())
        return {"peak": resident("VmHWM") - before + 4 * weights + 16 * work.batch * work.dim}


def forget(who):
    """Drops what compilers kept of the work before: torch.compile gives up after 8 variants."""
    if who == "torch-compile":
        import torch

        torch.compiler.reset()
    elif not who.startswith("torch"):
        import jax

        jax.clear_caches()
    reset_peak()


def seconds(peer, count):
    start = time.perf_counter()
    last = peer.steps(count)
    took = time.perf_counter() - start
    if last != last:
        raise FloatingPointError("the loss became nan")
    return took


def resident(field):
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith(field))
    return 1024 * int(line.split()[1])


def reset_peak():
    """Hands freed memory back and restarts the kernel's record of the peak (VmHWM)."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")


def serve(handler):
    """Answers requests on standard input: {"do": METHOD, ...arguments} -> what the method returns."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not mix with answers
    from presets import Work

    for line in sys.stdin:
        request = json.loads(line)
        if "work" in request:
            hidden = tuple(request["work"].pop("hidden"))
            request["work"] = Work(**request["work"], hidden=hidden)
        try:
            answer = getattr(handler, request.pop("do"))(**request)
        except Exception as error:
            traceback.print_exc()
            first = (str(error).strip().splitlines() or [""])[0]
            answer = {"error": f"{type(error).__name__}: {first}"[:300]}
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    serve(Worker())
