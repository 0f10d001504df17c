//! One field of a delimited file: a number, a missing value, or an error.

use csv::ByteRecord;

/// Larger magnitudes are refused: the sum of squares of a column would overflow.
pub(super) const LARGEST: f64 = 1e150;

/// Spellings of a missing value, any case: those of R, pandas, SQL, Julia, and the errors of spreadsheets.
const MISSING: [&str; 34] = [
    "NA",
    "N/A",
    "n.a.",
    "<NA>",
    "NaN",
    "-NaN",
    "+NaN",
    "<NaN>",
    "NaT",
    "null",
    "(null)",
    "<null>",
    "none",
    "<none>",
    "nil",
    "\\N",
    "missing",
    "?",
    ".",
    "-",
    "--",
    "---",
    "#N/A",
    "#N/A N/A",
    "#NA",
    "#NV",
    "#DIV/0!",
    "#NUM!",
    "#VALUE!",
    "#REF!",
    "#NAME?",
    "#NULL!",
    "nan(ind)",
    "-nan(ind)",
];

/// What one field says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Field {
    /// A number that is written alike everywhere.
    Number(f64),
    /// A number with a point, a comma, or marks between groups of three digits.
    Marked(Marked),
    /// `true` or `false`.
    Bool(bool),
    Missing,
    Infinite,
    Huge,
    Text,
    NotUtf8,
}

/// A number whose marks mean one thing where decimals follow a point and another where they follow a comma.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Marked {
    /// Its value with a decimal point, commas being thousands separators.
    pub(super) point: Option<f64>,
    /// Its value with a decimal comma, points being thousands separators.
    pub(super) comma: Option<f64>,
    /// Whether it has points, and whether it has commas.
    pub(super) has: (bool, bool),
    /// An apostrophe or a blank between thousands.
    pub(super) groups: Option<char>,
}

impl Field {
    /// Reads a field, blanks around it ignored. Bytes that are not UTF-8 are taken for Latin-1 if that
    /// makes a number of them.
    pub(super) fn parse(bytes: &[u8]) -> Field {
        let Ok(text) = str::from_utf8(bytes) else {
            let latin: String = bytes.iter().map(|byte| char::from(*byte)).collect();
            return match Field::of(latin.trim()) {
                Field::Text => Field::NotUtf8,
                field => field,
            };
        };
        Field::of(text.trim())
    }

    fn of(text: &str) -> Field {
        match text.parse::<f64>() {
            Ok(value) if value.is_nan() => Field::Missing,
            Ok(value) if value.is_infinite() && text.contains(['n', 'N']) => Field::Infinite,
            Ok(value) if !(value.abs() <= LARGEST) => Field::Huge,
            Ok(value) if text.contains('.') => {
                let comma = lone_point(text.as_bytes()).then(|| without_point(value));
                let (point, has) = (Some(value), (true, false));
                Field::Marked(Marked { point, comma, has, groups: None })
            }
            Ok(value) => Field::Number(value),
            Err(_) if is_missing(text) => Field::Missing,
            Err(_) if text.eq_ignore_ascii_case("true") => Field::Bool(true),
            Err(_) if text.eq_ignore_ascii_case("false") => Field::Bool(false),
            Err(_) if is_infinite(text) => Field::Infinite,
            Err(_) => marked(text),
        }
    }

    pub(super) fn is_number(self) -> bool {
        !matches!(self, Field::Text | Field::NotUtf8 | Field::Missing)
    }

    pub(super) fn is_text(self) -> bool {
        matches!(self, Field::Text | Field::NotUtf8)
    }

    /// The value of a number, read with a decimal point where there is a choice.
    pub(super) fn value(self) -> Option<f64> {
        match self {
            Field::Number(value) => Some(value),
            Field::Marked(marked) => marked.point.or(marked.comma),
            _ => None,
        }
    }
}

fn is_missing(text: &str) -> bool {
    let not_a_number = |text: &str| {
        // What the runtime of Microsoft's C prints: 1.#QNAN0, -1.#IND00.
        let code = text.trim_start_matches(['-', '+']).strip_prefix("1.#");
        code.is_some_and(|code| {
            ["QNAN", "SNAN", "IND"].contains(&code.trim_end_matches('0').to_uppercase().as_str())
        })
    };
    text.is_empty() || MISSING.iter().any(|m| m.eq_ignore_ascii_case(text)) || not_a_number(text)
}

fn is_infinite(text: &str) -> bool {
    let code = text.trim_start_matches(['-', '+']);
    code.strip_prefix("1.#").is_some_and(|c| c.trim_end_matches('0').eq_ignore_ascii_case("INF"))
        || code == "\u{221e}"
}

/// Whether a number with a point, such as 2.238, could also be thousands: one to three digits, not a zero in
/// front, then three.
pub(super) fn lone_point(token: &[u8]) -> bool {
    let digits = token.strip_prefix(b"-").or(token.strip_prefix(b"+")).unwrap_or(token);
    let Some(front) = digits.len().checked_sub(4) else { return false };
    (1..=3).contains(&front)
        && digits[0] != b'0'
        && digits[front] == b'.'
        && digits[..front].iter().chain(&digits[front + 1..]).all(u8::is_ascii_digit)
}

/// What 2.238 is where its point separates thousands.
pub(super) fn without_point(value: f64) -> f64 {
    (1000.0 * value).round()
}

/// Numbers that Rust's parser does not know.
fn marked(text: &str) -> Field {
    let (sign, body) = match text.strip_prefix(['-', '+', '\u{2212}']) {
        Some(body) if text.starts_with('+') => (1.0, body),
        Some(body) => (-1.0, body),
        None => (1.0, text),
    };
    let known = |c: char| c.is_ascii_digit() || ".,eE+-".contains(c) || is_group_mark(c);
    if !body.starts_with(|c: char| c.is_ascii_digit() || ".,".contains(c))
        || !body.chars().all(known)
    {
        return Field::Text;
    }
    let Some((body, groups)) = ungrouped(body) else { return Field::Text };
    let reading = |between: char, decimal: char| -> Option<f64> {
        // Groups of two kinds in one number are none.
        if groups.is_some() && body.contains(between) {
            return None;
        }
        Some(sign * grouped(&body, between, decimal)?)
    };
    let (point, comma) = (reading(',', '.'), reading('.', ','));
    let values = [point, comma];
    if values.iter().all(Option::is_none) {
        return Field::Text;
    }
    if values.iter().flatten().any(|value| !(value.abs() <= LARGEST)) {
        return Field::Huge;
    }
    let has = (body.contains('.'), body.contains(','));
    match (has, groups, point) {
        // A minus sign in typesetting.
        ((false, false), None, Some(value)) => Field::Number(value),
        _ => Field::Marked(Marked { point, comma, has, groups }),
    }
}

fn is_group_mark(c: char) -> bool {
    // Apostrophes, blank, no-break space, thin and narrow no-break spaces.
    "'\u{2019} \u{a0}\u{2009}\u{202f}\u{2007}".contains(c)
}

/// The text without apostrophes and blanks between groups of three digits, and the mark; None if they stand
/// elsewhere.
fn ungrouped(text: &str) -> Option<(String, Option<char>)> {
    let Some(mark) = text.chars().find(|c| is_group_mark(*c)) else {
        return Some((text.to_string(), None));
    };
    let end = text.find(['.', ',']).unwrap_or(text.len());
    let (whole, rest) = text.split_at(end);
    if rest.contains(is_group_mark) || !in_groups(whole, mark) {
        return None;
    }
    Some((whole.replace(mark, "") + rest, Some(mark)))
}

/// Whether `text` is digits in groups: 1,234,567, or as in India 12,34,567.
fn in_groups(text: &str, mark: char) -> bool {
    let groups: Vec<&str> = text.split(mark).collect();
    let digits = |group: &&str| group.bytes().all(|b| b.is_ascii_digit());
    let [first, middle @ .., last] = groups.as_slice() else { return false };
    let of = |width: usize| middle.iter().all(|group| group.len() == width);
    groups.iter().all(digits)
        && !first.starts_with('0')
        && last.len() == 3
        && ((1..=3).contains(&first.len()) && of(3)
            || (1..=2).contains(&first.len()) && !middle.is_empty() && of(2))
}

/// The value of a number without sign, whose thousands may be separated by `between`.
fn grouped(text: &str, between: char, decimal: char) -> Option<f64> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let (whole, fraction) = mantissa.split_once(decimal).unwrap_or((mantissa, ""));
    let separated = whole.contains(between);
    if separated && !(in_groups(whole, between) && exponent.is_empty()) {
        return None;
    }
    if fraction.contains([between, decimal]) {
        return None;
    }
    format!("{}.{fraction}{exponent}", whole.replace(between, "")).parse().ok()
}

/// A line of nothing but spaces in a table of several columns.
pub(super) fn is_blank(record: &ByteRecord) -> bool {
    record.len() <= 1 && record.iter().all(|field| field.trim_ascii().is_empty())
}

/// A field as it can be put into a message.
pub(super) fn shown(bytes: &[u8]) -> String {
    const LONGEST: usize = 40;
    // Enough bytes for so many characters, whatever they are.
    let bytes = bytes.trim_ascii();
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(8 * LONGEST)]);
    let short: String = text.chars().take(LONGEST).flat_map(char::escape_default).collect();
    if text.chars().count() > LONGEST { short + "..." } else { short }
}

/// A number as it is written, blanks between thousands being plain ones.
pub(super) fn shown_number(bytes: &[u8]) -> String {
    let text: String = match str::from_utf8(bytes) {
        Ok(text) => text.trim().chars().take(40).collect(),
        Err(_) => bytes.iter().take(40).map(|byte| char::from(*byte)).collect(),
    };
    let apostrophe = |c: char| "'\u{2019}".contains(c);
    text.trim().chars().map(|c| if is_group_mark(c) && !apostrophe(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(text: &str) -> (Option<f64>, Option<f64>) {
        match Field::parse(text.as_bytes()) {
            Field::Number(value) => (Some(value), Some(value)),
            Field::Marked(Marked { point, comma, .. }) => (point, comma),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn marks_have_the_readings_that_they_can_have() {
        for (text, point, comma) in [
            ("847", Some(847.0), Some(847.0)),
            ("2,238", Some(2238.0), Some(2.238)),
            ("2.238", Some(2.238), Some(2238.0)),
            ("-2,238", Some(-2238.0), Some(-2.238)),
            ("-2.238", Some(-2.238), Some(-2238.0)),
            ("0,238", None, Some(0.238)),
            ("0.238", Some(0.238), None),
            ("12.5", Some(12.5), None),
            ("12,5", None, Some(12.5)),
            ("1,5e3", None, Some(1500.0)),
            ("1.234e3", Some(1234.0), None),
            ("1,234e3", None, Some(1234.0)),
            ("1234,567", None, Some(1234.567)),
            ("1,234,567", Some(1_234_567.0), None),
            ("1.234.567", None, Some(1_234_567.0)),
            ("12,34,567", Some(1_234_567.0), None),
            ("1,234.5", Some(1234.5), None),
            ("1.234,5", None, Some(1234.5)),
            ("1 234", Some(1234.0), Some(1234.0)),
            ("1\u{a0}234,5", None, Some(1234.5)),
            ("1'234.5", Some(1234.5), None),
            ("1\u{202f}234\u{202f}567", Some(1_234_567.0), Some(1_234_567.0)),
            (",5", None, Some(0.5)),
            ("\u{2212}7", Some(-7.0), Some(-7.0)),
        ] {
            assert_eq!(both(text), (point, comma), "{text}");
        }
        assert_eq!(Field::parse(b"1\xA0234").value(), Some(1234.0), "Latin-1");
        for text in
            ["1,23,45", "1 23", "1,,2", "1.2.3", "1,234 567", "1'234,567.5", "12 kg", ",", "1,2,3"]
        {
            assert_eq!(Field::parse(text.as_bytes()), Field::Text, "{text}");
        }
    }

    #[test]
    fn what_is_missing_infinite_true_or_false() {
        for text in [
            "",
            " ",
            "NA",
            "n/a",
            "<NA>",
            "#N/A",
            "#DIV/0!",
            "\\N",
            "1.#QNAN",
            "-1.#IND00",
            "nan",
            "-nan",
            "NULL",
            "NaT",
            "#NV",
            "-nan(ind)",
        ] {
            assert_eq!(Field::parse(text.as_bytes()), Field::Missing, "{text:?}");
        }
        for text in ["inf", "-Infinity", "1.#INF", "-1.#INF00", "\u{221e}"] {
            assert_eq!(Field::parse(text.as_bytes()), Field::Infinite, "{text:?}");
        }
        assert_eq!(Field::parse(b"True"), Field::Bool(true));
        assert_eq!(Field::parse(b" FALSE"), Field::Bool(false));
        assert_eq!(Field::parse(b"1e300"), Field::Huge);
        assert_eq!(Field::parse(b"\xE9"), Field::NotUtf8);
    }
}
