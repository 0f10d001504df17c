//! Settings of a fit whose purpose is the score and the log density of the data themselves.
//!
//! A network on whitened columns that adds to a mixture of Gaussians of the same training rows (`base.rs`), with a weight
//! decay that follows the table and draws towards that mixture. How the numbers were found: experiments/score-study.

use super::size_rule::SizeRule;

/// Columns over training rows below which structure that a mixture does not have can be learnt.
const PLENTY: f64 = 0.02;

/// For so many training rows and columns.
pub(super) fn score_rule(rows: usize, columns: usize) -> SizeRule {
    let q = columns as f64 / rows.max(1) as f64;
    let strength = if q < PLENTY { 20.0 } else { 80.0 };
    SizeRule {
        decay: (strength * q).clamp(0.01, 10.0),
        noise: None,
        steps: 6000,
        evaluate_every: 100,
        patience: 20,
        members: 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decay_falls_with_rows_and_rises_with_columns() {
        let decay = |rows, columns| score_rule(rows, columns).decay;
        assert_eq!((decay(400, 10), decay(100, 20), decay(1_000_000, 2)), (2.0, 10.0, 0.01));
        assert_eq!((decay(0, 3), decay(1000, 10)), (10.0, 0.2));
    }
}
