//! The log density of a mixture of Gaussians as a graph, the base of potentials that add to it, MATH (76).
//!
//! ```text
//! log q(x) = log sum_k exp a_k(x),     a_k(x) = -1/2 |L_k^T (x - m_k)|^2 + log pi_k + log |det L_k| - d/2 log 2 pi
//! ```
//!
//! with S_k^-1 = L_k L_k^T. log(e^a + e^b) = b + softplus(a - b), half of the terms at a time, so that nothing
//! overflows and derivatives of every order are those of nodes that there are anyhow.

use crate::graph::{GraphBuilder, NodeId};
use gradlogp_numeric::Activation;

/// log q of `components` Gaussians in the columns of `x`; parameters
/// `base.*`: `whitened`, rows L_k^T and -L_k^T m_k of all components below each other, and `terms`, which sums the squares of
/// each and adds its constants.
pub(super) fn log_mixture(
    b: &mut GraphBuilder,
    x: NodeId,
    dim: usize,
    components: usize,
) -> NodeId {
    let whitened = b.affine(x, components * dim, "base.whitened");
    let squares = b.multiply(whitened, whitened);
    let mut terms = b.affine(squares, components, "base.terms");
    let mut width = components;
    while width > 1 {
        let half = width / 2;
        let (one, other) = (b.slice(terms, 0, half), b.slice(terms, half, half));
        let negative = b.scale(other, -1.0);
        let apart = b.add(one, negative);
        let above = b.activation(apart, Activation::Softplus);
        let joined = b.add(other, above);
        terms = match width % 2 {
            0 => joined,
            _ => {
                let last = b.slice(terms, 2 * half, 1);
                b.concat(&[joined, last])
            }
        };
        width = width.div_ceil(2);
    }
    terms
}
