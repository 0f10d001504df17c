"""Rows and small fits that many tests use."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from gradlogp import DiffusionDensity, ScoreDensity, ScoreField

# Of N(MEAN, COVARIANCE), whose score is -COVARIANCE^-1 (x - MEAN).
MEAN = np.array([1.0, -2.0])
COVARIANCE = np.array([[4.0, 1.0], [1.0, 1.0]])


def gaussian_rows(n=2000, seed=3):
    return np.random.default_rng(seed).multivariate_normal(MEAN, COVARIANCE, n)


def true_score(x):
    return -(x - MEAN) @ np.linalg.inv(COVARIANCE)


def true_log_density(x):
    square = -np.einsum("ij,ij->i", x - MEAN, true_score(x))
    return -0.5 * square - np.log(2 * np.pi) - 0.5 * np.log(np.linalg.det(COVARIANCE))


SMALL = {"hidden": [16, 16], "steps": 600, "learning_rate": 5e-3, "ema_decay": 0.99, "threads": 2}


@pytest.fixture(scope="session")
def rows():
    return gaussian_rows()


@pytest.fixture(scope="session")
def density(rows):
    return ScoreDensity(**SMALL).fit(rows)


@pytest.fixture(scope="session")
def field(rows):
    return ScoreField(**SMALL).fit(rows)


@pytest.fixture(scope="session")
def diffusion(rows):
    return DiffusionDensity(hidden=[32, 32], steps=1000, members=1, threads=2).fit(rows)


@pytest.fixture(scope="session")
def program():
    """The program, built beside the package or named by GRADLOGP."""
    path = os.environ.get("GRADLOGP")
    if path is None:
        root = Path(__file__).resolve().parents[3]
        found = [root / "target" / kind / "gradlogp" for kind in ("release", "debug")]
        path = next((str(path) for path in found if path.exists()), None)
    if path is None:
        pytest.skip("the program is not built: cargo build, or set GRADLOGP to its path")

    def run(*arguments):
        return subprocess.run([path, *map(str, arguments)], check=True, capture_output=True, text=True)

    return run
