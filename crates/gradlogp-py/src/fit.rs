//! Fits.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use gradlogp::data::Table;
use gradlogp::fit::{Fit, FitStep, FitWatch, fit_watched};
use gradlogp::train::Stop;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::{Value, json};

use crate::arrays::Rows;
use crate::errors::OrRaise;
use crate::model::Model;
use crate::under_way::{Onlooker, Shared, run};
use crate::{pool, settings};

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

/// What a fit gives: the model, what is known of it as JSON, warnings, the places of rows that did not train it, and whether
/// it was ended by Ctrl-C.
type Fitted = (Model, String, Vec<String>, Vec<usize>, bool);

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
    let (report, warnings) = (report(&fit).to_string(), warnings(&fit));
    let split = &fit.prepared.split;
    let mut held_out = [split.validation.as_slice(), &split.test].concat();
    held_out.sort_unstable();
    Ok((Model::new(Arc::new(fit.model)), report, warnings, held_out, done.interrupted))
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
fn report(fit: &Fit) -> Value {
    let description = fit.model.description();
    let summary = &description.summary;
    let best = summary.history.iter().find(|point| point.step == summary.best_step);
    let mut report = json!({
        "stopped": summary.stopped,
        "objective": description.training.objective,
        "steps": summary.steps,
        "best_step": summary.best_step,
        "seconds": summary.seconds,
        "validation_loss": best.map(|point| point.held_out.mean),
        "validation_loss_se": best.map(|point| point.held_out.standard_error),
    });
    if let (Some(report), Some(choice)) = (report.as_object_mut(), description.choice) {
        report.insert("choice".into(), json!(choice));
    }
    if let (Some(report), Ok(found)) = (report.as_object_mut(), &fit.evaluation) {
        let judged = json!({
            "rows": found.rows,
            "exact_loss": found.exact_loss.mean,
            "exact_loss_se": found.exact_loss.standard_error,
            "stein_slope": found.stein.slope.mean,
            "stein_slope_se": found.stein.slope.standard_error,
            "stein_mean_max_z": found.stein.mean_max_z,
            "stein_product_max_z": found.stein.product_max_z,
            "stein_critical_z": found.stein.critical_z,
            "consistent": found.is_consistent(),
            "verdict": found.verdict().to_string(),
            "grade": found.verdict().grade.name(),
        });
        report.extend(judged.as_object().cloned().unwrap_or_default());
        if let Some(kernel) = found.kernel_stein {
            report.insert("kernel_stein_squared".into(), json!(kernel.squared));
            report.insert("kernel_stein_p_value".into(), json!(kernel.p_value));
        }
        if let Some(likelihood) = &found.likelihood {
            let mean = likelihood.log_likelihood;
            report.insert("log_likelihood".into(), json!(mean.mean));
            report.insert("log_likelihood_se".into(), json!(mean.standard_error));
        }
    }
    report
}
