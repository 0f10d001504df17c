"""Deep kernel exponential family in plain PyTorch, from the formulas of docs/MATH.md section 7.

usage: dkef_torch.py PEER.json

Repeats the run that the program dkef-peer wrote down: same rows, same initial parameters, same number of
steps; batches and slices are its own. Kernel derivatives come from torch.func (jvp in jvp; vmap over unit
vectors for what needs all of them), alpha from torch.linalg.solve, the gradient from one backward pass
through the solve.
"""

import json
import sys
import time

import torch
from torch.func import jvp, vmap

with open(sys.argv[1]) as f:
    run = json.load(f)
torch.manual_seed(1234)
family, objective = run["family"], run["objective"]
d, m, h = family["dim"], family["inducing"], family["features"]
kernels = len(family["log_widths"])
tau2 = family["base_sd"] ** 2
train, held = torch.tensor(run["train"]), torch.tensor(run["validation"])
theta = torch.tensor(run["theta"])

shapes = [(h, d), (h,), (h, h), (h,), (h, h), (h,), (h, d)]
parameters, at = [], 0


def take(*shape):
    global at
    n = 1
    for s in shape:
        n *= s
    out = theta[at : at + n].reshape(shape).clone().requires_grad_(True)
    at += n
    parameters.append(out)
    return out


nets = [[take(*s) for s in shapes] for _ in range(kernels)]
log_widths, logits, z, log_lambda = take(kernels), take(kernels), take(m, d), take(1)
assert at == len(theta)


def phi(net, x):
    w0, b0, w1, b1, w2, b2, skip = net
    y = torch.nn.functional.softplus(x @ w0.T + b0)
    y = torch.nn.functional.softplus(y @ w1.T + b1)
    return y @ w2.T + b2 + x @ skip.T


def kernel(x):
    rho = torch.softmax(logits, 0)
    out = 0
    for r, net in enumerate(nets):
        p, c = phi(net, x), phi(net, z)
        square = (p * p).sum(1)[:, None] - 2 * p @ c.T + (c * c).sum(1)[None]
        out = out + rho[r] * torch.exp(-square / (2 * 10 ** log_widths[r]))
    return out


def along(x, v):
    """v.grad k and v.(grad grad k) v, n x M each."""
    first = lambda y: jvp(kernel, (y,), (v,))[1]
    return jvp(first, (x,), (v,))


def first_along(x, v):
    return jvp(kernel, (x,), (v,))[1]


def units(x, f):
    basis = torch.eye(d)[:, None, :].expand(d, *x.shape)
    return vmap(lambda v: f(x, v))(basis)


def signs(x):
    return torch.randint(0, 2, x.shape).float() * 2 - 1


def jets(x):
    """(k1 by direction, curvature of k, targets v.q, curvature of the base, v_i.v_j weight)."""
    q = -x / tau2
    if objective == "ssm":
        v = signs(x)
        k1, k2 = along(x, v)
        return k1[None], k2, (v * q).sum(1)[None], -(v * v).sum(1) / tau2
    if objective == "ssm-vr":
        v = signs(x)
        _, k2 = along(x, v)
        return units(x, first_along), k2, q.T, -(v * v).sum(1) / tau2
    if objective == "exact":
        k1, k2 = units(x, along)
        return k1, k2.sum(0), q.T, torch.full((len(x),), -d / tau2)
    raise SystemExit(f"{objective} is not written here")


def solve(x):
    k1, k2, q, _ = jets(x)
    n = len(x)
    g = torch.einsum("inm,inl->ml", k1, k1) / n
    b = k2.mean(0) + torch.einsum("inm,in->m", k1, q) / n
    return torch.linalg.solve(g + 10**log_lambda * torch.eye(m), -b)


def loss(x, alpha):
    k1, k2, q, base = jets(x)
    r = q + k1 @ alpha
    return (0.5 * (r * r).sum(0) + k2 @ alpha + base).mean()


optimiser = torch.optim.Adam(parameters, lr=0.01)
order, position = torch.randperm(len(train)), 0


def rows(count=100):
    global order, position
    if position >= len(order):
        order, position = torch.randperm(len(train)), 0
    out = train[order[position : position + count]]
    position += count
    return out


def step():
    optimiser.zero_grad()
    fit, judge = rows(), rows()
    loss(judge, solve(fit)).backward()
    torch.nn.utils.clip_grad_norm_(parameters, 100.0)
    optimiser.step()


def validate():
    with torch.no_grad():
        return loss(held, solve(train[torch.randperm(len(train))[:1000]])).item()


times = []
for _ in range(run["steps"]):
    start = time.perf_counter()
    step()
    times.append(time.perf_counter() - start)
times.sort()
objective, kept = "exact", objective
with torch.no_grad():
    held_out = loss(held, solve(train)).item()
objective = kept
start = time.perf_counter()
for _ in range(5):
    step()
    validate()
iteration = (time.perf_counter() - start) / 5
print(
    f"{objective}: torch {torch.__version__}, {torch.get_num_threads()} threads: "
    f"{1e3 * times[len(times) // 2]:.1f} ms a step, {1e3 * iteration:.1f} ms an iteration with validation; "
    f"held-out exact loss {held_out:.3f} after {run['steps']} steps"
)
print(
    f"{objective}: gradlogp {1e3 * run['median_seconds_per_step']:.2f} ms a step, "
    f"{1e3 * run['seconds_per_iteration']:.2f} ms an iteration; held-out exact loss "
    f"{run['held_out_exact_loss']:.3f} +- {run['held_out_exact_loss_se']:.3f}"
)
