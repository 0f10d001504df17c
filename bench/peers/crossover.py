"""Exact or sliced: what a given gradient variance costs with each, for gradlogp, against d.

A step's gradient has variance (rows + slices) / B, where `slices` is 0 for the exact loss. To halve a variance takes
twice the work, by more rows, more slices or more steps; so cost = milliseconds x variance compares the
objectives, and exact is ahead up to the d where its cost passes that of the best number of slices.
"""

import math
import statistics

from measure import undisturbed
from picture import axes, finish, save
from presets import shape
from processes import run_json
from throughput import Ours

ROUNDS = 3
THREADS = 2
SECONDS = 0.25
DIMENSIONS = (2, 5, 10, 16, 24, 32, 50, 75, 100, 150, 200)
SLICES = (1, 2, 4, 8, 16)
HIDDEN, BATCH = (128, 128), 256


def objectives(dim):
    yield "exact", 1
    for objective in ("ssm", "ssm-vr"):
        yield from ((objective, m) for m in SLICES if m <= max(dim, 1))


def measure(program, rounds, limits, say, options):
    for model in ("potential", "score"):
        for dim in (2, 5) if options.tiny else DIMENSIONS:
            name = f"{model}, d {dim}"
            if options.only not in name:
                continue
            say(name)
            entries = [{"objective": o, "slices": m, "rounds": []} for o, m in objectives(dim)]
            for turn in range(rounds):
                for entry in entries:
                    ours = Ours(program, command(model, dim, entry, turn == 0), limits)
                    entry["rounds"].append(undisturbed(ours, ours.time))
            for entry in entries:
                summarise(entry)
            yield {"name": name, "model": model, "dim": dim, "entries": entries}


def command(model, dim, entry, noise):
    return [
        "step", "--model", model, "--dim", str(dim), "--hidden", ",".join(map(str, HIDDEN)),
        "--batch", str(BATCH), "--objective", entry["objective"], "--slices", str(entry["slices"]),
        "--threads", str(THREADS), "--seconds", str(SECONDS), *["--gradient-noise"] * noise,
    ]  # fmt: skip


def summarise(entry):
    entry["ms"] = statistics.median(r["median_ms"] for r in entry["rounds"])
    entry["others"] = statistics.median(r["others"] for r in entry["rounds"])
    entry["gflop"] = entry["rounds"][0]["gflop_per_step"]
    noise = entry["rounds"][0]["gradient_noise"]
    entry["variance"] = (noise["rows"] + noise["slices"]) / BATCH
    entry["slices_share"] = noise["slices"] / (noise["rows"] + noise["slices"])
    entry["cost"] = entry["ms"] * entry["variance"]


def best(line, objective):
    return min((e for e in line["entries"] if e["objective"] == objective), key=lambda e: e["cost"])


def crossing(lines, objective, figure="cost"):
    """The d where exact passes the sliced objective, between measured ones on a logarithm; or a bound."""
    before = None
    for line in lines:
        ratio = best(line, "exact")[figure] / best(line, objective)[figure]
        here = math.log(line["dim"]), math.log(ratio)
        if ratio > 1:
            if before is None:
                return f"below {line['dim']}"
            share = -before[1] / (here[1] - before[1])
            return f"about {math.exp(before[0] + share * (here[0] - before[0])):.0f}"
        before = here
    return f"above {lines[-1]['dim']}"


def lines(result):
    yield (
        f"{shape(HIDDEN)}, softplus, B {BATCH}, {THREADS} threads, N(0, I) data, variance measured after 200 steps. "
        "Cost is milliseconds a step times the variance of its gradient, relative to the exact loss: below 1 "
        "the sliced loss buys the same variance for less time, at the number of slices M that is best."
    )
    yield ""
    for model in ("potential", "score"):
        here = [line for line in result["lines"] if line["model"] == model]
        if not here:
            continue
        vr, ssm = crossing(here, "ssm-vr"), crossing(here, "ssm")
        yield f"**{model}**: exact costs less than ssm-vr up to d {vr}, and than ssm up to d {ssm}."
        yield ""
        yield "| d | exact, ms | ssm-vr, M 1, ms | variance of ssm-vr, M 1, over exact | cost of ssm-vr (M) | cost of ssm (M) |"
        yield "|---|---|---|---|---|---|"
        for line in here:
            exact, one = best(line, "exact"), first(line, "ssm-vr")
            costs = (relative(line, objective, exact) for objective in ("ssm-vr", "ssm"))
            ratio = one["variance"] / exact["variance"]
            yield f"| {line['dim']} | {exact['ms']:.3g} | {one['ms']:.3g} | {ratio:.2f} | {' | '.join(costs)} |"
        yield ""


def first(line, objective):
    return next(e for e in line["entries"] if e["objective"] == objective and e["slices"] == 1)


def relative(line, objective, exact):
    from table import mark

    entry = best(line, objective)
    ratio = entry["cost"] / exact["cost"]
    return f"{mark(ratio)} {ratio:.2f} ({entry['slices']})"


COLOURS = {"exact": "#d1495b", "ssm": "#30638e", "ssm-vr": "#3a7d44"}


def draw(result, folder):
    drawn = []
    for model in ("potential", "score"):
        here = [line for line in result["lines"] if line["model"] == model]
        if not here:
            continue
        figure, at = axes(f"Time for a given gradient variance ({model}, gradlogp)", "ms x variance, exact at d = 2 is 1")
        unit = best(here[0], "exact")["cost"]
        for objective, colour in COLOURS.items():
            entries = [(line["dim"], best(line, objective)) for line in here]
            x, y = [d for d, _ in entries], [e["cost"] / unit for _, e in entries]
            label = objective if objective == "exact" else f"{objective}, best M"
            at.plot(x, y, ".-", color=colour, label=label)
        drawn.append(save(finish(figure, at), folder / f"crossover-{model}.png"))
    return drawn
