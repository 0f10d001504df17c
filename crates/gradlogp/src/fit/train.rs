//! From prepared rows to trained weights.

use std::ops::ControlFlow;

use super::config::{Family, FitConfig};
use super::kernel::{self, EXACT_COLUMNS};
use super::prepare::Prepared;
use super::trained::{Trained, TrainedMember};
use crate::diffusion::{Noising, TimeMlp};
use crate::dkef::KernelStep;
use crate::fitted::NoiseRecord;
use crate::model::{Mlp, Model};
use crate::objective::Objective;
use crate::train::{Choice, Event, Stop, TrainConfig, Trainer, choose_objective};
use crate::{Error, Result};

impl Prepared {
    /// The settings with the objective chosen where that was left to us, and why; `observe` sees the steps of a
    /// short run. Where it says so, nothing is chosen.
    ///
    /// # Errors
    /// Settings that cannot be used.
    pub fn choose_objective(
        &self,
        config: &FitConfig,
        observe: &mut (dyn FnMut(&Trainer, Event) -> ControlFlow<()> + Send),
    ) -> Result<(FitConfig, Option<Choice>)> {
        if !config.choose_objective {
            return Ok((config.clone(), None));
        }
        if let Family::Kernel(_) = config.family {
            // Their weights have a closed form: there is no gradient to compare.
            let objective = match self.dim() <= EXACT_COLUMNS {
                true => Objective::Exact,
                false => config.training.objective,
            };
            return Ok((config.clone().with_objective(objective), None));
        }
        let training = self.training(config);
        let network = self.network(config, training.seed)?;
        let rows = self.network_rows(&self.split.train)?;
        let choice = choose_objective(&network, &rows, &training, observe)?;
        // It stops only where the observer asks for it.
        let Some(choice) = choice else { return Ok((config.clone(), None)) };
        Ok((config.clone().with_objective(choice.objective), Some(choice)))
    }

    /// The network with its initial weights.
    fn network(&self, config: &FitConfig, seed: u64) -> Result<Model<f32>> {
        match &self.noise {
            Some(record) => record.network.build(seed),
            None => self.mlp(config).build::<f32>(seed),
        }
    }

    /// A run of a network, of one density or of all noise levels, that has not begun, with the settings
    /// `training`, which are those of [`Prepared::training`] but for what is changed on purpose.
    ///
    /// # Errors
    /// Settings that cannot be used; a kernel family, which has a trainer of its own.
    pub fn trainer(&self, config: &FitConfig, training: TrainConfig) -> Result<Trainer> {
        if let Family::Kernel(_) = config.family {
            return Err(Error::config("model", "a kernel family is not trained like a network"));
        }
        let network = self.network(config, training.seed)?;
        let rows = self.rows_on_base(&self.split.train)?;
        let held_out = self.rows_on_base(&self.split.validation)?;
        match &self.noise {
            None => {
                let trainer = Trainer::new(network, rows, &held_out, training)?;
                Ok(trainer.with_base_losses(&self.base_losses()?.to_vec()))
            }
            Some(record) => {
                Trainer::over_time(noising(record)?, network, rows.x, &held_out.x, training)
            }
        }
    }

    /// The settings of training of one member of an ensemble: those of [`Prepared::training`], but for the seed of
    /// weights, batches and slices.
    pub fn member_training(&self, config: &FitConfig, member: usize) -> TrainConfig {
        let training = self.training(config);
        TrainConfig { seed: training.seed.wrapping_add(member as u64), ..training }
    }

    /// Joins the members of an ensemble, of one member too, whose training ended as `stop` says.
    ///
    /// # Errors
    /// No member; members of other networks.
    pub fn ensemble(
        &self,
        config: &FitConfig,
        members: &[TrainedMember],
        stop: Stop,
    ) -> Result<Trained> {
        let Some(first) = members.first() else {
            return Err(Error::config("members", "at least one is needed"));
        };
        let settings = Mlp { members: members.len(), ..self.mlp(config) };
        let parameters = members.iter().flat_map(|member| member.parameters.iter().copied());
        let (settings, parameters) = self.on_base(settings, parameters.collect())?;
        let graph = match &self.noise {
            Some(record) => TimeMlp { members: members.len(), ..record.network.clone() }.graph()?,
            None => settings.graph()?,
        };
        Ok(Trained {
            network: Model::new(config.kind(), graph, parameters)?,
            settings,
            training: self.training(config),
            steps: members.iter().map(|member| member.steps).sum(),
            best: first.best,
            history: first.history.clone(),
            kernel: None,
            stop,
        })
    }

    /// Fits a kernel family to the end; `observe` sees every step.
    ///
    /// # Errors
    /// Settings that cannot be used; another family; a system for alpha without a solution.
    pub fn train_kernel_family(
        &self,
        config: &FitConfig,
        observe: &mut dyn FnMut(&KernelStep) -> ControlFlow<()>,
    ) -> Result<Trained> {
        let Family::Kernel(family) = &config.family else {
            return Err(Error::config("model", "is no kernel family"));
        };
        let training = self.network_rows(&self.split.train)?;
        let validation = self.network_rows(&self.split.validation)?;
        // It has no condition, so rows are x alone.
        let rows = [training.x, validation.x];
        kernel::train(family, &config.training, self.dim(), rows, observe)
    }

    /// Trains to the end, whatever the family; `observe` sees the steps of a network.
    ///
    /// # Errors
    /// As [`Prepared::trainer`] and [`Prepared::train_kernel_family`].
    pub fn train(
        &self,
        config: &FitConfig,
        observe: &mut (dyn FnMut(&Trainer, Event) -> ControlFlow<()> + Send),
    ) -> Result<Trained> {
        if let Family::Kernel(_) = config.family {
            return self.train_kernel_family(config, &mut |_| ControlFlow::Continue(()));
        }
        let (mut members, mut stop) = (Vec::new(), Stop::Completed);
        for member in 0..config.members {
            let mut trainer = self.trainer(config, self.member_training(config, member))?;
            stop = trainer.run(observe);
            members.push(TrainedMember::of(&trainer));
            if matches!(stop, Stop::Interrupted | Stop::Diverged { .. }) {
                break;
            }
        }
        self.ensemble(config, &members, stop)
    }
}

/// The noising behind a record.
fn noising(record: &NoiseRecord) -> Result<Noising> {
    Noising::new(record.network.clone(), record.clock()?, record.config)
}
