//! A fitted model on some rows: the figures of `fit` and `eval`, with the checks that were asked for.

use anyhow::Result;
use gradlogp::FittedModel;
use gradlogp::data::synthetic::Dataset;
use gradlogp::fit::{evaluate, evaluate_at_its_time, evaluate_over_times};
use gradlogp_report::{Figures, OverTimes};
use ndarray::ArrayView2;

use crate::checks::Checks;

/// Evaluates a model on held-out rows; `checks` are what was asked for beyond the usual. All draws come from `seed`.
pub(crate) fn figures_of(
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    drawn_from: Option<&Dataset>,
    seed: u64,
    checks: Option<Checks<'_>>,
) -> Result<Figures> {
    let figures = Figures::from(evaluate(model, rows, drawn_from, seed)?);
    let findings = checks.map(|checks| checks.run(model, rows, seed)).transpose()?;
    Ok(figures.with_findings(findings.unwrap_or_default()))
}

/// As [`figures_of`]; a time model on the rows noised to the time at which it answers. Samples are compared with the rows
/// as they are.
pub(crate) fn figures_at_its_time(
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    drawn_from: Option<&Dataset>,
    seeds: (u64, u64),
    checks: Checks<'_>,
) -> Result<Figures> {
    let figures = Figures::from(evaluate_at_its_time(model, rows, drawn_from, seeds)?);
    let findings = match model.noised(rows, seeds.0)? {
        Some(noised) => {
            let checks = Checks { rows_for_samples: Some(rows), ..checks };
            checks.run(model, noised.view(), seeds.1)?
        }
        None => checks.run(model, rows, seeds.1)?,
    };
    Ok(figures.with_findings(findings))
}

/// Evaluates a time model on rows of the data, noised to each time.
pub(crate) fn figures_over_times(
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    drawn_from: Option<&Dataset>,
    seed: u64,
    checks: &Checks<'_>,
) -> Result<OverTimes> {
    let found = evaluate_over_times(model, rows, drawn_from, seed)?;
    let samples = checks.samples_over_time(model, rows, seed)?;
    Ok(OverTimes::new(found, samples))
}
