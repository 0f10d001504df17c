# %% [markdown]
# # Missing values
#
# A missing value is drawn from its distribution given the others of its row. Draws keep the spread of the data, which a mean does not, and
# several draws of each value tell how uncertain it is.

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.model_selection import train_test_split

from gradlogp import ScoreImputer

table = load_breast_cancer(as_frame=True).data.iloc[:, :10]
train, test = train_test_split(table, test_size=0.3, random_state=0)
rng = np.random.default_rng(0)
holes = rng.random(test.shape) < 0.2
torn = test.mask(holes)
torn.head()

# %%
imputer = ScoreImputer(members=1, steps=600).fit(train)
draws = imputer.sample(torn, n_draws=25)
draws.shape

# %% [markdown]
# ## How near
#
# The root of the mean squared error of what is filled in, in standard deviations of each column. A mean over draws is the right answer
# to this question.

# %%
sd = train.std().to_numpy()


def error(filled):
    miss = (np.asarray(filled) - test.to_numpy()) / sd
    return np.sqrt((miss[holes] ** 2).mean())


for other in [SimpleImputer(), KNNImputer(), IterativeImputer(random_state=0, max_iter=30)]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        print(f"{type(other).__name__:20} {error(other.fit(train).transform(torn)):.3f}")
print(f"{'ScoreImputer':20} {error(draws.mean(axis=0)):.3f}")

# %% [markdown]
# ## How certain
#
# The truth should lie anywhere among its draws: below as many of them as above, on average, and inside their 90% interval in nine
# cases of ten.

# %%
low, high = np.quantile(draws, [0.05, 0.95], axis=0)
truth = test.to_numpy()
inside = ((truth >= low) & (truth <= high))[holes].mean()
print(f"inside the 90% interval: {inside:.1%} of {holes.sum()} values")

figure, axes = plt.subplots(figsize=(6, 2.8), layout="constrained")
axes.hist((draws < truth).mean(axis=0)[holes], bins=10, range=(0, 1), color="C0")
axes.axhline(holes.sum() / 10, color="0.5", linestyle=":")
axes.set(xlabel="share of draws below the truth", ylabel="values")
plt.show()
