//! Losses along slices and with noise of one's own, for research and for comparisons with other libraries.

use crate::model::{Beside, LossPass, Model, Points, Tile};
use crate::objective::Objective;
use crate::{Error, Result};
use gradlogp_numeric::Real;

/// Rows taken at once.
const ROWS: usize = 256;

/// Evaluates an objective on a model with draws that are given.
pub struct GivenDraws<'m, T: Real> {
    model: &'m Model<T>,
    pass: LossPass<T>,
}

impl<'m, T: Real> GivenDraws<'m, T> {
    /// Of one objective on one model.
    ///
    /// # Errors
    /// An objective that cannot be used, or not with this model; regression, whose targets are no draws.
    pub fn new(model: &'m Model<T>, objective: &Objective) -> Result<Self> {
        objective.validate()?;
        if *objective == Objective::Regression {
            return Err(Error::config("objective", "regression on targets is for time models"));
        }
        LossPass::check(objective, model)?;
        Ok(GivenDraws {
            model,
            pass: LossPass::new(model.kind(), model.graph(), objective, Beside::Nothing),
        })
    }

    /// Slices M of every row, and the numbers of one: d, or for curvature propagation one for each unit that is not linear.
    pub fn slices(&self) -> (usize, usize) {
        match self.pass.slices() {
            0 => (0, 0),
            slices => (slices, self.pass.slice_width()),
        }
    }

    /// Whether it takes noise, n x d.
    pub fn has_noise(&self) -> bool {
        self.pass.rule().noise().is_some()
    }

    /// The loss of every row, and the gradient of their mean. `slices` are \[M, n, width\], `noise` is n x d of N(0, I);
    /// empty where the objective takes none.
    ///
    /// # Errors
    /// Rows, slices or noise of the wrong length.
    pub fn loss_and_gradient<'a>(
        &mut self,
        points: impl Into<Points<'a, T>>,
        slices: &[T],
        noise: &[T],
    ) -> Result<(Vec<T>, Vec<T>)> {
        let points = points.into();
        let (graph, parameters) = (self.model.graph(), &self.model.parameters);
        let (rows, d, (count, width)) = (points.rows(graph)?, self.model.dim(), self.slices());
        check("numbers in the slices", count * rows * width, slices.len())?;
        check("numbers in the noise", if self.has_noise() { rows * d } else { 0 }, noise.len())?;
        let mut losses = vec![T::ZERO; rows];
        let mut gradient = vec![T::ZERO; parameters.len()];
        let weight = T::of(1.0 / rows.max(1) as f64);
        self.pass.begin(graph, parameters, Some(&mut gradient));
        let mut along = Vec::new();
        for start in (0..rows).step_by(ROWS) {
            let range = start..(start + ROWS).min(rows);
            let some = points.some(graph, range.clone());
            along.clear();
            for slice in slices.chunks((rows * width).max(1)) {
                along.extend_from_slice(&slice[range.start * width..range.end * width]);
            }
            let tile = Tile {
                rows: range.len(),
                x: some.x,
                contexts: &some.contexts,
                slices: &along,
                noise: if noise.is_empty() { &[] } else { &noise[range.start * d..range.end * d] },
                weights: &[],
                roots: &[],
                linear: &[],
            };
            let into = Some((gradient.as_mut_slice(), weight));
            self.pass.run(graph, parameters, tile, &mut losses[range], into);
        }
        self.pass.end(graph, parameters, &mut gradient);
        Ok((losses, gradient))
    }
}

fn check(operation: &'static str, expected: usize, found: usize) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::Shape { operation, expected: vec![expected], found: vec![found] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Derivatives, Mlp, ModelKind};
    use crate::slice::SliceDistribution;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const D: usize = 3;

    fn rows(n: usize) -> Vec<f64> {
        (0..n * D).map(|k| (1.3 * k as f64).sin()).collect()
    }

    fn draws(distribution: SliceDistribution, n: usize, m: usize) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut all = vec![0.0; m * n * D];
        distribution.draw(&mut rng, D, &mut all);
        all
    }

    /// MATH (2): the mean over slices of v.(grad s) v + (v.s)^2 / 2, of more rows than are taken at once.
    #[test]
    fn sliced_losses_are_the_formula_along_the_slices() {
        let (n, m) = (ROWS + 7, 2);
        let (x, v) = (rows(n), draws(SliceDistribution::Gaussian, n, m));
        for kind in [ModelKind::Score, ModelKind::LogDensity] {
            let model = Mlp { hidden: vec![7, 6], ..Mlp::new(D, kind) }.build::<f64>(4).unwrap();
            let at = Derivatives::new(&model);
            let s = at.score(x.as_slice());
            let mut expected = vec![0.0; n];
            for v in v.chunks(n * D) {
                let curvature = at.curvature(x.as_slice(), v);
                for r in 0..n {
                    let along = |k: usize| v[r * D + k] * s[r * D + k];
                    let p: f64 = (0..D).map(along).sum();
                    expected[r] += (curvature[r] + 0.5 * p * p) / m as f64;
                }
            }
            let objective = Objective::Ssm { slices: m };
            let mut given = GivenDraws::new(&model, &objective).unwrap();
            assert_eq!((given.slices(), given.has_noise()), ((m, D), false));
            let (losses, gradient) = given.loss_and_gradient(x.as_slice(), &v, &[]).unwrap();
            for (found, expected) in losses.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-10, "{kind:?} {found} {expected}");
            }
            // One parameter of each layer, by differences of the mean.
            for k in [0, 20, 60, gradient.len() - 1] {
                let mean = |by: f64| {
                    let mut moved = model.clone();
                    moved.parameters[k] += by;
                    let mut given = GivenDraws::new(&moved, &objective).unwrap();
                    given.loss_and_gradient(x.as_slice(), &v, &[]).unwrap().0.iter().sum::<f64>()
                        / n as f64
                };
                let slope = (mean(1e-5) - mean(-1e-5)) / 2e-5;
                assert!((slope - gradient[k]).abs() < 1e-7, "{kind:?} {slope} {}", gradient[k]);
            }
        }
    }

    /// MATH (6): |s(x + sigma z) + z / sigma|^2 / 2, of more rows than are taken at once.
    #[test]
    fn denoising_takes_the_noise_that_is_given() {
        let (n, sigma) = (ROWS + 5, 0.4);
        let (x, z) = (rows(n), draws(SliceDistribution::Gaussian, n, 1));
        let model =
            Mlp { hidden: vec![7], ..Mlp::new(D, ModelKind::Score) }.build::<f64>(4).unwrap();
        let moved: Vec<f64> = x.iter().zip(&z).map(|(x, z)| x + sigma * z).collect();
        let s = Derivatives::new(&model).score(moved.as_slice());
        let mut given = GivenDraws::new(&model, &Objective::Dsm { sigma }).unwrap();
        assert_eq!((given.slices(), given.has_noise()), ((0, 0), true));
        let (losses, _) = given.loss_and_gradient(x.as_slice(), &[], &z).unwrap();
        for r in 0..n {
            let off = |k: usize| (s[r * D + k] + z[r * D + k] / sigma).powi(2);
            let expected: f64 = 0.5 * (0..D).map(off).sum::<f64>();
            assert!((losses[r] - expected).abs() < 1e-10, "{} {expected}", losses[r]);
        }
    }

    #[test]
    fn draws_that_do_not_fit_are_refused() {
        let model =
            Mlp { hidden: vec![7], ..Mlp::new(D, ModelKind::Score) }.build::<f64>(4).unwrap();
        let mut given = GivenDraws::new(&model, &Objective::Ssm { slices: 1 }).unwrap();
        assert!(given.loss_and_gradient(rows(2).as_slice(), &[1.0; 5], &[]).is_err());
        assert!(given.loss_and_gradient(rows(2).as_slice(), &[1.0; 6], &[1.0]).is_err());
        assert!(GivenDraws::new(&model, &Objective::Regression).is_err());
        assert!(GivenDraws::new(&model, &Objective::Ssm { slices: 0 }).is_err());
    }
}
