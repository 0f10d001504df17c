//! A process whose drift and diffusion are text.

use serde::{Deserialize, Serialize};

use super::Expression;
use super::reader;
use crate::error::{Error, Result};
use crate::sde::{Sde, check_positive, check_t_min};

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
    /// The least time at which the score is evaluated.
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
