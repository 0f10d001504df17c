//! One axis: a range, and numbers on it that stay short for any magnitude.

use plotters::coord::ranged1d::{BoldPoints, Ranged};
use plotters::coord::types::RangedCoordf64;

use super::stats;
use super::text::{fixed, power_of_ten};

/// A range lo < hi, drawn as (value - offset) / 10^power so that tick labels stay short.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    lo: f64,
    hi: f64,
    offset: f64,
    power: i32,
    /// Greatest number of ticks.
    pub(super) ticks: usize,
    decimals: usize,
}

/// So many ticks above the wanted number are allowed where round values are too far apart.
const MORE_TICKS: usize = 6;

impl Axis {
    /// The axis from `lo` to `hi` with at most `ticks` ticks, or a few more where that leaves fewer
    /// than two. Ranges without width are widened.
    pub(super) fn new((lo, hi): (f64, f64), ticks: usize) -> Self {
        let (lo, hi) = if stats::is_usable(lo) && stats::is_usable(hi) && lo <= hi {
            stats::widen(lo, hi)
        } else {
            (0.0, 1.0)
        };
        let offset = common_offset(lo, hi);
        let largest = (lo - offset).abs().max((hi - offset).abs());
        let order = largest.log10().floor() as i32;
        let power = if (-2..6).contains(&order) { 0 } else { order };
        let mut axis = Self { lo, hi, offset, power, ticks, decimals: 0 };
        // A single tick gives no scale.
        while axis.tick_values().len() < 2 && axis.ticks < ticks + MORE_TICKS {
            axis.ticks += 1;
        }
        axis.decimals = decimals(&axis.tick_values());
        axis
    }

    /// The axis with as many ticks, at most `most` and at least 2, as leave room between labels on
    /// a line of `characters` characters.
    pub(super) fn fitting(range: (f64, f64), most: usize, characters: usize) -> Self {
        let room = |axis: &Self| axis.tick_values().len() * (axis.widest_label() + 2) <= characters;
        let mut axes = (2..=most).rev().map(|ticks| Self::new(range, ticks));
        axes.find(room).unwrap_or_else(|| Self::new(range, 2))
    }

    /// The range in the drawn units.
    pub(super) fn shown_range(&self) -> std::ops::Range<f64> {
        self.shown(self.lo)..self.shown(self.hi)
    }

    /// Where a value lies: 0 at the low end, 1 at the high end.
    pub(super) fn fraction(&self, v: f64) -> f64 {
        (v - self.lo) / (self.hi - self.lo)
    }

    /// Whether a value lies on the axis.
    pub(super) fn contains(&self, v: f64) -> bool {
        v >= self.lo && v <= self.hi
    }

    /// The tick label of a drawn value.
    pub(super) fn label(&self, shown: f64) -> String {
        fixed(shown, self.decimals)
    }

    /// Characters of the longest tick label.
    pub(super) fn widest_label(&self) -> usize {
        let longest = |v: &f64| self.label(*v).chars().count();
        self.tick_values().iter().map(longest).max().unwrap_or(1)
    }

    /// `name` with what must be done to the tick labels to get values, if anything.
    pub(super) fn title(&self, name: &str) -> String {
        let name = if self.offset == 0.0 {
            name.to_string()
        } else {
            let sign = if self.offset > 0.0 { '−' } else { '+' };
            format!("{name} {sign} {}", offset_digits(self.offset.abs(), self.hi - self.lo))
        };
        match self.power {
            0 => name,
            power => format!("{name} (×{})", power_of_ten(power)),
        }
    }

    fn shown(&self, v: f64) -> f64 {
        (v - self.offset) / 10f64.powi(self.power)
    }

    pub(super) fn tick_values(&self) -> Vec<f64> {
        RangedCoordf64::from(self.shown_range()).key_points(BoldPoints(self.ticks))
    }
}

/// A round number to subtract where the range is narrow and far from 0; else 0.
fn common_offset(lo: f64, hi: f64) -> f64 {
    let middle = 0.5 * (lo + hi);
    let span = hi - lo;
    if middle.abs() < 1e4 * span {
        return 0.0;
    }
    let unit = 10f64.powi(span.log10().floor() as i32);
    (middle / unit).round() * unit
}

/// All digits of an offset from 0 to the last one that matters for a range this wide.
fn offset_digits(offset: f64, span: f64) -> String {
    if offset >= 1e15 {
        return format!("{offset:e}");
    }
    fixed(offset, (-span.log10().floor()).clamp(0.0, 15.0) as usize)
}

/// Decimals that tell neighbouring ticks apart.
fn decimals(ticks: &[f64]) -> usize {
    let Some(step) = ticks.windows(2).map(|w| w[1] - w[0]).find(|s| *s > 0.0) else { return 1 };
    (-step.log10() - 1e-9).ceil().clamp(0.0, 12.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(lo: f64, hi: f64) -> (Vec<String>, String) {
        let axis = Axis::new((lo, hi), 5);
        (axis.tick_values().iter().map(|v| axis.label(*v)).collect(), axis.title("x"))
    }

    #[test]
    fn ordinary_ranges_show_plain_numbers() {
        assert_eq!(labels(-1.0, 1.0).0, ["−1.0", "−0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(labels(-1.0, 1.0).1, "x");
    }

    #[test]
    fn extreme_magnitudes_keep_short_labels() {
        let ranges = [
            (0.0, 3e12),
            (1e12, 1e12),
            (1e12, 1e12 + 5.0),
            (1_234_567_890_123.0, 1_234_567_890_131.0),
            (-1e-9, 2e-9),
            (0.0, 0.0),
            (-1e149, 1e149),
        ];
        for (lo, hi) in ranges {
            let (ticks, title) = labels(lo, hi);
            assert!(ticks.len() >= 2, "{lo} {hi}: {ticks:?}");
            assert!(ticks.iter().all(|t| t.chars().count() <= 8), "{lo} {hi}: {ticks:?} {title}");
            let mut distinct = ticks.clone();
            distinct.dedup();
            assert_eq!(distinct, ticks);
        }
        assert_eq!(labels(0.0, 3e12).1, "x (×10¹²)");
        assert_eq!(labels(1e12 - 1.0, 1e12 + 1.0).1, "x − 1000000000000");
        assert_eq!(labels(0.1234560, 0.1234562).1, "x − 0.1234561 (×10⁻⁷)");
    }

    #[test]
    fn long_labels_get_fewer_ticks() {
        assert_eq!(Axis::fitting((0.0, 10.0), 6, 40).ticks, 6);
        let narrow = Axis::fitting((0.0, 0.05), 6, 14);
        assert!(narrow.tick_values().len() * (narrow.widest_label() + 2) <= 14);
        assert!(narrow.tick_values().len() >= 2);
    }

    #[test]
    fn every_axis_has_a_scale() {
        // From -4.9 to 4.9 at most four steps of 5 fit, and only 0 lies inside.
        for k in 1..2000 {
            let (lo, hi) = (-0.013 * f64::from(k), 0.0137 * f64::from(k));
            for ticks in 2..6 {
                let axis = Axis::new((lo, hi), ticks);
                assert!(axis.tick_values().len() >= 2, "{lo} {hi} {ticks}");
            }
        }
    }

    #[test]
    fn impossible_ranges_fall_back() {
        for range in [(f64::NAN, 1.0), (0.0, f64::INFINITY), (2.0, 1.0)] {
            let axis = Axis::new(range, 4);
            assert_eq!((axis.lo, axis.hi), (0.0, 1.0));
        }
    }

    #[test]
    fn fractions_run_from_low_to_high() {
        let axis = Axis::new((10.0, 30.0), 4);
        assert_eq!(
            [axis.fraction(10.0), axis.fraction(25.0), axis.fraction(30.0)],
            [0.0, 0.75, 1.0]
        );
    }
}
