//! Where the data ends.

use clap::Args;
use gradlogp::fit::{ColumnBounds, DomainConfig};

use super::lists::{List, bounds_list, flat};
use crate::bounds::domain;

/// Where the data ends.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Boundary")]
pub(crate) struct BoundaryArgs {
    /// Columns that end at bounds, such as age=0:inf,share=0:1.
    ///
    /// Score matching then weights the rows near them by their distance, without which it is wrong there; for
    /// exact, ssm and ssm-vr.
    #[arg(long, value_name = "COLUMN=LOW:HIGH", value_parser = bounds_list)]
    pub(crate) bounds: Vec<List<ColumnBounds>>,
    /// A domain of all columns together: simplex, or ball:RADIUS.
    ///
    /// simplex is for all but one part of a composition (each at least 0, their sum at most 1); ball:RADIUS lies
    /// around the origin.
    #[arg(long, value_name = "DOMAIN", value_parser = domain, conflicts_with = "bounds")]
    pub(crate) domain: Option<DomainConfig>,
    /// K of the weight min(1, distance / standard deviation)^K near the boundary.
    ///
    /// 2 for densities that rise without bound towards it.
    #[arg(long, default_value_t = 1.0, value_name = "K", hide_short_help = true)]
    pub(crate) boundary_power: f64,
}

impl BoundaryArgs {
    /// Where all rows are known to lie; None: anywhere.
    pub(crate) fn domain(&self) -> Option<DomainConfig> {
        let columns = (!self.bounds.is_empty()).then(|| DomainConfig::Columns(flat(&self.bounds)));
        self.domain.clone().or(columns)
    }
}
