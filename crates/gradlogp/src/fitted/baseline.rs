//! A fitted model beside the densities that it has to beat.

use super::FittedModel;
use crate::diagnose::{BaselineComparison, Baselines};
use crate::error::Result;
use ndarray::{Array1, ArrayView2};
use rand::Rng;

impl FittedModel {
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
            || description.given.is_some()
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
