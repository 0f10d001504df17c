//! The loops of this crate as methods of the scalar types.
//!
//! Generic functions are compiled anew in every crate that uses them. These are large (seven activations times
//! a handful of instruction sets) and used by all, so they are methods without type parameters of their own:
//! compiled here, once for `f32` and once for `f64`, and linked everywhere.

use crate::activation::{Activation, Adjoint, Forward, Layout};
use crate::matmul::{Mat, MatMut};
use crate::{activation, matmul, vector};

/// Compiled loops. Call the functions of [`activation`](mod@activation), [`matmul`](mod@matmul) and
/// [`vector`](mod@vector) instead; the trait cannot be implemented elsewhere.
pub trait Loops: Sized + sealed::Sealed {
    /// See [`activation::forward`].
    fn forward(kind: Activation, layout: Layout, buffers: Forward<'_, Self>);
    /// See [`activation::adjoint`].
    fn adjoint(kind: Activation, layout: Layout, buffers: Adjoint<'_, Self>);
    /// See [`Activation::taylor`].
    fn taylor(kind: Activation, a: Self) -> [Self; 4];
    /// See [`matmul::matmul`].
    fn matmul(c: MatMut<'_, Self>, a: Mat<'_, Self>, b: Mat<'_, Self>, accumulate: bool);
    /// See [`vector::add_assign`].
    fn add_assign(y: &mut [Self], x: &[Self]);
    /// See [`vector::axpy`].
    fn axpy(y: &mut [Self], a: Self, x: &[Self]);
    /// See [`vector::dot`].
    fn dot(x: &[Self], y: &[Self]) -> Self;
    /// See [`vector::scale_rows`].
    fn scale_rows(out: &mut [Self], matrix: &[Self], factors: &[Self]);
    /// See [`vector::scale_each_row`].
    fn scale_each_row(out: &mut [Self], matrix: &[Self], factors: &[Self]);
    /// See [`vector::row_dots`].
    fn row_dots(out: &mut [Self], x: &[Self], y: &[Self], width: usize);
    /// See [`vector::add_row_sums`].
    fn add_row_sums(out: &mut [Self], matrix: &[Self]);
    /// See [`vector::add_to_rows`].
    fn add_to_rows(matrix: &mut [Self], row: &[Self]);
}

mod sealed {
    /// Keeps [`Loops`](super::Loops) to the types of this crate.
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

macro_rules! loops {
    ($t:ident) => {
        impl Loops for $t {
            fn forward(kind: Activation, layout: Layout, buffers: Forward<'_, Self>) {
                activation::generic_forward(kind, layout, buffers);
            }
            fn adjoint(kind: Activation, layout: Layout, buffers: Adjoint<'_, Self>) {
                activation::generic_adjoint(kind, layout, buffers);
            }
            fn taylor(kind: Activation, a: Self) -> [Self; 4] {
                kind.generic_taylor(a)
            }
            fn matmul(c: MatMut<'_, Self>, a: Mat<'_, Self>, b: Mat<'_, Self>, accumulate: bool) {
                matmul::generic(pulp::Arch::new(), c, a, b, accumulate);
            }
            fn add_assign(y: &mut [Self], x: &[Self]) {
                vector::generic::add_assign(y, x);
            }
            fn axpy(y: &mut [Self], a: Self, x: &[Self]) {
                vector::generic::axpy(y, a, x);
            }
            fn dot(x: &[Self], y: &[Self]) -> Self {
                vector::generic::dot(x, y)
            }
            fn scale_rows(out: &mut [Self], matrix: &[Self], factors: &[Self]) {
                vector::generic::scale_rows(out, matrix, factors);
            }
            fn scale_each_row(out: &mut [Self], matrix: &[Self], factors: &[Self]) {
                vector::generic::scale_each_row(out, matrix, factors);
            }
            fn row_dots(out: &mut [Self], x: &[Self], y: &[Self], width: usize) {
                vector::generic::row_dots(out, x, y, width);
            }
            fn add_row_sums(out: &mut [Self], matrix: &[Self]) {
                vector::generic::add_row_sums(out, matrix);
            }
            fn add_to_rows(matrix: &mut [Self], row: &[Self]) {
                vector::generic::add_to_rows(matrix, row);
            }
        }
    };
}

loops!(f32);
loops!(f64);
