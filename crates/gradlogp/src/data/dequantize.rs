//! Noise that undoes rounding, so that a density exists: x + h u, u uniform on (-1, 1), h per column.
//!
//! A column recorded in steps of g tells only that the true value lies within g/2: [`GapRule::Gap`]
//! puts it anywhere in that cell, h = g/2, which fills the cells without overlap. As the step g it
//! takes the distance from a value to its nearest distinct neighbour, the median over tied rows
//! ([`Ties::tied_gap`]). For an evenly rounded column that is the smallest gap. It is not
//! taken from the smallest gap itself, because one odd value (9.05 among tenths) would decide for all
//! rows, and the noise would leave spikes; nor from the median gap between distinct values, because
//! sparse tails with many distinct values would decide, and the noise would blur the body.
//! [`GapRule::MedianGap`] is what Wenliang et al. 2019 (deep kernel exponential families) and the
//! sliced score matching paper did: h = the median gap between distinct values, twice as wide.

use ndarray::Array2;
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::{Table, Ties, names};
use crate::{Error, Result};

/// How wide the noise is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapRule {
    /// Uniform on (-g/2, g/2), g the column's step at its tied rows.
    #[default]
    Gap,
    /// Uniform on (-m, m), m the median gap between sorted distinct values, as in the papers.
    MedianGap,
    /// Uniform on (-1/2, 1/2), for columns of whole numbers, such as pixels: also for those that are
    /// constant, which have no gap to measure. Then bits per dimension are those of the whole numbers
    /// ([`Dequantization::log_cell`]).
    Whole,
}

gradlogp_numeric::names!(GapRule {
    Gap => "gap",
    MedianGap => "median-gap" | "median_gap",
    Whole => "whole",
});

/// Which columns get noise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DequantizeColumns {
    /// Those for which [`Ties::is_discrete`] holds; with [`GapRule::Whole`], those of whole numbers.
    #[default]
    Discrete,
    /// All.
    All,
    /// These.
    Named(Vec<String>),
}

/// The noise of a table's columns: stored with the model, so that held-out tables are treated alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dequantization {
    /// The rule that gave the widths.
    pub rule: GapRule,
    /// h for every column, in its unit; 0 for a column that gets no noise.
    pub half_widths: Vec<f64>,
    /// The values between which the noise lies, for the columns that get it; empty in files of versions that did
    /// not note them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grids: Vec<Option<Grid>>,
}

/// The values that a rounded column can have: origin + k step from low to high.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// Any of them.
    pub origin: f64,
    /// The distance between neighbours.
    pub step: f64,
    /// The least that was seen.
    pub low: f64,
    /// The greatest that was seen.
    pub high: f64,
}

impl Grid {
    /// The grid of a column of whole multiples of `step`.
    fn of(column: ndarray::ArrayView1<'_, f64>, origin: f64, step: f64) -> Grid {
        let low = column.iter().copied().fold(f64::INFINITY, f64::min);
        let high = column.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Grid { origin, step, low, high }
    }

    /// The nearest value. Where step and origin are decimal fractions, so is it: 0.3, not 0.30000000000000004.
    pub fn nearest(&self, x: f64) -> f64 {
        if !(self.step > 0.0 && self.step.is_finite() && self.origin.is_finite()) {
            return x;
        }
        let on = self.origin + ((x - self.origin) / self.step).round() * self.step;
        let whole = |x: f64, unit: f64| (x * unit - (x * unit).round()).abs() <= 1e-6;
        let unit = (0..=9).map(|k| 10f64.powi(k));
        let mut decimal = unit.filter(|unit| {
            whole(self.step, *unit) && whole(self.origin, *unit) && self.step * unit > 0.5
        });
        let rounded = match decimal.next() {
            Some(unit) if (on * unit).abs() < 1e15 => (on * unit).round() / unit,
            _ => on,
        };
        rounded.max(self.low).min(self.high)
    }

    /// Whether all of these values are on it, within its bounds or not.
    fn holds(&self, column: ndarray::ArrayView1<'_, f64>) -> bool {
        column.iter().all(|x| {
            let steps = (x - self.origin) / self.step;
            (steps - steps.round()).abs() < 1e-6
        })
    }
}

impl Dequantization {
    /// Measures the steps of a table (all its rows: the step belongs to the instrument, and knowing it
    /// from held-out rows gives nothing away).
    ///
    /// # Errors
    /// [`Error::Data`] for an unknown name, or a chosen column that is constant (for [`GapRule::Whole`], one
    /// with a value that is not whole).
    pub fn fit(table: &Table, rule: GapRule, columns: &DequantizeColumns) -> Result<Self> {
        let named = match columns {
            DequantizeColumns::Named(names) => {
                names::choose(&table.name, &table.columns, Some(names), &[])?
            }
            _ => Vec::new(),
        };
        let mut half_widths = vec![0.0; table.n_columns()];
        let mut grids = vec![None; table.n_columns()];
        for (j, half_width) in half_widths.iter_mut().enumerate() {
            if rule == GapRule::Whole {
                let fraction = table.rows.column(j).iter().position(|x| x.fract() != 0.0);
                match (fraction, columns) {
                    (None, DequantizeColumns::Named(_)) if !named.contains(&j) => {}
                    (None, _) => *half_width = 0.5,
                    (Some(row), DequantizeColumns::All) => return Err(not_whole(table, row, j)),
                    (Some(row), DequantizeColumns::Named(_)) if named.contains(&j) => {
                        return Err(not_whole(table, row, j));
                    }
                    (Some(_), _) => {}
                }
                grids[j] = (*half_width > 0.0).then(|| Grid::of(table.rows.column(j), 0.0, 1.0));
                continue;
            }
            let ties = Ties::of(table.rows.column(j));
            let chosen = match columns {
                DequantizeColumns::Discrete => ties.is_discrete(),
                DequantizeColumns::All => true,
                DequantizeColumns::Named(_) => named.contains(&j),
            };
            if chosen {
                *half_width = positive_half_width(table, j, &ties, rule)?;
                let step = if ties.tied_gap > 0.0 { ties.tied_gap } else { *half_width };
                // A column without ties is no rounded one, whatever was asked for.
                grids[j] =
                    (ties.tied > 0).then(|| Grid::of(table.rows.column(j), ties.most_common, step));
            }
        }
        Ok(Dequantization { rule, half_widths, grids })
    }

    /// Sum over columns of log 2h, the logarithm of the volume of a cell: log p(x + noise) + this has, on average over
    /// the noise, at most the logarithm of the probability that the model gives to the recorded row (Theis, van den
    /// Oord, Bethge 2016, section 3.1). None where a column gets no noise: then there are no cells.
    pub fn log_cell(&self) -> Option<f64> {
        let all = self.half_widths.iter().all(|h| *h > 0.0);
        all.then(|| self.half_widths.iter().map(|h| (2.0 * h).ln()).sum())
    }

    /// Indices of the columns that get noise.
    pub fn columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.half_widths.iter().enumerate().filter(|(_, h)| **h > 0.0).map(|(j, _)| j)
    }

    /// Adds the noise, one 64-bit draw per changed value in row order, so that equal generators give
    /// equal tables.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of columns.
    pub fn apply(&self, table: &mut Table, rng: &mut impl Rng) -> Result<()> {
        let (n, d) = table.rows.dim();
        if d != self.half_widths.len() {
            let (expected, found) = (vec![n, self.half_widths.len()], vec![n, d]);
            return Err(Error::Shape { operation: "dequantize", expected, found });
        }
        let columns: Vec<usize> = self.columns().collect();
        for mut row in table.rows.rows_mut() {
            for &j in &columns {
                row[j] += self.half_widths[j] * signed_unit(rng.next_u64());
            }
        }
        Ok(())
    }

    /// Undoes the noise in rows drawn from a model: values of columns that got noise are rounded to their grids
    /// and kept within what was seen, where `which` (row, column) says so. Nothing without grids.
    pub fn restore(&self, rows: &mut Array2<f64>, which: impl Fn(usize, usize) -> bool) {
        for (j, grid) in self.grids.iter().enumerate().take(rows.ncols()) {
            let Some(grid) = grid else { continue };
            for (i, x) in rows.column_mut(j).iter_mut().enumerate() {
                if x.is_finite() && which(i, j) {
                    *x = grid.nearest(*x);
                }
            }
        }
    }

    /// Adds the noise to columns of a table that are rounded as those were that it was fitted to: to compare rows that
    /// may or may not have been rounded with rows that got noise.
    ///
    /// # Errors
    /// Those of [`apply`](Dequantization::apply).
    pub fn apply_to_rounded(&self, table: &mut Table, rng: &mut impl Rng) -> Result<()> {
        let rounded = |j: usize| match self.grids.get(j) {
            Some(Some(grid)) => grid.holds(table.rows.column(j)),
            _ => false,
        };
        let widths = self.half_widths.iter().enumerate();
        let half_widths = widths.map(|(j, h)| if rounded(j) { *h } else { 0.0 }).collect();
        Dequantization { half_widths, ..self.clone() }.apply(table, rng)
    }
}

fn not_whole(table: &Table, row: usize, j: usize) -> Error {
    Error::Data {
        source_name: table.name.clone(),
        row: Some(row + 1),
        column: Some(table.columns[j].clone()),
        message: format!("{} is not a whole number", table.rows[[row, j]]),
    }
}

fn positive_half_width(table: &Table, j: usize, ties: &Ties, rule: GapRule) -> Result<f64> {
    let half_width = match rule {
        GapRule::Gap => 0.5 * ties.tied_gap,
        GapRule::MedianGap => ties.median_gap,
        GapRule::Whole => 0.5,
    };
    if half_width > 0.0 {
        return Ok(half_width);
    }
    Err(Error::Data {
        source_name: table.name.clone(),
        row: None,
        column: Some(table.columns[j].clone()),
        message: "a constant column has no step to take noise from".into(),
    })
}

/// Uniform on (-1, 1): the midpoints of 2^52 equal cells, so symmetric and never an end point.
fn signed_unit(bits: u64) -> f64 {
    let half_cells = 2 * (bits >> 12) + 1;
    half_cells as f64 / (1u64 << 52) as f64 - 1.0
}

#[cfg(test)]
mod tests;
