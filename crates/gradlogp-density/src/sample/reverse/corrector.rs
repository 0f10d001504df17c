//! Langevin steps at a fixed time, which pull the rows back to the marginal that a predictor missed.
//!
//! ```text
//! x' = x + (a/2) s(x, t) + sqrt(a) z,   a = (2 r)^2 d / mean over rows of |s(x, t)|^2
//! ```
//!
//! with |s|^2 of each row cut at 100 times the median of all, so that one row far off does not stop the others (all
//! rows have one distribution here). The step is the one at which signal, (a/2) |s|, and noise, sqrt(a) |z|, have the
//! ratio r. With an Euler-Maruyama step before, this is the predictor-corrector sampler of Song et al. (2021),
//! algorithms 2 to 5, whose step eps is a/2.

use super::{Reverse, State, check_finite, checked, normals};
use crate::error::Result;
use crate::stats::upper_median;
use ndarray::Array2;
use rand::Rng;

/// What a step showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Info {
    /// a.
    pub step_size: f64,
}

/// One step of every row at the state's time, with `ratio` r > 0.
///
/// # Errors
/// [`Diverged`](crate::Error::Diverged), naming step and row, where the new place is not finite.
pub fn step(
    rng: &mut (impl Rng + ?Sized),
    state: &State,
    reverse: &Reverse<'_>,
    ratio: f64,
) -> Result<(State, Info)> {
    let score = reverse.score.score_at(state.position.view(), state.time);
    // The step is common to all rows: a score that is not a number would spoil it for all.
    check_finite(&score, state.time, state.step + 1)?;
    let noise = normals(state.position.dim(), rng);
    let step_size = step_size(&score, ratio);
    let mut x = state.position.clone();
    x.scaled_add(0.5 * step_size, &score);
    x.scaled_add(step_size.sqrt(), &noise);
    Ok((checked(x, state.time, state.step + 1)?, Info { step_size }))
}

/// a for these scores; 0 where the score is 0.
pub(super) fn step_size(score: &Array2<f64>, ratio: f64) -> f64 {
    let mean_square = mean_square(score);
    if mean_square == 0.0 { 0.0 } else { 4.0 * ratio * ratio / mean_square }
}

/// The mean over rows and columns of the squares, those of a row cut at 100 times the median row's.
pub(in crate::sample) fn mean_square(score: &Array2<f64>) -> f64 {
    let squares: Vec<f64> = score.outer_iter().map(|s| s.iter().map(|s| s * s).sum()).collect();
    let median = upper_median(squares.iter().copied()).unwrap_or(0.0);
    let cut = if median > 0.0 { 100.0 * median } else { f64::INFINITY };
    let sum: f64 = squares.iter().map(|square| square.min(cut)).sum();
    sum / score.len() as f64
}
