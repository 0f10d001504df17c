//! Whole ways from noise to data, by any of the schemes.
//!
//! Rows are independent. One that becomes non-finite is taken out and the step taken again by the
//! others, who go on to data; what is left is then not quite a sample of the model, so the loss of rows is reported.
//!
//! Schemes whose step follows the mean square of the rows' scores need rows enough to know it: few are joined by
//! others up to [`COMPANY`], which are dropped at the end.

use super::annealed::{self, AnnealedConfig};
use super::{
    Reverse, State, TimeSchedule, bad_rows, corrector, euler_maruyama, exponential, flow, heun,
    left, tweedie,
};
use crate::error::{Error, Result};
use crate::ode::{self, OdeConfig};
use crate::score::AtTime;
use ndarray::{Array2, ArrayView2, Axis, CowArray, Ix2, concatenate, s};
use rand::Rng;
use std::ops::ControlFlow;

/// Rows from which a mean square of the score is taken.
const COMPANY: usize = 256;

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

/// Told after every step of the schedule, and within long ones several times the same.
#[derive(Debug, Clone, Copy)]
pub struct ReverseProgress<'a> {
    /// Steps of the schedule done; 0 before the first.
    pub step: usize,
    /// Steps of the schedule.
    pub total_steps: usize,
    /// t.
    pub time: f64,
    /// Where the rows are: n x d, NaN for rows that were lost.
    pub position: ArrayView2<'a, f64>,
}

/// A row that became non-finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lost {
    /// Which row of the start, counted from 0.
    pub row: usize,
    /// The step of the schedule at which it left, counted from 1.
    pub step: usize,
    /// The time at the end of that step.
    pub time: f64,
}

/// What a run gave.
#[derive(Debug, Clone)]
pub struct ReverseRun {
    /// Data where completed, else rows on the way, in the order of the start: (n - rows lost) x d.
    pub rows: Array2<f64>,
    /// Rows that became non-finite, in the order in which they did.
    pub lost: Vec<Lost>,
    /// The time they stand at.
    pub time: f64,
    /// Evaluations of the score for the whole batch.
    pub evaluations: usize,
    /// False where the observer stopped the run.
    pub completed: bool,
}

impl ReverseRun {
    /// What became of the rows that were lost, naming step and row of the first; `first_row` is the number of
    /// the run's first row where the rows are part of more. None where no row was lost.
    pub fn failure(&self, first_row: usize) -> Option<Error> {
        failure(&self.lost, first_row)
    }
}

pub(super) fn failure(lost: &[Lost], first_row: usize) -> Option<Error> {
    let first = lost.first()?;
    let rows = lost.iter().map(|lost| first_row + lost.row).collect();
    let mut error = left(first_row + first.row, rows, first.time, first.step as u64);
    if let (Error::Diverged { message, .. }, 1..) = (&mut error, lost.len() - 1) {
        *message += &format!(" ({} rows left in all)", lost.len());
    }
    Some(error)
}

/// Carries the rows of `start`, n x d from the terminal distribution, to data. Equal generators give equal rows.
///
/// ```
/// use gradlogp_density::reference::Gaussian;
/// use gradlogp_density::sample::reverse::{Reverse, ReverseConfig, run_reverse};
/// use gradlogp_density::sde::{Marginal, Vp};
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
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
///
/// # Errors
/// [`Error::Config`] and [`Error::Shape`] for settings and start; [`Error::Diverged`], naming step and row,
/// where no row is left, or the adaptive solver does not arrive in its number of steps.
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
    let wanted = start.nrows();
    let start = in_company(reverse, start, &config.scheme, rng)?;
    let ode_steps = vec![f64::NAN; start.nrows()];
    let mut way = Way { reverse, scheme: &config.scheme, ode_steps, share: 1.0, evaluations: 0 };
    let mut flock = Flock { wanted, ..Flock::new(start, times[0]) };
    let mut tell = |step: usize, flock: &Flock| {
        let (position, total_steps, time) = (flock.everywhere(), config.steps, flock.state.time);
        observer(ReverseProgress { step, total_steps, time, position: position.view() })
            .is_continue()
    };
    let mut goes_on = tell(0, &flock);
    for (k, to) in times.iter().enumerate().skip(1) {
        if !goes_on {
            return Ok(flock.end(way.evaluations, false));
        }
        let (before, mut stopped) = (flock.clone(), false);
        let mut go_on = || tell(k - 1, &before);
        let step = (*to, k == config.steps);
        let mut advance = |state: &State, kept: &[usize]| {
            let moved = way.step(rng, state, kept, step, &mut go_on)?;
            stopped = moved.is_none();
            Ok(moved.unwrap_or_else(|| state.clone()))
        };
        flock.step(&mut advance, *to, k)?;
        if stopped {
            return Ok(flock.end(way.evaluations, false));
        }
        goes_on = tell(k, &flock);
    }
    if let Some(kernel) = reverse.sde.kernel(flock.state.time).filter(|_| config.denoise) {
        way.evaluations += 1;
        let at = AtTime { family: reverse.score, time: flock.state.time };
        let data = tweedie(&at, flock.state.position.view(), kernel.scale, kernel.std);
        let bad = bad_rows(&data);
        flock.state.position = data;
        flock.lose(&bad, config.steps, flock.state.time)?;
    }
    Ok(flock.end(way.evaluations, true))
}

/// The rows, with others of the terminal distribution behind them where a scheme takes means over too few.
fn in_company(
    reverse: &Reverse<'_>,
    start: Array2<f64>,
    scheme: &Scheme,
    rng: &mut dyn Rng,
) -> Result<Array2<f64>> {
    let means = matches!(scheme, Scheme::PredictorCorrector { .. } | Scheme::Annealed(_));
    if !means || start.nrows() >= COMPANY || reverse.sde.prior_std().is_none() {
        return Ok(start);
    }
    let more = reverse.start(COMPANY - start.nrows(), rng)?.position;
    Ok(concatenate![Axis(0), start, more])
}

/// Rows on their way, less those that were lost.
#[derive(Debug, Clone)]
pub(super) struct Flock {
    pub(super) state: State,
    /// Which rows of the start these are.
    pub(super) kept: Vec<usize>,
    pub(super) lost: Vec<Lost>,
    /// The first so many are wanted; the others keep them company.
    wanted: usize,
}

impl Flock {
    pub(super) fn new(position: Array2<f64>, time: f64) -> Self {
        let wanted = position.nrows();
        let (kept, lost) = ((0..wanted).collect(), Vec::new());
        Flock { state: State { position, time, step: 0 }, kept, lost, wanted }
    }

    /// Step k of the schedule, to time `to`, by all rows that can take it: `advance` is given where they are and
    /// which rows of the start they are.
    pub(super) fn step(
        &mut self,
        advance: &mut dyn FnMut(&State, &[usize]) -> Result<State>,
        to: f64,
        k: usize,
    ) -> Result<()> {
        loop {
            match advance(&self.state, &self.kept) {
                Ok(state) => {
                    self.state = state;
                    return Ok(());
                }
                Err(Error::Diverged { rows, .. }) if !rows.is_empty() => self.lose(&rows, k, to)?,
                Err(error) => return Err(with_step(error, k)),
            }
        }
    }

    /// Takes rows out, which are counted among those still there, in increasing order.
    pub(super) fn lose(&mut self, rows: &[usize], step: usize, time: f64) -> Result<()> {
        let lost = rows.iter().map(|i| Lost { row: self.kept[*i], step, time });
        self.lost.extend(lost.filter(|lost| lost.row < self.wanted));
        let stay: Vec<usize> =
            (0..self.kept.len()).filter(|i| rows.binary_search(i).is_err()).collect();
        let none = !stay.iter().any(|i| self.kept[*i] < self.wanted);
        if let (true, Some(error)) = (none, failure(&self.lost, 0)) {
            return Err(error);
        }
        self.kept = stay.iter().map(|i| self.kept[*i]).collect();
        self.state.position = self.state.position.select(Axis(0), &stay);
        Ok(())
    }

    /// How many of the rows still there are wanted; they come first.
    fn wanted_left(&self) -> usize {
        self.kept.partition_point(|row| *row < self.wanted)
    }

    /// One row for each that is wanted.
    fn everywhere(&self) -> CowArray<'_, f64, Ix2> {
        let there = self.state.position.slice(s![..self.wanted_left(), ..]);
        if self.lost.is_empty() {
            return there.into();
        }
        let mut all = Array2::from_elem((self.wanted, there.ncols()), f64::NAN);
        for (i, row) in self.kept.iter().zip(there.outer_iter()) {
            all.row_mut(*i).assign(&row);
        }
        all.into()
    }

    fn end(self, evaluations: usize, completed: bool) -> ReverseRun {
        let (left, time) = (self.wanted_left(), self.state.time);
        let rows = self.state.position.slice_move(s![..left, ..]);
        ReverseRun { rows, lost: self.lost, time, evaluations, completed }
    }
}

struct Way<'a> {
    reverse: &'a Reverse<'a>,
    scheme: &'a Scheme,
    /// Of the flow: the next step of each row of the start, NaN before the first.
    ode_steps: Vec<f64>,
    /// Of annealed steps: how much of the precision of the level before was that of its noise.
    share: f64,
    evaluations: usize,
}

impl Way<'_> {
    /// One step of the schedule, to time `to`, by the rows that are `kept` of the start; None where `go_on`, asked
    /// within long steps, said no.
    fn step(
        &mut self,
        rng: &mut dyn Rng,
        state: &State,
        kept: &[usize],
        (to, last): (f64, bool),
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<State>> {
        let (state, evaluations) = match self.scheme {
            Scheme::EulerMaruyama => (euler_maruyama::step(rng, state, self.reverse, to)?, 1),
            Scheme::Heun => (heun::step(rng, state, self.reverse, to)?, 2),
            Scheme::Exponential => (exponential::step(state, self.reverse, to)?, 1),
            Scheme::PredictorCorrector { corrections, ratio } => {
                let mut state = euler_maruyama::step(rng, state, self.reverse, to)?;
                for _ in 0..*corrections {
                    if !go_on() {
                        return Ok(None);
                    }
                    state = corrector::step(rng, &state, self.reverse, *ratio)?.0;
                }
                (state, 1 + corrections)
            }
            Scheme::Flow(config) => {
                let first: Vec<f64> = kept.iter().map(|row| self.ode_steps[*row]).collect();
                let first = (!first.iter().any(|h| h.is_nan())).then_some(&first[..]);
                let solved = flow::solve(state, self.reverse, to, (config, first), go_on)?;
                let Some(solved) = solved else { return Ok(None) };
                if let Some(error) = ode::failure(&solved.failed) {
                    return Err(error);
                }
                let steps = kept.iter().zip(solved.next_steps);
                steps.for_each(|(row, h)| self.ode_steps[*row] = h);
                let (time, step) = (to, state.step + 1);
                (State { position: solved.y, time, step }, solved.info.evaluations)
            }
            Scheme::Annealed(config) => {
                let (at, with) = ((to, last), (config, &mut self.share));
                let moved = annealed::level(rng, state, self.reverse, at, with, go_on)?;
                let Some(state) = moved else { return Ok(None) };
                (state, annealed::evaluations(config, last))
            }
        };
        self.evaluations += evaluations;
        Ok(Some(state))
    }
}

/// The error with the step of the schedule, which is what a caller can count.
fn with_step(error: Error, k: usize) -> Error {
    match error {
        Error::Diverged { rows, message, .. } => Error::Diverged { step: k as u64, rows, message },
        other => other,
    }
}
