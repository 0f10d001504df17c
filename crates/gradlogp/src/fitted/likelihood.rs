//! Log densities of rows under a diffusion model, in the user's units.

use ndarray::{Array1, Array2, ArrayView2};
use rand::Rng;

use super::FittedModel;
use crate::likelihood::{Divergence, LogLikelihood, log_likelihood};
use crate::ode::OdeConfig;
use crate::reference::Gaussian;
use crate::{Error, Result};

/// Largest number of columns for which the trace is exact by default.
const EXACT_COLUMNS: usize = 16;
/// Probes beyond that.
const PROBES: usize = 8;

/// How log densities are found.
#[derive(Debug, Clone, PartialEq)]
pub struct LikelihoodConfig {
    /// Random probes of the trace, 0 for the exact one; None: exact up to 16 columns, else 8.
    pub probes: Option<usize>,
    /// Error of a step of the solver, relative and absolute.
    pub tolerance: f64,
}

impl Default for LikelihoodConfig {
    fn default() -> Self {
        LikelihoodConfig { probes: None, tolerance: 1e-5 }
    }
}

impl LikelihoodConfig {
    /// The probes that are used for `columns` columns.
    pub fn probes_for(&self, columns: usize) -> usize {
        self.probes.unwrap_or(if columns <= EXACT_COLUMNS { 0 } else { PROBES })
    }
}

impl FittedModel {
    /// log p of the rows of `x` (n x d, the user's units) at the least noise, by the probability flow, with the model's
    /// Gaussian part if it has one.
    ///
    /// # Errors
    /// A model of one density; settings of the solver; a process whose terminal distribution is not known.
    pub fn log_likelihood(
        &self,
        x: ArrayView2<'_, f64>,
        config: &LikelihoodConfig,
        rng: &mut dyn Rng,
    ) -> Result<LogLikelihood> {
        let z = self.description().transform.forward(x);
        let mut found = self.flow_log_likelihood(z.view(), config, rng)?;
        if let Some(part) = &self.description().gaussians {
            found.log_density = part.log_density(z.view(), found.log_density.view())?;
        }
        let transform = &self.description().transform;
        found.log_density = transform.log_density_to_user(found.log_density.view());
        if let Some(warp) = transform.warp(x) {
            found.log_density += &warp.log_volume;
        }
        Ok(found)
    }

    /// The same of the network alone, of rows in the units of the transform, and in these.
    pub(crate) fn flow_log_likelihood(
        &self,
        z: ArrayView2<'_, f64>,
        config: &LikelihoodConfig,
        rng: &mut dyn Rng,
    ) -> Result<LogLikelihood> {
        let Some(over_time) = self.over_time() else {
            let message = "is of one density, and a likelihood by the probability flow needs a model of all \
                           noise levels";
            return Err(Error::config("fitted_model", message));
        };
        let tolerance = config.tolerance;
        if !(tolerance > 0.0 && tolerance.is_finite()) {
            let message = format!("must be a positive number, not {tolerance}");
            return Err(Error::config("tolerance", message));
        }
        let sde = over_time.clock().sde();
        let prior = self.law_at_horizon()?;
        let divergence = match config.probes_for(z.ncols()) {
            0 => Divergence::Exact,
            probes => Divergence::Hutchinson { probes },
        };
        let ode = OdeConfig { relative: tolerance, absolute: tolerance, ..OdeConfig::default() };
        log_likelihood(over_time, sde, &prior, z, (divergence, &ode), rng)
    }

    /// The terminal distribution: columns of standard deviation 1, shrunk and noised by the kernel;
    /// without one, normal with the moments of simulated rows.
    ///
    /// # Errors
    /// A model of one density; a custom process whose terminal distribution is not known.
    pub fn law_at_horizon(&self) -> Result<Gaussian> {
        let kernel = self.over_time().and_then(|model| {
            let sde = model.clock().sde();
            sde.kernel(sde.horizon())
        });
        if let Some(kernel) = kernel {
            let dim = self.description().columns.len();
            let variance = kernel.scale.powi(2) + kernel.std.powi(2);
            return Gaussian::new(Array1::zeros(dim), Array2::eye(dim) * variance);
        }
        match self.end() {
            Some(end) => end.gaussian(),
            None => {
                let message = "the terminal distribution of this custom process is not known, so there is \
                               no prior to start from: fit again without `standardize` none, or with \
                               `noise` ve, vp, subvp or ou";
                Err(Error::config("fitted_model", message))
            }
        }
    }
}
