//! One arm of a pinwheel: a Gaussian twisted about the origin.
//!
//! u ~ N((m, 0), diag(a^2, b^2)) is turned by the angle theta + tau |u|^2 to x. The twist keeps
//! radii and areas, so with u(x) = R(-theta - tau |x|^2) x (R a rotation)
//!
//! ```text
//! log p(x) = f(u(x)),      f the Gaussian's log density
//! ```
//!
//! and p is normalized. Let t = J u = (-u_2, u_1), F = grad f(u), H = grad^2 f = -diag(a^-2, b^-2).
//! From du/dx = R(-phi) - 2 tau t x^T:
//!
//! ```text
//! s         = R(phi) F - 2 tau (t.F) x
//! tr grad s = tr H - 4 tau u.H t - 8 tau t.F + 4 tau^2 |x|^2 (t.H t - u.F)
//! ```
//!
//! The second line is the Laplacian in polar coordinates of f(r, angle - tau r^2).
//!
//! Johnson et al. (2016, "Composing graphical models with neural networks") twist by the exponential
//! of the first coordinate, which looks alike but has no inverse in closed form; the square of the
//! radius has one and is smooth at the origin.

use super::{LN_2PI, ReferenceDensity, map_rows, map_rows_into};
use crate::error::{Error, Result};
use crate::score::{LogDensity, Score, ScoreTrace};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// One twisted Gaussian in two columns; see the formulas at the top of its file.
#[derive(Debug, Clone)]
pub struct PinwheelArm {
    /// m, the distance of the arm's middle from the origin.
    pub distance: f64,
    /// a, the standard deviation along the arm.
    pub radial_sd: f64,
    /// b, the standard deviation across it.
    pub tangential_sd: f64,
    /// theta, radians.
    pub angle: f64,
    /// tau, radians per squared unit of radius.
    pub twist: f64,
}

/// Quantities at one point, all in the untwisted frame.
struct Local {
    u: [f64; 2],
    /// f's gradient and second derivatives (the Hessian is diagonal).
    gradient: [f64; 2],
    hessian: [f64; 2],
    phi: f64,
    /// t . F.
    turn: f64,
}

impl PinwheelArm {
    /// Checks the fields: all finite, standard deviations positive.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        let positive = |v: f64| v > 0.0 && v.is_finite();
        for (name, good) in [
            ("radial_sd", positive(self.radial_sd)),
            ("tangential_sd", positive(self.tangential_sd)),
            ("distance", self.distance.is_finite()),
            ("angle", self.angle.is_finite()),
            ("twist", self.twist.is_finite()),
        ] {
            if !good {
                return Err(Error::config(name, "must be finite, and positive if it is an sd"));
            }
        }
        Ok(())
    }

    fn local(&self, x: &ArrayView1<'_, f64>) -> Local {
        let phi = self.angle + self.twist * (x[0] * x[0] + x[1] * x[1]);
        let u = rotate(-phi, [x[0], x[1]]);
        let hessian = [-self.radial_sd.powi(-2), -self.tangential_sd.powi(-2)];
        let gradient = [hessian[0] * (u[0] - self.distance), hessian[1] * u[1]];
        let turn = -u[1] * gradient[0] + u[0] * gradient[1];
        Local { u, gradient, hessian, phi, turn }
    }
}

fn rotate(angle: f64, [x, y]: [f64; 2]) -> [f64; 2] {
    let (sin, cos) = angle.sin_cos();
    [cos * x - sin * y, sin * x + cos * y]
}

impl Score for PinwheelArm {
    fn dim(&self) -> usize {
        2
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        map_rows_into(x, |x, mut s| {
            let at = self.local(&x);
            let turned = rotate(at.phi, at.gradient);
            s[0] = turned[0] - 2.0 * self.twist * at.turn * x[0];
            s[1] = turned[1] - 2.0 * self.twist * at.turn * x[1];
        })
    }
}

impl ScoreTrace for PinwheelArm {
    fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        map_rows(x, |x| {
            let Local { u, gradient, hessian, turn, .. } = self.local(&x);
            let u_h_t = u[0] * u[1] * (hessian[1] - hessian[0]);
            let t_h_t = u[1] * u[1] * hessian[0] + u[0] * u[0] * hessian[1];
            let u_f = u[0] * gradient[0] + u[1] * gradient[1];
            let square = u[0] * u[0] + u[1] * u[1];
            hessian[0] + hessian[1] - 4.0 * self.twist * (u_h_t + 2.0 * turn)
                + 4.0 * self.twist * self.twist * square * (t_h_t - u_f)
        })
    }
}

impl LogDensity for PinwheelArm {
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        let constant = -(self.radial_sd * self.tangential_sd).ln() - LN_2PI;
        map_rows(x, |x| {
            let u = self.local(&x).u;
            let (along, across) =
                ((u[0] - self.distance) / self.radial_sd, u[1] / self.tangential_sd);
            constant - 0.5 * (along * along + across * across)
        })
    }
}

impl ReferenceDensity for PinwheelArm {
    fn sample(&self, n: usize, rng: &mut dyn Rng) -> Array2<f64> {
        let mut x: Array2<f64> =
            Array2::from_shape_simple_fn((n, 2), || StandardNormal.sample(rng));
        for mut row in x.outer_iter_mut() {
            let u = [self.distance + self.radial_sd * row[0], self.tangential_sd * row[1]];
            let phi = self.angle + self.twist * (u[0] * u[0] + u[1] * u[1]);
            let turned = rotate(phi, u);
            row[0] = turned[0];
            row[1] = turned[1];
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    fn arm() -> PinwheelArm {
        PinwheelArm { distance: 1.5, radial_sd: 0.5, tangential_sd: 0.3, angle: 0.7, twist: 0.2 }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn derivatives_match_differences(
            angle in 0.0f64..6.0,
            twist in -0.5f64..0.5,
            x in -2.5f64..2.5,
            y in -2.5f64..2.5,
        ) {
            let p = PinwheelArm { angle, twist, ..arm() };
            check::derivatives(&p, array![[x, y]].view(), 0.3);
        }
    }

    #[test]
    fn integrates_to_one() {
        assert!((check::integral(&arm(), 5.0, 400) - 1.0).abs() < 1e-8);
    }

    #[test]
    fn satisfies_stein_identities() {
        check::stein(&arm(), 20_000, 1);
        check::derivatives_at_samples(&arm(), 100, 0.3);
    }
}
