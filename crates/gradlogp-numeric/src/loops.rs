//! The loops of this crate as methods of the scalar types.
//!
//! Generic functions are compiled anew in every crate that uses them. These are large (seven activations times
//! a handful of instruction sets) and used by all, so they are methods without type parameters of their own:
//! compiled in `instances.rs`, once for `f32` and once for `f64`, and linked everywhere.

use crate::activation::{Activation, Adjoint, Forward, Layout};
use crate::mat::{Mat, MatMut};

/// Compiled loops. Call the functions of [`activation`](mod@crate::activation), [`matmul`](mod@crate::matmul) and
/// [`vector`](mod@crate::vector) instead; the trait cannot be implemented elsewhere.
pub trait Loops: Sized + sealed::Sealed {
    /// See [`activation::forward`](crate::activation::forward).
    fn forward(kind: Activation, layout: Layout, buffers: Forward<'_, Self>);
    /// See [`activation::adjoint`](crate::activation::adjoint).
    fn adjoint(kind: Activation, layout: Layout, buffers: Adjoint<'_, Self>);
    /// See [`Activation::taylor`].
    fn taylor(kind: Activation, a: Self) -> [Self; 4];
    /// See [`matmul::matmul`](crate::matmul::matmul).
    fn matmul(c: MatMut<'_, Self>, a: Mat<'_, Self>, b: Mat<'_, Self>, accumulate: bool);
    /// See [`vector::add_assign`](crate::vector::add_assign).
    fn add_assign(y: &mut [Self], x: &[Self]);
    /// See [`vector::axpy`](crate::vector::axpy).
    fn axpy(y: &mut [Self], a: Self, x: &[Self]);
    /// See [`vector::add_product`](crate::vector::add_product).
    fn add_product(y: &mut [Self], factor: Self, a: &[Self], b: &[Self]);
    /// See [`vector::dot`](crate::vector::dot).
    fn dot(x: &[Self], y: &[Self]) -> Self;
    /// See [`vector::scale_rows`](crate::vector::scale_rows).
    fn scale_rows(out: &mut [Self], matrix: &[Self], factors: &[Self]);
    /// See [`vector::scale_each_row`](crate::vector::scale_each_row).
    fn scale_each_row(out: &mut [Self], matrix: &[Self], factors: &[Self]);
    /// See [`vector::row_dots`](crate::vector::row_dots).
    fn row_dots(out: &mut [Self], x: &[Self], y: &[Self], width: usize);
    /// See [`vector::add_row_sums`](crate::vector::add_row_sums).
    fn add_row_sums(out: &mut [Self], matrix: &[Self]);
    /// See [`vector::add_to_rows`](crate::vector::add_to_rows).
    fn add_to_rows(matrix: &mut [Self], row: &[Self]);
}

mod sealed {
    /// Keeps [`Loops`](super::Loops) to the types of this crate.
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}
