//! What a fit has to beat: a Gaussian and a mixture of Gaussians fitted to the same training rows.
//!
//! With J the implicit score matching loss of MATH (4) on held-out rows, J(s) - J(s') is half the difference of the
//! two Fisher divergences, whatever the true score, so the difference of the losses on the same rows
//! says which score is nearer to the truth, and by how much. Relative to -J of the better one, an estimate of
//! 1/2 E|s|^2 from below, it has no unit: 0.1 is a tenth of all that there is to know.
//!
//! The Gaussian is the maximum likelihood; the mixture comes from expectation-maximization
//! (`expectation_maximization.rs`) with 1, 2, 4, ... 32 components and several ways to keep their covariances from collapsing, of which
//! the one with the highest likelihood on validation rows is kept, with the floor under its variances that is best there. Columns should be of
//! comparable scale. Of more than 10,000 training rows as many are taken, evenly spaced, and no more components
//! than can be fitted to them in some seconds: a baseline must not take longer than the fit.

use super::expectation_maximization::{COMPONENTS, Shrinkage, fit_mixture};
use super::{Paired, exact_loss_rows, paired_difference};
use crate::error::{Error, Result};
use crate::reference::{Gaussian, GaussianMixture};
use crate::score::{LogDensity, ScoreTrace};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};
use rand::Rng;

/// Most rows to fit to.
const ROWS: usize = 10_000;
/// Added to the variances of every component, in units of the columns': what few rows, or columns that hardly vary
/// within a component, need.
const FLOORS: [f64; 4] = [0.0, 1e-3, 1e-2, 3e-2];
/// Ways to keep components with few rows from collapsing: much or little of a prior, or a floor alone.
const SHRINKAGES: [Shrinkage; 4] = [
    Shrinkage { rows: 1.0, floor: 0.0 },
    Shrinkage { rows: 0.1, floor: 0.0 },
    Shrinkage { rows: 0.0, floor: 1e-6 },
    Shrinkage { rows: 0.0, floor: 1e-2 },
];
/// Most floating-point operations of all fits of mixtures.
const OPERATIONS: f64 = 1e11;

/// One of the densities to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Baseline {
    /// One Gaussian.
    Gaussian,
    /// A mixture of Gaussians.
    Mixture {
        /// How many.
        components: usize,
    },
}

impl Baseline {
    /// Which a mixture is, by its components.
    pub fn of(mixture: &GaussianMixture) -> Self {
        match mixture.components().len() {
            1 => Baseline::Gaussian,
            components => Baseline::Mixture { components },
        }
    }
}

impl std::fmt::Display for Baseline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Baseline::Gaussian => write!(f, "Gaussian"),
            Baseline::Mixture { components } => write!(f, "mixture of {components} Gaussians"),
        }
    }
}

/// A Gaussian and, where it is better on the validation rows, a mixture.
#[derive(Debug, Clone)]
pub struct Baselines {
    gaussian: GaussianMixture,
    mixture: Option<GaussianMixture>,
}

/// A fit beside one baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BaselineComparison {
    /// Which.
    pub baseline: Baseline,
    /// The baseline's mean loss.
    pub loss: f64,
    /// Loss of the fit less loss of the baseline, on the same rows: below 0 where the fit is better.
    pub difference: Paired,
    /// The difference over -J of the better of the two; infinite where neither is better than the score 0.
    pub relative: f64,
}

impl BaselineComparison {
    /// Whether the fit is better than the baseline by more than `z` standard errors.
    pub fn is_beaten(&self, z: f64) -> bool {
        self.difference.mean < -z * self.difference.standard_error
    }

    /// Whether the baseline is better than the fit by more than `z` standard errors.
    pub fn is_better(&self, z: f64) -> bool {
        self.difference.mean > z * self.difference.standard_error
    }
}

impl Baselines {
    /// Fits both to `training`; the number of components is that with the highest mean log density of `validation`.
    ///
    /// # Errors
    /// [`Error::Shape`] where the columns differ or one of the tables has no rows, [`Error::Numerical`] where
    /// the rows' covariance is singular beyond repair.
    pub fn fit(
        training: ArrayView2<'_, f64>,
        validation: ArrayView2<'_, f64>,
        rng: &mut dyn Rng,
    ) -> Result<Self> {
        let d = training.ncols();
        if validation.ncols() != d || training.nrows() < 2 || validation.nrows() == 0 {
            let found = vec![training.nrows(), d, validation.nrows(), validation.ncols()];
            let expected = vec![2, d, 1, d];
            return Err(Error::Shape { operation: "baselines", expected, found });
        }
        let every = training.nrows().div_ceil(ROWS);
        let training = training.slice(s![..;every as isize, ..]);
        let mean = |p: &GaussianMixture| p.log_density(validation).mean().unwrap_or(f64::NAN);
        let fit = |count, shrinkage, rng: &mut dyn Rng| -> Result<Option<(f64, GaussianMixture)>> {
            let Some(fitted) = fit_mixture(training, count, shrinkage, rng)? else {
                return Ok(None);
            };
            let mut best = (mean(&fitted), fitted.clone());
            for floor in FLOORS {
                let other = floored(&fitted, floor)?;
                let found = mean(&other);
                if found > best.0 {
                    best = (found, other);
                }
            }
            Ok(Some(best))
        };
        let Some((alone, gaussian)) = fit(1, Shrinkage::default(), rng)? else {
            unreachable!("one component always fits")
        };
        let (mut best, mut mixture) = (alone, None);
        if training.nrows() < 6 * (d + 1) {
            return Ok(Baselines { gaussian, mixture });
        }
        // Forty iterations, each with a product of d x d and one of its factor per row and component.
        let one = 160.0 * training.nrows() as f64 * (d * d) as f64;
        let mut left = OPERATIONS;
        // Each way of shrinking, with its best so far; more components are tried as long as they help it.
        let mut ways: Vec<(Shrinkage, f64)> = SHRINKAGES.map(|way| (way, alone)).to_vec();
        let mut count = 2;
        while count <= COMPONENTS && 4 * count <= training.nrows() && !ways.is_empty() {
            let cost = one * (count * ways.len()) as f64;
            if cost > left {
                break;
            }
            left -= cost;
            let mut helped = Vec::new();
            for (shrinkage, before) in ways {
                let found = fit(count, shrinkage, rng)?;
                let reached = found.as_ref().map_or(f64::NEG_INFINITY, |found| found.0);
                if reached > before || count <= 4 {
                    helped.push((shrinkage, before.max(reached)));
                }
                if let Some((reached, p)) = found.filter(|found| found.0 > best) {
                    (best, mixture) = (reached, Some(p));
                }
            }
            ways = helped;
            count *= 2;
        }
        Ok(Baselines { gaussian, mixture })
    }

    /// The Gaussian, as a mixture of one.
    pub fn gaussian(&self) -> &GaussianMixture {
        &self.gaussian
    }

    /// The mixture, where more than one component is better on the validation rows.
    pub fn mixture(&self) -> Option<&GaussianMixture> {
        self.mixture.as_ref()
    }

    /// The losses of a fit, one for each row of `x`, beside those of each baseline.
    ///
    /// # Errors
    /// As [`exact_loss_rows`] and [`paired_difference`].
    pub fn compare(
        &self,
        losses: ArrayView1<'_, f64>,
        x: ArrayView2<'_, f64>,
    ) -> Result<Vec<BaselineComparison>> {
        let all = [Some(&self.gaussian), self.mixture.as_ref()];
        all.into_iter().flatten().map(|p| comparison(p, losses, x)).collect()
    }
}

/// `p` with `floor` added to the variance of every column in every component.
fn floored(p: &GaussianMixture, floor: f64) -> Result<GaussianMixture> {
    let parts = p.components();
    let d = parts.first().map_or(0, |part| part.mean().len());
    let means = Array2::from_shape_fn((parts.len(), d), |(k, j)| parts[k].mean()[j]);
    let wider = |part: &Gaussian| part.covariance() + &(Array2::<f64>::eye(d) * floor);
    GaussianMixture::new(p.weights().clone(), means.view(), parts.iter().map(wider).collect())
}

fn comparison(
    p: &GaussianMixture,
    losses: ArrayView1<'_, f64>,
    x: ArrayView2<'_, f64>,
) -> Result<BaselineComparison> {
    let own: Array1<f64> = exact_loss_rows(p as &dyn ScoreTrace, x)?;
    let row = |v: ArrayView1<'_, f64>| v.to_owned().insert_axis(Axis(0));
    let difference = paired_difference(row(losses).view(), row(own.view()).view())?;
    let loss = own.mean().unwrap_or(f64::NAN);
    let best = loss.min(loss + difference.mean);
    let relative = if best < 0.0 { difference.mean / -best } else { f64::INFINITY };
    Ok(BaselineComparison { baseline: Baseline::of(p), loss, difference, relative })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::ReferenceDensity;
    use crate::score::Score;
    use ndarray::array;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn parts() -> GaussianMixture {
        GaussianMixture::isotropic(array![0.4, 0.6], array![[-2.0, 0.0], [2.0, 0.0]].view(), 0.5)
            .unwrap()
    }

    fn three(p: &dyn ReferenceDensity, seed: u64) -> [Array2<f64>; 3] {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        [p.sample(4000, &mut rng), p.sample(500, &mut rng), p.sample(4000, &mut rng)]
    }

    /// J(c s*) - J(s*) = 1/2 (c - 1)^2 E|s*|^2 for the true score s*: a score twice too large is worse by all of
    /// 1/2 tr S^-1.
    #[test]
    fn a_score_twice_too_large_is_worse_by_all_there_is_to_know() {
        let p = Gaussian::new(array![1.0, 0.0], array![[1.0, 0.6], [0.6, 1.0]]).unwrap();
        let [training, validation, x] = three(&p, 3);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let baselines = Baselines::fit(training.view(), validation.view(), &mut rng).unwrap();
        let (s, trace) = (p.score(x.view()), p.trace(x.view()));
        let square = s.map_axis(Axis(1), |s| s.dot(&s));
        let truth = &trace + &(&square * 0.5);
        let found = baselines.compare(truth.view(), x.view()).unwrap()[0];
        assert_eq!(found.baseline, Baseline::Gaussian);
        assert!(found.relative.abs() < 0.01, "{found:?}");
        let double = &trace * 2.0 + &(&square * 2.0);
        let found = baselines.compare(double.view(), x.view()).unwrap()[0];
        assert!(found.is_better(4.0) && !found.is_beaten(0.0));
        assert!((found.relative - 1.0).abs() < 0.1, "{found:?}");
        let expected = -p.optimal_loss();
        assert!((found.difference.mean - expected).abs() < 5.0 * found.difference.standard_error);
    }

    /// The truth beats one Gaussian by half of E|s - s_G|^2 and is on a par with a mixture of two.
    #[test]
    fn two_parts_beat_a_gaussian_and_equal_a_mixture() {
        let p = parts();
        let [training, validation, x] = three(&p, 5);
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let baselines = Baselines::fit(training.view(), validation.view(), &mut rng).unwrap();
        let losses = exact_loss_rows(&p, x.view()).unwrap();
        let found = baselines.compare(losses.view(), x.view()).unwrap();
        assert!(matches!(found[1].baseline, Baseline::Mixture { components: 2.. }), "{found:?}");
        let apart = p.score(x.view()) - baselines.gaussian().score(x.view());
        let divergence = 0.5 * apart.map_axis(Axis(1), |e| e.dot(&e)).mean().unwrap();
        assert!(found[0].is_beaten(4.0));
        let error = found[0].difference.mean + divergence;
        assert!(error.abs() < 5.0 * found[0].difference.standard_error, "{found:?} {divergence}");
        assert!(found[1].relative.abs() < 0.02, "{found:?}");
    }

    /// A column that hardly varies in the training rows, and does in the others: the floor is what keeps the density
    /// from being much too narrow there.
    #[test]
    fn variances_have_the_floor_that_is_best_on_validation_rows() {
        let p = Gaussian::standard(2).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let mut training = p.sample(300, &mut rng);
        training.column_mut(1).mapv_inplace(|x| 1e-3 * x);
        let mut validation = p.sample(200, &mut rng);
        validation.column_mut(1).mapv_inplace(|x| 0.1 * x);
        let found = Baselines::fit(training.view(), validation.view(), &mut rng).unwrap();
        let variance = found.gaussian().components()[0].covariance()[[1, 1]];
        assert!((variance - 1e-2).abs() < 1e-4, "{variance}");
        let kept = found.gaussian().components()[0].covariance()[[0, 0]];
        assert!((kept - 1.0).abs() < 0.25, "{kept}");
    }

    /// Forty rows in six columns: one Gaussian, whatever the rows look like.
    #[test]
    fn few_rows_get_one_gaussian() {
        let p = Gaussian::standard(6).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let (training, validation) = (p.sample(40, &mut rng), p.sample(10, &mut rng));
        let found = Baselines::fit(training.view(), validation.view(), &mut rng).unwrap();
        assert!(found.mixture().is_none());
        let narrow = Array2::zeros((3, 2));
        assert!(Baselines::fit(training.view(), narrow.view(), &mut rng).is_err());
    }
}
