//! The classifier two-sample test: can rows and samples be told apart? MATH (33).
//!
//! Half of the rows of each side, as many of one as of the other, train a classifier; its accuracy on the
//! other halves is 1/2 on average where both have one law, whatever the classifier. Here it is a
//! logistic regression, with a ridge, on the features
//!
//! ```text
//! 1,  z_j,  z_j^2,  cos(w.z + b)      w ~ N(0, I / h^2), b uniform, h in {median distance, a quarter of it}
//! ```
//!
//! of pooled standardised columns z (clipped to 5): the first three see means, spreads and tails, the random
//! Fourier features everything else. With N rows tested, half of each side, of which the classifier calls K y,
//! under the null any K of the N are as likely to be those: of the N/2 that are y it calls H by their name, with
//! a hypergeometric law, and p = P(H >= h) is exact (Fisher's test). With p_y = K/N the accuracy has the standard
//! error sqrt(p_y (1 - p_y) / (N - 1)).
//!
//! References: Lopez-Paz, Oquab (2017), "Revisiting classifier two-sample tests", section 3; Rahimi, Recht
//! (2007) for the features.

use super::pair_sums::median_distance;
use super::{check_pair, pool, subset};
use crate::error::{Error, Result};
use faer::prelude::Solve;
use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate, s};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use statrs::distribution::{DiscreteCDF, Hypergeometric};

/// Least rows of each side: with 8, four of each are tested, and only to tell them all right has a p-value (1/70)
/// below 0.05.
const LEAST: usize = 8;

/// Settings of [`classifier_test`].
#[derive(Debug, Clone, PartialEq)]
pub struct ClassifierConfig {
    /// Random Fourier features of each of the two widths.
    pub features: usize,
    /// Weight of the ridge |w|^2 / 2 against the summed log loss.
    pub ridge: f64,
    /// Most rows of each side.
    pub most_rows: usize,
}

impl Default for ClassifierConfig {
    /// 100 features of each width, ridge 1, 4000 rows.
    fn default() -> Self {
        ClassifierConfig { features: 100, ridge: 1.0, most_rows: 4000 }
    }
}

impl ClassifierConfig {
    /// # Errors
    /// [`Error::Config`] for a ridge that is not positive or fewer than 8 rows.
    pub fn validate(&self) -> Result<()> {
        if !(self.ridge > 0.0 && self.ridge.is_finite()) {
            return Err(Error::config("ridge", "must be positive"));
        }
        if self.most_rows < LEAST {
            return Err(Error::config("most_rows", format!("must be at least {LEAST}")));
        }
        Ok(())
    }
}

/// What [`classifier_test`] found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassifierTest {
    /// Share of test rows told right; 1/2 where the samples cannot be told apart.
    pub accuracy: f64,
    /// Its standard error for one law.
    pub standard_error: f64,
    /// Chance of so high an accuracy for samples of one law.
    pub p_value: f64,
    /// Rows tested, both sides together.
    pub n: usize,
}

/// Tries to tell the rows of x (n x d) from those of y (m x d).
///
/// # Errors
/// [`Error::Config`] for settings out of range; [`Error::Shape`] where columns differ,
/// [`Error::TooFewRows`] where a side has fewer than 8 rows; [`Error::Data`] for a value that is not finite.
pub fn classifier_test(
    x: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
    config: &ClassifierConfig,
    rng: &mut dyn Rng,
) -> Result<ClassifierTest> {
    config.validate()?;
    check_pair("classifier test", x, y, LEAST)?;
    let each = x.nrows().min(y.nrows()).min(config.most_rows);
    let (x, y) = (subset(x, each, rng), subset(y, each, rng));
    // In random order, so that halves are random halves.
    let z = pool(x.view(), y.view())?.mapv_into(|z| z.clamp(-5.0, 5.0));
    let features = Features::draw(z.view(), config.features, rng).of(z.view());
    let half = each / 2;
    let part = |from: usize, to: usize| {
        let rows = |side: usize| features.slice(s![side * each + from..side * each + to, ..]);
        concatenate![Axis(0), rows(0), rows(1)]
    };
    let weights = logistic_regression(&part(0, half), half, config.ridge)?;
    let called_y = part(half, each).dot(&weights).mapv(|score| score > 0.0);
    let tested = each - half;
    let right = called_y.iter().enumerate().filter(|(i, y)| **y == (*i >= tested)).count();
    let called = called_y.iter().filter(|y| **y).count();
    verdict(right, called, 2 * tested)
}

/// Of n rows, half of each side, `called` are called y and `right` are told right.
fn verdict(right: usize, called: usize, n: usize) -> Result<ClassifierTest> {
    let accuracy = right as f64 / n as f64;
    let share = called as f64 / n as f64;
    let standard_error = (share * (1.0 - share) / (n as f64 - 1.0)).sqrt();
    // right = h + (n/2 - (called - h)).
    let h = (right + called - n / 2) / 2;
    let law = Hypergeometric::new(n as u64, n as u64 / 2, called as u64)
        .map_err(|e| Error::Numerical { operation: "classifier test", message: e.to_string() })?;
    // Sums of rounded terms must not exceed 1.
    let p_value = if h == 0 { 1.0 } else { law.sf(h as u64 - 1).min(1.0) };
    Ok(ClassifierTest { accuracy, standard_error, p_value, n })
}

/// The random part of the features: frequencies (d x count) and phases.
struct Features {
    frequencies: Array2<f64>,
    phases: Array1<f64>,
}

impl Features {
    fn draw(z: ArrayView2<'_, f64>, count: usize, rng: &mut dyn Rng) -> Self {
        let width = median_distance(z).unwrap_or(1.0);
        let frequency = |k: usize| if k < count { 1.0 / width } else { 4.0 / width };
        let frequencies = Array2::from_shape_fn((z.ncols(), 2 * count), |(_, k)| {
            frequency(k) * rng.sample::<f64, _>(StandardNormal)
        });
        let phases =
            Array1::from_shape_fn(2 * count, |_| rng.random_range(0.0..std::f64::consts::TAU));
        Features { frequencies, phases }
    }

    fn of(&self, z: ArrayView2<'_, f64>) -> Array2<f64> {
        let waves = (z.dot(&self.frequencies) + &self.phases).mapv_into(|a| a.cos());
        let ones = Array2::ones((z.nrows(), 1));
        concatenate![Axis(1), ones, z, z.mapv(|z| z * z), waves]
    }
}

/// Newton steps for the ridge logistic regression of the rows after the first `split` (called 1)
/// against those before.
fn logistic_regression(features: &Array2<f64>, split: usize, ridge: f64) -> Result<Array1<f64>> {
    const STEPS: usize = 12;
    let (n, p) = features.dim();
    let target = Array1::from_shape_fn(n, |i| if i < split { 0.0 } else { 1.0 });
    let mut weights = Array1::<f64>::zeros(p);
    for _ in 0..STEPS {
        let chance = features.dot(&weights).mapv(|a| 1.0 / (1.0 + (-a).exp()));
        let gradient = features.t().dot(&(&chance - &target)) + &weights * ridge;
        let curvature = chance.mapv(|c| (c * (1.0 - c)).sqrt()).insert_axis(Axis(1));
        let scaled = features * &curvature;
        let mut hessian = scaled.t().dot(&scaled);
        hessian.diag_mut().map_inplace(|h| *h += ridge);
        let step = solve(&hessian, &gradient)?;
        let size = step.dot(&step).sqrt();
        weights -= &step;
        if size < 1e-6 {
            break;
        }
    }
    Ok(weights)
}

/// A^-1 b for a symmetric positive definite A.
fn solve(a: &Array2<f64>, b: &Array1<f64>) -> Result<Array1<f64>> {
    let p = b.len();
    let factor =
        faer::Mat::from_fn(p, p, |i, j| a[[i, j]]).llt(faer::Side::Lower).map_err(|_| {
            let message = "the features are too nearly dependent; raise the ridge".into();
            Error::Numerical { operation: "classifier test", message }
        })?;
    let x = factor.solve(faer::Mat::from_fn(p, 1, |i, _| b[i]));
    Ok(Array1::from_shape_fn(p, |i| x[(i, 0)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::{Gaussian, GaussianMixture, Oracle, Ring};
    use ndarray::array;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn run(p: &dyn Oracle, q: &dyn Oracle, n: usize, seed: u64) -> ClassifierTest {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (x, y) = (p.sample(n, &mut rng), q.sample(n, &mut rng));
        classifier_test(x.view(), y.view(), &ClassifierConfig::default(), &mut rng).unwrap()
    }

    /// The best possible accuracy for N(0, 1) against N(t, 1) is Phi(t/2); for t = 1, 0.6915.
    #[test]
    fn accuracy_is_that_of_the_best_classifier() {
        let p = Gaussian::standard(1).unwrap();
        let q = Gaussian::new(array![1.0], array![[1.0]]).unwrap();
        let found = run(&p, &q, 4000, 1);
        assert!((found.accuracy - 0.6915).abs() < 4.0 * found.standard_error, "{found:?}");
        assert_eq!(found.n, 4000);
    }

    #[test]
    fn one_law_cannot_be_told_apart() {
        let p = Ring::new(3.0, 0.3).unwrap();
        let found: Vec<ClassifierTest> = (0..100).map(|seed| run(&p, &p, 300, seed)).collect();
        let mean = found.iter().map(|f| f.accuracy).sum::<f64>() / 100.0;
        assert!((mean - 0.5).abs() < 4.0 * 0.5 / (100.0f64 * 300.0).sqrt(), "{mean}");
        // Binomial(100, 0.05): 13 or more has a chance of 0.15%.
        let rejected = found.iter().filter(|f| f.p_value < 0.05).count();
        assert!(rejected < 13, "{rejected} of 100");
    }

    /// Equal means and covariances; only the shape differs.
    #[test]
    fn shapes_are_told_apart() {
        let ring = Ring::new(3.0, 0.3).unwrap();
        let x = ring.sample(4000, &mut ChaCha8Rng::seed_from_u64(0));
        let spread = x.mapv(|v| v * v).mean().unwrap();
        let gaussian = Gaussian::new(array![0.0, 0.0], Array2::eye(2) * spread).unwrap();
        assert!(run(&ring, &gaussian, 1000, 1).p_value < 1e-6);
        let means = array![[-2.0, 0.0], [2.0, 0.0]];
        let of =
            |w: f64| GaussianMixture::isotropic(array![w, 1.0 - w], means.view(), 0.3).unwrap();
        // Half against 60% in one mode: at best 55% right.
        let found = run(&of(0.5), &of(0.6), 4000, 2);
        assert!((found.accuracy - 0.55).abs() < 4.0 * found.standard_error, "{found:?}");
        assert!(found.p_value < 1e-3);
    }

    #[test]
    fn logistic_regression_solves_its_equation() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let features = Gaussian::standard(3).unwrap().sample(60, &mut rng);
        let w = logistic_regression(&features, 25, 0.5).unwrap();
        let loss = |w: &Array1<f64>| {
            let each = features.dot(w);
            let sign = |i: usize| if i < 25 { 1.0 } else { -1.0 };
            each.iter().enumerate().map(|(i, a)| (sign(i) * a).exp().ln_1p()).sum::<f64>()
                + 0.25 * w.dot(w)
        };
        for i in 0..3 {
            let mut e = Array1::zeros(3);
            e[i] = 1e-4;
            assert!((loss(&(&w + &e)) - loss(&(&w - &e))).abs() < 1e-9);
        }
    }

    #[test]
    fn verdicts_by_hand() {
        // 60 of 100 right, as many called x as y: 30 of 50 y so called or more,
        // scipy.stats.hypergeom.sf(29, 100, 50, 50).
        let found = verdict(60, 50, 100).unwrap();
        assert!((found.p_value - 0.035_671_201_744_105_15).abs() < 1e-12, "{found:?}");
        assert!(found.accuracy == 0.6 && (found.standard_error - 0.5 / 99f64.sqrt()).abs() < 1e-15);
        // sf(1099, 4000, 2000, 2100): 1100 of 2100 called y are.
        let many = verdict(2100, 2100, 4000).unwrap();
        assert!((many.p_value / 0.000_858_807_589_192_123_6 - 1.0).abs() < 1e-9, "{many:?}");
        // All of four and four right: one of 70 ways to choose four.
        assert!((verdict(8, 4, 8).unwrap().p_value - 1.0 / 70.0).abs() < 1e-12);
        for called in [0, 100] {
            assert_eq!(verdict(50, called, 100).unwrap().p_value, 1.0);
        }
        assert!((verdict(0, 4, 8).unwrap().p_value - 1.0).abs() < 1e-12);
    }

    /// Chance of p <= a is at most a, however few rows there are: all 70 outcomes of four and four, by hand.
    #[test]
    fn p_values_of_few_rows_are_exact() {
        let ways = [1.0, 16.0, 36.0, 16.0, 1.0];
        for h in 0..=4 {
            let p = verdict(2 * h, 4, 8).unwrap().p_value;
            let chance: f64 = ways[h..].iter().sum::<f64>() / 70.0;
            assert!((p - chance).abs() < 1e-12, "{h}: {p} {chance}");
        }
    }

    #[test]
    fn constant_columns_do_no_harm_and_bad_input_is_refused() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let x = concatenate![
            Axis(1),
            Gaussian::standard(1).unwrap().sample(50, &mut rng),
            Array2::zeros((50, 1))
        ];
        let fine = ClassifierConfig::default();
        let mut of = |y: ArrayView2<'_, f64>, config: &ClassifierConfig| {
            classifier_test(x.view(), y, config, &mut rng)
        };
        assert!(of(x.view(), &fine).unwrap().accuracy.is_finite());
        assert!(of(x.slice(s![.., ..1]), &fine).is_err());
        assert!(of(x.slice(s![..7, ..]), &fine).is_err());
        assert!(of(x.slice(s![..8, ..]), &fine).is_ok());
        assert!(of(x.view(), &ClassifierConfig { ridge: 0.0, ..fine }).is_err());
    }

    #[test]
    fn features_by_hand() {
        let features =
            Features { frequencies: array![[1.0, 0.0], [0.5, 2.0]], phases: array![0.25, 1.0] };
        let found = features.of(array![[2.0, -3.0]].view());
        let expected = [1.0, 2.0, -3.0, 4.0, 9.0, 0.75f64.cos(), (-5.0f64).cos()];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-15, "{found} {expected}");
        }
        assert_eq!(found.dim(), (1, 7));
    }

    /// Frequencies are normal with sd 1/h, then 4/h, h the median distance; phases uniform on a turn.
    #[test]
    fn waves_have_two_widths() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        // Distances 0 (within a half) and 3 between: more of the latter.
        let z = Array2::from_shape_fn((40, 1), |(i, _)| if i < 20 { 0.0 } else { 3.0 });
        let n = 4000;
        let found = Features::draw(z.view(), n, &mut rng);
        assert_eq!((found.frequencies.dim(), found.phases.len()), ((1, 2 * n), 2 * n));
        for (from, sd) in [(0, 1.0 / 3.0), (n, 4.0 / 3.0)] {
            let part = found.frequencies.slice(s![0, from..from + n]);
            assert!((part.std(0.0) / sd - 1.0).abs() < 0.05, "{from}: {}", part.std(0.0));
            assert!((part.mean().unwrap() / sd).abs() < 4.5 / (n as f64).sqrt());
        }
        let turn = std::f64::consts::TAU;
        assert!(found.phases.iter().all(|p| (0.0..turn).contains(p)));
        assert!((found.phases.mean().unwrap() / turn - 0.5).abs() < 0.02);
    }

    /// Halves of an odd number, the smaller side's, bounded by the setting.
    #[test]
    fn as_many_rows_are_tested_of_each_side() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let p = Gaussian::standard(1).unwrap();
        let (x, y) = (p.sample(11, &mut rng), p.sample(30, &mut rng) + 50.0);
        let of = |most_rows: usize, x: &Array2<f64>, y: &Array2<f64>| {
            let config = ClassifierConfig { features: 5, most_rows, ..Default::default() };
            let mut rng = ChaCha8Rng::seed_from_u64(9);
            classifier_test(x.view(), y.view(), &config, &mut rng).unwrap()
        };
        for (most, n) in [(100, 12), (9, 10), (8, 8)] {
            for found in [of(most, &x, &y), of(most, &y, &x)] {
                // Nobody mistakes these for each other.
                assert_eq!((found.n, found.accuracy), (n, 1.0), "{most}");
            }
        }
    }

    #[test]
    fn settings_at_their_least_are_taken() {
        let least = ClassifierConfig { features: 0, ridge: 1e-9, most_rows: 8 };
        assert!(least.validate().is_ok());
        for bad in [
            ClassifierConfig { most_rows: 7, ..least.clone() },
            ClassifierConfig { ridge: -1.0, ..least.clone() },
            ClassifierConfig { ridge: f64::INFINITY, ..least },
        ] {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
    }

    /// The first half of the waves and not one more has the smaller frequency.
    #[test]
    fn frequencies_are_scaled_draws() {
        let z = array![[0.0], [2.0], [4.0]];
        let of = |seed| ChaCha8Rng::seed_from_u64(seed);
        let drawn = Features::draw(z.view(), 3, &mut of(2));
        let mut rng = of(2);
        for (k, found) in drawn.frequencies.iter().enumerate() {
            // Distances 2, 2, 4.
            let scale = if k < 3 { 0.5 } else { 2.0 };
            let want = scale * rng.sample::<f64, _>(StandardNormal);
            assert!((found - want).abs() < 1e-12, "{k}: {found} {want}");
        }
    }
}
