//! The log normalizer of an unnormalized density by importance sampling.
//!
//! Z = integral of p~ = E_q\[p~/q], q = N(0, tau^2 I): log Z is the logarithm of the mean weight w = p~/q, its
//! standard error by the delta method sd(w) / (mean(w) sqrt n), and the effective sample size
//! (sum w)^2 / sum w^2 says how many of the draws carried it.

use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::score::LogDensity;
use crate::{Error, Result};

/// Draws handled at once.
const BLOCK: usize = 16_384;

/// An estimate of log Z.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LogNormalizer {
    /// log Z.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Effective sample size.
    pub effective: f64,
    /// Draws.
    pub draws: usize,
}

impl LogNormalizer {
    /// The 95% interval.
    pub fn interval(&self) -> (f64, f64) {
        let half = 1.959_963_984_540_054 * self.standard_error;
        (self.value - half, self.value + half)
    }
}

/// log of the integral of exp(`density`), from `draws` draws of N(0, `sd`^2 I).
///
/// ```
/// use gradlogp::{dkef::log_normalizer, reference::Gaussian};
///
/// // A density that is normalized, and equal to q: every weight is 1. (The error is the root of a
/// // difference of equal numbers.)
/// let found = log_normalizer(&Gaussian::standard(3)?, 1.0, 100, 0)?;
/// assert!(found.value.abs() < 1e-12 && found.standard_error < 1e-7);
/// assert!((found.effective - 100.0).abs() < 1e-9);
/// # Ok::<(), gradlogp::Error>(())
/// ```
///
/// # Errors
/// [`Error::Config`] for fewer than two draws or a width that is not positive; [`Error::Numerical`] where
/// the density is not finite.
pub fn log_normalizer(
    density: &dyn LogDensity,
    sd: f64,
    draws: usize,
    seed: u64,
) -> Result<LogNormalizer> {
    if draws < 2 {
        return Err(Error::config("draws", "at least two are needed for an interval"));
    }
    if !(sd > 0.0 && sd.is_finite()) {
        return Err(Error::config("sd", "must be a positive number"));
    }
    let d = density.dim();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let constant = -(d as f64) * (sd.ln() + 0.5 * (2.0 * std::f64::consts::PI).ln());
    let mut sums = Sums::default();
    let mut left = draws;
    while left > 0 {
        let n = left.min(BLOCK);
        left -= n;
        let z: Array2<f64> =
            Array2::from_shape_simple_fn((n, d), || StandardNormal.sample(&mut rng));
        let values = density.log_density((&z * sd).view());
        for (z, value) in z.outer_iter().zip(&values) {
            sums.add(value - constant + 0.5 * z.dot(&z));
        }
    }
    sums.finish(draws)
}

/// Sums of w e^-shift and its square, where shift is the largest log w so far.
#[derive(Debug, Default)]
struct Sums {
    shift: Option<f64>,
    first: f64,
    second: f64,
    broken: bool,
}

impl Sums {
    fn add(&mut self, log_w: f64) {
        if log_w.is_nan() || log_w == f64::INFINITY {
            self.broken = true;
            return;
        }
        let shift = self.shift.unwrap_or(f64::NEG_INFINITY).max(log_w);
        if let Some(old) = self.shift.filter(|old| *old < shift) {
            self.first *= (old - shift).exp();
            self.second *= (2.0 * (old - shift)).exp();
        }
        if shift > f64::NEG_INFINITY {
            self.shift = Some(shift);
            let w = (log_w - shift).exp();
            self.first += w;
            self.second += w * w;
        }
    }

    fn finish(&self, draws: usize) -> Result<LogNormalizer> {
        let (Some(shift), false) = (self.shift, self.broken) else {
            let message = "the density is not finite on draws of the base density".to_string();
            return Err(Error::Numerical { operation: "log normalizer", message });
        };
        let n = draws as f64;
        let mean = self.first / n;
        let variance = (self.second - n * mean * mean).max(0.0) / (n - 1.0);
        Ok(LogNormalizer {
            value: shift + mean.ln(),
            standard_error: (variance / n).sqrt() / mean,
            effective: self.first * self.first / self.second,
            draws,
        })
    }
}
