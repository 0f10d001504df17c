//! y = factor * x, coefficient by coefficient.

use super::form::{Jet, JetMut};
use gradlogp_numeric::Real;
use gradlogp_numeric::vector::axpy;

pub(super) fn forward<T: Real>(factor: T, x: Jet<'_, T>, y: JetMut<'_, T>) {
    y.data.fill(T::ZERO);
    axpy(y.data, factor, x.data);
}

pub(super) fn adjoint<T: Real>(factor: T, y_bar: Jet<'_, T>, x_bar: &mut JetMut<'_, T>) {
    axpy(x_bar.data, factor, y_bar.data);
}
