//! Elementwise activations h: their derivatives, and the fused loops that carry jets through them.
//!
//! An activation supplies y = h(a), one saved number, and h', h'', h''' at the same point from
//! (a, y, saved) without another transcendental; `forward` and `adjoint` do the chain rule
//! of MATH 5 for every activation:
//!
//! y0 = h(a0), y1 = h' a1, y2 = h' a2 + h'' sum_m (a1^(m))^2 (collapsed second order), and back
//! A0 = Y0 h' + sum_m Y1 h'' a1 + Y2 (h'' a2 + h''' sum_m a1^2), A1 = Y1 h' + 2 Y2 h'' a1, A2 = Y2 h'.

use serde::{Deserialize, Serialize};

use crate::Real;
use crate::simd::dispatch;

/// The elementwise functions that a graph may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Activation {
    /// log(1 + e^a): smooth, the default for score matching.
    Softplus,
    /// Hyperbolic tangent.
    Tanh,
    /// a / (1 + e^-a), also called swish.
    Silu,
    /// a Phi(a), the exact form.
    Gelu,
    /// sin a.
    Sin,
    /// max(a, 0): zero curvature almost everywhere, so refused for potentials (MATH 5).
    Relu,
    /// e^a, saturating at the ends of the floating-point range.
    Exp,
}

impl Activation {
    /// Every activation.
    pub const ALL: [Activation; 7] = [
        Activation::Softplus,
        Activation::Tanh,
        Activation::Silu,
        Activation::Gelu,
        Activation::Sin,
        Activation::Relu,
        Activation::Exp,
    ];

    /// h, h', h'' and h''' at `a`, one at a time: for what is not worth a fused loop.
    pub fn taylor<T: Real>(self, a: T) -> [T; 4] {
        T::taylor(self, a)
    }

    pub(crate) fn generic_taylor<T: Real>(self, a: T) -> [T; 4] {
        fn of<T: Real, C: Curve<T>>(a: T) -> [T; 4] {
            let (y, saved) = C::value(a);
            let (first, second, third) = C::slopes(a, y, saved);
            [y, first, second, third]
        }
        match self {
            Activation::Softplus => of::<T, Softplus>(a),
            Activation::Tanh => of::<T, Tanh>(a),
            Activation::Silu => of::<T, Silu>(a),
            Activation::Gelu => of::<T, Gelu>(a),
            Activation::Sin => of::<T, Sin>(a),
            Activation::Relu => of::<T, Relu>(a),
            Activation::Exp => of::<T, Exp>(a),
        }
    }

    /// Whether h'' is not zero almost everywhere, as curvature terms need.
    pub fn has_curvature(self) -> bool {
        self != Activation::Relu
    }
}

/// h', h'' and h''' at one point.
type Slopes<T> = (T, T, T);

/// An elementwise function: MATH 5, "an activation supplies h, h', h'', h''' at one point".
trait Curve<T> {
    /// (h(a), a number from which [`Curve::slopes`] is cheap).
    fn value(a: T) -> (T, T);
    /// (h', h'', h''') from a, y = h(a) and the saved number.
    fn slopes(a: T, y: T, saved: T) -> Slopes<T>;
}

/// sigma(a) and e^-|a|.
#[inline(always)]
fn sigmoid<T: Real>(a: T) -> (T, T) {
    let decay = (-a.abs()).exp();
    let large = T::ONE / (T::ONE + decay);
    (if a < T::ZERO { decay * large } else { large }, decay)
}

/// Saved: sigma.
struct Softplus;
impl<T: Real> Curve<T> for Softplus {
    #[inline(always)]
    fn value(a: T) -> (T, T) {
        let (sigma, decay) = sigmoid(a);
        let positive = if a < T::ZERO { T::ZERO } else { a };
        (positive + decay.ln_1p_unit(), sigma)
    }
    #[inline(always)]
    fn slopes(_: T, _: T, sigma: T) -> Slopes<T> {
        let second = sigma * (T::ONE - sigma);
        (sigma, second, second * (T::ONE - sigma - sigma))
    }
}

/// Saved: nothing.
struct Tanh;
impl<T: Real> Curve<T> for Tanh {
    #[inline(always)]
    fn value(a: T) -> (T, T) {
        let shrunk = (-(a.abs() + a.abs())).exp_m1();
        let magnitude = -shrunk / (shrunk + T::of(2.0));
        (if a < T::ZERO { -magnitude } else { magnitude }, T::ZERO)
    }
    #[inline(always)]
    fn slopes(_: T, y: T, _: T) -> Slopes<T> {
        let first = T::ONE - y * y;
        let second = -(y + y) * first;
        (first, second, first * T::of(-2.0) * (first - T::of(2.0) * y * y))
    }
}

/// Saved: sigma.
struct Silu;
impl<T: Real> Curve<T> for Silu {
    #[inline(always)]
    fn value(a: T) -> (T, T) {
        let (sigma, _) = sigmoid(a);
        (a * sigma, sigma)
    }
    #[inline(always)]
    fn slopes(a: T, _: T, sigma: T) -> Slopes<T> {
        let d1 = sigma * (T::ONE - sigma);
        let tilt = T::ONE - sigma - sigma;
        let d2 = d1 * tilt;
        let d3 = d2 * tilt - (d1 + d1) * d1;
        (a.mul_add(d1, sigma), a.mul_add(d2, d1 + d1), a.mul_add(d3, T::of(3.0) * d2))
    }
}

/// Saved: phi(a); Phi(a) = y / a would not do at 0, so it is h' - a phi with h' saved instead.
struct Gelu;
impl<T: Real> Curve<T> for Gelu {
    #[inline(always)]
    fn value(a: T) -> (T, T) {
        let (distribution, density) = a.normal();
        (a * distribution, a.mul_add(density, distribution))
    }
    #[inline(always)]
    fn slopes(a: T, _: T, first: T) -> Slopes<T> {
        let square = a * a;
        let density = (square * T::of(-0.5)).exp() * T::of(0.398_942_280_401_432_7);
        let second = density * (T::of(2.0) - square);
        (first, second, density * a * (square - T::of(4.0)))
    }
}

/// Saved: cos.
struct Sin;
impl<T: Real> Curve<T> for Sin {
    #[inline(always)]
    fn value(a: T) -> (T, T) {
        a.sin_cos()
    }
    #[inline(always)]
    fn slopes(_: T, y: T, cos: T) -> Slopes<T> {
        (cos, -y, -cos)
    }
}

/// Saved: nothing.
struct Relu;
impl<T: Real> Curve<T> for Relu {
    #[inline(always)]
    fn value(a: T) -> (T, T) {
        // Not `max`: NaN has to go through.
        (if a < T::ZERO { T::ZERO } else { a }, T::ZERO)
    }
    #[inline(always)]
    fn slopes(a: T, _: T, _: T) -> Slopes<T> {
        (if a > T::ZERO { T::ONE } else { T::ZERO }, T::ZERO, T::ZERO)
    }
}

/// Saved: nothing.
struct Exp;
impl<T: Real> Curve<T> for Exp {
    #[inline(always)]
    fn value(a: T) -> (T, T) {
        (a.exp(), T::ZERO)
    }
    #[inline(always)]
    fn slopes(_: T, y: T, _: T) -> Slopes<T> {
        (y, y, y)
    }
}

/// Elements handled at once: a few vector registers, small enough for scratch in the first cache.
const CHUNK: usize = 64;

/// Where the coefficients of an activation's input and output lie.
///
/// Output (and an input whose first order is not shared) is stacked \[value | first order, one block
/// per direction | second order\], each block `rows * width` long. A shared first order is one row
/// of `width` per direction, the same for every data row.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Data rows.
    pub rows: usize,
    /// Elements per row.
    pub width: usize,
    /// First-order directions; 0 where the input has no first order.
    pub directions: usize,
    /// The first `curved` of them enter the second order.
    pub curved: usize,
    /// The input's first order is shared by all rows.
    pub shared: bool,
    /// The input has a second order.
    pub input_second: bool,
    /// Beside the directions, squares summed elsewhere enter the second order.
    pub squares: Squares,
}

/// Where the sums over directions of squared first orders lie that do not come from the directions
/// themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Squares {
    /// There are none.
    None,
    /// One row, the same for all data rows.
    Shared,
    /// One per element of the value block.
    PerRow,
}

/// One run of up to [`CHUNK`] consecutive elements of the value block.
#[derive(Clone, Copy)]
struct Span {
    /// First element, in the value block.
    start: usize,
    /// Where the input's first order along direction 0 starts for these elements.
    first: usize,
    len: usize,
}

impl Layout {
    fn block(&self) -> usize {
        self.rows * self.width
    }
    /// Distance between the input's first-order coefficients along consecutive directions.
    fn input_stride(&self) -> usize {
        if self.shared { self.width } else { self.block() }
    }
    fn input_second_start(&self) -> usize {
        self.block() + self.directions * self.input_stride()
    }
    /// Whether the output has a second order of its own making.
    fn bends(&self) -> bool {
        self.curved > 0 || self.squares != Squares::None
    }
    /// Where the squares of a span start.
    fn squares_start(&self, span: Span) -> usize {
        if self.squares == Squares::Shared { span.start % self.width } else { span.start }
    }
    fn output_second_start(&self) -> usize {
        self.block() * (1 + self.directions)
    }

    /// Calls `f` on all spans, full ones with the constant length so that its loops unroll.
    #[inline(always)]
    fn for_each_span(&self, mut f: impl FnMut(Span)) {
        let block = self.block();
        // A shared row is indexed by column, so spans must not cross rows.
        let by_row = self.shared || self.squares == Squares::Shared;
        let (runs, length) = if by_row { (self.rows, self.width) } else { (1, block) };
        for run in 0..runs {
            let base = run * length;
            let first = |offset: usize| block + if self.shared { offset } else { base + offset };
            let mut offset = 0;
            while offset + CHUNK <= length {
                f(Span { start: base + offset, first: first(offset), len: CHUNK });
                offset += CHUNK;
            }
            if offset < length {
                f(Span { start: base + offset, first: first(offset), len: length - offset });
            }
        }
    }
}

/// Buffers of one forward call.
pub struct Forward<'a, T> {
    /// The input's coefficients.
    pub input: &'a [T],
    /// Receives the output's coefficients.
    pub output: &'a mut [T],
    /// Receives the number that makes derivatives cheap, one per element of the value block.
    pub saved: &'a mut [T],
    /// As [`Layout::squares`] says; else empty.
    pub squares: &'a [T],
    /// Receives h'(a0), unless empty.
    pub slope: &'a mut [T],
}

/// Carries all coefficients through the activation.
pub fn forward<T: Real>(kind: Activation, layout: Layout, buffers: Forward<'_, T>) {
    T::forward(kind, layout, buffers);
}

pub(crate) fn generic_forward<T: Real>(kind: Activation, layout: Layout, buffers: Forward<'_, T>) {
    match kind {
        Activation::Softplus => forward_as::<T, Softplus>(layout, buffers),
        Activation::Tanh => forward_as::<T, Tanh>(layout, buffers),
        Activation::Silu => forward_as::<T, Silu>(layout, buffers),
        Activation::Gelu => forward_as::<T, Gelu>(layout, buffers),
        Activation::Sin => forward_as::<T, Sin>(layout, buffers),
        Activation::Relu => forward_as::<T, Relu>(layout, buffers),
        Activation::Exp => forward_as::<T, Exp>(layout, buffers),
    }
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
            (h1[j], h2[j], _) = C::slopes(a[j], y[j], saved[j]);
        }
    }
    if !b.slope.is_empty() {
        b.slope[span.start..span.start + n].copy_from_slice(&h1[..n]);
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
    if !l.bends() {
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

/// Buffers of one adjoint call.
pub struct Adjoint<'a, T> {
    /// The input's coefficients.
    pub input: &'a [T],
    /// The output's coefficients.
    pub output: &'a [T],
    /// What [`forward`] saved.
    pub saved: &'a [T],
    /// In: adjoint of the output. Out: adjoint of the input, in the same places, except for a
    /// shared first order, which goes to `shared_bar`.
    pub bar: &'a mut [T],
    /// Where the adjoint of a shared first order is added: `directions * width`.
    pub shared_bar: &'a mut [T],
    /// As [`Layout::squares`] says; else empty.
    pub squares: &'a [T],
    /// Where their adjoint is written (one per row), or added (shared); empty if there are none.
    pub squares_bar: &'a mut [T],
    /// The adjoint of h'(a0), one per element of the value block, unless empty.
    pub slope_bar: &'a [T],
}

/// Carries the adjoint of all coefficients back through the activation, in place.
pub fn adjoint<T: Real>(kind: Activation, layout: Layout, buffers: Adjoint<'_, T>) {
    T::adjoint(kind, layout, buffers);
}

pub(crate) fn generic_adjoint<T: Real>(kind: Activation, layout: Layout, buffers: Adjoint<'_, T>) {
    match kind {
        Activation::Softplus => adjoint_as::<T, Softplus>(layout, buffers),
        Activation::Tanh => adjoint_as::<T, Tanh>(layout, buffers),
        Activation::Silu => adjoint_as::<T, Silu>(layout, buffers),
        Activation::Gelu => adjoint_as::<T, Gelu>(layout, buffers),
        Activation::Sin => adjoint_as::<T, Sin>(layout, buffers),
        Activation::Relu => adjoint_as::<T, Relu>(layout, buffers),
        Activation::Exp => adjoint_as::<T, Exp>(layout, buffers),
    }
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
            (h1[j], h2[j], h3[j]) = C::slopes(a[j], y[j], saved[j]);
        }
    }
    // Per direction: sum of Y1 a1 (times h''), and of a1^2 (times Y2 h''').
    let (mut crossed, mut squares) = (zero, zero);
    let mut y2_bar = zero;
    let second = l.output_second_start() + span.start;
    if l.bends() {
        y2_bar[..n].copy_from_slice(&b.bar[second..second + n]);
    }
    if !b.slope_bar.is_empty() {
        // h' is an output too: its adjoint meets h'' like that of any first order.
        crossed[..n].copy_from_slice(&b.slope_bar[here.clone()]);
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
                let bend = (y2_bar[j] + y2_bar[j]) * h2[j];
                bar[j] = bend.mul_add(a1[j], bar[j] * h1[j]);
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
    use super::*;

    fn at<C: Curve<f64>>(a: f64) -> (f64, Slopes<f64>) {
        let (y, saved) = C::value(a);
        (y, C::slopes(a, y, saved))
    }

    /// Each derivative against a fourth-order central difference of the one below it.
    fn check<C: Curve<f64>>(name: &str, exact: impl Fn(f64) -> f64) {
        for a in [-7.3, -2.0, -0.6, -1e-3, 0.4, 1.7, 3.9, 8.0] {
            let (y, (h1, h2, h3)) = at::<C>(a);
            assert!((y - exact(a)).abs() <= 1e-14 * (1.0 + y.abs()), "{name}({a}) = {y}");
            let step = 2e-3;
            let slope = |f: &dyn Fn(f64) -> f64| {
                (8.0 * (f(a + step) - f(a - step)) - (f(a + 2.0 * step) - f(a - 2.0 * step)))
                    / (12.0 * step)
            };
            let wants = [
                (h1, slope(&|a| at::<C>(a).0)),
                (h2, slope(&|a| at::<C>(a).1.0)),
                (h3, slope(&|a| at::<C>(a).1.1)),
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
