//! Builds graphs node by node.

use super::{Graph, Node, NodeId, Op, Parameter, ParameterIndex};
use crate::Result;
use gradlogp_numeric::Activation;

/// Collects nodes; [`GraphBuilder::build`] checks them. The last node added is the output.
///
/// ```
/// use gradlogp_jet::graph::GraphBuilder;
/// use gradlogp_jet::numeric::Activation;
///
/// let mut b = GraphBuilder::new();
/// let x = b.input(2);
/// let hidden = b.affine(x, 16, "net.0");
/// let hidden = b.activation(hidden, Activation::Softplus);
/// b.affine(hidden, 2, "net.1");
/// let graph = b.build()?;
/// assert_eq!(graph.parameters().len(), 2 * 16 + 16 + 16 * 2 + 2);
/// # Ok::<(), gradlogp_error::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct GraphBuilder {
    nodes: Vec<Node>,
    parameters: ParameterIndex,
}

impl GraphBuilder {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks and returns the graph.
    ///
    /// # Errors
    /// When widths do not fit.
    pub fn build(self) -> Result<Graph> {
        Graph::new(self.nodes, self.parameters)
    }

    fn push(&mut self, op: Op, width: usize) -> NodeId {
        self.nodes.push(Node { op, width });
        NodeId(self.nodes.len() - 1)
    }

    fn width(&self, node: NodeId) -> usize {
        self.nodes[node.0].width
    }

    /// The point x.
    pub fn input(&mut self, width: usize) -> NodeId {
        self.push(Op::Input, width)
    }

    /// A quantity that is not differentiated.
    pub fn context(&mut self, slot: usize, width: usize) -> NodeId {
        self.push(Op::Context { slot }, width)
    }

    /// x W^T + b with new parameters `name.weight` \[width, in\] and `name.bias` \[width\].
    pub fn affine(&mut self, input: NodeId, width: usize, name: &str) -> NodeId {
        let bias = Parameter { name: format!("{name}.bias"), shape: vec![width] };
        let weight = self.weight(input, width, name);
        let bias = Some(self.parameters.push(bias));
        self.push(Op::Affine { input, weight, bias }, width)
    }

    /// x W^T with the new parameter `name.weight` \[width, in\].
    pub fn linear(&mut self, input: NodeId, width: usize, name: &str) -> NodeId {
        let weight = self.weight(input, width, name);
        self.push(Op::Affine { input, weight, bias: None }, width)
    }

    fn weight(&mut self, input: NodeId, width: usize, name: &str) -> super::ParameterId {
        let shape = vec![width, self.width(input)];
        self.parameters.push(Parameter { name: format!("{name}.weight"), shape })
    }

    /// h(x).
    pub fn activation(&mut self, input: NodeId, function: Activation) -> NodeId {
        self.push(Op::Activation { input, function }, self.width(input))
    }

    /// a + b.
    pub fn add(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.push(Op::Add { inputs: [a, b] }, self.width(a))
    }

    /// a * b.
    pub fn multiply(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.push(Op::Multiply { inputs: [a, b] }, self.width(a))
    }

    /// All columns of all inputs.
    pub fn concat(&mut self, inputs: &[NodeId]) -> NodeId {
        let width = inputs.iter().map(|i| self.width(*i)).sum();
        self.push(Op::Concat { inputs: inputs.to_vec() }, width)
    }

    /// Columns `start .. start + width`.
    pub fn slice(&mut self, input: NodeId, start: usize, width: usize) -> NodeId {
        self.push(Op::Slice { input, start }, width)
    }

    /// Sum over columns.
    pub fn sum(&mut self, input: NodeId) -> NodeId {
        self.push(Op::Sum { input }, 1)
    }

    /// factor * x.
    pub fn scale(&mut self, input: NodeId, factor: f64) -> NodeId {
        self.push(Op::Scale { input, factor }, self.width(input))
    }

    /// |x|^2.
    pub fn squared_norm(&mut self, input: NodeId) -> NodeId {
        self.push(Op::SquaredNorm { input }, 1)
    }
}
