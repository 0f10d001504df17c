//! Fits of kernel exponential families.

use std::ops::ControlFlow;

use super::kernel_family::KernelFamilyConfig;
use super::trained::Trained;
use crate::dkef::{
    KernelConfig, KernelFit, KernelStep, KernelTrainer, log_normalizer, median_log_width,
};
use crate::fitted::KernelDescription;
use crate::model::Mlp;
use crate::objective::Objective;
use crate::train::{Stop, TrainConfig};
use crate::{Error, Result};

/// Most columns for which the exact trace is taken unless told otherwise.
pub(super) const EXACT_COLUMNS: usize = 16;
/// Draws for the log normalizer.
const DRAWS: usize = 200_000;
/// Tried for a plain kernel: log10 of the squared width around the median squared distance, and of lambda.
const WIDTHS: [f64; 6] = [-0.6, -0.3, 0.0, 0.3, 0.6, 1.0];
const LAMBDAS: [f64; 11] = [-7.0, -6.0, -5.0, -4.5, -4.0, -3.5, -3.0, -2.5, -2.0, -1.0, 0.0];

fn check_objective(objective: &Objective) -> Result<()> {
    if *objective == Objective::ApproxBackprop {
        let why = "learnt kernels move to where the approximate diagonal is wrong, and the fit is useless; \
                   use exact, or cp, which is unbiased";
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
        slice_distribution: config.slice_distribution,
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
    let Some(density) = potential.as_log_density() else {
        return Err(Error::config("model", "a kernel family is a log density"));
    };
    Ok(KernelDescription {
        family: fit.family.clone(),
        objective,
        record: fit.record.clone(),
        log_normalizer: log_normalizer(&density, fit.family.base_sd, DRAWS, seed)?,
    })
}
