//! `fit --noise`: a model of the score at every time of a noising process.

use std::sync::Arc;

use anyhow::Result;
use clap::{Args, ValueEnum};
use gradlogp::data::Transform;
use gradlogp::diffusion::{
    Clock, Conditioning, NoiseConfig, NoiseWeight, Noising, TimeFeatures, TimeLaw, TimeMlp,
    TimeModel,
};
use gradlogp::fitted::{NoiseRecord, Scaling, root_mean_square_score};
use gradlogp::score::AtTime;
use gradlogp::sde::{
    AnyProcess, BetaSchedule, ExpressionProcess, OrnsteinUhlenbeck, Process, Sde, SubVp, Ve, Vp,
    simulate,
};
use gradlogp::{Error, FittedModel, Model, Objective};
use ndarray::{Array2, ArrayView2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::commands::info::erased::Word;

/// Steps of the forward simulation where no kernel is known, unless asked for.
const SIMULATED: usize = 100;
/// Rows on which a process of the user's own is tried before training.
const TRIED: usize = 256;
/// Root mean square of a column, or 1 over it, from which on a named process does not suit it.
const MISMATCHED: f64 = 4.0;
/// Frequencies of the Fourier features.
const FREQUENCIES: usize = 8;

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Noise")]
pub(crate) struct NoiseArgs {
    /// Fit the score at every noise level of a process that turns data into noise.
    ///
    /// For sampling by the reverse process and for likelihoods. Times run from --t-min to the horizon.
    #[arg(long, value_enum, value_name = "PROCESS")]
    pub(crate) noise: Option<NoiseArg>,
    /// The loss at each noise level [default: dsm; ssm-vr for custom].
    #[arg(long, hide_short_help = true, value_enum, requires = "noise", value_name = "OBJECTIVE")]
    pub(crate) noise_objective: Option<NoiseObjectiveArg>,
    /// Weight of a time's loss [default: balanced; none for custom].
    #[arg(long, hide_short_help = true, value_enum, requires = "noise", value_name = "WEIGHT")]
    pub(crate) noise_weight: Option<WeightArg>,
    /// Where times are drawn [default: log-noise; uniform for custom].
    ///
    /// In strata, and with weights that undo the law.
    #[arg(long, hide_short_help = true, value_enum, requires = "noise", value_name = "LAW")]
    pub(crate) times: Option<TimesArg>,
    /// Width of the finest structure to expect, in standardised units [default: 0.1; not for custom].
    ///
    /// With less noise than that the network's output is scaled up no further. 0 for data in points or on a
    /// surface.
    #[arg(
        long,
        hide_short_help = true,
        requires = "noise",
        allow_negative_numbers = true,
        value_name = "W"
    )]
    pub(crate) noise_floor: Option<f64>,
    /// Steps of the forward simulation that makes noised rows [default: none; 100 for custom].
    ///
    /// By Euler-Maruyama steps. Without it the closed-form kernel of the process makes them, which custom has not.
    #[arg(
        long,
        hide_short_help = true,
        requires = "noise",
        allow_negative_numbers = true,
        value_name = "STEPS"
    )]
    pub(crate) simulate: Option<usize>,
    /// How the network reads the time, or the condition of --given [default: film; concat with --given].
    #[arg(long, hide_short_help = true, value_enum, value_name = "HOW")]
    pub(crate) conditioning: Option<ConditioningArg>,
    /// What the network reads of the time.
    #[arg(long, hide_short_help = true, value_enum, requires = "noise", default_value_t = NoiseArgs::default().time_features,
          value_name = "NAME")]
    pub(crate) time_features: FeaturesArg,
    /// ve, ncsn: least noise, in standardised units [default: 0.01].
    #[arg(
        long,
        hide_short_help = true,
        requires = "noise",
        allow_negative_numbers = true,
        value_name = "S"
    )]
    pub(crate) sigma_min: Option<f64>,
    /// ve, ncsn: largest noise, in standardised units [default: 10].
    #[arg(
        long,
        hide_short_help = true,
        requires = "noise",
        allow_negative_numbers = true,
        value_name = "S"
    )]
    pub(crate) sigma_max: Option<f64>,
    /// ncsn: number of levels [default: 10].
    #[arg(
        long,
        hide_short_help = true,
        requires = "noise",
        allow_negative_numbers = true,
        value_name = "N"
    )]
    pub(crate) levels: Option<usize>,
    /// vp, subvp: how the rate of noising moves.
    #[arg(long, hide_short_help = true, value_enum, requires = "noise", default_value_t = NoiseArgs::default().beta,
          value_name = "SCHEDULE")]
    pub(crate) beta: BetaArg,
    /// vp, subvp: rate at the start, if linear [default: 0.1].
    #[arg(
        long,
        hide_short_help = true,
        requires = "noise",
        allow_negative_numbers = true,
        value_name = "B"
    )]
    pub(crate) beta_min: Option<f64>,
    /// vp, subvp: rate at the end, if linear [default: 20].
    #[arg(
        long,
        hide_short_help = true,
        requires = "noise",
        allow_negative_numbers = true,
        value_name = "B"
    )]
    pub(crate) beta_max: Option<f64>,
    /// ou: rate at which data are forgotten [default: 1].
    #[arg(
        long,
        hide_short_help = true,
        requires = "noise",
        allow_negative_numbers = true,
        value_name = "THETA"
    )]
    pub(crate) ou_rate: Option<f64>,
    /// ou: sigma [default: sqrt(2), which ends in variance 1].
    #[arg(
        long,
        hide_short_help = true,
        requires = "noise",
        allow_negative_numbers = true,
        value_name = "SIGMA"
    )]
    pub(crate) ou_diffusion: Option<f64>,
    /// ou, custom: last time [default: 5 for ou, 1 for custom].
    #[arg(
        long,
        hide_short_help = true,
        requires = "noise",
        allow_negative_numbers = true,
        value_name = "T"
    )]
    pub(crate) horizon: Option<f64>,
    /// vp, subvp, ou, custom: least time at which the score is fitted [default: depends on the process].
    ///
    /// 0.001 for vp and ou, 0.025 for subvp, a hundredth of the horizon for custom.
    #[arg(
        long,
        hide_short_help = true,
        requires = "noise",
        allow_negative_numbers = true,
        value_name = "T"
    )]
    pub(crate) t_min: Option<f64>,
    /// custom: the drift, in the columns' own units, such as "x - x^3".
    ///
    /// One expression in t and x, the column itself, for all columns; or one for each, in order, in t and the names
    /// of columns. There are + - * / ^, numbers, pi, e, and exp, log, sqrt, sin, cos, tan, sinh, cosh, tanh, abs, sign of
    /// one number in parentheses. These words, t and x keep their meaning whatever the columns are called; any column
    /// can be written {name}.
    #[arg(
        long,
        hide_short_help = true,
        requires = "noise",
        value_name = "EXPRESSION",
        allow_hyphen_values = true
    )]
    pub(crate) drift: Vec<String>,
    /// custom: the diffusion g, an expression in t.
    #[arg(
        long,
        hide_short_help = true,
        requires = "noise",
        value_name = "EXPRESSION",
        allow_hyphen_values = true
    )]
    pub(crate) diffusion: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NoiseArg {
    /// Noise grows from --sigma-min to --sigma-max
    Ve,
    /// Data shrink as noise comes in, and the variance is kept
    Vp,
    /// The same with less variance on the way
    #[value(alias = "sub-vp")]
    Subvp,
    /// Ornstein-Uhlenbeck
    Ou,
    /// As ve, at --levels levels
    Ncsn,
    /// Your own: --drift and --diffusion
    Custom,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NoiseObjectiveArg {
    /// Denoising, which needs the process's closed-form kernel
    Dsm,
    /// Sliced score matching at the noised rows
    Ssm,
    /// The same with variance reduction
    SsmVr,
    /// Score matching with the exact trace at the noised rows
    Exact,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightArg {
    /// The network's own error counts alike over the logarithm of the noise, and less where that exceeds
    /// the signal
    Balanced,
    /// The variance of the noise
    Noise,
    /// g^2, which bounds the likelihood
    Likelihood,
    /// All times alike
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TimesArg {
    /// All noise levels below the signal alike, and fewer above it
    LogNoise,
    /// All times alike
    Uniform,
    /// More where the weight over the variance of the noise is large
    Importance,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConditioningArg {
    /// A factor and a shift at every layer
    Film,
    /// Beside the columns, by the first layer
    Concat,
}

impl From<ConditioningArg> for Conditioning {
    fn from(word: ConditioningArg) -> Self {
        match word {
            ConditioningArg::Film => Conditioning::Film,
            ConditioningArg::Concat => Conditioning::Concat,
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum FeaturesArg {
    /// Waves of the logarithm of the noise
    #[default]
    Fourier,
    /// The logarithm of the noise alone
    LogNoise,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum BetaArg {
    /// From --beta-min to --beta-max
    #[default]
    Linear,
    /// So that the signal falls as a squared cosine
    Cosine,
}

/// What `--noise` and its options ask for; kept in checkpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct NoisePlan {
    process: ProcessPlan,
    config: NoiseConfig,
    conditioning: Conditioning,
    features: TimeFeatures,
    /// Absent from checkpoints of before there was one.
    #[serde(default)]
    floor: f64,
    pub(crate) objective: Objective,
}

/// A process, as far as it is known before the columns are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ProcessPlan {
    Named(Process),
    Custom { drift: Vec<String>, diffusion: String, horizon: f64, t_min: f64 },
}

fn refuse<T>(option: &str, message: impl Into<String>) -> Result<T> {
    Err(Error::config(option.to_string(), message).into())
}

impl NoisePlan {
    /// The plan behind the options, None without `--noise`.
    pub(crate) fn new(args: &NoiseArgs, slices: usize) -> Result<Option<Self>> {
        let Some(noise) = args.noise else { return Ok(None) };
        args.check_unused(noise)?;
        args.check_order(noise)?;
        let process = args.process(noise)?;
        let custom = noise == NoiseArg::Custom;
        let default = if custom { NoiseObjectiveArg::SsmVr } else { NoiseObjectiveArg::Dsm };
        let objective = match args.noise_objective.unwrap_or(default) {
            NoiseObjectiveArg::Dsm => Objective::Regression,
            NoiseObjectiveArg::Ssm => Objective::Ssm { slices },
            NoiseObjectiveArg::SsmVr => Objective::SsmVr { slices },
            NoiseObjectiveArg::Exact => Objective::Exact,
        };
        let simulate = args.simulate.or(custom.then_some(SIMULATED));
        if objective == Objective::Regression && simulate.is_some() {
            let message = "dsm needs the closed-form kernel of the process, which custom has not and \
                           --simulate does without; use ssm, ssm-vr or exact";
            return refuse("--noise-objective", message);
        }
        let weight = match args.noise_weight {
            Some(WeightArg::Balanced) => NoiseWeight::Balanced,
            Some(WeightArg::Noise) => NoiseWeight::Noise,
            Some(WeightArg::Likelihood) => NoiseWeight::Likelihood,
            Some(WeightArg::None) => NoiseWeight::None,
            None if custom => NoiseWeight::None,
            None => NoiseWeight::Balanced,
        };
        let times = match args.times {
            Some(TimesArg::Uniform) => TimeLaw::Uniform,
            Some(TimesArg::Importance) => TimeLaw::Importance,
            Some(TimesArg::LogNoise) => TimeLaw::LogNoise,
            None if custom => TimeLaw::Uniform,
            None => TimeLaw::LogNoise,
        };
        let floor = args.noise_floor.unwrap_or(TimeMlp::FLOOR);
        let levels = (noise == NoiseArg::Ncsn).then(|| args.levels.unwrap_or(10));
        let plan = NoisePlan {
            process,
            config: NoiseConfig { weight, times, levels, simulate },
            conditioning: args.conditioning.map_or(Conditioning::Film, Into::into),
            floor,
            features: match args.time_features {
                FeaturesArg::Fourier => TimeFeatures::Fourier { frequencies: FREQUENCIES },
                FeaturesArg::LogNoise => TimeFeatures::LogNoise,
            },
            objective,
        };
        plan.check()?;
        Ok(Some(plan))
    }

    /// Refuses what no process or network can have, whether it comes from a command line or from a checkpoint.
    pub(crate) fn check(&self) -> Result<()> {
        if let ProcessPlan::Named(process) = &self.process {
            process.validate()?;
        }
        let NoisePlan { floor, config, .. } = self;
        if !(*floor >= 0.0 && floor.is_finite()) {
            return refuse("--noise-floor", format!("must be 0 or a positive number, not {floor}"));
        }
        if let Some(steps) = config.simulate {
            Noising::check_steps(steps)?;
        }
        if config.levels.is_some_and(|levels| levels < 2) {
            return refuse("--levels", "must be at least 2");
        }
        let most = TimeFeatures::Fourier { frequencies: FREQUENCIES }.width();
        if matches!(self.features, TimeFeatures::Fourier { frequencies } if frequencies > most) {
            return refuse("--time-features", format!("must be at most {most} frequencies"));
        }
        self.objective.validate()?;
        Ok(())
    }

    /// Whether the process is stated in the columns' own units.
    pub(crate) fn is_custom(&self) -> bool {
        matches!(self.process, ProcessPlan::Custom { .. })
    }

    /// The record for the model file; `plain` are the settings of the network apart from the time, `rows` the
    /// training rows in the columns' units, which `transform` scales.
    pub(crate) fn record(
        &self,
        plain: &gradlogp::Mlp,
        columns: &[String],
        rows: ArrayView2<'_, f64>,
        transform: &Transform,
        seed: u64,
    ) -> Result<NoiseRecord> {
        let process = self.process(columns);
        let scaling = match &process {
            AnyProcess::Named(_) => None,
            AnyProcess::Expressions(expressions) => {
                let sde = process.sde()?;
                let clock = Clock::new(Arc::clone(&sde))?;
                let steps = self.config.simulate.unwrap_or(SIMULATED);
                try_out(sde.as_ref(), expressions, steps, rows)?;
                Scaling::fit(&clock, rows, columns, transform, steps, seed)?
            }
        };
        let network = TimeMlp {
            dim: plain.dim,
            kind: plain.kind,
            hidden: plain.hidden.clone(),
            activation: plain.activation,
            features: self.features,
            conditioning: self.conditioning,
            scaled: !self.is_custom() || scaling.is_some(),
            floor: self.floor,
        };
        Ok(NoiseRecord { process, network, config: self.config, scaling })
    }

    /// What to know of the process beside its columns: of one's own, words that are columns' names too; of a named
    /// one, columns that are not of the size it is made for. `rows` are training rows in the
    /// network's units.
    pub(crate) fn notes(
        &self,
        columns: &[String],
        rows: ArrayView2<'_, f64>,
    ) -> Result<Vec<String>> {
        if let AnyProcess::Expressions(process) = self.process(columns) {
            return Ok(process.notes()?);
        }
        let size = |column: ndarray::ArrayView1<'_, f64>| {
            (column.iter().map(|x| x * x).sum::<f64>() / column.len().max(1) as f64).sqrt()
        };
        let sizes = rows.columns().into_iter().map(size).zip(columns);
        let off = |size: f64| size.ln().abs();
        let worst = sizes.max_by(|a, b| off(a.0).total_cmp(&off(b.0)));
        let Some((size, name)) = worst.filter(|worst| off(worst.0) > MISMATCHED.ln()) else {
            return Ok(Vec::new());
        };
        Ok(vec![format!(
            "the process is made for columns of mean 0 and standard deviation 1, and column \"{name}\" has a root mean \
             square of {}: scale it with --standardize standardize",
            crate::text::short(size)
        )])
    }

    fn process(&self, columns: &[String]) -> AnyProcess {
        match &self.process {
            ProcessPlan::Named(process) => AnyProcess::Named(*process),
            ProcessPlan::Custom { drift, diffusion, horizon, t_min } => {
                AnyProcess::Expressions(ExpressionProcess {
                    drift: drift.clone(),
                    diffusion: diffusion.clone(),
                    columns: columns.to_vec(),
                    horizon: *horizon,
                    t_min: *t_min,
                })
            }
        }
    }
}

/// The noising behind a record.
pub(crate) fn noising(record: &NoiseRecord) -> Result<Noising> {
    Ok(Noising::new(record.network.clone(), record.clock()?, record.config)?)
}

/// Refuses a drift that is no number at the data, or a simulation that runs away.
fn try_out(
    sde: &dyn Sde,
    process: &ExpressionProcess,
    steps: usize,
    rows: ArrayView2<'_, f64>,
) -> Result<()> {
    let text = |column: usize| &process.drift[column.min(process.drift.len() - 1)];
    let check = |rows: &Array2<f64>, t: f64| -> Result<()> {
        let drift = sde.drift_rows(rows.view(), t);
        let Some(((row, column), value)) = drift.indexed_iter().find(|(_, f)| !f.is_finite())
        else {
            return Ok(());
        };
        let place: Vec<String> = process
            .columns
            .iter()
            .zip(rows.row(row))
            .map(|(name, x)| format!("{name} = {}", crate::text::short(*x)))
            .collect();
        let message = format!(
            "\"{}\" is {value} at t = {}, {} (column {}); write it so that it is a number everywhere \
             that the rows go",
            text(column),
            crate::text::short(t),
            place.join(", "),
            process.columns[column],
        );
        refuse("--drift", message)
    };
    check(&rows.to_owned(), 0.0)?;
    let rows = rows.slice(ndarray::s![..rows.nrows().min(TRIED), ..]).to_owned();
    for share in [0.1, 0.5, 1.0] {
        let t = share * sde.horizon();
        let mut moved: Vec<f64> = rows.iter().copied().collect();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        simulate(sde, &mut rng, &mut moved, &vec![t; rows.nrows()], steps);
        if moved.iter().any(|x| !x.is_finite()) {
            let message = format!(
                "rows run away before t = {}, in steps of {} (--simulate {steps}); write a drift that turns back, \
                 end earlier (--horizon), or take more steps",
                crate::text::short(t),
                crate::text::short(t / steps as f64)
            );
            return refuse("--drift", message);
        }
        check(&Array2::from_shape_vec(rows.dim(), moved)?, t)?;
    }
    Ok(())
}

impl NoiseArgs {
    fn process(&self, noise: NoiseArg) -> Result<ProcessPlan> {
        let beta = match self.beta {
            BetaArg::Cosine => BetaSchedule::Cosine,
            BetaArg::Linear => BetaSchedule::Linear {
                beta_min: self.beta_min.unwrap_or(0.1),
                beta_max: self.beta_max.unwrap_or(20.0),
            },
        };
        let named = match noise {
            NoiseArg::Ve | NoiseArg::Ncsn => {
                let usual = Ve::default();
                Process::Ve(Ve {
                    sigma_min: self.sigma_min.unwrap_or(usual.sigma_min),
                    sigma_max: self.sigma_max.unwrap_or(usual.sigma_max),
                })
            }
            NoiseArg::Vp => {
                Process::Vp(Vp { beta, t_min: self.t_min.unwrap_or(Vp::default().t_min) })
            }
            NoiseArg::Subvp => {
                Process::SubVp(SubVp { beta, t_min: self.t_min.unwrap_or(SubVp::default().t_min) })
            }
            NoiseArg::Ou => {
                let usual = OrnsteinUhlenbeck::default();
                let horizon = self.horizon.unwrap_or(usual.horizon);
                Process::OrnsteinUhlenbeck(OrnsteinUhlenbeck {
                    rate: self.ou_rate.unwrap_or(usual.rate),
                    diffusion: self.ou_diffusion.unwrap_or(usual.diffusion),
                    horizon,
                    // Early in a short process, too.
                    t_min: self.t_min.unwrap_or(usual.t_min.min(0.01 * horizon)),
                })
            }
            NoiseArg::Custom => {
                let Some(diffusion) = self.diffusion.clone().filter(|_| !self.drift.is_empty())
                else {
                    return refuse("--noise custom", "needs --drift and --diffusion");
                };
                let horizon = self.horizon.unwrap_or(1.0);
                return Ok(ProcessPlan::Custom {
                    drift: self.drift.clone(),
                    diffusion,
                    horizon,
                    t_min: self.t_min.unwrap_or(0.01 * horizon),
                });
            }
        };
        Ok(ProcessPlan::Named(named))
    }

    /// Refuses bounds in the wrong order, naming the one that was given.
    fn check_order(&self, noise: NoiseArg) -> Result<()> {
        let usual = Ve::default();
        let sigma = matches!(noise, NoiseArg::Ve | NoiseArg::Ncsn);
        for (applies, names, least, largest, (low, high)) in [
            (
                sigma,
                ("--sigma-min", "--sigma-max"),
                self.sigma_min,
                self.sigma_max,
                (usual.sigma_min, usual.sigma_max),
            ),
            (!sigma, ("--beta-min", "--beta-max"), self.beta_min, self.beta_max, (0.1, 20.0)),
        ] {
            match (least, largest) {
                (Some(least), None) if applies && least >= high && least.is_finite() => {
                    let message = format!(
                        "must be below {}, which is {high} unless given; {least} is not: give both",
                        names.1
                    );
                    return refuse(names.0, message);
                }
                (None, Some(largest)) if applies && largest <= low && largest > 0.0 => {
                    let message = format!(
                        "must be above {}, which is {low} unless given; {largest} is not: give both",
                        names.0
                    );
                    return refuse(names.1, message);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Refuses options of other processes, which would have no effect.
    fn check_unused(&self, noise: NoiseArg) -> Result<()> {
        use NoiseArg::*;
        let given = [
            ("--sigma-min", self.sigma_min.is_some(), &[Ve, Ncsn][..]),
            ("--sigma-max", self.sigma_max.is_some(), &[Ve, Ncsn]),
            ("--levels", self.levels.is_some(), &[Ncsn]),
            ("--noise-floor", self.noise_floor.is_some(), &[Ve, Vp, Subvp, Ou, Ncsn]),
            ("--beta cosine", self.beta == BetaArg::Cosine, &[Vp, Subvp]),
            ("--beta-min", self.beta_min.is_some(), &[Vp, Subvp]),
            ("--beta-max", self.beta_max.is_some(), &[Vp, Subvp]),
            ("--ou-rate", self.ou_rate.is_some(), &[Ou]),
            ("--ou-diffusion", self.ou_diffusion.is_some(), &[Ou]),
            ("--horizon", self.horizon.is_some(), &[Ou, Custom]),
            ("--t-min", self.t_min.is_some(), &[Vp, Subvp, Ou, Custom]),
            ("--drift", !self.drift.is_empty(), &[Custom]),
            ("--diffusion", self.diffusion.is_some(), &[Custom]),
        ];
        for (option, given, of) in given {
            if given && !of.contains(&noise) {
                let word = |arg: &NoiseArg| word_of(*arg);
                let of: Vec<String> = of.iter().map(word).collect();
                let message = format!("is for --noise {}, not {}", of.join(" or "), word(&noise));
                return refuse(option, message);
            }
        }
        if self.beta == BetaArg::Cosine && (self.beta_min.or(self.beta_max)).is_some() {
            return refuse("--beta-min, --beta-max", "are for --beta linear");
        }
        Ok(())
    }
}

/// An option's value as it is written.
fn word_of(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or(String::new(), |value| value.get_name().to_string())
}

/// A process in words.
fn process_words(process: &Process) -> String {
    let rate = |beta: &BetaSchedule| match beta {
        BetaSchedule::Linear { beta_min, beta_max } => {
            format!("rate from {beta_min} to {beta_max}")
        }
        BetaSchedule::Cosine => "cosine schedule".to_string(),
        _ => "a rate of its own".to_string(),
    };
    match process {
        Process::Ve(p) => format!("ve, noise from {} to {}", p.sigma_min, p.sigma_max),
        Process::Vp(p) => format!("vp, {}, t from {} to 1", rate(&p.beta), p.t_min),
        Process::SubVp(p) => format!("subvp, {}, t from {} to 1", rate(&p.beta), p.t_min),
        Process::OrnsteinUhlenbeck(p) => format!(
            "Ornstein-Uhlenbeck, rate {}, diffusion {}, t from {} to {}",
            p.rate,
            crate::text::short(p.diffusion),
            p.t_min,
            p.horizon
        ),
        _ => "another process".to_string(),
    }
}

/// The process and how rows were noised, in words, for `info` and the report.
pub(crate) fn settings(record: &NoiseRecord) -> Vec<(String, String)> {
    let process = match &record.process {
        AnyProcess::Named(process) => process_words(process),
        AnyProcess::Expressions(p) => format!(
            "dx = ({}) dt + ({}) dW, t from {} to {}",
            p.drift.join("; "),
            p.diffusion,
            p.t_min,
            p.horizon
        ),
    };
    let rows = match (record.config.simulate, record.config.levels) {
        (Some(steps), _) => format!("simulated in {steps} steps"),
        (None, Some(levels)) => format!("by the kernel at {levels} levels"),
        (None, None) => "by the kernel".to_string(),
    };
    let config = &record.config;
    let how = format!("{rows}, weight {}, times {}", config.weight.word(), config.times.word());
    vec![("Process".into(), process), ("Noised rows".into(), how)]
}

/// Rows of the data (in the user's units) as the model's time sees them: noised to it. None for a model
/// of one density.
pub(crate) fn noised(
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    seed: u64,
) -> Result<Option<Array2<f64>>> {
    let (Some(record), Some(time)) = (&model.description().noise, model.time()) else {
        return Ok(None);
    };
    let sde = record.process.sde()?;
    let transform = &model.description().transform;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut z = transform.forward(rows);
    match sde.kernel(time) {
        Some(kernel) => z.mapv_inplace(|z| {
            let noise: f64 = StandardNormal.sample(&mut rng);
            kernel.scale * z + kernel.std * noise
        }),
        None => {
            let steps = record.config.simulate.unwrap_or(SIMULATED);
            let mut flat: Vec<f64> = z.iter().copied().collect();
            simulate(sde.as_ref(), &mut rng, &mut flat, &vec![time; z.nrows()], steps);
            z = Array2::from_shape_vec(z.dim(), flat)?;
        }
    }
    Ok(Some(transform.inverse(z.view())))
}

/// Root mean square of the score of a time model where noise is least, in the network's units; `rows` in those of
/// the process.
pub(crate) fn score_scale(
    record: &NoiseRecord,
    network: &Model<f32>,
    rows: ArrayView2<'_, f64>,
) -> Result<f64> {
    let clock = record.clock()?;
    let time = clock.t_min();
    let width = clock.frame().map_or(1.0, |frame| frame.mean_square_width(time).sqrt());
    let family = TimeModel::new(network.clone(), record.network.clone(), clock);
    Ok(width * root_mean_square_score(&AtTime { family: &family, time }, rows))
}
