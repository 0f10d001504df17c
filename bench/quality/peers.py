"""The peers: each is fitted to training rows, a tenth of which chooses its settings, and gives log densities and draws."""
import numpy as np
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity


def apart(train):
    """(rows to fit, rows to choose): rows come shuffled."""
    cut = max(1, len(train) // 10)
    return train[cut:], train[:cut]


def mixture(train, seed):
    """Full covariances; components and the floor of the variances by the rows that choose."""
    fit, choose = apart(train)
    best = (-np.inf, None)
    for k in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48):
        if 4 * k > len(fit):
            break
        for floor in (1e-6, 1e-3, 1e-2):
            try:
                model = GaussianMixture(k, reg_covar=floor, random_state=seed).fit(fit)
            except ValueError:  # A component on fewer rows than columns, for this floor.
                continue
            best = max(best, (model.score(choose), model), key=lambda b: b[0])
    model = best[1]
    return model.score_samples, lambda n: model.sample(n)[0], f"{model.n_components} components, floor {model.reg_covar}"


def kernels(train, seed):
    """One Gaussian kernel a row; the bandwidth by the rows that choose."""
    fit, choose = apart(train)
    best = (-np.inf, None)
    for width in np.geomspace(0.02, 1.5, 25):
        model = KernelDensity(bandwidth=width, rtol=1e-4).fit(fit)
        best = max(best, (model.score(choose), model), key=lambda b: b[0])
    model = best[1]
    return model.score_samples, lambda n: model.sample(n, random_state=seed), f"width {model.bandwidth:.3f}"


def flow(kind):
    """zuko's neural spline or masked autoregressive flow with early stopping."""
    def fitted(train, seed):
        import torch
        import zuko

        torch.manual_seed(seed)
        rows, choose = (torch.tensor(part, dtype=torch.float32) for part in apart(train))
        model = getattr(zuko.flows, kind)(rows.shape[1], transforms=5, hidden_features=(128, 128))
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)
        best, state, since, epoch = np.inf, None, 0, 0
        while since < 30 and epoch < 1000:
            model.train()
            for batch in torch.randperm(len(rows)).split(256):
                optimiser.zero_grad()
                loss = -model().log_prob(rows[batch]).mean()
                if torch.isfinite(loss):
                    loss.backward()
                    torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
                    optimiser.step()
            with torch.no_grad():
                held_out = float(-model().log_prob(choose).mean())
            epoch, since = epoch + 1, since + 1
            if held_out < best:
                best, since = held_out, 0
                state = {name: value.clone() for name, value in model.state_dict().items()}
        model.load_state_dict(state)

        def log_density(x):
            with torch.no_grad():
                return model().log_prob(torch.tensor(x, dtype=torch.float32)).numpy().astype(float)

        def sample(n):
            with torch.no_grad():
                return model().sample((n,)).numpy().astype(float)

        return log_density, sample, f"{epoch} epochs"

    return fitted


def available():
    """Name: fit, of those whose packages are installed."""
    found = {"mixture": mixture, "kernels": kernels}
    try:
        import torch  # noqa: F401
        import zuko  # noqa: F401
    except ImportError:
        return found
    return {**found, "NSF": flow("NSF"), "MAF": flow("MAF")}
