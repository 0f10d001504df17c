//! Missing values drawn from their conditional distribution given the others of the row, by Markov chains on
//! the missing coordinates alone.
//!
//! The score of p(missing | observed) is the score of p with the observed columns held, so a sampler
//! that scales its steps by a vector m per row needs only m = 0 there: HMC for densities (exact in the
//! long run), ULA for score fields (with the bias of its step). Each draw is the end of a chain of its
//! own, started around the columns' means: draws of one row are independent.
//!
//! Rows have distributions of different widths, so nothing is shared between them: neither step nor
//! acceptance nor random numbers. A row's step starts from, and for ULA is adapted in warm-up to, how fast its
//! own score changes along its own moves, in columns scaled by m:
//!
//! ```text
//! G = |m ds|^2 / |dx / m|^2      a = c / sqrt(G)      c = 0.2 for ULA, 1 to begin with for HMC
//! ```
//!
//! which on a Gaussian is its precision, wherever the chain is. HMC goes on from there by dual averaging of the
//! acceptance of the row's own chains.

use super::mixing::{Halves, bound};
use super::streams::Own;
use super::{DualAveraging, hmc, mala};
use crate::error::{Error, Result};
use crate::score::{LogDensity, Score};
use crate::stats::median;
use ndarray::{Array1, Array2, ArrayView2, Axis, Zip, concatenate};
use rand::{Rng, RngExt};
use std::ops::ControlFlow;

/// a sqrt(G) of ULA: its stationary variance is 1/(1 - 0.2/4) = 1.05 times too large.
const ULA_STEP: f64 = 0.2;
/// Length of the move that first measures G, in units of m.
const PROBE: f64 = 0.01;
/// Least sqrt(G): what changes more slowly than this is no scale of the row's distribution.
const LEAST_CURVATURE: f64 = 0.05;
/// How often chains of a row that become non-finite in warm-up begin anew, with a quarter of the step.
const ATTEMPTS: usize = 20;
/// The acceptance that HMC adapts to.
const ACCEPTANCE: f64 = 0.8;

/// What is known of the density.
#[derive(Clone, Copy)]
pub enum Target<'m> {
    /// log p up to a constant: draws by HMC.
    Density(&'m dyn LogDensity),
    /// A score alone: draws by ULA.
    Field(&'m dyn Score),
}

/// How the chains run.
#[derive(Debug, Clone, PartialEq)]
pub struct ImputeConfig {
    /// Draws of each row (default 1).
    pub draws: usize,
    /// Steps that adapt the step size, and bring the chains to where they belong (default 300).
    pub warm_up: usize,
    /// Steps after them (default 200).
    pub steps: usize,
    /// a in units of the columns' scales, squared; HMC starts its adaptation there. `None`: found for each row
    /// (default).
    pub step_size: Option<f64>,
    /// Most leapfrog steps of HMC in a move (default 5).
    pub leapfrog: usize,
}

impl Default for ImputeConfig {
    fn default() -> Self {
        Self { draws: 1, warm_up: 150, steps: 200, step_size: None, leapfrog: 5 }
    }
}

impl ImputeConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        for (name, value) in
            [("draws", self.draws), ("steps", self.steps), ("leapfrog", self.leapfrog)]
        {
            if value == 0 {
                return Err(Error::config(name, "must be at least 1"));
            }
        }
        if self.step_size.is_some_and(|a| !(a > 0.0 && a.is_finite())) {
            return Err(Error::config("step_size", "must be positive and finite"));
        }
        if self.warm_up.checked_add(self.steps).is_none() {
            return Err(Error::config("steps", "this is too many steps"));
        }
        Ok(())
    }
}

/// What a run gave.
#[derive(Debug, Clone)]
pub struct Imputed {
    /// All rows of the first draw, then all of the second, ...: (draws * n) x d. Values of chains that were
    /// lost are still missing.
    pub rows: Array2<f64>,
    /// Mean acceptance after warm-up; `None` for score fields.
    pub acceptance: Option<f64>,
    /// a after warm-up, the median over rows.
    pub step_size: f64,
    /// R-hat of the halves of the chains of a row, the median over missing values; `None` with one draw.
    pub r_hat: Option<f64>,
    /// Rows, counted from 0, whose chains have not mixed: R-hat of one of their missing values is beyond what
    /// chance gives.
    pub not_mixed: Vec<usize>,
    /// Chains, counted as in `rows`, that have no finite density or score to go on from.
    pub lost: Vec<usize>,
}

impl Imputed {
    /// What became of the chains that were lost; None where none was.
    pub fn failure(&self) -> Option<Error> {
        (!self.lost.is_empty()).then(|| lost_error(&self.lost))
    }
}

fn lost_error(lost: &[usize]) -> Error {
    let message = format!(
        "row {} has no finite density or score where its chains are{}",
        lost[0] + 1,
        if lost.len() > 1 { format!(" ({} chains in all)", lost.len()) } else { String::new() }
    );
    Error::Diverged { step: 0, rows: lost.to_vec(), message }
}

/// Draws the values that are NaN in `rows` (n x d) given the others of their row, which return bit for
/// bit. `centre` and `scale` are mean and standard deviation of each column. The observer sees (steps
/// done, steps), within a long move several times the same; `None` where it stopped the run.
///
/// A row's draws do not depend on the other rows: in the same place they have the same bits among any others.
///
/// # Errors
/// [`Error::Config`] and [`Error::Shape`] for settings and arrays; [`Error::Diverged`] where no chain has a
/// finite density, or none stays finite.
pub fn impute(
    target: Target<'_>,
    rows: ArrayView2<'_, f64>,
    (centre, scale): (&[f64], &[f64]),
    config: &ImputeConfig,
    rng: &mut dyn Rng,
    observer: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Option<Imputed>> {
    config.validate()?;
    let d = target.score().dim();
    if rows.ncols() != d || centre.len() != d || scale.len() != d || rows.is_empty() {
        let (expected, found) = (vec![d; 3], vec![rows.ncols(), centre.len(), scale.len()]);
        return Err(Error::Shape { operation: "rows to impute", expected, found });
    }
    let many = concatenate(Axis(0), &vec![rows; config.draws]).unwrap_or_default();
    let streams = Own::new(rng.random(), rows.nrows(), config.draws);
    let mut chains = RowChains::new(target, many, (centre, scale), config, streams);
    let mut halves = Halves::new(chains.state.position.dim(), config.steps);
    let total = config.warm_up + config.steps;
    for step in 1..=total {
        let mut go_on = || observer(step - 1, total).is_continue();
        // Of all rows alike, and known before any of them moves.
        let leapfrog = rng.random_range(1..=config.leapfrog);
        if !chains.advance(leapfrog, step <= config.warm_up, &mut go_on)? {
            return Ok(None);
        }
        chains.check_left()?;
        if step == config.warm_up {
            chains.end_warm_up();
        } else if step > config.warm_up {
            halves.add(chains.state.position.view());
        }
        if observer(step, total).is_break() && step < total {
            return Ok(None);
        }
    }
    Ok(Some(chains.end(rows, &halves)))
}

impl<'m> Target<'m> {
    fn score(&self) -> &'m dyn Score {
        match *self {
            Target::Density(model) => model,
            Target::Field(model) => model,
        }
    }
}

/// The chains: of draw k of row i in row k n + i of every array.
struct RowChains<'m> {
    target: Target<'m>,
    streams: Own,
    draws: usize,
    start: Array2<f64>,
    /// Where they are; of score fields without log densities.
    state: mala::State,
    /// m: 0 for what is held.
    scale: Array2<f64>,
    lost: Vec<bool>,
    rows: Vec<Pace>,
    /// Sum and number of acceptances after warm-up.
    accepted: (f64, usize),
}

/// How the chains of one row step.
struct Pace {
    /// a.
    step_size: f64,
    /// G, and how many steps it is the mean of, at most [`Pace::memory`].
    curvature: f64,
    count: f64,
    memory: f64,
    /// Of HMC.
    adaptation: Option<DualAveraging>,
    /// Given, and not to be adapted.
    fixed: bool,
    attempts: usize,
}

impl Pace {
    /// Takes in G of one more step.
    fn see(&mut self, curvature: f64) {
        if curvature.is_finite() {
            self.count = (self.count + 1.0).min(self.memory);
            self.curvature += (curvature - self.curvature) / self.count;
        }
    }

    fn suited(&self, factor: f64) -> f64 {
        factor / self.curvature.sqrt().max(LEAST_CURVATURE)
    }
}

impl<'m> RowChains<'m> {
    fn new(
        target: Target<'m>,
        mut start: Array2<f64>,
        (centre, units): (&[f64], &[f64]),
        config: &ImputeConfig,
        mut streams: Own,
    ) -> Self {
        let (chains, d) = start.dim();
        let all: Vec<usize> = (0..chains).collect();
        let mut scale = Array2::zeros(start.dim());
        let noise = streams.some_normals(&all, d, |i, j| start[[i, j]].is_nan());
        Zip::indexed(&mut start).and(&mut scale).and(&noise).for_each(|(_, j), x, m, z| {
            if x.is_nan() {
                (*x, *m) = (centre[j] + units[j] * z, units[j]);
            }
        });
        let (log_density, score) = match target {
            Target::Density(model) => model.log_density_and_score(start.view()),
            Target::Field(model) => (Array1::zeros(chains), model.score(start.view())),
        };
        let state = mala::State { position: start.clone(), log_density, score };
        let pace = || Pace {
            step_size: 0.0,
            curvature: 1.0,
            count: 0.0,
            memory: (config.warm_up / 5).max(10) as f64,
            adaptation: None,
            fixed: matches!(target, Target::Field(_)) && config.step_size.is_some(),
            attempts: 0,
        };
        let rows = (0..chains / config.draws).map(|_| pace()).collect();
        let mut new = RowChains {
            target,
            streams,
            draws: config.draws,
            start,
            state,
            scale,
            lost: vec![false; chains],
            rows,
            accepted: (0.0, 0),
        };
        for chain in 0..chains {
            if !mala::is_usable(&new.state, chain) {
                new.lose(chain);
            }
        }
        new.probe(config.step_size);
        new
    }

    /// First steps, from how the score changes over a short move.
    fn probe(&mut self, given: Option<f64>) {
        let (chains, d) = self.state.position.dim();
        let all: Vec<usize> = (0..chains).collect();
        let noise = self.streams.some_normals(&all, d, |i, j| self.scale[[i, j]] != 0.0);
        let there = &self.start + &(noise * &self.scale * PROBE);
        let score = self.target.score().score(there.view());
        let curvatures = self.curvatures(&there, &score);
        let density = matches!(self.target, Target::Density(_));
        for (pace, curvature) in self.rows.iter_mut().zip(curvatures) {
            pace.see(curvature);
            let found = pace.suited(if density { 1.0 } else { ULA_STEP });
            pace.step_size = given.unwrap_or(found);
            pace.adaptation = density.then(|| DualAveraging::new(pace.step_size, ACCEPTANCE));
        }
    }

    /// G of every row between where its chains are and `there`; NaN where they do not move.
    fn curvatures(&self, there: &Array2<f64>, score: &Array2<f64>) -> Vec<f64> {
        let n = self.rows.len();
        let mut sums = vec![(0.0, 0.0); n];
        for chain in (0..self.lost.len()).filter(|chain| !self.lost[*chain]) {
            let (change, moved) = &mut sums[chain % n];
            for (j, m) in self.scale.row(chain).iter().enumerate().filter(|(_, m)| **m != 0.0) {
                let at = [chain, j];
                *change += (m * (score[at] - self.state.score[at])).powi(2);
                *moved += ((there[at] - self.state.position[at]) / m).powi(2);
            }
        }
        sums.into_iter().map(|(change, moved)| change / moved).collect()
    }

    /// Takes a chain out: it stays where it is, and its values are missing at the end.
    fn lose(&mut self, chain: usize) {
        self.lost[chain] = true;
        self.scale.row_mut(chain).fill(0.0);
    }

    /// Fails where no chain is left.
    fn check_left(&self) -> Result<()> {
        if self.lost.iter().all(|lost| *lost) {
            let all: Vec<usize> = (0..self.lost.len()).collect();
            return Err(lost_error(&all));
        }
        Ok(())
    }

    /// One step of every chain; false where it was stopped, and then they have not moved.
    fn advance(
        &mut self,
        leapfrog: usize,
        warming: bool,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<bool> {
        match self.target {
            Target::Field(model) => {
                self.langevin(model, warming);
                Ok(true)
            }
            Target::Density(model) => self.hamiltonian(model, leapfrog, warming, go_on),
        }
    }

    fn langevin(&mut self, model: &dyn Score, warming: bool) {
        let (chains, d) = self.state.position.dim();
        let n = self.rows.len();
        let all: Vec<usize> = (0..chains).collect();
        let mut there = self.streams.some_normals(&all, d, |i, j| self.scale[[i, j]] != 0.0);
        Zip::indexed(&mut there)
            .and(&self.state.position)
            .and(&self.state.score)
            .and(&self.scale)
            .for_each(|(chain, _), z, x, s, m| {
                let a = self.rows[chain % n].step_size;
                // Not even a rounding, so that what is held stays bit for bit.
                *z = if *m != 0.0 { x + 0.5 * a * m * m * s + a.sqrt() * m * *z } else { *x };
            });
        let score = model.score(there.view());
        let curvatures = if warming { self.curvatures(&there, &score) } else { Vec::new() };
        for (pace, curvature) in
            self.rows.iter_mut().zip(curvatures).filter(|(pace, _)| !pace.fixed)
        {
            pace.see(curvature);
            pace.step_size = pace.suited(ULA_STEP);
        }
        (self.state.position, self.state.score) = (there, score);
        for chain in 0..chains {
            let (x, s) = (self.state.position.row(chain), self.state.score.row(chain));
            if !self.lost[chain] && x.iter().chain(s).any(|x| !x.is_finite()) {
                self.leave(chain, warming);
            }
        }
    }

    /// A chain that became non-finite begins anew in warm-up, with shorter steps.
    fn leave(&mut self, chain: usize, warming: bool) {
        let pace = &mut self.rows[chain % (self.lost.len() / self.draws)];
        self.state.position.row_mut(chain).assign(&self.start.row(chain));
        if !warming || pace.fixed || pace.attempts == ATTEMPTS * self.draws {
            return self.lose(chain);
        }
        pace.attempts += 1;
        pace.curvature = (16.0 * pace.curvature).min(f64::MAX);
        pace.step_size = pace.suited(ULA_STEP);
        let score = self.target.score().score(self.start.select(Axis(0), &[chain]).view());
        self.state.score.row_mut(chain).assign(&score.row(0));
    }

    fn hamiltonian(
        &mut self,
        model: &dyn LogDensity,
        leapfrog: usize,
        warming: bool,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<bool> {
        let n = self.rows.len();
        let mut scale = self.scale.clone();
        for (chain, mut m) in scale.outer_iter_mut().enumerate() {
            m *= self.rows[chain % n].step_size.sqrt();
        }
        let trajectory = hmc::Trajectory { step_size: 1.0, steps: leapfrog, scale };
        let state = std::mem::take(&mut self.state);
        let moved = hmc::step_each(&mut self.streams, &state, model, &trajectory, go_on)?;
        let Some((state, info)) = moved else {
            self.state = state;
            return Ok(false);
        };
        self.state = state;
        let mut sums = vec![(0.0, 0usize); n];
        for (chain, rate) in info.acceptance.iter().enumerate() {
            if !self.lost[chain] {
                let (sum, count) = &mut sums[chain % n];
                (*sum, *count) = (*sum + rate, *count + 1);
            }
        }
        for (pace, (sum, count)) in self.rows.iter_mut().zip(sums) {
            if count == 0 {
                continue;
            }
            if !warming {
                self.accepted = (self.accepted.0 + sum, self.accepted.1 + count);
            } else if let Some(adaptation) = &mut pace.adaptation {
                adaptation.update(sum / count as f64);
                pace.step_size = adaptation.current();
            }
        }
        Ok(true)
    }

    /// Ends the adaptation.
    fn end_warm_up(&mut self) {
        for pace in &mut self.rows {
            if let Some(adaptation) = &pace.adaptation {
                pace.step_size = adaptation.averaged();
            }
        }
    }

    fn end(self, rows: ArrayView2<'_, f64>, halves: &Halves) -> Imputed {
        let (n, draws) = (rows.nrows(), self.draws);
        let bound = bound(draws, halves.half(), 1);
        let (mut all, mut not_mixed) = (Vec::new(), Vec::new());
        for i in 0..n {
            let chains: Vec<usize> =
                (0..draws).map(|k| k * n + i).filter(|chain| !self.lost[*chain]).collect();
            let missing = (0..rows.ncols()).filter(|j| rows[[i, *j]].is_nan());
            if chains.is_empty() {
                continue;
            }
            let found: Vec<f64> =
                missing.map(|j| halves.r_hat(chains.iter().copied(), j)).collect();
            if found.iter().any(|r| *r > bound) {
                not_mixed.push(i);
            }
            all.extend(found.into_iter().filter(|r| !r.is_nan()));
        }
        let steps: Vec<f64> = self.rows.iter().map(|pace| pace.step_size).collect();
        let lost: Vec<usize> = (0..self.lost.len()).filter(|chain| self.lost[*chain]).collect();
        let mut out = self.state.position;
        for &chain in &lost {
            out.row_mut(chain).assign(&rows.row(chain % n));
        }
        Imputed {
            rows: out,
            acceptance: (self.accepted.1 > 0).then(|| self.accepted.0 / self.accepted.1 as f64),
            step_size: median(steps).unwrap_or(f64::NAN),
            r_hat: (draws > 1).then(|| median(all)).flatten(),
            not_mixed,
            lost,
        }
    }
}

#[cfg(test)]
mod tests;
