#!/usr/bin/env python3
"""What the Python package costs: beside other libraries, for each call, in memory. Writes results.json and RESULTS.md here.

    python3 -m venv venv && venv/bin/pip install --no-deps -r bench/python/requirements.txt && venv/bin/pip install .
    venv/bin/python bench/python/run.py [WHAT ...]

WHAT: ways, call, copies, fits (default: all), or the name of one way. What is not measured again is kept. Libraries that are not installed are left out. Needs Linux.
"""

import json
import os
import platform
import subprocess
import sys
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from ways import WAYS

HERE = Path(__file__).resolve().parent
MODULES = {"zuko NSF": "zuko", "torchebm SlicedScoreMatching": "torchebm"}
PACKAGES = ["gradlogp", "numpy", "scikit-learn", "torch", "zuko", "torchebm"]
MIB = 2**20


def measured(*words):
    # What an environment may say of the kernels that NumPy's BLAS takes would slow the others down.
    # And threads that wait must not keep others from working.
    environment = {"OMP_WAIT_POLICY": "PASSIVE"} | {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    print("measuring", *words, flush=True)
    done = subprocess.run([sys.executable, "measure.py", *words], cwd=HERE, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1]) | {"load_average": os.getloadavg()[0], "date": date.today().isoformat()}


def versions():
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            pass
    return found


def processor():
    with open("/proc/cpuinfo") as file:
        return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.processor())


def main(asked):
    kept = HERE / "results.json"
    results = json.loads(kept.read_text()) if kept.exists() else {}
    results |= {"machine": f"{processor()}, {os.cpu_count()} cores", "versions": versions()}
    for what in asked or ["call", "copies", "fits", "ways"]:
        if what == "ways":
            installed = [name for name in WAYS if name not in MODULES or find_spec(MODULES[name])]
            results["ways"] = []
            for name in installed:
                results["ways"].append(measured("way", name))
                kept.write_text(json.dumps(results, indent=1) + "\n")
        elif what in WAYS:
            others = [way for way in results["ways"] if way["way"] != what]
            results["ways"] = sorted([measured("way", what), *others], key=lambda way: list(WAYS).index(way["way"]))
            kept.write_text(json.dumps(results, indent=1) + "\n")
        else:
            results[what] = measured(what)
            kept.write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "RESULTS.md").write_text(page(results))
    print(page(results))


def page(results):
    lines = ["# What the Python package costs", "", "Written by `python bench/python/run.py`. " + results["machine"] + "; "]
    lines[-1] += ", ".join(f"{name} {number}" for name, number in results["versions"].items()) + "."
    for part in (ways, calls, copies, fits):
        lines += ["", *part(results)] if {ways: "ways", calls: "call"}.get(part, part.__name__) in results else []
    return "\n".join(lines) + "\n"


def when(measurement):
    return f"{measurement['date']}, load average of the machine after it {measurement['load_average']:.1f}"


def ways(results):
    yield "## Beside other libraries, 20,000 x 10"
    yield ""
    yield (
        "Three correlated Gaussians, whose density is known. Fit, log densities of 20,000 other rows, 20,000 draws, one library after another, "
        f"each in a process of its own, on 2 threads. Memory: the peak, and beside it what was in use before the fit. ({when(results['ways'][-1])}.)"
    )
    yield ""
    yield "| | fit, s | log p, s | draws, s | CPU, s | memory, MiB | log p short of the truth, nats | spread of the difference | relative Fisher divergence | truth's log p at draws |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for way in results["ways"]:
        seconds = " | ".join(f"{way['seconds'][what]:.1f}" for what in ("fit", "log_density", "sample"))
        memory = f"{way['bytes_peak'] / MIB:.0f} ({way['bytes_before'] / MIB:.0f})"
        short = "up to a constant" if "constant" in way["settings"] else f"{way['short_of_truth']:.3f}"
        fisher = way.get("relative_fisher_divergence")
        draws = f"{way['true_log_density_of_draws']:+.2f}"
        yield (
            f"| {way['way']} ({way['settings']}) | {seconds} | {way['cpu_total']:.0f} | {memory} | {short} | {way['sd_of_difference']:.3f} | "
            f"{'none' if fisher is None else f'{fisher:.4f}'} | {draws} |"
        )
    yield ""
    yield "The last column is the true mean log density of the draws less that of true rows: 0 for perfect draws, below for too wide ones."
    if max(way["load_average"] for way in results["ways"]) > 2 * os.cpu_count():
        yield "The machine was busy with other work, so that the seconds say little: compare CPU."
    missing = WAYS.keys() - {way["way"] for way in results["ways"]}
    if missing:
        yield f"Not measured yet: {', '.join(sorted(missing))}."


def calls(results):
    yield "## One row"
    yield ""
    yield f"Microseconds of `grad_log_density` on one row of 10 columns, the least mean of 300 short runs in turns ({when(results['call'])})."
    yield ""
    networks = [name for name in results["call"] if isinstance(results["call"][name], dict)]
    yield "| | " + " | ".join(networks) + " |"
    yield "|---" * (len(networks) + 1) + "|"
    for what in results["call"][networks[0]]:
        yield f"| {what} | " + " | ".join(f"{results['call'][name][what]:.1f}" for name in networks) + " |"
    over = max(results["call"][name]["grad_log_density, NumPy"] - results["call"][name]["lowest entry"] for name in networks)
    yield ""
    yield f"Over the lowest entry of the compiled part: {over:.1f} microseconds for NumPy arrays. Target: below 20. {verdict(over < 20)}"


def copies(results):
    yield "## Large arrays"
    yield ""
    yield f"`laplacian` of C-ordered arrays ({when(results['copies'])}); memory in use beside the array and the answer, at most while it works."
    yield ""
    yield "| | array, MiB | before, MiB | after, MiB | at most beside it, MiB |"
    yield "|---|---|---|---|---|"
    kinds = {name: kind for name, kind in results["copies"].items() if isinstance(kind, dict)}
    for name, kind in kinds.items():
        numbers = (kind[key] / MIB for key in ("bytes_of_array", "bytes_before", "bytes_after", "bytes_peak_beside"))
        yield f"| {name} | " + " | ".join(f"{number:.0f}" for number in numbers) + " |"
    yield ""
    yield f"Target: no copy. {verdict(all(kind['bytes_peak_beside'] < kind['bytes_of_array'] / 8 for kind in kinds.values()))}"


def fits(results):
    curve = {int(k): used for k, used in results["fits"]["curve"]}
    yield "## A thousand fits"
    yield ""
    yield f"Memory in use, MiB, over fits that are dropped ({when(results['fits'])}):"
    yield ""
    yield "| fits | " + " | ".join(str(k) for k in (0, 50, 100, 200, 400, 600, 800, 1000)) + " |"
    yield "|---" * 9 + "|"
    yield "| MiB | " + " | ".join(f"{curve[k] / MIB:.1f}" for k in (0, 50, 100, 200, 400, 600, 800, 1000)) + " |"
    growth = (curve[1000] - curve[200]) / 800
    yield ""
    yield f"From the 200th to the 1000th {growth / 1024:.2f} KiB a fit. Target: no growth. {verdict(abs(growth) < 1024)}"


def verdict(met):
    return "**Met.**" if met else "**Missed.**"


if __name__ == "__main__":
    main(sys.argv[1:])
