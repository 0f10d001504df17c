//! y = a * b, elementwise, by Leibniz:
//! y0 = a0 b0, y1 = a1 b0 + a0 b1, y2 = a2 b0 + a0 b2 + 2 sum_m a1 b1.
//!
//! Adjoint of a: A0 = Y0 b0 + sum_m Y1 b1 + Y2 b2, A1 = Y1 b0 + 2 Y2 b1, A2 = Y2 b0.

use super::form::{Coefficient::*, First, Form, Jet, JetMut};
use gradlogp_numeric::{Real, vector};

pub(super) fn form(a: Form, b: Form, curved: usize) -> Form {
    let moves = a.first != First::Zero || b.first != First::Zero;
    let both = a.first != First::Zero && b.first != First::Zero;
    Form {
        width: a.width,
        first: if moves { First::PerRow } else { First::Zero },
        second: a.second || b.second || (both && curved > 0),
    }
}

/// out += factor * a * b, where either may be zero (absent).
fn add_product<T: Real>(out: &mut [T], factor: T, a: Option<&[T]>, b: Option<&[T]>) {
    if let (Some(a), Some(b)) = (a, b) {
        vector::add_product(out, factor, a, b);
    }
}

pub(super) fn forward<T: Real>(a: Jet<'_, T>, b: Jet<'_, T>, mut y: JetMut<'_, T>) {
    y.data.fill(T::ZERO);
    let extent = y.extent;
    for (c, r) in y.form.stored(extent) {
        let Some(out) = y.row_mut(c, r) else { continue };
        add_product(out, T::ONE, a.row(c, r), b.row(Value, r));
        if c != Value {
            add_product(out, T::ONE, a.row(Value, r), b.row(c, r));
        }
        if c == Second {
            for m in 0..extent.curved {
                add_product(out, T::of(2.0), a.row(First(m), r), b.row(First(m), r));
            }
        }
    }
}

/// Adds the adjoint of a; the other factor is b. Call again with the roles changed for b.
pub(super) fn adjoint<T: Real>(b: Jet<'_, T>, y_bar: Jet<'_, T>, a_bar: &mut JetMut<'_, T>) {
    let extent = y_bar.extent;
    for (c, r) in y_bar.form.stored(extent) {
        let bar = y_bar.row(c, r);
        if let Some(a) = a_bar.row_mut(Value, r) {
            add_product(a, T::ONE, bar, b.row(c, r));
        }
        if c != Value
            && let Some(a) = a_bar.row_mut(c, r)
        {
            add_product(a, T::ONE, bar, b.row(Value, r));
        }
        if c == Second {
            for m in 0..extent.curved {
                if let Some(a) = a_bar.row_mut(First(m), r) {
                    add_product(a, T::of(2.0), bar, b.row(First(m), r));
                }
            }
        }
    }
}
