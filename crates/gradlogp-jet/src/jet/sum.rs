//! y = sum over columns of x, coefficient by coefficient.

use super::form::{Form, Jet, JetMut};
use gradlogp_numeric::Real;

pub(super) fn form(input: Form) -> Form {
    Form { width: 1, ..input }
}

pub(super) fn forward<T: Real>(x: Jet<'_, T>, y: JetMut<'_, T>) {
    for (out, row) in y.data.iter_mut().zip(x.data.chunks_exact(x.form.width)) {
        *out = row.iter().fold(T::ZERO, |sum, x| sum + *x);
    }
}

pub(super) fn adjoint<T: Real>(y_bar: Jet<'_, T>, x_bar: &mut JetMut<'_, T>) {
    let width = x_bar.form.width;
    for (bar, row) in y_bar.data.iter().zip(x_bar.data.chunks_exact_mut(width)) {
        row.iter_mut().for_each(|x| *x += *bar);
    }
}
