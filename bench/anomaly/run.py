#!/usr/bin/env python3
"""Anomaly detection side by side with scikit-learn: writes ../ANOMALY.md.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    cargo build --release -p gradlogp-cli
    venv/bin/python run.py DATA_FOLDER [--only SET ...] [--gradlogp PROGRAM]

DATA_FOLDER holds the ADBench tables as csv.gz with the columns x0, ..., y (1 for an anomaly).

Unsupervised protocol: every detector is fitted to all rows without the labels and scores the same rows;
the labels only make the ROC-AUC. Every detector has its defaults on every table. The detectors of
scikit-learn see standardised columns (a forest does not mind, the other two need it); gradlogp
standardises by itself. Results of earlier runs are kept in results.json, so that tables can be run in turns.
"""
import argparse
import csv
import gzip
import json
import platform
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import sklearn
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KernelDensity, LocalOutlierFactor
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).resolve().parent
DETECTORS = ["gradlogp", "IsolationForest", "LOF", "KernelDensity"]


def read(path):
    with gzip.open(path, "rt") as f:
        rows = np.loadtxt(f, delimiter=",", skiprows=1)
    return rows[:, :-1], rows[:, -1].astype(int)


def gradlogp(program, x, *options):
    """Anomaly scores of a fit; larger is more unusual."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        names = ",".join(f"x{j}" for j in range(x.shape[1]))
        np.savetxt(folder / "x.csv", x, delimiter=",", header=names, comments="", fmt="%.17g")
        run = lambda *words: subprocess.run([program, *words], cwd=folder, check=True, capture_output=True)
        run("fit", "x.csv", "-q", *options)
        run("score", "model.safetensors", "x.csv", "--anomaly", "-o", "scores.csv", "-q")
        with open(folder / "scores.csv") as f:
            return np.array([float(row["anomaly"]) for row in csv.DictReader(f)])


def score(detector, program, x):
    if detector == "gradlogp":
        return gradlogp(program, x, "--for", "anomaly")
    z = StandardScaler().fit_transform(x)
    if detector == "IsolationForest":
        return -IsolationForest(random_state=0).fit(z).score_samples(z)
    if detector == "LOF":
        return -LocalOutlierFactor().fit(z).negative_outlier_factor_
    return -KernelDensity().fit(z).score_samples(z)


def table(results):
    names = sorted(results, key=lambda name: int(name.split("_")[0]))
    lines = [
        "# Anomaly detection beside scikit-learn",
        "",
        "Written by `bench/anomaly/run.py`; do not edit. ROC-AUC on tables of ADBench (Han et al. 2022): 1 is perfect, "
        "0.5 is chance. Unsupervised: every detector is fitted to all rows without labels and scores the same "
        "rows. One setting everywhere, no tuning per table: `gradlogp fit --for anomaly`, `gradlogp score --anomaly`; "
        "IsolationForest (seed 0), LocalOutlierFactor (20 neighbours) and KernelDensity (bandwidth 1) on "
        "standardised columns. One run each. `--for anomaly` was made with these tables in view, the others were not; "
        "bench/NOTES.md says what else was tried.",
        "",
        "| table | rows | columns | anomalies | " + " | ".join(DETECTORS) + " |",
        "|---|---|---|---|" + "---|" * len(DETECTORS),
    ]
    for name in names:
        r = results[name]
        best = max(r["auc"].values())
        cells = [f"**{r['auc'][d]:.3f}**" if r["auc"][d] == best else f"{r['auc'][d]:.3f}" for d in DETECTORS]
        lines.append(f"| {name} | {r['rows']} | {r['columns']} | {r['anomalies']:.1%} | " + " | ".join(cells) + " |")
    mean = lambda key, d: float(np.mean([results[name][key][d] for name in names]))
    lines.append("| **mean** | | | | " + " | ".join(f"{mean('auc', d):.3f}" for d in DETECTORS) + " |")
    lines.append("| seconds, mean | | | | " + " | ".join(f"{mean('seconds', d):.1f}" for d in DETECTORS) + " |")
    versions = f"scikit-learn {sklearn.__version__}, numpy {np.__version__}, Python {platform.python_version()}"
    lines += ["", f"{versions}. Seconds are wall time of fit and score on a machine that was not idle: orders only.", ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="*", help="tables to run [default: all]")
    parser.add_argument("--detectors", nargs="*", default=DETECTORS, help="detectors to run again")
    parser.add_argument("--gradlogp", default=str(HERE / "../../target/release/gradlogp"))
    args = parser.parse_args()
    store = HERE / "results.json"
    load = lambda: json.loads(store.read_text()) if store.exists() else {}
    for path in sorted(args.data.glob("*.csv.gz")):
        name = path.name.removesuffix(".csv.gz")
        if args.only and name not in args.only:
            continue
        x, y = read(path)
        for detector in args.detectors:
            start = time.perf_counter()
            scores = score(detector, args.gradlogp, x)
            seconds, auc = time.perf_counter() - start, float(roc_auc_score(y, scores))
            print(f"{name} {detector}: {auc:.3f}, {seconds:.1f} s", flush=True)
            # Another run may have written since.
            results = load()
            entry = results.setdefault(name, {"auc": {}, "seconds": {}})
            entry.update(rows=len(y), columns=x.shape[1], anomalies=float(y.mean()))
            entry["auc"][detector], entry["seconds"][detector] = auc, seconds
            store.write_text(json.dumps(results, indent=1) + "\n")
    complete = {name: r for name, r in load().items() if set(r["auc"]) >= set(DETECTORS)}
    if not complete:
        return
    (HERE / "../ANOMALY.md").write_text(table(complete))


if __name__ == "__main__":
    main()
