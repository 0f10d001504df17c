//! Training one step at a time: the gradient first, which may be changed or joined with those of others, then the update.
//!
//! Processes that share the work of a step ask for a [`Part`] of it each, add their gradients up and update alike; they
//! hold the same weights then, without sending any. With p processes of one thread each the sum in their order is bit for
//! bit that of one process with p threads.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::event::Stop;
use super::trainer::Trainer;
use crate::engine::Part;
use crate::{Error, Result};

impl Trainer {
    /// What a part of the next step's batch adds to its mean loss and to the gradient, one number for each parameter. The
    /// weights stay as they are, so that it can be asked again.
    ///
    /// ```
    /// use gradlogp::engine::Part;
    /// use gradlogp::train::{TrainConfig, Trainer};
    /// use gradlogp::{Mlp, ModelKind};
    ///
    /// let rows: Vec<f32> = (0..40).map(|k| (k as f32).sin()).collect();
    /// let model = Mlp { hidden: vec![8], ..Mlp::new(2, ModelKind::Score) }.build(0)?;
    /// let config = TrainConfig { steps: 3, threads: 1, ..TrainConfig::default() };
    /// let mut trainer = Trainer::new(model, rows.clone(), &rows, config)?;
    /// let mut why = None;
    /// while why.is_none() {
    ///     let (loss, gradient) = trainer.gradient_of_step(Part::WHOLE)?;
    ///     let gradient = gradient.to_vec();
    ///     why = trainer.apply(loss, &gradient)?;
    /// }
    /// assert_eq!((trainer.step(), why), (3, Some(gradlogp::train::Stop::Completed)));
    /// # Ok::<(), gradlogp::Error>(())
    /// ```
    ///
    /// # Errors
    /// A part that is not there; weights whose first evaluation is not finite.
    pub fn gradient_of_step(&mut self, part: Part) -> Result<(f64, &[f32])> {
        if part.part >= part.of {
            let message = format!("there is no part {} of {}", part.part, part.of);
            return Err(Error::config("part", message));
        }
        let threads = Arc::clone(&self.threads);
        let loss = threads.install(|| {
            // As a run does, so that both keep the same weights.
            self.begin(&mut |_, _| ControlFlow::Continue(()))?;
            Ok(self.loss_and_gradient(part))
        });
        match loss {
            Ok(loss) => Ok((loss, self.engine.gradient())),
            Err(Stop::Diverged { message }) => {
                Err(Error::Diverged { step: self.step(), rows: Vec::new(), message })
            }
            Err(_) => Err(Error::config("patience", "this run has ended")),
        }
    }

    /// Takes the step with a gradient: clips it, updates the weights and evaluates them where that is due. Why the run
    /// ends, if it does; `loss`, of the whole batch, is for the record and for what is said of a run that diverges.
    ///
    /// # Errors
    /// Another length than that of the parameters.
    pub fn apply(&mut self, loss: f64, gradient: &[f32]) -> Result<Option<Stop>> {
        let (expected, found) = (self.parameters().len(), gradient.len());
        if expected != found {
            let (expected, found) = (vec![expected], vec![found]);
            return Err(Error::Shape { operation: "gradient", expected, found });
        }
        let threads = Arc::clone(&self.threads);
        Ok(threads.install(|| {
            let update = self.update();
            let norm = self.optimizer.update(&mut self.model.parameters, gradient, update);
            let ended = self.after_update(loss, norm, &mut |_, _| ControlFlow::Continue(()));
            match ended {
                Err(stop) => Some(stop),
                Ok(()) if self.step() == self.config().steps => Some(Stop::Completed),
                Ok(()) => None,
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::GivenDraws;
    use crate::train::TrainConfig;
    use crate::{Mlp, ModelKind, Objective};

    fn trainer(objective: Objective, threads: usize) -> Trainer {
        let rows: Vec<f32> = (0..400).map(|k| (0.7 * k as f32).sin() + 0.01 * k as f32).collect();
        let mlp = Mlp { hidden: vec![8, 8], ..Mlp::new(2, ModelKind::LogDensity) };
        let config = TrainConfig {
            objective,
            steps: 25,
            batch: 64,
            evaluate_every: 10,
            threads,
            ..TrainConfig::default()
        };
        Trainer::new(mlp.build(1).unwrap(), rows.clone(), &rows, config).unwrap()
    }

    fn stepwise(trainer: &mut Trainer) -> Stop {
        loop {
            let (loss, gradient) = trainer.gradient_of_step(Part::WHOLE).unwrap();
            let gradient = gradient.to_vec();
            if let Some(stop) = trainer.apply(loss, &gradient).unwrap() {
                return stop;
            }
        }
    }

    #[test]
    fn steps_taken_one_at_a_time_are_those_of_a_run() {
        for objective in [Objective::Ssm { slices: 2 }, Objective::Dsm { sigma: 0.3 }] {
            let (mut run, mut steps) = (trainer(objective, 2), trainer(objective, 2));
            assert_eq!(run.run(&mut |_, _| ControlFlow::Continue(())), Stop::Completed);
            assert_eq!(stepwise(&mut steps), Stop::Completed);
            assert_eq!(run.checkpoint(), steps.checkpoint());
            assert_eq!(run.best_model().parameters, steps.best_model().parameters);
        }
    }

    #[test]
    fn parts_in_two_places_sum_up_to_two_threads_in_one() {
        let objective = Objective::SsmVr { slices: 1 };
        let (mut whole, mut first, mut second) =
            (trainer(objective, 2), trainer(objective, 1), trainer(objective, 1));
        for _ in 0..25 {
            let (a, mut sum) = gradient(&mut first, Part { part: 0, of: 2 });
            let (b, other) = gradient(&mut second, Part { part: 1, of: 2 });
            sum.iter_mut().zip(&other).for_each(|(sum, g)| *sum += g);
            let (loss, expected) = gradient(&mut whole, Part::WHOLE);
            assert_eq!(sum, expected);
            assert!((a + b - loss).abs() < 1e-12 * (1.0 + loss.abs()));
            for trainer in [&mut whole, &mut first, &mut second] {
                trainer.apply(loss, &sum).unwrap();
            }
            assert_eq!(whole.parameters(), first.parameters());
            assert_eq!(whole.parameters(), second.parameters());
        }
    }

    fn gradient(trainer: &mut Trainer, part: Part) -> (f64, Vec<f32>) {
        let (loss, gradient) = trainer.gradient_of_step(part).unwrap();
        (loss, gradient.to_vec())
    }

    /// Of a batch of all rows and a loss without draws: against the engine's own loss and gradient of these rows, which
    /// `given_draws.rs` compares with formula and differences.
    #[test]
    fn the_gradient_of_a_step_is_that_of_the_mean_loss_of_its_batch() {
        let rows: Vec<f32> = (0..400).map(|k| (0.7 * k as f32).sin() + 0.01 * k as f32).collect();
        let mlp = Mlp { hidden: vec![8, 8], ..Mlp::new(2, ModelKind::LogDensity) };
        let model = mlp.build::<f32>(1).unwrap();
        let objective = Objective::Exact;
        let config = TrainConfig { objective, batch: 200, threads: 2, ..TrainConfig::default() };
        let double = model.cast::<f64>();
        let mut given = GivenDraws::new(&double, &objective).unwrap();
        let x: Vec<f64> = rows.iter().map(|x| f64::from(*x)).collect();
        let (losses, expected) = given.loss_and_gradient(x.as_slice(), &[], &[]).unwrap();
        let mean = losses.iter().sum::<f64>() / losses.len() as f64;
        let mut trainer = Trainer::new(model, rows.clone(), &rows, config).unwrap();
        let (loss, whole) = gradient(&mut trainer, Part::WHOLE);
        assert!((loss - mean).abs() < 1e-5 * mean.abs(), "{loss} {mean}");
        let largest = expected.iter().fold(0.0f64, |m, g| m.max(g.abs()));
        for (found, expected) in whole.iter().zip(&expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-5 * largest, "{found} {expected}");
        }
        let (halves, _) = gradient(&mut trainer, Part { part: 1, of: 2 });
        assert!(halves.abs() < loss.abs() && halves.signum() == loss.signum());
    }

    /// The first step of AdamW without decay goes against the sign of every component, by the learning rate.
    #[test]
    fn a_step_goes_against_the_gradient() {
        let rows: Vec<f32> = (0..40).map(|k| (k as f32).sin()).collect();
        let model = Mlp { hidden: vec![4], ..Mlp::new(2, ModelKind::Score) }.build(0).unwrap();
        let schedule = crate::train::Schedule::Constant;
        let rate = 0.01;
        let config = TrainConfig {
            learning_rate: rate,
            warm_up: 0,
            weight_decay: 0.0,
            threads: 1,
            schedule,
            ..TrainConfig::default()
        };
        let mut trainer = Trainer::new(model, rows.clone(), &rows, config).unwrap();
        let before = trainer.parameters().to_vec();
        let signs = [1.0f32, -1.0, 0.25, -3.0];
        let gradient: Vec<f32> = (0..before.len()).map(|k| signs[k % 4]).collect();
        trainer.gradient_of_step(Part::WHOLE).unwrap();
        trainer.apply(0.0, &gradient).unwrap();
        for ((after, before), g) in trainer.parameters().iter().zip(&before).zip(&gradient) {
            let moved = f64::from(after - before);
            assert!((moved + rate * f64::from(g.signum())).abs() < 1e-4 * rate, "{moved} {g}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut trainer = trainer(Objective::Exact, 1);
        assert!(trainer.gradient_of_step(Part { part: 2, of: 2 }).is_err());
        let error = trainer.apply(0.0, &[1.0]).unwrap_err().to_string();
        assert!(error.contains("gradient"), "{error}");
        assert_eq!(trainer.step(), 0);
    }
}
