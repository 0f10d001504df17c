//! How a network is trained.

use clap::Args;
use gradlogp::train::{Schedule, TrainConfig};

use crate::choices;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct TrainingArgs {
    /// Optimizer steps, at most; about a minute or less for small tables.
    #[arg(long, default_value_t = TrainingArgs::default().steps)]
    pub(crate) steps: u64,
    /// Rows per step.
    #[arg(long, default_value_t = TrainingArgs::default().batch, hide_short_help = true)]
    pub(crate) batch: usize,
    /// Largest learning rate of AdamW.
    #[arg(long, default_value_t = TrainingArgs::default().rate, hide_short_help = true)]
    pub(crate) rate: f64,
    /// Schedule of the learning rate.
    #[arg(long, value_parser = choices::schedule(), default_value_t = TrainingArgs::default().schedule, hide_short_help = true)]
    pub(crate) schedule: Schedule,
    /// Warm-up steps, over which the learning rate rises from 0.
    #[arg(long, default_value_t = TrainingArgs::default().warm_up, hide_short_help = true)]
    pub(crate) warm_up: u64,
    /// Gradients are clipped to this norm, so that one bad batch does no harm.
    #[arg(long, default_value_t = TrainingArgs::default().clip, hide_short_help = true)]
    pub(crate) clip: f64,
    /// Decoupled weight decay [default: by the size of the table for the score, density, sampling and imputation; else 0].
    #[arg(long, default_value_t = TrainingArgs::default().weight_decay, hide_default_value = true, hide_short_help = true)]
    pub(crate) weight_decay: f64,
    /// Decay of the exponential moving average of weights that is kept; 0 keeps the weights of the best step.
    #[arg(long, default_value_t = TrainingArgs::default().ema, hide_short_help = true)]
    pub(crate) ema: f64,
    /// Steps between held-out evaluations.
    #[arg(long, default_value_t = TrainingArgs::default().evaluate_every, hide_short_help = true)]
    pub(crate) evaluate_every: u64,
    /// Early stopping: evaluations without improvement; 0 for none [default: 20; 0 with --noise].
    ///
    /// The best weights are kept in any case. With --noise late steps still sharpen the score.
    #[arg(long, hide_short_help = true)]
    pub(crate) patience: Option<u64>,
    /// Members of an ensemble: networks trained on different seeds, whose scores are averaged [default: 1; 2 for the
    /// score, density, sampling and imputation].
    ///
    /// The average is never worse than they are in the mean, and usually better than the best. They go to one
    /// model file.
    #[arg(long, value_name = "K", hide_short_help = true)]
    pub(crate) members: Option<usize>,
    /// Worker threads; 0 for one per core. Results depend on it in the last bits.
    #[arg(long, default_value_t = TrainingArgs::default().threads)]
    pub(crate) threads: usize,
}

impl Default for TrainingArgs {
    /// The library's settings; but for the steps, which are enough for a small table.
    fn default() -> Self {
        let usual = TrainConfig::default();
        TrainingArgs {
            steps: 6000,
            batch: usual.batch,
            rate: usual.learning_rate,
            schedule: Schedule::Cosine,
            warm_up: usual.warm_up,
            clip: usual.max_gradient_norm,
            weight_decay: usual.weight_decay,
            ema: usual.ema_decay,
            evaluate_every: usual.evaluate_every,
            patience: None,
            members: None,
            threads: usual.threads,
        }
    }
}
