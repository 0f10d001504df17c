//! A fit from end to end: from a table to a model that has been evaluated, with every step on the way.
//!
//! ```no_run
//! use gradlogp::data::{ReadOptions, read_table};
//! use gradlogp::fit::{FitConfig, fit};
//!
//! let (table, _warnings) = read_table("my.csv".as_ref(), &ReadOptions::default())?;
//! let fit = fit(table, &FitConfig::default())?;
//! println!("{}", fit.evaluation?.verdict());
//! fit.model.save("model.safetensors".as_ref())?;
//! # Ok::<(), gradlogp::Error>(())
//! ```
//!
//! [`fit`] is these steps in their order, each of which can be taken by itself, to show what is found on the way, to
//! change settings between, or to stop and go on:
//!
//! 1. [`CheckedTable::new`] checks the table, splits off the columns of the condition and adds the noise of rounding.
//! 2. [`CheckedTable::prepare`] splits the rows and fits the scaling to those of training: [`Prepared`].
//! 3. [`Prepared::choose_objective`] chooses between exact and sliced score matching where that is left open.
//! 4. [`Prepared::trainer`] and [`Trainer::run`](crate::train::Trainer::run), or [`Prepared::train`]: [`Trained`].
//! 5. [`Prepared::model`] joins weights and scaling: a [`FittedModel`].
//! 6. [`Prepared::evaluate`] looks at the test rows: an [`Evaluation`] and its [`Verdict`].

mod base;
mod compare;
mod config;
mod density;
mod describe;
mod diffusion;
mod domain;
mod evaluate;
mod evidence;
mod figures;
mod for_purpose;
mod kernel;
mod kernel_family;
mod over_times;
mod prepare;
mod purpose;
mod run;
mod samples;
mod score;
mod size_rule;
mod train;
mod trained;
mod verdict;
mod watch;

pub use compare::{Way, WayFigures, mean_loss};
pub use config::{Family, FitConfig, NetworkConfig, PrepareConfig, Support};
pub use diffusion::{DiffusionConfig, ProcessConfig};
pub use domain::{ColumnBounds, DomainConfig};
pub use evaluate::{Evaluation, Standing, evaluate, evaluate_at_its_time};
pub use evidence::{
    CORRELATION, Effect, Evidence, Fitness, MARGINAL, Measure, NATS_A_COLUMN, RELATIVE_FISHER,
    TOLD_APART,
};
pub use figures::{LEVEL, ONE_SIDED, enough_rows};
pub use kernel_family::KernelFamilyConfig;
pub use over_times::{AtOneTime, OverTimes, evaluate_over_times};
pub use prepare::{CheckedTable, Prepared};
pub use purpose::{Purpose, SizedSetting};
pub use run::{Fit, fit, fit_watched};
pub use samples::{SampleCheck, correlations};
pub use size_rule::{NoiseRule, SizeRule};
pub use trained::{Trained, TrainedMember};
pub use verdict::{Finding, Grade, Verdict, least_rows};
pub use watch::{FitStep, FitWatch};

#[cfg(test)]
mod tests;

#[cfg(doc)]
use crate::fitted::FittedModel;
