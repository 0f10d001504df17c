//! How far to trust a score: pure functions of a score and rows it has not seen.
//!
//! [`exact_loss`] is the held-out objective on a scale common to all training losses,
//! [`stein_check`] and [`kernel_stein_discrepancy`] need no truth, [`fisher_divergence`] does.
//! Two samples, of data and of a model, are compared by [`energy_distance`], [`classifier_test`] and
//! [`column_tests`]. [`Baselines`] are what a fit has to beat. [`estimate_normalizer`] makes log densities
//! absolute, or says why not, and [`false_alarm_threshold`] turns them into alarms.

mod annealing;
mod anomaly;
mod baseline;
mod bounded_stein;
mod classifier;
mod copies;
mod corrections;
mod energy;
mod estimate;
mod exact_loss;
mod expectation_maximization;
mod fisher;
mod fourier;
mod importance;
mod kolmogorov;
mod ksd;
mod normalizer;
mod pair_sums;
mod paired;
mod proposal;
mod rows;
mod stein;
mod test_functions;
#[cfg(test)]
mod testing;
mod whitened;

pub use anomaly::{
    false_alarm_threshold, mean_over_scales, path_contributions, path_difference, score_norm,
};
pub use baseline::{Baseline, BaselineComparison, Baselines};
pub use bounded_stein::stein_check_on_domain;
pub use classifier::{ClassifierConfig, ClassifierTest, classifier_test};
pub use copies::{Copies, copies_of};
pub use corrections::{Correction, Corrections, Explained, corrections};
pub use energy::{EnergyConfig, EnergyDistance, energy_distance};
pub use estimate::Estimate;
pub use exact_loss::{exact_loss, exact_loss_rows};
pub use fisher::{FisherDivergence, fisher_divergence};
pub use importance::LogMean;
pub use kolmogorov::{
    KolmogorovSmirnov, column_tests, kolmogorov_smirnov, kolmogorov_tail, ks_distance, ks_uniform,
};
pub use ksd::{KernelSteinDiscrepancy, KsdConfig, SteinKernel, kernel_stein_discrepancy};
pub use normalizer::{
    Likelihood, LogZ, Normalizer, NormalizerConfig, Refusal, estimate_normalizer, likelihood,
};
pub use paired::{Paired, paired_difference};
pub use proposal::{Proposals, fit_proposals};
pub use stein::{SteinReport, Verdict, stein_check, stein_check_conditional};
pub use test_functions::{ColumnFunction, Shape, SteinStatement, TestFunction, test_functions};

use rows::{check_pair, check_rows, finite_score, pool, row_after_row, standardize, subset};
