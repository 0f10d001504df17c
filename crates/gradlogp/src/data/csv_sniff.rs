//! What a stream holds, found from its first bytes: compression, foreign formats, delimiter, header.

use std::io::{self, Cursor, Read};

use csv::ByteRecord;
use flate2::read::MultiGzDecoder;

use super::csv_field::{Field, is_blank};
use crate::{Error, Result};

/// Bytes looked at to find delimiter and header.
pub(super) const SAMPLE_BYTES: u64 = 256 * 1024;

/// Records looked at.
const SAMPLE_RECORDS: usize = 100;

const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// The plain text of a stream that may be gzipped, in one or several members.
pub(super) fn decompress<'a>(
    mut input: impl Read + Send + 'a,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut magic = Vec::new();
    input.by_ref().take(2).read_to_end(&mut magic)?;
    let gzipped = magic == [0x1f, 0x8b];
    let whole = Cursor::new(magic).chain(input);
    Ok(if gzipped { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) })
}

/// Refuses an empty file and kinds of files that are often given by mistake.
pub(super) fn refuse_foreign(sample: &[u8], source_name: &str) -> Result<()> {
    let refuse = |message: &str| Err(Error::data(source_name, message));
    let foreign: [(&[u8], &str); 5] = [
        (b"\xFF\xFE", "a UTF-16 text file; save it as UTF-8"),
        (b"\xFE\xFF", "a UTF-16 text file; save it as UTF-8"),
        (b"PK\x03\x04", "a zip or spreadsheet file; export it as CSV"),
        (b"\x93NUMPY", "a NumPy file; write it as CSV, for instance with numpy.savetxt"),
        (b"PAR1", "a Parquet file; write it as CSV"),
    ];
    if let Some((_, what)) = foreign.iter().find(|(magic, _)| sample.starts_with(magic)) {
        return refuse(&format!("this is {what}"));
    }
    if sample.contains(&0) {
        return refuse("this is a binary file, not delimited text");
    }
    if sample.trim_ascii().is_empty() {
        return refuse("the file is empty");
    }
    Ok(())
}

pub(super) fn csv_reader<R: Read>(input: R, delimiter: u8) -> csv::Reader<R> {
    csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(64 * 1024)
        .from_reader(input)
}

/// The first whole records of the sample; a last one that the sample may have cut is left out.
pub(super) fn sample_records(sample: &[u8], delimiter: u8, at_most: usize) -> Vec<ByteRecord> {
    let mut reader = csv_reader(sample, delimiter);
    let records = reader.byte_records().map_while(std::result::Result::ok);
    let mut records: Vec<ByteRecord> =
        records.filter(|record| !is_blank(record)).take(at_most + 1).collect();
    let cut = sample.len() as u64 + 3 >= SAMPLE_BYTES;
    if records.len() > at_most || (cut && records.len() > 1) {
        records.pop();
    }
    records
}

/// The delimiter under which most records have the same number of fields, more than one, and most
/// fields are numbers; among equals the one with more fields, then the first of `,` `;` tab. The
/// numbers decide in files with decimal commas, where `,` also splits every row alike.
pub(super) fn find_delimiter(sample: &[u8]) -> u8 {
    let mut best = (0.0, 0, b',');
    for delimiter in DELIMITERS {
        let (score, fields) =
            delimiter_score(&sample_records(sample, delimiter, SAMPLE_RECORDS), delimiter);
        if score > best.0 || (score == best.0 && fields > best.1) {
            best = (score, fields, delimiter);
        }
    }
    best.2
}

fn delimiter_score(records: &[ByteRecord], delimiter: u8) -> (f64, usize) {
    let alike = |fields: usize| records.iter().filter(|record| record.len() == fields).count();
    let Some(fields) = records.iter().map(ByteRecord::len).max_by_key(|&fields| alike(fields))
    else {
        return (0.0, 0);
    };
    if fields < 2 {
        return (0.0, 0);
    }
    let body = || records.iter().skip(1).flatten();
    let numbers = body().filter(|field| !Field::parse(field, delimiter != b',').is_text()).count();
    let numeric_share = numbers as f64 / body().count().max(1) as f64;
    let alike_share = alike(fields) as f64 / records.len() as f64;
    (alike_share * (0.05 + numeric_share), fields)
}

/// Whether the first record holds names: see [`ReadOptions::header`].
pub(super) fn looks_like_header(records: &[ByteRecord], commas: bool) -> bool {
    let Some(first) = records.first() else { return false };
    let kinds = |record: &ByteRecord| -> Vec<Field> {
        record.iter().map(|field| Field::parse(field, commas)).collect()
    };
    let first = kinds(first);
    let text: Vec<bool> = first.iter().map(|field| field.is_text()).collect();
    let mixed = first.iter().any(|field| field.is_number());
    let like_second = records.get(1).is_some_and(|second| {
        kinds(second).iter().map(|field| field.is_text()).eq(text.iter().copied())
    });
    text.contains(&true) && !(mixed && like_second)
}
