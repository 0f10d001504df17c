//! y = h(x), elementwise: the fused loops of [`gradlogp_numeric::activation`] on a node's jet.

use super::form::{Extent, First, Form, Jet, JetMut};
use gradlogp_numeric::activation::forward as fused_forward;
use gradlogp_numeric::activation::{Adjoint, Forward, Layout, Squares, adjoint as fused_adjoint};
use gradlogp_numeric::{Activation, Real};

/// `squares`: whether sums of squares come from the Gram matrix, see [`GramTerms`].
pub(super) fn form(input: Form, curved: usize, squares: bool) -> Form {
    let first = if input.first == First::Zero { First::Zero } else { First::PerRow };
    let nonlinear = squares || (curved > 0 && first != First::Zero);
    Form { first, second: input.second || nonlinear, ..input }
}

/// What an activation exchanges with [`super::gram`]: sums of squares that enter its second order, and its
/// derivative h', which scales the first orders that are not followed. Empty where there is nothing to exchange.
pub(super) struct GramTerms<'a, T> {
    pub(super) kind: Squares,
    pub(super) squares: &'a [T],
    pub(super) derivative: &'a mut [T],
}

/// The adjoints of the same.
pub(super) struct GramTermsBar<'a, T> {
    pub(super) kind: Squares,
    pub(super) squares: &'a [T],
    pub(super) squares_bar: &'a mut [T],
    pub(super) derivative_bar: &'a [T],
}

fn layout(input: Form, e: Extent, squares: Squares) -> Layout {
    let moves = input.first != First::Zero;
    Layout {
        rows: e.rows,
        width: input.width,
        directions: if moves { e.directions } else { 0 },
        curved: if moves { e.curved } else { 0 },
        shared: input.first == First::Shared,
        input_second: input.second,
        squares,
    }
}

pub(super) fn forward<T: Real>(
    kind: Activation,
    x: Jet<'_, T>,
    y: JetMut<'_, T>,
    saved: &mut [T],
    gram_terms: GramTerms<'_, T>,
) {
    let GramTerms { kind: squared, squares, derivative } = gram_terms;
    let buffers = Forward { input: x.data, output: y.data, saved, squares, derivative };
    fused_forward(kind, layout(x.form, x.extent, squared), buffers);
}

/// Turns the adjoint of y, in place, into the adjoint of x; the part that belongs to a shared first
/// order is added to `shared_bar` instead.
pub(super) fn adjoint<T: Real>(
    kind: Activation,
    x: Jet<'_, T>,
    y: Jet<'_, T>,
    saved: &[T],
    bar: &mut [T],
    shared_bar: &mut [T],
    gram_terms: GramTermsBar<'_, T>,
) {
    let GramTermsBar { kind: squared, squares, squares_bar, derivative_bar } = gram_terms;
    let (input, output) = (x.data, y.data);
    let buffers =
        Adjoint { input, output, saved, bar, shared_bar, squares, squares_bar, derivative_bar };
    fused_adjoint(kind, layout(x.form, x.extent, squared), buffers);
}
