//! Networks as data, and jets through them: the first Taylor coefficients along directions, forwards, and their
//! adjoints back.
//!
//! | module | what it holds |
//! |---|---|
//! | [`graph`] | networks as data, over one flat vector of named parameters |
//! | [`jet`] | Taylor coefficients through a graph, and their adjoints |
//!
//! "MATH (4)" in the documentation means formula (4) of [`formulas`].

pub mod formulas;
pub mod graph;
pub mod jet;

pub use gradlogp_numeric as numeric;

use gradlogp_error::{Error, Result};
