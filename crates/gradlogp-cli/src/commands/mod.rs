//! One file per command; each reads like what the command does.

mod bench;
mod compare;
mod datasets;
mod dispatch;
mod eval;
mod fit;
mod impute;
pub(crate) mod info;
mod loglik;
mod report;
mod sample;
#[cfg(test)]
mod sample_fuzz;
mod score;
mod show;
mod words;

pub(crate) use dispatch::run;
pub(crate) use show::{MODEL, Show, call};
