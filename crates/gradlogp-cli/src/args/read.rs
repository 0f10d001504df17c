//! How a table is read.

use clap::Args;
use gradlogp::data::Mark;

use super::lists::{List, flat, names};

/// How a file is read.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Reading")]
pub(crate) struct ReadArgs {
    /// Columns to use, in this order [default: all].
    ///
    /// Here and wherever names are listed, one with a comma is written in quotation marks: 'a,"mass, kg"'.
    #[arg(long, value_parser = names, value_name = "NAMES")]
    columns: Option<Vec<List<String>>>,
    /// Columns to leave out.
    #[arg(long, value_parser = names, value_name = "NAMES")]
    drop: Vec<List<String>>,
    /// The first line holds column names [default: found].
    #[arg(long, conflicts_with = "no_header", hide_short_help = true)]
    pub(crate) header: bool,
    /// The first line is data; columns are called x0, x1, ... [default: found].
    #[arg(long, hide_short_help = true)]
    pub(crate) no_header: bool,
    /// Character between fields, or the word tab [default: found among , ; | tab and blanks].
    #[arg(long, value_name = "CHAR", value_parser = delimiter, hide_short_help = true)]
    pub(crate) delimiter: Option<char>,
    /// Mark before decimals, . or , [default: found from all numbers of the table; refused if nothing tells].
    #[arg(long, value_name = "MARK", value_parser = mark, hide_short_help = true)]
    decimal: Option<Mark>,
    /// Mark between thousands, . or , so that the other one is decimal.
    ///
    /// Apostrophes and blanks between thousands are always read.
    #[arg(long, value_name = "MARK", value_parser = mark, conflicts_with = "decimal", hide_short_help = true)]
    thousands: Option<Mark>,
    /// Leave out rows with missing values instead of refusing the file.
    #[arg(long)]
    pub(crate) drop_missing: bool,
}

impl ReadArgs {
    /// Columns to use, in this order; None for all.
    pub(crate) fn columns(&self) -> Option<Vec<String>> {
        self.columns.as_deref().map(flat)
    }

    /// Columns to leave out.
    pub(crate) fn dropped(&self) -> Vec<String> {
        flat(&self.drop)
    }

    /// The mark before decimals, if it was named.
    pub(crate) fn decimal(&self) -> Option<Mark> {
        self.decimal.or(self.thousands.map(Mark::other))
    }
}

fn mark(text: &str) -> Result<Mark, String> {
    match text {
        "." => Ok(Mark::Point),
        "," => Ok(Mark::Comma),
        _ => Err("must be . or ,".into()),
    }
}

/// One ASCII character that can stand between fields; tab also by name.
pub(crate) fn delimiter(text: &str) -> Result<char, String> {
    if ["tab", "\\t"].contains(&text) {
        return Ok('\t');
    }
    match text.chars().collect::<Vec<_>>()[..] {
        [c] if c.is_ascii() && !c.is_ascii_alphanumeric() && !"\"\r\n.+-".contains(c) => Ok(c),
        _ => Err("must be one character such as , ; | or the word tab".into()),
    }
}
