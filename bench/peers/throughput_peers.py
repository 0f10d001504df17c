"""Peers of scoring, MALA and reading tables: each function does the work once and is timed outside.

Networks are softplus perceptrons with the reference's parameters; a peer is checked against plain f64
before it is timed.
"""

import numpy as np

import reference
from presets import Work

BASE_SCALE = 3.0  # of the Gaussian that makes exp f a density, as in `gradlogp bench mala`


def work_of(job):
    return Work(job["model"], "exact", job["dim"], tuple(job["hidden"]), threads=job["threads"])


def layers_of(work):
    parameters = [p.astype(np.float64) for p in reference.initial_parameters(work)]
    return list(zip(parameters[::2], parameters[1::2]))


def require_close(found, expected, what, tolerance=1e-4):
    error = np.max(np.abs(found - expected) / (1 + np.abs(expected)))
    if not error <= tolerance:
        raise AssertionError(f"{what} off by {error:.2g}")


class TorchScore:
    """Score (and trace) of many rows, in batches of the fastest of some sizes."""

    SIZES = (1024, 4096, 16384, 65536)

    def __init__(self, job):
        import torch

        self.torch, self.job, self.work = torch, job, work_of(job)
        torch.set_num_threads(job["threads"])
        self.kind = torch.float64 if job["double"] else torch.float32
        parameters = reference.initial_parameters(self.work)
        self.parameters = [torch.tensor(p, dtype=self.kind) for p in parameters]
        self.check()
        torch.manual_seed(1)
        self.x = torch.randn(job["rows"], job["dim"], dtype=self.kind)
        self.size = min(self.SIZES, key=self.seconds_a_row)

    def seconds_a_row(self, size):
        """Of the second of two batches of this size."""
        import time

        for _ in range(2):
            x, start = self.x[:size], time.perf_counter()
            self.batch(x)
        return (time.perf_counter() - start) / len(x)

    def network(self, x):
        from peer_torch import network

        return network(self.parameters, x)

    def batch(self, x):
        torch, potential = self.torch, self.work.model == "potential"
        if not self.job["trace"]:
            if not potential:
                with torch.inference_mode():
                    return self.network(x), None
            x = x.detach().requires_grad_()
            return torch.autograd.grad(self.network(x).sum(), x)[0], None
        from torch.func import grad, jvp, vmap

        score = grad(lambda x: self.network(x).sum()) if potential else self.network

        def along(e):
            s, slope = jvp(score, (x,), (e.expand_as(x),))
            return s, (slope * e).sum(-1)

        with torch.no_grad():
            s, diagonal = vmap(along)(torch.eye(self.work.dim, dtype=self.kind))
        return s[0], diagonal.sum(0)

    def check(self):
        x = np.random.default_rng(2).normal(size=(6, self.work.dim))
        at = reference.score_field if self.work.model == "score" else reference.potential
        score, trace = self.batch(self.torch.tensor(x, dtype=self.kind))
        for i, row in enumerate(x):
            s, g = at(layers_of(self.work), row)
            require_close(score[i].numpy(), s, "score")
            if trace is not None:
                require_close(trace[i].numpy(), np.trace(g), "trace")

    def run(self):
        scores = self.torch.empty_like(self.x)
        traces = self.torch.empty(len(self.x), dtype=self.kind)
        for at in range(0, len(self.x), self.size):
            s, trace = self.batch(self.x[at : at + self.size])
            scores[at : at + self.size] = s
            if trace is not None:
                traces[at : at + self.size] = trace
        return {"batch": self.size}


class TorchMala:
    """Chains side by side as rows of one batch, single precision."""

    def __init__(self, job):
        import torch

        self.torch, self.job, self.work = torch, job, work_of(job)
        torch.set_num_threads(job["threads"])
        self.parameters = [torch.tensor(p) for p in reference.initial_parameters(self.work)]
        self.check()

    def density(self, x):
        from peer_torch import network

        x = x.detach().requires_grad_()
        f = network(self.parameters, x)[:, 0] - (x * x).sum(1) / (2 * BASE_SCALE**2)
        return f.detach(), self.torch.autograd.grad(f.sum(), x)[0]

    def step(self, state, noise, uniform):
        a, (x, f, s) = self.job["step_size"], state
        y = x + 0.5 * a * s + a**0.5 * noise
        g, t = self.density(y)
        # log q(y | x) is -|noise|^2 / 2.
        back = ((x - y - 0.5 * a * t) ** 2).sum(1) / (2 * a)
        accepted = uniform.log() < g - f + 0.5 * (noise * noise).sum(1) - back
        move = accepted[:, None]
        where = self.torch.where
        return (where(move, y, x), where(accepted, g, f), where(move, t, s)), accepted

    def check(self):
        """Four steps of ten chains against the same written out in f64."""
        torch, d, rng = self.torch, self.work.dim, np.random.default_rng(4)
        x = rng.normal(size=(10, d))
        state = (torch.tensor(x, dtype=torch.float32), *self.density(torch.tensor(x, dtype=torch.float32)))
        moved = []
        for _ in range(4):
            noise, uniform = rng.normal(size=(10, d)), rng.uniform(size=10)
            as32 = lambda z: torch.tensor(z, dtype=torch.float32)
            state, accepted = self.step(state, as32(noise), as32(uniform))
            x, plain = plain_mala(self.work, self.job["step_size"], x, noise, uniform)
            moved += [*plain]
            if accepted.tolist() != plain.tolist():
                raise AssertionError("accepts other proposals than plain MALA")
        if not 0 < sum(moved) < len(moved):
            raise AssertionError("every proposal or none was accepted, which tests little")
        require_close(state[0].numpy(), x, "positions")

    def run(self):
        torch, job = self.torch, self.job
        torch.manual_seed(1)
        x = torch.randn(job["chains"], job["dim"])
        state, moved = (x, *self.density(x)), 0
        for _ in range(job["steps"]):
            noise = torch.randn(x.shape)
            state, accepted = self.step(state, noise, torch.rand(len(x)))
            moved += accepted.sum()
        return {"acceptance": float(moved) / (job["chains"] * job["steps"])}


def plain_mala(work, a, x, noise, uniform):
    """One step of every chain, with both proposal densities written out."""
    layers = layers_of(work)

    def density(row):
        f = reference.score_field(layers, row)[0][0] - row @ row / (2 * BASE_SCALE**2)
        return f, reference.potential(layers, row)[0] - row / BASE_SCALE**2

    out, accepted = [], []
    for row, z, u in zip(x, noise, uniform):
        f, s = density(row)
        y = row + 0.5 * a * s + np.sqrt(a) * z
        g, t = density(y)
        q = lambda to, start, drift: -np.sum((to - start - 0.5 * a * drift) ** 2) / (2 * a)
        accepted.append(np.log(u) < g - f + q(row, y, t) - q(y, row, s))
        out.append(y if accepted[-1] else row)
    return np.array(out), np.array(accepted)


class Pandas:
    """pandas.read_csv with its C engine."""

    def __init__(self, job):
        import pandas

        self.job, self.module = job, pandas
        self.run()  # the first read starts what later ones find running

    def read(self):
        return self.module.read_csv(self.job["path"], engine="c")

    def run(self):
        return {"shape": list(self.read().shape)}


class Polars(Pandas):
    """polars.read_csv, on as many threads as it is given cores."""

    def __init__(self, job):
        import polars

        self.job, self.module = job, polars
        self.run()

    def read(self):
        return self.module.read_csv(self.job["path"])


PEERS = {
    "torch-score": TorchScore,
    "torch-mala": TorchMala,
    "pandas": Pandas,
    "polars": Polars,
}
