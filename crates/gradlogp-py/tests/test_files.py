"""Model files, pickles and copies; the program reads and writes the same."""

import copy
import json
import pickle

import joblib
import numpy as np
import pytest
from conftest import SMALL, gaussian_rows
from sklearn.base import clone

import gradlogp
from gradlogp import DiffusionDensity, ScoreDensity, ScoreField, errors

KINDS = ["density", "field", "diffusion"]


@pytest.mark.parametrize("which", KINDS)
def test_files_keep_every_bit(which, request, tmp_path, rows):
    model = request.getfixturevalue(which)
    path = tmp_path / "model.safetensors"
    model.save(path)
    back = type(model).load(path)
    expected = model.grad_log_density(rows[:50])
    assert np.array_equal(back.grad_log_density(rows[:50]), expected)
    assert type(gradlogp.load(path)) is type(model)
    assert back.n_features_in_ == 2 and back.n_iter_ == model.n_iter_
    other = ScoreField if which == "diffusion" else DiffusionDensity
    with pytest.raises(errors.GradlogpError, match="load it as"):
        other.load(path)


@pytest.mark.parametrize("which", KINDS)
def test_pickles_and_copies(which, request, tmp_path, rows):
    model = request.getfixturevalue(which)
    expected = model.grad_log_density(rows[:50])
    path = tmp_path / "model.joblib"
    joblib.dump(model, path)
    for back in [pickle.loads(pickle.dumps(model)), joblib.load(path), copy.deepcopy(model)]:
        assert np.array_equal(back.grad_log_density(rows[:50]), expected)
        assert back.get_params() == model.get_params()
        assert back.report_ == model.report_
    assert not hasattr(clone(model), "_model")


def test_nothing_in_a_file_is_executed(density):
    data = density._model.to_bytes()
    assert b"pickle" not in data
    assert json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])


def test_files_that_are_no_models(tmp_path):
    with pytest.raises(errors.FileError, match="cannot read") as found:
        ScoreDensity.load(tmp_path / "missing.safetensors")
    assert isinstance(found.value, OSError)
    path = tmp_path / "text.safetensors"
    path.write_text("not a model, but a long enough text")
    with pytest.raises(errors.ModelFileError, match="text.safetensors"):
        ScoreDensity.load(path)
    with pytest.raises(errors.FileError, match="cannot write"):
        ScoreDensity(**{**SMALL, "steps": 2}).fit(gaussian_rows(200)).save(tmp_path / "no" / "folder")


def written(rows, path):
    np.savetxt(path, rows, delimiter=",", fmt="%.17g", header="x0,x1", comments="")
    return path


@pytest.mark.parametrize(
    ("estimator", "options"),
    [
        (ScoreDensity(hidden=[16], steps=60, threads=2), ["--hidden", "16", "--steps", "60"]),
        (ScoreDensity(hidden=[16], steps=60, threads=2, base="gaussian"), ["--hidden", "16", "--steps", "60", "--base", "gaussian"]),
        (
            ScoreField(hidden=[16], steps=60, threads=2, objective="ssm", slices=2, random_state=3),
            ["--hidden", "16", "--steps", "60", "--model", "score", "--objective", "ssm", "--slices", "2", "--seed", "3"],
        ),
        (
            DiffusionDensity(hidden=[16], steps=60, threads=2),
            ["--for", "density", "--hidden", "16", "--steps", "60"],
        ),
    ],
)
def test_the_same_seed_gives_the_programs_bits(estimator, options, program, tmp_path):
    x = gaussian_rows(400)
    data, theirs = written(x, tmp_path / "x.csv"), tmp_path / "theirs.safetensors"
    program("fit", data, "-o", theirs, "--threads", "2", *options)
    ours = clone(estimator).fit(x)
    assert ours._model.fingerprint == gradlogp.load(theirs)._model.fingerprint
    # And the program's answers of our file are ours.
    saved, out = tmp_path / "ours.safetensors", tmp_path / "scores.csv"
    ours.save(saved)
    program("score", saved, data, "-o", out)
    table = np.genfromtxt(out, delimiter=",", names=True)
    scores = np.column_stack([table["score_x0"], table["score_x1"]])
    np.testing.assert_array_equal(scores, ours.grad_log_density(x))
