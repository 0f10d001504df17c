//! The elementwise functions by name.

use serde::{Deserialize, Serialize};

/// The elementwise functions that a graph may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Activation {
    /// log(1 + e^a): smooth, the default for score matching.
    Softplus,
    /// Hyperbolic tangent.
    Tanh,
    /// a / (1 + e^-a), also called swish.
    Silu,
    /// a Phi(a), the exact form.
    Gelu,
    /// sin a.
    Sin,
    /// max(a, 0): zero curvature almost everywhere, so refused for potentials (MATH 5).
    Relu,
    /// e^a, saturating at the ends of the floating-point range.
    Exp,
}

impl Activation {
    /// Every activation.
    pub const ALL: [Activation; 7] = [
        Activation::Softplus,
        Activation::Tanh,
        Activation::Silu,
        Activation::Gelu,
        Activation::Sin,
        Activation::Relu,
        Activation::Exp,
    ];

    /// Whether h'' is not zero almost everywhere, as curvature terms need.
    pub fn has_curvature(self) -> bool {
        self != Activation::Relu
    }
}
