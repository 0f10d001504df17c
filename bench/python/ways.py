"""Four libraries on the same rows: each is fitted, gives the log densities of other rows, and draws as many again.

A way is a function of training rows and a seed that gives `log_density` and `score` (None where it has none) of rows, `sample`, and words
for what it was.
"""

import numpy as np


def score_density(train, seed):
    """`ScoreDensity` as it comes."""
    from gradlogp import ScoreDensity

    model = ScoreDensity(random_state=seed).fit(train)
    # log Z is a part of the fit.
    words = f"{model.n_iter_} steps; log p {'up to a constant' if model.log_z_ is None else 'normalized'}"
    return model.score_samples, model.grad_log_density, model.sample, words


def diffusion_density(train, seed):
    """`DiffusionDensity` as it comes: `fit --for density`."""
    from gradlogp import DiffusionDensity

    model = DiffusionDensity(random_state=seed).fit(train)
    return model.score_samples, model.grad_log_density, model.sample, f"{model.n_iter_} steps"


def kernel_density(train, seed):
    """scikit-learn's KernelDensity in standardized columns, its bandwidth chosen by a tenth of the rows."""
    from sklearn.neighbors import KernelDensity

    mean, sd = train.mean(0), train.std(0)
    rows, cut = (train - mean) / sd, len(train) // 10
    widths = np.geomspace(0.1, 0.6, 8)
    best = max(widths, key=lambda width: KernelDensity(bandwidth=width).fit(rows[cut:]).score(rows[:cut]))
    model = KernelDensity(bandwidth=best).fit(rows)

    def log_density(x):
        return model.score_samples((x - mean) / sd) - np.log(sd).sum()

    def sample(n):
        return model.sample(n, random_state=seed) * sd + mean

    return log_density, None, sample, f"bandwidth {best:.3f}, of 8"


def spline_flow(train, seed):
    """zuko's neural spline flow (5 transforms, 128 x 128), 5 epochs of batches of 256."""
    import torch
    import zuko

    torch.manual_seed(seed)
    mean, sd = train.mean(0), train.std(0)
    rows = torch.tensor((train - mean) / sd, dtype=torch.float32)
    flow = zuko.flows.NSF(rows.shape[1], transforms=5, hidden_features=(128, 128))
    optimiser = torch.optim.Adam(flow.parameters(), lr=1e-3)
    for _ in range(5):
        for batch in torch.randperm(len(rows)).split(256):
            optimiser.zero_grad()
            loss = -flow().log_prob(rows[batch]).mean()
            loss.backward()
            optimiser.step()

    @torch.no_grad()
    def log_density(x):
        return flow().log_prob(torch.tensor((x - mean) / sd, dtype=torch.float32)).numpy() - np.log(sd).sum()

    def score(x):
        at = torch.tensor((x - mean) / sd, dtype=torch.float32, requires_grad=True)
        return torch.autograd.grad(flow().log_prob(at).sum(), at)[0].numpy() / sd

    @torch.no_grad()
    def sample(n):
        return flow().sample((n,)).numpy() * sd + mean

    return log_density, score, sample, "5 epochs"


def sliced_energy(train, seed):
    """torchebm's SlicedScoreMatching of an energy, with the network (3 x 128 softplus), the batch of `ScoreDensity`, 3,000 steps, 1 slice."""
    import torch
    from torchebm.core import BaseModel
    from torchebm.losses import SlicedScoreMatching
    from torchebm.samplers import LangevinDynamics

    steps, batch = 3000, 256
    torch.manual_seed(seed)
    mean, sd = train.mean(0), train.std(0)
    rows = torch.tensor((train - mean) / sd, dtype=torch.float32)

    class Energy(BaseModel):
        def __init__(self):
            super().__init__()
            widths, layers = [rows.shape[1], 128, 128, 128], []
            for a, b in zip(widths, widths[1:]):
                layers += [torch.nn.Linear(a, b), torch.nn.Softplus()]
            self.network = torch.nn.Sequential(*layers, torch.nn.Linear(128, 1))

        def forward(self, x):
            return self.network(x).squeeze(-1) + 0.5 * x.square().sum(-1)

    energy = Energy()
    loss = SlicedScoreMatching(model=energy, n_projections=1)
    optimiser = torch.optim.Adam(energy.parameters(), lr=1e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        loss(rows[torch.randint(len(rows), (batch,))]).backward()
        optimiser.step()

    @torch.no_grad()
    def log_density(x):
        return -energy(torch.tensor((x - mean) / sd, dtype=torch.float32)).numpy()

    def score(x):
        return -energy.gradient(torch.tensor((x - mean) / sd, dtype=torch.float32)).detach().numpy() / sd

    def sample(n):
        # 500 chains, of which a third is warm-up.
        sampler, kept = LangevinDynamics(model=energy, step_size=0.01), -(-n // 500)
        run = sampler.sample(dim=rows.shape[1], n_samples=500, n_steps=75 * kept, thin=50, return_trajectory=True)
        return run[:, -kept:].reshape(-1, rows.shape[1])[:n].detach().numpy() * sd + mean

    return log_density, score, sample, f"{steps} steps; log p up to a constant"


WAYS = {
    "gradlogp ScoreDensity": score_density,
    "gradlogp DiffusionDensity": diffusion_density,
    "scikit-learn KernelDensity": kernel_density,
    "zuko NSF": spline_flow,
    "torchebm SlicedScoreMatching": sliced_energy,
}
