"""Verdicts and reports: those of the program."""

import json
import pickle

import numpy as np
import pytest
from conftest import SMALL, gaussian_rows

from gradlogp import ScoreDensity, ScoreField, Verdict, errors

FRESH = gaussian_rows(600, seed=51)


@pytest.mark.parametrize("which", ["density", "field", "diffusion"])
def test_a_verdict_from_rows_that_the_model_has_not_seen(which, request):
    verdict = request.getfixturevalue(which).check(FRESH)
    assert isinstance(verdict, Verdict) and verdict.rows == len(FRESH)
    assert verdict.grade in ("good", "usable") and verdict
    assert str(verdict) == verdict.sentence == verdict.figures["verdict"]
    assert verdict.reasons and {each.fitness for each in verdict.reasons} <= {"good", "usable", "cannot tell"}
    page = verdict._repr_html_()
    assert verdict.reasons[0].purpose in page and "Evidence from 600 rows" in page


def test_a_wrong_model_is_told_apart(density):
    verdict = density.check(3 * FRESH + 5)
    assert verdict.grade == "not usable" and not verdict
    assert verdict.usable_for == []


def test_of_conditional_models():
    rows = gaussian_rows(1500)
    model = ScoreField(**SMALL, given=[1]).fit(rows)
    figures = model.check(FRESH).figures
    assert figures["stein_given_max_z"] > 0 and figures["rows"] == 600


def test_the_verdict_of_a_fit_is_that_of_its_report(density):
    assert density.verdict_.sentence == density.report_["verdict"]
    assert density.verdict_.rows == density.report_["rows"] == 200
    assert {"baselines", "evidence", "purposes", "usable_for"} <= set(density.report_)


@pytest.mark.parametrize(("which", "figures"), [("density", ["loss", "field", "marginals"]), ("diffusion", ["loss", "frames"])])
def test_reports_are_pages(which, figures, request):
    model = request.getfixturevalue(which)
    page = model.report_html()
    assert page.startswith("<!doctype html>") or page.startswith("<!DOCTYPE html>")
    # What the samples show is said, too, so that the sentence may be longer than that of the fit.
    grade = model.verdict_.grade.capitalize()
    told = f"{grade}: " if grade in ("Cannot tell", "Not usable") else f"{grade} for "
    assert told in page and "Checked on 200 rows" in page
    for figure in figures:
        assert f'id="fig-{figure}"' in page, figure
    assert "<script" not in page and "http://" not in page.replace("http://www.w3.org", "")


def test_reports_of_further_rows_and_of_copies(density):
    copy = pickle.loads(pickle.dumps(density))
    with pytest.raises(errors.SettingError, match="give rows"):
        copy.report_html()
    page = copy.report_html(FRESH)
    assert 'id="fig-scatter"' in page and "600" in page


def test_too_few_rows_are_refused(density):
    with pytest.raises(errors.GradlogpError, match="check of a fit"):
        density.check(FRESH[:2])
    model = ScoreDensity(**{**SMALL, "steps": 20}, test=0).fit(gaussian_rows(200))
    assert model.verdict_ is None and "Not checked" in model.report_html()


@pytest.mark.parametrize(
    ("estimator", "options"),
    [
        (ScoreDensity(hidden=[16], steps=60, threads=2), ["--hidden", "16", "--steps", "60"]),
        (ScoreField(hidden=[16], steps=60, threads=2, given=[1]), ["--hidden", "16", "--steps", "60", "--model", "score", "--given", "x1"]),
    ],
)
def test_the_figures_are_those_of_the_program(estimator, options, program, tmp_path):
    data, fresh = (tmp_path / name for name in ("x.csv", "fresh.csv"))
    for rows, path in [(gaussian_rows(600), data), (FRESH, fresh)]:
        np.savetxt(path, rows, delimiter=",", fmt="%.17g", header="x0,x1", comments="")
    model = tmp_path / "model.safetensors"
    fitted = json.loads(program("fit", data, "-o", model, "--threads", "2", "--json", *options).stdout)
    ours = estimator.fit(gaussian_rows(600))
    told = {key: value for key, value in ours.report_.items() if key != "seconds"}
    assert told == {key: fitted[key] for key in told}
    theirs = json.loads(program("eval", model, fresh, "--json").stdout)
    assert ours.check(FRESH).figures == theirs
