//! y = h(x), elementwise: the fused loops of [`crate::kernel::activation`] on a node's jet.

use super::form::{Extent, First, Form, Jet, JetMut};
use crate::kernel::activation::forward as fused_forward;
use crate::kernel::activation::{Adjoint, Forward, Layout, adjoint as fused_adjoint};
use crate::kernel::{Activation, Real};

pub(super) fn form(input: Form, curved: usize) -> Form {
    let first = if input.first == First::Zero { First::Zero } else { First::PerRow };
    Form { first, second: input.second || (curved > 0 && first != First::Zero), ..input }
}

fn layout(input: Form, e: Extent) -> Layout {
    let moves = input.first != First::Zero;
    Layout {
        rows: e.rows,
        width: input.width,
        directions: if moves { e.directions } else { 0 },
        curved: if moves { e.curved } else { 0 },
        shared: input.first == First::Shared,
        input_second: input.second,
    }
}

pub(super) fn forward<T: Real>(kind: Activation, x: Jet<'_, T>, y: JetMut<'_, T>, saved: &mut [T]) {
    fused_forward(kind, layout(x.form, x.extent), Forward { input: x.data, output: y.data, saved });
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
) {
    fused_adjoint(
        kind,
        layout(x.form, x.extent),
        Adjoint { input: x.data, output: y.data, saved, bar, shared_bar },
    );
}
