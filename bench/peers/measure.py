"""Interleaved timing of groups, and peak memory."""

import statistics
import time
from dataclasses import asdict, dataclass, replace

from presets import OURS
from processes import Failed, Others, Program, Python

PAUSE = 0.1  # seconds between turns, so that one peer's spinning threads do not slow the next


@dataclass(frozen=True)
class Limits:
    """When a peer is given up."""

    seconds: float
    bytes: float


class Pool:
    """Peers by name and threads; their processes live on from group to group."""

    def __init__(self, program, limits):
        self.program, self.limits, self.peers = program, limits, {}

    def get(self, who, threads):
        key = who, threads
        if key not in self.peers:
            make = (Program, self.program) if who == OURS else (Python, who)
            self.peers[key] = make[0](make[1], threads, self.limits)
        return self.peers[key]

    def drop(self, who, threads):
        self.peers.pop((who, threads)).close()

    def close(self):
        for key in list(self.peers):
            self.drop(*key)


def time_group(group, pool, rounds, seconds, say):
    """Times every entry in turns A B C A B C ...; medians, and ratios taken within each round."""
    assert len({e.who for e in group.entries}) == len(group.entries), "one process each"
    lines = [prepare(entry, pool, say) for entry in group.entries]
    for turn in range(rounds):
        for line in lines:
            take_turn(line, pool, seconds, say, turn)
    for line in lines:
        summarise(line, lines[0])
    return {"entries": lines, "targets": [judge(t, lines) for t in group.targets]}


def prepare(entry, pool, say):
    """A line of the results; a peer that fails or is wrong is never timed."""
    line = {"who": entry.who, "work": asdict(entry.work), "rounds": []}
    try:
        line["check"] = pool.get(entry.who, entry.work.threads).prepare(entry.work)
    except Failed as failure:
        give_up(line, pool, failure, say)
    return line


def give_up(line, pool, failure, say):
    line["failed"] = str(failure)
    pool.drop(line["who"], line["work"]["threads"])
    say(f"  {line['who']}: {failure}")


def take_turn(line, pool, seconds, say, turn):
    if "failed" in line:
        return
    peer = pool.get(line["who"], line["work"]["threads"])
    try:
        line["rounds"].append(undisturbed(peer, lambda: peer.time(seconds)))
    except Failed as failure:
        return give_up(line, pool, failure, say)
    ms, share = (line["rounds"][-1][k] for k in ("median_ms", "others"))
    say(f"  round {turn + 1} {line['who']}: {ms:.4g} ms ({share:.0%} of the cores busy elsewhere)")


def undisturbed(peer, ask):
    """The answer of a turn after a pause, with what others took of the machine meanwhile."""
    time.sleep(PAUSE)
    others = Others(peer)
    return ask() | {"others": others.share()}


def summarise(line, ours):
    """Median over rounds of ms, and of the ratio to us in the same round."""
    if "failed" in line or "failed" in ours:
        return
    times = [r["median_ms"] for r in line["rounds"]]
    ratios = [t / r["median_ms"] for t, r in zip(times, ours["rounds"])]
    line["median_ms"] = statistics.median(times)
    line["others"] = statistics.median(r["others"] for r in line["rounds"])
    line["spread"] = (max(times) - min(times)) / line["median_ms"]
    line["ratio"] = statistics.median(ratios)
    line["ratio_range"] = [min(ratios), max(ratios)]
    if "gemm_share" in line["rounds"][0]:
        line["gemm_share"] = statistics.median(r["gemm_share"] for r in line["rounds"])


def judge(target, lines):
    """A target with what was measured for it."""
    wanted = (target.theirs.who, asdict(target.theirs.work))
    line = next(line for line in lines if (line["who"], line["work"]) == wanted)
    return {
        "against": target.theirs.who,
        "their_work": wanted[1],
        "least": target.least,
        "ratio": line.get("ratio"),
        "range": line.get("ratio_range"),
    }


def measure_memory(memory, program, limits, say):
    """Peak bytes of a step and its state, for everybody."""
    work = memory.work
    out = {"work": asdict(work), "most": memory.most, "peak": {}, "failed": {}}
    out["peak"][OURS] = our_peak(work, program, limits)
    say(f"  {OURS}: {out['peak'][OURS] / 2**20:.1f} MiB")
    for who in memory.who:
        peer = Python(who, work.threads, limits)
        try:
            answer = peer.ask("memory", who=who, work=asdict(work))
            out["peak"][who] = answer["peak"]
        except Failed as failure:
            out["failed"][who] = str(failure)
        finally:
            peer.close()
        peak = f"{out['peak'][who] / 2**20:.1f} MiB" if who in out["peak"] else out["failed"][who]
        say(f"  {who}: {peak}")
    return out


def our_peak(work, program, limits):
    """Peak of the whole process over that of one with a tiny problem."""
    tiny = replace(work, dim=2, hidden=(8,) * len(work.hidden), batch=8)
    runner = Program(program, work.threads, limits)
    runner.prepare(work)
    length = max(1.0, 0.02 * runner.time(0.05)["median_ms"])  # 20 steps, or a second
    peak = runner.peak(length)
    runner.prepare(tiny)
    return peak - runner.peak(1.0)
