//! What a text holds, found from its first lines: comments, delimiter, header.

use std::io::Read;

use csv::ByteRecord;

use super::csv_field::{Field, is_blank};
use super::csv_stream::{with_single_blanks, without_leading_blanks};

/// Bytes looked at to find delimiter and header; more where they hold fewer than [`SAMPLE_LINES`] lines.
pub(super) const SAMPLE_BYTES: usize = 256 * 1024;

/// Lines looked at where the first bytes hold fewer.
pub(super) const SAMPLE_LINES: usize = 8;

/// Longer lines are refused: no table has them, and they would have to be kept in memory whole.
pub(super) const LONGEST_LINE: usize = 64 << 20;

/// Records looked at.
const SAMPLE_RECORDS: usize = 100;

const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// What comes before the first row or the header.
#[derive(Debug, Default)]
pub(super) struct Preamble {
    /// Bytes of it.
    pub(super) length: usize,
    /// Named by a line `sep=;`, as Excel writes and reads it.
    pub(super) delimiter: Option<u8>,
    /// The comment right before the first other line, without its mark.
    pub(super) comment: Option<String>,
}

impl Preamble {
    /// Comments (lines that begin with `#`), Excel's `sep=` and blank lines.
    pub(super) fn find(sample: &[u8]) -> Preamble {
        let mut found = Preamble::default();
        for line in sample.split_inclusive(|byte| *byte == b'\n') {
            let text = line.trim_ascii();
            if text.is_empty() {
                // A blank line of a single column is a missing value, but none comes first.
            } else if let Some(delimiter) = separator(line) {
                if found.delimiter.is_some() || found.comment.is_some() {
                    break;
                }
                found.delimiter = Some(delimiter);
            } else if is_comment_line(text) {
                let text = text.trim_ascii_start().trim_ascii_end();
                let words = text[1..].strip_prefix(b"#").unwrap_or(&text[1..]);
                found.comment = Some(latin_or_utf8(words.trim_ascii()).0);
            } else {
                break;
            }
            found.length += line.len();
        }
        found
    }
}

/// The delimiter that a line `sep=;` names.
fn separator(line: &[u8]) -> Option<u8> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.strip_prefix(b"\"").and_then(|l| l.strip_suffix(b"\"")).unwrap_or(line);
    let (word, rest) = line.split_at_checked(4)?;
    match rest {
        _ if !word.eq_ignore_ascii_case(b"sep=") => None,
        [delimiter] if !delimiter.is_ascii_alphanumeric() => Some(*delimiter),
        _ => None,
    }
}

/// Whether a line begins with `#` and not with one of the errors of spreadsheets, such as `#N/A`.
fn is_comment_line(text: &[u8]) -> bool {
    let end = text.iter().position(|byte| b",;\t|".contains(byte)).unwrap_or(text.len());
    text.starts_with(b"#") && (end == 1 || Field::parse(&text[..end]) != Field::Missing)
}

/// Text in UTF-8, or else in Latin-1; whether it was the latter.
pub(super) fn latin_or_utf8(bytes: &[u8]) -> (String, bool) {
    match str::from_utf8(bytes) {
        Ok(text) => (text.to_string(), false),
        Err(_) => (bytes.iter().map(|byte| char::from(*byte)).collect(), true),
    }
}

/// A reader of records as they are.
pub(super) fn csv_reader<R: Read>(input: R, delimiter: u8) -> csv::Reader<impl Read> {
    csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(64 * 1024)
        .from_reader((&b"\n"[..]).chain(input))
}

/// A reader of records that may have quotation marks after blanks; with a blank as the delimiter, runs of blanks
/// count as one.
pub(super) fn quoted_reader<'a, R: Read + Send + 'a>(
    input: R,
    delimiter: u8,
) -> csv::Reader<impl Read + 'a> {
    let input: Box<dyn Read + 'a> = match delimiter {
        b' ' => Box::new(with_single_blanks(input)),
        // Blanks at the very end are a line, too.
        _ => Box::new(without_leading_blanks(input.chain(&b"\n"[..]), delimiter)),
    };
    csv_reader(input, delimiter)
}

/// The first whole records of the sample; a last one that the sample may have cut (if not `whole`) is left out,
/// unless it is the only one.
pub(super) fn sample_records(sample: &[u8], delimiter: u8, whole: bool) -> Vec<ByteRecord> {
    let mut reader = quoted_reader(sample, delimiter);
    let records = reader.byte_records().map_while(std::result::Result::ok);
    let mut records: Vec<ByteRecord> =
        records.filter(|record| !is_blank(record)).take(SAMPLE_RECORDS + 1).collect();
    if records.len() > SAMPLE_RECORDS || (!whole && records.len() > 1) {
        records.pop();
    }
    records
}

/// The delimiter under which most records have the same number of fields, more than one, and most
/// fields are numbers; among equals the one with more fields, then the first of `,` `;` tab `|`. The
/// numbers decide in files with decimal commas, where `,` also splits every row alike. Blanks are it
/// where nothing else splits the rows, and they split all of them alike.
pub(super) fn find_delimiter(sample: &[u8], whole: bool) -> u8 {
    let mut best = (0.0, 0, b',');
    for delimiter in DELIMITERS {
        let (score, fields) = delimiter_score(&sample_records(sample, delimiter, whole));
        if score > best.0 || (score == best.0 && fields > best.1) {
            best = (score, fields, delimiter);
        }
    }
    if best.1 < 2 && split_by_blanks(&sample_records(sample, b' ', whole)) {
        return b' ';
    }
    best.2
}

fn split_by_blanks(records: &[ByteRecord]) -> bool {
    let Some((first, body)) = records.split_first() else { return false };
    let fields = body.first().unwrap_or(first).len();
    let parse = |field: &[u8]| Field::parse(field);
    // R writes one name less than fields.
    let alike = body.iter().all(|record| record.len() == fields)
        && (first.len() == fields || first.len() + 1 == fields && !body.is_empty());
    let rows = if body.is_empty() { records } else { body };
    let all = || rows.iter().flatten();
    let numbers = all().filter(|field| parse(field).is_number()).count();
    fields > 1 && alike && 2 * numbers > all().count()
}

fn delimiter_score(records: &[ByteRecord]) -> (f64, usize) {
    let alike = |fields: usize| records.iter().filter(|record| record.len() == fields).count();
    let Some(fields) = records.iter().map(ByteRecord::len).max_by_key(|&fields| alike(fields))
    else {
        return (0.0, 0);
    };
    if fields < 2 {
        return (0.0, 0);
    }
    let body = || records.iter().skip(1).flatten();
    let numbers = body().filter(|field| !Field::parse(field).is_text()).count();
    let numeric_share = numbers as f64 / body().count().max(1) as f64;
    let alike_share = alike(fields) as f64 / records.len() as f64;
    (alike_share * (0.05 + numeric_share), fields)
}

/// Whether the first record holds names: see [`ReadOptions::header`](super::ReadOptions).
pub(super) fn looks_like_header(records: &[ByteRecord]) -> bool {
    let Some(first) = records.first() else { return false };
    let kinds = |record: &ByteRecord| -> Vec<Field> { record.iter().map(Field::parse).collect() };
    let first = kinds(first);
    let text: Vec<bool> = first.iter().map(|field| field.is_text()).collect();
    let mixed = first.iter().any(|field| field.is_number());
    let like_second = records.get(1).is_some_and(|second| {
        kinds(second).iter().map(|field| field.is_text()).eq(text.iter().copied())
    });
    text.contains(&true) && !(mixed && like_second)
}

/// Whether a first row of numbers holds names: wavelengths, years, the numbers of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumericHeader {
    No,
    /// Something speaks for it.
    Perhaps,
    Yes,
}

/// Looks at the first row of numbers among the others, at least three of them:
/// are its numbers evenly spaced or strictly monotone, and no other row's; has it whole numbers where all other rows
/// have decimals; does it lie far outside their range, in every column?
pub(super) fn numeric_header(records: &[ByteRecord]) -> NumericHeader {
    let Some(first) = records.first().and_then(numbers) else { return NumericHeader::No };
    let first = &first[..];
    let columns = first.len();
    let others: Vec<Vec<(f64, bool)>> =
        records[1..].iter().filter_map(numbers).filter(|row| row.len() == columns).collect();
    if others.len() < 3 {
        return NumericHeader::No;
    }
    let distinct = (0..columns).all(|j| first[..j].iter().all(|(x, _)| *x != first[j].0));
    if !distinct {
        return NumericHeader::No;
    }
    let even = columns > 2 && is_even(first) && !others.iter().any(|row| is_even(row));
    let monotone = columns > 3 && is_monotone(first) && !others.iter().any(|row| is_monotone(row));
    let whole_above_decimals = (0..columns).all(|j| {
        let decimals = others.iter().filter(|row| row[j].1).count();
        !first[j].1 && first[j].0.fract() == 0.0 && 10 * decimals >= 9 * others.len()
    });
    let outside = (0..columns).all(|j| {
        let column = || others.iter().map(|row| row[j].0);
        let (low, high) =
            (column().fold(f64::INFINITY, f64::min), column().fold(f64::NEG_INFINITY, f64::max));
        let margin = 3.0 * (high - low);
        first[j].0 < low - margin || first[j].0 > high + margin
    });
    let strong = even && (whole_above_decimals || outside || columns > 4)
        || monotone && (whole_above_decimals || outside)
        || columns > 1 && whole_above_decimals && outside;
    if strong {
        NumericHeader::Yes
    } else if even && columns > 3
        || monotone && columns > 5
        || columns > 1 && whole_above_decimals
        || outside
    {
        NumericHeader::Perhaps
    } else {
        NumericHeader::No
    }
}

/// The numbers of a row and whether each is written with a point or a comma; None if it has anything else.
fn numbers(record: &ByteRecord) -> Option<Vec<(f64, bool)>> {
    let number = |field: &[u8]| {
        let marks = field.iter().any(|byte| b".,eE".contains(byte));
        Field::parse(field).value().map(|value| (value, marks))
    };
    record.iter().map(number).collect()
}

fn is_even(row: &[(f64, bool)]) -> bool {
    let step = row[1].0 - row[0].0;
    let close = |pair: &[(f64, bool)]| (pair[1].0 - pair[0].0 - step).abs() <= 1e-6 * step.abs();
    step != 0.0 && row.windows(2).all(close)
}

fn is_monotone(row: &[(f64, bool)]) -> bool {
    row.windows(2).all(|pair| pair[0].0 < pair[1].0)
        || row.windows(2).all(|pair| pair[0].0 > pair[1].0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str) -> NumericHeader {
        numeric_header(&sample_records(text.as_bytes(), b',', true))
    }

    #[test]
    fn names_that_are_numbers_are_told_from_rows() {
        let spectrum = "0.12,0.34,0.31\n0.22,0.31,0.28\n0.18,0.30,0.33\n0.2,0.3,0.3\n";
        assert_eq!(verdict(&format!("400,410,420\n{spectrum}")), NumericHeader::Yes);
        assert_eq!(verdict(&format!("400,425,420\n{spectrum}")), NumericHeader::Yes);
        assert_eq!(verdict(&format!("0,1,2\n{spectrum}")), NumericHeader::Yes);
        assert_eq!(verdict(&format!("0.2,0.4,0.3\n{spectrum}")), NumericHeader::No);
        assert_eq!(verdict("400.5,401.0,401.5\n2,9,5\n3,8,6\n2,7,7\n4,9,5\n"), NumericHeader::Yes);
        let counts = "120,133,128,99\n87,140,111,60\n99,131,150,77\n101,90,130,81\n";
        assert_eq!(verdict(&format!("1990,1991,1992,1993\n{counts}")), NumericHeader::Yes);
        assert_eq!(verdict("1,2,3\n4,5,6\n7,8,9\n1,2,3\n"), NumericHeader::No);
        assert_eq!(verdict("0,1\n0.01,0.99\n0.02,0.97\n0.03,0.95\n"), NumericHeader::Perhaps);
        assert_eq!(verdict("1,2\n3,4\n"), NumericHeader::No);
        assert_eq!(verdict("5,1\n3,7\n2,2\n8,1\n"), NumericHeader::No);
    }

    #[test]
    fn comments_and_separators_before_the_table() {
        let of = |text: &str| {
            let found = Preamble::find(text.as_bytes());
            (text[found.length..].to_string(), found.delimiter, found.comment)
        };
        let rest = || "1,2\n".to_string();
        assert_eq!(of("1,2\n"), (rest(), None, None));
        assert_eq!(of("# by hand\n#\n#  a, b\r\n1,2\n"), (rest(), None, Some("a, b".into())));
        assert_eq!(of("sep=;\r\n1,2\n"), (rest(), Some(b';'), None));
        assert_eq!(of("\"SEP=\t\"\n1,2\n"), (rest(), Some(b'\t'), None));
        assert_eq!(of("#N/A,1\n1,2\n").0, "#N/A,1\n1,2\n");
        assert_eq!(of("sepal;b\n1,2\n").0, "sepal;b\n1,2\n");
    }

    #[test]
    fn delimiters_are_found() {
        for (text, delimiter) in [
            ("a,b\n1,2\n", b','),
            ("1,5;2,5\n1,25;3\n", b';'),
            ("1,213\t1,165\n791\t1,846\n", b'\t'),
            ("a|b\n1|2\n", b'|'),
            ("a  b\n1   2\n 3 4 \n", b' '),
            ("\"a\" \"b\"\n\"1\" 0.5 2\n\"2\" 3 4\n", b' '),
            ("my column\n1\n2\n", b','),
        ] {
            assert_eq!(find_delimiter(text.as_bytes(), true), delimiter, "{text:?}");
        }
    }
}
