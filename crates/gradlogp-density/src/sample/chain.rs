//! Many chains of one sampler: warm-up, draws, and the numbers that say what they are worth.

use super::convergence::summarize;
use super::kernels::{HmcKernel, Kernel, MalaKernel, OwnUlaKernel, UlaKernel};
use super::mixing::{Halves, bound};
use super::{ChainConfig, ChainRun, DualAveraging, Phase, Progress, Snapshot, normals};
use crate::error::{Error, Result};
use crate::score::{LogDensity, Score};
use crate::stats::upper_median;
use ndarray::{Array1, Array2, Array3, ArrayView2, ArrayView3, Axis, s};
use rand::Rng;
use std::ops::ControlFlow;

/// Below this acceptance a chain is where it started.
const LEAST_ACCEPTANCE: f64 = 0.05;

/// `chains` rows from N(0, I): a start for standardized columns.
pub fn standard_normal_start(chains: usize, dim: usize, rng: &mut dyn Rng) -> Array2<f64> {
    normals((chains, dim), rng)
}

/// Runs ULA from the rows of `start` (chains x d). Equal generators give equal draws.
///
/// # Errors
/// [`Error::Config`] and [`Error::Shape`] for the settings and the start, [`Error::Diverged`] where
/// a chain becomes non-finite.
pub fn run_ula(
    model: &dyn Score,
    start: ArrayView2<'_, f64>,
    config: &ChainConfig,
    rng: &mut dyn Rng,
) -> Result<ChainRun> {
    Chains::ula(model, start, config)?.run(rng)
}

/// Runs MALA from the rows of `start` (chains x d). Equal generators give equal draws. [`Chains::run_with`] is
/// for those who watch.
///
/// ```
/// use gradlogp_density::reference::Gaussian;
/// use gradlogp_density::sample::{ChainConfig, run_mala, standard_normal_start};
/// use rand::SeedableRng;
///
/// let model = Gaussian::standard(2)?;
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
/// let config = ChainConfig { chains: 4, warm_up: 200, steps: 500, ..Default::default() };
/// let start = standard_normal_start(4, 2, &mut rng);
/// let run = run_mala(&model, start.view(), &config, &mut rng)?;
/// assert_eq!(run.draws.dim(), (4, 500, 2));
/// assert!(run.convergence[0].r_hat < 1.05);
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
///
/// # Errors
/// [`Error::Config`] and [`Error::Shape`] for the settings and the start, [`Error::Diverged`] where
/// the start has no finite density.
pub fn run_mala(
    model: &dyn LogDensity,
    start: ArrayView2<'_, f64>,
    config: &ChainConfig,
    rng: &mut dyn Rng,
) -> Result<ChainRun> {
    Chains::mala(model, start, config)?.run(rng)
}

/// Runs HMC with 1 to `leapfrog` leapfrog steps a move from the rows of `start` (chains x d). Equal
/// generators give equal draws.
///
/// # Errors
/// Those of [`run_mala`].
pub fn run_hmc(
    model: &dyn LogDensity,
    start: ArrayView2<'_, f64>,
    config: &ChainConfig,
    leapfrog: usize,
    rng: &mut dyn Rng,
) -> Result<ChainRun> {
    Chains::hmc(model, start, config, leapfrog)?.run(rng)
}

fn check_start(config: &ChainConfig, start: ArrayView2<'_, f64>, dim: usize) -> Result<()> {
    config.validate()?;
    if start.dim() == (config.chains, dim) {
        return Ok(());
    }
    let (expected, found) = (vec![config.chains, dim], start.shape().to_vec());
    Err(Error::Shape { operation: "start of the chains", expected, found })
}

/// Chains under way, a step at a time: what [`run_mala`] and its like drive, for callers that look at
/// positions, save, or go on after a stop.
///
/// ```
/// use gradlogp_density::reference::Gaussian;
/// use gradlogp_density::sample::{ChainConfig, Chains};
/// use rand::SeedableRng;
///
/// let model = Gaussian::standard(2)?;
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
/// let config = ChainConfig { chains: 3, warm_up: 100, steps: 50, ..Default::default() };
/// let mut chains = Chains::hmc(&model, ndarray::Array2::zeros((3, 2)).view(), &config, 5)?;
/// while !chains.is_done() {
///     let progress = chains.advance(&mut rng)?;
///     assert!(progress.acceptance.is_some());
///     if progress.step == 70 {
///         // The same from a copy: everything that the next step depends on, besides the generator.
///         chains = Chains::restore_hmc(&model, chains.snapshot(), 5)?;
///     }
/// }
/// assert_eq!(chains.finish().draws.dim(), (3, 50, 2));
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
pub struct Chains<'m> {
    kernel: Box<dyn Kernel + 'm>,
    config: ChainConfig,
    step: usize,
    /// One for all, or one for each.
    step_sizes: Vec<f64>,
    /// As many, or none.
    adaptations: Vec<DualAveraging>,
    kept: Kept,
}

impl std::fmt::Debug for Chains<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chains after step {} of {:?}", self.step, self.config)
    }
}

impl<'m> Chains<'m> {
    /// ULA from the rows of `start` (chains x d).
    ///
    /// # Errors
    /// [`Error::Config`] and [`Error::Shape`] for the settings and the start.
    pub fn ula(
        model: &'m dyn Score,
        start: ArrayView2<'_, f64>,
        config: &ChainConfig,
    ) -> Result<Self> {
        check_start(config, start, model.dim())?;
        if config.apart {
            let warm_up = config.target_acceptance.map(|_| config.warm_up);
            return Self::new(OwnUlaKernel::new(model, start, warm_up)?, config.clone(), false);
        }
        let config = ChainConfig { target_acceptance: None, ..config.clone() };
        Self::new(UlaKernel::new(model, start)?, config, false)
    }

    /// MALA from the rows of `start` (chains x d).
    ///
    /// # Errors
    /// As [`Chains::ula`], and [`Error::Diverged`] where the start has no finite density.
    pub fn mala(
        model: &'m dyn LogDensity,
        start: ArrayView2<'_, f64>,
        config: &ChainConfig,
    ) -> Result<Self> {
        check_start(config, start, model.dim())?;
        Self::new(MalaKernel::new(model, start, config.apart)?, config.clone(), true)
    }

    /// HMC from the rows of `start` (chains x d), each move of 1 to `leapfrog` leapfrog steps, drawn
    /// anew. Warm-up adapts the scale of every column, unless `target_acceptance` is `None`.
    ///
    /// # Errors
    /// As [`Chains::mala`], and [`Error::Config`] without a leapfrog step.
    pub fn hmc(
        model: &'m dyn LogDensity,
        start: ArrayView2<'_, f64>,
        config: &ChainConfig,
        leapfrog: usize,
    ) -> Result<Self> {
        check_start(config, start, model.dim())?;
        if leapfrog == 0 {
            return Err(Error::config("leapfrog", "at least one step is needed"));
        }
        let adapts = config.target_acceptance.is_some();
        let warm_up = if adapts { config.warm_up } else { 0 };
        let kernel = HmcKernel::new(model, start, leapfrog, warm_up, config.apart)?;
        Self::new(kernel, config.clone(), true)
    }

    fn new(kernel: impl Kernel + 'm, config: ChainConfig, accepts: bool) -> Result<Self> {
        let (chains, draws) = (config.chains, config.draws());
        let shape = (chains, draws, kernel.position().ncols());
        let length = chains.checked_mul(draws).and_then(|n| n.checked_mul(shape.2));
        let room = |length| Vec::<f64>::new().try_reserve_exact(length).is_ok();
        if !length.is_some_and(room) {
            let message = format!("{draws} draws of {chains} chains do not fit into memory");
            return Err(Error::config("steps", message));
        }
        let kept = Kept { draws: Array3::zeros(shape), count: 0, acceptance: None };
        let distributions = if config.apart { config.chains } else { 1 };
        let adaptation =
            |target: f64| vec![DualAveraging::new(config.step_size, target); distributions];
        let adaptations = config.target_acceptance.filter(|_| accepts).map(adaptation);
        let step_sizes =
            kernel.step_sizes().unwrap_or_else(|| vec![config.step_size; distributions]);
        let adaptations = adaptations.unwrap_or_default();
        Ok(Chains { kernel: Box::new(kernel), config, step: 0, step_sizes, adaptations, kept })
    }

    /// ULA from where a snapshot was taken.
    ///
    /// # Errors
    /// Those of [`Chains::ula`]; a snapshot that does not fit together.
    pub fn restore_ula(model: &'m dyn Score, snapshot: Snapshot) -> Result<Self> {
        Self::ula(model, snapshot.position()?.view(), &snapshot.config)?.resume(snapshot)
    }

    /// MALA from where a snapshot was taken.
    ///
    /// # Errors
    /// Those of [`Chains::mala`]; a snapshot that does not fit together.
    pub fn restore_mala(model: &'m dyn LogDensity, snapshot: Snapshot) -> Result<Self> {
        Self::mala(model, snapshot.position()?.view(), &snapshot.config)?.resume(snapshot)
    }

    /// HMC from where a snapshot was taken.
    ///
    /// # Errors
    /// Those of [`Chains::hmc`]; a snapshot that does not fit together.
    pub fn restore_hmc(
        model: &'m dyn LogDensity,
        snapshot: Snapshot,
        leapfrog: usize,
    ) -> Result<Self> {
        let position = snapshot.position()?;
        Self::hmc(model, position.view(), &snapshot.config, leapfrog)?.resume(snapshot)
    }

    fn resume(mut self, snapshot: Snapshot) -> Result<Self> {
        snapshot.check()?;
        self.kernel.restore_adaptation(snapshot.scale, snapshot.variance)?;
        self.step = snapshot.step;
        if self.step >= self.config.warm_up {
            self.kernel.end_warm_up();
        }
        let (sizes, adaptations) = match self.config.apart {
            true => (snapshot.step_sizes, snapshot.adaptations),
            false => (vec![snapshot.step_size], snapshot.adaptation.into_iter().collect()),
        };
        if (sizes.len(), adaptations.len()) != (self.step_sizes.len(), self.adaptations.len()) {
            return Err(Error::config("snapshot", "its step sizes are not one a chain"));
        }
        (self.step_sizes, self.adaptations) = (sizes, adaptations);
        self.kept.count = self.steps_kept() / self.config.thinning;
        let mut kept = self.kept.draws.slice_mut(s![.., ..self.kept.count, ..]);
        let draws = Array3::from_shape_vec(kept.dim(), snapshot.draws)
            .map_err(|e| Error::config("snapshot", format!("its draws do not fit: {e}")))?;
        kept.assign(&draws);
        self.kept.acceptance = snapshot.acceptance.map(Array1::from);
        if self.kept.acceptance.as_ref().is_some_and(|rates| rates.len() != self.config.chains) {
            return Err(Error::config("snapshot", "its acceptance rates are not one a chain"));
        }
        Ok(self)
    }

    /// A copy of all that the next step depends on, besides the model and the generator.
    pub fn snapshot(&self) -> Snapshot {
        let kept = self.kept.draws.slice(s![.., ..self.kept.count, ..]);
        Snapshot {
            config: self.config.clone(),
            step: self.step,
            dim: self.kernel.position().ncols(),
            step_size: self.step_sizes[0],
            adaptation: self.adaptations.first().cloned(),
            step_sizes: if self.config.apart { self.step_sizes.clone() } else { Vec::new() },
            adaptations: if self.config.apart { self.adaptations.clone() } else { Vec::new() },
            position: self.kernel.position().iter().copied().collect(),
            scale: self.kernel.scale(),
            variance: self.kernel.variance(),
            draws: kept.iter().copied().collect(),
            acceptance: self.kept.acceptance.as_ref().map(|sum| sum.to_vec()),
        }
    }

    /// Where the chains are: chains x d.
    pub fn position(&self) -> ArrayView2<'_, f64> {
        self.kernel.position()
    }

    /// Steps done, warm-up included.
    pub fn step(&self) -> usize {
        self.step
    }

    /// Whether all steps are done.
    pub fn is_done(&self) -> bool {
        self.step >= self.config.warm_up + self.config.steps
    }

    fn steps_kept(&self) -> usize {
        self.step.saturating_sub(self.config.warm_up)
    }

    /// One step of all chains.
    ///
    /// # Errors
    /// [`Error::Diverged`], naming step and chain, where a chain of ULA becomes non-finite. The chains stay
    /// where they were, and [`Chains::finish`] still gives the draws made before.
    pub fn advance(&mut self, rng: &mut dyn Rng) -> Result<Progress> {
        let progress = self.advance_while(rng, &mut || true)?;
        // It was not told to stop.
        progress.ok_or_else(|| Error::config("chains", "were stopped"))
    }

    /// [`Chains::advance`] that can be stopped within a long move: `go_on` is asked before every leapfrog step
    /// of HMC. None where it said no: the chains are where they were, but the generator is not; to go on with
    /// the same bits, keep a copy of it from before.
    ///
    /// # Errors
    /// Those of [`Chains::advance`].
    pub fn advance_while(
        &mut self,
        rng: &mut dyn Rng,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Progress>> {
        let warming = self.step < self.config.warm_up;
        let step_size = median_step(&self.step_sizes);
        let Some(rates) = self.kernel.advance(rng, &self.step_sizes, go_on)? else {
            return Ok(None);
        };
        let acceptance = rates.as_ref().and_then(|rates| rates.mean());
        self.step += 1;
        if warming {
            self.adapt(rates.as_ref());
        } else {
            let draw = self.steps_kept().is_multiple_of(self.config.thinning);
            self.kept.take(self.kernel.position(), rates, draw);
        }
        Ok(Some(Progress {
            phase: if warming { Phase::WarmUp } else { Phase::Sampling },
            step: self.step,
            total_steps: self.config.warm_up + self.config.steps,
            step_size,
            acceptance,
        }))
    }

    fn adapt(&mut self, rates: Option<&Array1<f64>>) {
        let rescaled = self.kernel.adapt(self.step);
        let ends = self.step == self.config.warm_up;
        if let Some(sizes) = self.kernel.step_sizes() {
            self.step_sizes = sizes;
        }
        if ends {
            self.kernel.end_warm_up();
        }
        let Some(rates) = rates else { return };
        let target = self.config.target_acceptance.unwrap_or_default();
        for (k, adaptation) in self.adaptations.iter_mut().enumerate() {
            let rate = if self.config.apart { Some(rates[k]) } else { rates.mean() };
            adaptation.update(rate.unwrap_or_default());
            if rescaled {
                *adaptation = DualAveraging::new(adaptation.averaged(), target);
            }
            self.step_sizes[k] = if ends { adaptation.averaged() } else { adaptation.current() };
        }
    }

    /// All steps that are left.
    ///
    /// # Errors
    /// Those of [`Chains::advance`].
    pub fn run(self, rng: &mut dyn Rng) -> Result<ChainRun> {
        self.run_with(rng, &mut |_| ControlFlow::Continue(()))
    }

    /// All steps that are left, unless the observer stops them.
    ///
    /// # Errors
    /// Those of [`Chains::advance`].
    pub fn run_with(
        mut self,
        rng: &mut dyn Rng,
        observer: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<ChainRun> {
        while !self.is_done() {
            let progress = self.advance(rng)?;
            if observer(progress).is_break() {
                break;
            }
        }
        Ok(self.finish())
    }

    /// What the steps so far gave.
    pub fn finish(self) -> ChainRun {
        let (completed, steps) = (self.is_done(), self.steps_kept());
        let mut draws = self.kept.draws.slice_move(s![.., ..self.kept.count, ..]);
        let acceptance = self.kept.acceptance.map(|sum| sum / steps as f64);
        let lost = if self.config.apart { self.kernel.lost() } else { Vec::new() };
        lost.iter().for_each(|chain| draws.index_axis_mut(Axis(0), *chain).fill(f64::NAN));
        let not_mixed = match self.config.apart {
            true => not_mixed(draws.view(), acceptance.as_ref(), self.config.thinning, &lost),
            false => Vec::new(),
        };
        let convergence = summarize(draws.view());
        let step_size = median_step(&self.step_sizes);
        ChainRun { draws, acceptance, step_size, not_mixed, lost, convergence, completed }
    }
}

/// Of chains with a distribution each, those whose halves differ, or that hardly moved.
fn not_mixed(
    draws: ArrayView3<'_, f64>,
    acceptance: Option<&Array1<f64>>,
    thinning: usize,
    lost: &[usize],
) -> Vec<usize> {
    let (chains, count, columns) = draws.dim();
    let mut halves = Halves::new((chains, columns), count);
    draws.axis_iter(Axis(1)).for_each(|x| halves.add(x));
    let bound = bound(1, halves.half(), thinning);
    let apart = |chain: &usize| {
        let stuck = acceptance.is_some_and(|rates| rates[*chain] < LEAST_ACCEPTANCE);
        let differs = |column| halves.r_hat(std::iter::once(*chain), column) > bound;
        !lost.contains(chain) && (stuck || (count > 3 && (0..columns).any(differs)))
    };
    (0..chains).filter(apart).collect()
}

fn median_step(sizes: &[f64]) -> f64 {
    upper_median(sizes.iter().copied()).unwrap_or(f64::NAN)
}

/// Draws made so far, and the sum of each chain's acceptance over its kept steps.
struct Kept {
    draws: Array3<f64>,
    count: usize,
    acceptance: Option<Array1<f64>>,
}

impl Kept {
    fn take(&mut self, position: ArrayView2<'_, f64>, rates: Option<Array1<f64>>, draw: bool) {
        if draw {
            self.draws.index_axis_mut(Axis(1), self.count).assign(&position);
            self.count += 1;
        }
        self.acceptance = match (self.acceptance.take(), rates) {
            (Some(sum), Some(new)) => Some(sum + new),
            (_, new) => new,
        };
    }
}

#[cfg(test)]
mod tests;
