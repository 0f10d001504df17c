//! What is doubtful about a table without making it unusable. The text says what to do.

use std::fmt;

use super::names::{option_list, quoted_list};
use super::ties::Ties;

/// At most this many columns or pairs are described in one message.
const DESCRIBED: usize = 6;

/// The ties of one column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnTies {
    /// Column name.
    pub column: String,
    /// What repeats in it.
    pub ties: Ties,
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
                 comma separates thousands, remove it from the file"
            ),
            Self::RenamedColumns { renamed } => write_renamed(f, renamed),
            Self::NumericHeader { fields } => write!(
                f,
                "the first line was taken for column names although it has numbers in it ({}); if \
                 it is data, say --no-header",
                quoted_list(fields)
            ),
            Self::MatchedByPosition { model, table } => write!(
                f,
                "the table has none of the model's column names, so its columns {} were taken in \
                 order for {}; name them like the model's to be sure",
                quoted_list(table),
                quoted_list(model)
            ),
            Self::FewerRowsThanColumns { rows, columns } => write!(
                f,
                "{rows} rows for {columns} columns: too few to learn a density from; choose fewer \
                 columns with --columns or get more rows"
            ),
            Self::DiscreteColumns { columns, total } => write_discrete(f, columns, *total),
            Self::Spikes { columns } => write_spikes(f, columns),
            Self::DuplicateRows { count, total } => write!(
                f,
                "{count} of {total} rows repeat an earlier row: the copies can fall into both the \
                 training and the held-out part and make the held-out loss look too good; remove \
                 them, or use --dequantize if they come from rounding"
            ),
            Self::DuplicateColumns { pairs } => write_pairs(f, pairs),
            Self::RowNumbers { column } => write!(
                f,
                "column \"{column}\" only counts the rows; leave it out with --drop {}",
                option_list(&[column])
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
         of the columns' own step with --dequantize, or leave the columns out with --drop",
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
         density has no score, and --dequantize only turns it into a needle. Leave such columns out \
         with --drop, or fit the rows without that value on their own",
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
         score across them grows without bound: keep one of each, --drop {}",
        list.join(", "),
        and_more(pairs.len()),
        option_list(&drop)
    )
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
        assert!(text.ends_with("--drop b0,b1,b2,b3,b4,b5,b6,b7"), "{text}");
        let text = DataWarning::RowNumbers { column: "row id".into() }.to_string();
        assert!(text.ends_with("--drop 'row id'"), "{text}");
    }
}
