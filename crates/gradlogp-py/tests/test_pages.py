"""The Python code of README.md and docs/python.md, as a reader follows it: from top to bottom, in an empty folder."""

import re
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest

import gradlogp

ROOT = Path(__file__).parents[3]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
# What pages import that a user may do without.
OPTIONAL = {"jax", "matplotlib", "torch"}


def blocks(page, language):
    """Code of a page and the line it begins at."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = [(match[2], text[: match.start(2)].count("\n")) for match in BLOCK.finditer(text) if match[1] == language]
    assert found, f"{page} has no block of {language}: is the search broken?"
    return found


def run(page, names):
    """Runs the blocks of a page one after another; what they need and is not here leaves out the block."""
    for code, line in blocks(page, "python"):
        try:
            # Lines of the page in whatever goes wrong.
            exec(compile("\n" * line + code, ROOT / page, "exec"), names)
        except ModuleNotFoundError as error:
            if error.name not in OPTIONAL:
                raise
            warnings.warn(f"{page}:{line + 1} is not run: there is no {error.name}", stacklevel=2)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    return tmp_path


def test_the_page_of_the_package(folder):
    run("docs/python.md", {})


@pytest.mark.skipif(shutil.which("sh") is None or shutil.which("awk") is None, reason="README's tables are made by a shell")
def test_readme(folder, capsys):
    tables = next(code for code, _ in blocks("README.md", "sh") if "> my.csv" in code)
    subprocess.run(["sh", "-e", "-c", tables], check=True, cwd=folder)
    rows = np.loadtxt("my.csv", delimiter=",", skiprows=1)
    # What README's commands have made before its last page of Python reads it.
    model = gradlogp.ScoreDensity(base="gaussian", steps=1000).fit(rows)
    model.save("plain.safetensors")
    names = {}
    run("README.md", names)
    printed = capsys.readouterr().out
    numbers = [float(number) for number in re.findall(r"-?\d+\.\d+", printed.splitlines()[-1])]
    with pytest.warns(gradlogp.errors.UnnormalizedWarning):
        log_density = gradlogp.load("plain.safetensors").score_samples(names["x"])
    assert numbers == pytest.approx([*log_density, *model.grad_log_density(names["x"]).ravel()], rel=1e-5)
