//! y = columns `start ..` of x, coefficient by coefficient.

use super::form::{Form, Jet, JetMut};
use gradlogp_numeric::Real;
use gradlogp_numeric::vector::add_assign;

pub(super) fn form(input: Form, width: usize) -> Form {
    Form { width, ..input }
}

pub(super) fn forward<T: Real>(x: Jet<'_, T>, start: usize, y: JetMut<'_, T>) {
    let width = y.form.width;
    let rows = x.data.chunks_exact(x.form.width);
    for (out, x) in y.data.chunks_exact_mut(width).zip(rows) {
        out.copy_from_slice(&x[start..start + width]);
    }
}

pub(super) fn adjoint<T: Real>(y_bar: Jet<'_, T>, start: usize, x_bar: &mut JetMut<'_, T>) {
    let (width, full) = (y_bar.form.width, x_bar.form.width);
    let rows = y_bar.data.chunks_exact(width);
    for (x, y) in x_bar.data.chunks_exact_mut(full).zip(rows) {
        add_assign(&mut x[start..start + width], y);
    }
}
