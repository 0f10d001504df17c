# %% [markdown]
# # Simulation-based inference
#
# A simulator draws data $x$ for parameters $\theta$; what is wanted is the posterior $p(\theta \mid x)$ of data that were seen. Draws of
# $(\theta, x)$ are rows like any others: the score of $\theta$ given $x$ is fitted to them once, and then sampled at any $x$.
#
# The simulator is that of the two moons, a common test: $x$ lies on a crescent that $\theta$ moves about, and $\theta$ and its mirror
# image give the same crescent, so that the posterior has two of them.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from gradlogp import ScoreDensity

rng = np.random.default_rng(0)
PRIOR_SD = 0.5


def prior(n):
    return PRIOR_SD * rng.normal(size=(n, 2))


def simulate(theta):
    n = len(theta)
    angle, radius = rng.uniform(-np.pi / 2, np.pi / 2, n), 0.1 + 0.03 * rng.normal(size=n)
    crescent = np.c_[radius * np.cos(angle) + 0.25, radius * np.sin(angle)]
    moved = np.c_[-np.abs(theta.sum(1)), theta[:, 1] - theta[:, 0]] / np.sqrt(2)
    return crescent + moved


def table(n):
    theta = prior(n)
    return pd.DataFrame(np.c_[theta, simulate(theta)], columns=["theta1", "theta2", "x1", "x2"])


draws = table(20_000)
model = ScoreDensity(given=["x1", "x2"], steps=6000, patience=0).fit(draws)
print(model.report_["verdict"])

# %% [markdown]
# ## The posterior of one observation
#
# Beside draws of the posterior by rejection, which takes half a million runs of the simulator and keeps those that come near enough.

# %%
seen = {"x1": -0.3, "x2": 0.2}
posterior = model.sample(2000, given=seen)

many = table(500_000).to_numpy()
near = np.hypot(many[:, 2] - seen["x1"], many[:, 3] - seen["x2"]) < 0.015
figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained", sharex=True, sharey=True)
axes[0].scatter(*many[near, :2].T, s=5, color="0.6")
axes[0].set(title=f"rejection: {near.sum()} of 500,000", xlabel="theta1", ylabel="theta2")
axes[1].scatter(*posterior.T, s=5, color="C0")
axes[1].set(title="conditional score: 2,000 draws", xlabel="theta1")
plt.show()

# %% [markdown]
# The warning is right: no chain goes from one moon to the other, so that how many draws each moon has comes from where the chains started. Here
# the moons weigh the same, and the chains start on both sides alike; elsewhere such a warning says not to trust the weights. The fit also
# rounds off the crescents a little.

# %% [markdown]
# ## Calibration
#
# For parameters from the prior and data simulated from them, the rank of the true parameter among draws of its posterior is uniform if the
# posterior is right. Too narrow posteriors give ranks that pile up at the ends, too wide ones in the middle.

# %%
tests, each = 200, 24
fresh = table(tests)
conditions = np.repeat(fresh[["x1", "x2"]].to_numpy(), each, axis=0)
drawn = model.sample(len(conditions), given=conditions)
ranks = (drawn.reshape(tests, each, 2) < fresh[["theta1", "theta2"]].to_numpy()[:, None]).sum(axis=1)
figure, axes = plt.subplots(1, 2, figsize=(8, 2.6), layout="constrained", sharey=True)
for k, ax in enumerate(axes):
    share = (ranks[:, k, None] <= np.arange(each + 1)).mean(axis=0)
    ax.step(np.arange(each + 1), share, where="mid", color="C0")
    level = (np.arange(each + 1) + 1) / (each + 1)
    band = 1.96 * np.sqrt(level * (1 - level) / tests)
    ax.fill_between(np.arange(each + 1), level - band, level + band, color="0.85", step="mid")
    ax.set(title=f"theta{k + 1}", xlabel=f"rank among {each} draws")
axes[0].set(ylabel="share of tests up to it")
plt.show()

# %%
for k in range(2):
    inside = ((ranks[:, k] > 0) & (ranks[:, k] < each)).mean()
    print(f"theta{k + 1}: between the least and the largest draw in {inside:.1%} of the tests (right: {(each - 1) / (each + 1):.1%})")
