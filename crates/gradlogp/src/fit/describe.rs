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
use crate::score::AtTime;
use crate::train::Choice;
use ndarray::{ArrayView2, s};
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

    /// A diffusion model with the Gaussian mixture that its density is mixed with, fitted to the training rows and weighed
    /// on the validation rows; the model as it is where that cannot be done. All draws come from the seed of the fit.
    ///
    /// # Errors
    /// A model of one density.
    pub fn with_gaussians(&self, model: FittedModel) -> Result<FittedModel> {
        let inside = |part: &[usize]| self.transform.forward(self.rows(part).view());
        let (training, validation) = (inside(&self.split.train), inside(&self.split.validation));
        let mut rng = ChaCha8Rng::seed_from_u64(model.description().training.seed);
        let baselines = match Baselines::fit(training.view(), validation.view(), &mut rng) {
            Ok(baselines) => baselines,
            Err(Error::Numerical { .. }) => return Ok(model),
            Err(error) => return Err(error),
        };
        let mixture = baselines.mixture().unwrap_or(baselines.gaussian());
        let rows = validation.slice(s![..validation.nrows().min(WEIGHED), ..]);
        let flow = model.flow_log_likelihood(rows, &LikelihoodConfig::default(), &mut rng)?;
        match GaussianPart::weigh(mixture, rows, flow.log_density.view()) {
            Ok(part) => model.with_gaussians(part),
            Err(Error::Numerical { .. }) => Ok(model),
            Err(error) => Err(error),
        }
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
