//! The probability flow, solved adaptively: the same law as the reverse SDE without its noise.
//!
//! dx/dt = f(x, t) - 1/2 g(t)^2 s(x, t), from t down to t', by the Dormand-Prince pair of
//! [`ode`](crate::ode). Equal starts give equal ends, so it carries noise to data and back one to one.

use super::{Reverse, State};
use crate::error::Result;
use crate::ode::{OdeConfig, OdeInfo, integrate_from};
use ndarray::ArrayView2;

/// All rows from the state's time to the earlier time `to`. `first_step` is the
/// [`OdeInfo::next_step`] of the part before, where there is one.
///
/// # Errors
/// Those of [`integrate_from`].
pub fn solve(
    state: &State,
    reverse: &Reverse<'_>,
    to: f64,
    config: &OdeConfig,
    first_step: Option<f64>,
) -> Result<(State, OdeInfo)> {
    let mut slope = |t: f64, x: ArrayView2<'_, f64>| reverse.drift(x, t, 0.5);
    let (position, info) =
        integrate_from(&mut slope, (state.time, to), state.position.view(), config, first_step)?;
    Ok((State { position, time: to, step: state.step + 1 }, info))
}
