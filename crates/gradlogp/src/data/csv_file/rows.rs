//! From lines to numbers, on all threads.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};

use csv::ByteRecord;
use rayon::prelude::*;

use super::layout::Layout;
use super::options::ReadOptions;
use crate::data::DataWarning;
use crate::data::csv_field::{Field, is_blank, lone_point, shown, shown_number, without_point};
use crate::data::csv_plain::plain_line;
use crate::data::csv_sniff::{LONGEST_LINE, csv_reader, quoted_reader};
use crate::data::number_style::{Evidence, Place};
use crate::{Error, Result};

/// Bytes that the csv reader takes over from a line on that does not hold plain numbers.
pub(super) const STRETCH: usize = 64 << 10;

/// Missing values seen so far.
#[derive(Default)]
pub(super) struct Missing {
    pub(super) values: usize,
    pub(super) rows: usize,
    /// Row, column and text of the first one.
    pub(super) first: Option<(usize, usize, String)>,
    /// For the first rows with holes, the slots of these.
    pub(super) holes: Vec<Vec<u32>>,
}

/// Rows whose holes are kept, for advice.
pub(super) const HOLES: usize = 100_000;

/// Numbers read so far, and what was noticed on the way.
pub(super) struct Rows<'a> {
    pub(super) source_name: &'a str,
    pub(super) layout: &'a Layout,
    pub(super) options: &'a ReadOptions,
    pub(super) values: Vec<f64>,
    /// Data rows read, those left out included.
    pub(super) read: usize,
    /// The next line holds the names.
    pub(super) header_due: bool,
    pub(super) missing: Missing,
    pub(super) evidence: Evidence,
    /// Values that are true or false, by slot.
    pub(super) bools: BTreeMap<usize, usize>,
    /// Rows passed over because they begin with `#`, and the first of them.
    pub(super) comments: usize,
    pub(super) first_comment: Option<String>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(source_name: &'a str, layout: &'a Layout, options: &'a ReadOptions) -> Self {
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
    pub(super) fn read_all(
        &mut self,
        mut text: impl Read + Send,
        delimiter: u8,
        block: usize,
    ) -> Result<()> {
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
    pub(super) fn read_lines(&mut self, lines: &[u8], delimiter: u8) -> Result<()> {
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
    pub(super) fn read_part(&mut self, mut lines: &[u8], delimiter: u8) -> Result<()> {
        while !lines.is_empty() {
            lines = self.read_plain(lines, delimiter);
            let (stretch, rest) = split_after_line(lines, STRETCH);
            self.read_records(csv_reader(stretch, delimiter))?;
            lines = rest;
        }
        Ok(())
    }

    /// Lines of plain numbers; returns those from the first other line on.
    pub(super) fn read_plain<'t>(&mut self, mut lines: &'t [u8], delimiter: u8) -> &'t [u8] {
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
    pub(super) fn append(&mut self, rows: Rows<'_>) -> Result<()> {
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

    pub(super) fn read_records<R: Read>(&mut self, mut reader: csv::Reader<R>) -> Result<()> {
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
    pub(super) fn is_row(&mut self, record: &ByteRecord) -> bool {
        let blank = is_blank(record) && self.layout.fields > 1;
        !blank && !std::mem::take(&mut self.header_due) && !self.passes_over(record)
    }

    /// Whether a record is a comment: it begins with `#`, and has another number of fields than the table, or no
    /// number where the first column has one.
    pub(super) fn passes_over(&mut self, record: &ByteRecord) -> bool {
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

    pub(super) fn push(&mut self, record: &ByteRecord) -> Result<()> {
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

    pub(super) fn note_missing(&mut self, column: usize, bytes: &[u8]) {
        self.missing.values += 1;
        if self.missing.first.is_none() {
            self.missing.first = Some((self.read, column, shown(bytes)));
        }
    }

    /// The numbers in row order and the number of rows, after the checks that need the whole file.
    pub(super) fn finish(mut self, warnings: &mut Vec<DataWarning>) -> Result<(Vec<f64>, usize)> {
        if self.read == 0 && self.comments > 0 {
            let message = format!(
                "there is no row of data: all {} rows begin with #, which marks a comment",
                self.comments
            );
            return Err(Error::data(self.source_name, message));
        }
        if self.read == 0 {
            let message = "there is a line of column names but no row of data (if it is data, use `no header`)";
            return Err(Error::data(self.source_name, message));
        }
        let width = self.layout.chosen.len();
        let style = self.evidence.decide(&mut self.values, width, self.options.decimal);
        let style = style.map_err(|undecided| self.undecided(undecided))?;
        self.judge_missing(warnings)?;
        self.tell(style, warnings);
        Ok((self.values, self.read - self.missing.rows))
    }
}

/// At most `count` parts of whole lines, of about the same length.
pub(super) fn split_lines(lines: &[u8], count: usize) -> Vec<&[u8]> {
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
pub(super) fn fetch(text: &mut impl Read, size: u64, into: &mut Vec<u8>) -> io::Result<usize> {
    text.take(size).read_to_end(into)
}

/// At the end of the line in which byte `least` lies.
pub(super) fn split_after_line(lines: &[u8], least: usize) -> (&[u8], &[u8]) {
    let least = least.min(lines.len());
    let end = lines[least..].iter().position(|byte| *byte == b'\n');
    lines.split_at(end.map_or(lines.len(), |end| least + end + 1))
}

pub(super) fn too_long(source_name: &str, rows: usize) -> Error {
    let after = if rows > 0 { format!(" after row {rows}") } else { String::new() };
    let message = format!(
        "a line{after} is longer than {} MiB: this is not a table with one row per line",
        LONGEST_LINE >> 20
    );
    Error::data(source_name, message)
}

/// Room for more values, or an error where the machine gives none: a table too large is no reason to abort.
pub(super) fn make_room(values: &mut Vec<f64>, more: usize, source_name: &str) -> Result<()> {
    values.try_reserve(more).map_err(|_| {
        let read = 8e-9 * values.len() as f64;
        let message = format!(
            "the table does not fit into the memory of this machine, which ran out after {read:.1} gigabytes; \
             read fewer columns, or a part of the rows"
        );
        Error::data(source_name, message)
    })
}
