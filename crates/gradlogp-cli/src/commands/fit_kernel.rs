//! The part of `gradlogp fit` that is particular to kernel families, `--model dkef` and `--model kef`.

use std::ops::ControlFlow;

use anyhow::Result;
use gradlogp::dkef::{
    Estimator, ILL_CONDITIONED, KernelConfig, KernelFamily, KernelFit, KernelTrainer,
    log_normalizer, median_log_width,
};
use gradlogp::fitted::KernelDescription;
use gradlogp::train::{Schedule, Stop, TrainConfig};
use gradlogp::{Error, Mlp, ModelKind, Objective};
use serde::{Deserialize, Serialize};

use super::Show;
use super::fit::Outcome;
use crate::args::{ModelArg, ModelArgs};
use crate::interrupt;
use crate::limits::check_memory;
use crate::progress::Progress;
use crate::text::short;

/// Draws for the log normaliser.
const DRAWS: usize = 200_000;
/// Below this share of the draws the normaliser is not to be trusted.
const EFFECTIVE: f64 = 0.005;
/// Tried for a plain kernel: log10 of the squared width around the median squared distance, and of lambda.
const WIDTHS: [f64; 6] = [-0.6, -0.3, 0.0, 0.3, 0.6, 1.0];
const LAMBDAS: [f64; 11] = [-7.0, -6.0, -5.0, -4.5, -4.0, -3.5, -3.0, -2.5, -2.0, -1.0, 0.0];

/// A kernel family as the command line asks for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct KernelPlan {
    deep: bool,
    inducing: usize,
    pub(super) base_sd: f64,
}

impl KernelPlan {
    pub(super) fn new(args: &ModelArgs) -> Result<Option<Self>> {
        let Some(model) = args.model.filter(|model| model.is_kernel_family()) else {
            return Ok(None);
        };
        let deep = model == ModelArg::Dkef;
        let inducing = args.inducing.unwrap_or(200);
        let base_sd = args.base_scale.unwrap_or(2.0);
        let plan = KernelPlan { deep, inducing, base_sd };
        check_memory("--inducing", 24.0 * inducing as f64 * inducing as f64)?;
        plan.family(1, 0.0).validate()?;
        Ok(Some(plan))
    }

    /// Refuses what this machine cannot train.
    pub(super) fn check_step(&self, dim: usize, batch: usize, objective: &Objective) -> Result<()> {
        let inducing = self.inducing as f64;
        check_memory("--inducing", 8.0 * inducing * (3.0 * inducing + batch as f64))?;
        match objective.slices() {
            // Each slice of a row meets every kernel.
            Some(slices) => check_memory("--slices", 8.0 * slices as f64 * (dim as f64 + inducing)),
            None => Ok(()),
        }
    }

    fn family(&self, dim: usize, log_width: f64) -> KernelFamily {
        let family = match self.deep {
            true => KernelFamily::deep(dim),
            false => KernelFamily::plain(dim, log_width),
        };
        KernelFamily { inducing: self.inducing, base_sd: self.base_sd, ..family }
    }

    /// The training settings that a family has, in place of those of networks.
    pub(super) fn settings(&self, asked: &TrainConfig) -> TrainConfig {
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
}

fn estimator(objective: &Objective) -> Result<Estimator> {
    match *objective {
        Objective::Exact => Ok(Estimator::Exact),
        Objective::Ssm { slices } => Ok(Estimator::Ssm { slices }),
        Objective::SsmVr { slices } => Ok(Estimator::SsmVr { slices }),
        Objective::Dsm { sigma } => Ok(Estimator::Dsm { sigma }),
        Objective::Cp { slices } => Ok(Estimator::CurvaturePropagation { slices }),
        Objective::ApproxBackprop => {
            let why = "learnt kernels drift to where the approximate diagonal is wrong, and the fit is useless; \
                       use exact, or cp without bias";
            Err(Error::config("--objective", why).into())
        }
        _ => {
            let why = "kernel families know exact, ssm, ssm-vr, dsm and cp; choose one of them";
            Err(Error::config("--objective", why).into())
        }
    }
}

/// Fits a family. It keeps no checkpoint, so a signal ends the program.
pub(super) fn train(
    plan: &KernelPlan,
    config: TrainConfig,
    dim: usize,
    [training, validation]: [Vec<f32>; 2],
    show: Show,
) -> Result<(Outcome, Stop)> {
    let estimator = estimator(&config.objective)?;
    let own = KernelConfig {
        estimator,
        law: config.law,
        steps: config.steps,
        evaluate_every: config.evaluate_every,
        patience: config.patience,
        seed: config.seed,
        threads: config.threads,
        ..KernelConfig::default()
    };
    interrupt::say("stopped; a kernel family keeps no checkpoint, so nothing was written");
    let width = median_log_width(&training, dim);
    let family = plan.family(dim, width);
    let mut trainer = KernelTrainer::new(family, training, validation, own)?;
    let (fit, stop) = match plan.deep {
        true => {
            let stop = run(&mut trainer, config.steps, show);
            (trainer.finish()?, stop)
        }
        false => (trainer.choose(&WIDTHS.map(|w| width + w), &LAMBDAS)?, Stop::Completed),
    };
    let kernel = describe(&fit, estimator, config.seed)?;
    let outcome = Outcome {
        network: fit.potential(-kernel.log_normalizer.value)?,
        settings: Mlp {
            hidden: fit.family.features.map_or(Vec::new(), |h| vec![h, h]),
            base_scale: Some(plan.base_sd),
            ..Mlp::new(dim, ModelKind::Potential)
        },
        config,
        steps: trainer.steps(),
        best: trainer.best(),
        history: trainer.history().to_vec(),
        kernel: Some(kernel),
    };
    Ok((outcome, stop))
}

fn run(trainer: &mut KernelTrainer<f32>, steps: u64, show: Show) -> Stop {
    let mut bar = Progress::new(show.silent(), "fitting", 0, steps);
    let mut held_out = None;
    let stop = trainer.run(&mut |step| {
        held_out = step.validation.map(|v| v.mean).or(held_out);
        bar.at(step.step, || {
            let held = held_out.map_or(String::new(), |l| format!(", held out {}", short(l)));
            format!("loss {}{held},", short(step.loss))
        });
        ControlFlow::Continue(())
    });
    bar.finish();
    stop
}

fn describe(fit: &KernelFit, estimator: Estimator, seed: u64) -> Result<KernelDescription> {
    let potential = fit.potential(0.0)?.cast::<f64>();
    let Some(density) = potential.as_potential() else {
        return Err(Error::config("--model", "a kernel family is a potential").into());
    };
    Ok(KernelDescription {
        family: fit.family.clone(),
        estimator,
        record: fit.record.clone(),
        log_normalizer: log_normalizer(&density, fit.family.base_sd, DRAWS, seed)?,
    })
}

/// What to tell the user of a fit that may not be trusted.
pub(super) fn warnings(kernel: &KernelDescription) -> Vec<String> {
    let mut out = Vec::new();
    let (record, z) = (&kernel.record, &kernel.log_normalizer);
    if record.condition > ILL_CONDITIONED {
        out.push(format!(
            "the system for alpha has condition number {:.1e}, so that half of its digits are lost; \
             use fewer --inducing points",
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

/// The lines that `fit` and `info` add for a family.
pub(crate) fn summary(kernel: &KernelDescription) -> String {
    let z = &kernel.log_normalizer;
    let (low, high) = z.interval();
    format!(
        "log Z {} (95% {} to {}, {:.0} effective draws of {}), lambda {:.2e}, condition {:.1e}\n",
        short(z.value),
        short(low),
        short(high),
        z.effective,
        z.draws,
        kernel.record.lambda,
        kernel.record.condition
    )
}
