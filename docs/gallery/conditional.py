# %% [markdown]
# # Conditions
#
# A response whose mean, spread and shape depend on a dose: `given=` fits $p(\text{response} \mid \text{dose})$, of which a regression gives the
# mean alone.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from gradlogp import ScoreDensity

rng = np.random.default_rng(0)


def responses(dose):
    """The mean swings with the dose, the spread grows with it, and large responses are more frequent than small ones."""
    spread = 0.2 + 0.2 * dose
    return np.sin(2 * dose) + spread * (np.sinh(np.arcsinh(rng.normal(size=len(dose))) + 0.5) - 0.6)


dose = rng.uniform(0, 3, 6000)
table = pd.DataFrame({"dose": dose, "response": responses(dose)})
model = ScoreDensity(given=["dose"]).fit(table)
print(model.report_["verdict"])

# %% [markdown]
# Draws at one dose, beside 4000 new responses at it:

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3), layout="constrained", sharex=True)
for ax, at in zip(axes, [0.5, 1.5, 2.5]):
    drawn = model.sample(4000, given={"dose": at}).ravel()
    truth = responses(np.full(4000, at))
    ax.hist(truth, bins=60, density=True, color="0.75", label="new responses")
    ax.hist(drawn, bins=60, density=True, histtype="step", color="C0", label="drawn")
    ax.set(title=f"dose {at}", xlabel="response")
    print(f"dose {at}: mean {drawn.mean():6.3f} (true {truth.mean():6.3f}), sd {drawn.std():.3f} (true {truth.std():.3f})")
axes[0].legend()
plt.show()

# %% [markdown]
# The score is that of the response: rows have both columns, as in `fit`, and the gradient is with respect to `response`. For the true score
# $\mathbb{E}[s\,g(c)] = 0$ for every function $g$ of the dose $c$, and $\mathbb{E}[s\,x] = -1$: new rows tell.

# %%
dose = rng.uniform(0, 3, 4000)
fresh = pd.DataFrame({"dose": dose, "response": responses(dose)})
score = model.grad_log_density(fresh)[:, 0]
for name, product, wanted in [("s", score, 0), ("s dose", score * dose, 0), ("s response", score * fresh["response"], -1)]:
    print(f"E[{name}] = {product.mean():6.3f} +- {product.std() / np.sqrt(len(dose)):.3f} (true score: {wanted})")
