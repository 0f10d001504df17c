//! The command line.

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use gradlogp::data::{GapRule, Mark, Standardization, split_names};
use gradlogp::diagnose::Shape;
use gradlogp::draw::{ImputeSettings, SampleConfig, Sampler, StepSchedule};
use gradlogp::fit::{ColumnBounds, Region};
use gradlogp::fitted::AnomalyKind;
use gradlogp::numeric::Activation;
use gradlogp::slice::SliceDistribution;
use gradlogp::train::{Schedule, TrainConfig};
use gradlogp::{ModelKind, Objective};

use serde::{Deserialize, Serialize};

use crate::bounds::{column_bounds, region};
use crate::choices;
use crate::examples;
use crate::limits::check_largest;
use crate::picture::ImageShape;

/// Fit the score (the gradient of log p) of your data by sliced score matching, and know how far to
/// trust it.
///
/// `gradlogp fit my.csv` fits a density model, checks it on rows it has not seen, and writes
/// model.safetensors.
#[derive(Debug, Parser)]
#[command(name = "gradlogp", version, max_term_width = 100)]
#[command(after_help = examples::MAIN, after_long_help = examples::main_with_exit_codes())]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print nothing but results, warnings and errors.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Print one JSON object with every figure that the text shows.
    ///
    /// Its keys are described in docs/json.md.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What may be given together with `--resume`: nothing that changes the result.
pub(crate) const WITH_RESUME: [&str; 6] =
    ["resume", "output", "report", "checkpoint_every", "quiet", "json"];

/// The commands that can go on from a checkpoint, and what they call one run.
pub(crate) const RESUMABLE: [(&str, &str); 2] = [("fit", "fit"), ("sample", "run")];

impl Cli {
    /// The command line of this process; ends it with a message if there is something wrong.
    pub(crate) fn read() -> Self {
        Self::parse_checked(&Cli::command().get_matches()).unwrap_or_else(|e| e.exit())
    }

    fn parse_checked(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut cli = Cli::from_arg_matches(matches)?;
        check_largest(matches, &mut Cli::command())?;
        let Some((name, given)) = matches.subcommand() else { return Ok(cli) };
        if let Command::Fit(fit) = &mut cli.command {
            fit.suit_purpose(|id| given.value_source(id) == Some(ValueSource::CommandLine));
        }
        let Some((_, run)) = RESUMABLE.iter().find(|(command, _)| *command == name) else {
            return Ok(cli);
        };
        let resumed = ignored_by_resume(name, given);
        let of_kind = if name == "fit" { ignored_by_kind(given) } else { Vec::new() };
        let message = match (resumed.is_empty(), of_kind.is_empty()) {
            (true, true) => return Ok(cli),
            (false, _) => format!(
                "a resumed {run} takes its settings from the checkpoint, so {} would be ignored; leave \
                 it out, or start a new {run}",
                resumed.join(", ")
            ),
            _ => format!(
                "{} has no effect with this --model; leave it out. dkef and kef have networks and a \
                 training of their own, and only they have inducing points",
                of_kind.join(", ")
            ),
        };
        Err(Cli::command().error(ErrorKind::ArgumentConflict, message))
    }
}

/// Options of `fit` that kernel families do not have, and those that only they have.
pub(crate) const OF_NETWORKS: [&str; 14] = [
    "hidden",
    "members",
    "activation",
    "residual",
    "batch",
    "rate",
    "schedule",
    "warm_up",
    "clip",
    "weight_decay",
    "ema",
    "evaluate_every",
    "patience",
    "checkpoint_every",
];
pub(crate) const OF_KERNELS: [&str; 1] = ["inducing"];

/// Options that were given and that the kind of model does not have.
fn ignored_by_kind(fit: &ArgMatches) -> Vec<String> {
    let kernel = fit.get_one::<ModelArg>("model").is_some_and(|m| m.is_kernel_family());
    let given = |id: &&&str| fit.value_source(id) == Some(ValueSource::CommandLine);
    let ids: &[&str] = if kernel { &OF_NETWORKS } else { &OF_KERNELS };
    let command = Cli::command();
    let spelled =
        |id: &&str| command.find_subcommand("fit").map_or(id.to_string(), |c| flag(c, id));
    ids.iter().filter(given).map(spelled).collect()
}

/// An argument as it is written.
fn flag(command: &clap::Command, id: &str) -> String {
    let argument = command.get_arguments().find(|a| a.get_id() == id);
    match argument.map(|a| (a.get_long(), a.get_short())) {
        Some((Some(long), _)) => format!("--{long}"),
        Some((None, Some(short))) => format!("-{short}"),
        _ => id.to_uppercase(),
    }
}

/// Options given beside `--resume` that have no effect then.
fn ignored_by_resume(name: &str, matches: &ArgMatches) -> Vec<String> {
    let given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let command = Cli::command();
    let Some(command) = command.find_subcommand(name).filter(|_| given("resume")) else {
        return Vec::new();
    };
    let ids = command.get_arguments().filter(|a| !WITH_RESUME.contains(&a.get_id().as_str()));
    let ids = ids.map(|a| a.get_id().as_str()).filter(|id| given(id));
    ids.map(|id| flag(command, id)).collect()
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fit a model to a table and check it on held-out rows.
    ///
    /// The rows are split into those that train, those that decide when to stop, and those that nothing
    /// sees but the final check. Writes a model file, which all other commands read.
    #[command(allow_negative_numbers = true, after_help = examples::FIT)]
    Fit(Box<FitArgs>),
    /// Fit a table by several objectives under one budget, and compare them.
    ///
    /// Every way is fitted to the same rows. Shows held-out losses with paired differences and their standard
    /// errors, the time of a step, and how much noise the slices add to the gradient.
    #[command(allow_negative_numbers = true, after_help = examples::COMPARE)]
    Compare(Box<CompareArgs>),
    /// Check a fitted model on a table.
    ///
    /// The rows should not have trained the model, or the check is too kind. A model fitted with --noise is
    /// checked at several times.
    #[command(after_help = examples::EVAL)]
    Eval(EvalArgs),
    /// Log density of every row under a model fitted with --noise, by the probability flow.
    ///
    /// The densities are normalized, and in the units of the table.
    #[command(allow_negative_numbers = true, after_help = examples::LOGLIK)]
    Loglik(LoglikArgs),
    /// Score, log density and Laplacian of every row of a table.
    ///
    /// In the units of the table. Log densities are up to a constant of the model, unless --normalize or --log-z
    /// is given. With --anomaly, also how unusual each row is.
    #[command(after_help = examples::SCORE)]
    Score(ScoreArgs),
    /// Draw rows from a fitted model.
    ///
    /// By Markov chains, or from noise to data for a model fitted with --noise.
    #[command(allow_negative_numbers = true, after_help = examples::SAMPLE)]
    Sample(SampleArgs),
    /// Draw the missing values of a table from their law given the others of their row.
    ///
    /// Observed values are written as they were read.
    #[command(after_help = examples::IMPUTE)]
    Impute(ImputeArgs),
    /// Write the HTML report of a fitted model.
    ///
    /// One file with all pictures in it, which any browser opens, offline.
    #[command(after_help = examples::REPORT)]
    Report(ReportArgs),
    /// Show what a model file holds.
    ///
    /// Also of the checkpoint of a fit or of a run of sample, with the command that goes on from it.
    #[command(after_help = examples::INFO)]
    Info(InfoArgs),
    /// List the built-in data sets.
    #[command(after_help = examples::DATASETS)]
    Datasets,
    /// Measure this machine.
    #[command(after_help = examples::BENCH)]
    Bench(BenchArgs),
    /// Print a script that completes commands and options in your shell.
    #[command(after_help = examples::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Print the manual page, or write those of all commands to a folder.
    #[command(after_help = examples::MAN)]
    Man(ManArgs),
}

impl Command {
    /// The model file that was named.
    pub(crate) fn model(&self) -> Option<&Path> {
        match self {
            Command::Eval(args) => Some(&args.model),
            Command::Loglik(args) => Some(&args.model),
            Command::Score(args) => Some(&args.model),
            Command::Sample(args) => args.model.as_deref(),
            Command::Impute(args) => Some(&args.model),
            Command::Report(args) => Some(&args.model),
            Command::Info(args) => Some(&args.model),
            _ => None,
        }
    }
}

/// Where rows come from.
#[derive(Debug, Clone, Args)]
pub(crate) struct SourceArgs {
    /// Table of numbers: CSV with `,` `;` `|` tab or blanks, with or without a header, gzipped or not; .npy; .npz
    /// (FILE.npz:NAME where it holds several arrays); - for standard input.
    #[arg(value_name = "DATA")]
    pub(crate) data: Option<PathBuf>,
    /// A built-in data set instead of a file; `gradlogp datasets` lists them.
    #[arg(long, value_name = "NAME", conflicts_with = "data")]
    pub(crate) dataset: Option<String>,
    /// Rows to draw of a built-in set that is drawn [default: 10000].
    #[arg(long, value_name = "N", conflicts_with = "data")]
    pub(crate) rows: Option<usize>,
}

/// How a file is read.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Reading")]
pub(crate) struct ReadArgs {
    /// Columns to use, in this order [default: all].
    ///
    /// Here and wherever names are listed, one with a comma is written in quotation marks: 'a,"mass, kg"'.
    #[arg(long, value_parser = names, value_name = "NAMES")]
    columns: Option<Vec<List<String>>>,
    /// Columns to leave out.
    #[arg(long, value_parser = names, value_name = "NAMES")]
    drop: Vec<List<String>>,
    /// The first line holds column names [default: found].
    #[arg(long, conflicts_with = "no_header", hide_short_help = true)]
    pub(crate) header: bool,
    /// The first line is data; columns are called x0, x1, ... [default: found].
    #[arg(long, hide_short_help = true)]
    pub(crate) no_header: bool,
    /// Character between fields, or the word tab [default: found among , ; | tab and blanks].
    #[arg(long, value_name = "CHAR", value_parser = delimiter, hide_short_help = true)]
    pub(crate) delimiter: Option<char>,
    /// Mark before decimals, . or , [default: found from all numbers of the table; refused if nothing tells].
    #[arg(long, value_name = "MARK", value_parser = mark, hide_short_help = true)]
    decimal: Option<Mark>,
    /// Mark between thousands, . or , so that the other one is decimal.
    ///
    /// Apostrophes and blanks between thousands are always read.
    #[arg(long, value_name = "MARK", value_parser = mark, conflicts_with = "decimal", hide_short_help = true)]
    thousands: Option<Mark>,
    /// Leave out rows with missing values instead of refusing the file.
    #[arg(long)]
    pub(crate) drop_missing: bool,
}

impl ReadArgs {
    /// Columns to use, in this order; None for all.
    pub(crate) fn columns(&self) -> Option<Vec<String>> {
        self.columns.as_deref().map(flat)
    }

    /// Columns to leave out.
    pub(crate) fn dropped(&self) -> Vec<String> {
        flat(&self.drop)
    }

    /// The mark before decimals, if it was named.
    pub(crate) fn decimal(&self) -> Option<Mark> {
        self.decimal.or(self.thousands.map(Mark::other))
    }
}

/// What one option lists between commas.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct List<T>(Vec<T>);

/// What several options of one name list.
pub(crate) fn flat<T: Clone>(lists: &[List<T>]) -> Vec<T> {
    lists.iter().flat_map(|list| list.0.iter().cloned()).collect()
}

/// Names between commas, in quotation marks where they hold commas.
fn names(text: &str) -> Result<List<String>, String> {
    split_names(text).map(List)
}

/// What `item` parses, between commas.
fn list<T>(text: &str, item: impl Fn(&str) -> Result<T, String>) -> Result<List<T>, String> {
    split_names(text)?.iter().map(|text| item(text)).collect::<Result<_, _>>().map(List)
}

fn bounds_list(text: &str) -> Result<List<ColumnBounds>, String> {
    list(text, column_bounds)
}

fn named_values(text: &str) -> Result<List<(String, f64)>, String> {
    list(text, named_value)
}

fn mark(text: &str) -> Result<Mark, String> {
    match text {
        "." => Ok(Mark::Point),
        "," => Ok(Mark::Comma),
        _ => Err("must be . or ,".into()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct FitArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Model file to write [default: model.safetensors].
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// What the model is for, which sets options that are not given.
    #[arg(long = "for", value_enum, value_name = "PURPOSE",
          conflicts_with_all = ["noise", "model", "objective", "given", "bounds", "domain"])]
    pub(crate) purpose: Option<PurposeArg>,
    /// Also write an HTML report.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Go on with an interrupted fit from its checkpoint.
    ///
    /// The checkpoint holds all settings; only --output, --report and --checkpoint-every may be given anew. The
    /// model is that of a fit that was never interrupted.
    #[arg(long, value_name = "CHECKPOINT", conflicts_with_all = ["data", "dataset"])]
    pub(crate) resume: Option<PathBuf>,
    /// Seconds between checkpoints [default: 5].
    ///
    /// They go to the name of the model file with .checkpoint behind it; 0 writes one at every evaluation.
    #[arg(long, value_name = "SECONDS", hide_short_help = true)]
    pub(crate) checkpoint_every: Option<f64>,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) prepare: PrepareArgs,
    #[command(flatten)]
    pub(crate) boundary: BoundaryArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) objective: ObjectiveArgs,
    #[command(flatten)]
    pub(crate) noise: crate::noise::NoiseArgs,
    #[command(flatten)]
    pub(crate) training: TrainingArgs,
    /// Of --for density.
    #[arg(skip)]
    pub(crate) by_size: Option<BySize>,
}

impl FitArgs {
    /// Sets what `--for` stands for, where `given` says that it was not given.
    fn suit_purpose(&mut self, given: impl Fn(&str) -> bool) {
        match self.purpose {
            Some(PurposeArg::Anomaly) => self.suit_anomaly(given),
            Some(PurposeArg::Density | PurposeArg::Sampling | PurposeArg::Imputation) => {
                self.suit_density(given);
            }
            Some(PurposeArg::Score) | None => {}
        }
    }

    fn suit_anomaly(&mut self, given: impl Fn(&str) -> bool) {
        self.noise.noise = Some(crate::noise::NoiseArg::Ve);
        (self.noise.sigma_min, self.noise.sigma_max) = (Some(0.5), Some(4.0));
        self.model.model = Some(ModelArg::Potential);
        if !given("hidden") {
            self.model.hidden = vec![64, 64];
        }
        if !given("activation") {
            self.model.activation = Some(Activation::Softplus);
        }
        if !given("standardize") {
            self.prepare.standardize = Standardization::Robust;
        }
        if !given("steps") {
            self.training.steps = 1500;
        }
    }

    fn suit_density(&mut self, given: impl Fn(&str) -> bool) {
        self.noise.noise = Some(crate::noise::NoiseArg::Vp);
        if !given("standardize") {
            self.prepare.standardize = Standardization::Whiten;
        }
        self.prepare.dequantize.get_or_insert_default();
        self.by_size = Some(BySize {
            standardize: !given("standardize"),
            noise_weight: !given("noise_weight"),
            times: !given("times"),
            noise_floor: !given("noise_floor"),
            weight_decay: !given("weight_decay"),
            steps: !given("steps"),
            evaluate_every: !given("evaluate_every"),
            patience: !given("patience"),
            members: !given("members"),
        });
    }
}

/// Settings that follow the size of the table.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct BySize {
    /// Columns that cannot be whitened may be standardized.
    pub(crate) standardize: bool,
    pub(crate) noise_weight: bool,
    pub(crate) times: bool,
    pub(crate) noise_floor: bool,
    pub(crate) weight_decay: bool,
    pub(crate) steps: bool,
    pub(crate) evaluate_every: bool,
    pub(crate) patience: bool,
    pub(crate) members: bool,
}

/// What is done to the table before training.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Preparing")]
pub(crate) struct PrepareArgs {
    /// Columns c to condition on: fits the score of p(x | c), x being the other columns.
    ///
    /// They may be discrete; c is given whenever the model is used, and not modelled.
    #[arg(long, value_parser = names, value_name = "NAMES")]
    pub(crate) given: Vec<List<String>>,
    /// Add uniform noise as wide as a column's own step to rounded columns; with names, to these only.
    ///
    /// The ties of rounded columns make score matching degenerate: the loss falls without end.
    #[arg(long, value_parser = names, num_args = 0.., require_equals = true, value_name = "NAMES")]
    pub(crate) dequantize: Option<Vec<List<String>>>,
    /// Width of that noise.
    #[arg(long, value_parser = choices::gap_rule(), default_value_t = GapRule::Gap, value_name = "RULE", hide_short_help = true)]
    pub(crate) dequantize_rule: GapRule,
    /// How columns are scaled for training, undone in every answer.
    ///
    /// The scales come from training rows only.
    #[arg(long, value_parser = choices::standardization(), default_value_t = Standardization::Standardize, value_name = "HOW")]
    pub(crate) standardize: Standardization,
    /// Share of rows that decides when to stop.
    #[arg(long, default_value_t = 0.1, value_name = "SHARE", hide_short_help = true)]
    pub(crate) validation: f64,
    /// Share of rows that the final check uses and nothing else sees.
    #[arg(long, default_value_t = 0.1, value_name = "SHARE", hide_short_help = true)]
    pub(crate) test: f64,
    /// Seed of everything random.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

impl ModelArgs {
    /// What these options ask of a network.
    pub(crate) fn asked(&self) -> crate::noise::NetworkAsked<'_> {
        crate::noise::NetworkAsked {
            kind: self.model.map(Into::into),
            hidden: &self.hidden,
            activation: self.activation,
        }
    }

    /// Widths of the hidden layers, those of a family unless given.
    pub(crate) fn hidden_or(&self, usual: Vec<usize>) -> Vec<usize> {
        if self.hidden.is_empty() { usual } else { self.hidden.clone() }
    }

    /// The nonlinearity between them, that of a family unless given.
    pub(crate) fn activation_or(&self, usual: Activation) -> Activation {
        self.activation.unwrap_or(usual)
    }
}

/// Where the data ends.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Boundary")]
pub(crate) struct BoundaryArgs {
    /// Columns that end at bounds, such as age=0:inf,share=0:1.
    ///
    /// Score matching then weights the rows near them by their distance, without which it is wrong there; for
    /// exact, ssm and ssm-vr.
    #[arg(long, value_name = "COLUMN=LOW:HIGH", value_parser = bounds_list)]
    pub(crate) bounds: Vec<List<ColumnBounds>>,
    /// A domain of all columns together: simplex, or ball:RADIUS.
    ///
    /// simplex is for all but one part of a composition (each at least 0, their sum at most 1); ball:RADIUS lies
    /// around the origin.
    #[arg(long, value_name = "DOMAIN", value_parser = region, conflicts_with = "bounds")]
    pub(crate) domain: Option<Region>,
    /// K of the weight min(1, distance / standard deviation)^K near the boundary.
    ///
    /// 2 for densities that rise without bound towards it.
    #[arg(long, default_value_t = 1.0, value_name = "K", hide_short_help = true)]
    pub(crate) boundary_power: f64,
}

impl BoundaryArgs {
    /// Where all rows are known to lie; None: anywhere.
    pub(crate) fn region(&self) -> Option<Region> {
        let columns = (!self.bounds.is_empty()).then(|| Region::Columns(flat(&self.bounds)));
        self.domain.clone().or(columns)
    }
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArgs {
    /// What is fitted [default: potential; score with --noise].
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) model: Option<ModelArg>,
    /// dkef and kef: inducing points [default: 200].
    #[arg(long, value_name = "M", hide_short_help = true)]
    pub(crate) inducing: Option<usize>,
    /// Width of each hidden layer [default: 128,128; 128,128,128 with --noise].
    ///
    /// Two of 128 fit most tables of a few columns.
    #[arg(long, value_delimiter = ',', value_name = "WIDTHS")]
    hidden: Vec<usize>,
    /// The nonlinearity between layers [default: softplus; silu with --noise].
    #[arg(long, value_parser = choices::activation(), value_name = "NAME", hide_short_help = true)]
    activation: Option<Activation>,
    /// Residual connections between hidden layers of equal width; helps deep networks.
    #[arg(long, hide_short_help = true)]
    pub(crate) residual: bool,
    /// Potentials: add -|z|^2 / (2 TAU^2) in standardized units; 0 for none [default: 3; 2 for dkef and kef].
    ///
    /// With it the density falls off far from the data. dkef and kef always have it.
    #[arg(long, value_name = "TAU", hide_short_help = true)]
    pub(crate) base_scale: Option<f64>,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Objective")]
pub(crate) struct ObjectiveArgs {
    /// The loss that is minimized.
    #[arg(long, value_enum, default_value_t = ObjectiveArgs::default().objective, value_name = "NAME")]
    pub(crate) objective: ObjectiveArg,
    /// Slices per row and step; more cost more and have less noise.
    #[arg(long, default_value_t = ObjectiveArgs::default().slices, value_name = "M")]
    pub(crate) slices: usize,
    /// How slices are drawn.
    #[arg(long, value_parser = choices::slice_law(), default_value_t = ObjectiveArgs::default().slice_law, value_name = "LAW",
          hide_short_help = true)]
    pub(crate) slice_law: SliceDistribution,
    /// Noise level of dsm and fd-dsm, in standardized units.
    #[arg(long, default_value_t = ObjectiveArgs::default().sigma, hide_short_help = true)]
    pub(crate) sigma: f64,
    /// Step of fd-ssm and fd-dsm, in standardized units [default: suits single precision].
    ///
    /// They look at x +- EPS v with slices v of length about sqrt(columns). The default balances truncation and
    /// single precision: 0.041 / sqrt(columns) for fd-ssm of potentials, else 0.0056 / sqrt(columns).
    #[arg(long, value_name = "EPS", hide_short_help = true)]
    pub(crate) fd_eps: Option<f64>,
}

impl Default for ObjectiveArgs {
    fn default() -> Self {
        ObjectiveArgs {
            objective: ObjectiveArg::Auto,
            slices: 1,
            slice_law: SliceDistribution::Rademacher,
            sigma: 0.1,
            fd_eps: None,
        }
    }
}

impl ObjectiveArgs {
    /// The objective asked for; None for auto.
    pub(crate) fn chosen(&self) -> Option<Objective> {
        self.objective.with(self.slices, self.sigma, self.fd_eps)
    }
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct TrainingArgs {
    /// Optimizer steps, at most; about a minute or less for small tables.
    #[arg(long, default_value_t = TrainingArgs::default().steps)]
    pub(crate) steps: u64,
    /// Rows per step.
    #[arg(long, default_value_t = TrainingArgs::default().batch, hide_short_help = true)]
    pub(crate) batch: usize,
    /// Largest learning rate of AdamW.
    #[arg(long, default_value_t = TrainingArgs::default().rate, hide_short_help = true)]
    pub(crate) rate: f64,
    /// How the learning rate moves.
    #[arg(long, value_parser = choices::schedule(), default_value_t = TrainingArgs::default().schedule, hide_short_help = true)]
    pub(crate) schedule: Schedule,
    /// Steps over which the rate rises from 0.
    #[arg(long, default_value_t = TrainingArgs::default().warm_up, hide_short_help = true)]
    pub(crate) warm_up: u64,
    /// Largest gradient norm; larger ones are scaled down, so that one bad batch does no harm.
    #[arg(long, default_value_t = TrainingArgs::default().clip, hide_short_help = true)]
    pub(crate) clip: f64,
    /// Decoupled weight decay.
    #[arg(long, default_value_t = TrainingArgs::default().weight_decay, hide_short_help = true)]
    pub(crate) weight_decay: f64,
    /// Decay of the average of weights that is kept; 0 keeps the weights of the best step.
    #[arg(long, default_value_t = TrainingArgs::default().ema, hide_short_help = true)]
    pub(crate) ema: f64,
    /// Steps between held-out evaluations.
    #[arg(long, default_value_t = TrainingArgs::default().evaluate_every, hide_short_help = true)]
    pub(crate) evaluate_every: u64,
    /// Stop after so many evaluations without a better one; 0 never [default: 20; 0 with --noise].
    ///
    /// The best weights are kept in any case. With --noise late steps still sharpen the score.
    #[arg(long, hide_short_help = true)]
    pub(crate) patience: Option<u64>,
    /// Networks, trained one after the other from other seeds, whose scores are averaged [default: 1].
    ///
    /// The average is never worse than they are in the mean, and usually better than the best. They go to one
    /// model file.
    #[arg(long, value_name = "K", hide_short_help = true)]
    pub(crate) members: Option<usize>,
    /// Worker threads; 0 takes one per core. Results depend on it in the last bits.
    #[arg(long, default_value_t = TrainingArgs::default().threads)]
    pub(crate) threads: usize,
}

impl Default for TrainingArgs {
    /// The library's settings; but for the steps, which are enough for a small table.
    fn default() -> Self {
        let usual = TrainConfig::default();
        TrainingArgs {
            steps: 6000,
            batch: usual.batch,
            rate: usual.learning_rate,
            schedule: Schedule::Cosine,
            warm_up: usual.warm_up,
            clip: usual.max_gradient_norm,
            weight_decay: usual.weight_decay,
            ema: usual.ema_decay,
            evaluate_every: usual.evaluate_every,
            patience: None,
            members: None,
            threads: usual.threads,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Objectives to compare.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "ssm,ssm-vr,exact",
        value_name = "NAMES"
    )]
    pub(crate) objectives: Vec<ObjectiveArg>,
    /// Slice laws, each with every objective that has slices.
    #[arg(
        long,
        value_parser = choices::slice_law(),
        value_delimiter = ',',
        default_value = "rademacher",
        value_name = "LAWS"
    )]
    pub(crate) laws: Vec<SliceDistribution>,
    /// Numbers of slices, each with every law.
    #[arg(long, value_delimiter = ',', default_value = "1", value_name = "NUMBERS")]
    pub(crate) slices: Vec<usize>,
    /// Noise level of dsm and fd-dsm, in standardized units.
    #[arg(long, default_value_t = ObjectiveArgs::default().sigma, hide_short_help = true)]
    pub(crate) sigma: f64,
    /// Step of fd-ssm and fd-dsm, in standardized units [default: as in fit].
    #[arg(long, value_name = "EPS", hide_short_help = true)]
    pub(crate) fd_eps: Option<f64>,
    /// Fits of each way, with different initial weights, batches and slices on the same rows.
    ///
    /// With more than one, standard errors hold for the way to fit and not only for one fit of it.
    #[arg(long, default_value_t = 1, value_name = "K")]
    pub(crate) seeds: usize,
    /// Optimizer steps of each fit.
    #[arg(long, default_value_t = 2000)]
    pub(crate) steps: u64,
    /// Seconds of each fit instead, held-out evaluations apart.
    ///
    /// As many steps are taken as a short trial finds to fit in.
    #[arg(long, conflicts_with = "steps")]
    pub(crate) seconds: Option<f64>,
    /// Fresh draws of slices from which variances are measured.
    #[arg(long, default_value_t = 64, hide_short_help = true)]
    pub(crate) draws: usize,
    /// Rows per step, and rows on which variances are measured.
    #[arg(long, default_value_t = TrainingArgs::default().batch, hide_short_help = true)]
    pub(crate) batch: usize,
    /// Largest learning rate of AdamW.
    #[arg(long, default_value_t = TrainingArgs::default().rate, hide_short_help = true)]
    pub(crate) rate: f64,
    /// Steps between held-out evaluations, which choose the weights that are kept.
    #[arg(long, default_value_t = TrainingArgs::default().evaluate_every, hide_short_help = true)]
    pub(crate) evaluate_every: u64,
    /// Worker threads; 0 takes one per core.
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: usize,
    /// Also write an HTML page with pictures.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) prepare: PrepareArgs,
    #[command(flatten)]
    pub(crate) boundary: BoundaryArgs,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

impl CompareArgs {
    /// As a fit with these settings; the objective is any.
    pub(crate) fn as_fit(&self) -> FitArgs {
        FitArgs {
            source: self.source.clone(),
            output: None,
            purpose: None,
            report: None,
            resume: None,
            checkpoint_every: None,
            read: self.read.clone(),
            prepare: self.prepare.clone(),
            boundary: self.boundary.clone(),
            model: self.model.clone(),
            objective: ObjectiveArgs {
                objective: ObjectiveArg::Exact,
                sigma: self.sigma,
                fd_eps: self.fd_eps,
                ..ObjectiveArgs::default()
            },
            noise: crate::noise::NoiseArgs::default(),
            by_size: None,
            training: TrainingArgs {
                steps: self.steps,
                batch: self.batch,
                rate: self.rate,
                evaluate_every: self.evaluate_every,
                // Every way takes all its steps.
                patience: Some(0),
                threads: self.threads,
                ..TrainingArgs::default()
            },
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// Model file.
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) checks: CheckArgs,
    /// End with code 7 where the verdict is that the model is at odds with the rows.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Seed of everything random: drawn rows, dequantization, and all checks.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// Checks beyond those that are always made.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Checks")]
pub(crate) struct CheckArgs {
    /// Potentials: also the rows' normalized log likelihood and bits per dimension.
    ///
    /// The density is normalized by importance sampling and by annealing in both directions; where they do not
    /// agree no likelihood is given, and the reason is.
    #[arg(long)]
    pub(crate) likelihood: bool,
    /// Also check the Stein identities E[s f + f'] = 0 of these functions f of every column.
    #[arg(long, value_parser = choices::shape(), hide_short_help = true, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) test_functions: Vec<Shape>,
    /// Compare the rows with these samples, whose rows must be independent.
    ///
    /// Columns are matched by name. Energy distance, classifier test, Kolmogorov-Smirnov test of each column.
    #[arg(long, value_name = "FILE", conflicts_with = "draw")]
    pub(crate) samples: Option<PathBuf>,
    /// The same with so many rows drawn from the model.
    #[arg(long, value_name = "N")]
    pub(crate) draw: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct LoglikArgs {
    /// Model file, written by fit --noise.
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Where to write log densities in nats, row by row: .npy, else CSV [default: only a summary].
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Random probes for the divergence of the flow; 0: exact [default: 0 up to 16 columns, else 8].
    #[arg(long, value_name = "N")]
    pub(crate) probes: Option<usize>,
    /// Error allowed in a step of the solver, relative and absolute.
    #[arg(long, default_value_t = 1e-5)]
    pub(crate) tolerance: f64,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    /// Seed of probes, drawn rows and dequantization.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ScoreArgs {
    /// Model file.
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Where to write: .npy, else CSV [default: CSV to standard output].
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Also the diagonal of the Hessian of log p (of grad s for score fields).
    #[arg(long)]
    pub(crate) hessian_diagonal: bool,
    /// Models fitted with --noise: the time of the score [default: the least time of the fit].
    ///
    /// At time 0 there are the data, and noise at the horizon.
    #[arg(long, value_name = "T")]
    pub(crate) at: Option<f64>,
    #[command(flatten)]
    pub(crate) anomaly: AnomalyArgs,
    /// Potentials: also the normalized log density, with log Z estimated from these rows.
    ///
    /// As by eval --likelihood. The rows should not have trained the model; an error where the estimate cannot be
    /// trusted.
    #[arg(long, conflicts_with = "log_z")]
    pub(crate) normalize: bool,
    /// Potentials: also the normalized log density, with the log Z that eval --likelihood gave.
    #[arg(long, value_name = "LOG_Z", allow_negative_numbers = true)]
    pub(crate) log_z: Option<f64>,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    /// Seed of drawn rows, and of the estimate of --normalize.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Anomalies")]
pub(crate) struct AnomalyArgs {
    /// Also how unusual each row is: larger is more so.
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, value_name = "KIND",
          default_missing_value = "auto")]
    pub(crate) anomaly: Option<AnomalyArg>,
    /// Table of usual rows that did not train the model, for --false-alarm.
    #[arg(long, value_name = "FILE", requires = "false_alarm")]
    pub(crate) held_out: Option<PathBuf>,
    /// Call rows anomalies (column is_anomaly, 1 or 0), with this rate of false alarms.
    ///
    /// Beyond a threshold that a new usual row exceeds with at most this probability; found from --held-out,
    /// whatever the model.
    #[arg(long, value_name = "RATE", requires = "held_out", requires = "anomaly")]
    pub(crate) false_alarm: Option<f64>,
}

#[derive(Debug, Args)]
pub(crate) struct SampleArgs {
    /// Model file, written by fit.
    #[arg(required_unless_present = "resume")]
    pub(crate) model: Option<PathBuf>,
    /// Rows to draw; with --given-rows, for each row of it.
    #[arg(short, default_value_t = 1000)]
    pub(crate) n: usize,
    /// Conditional models: the values at which to draw, such as age=40,dose=0.5.
    #[arg(long, value_name = "NAME=VALUE", value_parser = named_values)]
    pub(crate) given_values: Vec<List<(String, f64)>>,
    /// Conditional models: a table with the given columns; -n rows are drawn at each of its rows.
    #[arg(long, value_name = "FILE", conflicts_with = "given_values")]
    pub(crate) given_rows: Option<PathBuf>,
    /// Keep the noise that fit --dequantize added, and do not round the rows back to the columns' own values.
    #[arg(long)]
    pub(crate) keep_noise: bool,
    /// Where to write: .npy, else CSV [default: CSV to standard output].
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Go on with a stopped run from its checkpoint.
    ///
    /// The checkpoint holds all settings; only --output and --checkpoint-every may be given anew. The rows are
    /// those of a run that never stopped.
    #[arg(long, value_name = "CHECKPOINT")]
    pub(crate) resume: Option<PathBuf>,
    /// Seconds between checkpoints [default: 30].
    ///
    /// They go to the name of the output with .checkpoint behind it.
    #[arg(long, value_name = "SECONDS", hide_short_help = true)]
    pub(crate) checkpoint_every: Option<f64>,
    /// Also write where the rows were on the way: a .npy array, frames x rows x columns.
    #[arg(long, value_name = "FILE.npy")]
    pub(crate) trace: Option<PathBuf>,
    /// Frames of that array, evenly spaced over the steps, the first and the last included.
    #[arg(long, default_value_t = 50, value_name = "N", hide_short_help = true)]
    pub(crate) frames: usize,
    /// Also draw the first 100 rows as grey pictures whose pixels are the columns, line by line.
    #[arg(long, value_name = "FILE.png")]
    pub(crate) sheet: Option<PathBuf>,
    /// Size of those pictures [default: square].
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = ImageShape::parse, requires = "sheet",
          hide_short_help = true)]
    pub(crate) image: Option<ImageShape>,
    #[command(flatten)]
    pub(crate) chain: ChainArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct ChainArgs {
    /// How rows are drawn.
    #[arg(long, value_enum, default_value_t = ChainArgs::default().sampler, value_name = "NAME")]
    pub(crate) sampler: SamplerArg,
    /// Chains side by side [default: an eighth of the rows, 20 to 500].
    #[arg(long)]
    pub(crate) chains: Option<usize>,
    /// Steps dropped at the start of each chain.
    #[arg(long, default_value_t = ChainArgs::default().warm_up)]
    pub(crate) warm_up: usize,
    /// Keep every so many-th step.
    #[arg(long, default_value_t = ChainArgs::default().thinning, hide_short_help = true)]
    pub(crate) thinning: usize,
    /// Step a in x += a/2 s + sqrt(a) z, in standardized units [default: adapted; of ula, from the score].
    ///
    /// Of hmc, the square of its step. mala adapts it to 57% acceptance, hmc to 80%; ula takes 0.2 / mean square of
    /// the score. With a table of conditions each row has its own.
    #[arg(long, value_name = "A", hide_short_help = true)]
    pub(crate) step_size: Option<f64>,
    /// hmc: most leapfrog steps of a move; each takes 1 to so many.
    #[arg(long, default_value_t = ChainArgs::default().leapfrog, value_name = "L", hide_short_help = true)]
    pub(crate) leapfrog: usize,
    /// From noise to data: steps, or noise levels.
    #[arg(long, default_value_t = ChainArgs::default().steps)]
    pub(crate) steps: usize,
    /// From noise to data: where the steps are [default: karras; geometric for annealed].
    #[arg(long, value_enum, hide_short_help = true)]
    pub(crate) schedule: Option<ScheduleWord>,
    /// Langevin steps of pc after each step, of annealed at each noise level [default: 1 and 5].
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub(crate) corrections: Option<usize>,
    /// Seed of the draws.
    #[arg(long, alias = "sample-seed", default_value_t = ChainArgs::default().seed)]
    pub(crate) seed: u64,
}

impl ChainArgs {
    pub(crate) fn config(&self) -> SampleConfig {
        SampleConfig {
            sampler: self.sampler.into(),
            chains: self.chains,
            warm_up: self.warm_up,
            thinning: self.thinning,
            step_size: self.step_size,
            leapfrog: self.leapfrog,
            steps: self.steps,
            schedule: self.schedule.map(Into::into),
            corrections: self.corrections,
            seed: self.seed,
        }
    }
}

impl Default for ChainArgs {
    /// As the command line has them where nothing is given.
    fn default() -> Self {
        let usual = SampleConfig::default();
        ChainArgs {
            sampler: SamplerArg::Auto,
            chains: usual.chains,
            warm_up: usual.warm_up,
            thinning: usual.thinning,
            step_size: usual.step_size,
            leapfrog: usual.leapfrog,
            steps: usual.steps,
            schedule: None,
            corrections: usual.corrections,
            seed: usual.seed,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ImputeArgs {
    /// Model file.
    pub(crate) model: PathBuf,
    /// Table with missing values: empty cells, NaN, NA and their like; - for standard input.
    #[arg(value_name = "DATA")]
    pub(crate) data: PathBuf,
    /// Where to write: .npy, else CSV [default: CSV to standard output].
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Keep the noise that fit --dequantize added, and do not round imputed values back to the columns' own.
    #[arg(long)]
    pub(crate) keep_noise: bool,
    /// Draws of every missing value: that many complete tables, one below the other.
    ///
    /// With columns `draw` and `row` in front if there is more than one.
    #[arg(long, default_value_t = ImputeSettings::default().draws, value_name = "K")]
    pub(crate) draws: usize,
    /// Steps that bring each chain to where it belongs (models fitted with --noise have none).
    #[arg(long, default_value_t = ImputeSettings::default().warm_up)]
    pub(crate) warm_up: usize,
    /// Steps after them, the last one being the draw; with --noise, steps from noise to data.
    #[arg(long, default_value_t = ImputeSettings::default().steps)]
    pub(crate) steps: usize,
    /// Step a in units of the columns' standard deviations, squared [default: found for each row by itself].
    ///
    /// Potentials adapt it to 80% acceptance; score fields take 0.2 / how fast the score changes along the row's
    /// own moves, which leaves variances about 5% too large.
    #[arg(long, value_name = "A", hide_short_help = true)]
    pub(crate) step_size: Option<f64>,
    /// Potentials: most leapfrog steps of a move of hmc.
    #[arg(long, default_value_t = ImputeSettings::default().leapfrog, value_name = "L", hide_short_help = true)]
    pub(crate) leapfrog: usize,
    /// Seed of the draws.
    #[arg(long, alias = "sample-seed", default_value_t = 0)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

impl ImputeArgs {
    pub(crate) fn settings(&self) -> ImputeSettings {
        ImputeSettings {
            draws: self.draws,
            warm_up: self.warm_up,
            steps: self.steps,
            step_size: self.step_size,
            leapfrog: self.leapfrog,
            keep_noise: self.keep_noise,
            seed: self.seed,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Model file.
    pub(crate) model: PathBuf,
    /// Table to show the model against [default: what it was fitted to, if that is still there].
    pub(crate) data: Option<PathBuf>,
    /// Where to write.
    #[arg(long, short, default_value = "report.html", value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// The columns are the pixels of grey pictures, line by line: show rows and samples as such.
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = ImageShape::parse)]
    pub(crate) image: Option<ImageShape>,
    /// Seed of everything random: drawn rows, dequantization, checks, samples [default: that of the fit].
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) checks: CheckArgs,
}

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// Model or checkpoint file.
    pub(crate) model: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub(crate) what: BenchCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Time one full training step: slices, forward, adjoint, clipping, AdamW.
    #[command(allow_negative_numbers = true, after_help = examples::BENCH_STEP)]
    Step(StepArgs),
    /// Fit as `fit` does, with a clock that stands still during held-out evaluations.
    #[command(allow_negative_numbers = true, after_help = examples::BENCH_FIT)]
    Fit(Box<FitClockArgs>),
    /// Time scores of many rows.
    #[command(after_help = examples::BENCH_SCORE)]
    Score(ScoreClockArgs),
    /// Time MALA chains on a potential.
    #[command(after_help = examples::BENCH_MALA)]
    Mala(MalaClockArgs),
    /// Time the kernel Stein test that `fit` and `eval` make.
    #[command(after_help = examples::BENCH_STEIN)]
    Stein(SteinClockArgs),
    /// Time the reading of a table.
    #[command(after_help = examples::BENCH_READ)]
    Read(ReadClockArgs),
}

#[derive(Debug, Args)]
pub(crate) struct StepArgs {
    /// Score field or potential.
    #[arg(long, value_enum, default_value_t = ModelArg::Score)]
    pub(crate) model: ModelArg,
    /// Columns.
    #[arg(long)]
    pub(crate) dim: usize,
    /// Width of each hidden layer.
    #[arg(long, value_delimiter = ',', default_value = "128,128,128")]
    pub(crate) hidden: Vec<usize>,
    /// Activation.
    #[arg(long, value_parser = choices::activation(), default_value_t = Activation::Softplus)]
    pub(crate) activation: Activation,
    /// Rows per step.
    #[arg(long, default_value_t = 256)]
    pub(crate) batch: usize,
    /// Objective; dsm and fd-dsm with noise 0.1.
    #[arg(long, value_enum, default_value_t = ObjectiveArg::SsmVr)]
    pub(crate) objective: ObjectiveArg,
    /// Slices per row.
    #[arg(long, default_value_t = 1)]
    pub(crate) slices: usize,
    /// Slice law.
    #[arg(long, value_parser = choices::slice_law(), default_value_t = SliceDistribution::Rademacher)]
    pub(crate) slice_law: SliceDistribution,
    /// Worker threads; 0 takes one per core.
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: usize,
    /// Seconds to measure.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,
    /// Also measure, after 200 steps, how noisy the gradient is and how much of that is the slices'.
    #[arg(long)]
    pub(crate) gradient_noise: bool,
}

/// `bench fit`: options of `fit` that write files are not for it.
#[derive(Debug, Args)]
#[command(mut_arg("output", |a| a.hide(true)), mut_arg("report", |a| a.hide(true)))]
#[command(mut_arg("resume", |a| a.hide(true)), mut_arg("checkpoint_every", |a| a.hide(true)))]
pub(crate) struct FitClockArgs {
    #[command(flatten)]
    pub(crate) fit: FitArgs,
    /// Folder to write the rows to that the network sees, training.npy and held-out.npy, for others
    /// to train on.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) rows_to: Option<PathBuf>,
}

/// A network with its initial weights.
#[derive(Debug, Args)]
pub(crate) struct NetworkArgs {
    /// Columns.
    #[arg(long)]
    pub(crate) dim: usize,
    /// Width of each hidden layer.
    #[arg(long, value_delimiter = ',', default_value = "128,128")]
    pub(crate) hidden: Vec<usize>,
    /// Activation.
    #[arg(long, value_parser = choices::activation(), default_value_t = Activation::Softplus)]
    pub(crate) activation: Activation,
    /// Worker threads; 0 takes one per core.
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: usize,
}

#[derive(Debug, Args)]
pub(crate) struct ScoreClockArgs {
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    /// Score field or potential.
    #[arg(long, value_enum, default_value_t = ModelArg::Potential)]
    pub(crate) model: ModelArg,
    /// Rows to score.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) rows: usize,
    /// Double precision, which `gradlogp score` uses; training and chains use single.
    #[arg(long)]
    pub(crate) double: bool,
    /// Also the trace of the Jacobian of the score (of the Hessian of log p), as `gradlogp score` does.
    #[arg(long)]
    pub(crate) trace: bool,
    /// Passes over the rows.
    #[arg(long, default_value_t = 3)]
    pub(crate) passes: usize,
}

#[derive(Debug, Args)]
pub(crate) struct MalaClockArgs {
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    /// Chains side by side.
    #[arg(long, default_value_t = 1000)]
    pub(crate) chains: usize,
    /// Steps of each chain.
    #[arg(long, default_value_t = 1000)]
    pub(crate) steps: usize,
    /// Step a in x += a/2 s + sqrt(a) z.
    #[arg(long, default_value_t = 0.5)]
    pub(crate) step_size: f64,
}

#[derive(Debug, Args)]
pub(crate) struct SteinClockArgs {
    /// Rows, standard normal, with their own score.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) rows: usize,
    /// Columns.
    #[arg(long, default_value_t = 2)]
    pub(crate) dim: usize,
    /// Most rows whose pairs are all taken [default: 2000, as in `eval`].
    ///
    /// More are cut into groups of so many, in time that grows as the rows. At least --rows for all pairs.
    #[arg(long)]
    pub(crate) group: Option<usize>,
    /// Draws of the wild bootstrap.
    #[arg(long, default_value_t = 500)]
    pub(crate) bootstrap: usize,
    /// Times to make the test.
    #[arg(long, default_value_t = 1)]
    pub(crate) passes: usize,
    /// Worker threads; 0 takes one per core.
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: usize,
}

#[derive(Debug, Args)]
pub(crate) struct ReadClockArgs {
    /// Table to read.
    pub(crate) data: PathBuf,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    /// Times to read it.
    #[arg(long, default_value_t = 3)]
    pub(crate) passes: usize,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Folder to write one page for each command to [default: the main page, to standard output].
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
}

/// A column's name and a number.
fn named_value(text: &str) -> Result<(String, f64), String> {
    let parts = text.rsplit_once('=').map(|(name, value)| (name.trim(), value.trim().parse()));
    match parts {
        Some((name, Ok(value))) if !name.is_empty() && f64::is_finite(value) => {
            Ok((name.to_string(), value))
        }
        _ => Err("must be a column and a number, such as age=40".into()),
    }
}

/// One ASCII character that can stand between fields; tab also by name.
pub(crate) fn delimiter(text: &str) -> Result<char, String> {
    if ["tab", "\\t"].contains(&text) {
        return Ok('\t');
    }
    match text.chars().collect::<Vec<_>>()[..] {
        [c] if c.is_ascii() && !c.is_ascii_alphanumeric() && !"\"\r\n.+-".contains(c) => Ok(c),
        _ => Err("must be one character such as , ; | or the word tab".into()),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModelArg {
    /// The network is the score itself: cheaper and more flexible, but no density
    Score,
    /// The network is log p(x) up to a constant, which gives densities and MALA
    #[value(alias = "log-density")]
    Potential,
    /// Deep kernel exponential family: a density with closed-form coefficients over learnt kernels, for
    /// tables of up to some tens of columns
    Dkef,
    /// The same with one plain Gaussian kernel, in seconds
    Kef,
}

impl From<ModelArg> for ModelKind {
    fn from(model: ModelArg) -> Self {
        match model {
            ModelArg::Score => ModelKind::Score,
            ModelArg::Potential | ModelArg::Dkef | ModelArg::Kef => ModelKind::LogDensity,
        }
    }
}

impl ModelArg {
    /// Fitted in closed form over kernels, and not a network alone.
    pub(crate) fn is_kernel_family(self) -> bool {
        matches!(self, ModelArg::Dkef | ModelArg::Kef)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ObjectiveArg {
    /// exact or ssm-vr, whichever has less gradient variance for the same work, measured in a short
    /// training run (kernel families: exact up to 16 columns, ssm-vr beyond)
    Auto,
    /// Sliced score matching
    Ssm,
    /// Sliced score matching with variance reduction
    SsmVr,
    /// Score matching with the exact trace
    Exact,
    /// Denoising score matching, which fits the data smoothed by noise --sigma
    Dsm,
    /// ssm by finite differences of network values, with an error of order --fd-eps squared
    FdSsm,
    /// dsm by finite differences
    FdDsm,
    /// Curvature propagation, an older baseline for potentials, slow
    Cp,
    /// The approximate diagonal by backpropagation, an older baseline for potentials, slow; biased with more
    /// than one hidden layer, and not for kernel families
    ApproxBackprop,
}

impl ObjectiveArg {
    /// The objective of this name; None for auto.
    pub(crate) fn with(self, slices: usize, sigma: f64, eps: Option<f64>) -> Option<Objective> {
        Some(match self {
            ObjectiveArg::Auto => return None,
            ObjectiveArg::Ssm => Objective::Ssm { slices },
            ObjectiveArg::SsmVr => Objective::SsmVr { slices },
            ObjectiveArg::Exact => Objective::Exact,
            ObjectiveArg::Dsm => Objective::Dsm { sigma },
            ObjectiveArg::FdSsm => Objective::FdSsm { slices, eps },
            ObjectiveArg::FdDsm => Objective::FdDsm { slices, sigma, eps },
            ObjectiveArg::Cp => Objective::Cp { slices },
            ObjectiveArg::ApproxBackprop => Objective::ApproxBackprop,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SamplerArg {
    /// mala for potentials, ula for score fields, heun for models fitted with --noise
    Auto,
    /// Langevin steps without correction: slightly too wide at any step
    Ula,
    /// Langevin steps corrected by the density: exact in the long run; potentials
    Mala,
    /// Hamiltonian Monte Carlo, exact too: learns the scale of each column and makes long moves, which suits
    /// many or correlated columns; potentials
    Hmc,
    /// From noise to data by Euler-Maruyama steps
    Em,
    /// From noise to data by stochastic Heun steps, of weak order 2
    Heun,
    /// em with Langevin corrections after each step
    Pc,
    /// From noise to data by the probability flow, with adaptive steps
    Ode,
    /// The probability flow by its exponential integrator
    Ddim,
    /// Langevin steps at falling noise levels, which end in the distribution that the model has at the least noise;
    /// variances come out 1 to 2% too large with the default steps, and more with fewer --steps or
    /// --corrections, or, by some 10%, where columns are nearly dependent
    Annealed,
}

impl From<SamplerArg> for Sampler {
    fn from(word: SamplerArg) -> Self {
        match word {
            SamplerArg::Auto => Sampler::Auto,
            SamplerArg::Ula => Sampler::Ula,
            SamplerArg::Mala => Sampler::Mala,
            SamplerArg::Hmc => Sampler::Hmc,
            SamplerArg::Em => Sampler::Em,
            SamplerArg::Heun => Sampler::Heun,
            SamplerArg::Pc => Sampler::Pc,
            SamplerArg::Ode => Sampler::Ode,
            SamplerArg::Ddim => Sampler::Ddim,
            SamplerArg::Annealed => Sampler::Annealed,
        }
    }
}

/// Where the steps from noise to data are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScheduleWord {
    /// Laid over noise levels, closer together where there is little noise
    Karras,
    /// Laid over noise levels in equal ratios
    Geometric,
    /// Laid over times in equal steps
    Uniform,
    /// Laid over times, closer together near the data
    Quadratic,
}

impl From<ScheduleWord> for StepSchedule {
    fn from(word: ScheduleWord) -> Self {
        match word {
            ScheduleWord::Karras => StepSchedule::Karras,
            ScheduleWord::Geometric => StepSchedule::Geometric,
            ScheduleWord::Uniform => StepSchedule::Uniform,
            ScheduleWord::Quadratic => StepSchedule::Quadratic,
        }
    }
}

/// What a fit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PurposeArg {
    /// score --anomaly: the densities of the data with noise of 1/2 to 4 scales, in seconds. Short for
    /// --noise ve --sigma-min 0.5 --sigma-max 4 --model potential --standardize robust --hidden 64,64
    /// --activation softplus --steps 1500
    Anomaly,
    /// score, without a choice of another: the score and the log density of the data themselves, as fit has them without this
    Score,
    /// loglik and sample: the best log likelihood of new rows, by two networks of all noise levels and a Gaussian mixture.
    /// Short for --noise vp --standardize whiten --dequantize, with --weight-decay, --noise-weight, --times, --noise-floor,
    /// --steps, --evaluate-every, --patience and --members by the size of the table
    Density,
    /// sample: as density
    Sampling,
    /// impute: as density, without the Gaussian mixture, which imputation does not use
    Imputation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AnomalyArg {
    /// scales for models of fit --for anomaly (and other potentials with --noise ve or ncsn), density for
    /// other potentials, path for score fields
    Auto,
    /// Mean over noise levels of noise^2 times -log p of the data with that noise
    Scales,
    /// -log p up to a constant
    Density,
    /// The same from the score alone, along the line from the mean of the training rows
    Path,
    /// Length of the score in standard deviations
    Norm,
}

impl From<AnomalyArg> for AnomalyKind {
    fn from(kind: AnomalyArg) -> Self {
        match kind {
            AnomalyArg::Auto => AnomalyKind::Auto,
            AnomalyArg::Scales => AnomalyKind::Scales,
            AnomalyArg::Density => AnomalyKind::Density,
            AnomalyArg::Path => AnomalyKind::Path,
            AnomalyArg::Norm => AnomalyKind::Norm,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// `tests/program/numbers.txt` names every option that takes a number; `numbers.rs` there tries them all.
    #[test]
    fn every_number_is_listed_for_the_test_of_numbers() {
        use std::any::TypeId;
        fn walk(command: &clap::Command, path: &str, out: &mut Vec<String>) {
            let numbers = [TypeId::of::<usize>(), TypeId::of::<u64>(), TypeId::of::<f64>()];
            for arg in command.get_arguments() {
                let of = arg.get_value_parser().type_id();
                if numbers.iter().any(|number| of == *number) {
                    let short = || arg.get_short().map(String::from);
                    let name = arg.get_long().map(String::from).or_else(short);
                    out.push(format!("{path} --{}", name.unwrap_or_default()));
                }
            }
            for below in command.get_subcommands() {
                walk(below, &format!("{path} {}", below.get_name()), out);
            }
        }
        let mut found = Vec::new();
        walk(&Cli::command(), "", &mut found);
        let found: String = found.iter().map(|line| format!("{}\n", line.trim_start())).collect();
        let list = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/program/numbers.txt");
        let listed = std::fs::read_to_string(list).unwrap();
        assert!(found == listed, "numbers.txt should be\n{found}");
    }

    #[test]
    fn a_resumed_fit_refuses_what_it_would_ignore() {
        let parse = |line: &str| {
            let words = line.split(' ');
            Cli::command().try_get_matches_from(words).and_then(|m| Cli::parse_checked(&m))
        };
        assert!(parse("gradlogp fit --resume c -o m --report r --checkpoint-every 0 -q").is_ok());
        assert!(parse("gradlogp fit a.csv --hidden 8 --steps 5").is_ok());
        let refused = parse("gradlogp fit --resume c --hidden 8 --steps 5").unwrap_err();
        assert!(refused.to_string().contains("--hidden, --steps would be ignored"), "{refused}");
        assert!(parse("gradlogp fit a.csv --model dkef --inducing 50 --steps 9").is_ok());
        let refused = parse("gradlogp fit a.csv --model kef --rate 1 --ema 0").unwrap_err();
        assert!(refused.to_string().contains("--rate, --ema has no effect"), "{refused}");
        let refused = parse("gradlogp fit a.csv --inducing 50").unwrap_err();
        assert!(refused.to_string().contains("--inducing has no effect"), "{refused}");
        assert!(parse("gradlogp sample --resume c -o s.csv").is_ok());
        let refused = parse("gradlogp sample m --resume c -n 5").unwrap_err();
        assert!(refused.to_string().contains("MODEL, -n would be ignored"), "{refused}");
        assert!(parse("gradlogp sample").is_err());
    }

    #[test]
    fn named_values() {
        assert_eq!(named_value("a=1.5"), Ok(("a".into(), 1.5)));
        assert_eq!(named_value("a=b = -2e3"), Ok(("a=b".into(), -2e3)));
        for bad in ["a", "=1", "a=", "a=x", "a=inf"] {
            assert!(named_value(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_with_commas_are_in_quotation_marks() {
        let parse = |words: &[&str]| match Cli::try_parse_from(words).map(|cli| cli.command) {
            Ok(Command::Fit(fit)) => *fit,
            other => panic!("{other:?}"),
        };
        let fit = parse(&[
            "gradlogp",
            "fit",
            "a.csv",
            "--columns",
            "a,\"mass, kg\"",
            "--columns",
            "b",
            "--drop=\"x\"",
            "--given",
            "c, d",
            "--dequantize=\"mass, kg\"",
            "--bounds",
            "\"mass, kg\"=0:inf,b=:1",
            "--thousands",
            ",",
        ]);
        assert_eq!(fit.read.columns().unwrap(), ["a", "mass, kg", "b"]);
        assert_eq!(
            (fit.read.dropped(), flat(&fit.prepare.given)),
            (vec!["x".into()], vec!["c".into(), "d".into()])
        );
        assert_eq!(flat(&fit.prepare.dequantize.unwrap()), ["mass, kg"]);
        assert_eq!(fit.boundary.bounds.len(), 1);
        assert_eq!(flat(&fit.boundary.bounds).len(), 2);
        assert_eq!(fit.read.decimal(), Some(Mark::Point));
        assert!(
            parse(&["gradlogp", "fit", "a.csv", "--dequantize"])
                .prepare
                .dequantize
                .unwrap()
                .is_empty()
        );
        assert!(Cli::try_parse_from(["gradlogp", "fit", "a.csv", "--drop", "\"a"]).is_err());
    }

    #[test]
    fn delimiters() {
        assert_eq!((delimiter("tab"), delimiter("\\t")), (Ok('\t'), Ok('\t')));
        assert_eq!(delimiter(";"), Ok(';'));
        for bad in ["", "ab", "é", "\"", "\n", "1", "."] {
            assert!(delimiter(bad).is_err(), "{bad:?}");
        }
    }
}
