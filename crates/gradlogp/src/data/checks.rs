//! Is this table fit for score matching?
//!
//! Errors are what no setting can train on (one row, constant columns: no density). Warnings are what
//! makes the fit degenerate or its figures misleading: repeated values (see [`Ties`]), repeated rows,
//! columns that copy each other or follow from several others, compositions, columns that name rows, single values
//! far from all others, too few rows.

use ndarray::{Array1, ArrayView1, Axis, Zip};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::Identity;
use super::copies::RowCopies;
use super::dependence::{Relation, constant_sum, relations};
use super::identifiers::identity;
use super::names::{option_list, quoted_list};
use super::{ColumnTies, DataWarning, Dependence, Table, Ties};
use crate::{Error, Result};

/// Columns whose |correlation| is nearer to 1 than this copy each other: the remaining direction is
/// a thousandth as wide as the columns, and the score along it a thousand times as large.
const COPY: f64 = 1e-6;

/// Looks the whole table over.
///
/// # Errors
/// Those of [`Table::validate`]; [`Error::Data`] for a single row and for constant columns (all are
/// named, with what to leave out).
pub fn check_table(table: &Table) -> Result<Vec<DataWarning>> {
    table.validate()?;
    let (n, d) = table.rows.dim();
    if n == 1 {
        return Err(Error::data(&table.name, "one row is not enough to learn a density from"));
    }
    let ties: Vec<Ties> = (0..d).into_par_iter().map(|j| Ties::of(table.rows.column(j))).collect();
    refuse_constant(table, &ties)?;
    let mut warnings = Vec::new();
    if n < d {
        warnings.push(DataWarning::FewerRowsThanColumns { rows: n, columns: d });
    }
    warnings.extend(identifiers(table, &ties));
    warnings.extend(far_values(table));
    warnings.extend(spikes(table, &ties));
    warnings.extend(discrete_columns(table, ties));
    warnings.extend(duplicate_rows(table));
    let copies = duplicate_columns(table);
    let copied: Vec<usize> = match &copies {
        Some(DataWarning::DuplicateColumns { pairs }) => {
            let of = |name: &String| table.columns.iter().position(|column| column == name);
            pairs.iter().filter_map(|(_, second, _)| of(second)).collect()
        }
        _ => Vec::new(),
    };
    warnings.extend(copies);
    warnings.extend(dependent_columns(table, &copied));
    Ok(warnings)
}

/// Columns that follow from others; sums that are the same in every row apart.
fn dependent_columns(table: &Table, copied: &[usize]) -> Vec<DataWarning> {
    let rows = table.rows.view();
    let name = |j: usize| table.columns[j].clone();
    let mut warnings = Vec::new();
    let found = relations(rows, copied);
    // Some of the columns have a constant sum, and the others vary little beside them.
    let part = |r: &Relation| sums_to_one_value(r) && r.terms.len() + 1 < table.n_columns();
    let whole = constant_sum(rows).filter(|_| !found.iter().any(part));
    if let Some(total) = whole {
        let total = round_total(total);
        warnings.push(DataWarning::Composition { columns: table.columns.clone(), total });
    }
    let mut relations_left = Vec::new();
    for relation in found {
        let of: Vec<usize> =
            relation.terms.iter().map(|(j, _)| *j).chain([relation.column]).collect();
        match sums_to_one_value(&relation) {
            true if whole.is_some() && of.len() == table.n_columns() => {}
            true if of.iter().all(|j| rows.column(*j).iter().all(|x| *x >= 0.0)) => {
                let indicators =
                    of.iter().all(|j| rows.column(*j).iter().all(|x| *x == 0.0 || *x == 1.0));
                let mut of = of;
                of.sort_unstable();
                let columns = of.into_iter().map(name).collect();
                warnings.push(match indicators {
                    true => DataWarning::Indicators { columns },
                    false => {
                        DataWarning::Composition { columns, total: round_total(relation.constant) }
                    }
                });
            }
            _ => relations_left.push(Dependence {
                column: name(relation.column),
                terms: relation.terms.iter().map(|(j, c)| (name(*j), *c)).collect(),
                constant: relation.constant,
                own_share: relation.own_share,
            }),
        }
    }
    if !relations_left.is_empty() {
        warnings.push(DataWarning::DependentColumns { columns: relations_left });
    }
    warnings
}

/// Whether a relation says that its columns have one sum in every row.
fn sums_to_one_value(relation: &Relation) -> bool {
    !relation.terms.is_empty()
        && relation.constant > 0.0
        && relation.terms.iter().all(|(_, c)| (c + 1.0).abs() < 1e-2)
}

/// 1 or 100 where that is meant.
fn round_total(total: f64) -> f64 {
    let near = [1.0, 100.0].into_iter().find(|round| (total / round - 1.0).abs() < 5e-3);
    near.unwrap_or(total)
}

/// Columns that name or number rows, or say when.
fn identifiers(table: &Table, ties: &[Ties]) -> Vec<DataWarning> {
    let of = |j: usize| Some((table.columns[j].clone(), identity(table, j, &ties[j])?));
    let warn = |(column, what)| match what {
        Identity::EvenSteps { step: 1.0 } => DataWarning::RowNumbers { column },
        what => DataWarning::Identifier { column, what },
    };
    (0..table.n_columns()).filter_map(of).map(warn).collect()
}

/// A standard deviation that is so many times the distance between the quartiles comes from single values.
const SQUEEZED: f64 = 50.0;

/// Columns in which single values, such as codes for missing ones, decide how all are scaled.
fn far_values(table: &Table) -> Vec<DataWarning> {
    let far = |j: usize| {
        let column = table.rows.column(j);
        let mut sorted = column.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let n = sorted.len();
        let (low, middle, high) = (sorted[n / 4], sorted[n / 2], sorted[(3 * n / 4).min(n - 1)]);
        let far = |x: &f64| (x - middle).abs();
        // Scaled, for numbers near the limit.
        let range = far(&sorted[0]).max(far(&sorted[n - 1]));
        let sd = range * column.mapv(|x| (x - middle) / range).std(0.0);
        let spread = high - low;
        if n < 20 || !(spread > 0.0 && sd > SQUEEZED * spread) {
            return None;
        }
        let by_distance =
            |(_, a): &(usize, &f64), (_, b): &(usize, &f64)| far(a).total_cmp(&far(b));
        let (row, value) = column.iter().enumerate().max_by(by_distance)?;
        Some(DataWarning::FarValue {
            column: table.columns[j].clone(),
            row: row + 1,
            value: *value,
            middle: (low, high),
        })
    };
    (0..table.n_columns()).into_par_iter().filter_map(far).collect()
}

fn refuse_constant(table: &Table, ties: &[Ties]) -> Result<()> {
    let constant: Vec<&String> =
        table.columns.iter().zip(ties).filter(|(_, t)| t.distinct == 1).map(|(c, _)| c).collect();
    if constant.is_empty() {
        return Ok(());
    }
    let plural = if constant.len() == 1 { "column" } else { "columns" };
    let message = format!(
        "constant {plural} {}: a value that never varies has no density; use `drop = {}`",
        quoted_list(&constant),
        option_list(&constant)
    );
    Err(Error::data(&table.name, message))
}

fn discrete_columns(table: &Table, ties: Vec<Ties>) -> Option<DataWarning> {
    let columns: Vec<ColumnTies> = table
        .columns
        .iter()
        .zip(ties)
        .filter(|(_, ties)| ties.is_discrete())
        .map(|(column, ties)| ColumnTies { column: column.clone(), ties })
        .collect();
    let total = table.n_columns();
    (!columns.is_empty()).then_some(DataWarning::DiscreteColumns { columns, total })
}

fn spikes(table: &Table, ties: &[Ties]) -> Option<DataWarning> {
    let columns: Vec<ColumnTies> = table
        .columns
        .iter()
        .zip(ties)
        .filter(|(_, ties)| ties.has_spike())
        .map(|(column, ties)| ColumnTies { column: column.clone(), ties: ties.clone() })
        .collect();
    (!columns.is_empty()).then_some(DataWarning::Spikes { columns })
}

fn duplicate_rows(table: &Table) -> Option<DataWarning> {
    let copies = RowCopies::of(&[&table.rows]);
    let (count, total) = (copies.count(), table.n_rows());
    let kept_together = copies.are_repeated_records();
    (count > 0).then_some(DataWarning::DuplicateRows { count, total, kept_together })
}

/// Pairs with |correlation| > 1 - [`COPY`], found without computing all d^2/2 correlations: columns
/// are standardized and projected on one random sign vector. Copies z, z' (or z, -z') differ by
/// |z - z'|^2 / n = 2 (1 - |r|), so their projections differ by about sqrt(2 (1 - |r|)); only pairs
/// with |projections| within eight times that are compared in full.
fn duplicate_columns(table: &Table) -> Option<DataWarning> {
    if table.n_rows() < 3 {
        return None;
    }
    let column = |j: usize| table.rows.column(j);
    let mut copies: Vec<(usize, usize, f64)> = copy_candidates(table)
        .into_par_iter()
        .map(|(i, j)| (i, j, off_correlation(column(i), column(j))))
        .filter(|(_, _, rest)| *rest < COPY)
        .collect();
    copies.sort_unstable_by_key(|&(i, j, _)| (i, j));
    let name = |i: usize| table.columns[i].clone();
    let pairs: Vec<_> = copies.into_iter().map(|(i, j, rest)| (name(i), name(j), rest)).collect();
    (!pairs.is_empty()).then_some(DataWarning::DuplicateColumns { pairs })
}

/// Pairs (i < j) with nearly equal |projection|.
fn copy_candidates(table: &Table) -> Vec<(usize, usize)> {
    let (n, d) = table.rows.dim();
    let signs = random_signs(n);
    let project = |j| standardized(table.rows.column(j)).dot(&signs).abs() / (n as f64).sqrt();
    let mut order: Vec<(f64, usize)> = (0..d).into_par_iter().map(|j| (project(j), j)).collect();
    order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let reach = 8.0 * (2.0 * COPY).sqrt();
    let mut pairs = Vec::new();
    for (k, &(low, i)) in order.iter().enumerate() {
        let near = order[k + 1..].iter().take_while(|(high, _)| high - low <= reach);
        pairs.extend(near.map(|&(_, j)| (i.min(j), i.max(j))));
    }
    pairs
}

/// n signs from a fixed seed: a screen, not an experiment, so the seed is no setting.
fn random_signs(n: usize) -> Array1<f64> {
    let mut rng = ChaCha8Rng::from_seed(*b"signs for the screen of copies..");
    let mut bits = 0;
    Array1::from_shape_fn(n, |i| {
        bits = if i % 64 == 0 { rng.next_u64() } else { bits >> 1 };
        if bits & 1 == 1 { 1.0 } else { -1.0 }
    })
}

/// (x - mean) / sd with divisor n; safe from overflow because it is scaled by the range first.
fn standardized(column: ArrayView1<'_, f64>) -> Array1<f64> {
    let mean = column.mean().unwrap_or(0.0);
    let mut z = column.mapv(|x| x - mean);
    let range = z.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    z /= range;
    z -= z.mean().unwrap_or(0.0);
    let sd = (z.dot(&z) / z.len() as f64).sqrt();
    z / sd
}

/// 1 - |correlation|, accurate near 0: half the mean square of z -+ z'.
fn off_correlation(a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>) -> f64 {
    let (a, b) = (standardized(a), standardized(b));
    let sign = a.dot(&b).signum();
    let square = Zip::from(&a).and(&b).fold(0.0, |sum, x, y| sum + (x - sign * y).powi(2));
    0.5 * square / a.len_of(Axis(0)) as f64
}

#[cfg(test)]
mod tests;
