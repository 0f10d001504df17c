//! Euler-Maruyama on the reverse SDE.
//!
//! ```text
//! x' = x - h [f(x, t) - g(t)^2 s(x, t)] + g(t) sqrt(h) z,   h = t - t' > 0,   z ~ N(0, I)
//! ```
//!
//! Strong and weak order 1 (strong order 1 because the noise does not depend on x). Reference: Kloeden
//! and Platen (1992), "Numerical solution of stochastic differential equations", 9.1 and 10.2.

use super::{Reverse, State, checked};
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
    let noise = super::normals(state.position.dim(), rng);
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
    let h = state.time - to;
    let mut x = state.position.clone();
    x.scaled_add(-h, &reverse.drift(state.position.view(), state.time, 1.0));
    x.scaled_add(reverse.sde.diffusion(state.time) * h.sqrt(), &noise);
    x
}
