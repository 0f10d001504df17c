//! A custom process: any drift, and any diffusion that depends on time alone.
//!
//! No kernel is known, so x_t can only be simulated ([`simulate`](super::simulate)) and its score only be
//! fitted by losses that need none: sliced or exact score matching at (x_t, t), MATH 6.

use super::{Sde, check_positive, check_t_min};
use crate::error::Result;

type Drift = dyn Fn(&[f64], f64, &mut [f64]) + Send + Sync;
type Diffusion = dyn Fn(f64) -> f64 + Send + Sync;

/// dx = f(x, t) dt + g(t) dW with closures for f and g.
///
/// ```
/// use gradlogp_density::sde::{CustomSde, Sde};
///
/// // Two wells, at -1 and 1, and constant noise.
/// let sde = CustomSde::new(|x, _t, f| f[0] = x[0] - x[0].powi(3), |_t| 0.5, 2.0, 0.1)?;
/// let mut f = [0.0];
/// sde.drift(&[2.0], 0.3, &mut f);
/// assert_eq!(f, [-6.0]);
/// assert!((sde.drift_divergence(&[2.0], 0.3) + 11.0).abs() < 1e-7);
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
pub struct CustomSde {
    drift: Box<Drift>,
    diffusion: Box<Diffusion>,
    horizon: f64,
    t_min: f64,
}

impl CustomSde {
    /// `drift` writes f(x, t) for one point x; `diffusion` returns g(t); t runs over
    /// \[0, `horizon`\] and scores are asked for from `t_min` on.
    ///
    /// # Errors
    /// A horizon that is not positive, a least time outside \[0, horizon).
    pub fn new(
        drift: impl Fn(&[f64], f64, &mut [f64]) + Send + Sync + 'static,
        diffusion: impl Fn(f64) -> f64 + Send + Sync + 'static,
        horizon: f64,
        t_min: f64,
    ) -> Result<Self> {
        check_positive("horizon", horizon)?;
        check_t_min(t_min, horizon)?;
        Ok(CustomSde { drift: Box::new(drift), diffusion: Box::new(diffusion), horizon, t_min })
    }
}

impl std::fmt::Debug for CustomSde {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CustomSde over [{}, {}]", self.t_min, self.horizon)
    }
}

impl Sde for CustomSde {
    fn drift(&self, x: &[f64], t: f64, out: &mut [f64]) {
        (self.drift)(x, t, out);
    }

    fn diffusion(&self, t: f64) -> f64 {
        (self.diffusion)(t)
    }

    fn horizon(&self) -> f64 {
        self.horizon
    }

    fn t_min(&self) -> f64 {
        self.t_min
    }
}
