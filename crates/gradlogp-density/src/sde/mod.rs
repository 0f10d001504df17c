//! Forward noising processes dx = f(x, t) dt + g(t) dW, from data at t = 0 to noise at t = T (MATH 6).
//!
//! | process | f(x, t) | g(t)^2 | x_t given the data row x |
//! |---|---|---|---|
//! | [`Ve`] | 0 | d sigma^2 / dt | N(x, sigma(t)^2 I), sigma = smin (smax/smin)^t |
//! | [`Vp`] | -beta x / 2 | beta | N(e^(-B/2) x, (1 - e^-B) I), B = integral of beta |
//! | [`SubVp`] | -beta x / 2 | beta (1 - e^(-2B)) | N(e^(-B/2) x, (1 - e^-B)^2 I) |
//! | [`OrnsteinUhlenbeck`] | -theta x | sigma^2 | N(e^(-theta t) x, sigma^2 (1 - e^(-2 theta t)) / (2 theta) I) |
//! | [`CustomSde`], [`ExpressionSde`] | a closure, or text | likewise | not known |
//!
//! The noise is the same in every column and does not depend on x; then the reverse process needs no
//! more than f, g and the score: dx = \[f - g^2 s\] dt + g dW backwards in time, or without noise
//! dx = \[f - g^2 s / 2\] dt, the probability flow.

mod beta;
mod custom;
mod equation;
mod expression;
mod marginal;
mod ornstein_uhlenbeck;
mod process;
mod simulate;
mod ve;
mod vp;

pub use beta::BetaSchedule;
pub use custom::CustomSde;
pub use equation::{Kernel, Sde};
pub use expression::{Expression, ExpressionProcess, ExpressionSde, Function};
pub use marginal::Marginal;
pub use ornstein_uhlenbeck::OrnsteinUhlenbeck;
pub use process::{AnyProcess, Process};
pub use simulate::{SIMULATED, euler_maruyama, simulate, simulate_from};
pub use ve::Ve;
pub use vp::{SubVp, Vp};

use equation::{FORGOTTEN, check_positive, check_size, check_t_min, scale_into};

#[cfg(test)]
mod tests;
