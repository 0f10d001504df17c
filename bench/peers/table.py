"""The Markdown file: one section per preset, replaced as a whole when that preset is run again."""

import re

from presets import OURS, PEERS, Work, shape

SHORT = {
    "torch-double-backward": "PyTorch double backward",
    "torch-jvp": "PyTorch jvp",
    "torch-compile": "PyTorch compile",
    "jax-jvp": "JAX jit",
    "folx": "folx",
}
HEAD = """# Side by side: one training step

Written by `bench/peers/run.py`; do not edit. Every figure is the time of one full training step
(batch gathered from resident rows, fresh Rademacher slices, loss and gradient, clipping, AdamW; softplus
networks, f32). Peers are timed in turns, A B C A B C, and only after their loss, gradient and update
agreed with a plain reference. gradlogp's step also keeps a moving average of the weights; the
peers' do not. Ratios are peer / gradlogp, taken within each turn, median over turns: **above 1
gradlogp is faster** (▲), below 1 the peer is (▼); within 5% it is a draw (=).
"""
DRAW = 1.05
QUIET = 0.05  # share of the cores that others may take before a figure counts as disturbed
BUSY = 0.1  # share of disturbed figures from which on none is believed


def write(result, path, pictures):
    write_section(result, lines(result), path, pictures)


def write_section(result, body, path, pictures):
    """Replaces this preset's section of the file, or adds it."""
    text = path.read_text() if path.exists() else HEAD
    begin, end = (f"<!-- {word} {result['preset']} -->" for word in ("begin", "end"))
    shown = [line for p in pictures for line in (f"![{p.stem}]({p.name})", "")]
    title = f"## {result['preset']}: {result['title'].rstrip('.')}"
    section = "\n".join([begin, title, "", *body, "", *shown, end]) + "\n"
    old = re.compile(re.escape(begin) + ".*?" + re.escape(end) + "\n", re.DOTALL)
    text = old.sub(lambda _: section, text) if old.search(text) else f"{text}\n{section}"
    path.write_text(text)


def lines(result):
    yield from machine(result)
    yield ""
    yield from glance(result)
    yield ""
    yield from overview(result)
    yield from targets(result)
    yield from timings(result)
    yield ""
    yield from failures(result)
    yield from memory(result)


def machine(result):
    m = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items())
    load = m["load_at_start"]
    yield f"- {m['cpu']}, {m['cores']} cores; {m['system']}; {m['date']}"
    yield f"- {m['gradlogp']} ({m['build']}); {versions}"
    length = f" of {result['seconds']:g} s" if "seconds" in result else ""
    yield (
        f"- {result['rounds']} turns{length}; "
        f"load average at start {load[0]:.2f}, {load[1]:.2f}, {load[2]:.2f}"
    )
    share = disturbed(result)
    if share > 0:
        busy = f"Other processes took more than {QUIET:.0%} of the cores in {share:.1%} of the timings."
        yield f"- {busy}" if share <= BUSY else (
            f"- **{busy} The ratios mean nothing: a neighbour slows spinning thread pools (PyTorch's) far more "
            "than others, in every turn, which flatters gradlogp. Targets are not judged; run again when idle.**"
        )
    if m["build"] != "release":
        yield "- **Not the release build of this tree: these figures are not to be relied on.**"


def disturbed(result):
    """Share of the timings during which others took too much of the machine."""
    entries = [e for g in result.get("groups", result.get("lines")) for e in g["entries"] if "others" in e]
    return sum(e["others"] > QUIET for e in entries) / max(len(entries), 1)


def compared(result):
    """(group, peer's line) of every comparison on the same work that gave a ratio."""
    for group in result["groups"]:
        for line in group["entries"][1:]:
            if "ratio" in line and line["work"] == group["entries"][0]["work"]:
                yield group, line


def glance(result):
    pairs = list(compared(result))
    if disturbed(result) > BUSY:
        yield "No summary: the machine was busy."
        return
    ahead = [x for x in pairs if x[1]["ratio"] > DRAW]
    behind = [x for x in pairs if x[1]["ratio"] < 1 / DRAW]
    draws = len(pairs) - len(ahead) - len(behind)
    yield f"gradlogp is ahead in **{len(ahead)} of {len(pairs)}** comparisons, {draws} draws."
    if behind:
        yield "Behind:"
        yield ""
    for group, line in sorted(behind, key=lambda x: x[1]["ratio"]):
        yield f"- {group['name']}: {line['ratio']:.2f} against {SHORT[line['who']]}"


#: The factors of a grid, with their names and how their values are written.
FACTORS = {"dim": "d", "hidden": "hidden", "batch": "B", "slices": "M", "threads": "threads"}


def overview(result):
    """Of a grid: for each factor, our ratio to the *fastest* peer at each of its values."""
    fastest = {}
    for group, line in compared(result):
        name = group["name"]
        if name not in fastest or line["ratio"] < fastest[name][1]["ratio"]:
            fastest[name] = group["entries"][0]["work"], line
    bases = {}
    for work, _ in fastest.values():
        bases.setdefault((work["objective"], work["model"]), work)
    if len(fastest) < 2 * len(bases) or len(bases) < 2:
        return
    yield (
        "At a glance: time of the **fastest** peer over ours, one factor at a time around "
        f"{Work(**next(iter(bases.values()))).name.split(', ', 1)[1]}."
    )
    yield ""
    for factor, title in FACTORS.items():
        yield from factor_table(factor, title, bases, fastest)


def factor_table(factor, title, bases, fastest):
    cells = {}
    for work, line in fastest.values():
        row = work["objective"], work["model"]
        if work | {factor: None} == bases[row] | {factor: None}:
            cells.setdefault(row, {})[as_value(work[factor])] = line
    columns = sorted({value for row in cells.values() for value in row}, key=lambda v: (len(str(v)), v))
    if len(columns) < 2:
        return
    shown = (shape(v) if factor == "hidden" else v for v in columns)
    yield f"| {title} | " + " | ".join(map(str, shown)) + " |"
    yield "|---|" + "---|" * len(columns)
    for row, by_value in cells.items():
        if len(by_value) > 1:
            yield f"| {' '.join(row)} | " + " | ".join(short_cell(by_value.get(v)) for v in columns) + " |"
    yield ""


def as_value(value):
    return tuple(value) if isinstance(value, list) else value


def short_cell(line):
    return "" if line is None else f"{mark(line['ratio'])} {line['ratio']:.2f} {SHORT[line['who']]}"


def targets(result):
    found = [(g, t) for g in result["groups"] for t in g["targets"]]
    if not found:
        return
    yield "| work | against | target | measured (range over turns) | |"
    yield "|---|---|---|---|---|"
    for group, t in found:
        name = group["name"]
        against = SHORT[t["against"]]
        theirs = Work(**t["their_work"])
        if theirs.objective != group["entries"][0]["work"]["objective"]:
            against += f" of {theirs.objective}, M {theirs.slices}"
        yield f"| {name} | {against} | {t['least']:.3g}x | {measured(t)} | {verdict(group, t)} |"
    yield ""


def measured(target):
    if target["ratio"] is None:
        return "not measured"
    low, high = target["range"]
    return f"{target['ratio']:.2f}x ({low:.2f} to {high:.2f})"


def verdict(group, target):
    if target["ratio"] is None:
        return "open"
    concerned = (group["entries"][0]["who"], target["against"])
    if any(e["who"] in concerned and e["others"] > QUIET for e in group["entries"] if "others" in e):
        return "not judged: machine busy"
    return "met" if target["ratio"] >= target["least"] else "**missed**"


def timings(result):
    peers = [p for p in PEERS if any(e["who"] == p for g in result["groups"] for e in g["entries"])]
    heads = " | ".join(f"{SHORT[p]}, ms (ratio)" for p in peers)
    yield f"| work | gradlogp, ms | spread | products' share | {heads} |"
    yield "|---|---|---|---|" + "---|" * len(peers)
    for group in result["groups"]:
        ours = group["entries"][0]
        cells = [group["name"], *our_cells(ours)]
        cells += [peer_cell(group, p) for p in peers]
        yield "| " + " | ".join(cells) + " |"
    yield ""
    yield (
        "Spread: (slowest - fastest turn) / median, of gradlogp. Products' share: the least time "
        "its matrix products could take at this machine's measured rate, over the time taken."
    )


def our_cells(ours):
    if "median_ms" not in ours:
        return ["failed", "", ""]
    share = f"{ours['gemm_share']:.0%}" if "gemm_share" in ours else ""
    return [f"**{ours['median_ms']:.3g}**", f"{ours['spread']:.0%}", share]


def peer_cell(group, who):
    line = next((e for e in group["entries"] if e["who"] == who), None)
    if line is None:
        return ""
    if "ratio" not in line:
        return "no"
    other = "" if line["work"] == group["entries"][0]["work"] else f", {line['work']['objective']}"
    return f"{line['median_ms']:.3g} ({mark(line['ratio'])} {line['ratio']:.2f}{other})"


def mark(ratio):
    if ratio > DRAW:
        return "▲"
    return "▼" if ratio < 1 / DRAW else "="


def failures(result):
    said = {}
    for group in result["groups"]:
        for line in group["entries"]:
            if "failed" in line:
                name = SHORT.get(line["who"], line["who"])
                said.setdefault((name, line["failed"]), []).append(group["name"])
    if said:
        yield "Not timed:"
        yield ""
    for (who, why), works in said.items():
        names = "; ".join(works[:3]) + (f" and {len(works) - 3} more" if len(works) > 3 else "")
        yield f"- {who}: {why.replace('|', '/')} ({names})"
    if said:
        yield ""


def memory(result):
    if not result["memory"]:
        return
    peers = list(dict.fromkeys(p for m in result["memory"] for p in (*m["peak"], *m["failed"])))
    peers.remove(OURS)
    heads = " | ".join(f"{SHORT[p]} (ratio)" for p in peers)
    yield (
        "Peak resident memory of a step with its state (rows, weights, gradient, moments), MiB; for "
        "gradlogp that of the whole process over one with a tiny problem:"
    )
    yield ""
    yield f"| work | gradlogp | {heads} | target |"
    yield "|---|---|" + "---|" * (len(peers) + 1)
    for m in result["memory"]:
        ours = m["peak"][OURS]
        cells = [Work(**m["work"]).name, f"{ours / 2**20:.1f}"]
        cells += [memory_cell(m, p) for p in peers] + [memory_target(m, peers[0])]
        yield "| " + " | ".join(cells) + " |"
    yield ""


def memory_cell(m, who):
    if who not in m["peak"]:
        return "no"
    return f"{m['peak'][who] / 2**20:.1f} ({m['peak'][who] / max(m['peak'][OURS], 1):.1f})"


def memory_target(m, first):
    if m["most"] is None or first not in m["peak"]:
        return ""
    share = m["peak"][OURS] / max(m["peak"][first], 1)
    met = "met" if share <= m["most"] else "**missed**"
    return f"{share:.2g} of {SHORT[first]}'s, at most {m['most']:g}: {met}"
