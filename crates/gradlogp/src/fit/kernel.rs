//! Fits of kernel exponential families.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::Trained;
use crate::dkef::{
    ILL_CONDITIONED, KernelConfig, KernelFamily, KernelFit, KernelStep, KernelTrainer,
    log_normalizer, median_log_width,
};
use crate::fitted::KernelDescription;
use crate::model::{Mlp, ModelKind};
use crate::objective::Objective;
use crate::train::{Schedule, Stop, TrainConfig};
use crate::{Error, Result};

/// Most columns for which the exact trace is taken unless told otherwise.
pub(super) const EXACT_COLUMNS: usize = 16;
/// Draws for the log normaliser.
const DRAWS: usize = 200_000;
/// Below this share of the draws the normaliser is not to be trusted.
const EFFECTIVE: f64 = 0.005;
/// Tried for a plain kernel: log10 of the squared width around the median squared distance, and of lambda.
const WIDTHS: [f64; 6] = [-0.6, -0.3, 0.0, 0.3, 0.6, 1.0];
const LAMBDAS: [f64; 11] = [-7.0, -6.0, -5.0, -4.5, -4.0, -3.5, -3.0, -2.5, -2.0, -1.0, 0.0];

/// A kernel exponential family, MATH 7.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KernelFamilyConfig {
    /// Whether the kernel is learnt; if not, its width and lambda are chosen on validation rows.
    pub deep: bool,
    /// Inducing points.
    pub inducing: usize,
    /// Standard deviation of the Gaussian base density, in standardised units.
    pub base_sd: f64,
}

impl Default for KernelFamilyConfig {
    /// A learnt kernel at 200 inducing points over a base of width 2.
    fn default() -> Self {
        KernelFamilyConfig { deep: true, inducing: 200, base_sd: 2.0 }
    }
}

impl KernelFamilyConfig {
    /// Refuses settings of no family.
    ///
    /// # Errors
    /// As [`KernelFamily::validate`].
    pub fn validate(&self) -> Result<()> {
        self.family(1, 0.0).validate()
    }

    fn family(&self, dim: usize, log_width: f64) -> KernelFamily {
        let family = match self.deep {
            true => KernelFamily::deep(dim),
            false => KernelFamily::plain(dim, log_width),
        };
        KernelFamily { inducing: self.inducing, base_sd: self.base_sd, ..family }
    }

    /// The training settings that a family has, in place of those of networks.
    pub fn settings(&self, asked: &TrainConfig) -> TrainConfig {
        let own = KernelConfig::default();
        TrainConfig {
            batch: own.batch,
            rate: own.rate,
            schedule: Schedule::Constant,
            warm_up: 0,
            clip: own.clip,
            decay: 0.0,
            ema: 0.0,
            evaluate_every: 5,
            patience: 60,
            ..asked.clone()
        }
    }

    /// The potential that a family becomes, as settings.
    pub(super) fn stand_in(&self, dim: usize) -> Mlp {
        Mlp {
            hidden: Vec::new(),
            base_scale: Some(self.base_sd),
            ..Mlp::new(dim, ModelKind::Potential)
        }
    }
}

fn check_objective(objective: &Objective) -> Result<()> {
    if *objective == Objective::ApproxBackprop {
        let why = "learnt kernels drift to where the approximate diagonal is wrong, and the fit is useless; \
                   use exact, or cp without bias";
        return Err(Error::config("objective", why));
    }
    objective.check_kernel_family()
}

/// Fits a family to rows of `dim` columns in the network's units.
pub(super) fn train(
    family: &KernelFamilyConfig,
    config: &TrainConfig,
    dim: usize,
    [training, validation]: [Vec<f32>; 2],
    observe: &mut dyn FnMut(&KernelStep) -> ControlFlow<()>,
) -> Result<Trained> {
    check_objective(&config.objective)?;
    let own = KernelConfig {
        objective: config.objective,
        law: config.law,
        steps: config.steps,
        evaluate_every: config.evaluate_every,
        patience: config.patience,
        seed: config.seed,
        threads: config.threads,
        ..KernelConfig::default()
    };
    let width = median_log_width(&training, dim);
    let mut trainer = KernelTrainer::new(family.family(dim, width), training, validation, own)?;
    let (fit, stop) = match family.deep {
        true => {
            let stop = trainer.run(observe);
            (trainer.finish()?, stop)
        }
        false => (trainer.choose(&WIDTHS.map(|w| width + w), &LAMBDAS)?, Stop::Completed),
    };
    let kernel = describe(&fit, config.objective, config.seed)?;
    Ok(Trained {
        network: fit.potential(-kernel.log_normalizer.value)?,
        settings: Mlp {
            hidden: fit.family.features.map_or(Vec::new(), |h| vec![h, h]),
            ..family.stand_in(dim)
        },
        training: config.clone(),
        steps: trainer.steps(),
        best: trainer.best(),
        history: trainer.history().to_vec(),
        kernel: Some(kernel),
        stop,
    })
}

fn describe(fit: &KernelFit, objective: Objective, seed: u64) -> Result<KernelDescription> {
    let potential = fit.potential(0.0)?.cast::<f64>();
    let Some(density) = potential.as_potential() else {
        return Err(Error::config("model", "a kernel family is a log density"));
    };
    Ok(KernelDescription {
        family: fit.family.clone(),
        objective,
        record: fit.record.clone(),
        log_normalizer: log_normalizer(&density, fit.family.base_sd, DRAWS, seed)?,
    })
}

/// What to know of a fit that may not be trusted.
pub(super) fn warnings(kernel: &KernelDescription) -> Vec<String> {
    let mut out = Vec::new();
    let (record, z) = (&kernel.record, &kernel.log_normalizer);
    if record.condition > ILL_CONDITIONED {
        out.push(format!(
            "the system for alpha has condition number {:.1e}, so that half of its digits are lost; \
             use fewer `inducing` points",
            record.condition
        ));
    }
    if record.jitter > 0.0 {
        out.push(format!("{:.1e} was added to lambda to solve for alpha", record.jitter));
    }
    if z.effective < EFFECTIVE * z.draws as f64 {
        out.push(format!(
            "log Z rests on {:.0} of {} draws of the base density, so its interval is too narrow; \
             log densities compare rows of this model, but not models",
            z.effective, z.draws
        ));
    }
    out
}
