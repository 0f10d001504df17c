//! y = all columns of all inputs, coefficient by coefficient.

use super::form::{First, Form, Jet, JetMut};
use gradlogp_numeric::Real;
use gradlogp_numeric::vector::add_assign;

pub(super) fn form(inputs: impl Iterator<Item = Form>) -> Form {
    let empty = Form { width: 0, first: First::Zero, second: false };
    inputs.fold(empty, |all, next| Form {
        width: all.width + next.width,
        first: all.first.max(next.first),
        second: all.second || next.second,
    })
}

/// Writes one input's columns, from column `start` of y.
pub(super) fn forward<T: Real>(x: Jet<'_, T>, start: usize, y: &mut JetMut<'_, T>) {
    for (c, r) in y.form.stored(y.extent) {
        let Some(out) = y.row_mut(c, r) else { continue };
        let out = &mut out[start..start + x.form.width];
        match x.row(c, r) {
            Some(x) => out.copy_from_slice(x),
            None => out.fill(T::ZERO),
        }
    }
}

/// Adds the adjoint of y's columns from `start` to that of the input they came from.
pub(super) fn adjoint<T: Real>(y_bar: Jet<'_, T>, start: usize, x_bar: &mut JetMut<'_, T>) {
    let width = x_bar.form.width;
    for (c, r) in y_bar.form.stored(y_bar.extent) {
        if let (Some(from), Some(to)) = (y_bar.row(c, r), x_bar.row_mut(c, r)) {
            add_assign(to, &from[start..start + width]);
        }
    }
}
