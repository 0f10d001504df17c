//! Stochastic Heun on the reverse SDE: the drift is averaged over both ends of the step.
//!
//! ```text
//! b(x, t) = f(x, t) - g(t)^2 s(x, t),   h = t - t' > 0,   w = g(t - h/2) sqrt(h) z,   z ~ N(0, I)
//! x~ = x - h b(x, t) + w
//! x' = x - h/2 [b(x, t) + b(x~, t')] + w
//! ```
//!
//! Weak order 2 and strong order 1, for noise that does not depend on x: then the one z gives the
//! integral of the noise its covariance with the noise to second order, and g at the middle gives the
//! noise its variance to second order. Reference: Kloeden and Platen (1992), 15.1 (1.3), the simplified
//! scheme for additive noise.

use super::{Reverse, State, checked, normals};
use crate::error::Result;
use ndarray::{Array2, ArrayView2};
use rand::Rng;

/// One step of every row from the state's time to the earlier time `to`.
///
/// # Errors
/// [`Diverged`](crate::Error::Diverged), naming step and row, where the new place is not finite.
pub fn step(
    rng: &mut (impl Rng + ?Sized),
    state: &State,
    reverse: &Reverse<'_>,
    to: f64,
) -> Result<State> {
    let noise = normals(state.position.dim(), rng);
    let position = advance(state, reverse, to, noise.view());
    checked(position, to, state.step + 1)
}

/// The step for a given z.
pub(super) fn advance(
    state: &State,
    reverse: &Reverse<'_>,
    to: f64,
    noise: ArrayView2<'_, f64>,
) -> Array2<f64> {
    let (t, h) = (state.time, state.time - to);
    let size = reverse.sde.diffusion(t - 0.5 * h) * h.sqrt();
    let here = reverse.drift(state.position.view(), t, 1.0);
    let mut there = state.position.clone();
    there.scaled_add(size, &noise);
    let mut x = there.clone();
    there.scaled_add(-h, &here);
    x.scaled_add(-0.5 * h, &here);
    x.scaled_add(-0.5 * h, &reverse.drift(there.view(), to, 1.0));
    x
}
