//! From noise to data: processes run backwards in time by a fitted or exact score (MATH 6).
//!
//! With dx = f dt + g dW forwards, the same marginals are met backwards by (Anderson 1982; Song et al.
//! 2021, eq. 6 and 13)
//!
//! ```text
//! dx = [f - g^2 s] dt + g dW      the reverse SDE
//! dx = [f - 1/2 g^2 s] dt         the probability flow
//! ```
//!
//! One scheme per file, each a pure step from time t to an earlier one; all rows of a batch go
//! together. What each declares is measured in `tests.rs` by halving the step:
//!
//! | scheme | equation | strong order | weak order | evaluations of s a step |
//! |---|---|---|---|---|
//! | [`euler_maruyama`] | reverse SDE | 1 (additive noise) | 1 | 1 |
//! | [`heun`] | reverse SDE | 1 | 2 | 2 |
//! | [`corrector`] | Langevin at a fixed time, after an Euler-Maruyama step | | 1 | 2 and more |
//! | [`exponential`] | probability flow | 1 | 1 | 1 |
//! | [`flow`] | probability flow | 5, adaptive | 5 | 6 |
//!
//! The noise does not depend on x, so Ito and Stratonovich readings agree.

pub mod annealed;
pub mod corrector;
pub mod euler_maruyama;
pub mod exponential;
pub mod flow;
pub mod heun;
mod impute;
mod run;
mod state;
mod times;

#[cfg(test)]
mod tests;

pub use impute::{Holes, ReverseImpute, ReverseImputed, impute_reverse};
pub use run::{Lost, ReverseConfig, ReverseProgress, ReverseRun, Scheme, run_reverse};
pub use state::{Reverse, State, tweedie};
pub use times::{TimeSchedule, geometric, karras, polynomial, times_of_levels};

use super::{bad_rows, normals};
use state::{Unscaled, check_finite, checked, left};
