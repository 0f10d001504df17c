//! Elementwise activations h: their derivatives, and the fused loops that carry jets through them.
//!
//! An activation supplies y = h(a), one saved number, and h', h'', h''' at the same point from
//! (a, y, saved) without another transcendental; `forward` and `adjoint` do the chain rule
//! of MATH 5 for every activation:
//!
//! y0 = h(a0), y1 = h' a1, y2 = h' a2 + h'' sum_m (a1^(m))^2 (collapsed second order), and back
//! A0 = Y0 h' + sum_m Y1 h'' a1 + Y2 (h'' a2 + h''' sum_m a1^2), A1 = Y1 h' + 2 Y2 h'' a1, A2 = Y2 h'.

mod buffers;
mod curves;
mod fused;
mod kind;

pub use buffers::{Adjoint, Forward, Layout, Squares};
pub use fused::{adjoint, forward};
pub(crate) use fused::{generic_adjoint, generic_forward};
pub use kind::Activation;
