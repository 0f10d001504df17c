//! Where rows are on their way from noise to data, and what all steps check.

use crate::error::{Error, Result};
use crate::sample::rows::{bad_rows, normals};
use crate::score::{Score, TimeScore};
use crate::sde::{Kernel, Sde};
use ndarray::{Array2, ArrayView2};
use rand::Rng;

/// A process with its score.
#[derive(Clone, Copy)]
pub struct Reverse<'m> {
    /// The forward process.
    pub sde: &'m dyn Sde,
    /// s(x, t) of its marginals.
    pub score: &'m dyn TimeScore,
}

/// Where the rows are.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// n x d.
    pub position: Array2<f64>,
    /// t, which falls from step to step.
    pub time: f64,
    /// Steps taken so far.
    pub step: u64,
}

impl Reverse<'_> {
    /// f - weight g^2 s for every row: n x d. The weight is 1 for the reverse SDE, 1/2 for the flow.
    pub(super) fn drift(&self, x: ArrayView2<'_, f64>, t: f64, weight: f64) -> Array2<f64> {
        let mut out = self.sde.drift_rows(x, t);
        let g = self.sde.diffusion(t);
        out.scaled_add(-weight * g * g, &self.score.score_at(x, t));
        out
    }

    /// The kernel at t, for schemes that cannot do without.
    pub(super) fn kernel(&self, t: f64, scheme: &str) -> Result<Kernel> {
        self.sde.kernel(t).ok_or_else(|| {
            let message = format!(
                "{scheme} needs the closed-form kernel of the process, which this one does not have; use em, \
                 heun, pc or ode"
            );
            Error::config("sampler", message)
        })
    }

    /// `n` rows of the terminal distribution of the process, at time T.
    ///
    /// # Errors
    /// [`Error::Config`] for a process whose end is not known: then start from rows of your own,
    /// simulated forward.
    pub fn start(&self, n: usize, rng: &mut dyn Rng) -> Result<State> {
        let std = self.prior_std()?;
        let position = normals((n, self.score.dim()), rng) * std;
        Ok(State { position, time: self.sde.horizon(), step: 0 })
    }

    /// Standard deviation of the terminal distribution of the process.
    pub(super) fn prior_std(&self) -> Result<f64> {
        self.sde.prior_std().ok_or_else(|| {
            let message = "the terminal distribution of this process is not known; start from rows simulated \
                           forward";
            Error::config("process", message)
        })
    }
}

/// The step's end, or which rows became non-finite.
pub(super) fn checked(position: Array2<f64>, time: f64, step: u64) -> Result<State> {
    check_finite(&position, time, step)?;
    Ok(State { position, time, step })
}

pub(super) fn check_finite(values: &Array2<f64>, time: f64, step: u64) -> Result<()> {
    match bad_rows(values) {
        rows if rows.is_empty() => Ok(()),
        rows => Err(left(rows[0], rows, time, step)),
    }
}

/// The error that names `row`, counted from 0, as the first of `rows`.
pub(super) fn left(row: usize, rows: Vec<usize>, time: f64, step: u64) -> Error {
    let message = format!(
        "row {} became non-finite at t = {time:.6}; take more steps, or a schedule with smaller \
         ones there",
        row + 1
    );
    Error::Diverged { step, rows, message }
}

/// E[x_0 | x_t] by Tweedie's formula, MATH (43): (x + std^2 s(x, t))/scale, with the kernel's scale and
/// standard deviation at t.
///
/// ```
/// use gradlogp_density::reference::Gaussian;
/// use gradlogp_density::sample::reverse::tweedie;
/// // x = x_0 + z with x_0 and z from N(0, 1): x from N(0, 2), and the best guess is x/2.
/// let smoothed = Gaussian::new(ndarray::array![0.0], ndarray::array![[2.0]])?;
/// let x = ndarray::array![[3.0]];
/// assert!((tweedie(&smoothed, x.view(), 1.0, 1.0)[[0, 0]] - 1.5).abs() < 1e-12);
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
pub fn tweedie(score: &dyn Score, x: ArrayView2<'_, f64>, scale: f64, std: f64) -> Array2<f64> {
    let mut out = x.to_owned();
    out.scaled_add(std * std, &score.score(x));
    out / scale
}

/// A family's score at time t in units of y = x / scale, where the noise has standard deviation
/// std / scale: every process with a kernel becomes a variance-exploding one.
pub(super) struct Unscaled<'m> {
    pub(super) score: &'m dyn TimeScore,
    pub(super) time: f64,
    pub(super) scale: f64,
}

impl Score for Unscaled<'_> {
    fn dim(&self) -> usize {
        self.score.dim()
    }

    fn score(&self, y: ArrayView2<'_, f64>) -> Array2<f64> {
        self.score.score_at((&y * self.scale).view(), self.time) * self.scale
    }
}
