//! From trained weights to a model in the columns' units.

use super::{Prepared, Trained};
use crate::Result;
use crate::diagnose::Baselines;
use crate::diffusion::{TimeMlp, TimeModel};
use crate::error::Error;
use crate::fitted::{
    DataRecord, Description, FitSummary, FittedModel, GaussianPart, LikelihoodConfig, NoiseRecord,
    root_mean_square_score,
};
use crate::model::Model;
use crate::reference::GaussianMixture;
use crate::score::AtTime;
use crate::train::Choice;
use ndarray::{Array2, ArrayView2, Axis, s};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Most rows on which the parts of a density are weighed.
const WEIGHED: usize = 2000;

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

    /// A diffusion model with the Gaussian mixture that its density is mixed with, fitted to the training rows
    /// and weighed on the validation rows; the model as it is where that cannot be done. All draws come from
    /// the seed of the fit.
    ///
    /// # Errors
    /// As [`FittedModel::log_likelihood`](crate::fitted::FittedModel::log_likelihood).
    pub fn with_gaussians(&self, model: FittedModel) -> Result<FittedModel> {
        if model.over_time().is_none() {
            return Ok(model);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(model.description().training.seed);
        let inside = |part: &[usize]| self.transform.forward(self.rows(part).view());
        let validation = inside(&self.split.validation);
        let mixture = match self.transform.has_marginals() {
            // A mixture of the columns as they are is none of the mapped ones.
            true => {
                let training = inside(&self.split.train);
                match Baselines::fit(training.view(), validation.view(), &mut rng) {
                    Ok(found) => found.mixture().unwrap_or(found.gaussian()).clone(),
                    Err(Error::Numerical { .. }) => return Ok(model),
                    Err(error) => return Err(error),
                }
            }
            false => {
                let Some(found) = self.baselines()? else { return Ok(model) };
                self.inside(found.mixture().unwrap_or(found.gaussian()))?
            }
        };
        let mixture = &mixture;
        let rows = validation.slice(s![..validation.nrows().min(WEIGHED), ..]);
        let flow = model.flow_log_likelihood(rows, &LikelihoodConfig::default(), &mut rng)?;
        match GaussianPart::new(mixture, rows, flow.log_density.view()) {
            Ok(part) => model.with_gaussians(part),
            Err(Error::Numerical { .. }) => Ok(model),
            Err(error) => Err(error),
        }
    }

    /// A mixture of columns of unit standard deviation u, in the units of the transform: z = A (x - m) = B u +
    /// c, so that means become B m + c, and covariances B S B^T.
    pub(super) fn inside(&self, mixture: &GaussianMixture) -> Result<GaussianMixture> {
        let sd = self.units.standard_deviations();
        // Rows are A e_k.
        let mut turned = self.transform.column_directions();
        for (mut row, sd) in turned.outer_iter_mut().zip(&sd) {
            row *= *sd;
        }
        let origin = self.units.mean().to_owned().insert_axis(Axis(0));
        let shift = self.transform.forward(origin.view());
        let parts = mixture.components();
        let means = Array2::from_shape_fn((parts.len(), self.dim()), |(k, j)| parts[k].mean()[j]);
        let means = means.dot(&turned) + shift.row(0);
        let covariances = parts.iter().map(|part| {
            let inside = turned.t().dot(part.covariance()).dot(&turned);
            (&inside + &inside.t()) * 0.5
        });
        GaussianMixture::new(mixture.weights().clone(), means.view(), covariances.collect())
    }

    /// What a model file says of a fit.
    fn describe(
        &self,
        trained: &Trained,
        choice: Option<Choice>,
        seconds: f64,
    ) -> Result<Description> {
        let split = &self.split;
        let noise = self.noise.clone().map(|record| {
            let members = trained.settings.members;
            NoiseRecord { network: TimeMlp { members, ..record.network }, ..record }
        });
        let transform = self.lasting_transform();
        let inside = transform.forward(self.rows(&split.train).view());
        let score_scale = match &noise {
            Some(record) => score_scale(record, &trained.network, inside.view())?,
            None => {
                let mut conditions = self.conditions(&split.train);
                if let Some(condition) = &self.condition {
                    conditions = condition.transform.forward(conditions.view());
                }
                let at = trained.network.at_condition(conditions.view())?;
                root_mean_square_score(&at, inside.view())
            }
        };
        let checked = self.checked();
        Ok(Description {
            library_version: env!("CARGO_PKG_VERSION").to_string(),
            network: trained.settings.clone(),
            columns: self.columns().to_vec(),
            transform,
            condition: self.condition.clone(),
            column_mean: self.units.mean().to_vec(),
            column_scale: self.units.standard_deviations().to_vec(),
            dequantization: self.dequantization().cloned(),
            domain: self.domain.clone(),
            noise,
            gaussians: None,
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
