//! How noisy the gradient of a loss is, and how much of that random slices add.
//!
//! With g the gradient of one row's loss under its random slices, the law of total variance says (as
//! traces of covariances)
//!
//! ```text
//! Var g = Var_x E[g | x] + E_x Var[g | x]      called rows + slices.
//! ```
//!
//! A step over B rows has gradient variance (rows + slices) / B. MATH (2) and (3) are unbiased for
//! MATH (4), so E\[g | x\] is the gradient of the exact loss: `rows` is what exact score matching would
//! have, and is known without ever computing an exact trace.
//!
//! Estimated on K groups of r rows, each with two independent draws of slices, whose mean gradients
//! are a and b:
//!
//! ```text
//! slices = r mean_k 1/2 |a_k - b_k|^2
//! rows   = r var_k (a_k + b_k) / 2 - slices / 2, with divisor K - 1
//! ```
//!
//! Both are unbiased over independent rows; an estimate of `rows` below zero becomes 0.

use serde::{Deserialize, Serialize};

use super::batch_plan::BatchPlan;
use super::config::TrainConfig;
use crate::engine::{Draw, LossEngine, StreamId};
use crate::model::{Model, PointSet, Points};
use crate::{Error, Result};
use gradlogp_numeric::Real;

/// Most groups.
const GROUPS: usize = 64;
/// Most rows in a group; fewer where there are not enough rows for [`ENOUGH`] groups.
const GROUP: usize = 16;
/// Groups without which the variance between them is a poor estimate.
const ENOUGH: usize = 8;

/// Variance of the gradient of one row's loss, summed over all parameters.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GradientNoise {
    /// From the choice of the row: the variance of the gradient's mean over slices.
    pub rows: f64,
    /// From the slices (and, for denoising, the noise): mean variance given the row.
    pub slices: f64,
}

impl GradientNoise {
    /// Both together.
    pub fn total(self) -> f64 {
        self.rows + self.slices
    }
}

/// Measures the noise of the objective of `config`, with its slice distribution and domain, at the model's present
/// weights, on at most 1,024 of `rows`, chosen by its seed, in `threads` shards. Call inside
/// [`Threads::install`](crate::engine::Threads::install).
///
/// # Errors
/// Fewer than two rows; x or contexts of the wrong length.
pub fn gradient_noise<T: Real>(
    model: &Model<T>,
    rows: &PointSet<T>,
    config: &TrainConfig,
    threads: usize,
) -> Result<GradientNoise> {
    let TrainConfig { objective, slice_distribution: distribution, seed, .. } = *config;
    let n = Points::from(rows).rows(model.graph())?;
    if n < 2 {
        return Err(Error::data("rows to measure gradient noise on", "at least 2 are needed"));
    }
    let mut order = Vec::new();
    BatchPlan::new(n, n, seed)?.indices_for_step(0, &mut order);
    let size = (n / ENOUGH).clamp(1, GROUP);
    let mut engine =
        LossEngine::on_domain(config.domain.as_ref(), model, &objective, distribution, threads);
    let mut sums = Sums::new(model.parameters.len());
    let mut batch = PointSet::default();
    for (k, group) in order.chunks_exact(size).take(GROUPS).enumerate() {
        batch.gather(rows, model.graph(), group);
        for half in [0, 1] {
            let draw = Draw { seed, stream: StreamId::GradientNoise, step: 2 * k as u64 + half };
            engine.loss_and_gradient(model, &batch, draw);
            sums.add(engine.gradient(), half == 1);
        }
    }
    Ok(sums.noise(size as f64))
}

/// What is summed over groups.
struct Sums {
    groups: f64,
    /// The first draw's gradient of the present group.
    first: Vec<f64>,
    /// Sum of (a + b) / 2.
    mean: Vec<f64>,
    /// Sum of |(a + b) / 2|^2.
    squares: f64,
    /// Sum of |a - b|^2 / 2.
    halves: f64,
}

impl Sums {
    fn new(parameters: usize) -> Self {
        let zeros = || vec![0.0; parameters];
        Sums { groups: 0.0, first: zeros(), mean: zeros(), squares: 0.0, halves: 0.0 }
    }

    fn add<T: Real>(&mut self, gradient: &[T], second: bool) {
        if !second {
            self.first.iter_mut().zip(gradient).for_each(|(a, g)| *a = g.to_f64());
            return;
        }
        self.groups += 1.0;
        for ((a, b), sum) in self.first.iter().zip(gradient).zip(&mut self.mean) {
            let (middle, apart) = (0.5 * (a + b.to_f64()), a - b.to_f64());
            *sum += middle;
            self.squares += middle * middle;
            self.halves += 0.5 * apart * apart;
        }
    }

    fn noise(&self, size: f64) -> GradientNoise {
        let k = self.groups;
        let between = self.squares - self.mean.iter().map(|sum| sum * sum).sum::<f64>() / k;
        let slices = size * self.halves / k;
        let rows = size * between / (k - 1.0) - 0.5 * slices;
        // Not f64::max, which would hide what is not a number.
        GradientNoise { rows: if rows < 0.0 { 0.0 } else { rows }, slices }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;
    use crate::engine::Threads;
    use crate::model::{Mlp, ModelKind};
    use crate::objective::Objective;
    use crate::slice::SliceDistribution;

    /// s(x) = W x + b as a score field without hidden layers.
    fn linear(d: usize, weight: impl Fn(usize, usize) -> f64) -> Model<f64> {
        let mlp = Mlp { hidden: Vec::new(), ..Mlp::new(d, ModelKind::Score) };
        let mut model = mlp.build::<f64>(0).unwrap();
        model.parameters.fill(0.0);
        (0..d * d).for_each(|k| model.parameters[k] = weight(k / d, k % d));
        model
    }

    fn normals(count: usize) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        (0..count).map(|_| StandardNormal.sample(&mut rng)).collect()
    }

    /// Means over repetitions on fresh rows, with the standard errors of rows and of slices.
    fn repeated(
        model: &Model<f64>,
        objective: Objective,
        distribution: SliceDistribution,
    ) -> ([f64; 2], [f64; 2]) {
        let (d, times, n) = (model.dim(), 100, 1024);
        let x = normals(times * n * d);
        let all: Vec<[f64; 2]> = (x.chunks(n * d).zip(0..))
            .map(|(x, seed)| {
                let config = TrainConfig {
                    objective,
                    slice_distribution: distribution,
                    seed,
                    ..TrainConfig::default()
                };
                let noise = Threads::new(1)
                    .unwrap()
                    .install(|| gradient_noise(model, &x.to_vec().into(), &config, 1).unwrap());
                [noise.rows, noise.slices]
            })
            .collect();
        let mean = [0, 1].map(|i| all.iter().map(|z| z[i]).sum::<f64>() / times as f64);
        let error = [0, 1].map(|i| {
            let squares = all.iter().map(|z| (z[i] - mean[i]).powi(2)).sum::<f64>();
            (squares / (times as f64 - 1.0) / times as f64).sqrt()
        });
        (mean, error)
    }

    /// The row's gradient of MATH (3) for s = W x + b: by W, v v^T (mean over slices) + s x^T; by b, s.
    ///
    /// With W = -I and x ~ N(0, I): Var over rows of x x^T is d^2 + d, that of x is d. Given the row, the
    /// M slices leave Var(v v^T) / M: d (d - 1) for signs, d^2 + d for normals.
    #[test]
    fn noise_of_a_linear_score_field_is_the_closed_form() {
        let d = 4;
        let model = linear(d, |i, j| if i == j { -1.0 } else { 0.0 });
        let df = d as f64;
        let rows = df * df + 2.0 * df;
        for (distribution, slices) in [
            (SliceDistribution::Rademacher, df * (df - 1.0)),
            (SliceDistribution::Gaussian, df * (df + 1.0)),
        ] {
            for m in [1, 3] {
                let (mean, error) = repeated(&model, Objective::SsmVr { slices: m }, distribution);
                let want = [rows, slices / m as f64];
                for i in [0, 1] {
                    let z = (mean[i] - want[i]) / error[i];
                    assert!(
                        z.abs() < 4.5,
                        "{distribution:?} {m}: {mean:?} for {want:?}, +- {error:?}"
                    );
                    assert!(error[i] < 0.05 * want[i], "{error:?} is too wide to tell");
                }
            }
        }
    }

    /// `rows` of a sliced loss is the whole variance of the exact one, measured with exact traces.
    #[test]
    fn rows_of_a_sliced_loss_are_those_of_the_exact_loss() {
        let d = 3;
        let mlp = Mlp { hidden: vec![6], ..Mlp::new(d, ModelKind::LogDensity) };
        let model = mlp.build::<f64>(3).unwrap();
        let distribution = SliceDistribution::Rademacher;
        let (exact, exact_error) = repeated(&model, Objective::Exact, distribution);
        assert_eq!(exact[1], 0.0);
        for objective in [Objective::Ssm { slices: 2 }, Objective::SsmVr { slices: 1 }] {
            let (sliced, error) = repeated(&model, objective, distribution);
            let z = (sliced[0] - exact[0]) / error[0].hypot(exact_error[0]);
            assert!(z.abs() < 4.5, "{objective:?}: {sliced:?} {exact:?}");
            assert!(
                error[0] < 0.1 * exact[0] && sliced[1] > 0.1 * exact[0],
                "{sliced:?} {error:?}"
            );
        }
    }

    #[test]
    fn few_rows_are_enough_and_one_is_not() {
        let model = linear(2, |_, _| 0.5);
        let measure =
            |x: &[f64]| gradient_noise(&model, &x.to_vec().into(), &TrainConfig::default(), 1);
        let noise = measure(&normals(24)).unwrap();
        assert!(
            noise.rows > 0.0 && noise.slices > 0.0 && noise.total() == noise.rows + noise.slices
        );
        assert!(measure(&normals(2)).unwrap_err().to_string().contains("at least 2"));
    }
}
