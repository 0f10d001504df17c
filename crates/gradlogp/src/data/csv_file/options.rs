//! Options of reading a file.

use super::super::number_style::Mark;

/// Whether the first line holds the column names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Header {
    /// Look: see [`ReadOptions::header`].
    #[default]
    Find,
    /// It does.
    Present,
    /// It does not: the columns are named x0, x1, ...
    Absent,
}

/// Options of reading a file.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// Columns to keep, in this order; all when `None`.
    pub columns: Option<Vec<String>>,
    /// Columns to leave out.
    pub drop: Vec<String>,
    /// A fitted model's columns: matched by name (further columns are ignored), else by name in small and
    /// capital letters alike with a warning, else, when no name is
    /// the same but the number is, in order with a warning, else refused. Applied after the
    /// two fields above.
    pub like: Option<Vec<String>>,
    /// With [`Header::Find`], the first line is a header if it has text (neither number nor missing),
    /// unless it mixes numbers and text in just the places where the second line does; or if it has numbers
    /// that are names: evenly spaced, or unlike those of every column, with a warning.
    pub header: Header,
    /// The delimiter; found when `None`.
    pub delimiter: Option<u8>,
    /// The mark before decimals; found from all numbers of the file when `None`. The other one separates
    /// thousands.
    pub decimal: Option<Mark>,
    /// Leave out rows with missing values, with a warning, instead of refusing the file.
    pub drop_missing: bool,
    /// Keep missing values, as NaN; comes before `drop_missing`.
    pub keep_missing: bool,
    /// Which array of a `.npz` file; the only one when `None`.
    pub array: Option<String>,
}
