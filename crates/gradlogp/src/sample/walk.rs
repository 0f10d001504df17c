//! The samplers as the runner of chains sees them.

use super::warm_up::{Spread, as_row, windows};
use super::{hmc, mala, ula};
use crate::error::{Error, Result};
use crate::score::{LogDensity, Score};
use ndarray::{Array1, Array2, ArrayView2};
use rand::{Rng, RngExt};

/// A sampler with its chains.
pub(super) trait Walk {
    /// One step of all chains; their acceptance probabilities, where there are any.
    fn advance(&mut self, rng: &mut dyn Rng, step_size: f64) -> Result<Option<Array1<f64>>>;

    /// chains x d.
    fn position(&self) -> ArrayView2<'_, f64>;

    /// Looks at the chains after warm-up step `step`, counted from 1; true where the steps have another
    /// scale from now on.
    fn learn(&mut self, _step: usize) -> bool {
        false
    }

    /// Scale of every column, where there is one.
    fn scale(&self) -> Vec<f64> {
        Vec::new()
    }

    /// What is being learnt.
    fn spread(&self) -> Option<Spread> {
        None
    }

    /// Takes back what [`scale`](Walk::scale) and [`spread`](Walk::spread) gave.
    fn relearn(&mut self, _scale: Array1<f64>, _spread: Option<Spread>) -> Result<()> {
        Ok(())
    }
}

pub(super) struct UlaWalk<'a> {
    model: &'a dyn Score,
    state: ula::State,
}

impl<'a> UlaWalk<'a> {
    pub(super) fn new(model: &'a dyn Score, start: ArrayView2<'_, f64>) -> Result<Self> {
        Ok(UlaWalk { model, state: ula::init(start.to_owned(), model)? })
    }
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

pub(super) struct MalaWalk<'a> {
    model: &'a dyn LogDensity,
    state: mala::State,
}

impl<'a> MalaWalk<'a> {
    pub(super) fn new(model: &'a dyn LogDensity, start: ArrayView2<'_, f64>) -> Result<Self> {
        Ok(MalaWalk { model, state: mala::init(start.to_owned(), model)? })
    }
}

impl Walk for MalaWalk<'_> {
    fn advance(&mut self, rng: &mut dyn Rng, step_size: f64) -> Result<Option<Array1<f64>>> {
        let state = std::mem::take(&mut self.state);
        let (state, info) = mala::step(rng, state, self.model, step_size);
        self.state = state;
        Ok(Some(info.acceptance))
    }

    fn position(&self) -> ArrayView2<'_, f64> {
        self.state.position.view()
    }
}

pub(super) struct HmcWalk<'a> {
    model: &'a dyn LogDensity,
    state: hmc::State,
    trajectory: hmc::Trajectory,
    /// Most leapfrog steps of a trajectory.
    leapfrog: usize,
    /// First step that teaches the scale, and the ends of the windows.
    windows: (usize, Vec<usize>),
    spread: Spread,
}

impl<'a> HmcWalk<'a> {
    pub(super) fn new(
        model: &'a dyn LogDensity,
        start: ArrayView2<'_, f64>,
        leapfrog: usize,
        warm_up: usize,
    ) -> Result<Self> {
        let (d, windows) = (model.dim(), windows(warm_up));
        let state = hmc::init(start.to_owned(), model)?;
        let trajectory = hmc::Trajectory { step_size: 1.0, steps: 1, scale: Array2::ones((1, d)) };
        Ok(HmcWalk { model, state, trajectory, leapfrog, windows, spread: Spread::new(d) })
    }
}

impl Walk for HmcWalk<'_> {
    fn advance(&mut self, rng: &mut dyn Rng, step_size: f64) -> Result<Option<Array1<f64>>> {
        self.trajectory.steps = rng.random_range(1..=self.leapfrog);
        self.trajectory.step_size = step_size;
        let (state, info) = hmc::step(rng, self.state.clone(), self.model, &self.trajectory)?;
        self.state = state;
        Ok(Some(info.acceptance))
    }

    fn position(&self) -> ArrayView2<'_, f64> {
        self.state.position.view()
    }

    fn learn(&mut self, step: usize) -> bool {
        let (first, ends) = &self.windows;
        if step <= *first || ends.last().is_none_or(|end| step > *end) {
            return false;
        }
        self.spread.add(self.state.position.view());
        let at_end = ends.contains(&step);
        if at_end {
            self.trajectory.scale =
                as_row(self.spread.scale(&self.trajectory.scale.row(0).to_owned()));
            self.spread = Spread::new(self.model.dim());
        }
        at_end
    }

    fn scale(&self) -> Vec<f64> {
        self.trajectory.scale.iter().copied().collect()
    }

    fn spread(&self) -> Option<Spread> {
        Some(self.spread.clone())
    }

    fn relearn(&mut self, scale: Array1<f64>, spread: Option<Spread>) -> Result<()> {
        let d = self.model.dim();
        let Some(spread) = spread.filter(|spread| scale.len() == d && spread.dim() == d) else {
            return Err(Error::config("snapshot", "it is not one of hmc with these columns"));
        };
        self.trajectory.scale = as_row(scale);
        self.spread = spread;
        Ok(())
    }
}
