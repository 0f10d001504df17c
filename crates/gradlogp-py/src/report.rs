//! Checks of a model on rows, and its report as a page.

use std::ops::ControlFlow;

use gradlogp::data::Table;
use gradlogp::draw::{Job, SampleConfig, Snapshot, Watch};
use gradlogp::fit::{evaluate, evaluate_at_its_time, evaluate_over_times};
use gradlogp::{Error, FittedModel, Result};
use gradlogp_report::{Drawn, Figures, Frames, OverTimes, ToDraw, notes, page};
use ndarray::Array2;
use pyo3::{PyResult, Python};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::draw::warnings;
use crate::errors::in_python;
use crate::under_way::Shared;

/// Rows, and their conditions if there are any.
pub(crate) type On = (Array2<f64>, Option<Array2<f64>>);

/// The figures of an evaluation on rows, as JSON.
pub(crate) fn check(model: &FittedModel, on: On, seed: u64) -> Result<String> {
    let (model, rows) = ready(model, on, seed)?;
    if model.over_time().is_some() {
        let found = evaluate_over_times(&model, rows.view(), None, seed)?;
        return json(&OverTimes::new(found, None));
    }
    json(&Figures::from(evaluate(&model, rows.view(), None, seed)?))
}

pub(crate) fn json(figures: &impl Serialize) -> Result<String> {
    serde_json::to_string(figures).map_err(|e| Error::config("figures", e.to_string()))
}

/// The report on rows that did not train the model.
pub(crate) fn of_rows(
    model: &FittedModel,
    on: On,
    seed: u64,
    shared: &Shared<()>,
) -> Result<String> {
    let (model, rows) = ready(model, on, seed)?;
    let of_checks = model.description().training.seed;
    let found = evaluate_at_its_time(&model, rows.view(), None, (seed, of_checks))?;
    html(&model, Some(Figures::from(found)), rows, Vec::new(), shared)
}

/// The model at the conditions of the rows, and the rows with the noise of rounding that it was fitted with.
fn ready(model: &FittedModel, (rows, given): On, seed: u64) -> Result<(FittedModel, Array2<f64>)> {
    let columns = model.description().columns.clone();
    let mut table = Table::new("X", columns, rows)?;
    if let Some(noise) = &model.description().dequantization {
        noise.apply(&mut table, &mut ChaCha8Rng::seed_from_u64(seed))?;
    }
    let model = match given {
        Some(given) => model.at_condition(given.view())?,
        None => model.clone(),
    };
    Ok((model, table.rows))
}

/// The page, with samples drawn for its pictures.
pub(crate) fn html(
    model: &FittedModel,
    figures: Option<Figures>,
    rows: Array2<f64>,
    known: Vec<String>,
    shared: &Shared<()>,
) -> Result<String> {
    let mut all = [known, notes(model)].concat();
    let drawing = ToDraw::of(model);
    let config = SampleConfig { chains: drawing.chains, ..SampleConfig::default() };
    let mut frames = Frames::new(&drawing.model, (0, 0));
    let outcome = Job::new(&drawing.model, drawing.rows, &config).and_then(|job| {
        frames = Frames::new(&drawing.model, job.traced());
        job.run(&drawing.model, &mut Seen { frames: &mut frames, shared })
    });
    let samples = match outcome {
        Ok(outcome) => {
            all.extend(warnings(&outcome.samples));
            all.extend(outcome.failure.map(|why| format!("sampling ended early: {why}")));
            Some(outcome.samples).filter(|drawn| drawn.draws > 0)
        }
        Err(why) => {
            all.push(format!("no samples: {why}"));
            None
        }
    };
    let all = all.iter().map(|text| Python::attach(|py| in_python(py, text)));
    let all: PyResult<Vec<String>> = all.collect();
    let all = all.map_err(|e| Error::config("report", e.to_string()))?;
    let frames = frames.rows;
    let drawn = Drawn { samples, frames, warnings: all, ..Drawn::default() };
    let found = page(model, figures, rows, &drawn);
    found.map(|(page, _)| page).map_err(|e| Error::config("report", e.to_string()))
}

/// Keeps pictures of the way, and ends where the caller says so.
struct Seen<'a, 'm> {
    frames: &'a mut Frames<'m>,
    shared: &'a Shared<()>,
}

impl Watch for Seen<'_, '_> {
    fn snapshot(&mut self, look: Snapshot<'_>) -> ControlFlow<()> {
        self.frames.see(&look);
        match self.shared.stops() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn stops(&mut self) -> bool {
        self.shared.stops()
    }
}
