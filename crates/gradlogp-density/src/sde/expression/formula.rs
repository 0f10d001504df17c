//! A formula in the columns and the time.

use std::fmt;

use super::program::{self, Op};
use super::reader::Reader;
use crate::error::Result;

/// A formula in the columns and the time.
///
/// ```
/// use gradlogp_density::sde::Expression;
///
/// let columns = ["height".to_string(), "x".to_string()];
/// let f = Expression::read("-height^2 + 3*{x}*t", &columns, None)?;
/// // -(2^2) + 3*5*0.5
/// assert_eq!(f.value(&[2.0, 5.0], 0.5), 3.5);
/// let message = Expression::read("2 height", &columns, None).unwrap_err().to_string();
/// assert!(message.contains("at character 3"));
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Expression {
    /// In the order of evaluation: operands before what joins them.
    pub(super) ops: Vec<Op>,
    /// Most values that wait at a time.
    depth: usize,
    shadowed: Vec<String>,
}

impl Expression {
    /// Most operations in one expression.
    pub const MOST: usize = program::MOST;

    /// Reads `text`, in which `columns` have these names; `own` is the column that `x` stands for, where it
    /// stands for one.
    ///
    /// # Errors
    /// [`crate::Error::Config`] with the text, the place and what was expected there.
    pub fn read(text: &str, columns: &[String], own: Option<usize>) -> Result<Self> {
        Self::read_as("expression", text, columns, own)
    }

    pub(super) fn read_as(
        setting: &str,
        text: &str,
        columns: &[String],
        own: Option<usize>,
    ) -> Result<Self> {
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
