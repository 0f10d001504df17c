//! Fits.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use gradlogp::data::Table;
use gradlogp::fit::{Fit, FitStep, FitWatch, fit_watched};
use gradlogp::train::Stop;
use gradlogp::{Error, FittedModel};
use gradlogp_report::Figures;
use ndarray::Array2;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::{Value, json};

use crate::arrays::Rows;
use crate::errors::OrRaise;
use crate::model::Model;
use crate::under_way::{Onlooker, Shared, run};
use crate::{pool, report, settings};

/// Tells the calling thread how far a fit is.
struct Told<'a> {
    shared: &'a Shared<FitStep>,
    start: Instant,
}

impl FitWatch for Told<'_> {
    fn step(&mut self, step: FitStep) -> ControlFlow<()> {
        match self.shared.step(step) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn gives_up(&mut self) -> bool {
        self.shared.abandoned()
    }

    fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }
}

/// What a fit gives: the model, what is known of it as JSON, warnings, the places of rows that trained, validated and tested
/// it, whether it was ended by Ctrl-C, and what it was checked on.
type Fitted = (Model, String, Vec<String>, [Vec<usize>; 3], bool, FitChecks);

/// Fits rows with the settings of a JSON object.
#[pyfunction]
#[pyo3(signature = (rows, columns, settings, callback=None, progress=None))]
pub(crate) fn fit(
    py: Python<'_>,
    rows: Rows<'_>,
    columns: Vec<String>,
    settings: &str,
    callback: Option<Bound<'_, PyAny>>,
    progress: Option<Bound<'_, PyAny>>,
) -> PyResult<Fitted> {
    let given = settings::object(settings)?;
    let (n, d) = rows.view().dim();
    let config = settings::config(&given, n, d).or_raise(py)?;
    let threads = pool::threads(config.training.threads).or_raise(py)?;
    let rows = rows.view().owned();
    let callback = callback.as_ref().map(|callback| {
        move |py: Python<'_>, step: &FitStep| -> PyResult<bool> {
            let losses = PyDict::new(py);
            losses.set_item("train", step.loss)?;
            losses.set_item("validation", step.held_out)?;
            callback.call1((step.step, losses))?.is_truthy()
        }
    });
    let progress = progress.as_ref().map(|progress| {
        move |_: Python<'_>, step: &FitStep| -> PyResult<()> {
            progress.call1((step.step, step.steps, step.loss, step.held_out)).map(|_| ())
        }
    });
    let onlooker = Onlooker {
        callback: callback.as_ref().map(|callback| callback as _),
        progress: progress.as_ref().map(|progress| progress as _),
    };
    let done = run(py, &onlooker, move |shared: &Shared<FitStep>| {
        let mut told = Told { shared, start: Instant::now() };
        let table = Table::new("X", columns, rows)?;
        threads.install(|| fit_watched(table, &config, &mut told))
    })?;
    let Some(fit) = done.result.or_raise(py)? else {
        return Err(pyo3::exceptions::PyKeyboardInterrupt::new_err(()));
    };
    let warnings = warnings(&fit);
    let figures = fit.evaluation.as_ref().ok().cloned().map(Figures::from);
    let report = self::report(&fit, figures.as_ref()).or_raise(py)?.to_string();
    let split = &fit.prepared.split;
    let split = [split.train.clone(), split.validation.clone(), split.test.clone()];
    let checks = FitChecks::of(&fit, figures, warnings.clone()).or_raise(py)?;
    Ok((Model::new(Arc::new(fit.model)), report, warnings, split, done.interrupted, checks))
}

/// What to know of the table and of the weights.
fn warnings(fit: &Fit) -> Vec<String> {
    let mut all: Vec<String> = fit.warnings.iter().map(ToString::to_string).collect();
    all.extend(fit.notes.iter().cloned());
    if let Stop::Diverged { message } = &fit.stop {
        all.push(message.clone());
    }
    if let Err(why) = &fit.evaluation {
        all.push(format!("the fit is not checked: {why}"));
    }
    all
}

/// What is known of a fit, with the keys of the program's `--json`.
fn report(fit: &Fit, figures: Option<&Figures>) -> gradlogp::Result<Value> {
    let description = fit.model.description();
    let summary = &description.summary;
    let best = summary.history.iter().find(|point| point.step == summary.best_step);
    let mut report = json!({
        "stopped": summary.stopped,
        "objective": description.training.objective,
        "choice": description.choice,
        "steps": summary.steps,
        "best_step": summary.best_step,
        "seconds": summary.seconds,
        "validation_loss": best.map(|point| point.held_out.mean),
        "validation_loss_se": best.map(|point| point.held_out.standard_error),
        "kernel": description.kernel,
    });
    let found =
        serde_json::to_value(figures).map_err(|e| Error::config("figures", e.to_string()))?;
    if let (Some(report), Value::Object(found)) = (report.as_object_mut(), found) {
        report.retain(|_, value| !value.is_null());
        report.extend(found);
    }
    Ok(report)
}

/// What a fit was checked on, for its report.
#[pyclass(frozen, module = "gradlogp._gradlogp")]
pub(crate) struct FitChecks {
    /// At the conditions of the rows, if it has any.
    model: FittedModel,
    figures: Option<Figures>,
    rows: Array2<f64>,
    warnings: Vec<String>,
}

impl FitChecks {
    /// Of the test rows, or where there are too few, of all.
    fn of(fit: &Fit, figures: Option<Figures>, warnings: Vec<String>) -> gradlogp::Result<Self> {
        let all: Vec<usize> = (0..fit.prepared.n_rows()).collect();
        let part = if figures.is_some() { &fit.prepared.split.test } else { &all };
        let (rows, model) = (fit.prepared.rows(part), fit.prepared.model_at(&fit.model, part)?);
        Ok(FitChecks { model, figures, rows, warnings })
    }
}

#[pymethods]
impl FitChecks {
    /// The report of the fit: an HTML page.
    fn page(slf: &Bound<'_, Self>, threads: usize) -> PyResult<String> {
        let py = slf.py();
        let FitChecks { model, figures, rows, warnings } = slf.get();
        let (model, figures, rows, warnings) =
            (model.clone(), figures.clone(), rows.clone(), warnings.clone());
        let threads = pool::threads(threads).or_raise(py)?;
        let done = run(py, &Onlooker::NOBODY, move |shared: &Shared<()>| {
            threads.install(|| report::html(&model, figures, rows, warnings, shared))
        })?;
        if done.interrupted {
            return Err(pyo3::exceptions::PyKeyboardInterrupt::new_err(()));
        }
        done.result.or_raise(py)
    }
}
