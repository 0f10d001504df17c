//! The Kolmogorov-Smirnov test of two samples, one column at a time. MATH (34).
//!
//! D = sup |F_a - F_b| of the empirical distribution functions. With N = n m / (n + m) and
//! lambda = (sqrt N + 0.12 + 0.11 / sqrt N) D (Stephens 1970),
//!
//! ```text
//! p = 2 sum_{k>=1} (-1)^(k-1) exp(-2 k^2 lambda^2)
//! ```
//!
//! asymptotically. Where n m <= 4,000,000 p is exact instead: of all ways to order two samples of one
//! continuous distribution, each as likely as any other, the share in which D is at least as large (Hodges
//! 1957). Reading the pooled values upwards is a lattice path from (0, 0) to (n, m), and with f(i, j) the share
//! of paths to (i, j) that stay where |i/n - j/m| < D,
//!
//! ```text
//! f(i, j) = i/(i + j) f(i-1, j) + j/(i + j) f(i, j-1),   p = 1 - f(n, m)
//! ```
//!
//! D takes few values, and so does p: the chance of p <= a is at most a, and less between those values. For ties
//! p is too large, never too small.

use crate::error::{Error, Result};
use ndarray::ArrayView2;
use std::f64::consts::PI;

/// What a Kolmogorov-Smirnov test found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KolmogorovSmirnov {
    /// D, in [0, 1].
    pub distance: f64,
    /// Chance of so large a D for samples from the same distribution.
    pub p_value: f64,
}

/// D = sup |F_a - F_b|, in [0, 1]; NaN if one sample is empty. Values must not be NaN.
///
/// ```
/// assert_eq!(gradlogp_density::diagnose::ks_distance(&[1.0, 2.0, 3.0, 4.0], &[2.0, 3.0, 4.0, 5.0]), 0.25);
/// ```
pub fn ks_distance(a: &[f64], b: &[f64]) -> f64 {
    if a.is_empty() || b.is_empty() {
        return f64::NAN;
    }
    let sorted = |values: &[f64]| {
        let mut out = values.to_vec();
        out.sort_by(f64::total_cmp);
        out
    };
    let (a, b) = (sorted(a), sorted(b));
    let (mut i, mut j, mut largest) = (0, 0, 0.0_f64);
    while i < a.len() && j < b.len() {
        let v = a[i].min(b[j]);
        i += a[i..].iter().take_while(|&&u| u <= v).count();
        j += b[j..].iter().take_while(|&&u| u <= v).count();
        largest = largest.max((i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs());
    }
    largest
}

/// The chance that lambda is exceeded: Kolmogorov's distribution.
///
/// ```
/// // 1.3581 is its 95% quantile.
/// assert!((gradlogp_density::diagnose::kolmogorov_tail(1.3581) - 0.05).abs() < 1e-5);
/// ```
pub fn kolmogorov_tail(lambda: f64) -> f64 {
    if lambda.is_nan() {
        return f64::NAN;
    }
    if lambda <= 0.0 {
        return 1.0;
    }
    let sum = |term: &dyn Fn(f64) -> f64| (1..=20).map(|k| term(f64::from(k))).sum::<f64>();
    if lambda < 1.18 {
        // The other form of the same distribution (Jacobi's identity), which converges where this one does not.
        let a = PI * PI / (8.0 * lambda * lambda);
        let below = sum(&|k| (-(2.0 * k - 1.0).powi(2) * a).exp());
        return (1.0 - (2.0 * PI).sqrt() / lambda * below).clamp(0.0, 1.0);
    }
    let signed = |k: f64| {
        let term = (-2.0 * k * k * lambda * lambda).exp();
        if k % 2.0 == 1.0 { term } else { -term }
    };
    (2.0 * sum(&signed)).clamp(0.0, 1.0)
}

/// The test of two samples of one column.
pub fn kolmogorov_smirnov(a: &[f64], b: &[f64]) -> KolmogorovSmirnov {
    let distance = ks_distance(a, b);
    let (n, m) = (a.len() as f64, b.len() as f64);
    let p_value = match n * m <= EXACT {
        true => exact_tail(a.len(), b.len(), distance),
        false => {
            let root = (n * m / (n + m)).sqrt();
            kolmogorov_tail((root + 0.12 + 0.11 / root) * distance)
        }
    };
    KolmogorovSmirnov { distance, p_value }
}

/// Most n m for which p is exact: some milliseconds.
const EXACT: f64 = 4e6;

/// The chance that D is at least `distance` for samples of n and m values of one continuous distribution.
fn exact_tail(n: usize, m: usize, distance: f64) -> f64 {
    if n == 0 || m == 0 || distance.is_nan() {
        return f64::NAN;
    }
    // D is a multiple of 1/(n m): half of one separates below from at least.
    let (rise, run) = (1.0 / n as f64, 1.0 / m as f64);
    let least = distance - 0.5 * rise * run;
    let inside = |i: usize, j: usize| (i as f64 * rise - j as f64 * run).abs() < least;
    let mut share = vec![0.0; m + 1];
    for i in 0..=n {
        for j in 0..=m {
            share[j] = match (i, j) {
                _ if !inside(i, j) => 0.0,
                (0, 0) => 1.0,
                (0, _) => share[j - 1],
                (_, 0) => share[0],
                _ => {
                    let (up, right) = (i as f64, j as f64);
                    (up * share[j] + right * share[j - 1]) / (up + right)
                }
            };
        }
    }
    (1.0 - share[m]).clamp(0.0, 1.0)
}

/// The test that values are independent draws from the uniform distribution on [0, 1], as p-values should be:
/// D = sup |F - u|, with N = n.
pub fn ks_uniform(values: &[f64]) -> KolmogorovSmirnov {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = values.len() as f64;
    let gap = |(i, u): (usize, &f64)| (u - i as f64 / n).max((i + 1) as f64 / n - u);
    let distance = sorted.iter().enumerate().map(gap).fold(0.0, f64::max);
    let root = n.sqrt();
    KolmogorovSmirnov { distance, p_value: kolmogorov_tail((root + 0.12 + 0.11 / root) * distance) }
}

/// [`kolmogorov_smirnov`] of every column of x (n x d) and y (m x d): d tests.
///
/// # Errors
/// [`Error::Shape`] where columns differ, [`Error::TooFewRows`] where a side is empty, [`Error::Data`] for a
/// value that is not a number.
pub fn column_tests(
    x: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
) -> Result<Vec<KolmogorovSmirnov>> {
    super::check_pair("Kolmogorov-Smirnov test", x, y, 1)?;
    if x.iter().chain(y).any(|v| v.is_nan()) {
        return Err(Error::data("rows to compare", "there is a value that is not a number"));
    }
    let test = |j: usize| kolmogorov_smirnov(&x.column(j).to_vec(), &y.column(j).to_vec());
    Ok((0..x.ncols()).map(test).collect())
}

#[cfg(test)]
mod tests;
