"""Seconds of training until the held-out exact loss is within 1% of the best, beside PyTorch.

Both train on the same prepared rows with the same network, initial distribution, batch, rate, schedule, clipping and
weight average, by the same objective; only the random numbers differ. Evaluations are on the clock of neither.
"""

import json
import statistics
import sys
from dataclasses import asdict

import numpy as np

from measure import undisturbed
from picture import COLOURS, finish, plt, save
from presets import OURS, Work
from processes import HERE, OUT, Failed, run_json
from throughput import Ours

ROUNDS = 3  # seeds
THREADS = 2
BATCH = 256
TORCH = "torch-double-backward"
WITHIN = 0.01
HIDDEN = (128, 128)
RECIPE = {"warm_up": 100, "ema": 0.999}


def problems(small):
    """(name, options of the data, columns, steps, steps between evaluations)."""
    steps = (40, 50) if small else (1200, 1500)
    yield "red wine, dequantised", ["--dataset", "red-wine", "--dequantize"], 11, steps[0], 20
    yield "mixture of 8 normals", [str(mixture(small)), "--validation", "0.05"], 50, steps[1], 50


def mixture(small):
    """Rows of eight isotropic normals of standard deviation 1, centres drawn from N(0, 2.25 I), d 50."""
    path = OUT / ("mixture-small.csv" if small else "mixture.csv")
    rng = np.random.default_rng(0)
    rows = 1000 if small else 20_000
    centres = 1.5 * rng.normal(size=(8, 50))
    x = centres[rng.integers(8, size=rows)] + rng.normal(size=(rows, 50))
    np.savetxt(path, x, fmt="%.7g", delimiter=",", header=",".join(f"x{k}" for k in range(50)), comments="")
    return path


def measure(program, rounds, limits, say, options):
    for name, data, dim, steps, every in problems(options.tiny):
        for objective in ("ssm-vr", "exact"):
            work = Work("potential", objective, dim, HIDDEN, BATCH, 1, THREADS)
            title = f"{name}, d {dim}, {objective}"
            if options.only not in title:
                continue
            say(title)
            entries = [{"who": OURS, "rounds": []}, {"who": TORCH, "rounds": []}]
            for seed in range(rounds):
                take_turn(entries[0], lambda: ours(program, data, work, steps, every, seed, limits), say)
                take_turn(entries[1], lambda: theirs(work, steps, every, seed, limits), say)
            line = {"name": title, "steps": steps, "every": every, "entries": entries}
            judge(line)
            yield line


def take_turn(entry, run, say):
    if "failed" in entry:
        return
    try:
        answer = undisturbed(Ours, run)
    except Failed as failure:
        entry["failed"] = str(failure)
        say(f"  {entry['who']}: {failure}")
        return
    entry["rounds"].append(answer)
    last = answer["history"][-1]
    lowest = min(p["held_out"]["mean"] for p in answer["history"])
    say(f"  {entry['who']}: best {lowest:.4g}, {last['step']} steps in {last['seconds']:.3g} s")


def ours(program, data, work, steps, every, seed, limits):
    """Writes the prepared rows too, on which the peer then trains."""
    command = [
        "fit", *data, "--rows-to", str(OUT), "--model", work.model, "--hidden", ",".join(map(str, work.hidden)),
        "--base-scale", "0", "--objective", work.objective, "--slices", str(work.slices), "--batch", str(work.batch),
        "--steps", str(steps), "--evaluate-every", str(every), "--patience", "0", "--seed", str(seed),
        "--warm-up", str(RECIPE["warm_up"]), "--ema", str(RECIPE["ema"]), "--threads", str(THREADS),
    ]  # fmt: skip
    return Ours(program, command, limits).time()


def theirs(work, steps, every, seed, limits):
    job = RECIPE | {
        "work": asdict(work), "steps": steps, "evaluate_every": every, "seed": seed,
        "training": str(OUT / "training.npy"), "held_out": str(OUT / "held-out.npy"),
    }  # fmt: skip
    path = OUT / "quality-job.json"
    path.write_text(json.dumps(job))
    return run_json([sys.executable, str(HERE / "quality_torch.py"), str(path)], THREADS, limits)


def lowest(run):
    return min(p["held_out"]["mean"] for p in run["history"])


def judge(line):
    """Per seed (each has a split of its own): the loss to reach is 1% above the best that both reach."""
    ours, theirs = (entry["rounds"] for entry in line["entries"])
    for mine, other in zip(ours, theirs):
        best = max(lowest(mine), lowest(other))
        for run in (mine, other):
            reached = (p for p in run["history"] if p["held_out"]["mean"] <= best + WITHIN * abs(best))
            point = next(reached)
            run["reached"] = {"loss": best, "seconds": point["seconds"], "step": point["step"]}
    for entry in line["entries"]:
        runs = [run for run in entry["rounds"] if "reached" in run]
        if runs:
            entry["seconds"] = statistics.median(run["reached"]["seconds"] for run in runs)
            entry["step"] = statistics.median(run["reached"]["step"] for run in runs)
            entry["ms_a_step"] = statistics.median(
                1e3 * run["history"][-1]["seconds"] / run["history"][-1]["step"] for run in runs
            )
            entry["best"] = statistics.median(lowest(run) for run in runs)
            entry["others"] = statistics.median(run["others"] for run in runs)
    ratios = [b["reached"]["seconds"] / a["reached"]["seconds"] for a, b in zip(ours, theirs)]
    line["ratio"] = statistics.median(ratios) if ratios else None
    line["ratio_range"] = [min(ratios), max(ratios)] if ratios else None


def lines(result):
    from table import mark

    yield (
        f"Potentials of 2x128, softplus, batch {BATCH}, M 1, AdamW at 0.002 with warm-up and cosine, clipping, moving average of the "
        f"weights, {THREADS} threads; PyTorch by double backward as published. Each seed has its own split; the loss to reach is the "
        "worse of the two sides' best, plus 1% of its size. Held-out evaluations, after so many steps, are not on the clock of "
        "either. Medians over seeds."
    )
    yield ""
    yield "| problem | evaluated every | gradlogp: s (steps, ms a step, best loss) | PyTorch: s (steps, ms a step, best loss) | ratio (range over seeds) |"
    yield "|---|---|---|---|---|"
    for line in result["lines"]:
        cells = [cell(entry) for entry in line["entries"]]
        if line["ratio"] is None:
            cells.append("not measured")
        else:
            low, high = line["ratio_range"]
            cells.append(f"{mark(line['ratio'])} {line['ratio']:.2f} ({low:.2f} to {high:.2f})")
        yield f"| {line['name']} | {line['every']} steps | {' | '.join(cells)} |"


def cell(entry):
    if "seconds" not in entry:
        return entry.get("failed", "no").replace("|", "/")
    return f"{entry['seconds']:.3g} ({entry['step']:g}, {entry['ms_a_step']:.3g}, {entry['best']:.4g})"


def draw(result, folder):
    """Held-out loss against seconds, every seed a line."""
    count = len(result["lines"])
    if not count:
        return []
    figure, panels = plt.subplots(1, count, figsize=(4.2 * count, 3.8), squeeze=False)
    for at, line in zip(panels[0], result["lines"]):
        for entry in line["entries"]:
            for k, run in enumerate(entry["rounds"]):
                x = [p["seconds"] for p in run["history"]]
                y = [p["held_out"]["mean"] for p in run["history"]]
                at.plot(x, y, color=COLOURS[entry["who"]], linewidth=1, label=None if k else entry["who"])
        low = min(lowest(run) for entry in line["entries"] for run in entry["rounds"])
        at.set_ylim(low - 0.05 * abs(low), low + 0.5 * abs(low))
        at.set(xscale="log", xlabel="seconds of training", title=line["name"])
        at.title.set_fontsize(8)
        at.grid(True, alpha=0.3)
    panels[0][0].set_ylabel("held-out exact loss")
    return [save(finish(figure, panels[0][-1]), folder / "quality.png")]
