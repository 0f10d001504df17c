#!/usr/bin/env python3
"""How good are the fits that a user is handed? Held-out log-likelihood and samples beside peers; writes OUT/quality.{csv,md}.

    python3 -m venv venv && venv/bin/pip install --no-deps -r bench/quality/requirements.txt
    cargo build --release -p gradlogp-cli
    venv/bin/python bench/quality/run.py DATA --gradlogp target/release/gradlogp

DATA is a folder with the files that `tables.py` names; tables whose file is not there are left out, and so are the
flows where torch or zuko is not installed. Lines that are in OUT/quality.csv are not made again, so that a run that was broken off goes on.
"""
import argparse
import csv
import os
import re
import resource
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

import peers
import tables

# What `gradlogp fit` is given, by purpose; nothing else, on no table. Draws come from the same model where both are the same
# (`--for sampling` fits what `--for density` does).
PURPOSES = {
    "density": ["--for", "density"],
    "sampling": ["--for", "density"],
}

HERE = Path(__file__).resolve().parent
OURS = "gradlogp"
FIELDS = ["table", "rows", "columns", "split", "method", "log_likelihood", "standard_error", "auc", "auc_with_copies", "auc_of_rows", "seconds", "cpu_seconds", "chosen"]


def gradlogp(program, train, test, draws, seed):
    """(log densities of the test rows, draws, what was chosen)."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        np.save(folder / "train.npy", train)
        np.save(folder / "test.npy", test)

        def do(*words):
            done = subprocess.run([program, *words], cwd=folder, capture_output=True, text=True)
            # 6: the fit was judged to be unusable; what it gives is judged here.
            if done.returncode not in (0, 6):
                raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()[-400:]}")

        do("fit", "train.npy", "-q", "-o", "density", "--seed", str(seed), *PURPOSES["density"])
        do("loglik", "density", "test.npy", "-q", "-o", "density.npy")
        model = "density"
        if PURPOSES["sampling"] != PURPOSES["density"]:
            model = "sampling"
            do("fit", "train.npy", "-q", "-o", model, "--seed", str(seed), *PURPOSES["sampling"])
        do("sample", model, "-q", "-n", str(draws), "-o", "draws.npy")
        density = np.load(folder / "density.npy")
        return density if density.ndim == 1 else density[:, 0], np.load(folder / "draws.npy"), ""


def auc(rows, draws):
    """How well boosted trees tell held-out rows from draws, in five folds: 0.5 is chance."""
    draws = draws[np.isfinite(draws).all(1)][: len(rows)]
    if len(draws) < len(rows) / 2:
        return 1.0
    x, y = np.r_[rows, draws], np.r_[np.ones(len(rows)), np.zeros(len(draws))]
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    guess = cross_val_predict(HistGradientBoostingClassifier(random_state=0), x, y, cv=folds, method="predict_proba")
    return roc_auc_score(y, guess[:, 1])


def cpu():
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


def file_of(out, table, split, method):
    return out / "rows" / (re.sub(r"\W+", "-", f"{table} {split} {method}") + ".npy")


def judge(args, name, split, method, fit):
    train, test, (first_train, first) = tables.prepare_with_copies(tables.load(args.data, name), split)
    wall, before, chosen = time.perf_counter(), cpu(), ""
    row = {"table": name, "rows": len(train), "columns": train.shape[1], "split": split, "method": method}
    try:
        if method == OURS:
            values, draws, chosen = gradlogp(args.gradlogp, train, test, len(test), split)
        else:
            density, sample, chosen = fit(train, split)
            values, draws = density(test), sample(len(test))
    except (RuntimeError, ValueError) as error:
        print(f"{name}, split {split}, {method}: {error}", flush=True)
        return
    row |= {"seconds": round(time.perf_counter() - wall, 1), "cpu_seconds": round(cpu() - before, 1), "chosen": chosen}
    np.save(file_of(args.out, name, split, method), values)
    row |= {"log_likelihood": round(float(np.mean(values)), 4), "standard_error": round(float(np.std(values) / len(values) ** 0.5), 4),
            # Copies of a held-out row tell each other, whatever the draws are: one of each.
            "auc": round(auc(test[first], draws), 4), "auc_with_copies": round(auc(test, draws), 4),
            "auc_of_rows": round(auc(test[first], train[first_train]), 4)}
    with open(args.out / "quality.csv", "a", newline="") as f:
        csv.DictWriter(f, FIELDS, lineterminator="\n").writerow(row)
    print(", ".join(str(row[key]) for key in FIELDS), flush=True)


def results(out):
    with open(out / "quality.csv") as f:
        return list(csv.DictReader(f))


def report(out):
    lines = results(out)
    methods = [m for m in [OURS, "mixture", "kernels", "NSF", "MAF"] if any(line["method"] == m for line in lines)]
    names = list(dict.fromkeys(line["table"] for line in lines))
    text = [
        "# Quality beside peers", "",
        "Written by `bench/quality/run.py`; do not edit. Every method saw the same rows: a fifth of the distinct rows held out with all "
        "copies, rounded columns dequantised once, columns standardised by the training rows. `gradlogp fit` had one setting per "
        "purpose (" + ", ".join(f"{k}: `{' '.join(v)}`" for k, v in PURPOSES.items()) + "). Full covariances with components and floor, kernels with their "
        "width, and the flows' epochs were chosen on a tenth of the training rows.", "",
    ]

    def section(title, note, cell, last=None):
        head = ["table", "training rows x columns", "splits", *methods, *([last[0]] if last else [])]
        text.extend([f"## {title}", "", note, "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)])
        for name in names:
            mine = [line for line in lines if line["table"] == name]
            splits = len({line["split"] for line in mine})
            of = {m: [line for line in mine if line["method"] == m] for m in methods}
            cells = [cell(of[m]) if of[m] else "" for m in methods]
            cells += [last[1](name, of)] if last else []
            text.append(f"| {name} | {mine[0]['rows']} x {mine[0]['columns']} | {splits} | " + " | ".join(cells) + " |")
        text.append("")

    def mean(part, key):
        return np.mean([float(line[key]) for line in part])

    def against_best(name, of):
        rivals = [m for m in methods if m != OURS and of[m]]
        if not rivals or not of[OURS]:
            return ""
        best = max(rivals, key=lambda m: mean(of[m], "log_likelihood"))
        common = {line["split"] for line in of[OURS]} & {line["split"] for line in of[best]}
        gaps = [np.load(file_of(out, name, s, OURS)) - np.load(file_of(out, name, s, best)) for s in sorted(common)]
        gaps = np.concatenate(gaps)
        return f"{np.mean(gaps):+.3f} +- {np.std(gaps) / len(gaps) ** 0.5:.3f} ({best})"

    section("Log-likelihood", "Mean over held-out rows in nats, more is better; last, ours less the best peer, row by row, with the standard error.",
            lambda part: f"{mean(part, 'log_likelihood'):.3f}", ("ours - best peer", against_best))
    section("Samples", "Area under the curve of boosted trees that tell held-out rows from as many draws: 0.5 is chance, less is better. Of rows "
            "that were recorded more than once one is taken, since its copies would tell it from any draws. Last, training rows in place of draws.",
            lambda part: f"{mean(part, 'auc'):.3f}",
            ("rows", lambda name, of: f"{mean([line for part in of.values() for line in part], 'auc_of_rows'):.3f}"))
    section("Time", "Seconds for choosing, fitting, log densities and draws of one split (CPU seconds in brackets).",
            lambda part: f"{mean(part, 'seconds'):.0f} ({mean(part, 'cpu_seconds'):.0f})")
    (out / "quality.md").write_text("\n".join(text))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--gradlogp", default="gradlogp", help="the program")
    parser.add_argument("--out", type=Path, default=HERE.parent / "out" / "quality")
    parser.add_argument("--tables", nargs="+", choices=list(tables.JUDGING), default=list(tables.JUDGING))
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--methods", nargs="+", help="only these")
    for purpose in PURPOSES:
        parser.add_argument(f"--{purpose}", help=f"other options for {purpose}, to try something: no longer the published figure")
    args = parser.parse_args()
    for purpose in PURPOSES:
        if getattr(args, purpose) is not None:
            PURPOSES[purpose] = getattr(args, purpose).split()
    if os.sep in args.gradlogp:
        args.gradlogp = str(Path(args.gradlogp).resolve())
    (args.out / "rows").mkdir(parents=True, exist_ok=True)
    if not (args.out / "quality.csv").exists():
        (args.out / "quality.csv").write_text(",".join(FIELDS) + "\n")
    methods = {OURS: None, **peers.available()}
    for split in range(args.splits):
        for name in args.tables:
            if tables.load(args.data, name) is None:
                print(f"{name}: {tables.JUDGING[name][0]} is not there", flush=True)
                continue
            for method, fit in methods.items():
                if args.methods and method not in args.methods:
                    continue
                if not any((r["table"], r["split"], r["method"]) == (name, str(split), method) for r in results(args.out)):
                    judge(args, name, split, method, fit)
                    report(args.out)


if __name__ == "__main__":
    main()
