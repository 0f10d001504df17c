//! Data.
mod batches;
mod permutation;
pub mod synthetic;
pub use batches::BatchPlan;
