//! Is this table fit for score matching?
//!
//! Errors are what no setting can train on (one row, constant columns: no density). Warnings are what
//! makes the fit degenerate or its figures misleading: repeated values (see [`Ties`]), repeated rows,
//! columns that copy each other, too few rows. Linear dependence among three or more columns matters
//! only for whitening and is refused by [`Transform::fit`](super::Transform::fit).

use std::collections::HashSet;

use ndarray::{Array1, ArrayView1, Axis, Zip};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::names::{option_list, quoted_list};
use super::{ColumnTies, DataWarning, Table, Ties};
use crate::{Error, Result};

/// Columns whose |correlation| is nearer to 1 than this copy each other: the remaining direction is
/// a thousandth as wide as the columns, and the score along it a thousand times as large.
const COPY: f64 = 1e-6;

/// Looks the whole table over.
///
/// # Errors
/// Those of [`Table::validate`]; [`Error::Data`] for a single row and for constant columns (all are
/// named, with the `--drop` that removes them).
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
    warnings.extend(row_numbers(table));
    warnings.extend(spikes(table, &ties));
    warnings.extend(discrete_columns(table, ties));
    warnings.extend(duplicate_rows(table));
    warnings.extend(duplicate_columns(table));
    Ok(warnings)
}

fn refuse_constant(table: &Table, ties: &[Ties]) -> Result<()> {
    let constant: Vec<&String> =
        table.columns.iter().zip(ties).filter(|(_, t)| t.distinct == 1).map(|(c, _)| c).collect();
    if constant.is_empty() {
        return Ok(());
    }
    let plural = if constant.len() == 1 { "column" } else { "columns" };
    let message = format!(
        "constant {plural} {}: a value that never varies has no density; use --drop {}",
        quoted_list(&constant),
        option_list(&constant)
    );
    Err(Error::data(&table.name, message))
}

/// Columns that are k, k + 1, k + 2, ... from the first row to the last, at least ten of them.
fn row_numbers(table: &Table) -> impl Iterator<Item = DataWarning> {
    let counts = |column: ArrayView1<'_, f64>| {
        column.len() >= 10 && column.iter().zip(column.iter().skip(1)).all(|(a, b)| b - a == 1.0)
    };
    table
        .columns
        .iter()
        .zip(table.rows.columns())
        .filter(move |(_, column)| counts(column.view()))
        .map(|(name, _)| DataWarning::RowNumbers { column: name.clone() })
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
    let total = table.n_rows();
    // Adding 0 makes -0 and 0 the same row.
    let key = |row: ArrayView1<'_, f64>| -> Vec<u64> {
        row.iter().map(|value| (value + 0.0).to_bits()).collect()
    };
    let distinct: HashSet<Vec<u64>> = table.rows.rows().into_iter().map(key).collect();
    let count = total - distinct.len();
    (count > 0).then_some(DataWarning::DuplicateRows { count, total })
}

/// Pairs with |correlation| > 1 - [`COPY`], found without computing all d^2/2 correlations: columns
/// are standardised and projected on one random sign vector. Copies z, z' (or z, -z') differ by
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
mod tests {
    use super::*;
    use ndarray::{Array2, array, concatenate};
    use rand::RngExt;

    fn table(rows: Array2<f64>) -> Table {
        let columns = (0..rows.ncols()).map(|j| format!("c{j}")).collect();
        Table::new("t", columns, rows).unwrap()
    }

    fn uniform(n: usize, d: usize) -> Array2<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        Array2::from_shape_simple_fn((n, d), || rng.random::<f64>())
    }

    #[test]
    fn good_data_pass_silently() {
        assert_eq!(check_table(&table(uniform(2000, 5))).unwrap(), []);
    }

    #[test]
    fn constant_columns_and_single_rows_are_refused() {
        let mut rows = uniform(50, 4);
        rows.column_mut(1).fill(0.3);
        rows.column_mut(3).fill(-7.0);
        rows[[4, 1]] = 0.1 + 0.2;
        let error = check_table(&table(rows)).unwrap_err().to_string();
        assert!(error.contains("constant columns \"c1\", \"c3\""), "{error}");
        assert!(error.ends_with("--drop c1,c3"), "{error}");
        assert!(check_table(&table(uniform(1, 3))).unwrap_err().to_string().contains("one row"));
    }

    #[test]
    fn few_rows() {
        let warnings = check_table(&table(uniform(3, 5))).unwrap();
        assert_eq!(warnings, [DataWarning::FewerRowsThanColumns { rows: 3, columns: 5 }]);
    }

    #[test]
    fn discrete_columns_are_described() {
        let mut rows = uniform(400, 3);
        rows.column_mut(1).mapv_inplace(|x| (x * 4.0).floor());
        let warnings = check_table(&table(rows)).unwrap();
        let [DataWarning::DiscreteColumns { columns, total: 3 }] = &warnings[..] else {
            panic!("{warnings:?}")
        };
        assert_eq!((columns.len(), columns[0].column.as_str()), (1, "c1"));
        assert_eq!((columns[0].ties.distinct, columns[0].ties.tied), (4, 400));
        let text = warnings[0].to_string();
        assert!(text.starts_with("1 of 3 columns are discrete or rounded: \"c1\" (4 distinct"));
        assert!(text.contains("smallest gap 1") && text.contains("--dequantize"), "{text}");
    }

    #[test]
    fn duplicate_rows_are_counted() {
        let rows = uniform(100, 3);
        let twice = concatenate![Axis(0), rows, rows.slice(ndarray::s![..7, ..])];
        let warnings = check_table(&table(twice)).unwrap();
        assert_eq!(warnings, [DataWarning::DuplicateRows { count: 7, total: 107 }]);
        let zeros = table(array![[0.0, 1.0], [-0.0, 1.0]]);
        assert_eq!(duplicate_rows(&zeros), Some(DataWarning::DuplicateRows { count: 1, total: 2 }));
    }

    #[test]
    fn copies_up_to_scale_sign_and_shift_are_found_and_near_ones_are_not() {
        let mut rows = uniform(500, 300);
        let copy = rows.column(20).mapv(|x| 1e6 - 1e3 * x);
        rows.column_mut(7).assign(&copy);
        let noisy = Zip::from(rows.column(1)).and(rows.column(2)).map_collect(|a, b| a + 0.01 * b);
        rows.column_mut(250).assign(&noisy);
        let Some(DataWarning::DuplicateColumns { pairs }) = duplicate_columns(&table(rows)) else {
            panic!("not found")
        };
        assert_eq!(pairs.len(), 1, "{pairs:?}");
        assert_eq!((pairs[0].0.as_str(), pairs[0].1.as_str()), ("c7", "c20"));
        assert!(pairs[0].2 < 1e-12);
    }

    #[test]
    fn one_minus_correlation_matches_the_textbook_formula() {
        let rows = uniform(50, 2);
        let (a, b) = (rows.column(0), rows.column(1));
        let (ma, mb) = (a.mean().unwrap(), b.mean().unwrap());
        let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
            a.iter().zip(b).map(|(x, y)| f(x - ma, y - mb)).sum()
        };
        let r = sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt();
        assert!((off_correlation(a, b) - (1.0 - r.abs())).abs() < 1e-12);
        let tiny = rows.mapv(|x| 1e-200 * x);
        let scaled = off_correlation(tiny.column(0), rows.column(1));
        assert!((scaled - (1.0 - r.abs())).abs() < 1e-12);
    }

    #[test]
    fn row_numbers_are_noticed() {
        let mut rows = uniform(30, 2);
        rows.column_mut(0).iter_mut().enumerate().for_each(|(i, x)| *x = i as f64 + 1.0);
        let warnings = check_table(&table(rows)).unwrap();
        assert_eq!(warnings, [DataWarning::RowNumbers { column: "c0".into() }]);
    }
}
