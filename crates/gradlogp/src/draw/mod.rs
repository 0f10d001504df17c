//! Rows drawn from a fitted model, in the user's units: by chains on its density, or from noise to data where it
//! knows every noise level.
//!
//! [`FittedModel::sample`](crate::FittedModel::sample) is all that most need. A [`Job`] is the same as data: it can be
//! stopped anywhere, stored and resumed, and the rows are those of a run that never stopped.
//!
//! [`FittedModel::impute`](crate::FittedModel::impute) draws the missing values of a table.

mod chains;
mod config;
mod impute;
mod job;
mod reverse;
mod samples;
mod steps;

pub use chains::ChainJob;
pub use config::{SampleConfig, Sampler, StepSchedule};
pub use impute::{Imputation, ImputeSettings};
pub use job::{Job, Snapshot, Watch};
pub use reverse::{ReverseJob, warning_of_the_end};
pub use samples::{ACCEPTED, Outcome, Route, Samples};
