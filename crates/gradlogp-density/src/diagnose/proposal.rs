//! Normalized densities around given rows: where importance sampling and annealing start.
//!
//! The **core** is a mixture of Gaussians fitted by expectation-maximization, with K of 1, 2, 4, ... chosen by
//! the Bayesian information criterion: annealing starts here, in both directions. Its reverse weights hold
//! q/p, so tails much heavier than those of p would spoil them. In the **heavy** mixture, from which
//! importance sampling draws, each component is made a Student-t of 5 degrees of freedom with
//! the same location and scale; a tenth of the weight goes to one t around all rows, three times as wide as
//! they are, so that mass where no rows are is found, if it is near. Nothing that is
//! estimated with this proposal is biased by its fit being poor: weights correct for it, with a smaller
//! effective size.

use super::expectation_maximization::{COMPONENTS, Component, Fit, Shrinkage};
use crate::error::Result;
use crate::reference::{GaussianMixture, Mixture, StudentT};
use ndarray::{Array1, ArrayView2};
use rand::Rng;

/// Both mixtures: normalized, with score and sampler.
#[derive(Debug, Clone)]
pub struct Proposals {
    /// Gaussians fitted to the rows.
    pub core: GaussianMixture,
    /// Student-t components of 5 degrees of freedom in their places, and a wide one.
    pub heavy: Mixture<StudentT>,
}

const DEGREES: f64 = 5.0;
const DEFENSIVE: f64 = 0.1;
/// Width of the defensive component in standard deviations of the rows.
const WIDTH: f64 = 3.0;

/// Fits proposals to the rows of `x` (n x d), which should be of comparable scale in all columns.
///
/// # Errors
/// [`Error::Numerical`](crate::Error::Numerical) where the rows' covariance is singular beyond repair.
pub fn fit_proposals(x: ArrayView2<'_, f64>, rng: &mut dyn Rng) -> Result<Proposals> {
    let whole = Component::whole(x);
    let mut best = Fit::start(x, 1, &whole, Shrinkage::default(), rng)?.run(x)?;
    let mut count = 2;
    while count <= COMPONENTS && 3 * count * (x.ncols() + 1) <= x.nrows() {
        let fit = Fit::start(x, count, &whole, Shrinkage::default(), rng)?.run(x)?;
        if fit.criterion(x.nrows()) < best.criterion(x.nrows()) {
            best = fit;
        } else if count > 4 {
            break;
        }
        count *= 2;
    }
    let weights: Vec<f64> = best.components.iter().map(|c| c.weight).collect();
    let core = best.mixture()?;
    let mut shares: Vec<f64> = weights.iter().map(|w| (1.0 - DEFENSIVE) * w).collect();
    shares.push(DEFENSIVE * weights.iter().sum::<f64>());
    let wide = Component { covariance: &whole.covariance * (WIDTH * WIDTH), ..whole };
    let heavy = |c: &Component| StudentT::new(c.mean.clone(), c.covariance.clone(), DEGREES);
    let all = best.components.iter().chain([&wide]).map(heavy).collect::<Result<Vec<_>>>()?;
    Ok(Proposals { core, heavy: Mixture::from_components(Array1::from(shares), all)? })
}

#[cfg(test)]
mod tests;
