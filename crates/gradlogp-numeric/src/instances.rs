//! [`Loops`] of `f32` and `f64`: the generic loops of [`activation`], [`matmul`] and [`vector`], compiled here.

use crate::activation::{Activation, Adjoint, Forward, Layout};
use crate::loops::Loops;
use crate::mat::{Mat, MatMut};
use crate::{activation, matmul, vector};

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
            fn add_product(y: &mut [Self], factor: Self, a: &[Self], b: &[Self]) {
                vector::generic::add_product(y, factor, a, b);
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
