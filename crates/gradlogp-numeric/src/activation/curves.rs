//! Each activation's value and derivatives at a point.

use crate::Real;

/// h', h'' and h''' at one point.
pub(super) type Derivatives<T> = (T, T, T);

/// An elementwise function: MATH 5, "an activation supplies h, h', h'', h''' at one point".
pub(super) trait Curve<T> {
    /// (h(a), a number from which [`Curve::derivatives`] is cheap).
    fn value(a: T) -> (T, T);
    /// (h', h'', h''') from a, y = h(a) and the saved number.
    fn derivatives(a: T, y: T, saved: T) -> Derivatives<T>;
}

/// sigma(a) and e^-|a|.
#[inline(always)]
fn sigmoid<T: Real>(a: T) -> (T, T) {
    let decay = (-a.abs()).exp();
    let large = T::ONE / (T::ONE + decay);
    (if a < T::ZERO { decay * large } else { large }, decay)
}

/// Saved: sigma.
pub(super) struct Softplus;
impl<T: Real> Curve<T> for Softplus {
    #[inline(always)]
    fn value(a: T) -> (T, T) {
        let (sigma, decay) = sigmoid(a);
        let positive = if a < T::ZERO { T::ZERO } else { a };
        (positive + decay.ln_1p_unit(), sigma)
    }
    #[inline(always)]
    fn derivatives(_: T, _: T, sigma: T) -> Derivatives<T> {
        let second = sigma * (T::ONE - sigma);
        (sigma, second, second * (T::ONE - sigma - sigma))
    }
}

/// Saved: nothing.
pub(super) struct Tanh;
impl<T: Real> Curve<T> for Tanh {
    #[inline(always)]
    fn value(a: T) -> (T, T) {
        let shrunk = (-(a.abs() + a.abs())).exp_m1();
        let magnitude = -shrunk / (shrunk + T::of(2.0));
        (if a < T::ZERO { -magnitude } else { magnitude }, T::ZERO)
    }
    #[inline(always)]
    fn derivatives(_: T, y: T, _: T) -> Derivatives<T> {
        let first = T::ONE - y * y;
        let second = -(y + y) * first;
        (first, second, first * T::of(-2.0) * (first - T::of(2.0) * y * y))
    }
}

/// Saved: sigma.
pub(super) struct Silu;
impl<T: Real> Curve<T> for Silu {
    #[inline(always)]
    fn value(a: T) -> (T, T) {
        let (sigma, _) = sigmoid(a);
        (a * sigma, sigma)
    }
    #[inline(always)]
    fn derivatives(a: T, _: T, sigma: T) -> Derivatives<T> {
        let d1 = sigma * (T::ONE - sigma);
        let tilt = T::ONE - sigma - sigma;
        let d2 = d1 * tilt;
        let d3 = d2 * tilt - (d1 + d1) * d1;
        (a.mul_add(d1, sigma), a.mul_add(d2, d1 + d1), a.mul_add(d3, T::of(3.0) * d2))
    }
}

/// Saved: phi(a); Phi(a) = y / a would not do at 0, so it is h' - a phi with h' saved instead.
pub(super) struct Gelu;
impl<T: Real> Curve<T> for Gelu {
    #[inline(always)]
    fn value(a: T) -> (T, T) {
        let (distribution, density) = a.normal();
        (a * distribution, a.mul_add(density, distribution))
    }
    #[inline(always)]
    fn derivatives(a: T, _: T, first: T) -> Derivatives<T> {
        let square = a * a;
        let density = (square * T::of(-0.5)).exp() * T::of(0.398_942_280_401_432_7);
        let second = density * (T::of(2.0) - square);
        (first, second, density * a * (square - T::of(4.0)))
    }
}

/// Saved: cos.
pub(super) struct Sin;
impl<T: Real> Curve<T> for Sin {
    #[inline(always)]
    fn value(a: T) -> (T, T) {
        a.sin_cos()
    }
    #[inline(always)]
    fn derivatives(_: T, y: T, cos: T) -> Derivatives<T> {
        (cos, -y, -cos)
    }
}

/// Saved: nothing.
pub(super) struct Relu;
impl<T: Real> Curve<T> for Relu {
    #[inline(always)]
    fn value(a: T) -> (T, T) {
        // Not `max`: NaN has to go through.
        (if a < T::ZERO { T::ZERO } else { a }, T::ZERO)
    }
    #[inline(always)]
    fn derivatives(a: T, _: T, _: T) -> Derivatives<T> {
        (if a > T::ZERO { T::ONE } else { T::ZERO }, T::ZERO, T::ZERO)
    }
}

/// Saved: nothing.
pub(super) struct Exp;
impl<T: Real> Curve<T> for Exp {
    #[inline(always)]
    fn value(a: T) -> (T, T) {
        (a.exp(), T::ZERO)
    }
    #[inline(always)]
    fn derivatives(_: T, y: T, _: T) -> Derivatives<T> {
        (y, y, y)
    }
}
