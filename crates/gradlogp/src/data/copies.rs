//! Rows that occur more than once.

use std::collections::HashMap;

use ndarray::{Array2, ArrayView1};

/// Which rows of a table are copies of others, bit for bit but for the sign of zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowCopies {
    /// For each row the first row that equals it: itself where it is the first.
    pub first: Vec<usize>,
}

impl RowCopies {
    /// Looks at all values of each row: at those of every table given, which have the same rows.
    pub fn of(tables: &[&Array2<f64>]) -> Self {
        let rows = tables.first().map_or(0, |table| table.nrows());
        // Adding 0 makes -0 and 0 the same.
        let bits = |row: ArrayView1<'_, f64>| -> Vec<u64> {
            row.iter().map(|value| (value + 0.0).to_bits()).collect()
        };
        let mut seen: HashMap<Vec<u64>, usize> = HashMap::with_capacity(rows);
        let first = (0..rows).map(|row| {
            let key = tables.iter().flat_map(|table| bits(table.row(row))).collect();
            *seen.entry(key).or_insert(row)
        });
        RowCopies { first: first.collect() }
    }

    /// Rows that repeat an earlier one.
    pub fn count(&self) -> usize {
        self.first.iter().enumerate().filter(|(row, first)| row != *first).count()
    }

    /// Whether copies look like rows that were recorded twice, and not like a few values that occur again and
    /// again: at most a quarter of the rows repeat another, and none occurs in more than one row in twenty.
    /// Only then is it right to keep copies in one part of a split: the rows of a coarse grid would else be held out
    /// value by value.
    pub fn are_repeated_records(&self) -> bool {
        let mut times = vec![0; self.first.len()];
        self.first.iter().for_each(|first| times[*first] += 1);
        let most = times.into_iter().max().unwrap_or(0);
        4 * self.count() <= self.first.len() && 20 * most <= self.first.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn rows_are_copies_in_all_their_columns() {
        let (x, c) = (
            array![[1.0, 0.0], [2.0, 3.0], [1.0, -0.0], [1.0, 0.0]],
            array![[5.0], [5.0], [5.0], [6.0]],
        );
        assert_eq!(RowCopies::of(&[&x]), RowCopies { first: vec![0, 1, 0, 0] });
        assert_eq!(RowCopies::of(&[&x, &c]), RowCopies { first: vec![0, 1, 0, 3] });
        assert_eq!(RowCopies::of(&[&x]).count(), 2);
    }

    #[test]
    fn a_coarse_grid_is_no_repeated_record() {
        let repeated = |first: Vec<usize>| RowCopies { first }.are_repeated_records();
        let mut first: Vec<usize> = (0..100).collect();
        (0..5).for_each(|i| first[90 + i] = i);
        assert!(repeated(first.clone()));
        // One value in six rows of a hundred.
        (0..5).for_each(|i| first[90 + i] = 7);
        assert!(!repeated(first));
        // Every value three times.
        assert!(!repeated((0..99).map(|i| i / 3 * 3).collect()));
    }
}
