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
use gradlogp::diagnose::BaselineComparison;
use gradlogp::domain::{Boxed, Domain};
use gradlogp::fitted::{
    DataRecord, Description, FitSummary, GivenColumns, KernelDescription, NoiseRecord,
    root_mean_square_score,
};
use gradlogp::model::{Conditioning, LossPass, PointSet};
use gradlogp::train::{
    Checkpoint, Choice, Event, HeldOutLoss, HistoryPoint, PILOT, Stop, TrainConfig, Trainer,
    choose_objective,
};
use gradlogp::{Error, FittedModel, Mlp, Model, ModelKind, Objective};
use ndarray::{Array2, ArrayView2, Axis};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::fit_kernel::{self, KernelPlan};
use super::{Show, report};
use crate::args::{FitArgs, ModelArg, ObjectiveArg, StandardizeArg, flat};
use crate::bounds::Region;
use crate::checkpoints::{self, Standing};
use crate::exit;
use crate::input::{Loaded, Place, Source, in_named_table, show_warnings, warning_text};
use crate::interrupt::{self, Keeping};
use crate::judgement::Judgement;
use crate::limits::{check_network, check_step, check_threads};
use crate::noise::{self, NoisePlan};
use crate::over_times::judge_at_its_time;
use crate::places::Places;
use crate::progress::Progress;
use crate::text::{self, short};

/// Most columns for which kernel families take the exact trace unless told otherwise.
const EXACT_COLUMNS: usize = 16;

/// Everything a fit needs to know: made from the command line, or read from a checkpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) source: Source,
    output: PathBuf,
    report: Option<PathBuf>,
    checkpoint_every: f64,
    /// Columns that the model is conditioned on.
    #[serde(default)]
    given: Vec<String>,
    /// How the network reads them.
    #[serde(default)]
    conditioning: Conditioning,
    /// None: not at all; empty: rounded columns; else these.
    dequantize: Option<Vec<String>>,
    gap_rule: GapRule,
    standardization: Standardization,
    validation: f64,
    pub(super) test: f64,
    /// Where all rows lie; None: anywhere.
    #[serde(default)]
    region: Option<Region>,
    #[serde(default)]
    boundary_power: f64,
    pub(super) kind: ModelKind,
    pub(super) hidden: Vec<usize>,
    activation: gradlogp::numeric::Activation,
    residual: bool,
    base_scale: Option<f64>,
    /// The objective is still to be chosen: exact, or the sliced one that `training` holds.
    choose: bool,
    /// How it was chosen.
    pub(super) choice: Option<Choice>,
    /// For time models.
    pub(super) noise: Option<NoisePlan>,
    pub(super) training: TrainConfig,
    /// For kernel families.
    #[serde(default)]
    pub(super) kernel: Option<KernelPlan>,
}

/// What training leaves, of whatever kind of model.
pub(super) struct Outcome {
    pub(super) network: Model<f32>,
    pub(super) settings: Mlp,
    pub(super) config: TrainConfig,
    pub(super) steps: u64,
    pub(super) best: Option<(u64, HeldOutLoss)>,
    pub(super) history: Vec<HistoryPoint>,
    pub(super) kernel: Option<KernelDescription>,
}

/// What a checkpoint keeps beside the weights.
#[derive(Debug, Serialize, Deserialize)]
struct Resumable {
    plan: Plan,
    content_hash: String,
    seconds: f64,
    /// Worker threads, as many as there were cores where the plan says 0: results depend on their number.
    #[serde(default)]
    threads: Option<usize>,
    /// What was asked for, by which a checkpoint is known to be of this fit.
    #[serde(default)]
    run: serde_json::Value,
}

/// The result, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Fitted {
    model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<String>,
    stopped: String,
    objective: Objective,
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
    judgement: Option<Judgement>,
    warnings: Vec<String>,
}

pub(crate) fn run(args: &FitArgs, show: Show) -> Result<ExitCode> {
    let (plan, checkpoint) = match &args.resume {
        Some(path) => {
            let (checkpoint, mut resumable) = read_checkpoint(path)?;
            resumable.check().map_err(|e| in_checkpoint(path, &e))?;
            resumable.plan.take_places(args)?;
            (resumable.plan.clone(), Some((checkpoint, resumable)))
        }
        None => (Plan::new(args)?, None),
    };
    let run = match &checkpoint {
        Some((_, resumable)) => resumable.run.clone(),
        None => plan.identity()?,
    };
    let place = checkpoints::Place::of_fit(&plan.output, run);
    plan.check_places(args.resume.as_deref(), &place, show)?;
    let prepared = Prepared::new(&plan)?;
    let plan = plan.settle(&prepared, show)?;
    if let Some(kernel) = &plan.kernel {
        let start = Instant::now();
        let config = plan.training.clone();
        let training = prepared.inside(&prepared.split.train)?;
        let validation = prepared.inside(&prepared.split.validation)?;
        let batch = config.batch.min(prepared.split.train.len());
        kernel.check_step(prepared.dim(), batch, &config.objective)?;
        // Refused with a condition, so rows are x alone.
        let rows = [training.x, validation.x];
        let (outcome, stop) = fit_kernel::train(kernel, config, prepared.dim(), rows, show)?;
        let seconds = start.elapsed().as_secs_f64();
        return finish(&plan, &prepared, outcome, None, (stop, interrupt::keep()), seconds, show);
    }
    let resumed = checkpoint.zip(args.resume.as_deref());
    let (trainer, stop, saver, keeping) = train(&plan, &prepared, &place, resumed, show)?;
    let seconds = saver.seconds();
    if stop == Stop::Interrupted {
        show.note(&format!(
            "stopped at step {} of {}; go on with: {}",
            trainer.step(),
            plan.training.steps,
            resume_command(&place.path)
        ));
        return Ok(ExitCode::from(exit::INTERRUPTED));
    }
    let outcome = Outcome {
        network: trainer.best_model(),
        settings: plan.mlp(prepared.dim()),
        // The number of threads as it was asked for.
        config: TrainConfig { threads: plan.training.threads, ..trainer.config().clone() },
        steps: trainer.step(),
        best: trainer.best(),
        history: trainer.history().to_vec(),
        kernel: None,
    };
    let kept = Some((&trainer, saver));
    finish(&plan, &prepared, outcome, kept, (stop, keeping), seconds, show)
}

fn read_checkpoint(path: &Path) -> Result<(Checkpoint, Resumable)> {
    if !path.exists() {
        let why = "there is no such file. A fit writes its first checkpoint at the first evaluation \
                   after --checkpoint-every seconds and removes it when it is done; if none was \
                   written, start the fit anew";
        return Err(Error::io(path, "read", std::io::Error::other(why)).into());
    }
    let (checkpoint, extra) = Checkpoint::load(path)?;
    let resumable = serde_json::from_value(extra)
        .map_err(|e| Error::model_file(path, format!("does not hold a fit: {e}")))?;
    Ok((checkpoint, resumable))
}

/// What a checkpoint file holds, in words, for `gradlogp info`.
pub(super) fn checkpoint_settings(path: &Path) -> Result<Vec<(String, String)>> {
    let (checkpoint, Resumable { plan, seconds, .. }) = read_checkpoint(path)?;
    let steps =
        format!("{} of {} done in {} s", checkpoint.step(), plan.training.steps, short(seconds));
    Ok(vec![
        ("Checkpoint".into(), "an unfinished fit".into()),
        ("Data".into(), plan.source.name()),
        ("Steps".into(), steps),
        ("Model to be".into(), plan.output.display().to_string()),
        ("Go on with".into(), resume_command(path)),
    ])
}

/// What is wrong with the contents of a checkpoint.
fn in_checkpoint(path: &Path, error: &anyhow::Error) -> Error {
    let message = exit::message(error);
    Error::model_file(path, format!("holds what no fit of this program has written: {message}"))
}

impl Resumable {
    /// Refuses what no command line gives.
    fn check(&self) -> Result<()> {
        self.plan.check()?;
        check_threads(self.threads.unwrap_or(0))?;
        if self.plan.kernel.is_some() {
            return Err(Error::config("kernel", "kernel families keep no checkpoint").into());
        }
        if !(self.seconds >= 0.0) {
            return Err(Error::config("seconds", "must be 0 or more").into());
        }
        Ok(())
    }
}

fn resume_command(checkpoint: &Path) -> String {
    format!("gradlogp fit --resume {}", crate::text::quoted(checkpoint))
}

impl Plan {
    pub(super) fn new(args: &FitArgs) -> Result<Self> {
        let (model, training) = (&args.model, &args.training);
        let slices = args.objective.slices;
        let noise = NoisePlan::new(&args.noise, slices)?;
        let usual = if noise.is_some() { ModelArg::Score } else { ModelArg::Potential };
        let kind: ModelKind = model.model.unwrap_or(usual).into();
        check_beside_noise(args, noise.as_ref())?;
        let objective = args.objective.chosen();
        check_shares(args.prepare.validation, args.prepare.test)?;
        let region = args.boundary.region();
        if region.is_some() {
            check_boundary(args, objective)?;
        }
        let over_time = noise.is_some();
        let hidden = model.hidden(over_time);
        check_network(1, &hidden, kind, training.threads)?;
        // Refused here, also where the objective has no slices.
        Objective::Ssm { slices }.validate()?;
        let objective = noise.as_ref().map(|noise| noise.objective).or(objective);
        let config = TrainConfig {
            objective: objective.unwrap_or(Objective::SsmVr { slices }),
            law: args.objective.slice_law.into(),
            domain: None,
            steps: training.steps,
            batch: training.batch,
            rate: training.rate,
            schedule: training.schedule.into(),
            warm_up: training.warm_up,
            clip: training.clip,
            decay: training.weight_decay,
            ema: training.ema,
            evaluate_every: training.evaluate_every,
            patience: training.patience.unwrap_or(if over_time { 0 } else { 20 }),
            seed: args.prepare.seed,
            threads: training.threads,
        };
        config.validate()?;
        let mut plan = Plan {
            source: Source::new(&args.source, &args.read)?,
            output: "model.safetensors".into(),
            report: None,
            checkpoint_every: 5.0,
            given: flat(&args.prepare.given),
            conditioning: args.noise.conditioning.map_or(Conditioning::Concat, Into::into),
            dequantize: args.prepare.dequantize.as_deref().map(flat),
            gap_rule: args.prepare.dequantize_rule.into(),
            standardization: args.prepare.standardize.into(),
            validation: args.prepare.validation,
            test: args.prepare.test,
            region,
            boundary_power: args.boundary.boundary_power,
            kind,
            hidden,
            activation: model.activation(over_time).into(),
            residual: model.residual,
            base_scale: (kind == ModelKind::Potential && noise.is_none())
                .then_some(model.base_scale.unwrap_or(3.0))
                .filter(|tau| *tau != 0.0),
            choose: objective.is_none(),
            choice: None,
            noise,
            training: config,
            kernel: KernelPlan::new(model)?,
        };
        if args.noise.conditioning.is_some() && plan.noise.is_none() && plan.given.is_empty() {
            let message = "is for models with --noise or --given; leave it out";
            return Err(Error::config("--conditioning", message).into());
        }
        if let Some(kernel) = &plan.kernel {
            plan.base_scale = Some(kernel.base_sd);
            plan.training = kernel.settings(&plan.training);
        }
        plan.take_places(args)?;
        plan.check()?;
        Ok(plan)
    }

    /// Refuses what no fit can have, whether it comes from a command line or from a checkpoint.
    fn check(&self) -> Result<()> {
        self.source.check()?;
        check_shares(self.validation, self.test)?;
        check_threads(self.training.threads)?;
        check_every(self.checkpoint_every)?;
        if self.kernel.is_some() && !self.given.is_empty() {
            let message = "kernel families have no condition; use --model potential or score";
            return Err(Error::config("--given", message).into());
        }
        if self.region.is_some() && !self.given.is_empty() {
            let message = "models with bounds have no condition; leave one of the two out";
            return Err(Error::config("--given", message).into());
        }
        if self.kernel.is_some() && self.region.is_some() {
            let message = "kernel families are not fitted with bounds; use potential or score";
            return Err(Error::config("--model", message).into());
        }
        if let Some(noise) = &self.noise {
            noise.check()?;
        }
        self.training.validate()?;
        check_network(1, &self.hidden, self.kind, self.training.threads)?;
        // A small stand-in: settings that no network can have are refused before the data is read.
        let stand_in = self.mlp(1).build::<f32>(0)?;
        if !self.choose {
            LossPass::check(&self.training.objective, &stand_in)?;
        }
        Ok(())
    }

    /// All that decides the result, as it was asked for.
    fn identity(&self) -> Result<serde_json::Value> {
        let (output, report, checkpoint_every) = (PathBuf::new(), None, 0.0);
        Ok(serde_json::to_value(Plan { output, report, checkpoint_every, ..self.clone() })?)
    }

    /// Takes over where to write, as far as it is given.
    fn take_places(&mut self, args: &FitArgs) -> Result<()> {
        if let Some(seconds) = args.checkpoint_every {
            // JSON knows no infinity.
            self.checkpoint_every = seconds.min(EVERY_MOST);
            check_every(self.checkpoint_every)?;
        }
        self.output = args.output.clone().unwrap_or_else(|| self.output.clone());
        self.report = args.report.clone().or_else(|| self.report.clone());
        Ok(())
    }

    /// Refuses places that cannot be written, or hold what is read or another run's checkpoint.
    fn check_places(
        &self,
        resume: Option<&Path>,
        place: &checkpoints::Place,
        show: Show,
    ) -> Result<()> {
        // It goes on in the file that it came from.
        let keeps = self.kernel.is_none() && !place.is_file(resume);
        Places::default()
            .reads("DATA", self.source.place.file())
            .reads("--resume", resume)
            .writes("--output", Some(&self.output))
            .writes("--report", self.report.as_deref())
            .writes("the checkpoint of --output", keeps.then_some(&place.path))
            .check()?;
        if keeps && place.check()? == Standing::Ours {
            let path = place.path.display();
            show.warning(&format!(
                "{path} holds an unfinished fit with the same settings, which this one replaces; to go \
                 on with that one instead: {}",
                resume_command(&place.path)
            ));
        }
        Ok(())
    }

    pub(super) fn mlp(&self, dim: usize) -> Mlp {
        Mlp {
            dim,
            kind: self.kind,
            hidden: self.hidden.clone(),
            activation: self.activation,
            residual: self.residual,
            base_scale: self.base_scale,
            given: self.given.len(),
            conditioning: self.conditioning,
        }
    }

    /// Chooses the objective where that was left to us.
    pub(super) fn settle(mut self, prepared: &Prepared, show: Show) -> Result<Plan> {
        if !self.choose {
            return Ok(self);
        }
        if self.kernel.is_some() {
            // Their weights have a closed form: there is no gradient to weigh.
            if prepared.dim() <= EXACT_COLUMNS {
                self.training.objective = Objective::Exact;
            }
            self.choose = false;
            return Ok(self);
        }
        let config = self.config(prepared);
        let network = self.network(prepared)?;
        let training = prepared.inside(&prepared.split.train)?;
        let mut bar = Progress::new(show.silent(), "choosing the objective", 0, PILOT);
        let mut observe = |_: &Trainer, event: Event| {
            if let Event::Step(p) = event {
                bar.at(p.step, String::new);
            }
            ControlFlow::Continue(())
        };
        let choice = choose_objective(&network, &training, &config, &mut observe)?;
        bar.finish();
        // It stops only where the observer asks for it.
        let Some(choice) = choice else { return Ok(self) };
        show.note(&format!("objective {}", super::info::reason(&choice, &self.training)));
        self.training.objective = choice.objective;
        (self.choose, self.choice) = (false, Some(choice));
        Ok(self)
    }

    /// The settings of training in the network's units.
    pub(super) fn config(&self, prepared: &Prepared) -> TrainConfig {
        let transform = &prepared.transform;
        let inside = |domain: &Domain| {
            domain.scaled(&transform.mean().to_vec(), &transform.standard_deviations().to_vec())
        };
        TrainConfig { domain: prepared.domain.as_ref().map(inside), ..self.training.clone() }
    }

    /// The network with its initial weights, if this machine can train it.
    pub(super) fn network(&self, prepared: &Prepared) -> Result<Model<f32>> {
        self.check_size(prepared)?;
        Ok(self.mlp(prepared.dim()).build::<f32>(self.training.seed)?)
    }

    /// Refuses what this machine cannot train.
    fn check_size(&self, prepared: &Prepared) -> Result<()> {
        let (dim, config) = (prepared.dim(), &self.training);
        check_network(dim, &self.hidden, self.kind, config.threads)?;
        let batch = config.batch.min(prepared.split.train.len());
        check_step(dim, &self.hidden, batch, &config.objective)
    }
}

/// Refuses options that have no effect on a time model.
fn check_beside_noise(args: &FitArgs, noise: Option<&NoisePlan>) -> Result<()> {
    let Some(noise) = noise else { return Ok(()) };
    if args.objective.objective != ObjectiveArg::Auto {
        let message = "a time model has --noise-objective instead";
        return Err(Error::config("--objective", message).into());
    }
    if !args.prepare.given.is_empty() {
        let message = "a time model has no condition; leave it out, or fit without --noise";
        return Err(Error::config("--given", message).into());
    }
    if args.boundary.region().is_some() {
        let message =
            "noise carries rows across the bounds; leave them out, or fit without --noise";
        return Err(Error::config("--noise", message).into());
    }
    if args.model.model.is_some_and(ModelArg::is_kernel_family) {
        let message = "a kernel family does not know the time; use potential or score";
        return Err(Error::config("--model", message).into());
    }
    if args.model.base_scale.is_some() {
        let message = "a time model has its base from the noise; leave it out";
        return Err(Error::config("--base-scale", message).into());
    }
    if args.model.residual {
        let message = "time models have none; leave it out";
        return Err(Error::config("--residual", message).into());
    }
    if noise.is_custom() && args.prepare.standardize == StandardizeArg::Whiten {
        let message = "whiten mixes the columns, and a process of your own moves each by itself; use \
                       standardize, robust, common or none";
        return Err(Error::config("--standardize", message).into());
    }
    Ok(())
}

fn check_boundary(args: &FitArgs, objective: Option<Objective>) -> Result<()> {
    if Standardization::from(args.prepare.standardize) == Standardization::Whiten {
        let message = "whiten mixes the columns that bounds belong to; use standardize or none";
        return Err(Error::config("--standardize", message).into());
    }
    if let Some(objective) = objective {
        objective.check_bounded()?;
    }
    // The power alone: the columns are not known before the data is read.
    Domain::Box(Boxed { columns: vec![], power: args.boundary.boundary_power }).validate()?;
    Ok(())
}

/// Most seconds between checkpoints.
const EVERY_MOST: f64 = 1e9;

fn check_every(seconds: f64) -> Result<()> {
    if (0.0..=EVERY_MOST).contains(&seconds) {
        return Ok(());
    }
    Err(Error::config("--checkpoint-every", "must be 0 or more seconds").into())
}

fn check_shares(validation: f64, test: f64) -> Result<()> {
    if !(validation > 0.0 && validation < 1.0) {
        let message = "must lie between 0 and 1: these rows decide which weights are kept";
        return Err(Error::config("--validation", message).into());
    }
    if !(0.0..1.0).contains(&test) {
        return Err(Error::config("--test", "must be 0 or more, and below 1").into());
    }
    if validation + test >= 1.0 {
        let message =
            format!("with --validation {validation} and --test {test} no row is left to train on");
        return Err(Error::config("--test", message).into());
    }
    Ok(())
}

/// The table, ready to train on.
pub(super) struct Prepared {
    loaded: Loaded,
    content_hash: String,
    dequantization: Option<Dequantization>,
    pub(super) split: Split,
    transform: Transform,
    given: Option<GivenColumns>,
    /// Means and standard deviations of the training columns.
    units: Transform,
    /// Where all rows lie, in the columns' units.
    domain: Option<Domain>,
    /// For time models.
    noise: Option<NoiseRecord>,
    warnings: Vec<String>,
}

impl Prepared {
    pub(super) fn new(plan: &Plan) -> Result<Self> {
        let mut loaded = plan.source.load(plan.training.seed, None)?;
        let content_hash = format!("{:016x}", loaded.table.content_hash());
        loaded.take_given(&plan.given)?;
        // Its noise comes first: it is for constant columns too.
        let whole = plan.gap_rule == GapRule::Whole;
        if !whole {
            loaded.warnings.extend(check_table(&loaded.table)?);
        }
        let dequantization = dequantize(plan, &mut loaded.table)?;
        if whole {
            loaded.warnings.extend(check_table(&loaded.table)?);
        } else if dequantization.is_some() {
            // What the noise was asked to cure is no longer there to warn of.
            let left = check_table(&loaded.table)?;
            let first = check_table_kinds(&left);
            loaded
                .warnings
                .retain(|w| !is_tie_warning(w) || first.contains(&std::mem::discriminant(w)));
        }
        show_warnings(&loaded.warnings);
        let fractions = SplitFractions {
            train: 1.0 - plan.validation - plan.test,
            validation: plan.validation,
            test: plan.test,
        };
        let name = plan.source.name();
        let rows = loaded.table.n_rows();
        let split = split_rows(rows, &fractions, plan.training.seed)?;
        if split.train.len() < 2 {
            let message = format!("{rows} rows are too few: only one would be left to train on");
            return Err(Error::data(name, message).into());
        }
        let training = loaded.table.rows.select(Axis(0), &split.train);
        let fit = |kind| {
            Transform::fit(kind, training.view(), &loaded.table.columns)
                .map_err(|e| in_training_rows(e, &name))
        };
        let transform = fit(plan.standardization)?;
        let given = loaded.given.as_ref().map(|table| -> Result<GivenColumns> {
            let columns = table.columns.clone();
            let training = table.rows.select(Axis(0), &split.train);
            let transform = Transform::fit(plan.standardization, training.view(), &columns)
                .map_err(|e| in_training_rows(e, &name))?;
            let range = training.columns().into_iter().map(|column| {
                let ends = [f64::INFINITY, f64::NEG_INFINITY];
                column.iter().fold(ends, |[low, high], x| [low.min(*x), high.max(*x)])
            });
            Ok(GivenColumns { columns, transform, range: Some(range.collect()) })
        });
        let given = given.transpose()?;
        let units = fit(Standardization::Standardize)?;
        let domain = domain(plan, &loaded.table, &units, dequantization.is_some())?;
        let mut warnings: Vec<String> = loaded.warnings.iter().map(warning_text).collect();
        let noise = plan.noise.as_ref().map(|noise| -> Result<NoiseRecord> {
            let columns = &loaded.table.columns;
            let notes = noise.notes(columns, transform.forward(training.view()).view())?;
            notes.iter().for_each(|note| text::warning(note));
            warnings.extend(notes);
            let network = plan.mlp(columns.len());
            noise.record(&network, columns, training.view(), &transform, plan.training.seed)
        });
        let noise = noise.transpose()?;
        Ok(Prepared {
            loaded,
            content_hash,
            dequantization,
            split,
            transform,
            given,
            units,
            domain,
            noise,
            warnings,
        })
    }

    /// The map to the units in which a model file says that its network, or the process of one, works: none where
    /// a process of one's own scales the columns anew at every time.
    fn lasting_transform(&self) -> Transform {
        match &self.noise {
            Some(NoiseRecord { scaling: Some(_), .. }) => Transform::identity(self.dim()),
            _ => self.transform.clone(),
        }
    }

    pub(super) fn rows(&self, part: &[usize]) -> Array2<f64> {
        self.loaded.table.rows.select(Axis(0), part)
    }

    /// The conditions of some rows; no columns without any.
    fn conditions(&self, part: &[usize]) -> Array2<f64> {
        let all = self.loaded.given.as_ref();
        all.map_or_else(|| Array2::zeros((part.len(), 0)), |c| c.rows.select(Axis(0), part))
    }

    /// Rows in the network's units, with their conditions.
    pub(super) fn inside(&self, part: &[usize]) -> Result<PointSet<f32>> {
        let x = narrow(&self.loaded.table, &self.rows(part), &self.transform)?;
        let mut set = PointSet::from(x);
        if let (Some(given), Some(table)) = (&self.given, &self.loaded.given) {
            set.contexts.push(narrow(table, &self.conditions(part), &given.transform)?);
        }
        Ok(set)
    }

    /// The model at the conditions of some rows.
    pub(super) fn model_at(&self, model: &FittedModel, part: &[usize]) -> Result<FittedModel> {
        Ok(model.given(self.conditions(part).view())?)
    }

    pub(super) fn dim(&self) -> usize {
        self.loaded.table.n_columns()
    }

    pub(super) fn columns(&self) -> &[String] {
        &self.loaded.table.columns
    }
}

/// Some rows of a table in the network's units and precision.
fn narrow(table: &Table, rows: &Array2<f64>, transform: &Transform) -> Result<Vec<f32>> {
    let z = transform.forward(rows.view());
    let bad = z.indexed_iter().find(|(_, z)| !(**z as f32).is_finite());
    if let Some(((row, column), _)) = bad {
        return Err(Error::Data {
            source_name: table.name.clone(),
            row: None,
            column: Some(table.columns[column].clone()),
            message: format!(
                "{:e} is too large for the network's single precision; scale the columns with \
                 --standardize standardize, or remove such outliers",
                rows[[row, column]]
            ),
        }
        .into());
    }
    Ok(z.iter().map(|z| *z as f32).collect())
}

/// The domain asked for; refuses rows outside.
fn domain(
    plan: &Plan,
    table: &Table,
    units: &Transform,
    dequantized: bool,
) -> Result<Option<Domain>> {
    let Some(region) = &plan.region else { return Ok(None) };
    let name = plan.source.name();
    region.check_parts(table.rows.view(), &table.columns, &name)?;
    let domain = region.domain(&table.columns, units, plan.boundary_power)?;
    let noisy = if dequantized { ", with the noise of --dequantize" } else { "" };
    domain.check(table.rows.view(), &table.columns, &format!("{name}{noisy}"))?;
    Ok(Some(domain))
}

/// Says of which table the training rows are.
fn in_training_rows(error: Error, name: &str) -> Error {
    match error {
        Error::Data { source_name, row, column, message } => {
            Error::Data { source_name: format!("{name}, {source_name}"), row, column, message }
        }
        other => other,
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

/// Runs the training loop; returns why it ended, what a checkpoint of it holds, and what keeps signals from ending the
/// program before the result is written.
fn train(
    plan: &Plan,
    prepared: &Prepared,
    place: &checkpoints::Place,
    resumed: Option<((Checkpoint, Resumable), &Path)>,
    show: Show,
) -> Result<(Trainer, Stop, Saver, Keeping)> {
    let mut config = plan.config(prepared);
    plan.check_size(prepared)?;
    let threads = resumed.as_ref().and_then(|((_, resumable), _)| resumable.threads);
    if let Some(threads) = threads.filter(|_| config.threads == 0) {
        config.threads = threads;
        if std::thread::available_parallelism().is_ok_and(|cores| cores.get() != threads) {
            show.note(&format!(
                "going on with {threads} threads, as the fit began: its result depends on their number"
            ));
        }
    }
    let trainer = new_trainer(plan, prepared, config)?;
    let threads = trainer.threads();
    let mut before = 0.0;
    let mut trainer = match resumed {
        None => trainer,
        Some(((checkpoint, resumable), path)) => {
            if resumable.content_hash != prepared.content_hash {
                let message = "the table has changed since the checkpoint was written; start anew";
                return Err(Error::data(plan.source.name(), message).into());
            }
            before = resumable.seconds;
            trainer.restored(checkpoint).map_err(|e| in_checkpoint(path, &e.into()))?
        }
    };
    let start = Instant::now();
    let (plan_kept, hash) = (plan.clone(), prepared.content_hash.clone());
    let mut saver = Saver {
        plan: plan_kept,
        place: place.clone(),
        hash,
        threads,
        before,
        start,
        last: start,
        warned: false,
    };
    let mut bar = Progress::new(show.silent(), "fitting", trainer.step(), plan.training.steps);
    let mut held_out = trainer.history().last().map(|p| p.held_out.mean);
    let mut learns = trainer.history().iter().any(|p| p.held_out.beats_no_score());
    let mut rows = 0u64;
    let mut observe = |trainer: &Trainer, event| {
        match event {
            Event::Evaluated { point, .. } => {
                held_out = Some(point.held_out.mean);
                if !learns && point.held_out.beats_no_score() {
                    learns = true;
                } else if !learns && point.step >= plan.training.steps.div_ceil(EARLY) {
                    learns = true;
                    bar.warn(&nothing_learnt(point, plan.training.steps));
                }
            }
            Event::Step(p) => {
                rows += p.rows as u64;
                bar.at(p.step, || {
                    let rate = rows as f64 / start.elapsed().as_secs_f64();
                    let held =
                        held_out.map_or(String::new(), |l| format!(", held out {}", short(l)));
                    format!("loss {}{held}, {rate:.0} rows/s,", short(p.loss))
                });
                if let Some(warning) = saver.after_step(trainer) {
                    bar.warn(&warning);
                }
            }
            _ => {}
        }
        if interrupt::requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let keeping = interrupt::keep();
    let stop = match out_of_patience(&trainer) {
        true => Stop::Patience,
        false => trainer.run(&mut observe),
    };
    bar.finish();
    if stop == Stop::Interrupted {
        saver.save(&trainer).context("stopped, but the checkpoint cannot be written")?;
    }
    Ok((trainer, stop, saver, keeping))
}

/// Said once, when this share of the steps has left the loss where it was.
const EARLY: u64 = 5;

fn nothing_learnt(point: HistoryPoint, steps: u64) -> String {
    format!(
        "after {} of {steps} steps the held-out loss, {} +- {}, is no better than that of a score of 0 everywhere. \
         If that is not what the rows are like, stop with Ctrl-C and look at their scale (--standardize), at outliers, \
         at rounded columns (--dequantize), or try a smaller --rate",
        point.step,
        short(point.held_out.mean),
        short(point.held_out.standard_error)
    )
}

fn new_trainer(plan: &Plan, prepared: &Prepared, config: TrainConfig) -> Result<Trainer> {
    let mlp = plan.mlp(prepared.dim());
    let training = prepared.inside(&prepared.split.train)?;
    let validation = prepared.inside(&prepared.split.validation)?;
    let Some(record) = &prepared.noise else {
        let network = mlp.build::<f32>(config.seed)?;
        return Ok(Trainer::new(network, training, &validation, config)?);
    };
    let noising = noise::noising(record)?;
    let network = record.network.build(config.seed)?;
    Ok(Trainer::over_time(noising, network, training.x, &validation.x, config)?)
}

/// Whether a run that is resumed had ended already: its checkpoint was written at its last evaluation.
fn out_of_patience(trainer: &Trainer) -> bool {
    let patience = trainer.config().patience;
    let worse = |step| trainer.best().is_none_or(|best| step > best.0);
    let since = trainer.history().iter().filter(|point| worse(point.step)).count();
    patience > 0 && since as u64 >= patience
}

/// Writes checkpoints now and then.
struct Saver {
    plan: Plan,
    place: checkpoints::Place,
    hash: String,
    threads: usize,
    before: f64,
    start: Instant,
    last: Instant,
    warned: bool,
}

impl Saver {
    /// Of training so far, before a stop too.
    fn seconds(&self) -> f64 {
        self.before + self.start.elapsed().as_secs_f64()
    }

    /// At evaluations, when enough time has passed. What was trained must not be lost for want of a
    /// checkpoint: a failure is a warning, once, and the next evaluation tries again.
    fn after_step(&mut self, trainer: &Trainer) -> Option<String> {
        let evaluated = trainer.step().is_multiple_of(self.plan.training.evaluate_every);
        let due = self.last.elapsed() >= Duration::from_secs_f64(self.plan.checkpoint_every);
        if !(evaluated && due) {
            return None;
        }
        let error = self.save(trainer).err()?;
        let first = !std::mem::replace(&mut self.warned, true);
        first.then(|| {
            format!("{}; the fit goes on, but cannot be resumed from here", exit::message(&error))
        })
    }

    fn save(&mut self, trainer: &Trainer) -> Result<()> {
        self.last = Instant::now();
        self.place.check()?;
        let resumable = Resumable {
            plan: self.plan.clone(),
            content_hash: self.hash.clone(),
            seconds: self.seconds(),
            threads: Some(self.threads),
            run: self.place.run(),
        };
        let extra = serde_json::to_value(&resumable)?;
        Ok(trainer.checkpoint().save(&self.place.path, &extra)?)
    }
}

fn finish(
    plan: &Plan,
    prepared: &Prepared,
    outcome: Outcome,
    trainer: Option<(&Trainer, Saver)>,
    (stop, keeping): (Stop, Keeping),
    seconds: f64,
    show: Show,
) -> Result<ExitCode> {
    let mut warnings = prepared.warnings.clone();
    let kernel = outcome.kernel.iter().flat_map(fit_kernel::warnings);
    for warning in kernel.chain(learnt_by_heart(plan, &outcome)) {
        show.warning(&warning);
        warnings.push(warning);
    }
    let diverged = match &stop {
        Stop::Diverged { message } => Some(crate::exit::in_options(message)),
        _ => None,
    };
    if let Some(message) = &diverged {
        refuse_without_weights(&outcome, message)?;
        // Also where notes are not wanted: the exit code alone does not say what to try.
        text::error(message);
        warnings.push(message.clone());
    }
    let stopped = match stop {
        Stop::Completed => "all steps taken",
        Stop::Patience => "no better held-out loss for a while",
        _ => "diverged",
    };
    let description = describe(plan, prepared, &outcome, stopped, seconds)?;
    let model = FittedModel::new(outcome.network.clone(), description)?;
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
    let judgement = check(&model, prepared)?;
    if let Err(why) = &judgement {
        let warning = format!(
            "the fit is not checked: {why}; check it on more rows with gradlogp eval {}",
            text::quoted(&plan.output)
        );
        show.warning(&warning);
        warnings.push(warning);
    }
    let judgement = judgement.ok();
    if let Some(path) = &plan.report {
        let all: Vec<usize> = (0..prepared.loaded.table.n_rows()).collect();
        let part = if judgement.is_some() { &prepared.split.test } else { &all };
        let (rows, model) = (prepared.rows(part), prepared.model_at(&model, part)?);
        report::write(&model, judgement.as_ref(), rows, warnings.clone(), path, show)?;
    }
    present(plan, &outcome, &model, judgement, warnings, show)?;
    let code = if diverged.is_some() { exit::code(gradlogp::ErrorClass::Numerical) } else { 0 };
    Ok(ExitCode::from(code))
}

/// What to try when a time model was best early, as those of small tables are.
fn learnt_by_heart(plan: &Plan, outcome: &Outcome) -> Option<String> {
    let (best, _) = outcome.best?;
    let early = best < outcome.steps / 4;
    (early && plan.noise.is_some() && outcome.config.decay == 0.0).then(|| {
        format!(
            "the held-out loss was lowest at step {best} of {} and has not come back to it: the network learns these rows \
             by heart. On small tables --weight-decay 1 helps, and --noise-weight noise with --times uniform",
            outcome.steps
        )
    })
}

/// A run that diverged before there was any finite held-out loss leaves nothing to keep, and an older
/// model in its place is worth more.
fn refuse_without_weights(outcome: &Outcome, message: &str) -> Result<()> {
    if outcome.best.is_some() {
        return Ok(());
    }
    let step = outcome.steps;
    let message = message.strip_prefix(&format!("diverged at step {step}: ")).unwrap_or(message);
    let message = format!("{message}. No model was written");
    Err(Error::Diverged { step, rows: Vec::new(), message }.into())
}

/// The figures on the test rows, or why there are none.
fn check(model: &FittedModel, prepared: &Prepared) -> Result<Result<Judgement, String>> {
    let test = prepared.rows(&prepared.split.test);
    let model = match test.nrows() {
        0 => model.clone(),
        _ => prepared.model_at(model, &prepared.split.test)?,
    };
    let (set, seed) = (prepared.loaded.drawn_from.as_ref(), model.description().training.seed);
    match judge_at_its_time(
        &model,
        test.view(),
        set,
        (seed, model.description().training.seed),
        None,
    ) {
        Ok(mut judgement) => {
            judgement.beside(&baselines(&model, prepared, test.view())?);
            Ok(Ok(judgement))
        }
        Err(error) => match error.downcast_ref::<Error>().map(Error::class) {
            Some(gradlogp::ErrorClass::Data) => {
                let name = format!("{}, test rows", model.description().data.source);
                Ok(Err(exit::message(&in_named_table(error, &name))))
            }
            _ => Err(error),
        },
    }
}

/// The densities that a fit has to beat, on its test rows; none where they cannot be fitted.
fn baselines(
    model: &FittedModel,
    prepared: &Prepared,
    test: ArrayView2<'_, f64>,
) -> Result<Vec<BaselineComparison>> {
    let [training, validation] =
        [&prepared.split.train, &prepared.split.validation].map(|part| prepared.rows(part));
    let mut rng = ChaCha8Rng::seed_from_u64(model.description().training.seed);
    let found = model.beside_baselines(training.view(), validation.view(), test, &mut rng);
    match found {
        Ok(found) => Ok(found.unwrap_or_default()),
        // Rows without a covariance have no Gaussian.
        Err(Error::Numerical { .. }) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
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
        "the model cannot be written, but the fit is kept: go on with {} -o FILE, FILE being another place",
        resume_command(&saver.place.path)
    ))
}

/// What a model file will say of a fit.
pub(super) fn describe(
    plan: &Plan,
    prepared: &Prepared,
    outcome: &Outcome,
    stopped: &str,
    seconds: f64,
) -> Result<Description> {
    let split = &prepared.split;
    let transform = prepared.lasting_transform();
    let inside = transform.forward(prepared.rows(&split.train).view());
    let mut conditions = prepared.conditions(&split.train);
    if let Some(given) = &prepared.given {
        conditions = given.transform.forward(conditions.view());
    }
    let score_scale = match &prepared.noise {
        Some(record) => noise::score_scale(record, &outcome.network, inside.view())?,
        None => {
            let at = outcome.network.given(conditions.view())?;
            root_mean_square_score(&at, inside.view())
        }
    };
    Ok(Description {
        library_version: env!("CARGO_PKG_VERSION").to_string(),
        network: outcome.settings.clone(),
        columns: prepared.loaded.table.columns.clone(),
        transform,
        given: prepared.given.clone(),
        column_mean: prepared.units.mean().to_vec(),
        column_scale: prepared.units.standard_deviations().to_vec(),
        dequantization: prepared.dequantization.clone(),
        domain: prepared.domain.clone(),
        noise: prepared.noise.clone(),
        training: outcome.config.clone(),
        choice: plan.choice,
        data: DataRecord {
            source: plan.source.name(),
            built_in: matches!(plan.source.place, Place::BuiltIn { .. }),
            rows: prepared.loaded.table.n_rows(),
            parts: [split.train.len(), split.validation.len(), split.test.len()],
            content_hash: prepared.content_hash.clone(),
        },
        summary: FitSummary {
            stopped: stopped.to_string(),
            steps: outcome.steps,
            best_step: outcome.best.map_or(0, |b| b.0),
            seconds,
            score_scale,
            history: outcome.history.clone(),
        },
        kernel: outcome.kernel.clone(),
    })
}

fn present(
    plan: &Plan,
    outcome: &Outcome,
    model: &FittedModel,
    judgement: Option<Judgement>,
    warnings: Vec<String>,
    show: Show,
) -> Result<()> {
    let summary = &model.description().summary;
    let best = outcome.best.map(|b| b.1);
    let fitted = Fitted {
        model: plan.output.display().to_string(),
        report: plan.report.as_ref().map(|p| p.display().to_string()),
        stopped: summary.stopped.clone(),
        objective: model.description().training.objective,
        choice: model.description().choice,
        steps: summary.steps,
        best_step: summary.best_step,
        seconds: summary.seconds,
        validation_loss: best.map(|b| b.mean),
        validation_loss_se: best.map(|b| b.standard_error),
        kernel: outcome.kernel.clone(),
        judgement,
        warnings,
    };
    let table = fitted.judgement.as_ref().map_or(String::new(), |j| j.table() + "\n");
    let report = fitted.report.as_ref().map_or(String::new(), |r| format!("Report: {r}\n"));
    let kernel = model.description().kernel.as_ref().map_or(String::new(), fit_kernel::summary);
    let text = format!(
        "{table}{kernel}Fitted in {} s: {}, {} steps ({}), weights of step {}\nModel: {}\n{report}",
        short(fitted.seconds),
        super::info::objective(model),
        fitted.steps,
        fitted.stopped,
        fitted.best_step,
        fitted.model,
    );
    show.result(&text, &fitted)
}
