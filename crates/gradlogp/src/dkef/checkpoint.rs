//! A training run of a family in one file, so that it goes on as if it had not stopped: parameters, best
//! parameters, moments of Adam, the generator's state and the place in the shuffled rows. Rows are not kept.

use std::path::Path;

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::engine::Engine;
use super::family::KernelFamily;
use super::trainer::{KernelConfig, KernelTrainer};
use crate::engine::Threads;
use crate::storage::{Tensor, TensorFile};
use crate::train::{AdamW, HeldOutLoss, HistoryPoint};
use crate::{Error, Result};

const KIND: &str = "gradlogp.kernel-checkpoint";

/// What is kept beside the arrays.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    family: KernelFamily,
    config: KernelConfig,
    /// False in older files, whose patience counts steps.
    #[serde(default)]
    patience_in_evaluations: bool,
    rows: (usize, usize),
    step: u64,
    optimizer_step: u64,
    best: Option<(u64, HeldOutLoss)>,
    rng: ChaCha8Rng,
    order: Vec<usize>,
    at: usize,
    largest_jitter: f64,
    history: Vec<HistoryPoint>,
    losses: (f64, u64),
    /// Worker threads, as many as there were cores where the settings say 0; 0 in older files.
    #[serde(default)]
    threads: usize,
    /// Whatever the caller wants to know again.
    extra: String,
}

/// More workers than any machine that runs this has cores.
const MOST_THREADS: usize = 1024;

impl Description {
    /// Refuses a state that no run comes through.
    fn check(&self) -> Result<(), String> {
        let n = self.rows.0 / self.family.dim.max(1);
        let mut sorted = self.order.clone();
        sorted.sort_unstable();
        let shuffled = sorted.is_empty() || sorted.iter().copied().eq(0..n);
        let best = self.best.is_none_or(|best| best.0 <= self.step && best.1.mean.is_finite());
        let in_order = self.history.windows(2).all(|pair| pair[0].step < pair[1].step);
        let known = in_order && self.history.last().is_none_or(|point| point.step <= self.step);
        let numbers = [self.largest_jitter, self.losses.0];
        if self.step > self.config.steps || self.optimizer_step != self.step {
            return Err(format!(
                "has taken {} steps and its optimizer {}, of {}",
                self.step, self.optimizer_step, self.config.steps
            ));
        }
        if !(shuffled && self.at <= self.order.len()) {
            return Err(format!("its order of rows is none of {n} rows"));
        }
        if !(best && known && self.losses.1 <= self.step) {
            return Err("its best step or its history are of steps that it has not taken".into());
        }
        if self.threads > MOST_THREADS || !numbers.iter().all(|x| x.is_finite()) {
            return Err("it has numbers that no run produces".into());
        }
        Ok(())
    }
}

impl KernelTrainer<f32> {
    /// Writes everything that goes on changing, atomically; `extra` is given back by
    /// [`KernelTrainer::restore`].
    ///
    /// # Errors
    /// A file that cannot be written; an older one stays whole.
    pub fn save(&self, path: &Path, extra: &str) -> Result<()> {
        let description = Description {
            family: self.family.clone(),
            config: self.config.clone(),
            patience_in_evaluations: true,
            rows: (self.x.len(), self.held_out.len()),
            step: self.step,
            optimizer_step: self.adam.step,
            best: self.best(),
            rng: self.rng.clone(),
            order: self.order.clone(),
            at: self.at,
            largest_jitter: self.largest_jitter,
            history: self.history.clone(),
            losses: self.losses,
            threads: self.threads.count(),
            extra: extra.to_string(),
        };
        let mut tensors = vec![
            Tensor::flat("theta", &self.theta),
            Tensor::flat("first", &self.adam.first),
            Tensor::flat("second", &self.adam.second),
            Tensor::flat("average", &self.adam.average),
        ];
        tensors.extend(self.best.as_ref().map(|best| Tensor::flat("best", &best.2)));
        TensorFile::write(path, KIND, &description, tensors)
    }

    /// Takes up what [`KernelTrainer::save`] wrote, in a trainer of the same family, rows and settings.
    /// From there on every number is the one that the run would have given without the stop, also where there are
    /// more or fewer cores now: the number of threads is that of the file.
    ///
    /// # Errors
    /// A file that cannot be read or is damaged, or of another family, other settings or other numbers of rows;
    /// then this trainer is as it was.
    pub fn restore(&mut self, path: &Path) -> Result<String> {
        let (mut found, mut tensors) = TensorFile::read::<Description>(path, KIND)?;
        if !found.patience_in_evaluations {
            found.config.patience =
                found.config.patience.div_ceil(found.config.evaluate_every.max(1));
        }
        let rows = (self.x.len(), self.held_out.len());
        if (&found.family, &found.config, found.rows) != (&self.family, &self.config, rows) {
            let message = "is of a run with another family, other settings or other rows";
            return Err(Error::model_file(path, message));
        }
        found.check().map_err(|why| Error::model_file(path, why))?;
        let length = self.theta.len();
        let mut take = |name: &str| -> Result<Vec<f32>> {
            let at = tensors.iter().position(|t| t.name == name && t.data.len() == length);
            at.map(|at| tensors.swap_remove(at).data).ok_or_else(|| {
                Error::model_file(path, format!("has no tensor \"{name}\" of {length} numbers"))
            })
        };
        let theta = take("theta")?;
        let adam = AdamW {
            step: found.optimizer_step,
            first: take("first")?,
            second: take("second")?,
            average: take("average")?,
        };
        if !adam.second.iter().all(|v| *v >= 0.0) {
            return Err(Error::model_file(path, "its optimizer has mean squares below 0"));
        }
        let best = match found.best {
            Some((step, loss)) => Some((step, loss, take("best")?)),
            None => None,
        };
        if found.threads > 0 && found.threads != self.threads.count() {
            let threads = Threads::new(found.threads)?;
            self.engine = Engine::new(&self.family, self.config.objective, threads.count())?;
            self.threads = threads;
        }
        (self.theta, self.adam, self.best) = (theta, adam, best);
        (self.rng, self.order, self.at) = (found.rng, found.order, found.at);
        (self.step, self.largest_jitter) = (found.step, found.largest_jitter);
        (self.history, self.losses) = (found.history, found.losses);
        Ok(found.extra)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::Objective;
    use crate::train::Stop;

    fn trainer(estimator: Objective, seed: u64) -> KernelTrainer<f32> {
        let family = KernelFamily { inducing: 6, features: Some(4), ..KernelFamily::deep(2) };
        let config = KernelConfig {
            objective: estimator,
            steps: 40,
            batch: 14,
            validation_rows: 20,
            patience: 9,
            lambda_steps: 5,
            lambda_batch: 8,
            seed,
            threads: 1,
            ..KernelConfig::default()
        };
        let x: Vec<f32> = (0..100).map(|k| ((k * k) as f32 * 0.37).sin()).collect();
        KernelTrainer::new(family, x[..74].to_vec(), x[74..].to_vec(), config).unwrap()
    }

    #[test]
    fn a_run_goes_on_as_if_it_had_not_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.checkpoint");
        for estimator in [Objective::Ssm { slices: 1 }, Objective::Cp { slices: 2 }] {
            let mut whole = trainer(estimator, 3);
            let end = whole.run(&mut |_| ControlFlow::Continue(()));
            let mut broken = trainer(estimator, 3);
            let mut last = Stop::Interrupted;
            // Stopped after every third step and taken up by another trainer.
            while last == Stop::Interrupted {
                last = broken.run(&mut |step| match step.step % 3 {
                    0 => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                });
                broken.save(&path, "kept").unwrap();
                broken = trainer(estimator, 3);
                assert_eq!(broken.restore(&path).unwrap(), "kept");
            }
            assert_eq!((last, broken.steps()), (end, whole.steps()));
            assert!(broken.steps() > 9 && broken.best().unwrap().0 > 1, "{}", broken.steps());
            assert_eq!(broken.history(), whole.history());
            assert_eq!(broken.best(), whole.best());
            let (a, b) = (whole.finish().unwrap(), broken.finish().unwrap());
            assert_eq!((a.theta, a.alpha, a.record), (b.theta, b.alpha, b.record));
        }
    }

    /// Patience counts validations; files in which it counted steps still go on.
    #[test]
    fn patience_counts_validations_and_older_files_are_taken_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.checkpoint");
        let every_fourth = || {
            let mut trainer = trainer(Objective::Ssm { slices: 1 }, 3);
            (trainer.config.evaluate_every, trainer.config.patience) = (4, 2);
            trainer.config.steps = 400;
            trainer
        };
        let mut whole = every_fourth();
        assert_eq!(whole.run(&mut |_| ControlFlow::Continue(())), Stop::Patience);
        assert_eq!(whole.steps(), whole.best().unwrap().0 + 2 * 4 + 1);

        let mut old = every_fourth();
        old.run(&mut |step| {
            if step.step == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        old.save(&path, "").unwrap();
        let (mut contents, tensors) = TensorFile::read::<serde_json::Value>(&path, KIND).unwrap();
        contents["config"]["patience"] = 8.into();
        assert_eq!(
            contents.as_object_mut().unwrap().remove("patience_in_evaluations"),
            Some(true.into())
        );
        TensorFile::write(&path, KIND, &contents, tensors).unwrap();
        let mut again = every_fourth();
        again.restore(&path).unwrap();
        assert_eq!(again.run(&mut |_| ControlFlow::Continue(())), Stop::Patience);
        assert_eq!((again.steps(), again.theta()), (whole.steps(), whole.theta()));
    }

    #[test]
    fn another_run_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.checkpoint");
        let exact = || trainer(Objective::Exact, 3);
        exact().save(&path, "").unwrap();
        assert!(exact().restore(&path).is_ok());
        for mut other in [trainer(Objective::Exact, 4), trainer(Objective::Ssm { slices: 1 }, 3)] {
            let message = other.restore(&path).unwrap_err().to_string();
            assert!(message.contains("other settings"), "{message}");
        }
    }

    /// A run that began on three cores goes on with three threads, wherever it is taken up.
    #[test]
    fn the_number_of_threads_is_that_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.checkpoint");
        let begun_on = |cores: usize| {
            let mut trainer = trainer(Objective::Ssm { slices: 1 }, 3);
            trainer.config.threads = 0;
            trainer.threads = Threads::new(cores).unwrap();
            trainer.engine = Engine::new(&trainer.family, trainer.config.objective, cores).unwrap();
            trainer
        };
        let steps = |trainer: &mut KernelTrainer<f32>, n: usize| {
            for _ in 0..n {
                trainer.take_step().unwrap();
            }
        };
        let mut whole = begun_on(3);
        steps(&mut whole, 30);
        let mut parts = begun_on(3);
        steps(&mut parts, 10);
        parts.save(&path, "").unwrap();
        let mut parts = begun_on(1);
        parts.restore(&path).unwrap();
        assert_eq!(parts.threads.count(), 3);
        steps(&mut parts, 20);
        assert_eq!(parts.theta, whole.theta);
        let mut other = begun_on(1);
        steps(&mut other, 30);
        assert_ne!(other.theta, whole.theta, "the number of threads makes no difference here");
    }
}
