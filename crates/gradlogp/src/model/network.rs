//! A graph with parameters and a meaning.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::tape_pool::TapePool;
use crate::graph::Graph;
use crate::{Error, Result};
use gradlogp_numeric::Real;

/// What the output of the graph means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ModelKind {
    /// The output is s(x) itself, d columns: flexible and cheap, but no density.
    Score,
    /// The output is f(x) = log p(x) + constant, one column, and s = grad f.
    #[serde(rename = "potential", alias = "log-density")]
    LogDensity,
}

gradlogp_numeric::names!(ModelKind { Score => "score", LogDensity => "potential" | "log-density" });

/// A graph with parameters and a meaning.
#[derive(Debug, Clone)]
pub struct Model<T> {
    pub(super) kind: ModelKind,
    pub(super) graph: Arc<Graph>,
    pub(super) pool: TapePool<T>,
    /// All parameters, laid out as the graph's index says.
    pub parameters: Vec<T>,
}

impl<T: Real> Model<T> {
    /// A checked model.
    ///
    /// # Errors
    /// When the output does not have d columns (score) or one (potential), the parameters do not have the
    /// graph's length, or a potential uses an activation without curvature (MATH 5: its trace term
    /// would silently be zero).
    pub fn new(kind: ModelKind, graph: Graph, parameters: Vec<T>) -> Result<Self> {
        let width = match kind {
            ModelKind::Score => graph.input_width(),
            ModelKind::LogDensity => 1,
        };
        if graph.output_width() != width {
            let found = vec![graph.output_width()];
            return Err(Error::Shape { operation: "model output", expected: vec![width], found });
        }
        if parameters.len() != graph.parameters().len() {
            return Err(Error::Shape {
                operation: "model parameters",
                expected: vec![graph.parameters().len()],
                found: vec![parameters.len()],
            });
        }
        if kind == ModelKind::LogDensity && graph.activations().any(|a| !a.has_curvature()) {
            return Err(Error::config(
                "activation",
                "relu has zero curvature almost everywhere, so a potential with it would silently lose the \
                 trace term of every score matching loss; use softplus, or fit a score field",
            ));
        }
        Ok(Model { kind, graph: Arc::new(graph), pool: TapePool::default(), parameters })
    }

    /// What its output means.
    pub fn kind(&self) -> ModelKind {
        self.kind
    }

    /// Its graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Columns of x.
    pub fn dim(&self) -> usize {
        self.graph.input_width()
    }

    /// The same model in another precision.
    pub fn cast<U: Real>(&self) -> Model<U> {
        let parameters = self.parameters.iter().map(|p| U::of(p.to_f64())).collect();
        Model { kind: self.kind, graph: self.graph.clone(), pool: TapePool::default(), parameters }
    }
}
