"""Texts of the engine in the words of Python."""

import re

import numpy as np
import pytest

from gradlogp import DiffusionDensity, ScoreDensity, ScoreField, ScoreImputer, errors
from gradlogp._wording import in_python, of_data, of_setting


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("constant columns \"a\", \"b\": no density; use `drop = a,b`", 'constant columns "a", "b": no density; leave out "a", "b"'),
        ("it counts the rows; leave it out with `drop = k`", "it counts the rows; leave it out"),
        ("in every row: leave one part out with `drop = \"a, b\"`; then", 'in every row: leave one part out, such as "a, b"; then'),
        ("keep one of each, `drop = b`", 'keep one of each and leave out "b"'),
        ("leave out what follows from the rest, `drop = a``b`", 'leave out what follows from the rest: "a`b"'),
        ("with `dequantize`, or leave the columns out with `drop`", "with `dequantize`, or leave the columns out"),
        ("leave the columns out with `drop = a,b`, or condition on them with `given = a,b`", 'leave the columns out, or condition on them with `given=["a", "b"]`'),
        ("use `domain = simplex`, or `standardize` robust", 'use `domain="simplex"`, or `standardize="robust"`'),
        ("`weight_decay` 1 helps, and `noise_weight` noise with `times` uniform", '`weight_decay=1` helps, and `noise_weight="noise"` with `times="uniform"`'),
        ("use `anomaly`=norm", 'use `anomaly="norm"`'),
        ("use path or norm, or fit with `model` potential", "use path or norm, or fit a ScoreDensity"),
        ("vectors of the rows: expected shape [20, 2], got [3]", "vectors of the rows: expected shape (20, 2), got (3,)"),
        ("has 9 in row 4, as \"row 4\" has; of 12 rows", 'has 9 in row 3 (counted from 0), as "row 4" has; of 12 rows'),
        ("column 1 is constant or not finite there", "column 0 (counted from 0) is constant or not finite there"),
        ("diverged at step 3: no weights were kept. No model was written", "diverged at step 3: no weights were kept"),
    ],
)
def test_settings_and_places(text, expected):
    assert in_python(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unknown variant `a`, expected one of `b`, `c`", "is 'a', not b, c"),
        ("unknown variant `a`, expected `b` or `c`", "is 'a', not b or c"),
        ("invalid type: string \"many\", expected usize", "must be a whole number that is not negative, not 'many'"),
        ("invalid value: integer `-1`, expected u64", "must be a whole number that is not negative, not -1"),
        ("invalid type: floating point `2.5`, expected usize", "must be a whole number that is not negative, not 2.5"),
        ("invalid type: null, expected f64", "must be a number, not None"),
        ("invalid type: boolean `true`, expected a sequence", "must be a list, not True"),
        ("invalid type: map, expected a boolean", "must be True or False, not a dict"),
        ("invalid type: sequence, expected internally tagged enum Objective", "must be one of its kinds, not a list"),
        ("missing field `sigma`", "needs `sigma`, too"),
    ],
)
def test_complaints_about_json(text, expected):
    assert in_python(text) == expected


def test_of_what_is_told():
    assert of_setting("given_values", "give one") == ("given", "given: give one")
    assert of_setting("fitted_model", "is conditional") == ("", "the model is conditional")
    assert of_setting("fitted_model", "a field has no density") == ("", "a field has no density")
    assert of_data("X", 2, "a", "no") == 'X: row 2 (counted from 0), column "a": no'
    assert of_data("X", None, None, "no") == "X: no"


FOREIGN = re.compile(r"--[a-z]|\b(usize|u64|f64|enum|struct|variant|fitted_model|given_values)\b|`drop|`model`|`for`|`noise`|\(s\)")


def refusals():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    few = {"hidden": [8], "steps": 5, "threads": 1}
    density, field = ScoreDensity(**few).fit(x), ScoreField(**few).fit(x)
    conditional = ScoreDensity(**few, given=[1]).fit(x)
    diffusion = DiffusionDensity(**few, members=1).fit(x)
    constant = x * [1, 0]
    yield lambda: ScoreDensity(**few).fit(constant)
    yield lambda: ScoreDensity(**few, standardize="whiten").fit(x[:, [0, 0]])
    yield lambda: ScoreDensity(**few, bounds={"x0": (0, None)}).fit(x)
    yield lambda: ScoreDensity(**few, domain="simplex").fit(x)
    yield lambda: ScoreDensity(**few, members=0).fit(x)
    yield lambda: ScoreDensity(**few, given=[0, 1]).fit(x)
    yield lambda: ScoreDensity(**few, dequantize_rule="never", dequantize=True).fit(x)
    yield lambda: ScoreDensity(**few, objective="ssm", slices=0).fit(x)
    yield lambda: ScoreDensity("kernel", inducing=0).fit(x)
    yield lambda: density.sample(0)
    yield lambda: density.sample(5, sampler="heun")
    yield lambda: density.sample(5, sampler="fast")
    yield lambda: density.sample(5, chains=2.5)
    yield lambda: density.sample(5, walkers=2)
    yield lambda: field.sample(5, sampler="mala")
    yield lambda: conditional.sample(5)
    yield lambda: conditional.check(x[:2])
    yield lambda: diffusion.sample(5, sampler="mala")
    yield lambda: diffusion.impute(x[:2], n_draws=0)
    yield lambda: diffusion.grad_log_density(x, t=-1.0)
    yield lambda: ScoreImputer(**few).fit(np.full((20, 2), np.nan))
    yield lambda: DiffusionDensity(**few, process="vp", noise_weight="much").fit(x)
    yield lambda: DiffusionDensity(**few, noise_floor=-1.0).fit(x)
    yield lambda: density.grad_log_density(np.array([[1.0, np.nan]]))
    yield lambda: density.score_samples(np.array([[1.0, np.inf]]))


@pytest.mark.filterwarnings("ignore::gradlogp.errors.GradlogpWarning")
def test_refusals_speak_python():
    told = []
    for refusal in refusals():
        with pytest.raises(errors.GradlogpError) as found:
            refusal()
        told.append(str(found.value))
    foreign = [text for text in told if FOREIGN.search(text)]
    assert not foreign, foreign


def tables():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    count = np.arange(400.0)
    yield np.round(x, 1)
    yield np.column_stack([x, count])
    yield np.column_stack([x, x[:, 0]])
    yield np.column_stack([x, x[:, 0] + 2 * x[:, 1]])
    yield np.column_stack([x, rng.integers(0, 2, 400)])
    parts = np.exp(x)
    yield parts / parts.sum(axis=1, keepdims=True)
    yield np.column_stack([np.eye(3)[rng.integers(0, 3, 400)], x])
    far = x.copy()
    far[7, 1] = -99999
    yield far
    yield np.vstack([x, x[:50]])
    yield rng.normal(size=(12, 15))


def test_warnings_speak_python():
    told = []
    for table in tables():
        with pytest.warns(errors.FitWarning) as found:
            ScoreField(hidden=[4], steps=2, threads=1, objective="ssm").fit(table)
        told += [str(each.message) for each in found]
    foreign = [text for text in told if FOREIGN.search(text)]
    assert not foreign, foreign
    assert any("row 7 (counted from 0)" in text for text in told), told
