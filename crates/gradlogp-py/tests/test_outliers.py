"""Thresholds and their promises, and what columns contribute."""

import json

import numpy as np
import pytest
from conftest import gaussian_rows

from gradlogp import ScoreOutlierDetector, errors

SETTINGS = {"hidden": [16], "steps": 300, "threads": 2}


@pytest.fixture(scope="module")
def detector():
    return ScoreOutlierDetector(**SETTINGS, false_alarm=0.1).fit(gaussian_rows(4000))


def test_false_alarms_are_as_rare_as_promised(detector):
    fresh = gaussian_rows(4000, seed=21)
    rate = np.mean(detector.predict(fresh) == -1)
    # On 800 rows to calibrate on, the rate is Beta(80, 720) + binomial: a standard deviation of 0.0116.
    assert abs(rate - 0.1) < 4 * 0.0116


def test_far_rows_are_outliers(detector):
    far = np.array([[1.0, 8.0], [20.0, -2.0], [-14.0, -14.0]])
    assert (detector.predict(far) == -1).all()
    np.testing.assert_array_equal(detector.decision_function(far), detector.score_samples(far) - detector.offset_)
    assert (detector.fit_predict(gaussian_rows(500)) == 1).mean() > 0.8


@pytest.mark.parametrize("anomaly", ["auto", "scales", "density", "path", "norm"])
def test_contributions_sum_to_the_whole(detector, anomaly):
    x = np.vstack([gaussian_rows(20), [[9.0, -2.0]]])
    # The kind decides what is asked of the fitted model.
    detector.set_params(anomaly=anomaly)
    parts, scores = detector.contributions(x), -detector.score_samples(x)
    origin = 0.0
    if anomaly == "density":
        mean = np.array(json.loads(detector._model.description())["column_mean"])
        origin = -detector.score_samples(mean[np.newaxis])[0]
    np.testing.assert_allclose(parts.sum(axis=1), scores - origin, atol=1e-5 * np.abs(scores).max())
    assert parts[-1, 0] > parts[-1, 1]
    detector.set_params(anomaly="auto")


def test_calibration_on_rows_of_ones_own():
    x, usual = gaussian_rows(1000), gaussian_rows(999, seed=5)
    detector = ScoreOutlierDetector(**SETTINGS, false_alarm=0.01).fit(x, usual=usual)
    # The 990th smallest score of 999: nine rows lie beyond.
    assert np.sum(detector.predict(usual) == -1) == 9
    with pytest.raises(errors.DataError, match="at least 999 rows"):
        ScoreOutlierDetector(**SETTINGS, false_alarm=0.001).fit(x, usual=usual[:500])
    with pytest.warns(errors.FitWarning, match="The rate is now"):
        ScoreOutlierDetector(**SETTINGS, false_alarm=0.001).fit(x)


def test_contamination_is_the_share_of_outliers_among_the_rows():
    x = gaussian_rows(1000)
    detector = ScoreOutlierDetector(**SETTINGS, contamination=0.05).fit(x)
    assert np.sum(detector.predict(x) == -1) == 50
    with pytest.raises(errors.SettingError, match="contamination"):
        ScoreOutlierDetector(contamination=0.7).fit(x)
