//! `fit --noise`: a model of the score at every time of a noising process.

use anyhow::Result;
use clap::{Args, ValueEnum};
use gradlogp::diffusion::{Conditioning, NoiseConfig, NoiseWeight, TimeDistribution, TimeFeatures};
use gradlogp::fit::{DiffusionConfig, ProcessConfig};
use gradlogp::numeric::Activation;
use gradlogp::sde::{BetaSchedule, OrnsteinUhlenbeck, Process, SubVp, Ve, Vp};
use gradlogp::{Error, ModelKind, Objective};

use crate::choices;

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
    #[arg(long, hide_short_help = true, value_parser = choices::noise_weight(), requires = "noise", value_name = "WEIGHT")]
    pub(crate) noise_weight: Option<NoiseWeight>,
    /// Where times are drawn [default: log-noise; uniform for custom].
    ///
    /// Stratified, and reweighted so that the expected loss is the same whatever the distribution.
    #[arg(long, hide_short_help = true, value_parser = choices::times(), requires = "noise", value_name = "NAME")]
    pub(crate) times: Option<TimeDistribution>,
    /// Width of the finest structure to expect, in standardized units [default: 0.1; not for custom].
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
    /// By Euler-Maruyama steps. Without it the closed-form kernel of the process makes them, which custom does
    /// not have.
    #[arg(
        long,
        hide_short_help = true,
        requires = "noise",
        allow_negative_numbers = true,
        value_name = "STEPS"
    )]
    pub(crate) simulate: Option<usize>,
    /// How the time, or the condition of --given, enters the network [default: film; concat with --given].
    #[arg(long, hide_short_help = true, value_parser = choices::conditioning(), value_name = "HOW")]
    pub(crate) conditioning: Option<Conditioning>,
    /// Features of the time that the network reads.
    #[arg(long, hide_short_help = true, value_enum, requires = "noise", default_value_t = NoiseArgs::default().time_features,
          value_name = "NAME")]
    pub(crate) time_features: FeaturesArg,
    /// ve, ncsn: least noise, in standardized units [default: 0.01].
    #[arg(
        long,
        hide_short_help = true,
        requires = "noise",
        allow_negative_numbers = true,
        value_name = "S"
    )]
    pub(crate) sigma_min: Option<f64>,
    /// ve, ncsn: largest noise, in standardized units [default: 10].
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
    /// vp, subvp: the schedule of the noise, beta(t).
    #[arg(long, hide_short_help = true, value_enum, requires = "noise", default_value_t = NoiseArgs::default().beta,
          value_name = "SCHEDULE")]
    pub(crate) beta: BetaArg,
    /// vp, subvp: beta at the start, if linear [default: 0.1].
    #[arg(
        long,
        hide_short_help = true,
        requires = "noise",
        allow_negative_numbers = true,
        value_name = "B"
    )]
    pub(crate) beta_min: Option<f64>,
    /// vp, subvp: beta at the end, if linear [default: 20].
    #[arg(
        long,
        hide_short_help = true,
        requires = "noise",
        allow_negative_numbers = true,
        value_name = "B"
    )]
    pub(crate) beta_max: Option<f64>,
    /// ou: rate of mean reversion [default: 1].
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
    /// of columns. There are + - * / ^, numbers, pi, e, and exp, log, sqrt, sin, cos, tan, sinh, cosh, tanh,
    /// abs, sign of one number in parentheses. These words, t and x keep their meaning whatever the columns are
    /// called; any column can be written {name}.
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

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum FeaturesArg {
    /// Sines and cosines of the logarithm of the noise
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

fn refuse<T>(option: &str, message: impl Into<String>) -> Result<T> {
    Err(Error::config(option.to_string(), message).into())
}

/// What the options of every model ask of a network.
pub(crate) struct NetworkAsked<'a> {
    pub(crate) kind: Option<ModelKind>,
    /// Empty: the usual ones.
    pub(crate) hidden: &'a [usize],
    pub(crate) activation: Option<Activation>,
}

impl NoiseArgs {
    /// The diffusion model behind the options and its objective, None without `--noise`. `chosen` is that of
    /// `--for`, which goes without `--noise`.
    pub(crate) fn diffusion(
        &self,
        asked: NetworkAsked<'_>,
        slices: usize,
        chosen: Option<DiffusionConfig>,
    ) -> Result<Option<(DiffusionConfig, Objective)>> {
        let usual = match (chosen, self.noise) {
            (Some(chosen), _) => chosen,
            (None, Some(noise)) => self.usual(noise)?,
            (None, None) => return Ok(None),
        };
        let objective = match self.noise_objective {
            Some(NoiseObjectiveArg::Dsm) => Objective::Regression,
            Some(NoiseObjectiveArg::Ssm) => Objective::Ssm { slices },
            Some(NoiseObjectiveArg::SsmVr) => Objective::SsmVr { slices },
            Some(NoiseObjectiveArg::Exact) => Objective::Exact,
            None if usual.is_custom() => Objective::SsmVr { slices },
            None => Objective::Regression,
        };
        let simulate = self.simulate.or(usual.noise.simulate);
        if objective == Objective::Regression && simulate.is_some() {
            let message = "dsm needs the closed-form kernel of the process, which custom does not have and \
                           --simulate does without; use ssm, ssm-vr or exact";
            return refuse("--noise-objective", message);
        }
        let config = DiffusionConfig {
            noise: NoiseConfig {
                weight: self.noise_weight.unwrap_or(usual.noise.weight),
                times: self.times.unwrap_or(usual.noise.times),
                levels: usual.noise.levels,
                simulate,
            },
            kind: asked.kind.unwrap_or(usual.kind),
            hidden: if asked.hidden.is_empty() { usual.hidden } else { asked.hidden.to_vec() },
            activation: asked.activation.unwrap_or(usual.activation),
            conditioning: self.conditioning.unwrap_or(usual.conditioning),
            floor: self.noise_floor.unwrap_or(usual.floor),
            features: match self.time_features {
                FeaturesArg::Fourier => usual.features,
                FeaturesArg::LogNoise => TimeFeatures::LogNoise,
            },
            process: usual.process,
        };
        config.validate()?;
        Ok(Some((config, objective)))
    }

    /// The usual settings for this process.
    fn usual(&self, noise: NoiseArg) -> Result<DiffusionConfig> {
        self.check_unused(noise)?;
        self.check_order(noise)?;
        let mut usual = DiffusionConfig::of(self.process(noise)?);
        usual.noise.levels =
            (noise == NoiseArg::Ncsn).then(|| self.levels.unwrap_or(NoiseConfig::LEVELS));
        Ok(usual)
    }

    fn process(&self, noise: NoiseArg) -> Result<ProcessConfig> {
        let beta = match self.beta {
            BetaArg::Cosine => BetaSchedule::Cosine,
            BetaArg::Linear => BetaSchedule::Linear {
                beta_min: self.beta_min.unwrap_or(BetaSchedule::LINEAR.0),
                beta_max: self.beta_max.unwrap_or(BetaSchedule::LINEAR.1),
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
                    t_min: self
                        .t_min
                        .unwrap_or(usual.t_min.min(ProcessConfig::usual_t_min(horizon))),
                })
            }
            NoiseArg::Custom => {
                let Some(diffusion) = self.diffusion.clone().filter(|_| !self.drift.is_empty())
                else {
                    return refuse("--noise custom", "needs --drift and --diffusion");
                };
                let horizon = self.horizon.unwrap_or(ProcessConfig::HORIZON);
                return Ok(ProcessConfig::Custom {
                    drift: self.drift.clone(),
                    diffusion,
                    horizon,
                    t_min: self.t_min.unwrap_or_else(|| ProcessConfig::usual_t_min(horizon)),
                });
            }
        };
        Ok(ProcessConfig::Named(named))
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
            (
                !sigma,
                ("--beta-min", "--beta-max"),
                self.beta_min,
                self.beta_max,
                BetaSchedule::LINEAR,
            ),
        ] {
            match (least, largest) {
                (Some(least), None) if applies && least >= high && least.is_finite() => {
                    let message = format!(
                        "must be below {}, which is {high} by default; {least} is not: set both",
                        names.1
                    );
                    return refuse(names.0, message);
                }
                (None, Some(largest)) if applies && largest <= low && largest > 0.0 => {
                    let message = format!(
                        "must be above {}, which is {low} by default; {largest} is not: set both",
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
