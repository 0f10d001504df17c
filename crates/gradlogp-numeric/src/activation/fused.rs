//! The fused loops that carry jets through an activation, forwards and back.

use super::buffers::{Adjoint, CHUNK, Forward, Layout, Span, Squares};
use super::curves::{Curve, Exp, Gelu, Relu, Silu, Sin, Softplus, Tanh};
use super::kind::{Activation, all_curves, with_curve};
use crate::Real;
use crate::simd::dispatch;

impl Activation {
    /// h, h', h'' and h''' at `a`, one at a time: for what is not worth a fused loop.
    pub fn taylor<T: Real>(self, a: T) -> [T; 4] {
        T::taylor(self, a)
    }

    pub(crate) fn generic_taylor<T: Real>(self, a: T) -> [T; 4] {
        fn of<T: Real, C: Curve<T>>(a: T) -> [T; 4] {
            let (y, saved) = C::value(a);
            let (first, second, third) = C::derivatives(a, y, saved);
            [y, first, second, third]
        }
        all_curves!(with_curve! self, |C| of::<T, C>(a))
    }
}

/// Carries all coefficients through the activation.
pub fn forward<T: Real>(kind: Activation, layout: Layout, buffers: Forward<'_, T>) {
    T::forward(kind, layout, buffers);
}

pub(crate) fn generic_forward<T: Real>(kind: Activation, layout: Layout, buffers: Forward<'_, T>) {
    all_curves!(with_curve! kind, |C| forward_as::<T, C>(layout, buffers));
}

fn forward_as<T: Real, C: Curve<T>>(layout: Layout, mut buffers: Forward<'_, T>) {
    dispatch(
        #[inline(always)]
        || {
            layout.for_each_span(
                #[inline(always)]
                |span| {
                    if span.len == CHUNK {
                        forward_span::<T, C>(layout, Span { len: CHUNK, ..span }, &mut buffers)
                    } else {
                        forward_span::<T, C>(layout, span, &mut buffers)
                    }
                },
            )
        },
    )
}

#[inline(always)]
fn forward_span<T: Real, C: Curve<T>>(l: Layout, span: Span, b: &mut Forward<'_, T>) {
    let (n, here) = (span.len, span.start..span.start + span.len);
    let (mut h1, mut h2, mut squares) = ([T::ZERO; CHUNK], [T::ZERO; CHUNK], [T::ZERO; CHUNK]);
    {
        let (a, y) = (&b.input[here.clone()], &mut b.output[here.clone()]);
        let saved = &mut b.saved[here];
        for j in 0..n {
            (y[j], saved[j]) = C::value(a[j]);
            (h1[j], h2[j], _) = C::derivatives(a[j], y[j], saved[j]);
        }
    }
    if !b.derivative.is_empty() {
        b.derivative[span.start..span.start + n].copy_from_slice(&h1[..n]);
    }
    if l.squares != Squares::None {
        let from = l.squares_start(span);
        squares[..n].copy_from_slice(&b.squares[from..from + n]);
    }
    for m in 0..l.directions {
        let from = span.first + m * l.input_stride();
        let to = span.start + (1 + m) * l.block();
        let (a1, y1) = (&b.input[from..from + n], &mut b.output[to..to + n]);
        if m < l.curved {
            for j in 0..n {
                y1[j] = h1[j] * a1[j];
                squares[j] = a1[j].mul_add(a1[j], squares[j]);
            }
        } else {
            for j in 0..n {
                y1[j] = h1[j] * a1[j];
            }
        }
    }
    if !l.has_second() {
        return;
    }
    let to = l.output_second_start() + span.start;
    let y2 = &mut b.output[to..to + n];
    for j in 0..n {
        y2[j] = h2[j] * squares[j];
    }
    if l.input_second {
        let from = l.input_second_start() + span.start;
        let a2 = &b.input[from..from + n];
        for j in 0..n {
            y2[j] = h1[j].mul_add(a2[j], y2[j]);
        }
    }
}

/// Carries the adjoint of all coefficients back through the activation, in place.
pub fn adjoint<T: Real>(kind: Activation, layout: Layout, buffers: Adjoint<'_, T>) {
    T::adjoint(kind, layout, buffers);
}

pub(crate) fn generic_adjoint<T: Real>(kind: Activation, layout: Layout, buffers: Adjoint<'_, T>) {
    all_curves!(with_curve! kind, |C| adjoint_as::<T, C>(layout, buffers));
}

fn adjoint_as<T: Real, C: Curve<T>>(layout: Layout, mut buffers: Adjoint<'_, T>) {
    dispatch(
        #[inline(always)]
        || {
            layout.for_each_span(
                #[inline(always)]
                |span| {
                    if span.len == CHUNK {
                        adjoint_span::<T, C>(layout, Span { len: CHUNK, ..span }, &mut buffers)
                    } else {
                        adjoint_span::<T, C>(layout, span, &mut buffers)
                    }
                },
            )
        },
    )
}

#[inline(always)]
fn adjoint_span<T: Real, C: Curve<T>>(l: Layout, span: Span, b: &mut Adjoint<'_, T>) {
    let n = span.len;
    let here = span.start..span.start + n;
    let zero = [T::ZERO; CHUNK];
    let (mut h1, mut h2, mut h3) = (zero, zero, zero);
    {
        let (a, y) = (&b.input[here.clone()], &b.output[here.clone()]);
        let saved = &b.saved[here.clone()];
        for j in 0..n {
            (h1[j], h2[j], h3[j]) = C::derivatives(a[j], y[j], saved[j]);
        }
    }
    // Per direction: sum of Y1 a1 (times h''), and of a1^2 (times Y2 h''').
    let (mut crossed, mut squares) = (zero, zero);
    let mut y2_bar = zero;
    let second = l.output_second_start() + span.start;
    if l.has_second() {
        y2_bar[..n].copy_from_slice(&b.bar[second..second + n]);
    }
    if !b.derivative_bar.is_empty() {
        // h' is an output too: its adjoint meets h'' like that of any first order.
        crossed[..n].copy_from_slice(&b.derivative_bar[here.clone()]);
    }
    if l.squares != Squares::None {
        let from = l.squares_start(span);
        squares[..n].copy_from_slice(&b.squares[from..from + n]);
        let bar = &mut b.squares_bar[from..from + n];
        if l.squares == Squares::Shared {
            for j in 0..n {
                bar[j] = y2_bar[j].mul_add(h2[j], bar[j]);
            }
        } else {
            for j in 0..n {
                bar[j] = y2_bar[j] * h2[j];
            }
        }
    }
    for m in 0..l.directions {
        let from = span.first + m * l.input_stride();
        let at = span.start + (1 + m) * l.block();
        let a1 = &b.input[from..from + n];
        let bar = &mut b.bar[at..at + n];
        if m < l.curved {
            for j in 0..n {
                crossed[j] = bar[j].mul_add(a1[j], crossed[j]);
                squares[j] = a1[j].mul_add(a1[j], squares[j]);
                let crossed_bar = (y2_bar[j] + y2_bar[j]) * h2[j];
                bar[j] = crossed_bar.mul_add(a1[j], bar[j] * h1[j]);
            }
        } else {
            for j in 0..n {
                crossed[j] = bar[j].mul_add(a1[j], crossed[j]);
                bar[j] *= h1[j];
            }
        }
        if l.shared {
            let to = from - l.block();
            let sum = &mut b.shared_bar[to..to + n];
            for j in 0..n {
                sum[j] += bar[j];
            }
        }
    }
    let bar = &mut b.bar[here];
    for j in 0..n {
        bar[j] = h2[j].mul_add(crossed[j], bar[j] * h1[j]);
        bar[j] = (y2_bar[j] * h3[j]).mul_add(squares[j], bar[j]);
    }
    if l.input_second {
        let from = l.input_second_start() + span.start;
        let a2 = &b.input[from..from + n];
        let bar = &mut b.bar[span.start..span.start + n];
        for j in 0..n {
            bar[j] = (y2_bar[j] * h2[j]).mul_add(a2[j], bar[j]);
        }
        let bar = &mut b.bar[second..second + n];
        for j in 0..n {
            bar[j] *= h1[j];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::curves::Derivatives;
    use super::*;

    fn at<C: Curve<f64>>(a: f64) -> (f64, Derivatives<f64>) {
        let (y, saved) = C::value(a);
        (y, C::derivatives(a, y, saved))
    }

    /// Each derivative against a fourth-order central difference of the one below it.
    fn check<C: Curve<f64>>(name: &str, exact: impl Fn(f64) -> f64) {
        for a in [-7.3, -2.0, -0.6, -1e-3, 0.4, 1.7, 3.9, 8.0] {
            let (y, (h1, h2, h3)) = at::<C>(a);
            assert!((y - exact(a)).abs() <= 1e-14 * (1.0 + y.abs()), "{name}({a}) = {y}");
            let step = 2e-3;
            let derivative = |f: &dyn Fn(f64) -> f64| {
                (8.0 * (f(a + step) - f(a - step)) - (f(a + 2.0 * step) - f(a - 2.0 * step)))
                    / (12.0 * step)
            };
            let wants = [
                (h1, derivative(&|a| at::<C>(a).0)),
                (h2, derivative(&|a| at::<C>(a).1.0)),
                (h3, derivative(&|a| at::<C>(a).1.1)),
            ];
            for (order, (got, want)) in wants.iter().enumerate() {
                let error = (got - want).abs() / (1.0 + want.abs());
                assert!(error < 1e-9, "{name} order {} at {a}: {got} {want}", order + 1);
            }
        }
    }

    #[test]
    fn derivatives_match_finite_differences() {
        check::<Softplus>("softplus", |a| a.max(0.0) + (-a.abs()).exp().ln_1p());
        check::<Tanh>("tanh", f64::tanh);
        check::<Silu>("silu", |a| a / (1.0 + (-a).exp()));
        let erfc = libm::erfc;
        check::<Gelu>("gelu", |a| a * 0.5 * erfc(-a / 2f64.sqrt()));
        check::<Sin>("sin", f64::sin);
        check::<Exp>("exp", f64::exp);
    }

    #[test]
    fn relu_is_flat_on_both_sides() {
        assert_eq!(at::<Relu>(-1.0), (0.0, (0.0, 0.0, 0.0)));
        assert_eq!(at::<Relu>(2.0), (2.0, (1.0, 0.0, 0.0)));
        let curved: Vec<_> = Activation::ALL.iter().filter(|a| !a.has_curvature()).collect();
        assert_eq!(curved, [&Activation::Relu]);
    }
}
