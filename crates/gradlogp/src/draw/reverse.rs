//! Drawing from models of every noise level: from noise to data, in blocks of rows.

use std::ops::ControlFlow;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::config::{SampleConfig, Sampler, StepSchedule};
use super::samples::{Outcome, Route, Samples};
use super::steps::{Step, Steps};
use crate::fitted::FittedModel;
use crate::ode::OdeConfig;
use crate::reference::ReferenceDensity;
use crate::sample::Parallel;
use crate::sample::annealed::AnnealedConfig;
use crate::sample::reverse::{Reverse, ReverseConfig, Scheme, TimeSchedule, run_reverse};
use crate::sde::Sde;
use crate::{Error, Result};

/// Rows that go together: their randomness is a stream of its own, so that a stopped run can go on
/// after any block.
const BLOCK: usize = 2000;

/// Most steps from noise to data: far more than help.
const MOST_STEPS: usize = 10_000_000;

/// Error of a step of the adaptive solver, relative and absolute.
const TOLERANCE: f64 = 1e-5;

/// Rows from noise to data.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReverseJob {
    pub(super) n: usize,
    seed: u64,
    sampler: Sampler,
    schedule: StepSchedule,
    steps: usize,
    corrections: usize,
    /// The block to go on with.
    block: usize,
    evaluations: usize,
    /// Rows done, in the network's units.
    done: Vec<f64>,
}

impl ReverseJob {
    pub(super) fn new(model: &FittedModel, n: usize, asked: &SampleConfig) -> Result<Self> {
        let sampler = match asked.sampler {
            Sampler::Auto => Sampler::Heun,
            Sampler::Ula | Sampler::Mala | Sampler::Hmc => {
                let why = "this model was fitted with `noise`: it knows the noised data at every time, \
                           and chains at one of them do not cross between modes; use heun, em, pc, ode, \
                           ddim or annealed";
                return Err(Error::config("sampler", why));
            }
            other => other,
        };
        let own = model.over_time().is_some_and(|model| !model.clock().has_kernel());
        let schedule = asked.schedule.unwrap_or(match sampler {
            Sampler::Annealed => StepSchedule::Geometric,
            // Karras steps are made of the kernel's noise levels.
            _ if own => StepSchedule::Quadratic,
            _ => StepSchedule::Karras,
        });
        let corrections = asked.corrections.unwrap_or(match sampler {
            Sampler::Annealed => 5,
            _ => 1,
        });
        if corrections == 0 && matches!(sampler, Sampler::Annealed) {
            return Err(Error::config("corrections", "at least one is needed for annealed"));
        }
        let (seed, steps) = (asked.seed, asked.steps);
        let job = ReverseJob {
            n,
            seed,
            sampler,
            schedule,
            steps,
            corrections,
            block: 0,
            evaluations: 0,
            done: Vec::new(),
        };
        job.check(model)?;
        Ok(job)
    }

    /// Refuses what no run with this model can be, whether it comes from a command line or from a checkpoint.
    pub(super) fn check(&self, model: &FittedModel) -> Result<()> {
        let d = model.description().columns.len();
        let done = self.block.checked_mul(BLOCK).map(|rows| rows.min(self.n));
        let fits =
            self.block <= self.blocks() && done.map(|rows| rows * d) == Some(self.done.len());
        if !fits || self.done.iter().any(|x| !x.is_finite()) {
            return Err(Error::config("done", "the rows drawn are not those of whole blocks"));
        }
        if matches!(self.sampler, Sampler::Auto | Sampler::Ula | Sampler::Mala | Sampler::Hmc) {
            let message =
                format!("{} is not a sampler of the reverse process", self.sampler.name());
            return Err(Error::config("sampler", message));
        }
        // Each step has a time, and they are all laid out before the first.
        if self.steps > MOST_STEPS || self.blocks().checked_mul(self.steps).is_none() {
            return Err(Error::config("steps", format!("must be at most {MOST_STEPS}")));
        }
        let Some(time_model) = model.over_time() else {
            let message = "is of one density, and the run began with a model of every noise level";
            return Err(Error::config("fitted_model", message));
        };
        let own = !time_model.clock().has_kernel();
        if own && matches!(self.sampler, Sampler::Ddim | Sampler::Annealed) {
            let message = "needs the closed-form kernel of the process, which a custom process does not \
                           have; use em, heun, pc or ode";
            return Err(Error::config("sampler", message));
        }
        if time_model.clock().sde().prior_std().is_none() {
            model.law_at_horizon()?;
        }
        self.config(time_model.clock().sde())?.validate()?;
        Ok(())
    }

    fn blocks(&self) -> usize {
        self.n.div_ceil(BLOCK)
    }

    pub(super) fn rows_of_a_block(&self) -> usize {
        self.n.min(BLOCK)
    }

    pub(super) fn steps_of_a_block(&self) -> usize {
        self.steps
    }

    pub(super) fn steps(&self) -> (usize, usize) {
        (self.block.saturating_mul(self.steps), self.blocks().saturating_mul(self.steps))
    }

    /// The library's settings, and its checks of them.
    fn config(&self, sde: &dyn Sde) -> Result<ReverseConfig> {
        let schedule = match self.schedule {
            StepSchedule::Karras => TimeSchedule::Karras { rho: 7.0 },
            StepSchedule::Geometric => TimeSchedule::Geometric,
            StepSchedule::Uniform => TimeSchedule::UNIFORM,
            StepSchedule::Quadratic => TimeSchedule::Polynomial { power: 2.0 },
        };
        schedule.times(sde, self.steps)?;
        let scheme = match self.sampler {
            Sampler::Em => Scheme::EulerMaruyama,
            Sampler::Pc => {
                Scheme::PredictorCorrector { corrections: self.corrections, ratio: 0.16 }
            }
            Sampler::Ode => Scheme::Flow(OdeConfig {
                relative: TOLERANCE,
                absolute: TOLERANCE,
                ..OdeConfig::default()
            }),
            Sampler::Ddim => Scheme::Exponential,
            Sampler::Annealed => {
                let level = |t: f64| sde.kernel(t).map_or(1.0, |k| k.std / k.scale);
                let (high, low) = (level(sde.horizon()), level(sde.t_min()));
                let steps = self.corrections;
                Scheme::Annealed(AnnealedConfig::improved(high, low, self.steps, steps))
            }
            _ => Scheme::Heun,
        };
        let config = ReverseConfig { scheme, schedule, steps: self.steps, denoise: true };
        config.validate()?;
        Ok(config)
    }

    pub(super) fn run(
        mut self,
        model: &FittedModel,
        watch: &mut dyn Steps<ReverseJob>,
    ) -> Result<Outcome> {
        let Some(time_model) = model.over_time() else {
            let message = "is of one density, and the run began with a model of every noise level";
            return Err(Error::config("fitted_model", message));
        };
        let sde = time_model.clock().sde();
        let score = Parallel(time_model);
        let reverse = Reverse { sde, score: &score };
        let config = self.config(sde)?;
        let (_, steps) = self.steps();
        let (mut failure, mut stopped) = (None, false);
        while self.block < self.blocks() && failure.is_none() && !stopped {
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(self.block as u64);
            let rows = (self.n - self.block * BLOCK).min(BLOCK);
            let start = match sde.prior_std() {
                Some(_) => reverse.start(rows, &mut rng)?.position,
                None => model.law_at_horizon()?.sample(rows, &mut rng),
            };
            let run = run_reverse(&reverse, start, &config, &mut rng, &mut |p| {
                let step = self.block * self.steps + p.step;
                let stops = watch.stops();
                let job = || self.clone();
                let (position, time, acceptance) = (p.position, Some(p.time), None);
                let step = Step { step, steps, acceptance, position, time, stops };
                if watch.step(step, &job).is_break() || stops {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            match run {
                Ok(run) if run.completed => {
                    self.done.extend(run.rows.iter());
                    self.evaluations = self.evaluations.saturating_add(run.evaluations);
                    failure = run.failure(self.block * BLOCK);
                    if failure.is_none() {
                        self.block += 1;
                    }
                }
                Ok(_) => stopped = true,
                Err(error) => failure = Some(counted_from(error, self.block * BLOCK)),
            }
        }
        Ok(Outcome { samples: self.samples(model)?, failure })
    }

    fn samples(self, model: &FittedModel) -> Result<Samples> {
        let d = model.description().columns.len();
        let completed = self.block == self.blocks();
        let mut rows = crate::model::rows(&self.done, d);
        if let Some(part) = &model.description().gaussians {
            part.replace(&mut rows, self.seed)?;
        }
        Ok(Samples {
            draws: rows.nrows(),
            chain: (0..rows.nrows()).collect(),
            rows: model.description().transform.inverse(rows.view()),
            sampler: self.sampler.name(),
            route: Route::Reverse {
                steps: self.steps,
                schedule: self.schedule.name(),
                score_evaluations: self.evaluations,
            },
            acceptance_rate: None,
            max_split_r_hat: None,
            min_effective_sample_size: None,
            min_tail_effective_sample_size: None,
            unchecked: None,
            still_chains: None,
            conditions_not_mixed: None,
            conditions_lost: Vec::new(),
            completed,
            note: warning_of_the_end(model),
            draws_a_chain: 0,
            step_given: false,
        })
    }
}

/// What to know of it where it is not normal.
pub fn warning_of_the_end(model: &FittedModel) -> Option<String> {
    let end = model.end().filter(|end| !end.is_normal())?;
    Some(format!(
        "the terminal distribution of this custom process is taken to be normal, and is not (a column has \
         skewness or half excess kurtosis {:.2}): the reverse process starts from a wrong distribution; a \
         fit with a longer `horizon` is closer to it",
        end.shape
    ))
}

/// An error that counts rows from the start of a block, which is row `first` of all.
fn counted_from(error: Error, first: usize) -> Error {
    match error {
        Error::Diverged { step, rows, message } if first > 0 => {
            let message = format!("counted from row {} of all, {message}", first + 1);
            Error::Diverged { step, rows, message }
        }
        other => other,
    }
}
