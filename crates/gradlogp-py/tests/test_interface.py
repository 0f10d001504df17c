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

from gradlogp import ScoreDensity, ScoreField, errors

QUICK = {**SMALL, "hidden": [8], "steps": 30}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"steps": -1}, "steps: "),
        ({"steps": "many"}, "steps: "),
        ({"learning_rate": 0}, "learning_rate: must be a positive number"),
        ({"activation": "step"}, "activation: unknown variant `step`, expected one of `softplus`"),
        ({"hidden": "abc"}, "hidden: "),
        ({"validation": 2.0}, "validation: must lie between 0 and 1"),
        ({"objective": "dsm"}, "objective: missing field `sigma`"),
        ({"family": "flow"}, "family: is 'flow'"),
        ({"family": "kernel", "hidden": [8]}, "hidden: is no setting of this family"),
        ({"given": [7]}, "given: there is no column 7"),
        ({"bounds": {"x9": (0, None)}}, 'bounds: .*"x9"'),
        ({"domain": "cube"}, "domain: is 'cube'"),
        ({"bounds": {"x0": (0, None)}, "given": [1]}, "given: models with bounds"),
    ],
)
def test_settings_are_refused_by_name(settings, text, rows):
    with pytest.raises(errors.SettingError, match=text) as found:
        ScoreDensity(**settings).fit(rows)
    assert isinstance(found.value, ValueError)


def test_rows_are_refused_by_place(density):
    x = gaussian_rows(50)
    x[3, 1] = np.inf
    for call in [ScoreField(**QUICK).fit, density.grad_log_density, density.score_samples]:
        with pytest.raises(errors.DataError, match='row 4, column "x1": inf is not a finite number') as found:
            call(x)
        assert (found.value.row, found.value.column) == (3, "x1")
    with pytest.raises(ValueError, match="2 features"):
        density.grad_log_density(np.zeros((2, 3)))
    with pytest.raises(errors.DataError, match="vectors of the rows"):
        density.hvp(np.zeros((2, 2)), np.zeros((3, 2)))


def test_what_to_know_of_a_table_is_a_warning():
    x = np.round(gaussian_rows(500), 1)
    with pytest.warns(errors.FitWarning, match="x0"):
        ScoreDensity(**QUICK).fit(x)


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
