//! Columns that name or number rows, or say when they were written, and measure nothing.

use ndarray::ArrayView1;

use super::{Identity, Table, Ties};

/// Fewer rows tell nothing.
const LEAST: usize = 10;

/// So many different whole numbers in a row are no chance.
const MANY: usize = 50;

/// What column `j` looks like, if it is no measurement.
pub(super) fn identity(table: &Table, j: usize, ties: &Ties) -> Option<Identity> {
    let column = table.rows.column(j);
    let n = column.len();
    if n < LEAST || ties.distinct < 3 {
        return None;
    }
    let whole = column.iter().all(|x| x.fract() == 0.0);
    if let Some(step) = even_step(column) {
        return Some(Identity::EvenSteps { step });
    }
    if let Some(unit) = epoch(column) {
        return Some(Identity::Epoch { unit });
    }
    if !whole {
        return None;
    }
    if column.iter().all(|x| is_date(*x)) {
        return Some(Identity::Dates);
    }
    let named = is_named_so(&table.columns[j]);
    if ties.distinct == n {
        let (low, high) =
            column.iter().fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(*x), high.max(*x)));
        if high - low == (n - 1) as f64 {
            return Some(Identity::Shuffled);
        }
        return (n >= MANY || named).then_some(Identity::AllDifferent);
    }
    named.then_some(Identity::NamedSo)
}

/// The same step from row to row, up to rounding.
fn even_step(column: ArrayView1<'_, f64>) -> Option<f64> {
    let n = column.len();
    let step = (column[n - 1] - column[0]) / (n - 1) as f64;
    let largest = column.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let close = |(i, x): (usize, &f64)| {
        let expected = column[0] + step * i as f64;
        (x - expected).abs() <= 1e-6 * step.abs() + 4.0 * f64::EPSILON * largest
    };
    (step != 0.0 && column.iter().enumerate().all(close)).then_some(step)
}

/// The unit in which all values lie between 2001 and 2039.
fn epoch(column: ArrayView1<'_, f64>) -> Option<&'static str> {
    let units =
        [(1.0, "seconds"), (1e3, "milliseconds"), (1e6, "microseconds"), (1e9, "nanoseconds")];
    let fits = |unit: f64| column.iter().all(|x| (1e9 * unit..2.2e9 * unit).contains(x));
    units.into_iter().find(|(unit, _)| fits(*unit)).map(|(_, name)| name)
}

/// Whether a whole number is a date: 20240131.
fn is_date(x: f64) -> bool {
    if !(19_000_101.0..=21_001_231.0).contains(&x) {
        return false;
    }
    let (month, day) = ((x as u64 / 100) % 100, x as u64 % 100);
    (1..=12).contains(&month) && (1..=31).contains(&day)
}

/// Whether the name ends with the word id, or is one of its kind.
fn is_named_so(name: &str) -> bool {
    let lower = name.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).collect();
    let last = words.last().copied().unwrap_or("");
    ["id", "ids", "uuid", "guid", "index", "key", "rowid", "rownumber"].contains(&last)
        || name.ends_with("Id")
        || name.ends_with("ID") && name.chars().any(char::is_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, Axis};

    fn of(name: &str, values: Vec<f64>) -> Option<Identity> {
        let rows = Array2::from_shape_vec((values.len(), 1), values).unwrap();
        let ties = Ties::of(rows.index_axis(Axis(1), 0));
        identity(&Table::new("t", vec![name.into()], rows).unwrap(), 0, &ties)
    }

    #[test]
    fn what_measures_nothing_is_told_from_what_does() {
        let irregular = |i: usize| ((i as f64 * 2.0f64.sqrt()).fract() * 1e4).round();
        let column = |n: usize, f: &dyn Fn(usize) -> f64| (0..n).map(f).collect::<Vec<f64>>();
        assert_eq!(of("a", column(60, &irregular)), Some(Identity::AllDifferent));
        assert_eq!(of("a", column(30, &irregular)), None);
        assert_eq!(of("patient_id", column(30, &irregular)), Some(Identity::AllDifferent));
        assert_eq!(of("patientId", column(30, &|i| irregular(i / 2))), Some(Identity::NamedSo));
        assert_eq!(of("fluid", column(30, &|i| irregular(i / 2))), None);
        assert_eq!(of("a", column(30, &|i| ((7 * i) % 30) as f64 + 5.0)), Some(Identity::Shuffled));
        assert!(matches!(
            of("a", column(30, &|i| 0.1 * i as f64)),
            Some(Identity::EvenSteps { .. })
        ));
        assert!(
            matches!(of("a", column(30, &|i| 50.0 - i as f64)), Some(Identity::EvenSteps { step }) if step == -1.0)
        );
        let seconds = |i: usize| 1.7e9 + irregular(i);
        assert_eq!(of("a", column(30, &seconds)), Some(Identity::Epoch { unit: "seconds" }));
        let fine = |i: usize| 1e3 * seconds(i);
        assert_eq!(of("a", column(30, &fine)), Some(Identity::Epoch { unit: "milliseconds" }));
        let date = |i: usize| 20_240_101.0 + (i * 7 % 12) as f64 * 100.0 + (i * 5 % 28) as f64;
        assert_eq!(of("a", column(30, &date)), Some(Identity::Dates));
        assert_eq!(of("a", column(60, &|i| irregular(i) + 0.5)), None);
        assert_eq!(of("a", column(60, &|i| irregular(i % 40))), None);
    }
}
