//! y = |x|^2 over columns: y0 = x0.x0, y1 = 2 x0.x1, y2 = 2 (x0.x2 + sum_m x1.x1).
//!
//! Adjoint: X0 = 2 (Y0 x0 + sum_m Y1 x1 + Y2 x2), X1 = 2 (Y1 x0 + 2 Y2 x1), X2 = 2 Y2 x0.

use super::form::{Coefficient::*, First, Form, Jet, JetMut};
use gradlogp_numeric::Real;
use gradlogp_numeric::vector::{axpy, dot};

/// `units`: whether the second order is the Laplacian of the input's own |x|^2, see [`add_units`].
pub(super) fn form(input: Form, curved: usize, units: bool) -> Form {
    let moves = input.first != First::Zero;
    Form {
        width: 1,
        first: if moves { First::PerRow } else { First::Zero },
        second: input.second || units || (moves && curved > 0),
    }
}

/// Adds the Laplacian of |x|^2 over `units` columns, 2 for each.
pub(super) fn add_units<T: Real>(mut y: JetMut<'_, T>, units: usize) {
    for r in 0..y.extent.rows {
        if let Some(out) = y.row_mut(Second, r) {
            out[0] += T::of(2.0 * units as f64);
        }
    }
}

pub(super) fn forward<T: Real>(x: Jet<'_, T>, mut y: JetMut<'_, T>) {
    let (extent, two) = (y.extent, T::of(2.0));
    for (c, r) in y.form.stored(extent) {
        let x0 = x.value(r);
        let mut sum = x.row(c, r).map_or(T::ZERO, |x| dot(x0, x));
        if c == Second {
            for x1 in (0..extent.curved).filter_map(|m| x.row(First(m), r)) {
                sum += dot(x1, x1);
            }
        }
        if let Some(out) = y.row_mut(c, r) {
            out[0] = if c == Value { sum } else { two * sum };
        }
    }
}

pub(super) fn adjoint<T: Real>(x: Jet<'_, T>, y_bar: Jet<'_, T>, x_bar: &mut JetMut<'_, T>) {
    let (extent, two) = (y_bar.extent, T::of(2.0));
    for (c, r) in y_bar.form.stored(extent) {
        let Some(bar) = y_bar.row(c, r).map(|b| b[0]) else { continue };
        if let (Some(out), Some(x)) = (x_bar.row_mut(Value, r), x.row(c, r)) {
            axpy(out, two * bar, x);
        }
        if c != Value
            && let Some(out) = x_bar.row_mut(c, r)
        {
            axpy(out, two * bar, x.value(r));
        }
        if c == Second {
            for m in 0..extent.curved {
                if let (Some(out), Some(x1)) = (x_bar.row_mut(First(m), r), x.row(First(m), r)) {
                    axpy(out, two * two * bar, x1);
                }
            }
        }
    }
}
