"""The training run of `gradlogp bench fit` as a plain PyTorch script: same rows, network, recipe.

    quality_torch.py JOB.json -> one JSON object; JOB holds rows, the step's Work and the recipe.

AdamW on the double-backward loss as published, warm-up, cosine schedule, clipping, the moving average of the weights
that is evaluated. The clock stands still during evaluations.
"""

import json
import math
import sys
import time

import numpy as np
import torch

from peer_torch import Peer, exact_by_vmap
from presets import Work
from reference import CLIP, RATE, initial_parameters

FLOOR = 0.01  # of the rate, at the end of the cosine


class Run(Peer):
    """A peer on given rows, with schedule and weight average."""

    def __init__(self, job, work):
        torch.manual_seed(job["seed"])
        super().__init__("torch-double-backward", work)
        self.job, self.step = job, 0
        self.data = torch.tensor(np.load(job["training"]), dtype=torch.float32)
        self.set_parameters(initial_parameters(work, job["seed"]))
        self.average = [w.detach().clone() for w in self.weights]
        self.batches = []

    def _rows(self):
        """Every row once an epoch, in batches of nearly equal size."""
        if not self.batches:
            count = math.ceil(len(self.data) / self.work.batch)
            self.batches = list(torch.tensor_split(torch.randperm(len(self.data)), count))
        return self.data[self.batches.pop()]

    def rate(self):
        warm_up, steps = self.job["warm_up"], self.job["steps"]
        if self.step < warm_up:
            return RATE * (self.step + 1) / warm_up
        share = (self.step - warm_up) / max(steps - warm_up, 1)
        return RATE * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * share)))

    def take(self, steps):
        for _ in range(steps):
            self.optimiser.param_groups[0]["lr"] = self.rate()
            x = self._rows()
            v = None if self.work.objective == "exact" else torch.randn(self.work.slices, *x.shape).sign_()
            self._update(x, v)
            self.step += 1
            keep = min(self.job["ema"], (1 + self.step) / (10 + self.step))
            with torch.no_grad():
                torch._foreach_lerp_(self.average, self.weights, 1 - keep)


def evaluate(work, weights, rows):
    """Mean exact loss, in blocks."""
    loss, total = exact_by_vmap(work), 0.0
    with torch.no_grad():
        for block in rows.split(256):
            total += float(loss(weights, block, None)) * len(block)
    return total / len(rows)


def main():
    with open(sys.argv[1]) as file:
        job = json.load(file)
    work = Work(**job["work"] | {"hidden": tuple(job["work"]["hidden"])})
    held_out = torch.tensor(np.load(job["held_out"]), dtype=torch.float32)
    warm = Run(job, work)
    warm.take(3)  # starts thread pools; the run proper begins anew
    run, seconds, history = Run(job, work), 0.0, []
    while run.step < job["steps"]:
        start = time.perf_counter()
        run.take(min(job["evaluate_every"], job["steps"] - run.step))
        seconds += time.perf_counter() - start
        loss = evaluate(work, run.average, held_out)
        history.append({"step": run.step, "seconds": seconds, "held_out": {"mean": loss}})
    print(json.dumps({"history": history, "clip": CLIP, "rate": RATE}))


if __name__ == "__main__":
    main()
