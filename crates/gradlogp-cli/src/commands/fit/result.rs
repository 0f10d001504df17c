//! Results of a fit: the model file, its evaluation, the report.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use gradlogp::fit::{Prepared, Trained};
use gradlogp::fitted::KernelDescription;
use gradlogp::train::{Choice, Stop, Trainer};
use gradlogp::{Error, FittedModel, Objective};
use gradlogp_report::Figures;
use serde::Serialize;

use super::Plan;
use super::checkpoint::Saver;
use crate::checkpoints::{Standing, resume_command};
use crate::commands::{Show, report};
use crate::exit;
use crate::input::in_table;
use crate::interrupt::{self, Keeping};
use crate::text::{self, short};

/// The result, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Fitted {
    model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<String>,
    stopped: String,
    objective: Objective,
    /// Settings that followed the size of the table.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    settings: BTreeMap<String, String>,
    /// If it was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    choice: Option<Choice>,
    steps: u64,
    best_step: u64,
    seconds: f64,
    validation_loss: Option<f64>,
    validation_loss_se: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<KernelDescription>,
    /// None if there are too few test rows.
    #[serde(flatten)]
    figures: Option<Figures>,
    warnings: Vec<String>,
}

/// Writes and checks what training left; `seconds` of training.
pub(super) fn finish(
    plan: &Plan,
    (prepared, mut warnings): (&Prepared, Vec<String>),
    trained: &Trained,
    trainer: Option<(&Trainer, Saver)>,
    keeping: Keeping,
    seconds: f64,
    show: Show,
) -> Result<ExitCode> {
    for warning in trained.warnings(&plan.fit.family) {
        let warning = exit::in_options(&warning);
        show.warning(&warning);
        warnings.push(warning);
    }
    let diverged = match &trained.stop {
        Stop::Diverged { message } => Some(exit::in_options(message)),
        _ => None,
    };
    trained.usable()?;
    if let Some(message) = &diverged {
        // Also where notes are not wanted: the exit code alone does not say what to try.
        text::error(message);
        warnings.push(message.clone());
    }
    let mut model = prepared.model(trained, plan.choice, seconds)?;
    if plan.fit.with_gaussians {
        model = prepared.with_gaussians(model)?;
    }
    if let Err(error) = model.save(&plan.output) {
        return Err(match trainer {
            Some((trainer, saver)) => unsaved(error, trainer, saver, diverged.is_none()),
            None => error.into(),
        });
    }
    if let Some((_, saver)) = trainer {
        saver.place.remove();
    }
    let unchecked = "stopped before the fit was checked; the model is written";
    interrupt::say(unchecked);
    drop(keeping);
    if interrupt::requested() {
        show.note(unchecked);
        return Ok(ExitCode::from(exit::INTERRUPTED));
    }
    let mut figures = match prepared.evaluate(&model)? {
        Ok(evaluation) => Some(Figures::from(evaluation)),
        Err(error) => {
            let name = format!("{}, test rows", model.description().data.source);
            let why = exit::message(&in_table(error, &name).into());
            let warning = format!(
                "the fit is not checked: {why}; check it on more rows with gradlogp eval {}",
                text::quoted(&plan.output)
            );
            show.warning(&warning);
            warnings.push(warning);
            None
        }
    };
    if let Some(path) = &plan.report {
        let all: Vec<usize> = (0..prepared.n_rows()).collect();
        let part = if figures.is_some() { &prepared.split.test } else { &all };
        let (rows, model) = (prepared.rows(part), prepared.model_at(&model, part)?);
        figures = report::write(&model, figures, rows, warnings.clone(), path, show)?;
    }
    present(plan, trained, &model, figures, warnings, show)?;
    let code = if diverged.is_some() { exit::code(gradlogp::ErrorClass::Numerical) } else { 0 };
    Ok(ExitCode::from(code))
}

/// The error of a model that could not be written, with what is left of the work.
fn unsaved(error: Error, trainer: &Trainer, mut saver: Saver, sound: bool) -> anyhow::Error {
    // Where there is no room for this either, an older checkpoint may still be there.
    let _ = sound.then(|| saver.save(trainer));
    let error = anyhow::Error::from(error);
    if saver.place.standing() != Standing::Ours {
        return error;
    }
    error.context(format!(
        "the model cannot be written, but the fit is kept: resume it with {} -o FILE, FILE being another place",
        resume_command("fit", &saver.place.path)
    ))
}

fn present(
    plan: &Plan,
    trained: &Trained,
    model: &FittedModel,
    figures: Option<Figures>,
    warnings: Vec<String>,
    show: Show,
) -> Result<()> {
    let summary = &model.description().summary;
    let best = trained.best.map(|b| b.1);
    let fitted = Fitted {
        model: plan.output.display().to_string(),
        report: plan.report.as_ref().map(|p| p.display().to_string()),
        stopped: summary.stopped.clone(),
        objective: model.description().training.objective,
        settings: plan.sized.clone(),
        choice: model.description().choice,
        steps: summary.steps,
        best_step: summary.best_step,
        seconds: summary.seconds,
        validation_loss: best.map(|b| b.mean),
        validation_loss_se: best.map(|b| b.standard_error),
        kernel: trained.kernel.clone(),
        figures,
        warnings,
    };
    let table = fitted.figures.as_ref().map_or(String::new(), |j| j.table() + "\n");
    let report = fitted.report.as_ref().map_or(String::new(), |r| format!("Report: {r}\n"));
    let kernel =
        model.description().kernel.as_ref().map_or(String::new(), gradlogp_report::kernel_summary);
    let text = format!(
        "{table}{kernel}Fitted in {} s: {}, {} steps ({}), weights of step {}\nModel: {}\n{report}",
        short(fitted.seconds),
        gradlogp_report::objective(model),
        fitted.steps,
        fitted.stopped,
        fitted.best_step,
        fitted.model,
    );
    show.result(&text, &fitted)
}
