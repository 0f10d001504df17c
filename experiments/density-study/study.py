#!/usr/bin/env python3
"""Which settings of `gradlogp fit --noise vp` give the best held-out log-likelihood? Development tables only.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python study.py DATA OUT --gradlogp PROGRAM JOBS.txt ...

Every line of JOBS is `table[:rows] split name options...`; `peers` as the name runs the Gaussian, the mixture and the
kernel density instead, `nsf` and `maf` the flows of bench/quality (its environment). A finished line is one row of OUT/results.csv and is not done again; log densities row by row are in
OUT/rows, histories in OUT/history. Judging tables (bench/quality) are refused.
"""
import argparse
import csv
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.mixture import GaussianMixture

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench" / "quality"))
from peers import flow, kernels, mixture  # noqa: E402
from tables import normal_rows, prepare, several_values  # noqa: E402

FIELDS = ["table", "rows", "columns", "split", "name", "options", "log_likelihood", "standard_error", "val_loss", "val_loss_se",
          "best_step", "steps", "cpu_seconds_fit", "cpu_seconds_loglik", "note"]
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
    """Synthetic rows, with what real tables have: heavy tails, narrow directions, bent sheets."""
    rng = np.random.default_rng(7)
    if name == "sheet":  # 2 latent directions bent into 8 columns, noise 0.05
        u = rng.uniform(-1, 1, (4000, 2))
        a = rng.normal(size=(2, 8))
        return np.sin(2 * u @ a) + u @ rng.normal(size=(2, 8)) + 0.05 * rng.normal(size=(4000, 8))
    if name == "student":  # heavy tails, 5 degrees of freedom, 6 columns, correlated
        z = rng.normal(size=(3000, 6)) @ (np.eye(6) + 0.4 * rng.normal(size=(6, 6)))
        return z / np.sqrt(rng.chisquare(5, size=(3000, 1)) / 5)
    if name == "clusters":  # 12 narrow clusters, 5 columns
        means, k = 3 * rng.normal(size=(12, 5)), rng.integers(12, size=3000)
        return means[k] + 0.3 * rng.normal(size=(3000, 5))
    if name == "gaussian":  # a plain Gaussian, 10 columns: nothing to be gained
        return rng.normal(size=(1000, 10)) @ rng.normal(size=(10, 10))
    raise SystemExit(f"no made table {name}")


def rivals(train, test):
    """Yields (name, chosen, log densities, seconds); a tenth of the training rows chooses."""
    start = time.process_time()
    yield "gaussian", "", GaussianMixture(1, reg_covar=1e-6).fit(train).score_samples(test), time.process_time() - start
    for name, fit in (("gmm", mixture), ("kde", kernels)):
        start = time.process_time()
        log_density, _, chosen = fit(train, 0)
        yield name, chosen, log_density(test), time.process_time() - start


def run(words, folder):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ours(program, train, test, options):
    """(log densities, results)."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "train.npy", train)
        np.save(Path(folder) / "test.npy", test)
        fit, seconds = run([program, "fit", "train.npy", "--json", "--noise", "vp", "--threads", "1", "--test", "0", *options], folder)
        if not (Path(folder) / "model.safetensors").exists():
            return None, {"note": fit.stderr.strip().splitlines()[-1:] or "failed", "cpu_seconds_fit": round(seconds, 1)}, None
        info = json.loads(run([program, "info", "model.safetensors", "--json"], folder)[0].stdout)["summary"]
        likelihood, more = run([program, "loglik", "model.safetensors", "test.npy", "--json", "-o", "ll.npy", "--tolerance", "1e-4"], folder)
        if not (Path(folder) / "ll.npy").exists():
            return None, {"note": likelihood.stderr.strip()[:200], "cpu_seconds_fit": round(seconds, 1)}, info
        values = np.load(Path(folder) / "ll.npy")
        values = values[:, 0] if values.ndim == 2 else values
        best = min(info["history"], key=lambda h: h["held_out"]["mean"])
        return values, {"val_loss": round(best["held_out"]["mean"], 5), "val_loss_se": round(best["held_out"]["standard_error"], 5),
                        "best_step": best["step"], "steps": info["history"][-1]["step"],
                        "cpu_seconds_fit": round(seconds, 1), "cpu_seconds_loglik": round(more, 1)}, info


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("jobs", nargs="+")
    parser.add_argument("--gradlogp", default="gradlogp")
    args = parser.parse_args()
    program = str(Path(args.gradlogp).resolve()) if os.sep in args.gradlogp else args.gradlogp
    for folder in (args.out, args.out / "rows", args.out / "history"):
        folder.mkdir(parents=True, exist_ok=True)
    results = args.out / "results.csv"
    if not results.exists():
        results.write_text(",".join(FIELDS) + "\n")
    jobs = [line for name in args.jobs for line in Path(name).read_text().splitlines() if line.strip() and not line.startswith("#")]
    for line in jobs:
        words = shlex.split(line)
        table, _, most = words[0].partition(":")
        split, name, options = int(words[1]), words[2], words[3:]
        with open(results) as f:
            done = {(r["table"], r["split"], r["name"]) for r in csv.DictReader(f)}
        label = "gmm" if name == "peers" else name
        if (words[0], str(split), label) in done:
            continue
        train, test = prepare(load(args.data, table), split, int(most) if most else None)
        shared = {"table": words[0], "rows": len(train), "columns": train.shape[1], "split": split}

        def record(name, options, values, more):
            row = {**shared, "name": name, "options": options, **more}
            if values is not None:
                np.save(args.out / "rows" / f"{words[0]}-{split}-{name}.npy", values)
                bad = ~np.isfinite(values)
                values = values[~bad]
                row["log_likelihood"] = round(values.mean(), 4)
                row["standard_error"] = round(values.std() / len(values) ** 0.5, 4)
                if bad.any():
                    row["note"] = f"{bad.sum()} rows left out"
            with open(results, "a") as f:
                csv.DictWriter(f, FIELDS, lineterminator="\n").writerow(row)
            print(time.strftime("%H:%M:%S"), *(row.get(k, "") for k in ("table", "rows", "columns", "name", "log_likelihood", "standard_error",
                  "val_loss", "best_step", "steps", "cpu_seconds_fit", "cpu_seconds_loglik", "note")), flush=True)

        if name in ("nsf", "maf"):
            start = time.process_time()
            log_density, _, chosen = flow(name.upper())(train, 0)
            record(name, chosen, log_density(test), {"cpu_seconds_fit": round(time.process_time() - start, 1)})
        elif name == "peers":
            for peer, chosen, values, seconds in rivals(train, test):
                record(peer, chosen, values, {"cpu_seconds_fit": round(seconds, 1)})
        else:
            values, more, info = ours(program, train, test, options)
            if info:
                (args.out / "history" / f"{words[0]}-{split}-{name}.json").write_text(json.dumps(info["history"]))
            record(name, " ".join(options), values, more)


if __name__ == "__main__":
    main()
