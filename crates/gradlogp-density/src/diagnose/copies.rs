//! Are samples copies of the rows that they are compared with?
//!
//! Samples that are the data pass every two-sample test and show nothing of a model. Of continuous columns
//! not one row comes twice by chance; where columns are discrete, rows resemble each other anyway, and how many
//! do is reported beside the number of copies.

use ndarray::{ArrayView1, ArrayView2};
use std::collections::HashSet;

/// What [`copies_of`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Copies {
    /// Samples that are equal to a row.
    pub copies: usize,
    /// Samples.
    pub samples: usize,
    /// Rows that are equal to an earlier row.
    pub repeated: usize,
    /// Rows.
    pub rows: usize,
}

impl Copies {
    /// Whether there are more copies, by more than twice, than the rows have among themselves.
    pub fn are_suspicious(&self) -> bool {
        let (samples, rows) = (self.samples.max(1) as f64, self.rows.max(1) as f64);
        self.copies as f64 / samples > 2.0 * self.repeated as f64 / rows
    }
}

/// Counts the rows of `samples` (m x d) that are rows of `rows` (n x d), compared in single precision, which files
/// of samples often have.
///
/// ```
/// use gradlogp_density::diagnose::copies_of;
/// use ndarray::array;
///
/// let rows = array![[0.1, 1.0], [0.2, 2.0], [0.3, 3.0]];
/// let samples = array![[0.2, 2.0], [0.2, 3.0], [0.3, 3.0], [0.3, 3.0]];
/// let found = copies_of(rows.view(), samples.view());
/// assert_eq!((found.copies, found.samples, found.repeated), (3, 4, 0));
/// assert!(found.are_suspicious());
/// ```
pub fn copies_of(rows: ArrayView2<'_, f64>, samples: ArrayView2<'_, f64>) -> Copies {
    let known: HashSet<Vec<u32>> = rows.outer_iter().map(key).collect();
    Copies {
        copies: samples.outer_iter().filter(|row| known.contains(&key(*row))).count(),
        samples: samples.nrows(),
        repeated: rows.nrows() - known.len(),
        rows: rows.nrows(),
    }
}

/// The bits of a row in single precision; zeros of both signs are one number.
fn key(row: ArrayView1<'_, f64>) -> Vec<u32> {
    row.iter().map(|v| (*v as f32 + 0.0).to_bits()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn single_precision_and_zeros_of_both_signs_are_the_same() {
        let rows = array![[0.1, -0.0], [7.0, 8.0]];
        let samples = array![[f64::from(0.1f32), 0.0], [7.0, 8.5]];
        assert_eq!(copies_of(rows.view(), samples.view()).copies, 1);
    }

    #[test]
    fn rows_of_few_values_coincide_without_being_copies() {
        // Each of ten rows ten times: nine in ten are repeated.
        let rows = Array2::from_shape_fn((100, 1), |(i, _)| (i % 10) as f64);
        let found = copies_of(rows.view(), rows.view());
        assert_eq!((found.copies, found.repeated), (100, 90));
        assert!(!found.are_suspicious());
        let none = copies_of(rows.view(), array![[0.5]].view());
        assert!(none.copies == 0 && !none.are_suspicious());
        assert!(
            !copies_of(Array2::zeros((0, 1)).view(), Array2::zeros((0, 1)).view()).are_suspicious()
        );
    }
}
