//! NumPy's `.npy` format: a header, written as a Python dictionary of three entries, then the values.
//!
//! ```text
//! "\x93NUMPY"  version (2 bytes)  length of the text (2 bytes in version 1, later 4, least first)
//! {'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }  blanks and a newline up to a multiple of 64
//! values
//! ```
//!
//! Source: `numpy.lib.format` in NumPy's manual, versions 1.0 to 3.0.

use std::io::{self, Read, Write};

pub(super) const NPY: &[u8] = b"\x93NUMPY";

/// Longest header that is read: those of tables have a few hundred bytes, and all that it claims is asked of memory.
const LONGEST_HEADER: usize = 1 << 20;

/// Bytes before the header's text, in version 1.
const BEFORE: usize = NPY.len() + 4;

/// Headers end at a multiple of this.
const ALIGNMENT: usize = 64;

/// What an array holds and how it lies.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Type of a value as NumPy spells it, such as `<f8`; None for named fields.
    pub(super) kind: Option<String>,
    /// Whether the first index runs fastest.
    pub(super) by_columns: bool,
    /// Length along each axis.
    pub(super) shape: Vec<u64>,
}

impl Header {
    /// Reads the first part of a file; the values come next.
    pub(super) fn read(file: &mut impl Read) -> io::Result<Self> {
        let refuse = |message: &str| io::Error::new(io::ErrorKind::InvalidData, message);
        let mut head = [0; 8];
        file.read_exact(&mut head)?;
        let length = match head {
            [.., 1, _] => {
                let mut length = [0; 2];
                file.read_exact(&mut length)?;
                usize::from(u16::from_le_bytes(length))
            }
            [.., 2 | 3, _] => {
                let mut length = [0; 4];
                file.read_exact(&mut length)?;
                u32::from_le_bytes(length) as usize
            }
            _ => return Err(refuse("its format version is not 1, 2 or 3")),
        };
        if !head.starts_with(NPY) || length > LONGEST_HEADER {
            return Err(refuse("its header is too long"));
        }
        let mut text = vec![0; length];
        file.read_exact(&mut text)?;
        Text(&text).header().ok_or_else(|| refuse("its header does not describe an array"))
    }
}

/// What is left of a header's text.
struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    fn header(mut self) -> Option<Header> {
        let (mut kind, mut by_columns, mut shape) = (None, None, None);
        self.word(b"{")?;
        while self.word(b"}").is_none() {
            let key = self.string()?;
            self.word(b":")?;
            match key {
                b"descr" => kind = Some(self.kind()?),
                b"fortran_order" => by_columns = Some(self.truth()?),
                b"shape" => shape = Some(self.shape()?),
                _ => return None,
            }
            if self.word(b",").is_none() {
                self.word(b"}")?;
                break;
            }
        }
        self.skip_blanks();
        let whole = self.0.is_empty();
        whole.then_some(Header { kind: kind?, by_columns: by_columns?, shape: shape? })
    }

    fn skip_blanks(&mut self) {
        self.0 = self.0.trim_ascii_start();
    }

    /// Takes `word` if it is next.
    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.skip_blanks();
        self.0 = self.0.strip_prefix(word)?;
        Some(())
    }

    /// A string without the quotation marks; a backslash keeps what follows it.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.skip_blanks();
        let (&mark, rest) = self.0.split_first().filter(|(c, _)| matches!(c, b'\'' | b'"'))?;
        let mut escaped = false;
        let end = rest.iter().position(|&c| {
            let ends = c == mark && !escaped;
            escaped = c == b'\\' && !escaped;
            ends
        })?;
        self.0 = &rest[end + 1..];
        Some(&rest[..end])
    }

    fn truth(&mut self) -> Option<bool> {
        self.word(b"True").map(|()| true).or_else(|| self.word(b"False").map(|()| false))
    }

    /// A type, or a list of named fields, which is passed over.
    fn kind(&mut self) -> Option<Option<String>> {
        if let Some(kind) = self.string() {
            return Some(Some(String::from_utf8(kind.to_vec()).ok()?));
        }
        let mut depth = 0usize;
        loop {
            self.skip_blanks();
            if self.string().is_some() {
                continue;
            }
            let (&c, rest) = self.0.split_first()?;
            match c {
                b'[' | b'(' => depth += 1,
                b']' | b')' => depth = depth.checked_sub(1)?,
                b',' | b'0'..=b'9' if depth > 0 => {}
                _ => return None,
            }
            self.0 = rest;
            if depth == 0 {
                return Some(None);
            }
        }
    }

    /// `(3, 2)`, `(3,)` or `()`; Python 2 wrote `3L`.
    fn shape(&mut self) -> Option<Vec<u64>> {
        let mut shape = Vec::new();
        self.word(b"(")?;
        while self.word(b")").is_none() {
            self.skip_blanks();
            let digits = self.0.iter().take_while(|c| c.is_ascii_digit()).count();
            let (number, rest) = self.0.split_at(digits);
            shape.push(std::str::from_utf8(number).ok()?.parse().ok()?);
            self.0 = rest.strip_prefix(b"L").unwrap_or(rest);
            if self.word(b",").is_none() {
                self.word(b")")?;
                break;
            }
        }
        Some(shape)
    }
}

/// Values of a type that `Header::kind` spells, as many as there are up to `count`; None if they are not numbers.
pub(super) fn values(file: impl Read, kind: &str, count: u64) -> io::Result<Option<Vec<f64>>> {
    let bytes = |width: u64| {
        let mut bytes = Vec::new();
        file.take(count.saturating_mul(width)).read_to_end(&mut bytes)?;
        Ok::<_, io::Error>(bytes)
    };
    macro_rules! numbers {
        ($type:ty, $from:ident, $convert:expr) => {{
            let bytes = bytes(size_of::<$type>() as u64)?;
            let (chunks, _) = bytes.as_chunks();
            chunks.iter().map(|b| $convert(<$type>::$from(*b))).collect()
        }};
    }
    macro_rules! either_end {
        ($big:expr, $type:ty, $convert:expr) => {
            if $big {
                numbers!($type, from_be_bytes, $convert)
            } else {
                numbers!($type, from_le_bytes, $convert)
            }
        };
    }
    let big = match kind.as_bytes().first() {
        Some(b'>') => true,
        Some(b'<') => false,
        Some(b'|') if kind.ends_with('1') => false,
        _ => return Ok(None),
    };
    Ok(Some(match &kind[1..] {
        "f8" => either_end!(big, f64, |x| x),
        "f4" => either_end!(big, f32, f64::from),
        "i1" => either_end!(big, i8, f64::from),
        "i2" => either_end!(big, i16, f64::from),
        "i4" => either_end!(big, i32, f64::from),
        "i8" => either_end!(big, i64, |x| x as f64),
        "u1" => either_end!(big, u8, f64::from),
        "u2" => either_end!(big, u16, f64::from),
        "u4" => either_end!(big, u32, f64::from),
        "u8" => either_end!(big, u64, |x| x as f64),
        "b1" => either_end!(big, u8, |x| f64::from(u8::from(x != 0))),
        _ => return Ok(None),
    }))
}

/// Writes an array of f64; `values` run through it with the last index fastest.
///
/// # Errors
/// Those of `out`.
pub fn write_npy(
    out: &mut dyn Write,
    shape: &[usize],
    values: impl Iterator<Item = f64>,
) -> io::Result<()> {
    let lengths: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let text = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({lengths}), }}");
    let whole = (BEFORE + text.len() + 1).next_multiple_of(ALIGNMENT);
    let length = u16::try_from(whole - BEFORE)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "an array with too many axes"))?;
    out.write_all(NPY)?;
    out.write_all(&[1, 0])?;
    out.write_all(&length.to_le_bytes())?;
    writeln!(out, "{text:width$}", width = usize::from(length) - 1)?;
    for value in values {
        out.write_all(&value.to_le_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Option<Header> {
        Text(text.as_bytes()).header()
    }

    #[test]
    fn headers_as_numpy_writes_them() {
        let plain = |kind: &str, by_columns, shape: &[u64]| {
            Some(Header { kind: Some(kind.into()), by_columns, shape: shape.to_vec() })
        };
        let text = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }     \n";
        assert_eq!(header(text), plain("<f8", false, &[3, 2]));
        let text = "{\"shape\":(7,),\"fortran_order\":True,\"descr\":\">i2\"}";
        assert_eq!(header(text), plain(">i2", true, &[7]));
        let text = "{'descr': '|b1', 'fortran_order': False, 'shape': (), }";
        assert_eq!(header(text), plain("|b1", false, &[]));
        let text = "{'descr': '<f8', 'fortran_order': False, 'shape': (10L, 2L), }";
        assert_eq!(header(text), plain("<f8", false, &[10, 2]));
        let text = r"{'descr': [('it\'s) [', '<f8'), ('b', '<i4', (2, 3))], 'fortran_order': False, 'shape': (1,), }";
        let fields = Header { kind: None, by_columns: false, shape: vec![1] };
        assert_eq!(header(text), Some(fields));
    }

    #[test]
    fn other_texts_are_no_headers() {
        for text in [
            "",
            "{",
            "{}",
            "{'descr': '<f8', 'fortran_order': False}",
            "{'descr': '<f8', 'fortran_order': 0, 'shape': (1,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (1}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (1,)} more",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'other': 1}",
            "{'descr': '<f8 , 'fortran_order': False, 'shape': (1,)}",
            "{'descr': ], 'fortran_order': False, 'shape': (1,)}",
        ] {
            assert_eq!(header(text), None, "{text}");
        }
    }

    /// Brackets without end take no time and no stack.
    #[test]
    fn deep_headers_are_refused() {
        assert_eq!(header(&format!("{{'descr': {}", "(".repeat(1 << 20))), None);
    }

    /// The same bytes as another writer of the format makes, whose files are out there.
    #[test]
    fn written_as_others_write_it() {
        use npyz::WriterBuilder;
        for shape in [vec![3, 2], vec![6], vec![1, 2, 3], vec![6, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]] {
            let values = [1.0, -2.5, f64::NAN, f64::INFINITY, 1e-310, 0.0];
            let mut ours = Vec::new();
            write_npy(&mut ours, &shape, values.iter().copied()).unwrap();
            let lengths: Vec<u64> = shape.iter().map(|n| *n as u64).collect();
            let mut theirs = Vec::new();
            let options = npyz::WriteOptions::new().default_dtype().shape(&lengths);
            let mut writer = options.writer(&mut theirs).begin_nd().unwrap();
            writer.extend(values).unwrap();
            writer.finish().unwrap();
            assert_eq!(ours, theirs);
            assert_eq!((ours.len() - 48) % ALIGNMENT, 0);
            let mut file = &ours[..];
            let read = Header::read(&mut file).unwrap();
            assert_eq!((read.shape, read.by_columns), (lengths, false));
            let back = values_of(file);
            assert!(back.iter().zip(values).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
    }

    fn values_of(file: &[u8]) -> Vec<f64> {
        values(file, "<f8", 6).unwrap().unwrap()
    }

    /// Bytes of the largest first, and types that are no numbers.
    #[test]
    fn ends_and_types() {
        let read = |kind: &str, bytes: &[u8]| values(bytes, kind, 1).unwrap();
        assert_eq!(read(">f8", &(-1.5f64).to_be_bytes()), Some(vec![-1.5]));
        assert_eq!(read(">f4", &0.25f32.to_be_bytes()), Some(vec![0.25]));
        assert_eq!(read(">i4", &(-7i32).to_be_bytes()), Some(vec![-7.0]));
        assert_eq!(read(">u2", &[1, 0]), Some(vec![256.0]));
        assert_eq!(read("|i1", &[255]), Some(vec![-1.0]));
        assert_eq!(read("|b1", &[2]), Some(vec![1.0]));
        assert_eq!(read("<f8", &[0; 5]), Some(vec![]));
        for kind in ["<f2", "<c16", "|O", "<U5", "|f8", "f8", "", "=f8", "é8"] {
            assert_eq!(read(kind, &[0; 16]), None, "{kind}");
        }
    }
}
