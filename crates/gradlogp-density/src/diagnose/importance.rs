//! The mean of weights given by their logarithms, with its uncertainty. MATH (36).
//!
//! For independent weights w_i = exp(l_i):
//!
//! ```text
//! log mean w        = logsumexp(l) - log n
//! standard error    = sd(w) / (sqrt(n) mean w)            (of the logarithm, to first order)
//! effective size    = (sum w)^2 / sum w^2                 (Kong 1992), between 1 and n
//! ```
//!
//! The mean is unbiased for E w, its logarithm is on average too small (Jensen): a lower bound that tightens
//! with the effective size. Where a few weights dominate, the standard error is too small: look at the
//! effective size first.

use ndarray::ArrayView1;

/// log E w, estimated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogMean {
    /// log of the mean weight.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Effective number of weights.
    pub effective_size: f64,
    /// Weights.
    pub n: usize,
}

impl LogMean {
    /// From log weights; minus infinity is a weight of 0, NaN makes everything NaN.
    ///
    /// ```
    /// use gradlogp_density::diagnose::LogMean;
    ///
    /// let found = LogMean::of(ndarray::array![1000.0, 1000.0 + 3f64.ln()].view());
    /// assert!((found.value - 1000.0 - 2f64.ln()).abs() < 1e-12);
    /// // Weights 1 and 3: (1 + 3)^2 / (1 + 9); sd sqrt 2, over sqrt 2 times the mean 2.
    /// assert!((found.effective_size - 1.6).abs() < 1e-12);
    /// assert!((found.standard_error - 0.5).abs() < 1e-12);
    /// ```
    pub fn of(log_weights: ArrayView1<'_, f64>) -> Self {
        let n = log_weights.len();
        let largest = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights = log_weights.mapv(|l| (l - largest).exp());
        let (sum, squares) = (weights.sum(), weights.mapv(|w| w * w).sum());
        let mean = sum / n as f64;
        let variance = weights.mapv(|w| (w - mean).powi(2)).sum() / (n as f64 - 1.0);
        LogMean {
            value: largest + mean.ln(),
            standard_error: (variance / n as f64).sqrt() / mean,
            effective_size: sum * sum / squares,
            n,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, array};

    #[test]
    fn equal_weights_and_weights_of_zero() {
        let found = LogMean::of(array![-5.0, -5.0, -5.0, -5.0].view());
        assert_eq!((found.value, found.standard_error, found.effective_size), (-5.0, 0.0, 4.0));
        let half = LogMean::of(array![0.0, f64::NEG_INFINITY].view());
        assert!((half.value + 2f64.ln()).abs() < 1e-15);
        assert_eq!(half.effective_size, 1.0);
    }

    /// The spread of log means over repetitions is the standard error that one of them states.
    #[test]
    fn standard_error_is_the_spread_over_repetitions() {
        use rand::{RngExt, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(2);
        let mut once = || {
            let l =
                Array1::from_shape_fn(500, |_| rng.sample::<f64, _>(rand_distr::StandardNormal));
            LogMean::of((l * 0.7).view())
        };
        let found: Vec<LogMean> = (0..300).map(|_| once()).collect();
        let values: Array1<f64> = found.iter().map(|f| f.value).collect();
        let stated = found.iter().map(|f| f.standard_error).sum::<f64>() / 300.0;
        // log E exp(0.7 z) = 0.245; the spread over 300 is known to 4%.
        assert!((values.mean().unwrap() - 0.245).abs() < 4.0 * stated / 300f64.sqrt());
        assert!((values.std(1.0) / stated - 1.0).abs() < 0.15, "{} {stated}", values.std(1.0));
    }

    /// Weights 1, 3 and 8 times e^700: mean 4, squares 9 + 1 + 16 over 2.
    #[test]
    fn by_hand() {
        let l = array![1f64, 3.0, 8.0].mapv(|w| 700.0 + w.ln());
        let found = LogMean::of(l.view());
        assert!((found.value - 700.0 - 4f64.ln()).abs() < 1e-12);
        assert!((found.standard_error - (13.0f64 / 3.0).sqrt() / 4.0).abs() < 1e-12);
        assert!((found.effective_size - 144.0 / 74.0).abs() < 1e-12);
        assert_eq!(found.n, 3);
    }
}
