//! Settings of a diffusion model: the score at every time of a process that turns data into noise.

use std::sync::Arc;

use gradlogp_numeric::Activation;
use ndarray::{Array2, ArrayView1, ArrayView2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::data::Transform;
use crate::diffusion::{
    Clock, Conditioning, NoiseConfig, NoiseWeight, Noising, TimeDistribution, TimeFeatures, TimeMlp,
};
use crate::fitted::{NoiseRecord, Scaling};
use crate::model::{Mlp, ModelKind};
use crate::objective::Objective;
use crate::sde::{AnyProcess, ExpressionProcess, Process, SIMULATED, Sde, Vp, simulate};
use crate::words::short;
use crate::{Error, Result};

/// Rows on which a custom process is tried before training.
const TRIED: usize = 256;
/// Root mean square of a column, or 1 over it, from which on a named process does not suit it.
const MISMATCHED: f64 = 4.0;
/// Frequencies of the Fourier features.
const FREQUENCIES: usize = 8;

/// A network of the score at every noise level of a process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiffusionConfig {
    /// The process.
    pub process: ProcessConfig,
    /// How rows are noised.
    pub noise: NoiseConfig,
    /// Log density or score field.
    pub kind: ModelKind,
    /// Width of each hidden layer.
    pub hidden: Vec<usize>,
    /// The nonlinearity after each.
    pub activation: Activation,
    /// How the network reads the time.
    pub conditioning: Conditioning,
    /// What it reads of it.
    pub features: TimeFeatures,
    /// Width of the finest structure to expect, in standardized units.
    pub floor: f64,
}

/// A process, as far as it is known before the columns are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessConfig {
    /// One of the usual, in standardized units.
    Named(Process),
    /// One's own, in the columns' units.
    Custom {
        /// One expression in t and x for all columns, or one for each in t and the columns' names.
        drift: Vec<String>,
        /// g, an expression in t.
        diffusion: String,
        /// Last time.
        horizon: f64,
        /// Least time at which the score is fitted.
        t_min: f64,
    },
}

impl ProcessConfig {
    /// The usual last time of a custom process.
    pub const HORIZON: f64 = 1.0;

    /// The usual least time of a custom process with this last time.
    pub fn usual_t_min(horizon: f64) -> f64 {
        0.01 * horizon
    }
}

impl Default for DiffusionConfig {
    /// A score field of three layers of 128 SiLU units, over the variance-preserving process.
    fn default() -> Self {
        DiffusionConfig::of(ProcessConfig::Named(Process::Vp(Vp::default())))
    }
}

impl DiffusionConfig {
    /// The usual settings for a process: balanced weights and times by the logarithm of the noise; of one's own
    /// none, uniform times, and rows simulated in 100 steps.
    pub fn of(process: ProcessConfig) -> Self {
        let noise = match &process {
            ProcessConfig::Named(_) => NoiseConfig::default(),
            ProcessConfig::Custom { .. } => NoiseConfig {
                weight: NoiseWeight::None,
                times: TimeDistribution::Uniform,
                levels: None,
                simulate: Some(SIMULATED),
            },
        };
        DiffusionConfig {
            process,
            noise,
            kind: ModelKind::Score,
            hidden: vec![128; 3],
            activation: Activation::Silu,
            conditioning: Conditioning::Film,
            features: TimeFeatures::Fourier { frequencies: FREQUENCIES },
            floor: TimeMlp::FLOOR,
        }
    }

    /// Denoising where the process has a kernel, else variance-reduced sliced score matching.
    pub fn usual_objective(&self) -> Objective {
        match self.noise.simulate {
            None => Objective::Regression,
            Some(_) => Objective::SsmVr { slices: 1 },
        }
    }

    /// Refuses what no process or network can have.
    ///
    /// # Errors
    /// [`Error::Config`] naming the setting.
    pub fn validate(&self) -> Result<()> {
        match &self.process {
            ProcessConfig::Named(process) => process.validate()?,
            ProcessConfig::Custom { .. } if self.noise.simulate.is_none() => {
                let message =
                    "a custom process has no closed-form kernel: give the number of steps";
                return Err(Error::config("simulate", message));
            }
            ProcessConfig::Custom { .. } => {}
        }
        let floor = self.floor;
        if !(floor >= 0.0 && floor.is_finite()) {
            let message = format!("must be 0 or a positive number, not {floor}");
            return Err(Error::config("noise_floor", message));
        }
        if let Some(steps) = self.noise.simulate {
            Noising::check_steps(steps)?;
        }
        if self.noise.levels.is_some_and(|levels| levels < 2) {
            return Err(Error::config("levels", "must be at least 2"));
        }
        let most = TimeFeatures::Fourier { frequencies: FREQUENCIES }.width();
        if matches!(self.features, TimeFeatures::Fourier { frequencies } if frequencies > most) {
            return Err(Error::config(
                "time_features",
                format!("must be at most {most} frequencies"),
            ));
        }
        Ok(())
    }

    /// Whether the process is stated in the columns' own units.
    pub fn is_custom(&self) -> bool {
        matches!(self.process, ProcessConfig::Custom { .. })
    }

    /// The settings of the network apart from the time.
    pub(super) fn plain(&self, dim: usize) -> Mlp {
        Mlp { hidden: self.hidden.clone(), activation: self.activation, ..Mlp::new(dim, self.kind) }
    }

    /// The process for these columns.
    fn process(&self, columns: &[String]) -> AnyProcess {
        match &self.process {
            ProcessConfig::Named(process) => AnyProcess::Named(*process),
            ProcessConfig::Custom { drift, diffusion, horizon, t_min } => {
                AnyProcess::Expressions(ExpressionProcess {
                    drift: drift.clone(),
                    diffusion: diffusion.clone(),
                    columns: columns.to_vec(),
                    horizon: *horizon,
                    t_min: *t_min,
                })
            }
        }
    }

    /// The record for the model file; `rows` are the training rows in the columns' units, which `transform` scales.
    pub(super) fn record(
        &self,
        columns: &[String],
        rows: ArrayView2<'_, f64>,
        transform: &Transform,
        seed: u64,
    ) -> Result<NoiseRecord> {
        let process = self.process(columns);
        let scaling = match &process {
            AnyProcess::Named(_) => None,
            AnyProcess::Expressions(expressions) => {
                let sde = process.sde()?;
                let clock = Clock::new(Arc::clone(&sde))?;
                let steps = self.noise.simulate.unwrap_or(SIMULATED);
                try_out(sde.as_ref(), expressions, steps, rows)?;
                Scaling::fit(&clock, rows, columns, transform, steps, seed)?
            }
        };
        let network = TimeMlp {
            dim: columns.len(),
            kind: self.kind,
            hidden: self.hidden.clone(),
            activation: self.activation,
            features: self.features,
            conditioning: self.conditioning,
            scaled: !self.is_custom() || scaling.is_some(),
            floor: self.floor,
            members: 1,
        };
        Ok(NoiseRecord { process, network, config: self.noise, scaling })
    }

    /// What to know of the process beside its columns: of one's own, words that are columns' names too; of a named
    /// one, columns that are not of the size it is made for. `rows` are training rows in the network's units.
    pub(super) fn notes(
        &self,
        columns: &[String],
        rows: ArrayView2<'_, f64>,
    ) -> Result<Vec<String>> {
        if let AnyProcess::Expressions(process) = self.process(columns) {
            return process.notes();
        }
        let size = |column: ArrayView1<'_, f64>| {
            (column.iter().map(|x| x * x).sum::<f64>() / column.len().max(1) as f64).sqrt()
        };
        let sizes = rows.columns().into_iter().map(size).zip(columns);
        let off = |size: f64| size.ln().abs();
        let worst = sizes.max_by(|a, b| off(a.0).total_cmp(&off(b.0)));
        let Some((size, name)) = worst.filter(|worst| off(worst.0) > MISMATCHED.ln()) else {
            return Ok(Vec::new());
        };
        Ok(vec![format!(
            "the process is made for columns of mean 0 and standard deviation 1, and column \"{name}\" has \
             a root mean square of {}: scale it with `standardize` standardize",
            short(size)
        )])
    }
}

/// Refuses a drift that is not a number at the data, or a simulation that diverges.
fn try_out(
    sde: &dyn Sde,
    process: &ExpressionProcess,
    steps: usize,
    rows: ArrayView2<'_, f64>,
) -> Result<()> {
    let text = |column: usize| &process.drift[column.min(process.drift.len() - 1)];
    let check = |rows: &Array2<f64>, t: f64| -> Result<()> {
        let drift = sde.drift_rows(rows.view(), t);
        let Some(((row, column), value)) = drift.indexed_iter().find(|(_, f)| !f.is_finite())
        else {
            return Ok(());
        };
        let place: Vec<String> = process
            .columns
            .iter()
            .zip(rows.row(row))
            .map(|(name, x)| format!("{name} = {}", short(*x)))
            .collect();
        let message = format!(
            "\"{}\" is {value} at t = {}, {} (column {}); write it so that it is finite wherever the rows go",
            text(column),
            short(t),
            place.join(", "),
            process.columns[column],
        );
        Err(Error::config("drift", message))
    };
    check(&rows.to_owned(), 0.0)?;
    let rows = rows.slice(ndarray::s![..rows.nrows().min(TRIED), ..]).to_owned();
    for share in [0.1, 0.5, 1.0] {
        let t = share * sde.horizon();
        let mut moved: Vec<f64> = rows.iter().copied().collect();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        simulate(sde, &mut rng, &mut moved, &vec![t; rows.nrows()], steps);
        if moved.iter().any(|x| !x.is_finite()) {
            let message = format!(
                "rows diverge before t = {}, in steps of {} (`simulate` {steps}); write a drift that reverts, \
                 end earlier (`horizon`), or take more steps",
                short(t),
                short(t / steps as f64)
            );
            return Err(Error::config("drift", message));
        }
        let (n, d) = rows.dim();
        let moved = Array2::from_shape_fn((n, d), |(i, j)| moved[i * d + j]);
        check(&moved, t)?;
    }
    Ok(())
}
