//! The ways to projections, curvature and score of a row, and back: jets, finite differences of values, and
//! the second backward sweeps of two older estimates. Any of the three runs any objective that it is for.

mod differences;
mod interface;
mod jet;
mod plan;
mod second_sweep;
mod vjp;

pub(in crate::model) use interface::{GradientOf, Network, Route};
pub(in crate::model) use plan::{by_jets, plan};
pub(in crate::model) use second_sweep::check;
