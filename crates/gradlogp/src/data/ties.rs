//! Repeated values of one column.
//!
//! Why ties matter. A smooth density may put a bump of height ~ 1/h and width h on a repeated value a.
//! Near a its score is s = -(x - a)/h^2, so at the repeated rows s = 0 and ds/dx = -1/h^2, and their
//! share of the loss 1/2 s^2 + ds/dx (MATH (1)) is -1/h^2: unbounded below as h -> 0. On data with
//! ties the minimizer is therefore not the score of anything, and a long training finds spikes.
//! On distinct values of a continuous density the expectation of the loss is bounded below.

use ndarray::ArrayView1;

/// Values nearer than this many rounding units of the column's largest value count as equal:
/// 0.1 + 0.2 and 0.3 are a tie, ...
const EQUAL_UNITS: f64 = 4.0;

/// ... and so do values nearer than this share of the column's range: no model tells them apart.
const EQUAL_SHARE: f64 = 1e-12;

/// A column is discrete when fewer than this share of its values are distinct, ...
const DISTINCT_SHARE: f64 = 0.9;

/// ... or when one value makes up this share of the rows (an atom, such as exact zeros), ...
const ATOM_SHARE: f64 = 0.01;

/// ... and at least this many of them, so that a chance tie in a short table is none.
const ATOM_ROWS: usize = 5;

/// A value holds a spike when the density of its rows, spread over the column's step, exceeds this
/// multiple of 1 / standard deviation. Rounding a smooth density gives about its maximum times the
/// standard deviation: 0.4 for a Gaussian, 1 for an exponential distribution.
const SPIKE: f64 = 30.0;

/// What repeats in one column. Gaps are in the column's unit; they are 0 for a constant column.
#[derive(Debug, Clone, PartialEq)]
pub struct Ties {
    /// Rows.
    pub rows: usize,
    /// Distinct values.
    pub distinct: usize,
    /// Rows whose value occurs at least twice.
    pub tied: usize,
    /// The most frequent value (the smallest of them).
    pub most_common: f64,
    /// How often it occurs.
    pub most_common_count: usize,
    /// Smallest difference between neighbouring distinct values.
    pub smallest_gap: f64,
    /// Median difference between neighbouring distinct values, each counted once.
    pub median_gap: f64,
    /// Median over the tied rows of the distance to the nearest other value (over all rows when
    /// none is tied): the grid step where the rows are.
    pub tied_gap: f64,
    /// Standard deviation of the column (divisor n).
    pub sd: f64,
}

impl Ties {
    /// Counts the ties of a column of at least one value, all finite. Sorts a copy: n log n.
    pub fn of(values: ArrayView1<'_, f64>) -> Ties {
        let groups = groups(values);
        let gaps: Vec<f64> = groups.windows(2).map(|w| w[1].value - w[0].value).collect();
        let largest = groups.iter().rev().max_by_key(|group| group.count);
        Ties {
            rows: values.len(),
            distinct: groups.len(),
            tied: groups.iter().map(|g| g.count).filter(|&count| count > 1).sum(),
            most_common: largest.map_or(0.0, |group| group.value),
            most_common_count: largest.map_or(0, |group| group.count),
            smallest_gap: gaps.iter().copied().reduce(f64::min).unwrap_or(0.0),
            median_gap: median(gaps.iter().map(|&gap| (gap, 1)).collect()),
            tied_gap: tied_gap(&groups, &gaps),
            sd: values.std(0.0),
        }
    }

    /// Whether score matching is degenerate on this column: fewer than 90% of the values are
    /// distinct, or one value is at least 1% of the rows (and at least 5 of them).
    pub fn is_discrete(&self) -> bool {
        let n = self.rows as f64;
        let atom =
            self.most_common_count >= ATOM_ROWS && self.most_common_count as f64 >= ATOM_SHARE * n;
        (self.distinct as f64) < DISTINCT_SHARE * n || atom
    }

    /// Whether the most common value holds more rows than rounding explains (exact zeros, a detection
    /// limit, saturation): the distribution is then a mixture of an atom and a density, and noise of
    /// one step only turns the atom into a needle.
    pub fn has_spike(&self) -> bool {
        let share = self.most_common_count as f64 / self.rows as f64;
        self.is_discrete() && share * self.sd > SPIKE * self.tied_gap && self.tied_gap > 0.0
    }
}

/// A distinct value and how often it occurs.
struct Group {
    value: f64,
    count: usize,
}

fn groups(values: ArrayView1<'_, f64>) -> Vec<Group> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let (low, high) = (sorted[0], sorted[sorted.len() - 1]);
    let units = EQUAL_UNITS * f64::EPSILON * low.abs().max(high.abs());
    let equal = units.max(EQUAL_SHARE * (high - low));
    let mut groups: Vec<Group> = Vec::new();
    for value in sorted {
        match groups.last_mut() {
            Some(last) if value - last.value <= equal => {
                last.count += 1;
            }
            _ => groups.push(Group { value, count: 1 }),
        }
    }
    groups
}

fn tied_gap(groups: &[Group], gaps: &[f64]) -> f64 {
    let any_tied = groups.iter().any(|group| group.count > 1);
    let nearest = |i: usize| {
        let left = i.checked_sub(1).and_then(|l| gaps.get(l));
        let right = gaps.get(i);
        left.into_iter().chain(right).copied().reduce(f64::min)
    };
    let weighted = groups
        .iter()
        .enumerate()
        .filter(|(_, group)| group.count > 1 || !any_tied)
        .filter_map(|(i, group)| nearest(i).map(|gap| (gap, group.count)))
        .collect();
    median(weighted)
}

/// Weighted median of (value, weight): the smallest value with at least half of the weight at or
/// below it, averaged with the next one when exactly half is; 0 when there is none.
fn median(mut weighted: Vec<(f64, usize)>) -> f64 {
    weighted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let total: usize = weighted.iter().map(|(_, weight)| weight).sum();
    let mut below = 0;
    for (i, (value, weight)) in weighted.iter().enumerate() {
        below += weight;
        if 2 * below == total {
            return 0.5 * (value + weighted[i + 1].0);
        }
        if 2 * below > total {
            return *value;
        }
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, array};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-12 * b.abs()
    }

    #[test]
    fn counted_by_hand() {
        let t = Ties::of(array![3.0, 1.0, 1.0, 2.0, 7.0, 1.0, 3.0].view());
        // Distinct 1 (three times), 2, 3 (twice), 7; gaps 1, 1, 4.
        assert_eq!((t.rows, t.distinct, t.tied), (7, 4, 5));
        assert_eq!((t.most_common, t.most_common_count), (1.0, 3));
        assert_eq!((t.smallest_gap, t.median_gap, t.tied_gap), (1.0, 1.0, 1.0));
        let even = Ties::of(array![0.0, 1.0, 4.0].view());
        assert_eq!(even.median_gap, 2.0);
        assert_eq!(Ties::of(array![0.0, -0.0].view()).distinct, 1);
    }

    #[test]
    fn rounding_noise_is_a_tie() {
        let t = Ties::of(array![0.3, 0.1 + 0.2, 0.4, 0.1 * 4.0, -0.3, -(0.1 + 0.2)].view());
        assert_eq!(t.distinct, 3);
        assert!(near(t.smallest_gap, 0.1), "{}", t.smallest_gap);
    }

    #[test]
    fn the_step_is_found_where_the_rows_are() {
        // Counts on 0..=9 and a sparse tail with more distinct values than the body.
        let body = (0..1000).map(|i| f64::from(i % 10));
        let tail = (0..40).map(|i| 100.0 + 7.0 * f64::from(i));
        let t = Ties::of(body.chain(tail).collect::<Array1<f64>>().view());
        assert_eq!(t.median_gap, 7.0);
        assert_eq!(t.tied_gap, 1.0);
    }

    #[test]
    fn continuous_rounded_and_zero_inflated() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let u: Array1<f64> = (0..5000).map(|_| rng.random::<f64>()).collect();
        let continuous = Ties::of(u.view());
        assert_eq!(continuous.distinct, 5000);
        assert!(!continuous.is_discrete());
        let single = Ties::of(u.mapv(|x| f64::from(x as f32)).view());
        assert!(!single.is_discrete(), "single precision is not rounded data");
        let rounded = Ties::of(u.mapv(|x| (x * 100.0).round() / 100.0).view());
        assert!(rounded.is_discrete() && near(rounded.tied_gap, 0.01), "{rounded:?}");
        let inflated = Ties::of(u.mapv(|x| if x < 0.03 { 0.0 } else { x }).view());
        assert!(inflated.distinct as f64 > 0.9 * 5000.0 && inflated.is_discrete());
    }

    #[test]
    fn an_atom_is_told_from_rounding() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let u: Array1<f64> = (0..4000).map(|_| rng.random::<f64>()).collect();
        let of = |f: &dyn Fn(f64) -> f64| Ties::of(u.mapv(f).view());
        assert!(of(&|x| (x - 0.2).max(0.0)).has_spike());
        assert!(!of(&|x| (1000.0 * x).round()).has_spike());
        assert!(!of(&|x| (-100.0 * x.ln()).round()).has_spike());
        assert!(!of(&|x| x.round()).has_spike());
        assert!(!of(&|x| x).has_spike());
        // A rounding error beside the atom is part of it.
        let noisy = of(&|x| match x {
            x if x < 0.1 => 0.0,
            x if x < 0.2 => 6.6e-16,
            x => x - 0.2,
        });
        assert!(noisy.has_spike() && noisy.smallest_gap > 1e-9, "{noisy:?}");
    }

    #[test]
    fn a_chance_tie_in_a_short_column_is_not_discrete() {
        let mut values: Vec<f64> = (0..40).map(|i| f64::from(i).sqrt()).collect();
        values[7] = values[8];
        assert!(!Ties::of(Array1::from(values).view()).is_discrete());
    }
}
