//! From trained weights to a model in the columns' units.

use super::{Prepared, Trained};
use crate::Result;
use crate::diffusion::TimeModel;
use crate::fitted::{
    DataRecord, Description, FitSummary, FittedModel, NoiseRecord, root_mean_square_score,
};
use crate::model::Model;
use crate::score::AtTime;
use crate::train::Choice;
use ndarray::ArrayView2;

impl Prepared {
    /// Trained weights with all that is known of them, after `seconds` of training; `choice` says how the objective
    /// was chosen.
    ///
    /// # Errors
    /// A score that is not a number at the training rows.
    pub fn model(
        &self,
        trained: &Trained,
        choice: Option<Choice>,
        seconds: f64,
    ) -> Result<FittedModel> {
        FittedModel::new(trained.network.clone(), self.describe(trained, choice, seconds)?)
    }

    /// What a model file says of a fit.
    fn describe(
        &self,
        trained: &Trained,
        choice: Option<Choice>,
        seconds: f64,
    ) -> Result<Description> {
        let split = &self.split;
        let transform = self.lasting_transform();
        let inside = transform.forward(self.rows(&split.train).view());
        let score_scale = match &self.noise {
            Some(record) => score_scale(record, &trained.network, inside.view())?,
            None => {
                let mut conditions = self.conditions(&split.train);
                if let Some(given) = &self.given {
                    conditions = given.transform.forward(conditions.view());
                }
                let at = trained.network.given(conditions.view())?;
                root_mean_square_score(&at, inside.view())
            }
        };
        let checked = self.checked();
        Ok(Description {
            library_version: env!("CARGO_PKG_VERSION").to_string(),
            network: trained.settings.clone(),
            columns: self.columns().to_vec(),
            transform,
            given: self.given.clone(),
            column_mean: self.units.mean().to_vec(),
            column_scale: self.units.standard_deviations().to_vec(),
            dequantization: self.dequantization().cloned(),
            domain: self.domain.clone(),
            noise: self.noise.clone(),
            training: trained.training.clone(),
            choice,
            data: DataRecord {
                source: checked.table.name.clone(),
                built_in: checked.built_in,
                rows: self.n_rows(),
                parts: [split.train.len(), split.validation.len(), split.test.len()],
                content_hash: checked.content_hash().to_string(),
            },
            summary: FitSummary {
                stopped: trained.stopped().to_string(),
                steps: trained.steps,
                best_step: trained.best.map_or(0, |best| best.0),
                seconds,
                score_scale,
                history: trained.history.clone(),
            },
            kernel: trained.kernel.clone(),
        })
    }
}

/// Root mean square of the score of a diffusion model where noise is least, in the network's units; `rows` in those
/// of the process.
fn score_scale(
    record: &NoiseRecord,
    network: &Model<f32>,
    rows: ArrayView2<'_, f64>,
) -> Result<f64> {
    let clock = record.clock()?;
    let time = clock.t_min();
    let width = clock.frame().map_or(1.0, |frame| frame.mean_square_width(time).sqrt());
    let family = TimeModel::new(network.clone(), record.network.clone(), clock);
    Ok(width * root_mean_square_score(&AtTime { family: &family, time }, rows))
}
