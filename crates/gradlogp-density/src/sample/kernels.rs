//! The samplers as the runner of chains sees them.

use super::mala::of_chain;
use super::streams::of_step;
use super::warm_up::{ColumnVariance, windows};
use super::{check_columns, hmc, mala, ula};
use crate::error::{Error, Result};
use crate::score::{LogDensity, Score};
use ndarray::{Array1, Array2, ArrayView2};
use rand::{Rng, RngExt};

/// A sampler with its chains.
pub(super) trait Kernel {
    /// One step of all chains, with one step size for all or one for each; their acceptance probabilities, where
    /// there are any. None where `go_on` said no: then the chains have not moved.
    fn advance(
        &mut self,
        rng: &mut dyn Rng,
        step_sizes: &[f64],
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Option<Array1<f64>>>>;

    /// chains x d.
    fn position(&self) -> ArrayView2<'_, f64>;

    /// Looks at the chains after warm-up step `step`, counted from 1; true where the steps have another
    /// scale from now on.
    fn adapt(&mut self, _step: usize) -> bool {
        false
    }

    /// Step sizes that the sampler itself has found in warm-up, one for each chain.
    fn step_sizes(&self) -> Option<Vec<f64>> {
        None
    }

    /// Warm-up is over.
    fn end_warm_up(&mut self) {}

    /// Chains that have no finite density or score to go on from.
    fn lost(&self) -> Vec<usize> {
        Vec::new()
    }

    /// What is being adapted, as numbers: the scale of every column, or how fast scores change.
    fn scale(&self) -> Vec<f64> {
        Vec::new()
    }

    /// What is being adapted.
    fn variance(&self) -> Option<ColumnVariance> {
        None
    }

    /// Takes back what [`scale`](Kernel::scale) and [`variance`](Kernel::variance) gave.
    fn restore_adaptation(
        &mut self,
        _scale: Vec<f64>,
        _variance: Option<ColumnVariance>,
    ) -> Result<()> {
        Ok(())
    }
}

fn does_not_fit() -> Error {
    Error::config("snapshot", "it is not one of this sampler with these columns and chains")
}

pub(super) struct UlaKernel<'a> {
    model: &'a dyn Score,
    state: ula::State,
}

impl<'a> UlaKernel<'a> {
    pub(super) fn new(model: &'a dyn Score, start: ArrayView2<'_, f64>) -> Result<Self> {
        Ok(UlaKernel { model, state: ula::init(start.to_owned(), model)? })
    }
}

impl Kernel for UlaKernel<'_> {
    fn advance(
        &mut self,
        rng: &mut dyn Rng,
        step_sizes: &[f64],
        _: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Option<Array1<f64>>>> {
        self.state = ula::step(rng, self.state.clone(), self.model, step_sizes[0])?.0;
        Ok(Some(None))
    }

    fn position(&self) -> ArrayView2<'_, f64> {
        self.state.position.view()
    }
}

/// ULA of chains with a distribution each: what a chain does depends on no other.
///
/// Unless it is given, the step size a of each is found in warm-up from how fast its score s changes along its
/// own moves: a = 0.2 / sqrt(G), G the running mean of |ds|^2/|dx|^2, which on a Gaussian is its precision.
pub(super) struct OwnUlaKernel<'a> {
    model: &'a dyn Score,
    position: Array2<f64>,
    score: Array2<f64>,
    /// G of every chain.
    curvatures: Vec<f64>,
    /// How many steps it is the mean of, and of how many at most.
    seen: f64,
    memory: f64,
    /// Whether step sizes are found, and still sought.
    adapts: bool,
    seeking: bool,
    lost: Vec<bool>,
}

impl<'a> OwnUlaKernel<'a> {
    /// Step sizes are adapted over `warm_up` steps, or not at all.
    pub(super) fn new(
        model: &'a dyn Score,
        start: ArrayView2<'_, f64>,
        warm_up: Option<usize>,
    ) -> Result<Self> {
        let position = start.to_owned();
        check_columns("ULA start", &position, model.dim())?;
        let score = model.score(position.view());
        let chains = position.nrows();
        let mut kernel = OwnUlaKernel {
            lost: (0..chains).map(|i| !is_finite(&position, &score, i)).collect(),
            model,
            position,
            score,
            curvatures: vec![1.0; chains],
            seen: 1.0,
            memory: (warm_up.unwrap_or(0) / 5).max(10) as f64,
            adapts: warm_up.is_some(),
            seeking: warm_up.is_some_and(|steps| steps > 0),
        };
        if kernel.adapts {
            // A short move first, the same way in all columns.
            let there = &kernel.position + 0.01;
            let score = model.score(there.view());
            let curvatures = (0..chains).map(|i| kernel.curvature(&there, &score, i));
            kernel.curvatures = curvatures.map(|g| if g.is_finite() { g } else { 1.0 }).collect();
        }
        Ok(kernel)
    }

    /// |ds|^2 / |dx|^2 of chain i between where it is and `there`.
    fn curvature(&self, there: &Array2<f64>, score: &Array2<f64>, i: usize) -> f64 {
        let square = |a: &Array2<f64>, b: &Array2<f64>| -> f64 {
            a.row(i).iter().zip(b.row(i)).map(|(a, b)| (a - b).powi(2)).sum()
        };
        square(score, &self.score) / square(there, &self.position)
    }
}

fn is_finite(position: &Array2<f64>, score: &Array2<f64>, i: usize) -> bool {
    position.row(i).iter().chain(score.row(i)).all(|x| x.is_finite())
}

impl Kernel for OwnUlaKernel<'_> {
    fn advance(
        &mut self,
        rng: &mut dyn Rng,
        step_sizes: &[f64],
        _: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Option<Array1<f64>>>> {
        let chains = self.lost.len();
        let mut there = of_step(rng, true, chains).normals(self.position.dim());
        for (i, mut x) in there.outer_iter_mut().enumerate() {
            let a = of_chain(step_sizes, i);
            x *= a.sqrt();
            x += &self.position.row(i);
            x.scaled_add(0.5 * a, &self.score.row(i));
        }
        let mut score = self.model.score(there.view());
        self.seen = (self.seen + 1.0).min(self.memory);
        for i in 0..chains {
            let fine = is_finite(&there, &score, i);
            if !self.lost[i] && fine && self.model.contains(there.row(i)) {
                let curvature = self.curvature(&there, &score, i);
                if self.seeking && curvature.is_finite() {
                    self.curvatures[i] += (curvature - self.curvatures[i]) / self.seen;
                }
                continue;
            }
            if !fine {
                // In warm-up it goes on from where it was, with a quarter of the step.
                self.lost[i] |= !self.seeking || self.curvatures[i] > 1e30;
                self.curvatures[i] *= 16.0;
            }
            // Lost chains stay, and steps across a boundary are not taken.
            there.row_mut(i).assign(&self.position.row(i));
            score.row_mut(i).assign(&self.score.row(i));
        }
        (self.position, self.score) = (there, score);
        Ok(Some(None))
    }

    fn position(&self) -> ArrayView2<'_, f64> {
        self.position.view()
    }

    fn step_sizes(&self) -> Option<Vec<f64>> {
        let of = |g: &f64| 0.2 / g.sqrt().max(0.05);
        self.adapts.then(|| self.curvatures.iter().map(of).collect())
    }

    fn end_warm_up(&mut self) {
        self.seeking = false;
    }

    fn lost(&self) -> Vec<usize> {
        (0..self.lost.len()).filter(|i| self.lost[*i]).collect()
    }

    /// How many steps G is the mean of, and G of every chain, negative where it is lost.
    fn scale(&self) -> Vec<f64> {
        let signed =
            self.curvatures.iter().zip(&self.lost).map(|(g, lost)| if *lost { -g } else { *g });
        std::iter::once(self.seen).chain(signed).collect()
    }

    fn restore_adaptation(&mut self, scale: Vec<f64>, _: Option<ColumnVariance>) -> Result<()> {
        if scale.len() != 1 + self.lost.len() {
            return Err(does_not_fit());
        }
        self.seen = scale[0];
        for (i, g) in scale[1..].iter().enumerate() {
            (self.curvatures[i], self.lost[i]) = (g.abs(), *g < 0.0);
        }
        Ok(())
    }
}

pub(super) struct MalaKernel<'a> {
    model: &'a dyn LogDensity,
    state: mala::State,
    /// Each chain has a distribution, and random numbers, of its own.
    own: bool,
}

impl<'a> MalaKernel<'a> {
    pub(super) fn new(
        model: &'a dyn LogDensity,
        start: ArrayView2<'_, f64>,
        own: bool,
    ) -> Result<Self> {
        Ok(MalaKernel { model, state: init(start, model, own)?, own })
    }
}

/// Where chains begin. Of chains with a distribution each those without a density there never move.
fn init(start: ArrayView2<'_, f64>, model: &dyn LogDensity, own: bool) -> Result<mala::State> {
    match own {
        true => mala::init_unchecked(start.to_owned(), model),
        false => mala::init(start.to_owned(), model),
    }
}

fn unusable(state: &mala::State) -> Vec<usize> {
    (0..state.position.nrows()).filter(|chain| !mala::is_usable(state, *chain)).collect()
}

impl Kernel for MalaKernel<'_> {
    fn advance(
        &mut self,
        rng: &mut dyn Rng,
        step_sizes: &[f64],
        _: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Option<Array1<f64>>>> {
        let state = std::mem::take(&mut self.state);
        let mut draws = of_step(rng, self.own, state.position.nrows());
        let (state, info) = mala::step_each(&mut *draws, state, self.model, step_sizes);
        self.state = state;
        Ok(Some(Some(info.acceptance)))
    }

    fn position(&self) -> ArrayView2<'_, f64> {
        self.state.position.view()
    }

    fn lost(&self) -> Vec<usize> {
        unusable(&self.state)
    }
}

pub(super) struct HmcKernel<'a> {
    model: &'a dyn LogDensity,
    state: hmc::State,
    /// m: 1 x d, or chains x d where each chain has a distribution of its own.
    scale: Array2<f64>,
    own: bool,
    /// Most leapfrog steps of a trajectory.
    leapfrog: usize,
    /// First step that teaches the scale, and the ends of the windows.
    windows: (usize, Vec<usize>),
    variance: ColumnVariance,
}

impl<'a> HmcKernel<'a> {
    pub(super) fn new(
        model: &'a dyn LogDensity,
        start: ArrayView2<'_, f64>,
        leapfrog: usize,
        warm_up: usize,
        own: bool,
    ) -> Result<Self> {
        let (d, windows) = (model.dim(), windows(warm_up));
        let state = init(start, model, own)?;
        let apart = if own { start.nrows() } else { 0 };
        let (scale, variance) = (Array2::ones((apart.max(1), d)), ColumnVariance::new(d, apart));
        Ok(HmcKernel { model, state, scale, own, leapfrog, windows, variance })
    }
}

impl Kernel for HmcKernel<'_> {
    fn advance(
        &mut self,
        rng: &mut dyn Rng,
        step_sizes: &[f64],
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Option<Array1<f64>>>> {
        let steps = rng.random_range(1..=self.leapfrog);
        let trajectory = match self.own {
            false => hmc::Trajectory { step_size: step_sizes[0], steps, scale: self.scale.clone() },
            true => {
                let mut scale = self.scale.clone();
                for (chain, mut m) in scale.outer_iter_mut().enumerate() {
                    m *= of_chain(step_sizes, chain).sqrt();
                }
                hmc::Trajectory { step_size: 1.0, steps, scale }
            }
        };
        let mut draws = of_step(rng, self.own, self.state.position.nrows());
        let moved = hmc::step_each(&mut *draws, &self.state, self.model, &trajectory, go_on)?;
        let Some((state, info)) = moved else { return Ok(None) };
        self.state = state;
        Ok(Some(Some(info.acceptance)))
    }

    fn position(&self) -> ArrayView2<'_, f64> {
        self.state.position.view()
    }

    fn adapt(&mut self, step: usize) -> bool {
        let (first, ends) = &self.windows;
        if step <= *first || ends.last().is_none_or(|end| step > *end) {
            return false;
        }
        self.variance.add(self.state.position.view());
        let at_end = ends.contains(&step);
        if at_end {
            self.scale = self.variance.scale(&self.scale);
            let apart = if self.own { self.scale.nrows() } else { 0 };
            self.variance = ColumnVariance::new(self.model.dim(), apart);
        }
        at_end
    }

    fn lost(&self) -> Vec<usize> {
        unusable(&self.state)
    }

    fn scale(&self) -> Vec<f64> {
        self.scale.iter().copied().collect()
    }

    fn variance(&self) -> Option<ColumnVariance> {
        Some(self.variance.clone())
    }

    fn restore_adaptation(
        &mut self,
        scale: Vec<f64>,
        variance: Option<ColumnVariance>,
    ) -> Result<()> {
        let length = self.scale.len();
        let Some(variance) = variance.filter(|variance| variance.len() == length) else {
            return Err(does_not_fit());
        };
        self.scale = Array2::from_shape_vec(self.scale.dim(), scale).map_err(|_| does_not_fit())?;
        self.variance = variance;
        Ok(())
    }
}
