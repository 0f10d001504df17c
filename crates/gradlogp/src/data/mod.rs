//! Data.
mod batches;
mod permutation;
pub use batches::BatchPlan;
