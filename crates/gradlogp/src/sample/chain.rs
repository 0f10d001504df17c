//! Many chains of one sampler: warm-up, draws, and the numbers that say what they are worth.

use super::convergence::{Convergence, summarise};
use super::{DualAveraging, mala, normals, ula};
use crate::error::{Error, Result};
use crate::score::{LogDensity, Score};
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, s};
use rand::Rng;
use std::ops::ControlFlow;

/// How to run the chains.
#[derive(Debug, Clone, PartialEq)]
pub struct ChainConfig {
    /// Chains at once, each a row of every batch the model sees (default 8).
    pub chains: usize,
    /// Steps before the first draw, dropped (default 1000).
    pub warm_up: usize,
    /// Steps after them (default 1000).
    pub steps: usize,
    /// Keep every so many-th step: `steps / thinning` draws a chain (default 1, keep all).
    pub thinning: usize,
    /// a in x += (a/2) s + sqrt(a) z: squared units of x (default 0.1, for standardised columns).
    /// Where it is adapted, only the first guess.
    pub step_size: f64,
    /// The acceptance rate that warm-up adapts the step size to (default 0.574, best for MALA in
    /// many columns: Roberts and Rosenthal 1998). `None` keeps the step size. ULA accepts everything
    /// and does not adapt.
    pub target_acceptance: Option<f64>,
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
    /// The step size it was made with.
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
    /// The step size after warm-up.
    pub step_size: f64,
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

/// `chains` rows from N(0, I): a start for standardised columns.
pub fn standard_normal_start(chains: usize, dim: usize, rng: &mut dyn Rng) -> Array2<f64> {
    normals((chains, dim), rng)
}

/// Runs ULA from the rows of `start` (chains x d). Equal generators give equal draws.
///
/// # Errors
/// [`Error::Config`] and [`Error::Shape`] for the settings and the start, [`Error::Diverged`] where
/// a chain leaves the finite numbers.
pub fn run_ula(
    model: &dyn Score,
    start: ArrayView2<'_, f64>,
    config: &ChainConfig,
    rng: &mut dyn Rng,
    observer: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<ChainRun> {
    check_start(config, start, model.dim())?;
    let state = ula::init(start.to_owned(), model)?;
    let walk = UlaWalk { model, state };
    run(walk, &ChainConfig { target_acceptance: None, ..config.clone() }, rng, observer)
}

/// Runs MALA from the rows of `start` (chains x d). Equal generators give equal draws.
///
/// ```
/// use gradlogp::oracle::Gaussian;
/// use gradlogp::sample::{ChainConfig, run_mala, standard_normal_start};
/// use rand::SeedableRng;
/// use std::ops::ControlFlow;
///
/// let model = Gaussian::standard(2)?;
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
/// let config = ChainConfig { chains: 4, warm_up: 200, steps: 500, ..Default::default() };
/// let start = standard_normal_start(4, 2, &mut rng);
/// let run = run_mala(&model, start.view(), &config, &mut rng, &mut |_| ControlFlow::Continue(()))?;
/// assert_eq!(run.draws.dim(), (4, 500, 2));
/// assert!(run.convergence[0].r_hat < 1.05);
/// # Ok::<(), gradlogp::Error>(())
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
    observer: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<ChainRun> {
    check_start(config, start, model.dim())?;
    let state = mala::init(start.to_owned(), model)?;
    run(MalaWalk { model, state }, config, rng, observer)
}

fn check_start(config: &ChainConfig, start: ArrayView2<'_, f64>, dim: usize) -> Result<()> {
    config.validate()?;
    if start.dim() == (config.chains, dim) {
        return Ok(());
    }
    let (expected, found) = (vec![config.chains, dim], start.shape().to_vec());
    Err(Error::Shape { operation: "start of the chains", expected, found })
}

/// A sampler with its chains, as the runner sees it.
trait Walk {
    /// One step of all chains; their acceptance probabilities, where there are any.
    fn advance(&mut self, rng: &mut dyn Rng, step_size: f64) -> Result<Option<Array1<f64>>>;

    /// chains x d.
    fn position(&self) -> ArrayView2<'_, f64>;
}

struct UlaWalk<'a> {
    model: &'a dyn Score,
    state: ula::State,
}

impl Walk for UlaWalk<'_> {
    fn advance(&mut self, rng: &mut dyn Rng, step_size: f64) -> Result<Option<Array1<f64>>> {
        self.state = ula::step(rng, self.state.clone(), self.model, step_size)?.0;
        Ok(None)
    }

    fn position(&self) -> ArrayView2<'_, f64> {
        self.state.position.view()
    }
}

struct MalaWalk<'a> {
    model: &'a dyn LogDensity,
    state: mala::State,
}

impl Walk for MalaWalk<'_> {
    fn advance(&mut self, rng: &mut dyn Rng, step_size: f64) -> Result<Option<Array1<f64>>> {
        let (state, info) = mala::step(rng, self.state.clone(), self.model, step_size);
        self.state = state;
        Ok(Some(info.acceptance))
    }

    fn position(&self) -> ArrayView2<'_, f64> {
        self.state.position.view()
    }
}

/// Tells the observer and counts.
struct Reporter<'a> {
    observer: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    step: usize,
    total_steps: usize,
}

impl Reporter<'_> {
    /// True where the observer wants to go on.
    fn goes_on(&mut self, phase: Phase, step_size: f64, acceptance: Option<f64>) -> bool {
        self.step += 1;
        let (step, total_steps) = (self.step, self.total_steps);
        let progress = Progress { phase, step, total_steps, step_size, acceptance };
        (self.observer)(progress).is_continue()
    }
}

fn run(
    mut walk: impl Walk,
    config: &ChainConfig,
    rng: &mut dyn Rng,
    observer: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<ChainRun> {
    let total_steps = config.warm_up + config.steps;
    let mut reporter = Reporter { observer, step: 0, total_steps };
    let (step_size, goes_on) = warm_up(&mut walk, config, rng, &mut reporter)?;
    let shape = (config.chains, config.draws(), walk.position().ncols());
    let mut kept = Kept { draws: Array3::zeros(shape), count: 0, acceptance: None, steps: 0 };
    let mut completed = goes_on;
    while completed && kept.steps < config.steps {
        let acceptance = walk.advance(rng, step_size)?;
        let mean = acceptance.as_ref().and_then(|rates| rates.mean());
        kept.take(walk.position(), acceptance, config.thinning);
        completed =
            reporter.goes_on(Phase::Sampling, step_size, mean) || kept.steps == config.steps;
    }
    Ok(kept.finish(step_size, completed))
}

/// Returns the step size to go on with, and whether to go on.
fn warm_up(
    walk: &mut impl Walk,
    config: &ChainConfig,
    rng: &mut dyn Rng,
    reporter: &mut Reporter<'_>,
) -> Result<(f64, bool)> {
    let mut adaptation =
        config.target_acceptance.map(|target| DualAveraging::new(config.step_size, target));
    for _ in 0..config.warm_up {
        let step_size = adaptation.as_ref().map_or(config.step_size, DualAveraging::current);
        let acceptance = walk.advance(rng, step_size)?.and_then(|rates| rates.mean());
        if let (Some(adaptation), Some(acceptance)) = (&mut adaptation, acceptance) {
            adaptation.update(acceptance);
        }
        if !reporter.goes_on(Phase::WarmUp, step_size, acceptance) {
            return Ok((step_size, false));
        }
    }
    Ok((adaptation.as_ref().map_or(config.step_size, DualAveraging::averaged), true))
}

/// Draws made so far.
struct Kept {
    draws: Array3<f64>,
    count: usize,
    acceptance: Option<Array1<f64>>,
    steps: usize,
}

impl Kept {
    fn take(
        &mut self,
        position: ArrayView2<'_, f64>,
        acceptance: Option<Array1<f64>>,
        thinning: usize,
    ) {
        self.steps += 1;
        if self.steps.is_multiple_of(thinning) {
            self.draws.index_axis_mut(Axis(1), self.count).assign(&position);
            self.count += 1;
        }
        self.acceptance = match (self.acceptance.take(), acceptance) {
            (Some(sum), Some(new)) => Some(sum + new),
            (_, new) => new,
        };
    }

    fn finish(self, step_size: f64, completed: bool) -> ChainRun {
        let draws = self.draws.slice_move(s![.., ..self.count, ..]);
        let acceptance = self.acceptance.map(|sum| sum / self.steps as f64);
        let convergence = summarise(draws.view());
        ChainRun { draws, acceptance, step_size, convergence, completed }
    }
}

#[cfg(test)]
mod tests {
    use super::super::convergence::effective_sample_size_of_mean;
    use super::*;
    use crate::oracle::{Gaussian, GaussianMixture, Oracle};
    use ndarray::array;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn go_on(_: Progress) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn mala(p: &dyn Oracle, config: &ChainConfig, seed: u64) -> ChainRun {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let start = p.sample(config.chains, &mut rng);
        run_mala(p, start.view(), config, &mut rng, &mut go_on).unwrap()
    }

    /// The mean of f over all draws is `exact` within 4.5 errors, sd / sqrt(ESS).
    fn assert_mean(run: &ChainRun, f: impl Fn(ndarray::ArrayView1<'_, f64>) -> f64, exact: f64) {
        let values = run.draws.map_axis(Axis(2), f);
        let size = effective_sample_size_of_mean(values.view());
        let error = values.std(1.0) / size.sqrt();
        let mean = values.mean().unwrap();
        assert!((mean - exact).abs() < 4.5 * error, "{mean} +- {error}, not {exact}");
        assert!(size > 200.0, "only {size} effective draws: tests little");
    }

    #[test]
    fn mala_draws_a_correlated_gaussian() {
        let p = Gaussian::new(array![1.0, -1.0], array![[1.0, 0.8], [0.8, 2.0]]).unwrap();
        let run = mala(&p, &ChainConfig { steps: 4000, ..Default::default() }, 1);
        assert_mean(&run, |x| x[0], 1.0);
        assert_mean(&run, |x| x[0] * x[0], 2.0);
        assert_mean(&run, |x| x[0] * x[1], -0.2);
        assert_mean(&run, |x| x[1] * x[1], 3.0);
        assert!(run.convergence.iter().all(|column| column.r_hat < 1.02), "{:?}", run.convergence);
        let rate = run.acceptance_rate().unwrap();
        assert!((rate - 0.574).abs() < 0.05, "adapted to {rate}");
    }

    #[test]
    fn mala_draws_a_mixture() {
        let p = GaussianMixture::isotropic(array![0.7, 0.3], array![[-1.2], [1.2]].view(), 0.8)
            .unwrap();
        let run = mala(&p, &ChainConfig { steps: 4000, ..Default::default() }, 2);
        assert_mean(&run, |x| x[0], -0.48);
        assert_mean(&run, |x| x[0] * x[0], 1.44 + 0.64);
    }

    #[test]
    fn ula_keeps_its_step_and_has_its_own_variance() {
        let p = Gaussian::standard(1).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let config = ChainConfig { step_size: 0.8, steps: 4000, ..Default::default() };
        let start = p.sample(8, &mut rng);
        let run = run_ula(&p, start.view(), &config, &mut rng, &mut go_on).unwrap();
        assert_eq!((run.step_size, run.acceptance.is_none()), (0.8, true));
        assert_mean(&run, |x| x[0] * x[0], 1.25);
    }

    #[test]
    fn equal_seeds_give_equal_draws() {
        let p = Gaussian::rank_one(0.5, 2).unwrap();
        let config = ChainConfig { chains: 3, warm_up: 20, steps: 30, ..Default::default() };
        assert_eq!(mala(&p, &config, 1).draws, mala(&p, &config, 1).draws);
        assert_ne!(mala(&p, &config, 1).draws, mala(&p, &config, 2).draws);
    }

    #[test]
    fn thinning_keeps_every_so_many_th_step() {
        let p = Gaussian::standard(1).unwrap();
        let all = ChainConfig { chains: 2, warm_up: 5, steps: 10, ..Default::default() };
        let some = ChainConfig { thinning: 3, ..all.clone() };
        let (all, some) = (mala(&p, &all, 1), mala(&p, &some, 1));
        assert_eq!(some.draws, all.draws.slice(s![.., 2..;3, ..]));
        assert_eq!(some.pooled().dim(), (6, 1));
        assert_eq!(some.pooled()[[3, 0]], some.draws[[1, 0, 0]]);
    }

    #[test]
    fn observer_sees_every_step_and_can_stop() {
        let p = Gaussian::standard(1).unwrap();
        let config = ChainConfig { chains: 2, warm_up: 5, steps: 10, ..Default::default() };
        for (stop_at, draws) in [(3, 0), (9, 4), (15, 10), (99, 10)] {
            let mut seen = Vec::new();
            let mut observer = |progress: Progress| {
                seen.push((progress.step, progress.phase));
                match progress.step == stop_at {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            };
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let start = array![[0.0], [1.0]];
            let run = run_mala(&p, start.view(), &config, &mut rng, &mut observer).unwrap();
            assert_eq!(run.draws.dim(), (2, draws, 1));
            assert_eq!(run.completed, stop_at >= 15);
            assert_eq!(seen.len(), stop_at.min(15));
            assert!(seen.iter().all(|(step, phase)| (*step <= 5) == (*phase == Phase::WarmUp)));
        }
    }

    #[test]
    fn refuses_bad_settings_by_name() {
        let good = ChainConfig::default();
        good.validate().unwrap();
        for (bad, name) in [
            (ChainConfig { chains: 0, ..good.clone() }, "chains"),
            (ChainConfig { thinning: 0, ..good.clone() }, "thinning"),
            (ChainConfig { steps: 3, thinning: 4, ..good.clone() }, "steps"),
            (ChainConfig { step_size: f64::NAN, ..good.clone() }, "step_size"),
            (ChainConfig { target_acceptance: Some(1.0), ..good.clone() }, "target_acceptance"),
        ] {
            assert!(bad.validate().unwrap_err().to_string().starts_with(name), "{name}");
        }
        let p = Gaussian::standard(2).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let start = Array2::zeros((7, 2));
        assert!(run_mala(&p, start.view(), &good, &mut rng, &mut go_on).is_err());
    }
}
