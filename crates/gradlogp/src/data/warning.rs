//! Warnings about a table that can be used all the same. The text says what to do.

use std::fmt;

use super::names::{option_list, quoted_list};
use super::ties::Ties;

/// At most this many columns or pairs are described in one message.
const DESCRIBED: usize = 6;

/// What a column looks like that is no measurement.
#[derive(Debug, Clone, PartialEq)]
pub enum Identity {
    /// Whole numbers, all different.
    AllDifferent,
    /// The numbers from one to another, each once, in some order.
    Shuffled,
    /// The same step from each row to the next.
    EvenSteps {
        /// The step.
        step: f64,
    },
    /// Time since 1970.
    Epoch {
        /// Its unit: "seconds", "milliseconds", "microseconds", "nanoseconds".
        unit: &'static str,
    },
    /// Dates as numbers, such as 20240131.
    Dates,
    /// Whole numbers under a name such as "patient_id".
    NamedSo,
}

/// The ties of one column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnTies {
    /// Column name.
    pub column: String,
    /// What repeats in it.
    pub ties: Ties,
}

/// A column that is a linear function of others, up to a rest.
#[derive(Debug, Clone, PartialEq)]
pub struct Dependence {
    /// Its name.
    pub column: String,
    /// The others and their coefficients.
    pub terms: Vec<(String, f64)>,
    /// What is added.
    pub constant: f64,
    /// Share of the column's variance that is the rest's.
    pub own_share: f64,
}

/// Why a column of a file is none of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// It holds names or numbers of rows, as R and pandas write them.
    RowNames,
    /// It holds nothing: every line ends with a delimiter.
    Empty,
}

/// Something the user should know about the data. `Display` gives the text.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum DataWarning {
    /// Rows left out because a value was missing.
    MissingDropped {
        /// Rows left out.
        dropped: usize,
        /// Rows in the file.
        total: usize,
    },
    /// Numbers written with a decimal comma.
    DecimalCommas {
        /// How many.
        count: usize,
        /// The first of them as written.
        first: String,
    },
    /// Numbers with marks between thousands.
    Thousands {
        /// The mark.
        mark: char,
        /// How many.
        count: usize,
        /// The first of them as written.
        first: String,
    },
    /// `true` and `false` were read as 1 and 0.
    Booleans {
        /// The columns.
        columns: Vec<String>,
    },
    /// Rows were passed over as comments.
    CommentRows {
        /// How many.
        count: usize,
        /// The beginning of the first.
        first: String,
    },
    /// A column of the file was left out without being asked for.
    ColumnLeftOut {
        /// What it can be asked for by.
        column: String,
        /// Why.
        why: LeftOut,
    },
    /// Column names that are not UTF-8 and were read as Latin-1.
    NamesInLatin1 {
        /// As they were read.
        columns: Vec<String>,
    },
    /// The first line, all numbers, was taken for the column names.
    NumbersAsNames {
        /// Its fields.
        fields: Vec<String>,
    },
    /// The first line, all numbers, was taken for data although it may hold the column names.
    NamesAsNumbers {
        /// Its fields.
        fields: Vec<String>,
    },
    /// Names that occurred twice in the header, and what the later ones are called now.
    RenamedColumns {
        /// (name in the file, name in the table).
        renamed: Vec<(String, String)>,
    },
    /// The first line was taken for the column names although some of its fields are numbers.
    NumericHeader {
        /// The fields that are numbers.
        fields: Vec<String>,
    },
    /// The model's columns were matched although small and capital letters, blanks or underscores of their
    /// names differ.
    MatchedByLetters {
        /// The model's names.
        model: Vec<String>,
        /// The table's names, in the same order.
        table: Vec<String>,
    },
    /// The model's columns were matched by position because no name was the same.
    MatchedByPosition {
        /// The model's names.
        model: Vec<String>,
        /// The table's names.
        table: Vec<String>,
    },
    /// Fewer rows than columns.
    FewerRowsThanColumns {
        /// Rows.
        rows: usize,
        /// Columns.
        columns: usize,
    },
    /// Columns with so many repeated values that score matching is degenerate on them.
    DiscreteColumns {
        /// The columns, in the table's order.
        columns: Vec<ColumnTies>,
        /// Number of columns of the table.
        total: usize,
    },
    /// Columns in which one value holds more rows than rounding explains.
    Spikes {
        /// The columns, in the table's order.
        columns: Vec<ColumnTies>,
    },
    /// Rows that repeat an earlier row exactly.
    DuplicateRows {
        /// How many.
        count: usize,
        /// Rows of the table.
        total: usize,
        /// Whether copies of a row go to one part of a split, see [`are_repeated_records`](super::RowCopies::are_repeated_records).
        kept_together: bool,
    },
    /// Columns that are the same up to scale and shift.
    DuplicateColumns {
        /// (first, second, 1 - |correlation|).
        pairs: Vec<(String, String, f64)>,
    },
    /// A column that counts the rows.
    RowNumbers {
        /// Its name.
        column: String,
    },
    /// A column that names or numbers rows, or says when.
    Identifier {
        /// Its name.
        column: String,
        /// What it looks like.
        what: Identity,
    },
    /// Columns that follow from others.
    DependentColumns {
        /// Each with what it follows from.
        columns: Vec<Dependence>,
    },
    /// Columns that are not negative and have one sum in every row.
    Composition {
        /// The columns.
        columns: Vec<String>,
        /// The sum.
        total: f64,
    },
    /// Columns of 0 and 1 of which one is 1 in every row.
    Indicators {
        /// The columns.
        columns: Vec<String>,
    },
    /// A value so far from the others that it alone decides how its column is scaled.
    FarValue {
        /// The column.
        column: String,
        /// Its row, counted from 1.
        row: usize,
        /// The value.
        value: f64,
        /// Between which values half of the column lies.
        middle: (f64, f64),
    },
}

impl DataWarning {
    /// Whether it is about values or rows that are repeated, which the noise of rounding may cure.
    pub fn is_about_ties(&self) -> bool {
        use DataWarning::*;
        matches!(
            self,
            DiscreteColumns { .. } | Spikes { .. } | DuplicateRows { kept_together: false, .. }
        )
    }
}

impl fmt::Display for DataWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingDropped { dropped, total } => {
                write!(f, "{dropped} of {total} rows were left out: they have missing values")
            }
            Self::DecimalCommas { count, first } => write!(
                f,
                "{count} numbers were read with a decimal comma (the first is \"{first}\"); if the \
                 comma separates thousands, use `thousands = ,`"
            ),
            Self::Thousands { mark, count, first } => {
                let digits: String = first.chars().filter(|c| c != mark).collect();
                write!(
                    f,
                    "{count} numbers were read with {} between thousands (the first is \"{first}\", read as \
                     {digits})",
                    match mark {
                        ' ' => "blanks".to_string(),
                        mark => format!("\"{mark}\""),
                    }
                )?;
                match mark {
                    ',' | '.' => write!(f, "; if they are decimals, use `decimal = {mark}`"),
                    _ => Ok(()),
                }
            }
            Self::Booleans { columns } => write!(
                f,
                "true and false were read as 1 and 0 in {}; such a column is discrete, and better left out or \
                 conditioned on",
                quoted_list(columns)
            ),
            Self::CommentRows { count, first } => write!(
                f,
                "{count} {} passed over as comments because they begin with # (the first is \"{first}\")",
                if *count == 1 { "row was" } else { "rows were" }
            ),
            Self::ColumnLeftOut { column, why: LeftOut::RowNames } => write!(
                f,
                "the first column has no name and only names or numbers the rows: it was left out (its name \
                 for `columns` is \"{column}\")"
            ),
            Self::ColumnLeftOut { column, why: LeftOut::Empty } => write!(
                f,
                "the last column has no name and is empty, as if every line ended with a delimiter: it was \
                 left out (its name for `columns` is \"{column}\")"
            ),
            Self::NamesInLatin1 { columns } => write!(
                f,
                "the column names are not valid UTF-8 and were read as Latin-1: {}",
                quoted_list(columns)
            ),
            Self::NumbersAsNames { fields } => write!(
                f,
                "the first line was taken for column names although it is all numbers ({}): they are unlike \
                 those below; if it is data, use `no header`",
                quoted_list(fields)
            ),
            Self::NamesAsNumbers { fields } => write!(
                f,
                "the first line, all numbers ({}), was taken for data, but is unlike the rows below; if it \
                 holds the column names, use `header`",
                quoted_list(fields)
            ),
            Self::RenamedColumns { renamed } => write_renamed(f, renamed),
            Self::NumericHeader { fields } => write!(
                f,
                "the first line was taken for column names although it has numbers in it ({}); if \
                 it is data, use `no header`",
                quoted_list(fields)
            ),
            Self::MatchedByLetters { model, table } => {
                let differ = || model.iter().zip(table).filter(|(model, table)| model != table);
                let pairs: Vec<String> = differ()
                    .take(DESCRIBED)
                    .map(|(model, table)| format!("\"{table}\" for \"{model}\""))
                    .collect();
                write!(
                    f,
                    "columns were matched to the model's although their names differ in case or blanks: \
                     {}{}; name them like the model's to be sure",
                    pairs.join(", "),
                    and_more(differ().count())
                )
            }
            Self::MatchedByPosition { model, table } => write!(
                f,
                "the table has none of the model's column names, so its columns {} were matched in order to \
                 {}; name them like the model's to be sure",
                quoted_list(table),
                quoted_list(model)
            ),
            Self::FewerRowsThanColumns { rows, columns } => write!(
                f,
                "{rows} rows for {columns} columns: too few to learn a density from; choose fewer \
                 columns with `columns` or get more rows"
            ),
            Self::DiscreteColumns { columns, total } => write_discrete(f, columns, *total),
            Self::Spikes { columns } => write_spikes(f, columns),
            Self::DuplicateRows { count, total, kept_together: true } => write!(
                f,
                "{count} of {total} rows repeat an earlier row: copies of a row are all trained on or all held out; \
                 remove them if they should not weigh more than one row"
            ),
            Self::DuplicateRows { count, total, kept_together: false } => write!(
                f,
                "{count} of {total} rows repeat an earlier row: the copies can fall into both the \
                 training and the held-out part and make the held-out loss look too good; remove \
                 them, or use `dequantize` if they come from rounding"
            ),
            Self::DuplicateColumns { pairs } => write_pairs(f, pairs),
            Self::RowNumbers { column } => write!(
                f,
                "column \"{column}\" only counts the rows; leave it out with `drop = {}`",
                option_list(&[column])
            ),
            Self::Identifier { column, what } => write!(
                f,
                "column \"{column}\" {}; leave it out with `drop = {}`",
                match what {
                    Identity::AllDifferent =>
                        "is whole numbers, all different, as ids or counters are: if \
                                               it is one, it measures nothing"
                            .to_string(),
                    Identity::Shuffled =>
                        "numbers the rows, in another order: it measures nothing".to_string(),
                    Identity::EvenSteps { step } => format!(
                        "increases by {} from each row to the next, as counters and clocks do: it measures \
                         nothing",
                        short(*step)
                    ),
                    Identity::Epoch { unit } => format!(
                        "looks like times in {unit} since 1970, which never come again: unless hours or \
                         weekdays taken from it are what you want"
                    ),
                    Identity::Dates =>
                        "looks like dates written as numbers, which have gaps between \
                                        months: unless you turn it into days"
                            .to_string(),
                    Identity::NamedSo =>
                        "has the name of an id: if it is one, it measures nothing".to_string(),
                },
                option_list(&[column])
            ),
            Self::DependentColumns { columns } => write_dependent(f, columns),
            Self::Composition { columns, total } => {
                let last = columns.last().map_or("", String::as_str);
                write!(
                    f,
                    "{} sum to {} in every row, so they have no density together: leave one part out with \
                     `drop = {}`",
                    quoted_list(columns),
                    short(*total),
                    option_list(&[last])
                )?;
                match *total {
                    1.0 => write!(
                        f,
                        "; if there are no other columns, use `domain = simplex`, so that the others keep \
                         to their bounds"
                    ),
                    _ => Ok(()),
                }
            }
            Self::Indicators { columns } => write!(
                f,
                "{} one-hot encode a category of {} values: one of them is 1 in every row. A category has \
                 no density; leave the columns out with `drop = {list}`, or condition on them with `given = \
                 {list}`",
                quoted_list(columns),
                columns.len(),
                list = option_list(columns)
            ),
            Self::FarValue { column, row, value, middle: (low, high) } => write!(
                f,
                "column \"{column}\" has {} in row {row}, and half of its values between {} and {}: a code \
                 for a missing value, or an error? Scaling by such values makes all others look alike; \
                 correct or remove them, or use `standardize` robust",
                short(*value),
                short(*low),
                short(*high)
            ),
        }
    }
}

fn write_renamed(f: &mut fmt::Formatter<'_>, renamed: &[(String, String)]) -> fmt::Result {
    let list: Vec<String> = renamed
        .iter()
        .take(DESCRIBED)
        .map(|(from, to)| match from.is_empty() {
            true => format!("a column without a name is called \"{to}\""),
            false => format!("a further \"{from}\" is called \"{to}\""),
        })
        .collect();
    write!(f, "column names must be unique: {}{}", list.join(", "), and_more(renamed.len()))
}

fn write_discrete(f: &mut fmt::Formatter<'_>, columns: &[ColumnTies], total: usize) -> fmt::Result {
    let list: Vec<String> = columns.iter().take(DESCRIBED).map(describe_ties).collect();
    write!(
        f,
        "{} of {total} columns are discrete or rounded: {}{}. Score matching is degenerate on \
         repeated values (the loss can run to minus infinity by piling density on them): add noise \
         of the columns' own step with `dequantize`, or leave the columns out with `drop`",
        columns.len(),
        list.join("; "),
        and_more(columns.len())
    )
}

fn write_spikes(f: &mut fmt::Formatter<'_>, columns: &[ColumnTies]) -> fmt::Result {
    let list: Vec<String> = columns
        .iter()
        .take(DESCRIBED)
        .map(|ColumnTies { column, ties }| {
            let (count, rows) = (ties.most_common_count, ties.rows);
            format!("\"{column}\" ({count} of {rows} rows are {})", short(ties.most_common))
        })
        .collect();
    write!(
        f,
        "one value holds more rows than rounding explains in {}{}: a mixture of such a value and a \
         density has no score, and `dequantize` only turns it into a spike. Leave such columns out \
         with `drop`, or fit the rows without that value on their own",
        list.join(", "),
        and_more(columns.len())
    )
}

fn describe_ties(column: &ColumnTies) -> String {
    let t = &column.ties;
    let share = 100.0 * t.tied as f64 / t.rows as f64;
    let mut text = format!(
        "\"{}\" ({} distinct values in {} rows, {} tied = {share:.0}%, smallest gap {}",
        column.column,
        t.distinct,
        t.rows,
        t.tied,
        short(t.smallest_gap)
    );
    if t.most_common_count * 10 >= t.rows {
        text += &format!(", {} times {}", t.most_common_count, short(t.most_common));
    }
    text + ")"
}

fn write_pairs(f: &mut fmt::Formatter<'_>, pairs: &[(String, String, f64)]) -> fmt::Result {
    let list: Vec<String> = pairs
        .iter()
        .take(DESCRIBED)
        .map(|(a, b, rest)| match *rest < 1e-10 {
            true => format!("\"{a}\" and \"{b}\""),
            false => format!("\"{a}\" and \"{b}\" (correlation 1 - {})", short(*rest)),
        })
        .collect();
    let mut drop: Vec<&str> = pairs.iter().map(|(_, b, _)| b.as_str()).collect();
    drop.sort_unstable();
    drop.dedup();
    write!(
        f,
        "columns that are equal up to scale and shift: {}{}. They have no density together, so the \
         score across them grows without bound: keep one of each, `drop = {}`",
        list.join(", "),
        and_more(pairs.len()),
        option_list(&drop)
    )
}

fn write_dependent(f: &mut fmt::Formatter<'_>, columns: &[Dependence]) -> fmt::Result {
    let list: Vec<String> = columns.iter().take(DESCRIBED).map(describe_dependence).collect();
    let names: Vec<&str> = columns.iter().map(|d| d.column.as_str()).collect();
    write!(
        f,
        "columns that follow from others: {}{}. They have no density together, so the score across them \
         grows without bound: leave out what follows from the rest, `drop = {}`",
        list.join("; "),
        and_more(columns.len()),
        option_list(&names)
    )
}

/// `"c" = 3 + 2 "a" - "b"`.
fn describe_dependence(of: &Dependence) -> String {
    const TERMS: usize = 6;
    let share = match of.own_share {
        share if share < 1e-9 => String::new(),
        share => format!(" (up to {}% of its variance)", short(100.0 * share)),
    };
    if of.terms.len() > TERMS {
        let names: Vec<&String> = of.terms.iter().map(|(name, _)| name).collect();
        return format!("\"{}\" from {}{share}", of.column, quoted_list(&names));
    }
    let near = |a: f64, b: f64| (a - b).abs() < 2e-3 * b.abs().max(1.0);
    let largest = of.terms.iter().map(|(_, c)| c.abs()).fold(0.0f64, f64::max);
    let mut parts: Vec<(bool, String)> = Vec::new();
    if of.constant.abs() > 1e-6 * largest.max(1e-300) && !near(of.constant, 0.0) {
        parts.push((of.constant < 0.0, short(of.constant.abs())));
    }
    for (name, c) in &of.terms {
        let factor =
            if near(c.abs(), 1.0) { String::new() } else { format!("{} ", short(c.abs())) };
        parts.push((*c < 0.0, format!("{factor}\"{name}\"")));
    }
    let mut text = format!("\"{}\" =", of.column);
    for (k, (minus, part)) in parts.iter().enumerate() {
        text += match (k, minus) {
            (0, false) => " ",
            (0, true) => " -",
            (_, false) => " + ",
            (_, true) => " - ",
        };
        text += part;
    }
    text + &share
}

fn and_more(count: usize) -> String {
    match count.saturating_sub(DESCRIBED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}

/// Six significant digits without trailing zeros: 0.09999999999999998 becomes 0.1.
pub(crate) fn short(value: f64) -> String {
    let rounded: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    let text = format!("{rounded:?}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in
            [(0.3 - 0.2, "0.1"), (1.0, "1"), (1e-7, "1e-7"), (1234567.0, "1234570"), (-2.5, "-2.5")]
        {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn texts_say_what_to_do() {
        let pairs = (0..8).map(|i| (format!("a{i}"), format!("b{i}"), 0.0)).collect();
        let text = DataWarning::DuplicateColumns { pairs }.to_string();
        assert!(text.contains("\"a0\" and \"b0\""), "{text}");
        assert!(text.contains("and 2 more"), "{text}");
        assert!(text.ends_with("`drop = b0,b1,b2,b3,b4,b5,b6,b7`"), "{text}");
        let text = DataWarning::RowNumbers { column: "row id".into() }.to_string();
        assert!(text.ends_with("`drop = row id`"), "{text}");
    }
}
