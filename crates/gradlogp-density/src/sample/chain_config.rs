//! How to run many chains, and what a run tells and gives.

use super::convergence::Convergence;
use crate::error::{Error, Result};
use ndarray::{Array1, Array2, Array3};
use serde::{Deserialize, Serialize};

/// How to run the chains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChainConfig {
    /// Chains at once, each a row of every batch the model sees (default 8).
    pub chains: usize,
    /// Steps before the first draw, dropped (default 1000).
    pub warm_up: usize,
    /// Steps after them (default 1000).
    pub steps: usize,
    /// Keep every so many-th step: `steps / thinning` draws a chain (default 1, keep all).
    pub thinning: usize,
    /// a in x += (a/2) s + sqrt(a) z: squared units of x (default 0.1, for standardized columns).
    /// Where it is adapted, only the first guess.
    pub step_size: f64,
    /// The acceptance rate that warm-up adapts the step size to (default 0.574, best for MALA in
    /// many columns: Roberts and Rosenthal 1998; HMC does better with 0.8). `None` keeps the step size.
    /// ULA accepts everything and does not adapt, unless chains are apart: then `None` keeps the step size, and
    /// any number has it found.
    pub target_acceptance: Option<f64>,
    /// Each chain has a distribution of its own, such as a condition of its own (default false): step size,
    /// scale and random numbers of each are its own, and what one draws depends on no other.
    #[serde(default)]
    pub apart: bool,
}

impl Default for ChainConfig {
    fn default() -> Self {
        Self {
            chains: 8,
            warm_up: 1000,
            steps: 1000,
            thinning: 1,
            step_size: 0.1,
            target_acceptance: Some(0.574),
            apart: false,
        }
    }
}

impl ChainConfig {
    /// Draws kept of each chain.
    pub fn draws(&self) -> usize {
        self.steps / self.thinning.max(1)
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        if self.chains == 0 {
            return Err(Error::config("chains", "at least one is needed"));
        }
        if self.thinning == 0 {
            return Err(Error::config("thinning", "must be at least 1, which keeps every step"));
        }
        if self.draws() == 0 {
            let message = format!("must be at least thinning = {}, for one draw", self.thinning);
            return Err(Error::config("steps", message));
        }
        if !(self.step_size > 0.0 && self.step_size.is_finite()) {
            return Err(Error::config("step_size", "must be positive and finite"));
        }
        if self.target_acceptance.is_some_and(|target| !(target > 0.0 && target < 1.0)) {
            return Err(Error::config("target_acceptance", "must lie between 0 and 1"));
        }
        Ok(())
    }
}

/// Whether the steps count yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Steps that are dropped, and adapt the step size.
    WarmUp,
    /// Steps that are kept, every `thinning`-th.
    Sampling,
}

/// Told after every step; the answer decides whether to go on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// What the step was for.
    pub phase: Phase,
    /// Steps done, both phases together.
    pub step: usize,
    /// Steps to do, both phases together.
    pub total_steps: usize,
    /// The step size it was made with; the median where each chain has its own.
    pub step_size: f64,
    /// Mean acceptance probability over the chains at this step; `None` for ULA.
    pub acceptance: Option<f64>,
}

/// What a run gave.
#[derive(Debug, Clone)]
pub struct ChainRun {
    /// chains x draws x d.
    pub draws: Array3<f64>,
    /// Mean acceptance probability of each chain after warm-up; `None` for ULA.
    pub acceptance: Option<Array1<f64>>,
    /// The step size after warm-up; the median where each chain has its own.
    pub step_size: f64,
    /// Of chains that are apart: those, counted from 0, whose halves differ more than chance gives (with less
    /// than 4 draws nothing is known), or that accepted less than 5% of their moves.
    pub not_mixed: Vec<usize>,
    /// Chains that have no finite density or score to go on from, where chains are apart; their draws are NaN.
    pub lost: Vec<usize>,
    /// R-hat and effective sample size of every column; NaN below 4 draws.
    pub convergence: Vec<Convergence>,
    /// False where the observer stopped the run, and `draws` holds only those made until then.
    pub completed: bool,
}

impl ChainRun {
    /// All draws as rows, chain after chain: (chains * draws) x d.
    pub fn pooled(&self) -> Array2<f64> {
        let (chains, draws, dim) = self.draws.dim();
        let rows: Vec<f64> = self.draws.iter().copied().collect();
        Array2::from_shape_vec((chains * draws, dim), rows).unwrap_or_default()
    }

    /// Mean acceptance over chains; `None` for ULA.
    pub fn acceptance_rate(&self) -> Option<f64> {
        self.acceptance.as_ref().and_then(|rates| rates.mean())
    }
}
