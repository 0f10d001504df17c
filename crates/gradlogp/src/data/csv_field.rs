//! One field of a delimited file: a number, nothing, or trouble.

use csv::ByteRecord;

/// Larger magnitudes are refused: the sum of squares of a column would overflow.
pub(super) const LARGEST: f64 = 1e150;

/// What one field says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Field {
    Number(f64),
    /// A number written with a decimal comma.
    Comma(f64),
    Missing,
    Infinite,
    Huge,
    Text,
    NotUtf8,
}

impl Field {
    /// Reads a field, spaces around it ignored; `commas`: 1,5 may stand for 1.5.
    pub(super) fn parse(bytes: &[u8], commas: bool) -> Field {
        let Ok(text) = str::from_utf8(bytes.trim_ascii()) else { return Field::NotUtf8 };
        match text.parse::<f64>() {
            Ok(value) if value.abs() <= LARGEST => Field::Number(value),
            Ok(value) if value.is_nan() => Field::Missing,
            Ok(_) if text.contains(['n', 'N']) => Field::Infinite,
            Ok(_) => Field::Huge,
            Err(_) if is_missing(text) => Field::Missing,
            Err(_) if commas => Field::parse_comma(text),
            Err(_) => Field::Text,
        }
    }

    fn parse_comma(text: &str) -> Field {
        if text.matches(',').count() != 1 || text.contains('.') {
            return Field::Text;
        }
        match Field::parse(text.replace(',', ".").as_bytes(), false) {
            Field::Number(value) => Field::Comma(value),
            Field::Huge => Field::Huge,
            _ => Field::Text,
        }
    }

    pub(super) fn is_number(self) -> bool {
        !matches!(self, Field::Text | Field::NotUtf8 | Field::Missing)
    }

    pub(super) fn is_text(self) -> bool {
        matches!(self, Field::Text | Field::NotUtf8)
    }
}

fn is_missing(text: &str) -> bool {
    const MISSING: [&str; 9] = ["NA", "N/A", "#N/A", "null", "none", "nil", "?", ".", "-"];
    text.is_empty() || MISSING.iter().any(|token| token.eq_ignore_ascii_case(text))
}

/// A line of nothing but spaces in a table of several columns.
pub(super) fn is_blank(record: &ByteRecord) -> bool {
    record.len() <= 1 && record.iter().all(|field| field.trim_ascii().is_empty())
}

/// A field as it can be put into a message.
pub(super) fn shown(bytes: &[u8]) -> String {
    const LONGEST: usize = 40;
    let text = String::from_utf8_lossy(bytes.trim_ascii());
    let short: String = text.chars().take(LONGEST).flat_map(char::escape_default).collect();
    if text.chars().count() > LONGEST { short + "..." } else { short }
}
