//! Schedules: at which times to stop on the way from noise to data.
//!
//! For k = 0 ... n, from b at k = 0 to a at k = n:
//!
//! ```text
//! geometric     b (a/b)^(k/n)
//! Karras        (b^(1/rho) + (k/n) (a^(1/rho) - b^(1/rho)))^rho      (Karras et al. 2022, eq. 5; rho = 7)
//! polynomial    a + (b - a) (1 - k/n)^p                              (p = 1: uniform)
//! ```
//!
//! The first two are laid over noise levels, std/scale of the kernel, and mapped to times; the polynomial
//! over times.

use crate::error::{Error, Result};
use crate::sde::Sde;

/// How steps are laid out.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum TimeSchedule {
    /// Equal ratios of the noise level.
    Geometric,
    /// Equal steps of the noise level to the power 1/rho.
    Karras {
        /// rho > 0; larger puts more steps at low noise.
        rho: f64,
    },
    /// Times: power 1 is uniform, larger puts more steps at low noise.
    Polynomial {
        /// p > 0.
        power: f64,
    },
}

/// n + 1 levels in geometric progression from `from` to `to`, both positive.
pub fn geometric(from: f64, to: f64, n: usize) -> Vec<f64> {
    between(from, to, n, |u| from * (to / from).powf(u))
}

/// n + 1 levels from `from` to `to`, both positive, in equal steps of their rho-th root.
pub fn karras(from: f64, to: f64, n: usize, rho: f64) -> Vec<f64> {
    let root = |level: f64| level.powf(1.0 / rho);
    between(from, to, n, |u| (root(from) + u * (root(to) - root(from))).powf(rho))
}

/// n + 1 values from `from` to `to`, to + (from - to)(1 - k/n)^power.
pub fn polynomial(from: f64, to: f64, n: usize, power: f64) -> Vec<f64> {
    between(from, to, n, |u| to + (from - to) * (1.0 - u).powf(power))
}

/// value(k/n) for k = 0 ... n, the ends exactly.
fn between(from: f64, to: f64, n: usize, value: impl Fn(f64) -> f64) -> Vec<f64> {
    (0..=n)
        .map(|k| match k {
            0 => from,
            k if k == n => to,
            k => value(k as f64 / n as f64),
        })
        .collect()
}

/// std/scale of the kernel at t: the noise level in units of the data.
fn level(sde: &dyn Sde, t: f64) -> Option<f64> {
    sde.kernel(t).map(|kernel| kernel.std / kernel.scale)
}

/// The times at which the noise level is each of `levels`, by bisection; levels beyond the process's own
/// range are met at its ends.
///
/// # Errors
/// [`Error::Config`] for a process without kernel.
pub fn times_of_levels(sde: &dyn Sde, levels: &[f64]) -> Result<Vec<f64>> {
    let one = |target: &f64| {
        let (mut low, mut high) = (sde.t_min(), sde.horizon());
        for _ in 0..100 {
            let middle = 0.5 * (low + high);
            if level(sde, middle)? < *target {
                low = middle;
            } else {
                high = middle;
            }
        }
        Some(0.5 * (low + high))
    };
    levels.iter().map(one).collect::<Option<_>>().ok_or_else(no_kernel)
}

fn no_kernel() -> Error {
    let message = "geometric and karras schedules need the closed-form kernel of the process, which this \
                   one has not; use uniform or polynomial";
    Error::config("schedule", message)
}

impl TimeSchedule {
    /// Equal steps of time.
    pub const UNIFORM: TimeSchedule = TimeSchedule::Polynomial { power: 1.0 };

    /// n + 1 falling times, from T to the least time of `sde`.
    ///
    /// # Errors
    /// [`Error::Config`] for no steps, an exponent that is not positive, a process without kernel where
    /// one is needed.
    pub fn times(&self, sde: &dyn Sde, n: usize) -> Result<Vec<f64>> {
        if n == 0 {
            return Err(Error::config("steps", "at least one is needed"));
        }
        if let TimeSchedule::Karras { rho: exponent } | TimeSchedule::Polynomial { power: exponent } =
            *self
            && !(exponent > 0.0 && exponent.is_finite())
        {
            return Err(Error::config("schedule", "its exponent must be positive and finite"));
        }
        let (first, last) = (sde.horizon(), sde.t_min());
        let levels = || level(sde, first).zip(level(sde, last)).ok_or_else(no_kernel);
        let mut times = match *self {
            TimeSchedule::Polynomial { power } => polynomial(first, last, n, power),
            TimeSchedule::Geometric => {
                let (high, low) = levels()?;
                times_of_levels(sde, &geometric(high, low, n))?
            }
            TimeSchedule::Karras { rho } => {
                let (high, low) = levels()?;
                times_of_levels(sde, &karras(high, low, n, rho))?
            }
        };
        // Bisection comes close to the ends; they are known.
        (times[0], times[n]) = (first, last);
        Ok(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sde::{CustomSde, OrnsteinUhlenbeck, Ve, Vp};

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found - expected).abs() < 1e-9 * expected.abs().max(1e-3),
                "{found} {expected}"
            );
        }
    }

    #[test]
    fn schedules_by_hand() {
        close(&geometric(16.0, 1.0, 4), &[16.0, 8.0, 4.0, 2.0, 1.0]);
        close(&karras(27.0, 1.0, 2, 3.0), &[27.0, 8.0, 1.0]);
        close(&polynomial(1.0, 0.0, 4, 2.0), &[1.0, 0.5625, 0.25, 0.0625, 0.0]);
        // Two of the levels from 80 to 0.002 in 18 steps that Karras et al. use.
        let levels = karras(80.0, 0.002, 17, 7.0);
        assert!(
            (levels[1] - 57.586).abs() < 1e-2 && (levels[16] - 0.00753).abs() < 1e-5,
            "{levels:?}"
        );
    }

    /// VE has sigma(t) geometric in t, so the geometric schedule is uniform in time.
    #[test]
    fn levels_become_times() {
        let ve = Ve { sigma_min: 0.01, sigma_max: 10.0 };
        let times = TimeSchedule::Geometric.times(&ve, 4).unwrap();
        close(&times, &[1.0, 0.75, 0.5, 0.25, 0.0]);
        for sde in [&Vp::default() as &dyn Sde, &OrnsteinUhlenbeck::default()] {
            let times = TimeSchedule::Karras { rho: 7.0 }.times(sde, 10).unwrap();
            let root = |t: f64| level(sde, t).unwrap().powf(1.0 / 7.0);
            let step = root(times[0]) - root(times[1]);
            assert!(times.windows(2).all(|t| t[0] > t[1]));
            assert!(times.windows(2).all(|t| (root(t[0]) - root(t[1]) - step).abs() < 1e-6 * step));
        }
    }

    #[test]
    fn refuses_what_it_cannot_lay_out() {
        let blind = CustomSde::new(|_, _, f| f.fill(0.0), |_| 1.0, 1.0, 0.1).unwrap();
        assert!(TimeSchedule::Geometric.times(&blind, 4).is_err());
        close(&TimeSchedule::UNIFORM.times(&blind, 2).unwrap(), &[1.0, 0.55, 0.1]);
        let ve = Ve::default();
        assert!(TimeSchedule::UNIFORM.times(&ve, 0).unwrap_err().to_string().starts_with("steps"));
        assert!(TimeSchedule::Karras { rho: -1.0 }.times(&ve, 3).is_err());
        assert!(TimeSchedule::Polynomial { power: f64::NAN }.times(&ve, 3).is_err());
    }
}
