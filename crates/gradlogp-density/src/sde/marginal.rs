//! The distribution of x_t when the data are a Gaussian mixture and the process has a kernel: an exact
//! [`TimeScore`].
//!
//! With x_t = a x + s z: sum_k w_k N(m_k, S_k) becomes sum_k w_k N(a m_k, a^2 S_k + s^2 I).

use ndarray::{Array1, Array2, ArrayView2};
use rand::Rng;

use super::{Kernel, Sde};
use crate::error::{Error, Result};
use crate::reference::{Gaussian, GaussianMixture, ReferenceDensity};
use crate::score::{LogDensity, Score, ScoreTrace, TimeScore};

/// A Gaussian mixture (one component: a Gaussian) carried forward by a process.
pub struct Marginal<S> {
    data: GaussianMixture,
    sde: S,
}

impl<S: Sde> Marginal<S> {
    /// The mixture `data` at t = 0, carried forward by `sde`.
    ///
    /// # Errors
    /// [`Error::Config`] for a process without kernel.
    pub fn new(data: GaussianMixture, sde: S) -> Result<Self> {
        if sde.kernel(sde.horizon()).is_none() {
            return Err(Error::config("process", "has no closed-form kernel"));
        }
        Ok(Marginal { data, sde })
    }

    /// The distribution of one Gaussian carried forward.
    ///
    /// # Errors
    /// As [`Marginal::new`].
    pub fn gaussian(data: Gaussian, sde: S) -> Result<Self> {
        Self::new(GaussianMixture::equal(vec![data])?, sde)
    }

    /// The process.
    pub fn sde(&self) -> &S {
        &self.sde
    }

    /// The distribution at time t, a reference density with density, score and sampler.
    pub fn at(&self, t: f64) -> GaussianMixture {
        let Kernel { scale, std } =
            self.sde.kernel(t).expect("a process that has a kernel has it at every time");
        let d = self.data.dim();
        let moved = |p: &Gaussian| {
            let covariance = p.covariance() * (scale * scale) + Array2::<f64>::eye(d) * (std * std);
            Gaussian::new(p.mean() * scale, covariance)
                .expect("a covariance plus a multiple of the identity is one")
        };
        let components = self.data.components().iter().map(moved).collect();
        GaussianMixture::from_components(self.data.weights().clone(), components)
            .expect("as many components as weights")
    }

    /// log p_t(x) for every row, with its normalizer.
    pub fn log_density_at(&self, x: ArrayView2<'_, f64>, t: f64) -> Array1<f64> {
        self.at(t).log_density(x)
    }

    /// `n` independent rows of p_t: n x d.
    pub fn sample_at(&self, n: usize, t: f64, rng: &mut dyn Rng) -> Array2<f64> {
        self.at(t).sample(n, rng)
    }
}

impl<S: Sde> TimeScore for Marginal<S> {
    fn dim(&self) -> usize {
        self.data.dim()
    }

    fn score_at(&self, x: ArrayView2<'_, f64>, t: f64) -> Array2<f64> {
        self.at(t).score(x)
    }

    fn trace_at(&self, x: ArrayView2<'_, f64>, t: f64) -> Array1<f64> {
        self.at(t).trace(x)
    }

    fn jacobian_vector_at(
        &self,
        x: ArrayView2<'_, f64>,
        t: f64,
        v: ArrayView2<'_, f64>,
    ) -> Array2<f64> {
        self.at(t).jacobian_vector(x, v)
    }
}
