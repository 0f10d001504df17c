"""Recomputes with autograd in f64 what `gradlogp score -o SCORES.csv --hessian-diagonal` wrote and,
given the output of `gradlogp eval --json` too, the exact loss. Fails if anything differs by 1e-4.
Usage: verify_model.py MODEL.safetensors ROWS.csv SCORES.csv [EVAL.json]"""
import csv, json, sys
import torch
from safetensors import safe_open

torch.set_default_dtype(torch.float64)
def table(path):
    text = open(path).read()
    names, *rows = csv.reader(text.splitlines(), delimiter=";" if ";" in text else ",")
    return {n: torch.tensor([float(r[i]) for r in rows]) for i, n in enumerate(names)}

file, (rows, found) = safe_open(sys.argv[1], "pt"), map(table, sys.argv[2:4])
about = json.loads(file.metadata()["description"])
fit, net, t = about["fit"], about["fit"]["network"], about["fit"]["transform"]
assert net["activation"] == "softplus" and not net["residual"], "this script knows plain softplus networks"
potential, last = about["kind"] == "potential", len(net["hidden"])
A = torch.diag(1 / torch.tensor(t["sd"]))
if t["kind"] == "whiten":  # A = L^(-1/2) U^T D^-1
    A = torch.tensor(t["directions"]).reshape(A.shape) @ A / torch.tensor(t["direction_sd"])[:, None]

def network(x):  # of one row in the user's units: log p(x) or the network's own score s_z(z)
    z = h = A @ (x - torch.tensor(t["mean"]))
    for k in range(last + 1):
        h = file.get_tensor(f"net.{k}.weight").double() @ h + file.get_tensor(f"net.{k}.bias").double()
        h = torch.nn.functional.softplus(h, threshold=1e9) if k < last else h
    base = -z @ z / (2 * net["base_scale"] ** 2) if net["base_scale"] else 0
    return h[0] + base + torch.linalg.slogdet(A)[1] if potential else A.T @ h

x = torch.stack([rows[c] for c in fit["columns"]], 1)
s = torch.stack([torch.autograd.functional.jacobian(network, r) if potential else network(r) for r in x])
of = torch.autograd.functional.hessian if potential else torch.autograd.functional.jacobian
g, unit = torch.stack([of(network, r) for r in x]).diagonal(dim1=1, dim2=2), torch.tensor(fit["column_scale"])
trace, curvature = ("laplacian", "hessian") if potential else ("trace", "jacobian")
pairs = {f"score_{c}": s[:, k] for k, c in enumerate(fit["columns"])} | {trace: g.sum(1)}
pairs |= {f"{curvature}_{c}": g[:, k] for k, c in enumerate(fit["columns"])}
pairs |= {"log_density": torch.stack([network(r) for r in x])} if potential else {}
assert set(pairs) == set(found), set(pairs) ^ set(found)
if len(sys.argv) > 4:  # in units of the training columns' standard deviations
    pairs["exact_loss"] = ((g * unit**2).sum(1) + 0.5 * ((s * unit) ** 2).sum(1)).mean()
    found["exact_loss"] = torch.tensor(float(json.load(open(sys.argv[4]))["exact_loss"]))
worst = {n: ((found[n] - v).abs() / v.abs().clamp(min=v.square().mean().sqrt())).max().item() for n, v in pairs.items()}
print(f"{len(x)} rows, {about['kind']}, {t['kind']}:", *(f"{n} {e:.1e}" for n, e in worst.items()), sep="\n  ")
sys.exit(any(not e <= 1e-4 for e in worst.values()))
