//! `gradlogp bench`: one file per measurement.

mod fit;
mod mala;
mod measure;
mod read;
mod score;
mod stein;
mod step;

pub(crate) use fit::fit;
pub(crate) use mala::mala;
pub(crate) use read::read;
pub(crate) use score::score;
pub(crate) use stein::stein;
pub(crate) use step::step;

use measure::{median_seconds, network, table};
