//! Whole ways from noise to data, by any of the schemes.

use super::{
    Reverse, State, TimeSchedule, corrector, euler_maruyama, exponential, flow, heun, tweedie,
};
use crate::error::{Error, Result};
use crate::ode::OdeConfig;
use crate::sample::annealed::{self, AnnealedConfig};
use crate::score::AtTime;
use ndarray::{Array2, ArrayView2};
use rand::Rng;
use std::ops::ControlFlow;

/// Which steps are taken; the names of their files.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Scheme {
    /// Euler-Maruyama.
    EulerMaruyama,
    /// Stochastic Heun.
    Heun,
    /// Euler-Maruyama, and after each step Langevin steps at the new time.
    PredictorCorrector {
        /// Langevin steps after each step (1 is usual).
        corrections: usize,
        /// Ratio of signal to noise in them (0.16 is usual).
        ratio: f64,
    },
    /// The probability flow, adaptively; the schedule only says where to look.
    Flow(OdeConfig),
    /// The exponential integrator of the probability flow (DDIM).
    Exponential,
    /// Langevin steps at falling noise levels, which are those of the schedule.
    Annealed(AnnealedConfig),
}

/// How rows are carried from noise to data.
#[derive(Debug, Clone, PartialEq)]
pub struct ReverseConfig {
    /// The steps.
    pub scheme: Scheme,
    /// Where they are.
    pub schedule: TimeSchedule,
    /// How many: n, from T to the least time.
    pub steps: usize,
    /// Replace the rows by their expected data at the end, MATH (43), which takes away the noise that is
    /// left at the least time (default true; left out without a kernel).
    pub denoise: bool,
}

impl Default for ReverseConfig {
    /// Stochastic Heun in 100 Karras steps.
    fn default() -> Self {
        ReverseConfig {
            scheme: Scheme::Heun,
            schedule: TimeSchedule::Karras { rho: 7.0 },
            steps: 100,
            denoise: true,
        }
    }
}

impl ReverseConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        if self.steps == 0 {
            return Err(Error::config("steps", "at least one is needed"));
        }
        match &self.scheme {
            Scheme::PredictorCorrector { ratio, .. } if !(*ratio > 0.0 && ratio.is_finite()) => {
                Err(Error::config("ratio", "must be positive and finite"))
            }
            Scheme::Flow(config) => config.validate(),
            Scheme::Annealed(config) => config.validate(),
            _ => Ok(()),
        }
    }
}

/// Told after every step of the schedule.
#[derive(Debug, Clone, Copy)]
pub struct ReverseProgress<'a> {
    /// Steps of the schedule done; 0 before the first.
    pub step: usize,
    /// Steps of the schedule.
    pub total_steps: usize,
    /// t.
    pub time: f64,
    /// Where the rows are: n x d.
    pub position: ArrayView2<'a, f64>,
}

/// What a run gave.
#[derive(Debug, Clone)]
pub struct ReverseRun {
    /// n x d: data where completed, else rows on the way.
    pub rows: Array2<f64>,
    /// The time they stand at.
    pub time: f64,
    /// Evaluations of the score for the whole batch.
    pub evaluations: usize,
    /// False where the observer stopped the run.
    pub completed: bool,
}

/// Carries the rows of `start`, n x d from the law at T, to data. Equal generators give equal rows.
///
/// ```
/// use gradlogp::oracle::Gaussian;
/// use gradlogp::sample::reverse::{Reverse, ReverseConfig, run_reverse};
/// use gradlogp::sde::{Marginal, Vp};
/// use ndarray::array;
/// use rand::SeedableRng;
/// use std::ops::ControlFlow;
///
/// let data = Gaussian::new(array![1.0, -1.0], array![[0.5, 0.2], [0.2, 0.5]])?;
/// let score = Marginal::gaussian(data, Vp::default())?;
/// let reverse = Reverse { sde: score.sde(), score: &score };
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
/// let start = reverse.start(2000, &mut rng)?.position;
/// let config = ReverseConfig { steps: 50, ..Default::default() };
/// let run = run_reverse(&reverse, start, &config, &mut rng, &mut |_| ControlFlow::Continue(()))?;
/// let mean = run.rows.mean_axis(ndarray::Axis(0)).unwrap();
/// assert!((mean[0] - 1.0).abs() < 0.1 && (mean[1] + 1.0).abs() < 0.1);
/// # Ok::<(), gradlogp::Error>(())
/// ```
///
/// # Errors
/// [`Error::Config`] and [`Error::Shape`] for settings and start; [`Error::Diverged`], naming step and row,
/// where a row leaves the finite numbers.
pub fn run_reverse(
    reverse: &Reverse<'_>,
    start: Array2<f64>,
    config: &ReverseConfig,
    rng: &mut dyn Rng,
    observer: &mut dyn FnMut(ReverseProgress<'_>) -> ControlFlow<()>,
) -> Result<ReverseRun> {
    config.validate()?;
    crate::sample::check_columns("start of the reverse process", &start, reverse.score.dim())?;
    let times = config.schedule.times(reverse.sde, config.steps)?;
    let mut way = Way { reverse, scheme: &config.scheme, ode_step: None, evaluations: 0 };
    let mut state = State { position: start, time: times[0], step: 0 };
    let mut tell = |step: usize, state: &State| {
        let (position, total_steps) = (state.position.view(), config.steps);
        observer(ReverseProgress { step, total_steps, time: state.time, position }).is_continue()
    };
    let mut goes_on = tell(0, &state);
    for (k, to) in times.iter().enumerate().skip(1) {
        if !goes_on {
            let State { position: rows, time, .. } = state;
            return Ok(ReverseRun { rows, time, evaluations: way.evaluations, completed: false });
        }
        state = way.step(rng, &state, *to, k)?;
        goes_on = tell(k, &state);
    }
    let rows = match reverse.sde.kernel(state.time).filter(|_| config.denoise) {
        Some(kernel) => {
            way.evaluations += 1;
            let at = AtTime { family: reverse.score, time: state.time };
            tweedie(&at, state.position.view(), kernel.scale, kernel.std)
        }
        None => state.position,
    };
    Ok(ReverseRun { rows, time: state.time, evaluations: way.evaluations, completed: true })
}

struct Way<'a> {
    reverse: &'a Reverse<'a>,
    scheme: &'a Scheme,
    ode_step: Option<f64>,
    evaluations: usize,
}

impl Way<'_> {
    /// Step k of the schedule, to time `to`.
    fn step(&mut self, rng: &mut dyn Rng, state: &State, to: f64, k: usize) -> Result<State> {
        let named = |error| with_step(error, k);
        let (state, evaluations) = match self.scheme {
            Scheme::EulerMaruyama => {
                (euler_maruyama::step(rng, state, self.reverse, to).map_err(named)?, 1)
            }
            Scheme::Heun => (heun::step(rng, state, self.reverse, to).map_err(named)?, 2),
            Scheme::Exponential => (exponential::step(state, self.reverse, to).map_err(named)?, 1),
            Scheme::PredictorCorrector { corrections, ratio } => {
                let mut state =
                    euler_maruyama::step(rng, state, self.reverse, to).map_err(named)?;
                for _ in 0..*corrections {
                    state = corrector::step(rng, &state, self.reverse, *ratio).map_err(named)?.0;
                }
                (state, 1 + corrections)
            }
            Scheme::Flow(config) => {
                let (state, info) =
                    flow::solve(state, self.reverse, to, config, self.ode_step).map_err(named)?;
                self.ode_step = Some(info.next_step);
                (state, info.evaluations)
            }
            Scheme::Annealed(config) => (
                annealed::level(rng, state, self.reverse, to, config).map_err(named)?,
                config.steps,
            ),
        };
        self.evaluations += evaluations;
        Ok(state)
    }
}

/// The error with the step of the schedule, which is what a caller can count.
fn with_step(error: Error, k: usize) -> Error {
    match error {
        Error::Diverged { message, .. } => Error::Diverged { step: k as u64, message },
        other => other,
    }
}
