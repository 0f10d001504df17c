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


@parametrize_with_checks(ESTIMATORS)
@pytest.mark.filterwarnings("ignore::gradlogp.errors.GradlogpWarning")
def test_scikit_learn(estimator, check):
    check(estimator)
