//! Training: takes rows, returns events; reads no files of data and prints nothing.

mod adamw;
mod checkpoint;
mod held_out;
mod schedule;
mod trainer;

pub use adamw::{AdamW, Update};
pub use checkpoint::Checkpoint;
pub use held_out::{HeldOut, HeldOutLoss};
pub use schedule::Schedule;
pub use trainer::{Event, HistoryPoint, Progress, Stop, TrainConfig, Trainer};
