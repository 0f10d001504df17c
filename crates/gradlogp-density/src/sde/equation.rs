//! What a process is, and what all processes check.

use ndarray::{Array2, ArrayView2};

use crate::error::{Error, Result};

/// The distribution of x_t given the data row x: N(scale x, std^2 I).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kernel {
    /// Factor of x in the mean.
    pub scale: f64,
    /// Standard deviation in every column, in units of x.
    pub std: f64,
}

/// A process dx = f(x, t) dt + g(t) dW over 0 <= t <= T.
pub trait Sde: Send + Sync {
    /// Writes f(x, t) for one point x of d columns.
    fn drift(&self, x: &[f64], t: f64, out: &mut [f64]);

    /// g(t).
    fn diffusion(&self, t: f64) -> f64;

    /// T, where the data are forgotten.
    fn horizon(&self) -> f64;

    /// The least time at which the score is evaluated; below it, it would grow without bound.
    fn t_min(&self) -> f64;

    /// The distribution of x_t given the data row, where it has a closed form.
    fn kernel(&self, t: f64) -> Option<Kernel> {
        let _ = t;
        None
    }

    /// Standard deviation of the noise that the data already carry at t = 0.
    fn initial_std(&self) -> f64 {
        0.0
    }

    /// Standard deviation of the distribution N(0, std^2 I) from which the reverse process starts at T, where it
    /// is known.
    fn prior_std(&self) -> Option<f64> {
        None
    }

    /// div f(x, t), by central differences unless a process knows better.
    fn drift_divergence(&self, x: &[f64], t: f64) -> f64 {
        let (mut at, mut out) = (x.to_vec(), vec![0.0; x.len()]);
        let mut partial = |j: usize| {
            let step = 6e-6 * (1.0 + x[j].abs());
            let mut shifted = |by: f64| {
                at[j] = x[j] + by;
                self.drift(&at, t, &mut out);
                (at[j], out[j])
            };
            let ((right, up), (left, down)) = (shifted(step), shifted(-step));
            at[j] = x[j];
            (up - down) / (right - left)
        };
        (0..x.len()).map(&mut partial).sum()
    }

    /// Writes f of n points, each at its time: `x` and `out` are n x d, `times` n. As [`Sde::drift`], bit for bit.
    fn drift_at_times(&self, x: &[f64], times: &[f64], out: &mut [f64]) {
        let d = (x.len() / times.len().max(1)).max(1);
        let rows = x.chunks(d).zip(out.chunks_mut(d));
        rows.zip(times).for_each(|((x, out), t)| self.drift(x, *t, out));
    }

    /// Writes g at each of the `times`. As [`Sde::diffusion`], bit for bit.
    fn diffusion_at_times(&self, times: &[f64], out: &mut [f64]) {
        out.iter_mut().zip(times).for_each(|(out, t)| *out = self.diffusion(*t));
    }

    /// f(x, t) for every row: n x d.
    fn drift_rows(&self, x: ArrayView2<'_, f64>, t: f64) -> Array2<f64> {
        let mut out = Array2::zeros(x.dim());
        let mut point = vec![0.0; x.ncols()];
        let mut drift = vec![0.0; x.ncols()];
        for (row, mut into) in x.outer_iter().zip(out.outer_iter_mut()) {
            point.iter_mut().zip(row).for_each(|(p, x)| *p = *x);
            self.drift(&point, t, &mut drift);
            into.iter_mut().zip(&drift).for_each(|(o, f)| *o = *f);
        }
        out
    }
}

/// Refuses a number that is not positive and finite.
pub(super) fn check_positive(option: &'static str, value: f64) -> Result<()> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::config(option, format!("must be a positive number, not {value}")))
}

/// Refuses a least time outside \[0, horizon).
pub(super) fn check_t_min(t_min: f64, horizon: f64) -> Result<()> {
    if (0.0..horizon).contains(&t_min) {
        return Ok(());
    }
    Err(Error::config("t_min", format!("must be in [0, {horizon}), not {t_min}")))
}

/// Largest noise, in standardized units, whose square single precision still holds with room to spare.
const LARGEST: f64 = 1e15;

/// Refuses a size of noise that single precision cannot hold.
pub(super) fn check_size(option: &'static str, value: f64) -> Result<()> {
    check_positive(option, value)?;
    if (1.0 / LARGEST..=LARGEST).contains(&value) {
        return Ok(());
    }
    Err(Error::config(
        option,
        format!("must be from {:e} to {LARGEST:e}, not {value:e}", 1.0 / LARGEST),
    ))
}

/// Largest exponent of the decay of the signal: e^-700 is hardly more than the least f64.
pub(super) const FORGOTTEN: f64 = 700.0;

/// f = factor x.
pub(super) fn scale_into(x: &[f64], factor: f64, out: &mut [f64]) {
    out.iter_mut().zip(x).for_each(|(o, x)| *o = factor * x);
}
