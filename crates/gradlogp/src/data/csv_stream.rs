//! From the bytes of a file to plain UTF-8 text with ordinary line ends.

use std::io::{self, Cursor, Read};

use flate2::read::MultiGzDecoder;

use crate::{Error, Result};

/// Text on its way to the parser.
pub(super) type Text<'a> = Box<dyn Read + Send + 'a>;

/// The text of a stream that may be gzipped, in one or several members, or UTF-16; without a byte-order mark.
pub(super) fn plain_text<'a>(input: impl Read + Send + 'a) -> io::Result<Text<'a>> {
    let (head, input) = peek(input, 2)?;
    let text: Text<'a> = match head[..] {
        [0x1f, 0x8b] => Box::new(MultiGzDecoder::new(input)),
        _ => Box::new(input),
    };
    let (head, mut text) = peek(text, 3)?;
    Ok(match head[..] {
        [0xff, 0xfe, ..] => Box::new(utf16(text, u16::from_le_bytes)),
        [0xfe, 0xff, ..] => Box::new(utf16(text, u16::from_be_bytes)),
        [0xef, 0xbb, 0xbf] => {
            text.read_exact(&mut [0; 3])?;
            Box::new(text)
        }
        _ => Box::new(text),
    })
}

/// A stream of which the first bytes were read.
pub(super) type Peeked<R> = io::Chain<Cursor<Vec<u8>>, R>;

/// The first bytes of a stream, and the whole stream.
pub(super) fn peek<R: Read>(mut input: R, count: u64) -> io::Result<(Vec<u8>, Peeked<R>)> {
    let mut head = Vec::new();
    input.by_ref().take(count).read_to_end(&mut head)?;
    Ok((head.clone(), Cursor::new(head).chain(input)))
}

/// A stream that a function changes byte by byte: it appends what stands for each byte.
pub(super) struct Changed<R, F> {
    input: R,
    change: F,
    out: Vec<u8>,
    at: usize,
}

impl<R: Read, F: FnMut(u8, &mut Vec<u8>)> Changed<R, F> {
    fn new(input: R, change: F) -> Self {
        Changed { input, change, out: Vec::new(), at: 0 }
    }
}

impl<R: Read, F: FnMut(u8, &mut Vec<u8>)> Read for Changed<R, F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut buffer = [0; 16 * 1024];
        while self.at == self.out.len() {
            self.out.clear();
            self.at = 0;
            let count = match self.input.read(&mut buffer) {
                Ok(0) => return Ok(0),
                Ok(count) => count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            for byte in &buffer[..count] {
                (self.change)(*byte, &mut self.out);
            }
        }
        let count = into.len().min(self.out.len() - self.at);
        into[..count].copy_from_slice(&self.out[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// UTF-16 as UTF-8, without its byte-order mark; what is no character becomes the replacement character.
fn utf16<R: Read>(input: R, of: fn([u8; 2]) -> u16) -> impl Read {
    const MARK: char = '\u{feff}';
    let (mut half, mut high) = (None, None);
    Changed::new(input, move |byte, out: &mut Vec<u8>| {
        let Some(first) = half.take() else {
            half = Some(byte);
            return;
        };
        let unit = of([first, byte]);
        let units: Vec<u16> = high.take().into_iter().chain([unit]).collect();
        if units.len() == 1 && (0xd800..0xdc00).contains(&unit) {
            high = Some(unit);
            return;
        }
        for c in char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)) {
            if c != MARK {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    })
}

/// Lines that end with carriage returns, as on old Macintoshes, end with line feeds; `after` says whether the
/// byte before was a carriage return.
pub(super) fn with_line_feeds<R: Read>(input: R, mut after: bool) -> impl Read {
    Changed::new(input, move |byte, out: &mut Vec<u8>| {
        let was = std::mem::replace(&mut after, byte == b'\r');
        match byte {
            b'\r' => out.push(b'\n'),
            b'\n' if was => {}
            byte => out.push(byte),
        }
    })
}

/// Without the blanks between a delimiter and what follows, so that a quotation mark stands where the csv
/// reader looks for it: `"a", "b, c"`.
pub(super) fn without_leading_blanks<R: Read>(input: R, delimiter: u8) -> impl Read {
    let (mut starts, mut quoted, mut closed) = (true, false, false);
    // A line of blanks stays one: in a single column it is a missing value.
    let (mut line_starts, mut blanks) = (true, false);
    Changed::new(input, move |byte, out: &mut Vec<u8>| {
        if starts && (byte == b' ' || byte == b'\t' && delimiter != b'\t') && delimiter != byte {
            blanks |= line_starts;
            return;
        }
        let ends_line = byte == b'\n' || byte == b'\r';
        if std::mem::take(&mut blanks) && ends_line {
            out.push(b' ');
        }
        line_starts = ends_line && !quoted;
        // A doubled one closes and opens again.
        let opens = byte == b'"' && (starts || closed);
        closed = byte == b'"' && quoted;
        quoted = opens || quoted && !closed;
        starts = !quoted && (byte == delimiter || ends_line);
        out.push(byte);
    })
}

/// With one blank for each run of blanks and tabs, and none at the ends of lines.
pub(super) fn with_single_blanks<R: Read>(input: R) -> impl Read {
    let (mut starts, mut due, mut quoted, mut closed) = (true, false, false, false);
    Changed::new(input, move |byte, out: &mut Vec<u8>| {
        match byte {
            b' ' | b'\t' if !quoted => {
                due = !starts;
                return;
            }
            b'\n' | b'\r' if !quoted => {
                (starts, due) = (true, false);
                out.push(byte);
                return;
            }
            _ => {}
        }
        let opens = byte == b'"' && (starts || due || closed);
        closed = byte == b'"' && quoted;
        quoted = opens || quoted && !closed;
        if std::mem::take(&mut due) {
            out.push(b' ');
        }
        starts = false;
        out.push(byte);
    })
}

/// Kinds of files that are often given by mistake, by how they begin, and what to do with them.
const FOREIGN: [(&[u8], &str); 22] = [
    (
        b"PK\x03\x04",
        "a zip archive, such as a spreadsheet (.xlsx, .ods) or zipped files: export the sheet as \
                     CSV, or unpack it first",
    ),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\xD0\xCF\x11\xE0", "a spreadsheet of an old format (.xls): export the sheet as CSV"),
    (
        b"PAR1",
        "a Parquet file: write it as CSV, in Python with pandas.read_parquet(FILE).to_csv(\"t.csv\", \
               index=False)",
    ),
    (
        b"ARROW1",
        "a Feather or Arrow file: write it as CSV, in Python with pandas.read_feather(FILE).to_csv(\
                 \"t.csv\", index=False)",
    ),
    (
        b"FEA1",
        "a Feather file: write it as CSV, in Python with pandas.read_feather(FILE).to_csv(\"t.csv\", \
               index=False)",
    ),
    (b"\x89HDF", "an HDF5 file: write the table as CSV or .npy first"),
    (
        b"\x80\x02",
        "a Python pickle, which is a program and not a table: load it where it was made and write it as \
                   CSV or .npy",
    ),
    (
        b"\x80\x03",
        "a Python pickle, which is a program and not a table: load it where it was made and write it as \
                   CSV or .npy",
    ),
    (
        b"\x80\x04",
        "a Python pickle, which is a program and not a table: load it where it was made and write it as \
                   CSV or .npy",
    ),
    (
        b"\x80\x05",
        "a Python pickle, which is a program and not a table: load it where it was made and write it as \
                   CSV or .npy",
    ),
    (
        b"RDX",
        "an R data file: write the table as CSV, in R with write.csv(TABLE, \"t.csv\", row.names = FALSE)",
    ),
    (
        b"X\n\0\0\0",
        "an R data file (.rds): write the table as CSV, in R with write.csv(readRDS(FILE), \"t.csv\", \
                    row.names = FALSE)",
    ),
    (
        b"MATLAB 5.0",
        "a MATLAB file: write the table as CSV, in MATLAB with writematrix(X, \"t.csv\")",
    ),
    (b"SQLite format 3", "an SQLite database: export the table as CSV"),
    (b"<stata_dta>", "a Stata file: write the table as CSV, in Stata with export delimited"),
    (b"%PDF", "a PDF document, not a table of numbers"),
    (b"BZh", "compressed with bzip2: unpack it first; gzip is read as it is"),
    (b"\xFD7zXZ", "compressed with xz: unpack it first; gzip is read as it is"),
    (b"\x28\xB5\x2F\xFD", "compressed with zstd: unpack it first; gzip is read as it is"),
    (b"\x89PNG", "a picture, not a table of numbers"),
    (b"\x7FELF", "a program, not a table of numbers"),
];

/// Refuses an empty file and kinds of files that are often given by mistake.
pub(super) fn refuse_foreign(sample: &[u8], source_name: &str) -> Result<()> {
    let refuse = |message: &str| Err(Error::data(source_name, message));
    // Letters may also be the first of a header.
    let binary = sample.iter().take(1024).any(|byte| *byte < 9 || (14..32).contains(byte));
    let certain = |magic: &[u8]| binary || !magic.iter().all(u8::is_ascii_alphanumeric);
    let known = |(magic, _): &&(&[u8], &str)| sample.starts_with(magic) && certain(magic);
    if let Some((_, what)) = FOREIGN.iter().find(known) {
        return refuse(&format!("this is {what}"));
    }
    if sample.len() > 10 && &sample[8..10] == b"{\"" && sample[..8].ends_with(b"\0\0") {
        return refuse("this is a safetensors file, such as a model, not a table of numbers");
    }
    let start = sample.trim_ascii_start();
    if sample.contains(&0) {
        let zeros = sample.iter().filter(|byte| **byte == 0).count();
        // Half of the bytes of plain text.
        if 3 * zeros > sample.len() && 2 * zeros <= sample.len() + 1 {
            return refuse("this is UTF-16 text without a byte-order mark; save it as UTF-8");
        }
        return refuse("this is a binary file, not delimited text");
    }
    if start.is_empty() {
        return refuse("the file is empty");
    }
    let lower: Vec<u8> = start.iter().take(15).map(u8::to_ascii_lowercase).collect();
    if lower.starts_with(b"<!doctype") || lower.starts_with(b"<html") || lower.starts_with(b"<?xml")
    {
        return refuse(
            "this is a web page or XML document, not delimited text; was it downloaded right?",
        );
    }
    if start.starts_with(b"{\"") || start.starts_with(b"[{") || start.starts_with(b"[[") {
        return refuse(
            "this is JSON, not delimited text: write it as CSV, in Python with pandas.read_json(FILE).to_csv(\
             \"t.csv\", index=False)",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut text: impl Read) -> String {
        let mut out = Vec::new();
        text.read_to_end(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn utf16_of_both_orders() {
        let text = "\u{feff}a,gr\u{f6}\u{df}e \u{1f600}\n1,2\n";
        let bytes =
            |of: fn(u16) -> [u8; 2]| -> Vec<u8> { text.encode_utf16().flat_map(of).collect() };
        for bytes in [bytes(u16::to_le_bytes), bytes(u16::to_be_bytes)] {
            assert_eq!(all(plain_text(&bytes[..]).unwrap()), text.trim_start_matches('\u{feff}'));
        }
        assert_eq!(all(plain_text("\u{feff}a".as_bytes()).unwrap()), "a");
        assert_eq!(all(plain_text(&b""[..]).unwrap()), "");
    }

    #[test]
    fn blanks_and_line_ends() {
        let text = "\"a\", \"b, c\" , \"d\"\" , e\"\n  1,\t2 ,3";
        let expected = "\"a\",\"b, c\" ,\"d\"\" , e\"\n1,2 ,3";
        assert_eq!(all(without_leading_blanks(text.as_bytes(), b',')), expected);
        assert_eq!(
            all(without_leading_blanks("1\n  \n\n2\r\n \t\r\n".as_bytes(), b',')),
            "1\n \n\n2\r\n \r\n"
        );
        assert_eq!(all(without_leading_blanks("a\t\tb\t c".as_bytes(), b'\t')), "a\t\tb\tc");
        let blanks = with_single_blanks("  a   b\t c \n\"x  y\"  2\n".as_bytes());
        assert_eq!(all(blanks), "a b c\n\"x  y\" 2\n");
        assert_eq!(all(with_line_feeds("1\r2\r\n3\r\r4".as_bytes(), false)), "1\n2\n3\n\n4");
        assert_eq!(all(with_line_feeds("\n1\r2".as_bytes(), true)), "1\n2");
    }
}
