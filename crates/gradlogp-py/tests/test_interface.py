"""Errors, warnings, callbacks, signals, threads, processes, memory."""

import gc
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from conftest import SMALL, gaussian_rows
from sklearn.exceptions import NotFittedError

import gradlogp
from gradlogp import ScoreDensity, ScoreField, errors

QUICK = {**SMALL, "hidden": [8], "steps": 30}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"steps": -1}, "steps: must be a whole number that is not negative, not -1"),
        ({"steps": "many"}, "steps: must be a whole number that is not negative, not 'many'"),
        ({"steps": 2.5}, "steps: must be a whole number that is not negative, not 2.5"),
        ({"learning_rate": np.nan}, "learning_rate: must be a finite number, not nan"),
        ({"learning_rate": 0}, "learning_rate: must be a positive number"),
        ({"activation": "step"}, "activation: is 'step', not softplus, "),
        ({"hidden": "abc"}, "hidden: must be a list, not 'abc'"),
        ({"validation": 2.0}, "validation: must lie between 0 and 1"),
        ({"objective": "dsm"}, "objective: needs `sigma`, too"),
        ({"family": "flow"}, "family: is 'flow'"),
        ({"family": "kernel", "hidden": [8]}, "hidden: is no setting of this family"),
        ({"given": [7]}, "given: there is no column 7"),
        ({"bounds": {"x9": (0, None)}}, 'bounds: .*"x9"'),
        ({"domain": "cube"}, "domain: is 'cube'"),
        ({"bounds": {7: (0, None)}}, "bounds: there is no column 7"),
        ({"bounds": {0: (5, -5)}}, "bounds: of column 0, 5 is not below -5"),
        ({"bounds": {"x0": (np.nan, None)}}, "bounds: of column 'x0', nan is not below"),
        ({"bounds": [(0, None)]}, "bounds: must be a dict"),
        ({"hidden": [10**9]}, "hidden: its nodes"),
        ({"threads": 10**9}, "threads: must be a whole number, from 0 to 1024"),
        ({"bounds": {"x0": (0, None)}, "given": [1]}, "given: models with bounds"),
    ],
)
def test_settings_are_refused_by_name(settings, text, rows):
    with pytest.raises(errors.SettingError, match=text) as found:
        ScoreDensity(**settings).fit(rows)
    assert isinstance(found.value, ValueError)
    assert found.value.setting == text.split(":")[0]


def test_rows_are_refused_by_place(density):
    x = gaussian_rows(50)
    x[3, 1] = np.inf
    for call in [ScoreField(**QUICK).fit, density.grad_log_density, density.score_samples]:
        with pytest.raises(errors.DataError, match=r'X: row 3 \(counted from 0\), column "x1": inf is not a finite number') as found:
            call(x)
        assert (found.value.row, found.value.column) == (3, "x1")
    with pytest.raises(ValueError, match="2 features"):
        density.grad_log_density(np.zeros((2, 3)))
    with pytest.raises(errors.DataError, match="vectors of the rows"):
        density.hvp(np.zeros((2, 2)), np.zeros((3, 2)))


@pytest.mark.parametrize(
    ("draw", "text"),
    [
        (lambda model: model.sample(-1), "n_samples: must be a whole number, 1 or more, not -1"),
        (lambda model: model.sample(2.5), "n_samples: must be a whole number, 1 or more, not 2.5"),
        (lambda model: model.sample(3, steps=10), "steps: is no setting of draws from a ScoreDensity"),
        (lambda model: model.sample(3, given={"x0": 1.0}), "given: the model is of all columns"),
    ],
)
def test_draws_are_refused_by_name(draw, text, density):
    with pytest.raises(errors.SettingError, match=text):
        draw(density)


def test_what_is_no_number_is_refused_by_place(density, diffusion):
    for call in [
        lambda: diffusion.impute([[np.nan, 1.0], [np.inf, np.nan]]),
        lambda: gradlogp.check_score(lambda x: -x, [[np.nan, 1.0], [np.inf, np.nan], [1.0, 2.0]]),
    ]:
        with pytest.raises(errors.DataError, match="is not a finite number") as found:
            call()
        assert found.value.column == "x0"
    with pytest.raises(errors.DataError, match="V: must be vectors"):
        density.hvp(np.zeros((2, 2)), [1.0, 2.0])


def test_an_estimator_without_a_fit_has_no_verdict():
    with pytest.raises(NotFittedError):
        ScoreDensity().verdict_  # noqa: B018


def test_what_to_know_of_a_table_is_a_warning():
    x = np.round(gaussian_rows(500), 1)
    with pytest.warns(errors.FitWarning, match="x0"):
        ScoreDensity(**QUICK, base="gaussian").fit(x)


def test_callbacks_see_every_step_and_end_a_fit():
    seen = []

    def look(step, losses):
        seen.append((step, losses))
        return step == 12

    model = ScoreField(**QUICK).fit(gaussian_rows(), callback=look)
    assert [step for step, _ in seen] == list(range(1, 13))
    assert set(seen[0][1]) == {"train", "validation"} and np.isfinite(seen[-1][1]["train"])
    assert model.n_iter_ == 12 and model.report_["stopped"] == "interrupted"


def test_an_exception_in_a_callback_surfaces():
    def fail(step, losses):
        raise ZeroDivisionError("mine")

    model = ScoreField(**QUICK)
    with pytest.raises(ZeroDivisionError, match="mine"):
        model.fit(gaussian_rows(), callback=fail)
    assert not hasattr(model, "_model")


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as on POSIX")
def test_ctrl_c_ends_a_fit_with_the_best_weights():
    timer = threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    start = time.monotonic()
    with pytest.warns(errors.InterruptedWarning, match="best weights"):
        model = ScoreField(**{**SMALL, "steps": 10_000_000, "patience": 0}).fit(gaussian_rows())
    assert time.monotonic() - start < 20
    assert 0 < model.n_iter_ < 10_000_000
    assert np.isfinite(model.grad_log_density(gaussian_rows(10))).all()


def test_two_threads_fit_at_once_and_the_interpreter_is_free():
    x, found = gaussian_rows(), {}

    def fit(seed):
        found[seed] = ScoreField(**{**QUICK, "threads": 1}, random_state=seed).fit(x)._model.fingerprint

    threads = [threading.Thread(target=fit, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = ScoreField(**{**QUICK, "threads": 1}, random_state=2).fit(x)._model.fingerprint
    assert found[2] == alone != found[1]


def test_the_interpreter_runs_while_the_engine_does(field):
    x, ticks, done = np.tile(gaussian_rows(), (200, 1)), [], threading.Event()

    def tick():
        while not done.wait(0.001):
            ticks.append(time.monotonic())

    ticker = threading.Thread(target=tick)
    ticker.start()
    start = time.monotonic()
    field.hessian_diagonal(x)
    seconds = time.monotonic() - start
    done.set()
    ticker.join()
    # Held throughout, the lock would let none by.
    during = [tick for tick in ticks if start < tick < start + seconds]
    assert len(during) > seconds / 0.1


def in_child(model, x, queue):
    fresh = ScoreField(**QUICK).fit(x)
    queue.put((model.grad_log_density(x), fresh._model.fingerprint))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes(method, field):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    # Enough rows for several threads, which a forked process does not inherit.
    x = gaussian_rows(5000)
    expected = field.grad_log_density(x)
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=in_child, args=(field, x, queue))
    child.start()
    scores, fingerprint = queue.get(timeout=120)
    child.join(timeout=60)
    assert child.exitcode == 0
    np.testing.assert_array_equal(scores, expected)
    assert fingerprint == ScoreField(**QUICK).fit(x)._model.fingerprint


def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is read as on Linux")
def test_fits_and_drops_do_not_grow_memory():
    x = gaussian_rows(200)
    tiny = {**QUICK, "steps": 2, "threads": 1, "objective": "ssm"}

    def rounds(count):
        for _ in range(count):
            ScoreField(**tiny).fit(x).grad_log_density(x)
        gc.collect()
        return resident()

    count = int(os.environ.get("GRADLOGP_FITS", 80))
    before = rounds(count // 2)
    assert rounds(count) - before < 4e6


LARGE = """
    import os, sys, numpy as np
    from gradlogp import ScoreDensity
    def peak():
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    model = ScoreDensity.load(sys.argv[1])
    model.score_samples(np.zeros((200_000, 2)))
    x = np.ones((int(sys.argv[2]) // 16, 2), order=sys.argv[3])
    before = peak()
    model._model.log_density(x)
    print(x.nbytes, peak() - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="memory is read as on Linux")
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_large_array_is_not_copied(density, tmp_path, order):
    path = tmp_path / "model.safetensors"
    density.save(path)
    size = int(os.environ.get("GRADLOGP_LARGE", 32_000_000))
    code = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(LARGE), str(path), str(size), order]
    printed = subprocess.run(code, check=True, capture_output=True, text=True).stdout
    array, growth = map(int, printed.split())
    # A log density for each row of two is half as large as the array.
    assert growth < 0.5 * array + 8e6


def test_the_overhead_of_one_row(density):
    x = np.zeros((1, 2))
    model = density._model

    def seconds(call, times=2000):
        best = np.inf
        for _ in range(5):
            start = time.perf_counter()
            for _ in range(times):
                call()
            best = min(best, (time.perf_counter() - start) / times)
        return best

    whole, inner = seconds(lambda: density.grad_log_density(x)), seconds(lambda: model.score(x))
    assert whole - inner < 20e-6


@pytest.mark.parametrize("module, extra", [("jax", "jax"), ("torch", "torch")])
def test_a_missing_extra_is_named(module, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"gradlogp.{module}", raising=False)
    with pytest.raises(ModuleNotFoundError, match=rf"{module} is not installed: pip install 'gradlogp\[{extra}\]'"):
        importlib.import_module(f"gradlogp.{module}")
