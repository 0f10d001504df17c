//! Models: a graph, its parameters, and how a score comes out of it.

mod as_score;
mod conditioning;
mod derivatives;
mod given;
mod loss_pass;
pub(crate) mod members;
mod mlp;
mod network;
mod points;
mod route;
mod spare;
mod tile;

pub use as_score::Potential;
pub(crate) use as_score::{narrow, rows};
pub use conditioning::Conditioning;
pub(crate) use conditioning::film;
pub use derivatives::Derivatives;
pub(crate) use given::Contexts;
pub use given::{Given, GivenPotential};
pub use loss_pass::LossPass;
pub use mlp::{Mlp, initialize};
pub use network::{Model, ModelKind};
pub use points::{PointSet, Points};
pub use tile::Tile;
