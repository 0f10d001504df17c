#!/usr/bin/env python3
"""Times gradlogp beside PyTorch, JAX, folx, pandas and polars. `run.py --help` says how.

Makes its own virtual environment (bench/out/venv), builds the program, checks every peer against
a plain reference, times them in turns, and writes bench/RESULTS.md, bench/*.png and bench/out/*.json.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
BENCH, ROOT = HERE.parent, HERE.parent.parent
OUT = BENCH / "out"


def main():
    options = parse()
    inside_environment()
    # A copy: a shared target directory may be built into while this runs.
    program = Path(shutil.copy(options.program or build(), OUT / "gradlogp"))
    import session  # needs the environment

    session.run(options, str(program))


def parse():
    sys.path.insert(0, str(HERE))
    from presets import ALL, PIECES, PRESETS

    described = {name: f.__doc__ for name, f in PRESETS.items()} | PIECES
    described["all"] = f"{', '.join(ALL)}: half an hour."
    listed = "\n".join(f"  {name:10} {text}" for name, text in described.items())
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f"presets:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--preset", choices=described, default="targets")
    add("--rounds", type=int, help="turns of every peer [default: the preset's, 3 or 5]")
    add("--seconds", type=float, help="length of a turn [default: the preset's, 0.5 or 1]")
    add("--tiny", action="store_true", help="quality, crossover, throughput: only show that they work")
    add("--only", default="", help="only works whose name contains this text")
    add("--peers", default="", help="only these peers, comma separated")
    add("--no-memory", action="store_true", help="leave out the preset's peak memory part")
    add("--program", type=Path, help="a gradlogp to time instead of building one")
    add("--memory-limit", type=float, default=0.7, help="share of RAM a peer may use")
    add("--time-limit", type=float, default=300, help="seconds a peer may take for one request")
    add("--results", type=Path, default=BENCH / "RESULTS.md", help="the Markdown file to write")
    return parser.parse_args()


def inside_environment(script=__file__):
    """Makes the environment if its pins changed, and restarts the script in it."""
    if sys.version_info < (3, 11):
        sys.exit("Python 3.11 or newer is needed (the pinned JAX needs it)")
    home, pins = OUT / "venv", HERE / "requirements.txt"
    stamp, wanted = home / "pins", hashlib.sha256(pins.read_bytes()).hexdigest()
    if Path(sys.prefix).resolve() == home.resolve():
        return
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"making {home} (about 6 GB, some minutes)", file=sys.stderr)
        venv.create(home, with_pip=True)
        pip = [home / "bin/python", "-m", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run([*pip, "-r", pins], check=True)
        stamp.write_text(wanted)
    python = str(home / "bin/python")
    os.execv(python, [python, script, *sys.argv[1:]])


def build():
    """The release build of the program; honours CARGO_TARGET_DIR."""
    subprocess.run(["cargo", "build", "--release", "--workspace", "--bin", "gradlogp"], cwd=ROOT, check=True)
    metadata = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
    told = subprocess.run(metadata, cwd=ROOT, check=True, capture_output=True).stdout
    return Path(json.loads(told)["target_directory"]) / "release" / "gradlogp"


if __name__ == "__main__":
    main()
