//! Training one step at a time.

use std::sync::{Mutex, PoisonError};

use gradlogp::Error;
use gradlogp::engine::Part;
use gradlogp::model::{PointSet, Points};
use gradlogp::train::{Stop, TrainConfig, Trainer};
use numpy::{PyArray1, PyReadonlyArray1, ToPyArray};
use pyo3::prelude::*;
use serde_json::{Map, Value, json};

use crate::arrays::Rows;
use crate::errors::OrRaise;
use crate::network::Network;
use crate::settings::{object, training};

/// A run of training whose steps are taken by the caller.
#[pyclass(frozen, module = "gradlogp._gradlogp")]
pub(crate) struct Steps {
    trainer: Mutex<Trainer>,
}

impl Steps {
    fn with<T: Send>(&self, py: Python<'_>, f: impl FnOnce(&mut Trainer) -> T + Send) -> T {
        py.detach(|| f(&mut self.trainer.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn config(given: &Map<String, Value>) -> gradlogp::Result<TrainConfig> {
    training(&TrainConfig::default(), given)
}

fn why(stop: Stop) -> String {
    match stop {
        Stop::Completed => "all steps taken".into(),
        Stop::Patience => "no better held-out loss for a while".into(),
        Stop::Diverged { message } => message,
        _ => "interrupted".into(),
    }
}

/// Rows and their conditions, in single precision.
fn points(
    network: &Network,
    x: &Rows<'_>,
    given: Option<&Rows<'_>>,
) -> gradlogp::Result<PointSet<f32>> {
    let (x, c) = network.points(x, given)?;
    let narrow = |values: Vec<f64>| values.into_iter().map(|x| x as f32).collect::<Vec<f32>>();
    let contexts = if c.is_empty() { Vec::new() } else { vec![narrow(c)] };
    Ok(PointSet { x: narrow(x), contexts, base: Vec::new() })
}

#[pymethods]
impl Steps {
    #[new]
    #[pyo3(signature = (network, rows, held_out, settings, given=None, held_out_given=None))]
    fn new(
        py: Python<'_>,
        network: &Network,
        rows: Rows<'_>,
        held_out: Rows<'_>,
        settings: &str,
        given: Option<Rows<'_>>,
        held_out_given: Option<Rows<'_>>,
    ) -> PyResult<Self> {
        let config = config(&object(settings)?).or_raise(py)?;
        let rows = points(network, &rows, given.as_ref()).or_raise(py)?;
        let held_out = points(network, &held_out, held_out_given.as_ref()).or_raise(py)?;
        if rows.x.iter().chain(&held_out.x).any(|x| !x.is_finite()) {
            let message = "a value is not finite, or too large for single precision";
            return Err(Error::data("X", message)).or_raise(py);
        }
        let model = network.single.clone();
        let trainer = py.detach(|| Trainer::new(model, rows, Points::from(&held_out), config));
        Ok(Steps { trainer: Mutex::new(trainer.or_raise(py)?) })
    }

    /// What a part of the next batch adds to the loss and its gradient.
    fn gradient<'py>(
        &self,
        py: Python<'py>,
        part: usize,
        of: usize,
    ) -> PyResult<(f64, Bound<'py, PyArray1<f32>>)> {
        let found = self.with(py, |trainer| {
            trainer.gradient_of_step(Part { part, of }).map(|(loss, g)| (loss, g.to_vec()))
        });
        let (loss, gradient) = found.or_raise(py)?;
        Ok((loss, gradient.to_pyarray(py)))
    }

    /// Takes the step; why the run ends, if it does.
    fn apply(
        &self,
        py: Python<'_>,
        loss: f64,
        gradient: PyReadonlyArray1<'_, f32>,
    ) -> PyResult<Option<String>> {
        let gradient = gradient.as_array().to_vec();
        let stop = self.with(py, |trainer| trainer.apply(loss, &gradient)).or_raise(py)?;
        Ok(stop.map(why))
    }

    /// The weights of now, their moving average, or the best so far.
    fn network(&self, py: Python<'_>, which: &str) -> PyResult<Network> {
        let found = self.with(py, |trainer| {
            let mut model = trainer.best_model();
            match which {
                "best" => {}
                "average" => model = trainer.averaged_model(),
                "now" => model.parameters = trainer.parameters().to_vec(),
                _ => return Err(Error::config("which", "must be now, average or best")),
            }
            Ok(model)
        });
        Ok(Network::of(found.or_raise(py)?))
    }

    /// Steps taken.
    #[getter]
    fn step(&self, py: Python<'_>) -> u64 {
        self.with(py, |trainer| trainer.step())
    }

    /// Held-out evaluations so far, as JSON.
    fn history(&self, py: Python<'_>) -> String {
        self.with(py, |trainer| json!(trainer.history()).to_string())
    }
}
