//! Tables from delimited text, gzipped or not.
//!
//! The delimiter (`,` `;` tab `|` or blanks) and whether there is a header are found from the first rows. Columns
//! are chosen before any number is parsed, so text in a column that is left out does no harm.
//!
//! Passed over: lines that begin with `#` (the last one before the rows is their header if it has as many names as
//! they have fields, which is how NumPy writes them), Excel's line `sep=;`, blank lines. Row names, as R and
//! pandas write them, are left out with a warning.
//!
//! What counts as missing (any case, spaces around ignored): an empty field, `NA`, `N/A`, `<NA>`, `NaN`, `null`, `\N`,
//! `none`, `nil`, `?`, `.`, `-`, errors of spreadsheets such as `#N/A` and `#DIV/0!`, and others of their kind.
//! A literal `NaN` is missing and not an error of its own, because that is how numerical programs write a value
//! they do not have. Infinity is never missing: it is refused. `true` and `false` are 1 and 0, with a warning.

mod layout;
mod messages;
mod options;
mod rows;

pub use options::{Header, ReadOptions};

use layout::Layout;
use rows::{Rows, too_long};

use std::fs::File;
use std::io::{self, Cursor, ErrorKind, Read};
use std::path::Path;

use csv::ByteRecord;
use ndarray::Array2;

use super::csv_sniff::{
    LONGEST_LINE, Preamble, SAMPLE_BYTES, SAMPLE_LINES, find_delimiter, latin_or_utf8,
    quoted_reader, sample_records,
};
use super::csv_stream::{Text, plain_text, refuse_foreign, with_line_feeds};
use super::{DataWarning, Table};
use crate::{Error, Result};

/// Bytes parsed by a thread at a time.
const BLOCK: usize = 4 << 20;

/// Reads a table from a file. It is recognized as gzip by its content, not its name.
///
/// # Errors
/// [`Error::Io`] if the file cannot be opened or read (missing, a directory, a damaged gzip stream);
/// [`Error::Data`], with the row counted from 1 without the header and the column where there is one,
/// for an empty file, a header without rows, a ragged row, text, an infinite or huge number (above
/// 1e150), missing values unless dropped (with their number and first place), bytes that are not
/// UTF-8, decimal commas and points in one file, numbers such as 2,238 if nothing says whether the comma is
/// decimal, unknown columns.
pub fn read_csv(path: &Path, options: &ReadOptions) -> Result<(Table, Vec<DataWarning>)> {
    read_csv_from(open(path)?, &path.display().to_string(), options)
}

/// Opens a file, not a directory.
pub(super) fn open(path: &Path) -> Result<File> {
    let open = || {
        let file = File::open(path)?;
        match file.metadata()?.is_dir() {
            true => Err(io::Error::new(ErrorKind::IsADirectory, "it is a directory, not a file")),
            false => Ok(file),
        }
    };
    open().map_err(|source| Error::io(path, "read", source))
}

/// Reads a table from a stream; `source_name` is what messages and the table are called after.
///
/// ```
/// use gradlogp::data::{ReadOptions, read_csv_from};
/// let text = "length;width\n1,5;2\n3,5;4\n";
/// let (table, warnings) = read_csv_from(text.as_bytes(), "demo", &ReadOptions::default()).unwrap();
/// assert_eq!(table.columns, ["length", "width"]);
/// assert_eq!(table.rows, ndarray::array![[1.5, 2.0], [3.5, 4.0]]);
/// assert_eq!(warnings.len(), 1); // decimal commas
/// ```
///
/// # Errors
/// Those of [`read_csv`].
pub fn read_csv_from(
    input: impl Read + Send,
    source_name: &str,
    options: &ReadOptions,
) -> Result<(Table, Vec<DataWarning>)> {
    read_in_blocks(input, source_name, options, BLOCK)
}

/// With `block` bytes for every thread at a time.
fn read_in_blocks(
    input: impl Read + Send,
    source_name: &str,
    options: &ReadOptions,
    block: usize,
) -> Result<(Table, Vec<DataWarning>)> {
    let Opened { sample, text, delimiter, layout, mut warnings } =
        Opened::new(input, source_name, options)?;
    let mut rows = Rows::new(source_name, &layout, options);
    rows.read_all(Cursor::new(sample).chain(text), delimiter, block)?;
    let (values, n) = rows.finish(&mut warnings)?;
    let columns = layout.chosen_names();
    let values = Array2::from_shape_vec((n, columns.len()), values).map_err(|_| Error::Shape {
        operation: "reading a table",
        expected: vec![n, columns.len()],
        found: vec![],
    })?;
    let table = Table { name: source_name.to_string(), columns, rows: values };
    table.validate_with(options.keep_missing)?;
    Ok((table, warnings))
}

/// A text of which the first lines were looked at.
struct Opened<'a> {
    /// The first bytes, from the header or the first row on.
    sample: Vec<u8>,
    /// The rest.
    text: Text<'a>,
    delimiter: u8,
    layout: Layout,
    warnings: Vec<DataWarning>,
}

impl<'a> Opened<'a> {
    fn new(input: impl Read + Send + 'a, source_name: &str, options: &ReadOptions) -> Result<Self> {
        let unreadable = |source| Error::io(source_name, "read", source);
        let mut text = plain_text(input).map_err(unreadable)?;
        let (mut sample, mut whole) = first_lines(&mut text, source_name)?;
        refuse_foreign(&sample, source_name)?;
        if sample.contains(&b'\r') && !sample.contains(&b'\n') {
            let all: Text<'a> = Box::new(with_line_feeds(Cursor::new(sample).chain(text), false));
            text = all;
            (sample, whole) = first_lines(&mut text, source_name)?;
        }
        let preamble = Preamble::find(&sample);
        sample.drain(..preamble.length);
        let delimiter = (options.delimiter.or(preamble.delimiter))
            .unwrap_or_else(|| find_delimiter(&sample, whole));
        let records = sample_records(&sample, delimiter, whole);
        let comment = preamble.comment.as_deref();
        let (layout, warnings) = Layout::find(&records, comment, delimiter, source_name, options)?;
        Ok(Opened { sample, text, delimiter, layout, warnings })
    }
}

/// All columns of a text as they are written, to carry those along that are no numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextTable {
    /// Names of all columns of the file.
    pub columns: Vec<String>,
    /// For every column its place in the table that the same options read, if it is there.
    pub places: Vec<Option<usize>>,
    /// The fields of every row, without blanks around them.
    pub rows: Vec<Vec<String>>,
}

/// Reads a text as it is written; the rows are those that [`read_csv_from`] reads with the same options, but
/// for those that it drops.
///
/// # Errors
/// Those of [`read_csv`] that do not come from single fields.
pub fn read_text_from(
    input: impl Read + Send,
    source_name: &str,
    options: &ReadOptions,
) -> Result<TextTable> {
    let Opened { sample, text, delimiter, layout, .. } = Opened::new(input, source_name, options)?;
    let mut rows = Rows::new(source_name, &layout, options);
    let mut reader = quoted_reader(Cursor::new(sample).chain(text), delimiter);
    let (mut record, mut fields) = (ByteRecord::new(), Vec::new());
    while reader.read_byte_record(&mut record).map_err(|e| rows.unreadable(e))? {
        if rows.is_row(&record) {
            rows.read += 1;
            if record.len() != layout.fields {
                return Err(rows.ragged(&record));
            }
            fields.push(record.iter().map(|f| latin_or_utf8(f.trim_ascii()).0).collect());
        }
    }
    Ok(TextTable { columns: layout.names, places: layout.slots, rows: fields })
}

/// The first bytes, as many as it takes for some lines; and whether that is all there is.
fn first_lines(text: &mut impl Read, source_name: &str) -> Result<(Vec<u8>, bool)> {
    let mut sample = Vec::new();
    let mut size = SAMPLE_BYTES;
    loop {
        let more = text.by_ref().take((size - sample.len()) as u64).read_to_end(&mut sample);
        more.map_err(|source| Error::io(source_name, "read", source))?;
        if sample.len() < size {
            return Ok((sample, true));
        }
        let lines = sample
            .split(|byte| matches!(byte, b'\n' | b'\r'))
            .filter(|line| !line.starts_with(b"#"));
        let lines = lines.take(SAMPLE_LINES + 1).count();
        if lines > SAMPLE_LINES || size > LONGEST_LINE && lines > 2 {
            return Ok((sample, false));
        }
        if size > SAMPLE_LINES * LONGEST_LINE || size > LONGEST_LINE && lines <= 1 {
            return Err(too_long(source_name, 0));
        }
        size *= 4;
    }
}

#[cfg(test)]
mod tests;
