//! Finite differences in place of derivatives (Pang et al. 2020; MATH (5)): how wide the step is.
//!
//! A central difference over h along a unit direction is wrong in two ways. Let the k-th derivative of
//! the function along the direction be of size F / L^k, L its length scale, and
//! let every value be rounded to F (1 +- u), u the unit roundoff. Then
//!
//! | difference | truncation, relative to F | rounding | sum is least at |
//! |---|---|---|---|
//! | \[f(+h) - f(-h)\] / (2h) | h^2 / (6 L^3) | u / h | h = L (3u)^(1/3) |
//! | \[f(+h) + f(-h) - 2 f(0)\] / h^2 | h^2 / (12 L^4) | 4u / h^2 | h = L (48u)^(1/4) |
//!
//! Columns are standardized, so L = 1 stands for "about the width of the data". In f32
//! (u = 2^-24) that is h = 0.0056 for first and 0.041 for second differences, with relative errors of
//! about 2e-5 and 3e-4; the fixed h = 0.1 of the literature has more of the first kind, a much
//! smaller one drowns second differences in rounding. Slices are |v| = sqrt(d) long, so eps = h / sqrt(d).

use gradlogp_numeric::Real;

/// Central differences along random slices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Differences {
    /// M.
    pub slices: usize,
    /// eps of x +- eps v; None balances truncation and rounding.
    pub eps: Option<f64>,
}

/// Which derivative a difference stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceOrder {
    /// First derivatives only.
    First,
    /// Second derivatives.
    Second,
}

impl Differences {
    /// eps for `dim` columns: as set, else the balanced one for values of type `T`.
    ///
    /// ```
    /// use gradlogp::objective::{DifferenceOrder, Differences};
    ///
    /// let automatic = Differences { slices: 1, eps: None };
    /// let h = automatic.eps::<f32>(4, DifferenceOrder::Second) * 2.0; // |v| = sqrt(4)
    /// assert!((h - 0.0411).abs() < 1e-4);
    /// ```
    pub fn eps<T: Real>(&self, dim: usize, order: DifferenceOrder) -> f64 {
        let width = match order {
            DifferenceOrder::First => (3.0 * T::ROUNDOFF).cbrt(),
            DifferenceOrder::Second => (48.0 * T::ROUNDOFF).sqrt().sqrt(),
        };
        self.eps.unwrap_or(width / (dim as f64).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// h = (3u)^(1/3) and (48u)^(1/4), over sqrt d; u is 2^-24 in f32 and 2^-53 in f64.
    #[test]
    fn steps_by_hand() {
        let eps = Differences { slices: 1, eps: None };
        for (found, expected) in [
            (eps.eps::<f32>(1, DifferenceOrder::First), 5.633_787_384e-3),
            (eps.eps::<f32>(4, DifferenceOrder::Second), 0.041_127_312_90 / 2.0),
            (eps.eps::<f64>(9, DifferenceOrder::First), 6.931_764_957e-6 / 3.0),
            (eps.eps::<f64>(1, DifferenceOrder::Second), 2.701_860_155e-4),
        ] {
            assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
        }
        let set = Differences { slices: 1, eps: Some(0.1) };
        assert_eq!(set.eps::<f32>(9, DifferenceOrder::First), 0.1);
    }
}
