//! A model of p(x | c) with the condition c given: a score of x alone, for samplers and diagnostics.

use ndarray::{Array1, Array2, ArrayView2};

use super::as_score::{column, narrow, rows};
use super::{Derivatives, Model, ModelKind, Points};
use crate::score::{LogDensity, Score, ScoreTrace};
use crate::{Error, Result};
use gradlogp_numeric::Real;

/// s(x | c) at given c, in the rows' order. Made by [`Model::at_condition`].
#[derive(Debug, Clone)]
pub struct AtCondition<'m, T> {
    model: &'m Model<T>,
    /// Of context 0; none for a model without.
    contexts: Contexts<T>,
}

/// Rows of the condition.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Contexts<T> {
    /// The model has no condition.
    None,
    /// One row for all.
    Same(Vec<T>),
    /// One row for each row of x.
    PerRow(Vec<T>),
}

impl<T: Real> Contexts<T> {
    /// Rows of a condition of `width` columns.
    ///
    /// # Errors
    /// Another number of columns; no row.
    pub(crate) fn new(c: ArrayView2<'_, f64>, width: usize) -> Result<Self> {
        if c.ncols() != width || c.is_empty() != (width == 0) {
            let (expected, found) = (vec![c.nrows().max(1), width], c.shape().to_vec());
            return Err(Error::Shape { operation: "condition", expected, found });
        }
        let flat = narrow(c);
        Ok(match (width, c.nrows()) {
            (0, _) => Contexts::None,
            (_, 1) => Contexts::Same(flat),
            _ => Contexts::PerRow(flat),
        })
    }

    /// Calls `f` with the points of `x`, which has `n` rows.
    pub(crate) fn with<R>(&self, x: &[T], n: usize, f: impl FnOnce(Points<'_, T>) -> R) -> R {
        match self {
            Contexts::None => f(x.into()),
            Contexts::Same(c) => f(Points::with_contexts(x, &[&c.repeat(n)])),
            Contexts::PerRow(c) => f(Points::with_contexts(x, &[c])),
        }
    }

    /// Its rows of `width` numbers; none without a condition.
    pub(crate) fn rows(&self, width: usize) -> Option<Array2<f64>> {
        match self {
            Contexts::None => None,
            Contexts::Same(c) | Contexts::PerRow(c) => Some(rows(c, width)),
        }
    }

    /// In another precision.
    pub(crate) fn cast<U: Real>(&self) -> Contexts<U> {
        let cast = |c: &[T]| c.iter().map(|c| U::of(c.to_f64())).collect();
        match self {
            Contexts::None => Contexts::None,
            Contexts::Same(c) => Contexts::Same(cast(c)),
            Contexts::PerRow(c) => Contexts::PerRow(cast(c)),
        }
    }
}

impl<T: Real> Model<T> {
    /// The model's score of x where its condition is `c`: one row for all rows of x, or as many rows
    /// as x will have.
    ///
    /// ```
    /// use gradlogp::{Mlp, ModelKind, Score};
    /// use ndarray::array;
    ///
    /// let model = Mlp { condition_dim: 1, ..Mlp::new(2, ModelKind::Score) }.build::<f64>(0)?;
    /// let x = array![[0.1, 0.2], [0.1, 0.2]];
    /// let s = model.at_condition(array![[1.0], [-1.0]].view())?.score(x.view());
    /// assert_eq!(s.row(0), model.at_condition(array![[1.0]].view())?.score(x.view()).row(1));
    /// assert!(s.row(0) != s.row(1));
    /// # Ok::<(), gradlogp::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] where `c` does not have the columns of context 0, or no row.
    pub fn at_condition(&self, c: ArrayView2<'_, f64>) -> Result<AtCondition<'_, T>> {
        Ok(self.at(Contexts::new(c, self.graph().context_widths()[0])?))
    }

    pub(crate) fn at(&self, contexts: Contexts<T>) -> AtCondition<'_, T> {
        AtCondition { model: self, contexts }
    }
}

impl<'m, T: Real> AtCondition<'m, T> {
    /// The same as a log density of x, log p(x | c) up to a term that depends on c alone, if the
    /// model is a potential.
    pub fn as_log_density(&self) -> Option<LogDensityAtCondition<'_, 'm, T>> {
        (self.model.kind() == ModelKind::LogDensity).then_some(LogDensityAtCondition(self))
    }

    /// Derivatives at rows of x.
    fn with<R>(
        &self,
        x: ArrayView2<'_, f64>,
        f: impl FnOnce(Derivatives<'_, T>, Points<'_, T>) -> R,
    ) -> R {
        let flat = narrow::<T>(x);
        self.contexts.with(&flat, x.nrows(), |points| f(Derivatives::new(self.model), points))
    }
}

impl<T: Real> Score for AtCondition<'_, T> {
    fn dim(&self) -> usize {
        self.model.dim()
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        rows(&self.with(x, |at, points| at.score(points)), self.dim())
    }
}

impl<T: Real> ScoreTrace for AtCondition<'_, T> {
    fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        column(&self.with(x, |at, points| at.trace(points)))
    }
}

/// A potential at a given condition.
#[derive(Debug, Clone, Copy)]
pub struct LogDensityAtCondition<'g, 'm, T>(&'g AtCondition<'m, T>);

gradlogp_density::delegate_score!(Score [T: Real] LogDensityAtCondition<'_, '_, T>, |this| this.0);

gradlogp_density::delegate_score!(ScoreTrace [T: Real] LogDensityAtCondition<'_, '_, T>, |this| this.0);

impl<T: Real> LogDensity for LogDensityAtCondition<'_, '_, T> {
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        column(&self.0.with(x, |at, points| at.value(points)))
    }

    fn log_density_and_score(&self, x: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let (value, score) = self.0.with(x, |at, points| at.value_and_score(points));
        (column(&value), rows(&score, self.dim()))
    }
}
