//! Drawing from models of every noise level: from noise to data, in blocks of rows.

use std::ops::ControlFlow;

use anyhow::Result;
use gradlogp::ode::OdeConfig;
use gradlogp::oracle::{Gaussian, Oracle};
use gradlogp::sample::Parallel;
use gradlogp::sample::annealed::AnnealedConfig;
use gradlogp::sample::reverse::{Reverse, ReverseConfig, Scheme, TimeSchedule, run_reverse};
use gradlogp::sde::Sde;
use gradlogp::{Error, FittedModel};
use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::args::{ChainArgs, SamplerArg, ScheduleWord};
use crate::interrupt;
use crate::limits::check_memory;
use crate::sampling::{Drawn, Job, Look, Outcome, Watch, Way};

/// Rows that go together: their randomness is a stream of its own, so that a stopped run can go on
/// after any block.
const BLOCK: usize = 2000;

/// Most steps from noise to data: far more than help.
const MOST_STEPS: usize = 10_000_000;

/// Error of a step of the adaptive solver, relative and absolute.
const TOLERANCE: f64 = 1e-5;

/// Rows from noise to data.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ReversePlan {
    n: usize,
    seed: u64,
    sampler: SamplerArg,
    schedule: ScheduleWord,
    steps: usize,
    corrections: usize,
    /// The block to go on with.
    block: usize,
    evaluations: usize,
    /// Rows done, in the network's units.
    done: Vec<f64>,
}

impl ReversePlan {
    pub(crate) fn new(model: &FittedModel, n: usize, args: &ChainArgs) -> Result<Self> {
        let sampler = match args.sampler {
            SamplerArg::Auto => SamplerArg::Heun,
            SamplerArg::Ula | SamplerArg::Mala | SamplerArg::Hmc => {
                let why = "this model was fitted with --noise: it knows the noised data at every time, \
                           and chains at one of them do not cross between modes; use heun, em, pc, ode, \
                           ddim or annealed";
                return Err(Error::config("--sampler", why).into());
            }
            other => other,
        };
        let own = model.over_time().is_some_and(|model| !model.clock().has_kernel());
        let schedule = args.schedule.unwrap_or(match sampler {
            SamplerArg::Annealed => ScheduleWord::Geometric,
            // Karras steps are made of the kernel's noise levels.
            _ if own => ScheduleWord::Quadratic,
            _ => ScheduleWord::Karras,
        });
        let corrections = args.corrections.unwrap_or(match sampler {
            SamplerArg::Annealed => 5,
            _ => 1,
        });
        if corrections == 0 && matches!(sampler, SamplerArg::Annealed) {
            return Err(
                Error::config("--corrections", "at least one is needed for annealed").into()
            );
        }
        let (seed, steps) = (args.seed, args.steps);
        let plan = ReversePlan {
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
        plan.check(model)?;
        Ok(plan)
    }

    /// Refuses what no run with this model can be, whether it comes from a command line or from a checkpoint.
    pub(crate) fn check(&self, model: &FittedModel) -> Result<()> {
        let d = model.description().columns.len();
        check_memory("-n", 16.0 * self.n as f64 * d as f64)?;
        let done = self.block.checked_mul(BLOCK).map(|rows| rows.min(self.n));
        let fits =
            self.block <= self.blocks() && done.map(|rows| rows * d) == Some(self.done.len());
        if !fits || self.done.iter().any(|x| !x.is_finite()) {
            return Err(
                Error::config("done", "the rows drawn are not those of whole blocks").into()
            );
        }
        if matches!(
            self.sampler,
            SamplerArg::Auto | SamplerArg::Ula | SamplerArg::Mala | SamplerArg::Hmc
        ) {
            let message = format!("{} does not go from noise to data", self.sampler.word());
            return Err(Error::config("--sampler", message).into());
        }
        // Each step has a time, and they are all laid out before the first.
        if self.steps > MOST_STEPS || self.blocks().checked_mul(self.steps).is_none() {
            return Err(Error::config("--steps", format!("must be at most {MOST_STEPS}")).into());
        }
        let Some(time_model) = model.over_time() else {
            let message =
                "was fitted without --noise, and the run began with a model of every noise level";
            return Err(Error::config("MODEL", message).into());
        };
        let own = !time_model.clock().has_kernel();
        if own && matches!(self.sampler, SamplerArg::Ddim | SamplerArg::Annealed) {
            let message = "needs the closed-form kernel of the process, which one of your own has not; use em, \
                           heun, pc or ode";
            return Err(Error::config("--sampler", message).into());
        }
        if time_model.clock().sde().prior_std().is_none() {
            law_at_the_end(model)?;
        }
        self.config(time_model.clock().sde())?.validate()?;
        Ok(())
    }

    fn blocks(&self) -> usize {
        self.n.div_ceil(BLOCK)
    }

    pub(crate) fn rows_of_a_block(&self) -> usize {
        self.n.min(BLOCK)
    }

    pub(crate) fn steps_of_a_block(&self) -> usize {
        self.steps
    }

    pub(crate) fn steps(&self) -> (usize, usize) {
        (self.block.saturating_mul(self.steps), self.blocks().saturating_mul(self.steps))
    }

    /// The library's settings, and its checks of them.
    fn config(&self, sde: &dyn Sde) -> Result<ReverseConfig> {
        let schedule = match self.schedule {
            ScheduleWord::Karras => TimeSchedule::Karras { rho: 7.0 },
            ScheduleWord::Geometric => TimeSchedule::Geometric,
            ScheduleWord::Uniform => TimeSchedule::UNIFORM,
            ScheduleWord::Quadratic => TimeSchedule::Polynomial { power: 2.0 },
        };
        schedule.times(sde, self.steps)?;
        let scheme = match self.sampler {
            SamplerArg::Em => Scheme::EulerMaruyama,
            SamplerArg::Pc => {
                Scheme::PredictorCorrector { corrections: self.corrections, ratio: 0.16 }
            }
            SamplerArg::Ode => Scheme::Flow(OdeConfig {
                relative: TOLERANCE,
                absolute: TOLERANCE,
                ..OdeConfig::default()
            }),
            SamplerArg::Ddim => Scheme::Exponential,
            SamplerArg::Annealed => {
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

    pub(crate) fn run(
        mut self,
        model: &FittedModel,
        quiet: bool,
        watch: &mut Watch<'_>,
    ) -> Result<Outcome> {
        let Some(time_model) = model.over_time() else {
            let message =
                "was fitted without --noise, and the run began with a model of every noise level";
            return Err(Error::config(crate::commands::MODEL, message).into());
        };
        let sde = time_model.clock().sde();
        let score = Parallel(time_model);
        let reverse = Reverse { sde, score: &score };
        let config = self.config(sde)?;
        let (from, total) = self.steps();
        let mut bar = crate::progress::Progress::new(quiet, "sampling", from as u64, total as u64);
        let (mut failure, mut stopped) = (None, false);
        while self.block < self.blocks() && failure.is_none() && !stopped {
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(self.block as u64);
            let rows = (self.n - self.block * BLOCK).min(BLOCK);
            let start = match sde.prior_std() {
                Some(_) => reverse.start(rows, &mut rng)?.position,
                None => law_at_the_end(model)?.sample(rows, &mut rng),
            };
            let mut trouble = None;
            let run = run_reverse(&reverse, start, &config, &mut rng, &mut |p| {
                let step = self.block * self.steps + p.step;
                bar.at(step as u64, || format!("t {:.3}", p.time));
                let stops = interrupt::requested();
                let job = || Job::Reverse(self.clone());
                let look =
                    Look { step, position: p.position, time: Some(p.time), stops, job: &job };
                trouble = watch(look).err();
                if stops || trouble.is_some() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            if let Some(error) = trouble {
                return Err(error);
            }
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
        bar.finish();
        Ok(Outcome { drawn: self.drawn(model)?, failure })
    }

    fn drawn(self, model: &FittedModel) -> Result<Drawn> {
        let d = model.description().columns.len();
        let completed = self.block == self.blocks();
        let rows = Array2::from_shape_vec((self.done.len() / d, d), self.done)?;
        Ok(Drawn {
            draws: rows.nrows(),
            chain: (0..rows.nrows()).collect(),
            rows: model.description().transform.inverse(rows.view()),
            sampler: self.sampler.word(),
            way: Way::Reverse {
                steps: self.steps,
                schedule: self.schedule.word(),
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

/// The law in which a process of one's own ends: normal, with the moments of its rows there.
///
/// # Errors
/// A model that knows none.
pub(crate) fn law_at_the_end(model: &FittedModel) -> Result<Gaussian> {
    match model.end() {
        Some(end) => Ok(end.gaussian()?),
        None => {
            let message = "the law in which this custom process ends is not known, so there is nothing to start \
                           from: fit anew without --standardize none, or with --noise ve, vp, subvp or ou";
            Err(Error::config("MODEL", message).into())
        }
    }
}

/// What to know of it where it is not normal.
pub(crate) fn warning_of_the_end(model: &FittedModel) -> Option<String> {
    let end = model.end().filter(|end| !end.is_normal())?;
    Some(format!(
        "the law in which this custom process ends is taken to be normal, and is not (a column has skewness or half \
         excess kurtosis {:.2}): the way back starts from a wrong law; a longer --horizon of the fit brings it nearer",
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
