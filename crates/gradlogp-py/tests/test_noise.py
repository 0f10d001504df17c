"""Noise processes, purposes, and functions that become formulas."""

import numpy as np
import pytest
from conftest import gaussian_rows

import gradlogp
from gradlogp import DiffusionDensity, NoiseProcess, errors

FEW = {"hidden": [8], "steps": 20, "threads": 1, "validation": 0.2}


def pull(x, t):
    """One that uses indices, matrices and NumPy's functions."""
    return -x + 0.1 * np.tanh(x @ np.array([[1.0, 0.5], [0.0, -2.0]])) * np.exp(-t)


def drift_of(function, columns=("a", "b")):
    return NoiseProcess("custom", drift=function, diffusion=1.0).settings(columns)["drift"]


@pytest.mark.parametrize(
    ("function", "formulas"),
    [
        (lambda x, t: -x, ["(-1.0) * {a}", "(-1.0) * {b}"]),
        (lambda x, t: 2 - x - (t - x), ["2.0 - {a} - (t - {a})", "2.0 - {b} - (t - {b})"]),
        (lambda x, t: x / (1 + t) ** 2, ["{a} / (1.0 + t)^2.0", "{b} / (1.0 + t)^2.0"]),
        (lambda x, t: (x**2) ** t, ["({a}^2.0)^t", "({b}^2.0)^t"]),
        (lambda x, t: 2 ** -x, ["2.0^((-1.0) * {a})", "2.0^((-1.0) * {b})"]),
        (lambda x, t: x[:, ::-1] * np.abs(x), ["{b} * abs({a})", "{a} * abs({b})"]),
        (lambda x, t: np.stack([x[:, 0] * x[:, 1], 3 * x[:, 1]], axis=1), ["{a} * {b}", "3.0 * {b}"]),
        (lambda x, t: x.sum(axis=1, keepdims=True), ["{a} + {b}", "{a} + {b}"]),
        (lambda x, t: 0.0, ["0.0", "0.0"]),
    ],
)
def test_functions_become_formulas(function, formulas):
    assert drift_of(function) == formulas


def evaluated(formula, names, x, t):
    """A formula by Python's own arithmetic, which has the same precedence."""
    for k, name in enumerate(names):
        formula = formula.replace(f"{{{name}}}", f"x[:, {k}]")
    functions = {name: getattr(np, name) for name in ("exp", "log", "sqrt", "sin", "cos", "tanh", "abs")}
    return eval(formula.replace("^", "**"), {**functions, "x": x, "t": t})


@pytest.mark.parametrize(
    "function",
    [
        pull,
        lambda x, t: x - x**3 * (1 - t) / 2 - (x - (t - x)) ** 2,
        lambda x, t: np.sqrt(1 + x**2) - np.log(2 + np.cos(x)) / (3 - (x - 1) / 7),
    ],
)
def test_formulas_have_the_functions_values(function):
    x, t = gaussian_rows(20), 0.3
    found = np.stack([evaluated(each, "ab", x, t) for each in drift_of(function)], axis=1)
    np.testing.assert_allclose(found, function(x, t), rtol=1e-12)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda x, t: np.where(x > 0, x, -x), "a condition"),
        (lambda x, t: np.maximum(x, 0), "a condition"),
        (lambda x, t: x * np.inf, "the number inf"),
        (lambda x, t: x[:, 5], "something else"),
        (lambda x, t: None, "None, which is no number"),
        (lambda x: x, "something else"),
    ],
)
def test_functions_that_are_no_formulas_are_refused(function, text):
    with pytest.raises(errors.SettingError, match=text):
        drift_of(function)


def test_a_function_gives_the_bits_of_its_formula(tmp_path):
    rows = gaussian_rows(300)
    text = "-1 * x + 0.1 * tanh({x0} * %s + {x1} * %s) * exp(-1 * t)"
    formulas = [text % (1.0, 0.0), text % (0.5, "(-2.0)")]
    formulas = [each.replace("-1 * x ", f"-1 * {{x{k}}} ") for k, each in enumerate(formulas)]
    process = {"diffusion": lambda t: np.sqrt(1 + t), "horizon": 2.0}
    traced = DiffusionDensity(**FEW, process=NoiseProcess("custom", drift=pull, **process)).fit(rows)
    written = NoiseProcess("custom", drift=formulas, diffusion="sqrt(1 + t)", horizon=2.0)
    spelt = DiffusionDensity(**FEW, process=written).fit(rows)
    assert traced.horizon_ == 2.0
    assert traced._model.fingerprint == spelt._model.fingerprint
    # The file holds the formula: whoever reads it needs no Python.
    traced.save(tmp_path / "model.safetensors")
    back = gradlogp.load(tmp_path / "model.safetensors")
    assert np.array_equal(back.sample(5, random_state=0), traced.sample(5, random_state=0))


PROCESSES = [
    "ve",
    "vp",
    "sub-vp",
    "ou",
    "ncsn",
    NoiseProcess("ve", sigma_min=0.05, sigma_max=5.0),
    NoiseProcess("vp", schedule="cosine"),
    NoiseProcess("sub-vp", beta_max=15.0),
    NoiseProcess("ou", rate=2.0, horizon=1.5),
    NoiseProcess("ncsn", levels=4),
]


@pytest.mark.parametrize("process", PROCESSES, ids=str)
@pytest.mark.filterwarnings("ignore::gradlogp.errors.GradlogpWarning")
def test_every_process_is_fitted_and_drawn_from(process):
    model = DiffusionDensity(**FEW, process=process).fit(gaussian_rows(300))
    assert np.isfinite(model.sample(4, random_state=0)).all()
    if getattr(process, "horizon", None):
        assert model.horizon_ == process.horizon


@pytest.mark.filterwarnings("ignore::gradlogp.errors.GradlogpWarning")
@pytest.mark.parametrize("purpose", ["density", "sampling", "imputation", "anomaly"])
def test_purposes(purpose):
    model = DiffusionDensity(**FEW, for_=purpose, members=1).fit(gaussian_rows(300))
    assert model._model.has_log_density == (purpose == "anomaly")


@pytest.mark.filterwarnings("ignore::gradlogp.errors.GradlogpWarning")
@pytest.mark.parametrize("objective", ["ssm", "ssm-vr", "exact"])
def test_other_settings_of_diffusion_models(objective):
    settings = {"objective": objective, "kind": "log-density", "time_features": "log-noise", "noise_weight": "likelihood"}
    model = DiffusionDensity(**FEW, **settings, members=2).fit(gaussian_rows(300))
    assert model._model.has_log_density and model.report_["objective"]["name"] == objective


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"process": "vpx"}, "process: "),
        ({"process": 3}, "process: is 3, not a name"),
        ({"process": NoiseProcess("ve", rate=1.0)}, "rate: is no setting of this process"),
        ({"process": NoiseProcess("vp", beta_min="a")}, "process: "),
        ({"process": NoiseProcess("vp", schedule="cosine", beta_min=1.0)}, "beta_min: "),
        ({"process": NoiseProcess("custom", drift="-x")}, "drift and a diffusion"),
        ({"process": NoiseProcess("custom", drift="-q", diffusion=1.0)}, "drift: "),
        ({"process": "vp", "for_": "density"}, "for_"),
        ({"for_": "score"}, "ScoreDensity"),
        ({"process": NoiseProcess("custom", drift="-x", diffusion=1.0), "objective": "dsm"}, "objective|simulate|kernel"),
    ],
)
def test_what_cannot_be_used_is_refused(settings, text):
    with pytest.raises(errors.SettingError, match=text):
        DiffusionDensity(**FEW, **settings).fit(gaussian_rows(100))


@pytest.mark.parametrize(
    ("process", "options"),
    [
        (
            NoiseProcess("custom", drift=lambda x, t: -2 * x, diffusion=lambda t: 1 + t),
            ["custom", "--drift", "(-2.0) * {x0}", "--drift", "(-2.0) * {x1}", "--diffusion", "1.0 + t"],
        ),
        (NoiseProcess("ve", sigma_max=4.0), ["ve", "--sigma-max", "4"]),
        ("ncsn", ["ncsn"]),
        (NoiseProcess("ou", horizon=0.5), ["ou", "--horizon", "0.5"]),
    ],
)
def test_the_same_process_gives_the_programs_bits(process, options, program, tmp_path):
    rows, data, theirs = gaussian_rows(300), tmp_path / "x.csv", tmp_path / "theirs.safetensors"
    np.savetxt(data, rows, delimiter=",", fmt="%.17g", header="x0,x1", comments="")
    program("fit", data, "-o", theirs, "--threads", "1", "--hidden", "8", "--steps", "20", "--noise", *options)
    ours = DiffusionDensity(hidden=[8], steps=20, threads=1, process=process).fit(rows)
    assert ours._model.fingerprint == gradlogp.load(theirs)._model.fingerprint
