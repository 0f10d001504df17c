//! How much of a score's Fisher divergence its held-out rows show: what the best correction of a family takes away.
//!
//! For a correction g the score s - g is nearer to the true s* than s by
//!
//! ```text
//! E|s - s*|^2 - E|s - g - s*|^2 = 2 E[s.g + div g] - E|g|^2        (integration by parts: E[s*.g] = -E[div g])
//! ```
//!
//! which needs no truth. Over g = sum_k w_k f_k it is greatest at w = A^-1 b with b = E[s.f + div f] and A = E[f f^T], where it
//! is q = b^T A^-1 b: the part of s - s* that lies in the span of the f_k, so **never more than E|s - s*|^2**. The
//! families, in columns z of unit standard deviation:
//!
//! - *scale*: g = w s, the best multiple of the score; b = E[|s|^2 + div s], A = E|s|^2;
//! - *local scale*: g = psi(z) s, psi a sum of waves: too flat in one place, too steep in another;
//! - *affine*: g = W z + w, all entries of E[s z^T] = -I and of E[s] = 0 in one number; where the rows are too few for it, W is
//!   diagonal;
//! - *smooth*: g = W psi(z), psi the affine functions and random Fourier features of two widths.
//!
//! With u_i = s.f + div f at row i, whitened by A (of the rows, with a small ridge), q is estimated without bias by the
//! U-statistic over pairs of different rows,
//!
//! ```text
//! q = sum_{i != j} u_i.u_j / (n (n - 1)),    p_i = sum_{j != i} u_i.u_j / (n - 1),    se^2 = 4 Var(p_i) / n
//! ```
//!
//! the last being the jackknife's, a little too large where q = 0. So q - t se is a lower bound of the divergence, and q + t se
//! bounds what a fault *of this family* could hide. No statistic bounds what lies outside of all of them.
//!
//! Relative to E|s*|^2 = E|s - s*|^2 - 2 J(s) >= q - 2 J(s), and at least tr Cov^-1 (the information of a Gaussian).
//!
//! References: Hyvarinen (2005) for J; Liu, Lee, Jordan (2016), whose kernel statistic this is for the kernel f^T A^-1 f.

use std::fmt;

use super::Estimate;
use super::fourier::Waves;
use crate::error::{Error, Result};
use crate::linear::Cholesky;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, concatenate, s};
use rand::Rng;

/// Most rows that are looked at, evenly spaced.
const ROWS: usize = 4000;
/// Rows to every affine function, at least: A comes from the same rows, and with few of them the estimate is too large.
const ROWS_PER_FUNCTION: usize = 10;
/// Rows to every wave, at least, and the most of them.
const ROWS_PER_WAVE: usize = 30;
const WAVES: usize = 100;
/// Rows below which a smooth correction is made of wide waves alone: narrow ones would drown it in noise.
const ROWS_FOR_NARROW: usize = 1000;
/// Of the mean diagonal of A.
const RIDGE: f64 = 1e-4;

/// A family of corrections of a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Correction {
    /// Another multiple.
    Scale,
    /// Another multiple in every place.
    LocalScale,
    /// An affine function added.
    Affine,
    /// A smooth function added.
    Smooth,
}

impl fmt::Display for Correction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Correction::Scale => "one factor",
            Correction::LocalScale => "a factor in every place",
            Correction::Affine => "an affine function",
            Correction::Smooth => "a smooth function",
        })
    }
}

/// What the best correction of a family takes away.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Explained {
    /// The family.
    pub correction: Correction,
    /// Of E|s - s*|^2, in columns of unit standard deviation.
    pub divergence: Estimate,
    /// The same over E|s*|^2.
    pub relative: Estimate,
}

/// What [`corrections`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Corrections {
    /// Of every family that the rows are enough for.
    pub explained: Vec<Explained>,
    /// What E|s*|^2 is at least, by its estimate.
    pub information: f64,
}

impl Corrections {
    /// The one that takes away most.
    pub fn most(&self) -> Option<&Explained> {
        self.explained.iter().max_by(|a, b| a.relative.mean.total_cmp(&b.relative.mean))
    }
}

/// Looks for corrections of a score. Of every row: `z`, its columns in units of their standard deviations (n x d),
/// `score`, that of z (n x d), and `loss`, MATH (4) in the same units; `given`, the condition at which the score
/// answers (n x w), w = 0 for a score without.
///
/// ```
/// use gradlogp_density::diagnose::{corrections, exact_loss_rows};
/// use gradlogp_density::reference::{Gaussian, ReferenceDensity};
/// use gradlogp_density::score::Score;
/// use ndarray::Array2;
/// use rand::SeedableRng;
///
/// let p = Gaussian::standard(2)?;
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
/// let z = p.sample(2000, &mut rng);
/// // Twice the true score is as far from it as the score 0 is.
/// let (s, trace) = (p.score(z.view()) * 2.0, -4.0);
/// let loss = s.map_axis(ndarray::Axis(1), |s| 0.5 * s.dot(&s) + trace);
/// let none = Array2::zeros((2000, 0));
/// let found = corrections(z.view(), s.view(), loss.view(), none.view(), &mut rng)?;
/// assert!((found.most().unwrap().relative.mean - 1.0).abs() < 0.1);
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] where rows or columns differ, [`Error::TooFewRows`] for fewer than 3 rows, [`Error::Numerical`] for a value
/// that is not finite.
pub fn corrections(
    z: ArrayView2<'_, f64>,
    score: ArrayView2<'_, f64>,
    loss: ArrayView1<'_, f64>,
    given: ArrayView2<'_, f64>,
    rng: &mut dyn Rng,
) -> Result<Corrections> {
    const OPERATION: &str = "corrections of a score";
    let (n, d) = z.dim();
    if score.dim() != (n, d) || loss.len() != n || given.nrows() != n {
        let found = vec![score.nrows(), score.ncols(), loss.len(), given.nrows()];
        return Err(Error::Shape { operation: OPERATION, expected: vec![n, d, n, n], found });
    }
    if n < 3 {
        return Err(Error::TooFewRows { operation: OPERATION, found: n, least: 3 });
    }
    let mean_loss = loss.mean().unwrap_or(f64::NAN);
    let every = n.div_ceil(ROWS) as isize;
    let thin = |rows: ArrayView2<'_, f64>| rows.slice_move(s![..;every, ..]).to_owned();
    let (z, score, given) = (thin(z), thin(score), thin(given));
    let square = score.map_axis(Axis(1), |s| s.dot(&s));
    // |s|^2 + div s
    let identity = &loss.slice(s![..;every]) + &(&square * 0.5);
    if !mean_loss.is_finite() || identity.iter().chain(&z).chain(&given).any(|v| !v.is_finite()) {
        let message = "the score or its loss is not finite on some rows".into();
        return Err(Error::Numerical { operation: OPERATION, message });
    }
    let rows = Rows { z, score, square, identity, given };
    let mut found = vec![(Correction::Scale, rows.scale())];
    found.extend(rows.local_scale(rng).map(|q| (Correction::LocalScale, q)));
    found.extend(rows.affine().map(|q| (Correction::Affine, q)));
    found.extend(rows.smooth(rng).map(|q| (Correction::Smooth, q)));
    let most = found.iter().map(|(_, q)| q.mean).fold(0.0, f64::max);
    let information = (most - 2.0 * mean_loss).max(rows.gaussian_information());
    let relative = |q: &Estimate| Estimate {
        mean: q.mean / information,
        standard_error: q.standard_error / information,
        n: q.n,
    };
    let explained = found
        .into_iter()
        .map(|(correction, divergence)| Explained {
            correction,
            divergence,
            relative: relative(&divergence),
        })
        .collect();
    Ok(Corrections { explained, information })
}

struct Rows {
    z: Array2<f64>,
    score: Array2<f64>,
    square: Array1<f64>,
    identity: Array1<f64>,
    given: Array2<f64>,
}

/// Functions psi of the rows (n x k), and their slopes along a column of z or along the score, by the call.
struct Functions {
    values: Array2<f64>,
    /// W with psi W white under its weights.
    whitening: Array2<f64>,
}

impl Functions {
    /// None where there are too few rows for so many.
    fn new(values: Array2<f64>, weights: Option<&Array1<f64>>) -> Option<Self> {
        let (n, k) = values.dim();
        if k == 0 || n < ROWS_PER_FUNCTION * k {
            return None;
        }
        let weighted = match weights {
            Some(weights) => &values * &weights.view().insert_axis(Axis(1)),
            None => values.clone(),
        };
        let a = values.t().dot(&weighted) / n as f64;
        let ridge = RIDGE * a.diag().sum() / k as f64;
        let entry = |i: usize, j: usize| a[[i, j]] + if i == j { ridge } else { 0.0 };
        let lower = Cholesky::new(k, &entry)?.lower();
        Some(Functions { values, whitening: inverse_of_transpose(&lower) })
    }

    fn white(&self, u: &Array2<f64>) -> Array2<f64> {
        u.dot(&self.whitening)
    }
}

/// L^-T of a lower triangle.
fn inverse_of_transpose(lower: &Array2<f64>) -> Array2<f64> {
    let k = lower.nrows();
    // Columns of L^-1, by substitution; its transpose is what is returned.
    let mut out = Array2::<f64>::zeros((k, k));
    for j in 0..k {
        for i in j..k {
            let known: f64 = (j..i).map(|m| lower[[i, m]] * out[[j, m]]).sum();
            let target = if i == j { 1.0 } else { 0.0 };
            out[[j, i]] = (target - known) / lower[[i, i]];
        }
    }
    out
}

/// The U-statistic, from vectors u_i that come in blocks of their entries.
struct Pairs {
    /// sum_j u_i.u_j - |u_i|^2
    others: Array1<f64>,
}

impl Pairs {
    fn new(n: usize) -> Self {
        Pairs { others: Array1::zeros(n) }
    }

    fn add(&mut self, u: &Array2<f64>) {
        let sum = u.sum_axis(Axis(0));
        self.others += &u.dot(&sum);
        self.others -= &u.map_axis(Axis(1), |u| u.dot(&u));
    }

    fn estimate(self) -> Estimate {
        let n = self.others.len();
        let projections = self.others / (n as f64 - 1.0);
        let found = Estimate::of(projections.view());
        Estimate { standard_error: 2.0 * found.standard_error, ..found }
    }
}

impl Rows {
    fn len(&self) -> usize {
        self.z.nrows()
    }

    /// How many waves the rows are enough for.
    fn waves(&self) -> usize {
        WAVES.min(self.len() / ROWS_PER_WAVE)
    }

    fn scale(&self) -> Estimate {
        let a = self.square.mean().unwrap_or(0.0);
        let mut pairs = Pairs::new(self.len());
        if a > 0.0 {
            pairs.add(&(&self.identity / a.sqrt()).insert_axis(Axis(1)));
        }
        pairs.estimate()
    }

    /// u = psi (|s|^2 + div s) + grad psi.s
    fn local_scale(&self, rng: &mut dyn Rng) -> Option<Estimate> {
        let half = self.waves() / 2;
        if half == 0 {
            return None;
        }
        let waves = Waves::draw(self.z.view(), (half, half), rng);
        let angles = waves.angles(self.z.view());
        let ones = Array2::ones((self.len(), 1));
        let values = concatenate![Axis(1), ones, angles.mapv(f64::cos)];
        let along = self.score.dot(&waves.frequencies()) * angles.mapv(|a| -a.sin());
        let along = concatenate![Axis(1), Array2::zeros((self.len(), 1)), along];
        let functions = Functions::new(values, Some(&self.square))?;
        let u = &functions.values * &self.identity.view().insert_axis(Axis(1)) + along;
        let mut pairs = Pairs::new(self.len());
        pairs.add(&functions.white(&u));
        Some(pairs.estimate())
    }

    /// 1, z and the condition.
    fn affine_functions(&self) -> Array2<f64> {
        concatenate![Axis(1), Array2::ones((self.len(), 1)), self.z, standardized(&self.given)]
    }

    fn affine(&self) -> Option<Estimate> {
        match Functions::new(self.affine_functions(), None) {
            Some(functions) => {
                let slope = |j: usize| {
                    let mut slopes = Array2::zeros(functions.values.dim());
                    slopes.column_mut(1 + j).fill(1.0);
                    slopes
                };
                Some(self.added(&functions, &slope))
            }
            None => self.by_column(),
        }
    }

    /// 1 and the column itself, for the score of each column.
    fn by_column(&self) -> Option<Estimate> {
        let mut pairs = Pairs::new(self.len());
        for j in 0..self.z.ncols() {
            let column = self.z.slice(s![.., j..j + 1]);
            let ones = Array2::ones((self.len(), 1));
            let functions = Functions::new(concatenate![Axis(1), ones, column], None)?;
            let slopes = concatenate![Axis(1), Array2::zeros((self.len(), 1)), ones];
            pairs.add(&functions.white(&(self.of_column(&functions, j) + slopes)));
        }
        Some(pairs.estimate())
    }

    fn smooth(&self, rng: &mut dyn Rng) -> Option<Estimate> {
        let affine = self.affine_functions();
        let all = self.waves();
        if all == 0 {
            return None;
        }
        let narrow = if self.len() < ROWS_FOR_NARROW { 0 } else { all / 2 };
        let place = concatenate![Axis(1), self.z, standardized(&self.given)];
        let waves = Waves::draw(place.view(), (all - narrow, narrow), rng);
        let angles = waves.angles(place.view());
        let values = concatenate![Axis(1), affine, angles.mapv(f64::cos)];
        let functions = Functions::new(values, None)?;
        let sines = angles.mapv(|a| -a.sin());
        let slope = |j: usize| {
            let mut linear = Array2::zeros(affine.dim());
            linear.column_mut(1 + j).fill(1.0);
            concatenate![Axis(1), linear, &sines * &waves.frequencies().row(j)]
        };
        Some(self.added(&functions, &slope))
    }

    fn of_column(&self, functions: &Functions, j: usize) -> Array2<f64> {
        &functions.values * &self.score.slice(s![.., j..j + 1])
    }

    /// Of every function in the score of every column: u = s_j psi + d_j psi.
    fn added(&self, functions: &Functions, slope: &dyn Fn(usize) -> Array2<f64>) -> Estimate {
        let mut pairs = Pairs::new(self.len());
        for j in 0..self.z.ncols() {
            pairs.add(&functions.white(&(self.of_column(functions, j) + slope(j))));
        }
        pairs.estimate()
    }

    /// tr Cov^-1 without the bias of an inverse, (n - d - 2)/(n - 1); where the rows are too few for it or too much alike, that
    /// of the variances alone, which is less.
    fn gaussian_information(&self) -> f64 {
        let (n, d) = self.z.dim();
        let free = |parameters: usize| (n as f64 - parameters as f64 - 2.0) / (n as f64 - 1.0);
        let centred = &self.z - &self.z.mean_axis(Axis(0)).unwrap_or_default();
        let covariance = centred.t().dot(&centred) / (n as f64 - 1.0);
        let factor = match n < ROWS_PER_FUNCTION * (d + 1) {
            true => None,
            false => Cholesky::new(d, &|i, j| covariance[[i, j]]),
        };
        match factor {
            Some(factor) => factor.inverse().diag().sum() * free(d),
            None => covariance.diag().mapv(f64::recip).sum() * free(1).max(0.0),
        }
    }
}

/// Columns of width 1, those that vary.
fn standardized(columns: &Array2<f64>) -> Array2<f64> {
    let mean = columns.mean_axis(Axis(0)).unwrap_or_default();
    let sd = columns.std_axis(Axis(0), 1.0);
    let keep: Vec<usize> = (0..columns.ncols()).filter(|j| sd[*j] > 0.0).collect();
    ((columns - &mean) / &sd).select(Axis(1), &keep)
}

#[cfg(test)]
mod tests;
