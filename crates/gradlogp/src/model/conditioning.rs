//! How a network reads its context: a condition, or the time of a process.

use serde::{Deserialize, Serialize};

use crate::graph::{GraphBuilder, NodeId};

/// How contexts enter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Conditioning {
    /// Beside x in the first layer.
    #[default]
    Concat,
    /// A factor and a shift at every hidden layer.
    Film,
}

gradlogp_numeric::names!(Conditioning { Concat => "concat", Film => "film" });

/// h (1 + U c + a) + V c + b for the units `h` of a layer and a context c (FiLM; Perez et al. 2018), with parameters
/// `name.factor` and `name.shift`.
pub(crate) fn film(
    b: &mut GraphBuilder,
    h: NodeId,
    context: NodeId,
    width: usize,
    name: &str,
) -> NodeId {
    let factor = b.affine(context, width, &format!("{name}.factor"));
    let shift = b.affine(context, width, &format!("{name}.shift"));
    let stretched = b.multiply(h, factor);
    let sum = b.add(h, stretched);
    b.add(sum, shift)
}
