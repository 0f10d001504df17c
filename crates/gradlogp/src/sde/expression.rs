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

mod program;
mod reader;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::program::Function;
use self::program::Op;
use self::reader::Reader;
use super::{Sde, check_positive, check_t_min};
use crate::error::{Error, Result};

/// A formula in the columns and the time.
///
/// ```
/// use gradlogp::sde::Expression;
///
/// let columns = ["height".to_string(), "x".to_string()];
/// let f = Expression::read("-height^2 + 3*{x}*t", &columns, None)?;
/// // -(2^2) + 3*5*0.5
/// assert_eq!(f.value(&[2.0, 5.0], 0.5), 3.5);
/// let message = Expression::read("2 height", &columns, None).unwrap_err().to_string();
/// assert!(message.contains("at character 3"));
/// # Ok::<(), gradlogp::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Expression {
    /// In the order of evaluation: operands before what joins them.
    ops: Vec<Op>,
    /// Most values that wait at a time.
    depth: usize,
    shadowed: Vec<String>,
}

impl Expression {
    /// Most operations in one expression.
    pub const MOST: usize = 1 << 16;

    /// Reads `text`, in which `columns` have these names; `own` is the column that `x` stands for, where it
    /// stands for one.
    ///
    /// # Errors
    /// [`Error::Config`] with the text, the place and what was expected there.
    pub fn read(text: &str, columns: &[String], own: Option<usize>) -> Result<Self> {
        Self::read_as("expression", text, columns, own)
    }

    fn read_as(setting: &str, text: &str, columns: &[String], own: Option<usize>) -> Result<Self> {
        let (ops, shadowed) = Reader::new(setting, text, columns, own).read()?;
        let depth = program::depth(&ops);
        Ok(Expression { ops, depth, shadowed })
    }

    /// The value at one point of the columns and a time. A power of a negative number to one that is not whole,
    /// a root or logarithm of a negative number are NaN; sign(0) is 0; anything^0 is 1.
    ///
    /// # Panics
    /// With fewer values than columns were named.
    pub fn value(&self, x: &[f64], t: f64) -> f64 {
        program::value(&self.ops, self.depth, x, t)
    }

    /// The values at n points, `x` being n x d and `times` n: those of [`Expression::value`], bit for bit.
    /// `put` is told row and value.
    ///
    /// # Panics
    /// With fewer values than columns were named.
    pub fn values(&self, x: &[f64], times: &[f64], put: impl FnMut(usize, f64)) {
        program::values(&self.ops, self.depth, x, times, put);
    }

    /// Words of a meaning of their own that were written bare though a column has the same name.
    pub fn shadowed(&self) -> &[String] {
        &self.shadowed
    }

    /// The formula with the parentheses that it needs, which [`Expression::read`] reads as the same one.
    pub fn to_text(&self, columns: &[String]) -> String {
        program::to_text(&self.ops, columns)
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression of {} operations", self.ops.len())
    }
}

/// A process whose drift and diffusion are text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpressionProcess {
    /// One drift per column, or one for all of them.
    pub drift: Vec<String>,
    /// g(t).
    pub diffusion: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// T.
    pub horizon: f64,
    /// The least time at which a score is asked for.
    pub t_min: f64,
}

/// An [`ExpressionProcess`] that has been read.
#[derive(Debug, Clone)]
pub struct ExpressionSde {
    drift: Vec<Expression>,
    diffusion: Expression,
    horizon: f64,
    t_min: f64,
}

impl ExpressionProcess {
    /// Reads the expressions.
    ///
    /// # Errors
    /// An expression that is none, with its text and the place; a name that is no column; another
    /// number of drifts than 1 or one per column; times that are none.
    pub fn sde(&self) -> Result<ExpressionSde> {
        check_positive("horizon", self.horizon)?;
        check_t_min(self.t_min, self.horizon)?;
        let d = self.columns.len();
        if self.drift.len() != 1 && self.drift.len() != d {
            let message = format!(
                "give one expression for all columns, or one for each of the {d} ({}); there are {}",
                reader::some_of(&self.columns),
                self.drift.len()
            );
            return Err(Error::config("drift", message));
        }
        let shared = self.drift.len() == 1;
        let read = |k: usize| {
            let text = &self.drift[if shared { 0 } else { k }];
            Expression::read_as("drift", text, &self.columns, (shared || d == 1).then_some(k))
        };
        let drift = (0..d).map(read).collect::<Result<Vec<_>>>()?;
        let diffusion = Expression::read_as("diffusion", &self.diffusion, &[], None)?;
        Ok(ExpressionSde { drift, diffusion, horizon: self.horizon, t_min: self.t_min })
    }

    /// A sentence for every word in the drift that is read in the meaning of its own though a column is called so.
    ///
    /// # Errors
    /// As [`ExpressionProcess::sde`].
    pub fn notes(&self) -> Result<Vec<String>> {
        let mut notes = Vec::new();
        for (expression, text) in self.sde()?.drift.iter().zip(&self.drift) {
            for word in expression.shadowed() {
                let meaning = match word.as_str() {
                    "x" => "each column in turn",
                    "t" => "the time",
                    "pi" => "the number 3.14...",
                    _ => "the number 2.718...",
                };
                notes.push(format!(
                    "in the drift \"{}\", {word} is {meaning}, though there is a column of that name: \
                     write {{{word}}} for the column",
                    reader::shortened(text)
                ));
            }
        }
        Ok(notes)
    }
}

impl Sde for ExpressionSde {
    fn drift(&self, x: &[f64], t: f64, out: &mut [f64]) {
        out.iter_mut().zip(&self.drift).for_each(|(out, f)| *out = f.value(x, t));
    }

    fn drift_at_times(&self, x: &[f64], times: &[f64], out: &mut [f64]) {
        let d = self.drift.len();
        for (k, f) in self.drift.iter().enumerate() {
            f.values(x, times, |row, value| out[row * d + k] = value);
        }
    }

    fn diffusion(&self, t: f64) -> f64 {
        self.diffusion.value(&[], t)
    }

    fn diffusion_at_times(&self, times: &[f64], out: &mut [f64]) {
        self.diffusion.values(&[], times, |row, value| out[row] = value);
    }

    fn horizon(&self) -> f64 {
        self.horizon
    }

    fn t_min(&self) -> f64 {
        self.t_min
    }
}

#[cfg(test)]
mod tests;
