//! The energy distance between two samples, with a permutation test. MATH (32).
//!
//! ```text
//! D^2 = 2 E|x - y| - E|x - x'| - E|y - y'|
//! ```
//!
//! It is 0 only where both have the same distribution. Estimated by means over all pairs (a row with itself included):
//! with a_i = 1/n on the rows of x and -1/m on those of y, D^2 = - sum_ij a_i a_j |r_i - r_j| >= 0.
//! Under one distribution every way of dealing the rows into n and m is equally likely, so permuted a give draws
//! of D^2 under the null, and p = (1 + draws at least as large) / (1 + draws) is exact. Columns are
//! divided by the standard deviation of all rows together.
//!
//! Beyond `most_rows` a side, a random subset is taken: time and memory stay bounded.
//! Rows must be independent: draws that follow one another in a chain are not.
//!
//! Reference: Szekely, Rizzo (2013), "Energy statistics", J. Statist. Plann. Inference 143, eq. 5 and
//! section 6.

use super::pair_sums::{quadratic_forms, squared_distances};
use super::{check_pair, pool, subset};
use crate::error::{Error, Result};
use ndarray::{Array1, Array2, ArrayView2, s};
use rand::Rng;
use rand::seq::SliceRandom;
use std::ops::Range;

/// Settings of [`energy_distance`].
#[derive(Debug, Clone, PartialEq)]
pub struct EnergyConfig {
    /// Most rows of each side.
    pub most_rows: usize,
    /// Permutations.
    pub permutations: usize,
}

impl Default for EnergyConfig {
    /// 2000 rows, 500 permutations.
    fn default() -> Self {
        EnergyConfig { most_rows: 2000, permutations: 500 }
    }
}

impl EnergyConfig {
    /// # Errors
    /// [`Error::Config`] for fewer than 2 rows or no permutation.
    pub fn validate(&self) -> Result<()> {
        if self.most_rows < 2 {
            return Err(Error::config("most_rows", "must be at least 2"));
        }
        if self.permutations == 0 {
            return Err(Error::config("permutations", "must be at least 1; 500 is usual"));
        }
        Ok(())
    }
}

/// What [`energy_distance`] found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EnergyDistance {
    /// D^2 >= 0, in pooled standard deviations.
    pub squared: f64,
    /// Its 95% point over permutations: two samples from the same distribution stay below it 19 times in 20.
    pub critical: f64,
    /// Chance of so large a D^2 for samples from the same distribution.
    pub p_value: f64,
    /// Rows compared, of each side.
    pub rows: [usize; 2],
}

/// Compares the rows of x (n x d) with those of y (m x d).
///
/// ```
/// use gradlogp_density::diagnose::{EnergyConfig, energy_distance};
/// use ndarray::array;
/// use rand::SeedableRng;
///
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// let (x, y) = (array![[0.0], [0.0]], array![[2.0], [2.0]]);
/// let found = energy_distance(x.view(), y.view(), &EnergyConfig::default(), &mut rng)?;
/// // 2 * 2, in units of the pooled sd sqrt(4/3).
/// assert!((found.squared - 4.0 / (4.0f64 / 3.0).sqrt()).abs() < 1e-12);
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
///
/// # Errors
/// [`Error::Config`] for settings out of range; [`Error::Shape`] where columns differ,
/// [`Error::TooFewRows`] where a side has fewer than 2 rows; [`Error::Data`] for a value that is not finite.
pub fn energy_distance(
    x: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
    config: &EnergyConfig,
    rng: &mut dyn Rng,
) -> Result<EnergyDistance> {
    config.validate()?;
    check_pair("energy distance", x, y, 2)?;
    let (x, y) = (subset(x, config.most_rows, rng), subset(y, config.most_rows, rng));
    let (n, m) = (x.nrows(), y.nrows());
    let rows = pool(x.view(), y.view())?;
    let weights = permuted_weights(n, m, config.permutations, rng);
    let tile = |a: Range<usize>, b: Range<usize>| {
        let mut of =
            squared_distances(rows.slice(s![a.clone(), ..]), rows.slice(s![b.clone(), ..]));
        if a == b {
            // The root would make much of their rounding.
            of.diag_mut().fill(0.0);
        }
        of.mapv_into(f64::sqrt)
    };
    let draws = quadratic_forms(weights.view(), &tile).mapv(|q| -q);
    let larger = draws.iter().skip(1).filter(|draw| **draw >= draws[0] - 1e-12).count();
    let mut sorted = draws.slice(s![1..]).to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (0.95 * sorted.len() as f64).ceil() as usize;
    Ok(EnergyDistance {
        squared: draws[0].max(0.0),
        critical: sorted[at.clamp(1, sorted.len()) - 1],
        p_value: (1 + larger) as f64 / (1 + config.permutations) as f64,
        rows: [n, m],
    })
}

/// a as it is, then permuted: (n + m) x (1 + permutations).
fn permuted_weights(n: usize, m: usize, permutations: usize, rng: &mut dyn Rng) -> Array2<f64> {
    let mut a: Vec<f64> = vec![1.0 / n as f64; n];
    a.resize(n + m, -1.0 / m as f64);
    let mut out = Array2::zeros((n + m, 1 + permutations));
    for mut column in out.columns_mut() {
        column.assign(&Array1::from(a.clone()));
        a.shuffle(rng);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{Gaussian, GaussianMixture, ReferenceDensity};
    use ndarray::{Axis, array};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn is_its_definition() {
        let x = array![[0.0, 1.0], [2.0, -1.0], [0.5, 0.5]];
        let y = array![[1.0, 1.0], [3.0, 0.0]];
        let all = ndarray::concatenate![Axis(0), x, y];
        let sd = all.std_axis(Axis(0), 1.0);
        let (u, v) = (&x / &sd, &y / &sd);
        let mean = |a: &Array2<f64>, b: &Array2<f64>| {
            let pairs = a.outer_iter().flat_map(|r| b.outer_iter().map(move |t| (r, t)));
            let sum: f64 = pairs.map(|(r, t)| (&r - &t).mapv(|e| e * e).sum().sqrt()).sum();
            sum / (a.nrows() * b.nrows()) as f64
        };
        let expected = 2.0 * mean(&u, &v) - mean(&u, &u) - mean(&v, &v);
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let found =
            energy_distance(x.view(), y.view(), &EnergyConfig::default(), &mut rng).unwrap();
        assert!((found.squared - expected).abs() < 1e-7, "{} {expected}", found.squared);
        assert_eq!(found.rows, [3, 2]);
    }

    /// N(0, 1) and N(t, 1): E|x - y| of a normal of variance 2 and mean t, in closed form.
    #[test]
    fn is_the_closed_form_of_shifted_normals() {
        let p = Gaussian::standard(1).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let t = 1.0f64;
        let (x, y) = (p.sample(4000, &mut rng), p.sample(4000, &mut rng) + t);
        let config = EnergyConfig { most_rows: 4000, permutations: 1 };
        let found = energy_distance(x.view(), y.view(), &config, &mut rng).unwrap();
        let sd = (1.0 + t * t / 4.0).sqrt();
        let root_pi = std::f64::consts::PI.sqrt();
        // E|N(t, 2)| = 2/sqrt(pi) exp(-t^2/4) + t erf(t/2); erf(1/2) = 0.5204998778.
        let between = 2.0 / root_pi * (-t * t / 4.0).exp() + t * 0.520_499_877_8;
        let expected = (2.0 * between - 2.0 * 2.0 / root_pi) / sd;
        assert!((found.squared / expected - 1.0).abs() < 0.1, "{} {expected}", found.squared);
    }

    #[test]
    fn p_values_are_uniform_for_one_law_and_small_for_two() {
        let means = array![[-2.0, 0.0], [2.0, 1.0]];
        let p = GaussianMixture::isotropic(array![0.4, 0.6], means.view(), 0.9).unwrap();
        let heavier = GaussianMixture::isotropic(array![0.6, 0.4], means.view(), 0.9).unwrap();
        let config = EnergyConfig { permutations: 199, ..EnergyConfig::default() };
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut run = |q: &GaussianMixture, n: usize| {
            let (x, y) = (p.sample(n, &mut rng), q.sample(n / 2, &mut rng));
            energy_distance(x.view(), y.view(), &config, &mut rng).unwrap()
        };
        let found: Vec<EnergyDistance> = (0..200).map(|_| run(&p, 100)).collect();
        let values: Vec<f64> = found.iter().map(|f| f.p_value).collect();
        let uniform = crate::diagnose::ks_uniform(&values);
        assert!(uniform.p_value > 0.001, "{uniform:?}");
        let beyond = found.iter().filter(|f| f.squared > f.critical).count();
        assert!((2..=22).contains(&beyond), "{beyond} of 200 beyond the 95% point");
        assert!((0..10).all(|_| run(&heavier, 1000).p_value < 0.02));
    }

    #[test]
    fn refuses_what_cannot_be_compared() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let x = array![[0.0], [1.0]];
        let mut run = |y: &Array2<f64>, config: &EnergyConfig| {
            energy_distance(x.view(), y.view(), config, &mut rng).is_err()
        };
        let fine = EnergyConfig::default();
        assert!(run(&array![[0.0, 1.0], [1.0, 0.0]], &fine));
        assert!(run(&array![[0.0], [f64::INFINITY]], &fine));
        assert!(run(&array![[0.0]], &fine));
        assert!(run(&x, &EnergyConfig { permutations: 0, ..fine }));
    }

    #[test]
    fn settings_at_their_least_are_taken() {
        let of =
            |most_rows, permutations| EnergyConfig { most_rows, permutations }.validate().is_ok();
        assert!(of(2, 1) && !of(1, 1) && !of(0, 1) && !of(2, 0));
    }

    /// Samples far apart, which no permutation keeps: one of 19 draws and itself.
    #[test]
    fn the_least_p_value_counts_the_statistic_itself() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let p = Gaussian::standard(1).unwrap();
        let (x, y) = (p.sample(20, &mut rng), p.sample(30, &mut rng) + 50.0);
        let config = EnergyConfig { permutations: 19, ..EnergyConfig::default() };
        let found = energy_distance(x.view(), y.view(), &config, &mut rng).unwrap();
        assert_eq!((found.p_value, found.rows), (0.05, [20, 30]));
    }

    /// Two rows on each side: one permutation in three leaves the sides as they are, or exchanged, and its
    /// distance, equal to the statistic, counts as at least as large.
    #[test]
    fn a_draw_that_equals_the_statistic_counts() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let (x, y) = (array![[0.1], [0.4]], array![[2.3], [2.9]]);
        let config = EnergyConfig { permutations: 1999, ..EnergyConfig::default() };
        let found = energy_distance(x.view(), y.view(), &config, &mut rng).unwrap();
        // Binomial(1999, 1/3): a standard deviation of 0.0105.
        assert!((found.p_value - 1.0 / 3.0).abs() < 0.042, "{}", found.p_value);
    }

    /// The 95% point is the 38th of 40 draws in order, every draw by its definition.
    #[test]
    fn the_critical_value_is_the_right_order_statistic() {
        let p = Gaussian::standard(2).unwrap();
        let of = |seed| ChaCha8Rng::seed_from_u64(seed);
        let (x, y) = (p.sample(7, &mut of(1)), p.sample(5, &mut of(2)));
        let config = EnergyConfig { permutations: 40, ..EnergyConfig::default() };
        let found = energy_distance(x.view(), y.view(), &config, &mut of(3)).unwrap();
        let mut rng = of(3);
        let (x, y) = (subset(x.view(), 7, &mut rng), subset(y.view(), 5, &mut rng));
        let rows = pool(x.view(), y.view()).unwrap();
        let weights = permuted_weights(7, 5, 40, &mut rng);
        let distance =
            |i: usize, j: usize| (&rows.row(i) - &rows.row(j)).mapv(|e| e * e).sum().sqrt();
        let mut draws: Vec<f64> = (1..41)
            .map(|b| {
                let pairs = (0..12).flat_map(|i| (0..12).map(move |j| (i, j)));
                -pairs.map(|(i, j)| weights[[i, b]] * weights[[j, b]] * distance(i, j)).sum::<f64>()
            })
            .collect();
        draws.sort_by(f64::total_cmp);
        assert!((found.critical - draws[37]).abs() < 1e-7 && draws[37] < draws[38] - 1e-4);
        assert!(draws[36] < draws[37] - 1e-4);
    }
}
