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

/// All curves: to add one is to add it here, to [`Activation`], and its `Curve`.
macro_rules! all_curves {
    ($of:ident! $($more:tt)*) => {
        $of! {
            [
                Softplus "softplus", Tanh "tanh", Silu "silu", Gelu "gelu", Sin "sin", Relu "relu",
                Exp "exp"
            ]
            $($more)*
        }
    };
}

macro_rules! name_curves {
    ([$($curve:ident $name:literal),+]) => {
        crate::names!(Activation { $($curve => $name),+ });

        impl Activation {
            /// Every activation.
            pub const ALL: [Activation; 7] = [$(Activation::$curve),+];
        }
    };
}
all_curves!(name_curves!);

/// `work` with `C` the curve of an activation.
macro_rules! with_curve {
    ([$($curve:ident $name:literal),+] $kind:expr, |$c:ident| $work:expr) => {
        match $kind {
            $(Activation::$curve => {
                type $c = $curve;
                $work
            })+
        }
    };
}

pub(super) use {all_curves, with_curve};

impl Activation {
    /// Whether h'' is not zero almost everywhere, as curvature terms need.
    pub fn has_curvature(self) -> bool {
        self != Activation::Relu
    }
}
