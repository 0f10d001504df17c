//! Lines of plain numbers, read in one pass: most lines of most tables.
//!
//! A number is parsed where it stands and the delimiter is looked for behind it, without finding the
//! fields first. Whatever else a line holds (text in a column that is read, missing or huge values, a
//! decimal comma, a lone carriage return, too many fields), it is not for this file to judge: such a line
//! is left to the csv reader.

use super::csv_field::LARGEST;

/// Reads the line that `text` begins with. Column k of the file goes to `row[slots[k]]`, or is passed
/// over where there is no slot. Returns the bytes of the line with its ending; `None` unless every number
/// is plain and the number of fields is that of `slots` (`row` then holds anything).
///
/// `text` has no quotation marks. `look` is shown each number that is read, by its slot and as it is written.
pub(super) fn plain_line(
    text: &[u8],
    delimiter: u8,
    slots: &[Option<usize>],
    row: &mut [f64],
    mut look: impl FnMut(usize, &[u8]),
) -> Option<usize> {
    let mut at = 0;
    for (k, slot) in slots.iter().enumerate() {
        if k > 0 {
            if *text.get(at)? != delimiter {
                return None;
            }
            at += 1;
        }
        match slot {
            Some(slot) => {
                at += spaces(&text[at..]);
                let (value, length) = fast_float2::parse_partial::<f64, _>(&text[at..]).ok()?;
                // NaN fails this too.
                if !(value.abs() <= LARGEST) {
                    return None;
                }
                row[*slot] = value;
                look(*slot, &text[at..at + length]);
                at += length;
                at += spaces(&text[at..]);
            }
            None => {
                let ends = |byte: &u8| *byte == delimiter || matches!(byte, b'\n' | b'\r');
                at = text[at..].iter().position(ends).map_or(text.len(), |length| at + length);
            }
        }
    }
    match text[at..] {
        [] => Some(at),
        [b'\n', ..] => Some(at + 1),
        [b'\r', b'\n', ..] => Some(at + 2),
        _ => None,
    }
}

fn spaces(text: &[u8]) -> usize {
    text.iter().take_while(|byte| **byte == b' ').count()
}

#[cfg(test)]
mod tests {
    use super::super::csv_field::Field;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_go_to_their_slots() {
        let mut row = [0.0; 2];
        let slots = [Some(1), None, Some(0)];
        let text = b"1.5,some text, -2e3 \r\n7,8,9\n";
        let length = plain_line(text, b',', &slots, &mut row, |_, _| {}).unwrap();
        assert_eq!((row, length), ([-2000.0, 1.5], 22));
        assert_eq!(plain_line(&text[length..], b',', &slots, &mut row, |_, _| {}), Some(6));
        assert_eq!(row, [9.0, 7.0]);
        assert_eq!(plain_line(b"1,,3", b',', &slots, &mut row, |_, _| {}), Some(4));
        assert_eq!(plain_line(b"1;\xFF;3", b';', &slots, &mut row, |_, _| {}), Some(5));
    }

    #[test]
    fn all_else_is_left_to_the_csv_reader() {
        let slots = [Some(0), Some(1)];
        let texts = [
            "",
            "\n",
            "1",
            "1,",
            "1,\n",
            "1,2,",
            "1,2,3",
            "1,2;",
            "1;2",
            "1,x",
            "x,1",
            "1,nan",
            "1,NA",
            "inf,1",
            "1,-Infinity",
            "1e151,2",
            "1e400,2",
            "1,2\r3,4",
            "1,0x10",
            "1,1_000",
            "1,2e",
            "1,.",
            "1,-",
            "1,+",
            "1 2,3",
            "1,2 x",
            "1\t,2",
        ];
        for text in texts {
            let read = plain_line(text.as_bytes(), b',', &slots, &mut [0.0; 2], |_, _| {});
            assert_eq!(read, None, "{text:?}");
        }
    }

    proptest! {
        /// A field that is read here is read alike, to the last bit, by the one judge of fields.
        #[test]
        fn fields_are_read_as_elsewhere(text in "[ ]?[-+]?[0-9]{0,22}[.]?[0-9]{0,22}([eE][-+]?[0-9]{1,3})?[ ]?") {
            let mut row = [0.0];
            if plain_line(text.as_bytes(), b',', &[Some(0)], &mut row, |_, _| {}).is_some() {
                let value = Field::parse(text.as_bytes()).value().map(f64::to_bits);
                prop_assert_eq!(value, Some(row[0].to_bits()));
            } else {
                // Those with groups of digits are for the judge alone.
                let number = Field::parse(text.as_bytes()).value().is_some() && !text.trim().contains(' ');
                prop_assert!(!number, "{} is a number and was not read", text);
            }
        }

        #[test]
        fn any_double_survives(value in -1e150f64..1e150, small in prop::num::f64::NORMAL) {
            for value in [value, small] {
                let mut row = [0.0];
                let text = format!("{value:e}");
                let read = plain_line(text.as_bytes(), b',', &[Some(0)], &mut row, |_, _| {});
                prop_assert_eq!(read.is_some(), value.abs() <= LARGEST);
                prop_assert!(read.is_none() || row[0].to_bits() == value.to_bits());
            }
        }
    }
}
