//! The worst violation of the identities, and its words.

use std::fmt;

/// The worst violation of the Stein identities. Columns are counted from 0 here, from 1 in text;
/// values are those of standardized columns, each with the half width of its simultaneous band.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// All identities hold within their bands.
    Consistent,
    /// The slope is below 0: the score points away from the data.
    SignInverted {
        /// c, which should be 1.
        slope: f64,
        /// Of its band.
        half_width: f64,
    },
    /// The score is wrong by one factor in all columns alike.
    ScaleOff {
        /// c, which should be 1.
        slope: f64,
        /// Of its band.
        half_width: f64,
    },
    /// The score of one column is wrong by a factor, and not that of all columns.
    ColumnScaleOff {
        /// The column.
        column: usize,
        /// `-E[s_i x_i]`, which should be 1.
        slope: f64,
        /// Of its band.
        half_width: f64,
    },
    /// The score's mean over the rows is not 0.
    MeanOff {
        /// The column.
        column: usize,
        /// `E[s_i]`, which should be 0.
        mean: f64,
        /// Of its band.
        half_width: f64,
    },
    /// The score of one column is wrong in how it goes with another.
    DependenceOff {
        /// The column of the score.
        score_column: usize,
        /// The column of the data.
        data_column: usize,
        /// `E[s_i x_j]`, which should be 0.
        product: f64,
        /// Of its band.
        half_width: f64,
    },
    /// The score of one column does not follow a column of the condition as it should.
    ConditionOff {
        /// The column of the score.
        score_column: usize,
        /// The column of the condition, counted on from the columns of x.
        given_column: usize,
        /// `E[s_i c_j]`, which should be 0.
        product: f64,
        /// Of its band.
        half_width: f64,
    },
}

impl Verdict {
    /// True where no violation was found.
    pub fn is_consistent(&self) -> bool {
        *self == Verdict::Consistent
    }

    /// In plain words, with the columns' `names` where there are enough of them: those of x, then
    /// those of the condition.
    pub fn describe(&self, names: &[String]) -> String {
        let column = |i: usize| match names.get(i) {
            Some(name) => format!("column \"{name}\""),
            None => format!("column {}", i + 1),
        };
        match *self {
            Verdict::Consistent => "consistent with these rows".into(),
            Verdict::SignInverted { slope, half_width } => format!(
                "the sign is inverted: the score points away from the data (slope {slope:.3} +- \
                 {half_width:.3}, should be 1)"
            ),
            Verdict::ScaleOff { slope, half_width } => {
                format!("the score is {}", factor(slope, half_width))
            }
            Verdict::ColumnScaleOff { column: i, slope, half_width } => {
                format!("the score of {} is {}", column(i), factor(slope, half_width))
            }
            Verdict::MeanOff { column: i, mean, half_width } => format!(
                "the mean of the score is off in {}: {mean:.3} +- {half_width:.3}, should be 0",
                column(i)
            ),
            Verdict::DependenceOff { score_column, data_column, product, half_width } => format!(
                "the dependence between {} (score) and {} (data) is off: {product:.3} +- \
                 {half_width:.3}, should be 0",
                column(score_column),
                column(data_column)
            ),
            Verdict::ConditionOff { score_column, given_column, product, half_width } => format!(
                "the score of {} does not follow the condition in {}: their product is {product:.3} +- \
                 {half_width:.3}, should be 0",
                column(score_column),
                column(given_column)
            ),
        }
    }
}

fn factor(slope: f64, half_width: f64) -> String {
    match slope > 1.0 {
        true => format!("{slope:.3} (+- {half_width:.3}) times too large"),
        false => format!("too small: {slope:.3} (+- {half_width:.3}) times what it should be"),
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe(&[]))
    }
}
