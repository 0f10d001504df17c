//! All steps of a fit in their order.

use std::ops::ControlFlow;

use super::watch::{FitStep, FitWatch};
use super::{CheckedTable, Evaluation, Family, FitConfig, Prepared, Trained};
use crate::data::{DataWarning, Table};
use crate::fitted::FittedModel;
use crate::train::{Event, Stop, Trainer};
use crate::{Error, Result};

/// A fitted model with its evaluation.
pub struct Fit {
    /// The model.
    pub model: FittedModel,
    /// The figures on the test rows, or why there are none.
    pub evaluation: Result<Evaluation, Error>,
    /// Why training ended.
    pub stop: Stop,
    /// What was found in the table.
    pub warnings: Vec<DataWarning>,
    /// What else to know: of the process, and of the weights.
    pub notes: Vec<String>,
    /// The rows, and which of them trained, validated and tested the model.
    pub prepared: Prepared,
}

/// Fits a table. The library reads no clock, so the model says 0 seconds.
///
/// # Errors
/// A table or settings that cannot be used; a run that diverged before it learnt anything.
pub fn fit(table: Table, config: &FitConfig) -> Result<Fit> {
    match fit_watched(table, config, &mut ())? {
        Some(fit) => Ok(fit),
        // Nobody gives up who does not watch.
        None => Err(Error::Numerical { operation: "fit", message: "was given up".into() }),
    }
}

/// The same under way; None where `watch` gave it up.
///
/// # Errors
/// As [`fit`].
pub fn fit_watched(
    table: Table,
    config: &FitConfig,
    watch: &mut dyn FitWatch,
) -> Result<Option<Fit>> {
    config.validate()?;
    let prepared = CheckedTable::new(table, config)?.prepare(config)?;
    let (config, choice) =
        prepared.choose_objective(config, &mut |_, _| match watch.gives_up() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })?;
    if watch.gives_up() {
        return Ok(None);
    }
    let trained = train(&prepared, &config, watch)?;
    if watch.gives_up() {
        return Ok(None);
    }
    trained.usable()?;
    let mut model = prepared.model(&trained, choice, watch.seconds())?;
    if config.with_gaussians {
        model = prepared.with_gaussians(model)?;
    }
    if watch.gives_up() {
        return Ok(None);
    }
    let evaluation = prepared.evaluate(&model)?;
    let notes = [prepared.notes.clone(), trained.warnings(&config.family)].concat();
    let warnings = prepared.checked().warnings.clone();
    Ok(Some(Fit { model, evaluation, stop: trained.stop, warnings, notes, prepared }))
}

/// Trains to the end, or as far as `watch` lets it.
fn train(prepared: &Prepared, config: &FitConfig, watch: &mut dyn FitWatch) -> Result<Trained> {
    let steps = config.training.steps * config.members as u64;
    let (mut held_out, mut before, mut last) = (None, 0, 0);
    if let Family::Kernel(_) = config.family {
        return prepared.train_kernel_family(config, &mut |found| {
            held_out = found.validation.map(|loss| loss.mean).or(held_out);
            watch.step(FitStep { step: found.step, steps, loss: found.loss, held_out })
        });
    }
    prepared.train(config, &mut |_: &Trainer, event| {
        match event {
            Event::Evaluated { point, .. } => held_out = Some(point.held_out.mean),
            Event::Step(found) => {
                // The next member begins anew.
                if found.step <= last {
                    before += config.training.steps;
                }
                last = found.step;
                let (step, loss) = (before + found.step, found.loss);
                return watch.step(FitStep { step, steps, loss, held_out });
            }
        }
        ControlFlow::Continue(())
    })
}
