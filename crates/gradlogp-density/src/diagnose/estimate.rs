//! A mean with its standard error.

use ndarray::ArrayView1;

/// A mean over rows, with its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Its standard error, sd / sqrt(n), sd with divisor n - 1; NaN for fewer than two rows.
    pub standard_error: f64,
    /// Rows.
    pub n: usize,
}

impl Estimate {
    /// The mean of `values`, taken as independent. NaN where there are none.
    ///
    /// ```
    /// use gradlogp_density::diagnose::Estimate;
    ///
    /// let found = Estimate::of(ndarray::array![1.0, 3.0].view());
    /// assert_eq!((found.mean, found.standard_error, found.n), (2.0, 1.0, 2));
    /// ```
    pub fn of(values: ArrayView1<'_, f64>) -> Self {
        let n = values.len();
        let mean = values.mean().unwrap_or(f64::NAN);
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let variance = if n > 1 { squares / (n - 1) as f64 } else { f64::NAN };
        Self { mean, standard_error: (variance / n as f64).sqrt(), n }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn estimates_by_hand() {
        let found = Estimate::of(array![1.0, 2.0, 6.0].view());
        assert_eq!((found.mean, found.n), (3.0, 3));
        // Squares 4 + 1 + 9 over 2, over 3 rows.
        assert!((found.standard_error - (7.0f64 / 3.0).sqrt()).abs() < 1e-15);
        let one = Estimate::of(array![5.0].view());
        assert!(one.mean == 5.0 && one.standard_error.is_nan());
        assert!(Estimate::of(array![].view()).mean.is_nan());
    }
}
