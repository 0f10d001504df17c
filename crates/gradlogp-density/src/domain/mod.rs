//! Domains with a boundary: boxes and half-lines, polytopes, ellipsoids, each with the weights that
//! make score matching right on them (MATH (7)).
//!
//! On a domain with a boundary the integration by parts behind MATH (1) leaves a boundary term, and
//! the loss without a weight has the wrong minimizer. Let w_j(x) >= 0, one weight per column, vanish on the boundary
//! (those of the columns that the boundary limits) and d_j = dw_j/dx_j be its derivative. Then
//!
//! ```text
//! 1/2 E[ sum_j w_j (s_j - s*_j)^2 ] = E[ sum_j w_j (1/2 s_j^2 + ds_j/dx_j) + d_j s_j ] + constant
//! ```
//!
//! for every s for which w_j s_j p vanishes on the boundary (Hyvarinen 2007; Yu, Drton, Shojaie
//! 2019; Liu, Kanamori, Williams 2022). Each domain file says which weights it takes; all are made from
//! phi(t) = min(1, t)^k of the distance t to the boundary in units of its `cap`: 1 away from the boundary, so that
//! the loss is MATH (4) there. Where the density grows without bound at the boundary, as x^(a-1) with a < 1,
//! k = 1 is not enough (w s p does not vanish): k = 2 is, for any a > 0.

mod boxed;
mod ellipsoid;
mod on_domain;
mod polytope;
mod shape;
mod weight;

pub use boxed::{Bounds, Boxed};
pub use ellipsoid::Ellipsoid;
pub use on_domain::{LogDensityOnDomain, ScoreOnDomain};
pub use polytope::{Face, Polytope};
pub use shape::Domain;
pub use weight::Outside;

use weight::{check_power, check_width, profile};

#[cfg(test)]
mod tests;
