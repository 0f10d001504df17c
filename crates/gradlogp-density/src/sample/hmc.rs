//! Hamiltonian Monte Carlo: long moves through a known (unnormalized) density, exact in the long run.
//!
//! Each chain gets a fresh velocity r ~ N(0, I) and follows L leapfrog steps of size eps, in columns
//! scaled by m (the square roots of a diagonal inverse mass):
//!
//! ```text
//! r += (eps/2) m s(x),   x += eps m r,   r += (eps/2) m s(x)
//! accept with probability min(1, exp(H(start) - H(end))),   H = -log p(x) + 1/2 |r|^2
//! ```
//!
//! Steps are given as a = eps^2, as everywhere here (MATH 6): with L = 1 and m = 1 this is MALA,
//! number for number. Best with m the standard deviations of the columns, which warm-up adapts. A column
//! with m = 0 does not move: the others are then drawn given it. All chains take the same number of
//! steps; it should change from call to call (drawn without looking at the chains), since a fixed
//! length can come back to where it started. An end without finite density is rejected. Reference: Neal
//! (2011), "MCMC using Hamiltonian dynamics", sections 5.2.3 and 5.3.

pub use super::mala::{State, init};

use super::mala::{is_usable, select};
use super::streams::{Common, Draws};
use crate::error::{Error, Result};
use crate::score::LogDensity;
use ndarray::{Array1, Array2, ArrayView2, Axis, Zip};
use rand::Rng;

/// How a trajectory is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Trajectory {
    /// a = eps^2: squared units of x / m.
    pub step_size: f64,
    /// L, leapfrog steps.
    pub steps: usize,
    /// m, at least 0: 1 x d for all chains alike, or chains x d.
    pub scale: Array2<f64>,
}

/// What a step showed.
#[derive(Debug, Clone)]
pub struct Info {
    /// min(1, exp(H(start) - H(end))) of each chain.
    pub acceptance: Array1<f64>,
    /// Which chains moved.
    pub accepted: Array1<bool>,
    /// H(end) - H(start); not finite where the trajectory became non-finite.
    pub energy_error: Array1<f64>,
}

/// One trajectory of every chain.
///
/// # Errors
/// [`Error::Shape`] where `scale` is neither 1 x d nor chains x d.
pub fn step(
    rng: &mut (impl Rng + ?Sized),
    state: State,
    model: &dyn LogDensity,
    trajectory: &Trajectory,
) -> Result<(State, Info)> {
    let moved = step_each(&mut Common(rng), &state, model, trajectory, &mut || true)?;
    // It was not told to stop.
    moved.ok_or_else(|| Error::config("trajectory", "was stopped"))
}

/// [`step`] with random numbers from `draws`; None where `go_on`, asked before every leapfrog step, said no.
pub(super) fn step_each(
    draws: &mut dyn Draws,
    state: &State,
    model: &dyn LogDensity,
    trajectory: &Trajectory,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Option<(State, Info)>> {
    let shape = state.position.dim();
    let Some(scale) = trajectory.scale.broadcast(shape) else {
        let (expected, found) = (vec![shape.0, shape.1], trajectory.scale.shape().to_vec());
        return Err(Error::Shape { operation: "scale of the columns", expected, found });
    };
    let start = draws.normals(shape);
    let Some((end, velocity)) = leapfrog(state, start.clone(), model, trajectory, scale, go_on)
    else {
        return Ok(None);
    };
    let energy =
        |state: &State, velocity: &Array2<f64>| half_squares(velocity) - &state.log_density;
    let energy_error = energy(&end, &velocity) - energy(state, &start);
    let acceptance: Array1<f64> = (0..shape.0)
        .map(|chain| match energy_error[chain] {
            error if error.is_nan() || !is_usable(&end, chain) => 0.0,
            error => (-error).min(0.0).exp(),
        })
        .collect();
    // One number per chain, also where it decides nothing, so that chains stay in step.
    let chances = draws.uniforms(shape.0);
    let accepted =
        Zip::from(&chances).and(&acceptance).map_collect(|number, chance| number < chance);
    let moved = select(state.clone(), end, &accepted);
    Ok(Some((moved, Info { acceptance, accepted, energy_error })))
}

fn half_squares(velocity: &Array2<f64>) -> Array1<f64> {
    velocity.map_axis(Axis(1), |r| 0.5 * r.dot(&r))
}

/// Where the trajectory ends, and the velocity there; None where it was stopped.
fn leapfrog(
    from: &State,
    mut velocity: Array2<f64>,
    model: &dyn LogDensity,
    trajectory: &Trajectory,
    scale: ArrayView2<'_, f64>,
    go_on: &mut dyn FnMut() -> bool,
) -> Option<(State, Array2<f64>)> {
    let eps = trajectory.step_size.sqrt();
    let kick = |velocity: &mut Array2<f64>, score: &Array2<f64>, size: f64| {
        Zip::from(velocity).and(score).and(scale).for_each(|r, s, m| *r += size * m * s);
    };
    let mut position = from.position.clone();
    kick(&mut velocity, &from.score, 0.5 * eps);
    for _ in 1..trajectory.steps {
        drift(&mut position, &velocity, scale, eps);
        if !go_on() {
            return None;
        }
        // Two half kicks at the same place.
        kick(&mut velocity, &model.score(position.view()), eps);
    }
    drift(&mut position, &velocity, scale, eps);
    let (log_density, score) = model.log_density_and_score(position.view());
    kick(&mut velocity, &score, 0.5 * eps);
    Some((State { position, log_density, score }, velocity))
}

fn drift(position: &mut Array2<f64>, velocity: &Array2<f64>, scale: ArrayView2<'_, f64>, eps: f64) {
    Zip::from(position).and(velocity).and(scale).for_each(|x, r, m| {
        // Not even a rounding, so that what is held stays bit for bit.
        if *m != 0.0 {
            *x += eps * m * r;
        }
    });
}

#[cfg(test)]
mod tests;
