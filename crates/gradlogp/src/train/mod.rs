//! Training: takes rows, returns events; reads no files of data and prints nothing.

mod adamw;
mod batch_plan;
mod batches;
mod checkpoint;
mod choose;
mod config;
mod event;
mod gradient_noise;
mod held_out;
mod history;
mod schedule;
mod stepwise;
mod trainer;

pub use adamw::{AdamW, Update};
pub use batch_plan::BatchPlan;
pub use batches::Batches;
pub use checkpoint::Checkpoint;
pub use choose::{Choice, PILOT, choose_objective};
pub use config::TrainConfig;
pub use event::{Event, Progress, Stop};
pub use gradient_noise::{GradientNoise, gradient_noise};
pub use held_out::{HeldOut, HeldOutLoss};
pub use history::HistoryPoint;
pub use schedule::Schedule;
pub use trainer::Trainer;
