"""The other side of the worker: peers as processes, and the program `gradlogp`."""

import contextlib
import json
import os
import resource
import select
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

HERE = Path(__file__).parent
OUT = HERE.parent / "out"

#: Variables that change how a peer or its matrix products run; none may leak in from outside.
SCRUBBED = (
    "OPENBLAS", "GOTO", "MKL", "OMP", "GOMP", "KMP", "BLIS", "NVPL", "DNNL", "ONEDNN", "XLA",
    "JAX", "TORCH", "PYTORCH", "ATEN", "RAYON", "MALLOC", "LD_PRELOAD", "TF_",
)


class Failed(Exception):
    """A peer that cannot do a piece of work; the text is for the table."""


def environment(threads):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(SCRUBBED)}
    return kept | {
        "JAX_PLATFORMS": "cpu",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        # Compile in the worker itself, and keep nothing outside bench/out.
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        "TORCHINDUCTOR_CACHE_DIR": str(OUT / "inductor"),
    }


def start(command, threads, **pipes):
    """A process that sees as many cores as it may use: also binds XLA's and OpenMP's pools."""
    cores = sorted(os.sched_getaffinity(0))[:threads]
    if len(cores) < threads:
        raise Failed(f"{threads} threads wanted, {len(cores)} cores here")
    return subprocess.Popen(
        command,
        env=environment(threads),
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
        **pipes,
    )


class Python:
    """A peer in its worker process."""

    def __init__(self, who, threads, limits, script="worker.py"):
        self.who, self.limits = who, limits
        (OUT / "log").mkdir(parents=True, exist_ok=True)
        self.log = open(OUT / "log" / f"{who}.log", "a")
        self.process = start(
            [sys.executable, str(HERE / script)],
            threads,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
        )

    def ask(self, do, **request):
        """Sends a request, waits, and ends the process if it takes too much time or memory."""
        line = json.dumps({"do": do, **request}) + "\n"
        try:
            self.process.stdin.write(line.encode())
            self.process.stdin.flush()
            answer = json.loads(self._wait() or "null")
        except BrokenPipeError:
            answer = None
        if answer is None:
            raise Failed(f"the worker died (see bench/out/log/{self.who}.log)")
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def _wait(self):
        end = time.monotonic() + self.limits.seconds
        while not select.select([self.process.stdout], [], [], 0.05)[0]:
            if resident_of(self.process.pid) > self.limits.bytes:
                self.close()
                raise Failed(f"more than {self.limits.bytes / 2**30:.0f} GiB of memory")
            if time.monotonic() > end:
                self.close()
                raise Failed(f"no answer within {self.limits.seconds:.0f} s")
        return self.process.stdout.readline()

    def prepare(self, work):
        return self.ask("prepare", who=self.who, work=asdict(work))

    def cpu_seconds(self):
        """Processor time of this peer so far."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(text[11]) + int(text[12])) / os.sysconf("SC_CLK_TCK")

    def time(self, length):
        answer = self.ask("time", length=length)
        return {"median_ms": statistics.median(answer["ms"]), "min_ms": min(answer["ms"])}

    def close(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


def run_json(command, threads, limits):
    """What the program prints with --json."""
    pipe = subprocess.PIPE
    process = start(command, threads, stdout=pipe, stderr=pipe)
    try:
        out, err = process.communicate(timeout=limits.seconds)
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.wait()
        raise Failed(f"no answer within {limits.seconds:.0f} s") from error
    if process.returncode:
        raise Failed(err.decode().strip()[:300])
    return json.loads(out)


class Program:
    """`gradlogp bench step`, a fresh process each round."""

    def __init__(self, path, threads, limits):
        self.path, self.threads, self.limits, self.work = path, threads, limits, None

    def prepare(self, work):
        self.work = work
        return {}

    def cpu_seconds(self):
        """Processor time of finished processes: between two readings only ours end."""
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    def command(self, length):
        w = self.work
        return [
            self.path, "bench", "step", "--json", "--model", w.model, "--dim", str(w.dim),
            "--hidden", ",".join(map(str, w.hidden)), "--batch", str(w.batch),
            "--objective", w.objective, "--slices", str(w.slices),
            "--threads", str(w.threads), "--seconds", str(length),
        ]  # fmt: skip

    def time(self, length):
        return run_json(self.command(length), self.threads, self.limits)

    def peak(self, length):
        """VmHWM while it steps: read before the end, when it measures large products."""
        process = start(self.command(length), self.threads, stdout=subprocess.DEVNULL)
        time.sleep(0.7 * length)
        peak = resident_of(process.pid, "VmHWM")
        process.kill()
        process.wait()
        return peak

    def close(self):
        pass


class Others:
    """What everybody but one peer took of the machine's cores over some time, 0 to 1.

    It matters because it does not fall on all alike: spinning thread pools (PyTorch's) lose ten times
    their speed to a neighbour that costs sleeping ones little, and taking turns does not cancel that.
    """

    def __init__(self, peer):
        self.peer, self.start, self.began = peer, self._foreign(peer), time.monotonic()

    def share(self):
        took = time.monotonic() - self.began
        foreign = self._foreign(self.peer) - self.start
        return max(0.0, foreign / took / os.cpu_count())

    @staticmethod
    def _foreign(peer):
        fields = [int(f) for f in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        idle = fields[3] + fields[4]
        return (sum(fields) - idle) / os.sysconf("SC_CLK_TCK") - peer.cpu_seconds()


def resident_of(pid, field="VmRSS"):
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(field):
                return 1024 * int(line.split()[1])
    return 0
