"""Pictures of a result: time and memory against d where d varies, else ratios."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from presets import OURS
from table import BUSY, SHORT, compared, disturbed

COLOURS = {
    OURS: "#d1495b",
    "torch-double-backward": "#30638e",
    "torch-jvp": "#66a5ad",
    "torch-compile": "#8fb9dc",
    "jax-jvp": "#3a7d44",
    "folx": "#edae49",
}
STYLES = {"ssm": ":", "ssm-vr": "--", "exact": "-"}


def draw(result, folder):
    """Writes the preset's PNG files; their paths."""
    drawn = []
    warn = "MACHINE BUSY: not to be relied on" if disturbed(result) > BUSY else None
    if result["preset"] == "scaling":
        drawn.append(save(scaling(result), folder / "scaling.png", warn))
    elif any(True for _ in compared(result)):
        drawn.append(save(ratios(result), folder / f"ratios-{result['preset']}.png", warn))
    if len(result["memory"]) > 1:
        drawn.append(save(memory(result), folder / f"memory-{result['preset']}.png"))
    return drawn


def save(figure, path, warning=None):
    if warning:
        figure.suptitle(warning, color="red")
    figure.savefig(path, dpi=130, bbox_inches="tight")
    plt.close(figure)
    return path


def name(who):
    return SHORT.get(who, who)


def axes(title, label):
    figure, at = plt.subplots(figsize=(8, 5.5))
    at.set(xscale="log", yscale="log", xlabel="columns d", ylabel=label, title=title)
    at.grid(True, which="both", alpha=0.25, linewidth=0.5)
    return figure, at


def scaling(result):
    """Milliseconds per step against d, one line per who and objective."""
    figure, at = axes("One training step against dimension", "milliseconds per step")
    curves = {}
    for group in result["groups"]:
        for line in group["entries"]:
            if "median_ms" in line:
                key = line["who"], line["work"]["objective"]
                curves.setdefault(key, []).append((line["work"]["dim"], line["median_ms"]))
    for (who, objective), points in sorted(curves.items(), key=lambda c: list(STYLES).index(c[0][1])):
        width = 2.2 if who == OURS else 1.1
        label = f"{name(who)}, {objective}"
        plot(at, points, who, label, STYLES[objective], width)
    return finish(figure, at)


def memory(result):
    """Peak mebibytes against d."""
    figure, at = axes("Peak memory of one exact step", "MiB")
    curves = {}
    for m in result["memory"]:
        for who, peak in m["peak"].items():
            if peak > 0:  # below a page there is nothing to plot on a logarithm
                curves.setdefault(who, []).append((m["work"]["dim"], peak / 2**20))
    for who, points in curves.items():
        plot(at, points, who, name(who), "-", 2.2 if who == OURS else 1.1)
    return finish(figure, at)


def plot(at, points, who, label, style, width):
    x, y = zip(*sorted(points))
    at.plot(x, y, style, color=COLOURS[who], label=label, linewidth=width, marker=".")


def finish(figure, at):
    at.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def ratios(result):
    """One row per work, one dot per peer: how many times our time they take."""
    rows = list(dict.fromkeys(group["name"] for group, _ in compared(result)))
    figure, at = plt.subplots(figsize=(8, 1.5 + 0.28 * len(rows)))
    labelled = set()
    for group, line in compared(result):
        who, y = line["who"], len(rows) - rows.index(group["name"])
        at.plot(
            line["ratio"], y, "o", color=COLOURS[who], label=None if who in labelled else name(who)
        )
        at.plot(line["ratio_range"], [y, y], "-", color=COLOURS[who], linewidth=1)
        labelled.add(who)
    at.axvline(1, color="black", linewidth=1)
    at.set_xscale("log")
    ticks = [0.5, 1, 2, 3, 5, 10, 20, 50, 100]
    low, high = at.get_xlim()
    at.set_xticks([t for t in ticks if low <= t <= high])
    at.xaxis.set_major_formatter("{x:g}x")
    at.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    at.set_yticks(range(1, len(rows) + 1), rows[::-1], fontsize=7)
    at.set_xlabel("time of the peer / time of gradlogp (right of 1: gradlogp is faster)")
    at.grid(True, axis="x", alpha=0.3)
    return finish(figure, at)
