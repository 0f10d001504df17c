# %% [markdown]
# # Density
#
# A density with a known truth, to see how good a fit is and what the checks say of it without knowing the truth; then a table of
# measurements, beside the density estimates of scikit-learn.

# %%
import matplotlib.pyplot as plt
import numpy as np

from gradlogp import DiffusionDensity, ScoreDensity, plots

rng = np.random.default_rng(0)


def banana(n):
    a = rng.normal(size=n)
    return np.c_[a, 0.5 * a**2 + 0.5 * rng.normal(size=n)]


def true_score(x):
    miss = (x[:, 1] - 0.5 * x[:, 0] ** 2) / 0.25
    return np.c_[-x[:, 0] + miss * x[:, 0], -miss]


def true_log_density(x):
    return -0.5 * x[:, 0] ** 2 - (x[:, 1] - 0.5 * x[:, 0] ** 2) ** 2 / 0.5 - np.log(2 * np.pi * 0.5)


X, fresh = banana(4000), banana(2000)
model = ScoreDensity().fit(X)

# %% [markdown]
# The fit kept rows back and checked itself on them: by identities that hold for the true score whatever the data, and beside a Gaussian and a
# mixture of Gaussians. The verdict sums that up, without knowing the truth.

# %%
print(model.report_["verdict"])

# %% [markdown]
# Here the truth is known, and can be asked how far away the fit is: 0 is perfect, 1 is no better than no score at all.

# %%
error = model.grad_log_density(fresh) - true_score(fresh)
print("relative Fisher divergence:", (error**2).sum() / (true_score(fresh) ** 2).sum())

# %% [markdown]
# Log densities are normalized, since log Z could be estimated from the rows that were kept back.

# %%
print("log Z:", model.log_z_, "+-", model.log_z_se_)
print("mean log density of fresh rows:", model.score_samples(fresh).mean(), "true:", true_log_density(fresh).mean())

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
plots.plot_training(model, ax=axes[0])
plots.plot_score_field(model, X, ax=axes[1], grid=16)
drawn = model.sample(2000)
axes[2].scatter(*fresh.T, s=3, color="0.7", label="fresh rows")
axes[2].scatter(*drawn.T, s=3, color="C0", label="drawn")
axes[2].legend()
plt.show()

# %% [markdown]
# ## A table of measurements
#
# Ten measurements of breast tumours (their means over cells), in units of very different size. `DiffusionDensity` learns the score at every noise
# level, which gives normalized log densities and samples; its settings follow the size of the table.

# %%
from sklearn.datasets import load_breast_cancer
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KernelDensity
from sklearn.preprocessing import StandardScaler

table = load_breast_cancer(as_frame=True).data.iloc[:, :10]
train, test = train_test_split(table, test_size=0.3, random_state=0)
diffusion = DiffusionDensity(members=2, steps=600).fit(train)

# %%
scaler = StandardScaler().fit(train)
scaled, volume = scaler.transform(train), -np.log(scaler.scale_).sum()
peers = {
    "Gaussian": GaussianMixture(1),
    "mixture of Gaussians": GridSearchCV(GaussianMixture(reg_covar=1e-3, random_state=0), {"n_components": [1, 2, 3, 4, 6]}),
    "kernel density estimate": GridSearchCV(KernelDensity(), {"bandwidth": np.geomspace(0.1, 1, 10)}),
}
values = {name: peer.fit(scaled).score(scaler.transform(test)) for name, peer in peers.items()}
values["kernel density estimate"] /= len(test)  # its score is a sum
for name, value in values.items():
    print(f"{name:25} {value + volume:7.3f}")
print(f"{'DiffusionDensity':25} {diffusion.score(test):7.3f}")

# %% [markdown]
# Mean log densities of rows that no model has seen, in nats: higher is better. The columns are strongly correlated, and two are nearly functions of
# others, which a kernel of the same width in every direction cannot follow.
