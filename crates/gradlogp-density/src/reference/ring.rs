//! A ring in the plane: uniform angle, radius r > 0 with density proportional to
//! exp(-(r - R)^2/(2 w^2)).
//!
//! Spreading the radial density over the circle of length 2 pi r, with Phi the standard normal
//! distribution function:
//!
//! ```text
//! Z         = w sqrt(2 pi) Phi(R/w)                       (the radius is cut off at 0)
//! log p     = -(r - R)^2/(2 w^2) - log Z - log(2 pi r)
//! g(r)      = d log p / dr = -(r - R)/w^2 - 1/r
//! s         = g(r) x/r
//! tr grad s = g'(r) + g(r)/r = -2/w^2 + R/(w^2 r)
//! ```
//!
//! The 1/r^2 of g' and g/r cancel, because log r is harmonic in the plane.
//!
//! **Singular at the origin**: there log p -> +inf as -log r, the score has length 1/r and points
//! inward, and the trace grows as R/(w^2 r); at r = 0 itself log p is +inf and the score undefined
//! (NaN). The mass near it is about exp(-R^2/(2 w^2)), so at R >= 5 w no sample sees it. Strictly,
//! E|s|^2 is infinite for every R/w, for the same vanishing mass.

use super::{LN_2PI, ReferenceDensity, map_rows, map_rows_into};
use crate::error::{Error, Result};
use crate::score::{LogDensity, Score, ScoreTrace};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};
use statrs::function::erf::erfc;
use std::f64::consts::{FRAC_1_SQRT_2, TAU};

/// The ring density in two columns; see the formulas at the top of its file.
#[derive(Debug, Clone)]
pub struct Ring {
    radius: f64,
    width: f64,
    log_normalizer: f64,
}

impl Ring {
    /// `radius` R >= 0 of the ring and `width` w > 0, its standard deviation.
    ///
    /// # Errors
    /// [`Error::Config`] naming the setting that is out of range.
    pub fn new(radius: f64, width: f64) -> Result<Self> {
        if !(radius >= 0.0 && radius.is_finite()) {
            return Err(Error::config("radius", "must be non-negative and finite"));
        }
        if !(width > 0.0 && width.is_finite()) {
            return Err(Error::config("width", "must be positive and finite"));
        }
        let kept = 0.5 * erfc(-FRAC_1_SQRT_2 * radius / width);
        // Z times the 2 pi of the circle.
        let log_normalizer = width.ln() + 1.5 * LN_2PI + kept.ln();
        Ok(Self { radius, width, log_normalizer })
    }
}

fn norm(x: &ArrayView1<'_, f64>) -> f64 {
    x[0].hypot(x[1])
}

impl Score for Ring {
    fn dim(&self) -> usize {
        2
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        let precision = self.width.powi(-2);
        map_rows_into(x, |x, mut s| {
            let r = norm(&x);
            let g = -(r - self.radius) * precision - 1.0 / r;
            s[0] = g * (x[0] / r);
            s[1] = g * (x[1] / r);
        })
    }
}

impl ScoreTrace for Ring {
    fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        let precision = self.width.powi(-2);
        map_rows(x, |x| (self.radius / norm(&x) - 2.0) * precision)
    }
}

impl LogDensity for Ring {
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        map_rows(x, |x| {
            let r = norm(&x);
            let t = (r - self.radius) / self.width;
            -0.5 * t * t - self.log_normalizer - r.ln()
        })
    }
}

impl ReferenceDensity for Ring {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Array2<f64> {
        let mut x = Array2::zeros((n, 2));
        for mut row in x.outer_iter_mut() {
            let r = self.draw_radius(rng);
            let angle = TAU * rng.random::<f64>();
            row[0] = r * angle.cos();
            row[1] = r * angle.sin();
        }
        x
    }
}

impl Ring {
    /// At least half of the draws are kept, since R >= 0.
    fn draw_radius(&self, rng: &mut dyn Rng) -> f64 {
        loop {
            let z: f64 = StandardNormal.sample(rng);
            let r = self.radius + self.width * z;
            if r > 0.0 {
                return r;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn derivatives_match_differences(
            radius in 0.5f64..3.0,
            width in 0.3f64..1.0,
            r in 0.5f64..4.0,
            angle in 0.0f64..TAU,
        ) {
            let p = Ring::new(radius, width).unwrap();
            check::derivatives(&p, array![[r * angle.cos(), r * angle.sin()]].view(), 0.3);
        }
    }

    #[test]
    fn integrates_to_one() {
        assert!((check::integral(&Ring::new(2.0, 0.3).unwrap(), 5.0, 400) - 1.0).abs() < 1e-6);
    }

    /// In polar coordinates, where the cut at r = 0 takes a sixth of the normal's mass.
    #[test]
    fn normalizer_knows_the_cut_at_zero() {
        let p = Ring::new(0.97, 1.0).unwrap();
        let (cells, far) = (4000, 12.0);
        let width = far / cells as f64;
        let radii: Array1<f64> = (0..cells).map(|k| (k as f64 + 0.5) * width).collect();
        let mut line = Array2::zeros((cells, 2));
        line.column_mut(1).assign(&radii);
        let total = (p.log_density(line.view()).mapv(f64::exp) * radii * TAU).sum() * width;
        assert!((total - 1.0).abs() < 1e-6, "{total}");
    }

    #[test]
    fn satisfies_stein_identities() {
        check::stein(&Ring::new(2.0, 0.3).unwrap(), 20_000, 1);
    }

    #[test]
    fn origin_is_singular_as_stated() {
        let p = Ring::new(2.0, 0.3).unwrap();
        let origin = array![[0.0, 0.0]];
        assert_eq!(p.log_density(origin.view())[0], f64::INFINITY);
        assert!(p.score(origin.view())[[0, 0]].is_nan());
        assert!(p.score(array![[1e-9, 0.0]].view())[[0, 0]] < -0.99e9);
    }
}
