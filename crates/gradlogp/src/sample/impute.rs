//! Missing values drawn from their law given the others of the row, by Markov chains on the missing
//! coordinates alone.
//!
//! The score of p(missing | observed) is the score of p with the observed columns held, so a sampler
//! that scales its steps by a vector m per row needs only m = 0 there: HMC for densities (exact in the
//! long run), ULA for score fields (with the bias of its step). Each draw is the end of a chain of its
//! own, started around the columns' means: draws of one row are independent.

use super::{DualAveraging, bad_rows, hmc, normals, ula};
use crate::error::{Error, Result};
use crate::score::{LogDensity, Score};
use ndarray::{Array1, Array2, ArrayView2, Axis, Zip, concatenate};
use rand::{Rng, RngExt};
use std::ops::ControlFlow;

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
    /// Steps that adapt the step size of HMC, and bring the chains to where they belong (default 300).
    pub warm_up: usize,
    /// Steps after them (default 200).
    pub steps: usize,
    /// a in units of the columns' scales, squared (default 0.1); HMC starts its adaptation there.
    pub step_size: f64,
    /// Most leapfrog steps of HMC in a move (default 5).
    pub leapfrog: usize,
}

impl Default for ImputeConfig {
    fn default() -> Self {
        Self { draws: 1, warm_up: 300, steps: 200, step_size: 0.1, leapfrog: 5 }
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
        if !(self.step_size > 0.0 && self.step_size.is_finite()) {
            return Err(Error::config("step_size", "must be positive and finite"));
        }
        Ok(())
    }
}

/// What a run gave.
#[derive(Debug, Clone)]
pub struct Imputed {
    /// All rows of the first draw, then all of the second, ...: (draws * n) x d.
    pub rows: Array2<f64>,
    /// Mean acceptance after warm-up; `None` for score fields.
    pub acceptance: Option<f64>,
    /// a after warm-up.
    pub step_size: f64,
    /// R-hat of the chains of a row, of all missing values together: sqrt of the sum of V over the sum
    /// of W, each in units of its column; `None` with one draw. Above 1.1 the chains have not met.
    pub r_hat: Option<f64>,
}

/// Draws the values that are NaN in `rows` (n x d) given the others of their row, which return bit for
/// bit. `centre` and `scale` are mean and standard deviation of each column. The observer sees (steps
/// done, steps); `None` where it stopped the run.
///
/// # Errors
/// [`Error::Config`] and [`Error::Shape`] for settings and arrays; [`Error::Diverged`] where a row has no
/// finite density, or a chain leaves the finite numbers.
pub fn impute(
    target: Target<'_>,
    rows: ArrayView2<'_, f64>,
    (centre, scale): (&[f64], &[f64]),
    config: &ImputeConfig,
    rng: &mut dyn Rng,
    observer: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Option<Imputed>> {
    config.validate()?;
    let d = match target {
        Target::Density(model) => model.dim(),
        Target::Field(model) => model.dim(),
    };
    if rows.ncols() != d || centre.len() != d || scale.len() != d || rows.is_empty() {
        let (expected, found) = (vec![d; 3], vec![rows.ncols(), centre.len(), scale.len()]);
        return Err(Error::Shape { operation: "rows to impute", expected, found });
    }
    let many = concatenate(Axis(0), &vec![rows; config.draws]).unwrap_or_default();
    let mut start = normals(many.dim(), rng);
    let mut held = Array2::zeros(many.dim());
    for ((i, j), x) in many.indexed_iter() {
        if x.is_nan() {
            start[[i, j]] = centre[j] + scale[j] * start[[i, j]];
            held[[i, j]] = scale[j];
        } else {
            start[[i, j]] = *x;
        }
    }
    let mut walk = Walk::new(target, start, held, config)?;
    let mut moments = Moments::new(many.dim());
    let total = config.warm_up + config.steps;
    for step in 1..=total {
        walk.advance(rng, step <= config.warm_up)?;
        if step == config.warm_up {
            walk.settle();
        } else if step > config.warm_up {
            moments.add(walk.position());
        }
        if observer(step, total).is_break() && step < total {
            return Ok(None);
        }
    }
    Ok(Some(Imputed {
        r_hat: (config.draws > 1).then(|| moments.r_hat(rows, scale, config.draws)),
        acceptance: walk.acceptance(),
        step_size: walk.step_size,
        rows: walk.position().to_owned(),
    }))
}

enum Chains<'m> {
    Density(&'m dyn LogDensity, hmc::State),
    Field(&'m dyn Score, ula::State),
}

struct Walk<'m> {
    chains: Chains<'m>,
    /// m of every row and column.
    scale: Array2<f64>,
    leapfrog: usize,
    adaptation: DualAveraging,
    step_size: f64,
    /// Sum and number of mean acceptances after warm-up.
    accepted: (f64, f64),
}

impl<'m> Walk<'m> {
    fn new(
        target: Target<'m>,
        start: Array2<f64>,
        scale: Array2<f64>,
        config: &ImputeConfig,
    ) -> Result<Self> {
        if let Some(&row) = bad_rows(&start).first() {
            let message = format!("row {} is not finite", row + 1);
            return Err(Error::Diverged { step: 0, rows: vec![row], message });
        }
        let chains = match target {
            Target::Density(model) => Chains::Density(model, hmc::init(start, model)?),
            Target::Field(model) => Chains::Field(model, ula::init(start, model)?),
        };
        let step_size = config.step_size;
        let adaptation = DualAveraging::new(step_size, 0.8);
        let leapfrog = config.leapfrog;
        Ok(Walk { chains, scale, leapfrog, adaptation, step_size, accepted: (0.0, 0.0) })
    }

    fn advance(&mut self, rng: &mut dyn Rng, warming: bool) -> Result<()> {
        match &mut self.chains {
            Chains::Field(model, state) => {
                let scale = self.scale.view();
                *state = ula::step_scaled(rng, state.clone(), *model, self.step_size, scale)?.0;
            }
            Chains::Density(model, state) => {
                let trajectory = hmc::Trajectory {
                    step_size: self.step_size,
                    steps: rng.random_range(1..=self.leapfrog),
                    scale: self.scale.clone(),
                };
                let (next, info) = hmc::step(rng, state.clone(), *model, &trajectory)?;
                *state = next;
                let rate = info.acceptance.mean().unwrap_or(0.0);
                if warming {
                    self.adaptation.update(rate);
                    self.step_size = self.adaptation.current();
                } else {
                    self.accepted = (self.accepted.0 + rate, self.accepted.1 + 1.0);
                }
            }
        }
        Ok(())
    }

    /// Ends the adaptation.
    fn settle(&mut self) {
        if matches!(self.chains, Chains::Density(..)) {
            self.step_size = self.adaptation.averaged();
        }
    }

    fn acceptance(&self) -> Option<f64> {
        (self.accepted.1 > 0.0).then(|| self.accepted.0 / self.accepted.1)
    }

    fn position(&self) -> ArrayView2<'_, f64> {
        match &self.chains {
            Chains::Density(_, state) => state.position.view(),
            Chains::Field(_, state) => state.position.view(),
        }
    }
}

/// Mean and sum of squares of every chain and column over its steps.
struct Moments {
    count: f64,
    mean: Array2<f64>,
    squares: Array2<f64>,
}

impl Moments {
    fn new(shape: (usize, usize)) -> Self {
        Moments { count: 0.0, mean: Array2::zeros(shape), squares: Array2::zeros(shape) }
    }

    fn add(&mut self, position: ArrayView2<'_, f64>) {
        self.count += 1.0;
        let count = self.count;
        Zip::from(&mut self.mean).and(&mut self.squares).and(position).for_each(
            |mean, squares, x| {
                let miss = x - *mean;
                *mean += miss / count;
                *squares += miss * (x - *mean);
            },
        );
    }

    fn r_hat(&self, rows: ArrayView2<'_, f64>, scale: &[f64], draws: usize) -> f64 {
        let (n, steps) = (rows.nrows(), self.count);
        let (mut within, mut total) = (0.0, 0.0);
        for ((i, j), _) in rows.indexed_iter().filter(|(_, x)| x.is_nan()) {
            let chains = (0..draws).map(|draw| [draw * n + i, j]);
            let means: Array1<f64> = chains.clone().map(|at| self.mean[at]).collect();
            let variance = chains.map(|at| self.squares[at]).sum::<f64>()
                / (draws as f64 * (steps - 1.0).max(1.0));
            let unit = scale[j] * scale[j];
            within += variance / unit;
            total += ((steps - 1.0) / steps * variance + means.var(1.0)) / unit;
        }
        (total / within).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::{Gaussian, GaussianMixture};
    use ndarray::array;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn on(_: usize, _: usize) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// For N(mu, S): x_a | x_b is N(mu_a + S_ab S_bb^-1 (x_b - mu_b), S_aa - S_ab S_bb^-1 S_ba). Here two
    /// patterns of missing columns, both draws in the columns' own, very different units.
    #[test]
    fn draws_follow_the_conditional_law() {
        let covariance = array![[1.0, 80.0, 0.0], [80.0, 10_000.0, 30.0], [0.0, 30.0, 1.0]];
        let p = Gaussian::new(array![5.0, -100.0, 0.0], covariance).unwrap();
        let nan = f64::NAN;
        let rows = array![[6.0, nan, 1.0], [nan, -50.0, nan], [1.0, 2.0, 3.0]];
        let n = 1500;
        for field in [false, true] {
            let target = if field { Target::Field(&p) } else { Target::Density(&p) };
            let config = ImputeConfig {
                draws: n,
                warm_up: if field { 600 } else { 150 },
                steps: 100,
                step_size: if field { 0.02 } else { 0.1 },
                ..Default::default()
            };
            let known: (&[f64], &[f64]) = (&[5.0, -100.0, 0.0], &[1.0, 100.0, 1.0]);
            let mut rng = ChaCha8Rng::seed_from_u64(2);
            let run =
                impute(target, rows.view(), known, &config, &mut rng, &mut on).unwrap().unwrap();
            assert_eq!(run.acceptance.is_none(), field);
            let of = |i: usize, j: usize| Array1::from_shape_fn(n, |k| run.rows[[k * 3 + i, j]]);
            for (i, j) in [(0, 0), (0, 2), (1, 1), (2, 0), (2, 1), (2, 2)] {
                assert!(of(i, j).iter().all(|x| x.to_bits() == rows[[i, j]].to_bits()));
            }
            // Row 0: 80 * 1 + 30 * 1 above the mean, 10000 - 6400 - 900; row 1: 0.008 and 0.003 times 50.
            let bias = if field { 0.03 } else { 0.0 };
            for (i, j, mean, variance) in
                [(0, 1, 10.0, 2700.0), (1, 0, 5.4, 0.36), (1, 2, 0.15, 0.91)]
            {
                let x = of(i, j);
                let error = (x.mean().unwrap() - mean).abs() / (variance / n as f64).sqrt();
                assert!(error < 4.0, "{i} {j}: {}", x.mean().unwrap());
                let ratio = x.var(1.0) / variance;
                let band = 4.5 * (2.0 / n as f64).sqrt() + bias;
                assert!((ratio - 1.0).abs() < band, "{i} {j}: {ratio}");
            }
            let (a, c) = (of(1, 0), of(1, 2));
            let covariance = ((&a - 5.4) * (&c - 0.15)).mean().unwrap();
            assert!((covariance + 0.24).abs() < 0.07, "{covariance}");
        }
    }

    #[test]
    fn r_hat_sees_chains_that_do_not_meet() {
        let run = |gap: f64| {
            let centres = array![[-gap, 0.0], [gap, 0.0]];
            let p = GaussianMixture::isotropic(array![0.5, 0.5], centres.view(), 0.5).unwrap();
            let config = ImputeConfig { draws: 20, ..Default::default() };
            let rows = array![[f64::NAN, 0.0]];
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let known: (&[f64], &[f64]) = (&[0.0, 0.0], &[gap, 0.5]);
            let found = impute(Target::Density(&p), rows.view(), known, &config, &mut rng, &mut on);
            found.unwrap().unwrap().r_hat.unwrap()
        };
        assert!(run(0.3) < 1.05, "{}", run(0.3));
        assert!(run(6.0) > 2.0, "{}", run(6.0));
    }

    #[test]
    fn stops_when_told_and_refuses_what_does_not_fit() {
        let p = Gaussian::standard(2).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let rows = array![[f64::NAN, 1.0]];
        let known: (&[f64], &[f64]) = (&[0.0, 0.0], &[1.0, 1.0]);
        let config = ImputeConfig::default();
        let mut stop = |step: usize, total: usize| {
            assert_eq!(total, 500);
            if step == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let target = Target::Density(&p);
        let run = impute(target, rows.view(), known, &config, &mut rng, &mut stop).unwrap();
        assert!(run.is_none());
        let short: (&[f64], &[f64]) = (&[0.0], &[1.0, 1.0]);
        assert!(impute(target, rows.view(), short, &config, &mut rng, &mut on).is_err());
        let none = ImputeConfig { draws: 0, ..config.clone() };
        assert!(impute(target, rows.view(), known, &none, &mut rng, &mut on).is_err());
        let infinite = array![[f64::NAN, f64::INFINITY]];
        let error = impute(target, infinite.view(), known, &config, &mut rng, &mut on).unwrap_err();
        assert!(error.to_string().contains("row 1"), "{error}");
    }
}
