//! The loss that is minimized.

use clap::{Args, ValueEnum};
use gradlogp::Objective;
use gradlogp::slice::SliceDistribution;

use crate::choices;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Objective")]
pub(crate) struct ObjectiveArgs {
    /// The loss that is minimized.
    #[arg(long, value_enum, default_value_t = ObjectiveArgs::default().objective, value_name = "NAME")]
    pub(crate) objective: ObjectiveArg,
    /// Slices per row and step; more cost more and have less noise.
    #[arg(long, default_value_t = ObjectiveArgs::default().slices, value_name = "M")]
    pub(crate) slices: usize,
    /// How slices are drawn.
    #[arg(long, alias = "slice-law", value_parser = choices::slice_distribution(),
          default_value_t = ObjectiveArgs::default().slice_distribution, value_name = "NAME", hide_short_help = true)]
    pub(crate) slice_distribution: SliceDistribution,
    /// Noise level of dsm and fd-dsm, in standardized units.
    #[arg(long, default_value_t = ObjectiveArgs::default().sigma, hide_short_help = true)]
    pub(crate) sigma: f64,
    /// Step of fd-ssm and fd-dsm, in standardized units [default: suits single precision].
    ///
    /// They look at x +- EPS v with slices v of length about sqrt(columns). The default balances truncation and
    /// single precision: 0.041 / sqrt(columns) for fd-ssm of potentials, else 0.0056 / sqrt(columns).
    #[arg(long, value_name = "EPS", hide_short_help = true)]
    pub(crate) fd_eps: Option<f64>,
}

impl Default for ObjectiveArgs {
    fn default() -> Self {
        ObjectiveArgs {
            objective: ObjectiveArg::Auto,
            slices: 1,
            slice_distribution: SliceDistribution::Rademacher,
            sigma: 0.1,
            fd_eps: None,
        }
    }
}

impl ObjectiveArgs {
    /// The objective asked for; None for auto.
    pub(crate) fn chosen(&self) -> Option<Objective> {
        self.objective.with(self.slices, self.sigma, self.fd_eps)
    }

    /// Whether the score of the rows themselves is fitted, by its own derivatives.
    pub(crate) fn is_implicit(&self) -> bool {
        match self.chosen() {
            None => true,
            Some(objective) => objective.check_on_base().is_ok(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ObjectiveArg {
    /// exact or ssm-vr, whichever has less gradient variance for the same work, measured in a short
    /// training run (kernel families: exact up to 16 columns, ssm-vr beyond)
    Auto,
    /// Sliced score matching
    Ssm,
    /// Sliced score matching with variance reduction
    SsmVr,
    /// Score matching with the exact trace
    Exact,
    /// Denoising score matching, which fits the data smoothed by noise --sigma
    Dsm,
    /// ssm by finite differences of network values, with an error of order --fd-eps squared
    FdSsm,
    /// dsm by finite differences
    FdDsm,
    /// Curvature propagation, an older baseline for potentials, slow
    Cp,
    /// The approximate diagonal by backpropagation, an older baseline for potentials, slow; biased with more
    /// than one hidden layer, and not for kernel families
    ApproxBackprop,
}

impl ObjectiveArg {
    /// The objective of this name; None for auto.
    pub(crate) fn with(self, slices: usize, sigma: f64, eps: Option<f64>) -> Option<Objective> {
        Some(match self {
            ObjectiveArg::Auto => return None,
            ObjectiveArg::Ssm => Objective::Ssm { slices },
            ObjectiveArg::SsmVr => Objective::SsmVr { slices },
            ObjectiveArg::Exact => Objective::Exact,
            ObjectiveArg::Dsm => Objective::Dsm { sigma },
            ObjectiveArg::FdSsm => Objective::FdSsm { slices, eps },
            ObjectiveArg::FdDsm => Objective::FdDsm { slices, sigma, eps },
            ObjectiveArg::Cp => Objective::Cp { slices },
            ObjectiveArg::ApproxBackprop => Objective::ApproxBackprop,
        })
    }
}
