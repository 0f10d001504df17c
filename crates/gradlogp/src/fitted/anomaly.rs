//! Anomaly scores of a model, and the threshold beyond which a row is an anomaly. MATH (38), (39).

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use super::FittedModel;
use crate::diagnose::{
    false_alarm_threshold, mean_over_scales, path_contributions, path_difference, score_norm,
};
use crate::model::ModelKind;
use crate::score::{LogDensity, Score};
use crate::sde::{AnyProcess, Process, Ve};
use crate::{Error, Result};

/// Noise levels of the scores over scales, in the model's units: those of them that the model knows.
const SCALES: [f64; 4] = [0.5, 1.0, 2.0, 4.0];

/// What an anomaly score measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnomalyKind {
    /// `Scales` for potentials that know the densities of noised data, `Density` for others, `Path` for score fields.
    Auto,
    /// The mean over noise levels sigma of -sigma^2 log p_sigma(x), 0 at the centre of the model's units.
    Scales,
    /// -log p(x), up to the model's constant.
    Density,
    /// log p(mean) - log p(x) along the straight line from the mean of the training rows.
    Path,
    /// The length of the score in columns of unit standard deviation.
    Norm,
}

gradlogp_numeric::names!(AnomalyKind {
    Auto => "auto",
    Scales => "scales",
    Density => "density",
    Path => "path",
    Norm => "norm",
});

/// An anomaly score of a model, and, once calibrated, its threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct Anomaly {
    kind: AnomalyKind,
    threshold: Option<f64>,
}

impl Anomaly {
    /// The score of this kind, or of the kind that suits the model.
    ///
    /// # Errors
    /// [`Error::Config`] for a kind that needs what the model does not have.
    pub fn new(model: &FittedModel, kind: AnomalyKind) -> Result<Self> {
        let kind = match (kind, model.kind()) {
            (AnomalyKind::Auto, ModelKind::LogDensity) => match known_scales(model) {
                Ok(_) => AnomalyKind::Scales,
                Err(_) => AnomalyKind::Density,
            },
            (AnomalyKind::Scales, _) => known_scales(model).map(|_| AnomalyKind::Scales)?,
            (AnomalyKind::Auto, ModelKind::Score) => AnomalyKind::Path,
            (AnomalyKind::Density, ModelKind::Score) => {
                let message =
                    "a score field has no density; use path or norm, or fit with `model` potential";
                return Err(Error::config("anomaly", message));
            }
            (kind, _) => kind,
        };
        if kind != AnomalyKind::Norm && !model.condition_columns().is_empty() {
            let message = "densities of a conditional model at different conditions cannot be compared; \
                           use `anomaly`=norm";
            return Err(Error::config("anomaly", message));
        }
        Ok(Anomaly { kind, threshold: None })
    }

    /// The same with a threshold that a usual row exceeds with probability at most `false_alarm`; `usual` are
    /// rows known to be usual that did not train the model (n x d).
    ///
    /// # Errors
    /// As [`score`](Anomaly::score); a rate outside (0, 1), or too few rows for it.
    pub fn calibrated(
        self,
        model: &FittedModel,
        usual: ArrayView2<'_, f64>,
        false_alarm: f64,
    ) -> Result<Self> {
        let scores = self.score(model, usual)?;
        let threshold = Some(false_alarm_threshold(scores.view(), false_alarm)?);
        Ok(Anomaly { threshold, ..self })
    }

    /// The kind; never [`AnomalyKind::Auto`].
    pub fn kind(&self) -> AnomalyKind {
        self.kind
    }

    /// Beyond it a row is an anomaly; None before it is calibrated.
    pub fn threshold(&self) -> Option<f64> {
        self.threshold
    }

    /// How unusual each row of `x` (n x d, the user's units) is. `model` is the one it was made for, at a condition if
    /// it has any.
    ///
    /// # Errors
    /// [`Error::Shape`] for other columns than the model's; [`Error::Config`] for a model without what the kind
    /// needs.
    pub fn score(&self, model: &FittedModel, x: ArrayView2<'_, f64>) -> Result<Array1<f64>> {
        let description = model.description();
        let of_columns = |values: &[f64]| Array1::from(values.to_vec());
        match (self.kind, model.as_log_density()) {
            (AnomalyKind::Scales, _) => over_scales(model, x),
            (AnomalyKind::Norm, _) => {
                score_norm(model, x, of_columns(&description.column_scale).view())
            }
            (AnomalyKind::Path, _) | (_, None) => {
                path_difference(model, x, of_columns(&description.column_mean).view())
            }
            (_, Some(density)) => Ok(-density.log_density(x)),
        }
    }

    /// What each column contributes to how unusual each row of `x` is, MATH (74), n x d: the columns sum to the score, or,
    /// where that has no origin, to its rise from the mean of the training rows. Of [`AnomalyKind::Norm`] they are
    /// (D s)_k^2 / |D s|.
    ///
    /// # Errors
    /// As [`score`](Anomaly::score).
    pub fn contributions(
        &self,
        model: &FittedModel,
        x: ArrayView2<'_, f64>,
    ) -> Result<Array2<f64>> {
        let description = model.description();
        let of_columns = |values: &[f64]| Array1::from(values.to_vec());
        match self.kind {
            AnomalyKind::Scales => contributions_over_scales(model, x),
            AnomalyKind::Norm => {
                let scale = of_columns(&description.column_scale);
                let norm = score_norm(model, x, scale.view())?.insert_axis(Axis(1));
                let squares = (model.score(x) * &scale).mapv(|s| s * s);
                // Where the score is 0, so are its parts.
                Ok(squares / norm.mapv(|norm| if norm == 0.0 { 1.0 } else { norm }))
            }
            _ => path_contributions(model, x, of_columns(&description.column_mean).view()),
        }
    }

    /// Which of the scores are beyond the threshold; what is not a number is. None before it is calibrated.
    pub fn beyond(&self, scores: ArrayView1<'_, f64>) -> Option<Vec<bool>> {
        // Not `score > threshold`, which no NaN is.
        self.threshold.map(|threshold| scores.iter().map(|score| !(*score <= threshold)).collect())
    }
}

/// The process and the noise levels of scores over scales, or why there are none.
fn known_scales(model: &FittedModel) -> Result<(Ve, Vec<f64>)> {
    let refuse = |message: &str| Err(Error::config("anomaly", message));
    if model.kind() != ModelKind::LogDensity {
        return refuse("scales needs densities; fit with `for` anomaly, or use path or norm");
    }
    let process = model.description().noise.as_ref().map(|noise| &noise.process);
    let Some(AnyProcess::Named(Process::Ve(ve))) = process else {
        return refuse("scales needs the densities of noised data; fit with `for` anomaly");
    };
    // Rounding must not lose a level at either end.
    let (low, high) = (ve.sigma_min * (1.0 - 1e-9), ve.sigma_max * (1.0 + 1e-9));
    let known: Vec<f64> = SCALES.into_iter().filter(|s| (low..=high).contains(s)).collect();
    if known.is_empty() {
        return refuse("scales needs noise of 1/2, 1, 2 or 4 scales; fit with `for` anomaly");
    }
    Ok((*ve, known))
}

/// The model at its noise levels, with these.
fn at_scales(model: &FittedModel) -> Result<Vec<(f64, FittedModel)>> {
    let (ve, scales) = known_scales(model)?;
    let at = |sigma: f64| {
        let time = (sigma / ve.sigma_min).ln() / (ve.sigma_max / ve.sigma_min).ln();
        Ok((sigma, model.clone().at_time(time.clamp(0.0, 1.0))?))
    };
    scales.into_iter().map(at).collect()
}

/// What columns contribute to the score over scales.
fn contributions_over_scales(model: &FittedModel, x: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
    let levels = at_scales(model)?;
    let centre = model.description().transform.mean();
    let mut sum = Array2::zeros(x.dim());
    for (sigma, at) in &levels {
        let weight = sigma * sigma / levels.len() as f64;
        sum.scaled_add(weight, &path_contributions(at, x, centre)?);
    }
    Ok(sum)
}

/// The score over scales.
fn over_scales(model: &FittedModel, x: ArrayView2<'_, f64>) -> Result<Array1<f64>> {
    let centre = model.description().transform.mean().insert_axis(Axis(0)).to_owned();
    let mut levels = Vec::new();
    for (sigma, at) in at_scales(model)? {
        let Some(density) = at.as_log_density() else { continue };
        let at_centre = density.log_density(centre.view())[0];
        levels.push((sigma, density.log_density(x) - at_centre));
    }
    mean_over_scales(&levels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::{NoiseConfig, TimeMlp};
    use crate::fitted::tests::standard_normal;
    use crate::fitted::{Description, NoiseRecord};
    use crate::model::Mlp;
    use ndarray::array;

    /// Rows at given z, in standard deviations of training.
    fn at(model: &FittedModel, z: &Array2<f64>) -> Array2<f64> {
        let description = model.description();
        z * &Array1::from(description.column_scale.clone())
            + &Array1::from(description.column_mean.clone())
    }

    #[test]
    fn of_a_normal_density_scores_are_lengths_in_standard_deviations() {
        let model = standard_normal();
        let z = array![[0.0, 0.0, 0.0], [3.0, 0.0, 4.0], [0.0, -1.0, 0.0]];
        let x = at(&model, &z);
        let score = |kind| Anomaly::new(&model, kind).unwrap().score(&model, x.view()).unwrap();
        let half_squares = array![0.0, 12.5, 0.5];
        let near = |a: Array1<f64>, b: &Array1<f64>| (a - b).iter().all(|e| e.abs() < 1e-9);
        let density = score(AnomalyKind::Density);
        assert!(near(&density - density[0], &half_squares), "{density}");
        assert_eq!(Anomaly::new(&model, AnomalyKind::Auto).unwrap().kind(), AnomalyKind::Density);
        assert_eq!(score(AnomalyKind::Auto), density);
        assert!(near(score(AnomalyKind::Path), &half_squares));
        assert!(near(score(AnomalyKind::Norm), &array![0.0, 5.0, 1.0]));
        let parts =
            |kind| Anomaly::new(&model, kind).unwrap().contributions(&model, x.view()).unwrap();
        let expected = array![[0.0, 0.0, 0.0], [4.5, 0.0, 8.0], [0.0, 0.5, 0.0]];
        for kind in [AnomalyKind::Density, AnomalyKind::Path] {
            assert!((parts(kind) - &expected).iter().all(|e| e.abs() < 1e-9));
        }
        let expected = array![[0.0, 0.0, 0.0], [1.8, 0.0, 3.2], [0.0, 1.0, 0.0]];
        assert!((parts(AnomalyKind::Norm) - &expected).iter().all(|e| e.abs() < 1e-9));
        let error = Anomaly::new(&model, AnomalyKind::Scales).unwrap_err().to_string();
        assert!(error.contains("densities of noised data"), "{error}");
    }

    #[test]
    fn a_threshold_is_a_quantile_of_usual_rows_and_what_is_no_number_is_beyond_it() {
        let model = standard_normal();
        let usual =
            Array2::from_shape_fn((99, 3), |(i, j)| if j == 1 { i as f64 / 50.0 } else { 0.0 });
        let anomaly = Anomaly::new(&model, AnomalyKind::Norm).unwrap();
        assert!(anomaly.beyond(array![1.0].view()).is_none());
        let anomaly = anomaly.calibrated(&model, at(&model, &usual).view(), 0.05).unwrap();
        // The 95th smallest of 99.
        let threshold = anomaly.threshold().unwrap();
        assert!((threshold - 94.0 / 50.0).abs() < 1e-9, "{threshold}");
        let beyond = anomaly.beyond(array![threshold, 1.9, f64::NAN, f64::INFINITY, -1.0].view());
        assert_eq!(beyond.unwrap(), [false, true, true, true, false]);
        let few = anomaly.clone().calibrated(&model, at(&model, &usual).view(), 0.001);
        assert!(few.unwrap_err().to_string().contains("too few"));
    }

    #[test]
    fn scores_over_scales_are_means_over_the_levels_that_the_model_knows() {
        let plain = standard_normal();
        let network = TimeMlp { hidden: vec![8], ..TimeMlp::new(3, ModelKind::LogDensity) };
        let ve = Ve { sigma_min: 0.4, sigma_max: 3.0 };
        let noise = Some(NoiseRecord {
            process: AnyProcess::Named(Process::Ve(ve)),
            network: network.clone(),
            config: NoiseConfig::default(),
            scaling: None,
        });
        let description = Description { noise, ..plain.description().clone() };
        let model = FittedModel::new(network.build(3).unwrap(), description).unwrap();
        let x = at(&model, &array![[0.0, 0.0, 0.0], [1.0, 2.0, -1.0]]);
        let anomaly = Anomaly::new(&model, AnomalyKind::Auto).unwrap();
        assert_eq!(anomaly.kind(), AnomalyKind::Scales);
        let found = anomaly.score(&model, x.view()).unwrap();
        // 4 is more noise than there is.
        let levels = [0.5, 1.0, 2.0].map(|sigma: f64| {
            let time = (sigma / 0.4).ln() / 7.5f64.ln();
            let sde = model.over_time().unwrap().clock().sde();
            assert!((sde.kernel(time).unwrap().std - sigma).abs() < 1e-9);
            let density = model.clone().at_time(time).unwrap();
            let log_density = density.as_log_density().unwrap().log_density(x.view());
            sigma * sigma * (log_density[0] - log_density[1])
        });
        let expected = levels.iter().sum::<f64>() / 3.0;
        assert!(found[0].abs() < 1e-9, "{found}");
        assert!((found[1] - expected).abs() < 1e-9 * expected.abs(), "{found} {expected}");
        let parts = anomaly.contributions(&model, x.view()).unwrap().sum_axis(Axis(1));
        // To the error of the sums that stand for integrals.
        assert!((parts - found).iter().all(|e| e.abs() < 1e-6 * expected.abs()));
    }

    #[test]
    fn score_fields_have_paths_and_no_density() {
        let plain = standard_normal();
        let network = Mlp { hidden: vec![8], ..Mlp::new(3, ModelKind::Score) };
        let weights = network.build(1).unwrap();
        let description = Description { network, ..plain.description().clone() };
        let model = FittedModel::new(weights, description).unwrap();
        assert_eq!(Anomaly::new(&model, AnomalyKind::Auto).unwrap().kind(), AnomalyKind::Path);
        let error = Anomaly::new(&model, AnomalyKind::Density).unwrap_err().to_string();
        assert!(error.contains("no density"), "{error}");
    }
}
