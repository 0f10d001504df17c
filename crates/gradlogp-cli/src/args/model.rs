//! What is fitted.

use clap::{Args, ValueEnum};
use gradlogp::ModelKind;
use gradlogp::numeric::Activation;

use super::noise::NetworkAsked;
use crate::choices;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArgs {
    /// What is fitted [default: potential; score with --noise].
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) model: Option<ModelArg>,
    /// dkef and kef: inducing points [default: 200].
    #[arg(long, value_name = "M", hide_short_help = true)]
    pub(crate) inducing: Option<usize>,
    /// Width of each hidden layer [default: 128,128; 128,128,128 with --noise].
    ///
    /// Two of 128 fit most tables of a few columns.
    #[arg(long, value_delimiter = ',', value_name = "WIDTHS")]
    hidden: Vec<usize>,
    /// The nonlinearity between layers [default: softplus; silu with --noise].
    #[arg(long, value_parser = choices::activation(), value_name = "NAME", hide_short_help = true)]
    activation: Option<Activation>,
    /// Residual connections between hidden layers of equal width; helps deep networks.
    #[arg(long, hide_short_help = true)]
    pub(crate) residual: bool,
    /// Potentials: add -|z|^2 / (2 TAU^2) in standardized units; 0 for none [default: 3; 2 for dkef and kef].
    /// Takes the place of the mixture of --base.
    ///
    /// With it the density falls off far from the data. dkef and kef always have it.
    #[arg(long, value_name = "TAU", hide_short_help = true)]
    pub(crate) base_scale: Option<f64>,
}

impl ModelArgs {
    /// What these options ask of a network.
    pub(crate) fn asked(&self) -> NetworkAsked<'_> {
        NetworkAsked {
            kind: self.model.map(Into::into),
            hidden: &self.hidden,
            activation: self.activation,
        }
    }

    /// Widths of the hidden layers, those of a family unless given.
    pub(crate) fn hidden_or(&self, usual: Vec<usize>) -> Vec<usize> {
        if self.hidden.is_empty() { usual } else { self.hidden.clone() }
    }

    /// The nonlinearity between them, that of a family unless given.
    pub(crate) fn activation_or(&self, usual: Activation) -> Activation {
        self.activation.unwrap_or(usual)
    }
}

/// What the network of a potential adds to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BaseArg {
    /// The log density of Gaussians fitted to the training rows, as many as validation rows choose
    Mixture,
    /// That of one Gaussian around the mean, as wide as --base-scale says
    Gaussian,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModelArg {
    /// The network is the score itself: cheaper and more flexible, but no density
    Score,
    /// The network is log p(x) up to a constant, which gives densities and MALA
    #[value(alias = "log-density")]
    Potential,
    /// Deep kernel exponential family: a density with closed-form coefficients over learnt kernels, for
    /// tables of up to some tens of columns
    Dkef,
    /// The same with one plain Gaussian kernel, in seconds
    Kef,
}

impl From<ModelArg> for ModelKind {
    fn from(model: ModelArg) -> Self {
        match model {
            ModelArg::Score => ModelKind::Score,
            ModelArg::Potential | ModelArg::Dkef | ModelArg::Kef => ModelKind::LogDensity,
        }
    }
}

impl ModelArg {
    /// Fitted in closed form over kernels, and not a network alone.
    pub(crate) fn is_kernel_family(self) -> bool {
        matches!(self, ModelArg::Dkef | ModelArg::Kef)
    }
}
