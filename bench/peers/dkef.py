#!/usr/bin/env python3
"""Deep kernel exponential families: gradlogp beside a plain PyTorch implementation. Writes bench/DKEF.md.

    python3 bench/peers/dkef.py --data FOLDER

gradlogp (dkef-peer) writes down a run on red wine: rows, initial parameters, the batches and slices of every step, and
what came of them. PyTorch repeats it. First loss, alpha and gradient of the first step are compared with PyTorch in
f64 by torch.func; then both end points by the exact loss on the validation rows. Last, both are timed in turns, each drawing
its own batches and slices. FOLDER: see experiments/README.md.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import run as environment

OUT, ROOT = environment.OUT, environment.ROOT
# Relative difference to f64 of a first step that is the same but for rounding.
ACCURACY = 1e-3


def main():
    options = parse()
    environment.inside_environment(__file__)
    import torch

    torch.set_num_threads(options.threads)
    programs = options.programs or build()
    for objective in options.objectives.split(","):
        kept = OUT / f"dkef-{objective}.json"
        result = json.loads(kept.read_text()) if kept.exists() else {}
        if "agreement" in options.parts:
            result |= agreement(programs, objective, options)
        if "times" in options.parts:
            result |= times(programs, objective, options)
        result["objective"] = objective
        result["torch"] = torch.__version__
        kept.write_text(json.dumps(result))
    write(options.results)


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of the UCI tables and their splits")
    add("--objectives", default="exact,ssm,ssm-vr,dsm")
    add("--parts", default="agreement,times", help="do one of the two only; the other's figures stay")
    add("--steps", type=int, default=100, help="steps that are repeated")
    add("--rounds", type=int, default=3, help="turns of timing")
    add("--threads", type=int, default=2)
    add("--programs", type=Path, help="folder of dkef-peer and dkef-uci, instead of building them")
    add("--results", type=Path, default=environment.BENCH / "DKEF.md")
    return parser.parse_args()


def build():
    """The release build of the experiments; its folder."""
    command = ["cargo", "build", "--release", "--workspace", "--bins"]
    subprocess.run(command, cwd=ROOT, check=True)
    metadata = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
    told = subprocess.run(metadata, cwd=ROOT, check=True, capture_output=True).stdout
    return Path(json.loads(told)["target_directory"]) / "release"


def agreement(programs, objective, options):
    """Repeats gradlogp's run on its own batches and slices."""
    import torch
    from dkef_torch import Family

    recorded = OUT / "dkef-peer.json"
    command = [programs / "dkef-peer", "--data", options.data, "--out", recorded]
    command += ["--objective", objective, "--steps", str(options.steps)]
    subprocess.run([*command, "--threads", str(options.threads)], check=True)
    run = json.loads(recorded.read_text())
    d = run["family"]["dim"]

    def half(written, dtype):
        x = torch.tensor(written["x"], dtype=dtype).reshape(-1, d)
        random = torch.tensor(written["random"], dtype=dtype)
        return x, random.reshape(-1, d) if len(random) else None

    def first(dtype, functional=False):
        family = Family(run, dtype, functional)
        loss, alpha = family.step_loss(*(half(h, dtype) for h in run["halves"][0]))
        loss.backward()
        return loss.detach()[None], alpha.detach(), family.gradient()

    reference = first(torch.float64, functional=True)
    ours = [run["first"][name] for name in ("loss", "alpha", "gradient")]
    ours = [torch.tensor(v, dtype=torch.float64).reshape(-1) for v in ours]

    def apart(found):
        pairs = zip(found, reference)
        return [((f.double() - r).norm() / r.norm()).item() for f, r in pairs]

    result = {"ours_apart": apart(ours), "torch_apart": apart(first(torch.float32))}
    if max(result["ours_apart"]) > ACCURACY:
        sys.exit(f"{objective}: loss, alpha and gradient differ by {result['ours_apart']}")

    family = Family(run)
    optimiser = torch.optim.Adam(family.parameters, lr=run["rate"])
    losses = []
    for halves in run["halves"]:
        optimiser.zero_grad()
        loss, _ = family.step_loss(*(half(h, torch.float32) for h in halves))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(family.parameters, 100.0)
        optimiser.step()
        losses.append(loss.item())
    train, held = (torch.tensor(run[n]).reshape(-1, d) for n in ("train", "validation"))
    with torch.no_grad():
        alpha = family.solve(*family.moments(train, None, "exact"))
        held_out = family.loss(held, None, alpha, "exact").item()
    return result | {
        "steps": options.steps,
        "torch_losses": losses,
        "our_losses": run["losses"],
        "torch_held_out": held_out,
        "our_held_out": run["held_out_exact_loss"],
        "held_out_se": run["held_out_exact_loss_se"],
    }


def times(programs, objective, options):
    """Milliseconds of a step and of an iteration, in turns."""
    import torch
    from dkef_torch import Family

    run = json.loads((OUT / "dkef-peer.json").read_text())
    run |= {"objective": objective, "sigma": run["sigma"] or 0.16}
    family, functional = Family(run), Family(run, functional=True)
    optimiser = torch.optim.Adam(family.parameters, lr=run["rate"])
    train, held = (
        torch.tensor(run[n]).reshape(-1, family.d) for n in ("train", "validation")
    )

    def step(family=family):
        rows = torch.randperm(len(train))[:200]
        optimiser.zero_grad()
        loss, _ = family.step_loss(*(family.draw(train[half]) for half in rows.chunk(2)))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(family.parameters, 100.0)
        optimiser.step()

    def iteration():
        step()
        with torch.no_grad():
            rows = torch.randperm(len(train))[:1000]
            alpha = family.solve(*family.moments(*family.draw(train[rows])))
            family.loss(*family.draw(held), alpha).item()

    def median(call, count):
        taken = []
        for _ in range(count):
            start = time.perf_counter()
            call()
            taken.append(1e3 * (time.perf_counter() - start))
        return statistics.median(taken)

    folder = OUT / "dkef-times"
    command = [programs / "dkef-uci", "--data", options.data, "--out", folder, "--time", "15"]
    command += ["--tables", "red", "--protocols", "paper", "--seeds", "1234"]
    command += ["--objectives", objective, "--threads", str(options.threads)]
    turns = []
    iteration()
    step(functional)
    for _ in range(options.rounds):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        lines = (folder / "runs" / f"times-uci-red-{objective}.jsonl").read_text().splitlines()
        ours = json.loads(lines[-1])["times"]
        turns.append(
            {
                "ours": [1e3 * ours[f"seconds_per_{w}"] for w in ("step", "iteration")],
                "torch": [median(step, 15), median(iteration, 7)],
                "functional": median(lambda: step(functional), 1),
            }
        )
    return {"turns": turns, "threads": options.threads}


def write(path):
    """bench/DKEF.md from what is kept of every objective."""
    found = {o: OUT / f"dkef-{o}.json" for o in ("exact", "ssm", "ssm-vr", "dsm")}
    found = {o: json.loads(p.read_text()) for o, p in found.items() if p.exists()}
    lines = [
        "# Deep kernel exponential families beside PyTorch",
        "",
        "Written by `python3 bench/peers/dkef.py`: red wine (d 11), M 200, three kernels over 30 features, halves of 100 rows,",
        f"{time.strftime('%Y-%m-%d')}, {processor()}, PyTorch {next(iter(found.values()))['torch']}.",
        "PyTorch (`bench/peers/dkef_torch.py`) copies no row for the inducing points; it takes kernel derivatives by second-order",
        "jets written out in tensors, or by nested `torch.func.jvp` (the f64 reference, and the last column).",
        "",
        "## The same run",
        "",
        "Same rows, initial parameters, batches and slices. Relative differences to PyTorch in f64 at the first step;",
        "held out: exact loss on the validation rows after all steps, alpha from the exact moments of all training rows.",
        "",
        "| objective | | loss | alpha | gradient | steps | largest difference of a step's loss | held out | apart |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for objective, r in found.items():
        if "our_losses" not in r:
            continue
        gaps = [abs(a - b) / (1 + abs(b)) for a, b in zip(r["our_losses"], r["torch_losses"])]
        error = r["held_out_se"]
        apart = (r["our_held_out"] - r["torch_held_out"]) / error
        for who, key, held, rest in (
            ("gradlogp f32", "ours_apart", f"{r['our_held_out']:.4f} +- {error:.3f}", f"{apart:+.3f} se"),
            ("PyTorch f32", "torch_apart", f"{r['torch_held_out']:.4f}", ""),
        ):
            numbers = " | ".join(f"{x:.1e}" for x in r[key])
            gap = f"{max(gaps):.1e}" if rest else ""
            lines.append(f"| {objective} | {who} | {numbers} | {r['steps']} | {gap} | {held} | {rest} |")
    lines += [
        "",
        "## Time",
        "",
        "Each draws its own batches and slices; an iteration is a step, alpha refitted to 1000 rows and the validation loss.",
        "Medians over the turns; ratios are taken within a turn.",
        "",
        "| objective | threads | gradlogp ms per step | PyTorch | ratio | gradlogp ms per iteration | PyTorch | ratio | PyTorch ms per step by torch.func |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for objective, r in found.items():
        if "turns" not in r:
            continue
        cells = []
        for k in range(2):
            ours, torchs = ([t[who][k] for t in r["turns"]] for who in ("ours", "torch"))
            ratio = statistics.median(b / a for a, b in zip(ours, torchs))
            cells += [f"{statistics.median(ours):.2f}", f"{statistics.median(torchs):.1f}", f"{ratio:.1f}x"]
        cells.append(f"{statistics.median(t['functional'] for t in r['turns']):.0f}")
        lines.append(f"| {objective} | {r['threads']} | {' | '.join(cells)} |")
    path.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return "unknown processor"


if __name__ == "__main__":
    main()
