# %% [markdown]
# # Checks of other models
#
# `check_score` and `ksd_test` judge any score, from wherever it comes, on rows that it was not fitted to. They need no truth and no
# normalizing constant: the Stein identities $\mathbb{E}[s] = 0$ and $\mathbb{E}[s\,x^\top] = -I$ hold for the true score whatever the
# density. Here they judge models of scikit-learn.

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy.special import softmax
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from gradlogp import ScoreDensity, check_score, ksd_test

rng = np.random.default_rng(0)


def rows(n):
    """Two Gaussians of different shape."""
    first = rng.random(n) < 0.6
    a = rng.multivariate_normal([-1, 0], [[1, 0.6], [0.6, 0.5]], n)
    b = rng.multivariate_normal([1.5, 1], [[0.3, -0.2], [-0.2, 0.8]], n)
    return np.where(first[:, None], a, b)


train, fresh = rows(4000), rows(2000)

# %% [markdown]
# ## Mixtures of Gaussians
#
# The score of a mixture is the mean of those of its components, weighted by the responsibilities.


# %%
def mixture_score(model):
    def score(x):
        r = model.predict_proba(x)
        each = [-(x - m) @ p for m, p in zip(model.means_, model.precisions_)]
        return np.einsum("nk,knd->nd", r, np.array(each))

    return score


scores = {f"{k} components": mixture_score(GaussianMixture(k, random_state=0).fit(train)) for k in (1, 2)}
for name, score in scores.items():
    print(name)
    print("  ", check_score(score, fresh))
    print("  ", f"kernel Stein test: p = {ksd_test(score, fresh).p_value:.3f}")

# %% [markdown]
# One Gaussian has the right mean and covariance, so that the first identities are content with it: they see no more than that. The kernel Stein
# test sees every shape of fault, and rejects it.
#
# ## Kernel density estimates
#
# Their score is a weighted mean of the ways to the training rows. How wide the kernel should be is a question to the fresh rows.


# %%
def kde_score(model):
    data, h = np.asarray(model.tree_.data), model.bandwidth_

    def score(x):
        square = ((x[:, None] - data[None]) ** 2).sum(-1)
        return (softmax(-square / (2 * h**2), axis=1) @ data - x) / h**2

    return score


for h in [0.05, 0.1, 0.2, 0.4, 0.8]:
    score = kde_score(KernelDensity(bandwidth=h).fit(train))
    found, test = check_score(score, fresh), ksd_test(score, fresh)
    print(f"bandwidth {h:4}: slope {found.slope:5.3f}, kernel Stein test p = {test.p_value:.3f}; {found.verdict}")

# %% [markdown]
# Narrow kernels point too strongly to the nearest training row (slope above 1, though a score that is far too large at a few rows also has a
# large standard error), wide ones too weakly. At the best width neither test finds a fault with 2,000 rows, which is not to say that
# there is none. Beside them, a model that was fitted for its score:

# %%
model = ScoreDensity().fit(train)
check_score(model.grad_log_density, fresh)

# %%
ksd_test(model.grad_log_density, fresh)

# %% [markdown]
# ## A sign gone wrong
#
# The fault that code has most often is also the easiest to see.

# %%
check_score(lambda x: -model.grad_log_density(x), fresh)
