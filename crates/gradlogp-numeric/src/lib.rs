//! Arithmetic: scalars, elementary functions, matrix products, fused activation loops.
//!
//! The only crate with `unsafe` code (the innermost loop of [`matmul()`] and what it reads). Loops are written
//! plainly and compiled several times, once per instruction set, by [`simd`]: a released binary runs on any
//! machine and still uses AVX-512 or AVX2 where they exist.

pub mod activation;
mod blocked;
pub mod elementary;
mod instances;
#[doc(hidden)]
pub mod lanes;
#[doc(hidden)]
pub mod loops;
mod mat;
pub mod matmul;
#[cfg(test)]
mod matmul_properties;
mod names;
mod narrow;
mod pack;
pub mod real;
pub mod simd;
mod tile;
pub mod vector;

pub use activation::Activation;
pub use mat::{Mat, MatMut};
pub use matmul::matmul;
pub use names::UnknownName;
pub use real::Real;
