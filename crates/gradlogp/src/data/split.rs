//! Training, validation and test rows.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::copies::RowCopies;
use crate::engine::permutation::{Permutation, permute};
use crate::{Error, Result};

/// Shares of the rows. They must add up to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SplitFractions {
    /// Rows to fit on; above 0.
    pub train: f64,
    /// Rows for early stopping.
    pub validation: f64,
    /// Rows for the final figures, seen by nothing before.
    pub test: f64,
}

impl Default for SplitFractions {
    /// 0.8, 0.1, 0.1.
    fn default() -> Self {
        SplitFractions { train: 0.8, validation: 0.1, test: 0.1 }
    }
}

impl SplitFractions {
    /// # Errors
    /// [`Error::Config`] unless all are in [0, 1], `train` is above 0 and they add up to 1 (to 1e-6).
    pub fn validate(&self) -> Result<()> {
        let SplitFractions { train, validation, test } = *self;
        let inside = [train, validation, test].iter().all(|share| (0.0..=1.0).contains(share));
        if inside && train > 0.0 && (train + validation + test - 1.0).abs() < 1e-6 {
            return Ok(());
        }
        let message = format!(
            "train {train}, validation {validation}, test {test}: every share must lie in 0 to 1, \
             train above 0, and they must add up to 1"
        );
        Err(Error::config("split", message))
    }
}

/// Row indices of the three parts, each in ascending order. Together they are 0..n.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Rows to fit on; never empty.
    pub train: Vec<usize>,
    /// Rows for early stopping.
    pub validation: Vec<usize>,
    /// Rows for the final figures.
    pub test: Vec<usize>,
}

/// Splits n rows at random, a pure function of its arguments.
///
/// Validation and test get round(n share) rows, but at least one where the share is above 0; training
/// gets the rest. With two rows the test part stays empty, with one row there is no split.
///
/// ```
/// let split = gradlogp::data::split_rows(10, &Default::default(), 1).unwrap();
/// assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (8, 1, 1));
/// ```
///
/// # Errors
/// [`Error::Config`] for shares that do not pass [`SplitFractions::validate`]; [`Error::Data`] when
/// no row would be left to train on.
pub fn split_rows(n: usize, fractions: &SplitFractions, seed: u64) -> Result<Split> {
    fractions.validate()?;
    split(n, fractions, seed, |_| {})
}

/// The same, with copies of a row in the part into which chance puts the first of them: a held-out row that was trained on
/// says nothing of rows to come. The shares then hold on average. Without copies it is [`split_rows`].
///
/// # Errors
/// As [`split_rows`].
pub fn split_rows_together(
    copies: &RowCopies,
    fractions: &SplitFractions,
    seed: u64,
) -> Result<Split> {
    fractions.validate()?;
    let mut members: HashMap<usize, Vec<usize>> = HashMap::new();
    for (row, first) in copies.first.iter().enumerate() {
        members.entry(*first).or_default().push(row);
    }
    let together = |parts: &mut [Vec<usize>; 3]| {
        for part in parts {
            *part = part.iter().filter_map(|row| members.get(row)).flatten().copied().collect();
        }
    };
    split(copies.first.len(), fractions, seed, together)
}

/// Cuts a random order of n rows into training, validation and test rows, which `change` may exchange.
fn split(
    n: usize,
    fractions: &SplitFractions,
    seed: u64,
    change: impl FnOnce(&mut [Vec<usize>; 3]),
) -> Result<Split> {
    let part = |share: f64| match share > 0.0 {
        true => ((n as f64 * share).round() as usize).max(1),
        false => 0,
    };
    let validation = part(fractions.validation);
    let test = if n == 2 && validation > 0 { 0 } else { part(fractions.test) };
    let Some(train) = n.checked_sub(validation + test).filter(|&train| train > 0) else {
        return Err(Error::data("data", format!("{n} rows are too few to split")));
    };
    let mut order = Vec::new();
    permute(n, seed, Permutation::Split, 0, &mut order);
    let [end, start] = [train, train + validation];
    let mut parts = [order[..end].to_vec(), order[end..start].to_vec(), order[start..].to_vec()];
    change(&mut parts);
    parts.iter_mut().for_each(|part| part.sort_unstable());
    let [train, validation, test] = parts;
    Ok(Split { train, validation, test })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_disjoint_complete_and_repeatable() {
        for n in [2, 3, 4, 10, 99, 1599] {
            let split = split_rows(n, &SplitFractions::default(), 11).unwrap();
            let mut all =
                [split.train.clone(), split.validation.clone(), split.test.clone()].concat();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..n));
            assert!(!split.validation.is_empty() && (n == 2 || !split.test.is_empty()), "{n}");
            assert_eq!(split, split_rows(n, &SplitFractions::default(), 11).unwrap());
        }
        let wine = split_rows(1599, &SplitFractions::default(), 0).unwrap();
        assert_eq!((wine.train.len(), wine.validation.len(), wine.test.len()), (1279, 160, 160));
        assert_ne!(wine, split_rows(1599, &SplitFractions::default(), 1).unwrap());
    }

    #[test]
    fn copies_of_a_row_share_its_part() {
        // Every third row occurs twice.
        let first: Vec<usize> = (0..300).map(|i| if i % 3 == 2 { i - 1 } else { i }).collect();
        let copies = RowCopies { first };
        for seed in 0..20 {
            let split = split_rows_together(&copies, &SplitFractions::default(), seed).unwrap();
            let parts = [&split.train, &split.validation, &split.test];
            for part in parts {
                assert!(part.iter().all(|row| part.contains(&copies.first[*row])));
            }
            let mut all = parts.map(Clone::clone).concat();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..300));
            // 30 on average, by 100 rows and 100 pairs at 0.1 each: standard deviation 6.7.
            assert!((8..=52).contains(&split.test.len()), "{}", split.test.len());
        }
        let none = RowCopies { first: (0..99).collect() };
        let fractions = SplitFractions::default();
        assert_eq!(
            split_rows_together(&none, &fractions, 3).unwrap(),
            split_rows(99, &fractions, 3).unwrap()
        );
    }

    #[test]
    fn rows_go_to_parts_by_chance() {
        let hits = (0..400)
            .filter(|&seed| {
                split_rows(50, &SplitFractions::default(), seed).unwrap().test.contains(&7)
            })
            .count();
        // Binomial(400, 0.1): mean 40, standard deviation 6.
        assert!((16..=64).contains(&hits), "{hits}");
    }

    #[test]
    fn shares_may_be_zero_but_must_add_up() {
        let only = SplitFractions { train: 1.0, validation: 0.0, test: 0.0 };
        assert_eq!(split_rows(5, &only, 0).unwrap().train, [0, 1, 2, 3, 4]);
        for (train, validation, test) in
            [(0.5, 0.1, 0.1), (0.0, 0.5, 0.5), (1.2, -0.1, -0.1), (f64::NAN, 0.5, 0.5)]
        {
            let bad = SplitFractions { train, validation, test };
            assert!(matches!(split_rows(9, &bad, 0), Err(Error::Config { .. })), "{bad:?}");
        }
        assert!(matches!(split_rows(1, &SplitFractions::default(), 0), Err(Error::Data { .. })));
        assert!(split_rows(0, &SplitFractions::default(), 0).is_err());
    }
}
