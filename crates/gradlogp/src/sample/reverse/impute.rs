//! Missing columns by the reverse process: observed ones are put back, with their noise, at every time.
//!
//! At each time t of the schedule the observed columns become scale x + std z with fresh z (the law that
//! they have there, given the row), the rest takes a step of Euler-Maruyama on the reverse SDE and then
//! Langevin steps given the observed ones,
//!
//! ```text
//! x_j' = x_j + (a/2) s_j(x, t) + sqrt(a) z_j   for missing j,   a = (2 r)^2 / mean of s_j^2
//! ```
//!
//! Putting back alone is what Song et al. (2021), I.2, call imputation; it ignores in each step what the
//! observed columns say of the others at the times before, and the Langevin steps repair that: the more of
//! them, the closer to the conditional law (which is exact as steps and corrections grow).

use super::run::{Flock, failure};
use super::{
    Lost, Reverse, State, TimeSchedule, bad_rows, check_finite, checked, euler_maruyama, normals,
    tweedie,
};
use crate::error::{Error, Result};
use crate::score::AtTime;
use ndarray::{Array2, ArrayView2, Axis, Zip};
use rand::Rng;
use std::ops::ControlFlow;

/// How missing values are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct ReverseImpute {
    /// Where the steps are.
    pub schedule: TimeSchedule,
    /// How many.
    pub steps: usize,
    /// Langevin steps at each of them.
    pub corrections: usize,
    /// Ratio r of signal to noise in them.
    pub ratio: f64,
}

impl Default for ReverseImpute {
    /// 100 Karras steps with 5 corrections of ratio 0.16.
    fn default() -> Self {
        let schedule = TimeSchedule::Karras { rho: 7.0 };
        ReverseImpute { schedule, steps: 100, corrections: 5, ratio: 0.16 }
    }
}

/// What a run gave.
#[derive(Debug, Clone)]
pub struct ReverseImputed {
    /// n x d, with the values of lost rows still missing.
    pub rows: Array2<f64>,
    /// Rows that left the finite numbers, in the order in which they did.
    pub lost: Vec<Lost>,
}

impl ReverseImputed {
    /// What became of the rows that were lost, naming step and row of the first; None where none was.
    pub fn failure(&self) -> Option<Error> {
        failure(&self.lost, 0)
    }
}

/// Draws of the values that are NaN in `rows` (n x d), given the others of their row; these return bit
/// for bit. The observer sees (steps done, steps); `None` where it stopped the run.
///
/// # Errors
/// [`Error::Config`] for a process without kernel or known end, and for the settings; [`Error::Shape`];
/// [`Error::Diverged`], naming step and row, where no row is left.
pub fn impute_reverse(
    reverse: &Reverse<'_>,
    rows: ArrayView2<'_, f64>,
    config: &ReverseImpute,
    rng: &mut dyn Rng,
    observer: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Option<ReverseImputed>> {
    if !(config.ratio > 0.0 && config.ratio.is_finite()) {
        return Err(Error::config("ratio", "must be positive and finite"));
    }
    if rows.ncols() != reverse.score.dim() {
        let (expected, found) = (vec![rows.nrows(), reverse.score.dim()], rows.shape().to_vec());
        return Err(Error::Shape { operation: "rows to impute", expected, found });
    }
    let times = config.schedule.times(reverse.sde, config.steps)?;
    let mut start = reverse.start(rows.nrows(), rng)?;
    put_back(&mut start, reverse, rows, rng)?;
    let mut flock = Flock::new(start.position, start.time);
    for (k, to) in times.iter().enumerate().skip(1) {
        let mut advance = |state: &State, kept: &[usize]| {
            let observed = rows.select(Axis(0), kept);
            let mut state = euler_maruyama::step(rng, state, reverse, *to)?;
            put_back(&mut state, reverse, observed.view(), rng)?;
            for _ in 0..config.corrections {
                state = correct(&state, reverse, observed.view(), rng, config.ratio)?;
            }
            Ok(state)
        };
        flock.step(&mut advance, *to, k)?;
        if observer(k, config.steps).is_break() && k < config.steps {
            return Ok(None);
        }
    }
    let kernel = reverse.kernel(flock.state.time, "imputation")?;
    let at = AtTime { family: reverse.score, time: flock.state.time };
    flock.state.position = tweedie(&at, flock.state.position.view(), kernel.scale, kernel.std);
    flock.lose(&bad_rows(&flock.state.position), config.steps, flock.state.time)?;
    let mut out = rows.to_owned();
    for (i, drawn) in flock.kept.iter().zip(flock.state.position.outer_iter()) {
        out.row_mut(*i).zip_mut_with(&drawn, |out, drawn| {
            if out.is_nan() {
                *out = *drawn;
            }
        });
    }
    Ok(Some(ReverseImputed { rows: out, lost: flock.lost }))
}

/// Observed values become scale x + std z.
pub(super) fn put_back(
    state: &mut State,
    reverse: &Reverse<'_>,
    rows: ArrayView2<'_, f64>,
    rng: &mut dyn Rng,
) -> Result<()> {
    let kernel = reverse.kernel(state.time, "imputation")?;
    let noise = normals(rows.dim(), rng);
    Zip::from(&mut state.position).and(rows).and(&noise).for_each(|p, x, z| {
        if !x.is_nan() {
            *p = kernel.scale * x + kernel.std * z;
        }
    });
    Ok(())
}

/// A Langevin step of the missing values.
pub(super) fn correct(
    state: &State,
    reverse: &Reverse<'_>,
    rows: ArrayView2<'_, f64>,
    rng: &mut dyn Rng,
    ratio: f64,
) -> Result<State> {
    let mut score = reverse.score.score_at(state.position.view(), state.time);
    let mut noise = normals(rows.dim(), rng);
    let mut missing = 0usize;
    Zip::from(&mut score).and(&mut noise).and(rows).for_each(|s, z, x| {
        if x.is_nan() {
            missing += 1;
        } else {
            (*s, *z) = (0.0, 0.0);
        }
    });
    // The step is common to all rows: one score that is no number would spoil it for all.
    check_finite(&score, state.time, state.step + 1)?;
    let mean_square = score.iter().map(|s| s * s).sum::<f64>() / missing.max(1) as f64;
    let a = if mean_square > 0.0 { 4.0 * ratio * ratio / mean_square } else { 0.0 };
    let mut x = state.position.clone();
    x.scaled_add(0.5 * a, &score);
    x.scaled_add(a.sqrt(), &noise);
    checked(x, state.time, state.step + 1)
}
