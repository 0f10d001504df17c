//! An exponential integrator of the probability flow, deterministic: the steps of DDIM.
//!
//! For a process with kernel N(scale x, std^2 I) write x_t = scale x^ + std e^, where e^ = -std s(x_t, t)
//! estimates the noise in x_t. Holding e^ over the step solves the rest of the flow exactly:
//!
//! ```text
//! x' = scale'/scale (x + std^2 s(x, t)) - std' std s(x, t)
//! ```
//!
//! Order 1 in the step of std/scale; exact for data in one point, however long the step. References:
//! Song, Meng, Ermon (2021), "Denoising diffusion implicit models", eq. 12 with eta = 0; Lu et al. (2022),
//! "DPM-Solver", section 3 (its first-order solver).

use super::{Reverse, State, checked};
use crate::error::Result;

/// One step of every row from the state's time to the earlier time `to`.
///
/// # Errors
/// [`Config`](crate::Error::Config) for a process without kernel;
/// [`Diverged`](crate::Error::Diverged), naming step and row, where the new place is not finite.
pub fn step(state: &State, reverse: &Reverse<'_>, to: f64) -> Result<State> {
    let here = reverse.kernel(state.time, "ddim")?;
    let there = reverse.kernel(to, "ddim")?;
    let factor = there.scale / here.scale;
    let score = reverse.score.score_at(state.position.view(), state.time);
    let mut x = &state.position * factor;
    x.scaled_add(here.std * (factor * here.std - there.std), &score);
    checked(x, to, state.step + 1)
}
