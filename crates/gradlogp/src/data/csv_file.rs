//! Tables from delimited text, gzipped or not.
//!
//! The delimiter (`,` `;` tab) and whether there is a header are found from the first rows. Columns
//! are chosen before any number is parsed, so text in a column that is left out does no harm.
//!
//! What counts as missing (any case, spaces around ignored): an empty field, `NA`, `N/A`, `#N/A`,
//! `NaN`, `null`, `none`, `nil`, `?`, `.`, `-`. A literal `NaN` is missing and not an error of its own, because
//! that is how numerical programs write a value they do not have. Infinity is never missing: it is refused.

use std::fs::File;
use std::io::{self, Cursor, ErrorKind, Read};
use std::path::Path;

use csv::ByteRecord;
use ndarray::Array2;
use rayon::prelude::*;

use super::csv_field::{Field, LARGEST, is_blank, shown};
use super::csv_plain::plain_line;
use super::csv_sniff::{
    SAMPLE_BYTES, csv_reader, decompress, find_delimiter, looks_like_header, refuse_foreign,
    sample_records,
};
use super::names::{self, Match, option_list, quoted_list};
use super::{DataWarning, Table};
use crate::{Error, Result};

/// Bytes parsed by a thread at a time.
const BLOCK: usize = 4 << 20;

/// Bytes that the csv reader takes over from a line on that does not hold plain numbers.
const STRETCH: usize = 64 << 10;

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

/// How to read a file, and which of its columns.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// Columns to keep, in this order; all when `None`.
    pub columns: Option<Vec<String>>,
    /// Columns to leave out.
    pub drop: Vec<String>,
    /// A fitted model's columns: matched by name (further columns are ignored), else, when no name is
    /// the same but the number is, in order with a warning, else refused. Applied after the
    /// two fields above.
    pub like: Option<Vec<String>>,
    /// With [`Header::Find`], the first line is a header if it has text (neither number nor missing),
    /// unless it mixes numbers and text in just the places where the second line does.
    pub header: Header,
    /// The delimiter; found when `None`.
    pub delimiter: Option<u8>,
    /// Leave out rows with missing values, with a warning, instead of refusing the file.
    pub drop_missing: bool,
    /// Keep missing values, as NaN; comes before `drop_missing`.
    pub keep_missing: bool,
}

/// Reads a table from a file. It is recognised as gzip by its content, not its name.
///
/// # Errors
/// [`Error::Io`] if the file cannot be opened or read (missing, a directory, a damaged gzip stream);
/// [`Error::Data`], with the row counted from 1 without the header and the column where there is one,
/// for an empty file, a header without rows, a ragged row, text, an infinite or huge number (above
/// 1e150), missing values unless dropped (with their number and first place), bytes that are not
/// UTF-8, decimal commas and points in one file, unknown columns.
pub fn read_csv(path: &Path, options: &ReadOptions) -> Result<(Table, Vec<DataWarning>)> {
    let open = || {
        let file = File::open(path)?;
        match file.metadata()?.is_dir() {
            true => Err(io::Error::new(ErrorKind::IsADirectory, "it is a directory, not a file")),
            false => Ok(file),
        }
    };
    let file = open().map_err(|source| Error::io(path, "read", source))?;
    read_csv_from(file, &path.display().to_string(), options)
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
    let unreadable = |source| Error::io(source_name, "read", source);
    let mut text = decompress(input).map_err(unreadable)?;
    let mut sample = Vec::new();
    text.by_ref().take(SAMPLE_BYTES).read_to_end(&mut sample).map_err(unreadable)?;
    if sample.starts_with(b"\xEF\xBB\xBF") {
        sample.drain(..3);
    }
    refuse_foreign(&sample, source_name)?;
    let delimiter = options.delimiter.unwrap_or_else(|| find_delimiter(&sample));
    let (layout, mut warnings) = Layout::find(&sample, delimiter, source_name, options)?;
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

/// Room for more values, or an error where the machine gives none: a table too large is no reason to abort.
fn make_room(values: &mut Vec<f64>, more: usize, source_name: &str) -> Result<()> {
    values.try_reserve(more).map_err(|_| {
        let read = 8e-9 * values.len() as f64;
        let message = format!(
            "the table does not fit into the memory of this machine, which gave out after {read:.1} gigabytes; \
             read fewer columns, or a part of the rows"
        );
        Error::data(source_name, message)
    })
}

/// What is where in the records of a file.
struct Layout {
    /// Names of all columns of the file, unique.
    names: Vec<String>,
    /// The columns to read, in the order of the table.
    chosen: Vec<usize>,
    /// For every column of the file, its place in a row of the table, if it is chosen.
    slots: Vec<Option<usize>>,
    has_header: bool,
    commas: bool,
}

impl Layout {
    fn find(
        sample: &[u8],
        delimiter: u8,
        source_name: &str,
        options: &ReadOptions,
    ) -> Result<(Layout, Vec<DataWarning>)> {
        let commas = delimiter != b',';
        let records = sample_records(sample, delimiter, 2);
        let Some(first) = records.first() else {
            return Err(Error::data(source_name, "the file is empty"));
        };
        let has_header = match options.header {
            Header::Find => looks_like_header(&records, commas),
            Header::Present => true,
            Header::Absent => false,
        };
        let mut warnings = Vec::new();
        let names = match has_header {
            true => header_names(first, commas, options.header, source_name, &mut warnings)?,
            false => (0..first.len()).map(|i| format!("x{i}")).collect(),
        };
        let chosen = choose(source_name, &names, options, &mut warnings)?;
        let slots = (0..names.len()).map(|i| chosen.iter().position(|&c| c == i)).collect();
        Ok((Layout { names, chosen, slots, has_header, commas }, warnings))
    }

    fn chosen_names(&self) -> Vec<String> {
        self.chosen.iter().map(|&i| self.names[i].clone()).collect()
    }
}

fn choose(
    source_name: &str,
    names: &[String],
    options: &ReadOptions,
    warnings: &mut Vec<DataWarning>,
) -> Result<Vec<usize>> {
    let chosen = names::choose(source_name, names, options.columns.as_deref(), &options.drop)?;
    let Some(model) = &options.like else { return Ok(chosen) };
    let have: Vec<String> = chosen.iter().map(|&i| names[i].clone()).collect();
    match names::match_model(source_name, &have, model)? {
        Match::ByName(order) => Ok(order.into_iter().map(|k| chosen[k]).collect()),
        Match::ByPosition => {
            warnings.push(DataWarning::MatchedByPosition { model: model.clone(), table: have });
            Ok(chosen)
        }
    }
}

/// Column names from the first record: trimmed; a repeated name gets _2, _3, ..., an empty one x and
/// its index, both with a warning.
fn header_names(
    record: &ByteRecord,
    commas: bool,
    header: Header,
    source_name: &str,
    warnings: &mut Vec<DataWarning>,
) -> Result<Vec<String>> {
    let decode = |field: &[u8]| str::from_utf8(field.trim_ascii()).map(str::to_string);
    let mut names: Vec<String> =
        record.iter().map(decode).collect::<Result<_, _>>().map_err(|_| {
            Error::data(source_name, "the column names are not valid UTF-8; save the file as UTF-8")
        })?;
    let is_number = |name: &&String| Field::parse(name.as_bytes(), commas).is_number();
    let fields: Vec<String> = names.iter().filter(is_number).cloned().collect();
    if header == Header::Find && !fields.is_empty() {
        warnings.push(DataWarning::NumericHeader { fields });
    }
    let renamed = make_unique(&mut names);
    if !renamed.is_empty() {
        warnings.push(DataWarning::RenamedColumns { renamed });
    }
    Ok(names)
}

/// Renames empty and repeated names; returns (old, new).
fn make_unique(names: &mut [String]) -> Vec<(String, String)> {
    let mut renamed = Vec::new();
    for i in 0..names.len() {
        let old = names[i].clone();
        let taken = |name: &str, names: &[String]| {
            names.iter().enumerate().any(|(j, other)| j != i && other == name)
        };
        let mut new = if old.is_empty() { format!("x{i}") } else { old.clone() };
        let mut number = 1;
        let repeats = old.is_empty() || names[..i].contains(&old);
        while repeats && taken(&new, names) {
            number += 1;
            new = if old.is_empty() { format!("x{i}_{number}") } else { format!("{old}_{number}") };
        }
        if new != old {
            renamed.push((old, new.clone()));
            names[i] = new;
        }
    }
    renamed
}

/// At most `count` parts of whole lines, of about the same length.
fn split_lines(lines: &[u8], count: usize) -> Vec<&[u8]> {
    let (mut parts, mut rest) = (Vec::with_capacity(count), lines);
    for left in (1..=count).rev() {
        let (part, after) = split_after_line(rest, rest.len().div_ceil(left));
        if !part.is_empty() {
            parts.push(part);
        }
        rest = after;
    }
    parts
}

/// Appends at most `size` bytes of `text`; how many there were.
fn fetch(text: &mut impl Read, size: u64, into: &mut Vec<u8>) -> io::Result<usize> {
    text.take(size).read_to_end(into)
}

/// At the end of the line in which byte `least` lies.
fn split_after_line(lines: &[u8], least: usize) -> (&[u8], &[u8]) {
    let least = least.min(lines.len());
    let end = lines[least..].iter().position(|byte| *byte == b'\n');
    lines.split_at(end.map_or(lines.len(), |end| least + end + 1))
}

/// Missing values seen so far.
#[derive(Default)]
struct Missing {
    values: usize,
    rows: usize,
    /// Row, column and text of the first one.
    first: Option<(usize, usize, String)>,
}

/// Numbers read so far, and what was noticed on the way.
struct Rows<'a> {
    source_name: &'a str,
    layout: &'a Layout,
    options: &'a ReadOptions,
    values: Vec<f64>,
    /// Data rows read, those left out included.
    read: usize,
    /// The next line holds the names.
    header_due: bool,
    missing: Missing,
    decimal_commas: usize,
    first_comma: Option<String>,
    first_point: Option<(usize, usize)>,
}

impl<'a> Rows<'a> {
    fn new(source_name: &'a str, layout: &'a Layout, options: &'a ReadOptions) -> Self {
        Rows {
            source_name,
            layout,
            options,
            values: Vec::new(),
            read: 0,
            header_due: layout.has_header,
            missing: Missing::default(),
            decimal_commas: 0,
            first_comma: None,
            first_point: None,
        }
    }

    /// Reads to the end. Blocks of whole lines without a quotation mark are parsed by all threads while the
    /// next block is fetched; from the first quotation mark on a line need not be a record, and one thread
    /// reads on.
    fn read_all(&mut self, mut text: impl Read + Send, delimiter: u8, block: usize) -> Result<()> {
        let size = (block * rayon::current_num_threads()) as u64;
        let source_name = self.source_name;
        let unreadable = |source| Error::io(source_name, "read", source);
        // Of `block` the last `more` bytes are new; those before begin a line.
        let (mut block, mut next) = (Vec::new(), Vec::new());
        let mut more = fetch(&mut text, size, &mut block).map_err(unreadable)?;
        loop {
            if block[block.len() - more..].contains(&b'"') {
                return self.read_records(csv_reader(Cursor::new(block).chain(text), delimiter));
            }
            if more == 0 {
                return self.read_lines(&block, delimiter);
            }
            let lines = block.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            next.clear();
            next.extend_from_slice(&block[lines..]);
            let (parsed, fetched) = rayon::join(
                || self.read_lines(&block[..lines], delimiter),
                || fetch(&mut text, size, &mut next),
            );
            parsed?;
            more = fetched.map_err(unreadable)?;
            std::mem::swap(&mut block, &mut next);
        }
    }

    /// Whole lines without quotation marks, a part for every thread.
    fn read_lines(&mut self, lines: &[u8], delimiter: u8) -> Result<()> {
        let parts = split_lines(lines, rayon::current_num_threads());
        let (source_name, layout, options) = (self.source_name, self.layout, self.options);
        let read: Vec<_> = (parts.par_iter().enumerate())
            .map(|(k, part)| {
                let mut rows = Rows::new(source_name, layout, options);
                rows.header_due = self.header_due && k == 0;
                rows.read_part(part, delimiter).map(|()| rows)
            })
            .collect();
        for (k, (part, rows)) in parts.into_iter().zip(read).enumerate() {
            match rows {
                Ok(rows) if k == 0 || !self.header_due => self.append(rows)?,
                // Once more: for a message with the number of rows before it, or because the part before
                // was blank and this one begins with the names.
                _ => self.read_part(part, delimiter)?,
            }
        }
        Ok(())
    }

    /// Whole lines without quotation marks, on this thread: plain numbers at once, and from any other line
    /// on a stretch by the csv reader.
    fn read_part(&mut self, mut lines: &[u8], delimiter: u8) -> Result<()> {
        while !lines.is_empty() {
            lines = self.read_plain(lines, delimiter);
            let (stretch, rest) = split_after_line(lines, STRETCH);
            self.read_records(csv_reader(stretch, delimiter))?;
            lines = rest;
        }
        Ok(())
    }

    /// Lines of plain numbers; returns those from the first other line on.
    fn read_plain<'t>(&mut self, mut lines: &'t [u8], delimiter: u8) -> &'t [u8] {
        let (slots, width) = (&self.layout.slots, self.layout.chosen.len());
        while !lines.is_empty() && !self.header_due {
            let start = self.values.len();
            self.values.resize(start + width, 0.0);
            let length = plain_line(lines, delimiter, slots, &mut self.values[start..]);
            // The first decimal point of a file that may have commas is noted elsewhere.
            let plain = |length: &usize| {
                !self.layout.commas
                    || self.first_point.is_some()
                    || !lines[..*length].contains(&b'.')
            };
            let Some(length) = length.filter(plain) else {
                self.values.truncate(start);
                break;
            };
            self.read += 1;
            lines = &lines[length..];
        }
        lines
    }

    /// Takes over rows that follow those read so far.
    fn append(&mut self, rows: Rows<'_>) -> Result<()> {
        let before = self.read;
        make_room(&mut self.values, rows.values.len(), self.source_name)?;
        self.values.extend_from_slice(&rows.values);
        self.read += rows.read;
        self.header_due = rows.header_due;
        self.missing.values += rows.missing.values;
        self.missing.rows += rows.missing.rows;
        if self.missing.first.is_none() {
            let first = rows.missing.first;
            self.missing.first = first.map(|(row, column, text)| (before + row, column, text));
        }
        self.decimal_commas += rows.decimal_commas;
        self.first_comma = self.first_comma.take().or(rows.first_comma);
        let point = rows.first_point.map(|(row, column)| (before + row, column));
        self.first_point = self.first_point.or(point);
        Ok(())
    }

    fn read_records<R: Read>(&mut self, mut reader: csv::Reader<R>) -> Result<()> {
        let mut record = ByteRecord::new();
        while reader.read_byte_record(&mut record).map_err(|e| self.unreadable(e))? {
            if is_blank(&record) && self.layout.names.len() > 1 {
                continue;
            }
            if std::mem::take(&mut self.header_due) {
                continue;
            }
            self.read += 1;
            self.push(&record)?;
        }
        Ok(())
    }

    fn unreadable(&self, error: csv::Error) -> Error {
        let text = error.to_string();
        match error.into_kind() {
            csv::ErrorKind::Io(source) => Error::io(self.source_name, "read", source),
            _ => Error::data(self.source_name, text),
        }
    }

    fn push(&mut self, record: &ByteRecord) -> Result<()> {
        if record.len() != self.layout.names.len() {
            return Err(self.ragged(record));
        }
        let start = self.values.len();
        make_room(&mut self.values, self.layout.chosen.len(), self.source_name)?;
        let mut complete = true;
        for &column in &self.layout.chosen {
            let bytes = &record[column];
            match Field::parse(bytes, self.layout.commas) {
                Field::Number(value) => {
                    if self.layout.commas && self.first_point.is_none() && bytes.contains(&b'.') {
                        self.first_point = Some((self.read, column));
                    }
                    self.values.push(value);
                }
                Field::Comma(value) => {
                    self.decimal_commas += 1;
                    self.first_comma.get_or_insert_with(|| shown(bytes));
                    self.values.push(value);
                }
                Field::Missing if self.options.keep_missing => self.values.push(f64::NAN),
                Field::Missing => {
                    complete = false;
                    self.note_missing(column, bytes);
                }
                bad => return Err(self.refuse(record, column, bad)),
            }
        }
        if !complete {
            self.missing.rows += 1;
            self.values.truncate(start);
        }
        Ok(())
    }

    fn note_missing(&mut self, column: usize, bytes: &[u8]) {
        self.missing.values += 1;
        if self.missing.first.is_none() {
            self.missing.first = Some((self.read, column, shown(bytes)));
        }
    }

    /// An error at the current row.
    fn error_at(&self, row: usize, column: Option<usize>, message: String) -> Error {
        Error::Data {
            source_name: self.source_name.to_string(),
            row: Some(row),
            column: column.map(|i| self.layout.names[i].clone()),
            message,
        }
    }

    fn ragged(&self, record: &ByteRecord) -> Error {
        let (expected, found) = (self.layout.names.len(), record.len());
        let like = if self.layout.has_header { "the header" } else { "the first row" };
        let quote = match record.iter().any(|field| field.contains(&b'\n')) {
            true => "; a field goes over several lines: is a quotation mark not closed?",
            false => "",
        };
        let count = |n: usize| if n == 1 { "1 field".into() } else { format!("{n} fields") };
        let (expected, found) = (count(expected), count(found));
        let fields_text = record.iter().collect::<Vec<_>>().join(&b',');
        let message = format!(
            "expected {expected}, like {like}, found {found}: {}{quote}",
            shown(&fields_text)
        );
        self.error_at(self.read, None, message)
    }

    fn refuse(&self, record: &ByteRecord, column: usize, bad: Field) -> Error {
        let text = shown(&record[column]);
        let name = option_list(&[&self.layout.names[column]]);
        let message = match bad {
            Field::Infinite => format!(
                "\"{text}\" is infinite; remove the row, mark it as missing or leave the column out \
                 with --drop {name}"
            ),
            Field::Huge => format!(
                "{text} is too large: its square overflows (the limit is {LARGEST:e}); rescale the \
                 column, take logarithms, or leave it out with --drop {name}"
            ),
            Field::NotUtf8 => format!("\"{text}\" is not valid UTF-8; save the file as UTF-8"),
            _ => format!("\"{text}\" is not a number{}", self.text_hint(record, &text)),
        };
        self.error_at(self.read, Some(column), message)
    }

    /// What to do about text: all text columns of this row are named, to spare further rounds.
    fn text_hint(&self, record: &ByteRecord, text: &str) -> String {
        let layout = self.layout;
        let is_text = |&&i: &&usize| Field::parse(&record[i], layout.commas).is_text();
        let columns: Vec<&str> =
            layout.chosen.iter().filter(is_text).map(|&i| layout.names[i].as_str()).collect();
        let drop = option_list(&columns);
        let digits = text.contains(|c: char| c.is_ascii_digit());
        if layout.names.len() == 1 && text.contains([' ', '|', ':']) {
            "; columns must be separated by commas, semicolons or tabs".into()
        } else if digits && text.contains(',') {
            "; numbers are written with a decimal point and without thousands separators".into()
        } else if !layout.has_header && self.read == 1 {
            format!("; if this line holds the column names, say --header, otherwise --drop {drop}")
        } else if columns.len() > 1 {
            format!("; columns {} hold text: --drop {drop}", quoted_list(&columns))
        } else {
            format!("; correct it, or leave the column out with --drop {drop}")
        }
    }

    /// The numbers in row order and the number of rows, after the checks that need the whole file.
    fn finish(self, warnings: &mut Vec<DataWarning>) -> Result<(Vec<f64>, usize)> {
        if self.read == 0 {
            let message = "there is a line of column names but no row of data (if it is data, say \
                           --no-header)";
            return Err(Error::data(self.source_name, message));
        }
        if let (Some(first), Some((row, column))) = (&self.first_comma, self.first_point) {
            let message = format!(
                "a number with a decimal point here and one with a comma (\"{first}\") elsewhere: \
                 write all numbers with a decimal point and without thousands separators"
            );
            return Err(self.error_at(row, Some(column), message));
        }
        self.judge_missing(warnings)?;
        if let Some(first) = self.first_comma {
            warnings.push(DataWarning::DecimalCommas { count: self.decimal_commas, first });
        }
        Ok((self.values, self.read - self.missing.rows))
    }

    fn judge_missing(&self, warnings: &mut Vec<DataWarning>) -> Result<()> {
        let Missing { values, rows, first } = &self.missing;
        let Some((row, column, text)) = first else { return Ok(()) };
        if *rows == self.read {
            let message = format!(
                "every row has a missing value, the first here (\"{text}\"); leave the column out \
                 with --drop {}",
                option_list(&[&self.layout.names[*column]])
            );
            return Err(self.error_at(*row, Some(*column), message));
        }
        if self.options.drop_missing {
            warnings.push(DataWarning::MissingDropped { dropped: *rows, total: self.read });
            return Ok(());
        }
        let plural = if *values == 1 { "value" } else { "values" };
        let message = format!(
            "{values} missing {plural} in {rows} of {} rows, the first here (\"{text}\"); leave these \
             rows out with --drop-missing, or fill them in",
            self.read
        );
        Err(self.error_at(*row, Some(*column), message))
    }
}

#[cfg(test)]
#[path = "csv_file_tests.rs"]
mod tests;
