//! The probability flow, solved adaptively: the same distribution as the reverse SDE without its noise.
//!
//! dx/dt = f(x, t) - 1/2 g(t)^2 s(x, t), from t down to t', by the Dormand-Prince pair of
//! [`ode`](crate::ode). Equal starts give equal ends, so it carries noise to data and back one to one.

use super::{Reverse, State};
use crate::error::Result;
use crate::ode::{At, OdeConfig, Solution, integrate_rows};
use ndarray::Array2;

/// All rows from the state's time to the earlier time `to`, each with steps of its own. `first_steps` are the
/// [`Solution::next_steps`] of the part before, where there is one. `go_on` is asked before every step; None
/// where it said no.
///
/// # Errors
/// Those of [`integrate_rows`].
pub fn solve(
    state: &State,
    reverse: &Reverse<'_>,
    to: f64,
    (config, first_steps): (&OdeConfig, Option<&[f64]>),
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Option<Solution>> {
    let mut derivative = |at: At<'_>| drift(reverse, at);
    let span = (state.time, to);
    integrate_rows(&mut derivative, span, state.position.view(), (config, first_steps), go_on)
}

/// f - g^2 s / 2 for every row at its time.
fn drift(reverse: &Reverse<'_>, at: At<'_>) -> Array2<f64> {
    let mut out = reverse.score.score_at_times(at.y, at.times);
    let mut drift = vec![0.0; at.y.ncols()];
    for ((x, mut out), t) in at.y.outer_iter().zip(out.outer_iter_mut()).zip(at.times) {
        let half = 0.5 * reverse.sde.diffusion(*t).powi(2);
        reverse.sde.drift(&x.to_vec(), *t, &mut drift);
        out.iter_mut().zip(&drift).for_each(|(s, f)| *s = f - half * *s);
    }
    out
}
