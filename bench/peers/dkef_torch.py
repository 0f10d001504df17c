"""A deep kernel exponential family in plain PyTorch, from the formulas of docs/MATH.md section 7.

Kernel derivatives come either from torch.func (jvp in jvp; vmap over unit vectors for what needs all of them) or from
second-order jets written out in tensors, which is faster; alpha from torch.linalg.solve, the gradient from one backward pass
through the solve. Rows are not copied for the inducing points.
"""

import torch
from torch.func import jvp, vmap

OBJECTIVES = ("exact", "ssm", "ssm-vr", "dsm")


class Family:
    """The model, its loss and alpha. `theta` is laid out as gradlogp lays it out."""

    def __init__(self, run, dtype=torch.float32, functional=False):
        self.functional = functional
        family = run["family"]
        self.objective, self.sigma = run["objective"], run["sigma"]
        self.d, self.m, h = family["dim"], family["inducing"], family["features"]
        self.tau2 = family["base_sd"] ** 2
        self.dtype = dtype
        theta = torch.tensor(run["theta"], dtype=dtype)
        self.parameters, at = [], 0
        kernels = len(family["log_widths"])
        shapes = [(h, self.d), (h,), (h, h), (h,), (h, h), (h,), (h, self.d)]
        pieces = shapes * kernels + [(kernels,), (kernels,), (self.m, self.d), (1,)]
        for shape in pieces:
            n = torch.Size(shape).numel()
            piece = theta[at : at + n].reshape(shape).clone().requires_grad_(True)
            self.parameters.append(piece)
            at += n
        assert at == len(theta), "the parameters have another layout"
        flat = self.parameters
        self.nets = [flat[7 * r : 7 * (r + 1)] for r in range(kernels)]
        self.log_widths, self.logits, self.z, self.log_lambda = flat[7 * kernels :]

    def phi(self, net, x):
        w0, b0, w1, b1, w2, b2, skip = net
        y = torch.nn.functional.softplus(x @ w0.T + b0)
        y = torch.nn.functional.softplus(y @ w1.T + b1)
        return y @ w2.T + b2 + x @ skip.T

    def kernel(self, x):
        """k(x, z_m), n x M."""
        rho = torch.softmax(self.logits, 0)
        out = 0
        for r, net in enumerate(self.nets):
            p, c = self.phi(net, x), self.phi(net, self.z)
            square = (p * p).sum(1)[:, None] - 2 * p @ c.T + (c * c).sum(1)[None]
            out = out + rho[r] * torch.exp(-square / (2 * 10 ** self.log_widths[r]))
        return out

    def jet(self, net, x, v):
        """phi and its first and second derivative along v, which may have a leading axis of directions."""
        w0, b0, w1, b1, w2, b2, skip = net
        y, y1, y2 = x @ w0.T + b0, v @ w0.T, None
        for w, b in ((w1, b1), (w2, b2)):
            slope = torch.sigmoid(y)
            bent = slope * (1 - slope) * y1 * y1
            y2 = bent if y2 is None else slope * y2 + bent
            y, y1 = torch.nn.functional.softplus(y), slope * y1
            y, y1, y2 = y @ w.T + b, y1 @ w.T, y2 @ w.T
        return y + x @ skip.T, y1 + v @ skip.T, y2

    def by_hand(self, x, v, curved):
        """v.grad k and, where `curved`, v.(grad grad k) v."""
        rho = torch.softmax(self.logits, 0)
        first, second = 0, 0
        for r, net in enumerate(self.nets):
            c, width = self.phi(net, self.z), 10 ** self.log_widths[r]
            p, p1, p2 = self.jet(net, x, v)
            square = (p * p).sum(1)[:, None] - 2 * p @ c.T + (c * c).sum(1)[None]
            k = rho[r] * torch.exp(-square / (2 * width))
            u1 = (p1 @ c.T - (p * p1).sum(-1, keepdim=True)) / width
            first = first + k * u1
            if curved:
                own = (p * p2).sum(-1, keepdim=True) + (p1 * p1).sum(-1, keepdim=True)
                second = second + k * ((p2 @ c.T - own) / width + u1 * u1)
        return first, second

    def first(self, x, v):
        """v.grad k, n x M."""
        if self.functional:
            return jvp(self.kernel, (x,), (v,))[1]
        return self.by_hand(x, v, False)[0]

    def along(self, x, v):
        """v.grad k and v.(grad grad k) v, n x M each."""
        if self.functional:
            return jvp(lambda y: self.first(y, v), (x,), (v,))
        return self.by_hand(x, v, True)

    def units(self, x, f):
        """f along every unit vector."""
        basis = torch.eye(self.d, dtype=self.dtype)[:, None, :].expand(self.d, *x.shape)
        return vmap(lambda v: f(x, v))(basis) if self.functional else f(x, basis)

    def jets(self, x, random, objective=None):
        """What enters the squares (D x n x M, and its target D x n) and the curvature of k and of the base."""
        objective = objective or self.objective
        q = -x / self.tau2
        if objective == "exact":
            k1, k2 = self.units(x, self.along)
            return k1, q.T, k2.sum(0), torch.full((len(x),), -self.d / self.tau2, dtype=self.dtype)
        if objective == "dsm":
            target = q + random / self.sigma**2
            return self.units(x, self.first), target.T, None, None
        v, base = random, -(random * random).sum(1) / self.tau2
        k1, k2 = self.along(x, v)
        if objective == "ssm":
            return k1[None], (v * q).sum(1)[None], k2, base
        return self.units(x, self.first), q.T, k2, base

    def moments(self, x, random, objective=None):
        """Mean G and b."""
        k1, q, k2, _ = self.jets(x, random, objective)
        scale = self.sigma**4 if (objective or self.objective) == "dsm" else 1
        g = torch.einsum("inm,inl->ml", k1, k1) / len(x)
        b = torch.einsum("inm,in->m", k1, q) / len(x)
        return scale * g, scale * b + (0 if k2 is None else k2.mean(0))

    def solve(self, g, b):
        ridge = 10**self.log_lambda * torch.eye(self.m, dtype=self.dtype)
        return torch.linalg.solve(g + ridge, -b)

    def loss(self, x, random, alpha, objective=None):
        """Mean loss for given coefficients."""
        k1, q, k2, base = self.jets(x, random, objective)
        r = q + k1 @ alpha
        if k2 is None:
            return self.sigma**4 * 0.5 * (r * r).sum(0).mean()
        return (0.5 * (r * r).sum(0) + k2 @ alpha + base).mean()

    def draw(self, x):
        """Rows (noised, for dsm) and what was drawn for them."""
        if self.objective == "dsm":
            noise = self.sigma * torch.randn_like(x)
            return x + noise, noise
        if self.objective == "exact":
            return x, None
        return x, torch.randint(0, 2, x.shape).to(self.dtype) * 2 - 1

    def step_loss(self, fit, judge):
        """The loss of the second half with alpha fitted to the first, and alpha."""
        alpha = self.solve(*self.moments(*fit))
        return self.loss(*judge, alpha), alpha

    def gradient(self):
        return torch.cat([p.grad.reshape(-1) for p in self.parameters])
