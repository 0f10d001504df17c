"""The checks that scikit-learn has for every estimator, and its ways of composing them."""

import numpy as np
import pytest
from conftest import gaussian_rows
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from gradlogp import DiffusionDensity, ScoreDensity, ScoreField, ScoreImputer, ScoreOutlierDetector

FEW = {"hidden": [8], "steps": 20, "threads": 2}
ESTIMATORS = [
    ScoreDensity(**FEW),
    ScoreField(**FEW),
    DiffusionDensity(**FEW, members=1),
    ScoreOutlierDetector(**FEW),
    ScoreImputer(**FEW, members=1),
]


@pytest.mark.filterwarnings("error")
def test_searches_compare_models_whatever_their_constants_and_scalings():
    x = gaussian_rows(600)
    # The second is hardly trained; a base density or none, and any scaling, give other constants and other units within.
    grid = [
        {"steps": [300], "standardize": ["whiten", "none"], "base_scale": [None, 0.0]},
        {"steps": [2], "standardize": ["whiten", "none"]},
    ]
    model = ScoreDensity(hidden=[16], learning_rate=5e-3, ema_decay=0.9, threads=2, base="gaussian")
    found = GridSearchCV(model, grid, cv=2, error_score="raise").fit(x).cv_results_
    scores = dict(zip(map(str, found["params"]), found["mean_test_score"]))
    trained = [score for params, score in scores.items() if "'steps': 300" in params]
    assert len(trained) == 4 and max(trained) - min(trained) < 0.3, scores
    assert max(score for params, score in scores.items() if "'steps': 2}" in params) < min(trained), scores
    field = ScoreField(hidden=[16], steps=300, learning_rate=5e-3, ema_decay=0.9, threads=2)
    # Fields are compared with densities by the same measure.
    assert abs(cross_val_score(field, x, cv=2).mean() - max(trained)) < 0.3


@parametrize_with_checks(ESTIMATORS)
@pytest.mark.filterwarnings("ignore::gradlogp.errors.GradlogpWarning")
def test_scikit_learn(estimator, check):
    check(estimator)
