//! Ways to fit beside each other: the losses of their fits on the same rows, paired, and the noise that each objective
//! adds to training.

use ndarray::{Array2, Axis};

use super::{FitConfig, Prepared};
use crate::diagnose::{Estimate, Paired, paired_difference};
use crate::engine::{EstimatorVariance, Threads, estimator_variance_on_domain};
use crate::model::Model;
use crate::objective::Objective;
use crate::slice::SliceDistribution;
use crate::{Error, Result};

/// One way to fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Way {
    /// The loss that is trained.
    pub objective: Objective,
    /// The distribution of its slices.
    pub distribution: SliceDistribution,
}

/// What is known of a way beside the best.
#[derive(Debug, Clone, PartialEq)]
pub struct WayFigures {
    /// Mean loss over rows and seeds, with its standard error over rows (each row's loss being a mean over seeds).
    pub loss: Estimate,
    /// The loss above that of the best, paired by row and seed.
    pub above_best: Paired,
    /// Of the loss and its gradient over fresh draws.
    pub variance: EstimatorVariance,
    /// tr Cov g / |E g|^2.
    pub relative_gradient_variance: f64,
}

impl Way {
    /// Whether the gradient of its loss is that of the exact loss in expectation.
    pub fn is_unbiased(&self) -> bool {
        matches!(
            self.objective,
            Objective::Ssm { .. }
                | Objective::SsmVr { .. }
                | Objective::Exact
                | Objective::FdSsm { .. }
                | Objective::Cp { .. }
        )
    }
}

impl Prepared {
    /// How many training rows [`compare_ways`](Prepared::compare_ways) takes variances on: those of a batch, if
    /// there are so many.
    pub fn variance_rows(&self, config: &FitConfig) -> usize {
        self.split.train.len().min(config.training.batch)
    }

    /// The figures of ways, the best of them first; each with the losses of its fits on the same rows (seeds x rows).
    /// Variances are over `draws` evaluations on a batch of training rows at the weights of `network`.
    ///
    /// # Errors
    /// No way; losses of different shapes; fewer than two draws; those of [`estimator_variance_on_domain`].
    pub fn compare_ways(
        &self,
        config: &FitConfig,
        fits: &[(Way, &Array2<f64>)],
        network: &Model<f32>,
        draws: usize,
    ) -> Result<Vec<WayFigures>> {
        let Some((best, best_losses)) = fits.first() else {
            return Err(Error::config("objectives", "name at least one"));
        };
        let batch = self.network_rows(&self.split.train[..self.variance_rows(config)])?;
        let threads = Threads::new(config.training.threads)?;
        let domain = self.training(config).domain;
        let variance = |way: Way, draws: usize| {
            let named = (draws, config.training.seed);
            let (objective, distribution) = (&way.objective, way.distribution);
            estimator_variance_on_domain(
                domain.as_ref(),
                network,
                objective,
                distribution,
                &batch,
                named,
                &threads,
            )
        };
        // Unbiased objectives have one gradient in expectation, and the exact one shows it without noise.
        let exact =
            variance(Way { objective: Objective::Exact, distribution: best.distribution }, 2)?;
        let figures = |(way, losses): &(Way, &Array2<f64>)| {
            let variance = variance(*way, draws)?;
            let square =
                if way.is_unbiased() { exact.gradient_square } else { variance.gradient_square };
            let of_rows = losses.mean_axis(Axis(0)).unwrap_or_default();
            Ok(WayFigures {
                loss: Estimate { mean: mean_loss(losses), ..Estimate::of(of_rows.view()) },
                above_best: paired_difference(losses.view(), best_losses.view())?,
                relative_gradient_variance: variance.gradient_variance / square,
                variance,
            })
        };
        fits.iter().map(figures).collect()
    }
}

/// Mean of losses over seeds and rows; NaN without any.
pub fn mean_loss(losses: &Array2<f64>) -> f64 {
    losses.mean().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Table;
    use crate::fit::{CheckedTable, Family, NetworkConfig};
    use ndarray::array;

    #[test]
    fn ways_have_paired_losses_and_noise_against_the_exact_gradient() {
        let rows = Array2::from_shape_fn((300, 2), |(i, j)| ((i * (j + 2)) as f64 * 0.7).sin());
        let table = Table::new("rows", vec!["a".into(), "b".into()], rows).unwrap();
        let network = NetworkConfig { hidden: vec![6], ..NetworkConfig::default() };
        let config = FitConfig::of(Family::Network(network));
        let training = crate::train::TrainConfig { batch: 50, threads: 1, ..config.training };
        let config = FitConfig { training, ..config };
        let prepared = CheckedTable::new(table, &config).unwrap().prepare(&config).unwrap();
        assert_eq!(prepared.variance_rows(&config), 50);
        let network = config.mlp(2).build::<f32>(5).unwrap();
        let distribution = SliceDistribution::default();
        let way = |objective| Way { objective, distribution };
        let ways = [
            way(Objective::Ssm { slices: 1 }),
            way(Objective::Exact),
            way(Objective::Dsm { sigma: 0.5 }),
        ];
        // Seeds x rows.
        let best = array![[1.0, 2.0, 6.0], [3.0, 2.0, 4.0]];
        let other = &best + &array![[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]];
        let fits = [(ways[0], &best), (ways[1], &other), (ways[2], &other)];
        let found = prepared.compare_ways(&config, &fits, &network, 30).unwrap();
        // Means over seeds are 2, 2, 5: mean 3, variance 3, over 3 rows.
        let loss = found[0].loss;
        assert!((loss.mean - 3.0).abs() < 1e-15 && (loss.standard_error - 1.0).abs() < 1e-15);
        assert_eq!((found[0].above_best.mean, found[1].above_best.mean), (0.0, 2.0));
        assert_eq!((found[1].loss.mean, mean_loss(&other)), (5.0, 5.0));
        // The exact loss draws nothing; its gradient is what the noise of the unbiased one is measured by.
        let [ssm, exact, dsm] = [0, 1, 2].map(|k| &found[k]);
        assert_eq!(
            (exact.variance.gradient_variance, exact.relative_gradient_variance),
            (0.0, 0.0)
        );
        let ratio = ssm.variance.gradient_variance / exact.variance.gradient_square;
        assert!(ratio > 0.0 && (ssm.relative_gradient_variance / ratio - 1.0).abs() < 1e-6);
        let own = dsm.variance.gradient_variance / dsm.variance.gradient_square;
        assert_eq!(dsm.relative_gradient_variance, own);
        assert!(ways[0].is_unbiased() && ways[1].is_unbiased() && !ways[2].is_unbiased());
        let nothing = prepared.compare_ways(&config, &[], &network, 30).unwrap_err();
        assert!(nothing.to_string().contains("at least one"), "{nothing}");
    }
}
