//! The kernel Stein discrepancy: how far rows are from a score, in every direction that a kernel sees.
//! MATH (30), (31).
//!
//! With q = |x - y|^2 and a kernel k = phi(q), phi' and phi'' its derivatives in q, the Stein kernel is
//!
//! ```text
//! u(x, y) = s(x).s(y) phi + 2 phi' (s(y) - s(x)).(x - y) - 2 d phi' - 4 q phi''
//! IMQ       phi = (h^2 + q)^(-1/2)
//! Gaussian  phi = exp(-q / (2 h^2))
//! ```
//!
//! and the squared discrepancy of rows x_1..x_n the mean of u over pairs i != j (a U-statistic: it may be
//! negative). E u = 0 exactly where s is the score of the rows' density. Columns are standardised by
//! the rows, so that nothing depends on units; h is the median distance of standardised rows.
//!
//! **p-value.** The wild bootstrap: signs e_i of +1 and -1 by chance turn the statistic into a draw from
//! its law under the true score, sum e_i e_j u_ij; p = (1 + draws at least as large) / (1 + draws).
//! It needs independent rows.
//!
//! **Time and memory.** Beyond `group` rows the rows are cut into groups of about that many, and
//! only pairs within a group count: O(n group) time, the same test with somewhat less power (block
//! test). `group` >= n gives the full statistic in O(n^2) time; neither stores n^2 numbers.
//!
//! References: Liu, Lee, Jordan (2016), eq. 8 and section 4; Chwialkowski, Strathmann, Gretton (2016);
//! Gorham, Mackey (2017) for IMQ, which also sees mass that escapes; Zaremba, Gretton, Blaschko (2013) for
//! groups.

use super::pair_sums::{median_distance, quadratic_forms, squared_distances};
use super::{check_rows, finite_score, standardise};
use crate::error::{Error, Result};
use crate::score::Score;
use ndarray::{Array1, Array2, ArrayView2, Axis, Zip, s};
use rand::{Rng, RngExt};
use std::ops::Range;

/// The kernel behind a Stein discrepancy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SteinKernel {
    /// (h^2 + q)^(-1/2), the inverse multiquadric: slow tails, sees rows far out.
    #[default]
    Imq,
    /// exp(-q / (2 h^2)).
    Gaussian,
}

impl SteinKernel {
    /// phi, phi', phi'' at q for width h.
    fn at(self, q: f64, h: f64) -> [f64; 3] {
        match self {
            SteinKernel::Imq => {
                let inverse = 1.0 / (h * h + q);
                let phi = inverse.sqrt();
                [phi, -0.5 * phi * inverse, 0.75 * phi * inverse * inverse]
            }
            SteinKernel::Gaussian => {
                let rate = -0.5 / (h * h);
                let phi = (rate * q).exp();
                [phi, rate * phi, rate * rate * phi]
            }
        }
    }
}

/// Settings of [`kernel_stein_discrepancy`].
#[derive(Debug, Clone, PartialEq)]
pub struct KsdConfig {
    /// The kernel.
    pub kernel: SteinKernel,
    /// Most rows whose pairs are all taken; more rows are cut into groups of about so many.
    pub group: usize,
    /// Draws of the wild bootstrap.
    pub bootstrap: usize,
}

impl Default for KsdConfig {
    /// IMQ, groups of 2000 rows, 500 draws.
    fn default() -> Self {
        KsdConfig { kernel: SteinKernel::Imq, group: 2000, bootstrap: 500 }
    }
}

impl KsdConfig {
    /// # Errors
    /// [`Error::Config`] for groups of fewer than 2 rows or no bootstrap draw.
    pub fn validate(&self) -> Result<()> {
        if self.group < 2 {
            return Err(Error::config("group", "a pair needs 2 rows: must be at least 2"));
        }
        if self.bootstrap == 0 {
            return Err(Error::config("bootstrap", "must be at least 1; 500 is usual"));
        }
        Ok(())
    }
}

/// What [`kernel_stein_discrepancy`] found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KernelSteinDiscrepancy {
    /// The squared discrepancy (U-statistic), of standardised columns; about 0 for the true score.
    pub squared: f64,
    /// Chance of so large a value under the true score.
    pub p_value: f64,
    /// h, in standardised columns.
    pub bandwidth: f64,
    /// Rows.
    pub n: usize,
    /// Groups that the rows were cut into; 1 for the full statistic.
    pub groups: usize,
}

/// Tests whether `score` is that of the density behind the rows of `x` (n x d, independent, not used
/// to fit the score).
///
/// ```
/// use gradlogp::diagnose::{KsdConfig, kernel_stein_discrepancy};
/// use gradlogp::oracle::{Gaussian, Oracle};
/// use ndarray::array;
/// use rand::SeedableRng;
///
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
/// let x = Gaussian::standard(1)?.sample(400, &mut rng);
/// let config = KsdConfig::default();
/// let right = Gaussian::standard(1)?;
/// assert!(kernel_stein_discrepancy(&right, x.view(), &config, &mut rng)?.p_value > 0.001);
/// let narrow = Gaussian::new(array![0.0], array![[0.5]])?;
/// assert!(kernel_stein_discrepancy(&narrow, x.view(), &config, &mut rng)?.p_value < 0.01);
/// # Ok::<(), gradlogp::Error>(())
/// ```
///
/// # Errors
/// [`Error::Config`] for settings out of range; [`Error::Shape`] where columns differ,
/// [`Error::TooFewRows`] for fewer than 3 rows; [`Error::Data`] for a constant column or rows most of which are equal;
/// [`Error::Numerical`] where the score is not finite.
pub fn kernel_stein_discrepancy(
    score: &dyn Score,
    x: ArrayView2<'_, f64>,
    config: &KsdConfig,
    rng: &mut dyn Rng,
) -> Result<KernelSteinDiscrepancy> {
    config.validate()?;
    check_rows("kernel Stein discrepancy", score, x, 3)?;
    let (z, sd) = standardise(x)?;
    let score = finite_score("kernel Stein discrepancy", score, x)? * &sd;
    let bandwidth = median_distance(z.view()).ok_or_else(|| {
        let message = "half of the pairs of rows are equal: dequantise, or leave out duplicates";
        Error::data("rows of the kernel Stein discrepancy", message)
    })?;
    let n = x.nrows();
    let groups = n.div_ceil(config.group).min(n / 2).max(1);
    let (mut sums, mut pairs) = (Array1::zeros(config.bootstrap + 1), 0.0);
    for group in (0..groups).map(|k| n * k / groups..n * (k + 1) / groups) {
        let size = group.len();
        let rows = SteinRows::new(z.slice(s![group.clone(), ..]), score.slice(s![group, ..]));
        let weights = signs(size, config.bootstrap, rng);
        let tile = |a, b| rows.tile(a, b, config.kernel, bandwidth);
        sums += &quadratic_forms(weights.view(), &tile);
        pairs += size as f64 * (size as f64 - 1.0);
    }
    let larger = sums.iter().skip(1).filter(|draw| **draw >= sums[0]).count();
    let p_value = (1 + larger) as f64 / (1 + config.bootstrap) as f64;
    Ok(KernelSteinDiscrepancy { squared: sums[0] / pairs, p_value, bandwidth, n, groups })
}

/// A column of ones, then columns of independent signs: n x (1 + draws).
fn signs(n: usize, draws: usize, rng: &mut dyn Rng) -> Array2<f64> {
    let mut out = Array2::ones((n, 1 + draws));
    out.slice_mut(s![.., 1..]).mapv_inplace(|_| if rng.random() { 1.0 } else { -1.0 });
    out
}

/// Rows with their scores, and s.x of each.
struct SteinRows<'a> {
    x: ArrayView2<'a, f64>,
    score: ArrayView2<'a, f64>,
    own: Array1<f64>,
}

impl<'a> SteinRows<'a> {
    fn new(x: ArrayView2<'a, f64>, score: ArrayView2<'a, f64>) -> Self {
        let own = Zip::from(x.rows()).and(score.rows()).map_collect(|x, s| x.dot(&s));
        SteinRows { x, score, own }
    }

    /// u at the pairs of two ranges of rows, 0 for a row with itself.
    fn tile(&self, a: Range<usize>, b: Range<usize>, kernel: SteinKernel, h: f64) -> Array2<f64> {
        let d = self.x.ncols() as f64;
        let (xa, xb) = (self.x.slice(s![a.clone(), ..]), self.x.slice(s![b.clone(), ..]));
        let (sa, sb) = (self.score.slice(s![a.clone(), ..]), self.score.slice(s![b.clone(), ..]));
        let q = squared_distances(xa, xb);
        let mut out = sa.dot(&sb.t());
        // (s_j - s_i).(x_i - x_j) by its four products.
        let mut cross = xa.dot(&sb.t()) + sa.dot(&xb.t());
        cross -= &self.own.slice(s![a.clone()]).insert_axis(Axis(1));
        cross -= &self.own.slice(s![b.clone()]);
        Zip::from(&mut out).and(&q).and(&cross).for_each(|u, &q, &cross| {
            let [phi, first, second] = kernel.at(q, h);
            *u = *u * phi + 2.0 * first * (cross - d) - 4.0 * q * second;
        });
        if a == b {
            out.diag_mut().fill(0.0);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Changed, Linear};
    use super::*;
    use crate::oracle::{Banana, Gaussian, GaussianMixture, Oracle};
    use ndarray::array;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const KERNELS: [SteinKernel; 2] = [SteinKernel::Imq, SteinKernel::Gaussian];

    fn mixture() -> GaussianMixture {
        let means = array![[-2.0, 0.0], [2.0, 1.0]];
        GaussianMixture::isotropic(array![0.4, 0.6], means.view(), 0.9).unwrap()
    }

    fn p_value(p: &dyn Oracle, score: &dyn Score, n: usize, seed: u64, config: &KsdConfig) -> f64 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let x = p.sample(n, &mut rng);
        kernel_stein_discrepancy(score, x.view(), config, &mut rng).unwrap().p_value
    }

    /// k(x, y) itself, for derivatives by differences.
    fn k(kernel: SteinKernel, x: &Array1<f64>, y: &Array1<f64>, h: f64) -> f64 {
        let q = (x - y).mapv(|v| v * v).sum();
        match kernel {
            SteinKernel::Imq => 1.0 / (h * h + q).sqrt(),
            SteinKernel::Gaussian => (-q / (2.0 * h * h)).exp(),
        }
    }

    /// u by its definition, s.s k + s(x).grad_y k + s(y).grad_x k + tr grad_x grad_y k, with every
    /// derivative of k by central differences.
    #[test]
    fn stein_kernel_is_its_definition() {
        let (x, y) = (array![0.3, -1.2, 0.8], array![-0.5, 0.4, 1.1]);
        let (sx, sy) = (array![1.5, -0.7, 0.2], array![0.1, 2.0, -1.3]);
        let (h, e) = (1.3, 1e-4);
        let unit = |i: usize| Array1::from_shape_fn(3, |j| if i == j { e } else { 0.0 });
        for kernel in KERNELS {
            let at = |i: Option<usize>, a: f64, j: Option<usize>, b: f64| {
                let (mut x, mut y) = (x.clone(), y.clone());
                i.into_iter().for_each(|i| x.scaled_add(a, &unit(i)));
                j.into_iter().for_each(|j| y.scaled_add(b, &unit(j)));
                k(kernel, &x, &y, h)
            };
            let mut expected = sx.dot(&sy) * at(None, 0.0, None, 0.0);
            for i in 0..3 {
                let dy = (at(None, 0.0, Some(i), 1.0) - at(None, 0.0, Some(i), -1.0)) / (2.0 * e);
                let dx = (at(Some(i), 1.0, None, 0.0) - at(Some(i), -1.0, None, 0.0)) / (2.0 * e);
                let mixed = |a, b| at(Some(i), a, Some(i), b);
                let both = (mixed(1.0, 1.0) - mixed(1.0, -1.0) - mixed(-1.0, 1.0)
                    + mixed(-1.0, -1.0))
                    / (4.0 * e * e);
                expected += sx[i] * dy + sy[i] * dx + both;
            }
            let row = |v: &Array1<f64>| v.clone().insert_axis(Axis(0));
            let rows = ndarray::concatenate![Axis(0), row(&x), row(&y)];
            let scores = ndarray::concatenate![Axis(0), row(&sx), row(&sy)];
            let found = SteinRows::new(rows.view(), scores.view()).tile(0..1, 1..2, kernel, h);
            assert!((found[[0, 0]] - expected).abs() < 1e-6, "{kernel:?}: {found} {expected}");
        }
    }

    /// Three rows -1, 0, 1 (sd 1), h the median distance 1, s = -x, Gaussian kernel:
    /// u(-1, 0) = u(0, 1) = e^(-1/2) (0 - 1 + 1 - 1) and u(-1, 1) = e^-2 (-1 - 4 + 1 - 4).
    #[test]
    fn statistic_by_hand() {
        let x = array![[-1.0], [0.0], [1.0]];
        let config = KsdConfig { kernel: SteinKernel::Gaussian, ..KsdConfig::default() };
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let score = Linear { a: array![[1.0]], b: array![0.0] };
        let found = kernel_stein_discrepancy(&score, x.view(), &config, &mut rng).unwrap();
        assert_eq!((found.bandwidth, found.n, found.groups), (1.0, 3, 1));
        let expected = (-2.0 * (-0.5f64).exp() - 8.0 * (-2f64).exp()) / 3.0;
        assert!((found.squared - expected).abs() < 1e-12, "{} {expected}", found.squared);
    }

    /// E u = 0 for the true score, whatever the density; in units of its spread over repetitions.
    #[test]
    fn is_zero_on_average_and_positive_for_wrong_scores() {
        let banana = Banana::new(3, 1.0, 0.4, 0.7).unwrap();
        for kernel in KERNELS {
            let config = KsdConfig { kernel, bootstrap: 1, ..KsdConfig::default() };
            let squared = |score: &dyn Score, seed| {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                let x = banana.sample(300, &mut rng);
                kernel_stein_discrepancy(score, x.view(), &config, &mut rng).unwrap().squared
            };
            let over: Array1<f64> = (0..100).map(|seed| squared(&banana, seed)).collect();
            let found = crate::diagnose::Estimate::of(over.view());
            assert!(found.mean.abs() < 4.0 * found.standard_error, "{kernel:?} {found:?}");
            let wrong = Changed { score: &banana, factor: 1.3, shift: Array1::zeros(3) };
            let over: Array1<f64> = (0..20).map(|seed| squared(&wrong, 100 + seed)).collect();
            assert!(over.mean().unwrap() > 10.0 * found.standard_error, "{kernel:?}");
        }
    }

    #[test]
    fn p_values_are_uniform_under_the_true_score() {
        for (kernel, group) in KERNELS.into_iter().zip([2000, 50]) {
            let config = KsdConfig { kernel, group, bootstrap: 199 };
            let p = mixture();
            let values: Vec<f64> =
                (0..200).map(|seed| p_value(&p, &p, 200, seed, &config)).collect();
            let uniform = crate::diagnose::ks_uniform(&values);
            assert!(uniform.p_value > 0.001, "{kernel:?}, groups of {group}: {uniform:?}");
        }
    }

    fn correlated() -> Gaussian {
        Gaussian::new(array![1.0, -1.0], array![[1.0, 0.5], [0.5, 2.0]]).unwrap()
    }

    /// In how many of 20 data sets the score times `factor` is rejected at 5%.
    fn rejected(p: &dyn Oracle, factor: f64, n: usize, config: &KsdConfig) -> usize {
        let wrong = Changed { score: p, factor, shift: Array1::zeros(2) };
        (0..20).filter(|seed| p_value(p, &wrong, n, *seed, config) < 0.05).count()
    }

    #[test]
    fn wrong_scores_are_found() {
        for kernel in KERNELS {
            let config = KsdConfig { kernel, bootstrap: 199, ..KsdConfig::default() };
            for factor in [1.3, 0.7] {
                let found = rejected(&correlated(), factor, 1000, &config);
                assert!(found >= 19, "{kernel:?}, factor {factor}: {found} of 20");
            }
            let found = rejected(&mixture(), -1.0, 500, &config);
            assert!(found >= 19, "{kernel:?}, inverted: {found} of 20");
        }
        // Right mean and slope, wrong shape: what the Stein identities of first order cannot see.
        let gaussian = Gaussian::new(array![0.4, 0.6], array![[4.65, 0.96], [0.96, 1.05]]).unwrap();
        let found = (0..20)
            .filter(|s| p_value(&mixture(), &gaussian, 1000, *s, &KsdConfig::default()) < 0.05)
            .count();
        assert!(found >= 19, "shape: {found} of 20");
    }

    /// Groups use fewer pairs, so power falls, but slowly.
    #[test]
    fn groups_keep_power() {
        let config = KsdConfig { group: 250, bootstrap: 199, ..KsdConfig::default() };
        let found = rejected(&correlated(), 1.3, 4000, &config);
        assert!(found >= 19, "{found} of 20");
    }

    /// Another unit and origin for every column, the score's with it: nothing changes.
    #[test]
    fn is_free_of_units_and_reproducible() {
        let p = Gaussian::new(array![0.0, 0.0], array![[1.0, 0.5], [0.5, 1.0]]).unwrap();
        let (unit, origin) = (array![1e-3, 50.0], array![7.0, -1e3]);
        let covariance = array![[1e-6, 0.025], [0.025, 2500.0]];
        let moved = Gaussian::new(origin.clone(), covariance).unwrap();
        let x = p.sample(300, &mut ChaCha8Rng::seed_from_u64(1));
        let run = |p: &Gaussian, x: &Array2<f64>| {
            let mut rng = ChaCha8Rng::seed_from_u64(2);
            kernel_stein_discrepancy(p, x.view(), &KsdConfig::default(), &mut rng).unwrap()
        };
        let (here, there) = (run(&p, &x), run(&moved, &(&x * &unit + &origin)));
        assert!((here.squared - there.squared).abs() < 1e-9, "{here:?} {there:?}");
        assert!((here.p_value - there.p_value).abs() < 0.01);
        assert_eq!(run(&p, &x), here);
    }

    #[test]
    fn refuses_what_cannot_be_tested() {
        let p = Gaussian::standard(1).unwrap();
        let run = |x: &Array2<f64>, config: &KsdConfig| {
            let mut rng = ChaCha8Rng::seed_from_u64(0);
            kernel_stein_discrepancy(&p, x.view(), config, &mut rng).unwrap_err().to_string()
        };
        let fine = KsdConfig::default();
        assert!(run(&array![[1.0], [1.0], [1.0], [1.0], [2.0]], &fine).contains("equal"));
        assert!(run(&array![[1.0], [1.0], [1.0]], &fine).contains("column 1 is constant"));
        let x = array![[1.0], [2.0], [4.0]];
        assert!(run(&x, &KsdConfig { group: 1, ..fine.clone() }).starts_with("group"));
        assert!(run(&x, &KsdConfig { bootstrap: 0, ..fine }).starts_with("bootstrap"));
    }

    /// A score so wrong that no draw comes near: the smallest p-value there is, one of 19 draws and itself.
    #[test]
    fn the_least_p_value_counts_the_statistic_itself() {
        let p = Gaussian::standard(1).unwrap();
        let wrong = Changed { score: &p, factor: 4.0, shift: Array1::zeros(1) };
        let config = KsdConfig { bootstrap: 19, ..KsdConfig::default() };
        assert_eq!(p_value(&p, &wrong, 300, 2, &config), 0.05);
    }

    /// Seven rows in groups of at most three: rows 0 and 1, 2 and 3, 4 to 6, and only pairs within them.
    #[test]
    fn groups_are_runs_of_rows() {
        let p = Gaussian::standard(2).unwrap();
        let of = |n: usize, group: usize| {
            let x = p.sample(n, &mut ChaCha8Rng::seed_from_u64(3));
            let config = KsdConfig { group, bootstrap: 1, ..KsdConfig::default() };
            let mut rng = ChaCha8Rng::seed_from_u64(4);
            (kernel_stein_discrepancy(&p, x.view(), &config, &mut rng).unwrap(), x)
        };
        let (found, x) = of(7, 3);
        let (z, sd) = standardise(x.view()).unwrap();
        let s = p.score(x.view()) * &sd;
        let u =
            SteinRows::new(z.view(), s.view()).tile(0..7, 0..7, SteinKernel::Imq, found.bandwidth);
        let sum = u[[0, 1]] + u[[2, 3]] + u[[4, 5]] + u[[4, 6]] + u[[5, 6]];
        assert!((found.squared - sum / 5.0).abs() < 1e-12, "{} {}", found.squared, sum / 5.0);
        let groups = |n, group| of(n, group).0.groups;
        // Every group has two rows at least.
        let counts = [(7, 3), (7, 2), (4, 2), (3, 2), (5, 5), (6, 5)].map(|(n, g)| groups(n, g));
        assert_eq!(counts, [3, 3, 2, 1, 1, 2]);
    }
}
