//! The training loop.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::adamw::{AdamW, Update};
use super::batch_plan::BatchPlan;
use super::batches::{Batches, TableRows};
use super::checkpoint::{Best, Checkpoint, State};
use super::config::TrainConfig;
use super::event::{Event, Progress, Stop};
use super::held_out::{HeldOut, HeldOutLoss};
use super::history::HistoryPoint;
use crate::domain::Domain;
use crate::engine::{Draw, LossEngine, Part, StreamId, Threads};
use crate::model::{LossPass, Model, PointSet, Points};
use crate::objective::{Objective, RowLoss};
use crate::{Error, Result};

/// A training run in progress. Weights are f32.
pub struct Trainer {
    config: TrainConfig,
    pub(super) threads: Arc<Threads>,
    pub(super) model: Model<f32>,
    pub(super) optimizer: AdamW<f32>,
    pub(super) engine: LossEngine<f32>,
    held_out: HeldOut<f32>,
    batches: Box<dyn Batches>,
    plan: BatchPlan,
    state: State,
    /// The rows of a step.
    chosen: Vec<usize>,
}

impl Trainer {
    /// A run of `model` on training rows, evaluated on held-out rows, both in the units in which the
    /// model works: x, n x d, and the contexts that its graph reads.
    ///
    /// # Errors
    /// Settings that cannot be used; no rows; x or contexts of the wrong length.
    pub fn new<'a>(
        model: Model<f32>,
        training: impl Into<PointSet<f32>>,
        held_out: impl Into<Points<'a, f32>>,
        config: TrainConfig,
    ) -> Result<Self> {
        Self::on_rows(model, training.into(), held_out.into(), config)
    }

    /// Not generic, so that the engine is compiled here and not in the crate that asks for it.
    fn on_rows(
        model: Model<f32>,
        training: PointSet<f32>,
        held_out: Points<'_, f32>,
        config: TrainConfig,
    ) -> Result<Self> {
        if config.objective == Objective::Regression {
            return Err(Error::config("objective", "regression on targets is for time models"));
        }
        let rows = Points::from(&training).rows(model.graph())?;
        let held_out_rows = held_out.rows(model.graph())?;
        let evaluator = |model: &_, config: &TrainConfig, threads| {
            HeldOut::new(model, held_out, config.domain.as_ref(), config.seed, threads)
        };
        let on_base = !training.base.is_empty();
        if on_base == held_out.base.is_empty() {
            let message = "goes with training and held-out rows, or with neither";
            return Err(Error::config("base", message));
        }
        let (objective, law) = (config.objective, config.slice_distribution);
        if on_base {
            objective.check_on_base()?;
        }
        let batches = Box::new(TableRows::new(training, rows, model.graph()));
        let mut trainer = Self::build(model, batches, held_out_rows, evaluator, config)?;
        if on_base {
            let threads = trainer.threads.count();
            trainer.engine = LossEngine::on_base(&trainer.model, &objective, law, threads);
        }
        Ok(trainer)
    }

    /// A run of `model` on batches of your own, evaluated on all of `held_out`: `distinct` rows of data once,
    /// then all of them again, and so on, as time models see them at several times.
    ///
    /// # Errors
    /// Settings that cannot be used; no rows; held-out rows of the wrong length, or no multiple of `distinct`.
    pub fn with_batches(
        model: Model<f32>,
        batches: Box<dyn Batches>,
        held_out: Points<'_, f32>,
        distinct: usize,
        config: TrainConfig,
    ) -> Result<Self> {
        let rows = held_out.rows(model.graph())?;
        if rows % distinct.max(1) != 0 {
            let (expected, found) = (vec![distinct], vec![rows % distinct]);
            return Err(Error::Shape { operation: "copies of held-out rows", expected, found });
        }
        let evaluator = |model: &_, config: &TrainConfig, threads| {
            HeldOut::over_time(model, held_out, distinct, config.seed, threads)
        };
        Self::build(model, batches, distinct, evaluator, config)
    }

    fn build(
        model: Model<f32>,
        batches: Box<dyn Batches>,
        held_out: usize,
        evaluator: impl FnOnce(&Model<f32>, &TrainConfig, usize) -> HeldOut<f32>,
        config: TrainConfig,
    ) -> Result<Self> {
        config.validate()?;
        let rows = batches.rows();
        if rows == 0 || held_out == 0 {
            return Err(Error::data(
                "training and held-out rows",
                "there must be at least one each",
            ));
        }
        LossPass::check(&config.objective, &model)?;
        let domain = config.domain.as_ref();
        if let Some(found) = domain.map(Domain::dim).filter(|found| *found != model.dim()) {
            let (expected, found) = (vec![model.dim()], vec![found]);
            return Err(Error::Shape { operation: "columns of the domain", expected, found });
        }
        let threads = Arc::new(Threads::new(config.threads)?);
        let count = threads.count();
        Ok(Trainer {
            optimizer: AdamW::new(&model.parameters),
            engine: LossEngine::on_domain(
                domain,
                &model,
                &config.objective,
                config.slice_distribution,
                count,
            ),
            held_out: evaluator(&model, &config, count),
            plan: BatchPlan::new(rows, config.batch, config.seed)?,
            batches,
            state: State::default(),
            chosen: Vec::new(),
            threads,
            model,
            config,
        })
    }

    /// The same run with a loss of your own in place of the objective of its settings; slices come from the
    /// distribution there.
    ///
    /// The held-out loss stays the exact one, MATH (4): it compares losses and decides which weights are kept.
    /// Checkpoints do not hold the loss: give it again to a run that is resumed.
    ///
    /// # Errors
    /// A loss with noise on a domain with a boundary, which the noise would leave; rows with a base.
    pub fn with_loss(mut self, loss: Arc<dyn RowLoss<f32>>) -> Result<Self> {
        if self.held_out.is_on_base() {
            return Err(Error::config("loss", "the rows come with a base, which it does not know"));
        }
        let domain = self.config.domain.as_ref();
        if domain.is_some() && loss.noise().is_some() {
            return Err(Error::config("loss", "its noise moves rows across the boundary"));
        }
        let (distribution, threads) = (self.config.slice_distribution, self.threads.count());
        self.engine = LossEngine::with_loss(domain, &self.model, &loss, distribution, threads);
        Ok(self)
    }

    /// The same run with the losses of the base, one for each held-out row, added to the held-out loss, which then is that
    /// of the sum of base and model. Nothing that is trained changes.
    pub fn with_base_losses(mut self, losses: &[f64]) -> Self {
        self.held_out.add_base(losses);
        self
    }

    /// Continues from a checkpoint; the result is bit-identical to a run that never stopped if model,
    /// rows, settings and thread count are the same.
    ///
    /// # Errors
    /// As [`Trainer::new`]; a checkpoint of another model.
    pub fn resume<'a>(
        model: Model<f32>,
        training: impl Into<PointSet<f32>>,
        held_out: impl Into<Points<'a, f32>>,
        config: TrainConfig,
        checkpoint: Checkpoint,
    ) -> Result<Self> {
        Trainer::new(model, training, held_out, config)?.restored(checkpoint)
    }

    /// This run, as it was at `checkpoint`.
    ///
    /// # Errors
    /// A checkpoint of another model.
    pub fn restored(self, checkpoint: Checkpoint) -> Result<Self> {
        let mut trainer = self;
        let expected = vec![trainer.model.parameters.len()];
        if checkpoint.parameters.len() != expected[0] {
            let found = vec![checkpoint.parameters.len()];
            return Err(Error::Shape { operation: "resume", expected, found });
        }
        checkpoint.check(trainer.config.steps)?;
        trainer.model.parameters = checkpoint.parameters;
        trainer.optimizer = checkpoint.optimizer;
        trainer.state = checkpoint.state;
        Ok(trainer)
    }

    /// Worker threads, as many as there are cores where the settings say 0.
    pub fn threads(&self) -> usize {
        self.threads.count()
    }

    /// Everything needed to continue.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            parameters: self.model.parameters.clone(),
            optimizer: self.optimizer.clone(),
            state: self.state.clone(),
        }
    }

    /// Floating-point operations in the matrix products of one full step, two per multiply-add.
    pub fn product_operations(&self) -> u64 {
        self.engine.product_operations(&self.model, self.plan.largest_batch())
    }

    /// The settings.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// Steps taken.
    pub fn step(&self) -> u64 {
        self.state.step
    }

    /// The weights as they are now, without average or choice of the best.
    pub fn parameters(&self) -> &[f32] {
        &self.model.parameters
    }

    /// The model with the weights that would be evaluated now: their moving average, or the
    /// current ones without it.
    pub fn averaged_model(&self) -> Model<f32> {
        let mut model = self.model.clone();
        if self.config.ema_decay > 0.0 {
            model.parameters.clone_from(&self.optimizer.average);
        }
        model
    }

    /// Evaluations so far.
    pub fn history(&self) -> &[HistoryPoint] {
        &self.state.history
    }

    /// The step and held-out loss of the best weights, once evaluated.
    pub fn best(&self) -> Option<(u64, HeldOutLoss)> {
        self.state.best.as_ref().map(|b| (b.step, b.loss))
    }

    /// The model with the best weights so far (the current ones before any evaluation).
    pub fn best_model(&self) -> Model<f32> {
        let mut model = self.model.clone();
        if let Some(best) = &self.state.best {
            model.parameters.clone_from(&best.parameters);
        }
        model
    }

    /// Whether the held-out loss has not improved for as many evaluations as [`TrainConfig::patience`] allows: where
    /// this holds of a run that was resumed, it had ended before.
    pub fn is_out_of_patience(&self) -> bool {
        self.config.patience > 0 && self.state.since_best >= self.config.patience
    }

    /// Runs to the end, or until the observer breaks. Can be called again to go on.
    pub fn run(
        &mut self,
        observer: &mut (dyn FnMut(&Trainer, Event) -> ControlFlow<()> + Send),
    ) -> Stop {
        // One hand-off to the pool for the whole run.
        let threads = Arc::clone(&self.threads);
        threads.install(|| self.run_inside(observer))
    }

    fn run_inside(
        &mut self,
        observer: &mut (dyn FnMut(&Trainer, Event) -> ControlFlow<()> + Send),
    ) -> Stop {
        if let Err(stop) = self.begin(observer) {
            return stop;
        }
        if self.is_out_of_patience() {
            return Stop::Patience;
        }
        while self.state.step < self.config.steps {
            match self.take_step(observer) {
                Ok(()) => {}
                Err(stop) => return stop,
            }
        }
        Stop::Completed
    }

    /// The evaluation of the weights that a run begins with, once.
    pub(super) fn begin(
        &mut self,
        observer: &mut (dyn FnMut(&Trainer, Event) -> ControlFlow<()> + Send),
    ) -> Result<(), Stop> {
        if self.state.history.is_empty() { self.evaluate(observer) } else { Ok(()) }
    }

    fn take_step(
        &mut self,
        observer: &mut (dyn FnMut(&Trainer, Event) -> ControlFlow<()> + Send),
    ) -> Result<(), Stop> {
        let loss = self.loss_and_gradient(Part::WHOLE);
        let (gradient_norm, update) = (self.engine.gradient_norm(), self.update());
        let (parameters, gradient) = (&mut self.model.parameters, self.engine.gradient());
        self.optimizer.update_with_norm(parameters, gradient, gradient_norm, update);
        self.after_update(loss, gradient_norm, observer)
    }

    /// What a part of the next step's batch adds to its loss; the engine holds the gradient.
    pub(super) fn loss_and_gradient(&mut self, part: Part) -> f64 {
        let step = self.state.step;
        self.plan.indices_for_step(step, &mut self.chosen);
        let draw = Draw { seed: self.config.seed, stream: StreamId::Train, step };
        let points = self.batches.fill(step, &self.chosen);
        self.engine.part_of_loss_and_gradient(&self.model, points, draw, part)
    }

    /// The settings of the next update.
    pub(super) fn update(&self) -> Update {
        let c = &self.config;
        let rate = c.learning_rate * c.schedule.factor(self.state.step, c.steps, c.warm_up);
        Update { rate, decay: c.weight_decay, clip: c.max_gradient_norm, ema: c.ema_decay }
    }

    /// What follows an update of the weights: the count of steps, evaluations, and whether to go on.
    pub(super) fn after_update(
        &mut self,
        loss: f64,
        gradient_norm: f64,
        observer: &mut (dyn FnMut(&Trainer, Event) -> ControlFlow<()> + Send),
    ) -> Result<(), Stop> {
        if !loss.is_finite() || !gradient_norm.is_finite() {
            return Err(self.diverged(&format!("the loss became {loss}")));
        }
        self.state.step += 1;
        self.state.loss_sum += loss;
        self.state.loss_count += 1;
        let progress = Progress {
            step: self.state.step,
            steps: self.config.steps,
            loss,
            gradient_norm,
            rows: self.chosen.len(),
        };
        let mut stop = Ok(());
        let last = self.state.step == self.config.steps;
        if last || self.state.step.is_multiple_of(self.config.evaluate_every) {
            stop = self.evaluate(observer);
        }
        // The observer sees the step when all its consequences are in the state, so that a
        // checkpoint taken here continues exactly.
        if observer(self, Event::Step(progress)).is_break() {
            return stop.and(Err(Stop::Interrupted));
        }
        stop
    }

    /// Evaluates the weights that would be kept, and keeps them if they are the best.
    fn evaluate(
        &mut self,
        observer: &mut (dyn FnMut(&Trainer, Event) -> ControlFlow<()> + Send),
    ) -> Result<(), Stop> {
        // The average takes the model's place for the evaluation: no copy.
        let averaged = self.config.ema_decay > 0.0;
        if averaged {
            std::mem::swap(&mut self.model.parameters, &mut self.optimizer.average);
        }
        let held_out = self.held_out.evaluate(&self.model);
        let best = held_out.mean.is_finite()
            && self.state.best.as_ref().is_none_or(|b| held_out.mean < b.loss.mean);
        if best {
            let (step, parameters) = (self.state.step, self.model.parameters.clone());
            self.state.best = Some(Best { step, loss: held_out, parameters });
        }
        if averaged {
            std::mem::swap(&mut self.model.parameters, &mut self.optimizer.average);
        }
        let train_loss = self.state.loss_sum / self.state.loss_count.max(1) as f64;
        (self.state.loss_sum, self.state.loss_count) = (0.0, 0);
        let point = HistoryPoint { step: self.state.step, train_loss, held_out };
        let start = self.state.history.first().map_or(held_out.mean, |p| p.held_out.mean);
        self.state.since_best = if best { 0 } else { self.state.since_best + 1 };
        self.state.history.push(point);
        // A held-out loss that rises while the training loss falls is overfitting, and the best
        // weights are kept anyway; only a training loss that rises is divergence.
        if !held_out.mean.is_finite() {
            return Err(self.diverged(&format!("the held-out loss became {}", held_out.mean)));
        }
        if train_loss > start + 1e3 * (1.0 + start.abs()) {
            return Err(self.diverged(&format!("the training loss rose to {train_loss:.3e}")));
        }
        let broken = observer(self, Event::Evaluated { point, best }).is_break();
        if self.is_out_of_patience() {
            return Err(Stop::Patience);
        }
        if broken { Err(Stop::Interrupted) } else { Ok(()) }
    }

    fn diverged(&self, what: &str) -> Stop {
        let kept = match &self.state.best {
            Some(best) => format!("the weights of step {} are kept", best.step),
            None => "no weights were kept".to_string(),
        };
        Stop::Diverged {
            message: format!(
                "diverged at step {}: {what}; {kept}. Try a learning rate of {:.1e}, more warm-up steps, \
                 or `dequantize` if columns are rounded",
                self.state.step,
                self.config.learning_rate / 4.0
            ),
        }
    }
}
