//! Rows drawn from a model, and their diagnostics.

use ndarray::Array2;
use serde::Serialize;

use crate::Error;

/// Below this acceptance the draws are starting points, not draws.
pub const ACCEPTED: f64 = 0.05;

/// What a run came to.
pub struct Outcome {
    /// The rows.
    pub samples: Samples,
    /// Why it went no further, where a row became non-finite.
    pub failure: Option<Error>,
}

/// Rows drawn from a model, and their diagnostics.
#[derive(Debug, Clone, Serialize)]
pub struct Samples {
    /// In the user's units.
    #[serde(skip)]
    pub rows: Array2<f64>,
    /// The chain of each row.
    #[serde(skip)]
    pub chain: Vec<usize>,
    /// Name of the sampler.
    pub sampler: &'static str,
    /// Rows.
    pub draws: usize,
    /// What the rows came by.
    #[serde(flatten)]
    pub route: Route,
    /// Of the sampler's proposals after warm-up, where it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acceptance_rate: Option<f64>,
    /// Largest over columns; infinite where no chain moved. None where it cannot be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_split_r_hat: Option<f64>,
    /// Smallest over columns; None where it cannot be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_effective_sample_size: Option<f64>,
    /// The same for the 5% and 95% quantiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_tail_effective_sample_size: Option<f64>,
    /// Why one of these is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unchecked: Option<String>,
    /// Chains that did not move, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub still_chains: Option<usize>,
    /// Of a table of conditions: numbers of the rows whose chains did not mix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conditions_not_mixed: Option<Vec<usize>>,
    /// Likewise those whose chains have no finite density or score to go on from.
    #[serde(skip)]
    pub conditions_lost: Vec<usize>,
    /// Whether the run was not stopped on the way.
    pub completed: bool,
    /// What to know of them, if anything.
    #[serde(skip)]
    pub note: Option<String>,
    /// Draws of each chain from which these were found.
    #[serde(skip)]
    pub draws_a_chain: usize,
    /// The step size was given, not found.
    #[serde(skip)]
    pub step_given: bool,
}

/// What the rows came by.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Route {
    /// Chains on one density.
    Chains {
        /// Side by side.
        chains: usize,
        /// Steps dropped.
        warm_up: usize,
        /// Every so many-th step was kept.
        thinning: usize,
        /// In the network's units.
        step_size: f64,
    },
    /// The reverse of a noising process.
    Reverse {
        /// From noise to data.
        steps: usize,
        /// Where they were.
        schedule: &'static str,
        /// Of the network, for each row.
        score_evaluations: usize,
    },
}

impl Samples {
    /// What split R-hat should not exceed. In halves of n draws, neighbouring draws that resemble each other
    /// raise it too: to about sqrt(1 + 2/n) at an autocorrelation time of three draws. Only more than that
    /// means that chains differ.
    pub fn r_hat_bound(&self) -> f64 {
        let half = self.draws_a_chain as f64 / 2.0;
        (1.0 + 2.0 / half.max(1.0)).sqrt().max(1.05)
    }

    /// Chains that have not moved, where there are more of them than rejections explain.
    pub fn stuck(&self) -> Option<usize> {
        let Route::Chains { chains, thinning, .. } = self.route else { return None };
        let steps = (self.draws_a_chain.saturating_sub(1) as f64) * thinning as f64;
        let chance = (1.0 - self.acceptance_rate.unwrap_or(1.0)).powf(steps);
        let expected = chains as f64 * chance;
        self.still_chains.filter(|still| *still as f64 > 2.0 * expected + 3.0 * expected.sqrt())
    }
}
