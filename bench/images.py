#!/usr/bin/env python3
"""Time models of pictures: digits (8 x 8, 0 to 16) and MNIST (28 x 28, 0 to 255).

usage: images.py digits|mnist DATA_FOLDER OUTPUT_FOLDER [PROGRAM]

Writes the pixels as a table, fits with `gradlogp fit --noise`, draws a sheet of samples, and takes bits per
dimension of the recorded values on test rows, which are dequantised by noise uniform in their cells of width 1.
OUTPUT_FOLDER/images.md gets what all runs into that folder found. Without the data it says so and does nothing.
Needs python3 alone.
"""

import gzip
import json
import shlex
import struct
import subprocess
import sys
import time
from pathlib import Path

FITS = {
    "digits": (
        "--dequantize --dequantize-rule whole --noise vp --t-min 0.01 --noise-weight noise --times uniform "
        "--hidden 256,256,256 --steps 3000 --rate 2e-3 --weight-decay 1 --batch 128 --validation 0.1 --test 0.01"
    ),
    "mnist": (
        "--dequantize --dequantize-rule whole --standardize common --noise vp --t-min 0.01 --noise-weight noise "
        "--times uniform --hidden 1024,1024,1024 --steps 3000 --rate 1e-3 --weight-decay 1 --batch 128 --evaluate-every 500 "
        "--validation 0.01 --test 0.005"
    ),
}
SIZE = {"digits": "8x8", "mnist": "28x28"}
# Test rows whose likelihood is taken, and probes of the divergence.
LIKELIHOOD = {"digits": (297, 8), "mnist": (100, 4)}


def digits(folder):
    """The rows of pixels in the file's own order: 1500 to fit to, the rest to test on."""
    lines = (folder / "digits" / "optdigits.tes").read_text().split()
    rows = [line.split(",")[:64] for line in lines]
    return rows[:1500], rows[1500:]


def idx(path):
    """The pictures of a gzipped idx file."""
    data = gzip.decompress(path.read_bytes())
    magic, count, height, width = struct.unpack(">4I", data[:16])
    if magic != 2051:
        raise SystemExit(f"{path}: not an idx file of pictures")
    size = height * width
    text = [str(value) for value in range(256)]
    return [[text[p] for p in data[16 + i * size : 16 + (i + 1) * size]] for i in range(count)]


def mnist(folder):
    part = lambda name: idx(folder / "mnist" / f"{name}-images-idx3-ubyte.gz")
    return part("train"), part("t10k")


def write(path, rows):
    names = ",".join(f"p{k}" for k in range(len(rows[0])))
    path.write_text("\n".join([names, *(",".join(row) for row in rows)]) + "\n")


def main(arguments):
    if len(arguments) not in (3, 4) or arguments[0] not in FITS:
        raise SystemExit(__doc__)
    name, data, output = arguments[0], Path(arguments[1]), Path(arguments[2])
    program = arguments[3] if len(arguments) == 4 else "gradlogp"
    if not (data / name).is_dir():
        print(f"skipped: there is no folder {data / name}")
        return
    output.mkdir(parents=True, exist_ok=True)
    train, test = {"digits": digits, "mnist": mnist}[name](data)
    rows, probes = LIKELIHOOD[name]
    program = str(Path(program).resolve()) if "/" in program else program
    write(output / f"{name}-train.csv", train)
    write(output / f"{name}-test.csv", test[:rows])

    def run(line):
        start = time.monotonic()
        ran = subprocess.run([program, *shlex.split(line)], cwd=output, capture_output=True, text=True)
        if ran.returncode:
            raise SystemExit(f"gradlogp {line}\n{ran.stderr}")
        return ran.stdout, time.monotonic() - start

    fit = json.loads(run(f"fit {name}-train.csv {FITS[name]} -o {name}.safetensors --json")[0])
    sheet = f"--sheet {name}.png --image {SIZE[name]}"
    _, sampling = run(f"sample {name}.safetensors -n 100 {sheet} -o {name}-samples.csv")
    found, likelihood = run(f"loglik {name}.safetensors {name}-test.csv --probes {probes} --tolerance 1e-4 --json")
    facts = {
        "options": FITS[name],
        "version": subprocess.run([program, "--version"], capture_output=True, text=True).stdout.strip(),
        "date": time.strftime("%Y-%m-%d"),
        "train_rows": len(train),
        "sampling_seconds": sampling,
        "likelihood_seconds": likelihood,
        **{key: fit[key] for key in ("steps", "best_step", "seconds")},
        **json.loads(found),
    }
    (output / f"{name}.json").write_text(json.dumps(facts, indent=1) + "\n")
    page = "\n".join(section(path) for path in sorted(output.glob("*.json")))
    (output / "images.md").write_text(HEAD + page)
    print(section(output / f"{name}.json"))


HEAD = """# Pictures as tables

Written by `bench/images.py`: multilayer perceptrons over pixels, which know nothing of pictures, fitted with `--noise`. Bits per
dimension are of the recorded whole numbers: pixels get noise uniform in their cell of width 1, and the log density of the
probability flow, at its least time, bounds the log probability of the cell from below on average.

"""


def section(path):
    """What one run found, in words."""
    facts = json.loads(path.read_text())
    f = lambda key, digits: f"{facts[key]:.{digits}f}"
    return (
        f"## {path.stem}\n\n![samples]({path.stem}.png)\n\n"
        f"100 samples, not chosen. {facts['train_rows']} rows, {facts['steps']} steps in {f('seconds', 0)} s on 2 shared cores (weights of "
        f"step {facts['best_step']} kept); sampling {f('sampling_seconds', 0)} s. {f('discrete_bits_per_dimension', 3)} +- "
        f"{f('bits_per_dimension_se', 3)} bits per dimension on {facts['rows']} test rows ({facts['probes']} probes a row, "
        f"error of a row's log density {f('probe_se', 1)} nats; {f('likelihood_seconds', 0)} s). {facts['version']}, {facts['date']}.\n\n"
        f"```sh\ngradlogp fit {path.stem}-train.csv {facts['options']}\n```\n"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
