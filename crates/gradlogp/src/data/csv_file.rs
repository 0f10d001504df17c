//! Tables from delimited text, gzipped or not.
//!
//! The delimiter (`,` `;` tab `|` or blanks) and whether there is a header are found from the first rows. Columns
//! are chosen before any number is parsed, so text in a column that is left out does no harm.
//!
//! Passed over: lines that begin with `#` (the last one before the rows is their header if it has as many names as
//! they have fields, which is how NumPy writes them), Excel's line `sep=;`, blank lines. Row names, as R and pandas write
//! them, are left out with a warning.
//!
//! What counts as missing (any case, spaces around ignored): an empty field, `NA`, `N/A`, `<NA>`, `NaN`, `null`, `\N`,
//! `none`, `nil`, `?`, `.`, `-`, errors of spreadsheets such as `#N/A` and `#DIV/0!`, and others of their kind. A literal
//! `NaN` is missing and not an error of its own, because that is how numerical programs write a value they do not have.
//! Infinity is never missing: it is refused. `true` and `false` are 1 and 0, with a warning.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Cursor, ErrorKind, Read};
use std::path::Path;

use csv::ByteRecord;
use ndarray::Array2;
use rayon::prelude::*;

use super::csv_field::{Field, LARGEST, is_blank, lone_point, shown, shown_number, without_point};
use super::csv_plain::plain_line;
use super::csv_sniff::{
    LONGEST_LINE, NumericHeader, Preamble, SAMPLE_BYTES, SAMPLE_LINES, csv_reader, find_delimiter,
    latin_or_utf8, looks_like_header, numeric_header, quoted_reader, sample_records,
};
use super::csv_stream::{Text, plain_text, refuse_foreign, with_line_feeds};
use super::names::{self, Match, option_list, quoted_list};
use super::number_style::{Evidence, Mark, Place, Style, Undecided, Why};
use super::{DataWarning, LeftOut, Table};
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

/// Reads a table from a file. It is recognised as gzip by its content, not its name.
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

fn too_long(source_name: &str, rows: usize) -> Error {
    let after = if rows > 0 { format!(" after row {rows}") } else { String::new() };
    let message = format!(
        "a line{after} goes on for more than {} MiB: this is no table with one row in each line",
        LONGEST_LINE >> 20
    );
    Error::data(source_name, message)
}

/// What is where in the records of a file.
struct Layout {
    /// Names of all columns of the file, unique.
    names: Vec<String>,
    /// The columns to read, in the order of the table.
    chosen: Vec<usize>,
    /// For every column of the file, its place in a row of the table, if it is chosen.
    slots: Vec<Option<usize>>,
    /// Whether the names stand in the first record.
    has_header: bool,
    /// Fields that a record must have.
    fields: usize,
}

impl Layout {
    fn find(
        records: &[ByteRecord],
        comment: Option<&str>,
        delimiter: u8,
        source_name: &str,
        options: &ReadOptions,
    ) -> Result<(Layout, Vec<DataWarning>)> {
        let Some(first) = records.first() else {
            return Err(Error::data(source_name, "the file is empty"));
        };
        let mut warnings = Vec::new();
        let text = looks_like_header(records);
        let comment = match options.header {
            Header::Absent => None,
            Header::Find | Header::Present => comment.and_then(|line| {
                let names = names_in_comment(line, delimiter, first.len(), options)?;
                (!text).then_some(names)
            }),
        };
        let has_header = comment.is_none()
            && match options.header {
                Header::Present => true,
                Header::Absent => false,
                Header::Find => text || is_numeric_header(records, options, &mut warnings),
            };
        let named = comment.is_some() || has_header;
        let (mut names, latin) = match comment {
            Some(names) => (names, Vec::new()),
            None if has_header => decoded(first),
            None => ((0..first.len()).map(|i| format!("x{i}")).collect(), Vec::new()),
        };
        if text && has_header && options.header == Header::Find {
            let is_number = |name: &&String| Field::parse(name.as_bytes()).is_number();
            let fields: Vec<String> = names.iter().filter(is_number).cloned().collect();
            if !fields.is_empty() {
                warnings.push(DataWarning::NumericHeader { fields });
            }
        }
        let body = if has_header { &records[1..] } else { records };
        let aside = if named { columns_aside(&mut names, body, options) } else { BTreeMap::new() };
        let renamed = names::make_unique(&mut names);
        let chosen = choose(source_name, &names, &aside, options, &mut warnings)?;
        let fields = names.len();
        let mut slots = vec![None; fields];
        chosen.iter().enumerate().for_each(|(slot, column)| slots[*column] = Some(slot));
        let left_out = |column: &usize| slots[*column].is_none();
        for (column, why) in aside.iter().filter(|(column, _)| left_out(column)) {
            let column = names[*column].clone();
            warnings.push(DataWarning::ColumnLeftOut { column, why: *why });
        }
        let used: HashSet<&String> = chosen.iter().map(|column| &names[*column]).collect();
        let renamed: Vec<_> = renamed.into_iter().filter(|(_, new)| used.contains(new)).collect();
        if !renamed.is_empty() {
            warnings.push(DataWarning::RenamedColumns { renamed });
        }
        let latin: Vec<String> = latin
            .into_iter()
            .map(|at| names[at].clone())
            .filter(|name| used.contains(name))
            .collect();
        if !latin.is_empty() {
            warnings.push(DataWarning::NamesInLatin1 { columns: latin });
        }
        Ok((Layout { names, chosen, slots, has_header, fields }, warnings))
    }

    fn chosen_names(&self) -> Vec<String> {
        self.chosen.iter().map(|&i| self.names[i].clone()).collect()
    }
}

/// The names in a comment such as `# a,b`, if there are as many as fields; for one field, a single word.
fn names_in_comment(
    line: &str,
    delimiter: u8,
    fields: usize,
    options: &ReadOptions,
) -> Option<Vec<String>> {
    let records = sample_records(line.as_bytes(), delimiter, true);
    let names: Vec<String> =
        records.first()?.iter().map(|name| latin_or_utf8(name.trim_ascii()).0).collect();
    let text = |name: &String| Field::parse(name.as_bytes()).is_text();
    let fits = names.len() == fields && names.iter().any(text) && records.len() == 1;
    if !fits || fields == 1 && line.trim().contains(char::is_whitespace) {
        return None;
    }
    // A column that is called #, or #id where somebody asks for it so.
    let marked = format!("#{}", names[0]);
    let wanted = |list: &[String]| list.contains(&marked);
    let asked = options.columns.as_deref().is_some_and(wanted)
        || options.like.as_deref().is_some_and(wanted)
        || wanted(&options.drop);
    let mut names = names;
    if names[0].is_empty() || asked {
        names[0] = marked;
    }
    Some(names)
}

/// Whether a first row of numbers holds names, with a warning where it does or may.
fn is_numeric_header(
    records: &[ByteRecord],
    options: &ReadOptions,
    warnings: &mut Vec<DataWarning>,
) -> bool {
    let first: Vec<String> =
        records[0].iter().map(|field| latin_or_utf8(field.trim_ascii()).0).collect();
    let among = |names: &[String]| {
        let first: HashSet<&String> = first.iter().collect();
        !names.is_empty() && names.iter().all(|name| first.contains(name))
    };
    let asked = [options.columns.as_deref(), options.like.as_deref(), Some(&options.drop)];
    // Names that were asked for are names.
    if asked.into_iter().flatten().any(among) {
        return true;
    }
    match numeric_header(records) {
        NumericHeader::No => false,
        NumericHeader::Yes => {
            warnings.push(DataWarning::NumbersAsNames { fields: first });
            true
        }
        NumericHeader::Perhaps => {
            warnings.push(DataWarning::NamesAsNumbers { fields: first });
            false
        }
    }
}

/// Names of the first record, trimmed, and which of them are in Latin-1.
fn decoded(record: &ByteRecord) -> (Vec<String>, Vec<usize>) {
    let names: Vec<(String, bool)> =
        record.iter().map(|field| latin_or_utf8(field.trim_ascii())).collect();
    let latin = (0..names.len()).filter(|&i| names[i].1).collect();
    (names.into_iter().map(|(name, _)| name.trim().to_string()).collect(), latin)
}

/// Columns that are none of the table: names of rows, or nothing at all after a delimiter at the end. Where the
/// header has one name less than the rows have fields, that one is added.
fn columns_aside(
    names: &mut Vec<String>,
    body: &[ByteRecord],
    options: &ReadOptions,
) -> BTreeMap<usize, LeftOut> {
    const ROW_NAMES: &str = "row_names";
    let mut aside = BTreeMap::new();
    let Some(second) = body.first() else { return aside };
    let fields = second.len();
    let alike = body.iter().all(|record| record.len() == fields);
    let empty = |at: usize| {
        alike && body.iter().all(|record| record.get(at).is_some_and(|f| f.trim_ascii().is_empty()))
    };
    if alike && fields == names.len() + 1 {
        if empty(fields - 1) {
            names.push(String::new());
        } else {
            names.insert(0, ROW_NAMES.into());
            aside.insert(0, LeftOut::RowNames);
        }
    } else if names.len() > 1 && names[0].is_empty() && fields == names.len() {
        let labels: Vec<Field> = body.iter().filter_map(|r| r.get(0)).map(Field::parse).collect();
        let counts =
            |pair: &[Field]| matches!(pair, [Field::Number(a), Field::Number(b)] if b - a == 1.0);
        let text = labels.iter().all(|label| label.is_text());
        if text
            || labels.windows(2).all(counts) && labels[0].value().is_some_and(|x| x.fract() == 0.0)
        {
            names[0] = ROW_NAMES.into();
            aside.insert(0, LeftOut::RowNames);
        }
    }
    let last = names.len() - 1;
    if last > 0 && names[last].is_empty() && empty(last) {
        aside.insert(last, LeftOut::Empty);
    }
    // What is asked for by name is part of the table.
    let asked = [options.columns.as_deref(), options.like.as_deref()];
    aside.retain(|at, _| !asked.iter().flatten().any(|names_| names_.contains(&names[*at])));
    aside
}

fn choose(
    source_name: &str,
    names: &[String],
    aside: &BTreeMap<usize, LeftOut>,
    options: &ReadOptions,
    warnings: &mut Vec<DataWarning>,
) -> Result<Vec<usize>> {
    let mut chosen = names::choose(source_name, names, options.columns.as_deref(), &options.drop)?;
    chosen.retain(|column| !aside.contains_key(column));
    if chosen.is_empty() {
        return Err(Error::data(source_name, "there is no column but names of rows"));
    }
    let Some(model) = &options.like else { return Ok(chosen) };
    let have: Vec<String> = chosen.iter().map(|&i| names[i].clone()).collect();
    match names::match_model(source_name, &have, model)? {
        Match::Names(order) => Ok(order.into_iter().map(|k| chosen[k]).collect()),
        Match::Letters(order) => {
            let table = order.iter().map(|k| have[*k].clone()).collect();
            warnings.push(DataWarning::MatchedByLetters { model: model.clone(), table });
            Ok(order.into_iter().map(|k| chosen[k]).collect())
        }
        Match::Positions => {
            warnings.push(DataWarning::MatchedByPosition { model: model.clone(), table: have });
            Ok(chosen)
        }
    }
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
    /// For the first rows with holes, the slots of these.
    holes: Vec<Vec<u32>>,
}

/// Rows whose holes are kept, for advice.
const HOLES: usize = 100_000;

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
    evidence: Evidence,
    /// Values that are true or false, by slot.
    bools: BTreeMap<usize, usize>,
    /// Rows passed over because they begin with `#`, and the first of them.
    comments: usize,
    first_comment: Option<String>,
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
            evidence: Evidence::new(layout.chosen.len()),
            bools: BTreeMap::new(),
            comments: 0,
            first_comment: None,
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
            if delimiter == b' ' || block[block.len() - more..].contains(&b'"') {
                return self.read_records(quoted_reader(Cursor::new(block).chain(text), delimiter));
            }
            if more == 0 {
                return self.read_lines(&block, delimiter);
            }
            let lines = block.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            if lines == 0 && block.len() > LONGEST_LINE {
                return Err(too_long(source_name, self.read));
            }
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
                rows.evidence = self.evidence.part();
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
        // Numbers of a line that have something to say of their points: slot, whether they have two readings, and
        // where they stand.
        let mut points: Vec<(usize, bool, std::ops::Range<usize>)> = Vec::new();
        while !lines.is_empty() && !self.header_due {
            let start = self.values.len();
            self.values.resize(start + width, 0.0);
            points.clear();
            let proven = &self.evidence.proven;
            let row = &mut self.values[start..];
            let length = plain_line(lines, delimiter, slots, row, |slot, token| {
                if !proven[slot] && token.contains(&b'.') {
                    let at = token.as_ptr() as usize - lines.as_ptr() as usize;
                    points.push((slot, lone_point(token), at..at + token.len()));
                }
            });
            let Some(length) = length else {
                self.values.truncate(start);
                break;
            };
            self.read += 1;
            let row = self.read;
            for (slot, two, at) in points.drain(..) {
                let place = || Place { row, text: shown_number(&lines[at]) };
                match two {
                    true => {
                        let comma = without_point(self.values[start + slot]);
                        self.evidence.lone_point(slot, start + slot, comma, place);
                    }
                    false => self.evidence.prove(slot, place),
                }
            }
            lines = &lines[length..];
        }
        lines
    }

    /// Takes over rows that follow those read so far.
    fn append(&mut self, rows: Rows<'_>) -> Result<()> {
        let before = self.read;
        make_room(&mut self.values, rows.values.len(), self.source_name)?;
        self.evidence.append(rows.evidence, before, self.values.len());
        self.values.extend_from_slice(&rows.values);
        self.read += rows.read;
        self.header_due = rows.header_due;
        self.missing.values += rows.missing.values;
        self.missing.rows += rows.missing.rows;
        if self.missing.first.is_none() {
            let first = rows.missing.first;
            self.missing.first = first.map(|(row, column, text)| (before + row, column, text));
        }
        let room = HOLES.saturating_sub(self.missing.holes.len());
        self.missing.holes.extend(rows.missing.holes.into_iter().take(room));
        for (slot, count) in rows.bools {
            *self.bools.entry(slot).or_default() += count;
        }
        self.comments += rows.comments;
        self.first_comment = self.first_comment.take().or(rows.first_comment);
        Ok(())
    }

    fn read_records<R: Read>(&mut self, mut reader: csv::Reader<R>) -> Result<()> {
        let mut record = ByteRecord::new();
        while reader.read_byte_record(&mut record).map_err(|e| self.unreadable(e))? {
            if self.is_row(&record) {
                self.read += 1;
                self.push(&record)?;
            }
        }
        Ok(())
    }

    /// Whether a record is neither blank nor the header nor a comment.
    fn is_row(&mut self, record: &ByteRecord) -> bool {
        let blank = is_blank(record) && self.layout.fields > 1;
        !blank && !std::mem::take(&mut self.header_due) && !self.passes_over(record)
    }

    /// Whether a record is a comment: it begins with `#`, and has another number of fields than the table, or no
    /// number where the first column has one.
    fn passes_over(&mut self, record: &ByteRecord) -> bool {
        let Some(first) = record.get(0).filter(|field| field.trim_ascii_start().starts_with(b"#"))
        else {
            return false;
        };
        if Field::parse(first) == Field::Missing {
            return false;
        }
        let like_a_row = record.len() == self.layout.fields;
        if like_a_row && self.layout.slots[0].is_none() {
            return false;
        }
        if like_a_row && record.len() > 1 {
            self.comments += 1;
            self.first_comment.get_or_insert_with(|| shown(first));
        }
        true
    }

    fn unreadable(&self, error: csv::Error) -> Error {
        let text = error.to_string();
        match error.into_kind() {
            csv::ErrorKind::Io(source) => Error::io(self.source_name, "read", source),
            _ => Error::data(self.source_name, text),
        }
    }

    fn push(&mut self, record: &ByteRecord) -> Result<()> {
        if record.len() != self.layout.fields {
            return Err(self.ragged(record));
        }
        let start = self.values.len();
        make_room(&mut self.values, self.layout.chosen.len(), self.source_name)?;
        let mut holes = Vec::new();
        for (slot, &column) in self.layout.chosen.iter().enumerate() {
            let bytes = &record[column];
            match Field::parse(bytes) {
                Field::Number(value) => self.values.push(value),
                Field::Marked(number) => {
                    let (at, row) = (self.values.len(), self.read);
                    self.evidence
                        .note(slot, at, &number, || Place { row, text: shown_number(bytes) });
                    self.values.push(number.point.or(number.comma).unwrap_or(f64::NAN));
                }
                Field::Bool(value) => {
                    *self.bools.entry(slot).or_default() += 1;
                    self.values.push(f64::from(u8::from(value)));
                }
                Field::Missing if self.options.keep_missing => self.values.push(f64::NAN),
                Field::Missing => {
                    holes.push(slot as u32);
                    self.note_missing(column, bytes);
                    self.values.push(f64::NAN);
                }
                bad => return Err(self.refuse(record, column, bad)),
            }
        }
        if !holes.is_empty() {
            self.missing.rows += 1;
            if self.missing.holes.len() < HOLES {
                self.missing.holes.push(holes);
            }
            self.values.truncate(start);
            self.evidence.truncate(start);
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
        let (expected, found) = (self.layout.fields, record.len());
        let like = if self.layout.has_header { "the header" } else { "the first row" };
        let quote = match record.iter().any(|field| field.contains(&b'\n')) {
            true => "; a field goes over several lines: is a quotation mark not closed?",
            false => "",
        };
        let count = |n: usize| if n == 1 { "1 field".into() } else { format!("{n} fields") };
        let (expected, found) = (count(expected), count(found));
        let fields_text = record.iter().take(40).collect::<Vec<_>>().join(&b',');
        let message = format!(
            "expected {expected}, like {like}, found {found}: {}{quote}",
            shown(&fields_text)
        );
        self.error_at(self.read, None, message)
    }

    /// Whether a fitted model needs the column.
    fn is_needed(&self, column: usize) -> bool {
        self.options.like.is_some() && self.layout.slots[column].is_some()
    }

    fn refuse(&self, record: &ByteRecord, column: usize, bad: Field) -> Error {
        let text = shown(&record[column]);
        let name = option_list(&[&self.layout.names[column]]);
        let needed = self.is_needed(column);
        let or_leave_out = match needed {
            true => "; the model needs this column".to_string(),
            false => format!(", or leave it out with `drop` {name}"),
        };
        let message = match bad {
            Field::Infinite if needed => format!(
                "\"{text}\" is infinite; remove the row or correct it; the model needs this column"
            ),
            Field::Infinite => format!(
                "\"{text}\" is infinite; remove the row, mark it as missing or leave the column out \
                 with `drop` {name}"
            ),
            Field::Huge => format!(
                "{text} is too large: its square overflows (the limit is {LARGEST:e}); rescale the \
                 column, take logarithms{or_leave_out}"
            ),
            Field::NotUtf8 => format!("\"{text}\" is not valid UTF-8; save the file as UTF-8"),
            _ => format!("\"{text}\" is not a number{}", self.text_hint(record, column, &text)),
        };
        self.error_at(self.read, Some(column), message)
    }

    /// What to do about text: all text columns of this row are named, to spare further rounds.
    fn text_hint(&self, record: &ByteRecord, column: usize, text: &str) -> String {
        let layout = self.layout;
        let is_text = |&&i: &&usize| Field::parse(&record[i]).is_text();
        let columns: Vec<&str> =
            layout.chosen.iter().filter(is_text).map(|&i| layout.names[i].as_str()).collect();
        let drop = option_list(&columns);
        let digits = text.contains(|c: char| c.is_ascii_digit());
        if layout.names.len() == 1 && text.contains([' ', '|', ':']) {
            "; columns must be separated by commas, semicolons or tabs".into()
        } else if !layout.has_header && self.read == 1 && !self.is_needed(column) {
            format!("; if this line holds the column names, say `header`, otherwise `drop` {drop}")
        } else if self.is_needed(column) {
            "; correct it: the model needs this column".into()
        } else if columns.len() > 1 {
            format!("; columns {} hold text: `drop` {drop}", quoted_list(&columns))
        } else if is_date(text) {
            format!(
                ": it looks like a date; write days or seconds as numbers, or leave the column out with `drop` \
                 {drop}"
            )
        } else if digits && text.contains(',') {
            "; numbers are written with a decimal point and without thousands separators".into()
        } else {
            format!("; correct it, or leave the column out with `drop` {drop}")
        }
    }

    /// The numbers in row order and the number of rows, after the checks that need the whole file.
    fn finish(mut self, warnings: &mut Vec<DataWarning>) -> Result<(Vec<f64>, usize)> {
        if self.read == 0 && self.comments > 0 {
            let message = format!(
                "there is no row of data: all {} rows begin with #, which marks a comment",
                self.comments
            );
            return Err(Error::data(self.source_name, message));
        }
        if self.read == 0 {
            let message = "there is a line of column names but no row of data (if it is data, say \
                           `no header`)";
            return Err(Error::data(self.source_name, message));
        }
        let width = self.layout.chosen.len();
        let style = self.evidence.decide(&mut self.values, width, self.options.decimal);
        let style = style.map_err(|undecided| self.undecided(undecided))?;
        self.judge_missing(warnings)?;
        self.tell(style, warnings);
        Ok((self.values, self.read - self.missing.rows))
    }

    /// Why numbers of the file cannot be read, and what would help.
    fn undecided(&self, Undecided { column, place: Place { row, text }, why }: Undecided) -> Error {
        let message = match why {
            Why::Both(other) => format!(
                "\"{text}\" has a decimal point and \"{other}\" elsewhere a comma: write all numbers with a decimal \
                 point and without thousands separators"
            ),
            Why::Against(mark) => {
                let (mark, other) = (mark.char(), mark.other().char());
                format!(
                    "\"{text}\" cannot be read with \"{mark}\" before decimals and \"{other}\" between thousands"
                )
            }
            Why::Two => {
                let mark = if text.contains(',') { ',' } else { '.' };
                let digits: String = text.chars().filter(|c| *c != mark).collect();
                let decimal = text.replace(mark, ".");
                format!(
                    "\"{text}\" is {digits} if \"{mark}\" separates thousands and {decimal} if it is decimal, and no \
                     other number of the file tells: say `thousands` {mark} or `decimal` {mark}"
                )
            }
        };
        self.error_at(row, Some(self.layout.chosen[column]), message)
    }

    /// Warns of what was read as something else than it looks.
    fn tell(&self, style: Style, warnings: &mut Vec<DataWarning>) {
        let told = self.options.decimal.is_some();
        if let Some(first) = style.decimal_commas.first.filter(|_| !told) {
            let count = style.decimal_commas.count;
            warnings.push(DataWarning::DecimalCommas { count, first: first.text });
        }
        let mark = style.decimal.other().char();
        let thousands = style.thousands.first.filter(|_| !told).map(|first| (first, mark));
        let count = (style.thousands.count, style.groups.count);
        if let Some((first, mark)) = thousands {
            warnings.push(DataWarning::Thousands { mark, count: count.0, first: first.text });
        }
        if let Some(first) = style.groups.first {
            let mark = first.text.chars().find(|c| "'\u{2019}".contains(*c)).unwrap_or(' ');
            warnings.push(DataWarning::Thousands { mark, count: count.1, first: first.text });
        }
        let name = |slot: usize| self.layout.names[self.layout.chosen[slot]].clone();
        if !self.bools.is_empty() {
            let columns = self.bools.keys().map(|slot| name(*slot)).collect();
            warnings.push(DataWarning::Booleans { columns });
        }
        if let Some(first) = &self.first_comment {
            warnings.push(DataWarning::CommentRows { count: self.comments, first: first.clone() });
        }
    }

    fn judge_missing(&self, warnings: &mut Vec<DataWarning>) -> Result<()> {
        let Missing { values, rows, first, .. } = &self.missing;
        let Some((row, column, text)) = first else { return Ok(()) };
        if *rows == self.read {
            let message = format!(
                "every row has a missing value, the first here (\"{text}\"){}",
                self.way_out_of_holes()
            );
            return Err(self.error_at(*row, Some(*column), message));
        }
        if self.options.drop_missing {
            warnings.push(DataWarning::MissingDropped { dropped: *rows, total: self.read });
            return Ok(());
        }
        let plural = if *values == 1 { "value" } else { "values" };
        let left = self.read - rows;
        let message = format!(
            "{values} missing {plural} in {rows} of {} rows, the first here (\"{text}\"); leave these \
             rows out with `drop_missing` ({left} {} left), or fill them in",
            self.read,
            if left == 1 { "is" } else { "are" }
        );
        Err(self.error_at(*row, Some(*column), message))
    }

    /// What helps where every row has holes: to leave out the columns that have the most, if that leaves a tenth of the
    /// rows whole and half of the columns.
    fn way_out_of_holes(&self) -> String {
        let width = self.layout.chosen.len();
        let name = |slot: usize| self.layout.names[self.layout.chosen[slot]].as_str();
        let fill_in = "fill the holes in with another program first";
        if self.options.like.is_some() {
            return format!("; the model needs all its columns: {fill_in}");
        }
        let mut count = vec![0usize; width];
        self.missing.holes.iter().flatten().for_each(|slot| count[*slot as usize] += 1);
        let mut order: Vec<usize> = (0..width).collect();
        order.sort_by_key(|slot| std::cmp::Reverse(count[*slot]));
        let mut rank = vec![0; width];
        order.iter().enumerate().for_each(|(k, slot)| rank[*slot] = k + 1);
        // Rows that are whole once so many columns are left out.
        let mut whole = vec![0usize; width + 1];
        for holes in &self.missing.holes {
            let needed = holes.iter().map(|slot| rank[*slot as usize]).max().unwrap_or(0);
            whole[needed] += 1;
        }
        let mut sum = 0;
        let enough = (self.missing.holes.len() / 10).max(2);
        for drop in 0..=width / 2 {
            sum += whole[drop];
            if drop < width && sum >= enough {
                let columns: Vec<&str> = order[..drop].iter().map(|slot| name(*slot)).collect();
                let all = sum == self.missing.holes.len();
                let rows = match all {
                    true => String::new(),
                    false => format!(
                        " and the rows that still have holes with `drop_missing`, which leaves {sum} of {} rows",
                        self.missing.holes.len()
                    ),
                };
                let which = if drop == 1 { "that column" } else { "the columns that have most" };
                return format!("; leave {which} out with `drop` {}{rows}", option_list(&columns));
            }
        }
        let holey = count.iter().filter(|count| **count > 0).count();
        format!(
            "; {holey} of {width} columns have holes, and leaving out up to half of the columns keeps fewer than \
             a tenth of the rows: {fill_in}"
        )
    }
}

/// Whether text looks like a date or a time: 2024-01-31, 31.1.2024, 1/31/24, 12:30.
fn is_date(text: &str) -> bool {
    let parts: Vec<&str> =
        text.split(['-', '/', '.', ':', ' ', 'T']).filter(|p| !p.is_empty()).collect();
    let digits = |part: &&str| part.len() <= 4 && part.bytes().all(|b| b.is_ascii_digit());
    let numbers = parts.iter().filter(|part| digits(part)).count();
    text.starts_with(|c: char| c.is_ascii_digit())
        && parts.len() >= 2
        && numbers >= 2
        && text.contains(['-', '/', ':', '.'])
}

#[cfg(test)]
#[path = "csv_file_tests.rs"]
mod tests;
