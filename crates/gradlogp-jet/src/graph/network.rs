//! Nodes, and a graph of them that is checked.

use serde::{Deserialize, Serialize};

use super::{ParameterId, ParameterIndex};
use crate::{Error, Result};
use gradlogp_numeric::Activation;

/// Most contexts of one graph: a condition, a noise level, a time and one more.
pub const MAX_CONTEXTS: usize = 4;

/// Most columns of all nodes together: far more than any network has that fits into memory, and so few that a
/// short file cannot ask for all of it.
pub const MOST_COLUMNS: usize = 1 << 24;

/// Position of a node in [`Graph::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub usize);

/// What a node computes from earlier nodes. Every function acts on each row by itself. Code that runs a graph
/// handles all of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Op {
    /// The point x, with respect to which jets differentiate.
    Input,
    /// A quantity given beside x and not differentiated: a noise level, a time, a condition.
    Context {
        /// Which of the contexts.
        slot: usize,
    },
    /// y = x W^T + b, W stored as \[out, in\].
    Affine {
        /// x.
        input: NodeId,
        /// W.
        weight: ParameterId,
        /// b, if any.
        bias: Option<ParameterId>,
    },
    /// y = h(x), elementwise.
    Activation {
        /// x.
        input: NodeId,
        /// h.
        function: Activation,
    },
    /// a + b, elementwise.
    Add {
        /// a and b.
        inputs: [NodeId; 2],
    },
    /// a * b, elementwise.
    Multiply {
        /// a and b.
        inputs: [NodeId; 2],
    },
    /// All columns of all inputs, in order.
    Concat {
        /// What to join.
        inputs: Vec<NodeId>,
    },
    /// Columns `start .. start + width`.
    Slice {
        /// What to cut from.
        input: NodeId,
        /// First column.
        start: usize,
    },
    /// Sum over columns.
    Sum {
        /// What to sum.
        input: NodeId,
    },
    /// factor * x with a fixed factor.
    Scale {
        /// x.
        input: NodeId,
        /// The factor.
        factor: f64,
    },
    /// |x|^2 over columns.
    SquaredNorm {
        /// x.
        input: NodeId,
    },
}

impl Op {
    /// The nodes it reads.
    pub fn inputs(&self) -> &[NodeId] {
        match self {
            Op::Input | Op::Context { .. } => &[],
            Op::Affine { input, .. }
            | Op::Activation { input, .. }
            | Op::Slice { input, .. }
            | Op::Sum { input }
            | Op::Scale { input, .. }
            | Op::SquaredNorm { input } => std::slice::from_ref(input),
            Op::Add { inputs } | Op::Multiply { inputs } => inputs,
            Op::Concat { inputs } => inputs,
        }
    }
}

/// One node: an operation and how many columns it yields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// What it computes.
    #[serde(flatten)]
    pub op: Op,
    /// Columns of its output.
    pub width: usize,
}

/// A network: nodes in an order in which each reads only earlier ones; the last is the output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Graph {
    nodes: Vec<Node>,
    parameters: ParameterIndex,
}

#[derive(Deserialize)]
struct Unchecked {
    nodes: Vec<Node>,
    parameters: ParameterIndex,
}

impl TryFrom<Unchecked> for Graph {
    type Error = Error;
    fn try_from(raw: Unchecked) -> Result<Self> {
        Graph::new(raw.nodes, raw.parameters)
    }
}

impl Graph {
    /// A checked graph.
    ///
    /// # Errors
    /// When a node reads a later one, widths or parameter shapes do not fit, or there is not exactly
    /// one input node.
    pub fn new(nodes: Vec<Node>, parameters: ParameterIndex) -> Result<Self> {
        let graph = Graph { nodes, parameters };
        if graph.nodes.iter().filter(|n| n.op == Op::Input).count() != 1 {
            return Err(Error::config("graph", "needs exactly one input node"));
        }
        let columns = graph.nodes.iter().try_fold(0usize, |sum, node| sum.checked_add(node.width));
        if columns.is_none_or(|columns| columns > MOST_COLUMNS) {
            let message = format!("its nodes have more than {MOST_COLUMNS} columns together");
            return Err(Error::config("graph", message));
        }
        for at in 0..graph.nodes.len() {
            graph.check_node(at)?;
        }
        Ok(graph)
    }

    fn check_node(&self, at: usize) -> Result<()> {
        let refuse = |why: String| Err(Error::config(format!("graph node {at}"), why));
        let node = &self.nodes[at];
        if node.width == 0 {
            return refuse("has no columns".into());
        }
        if node.op.inputs().iter().any(|i| i.0 >= at) {
            return refuse("reads a node that does not come before it".into());
        }
        let widths: Vec<usize> = node.op.inputs().iter().map(|i| self.nodes[i.0].width).collect();
        let fits = match &node.op {
            Op::Input => true,
            Op::Context { slot } => {
                if *slot >= MAX_CONTEXTS {
                    return refuse(format!(
                        "reads context {slot}; there are at most {MAX_CONTEXTS}"
                    ));
                }
                self.context_widths()[*slot] == node.width
            }
            Op::Affine { weight, bias, .. } => {
                self.parameters.shape(*weight) == Some(&[node.width, widths[0]])
                    && bias.is_none_or(|b| self.parameters.shape(b) == Some(&[node.width]))
            }
            Op::Activation { .. } | Op::Scale { .. } => widths[0] == node.width,
            Op::Add { .. } | Op::Multiply { .. } => widths.iter().all(|w| *w == node.width),
            Op::Concat { .. } => !widths.is_empty() && widths.iter().sum::<usize>() == node.width,
            Op::Slice { start, .. } => {
                start.checked_add(node.width).is_some_and(|end| end <= widths[0])
            }
            Op::Sum { .. } | Op::SquaredNorm { .. } => node.width == 1,
        };
        if fits { Ok(()) } else { refuse("has inputs or parameters of the wrong width".into()) }
    }

    /// The nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Names, shapes and places of the parameters.
    pub fn parameters(&self) -> &ParameterIndex {
        &self.parameters
    }

    /// Columns of x.
    pub fn input_width(&self) -> usize {
        self.nodes.iter().find(|n| n.op == Op::Input).map_or(0, |n| n.width)
    }

    /// Columns of the output.
    pub fn output_width(&self) -> usize {
        self.nodes.last().map_or(0, |n| n.width)
    }

    /// Columns of each context, by slot; 0 for those that no node reads.
    pub fn context_widths(&self) -> [usize; MAX_CONTEXTS] {
        let mut widths = [0; MAX_CONTEXTS];
        for node in &self.nodes {
            if let Op::Context { slot } = node.op
                && let Some(width) = widths.get_mut(slot)
            {
                *width = node.width;
            }
        }
        widths
    }

    /// Number of contexts: the last slot that a node reads, plus one.
    pub fn contexts(&self) -> usize {
        self.context_widths().iter().rposition(|w| *w > 0).map_or(0, |slot| slot + 1)
    }

    /// The activations in use.
    pub fn activations(&self) -> impl Iterator<Item = Activation> {
        self.nodes.iter().filter_map(|n| match n.op {
            Op::Activation { function, .. } => Some(function),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::GraphBuilder;
    use super::*;

    #[test]
    fn contexts_have_one_width_each_and_few_slots() {
        let widths = |slots: [(usize, usize); 2]| {
            let mut b = GraphBuilder::new();
            let x = b.input(2);
            let [c, e] = slots.map(|(slot, width)| b.context(slot, width));
            b.concat(&[x, c, e]);
            b.build().map(|g| (g.contexts(), g.context_widths()))
        };
        assert_eq!(widths([(2, 5), (0, 3)]).unwrap(), (3, [3, 0, 5, 0]));
        assert_eq!(widths([(1, 5), (1, 5)]).unwrap(), (2, [0, 5, 0, 0]));
        assert!(widths([(1, 5), (1, 4)]).is_err());
        assert!(widths([(0, 5), (MAX_CONTEXTS, 4)]).is_err());
    }

    #[test]
    fn survives_json_and_refuses_nonsense() {
        let mut b = GraphBuilder::new();
        let x = b.input(3);
        let h = b.affine(x, 4, "net.0");
        let h = b.activation(h, Activation::Tanh);
        b.affine(h, 3, "net.1");
        let graph = b.build().unwrap();
        let json = serde_json::to_string(&graph).unwrap();
        assert_eq!(serde_json::from_str::<Graph>(&json).unwrap(), graph);

        let broken = json.replace("\"width\":4", "\"width\":5");
        assert!(serde_json::from_str::<Graph>(&broken).is_err());
        let cyclic = json.replace("\"input\":0", "\"input\":7");
        assert!(serde_json::from_str::<Graph>(&cyclic).is_err());
        let far = json.replace("{\"op\":\"input\",", "{\"op\":\"context\",\"slot\":99,");
        assert_ne!(far, json);
        assert!(serde_json::from_str::<Graph>(&far).is_err());
        let odd = json.replace("\"weight\":0", "\"weight\":9");
        assert!(serde_json::from_str::<Graph>(&odd).is_err());
    }
}
