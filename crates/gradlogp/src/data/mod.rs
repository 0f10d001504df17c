//! Data: where the rows come from.

pub mod synthetic;
