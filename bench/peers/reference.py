"""The losses written out plainly in f64: explicit Jacobians and Hessians, row by row.

Conventions are those of the library: a loss is the mean over rows of
    ssm:     1/M sum_m [ v_m.G v_m + 1/2 (v_m.s)^2 ]
    ssm-vr:  1/M sum_m   v_m.G v_m + 1/2 |s|^2
    exact:   tr G + 1/2 |s|^2
with s the score and G its Jacobian; a potential f has s = grad f. Networks are softplus
perceptrons, parameters a list W0, b0, W1, b1, ... with W as [out, in].
"""

import numpy as np

RATE, BETA1, BETA2, EPSILON, CLIP = 2e-3, 0.9, 0.999, 1e-8, 10.0


def initial_parameters(work, seed=0):
    """The same network for every peer: weights of variance 1 / fan-in."""
    rng = np.random.default_rng(seed)
    out = work.dim if work.model == "score" else 1
    widths = [work.dim, *work.hidden, out]
    parameters = []
    for fan_in, width in zip(widths, widths[1:]):
        parameters.append(rng.uniform(-1, 1, (width, fan_in)) * np.sqrt(3 / fan_in))
        parameters.append(rng.uniform(-1, 1, width) / np.sqrt(fan_in))
    return [p.astype(np.float32) for p in parameters]


def loss(work, parameters, x, v):
    """Mean loss over rows x [n, d] with slices v [M, n, d]."""
    layers = [np.asarray(p, np.float64) for p in parameters]
    layers = list(zip(layers[::2], layers[1::2]))
    rows = [row_loss(work, layers, x[i].astype(np.float64), v[:, i]) for i in range(len(x))]
    return float(np.mean(rows))


def row_loss(work, layers, x, v):
    at = score_field if work.model == "score" else potential
    s, g = at(layers, x)
    if work.objective == "exact":
        return np.trace(g) + 0.5 * s @ s
    v = v.astype(np.float64)
    curvature = np.mean([u @ g @ u for u in v])
    if work.objective == "ssm-vr":
        return curvature + 0.5 * s @ s
    return curvature + 0.5 * np.mean([(u @ s) ** 2 for u in v])


def softplus(a):
    """h, h', h''."""
    slope = 0.5 * (1 + np.tanh(a / 2))
    return np.logaddexp(0, a), slope, slope * (1 - slope)


def hidden_layers(layers, x):
    """Per hidden layer: h', h'' and the Jacobian of its input; then the last output and Jacobian."""
    kept, jacobian = [], np.eye(len(x))
    for w, b in layers[:-1]:
        before = w @ jacobian
        x, slope, bend = softplus(w @ x + b)
        kept.append((slope, bend, before))
        jacobian = slope[:, None] * before
    return kept, x, jacobian


def score_field(layers, x):
    """s = net(x) and its Jacobian."""
    _, h, jacobian = hidden_layers(layers, x)
    w, b = layers[-1]
    return w @ h + b, w @ jacobian


def potential(layers, x):
    """s = grad f and the Hessian of f: sum over layers of P^T diag(df/dh h'') P."""
    kept, _, _ = hidden_layers(layers, x)
    hessian = np.zeros((len(x), len(x)))
    back = layers[-1][0][0]
    for (slope, bend, before), (w, _) in zip(reversed(kept), reversed(layers[:-1])):
        hessian += before.T @ ((back * bend)[:, None] * before)
        back = w.T @ (back * slope)
    return back, hessian


def adamw(parameters, gradients):
    """Parameters after one AdamW step (no decay) per gradient, each clipped to norm CLIP."""
    p = np.concatenate([q.ravel() for q in parameters]).astype(np.float64)
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t, g in enumerate(gradients, 1):
        g = np.concatenate([q.ravel() for q in g]).astype(np.float64)
        g = g * min(1, CLIP / np.linalg.norm(g))
        m, v = BETA1 * m + (1 - BETA1) * g, BETA2 * v + (1 - BETA2) * g * g
        p = p - RATE * (m / (1 - BETA1**t)) / (np.sqrt(v / (1 - BETA2**t)) + EPSILON)
    return p
