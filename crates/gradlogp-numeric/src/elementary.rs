//! Branch-free elementary functions, one source for `f32` and `f64`.
//!
//! Truncated Taylor series after the usual range reductions (coefficients are 1/n!, nothing
//! fitted), except for the normal distribution, which uses a Chebyshev expansion. Largest errors,
//! measured against extended references in the tests below, in units in the last place:
//!
//! | function | range | f32 | f64 |
//! |---|---|---|---|
//! | `exp`, `exp_m1` | \[-87, 88\], \[-708, 709\] | 2 | 2 |
//! | `ln_1p_unit` | \[0, 1\] | 3 | 3 |
//! | `sin_cos` | \|x\| <= 1000 | 2, and 1e-7 absolute at zeros | 2, and 2e-16 absolute at zeros |
//! | `normal` | \[-5, 5\] | 8 | 8 |
//!
//! Outside its range `exp` saturates at the ends instead of overflowing; NaN goes through every
//! function, so that divergence is seen.

macro_rules! elementary {
    ($t:ident, $bits:ident, $mantissa:expr, $bias:expr, $exp_lo:expr, $exp_hi:expr,
     exp $exp_terms:expr, log $log_terms:expr, sin $sin_terms:expr, erfc $erfc_terms:expr) => {
        pub(crate) mod $t {
            use std::f64::consts as c;

            /// Adding and subtracting it rounds to the nearest integer, which its low bits hold.
            const ROUND: $t = 1.5 * (1u64 << $mantissa) as $t;
            const LN2_HI: $t = c::LN_2 as $t;
            const LN2_LO: $t = (c::LN_2 - LN2_HI as f64 + LN2_REST) as $t;
            /// log 2 beyond f64.
            const LN2_REST: f64 = 2.319_046_813_846_3e-17;
            const HALF_PI_1: $t = c::FRAC_PI_2 as $t;
            const HALF_PI_2: $t = (c::FRAC_PI_2 - HALF_PI_1 as f64 + HALF_PI_REST) as $t;
            const HALF_PI_3: $t =
                (c::FRAC_PI_2 - HALF_PI_1 as f64 - HALF_PI_2 as f64 + HALF_PI_REST) as $t;
            /// pi/2 beyond f64.
            const HALF_PI_REST: f64 = 6.123_233_995_736_766e-17;

            /// 1/n! for n = 2, 3, ...
            const EXP: [$t; $exp_terms] = {
                let mut out = [0.0; $exp_terms];
                let mut factorial = 1.0f64;
                let mut n = 0;
                while n < $exp_terms {
                    factorial *= (n + 2) as f64;
                    out[n] = (1.0 / factorial) as $t;
                    n += 1;
                }
                out
            };
            /// 1/(2n + 3) for n = 0, 1, ...: log(1+x) = 2 s (1 + s^2/3 + s^4/5 + ...).
            const LOG: [$t; $log_terms] = {
                let mut out = [0.0; $log_terms];
                let mut n = 0;
                while n < $log_terms {
                    out[n] = (1.0 / (2 * n + 3) as f64) as $t;
                    n += 1;
                }
                out
            };
            /// -1/3!, 1/5!, ... and -1/2!, 1/4!, ...
            const SIN: [$t; $sin_terms] = alternating(3);
            const COS: [$t; $sin_terms] = alternating(2);

            const fn alternating(first: usize) -> [$t; $sin_terms] {
                let mut out = [0.0; $sin_terms];
                let mut term = 1.0f64;
                let mut n = 1;
                let mut k = 0;
                while k < $sin_terms {
                    while n < first + 2 * k {
                        n += 1;
                        term /= n as f64;
                    }
                    out[k] = (if k % 2 == 0 { -term } else { term }) as $t;
                    k += 1;
                }
                out
            }

            #[inline(always)]
            fn horner<const N: usize>(coefficients: &[$t; N], x: $t) -> $t {
                let mut sum = coefficients[N - 1];
                for k in (0..N - 1).rev() {
                    sum = sum.mul_add(x, coefficients[k]);
                }
                sum
            }

            /// x = n log 2 + r: returns (2^n, e^r - 1).
            #[inline(always)]
            fn exp_parts(x: $t) -> ($t, $t) {
                // Comparisons, not min and max: those would swallow a NaN.
                let x = if x > $exp_hi { $exp_hi } else { x };
                let x = if x < $exp_lo { $exp_lo } else { x };
                let shifted = x.mul_add(c::LOG2_E as $t, ROUND);
                let n = shifted - ROUND;
                let r = n.mul_add(-LN2_LO, n.mul_add(-LN2_HI, x));
                let power = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add($bias)
                    << $mantissa;
                ($t::from_bits(power as $bits), (r * r).mul_add(horner(&EXP, r), r))
            }

            #[inline(always)]
            pub(crate) fn exp(x: $t) -> $t {
                let (power, fraction) = exp_parts(x);
                power.mul_add(fraction, power)
            }

            #[inline(always)]
            pub(crate) fn exp_m1(x: $t) -> $t {
                let (power, fraction) = exp_parts(x);
                power.mul_add(fraction, power - 1.0)
            }

            #[inline(always)]
            pub(crate) fn ln_1p_unit(x: $t) -> $t {
                let s = x / (2.0 + x);
                let square = s * s;
                let twice = 2.0 * s;
                twice.mul_add(square * horner(&LOG, square), twice)
            }

            #[inline(always)]
            pub(crate) fn sin_cos(x: $t) -> ($t, $t) {
                let shifted = x.mul_add(c::FRAC_2_PI as $t, ROUND);
                let n = shifted - ROUND;
                let quadrant = shifted.to_bits();
                let r = n.mul_add(-HALF_PI_1, x);
                let r = n.mul_add(-HALF_PI_2, r);
                let r = n.mul_add(-HALF_PI_3, r);
                let square = r * r;
                let sin = (r * square).mul_add(horner(&SIN, square), r);
                let cos = square.mul_add(horner(&COS, square), 1.0);
                let swap = quadrant & 1 == 1;
                let (sin, cos) = (if swap { cos } else { sin }, if swap { sin } else { cos });
                let sin = if quadrant & 2 == 2 { -sin } else { sin };
                let cos = if quadrant.wrapping_add(1) & 2 == 2 { -cos } else { cos };
                (sin, cos)
            }

            /// erfc(z) = t exp(-z^2 + P(t)) with t = 2 / (2 + z), z >= 0, P in Chebyshev form.
            #[inline(always)]
            pub(crate) fn normal(x: $t) -> ($t, $t) {
                let z = x.abs() * c::FRAC_1_SQRT_2 as $t;
                let t = 2.0 / (2.0 + z);
                let y = t.mul_add(super::ERFC_SCALE as $t, super::ERFC_SHIFT as $t);
                let mut b1: $t = 0.0;
                let mut b2: $t = 0.0;
                for k in (1..$erfc_terms).rev() {
                    let b0 = (2.0 * y).mul_add(b1, super::ERFC[k] as $t - b2);
                    b2 = b1;
                    b1 = b0;
                }
                let p = y.mul_add(b1, (0.5 * super::ERFC[0]) as $t - b2);
                // -x^2/2 as high + low part: rounding x^2 alone would be amplified by the exponential.
                let square = x * x;
                let low = x.mul_add(x, -square);
                let high = exp(-0.5 * square);
                let tail = 0.5 * t * (high * exp((-0.5 as $t).mul_add(low, p)));
                let scale = (0.5 * c::FRAC_2_SQRT_PI * c::FRAC_1_SQRT_2) as $t;
                let density = scale * (-0.5 * low).mul_add(high, high);
                (if x < 0.0 { tail } else { 1.0 - tail }, density)
            }
        }
    };
}

// Maps t in [2/30, 1] to [-1, 1]: z up to 28, where erfc underflows in f64.
const ERFC_LOW: f64 = 2.0 / 30.0;
const ERFC_SCALE: f64 = 2.0 / (1.0 - ERFC_LOW);
const ERFC_SHIFT: f64 = -(1.0 + ERFC_LOW) / (1.0 - ERFC_LOW);

/// Chebyshev coefficients of log(erfc(z) / t) + z^2, z = 2/t - 2, over t in [2/30, 1]; the first is
/// to be halved. Made with mpmath at 60 digits: the discrete cosine sum over 80 Chebyshev points.
#[allow(clippy::excessive_precision)]
const ERFC: [f64; 30] = [
    -1.2242255938951048934,
    0.60660932339559296822,
    0.014072164265717900245,
    -0.0083092438080554659618,
    -0.00055360388803118411487,
    0.00029122835044206012179,
    0.000016327895657316840577,
    -0.000014009715542737063333,
    -3.741121336050479081e-8,
    7.3282045909575977816e-7,
    -5.6968092327950930985e-8,
    -3.559657518631908366e-8,
    6.8448661193940460523e-9,
    1.2903532564413175468e-9,
    -5.5051846611449763992e-10,
    -4.9899152255395630395e-12,
    3.2634573277342440913e-11,
    -4.3459085348560312634e-12,
    -1.2199958863280867495e-12,
    4.3561126044838000139e-13,
    -3.2351977925595393639e-15,
    -2.3088780841593066292e-14,
    4.2801593919963064552e-15,
    3.7836004585280941305e-16,
    -2.8591057657366925617e-16,
    4.3516537013525411321e-17,
    2.8846519693492651423e-18,
    -2.9061878934898682017e-18,
    8.0398715514161703618e-19,
    -9.9687916742329558156e-20,
];

elementary!(f32, u32, 23, 127, -87.0, 88.0, exp 6, log 7, sin 5, erfc 12);
elementary!(f64, u64, 52, 1023, -708.0, 709.0, exp 12, log 17, sin 8, erfc 28);

#[cfg(test)]
mod tests {
    /// Error of `got` in units in the last place of the reference.
    fn ulps32(got: f32, want: f64) -> f64 {
        let reference = want as f32;
        let ulp = (f32::from_bits(reference.abs().to_bits() + 1) - reference.abs()) as f64;
        (got as f64 - want).abs() / ulp
    }

    /// The same in f64, with the reference given as a sum of two doubles.
    fn ulps64(got: f64, want: f64) -> f64 {
        let ulp = f64::from_bits(want.abs().to_bits() + 1) - want.abs();
        (got - want).abs() / ulp
    }

    fn grid(lo: f64, hi: f64) -> impl Iterator<Item = f64> {
        let n = 200_000;
        (0..=n).map(move |i| lo + (hi - lo) * i as f64 / n as f64)
    }

    fn worst(points: impl Iterator<Item = f64>, error: impl Fn(f64) -> f64) -> f64 {
        points.map(error).fold(0.0, f64::max)
    }

    // The standard library's f64 functions are within one unit, so they serve as reference for f64
    // with one unit to spare, and are exact at f32's precision.

    #[test]
    fn exp_is_within_two_units() {
        let e32 = worst(grid(-87.0, 88.0), |x| {
            ulps32(super::f32::exp(x as f32), (x as f32 as f64).exp())
        });
        assert!(e32 <= 2.0, "{e32}");
        let e64 = worst(grid(-708.0, 709.0), |x| ulps64(super::f64::exp(x), x.exp()));
        assert!(e64 <= 2.0, "{e64}");
    }

    #[test]
    fn exp_m1_is_accurate_near_zero() {
        let points = || grid(-20.0, 1.0).chain(grid(-1e-3, 1e-3)).filter(|x| *x != 0.0);
        let e32 =
            worst(points(), |x| ulps32(super::f32::exp_m1(x as f32), (x as f32 as f64).exp_m1()));
        assert!(e32 <= 2.0, "{e32}");
        let e64 = worst(points(), |x| ulps64(super::f64::exp_m1(x), x.exp_m1()));
        assert!(e64 <= 2.0, "{e64}");
    }

    #[test]
    fn ln_1p_is_within_three_units() {
        let points = || grid(0.0, 1.0).chain(grid(0.0, 1e-4)).filter(|x| *x != 0.0);
        let e32 = worst(points(), |x| {
            ulps32(super::f32::ln_1p_unit(x as f32), (x as f32 as f64).ln_1p())
        });
        assert!(e32 <= 3.0, "{e32}");
        let e64 = worst(points(), |x| ulps64(super::f64::ln_1p_unit(x), x.ln_1p()));
        assert!(e64 <= 3.0, "{e64}");
        assert_eq!(super::f64::ln_1p_unit(0.0), 0.0);
    }

    #[test]
    fn sin_cos_match_in_every_quadrant() {
        for x in grid(-1000.0, 1000.0).chain(grid(-7.0, 7.0)) {
            let (s, c) = super::f64::sin_cos(x);
            assert!(ulps64(s, x.sin()) <= 2.0 || (s - x.sin()).abs() < 2e-16, "sin {x}");
            assert!(ulps64(c, x.cos()) <= 2.0 || (c - x.cos()).abs() < 2e-16, "cos {x}");
            let y = x as f32;
            let (s, c) = super::f32::sin_cos(y);
            let (ws, wc) = (y as f64).sin_cos();
            assert!(ulps32(s, ws) <= 2.0 || (s as f64 - ws).abs() < 1e-7, "sin {y}: {s} {ws}");
            assert!(ulps32(c, wc) <= 2.0 || (c as f64 - wc).abs() < 1e-7, "cos {y}: {c} {wc}");
        }
    }

    #[test]
    fn normal_distribution_function_and_density() {
        use libm::erfc;
        let mut worst = [0.0f64; 2];
        for x in grid(-5.0, 5.0) {
            // The same x for both precisions.
            let x = x as f32 as f64;
            let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
            // erfc amplifies the rounding of its argument: correct for it to first order.
            let scale = std::f64::consts::FRAC_1_SQRT_2;
            let z = x * scale;
            let lost = x.mul_add(scale, -z) - x * 4.833_646_656_726_458e-17;
            let want = 0.5 * erfc(-z) + lost * std::f64::consts::SQRT_2 * density;
            let (p, d) = super::f64::normal(x);
            worst[1] = worst[1].max(ulps64(p, want)).max(ulps64(d, density));
            let (p, d) = super::f32::normal(x as f32);
            worst[0] = worst[0].max(ulps32(p, want)).max(ulps32(d, density));
        }
        assert!(worst[0] <= 8.0 && worst[1] <= 8.0, "{worst:?}");
    }

    #[test]
    fn saturates_and_passes_nan_on() {
        assert!(super::f32::exp(1e30).is_finite() && super::f32::exp(1e30) > 1e38);
        assert!(super::f32::exp(-1e30) < 1e-37);
        assert!(super::f32::exp(f32::NAN).is_nan() && super::f64::exp_m1(f64::NAN).is_nan());
        assert!(
            super::f64::ln_1p_unit(f64::NAN).is_nan() && super::f32::sin_cos(f32::NAN).0.is_nan()
        );
        assert!(super::f64::normal(f64::NAN).0.is_nan());
    }
}
