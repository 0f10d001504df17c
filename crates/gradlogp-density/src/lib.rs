//! Scores and densities: everything of gradlogp that needs no network.
//!
//! All of it exchanges the traits of [`score`], in `f64`: a density known exactly, a fitted model and anything
//! of your own are sampled and judged alike.
//!
//! | module | what it holds |
//! |---|---|
//! | [`score`] | the traits [`Score`], [`ScoreTrace`], [`LogDensity`] and [`TimeScore`]; scores of functions, [`ScoreFn`] |
//! | [`stats`] | medians and quantiles |
//! | [`reference`](mod@reference) | densities known exactly, to test against |
//! | [`domain`] | domains with a boundary, and the weights that score matching needs there |
//! | [`ode`] | an adaptive solver of ordinary differential equations, all rows of a batch at once |
//! | [`sde`] | processes that turn data into noise, their kernels, exact marginals |
//! | [`linear`] | eigenvalues and Cholesky factors |
//! | [`likelihood`] | log densities by the probability flow |
//! | [`sample`] | Langevin steps, HMC, many chains, their convergence; from noise to data |
//! | [`diagnose`] | exact loss, Stein identities, Fisher divergence, two-sample tests, normalizers |
//!
//! Rows are points: tables are n x d. Every function that draws takes a generator or a seed. "MATH (4)" in the
//! documentation means formula (4) of [`formulas`].

pub mod diagnose;
pub mod domain;
pub mod formulas;
pub mod likelihood;
pub mod linear;
pub mod ode;
pub mod reference;
pub mod sample;
pub mod score;
pub mod sde;
pub mod stats;

pub use gradlogp_error as error;

pub use error::{Error, ErrorClass, Result};
pub use score::{LogDensity, Score, ScoreFn, ScoreTrace, TimeScore};
