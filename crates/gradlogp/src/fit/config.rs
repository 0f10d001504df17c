//! Settings of a fit: structs with public fields, each with the usual values as [`Default`] and one check.

use gradlogp_numeric::Activation;
use serde::{Deserialize, Serialize};

use super::diffusion::DiffusionConfig;
use super::domain::DomainConfig;
use super::kernel_family::KernelFamilyConfig;
use crate::data::{GapRule, Marginals, SplitFractions, Standardization};
use crate::domain::{Boxed, Domain};
use crate::model::{Conditioning, LossPass, Mlp, Model, ModelKind};
use crate::objective::Objective;
use crate::train::TrainConfig;
use crate::{Error, Result};

/// Everything that decides a fit of a table.
///
/// [`FitConfig::default`] is a log-density network; [`FitConfig::of`] has the usual training settings of any family.
/// Fields may be added in a minor version: end literals with `..FitConfig::default()`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FitConfig {
    /// From the table to rows that a network is trained on.
    pub prepare: PrepareConfig,
    /// What is fitted.
    pub family: Family,
    /// How. Of a kernel family only the objective, the slices, `steps`, `seed` and `threads` can be
    /// chosen; [`FitConfig::of`] has the others.
    pub training: TrainConfig,
    /// Whether the objective is still to be chosen: the exact loss, or the sliced one that `training` holds.
    pub choose_objective: bool,
    /// Networks that are trained on other seeds and averaged.
    #[serde(default = "one")]
    pub members: usize,
    /// Diffusion models: whether a Gaussian mixture, weighed on the validation rows, joins the density.
    #[serde(default)]
    pub with_gaussians: bool,
}

fn one() -> usize {
    1
}

/// What is fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// A network of one density: its logarithm, or its score.
    Network(NetworkConfig),
    /// A network of the score at every noise level of a process.
    Diffusion(DiffusionConfig),
    /// A kernel exponential family, whose kernel may be learnt.
    Kernel(KernelFamilyConfig),
}

/// A network of one density.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkConfig {
    /// Log density or score field.
    pub kind: ModelKind,
    /// Width of each hidden layer.
    pub hidden: Vec<usize>,
    /// The nonlinearity after each.
    pub activation: Activation,
    /// Whether hidden layers of one width add to their input.
    pub residual: bool,
    /// Log densities: adds -|z|^2 / (2 tau^2), so that exp f can be normalized.
    pub base_scale: Option<f64>,
    /// What the density is of.
    pub support: Support,
}

/// Of what a network is the density.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Support {
    /// p(x) on all of R^d.
    #[default]
    Everywhere,
    /// p(x | c).
    Conditional {
        /// Columns of the table that are c; the others are x.
        columns: Vec<String>,
        /// How the network reads c.
        conditioning: Conditioning,
    },
    /// p(x) on a domain with a boundary, MATH (7).
    #[serde(rename = "within")]
    Domain {
        /// The domain.
        #[serde(rename = "region")]
        domain: DomainConfig,
        /// How fast the weight rises from the boundary: the distance to this power.
        power: f64,
    },
}

/// From a table to rows that a network is trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrepareConfig {
    /// Columns to which the noise of rounding is added back. None: none; empty: all that are rounded; else these.
    pub dequantize: Option<Vec<String>>,
    /// How much of it.
    pub gap_rule: GapRule,
    /// How columns are scaled, by the training rows.
    pub standardization: Standardization,
    /// Whether columns that cannot be whitened, because some follow from others, are standardized instead.
    #[serde(default)]
    pub or_standardize: bool,
    /// Diffusion models: whether each column is first mapped, by itself, to one that is about normal.
    #[serde(default)]
    pub marginals: Marginals,
    /// Share of validation rows, which select the weights that are kept.
    pub validation: f64,
    /// Share of the rows that the evaluation uses and nothing else sees.
    pub test: f64,
}

impl Default for PrepareConfig {
    /// Columns of mean 0 and standard deviation 1, a tenth of the rows to validate and a tenth to test on.
    fn default() -> Self {
        PrepareConfig {
            dequantize: None,
            gap_rule: GapRule::Gap,
            standardization: Standardization::Standardize,
            or_standardize: false,
            marginals: Marginals::Keep,
            validation: 0.1,
            test: 0.1,
        }
    }
}

impl PrepareConfig {
    /// Checks the shares.
    ///
    /// # Errors
    /// [`Error::Config`] where no row would be left to validate or to train on.
    pub fn validate(&self) -> Result<()> {
        let PrepareConfig { validation, test, .. } = *self;
        if !(validation > 0.0 && validation < 1.0) {
            let message = "must lie between 0 and 1: these rows decide which weights are kept";
            return Err(Error::config("validation", message));
        }
        if !(0.0..1.0).contains(&test) {
            return Err(Error::config("test", "must be 0 or more, and below 1"));
        }
        if validation + test >= 1.0 {
            let message = format!(
                "with `validation` {validation} and `test` {test} no row is left to train on"
            );
            return Err(Error::config("test", message));
        }
        Ok(())
    }

    /// The shares of all three parts.
    pub fn fractions(&self) -> SplitFractions {
        let PrepareConfig { validation, test, .. } = *self;
        SplitFractions { train: 1.0 - validation - test, validation, test }
    }
}

impl Default for NetworkConfig {
    /// A log density of two hidden layers of 128 softplus units over a Gaussian base of width 3.
    fn default() -> Self {
        NetworkConfig {
            kind: ModelKind::LogDensity,
            hidden: vec![128; 2],
            activation: Activation::Softplus,
            residual: false,
            base_scale: Some(3.0),
            support: Support::Everywhere,
        }
    }
}

impl NetworkConfig {
    /// A score field of the same size.
    pub fn score_field() -> Self {
        NetworkConfig { kind: ModelKind::Score, base_scale: None, ..NetworkConfig::default() }
    }

    /// The network's settings for `dim` columns.
    pub fn mlp(&self, dim: usize) -> Mlp {
        let (condition_dim, conditioning) = match &self.support {
            Support::Conditional { columns, conditioning } => (columns.len(), *conditioning),
            _ => (0, Conditioning::Concat),
        };
        Mlp {
            dim,
            kind: self.kind,
            hidden: self.hidden.clone(),
            activation: self.activation,
            residual: self.residual,
            base_scale: self.base_scale,
            base_components: 0,
            condition_dim,
            conditioning,
            members: 1,
        }
    }
}

impl Default for FitConfig {
    fn default() -> Self {
        FitConfig::of(Family::Network(NetworkConfig::default()))
    }
}

/// Optimizer steps, at most: enough for a small table.
const STEPS: u64 = 6000;

impl FitConfig {
    /// A family with its usual settings. The objective of a network is chosen between exact and
    /// sliced score matching; of a diffusion model it is denoising where the process has a kernel.
    pub fn of(family: Family) -> Self {
        let usual = TrainConfig { steps: STEPS, ..TrainConfig::default() };
        let training = match &family {
            Family::Network(_) => TrainConfig { patience: 20, ..usual },
            Family::Diffusion(diffusion) => {
                TrainConfig { objective: diffusion.usual_objective(), ..usual }
            }
            Family::Kernel(family) => family.settings(&usual),
        };
        let choose_objective = !matches!(family, Family::Diffusion(_));
        FitConfig {
            prepare: PrepareConfig::default(),
            family,
            training,
            choose_objective,
            members: 1,
            with_gaussians: false,
        }
    }

    /// Columns of the condition; none for p(x).
    pub fn condition_columns(&self) -> &[String] {
        match &self.family {
            Family::Network(NetworkConfig {
                support: Support::Conditional { columns, .. },
                ..
            }) => columns,
            _ => &[],
        }
    }

    /// Log density or score.
    pub fn kind(&self) -> ModelKind {
        match &self.family {
            Family::Network(network) => network.kind,
            Family::Diffusion(diffusion) => diffusion.kind,
            Family::Kernel(_) => ModelKind::LogDensity,
        }
    }

    /// Widths of the hidden layers; of a kernel family none.
    pub fn hidden(&self) -> &[usize] {
        match &self.family {
            Family::Network(network) => &network.hidden,
            Family::Diffusion(diffusion) => &diffusion.hidden,
            Family::Kernel(_) => &[],
        }
    }

    /// The settings of the network in a model file for `dim` columns, without the time of a diffusion model.
    pub fn mlp(&self, dim: usize) -> Mlp {
        match &self.family {
            Family::Network(network) => network.mlp(dim),
            Family::Diffusion(diffusion) => diffusion.plain(dim),
            Family::Kernel(family) => family.stand_in(dim),
        }
    }

    /// Checks every number, as far as it can be before the table is known.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first setting that cannot be used, alone or with others.
    pub fn validate(&self) -> Result<()> {
        self.prepare.validate()?;
        let objective = (!self.choose_objective).then_some(self.training.objective);
        let whitens = self.prepare.standardization == Standardization::Whiten;
        match &self.family {
            Family::Network(network) => {
                if let Support::Domain { power, .. } = &network.support {
                    if whitens {
                        let message = "whiten mixes the columns that bounds belong to; use standardize or none";
                        return Err(Error::config("standardize", message));
                    }
                    if let Some(objective) = objective {
                        objective.check_bounded()?;
                    }
                    // The power alone: the columns are not known before the data is read.
                    Domain::Box(Boxed { columns: vec![], power: *power }).validate()?;
                }
                let message = "names no column; leave it out";
                match &network.support {
                    Support::Conditional { columns, .. } if columns.is_empty() => {
                        return Err(Error::config("given", message));
                    }
                    _ => {}
                }
            }
            Family::Diffusion(diffusion) => {
                diffusion.validate()?;
                if diffusion.is_custom() && whitens {
                    let message = "whiten mixes the columns, and a custom process moves each by itself; use \
                                   standardize, robust, common or none";
                    return Err(Error::config("standardize", message));
                }
                if self.choose_objective {
                    let message = "of a diffusion model is not chosen; name one";
                    return Err(Error::config("objective", message));
                }
            }
            Family::Kernel(family) => family.validate()?,
        }
        self.training.validate()?;
        crate::model::members::check_members(self.members)?;
        let family = &self.family;
        if self.members > 1 && matches!(family, Family::Kernel(_)) {
            return Err(Error::config("members", "a kernel family has one member"));
        }
        let over_time = matches!(family, Family::Diffusion(diffusion) if !diffusion.is_custom());
        if self.prepare.marginals != Marginals::Keep && !over_time {
            let message = "are mapped for models of all noise levels of a named process alone";
            return Err(Error::config("marginals", message));
        }
        if self.with_gaussians
            && !matches!(family, Family::Diffusion(_))
            && !self.adds_to_gaussians()
        {
            let message =
                "is for diffusion models, and for potentials without bounds and conditions";
            return Err(Error::config("with_gaussians", message));
        }
        // A small stand-in: settings that no network can have are refused before the data is read.
        let stand_in = self.stand_in()?;
        if !self.choose_objective {
            LossPass::check(&self.training.objective, &stand_in)?;
        }
        Ok(())
    }

    /// The network for one column.
    fn stand_in(&self) -> Result<Model<f32>> {
        self.mlp(1).build::<f32>(0)
    }

    /// `training` in terms of one objective, which is not chosen.
    pub fn with_objective(self, objective: Objective) -> Self {
        let training = TrainConfig { objective, ..self.training };
        FitConfig { training, choose_objective: false, ..self }
    }
}
