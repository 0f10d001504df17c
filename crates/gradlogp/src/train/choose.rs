//! Exact or sliced score matching, whichever learns more from the same work.
//!
//! To first order a fixed amount of work buys a gradient whose variance is cost per row times variance
//! per row: a loss that costs twice as much but has half the variance is as good. So sliced score
//! matching with M slices is worth as much as exact score matching where
//!
//! ```text
//! advantage = c_sliced (rows + slices / M) / (c_exact rows) = 1,      and exact is chosen above 1.
//! ```
//!
//! c are the operations in the matrix products of one step, counted and not timed: the choice depends on
//! the seed and the data alone, not on the machine or on what else runs there. `rows` and `slices / M` are the two
//! parts of [`GradientNoise`], measured where they matter: not at the initial weights, whose score is nearly
//! zero, but after a short training run with the sliced loss, which is then thrown away.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::batch_plan::BatchPlan;
use super::config::TrainConfig;
use super::event::{Event, Stop};
use super::gradient_noise::{GradientNoise, gradient_noise};
use super::schedule::Schedule;
use super::trainer::Trainer;
use crate::Result;
use crate::engine::{LossEngine, Threads};
use crate::model::{Model, PointSet, Points};
use crate::objective::Objective;
use crate::slice::SliceDistribution;
use crate::words::short;

/// Steps of training before the noise is measured, at most.
pub const PILOT: u64 = 200;

/// An objective, and why.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// What was chosen: [`Objective::Exact`], or the sliced loss it was compared with.
    pub objective: Objective,
    /// Operations in the matrix products of one exact step.
    pub exact_operations: u64,
    /// The same of one sliced step.
    pub sliced_operations: u64,
    /// Steps of the short training run.
    pub steps: u64,
    /// Noise of the sliced gradient after it, per row; `None` if the short training run diverged.
    pub noise: Option<GradientNoise>,
}

impl Choice {
    /// What was chosen and why, in words; `distribution` draws the slices.
    pub fn describe(&self, distribution: &SliceDistribution) -> String {
        let chosen = self.objective.describe(distribution);
        match self.noise_ratio() {
            Some(noise) => format!(
                "{chosen}: an exact step takes {} times the work of a sliced one, whose gradient has {} times \
                 the variance after {} steps",
                short(self.work_ratio()),
                short(noise),
                self.steps
            ),
            None => format!("{chosen}: the variance of the gradients could not be compared"),
        }
    }

    /// `work` are the operations of an exact and of a sliced step. Exact is also chosen where its
    /// gradient has no variance at all, and where nothing could be measured.
    fn new(sliced: Objective, work: [u64; 2], steps: u64, noise: GradientNoise) -> Self {
        let [exact_operations, sliced_operations] = work;
        let noise = noise.total().is_finite().then_some(noise);
        let objective = Objective::Exact;
        let choice = Choice { objective, exact_operations, sliced_operations, steps, noise };
        match choice.advantage() {
            Some(advantage) if advantage < 1.0 => Choice { objective: sliced, ..choice },
            _ => choice,
        }
    }

    /// Work times variance of the sliced loss over that of the exact one: above 1, exact is better.
    pub fn advantage(&self) -> Option<f64> {
        Some(self.noise_ratio()? / self.work_ratio())
    }

    /// Variance of the sliced gradient over that of the exact one, at least 1; `None` if it is not
    /// known, or the latter is 0.
    pub fn noise_ratio(&self) -> Option<f64> {
        self.noise.filter(|noise| noise.rows > 0.0).map(|noise| noise.total() / noise.rows)
    }

    /// Operations of an exact step over those of a sliced one.
    pub fn work_ratio(&self) -> f64 {
        self.exact_operations as f64 / self.sliced_operations as f64
    }
}

/// Chooses between [`Objective::Exact`] and `config.objective`, a sliced loss, for training `model` on
/// `training` with the other settings. `None` if the observer stops the short training run.
///
/// # Errors
/// Settings that cannot be used; fewer than two rows; x or contexts of the wrong length.
pub fn choose_objective(
    model: &Model<f32>,
    training: &PointSet<f32>,
    config: &TrainConfig,
    observer: &mut (dyn FnMut(&Trainer, Event) -> ControlFlow<()> + Send),
) -> Result<Option<Choice>> {
    let pilot = TrainConfig {
        steps: config.steps.min(PILOT),
        schedule: Schedule::Constant,
        evaluate_every: PILOT,
        patience: 0,
        ..config.clone()
    };
    let rows = Points::from(training).rows(model.graph())?;
    // Its evaluations decide nothing: one row makes them free.
    let first = Points::from(training).some(model.graph(), 0..rows.min(1));
    let mut trainer = Trainer::new(model.clone(), training.clone(), first, pilot)?;
    if trainer.run(observer) == Stop::Interrupted {
        return Ok(None);
    }
    let mut trained = model.clone();
    trained.parameters.copy_from_slice(trainer.parameters());
    let steps = trainer.step();
    drop(trainer);
    let threads = Threads::new(config.threads)?;
    let noise = threads.install(|| gradient_noise(&trained, training, config, threads.count()))?;
    let batches = BatchPlan::new(rows, config.batch, config.seed)?;
    let operations = |objective: &Objective| {
        LossEngine::on_domain(
            config.domain.as_ref(),
            model,
            objective,
            config.slice_distribution,
            1,
        )
        .product_operations(model, batches.largest_batch())
    };
    let work = [operations(&Objective::Exact), operations(&config.objective)];
    Ok(Some(Choice::new(config.objective, work, steps, noise)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Mlp, ModelKind};
    use crate::reference::{Gaussian, ReferenceDensity};

    const SLICED: Objective = Objective::SsmVr { slices: 2 };

    fn choice(work: [u64; 2], rows: f64, slices: f64) -> Choice {
        Choice::new(SLICED, work, 7, GradientNoise { rows, slices })
    }

    #[test]
    fn work_times_variance_decides() {
        // Three times the work for a variance of a half, a third and a quarter.
        let half = choice([300, 100], 2.0, 2.0);
        assert_eq!((half.objective, half.advantage()), (SLICED, Some(2.0 / 3.0)));
        assert_eq!(choice([300, 100], 2.0, 4.0).objective, Objective::Exact);
        let quarter = choice([300, 100], 2.0, 6.0);
        assert_eq!((quarter.objective, quarter.advantage()), (Objective::Exact, Some(4.0 / 3.0)));
        assert_eq!((quarter.work_ratio(), quarter.noise_ratio()), (3.0, Some(4.0)));
    }

    #[test]
    fn what_cannot_be_weighed_is_exact_and_can_be_stored() {
        for (rows, slices) in [(0.0, 1.0), (0.0, 0.0), (f64::NAN, 1.0), (f64::INFINITY, 1.0)] {
            let choice = choice([900, 100], rows, slices);
            assert_eq!((choice.objective, choice.advantage()), (Objective::Exact, None));
            let json = serde_json::to_string(&choice).unwrap();
            assert_eq!(serde_json::from_str::<Choice>(&json).unwrap(), choice);
        }
    }

    /// For `d` independent normal columns.
    fn chosen(kind: ModelKind, layers: usize, d: usize, seed: u64, go_on: bool) -> Option<Choice> {
        use rand::SeedableRng;
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let x = Gaussian::standard(d).unwrap().sample(2000, &mut rng);
        let rows = PointSet::from(x.iter().map(|x| *x as f32).collect::<Vec<f32>>());
        let mlp = Mlp { hidden: vec![32; layers], ..Mlp::new(d, kind) };
        let config = TrainConfig {
            objective: SLICED,
            batch: 64,
            seed,
            threads: 1,
            ..TrainConfig::default()
        };
        let flow = if go_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        let model = mlp.build(0).unwrap();
        choose_objective(&model, &rows, &config, &mut |_, _| flow).unwrap()
    }

    /// Two columns: an exact step is no dearer than two slices. A score field of eighty: it is many times
    /// dearer, and slices do not add that much noise; unless it has two layers, where exact is even cheaper.
    #[test]
    fn few_columns_are_exact_and_many_are_sliced() {
        let few = chosen(ModelKind::LogDensity, 2, 2, 0, true).unwrap();
        assert!(few.work_ratio() <= 1.0 && few.objective == Objective::Exact, "{few:?}");
        let flat = chosen(ModelKind::Score, 2, 80, 0, true).unwrap();
        assert!(flat.work_ratio() < 1.0 && flat.objective == Objective::Exact, "{flat:?}");
        let many = chosen(ModelKind::Score, 3, 80, 0, true).unwrap();
        assert!(many.work_ratio() > 4.0 && many.objective == SLICED, "{many:?}");
        assert_eq!(many.noise.map(|n| n.slices > 0.0 && n.rows > 0.0), Some(true));
    }

    #[test]
    fn the_choice_depends_on_the_seed_alone() {
        let at = |seed, go_on| chosen(ModelKind::LogDensity, 2, 5, seed, go_on);
        let (a, b) = (at(1, true), at(1, true));
        assert_eq!(a, b);
        assert_ne!(a.and_then(|c| c.noise), at(2, true).and_then(|c| c.noise));
        assert_eq!(at(1, false), None);
    }
}
