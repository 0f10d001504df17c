"""Training steps in PyTorch, each the fastest honest form we know of what its name says."""

import numpy as np
import torch
from torch.func import grad, jvp, vmap
from torch.nn.functional import linear, softplus

from reference import BETA1, BETA2, CLIP, EPSILON, RATE, initial_parameters


def network(parameters, x):
    for w, b in zip(parameters[:-2:2], parameters[1:-2:2]):
        x = softplus(linear(x, w, b))
    return linear(x, parameters[-2], parameters[-1])


def double_backward(work):
    """As published: rows repeated per slice, scores kept differentiable, a second backward."""

    def loss(parameters, x, v):
        x = x.repeat(work.slices, 1).requires_grad_()
        v = v.reshape(x.shape)
        s = network(parameters, x)
        if work.model == "potential":
            s = torch.autograd.grad(s.sum(), x, create_graph=True)[0]
        along = (s * v).sum(-1)
        curvature = (torch.autograd.grad(along.sum(), x, create_graph=True)[0] * v).sum(-1)
        square = along**2 if work.objective == "ssm" else (s * s).sum(-1)
        return (curvature + 0.5 * square).mean()

    return loss


def d_backwards(work):
    """Exact, as commonly done: one backward pass per column."""

    def loss(parameters, x, v):
        x = x.clone().requires_grad_()
        s = network(parameters, x)
        if work.model == "potential":
            s = torch.autograd.grad(s.sum(), x, create_graph=True)[0]
        trace = sum(
            torch.autograd.grad(s[:, k].sum(), x, create_graph=True)[0][:, k]
            for k in range(work.dim)
        )
        return (trace + 0.5 * (s * s).sum(-1)).mean()

    return loss


def field(work, parameters):
    """x -> s(x), as a function that torch.func can differentiate."""
    if work.model == "score":
        return lambda x: network(parameters, x)
    return grad(lambda x: network(parameters, x).sum())


def forward_over(work):
    """Slices through the score by forward mode, all at once."""

    def loss(parameters, x, v):
        score = field(work, parameters)
        if work.slices == 1:
            s, slope = jvp(score, (x,), (v[0],))
            slope = slope[None]
        else:
            s, slope = vmap(lambda u: jvp(score, (x,), (u,)))(v)
            s = s[0]
        curvature = (v * slope).sum(-1).mean(0)
        if work.objective == "ssm":
            square = ((v * s).sum(-1) ** 2).mean(0)
        else:
            square = (s * s).sum(-1)
        return (curvature + 0.5 * square).mean()

    return loss


def exact_by_vmap(work):
    """Exact: forward mode along every column, vectorised by vmap."""
    basis = torch.eye(work.dim)

    def loss(parameters, x, v):
        score = field(work, parameters)

        def along(e):
            s, slope = jvp(score, (x,), (e.expand_as(x),))
            return s, (slope * e).sum(-1)

        s, diagonal = vmap(along)(basis)
        return (diagonal.sum(0) + 0.5 * (s[0] * s[0]).sum(-1)).mean()

    return loss


def choose(who, work):
    exact = work.objective == "exact"
    if who == "torch-double-backward":
        return d_backwards(work) if exact else double_backward(work)
    loss = exact_by_vmap(work) if exact else forward_over(work)
    # Shapes are fixed; one graph or an error, so that a silent fall-back is not timed as compiled.
    return torch.compile(loss, fullgraph=True, dynamic=False) if who == "torch-compile" else loss


class Peer:
    """One PyTorch training step on resident rows."""

    def __init__(self, who, work):
        torch.set_num_threads(work.threads)
        self.work, self.loss = work, choose(who, work)
        self.data = torch.randn(4 * work.batch, work.dim)
        self.order = torch.empty(0, dtype=torch.long)
        self.set_parameters(initial_parameters(work))

    def set_parameters(self, arrays):
        self.weights = [torch.tensor(a, requires_grad=True) for a in arrays]
        self.optimiser = torch.optim.AdamW(
            self.weights, lr=RATE, betas=(BETA1, BETA2), eps=EPSILON, weight_decay=0.0, fused=True
        )

    def parameters(self):
        return [w.detach().numpy().copy() for w in self.weights]

    def loss_and_gradient(self, x, v):
        value = self._backward(torch.tensor(x), torch.tensor(v))
        return float(value), [self._gradient(w) for w in self.weights]

    @staticmethod
    def _gradient(w):
        # The last bias of a potential does not enter any loss.
        return np.zeros(w.shape, np.float32) if w.grad is None else w.grad.numpy().copy()

    def update(self, x, v):
        self._update(torch.tensor(x), torch.tensor(v))

    def draw(self):
        return self._draw().numpy()

    def _draw(self):
        w = self.work
        if w.objective == "exact":
            return None
        # The published code's way; also the fastest of three (signs of normals, Bernoulli, integers).
        return torch.randn(w.slices, w.batch, w.dim).sign_()

    def _rows(self):
        if not len(self.order):
            self.order = torch.randperm(len(self.data))
        chosen, self.order = self.order[: self.work.batch], self.order[self.work.batch :]
        return self.data[chosen]

    def _backward(self, x, v):
        self.optimiser.zero_grad(set_to_none=True)
        value = self.loss(self.weights, x, v)
        value.backward()
        return value.detach()

    def _update(self, x, v):
        value = self._backward(x, v)
        torch.nn.utils.clip_grad_norm_(self.weights, CLIP)
        self.optimiser.step()
        return value

    def steps(self, count):
        """`count` full training steps; the last loss."""
        for _ in range(count):
            value = self._update(self._rows(), self._draw())
        return float(value)
