//! `gradlogp fit DATA -o model.safetensors`

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gradlogp::data::{
    Dequantization, DequantizeColumns, GapRule, Split, SplitFractions, Standardization, Table,
    Transform, check_table, split_rows,
};
use gradlogp::fitted::{DataRecord, Description, FitSummary, root_mean_square_score};
use gradlogp::train::{Checkpoint, Event, Stop, TrainConfig, Trainer};
use gradlogp::{Error, FittedModel, Mlp, ModelKind, Objective};
use ndarray::{Array2, Axis};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{Show, report};
use crate::args::{FitArgs, ObjectiveArg};
use crate::input::{Loaded, Place, Source, show_warnings};
use crate::judgement::{Judgement, judge};
use crate::output::check_writable;
use crate::progress::Progress;
use crate::text::short;
use crate::{exit, interrupt};

/// Most columns for which `--objective auto` takes the exact trace.
const EXACT_COLUMNS: usize = 16;

/// Everything a fit needs to know: made from the command line, or read from a checkpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Plan {
    source: Source,
    output: PathBuf,
    report: Option<PathBuf>,
    checkpoint_every: f64,
    /// None: not at all; empty: rounded columns; else these.
    dequantize: Option<Vec<String>>,
    gap_rule: GapRule,
    standardization: Standardization,
    validation: f64,
    test: f64,
    kind: ModelKind,
    hidden: Vec<usize>,
    activation: gradlogp::kernel::Activation,
    residual: bool,
    base_scale: Option<f64>,
    /// None: chosen by the number of columns.
    objective: Option<Objective>,
    training: TrainConfig,
}

/// What a checkpoint keeps beside the weights.
#[derive(Debug, Serialize, Deserialize)]
struct Resumable {
    plan: Plan,
    content_hash: String,
    seconds: f64,
}

/// The result, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Fitted {
    model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<String>,
    stopped: String,
    steps: u64,
    best_step: u64,
    seconds: f64,
    validation_loss: Option<f64>,
    validation_loss_se: Option<f64>,
    #[serde(flatten)]
    judgement: Judgement,
    warnings: Vec<String>,
}

pub(crate) fn run(args: &FitArgs, show: Show) -> Result<ExitCode> {
    interrupt::watch();
    let (plan, checkpoint) = match &args.resume {
        Some(path) => {
            let (checkpoint, extra) = Checkpoint::load(path)?;
            let resumable: Resumable = serde_json::from_value(extra)
                .map_err(|e| Error::model_file(path, format!("does not hold a fit: {e}")))?;
            (resumable.plan.clone(), Some((checkpoint, resumable)))
        }
        None => (Plan::new(args)?, None),
    };
    check_writable(&plan.output)?;
    check_writable(&plan.checkpoint())?;
    if let Some(report) = &plan.report {
        check_writable(report)?;
    }
    let prepared = Prepared::new(&plan, show)?;
    let (trainer, stop, seconds) = train(&plan, &prepared, checkpoint, show)?;
    if stop == Stop::Interrupted {
        show.note(&format!(
            "stopped at step {} of {}; go on with: gradlogp fit --resume {}",
            trainer.step(),
            plan.training.steps,
            plan.checkpoint().display()
        ));
        return Ok(ExitCode::from(exit::INTERRUPTED));
    }
    finish(&plan, &prepared, &trainer, stop, seconds, show)
}

impl Plan {
    fn new(args: &FitArgs) -> Result<Self> {
        let (model, training) = (&args.model, &args.training);
        let kind: ModelKind = model.model.into();
        let slices = args.objective.slices;
        let objective = match args.objective.objective {
            ObjectiveArg::Auto => None,
            ObjectiveArg::Ssm => Some(Objective::Ssm { slices }),
            ObjectiveArg::SsmVr => Some(Objective::SsmVr { slices }),
            ObjectiveArg::Exact => Some(Objective::Exact),
            ObjectiveArg::Dsm => Some(Objective::Dsm { sigma: args.objective.sigma }),
        };
        if !(args.checkpoint_every >= 0.0) {
            return Err(Error::config("--checkpoint-every", "must be 0 or more seconds").into());
        }
        // Refused here, also where auto will choose an objective without slices.
        Objective::Ssm { slices }.validate()?;
        let config = TrainConfig {
            objective: objective.unwrap_or(Objective::Exact),
            law: args.objective.slice_law.into(),
            steps: training.steps,
            batch: training.batch,
            rate: training.rate,
            schedule: training.schedule.into(),
            warm_up: training.warm_up,
            clip: training.clip,
            decay: training.weight_decay,
            ema: training.ema,
            evaluate_every: training.evaluate_every,
            patience: training.patience,
            seed: args.prepare.seed,
            threads: training.threads,
        };
        config.validate()?;
        let plan = Plan {
            source: Source::new(&args.source, &args.read)?,
            output: args.output.clone(),
            report: args.report.clone(),
            checkpoint_every: args.checkpoint_every,
            dequantize: args.prepare.dequantize.clone(),
            gap_rule: args.prepare.dequantize_rule.into(),
            standardization: args.prepare.standardize.into(),
            validation: args.prepare.validation,
            test: args.prepare.test,
            kind,
            hidden: model.hidden.clone(),
            activation: model.activation.into(),
            residual: model.residual,
            base_scale: (kind == ModelKind::Potential && model.base_scale != 0.0)
                .then_some(model.base_scale),
            objective,
            training: config,
        };
        // A small stand-in: settings that no network can have are refused before the data is read.
        plan.mlp(1).build::<f32>(0)?;
        Ok(plan)
    }

    fn checkpoint(&self) -> PathBuf {
        let mut name = self.output.clone().into_os_string();
        name.push(".checkpoint");
        name.into()
    }

    fn mlp(&self, dim: usize) -> Mlp {
        Mlp {
            dim,
            kind: self.kind,
            hidden: self.hidden.clone(),
            activation: self.activation,
            residual: self.residual,
            base_scale: self.base_scale,
        }
    }

    fn config(&self, dim: usize) -> TrainConfig {
        let auto =
            if dim <= EXACT_COLUMNS { Objective::Exact } else { Objective::SsmVr { slices: 1 } };
        TrainConfig { objective: self.objective.unwrap_or(auto), ..self.training.clone() }
    }
}

/// The table, ready to train on.
struct Prepared {
    loaded: Loaded,
    content_hash: String,
    dequantization: Option<Dequantization>,
    split: Split,
    transform: Transform,
    warnings: Vec<String>,
}

impl Prepared {
    fn new(plan: &Plan, show: Show) -> Result<Self> {
        let mut loaded = plan.source.load(plan.training.seed, None)?;
        let content_hash = format!("{:016x}", loaded.table.content_hash());
        loaded.warnings.extend(check_table(&loaded.table)?);
        let dequantization = dequantize(plan, &mut loaded.table)?;
        if dequantization.is_some() {
            // What the noise was asked to cure is no longer there to warn of.
            let left = check_table(&loaded.table)?;
            let first = check_table_kinds(&left);
            loaded
                .warnings
                .retain(|w| !is_tie_warning(w) || first.contains(&std::mem::discriminant(w)));
        }
        show_warnings(show.silent(), &loaded.warnings);
        let fractions = SplitFractions {
            train: 1.0 - plan.validation - plan.test,
            validation: plan.validation,
            test: plan.test,
        };
        let split = split_rows(loaded.table.n_rows(), &fractions, plan.training.seed)?;
        let training = loaded.table.rows.select(Axis(0), &split.train);
        let transform =
            Transform::fit(plan.standardization, training.view(), &loaded.table.columns)?;
        let warnings = loaded.warnings.iter().map(ToString::to_string).collect();
        Ok(Prepared { loaded, content_hash, dequantization, split, transform, warnings })
    }

    fn rows(&self, part: &[usize]) -> Array2<f64> {
        self.loaded.table.rows.select(Axis(0), part)
    }

    /// Rows in the network's units.
    fn inside(&self, part: &[usize]) -> Vec<f32> {
        let z = self.transform.forward(self.rows(part).view());
        z.iter().map(|z| *z as f32).collect()
    }

    fn dim(&self) -> usize {
        self.loaded.table.n_columns()
    }
}

fn is_tie_warning(warning: &gradlogp::data::DataWarning) -> bool {
    use gradlogp::data::DataWarning::*;
    matches!(warning, DiscreteColumns { .. } | Spikes { .. } | DuplicateRows { .. })
}

fn check_table_kinds(
    warnings: &[gradlogp::data::DataWarning],
) -> Vec<std::mem::Discriminant<gradlogp::data::DataWarning>> {
    warnings.iter().map(std::mem::discriminant).collect()
}

fn dequantize(plan: &Plan, table: &mut Table) -> Result<Option<Dequantization>> {
    let Some(names) = &plan.dequantize else { return Ok(None) };
    let columns = match names.as_slice() {
        [] => DequantizeColumns::Discrete,
        names => DequantizeColumns::Named(names.to_vec()),
    };
    let noise = Dequantization::fit(table, plan.gap_rule, &columns)?;
    noise.apply(table, &mut ChaCha8Rng::seed_from_u64(plan.training.seed))?;
    Ok(Some(noise))
}

/// Runs the training loop; returns why it ended and how many seconds it took in all.
fn train(
    plan: &Plan,
    prepared: &Prepared,
    checkpoint: Option<(Checkpoint, Resumable)>,
    show: Show,
) -> Result<(Trainer, Stop, f64)> {
    let config = plan.config(prepared.dim());
    let network = plan.mlp(prepared.dim()).build::<f32>(config.seed)?;
    let training = prepared.inside(&prepared.split.train);
    let validation = prepared.inside(&prepared.split.validation);
    let mut before = 0.0;
    let mut trainer = match checkpoint {
        None => Trainer::new(network, training, &validation, config)?,
        Some((checkpoint, resumable)) => {
            if resumable.content_hash != prepared.content_hash {
                let message = "the table has changed since the checkpoint was written; start anew";
                return Err(Error::data(plan.source.name(), message).into());
            }
            before = resumable.seconds;
            Trainer::resume(network, training, &validation, config, checkpoint)?
        }
    };
    let start = Instant::now();
    let mut saver =
        Saver { plan, hash: &prepared.content_hash, before, start, last: start, failed: None };
    let mut bar = Progress::new(show.silent(), "fitting", trainer.step(), plan.training.steps);
    let mut held_out = trainer.history().last().map(|p| p.held_out.mean);
    let mut rows = 0u64;
    let stop = trainer.run(&mut |trainer, event| {
        match event {
            Event::Evaluated { point, .. } => {
                held_out = Some(point.held_out.mean);
            }
            Event::Step(p) => {
                rows += p.rows as u64;
                bar.at(p.step, || {
                    let rate = rows as f64 / start.elapsed().as_secs_f64();
                    let held =
                        held_out.map_or(String::new(), |l| format!(", held out {}", short(l)));
                    format!("loss {}{held}, {rate:.0} rows/s,", short(p.loss))
                });
                saver.after_step(trainer);
            }
            _ => {}
        }
        if interrupt::requested() || saver.failed.is_some() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    bar.finish();
    if stop == Stop::Interrupted && saver.failed.is_none() {
        saver.save(&trainer);
    }
    if let Some(error) = saver.failed.take() {
        return Err(error).context("the fit stopped because its checkpoint cannot be written");
    }
    let seconds = before + start.elapsed().as_secs_f64();
    Ok((trainer, stop, seconds))
}

/// Writes checkpoints now and then.
struct Saver<'a> {
    plan: &'a Plan,
    hash: &'a str,
    before: f64,
    start: Instant,
    last: Instant,
    failed: Option<anyhow::Error>,
}

impl Saver<'_> {
    /// At evaluations, when enough time has passed.
    fn after_step(&mut self, trainer: &Trainer) {
        let evaluated = trainer.step().is_multiple_of(self.plan.training.evaluate_every);
        let due =
            self.last.elapsed() >= Duration::from_secs_f64(self.plan.checkpoint_every.min(1e9));
        if evaluated && due {
            self.save(trainer);
        }
    }

    fn save(&mut self, trainer: &Trainer) {
        let resumable = Resumable {
            plan: self.plan.clone(),
            content_hash: self.hash.to_string(),
            seconds: self.before + self.start.elapsed().as_secs_f64(),
        };
        let saved = serde_json::to_value(&resumable)
            .map_err(anyhow::Error::from)
            .and_then(|extra| Ok(trainer.checkpoint().save(&self.plan.checkpoint(), &extra)?));
        self.failed = saved.err();
        self.last = Instant::now();
    }
}

fn finish(
    plan: &Plan,
    prepared: &Prepared,
    trainer: &Trainer,
    stop: Stop,
    seconds: f64,
    show: Show,
) -> Result<ExitCode> {
    let network = trainer.best_model();
    let (stopped, diverged) = match &stop {
        Stop::Completed => ("all steps taken".to_string(), None),
        Stop::Patience => ("no better held-out loss for a while".to_string(), None),
        Stop::Diverged { message } => ("diverged".to_string(), Some(message.clone())),
        other => (format!("{other:?}"), None),
    };
    let train_rows = prepared.rows(&prepared.split.train);
    let inside = prepared.transform.forward(train_rows.view());
    let scale = |axis: &Array2<f64>| axis.std_axis(Axis(0), 0.0).to_vec();
    let description = Description {
        library_version: env!("CARGO_PKG_VERSION").to_string(),
        network: plan.mlp(prepared.dim()),
        columns: prepared.loaded.table.columns.clone(),
        transform: prepared.transform.clone(),
        column_mean: train_rows.mean_axis(Axis(0)).map(|m| m.to_vec()).unwrap_or_default(),
        column_scale: scale(&train_rows),
        dequantization: prepared.dequantization.clone(),
        training: trainer.config().clone(),
        data: DataRecord {
            source: plan.source.name(),
            built_in: matches!(plan.source.place, Place::BuiltIn { .. }),
            rows: prepared.loaded.table.n_rows(),
            parts: [
                prepared.split.train.len(),
                prepared.split.validation.len(),
                prepared.split.test.len(),
            ],
            content_hash: prepared.content_hash.clone(),
        },
        summary: FitSummary {
            stopped: stopped.clone(),
            steps: trainer.step(),
            best_step: trainer.best().map_or(0, |b| b.0),
            seconds,
            score_scale: root_mean_square_score(&network, inside.view()),
            history: trainer.history().to_vec(),
        },
    };
    let model = FittedModel::new(network, description)?;
    model.save(&plan.output)?;
    remove_checkpoint(&plan.checkpoint());
    if let Some(message) = diverged {
        show.warning(&message);
    }
    let test = prepared.rows(&prepared.split.test);
    let judgement = judge(&model, test.view(), prepared.loaded.drawn_from.as_ref())?;
    if let Some(path) = &plan.report {
        report::write(&model, &judgement, test, prepared.warnings.clone(), path, show)?;
    }
    present(plan, prepared, trainer, &model, judgement, show)?;
    let code = if matches!(stop, Stop::Diverged { .. }) {
        exit::code(gradlogp::ErrorClass::Numerical)
    } else {
        0
    };
    Ok(ExitCode::from(code))
}

/// A finished fit needs none; that it cannot be removed harms nothing.
fn remove_checkpoint(path: &Path) {
    let _ = std::fs::remove_file(path);
}

fn present(
    plan: &Plan,
    prepared: &Prepared,
    trainer: &Trainer,
    model: &FittedModel,
    judgement: Judgement,
    show: Show,
) -> Result<()> {
    let summary = &model.description.summary;
    let best = trainer.best().map(|b| b.1);
    let fitted = Fitted {
        model: plan.output.display().to_string(),
        report: plan.report.as_ref().map(|p| p.display().to_string()),
        stopped: summary.stopped.clone(),
        steps: summary.steps,
        best_step: summary.best_step,
        seconds: summary.seconds,
        validation_loss: best.map(|b| b.mean),
        validation_loss_se: best.map(|b| b.standard_error),
        judgement,
        warnings: prepared.warnings.clone(),
    };
    let report = fitted.report.as_ref().map_or(String::new(), |r| format!("Report: {r}\n"));
    let text = format!(
        "{}\nFitted in {} s: {}, {} steps ({}), weights of step {}\nModel: {}\n{report}",
        fitted.judgement.table(),
        short(fitted.seconds),
        super::info::objective(model),
        fitted.steps,
        fitted.stopped,
        fitted.best_step,
        fitted.model,
    );
    show.result(&text, &fitted)
}
