#!/usr/bin/env python3
"""Which settings of a network of the data themselves are nearest to the score? Development tables only.

    python3 -m venv venv && venv/bin/pip install numpy==2.4.6
    venv/bin/python study.py DATA OUT --gradlogp PROGRAM JOBS.txt ...

Every line of JOBS is `table[:rows] split name options...`. A finished line is one row of OUT/results.csv and is not done again.
All figures are of the check table that the program prints: a fifth of the rows held out, a mixture of Gaussians fitted to the same
training rows. Rounded columns get their noise here, once for all runs, unless the name begins with `raw`. Judging tables
(bench/quality) are refused.
"""
import argparse
import csv
import json
import os
import shlex
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench" / "quality"))
from tables import dequantise, normal_rows, several_values  # noqa: E402

FIELDS = ["table", "rows", "columns", "split", "name", "options", "exact_loss", "exact_loss_se", "components", "mixture_loss", "difference",
          "difference_se", "from_gaussian", "from_gaussian_se", "objective", "best_step", "steps", "seconds", "note"]
ADBENCH = ["2_annthyroid", "6_cardio", "28_pendigits", "22_magic.gamma", "27_PageBlocks", "44_Wilt", "12_fault",
           "41_Waveform", "29_Pima", "39_vertebral", "47_yeast", "43_WDBC", "31_satimage-2", "15_Hepatitis"]


def load(data, name):
    """Rows of a development table; ADBench's normal rows."""
    if name in ADBENCH:
        x = normal_rows(data / "adbench" / f"{name}.npz")
    elif name.startswith("syntren"):
        x = np.log1p(np.load(data / "syntren" / f"data{name[7:]}.npy").astype(float))
    elif name == "mathmarks":
        x = np.genfromtxt(data / "mathmarks" / "mathmark.csv", delimiter=",", skip_header=1)
    elif name == "phoneme":
        x = np.genfromtxt(data / "mixed" / "phoneme.csv", delimiter=",", skip_header=1)[:, :5]
    elif name.startswith("made-"):
        x = made(name[5:])
    else:
        raise SystemExit(f"{name} is no development table")
    return several_values(x)


def made(name):
    """Synthetic rows whose score is no mixture's: a bent sheet, heavy tails; and a plain Gaussian, where nothing is to be gained."""
    rng = np.random.default_rng(7)
    if name == "sheet":
        u = rng.uniform(-1, 1, (4000, 2))
        a = rng.normal(size=(2, 8))
        return np.sin(2 * u @ a) + u @ rng.normal(size=(2, 8)) + 0.05 * rng.normal(size=(4000, 8))
    if name == "student":
        z = rng.normal(size=(3000, 6)) @ (np.eye(6) + 0.4 * rng.normal(size=(6, 6)))
        return z / np.sqrt(rng.chisquare(5, size=(3000, 1)) / 5)
    if name == "gaussian":
        return rng.normal(size=(1000, 10)) @ rng.normal(size=(10, 10))
    raise SystemExit(f"no made table {name}")


def rows_of(data, table, split, raw):
    """The rows of a job, in an order that follows from the split; no row twice, so that none is on both sides."""
    name, _, most = table.partition(":")
    rng = np.random.default_rng([12, split])
    x = rng.permutation(np.unique(load(data, name), axis=0))
    x = x[: int(most)] if most else x
    return x if raw else dequantise(x, rng)


def run(program, x, split, options):
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "table.npy", x)
        words = [program, "fit", "table.npy", "--json", "-q", "--threads", "1", "--test", "0.2", "--seed", str(split), *options]
        done = os.popen(f"cd {shlex.quote(folder)} && {shlex.join(words)} 2> err")
        out = done.read()
        done.close()
        errors = (Path(folder) / "err").read_text().strip().splitlines()
    try:
        found = json.loads(out)
    except ValueError:
        return {"note": (errors or ["failed"])[-1][:200]}
    row = {"exact_loss": found["exact_loss"], "exact_loss_se": found["exact_loss_se"], "objective": found["objective"]["name"],
           "best_step": found["best_step"], "steps": found["steps"], "seconds": found["seconds"]}
    for baseline in found.get("baselines", []):
        name = str(baseline["baseline"])
        if name == "Gaussian" or "mixture" not in name.lower():
            row |= {"from_gaussian": baseline["difference"], "from_gaussian_se": baseline["difference_se"]}
        # Where one component is best, the Gaussian is the mixture.
        row |= {"components": "".join(c for c in name if c.isdigit()) or "1", "mixture_loss": baseline["exact_loss"],
                "difference": baseline["difference"], "difference_se": baseline["difference_se"]}
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("jobs", nargs="+")
    parser.add_argument("--gradlogp", default="gradlogp")
    args = parser.parse_args()
    program = str(Path(args.gradlogp).resolve()) if os.sep in args.gradlogp else args.gradlogp
    args.out.mkdir(parents=True, exist_ok=True)
    results = args.out / "results.csv"
    if not results.exists():
        results.write_text(",".join(FIELDS) + "\n")
    lines = [line for name in args.jobs for line in Path(name).read_text().splitlines() if line.strip() and not line.startswith("#")]
    for line in lines:
        table, split, name, *options = shlex.split(line)
        with open(results) as f:
            if (table, split, name) in {(r["table"], r["split"], r["name"]) for r in csv.DictReader(f)}:
                continue
        x = rows_of(args.data, table, int(split), name.startswith("raw"))
        row = {"table": table, "rows": len(x), "columns": x.shape[1], "split": split, "name": name, "options": " ".join(options)}
        row |= run(program, x, int(split), options)
        with open(results, "a") as f:
            csv.DictWriter(f, FIELDS, lineterminator="\n").writerow(row)
        print(time.strftime("%H:%M:%S"), *(row.get(k, "") for k in ("table", "rows", "columns", "name", "exact_loss", "components",
              "difference", "difference_se", "objective", "best_step", "steps", "seconds", "note")), flush=True)


if __name__ == "__main__":
    main()
