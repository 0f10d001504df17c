//! y = a + b, coefficient by coefficient.

use super::form::{Form, Jet, JetMut};
use gradlogp_numeric::Real;
use gradlogp_numeric::vector::add_assign;

pub(super) fn form(a: Form, b: Form) -> Form {
    Form { width: a.width, first: a.first.max(b.first), second: a.second || b.second }
}

pub(super) fn forward<T: Real>(a: Jet<'_, T>, b: Jet<'_, T>, mut y: JetMut<'_, T>) {
    for (c, r) in y.form.stored(y.extent) {
        let Some(out) = y.row_mut(c, r) else { continue };
        match a.row(c, r) {
            Some(a) => out.copy_from_slice(a),
            None => out.fill(T::ZERO),
        }
        if let Some(b) = b.row(c, r) {
            add_assign(out, b);
        }
    }
}

/// Adds the adjoint of y to that of one summand.
pub(super) fn adjoint<T: Real>(y_bar: Jet<'_, T>, x_bar: &mut JetMut<'_, T>) {
    for (c, r) in y_bar.form.stored(y_bar.extent) {
        if let (Some(from), Some(to)) = (y_bar.row(c, r), x_bar.row_mut(c, r)) {
            add_assign(to, from);
        }
    }
}
