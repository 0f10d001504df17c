//! Drift and diffusion written as text, so that a process needs no Rust.
//!
//! ```text
//! sum     = product { (+|-) product }
//! product = signed { (*|/) signed }
//! signed  = - signed | + signed | power
//! power   = atom [ ^ signed ]                  binds tighter than the sign before it: -x^2 is -(x^2)
//! atom    = number | name | quoted name | function ( sum ) | ( sum )
//! ```
//!
//! Names are columns and the words with a meaning of their own, which comes first whatever the columns are
//! called: `t` the time, `pi`, `e`, a function's name before a parenthesis, and `x`, in a drift written once for
//! all columns the column itself. A name in braces or quotes, `{b c}`, `"b c"`, `'b c'` or a pair of backticks, is
//! always a column, also `{x}`; the closing sign doubled stands for itself.
//!
//! What is read becomes a flat list of operations in the order of their evaluation ([`Expression`]), so that
//! neither reading nor evaluating a long sum goes deep.

mod formula;
mod process;
mod program;
mod reader;

pub use formula::Expression;
pub use process::{ExpressionProcess, ExpressionSde};
pub use program::Function;

#[cfg(test)]
mod tests;
