#!/usr/bin/env python3
"""One measurement in a process of its own; prints one line of JSON. `run.py` calls it.

usage: measure.py way NAME | call | copies | fits
"""

import json
import os
import resource
import sys
import time
import timeit
import warnings

import numpy as np

THREADS = 2
ROWS, COLUMNS = 20_000, 10


def resident():
    """Bytes of memory in use."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def forget_peak():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def peak():
    """The most that was in use since `forget_peak`."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Mixture:
    """Three Gaussians with correlated columns, whose log density and score are known."""

    def __init__(self, d):
        rng = np.random.default_rng(1)
        self.weights = np.array([0.5, 0.3, 0.2])
        self.means = 1.5 * rng.normal(size=(3, d))
        roots = rng.normal(size=(3, d, d)) / np.sqrt(d)
        self.covariances = np.array([root @ root.T + 0.2 * np.eye(d) for root in roots])
        self.precisions = np.linalg.inv(self.covariances)

    def sample(self, n, seed):
        rng = np.random.default_rng(seed)
        part = rng.choice(3, n, p=self.weights)
        each = np.array([rng.multivariate_normal(m, c, n) for m, c in zip(self.means, self.covariances)])
        return each[part, np.arange(n)]

    def log_density_and_score(self, x):
        miss = x[None] - self.means[:, None]
        pull = -np.einsum("knd,kde->kne", miss, self.precisions)
        parts = 0.5 * (miss * pull).sum(-1) + np.log(self.weights)[:, None]
        parts -= 0.5 * np.linalg.slogdet(2 * np.pi * self.covariances)[1][:, None]
        top = parts.max(0)
        log_density = top + np.log(np.exp(parts - top).sum(0))
        return log_density, np.einsum("kn,knd->nd", np.exp(parts - log_density), pull)


def way(name):
    """Fit, log densities of as many other rows, and as many draws."""
    from ways import WAYS

    if "torch" in name or "zuko" in name:
        import torch

        torch.set_num_threads(THREADS)
    truth = Mixture(COLUMNS)
    train, test = truth.sample(ROWS, 2), truth.sample(ROWS, 3)
    forget_peak()
    before, spent, seconds = resident(), cpu(), {}
    out = {"cpu_seconds": {}}

    def timed(what, f):
        start, start_cpu = time.perf_counter(), cpu()
        found = f()
        seconds[what], out["cpu_seconds"][what] = time.perf_counter() - start, cpu() - start_cpu
        return found

    log_density, score, sample, words = timed("fit", lambda: WAYS[name](train, 0))
    found = timed("log_density", lambda: log_density(test))
    drawn = timed("sample", lambda: sample(ROWS))
    out |= {"way": name, "settings": words, "seconds": seconds, "cpu_total": cpu() - spent}
    out |= {"bytes_before": before, "bytes_peak": peak(), "finite_draws": float(np.isfinite(drawn).all(1).mean())}
    true, true_score = truth.log_density_and_score(test)
    # Beside the truth: what log p is short of it, and what of it is not a constant.
    out |= {"short_of_truth": float((true - found).mean()), "sd_of_difference": float((true - found).std())}
    if score is not None:
        error = score(test) - true_score
        out["relative_fisher_divergence"] = float((error**2).sum() / (true_score**2).sum())
    drawn = drawn[np.isfinite(drawn).all(1)]
    # Draws: the mean log density of the truth at them, beside that at true rows.
    out["true_log_density_of_draws"] = float(truth.log_density_and_score(drawn)[0].mean() - true.mean())
    return out


def call():
    """Microseconds of one row, in Python and at the lowest entry of the compiled part."""
    import pandas as pd
    from gradlogp import ScoreDensity

    def best(calls):
        """The least mean of short runs, which take turns, so that all meet the same machine."""
        found = dict.fromkeys(calls, np.inf)
        for _ in range(300):
            for name, (f, number) in calls.items():
                found[name] = min(found[name], 1e6 * timeit.timeit(f, number=number) / number)
        return found

    train = Mixture(COLUMNS).sample(2000, 2)
    out = {}
    for label, hidden in (("3x128 (the default)", None), ("1x8", [8])):
        model = ScoreDensity(hidden=hidden, steps=20, threads=1).fit(train)
        named = ScoreDensity(hidden=hidden, steps=20, threads=1).fit(pd.DataFrame(train).add_prefix("c"))
        row = train[:1].copy()
        frame = pd.DataFrame(row).add_prefix("c")
        lowest = model._model.score
        narrow, words = row.astype(np.float32), row.tolist()
        out[label] = best(
            {
                "lowest entry": (lambda: lowest(row, None, None, 1), 50),
                "grad_log_density, NumPy": (lambda: model.grad_log_density(row), 50),
                "grad_log_density, NumPy, float32": (lambda: model.grad_log_density(narrow), 50),
                "grad_log_density, list": (lambda: model.grad_log_density(words), 5),
                "grad_log_density, pandas": (lambda: named.grad_log_density(frame), 5),
            }
        )
    return out


def copies():
    """Memory beside a gigabyte of rows while they are answered."""
    from gradlogp import ScoreDensity

    out = {}
    for dtype, rows in ((np.float64, 8_000_000), (np.float32, 16_000_000)):
        rng = np.random.default_rng(0)
        model = ScoreDensity(hidden=[4], steps=20, threads=THREADS).fit(rng.normal(size=(2000, 16)))
        x = np.empty((rows, 16), dtype)
        for start in range(0, rows, 100_000):
            x[start : start + 100_000] = rng.standard_normal((min(100_000, rows - start), 16), dtype=dtype)
        model.laplacian(x[:100_000])
        forget_peak()
        before = resident()
        answer = model.laplacian(x)
        out[np.dtype(dtype).name] = {
            "bytes_of_array": x.nbytes,
            "bytes_of_answer": answer.nbytes,
            "bytes_before": before,
            "bytes_after": resident(),
            "bytes_peak_beside": peak() - before - answer.nbytes,
        }
        del x, answer
    return out


def fits():
    """Memory in use over a thousand fits that are dropped."""
    from gradlogp import ScoreDensity

    x = np.random.default_rng(0).normal(size=(300, 3))
    curve = []
    for k in range(1001):
        if k % 50 == 0:
            curve.append([k, resident()])
        ScoreDensity(hidden=[16], steps=20, threads=THREADS, random_state=k).fit(x).grad_log_density(x)
    return {"curve": curve}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    what, *names = sys.argv[1:]
    print(json.dumps({"way": way, "call": call, "copies": copies, "fits": fits}[what](*names)))
