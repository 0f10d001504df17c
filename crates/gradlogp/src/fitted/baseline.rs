//! Baselines of a fitted model: the densities that it has to beat.

use super::{FittedModel, LikelihoodConfig};
use crate::diagnose::{
    Baseline, BaselineComparison, Baselines, Estimate, Paired, paired_difference,
};
use crate::error::{Error, Result};
use crate::reference::GaussianMixture;
use crate::score::LogDensity;
use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rand::Rng;

/// Most rows whose log likelihoods are compared, and most columns: each takes a solution of the probability flow.
const ROWS: usize = 1000;
const COLUMNS: usize = 64;

/// Log likelihoods of a diffusion model on held-out rows, and beside baselines.
#[derive(Debug, Clone, PartialEq)]
pub struct LikelihoodComparison {
    /// Mean log density of the rows, in nats and the user's units.
    pub log_likelihood: Estimate,
    /// Of each baseline: its mean, and the model's less its own, of the same rows: above 0 where the model is better.
    pub baselines: Vec<(Baseline, f64, Paired)>,
}

impl FittedModel {
    /// Rows in columns of mean 0 and standard deviation 1 over the training rows, the units of [`Baselines`].
    fn standardized(&self, rows: ArrayView2<'_, f64>) -> Array2<f64> {
        let description = self.description();
        let mean = Array1::from(description.column_mean.clone());
        let scale = Array1::from(description.column_scale.clone());
        (&rows - &mean) / &scale
    }

    /// A Gaussian and a mixture fitted to `training`, whose number of components is chosen on `validation`; all rows in the
    /// user's units. None where there are no rows to choose by, or the training rows have no covariance.
    ///
    /// # Errors
    /// As [`Baselines::fit`].
    pub fn fit_baselines(
        &self,
        training: ArrayView2<'_, f64>,
        validation: ArrayView2<'_, f64>,
        rng: &mut dyn Rng,
    ) -> Result<Option<Baselines>> {
        if validation.nrows() == 0 {
            return Ok(None);
        }
        let (training, validation) = (self.standardized(training), self.standardized(validation));
        match Baselines::fit(training.view(), validation.view(), rng) {
            Ok(found) => Ok(Some(found)),
            Err(Error::Numerical { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Log likelihoods of the rows of `x`, in the user's units, beside those of `baselines`.
    ///
    /// None for models of one density, for processes of the user's own, and for more than 64 columns.
    ///
    /// # Errors
    /// As [`FittedModel::log_likelihood`].
    pub fn likelihood_beside_baselines(
        &self,
        baselines: &Baselines,
        x: ArrayView2<'_, f64>,
        rng: &mut dyn Rng,
    ) -> Result<Option<LikelihoodComparison>> {
        let named = self.over_time().is_some_and(|model| model.clock().has_kernel());
        if !named || x.ncols() > COLUMNS || x.nrows() < 2 {
            return Ok(None);
        }
        let every = x.nrows().div_ceil(ROWS);
        let x = x.slice(s![..;every as isize, ..]);
        let found = self.log_likelihood(x, &LikelihoodConfig::default(), rng)?;
        if !found.failed.is_empty() {
            return Ok(None);
        }
        let log_volume =
            self.description().column_scale.iter().map(|scale| scale.ln()).sum::<f64>();
        let standardized = self.standardized(x);
        let row = |values: &Array1<f64>| values.clone().insert_axis(Axis(0));
        let beside = |p: &GaussianMixture| -> Result<(Baseline, f64, Paired)> {
            let own = p.log_density(standardized.view()) - log_volume;
            let paired = paired_difference(row(&found.log_density).view(), row(&own).view())?;
            Ok((Baseline::of(p), own.mean().unwrap_or(f64::NAN), paired))
        };
        let all = [Some(baselines.gaussian()), baselines.mixture()];
        Ok(Some(LikelihoodComparison {
            log_likelihood: Estimate::of(found.log_density.view()),
            baselines: all.into_iter().flatten().map(beside).collect::<Result<_>>()?,
        }))
    }

    /// The exact loss on the rows `x`, in the user's units, beside those of `baselines`; losses are in columns of unit
    /// standard deviation as those of [`FittedModel::exact_loss_rows`].
    ///
    /// None for models of the score of other rows than these: with bounds, with conditions, over time.
    ///
    /// # Errors
    /// As [`Baselines::compare`].
    pub fn beside_baselines(
        &self,
        baselines: &Baselines,
        x: ArrayView2<'_, f64>,
    ) -> Result<Option<Vec<BaselineComparison>>> {
        let description = self.description();
        let of_others = description.domain.is_some()
            || description.condition.is_some()
            || description.noise.is_some();
        if of_others || x.nrows() < 2 {
            return Ok(None);
        }
        let losses = self.exact_loss_rows(x);
        Ok(Some(baselines.compare(losses.view(), self.standardized(x).view())?))
    }
}
