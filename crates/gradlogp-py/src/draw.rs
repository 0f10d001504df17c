//! Draws: rows of a model, and missing values of rows.

use std::ops::ControlFlow;

use gradlogp::draw::{ImputeSettings, Job, SampleConfig, Samples, Snapshot, Watch};
use gradlogp::{Error, FittedModel, Result};
use ndarray::Array2;
use serde_json::{Map, Value};

use crate::named::Named;
use crate::under_way::Shared;

/// What comes of draws: rows, what is known of them as JSON, and warnings.
pub(crate) type Drawn = (Array2<f64>, String, Vec<String>);

/// Tells the calling thread that a step was made.
struct Told<'a>(&'a Shared<()>);

impl Watch for Told<'_> {
    fn snapshot(&mut self, _look: Snapshot<'_>) -> ControlFlow<()> {
        match self.0.stops() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn stops(&mut self) -> bool {
        self.0.stops()
    }
}

/// Draws `n` rows.
pub(crate) fn sample(
    model: &FittedModel,
    n: usize,
    settings: Map<String, Value>,
    shared: &Shared<()>,
) -> Result<Drawn> {
    let (usual, mut settings) = (SampleConfig::default(), Named(settings));
    let config = SampleConfig {
        sampler: settings.take("sampler", usual.sampler)?,
        chains: settings.take("chains", usual.chains)?,
        warm_up: settings.take("warm_up", usual.warm_up)?,
        thinning: settings.take("thinning", usual.thinning)?,
        step_size: settings.take("step_size", usual.step_size)?,
        leapfrog: settings.take("leapfrog", usual.leapfrog)?,
        steps: settings.take("steps", usual.steps)?,
        schedule: settings.take("schedule", usual.schedule)?,
        corrections: settings.take("corrections", usual.corrections)?,
        seed: settings.take("random_state", usual.seed)?,
    };
    settings.done("a draw")?;
    let outcome = Job::new(model, n, &config)?.run(model, &mut Told(shared))?;
    if let Some(failure) = outcome.failure {
        return Err(failure);
    }
    let samples = outcome.samples;
    let warnings = warnings(&samples);
    let known =
        serde_json::to_string(&samples).map_err(|e| Error::config("samples", e.to_string()))?;
    Ok((samples.rows, known, warnings))
}

/// What to know of draws.
pub(crate) fn warnings(samples: &Samples) -> Vec<String> {
    let mut all: Vec<String> = samples.note.iter().chain(&samples.unchecked).cloned().collect();
    let bound = samples.r_hat_bound();
    if let Some(r_hat) = samples.max_split_r_hat.filter(|r_hat| *r_hat > bound) {
        all.push(format!(
            "the chains have not met: split R-hat is {r_hat:.3}, and should be at most {bound:.3}; draw with a longer \
             `warm_up` or `thinning`"
        ));
    }
    if let Some(stuck) = samples.stuck() {
        all.push(format!("{stuck} chains have not moved; draw with a smaller `step_size`"));
    }
    all
}

/// Draws missing values.
pub(crate) fn impute(
    model: &FittedModel,
    rows: Array2<f64>,
    settings: Map<String, Value>,
    shared: &Shared<()>,
) -> Result<Option<(Array2<f64>, Vec<String>)>> {
    let (usual, mut settings) = (ImputeSettings::default(), Named(settings));
    let config = ImputeSettings {
        draws: settings.take("draws", usual.draws)?,
        warm_up: settings.take("warm_up", usual.warm_up)?,
        steps: settings.take("steps", usual.steps)?,
        step_size: settings.take("step_size", usual.step_size)?,
        leapfrog: settings.take("leapfrog", usual.leapfrog)?,
        keep_noise: settings.take("keep_noise", usual.keep_noise)?,
        seed: settings.take("random_state", usual.seed)?,
    };
    settings.done("a draw")?;
    let found = model.impute_watched(rows.view(), &config, &mut |_, _| match shared.stops() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    })?;
    let Some(found) = found else { return Ok(None) };
    let mut warnings = Vec::new();
    warnings.extend(found.failure.iter().map(ToString::to_string));
    if let Some(rows) = found.not_mixed.as_ref().filter(|rows| !rows.is_empty()) {
        warnings.push(format!(
            "the chains of {} of {} incomplete rows have not met; draw with a longer `warm_up`",
            rows.len(),
            found.incomplete.len()
        ));
    }
    Ok(Some((found.rows, warnings)))
}
