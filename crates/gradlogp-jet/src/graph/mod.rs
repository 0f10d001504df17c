//! Networks as data: nodes in order, and one flat vector of named parameters.
//!
//! A graph says what is computed, never how: [`crate::jet`] runs it. Everything that trains, stores
//! or ships a network sees only the flat vector.

mod builder;
mod network;
mod parameters;

pub use builder::GraphBuilder;
pub use network::{Graph, MAX_CONTEXTS, MOST_COLUMNS, Node, NodeId, Op};
pub use parameters::{Parameter, ParameterId, ParameterIndex};
