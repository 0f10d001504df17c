"""Work that is not training: scores of many rows, MALA chains, reading tables. In turns."""

import statistics

from measure import summarise, undisturbed
from picture import plt, save
from presets import OURS, shape
from processes import OUT, Failed, Python, run_json

ROUNDS = 3
THREADS = 2
STEP = 8.0  # of MALA; most proposals are accepted, not all
SHORT = {"torch-score": "PyTorch", "torch-mala": "PyTorch", "pandas": "pandas (C engine)", "polars": "polars"}
TABLES = ("six-digits.csv", "all-digits.csv")


def jobs(small):
    """(name, count, unit, command, peers, what they are asked); `small` shows that it works."""
    rows, chains, steps = (2000, 20, 20) if small else (1_000_000, 1000, 1000)
    network = {"dim": 16, "hidden": [128, 128], "threads": THREADS}
    options = ["--dim", "16", "--hidden", "128,128", "--threads", str(THREADS)]
    for model in ("potential", "score"):
        for double, trace in ((False, False), (True, False), (True, True)):
            if double and not trace and model == "score":
                continue
            count = rows // 20 if trace else rows  # a peer takes four minutes for a million traces
            job = network | {"model": model, "rows": count, "double": double, "trace": trace}
            command = ["score", *options, "--model", model, "--rows", str(count), "--passes", "1"]
            command += ["--double"] * double + ["--trace"] * trace
            kind = "score field" if model == "score" else model
            name = f"score{' and trace' * trace} of a {kind}, d 16, {shape((128, 128))}, {'f64' if double else 'f32'}"
            yield f"{name}, {count:,} rows", count, "rows", command, ("torch-score",), job
    job = network | {"model": "potential", "chains": chains, "steps": steps, "step_size": STEP}
    command = ["mala", *options, "--chains", str(chains), "--steps", str(steps), "--step-size", str(STEP)]
    name = f"MALA, {chains} chains x {steps} steps, potential, d 16, 2x128"
    yield name, chains * steps, "steps", command, ("torch-mala",), job
    for path, count, about in tables(small):
        command = ["read", str(path), "--passes", "1"]
        job = {"path": str(path)}
        yield f"read {about}", count, "rows", command, ("pandas", "polars"), job


def tables(small):
    """Two files of random numbers: a million rows of 16 columns, and 100 MB in full precision."""
    import numpy as np
    import polars

    folder = OUT / ("small" if small else "tables")
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for name, count, digits in zip(TABLES, (2000, 500) if small else (1_000_000, 325_000), (6, None)):
        path = folder / name
        if not path.exists():
            values = rng.normal(size=(count, 16))
            frame = polars.DataFrame(values, schema=[f"x{k}" for k in range(16)])
            frame.write_csv(path, float_precision=digits)
        megabytes = 1e-6 * path.stat().st_size
        written = f"{digits} decimals" if digits else "full precision"
        yield path, count, f"{count:,} x 16, {written}, {megabytes:.0f} MB"


class Ours:
    """`gradlogp bench ...`, a fresh process each turn."""

    def __init__(self, program, command, limits):
        self.command, self.limits = [program, "bench", *command, "--json", "--quiet"], limits

    def time(self):
        return run_json(self.command, THREADS, self.limits)

    @staticmethod
    def cpu_seconds():
        from processes import Program

        return Program.cpu_seconds(None)


def measure(program, rounds, limits, say, options):
    for name, count, unit, command, peers, job in jobs(small=options.tiny):
        if options.only not in name:
            continue
        say(name)
        takers = {OURS: Ours(program, command, limits)}
        entries = [{"who": who, "rounds": []} for who in (OURS, *peers)]
        for entry in entries[1:]:
            who = entry["who"]
            takers[who] = Python(who, THREADS, limits, "throughput_worker.py")
            attempt(entry, lambda: takers[who].ask("prepare", who=who, job=job), say)
        for _ in range(rounds):
            for entry in entries:
                take_turn(entry, takers[entry["who"]], say)
        for entry in entries:
            summarise(entry, entries[0])
            if "acceptance" in (entry["rounds"] or [{}])[0]:
                entry["acceptance"] = statistics.mean(r["acceptance"] for r in entry["rounds"])
        for who in peers:
            takers[who].close()
        yield {"name": name, "count": count, "unit": unit, "entries": entries}


def attempt(entry, do, say):
    try:
        return do()
    except Failed as failure:
        entry["failed"] = str(failure)
        say(f"  {entry['who']}: {failure}")


def take_turn(entry, taker, say):
    if "failed" in entry:
        return
    ask = taker.time if entry["who"] == OURS else lambda: taker.ask("time")
    answer = attempt(entry, lambda: undisturbed(taker, ask), say)
    if answer is None:
        return
    if "acceptance_rate" in answer:
        answer["acceptance"] = answer["acceptance_rate"]
    entry["rounds"].append(answer | {"median_ms": 1e3 * answer["seconds"]})
    say(f"  {entry['who']}: {answer['seconds']:.3g} s ({answer['others']:.0%} of the cores busy elsewhere)")


def lines(result):
    from table import mark

    yield f"{THREADS} threads. Ratios are peer / gradlogp: above 1 gradlogp is faster."
    yield ""
    yield "| work | gradlogp | peers |"
    yield "|---|---|---|"
    for line in result["lines"]:
        ours, peers = line["entries"][0], []
        for entry in line["entries"][1:]:
            said = "no: " + entry["failed"].replace("|", "/") if "failed" in entry else "no"
            if "ratio" in entry:
                said = f"{rate(line, entry)} ({mark(entry['ratio'])} {entry['ratio']:.2f})"
            peers.append(f"{SHORT[entry['who']]}: {said}")
        mine = f"**{rate(line, ours)}**" if "median_ms" in ours else "failed"
        yield f"| {line['name']} | {mine} | {'; '.join(peers)} |"
    yield ""
    yield (
        "Scores are of rows in memory, in both precisions: training and chains use f32, `gradlogp score` f64 with "
        "the trace. PyTorch takes the fastest of batches of 1,024 to 65,536 rows and uses inference mode where "
        "it can. Its scores, its traces and four steps of its chains are checked against plain f64 first."
    )


def rate(line, entry):
    per_second = line["count"] / (1e-3 * entry["median_ms"])
    accepted = f", {entry['acceptance']:.0%} accepted" if "acceptance" in entry else ""
    return f"{1e-3 * entry['median_ms']:.3g} s, {per_second:,.0f} {line['unit']}/s{accepted}"


def draw(result, folder):
    pairs = [
        (f"{line['name']}\nagainst {SHORT[e['who']]}", e["ratio"], e["ratio_range"])
        for line in result["lines"]
        for e in line["entries"][1:]
        if "ratio" in e
    ]
    if not pairs:
        return []
    figure, at = plt.subplots(figsize=(8, 1 + 0.5 * len(pairs)))
    for y, (_, ratio, span) in enumerate(reversed(pairs)):
        at.plot(span, [y, y], "-", color="#30638e", linewidth=1)
        at.plot(ratio, y, "o", color="#30638e")
    at.set_yticks(range(len(pairs)), [name for name, _, _ in reversed(pairs)], fontsize=7)
    at.axvline(1, color="black", linewidth=1)
    at.set_xscale("log")
    at.set_xlabel("time of the peer / time of gradlogp (right of 1: gradlogp is faster)")
    at.grid(True, axis="x", alpha=0.3)
    return [save(figure, folder / "throughput.png")]
