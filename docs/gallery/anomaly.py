# %% [markdown]
# # Anomalies
#
# A detector that has seen only benign tumours is asked about new ones. Its threshold comes from a false-alarm rate, and each flag comes
# with the share that each measurement has in it.

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gradlogp import ScoreOutlierDetector

data = load_breast_cancer(as_frame=True)
benign, malignant = data.data[data.target == 1], data.data[data.target == 0]
usual, new = train_test_split(benign, test_size=100, random_state=0)
train, calibration = train_test_split(usual, test_size=100, random_state=0)

detector = ScoreOutlierDetector(false_alarm=0.05).fit(train, usual=calibration)

# %% [markdown]
# `usual=` are further benign tumours, on which the threshold is calibrated. A new benign one is then flagged with a probability of at most
# 5%, on average over tables: with 100 tumours, seeing none or ten flags would be no surprise.

# %%
print("new benign flagged:   ", (detector.predict(new) == -1).mean())
print("malignant flagged:    ", (detector.predict(malignant) == -1).mean())

# %%
asked = np.r_[new.to_numpy(), malignant.to_numpy()]
wanted = np.r_[np.zeros(len(new)), np.ones(len(malignant))]
others = {
    "IsolationForest": IsolationForest(random_state=0),
    "LocalOutlierFactor": make_pipeline(StandardScaler(), LocalOutlierFactor(novelty=True)),
}
for name, other in others.items():
    print(f"{name:25} area under the ROC curve {roc_auc_score(wanted, -other.fit(usual.to_numpy()).score_samples(asked)):.3f}")
asked = type(benign)(asked, columns=benign.columns)
print(f"{'ScoreOutlierDetector':25} area under the ROC curve {roc_auc_score(wanted, -detector.score_samples(asked)):.3f}")

# %% [markdown]
# ## Which measurements
#
# What each column contributes to how unusual a row is; a row's contributions sum to minus its score.

# %%
middle = int(np.argsort(detector.score_samples(malignant))[len(malignant) // 2])
tumour = malignant.iloc[[middle]]
shares = detector.contributions(tumour)[0]
assert np.isclose(shares.sum(), -detector.score_samples(tumour)[0])
order = np.argsort(shares)[-10:]
figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
axes.barh(tumour.columns[order], shares[order])
axes.set(xlabel="contribution", title="A malignant tumour of median unusualness")
plt.show()

# %% [markdown]
# Over all malignant tumours, the columns with the largest mean contributions:

# %%
mean = detector.contributions(malignant).mean(axis=0)
for k in np.argsort(mean)[::-1][:5]:
    print(f"{benign.columns[k]:25} {mean[k]:8.3f}")
