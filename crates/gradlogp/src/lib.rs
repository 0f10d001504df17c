//! Fit the score of your data, and know how far to trust it.
//!
//! A table of continuous columns is taken as independent rows of an unknown density p. This library
//! fits its score, s(x) = grad log p(x), as a network: a score field, whose output is s, or a
//! potential, whose output is log p up to a constant and s its gradient. The losses (sliced, exact
//! and denoising score matching) need no normalizer and no samples, only first and second derivatives of
//! the network along directions; [`jet`] computes these, and their gradient with respect to the weights, as
//! truncated Taylor series, without a general automatic differentiation.
//!
//! The program `gradlogp` (crate `gradlogp-cli`) does all of this from the command line.
//!
//! # Example
//!
//! Samples of a known density, fitted by sliced score matching, checked without and with the truth:
//!
//! ```
//! use std::ops::ControlFlow;
//!
//! use gradlogp::diagnose::{exact_loss, fisher_divergence, stein_check};
//! use gradlogp::reference::{Gaussian, ReferenceDensity};
//! use gradlogp::train::{Stop, TrainConfig, Trainer};
//! use gradlogp::{Mlp, ModelKind, Objective, Score};
//! use ndarray::array;
//! use rand::SeedableRng;
//! use rand_chacha::ChaCha8Rng;
//!
//! let truth = Gaussian::new(array![0.0, 0.0], array![[1.0, 0.5], [0.5, 1.0]])?;
//! let mut rng = ChaCha8Rng::seed_from_u64(1);
//! let mut rows = |n| truth.sample(n, &mut rng).iter().map(|x| *x as f32).collect::<Vec<f32>>();
//! let (training, held_out) = (rows(5000), rows(1000));
//!
//! let mlp = Mlp { hidden: vec![32, 32], ..Mlp::new(2, ModelKind::Score) };
//! let config = TrainConfig {
//!     objective: Objective::Ssm { slices: 2 },
//!     steps: 600,
//!     learning_rate: 5e-3,
//!     ema_decay: 0.99,
//!     ..TrainConfig::default()
//! };
//! let mut trainer = Trainer::new(mlp.build(0)?, training, &held_out, config)?;
//! let stop = trainer.run(&mut |_trainer, _event| ControlFlow::Continue(()));
//! assert_eq!(stop, Stop::Completed);
//! let model = trainer.best_model();
//!
//! // The score at a point: the truth is -S^-1 x = (-4/3, 2/3).
//! let s = model.score(array![[1.0, 0.0]].view());
//! assert!((s[[0, 0]] + 4.0 / 3.0).abs() < 0.2 && (s[[0, 1]] - 2.0 / 3.0).abs() < 0.2);
//!
//! // On rows that it has not seen: E[s x^T] = -c I with c = 1 for the true score.
//! let fresh = truth.sample(2000, &mut rng);
//! let stein = stein_check(&model, fresh.view(), 0.05)?;
//! assert!((stein.slope.mean - 1.0).abs() < 0.1, "{}", stein.verdict);
//! // The loss, whose least value here is -tr(S^-1)/2 = -4/3.
//! let loss = exact_loss(&model, fresh.view())?;
//! assert!((loss.mean + 4.0 / 3.0).abs() < 0.1);
//! // And, because the truth is known, the distance from it.
//! let distance = fisher_divergence(&model, &truth, fresh.view())?;
//! assert!(distance.relative.mean < 0.02);
//! # Ok::<(), gradlogp::Error>(())
//! ```
//!
//! # Modules
//!
//! From the ground up; each imports only from those above it (a test keeps it so).
//!
//! | module | what it holds |
//! |---|---|
//! | [`error`], [`score`] | one error type; the traits [`Score`], [`ScoreTrace`], [`LogDensity`] and [`TimeScore`] that everything exchanges, [`ScoreFn`] |
//! | [`numeric`] | arithmetic (crate `gradlogp-numeric`): matrix products, fused activation loops, run-time SIMD, `f32` and `f64` |
//! | [`graph`] | networks as data, over one flat vector of named parameters |
//! | [`jet`] | Taylor coefficients through a graph, and their adjoints |
//! | [`slice`](mod@slice) | distributions of random directions |
//! | [`domain`] | domains with a boundary, and the weights that score matching needs there |
//! | [`objective`] | the losses, per row, with their adjoints |
//! | [`model`] | a graph with a meaning: [`Model`], [`Mlp`], its [`Derivatives`], and the loss pass |
//! | [`engine`] | a batch on threads, bit-identical for a seed and thread count |
//! | [`reference`](mod@reference) | densities known exactly, to test against |
//! | [`ode`] | an adaptive solver of ordinary differential equations, all rows of a batch at once |
//! | [`sde`] | processes that turn data into noise, their kernels, exact marginals |
//! | [`diffusion`] | time-conditional networks, noised batches |
//! | [`data`] | tables, their checks, dequantization, splits, batches, scaling and the way back |
//! | [`storage`] | files written whole or not at all |
//! | [`train`] | the training loop: AdamW, schedules, held-out loss, checkpoints |
//! | [`dkef`] | deep kernel exponential families: closed-form coefficients, learnt kernels |
//! | [`sample`] | Langevin steps (ULA, MALA), many chains, their convergence |
//! | [`likelihood`] | log densities by the probability flow |
//! | [`diagnose`] | exact loss, Stein identities, kernel Stein discrepancy, Fisher divergence, two-sample tests, normalizers |
//! | [`fitted`] | a network with its transform: answers in the user's units, anomaly scores, model files |
//! | [`draw`] | rows drawn from a fitted model, and missing values of rows |
//! | [`fit`] | a fit from end to end: prepare, train, describe, evaluate |
//!
//! # Conventions
//!
//! Rows are points: tables are n x d. Randomness is an argument: every function that draws takes a
//! generator or a seed. The library prints nothing and reads no clock. "MATH (4)" in the
//! documentation means formula (4) of [`formulas`].

pub mod data;
pub mod diffusion;
pub mod dkef;
pub mod draw;
pub mod engine;
pub mod fit;
pub mod fitted;
pub mod formulas;
pub mod model;
pub mod objective;
pub mod slice;
pub mod storage;
pub mod train;
pub mod words;

pub use gradlogp_density::{
    diagnose, domain, likelihood, linear, ode, reference, sample, score, sde, stats,
};
pub use gradlogp_error as error;
pub use gradlogp_jet::{graph, jet};
pub use gradlogp_numeric as numeric;

pub use error::{Error, ErrorClass, Result};
pub use fitted::FittedModel;
pub use model::{Derivatives, Mlp, Model, ModelKind};
pub use objective::Objective;
pub use score::{LogDensity, Score, ScoreFn, ScoreTrace, TimeScore};
pub use slice::SliceDistribution;

/// The examples of README.md, compiled and run with the other doctests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
