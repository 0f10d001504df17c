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
//! negative). E u = 0 exactly where s is the score of the rows' density. Columns are standardized by
//! the rows, so that nothing depends on units; h is the median distance of standardized rows.
//!
//! **p-value.** The wild bootstrap: signs e_i of +1 and -1 by chance turn the statistic into a draw from
//! its distribution under the true score, sum e_i e_j u_ij; p = (1 + draws at least as large) / (1 + draws).
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
use super::{check_rows, finite_score, standardize};
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
    /// The squared discrepancy (U-statistic), of standardized columns; about 0 for the true score.
    pub squared: f64,
    /// Chance of so large a value under the true score.
    pub p_value: f64,
    /// h, in standardized columns.
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
/// use gradlogp_density::diagnose::{KsdConfig, kernel_stein_discrepancy};
/// use gradlogp_density::reference::{Gaussian, ReferenceDensity};
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
/// # Ok::<(), gradlogp_density::Error>(())
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
    let (z, sd) = standardize(x)?;
    let score = finite_score("kernel Stein discrepancy", score, x)? * &sd;
    let bandwidth = median_distance(z.view()).ok_or_else(|| {
        let message = "half of the pairs of rows are equal: dequantize, or leave out duplicates";
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
mod tests;
