//! The banana, a Gaussian bent along a parabola (Rosenbrock's valley; Haario et al. 1999).
//!
//! x_1 ~ N(0, a^2); x_2 | x_1 ~ N(b (x_1^2 - a^2), c^2); further columns N(0, 1). The bend has unit
//! Jacobian, so p is normalized as it stands. With e = x_2 - b (x_1^2 - a^2):
//!
//! ```text
//! log p     = -x_1^2/(2a^2) - e^2/(2c^2) - log(a c) - log(2 pi) + sum_{j>2} log N(x_j; 0, 1)
//! s_1       = -x_1/a^2 + 2 b x_1 e / c^2        (de/dx_1 = -2 b x_1)
//! s_2       = -e / c^2
//! s_j       = -x_j                               (j > 2)
//! tr grad s = [-1/a^2 + (2 b e - 4 b^2 x_1^2)/c^2] - 1/c^2 - (d - 2)
//! ```
//!
//! E[x_2] = 0, because E[x_1^2] = a^2.

use super::{LN_2PI, ReferenceDensity, map_rows, map_rows_into};
use crate::error::{Error, Result};
use crate::score::{LogDensity, Score, ScoreTrace};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// The banana density; see the formulas at the top of its file.
#[derive(Debug, Clone)]
pub struct Banana {
    dim: usize,
    a: f64,
    b: f64,
    c: f64,
}

impl Banana {
    /// `dim` >= 2 columns, `a` the standard deviation along the valley, `b` its bend (per unit of
    /// x_1 squared, any sign), `c` the standard deviation across it.
    ///
    /// # Errors
    /// [`Error::Config`] naming the setting that is out of range.
    pub fn new(dim: usize, a: f64, b: f64, c: f64) -> Result<Self> {
        if dim < 2 {
            return Err(Error::config("dim", "a banana has at least 2 columns"));
        }
        for (name, value) in [("a", a), ("c", c)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::config(name, "must be positive and finite"));
            }
        }
        if !b.is_finite() {
            return Err(Error::config("b", "must be finite"));
        }
        Ok(Self { dim, a, b, c })
    }

    /// e = x_2 - b (x_1^2 - a^2), the distance from the valley's floor.
    fn offset(&self, x: &ArrayView1<'_, f64>) -> f64 {
        x[1] - self.b * (x[0] * x[0] - self.a * self.a)
    }
}

impl Score for Banana {
    fn dim(&self) -> usize {
        self.dim
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        let (a2, c2) = (self.a * self.a, self.c * self.c);
        map_rows_into(x, |x, mut s| {
            let e = self.offset(&x);
            s.assign(&x.mapv(|v| -v));
            s[0] = -x[0] / a2 + 2.0 * self.b * x[0] * e / c2;
            s[1] = -e / c2;
        })
    }
}

impl ScoreTrace for Banana {
    fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        let (a2, c2, b) = (self.a * self.a, self.c * self.c, self.b);
        map_rows(x, |x| {
            let e = self.offset(&x);
            -1.0 / a2 + (2.0 * b * e - 4.0 * b * b * x[0] * x[0] - 1.0) / c2 - (self.dim - 2) as f64
        })
    }
}

impl LogDensity for Banana {
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        let constant = -(self.a * self.c).ln() - 0.5 * self.dim as f64 * LN_2PI;
        map_rows(x, |x| {
            let rest: f64 = x.iter().skip(2).map(|v| v * v).sum();
            let (along, across) = (x[0] / self.a, self.offset(&x) / self.c);
            constant - 0.5 * (along * along + across * across + rest)
        })
    }
}

impl ReferenceDensity for Banana {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Array2<f64> {
        let mut x: Array2<f64> =
            Array2::from_shape_simple_fn((n, self.dim), || StandardNormal.sample(rng));
        for mut row in x.outer_iter_mut() {
            row[0] *= self.a;
            row[1] = self.b * (row[0] * row[0] - self.a * self.a) + self.c * row[1];
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn derivatives_match_differences(
            a in 0.5f64..2.0,
            b in -1.0f64..1.0,
            c in 0.4f64..2.0,
            x in prop::collection::vec(-2.0f64..2.0, 6),
        ) {
            let p = Banana::new(3, a, b, c).unwrap();
            check::derivatives(&p, Array2::from_shape_vec((2, 3), x).unwrap().view(), 1.0);
        }
    }

    #[test]
    fn integrates_to_one() {
        let p = Banana::new(2, 1.0, 0.5, 0.6).unwrap();
        assert!((check::integral(&p, 16.0, 500) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn satisfies_stein_identities() {
        check::stein(&Banana::new(3, 1.0, 0.5, 0.7).unwrap(), 20_000, 1);
    }

    #[test]
    fn refuses_bad_settings() {
        assert!(Banana::new(1, 1.0, 1.0, 1.0).is_err());
        assert!(Banana::new(2, 0.0, 1.0, 1.0).is_err());
        assert!(Banana::new(2, 1.0, f64::NAN, 1.0).is_err());
        assert!(Banana::new(2, 1.0, 1.0, -1.0).is_err());
    }
}
