//! y = x W^T + b: the same matrix acts on every coefficient, the bias on the value alone.
//!
//! Adjoint: X += Y W, W += Y^T x over all stacked coefficients, b += sum of Y0 over rows.

use super::form::{Form, Jet, JetMut};
use gradlogp_numeric::vector::{add_row_sums, add_to_rows};
use gradlogp_numeric::{Mat, MatMut, Real, matmul};

/// Where the gradient of an array goes.
pub(super) struct Slot<'a, T> {
    pub(super) data: &'a mut [T],
    /// What it holds is no part of the gradient: to be overwritten.
    pub(super) fresh: bool,
}

pub(super) fn form(input: Form, width: usize) -> Form {
    Form { width, ..input }
}

pub(super) fn forward<T: Real>(x: Jet<'_, T>, weight: &[T], bias: Option<&[T]>, y: JetMut<'_, T>) {
    let (rows, out, inner) = (y.form.stack_rows(y.extent), y.form.width, x.form.width);
    let product = MatMut::new(y.data, rows, out);
    matmul(product, Mat::new(x.data, rows, inner), Mat::new(weight, out, inner).t(), false);
    if let Some(bias) = bias {
        add_to_rows(&mut y.data[..y.extent.rows * out], bias);
    }
}

/// Adds to the gradients of W and b, or writes them.
pub(super) fn adjoint_parameters<T: Real>(
    x: Jet<'_, T>,
    y_bar: Jet<'_, T>,
    weight_bar: Slot<'_, T>,
    bias_bar: Option<Slot<'_, T>>,
) {
    let (rows, out) = (y_bar.form.stack_rows(y_bar.extent), y_bar.form.width);
    let inner = x.form.width;
    let gradient = MatMut::new(weight_bar.data, out, inner);
    let (y_rows, x_rows) = (Mat::new(y_bar.data, rows, out), Mat::new(x.data, rows, inner));
    matmul(gradient, y_rows.t(), x_rows, !weight_bar.fresh);
    if let Some(bias_bar) = bias_bar {
        if bias_bar.fresh {
            bias_bar.data.fill(T::ZERO);
        }
        add_row_sums(bias_bar.data, &y_bar.data[..y_bar.extent.rows * out]);
    }
}

/// Writes (or, with `accumulate`, adds) the adjoint of x.
pub(super) fn adjoint_input<T: Real>(
    weight: &[T],
    y_bar: Jet<'_, T>,
    x_bar: JetMut<'_, T>,
    accumulate: bool,
) {
    let (rows, out) = (y_bar.form.stack_rows(y_bar.extent), y_bar.form.width);
    let inner = x_bar.form.width;
    let target = MatMut::new(x_bar.data, rows, inner);
    matmul(target, Mat::new(y_bar.data, rows, out), Mat::new(weight, out, inner), accumulate);
}
