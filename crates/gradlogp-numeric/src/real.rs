//! The scalar type of the engine: `f32` for training, `f64` for verification.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::elementary;
use crate::lanes::Lanes;
use crate::loops::Loops;

/// A real scalar with the elementary functions the engine needs: `f32` or `f64`, no others.
///
/// The elementary functions are branch-free so that loops over them vectorize. Their error bounds
/// are stated in [`elementary`] and measured in its tests.
pub trait Real:
    Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + Lanes
    + Loops
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Unit roundoff: half the distance from 1 to the next number.
    const ROUNDOFF: f64;

    /// Nearest value.
    fn of(x: f64) -> Self;
    /// Exact for both types.
    fn to_f64(self) -> f64;
    /// self * a + b with one rounding.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// |x|.
    fn abs(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// e^x.
    fn exp(self) -> Self;
    /// e^x - 1, accurate near 0.
    fn exp_m1(self) -> Self;
    /// log(1 + x) for x in [0, 1].
    fn ln_1p_unit(self) -> Self;
    /// (sin x, cos x).
    fn sin_cos(self) -> (Self, Self);
    /// (Phi(x), phi(x)): distribution function and density of N(0, 1).
    fn normal(self) -> (Self, Self);
}

macro_rules! real {
    ($t:ident) => {
        impl Real for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const ROUNDOFF: f64 = $t::EPSILON as f64 / 2.0;

            #[inline(always)]
            fn of(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn mul_add(self, a: Self, b: Self) -> Self {
                $t::mul_add(self, a, b)
            }
            #[inline(always)]
            fn abs(self) -> Self {
                $t::abs(self)
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                $t::sqrt(self)
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                $t::is_finite(self)
            }
            #[inline(always)]
            fn exp(self) -> Self {
                elementary::$t::exp(self)
            }
            #[inline(always)]
            fn exp_m1(self) -> Self {
                elementary::$t::exp_m1(self)
            }
            #[inline(always)]
            fn ln_1p_unit(self) -> Self {
                elementary::$t::ln_1p_unit(self)
            }
            #[inline(always)]
            fn sin_cos(self) -> (Self, Self) {
                elementary::$t::sin_cos(self)
            }
            #[inline(always)]
            fn normal(self) -> (Self, Self) {
                elementary::$t::normal(self)
            }
        }
    };
}

real!(f32);
real!(f64);
