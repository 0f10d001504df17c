//! A run of draws as data: started, stopped anywhere, stored and resumed.

use std::ops::ControlFlow;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::chains::ChainJob;
use super::config::SampleConfig;
use super::reverse::ReverseJob;
use super::samples::{Outcome, Samples};
use super::steps::{Step, Steps};
use crate::fitted::FittedModel;
use crate::{Error, Result};

/// The settings of a run and, once it has begun, its state: everything but the model.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Job {
    /// On one density.
    Chains(Box<ChainJob>),
    /// From noise to data.
    Reverse(ReverseJob),
}

/// The state of a run after a step.
pub struct Snapshot<'a> {
    /// Steps done.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Share of the proposals that were accepted, where there are any.
    pub acceptance: Option<f64>,
    /// Where the rows are, in the network's units.
    pub position: ArrayView2<'a, f64>,
    /// The time of the process, where there is one.
    pub time: Option<f64>,
    /// The run stops here, unfinished.
    pub stops: bool,
    /// What would go on from here.
    pub job: &'a dyn Fn() -> Job,
}

/// Watches a run.
pub trait Watch {
    /// Looks at the rows after a step; a break ends the run there, unfinished.
    fn snapshot(&mut self, _look: Snapshot<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Whether the run is to be stopped, asked within long steps too. The snapshot that follows says so.
    fn stops(&mut self) -> bool {
        false
    }
}

/// Lets a run go on to its end.
impl Watch for () {}

/// A watch of jobs of one kind.
struct Watched<'w, J> {
    watch: &'w mut dyn Watch,
    wrap: fn(J) -> Job,
}

impl<J> Steps<J> for Watched<'_, J> {
    fn step(&mut self, step: Step<'_>, job: &dyn Fn() -> J) -> ControlFlow<()> {
        let Step { step, steps, acceptance, position, time, stops } = step;
        let job = || (self.wrap)(job());
        self.watch.snapshot(Snapshot { step, steps, acceptance, position, time, stops, job: &job })
    }

    fn stops(&mut self) -> bool {
        self.watch.stops()
    }
}

impl FittedModel {
    /// Draws `n` rows in the user's units; at each of its conditions in turn, of a conditional model.
    ///
    /// ```no_run
    /// use gradlogp::FittedModel;
    /// use gradlogp::draw::SampleConfig;
    ///
    /// let model = FittedModel::load("model.safetensors".as_ref())?;
    /// let samples = model.sample(1000, &SampleConfig::default())?;
    /// println!("{}, split R-hat {:?}", samples.rows, samples.max_split_r_hat);
    /// # Ok::<(), gradlogp::Error>(())
    /// ```
    ///
    /// # Errors
    /// Settings that do not suit the model; a run in which a row becomes non-finite.
    pub fn sample(&self, n: usize, config: &SampleConfig) -> Result<Samples> {
        let outcome = Job::new(self, n, config)?.run(self, &mut ())?;
        match outcome.failure {
            Some(error) => Err(error),
            None => Ok(outcome.samples),
        }
    }
}

impl Job {
    /// A run that has not begun.
    ///
    /// # Errors
    /// Settings that do not suit the model.
    pub fn new(model: &FittedModel, n: usize, config: &SampleConfig) -> Result<Self> {
        if n == 0 {
            return Err(Error::config("n", "must be at least 1"));
        }
        Ok(match model.over_time() {
            Some(_) => Job::Reverse(ReverseJob::new(model, n, config)?),
            None => Job::Chains(Box::new(ChainJob::new(model, n, config)?)),
        })
    }

    /// Refuses what no run with this model can be, whether it comes from a command line or from a checkpoint.
    ///
    /// # Errors
    /// [`Error::Config`] naming the setting.
    pub fn check(&self, model: &FittedModel) -> Result<()> {
        match (self, model.over_time()) {
            (Job::Chains(job), None) => job.check(model),
            (Job::Reverse(job), _) => job.check(model),
            (Job::Chains(_), Some(_)) => {
                let message =
                    "is of every noise level, and the run began with a model of one density";
                Err(Error::config("fitted_model", message))
            }
        }
    }

    /// Steps done, and steps in all.
    pub fn steps(&self) -> (usize, usize) {
        match self {
            Job::Chains(job) => job.steps(),
            Job::Reverse(job) => job.steps(),
        }
    }

    /// Rows that are under way together.
    pub fn rows_at_once(&self) -> usize {
        match self {
            Job::Chains(job) => job.config.chains,
            Job::Reverse(job) => job.rows_of_a_block(),
        }
    }

    /// The steps between which a trace looks: of chains all; of the reverse process those of the first
    /// rows, from noise on.
    pub fn traced(&self) -> (usize, usize) {
        match self {
            Job::Chains(job) => (1, job.steps().1),
            Job::Reverse(job) => (0, job.steps_of_a_block()),
        }
    }

    /// Bytes that the rows under way and the rows kept take, at least.
    pub fn bytes(&self, model: &FittedModel) -> [f64; 2] {
        let row = 8.0 * model.description().columns.len() as f64;
        match self {
            Job::Chains(job) => {
                let chains = job.config.chains as f64 * row;
                // As drawn, one below the other, those that are kept, and in the user's units.
                [chains, 4.0 * job.config.draws() as f64 * chains]
            }
            Job::Reverse(job) => [0.0, 2.0 * job.n as f64 * row],
        }
    }

    /// All steps that are left.
    ///
    /// # Errors
    /// A job that does not suit the model.
    pub fn run(self, model: &FittedModel, watch: &mut dyn Watch) -> Result<Outcome> {
        match self {
            Job::Chains(job) => {
                let wrap = |job| Job::Chains(Box::new(job));
                job.run(model, &mut Watched { watch, wrap })
            }
            Job::Reverse(job) => job.run(model, &mut Watched { watch, wrap: Job::Reverse }),
        }
    }
}
