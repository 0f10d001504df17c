//! All steps of a fit in their order.

use std::ops::ControlFlow;

use super::{CheckedTable, Evaluation, FitConfig, Prepared};
use crate::data::{DataWarning, Table};
use crate::fitted::FittedModel;
use crate::train::Stop;
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
    config.validate()?;
    let prepared = CheckedTable::new(table, config)?.prepare(config)?;
    let go_on = &mut |_: &_, _| ControlFlow::Continue(());
    let (config, choice) = prepared.choose_objective(config, go_on)?;
    let trained = prepared.train(&config, go_on)?;
    trained.usable()?;
    let mut model = prepared.model(&trained, choice, 0.0)?;
    if config.with_gaussians {
        model = prepared.with_gaussians(model)?;
    }
    let evaluation = prepared.evaluate(&model)?;
    let notes = [prepared.notes.clone(), trained.warnings(&config.family)].concat();
    let warnings = prepared.checked().warnings.clone();
    Ok(Fit { model, evaluation, stop: trained.stop, warnings, notes, prepared })
}
