//! Models: a graph, its parameters, and how a score comes out of it.

mod as_score;
mod at_condition;
mod conditioning;
mod derivatives;
mod gaussians;
mod loss_pass;
pub(crate) mod members;
mod mlp;
mod network;
mod points;
mod route;
mod tape_pool;
mod tile;

pub use as_score::Potential;
pub(crate) use as_score::{narrow, rows};
pub(crate) use at_condition::Contexts;
pub use at_condition::{AtCondition, LogDensityAtCondition};
pub use conditioning::Conditioning;
pub(crate) use conditioning::film;
pub use derivatives::Derivatives;
pub use loss_pass::LossPass;
pub use mlp::{Mlp, initialize};
pub use network::{Model, ModelKind};
pub use points::{PointSet, Points};
pub use tile::{Beside, Tile};
