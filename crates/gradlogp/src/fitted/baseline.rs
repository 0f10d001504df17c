//! Baselines of a fitted model: the densities that it has to beat.

use super::{FittedModel, LikelihoodConfig};
use crate::diagnose::{
    Baseline, BaselineComparison, Baselines, Estimate, Paired, paired_difference,
};
use crate::error::Result;
use crate::reference::GaussianMixture;
use crate::score::LogDensity;
use ndarray::{Array1, ArrayView2, Axis, s};
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
    /// Log likelihoods of the rows of `x` beside those of a Gaussian and of a mixture fitted to `training`, whose
    /// number of components is chosen on `validation`; all rows in the user's units.
    ///
    /// None for models of one density, for processes of the user's own, and for more than 64 columns.
    ///
    /// # Errors
    /// As [`Baselines::fit`] and [`FittedModel::log_likelihood`].
    pub fn likelihood_beside_baselines(
        &self,
        training: ArrayView2<'_, f64>,
        validation: ArrayView2<'_, f64>,
        x: ArrayView2<'_, f64>,
        rng: &mut dyn Rng,
    ) -> Result<Option<LikelihoodComparison>> {
        let description = self.description();
        let named = self.over_time().is_some_and(|model| model.clock().has_kernel());
        if !named || x.ncols() > COLUMNS || validation.nrows() == 0 || x.nrows() < 2 {
            return Ok(None);
        }
        let every = x.nrows().div_ceil(ROWS);
        let x = x.slice(s![..;every as isize, ..]);
        let found = self.log_likelihood(x, &LikelihoodConfig::default(), rng)?;
        if !found.failed.is_empty() {
            return Ok(None);
        }
        let (mean, scale) = (&description.column_mean, &description.column_scale);
        let (mean, scale) = (Array1::from(mean.clone()), Array1::from(scale.clone()));
        let scaled = |rows: ArrayView2<'_, f64>| (&rows - &mean) / &scale;
        let log_volume = scale.mapv(f64::ln).sum();
        let baselines = Baselines::fit(scaled(training).view(), scaled(validation).view(), rng)?;
        let row = |values: &Array1<f64>| values.clone().insert_axis(Axis(0));
        let beside = |p: &GaussianMixture| -> Result<(Baseline, f64, Paired)> {
            let own = p.log_density(scaled(x).view()) - log_volume;
            let paired = paired_difference(row(&found.log_density).view(), row(&own).view())?;
            Ok((Baseline::of(p), own.mean().unwrap_or(f64::NAN), paired))
        };
        let all = [Some(baselines.gaussian()), baselines.mixture()];
        Ok(Some(LikelihoodComparison {
            log_likelihood: Estimate::of(found.log_density.view()),
            baselines: all.into_iter().flatten().map(beside).collect::<Result<_>>()?,
        }))
    }

    /// The exact loss on the rows `x` beside those of a Gaussian and of a mixture fitted to `training`, whose number of
    /// components is chosen on `validation`; all rows in the user's units, losses in columns of unit
    /// standard deviation as those of [`FittedModel::exact_loss_rows`].
    ///
    /// None for models of the score of other rows than these: with bounds, with conditions, over time.
    ///
    /// # Errors
    /// As [`Baselines::fit`].
    pub fn beside_baselines(
        &self,
        training: ArrayView2<'_, f64>,
        validation: ArrayView2<'_, f64>,
        x: ArrayView2<'_, f64>,
        rng: &mut dyn Rng,
    ) -> Result<Option<Vec<BaselineComparison>>> {
        let description = self.description();
        let elsewhere = description.domain.is_some()
            || description.condition.is_some()
            || description.noise.is_some();
        if elsewhere || validation.nrows() == 0 || x.nrows() < 2 {
            return Ok(None);
        }
        let scale = Array1::from(description.column_scale.clone());
        let mean = Array1::from(description.column_mean.clone());
        let scaled = |rows: ArrayView2<'_, f64>| (&rows - &mean) / &scale;
        let baselines = Baselines::fit(scaled(training).view(), scaled(validation).view(), rng)?;
        let losses = self.exact_loss_rows(x);
        Ok(Some(baselines.compare(losses.view(), scaled(x).view())?))
    }
}
