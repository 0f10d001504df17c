//! Errors and warnings about the rows of a file, with what to do about them.

use csv::ByteRecord;

use super::rows::{Missing, Rows};
use crate::data::DataWarning;
use crate::data::csv_field::{Field, LARGEST, shown};
use crate::data::names::{option_list, quoted_list};
use crate::data::number_style::{Place, Style, Undecided, Why};
use crate::{Error, Result};

impl Rows<'_> {
    pub(super) fn unreadable(&self, error: csv::Error) -> Error {
        let text = error.to_string();
        match error.into_kind() {
            csv::ErrorKind::Io(source) => Error::io(self.source_name, "read", source),
            _ => Error::data(self.source_name, text),
        }
    }

    /// An error at the current row.
    pub(super) fn error_at(&self, row: usize, column: Option<usize>, message: String) -> Error {
        Error::Data {
            source_name: self.source_name.to_string(),
            row: Some(row),
            column: column.map(|i| self.layout.names[i].clone()),
            message,
        }
    }

    pub(super) fn ragged(&self, record: &ByteRecord) -> Error {
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
    pub(super) fn is_needed(&self, column: usize) -> bool {
        self.options.like.is_some() && self.layout.slots[column].is_some()
    }

    pub(super) fn refuse(&self, record: &ByteRecord, column: usize, bad: Field) -> Error {
        let text = shown(&record[column]);
        let name = option_list(&[&self.layout.names[column]]);
        let needed = self.is_needed(column);
        let or_leave_out = match needed {
            true => "; the model needs this column".to_string(),
            false => format!(", or leave it out with `drop = {name}`"),
        };
        let message = match bad {
            Field::Infinite if needed => format!(
                "\"{text}\" is infinite; remove the row or correct it; the model needs this column"
            ),
            Field::Infinite => format!(
                "\"{text}\" is infinite; remove the row, mark it as missing or leave the column out \
                 with `drop = {name}`"
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
    pub(super) fn text_hint(&self, record: &ByteRecord, column: usize, text: &str) -> String {
        let layout = self.layout;
        let is_text = |&&i: &&usize| Field::parse(&record[i]).is_text();
        let columns: Vec<&str> =
            layout.chosen.iter().filter(is_text).map(|&i| layout.names[i].as_str()).collect();
        let drop = option_list(&columns);
        let digits = text.contains(|c: char| c.is_ascii_digit());
        if layout.names.len() == 1 && text.contains([' ', '|', ':']) {
            "; columns must be separated by commas, semicolons or tabs".into()
        } else if !layout.has_header && self.read == 1 && !self.is_needed(column) {
            format!(
                "; if this line holds the column names, use `header`, otherwise `drop = {drop}`"
            )
        } else if self.is_needed(column) {
            "; correct it: the model needs this column".into()
        } else if columns.len() > 1 {
            format!("; columns {} hold text: `drop = {drop}`", quoted_list(&columns))
        } else if is_date(text) {
            format!(
                ": it looks like a date; write days or seconds as numbers, or leave the column out with \
                 `drop = {drop}`"
            )
        } else if digits && text.contains(',') {
            "; numbers are written with a decimal point and without thousands separators".into()
        } else {
            format!("; correct it, or leave the column out with `drop = {drop}`")
        }
    }

    /// Why numbers of the file cannot be read, and what would help.
    pub(super) fn undecided(
        &self,
        Undecided { column, place: Place { row, text }, why }: Undecided,
    ) -> Error {
        let message = match why {
            Why::Both(other) => format!(
                "\"{text}\" has a decimal point and \"{other}\" elsewhere a comma: write all numbers with a \
                 decimal point and without thousands separators"
            ),
            Why::Against(mark) => {
                let (mark, other) = (mark.char(), mark.other().char());
                format!(
                    "\"{text}\" cannot be read with \"{mark}\" before decimals and \"{other}\" between \
                     thousands"
                )
            }
            Why::Two => {
                let mark = if text.contains(',') { ',' } else { '.' };
                let digits: String = text.chars().filter(|c| *c != mark).collect();
                let decimal = text.replace(mark, ".");
                format!(
                    "\"{text}\" is {digits} if \"{mark}\" separates thousands and {decimal} if it is \
                     decimal, and no other number of the file tells: use `thousands = {mark}` or `decimal = \
                     {mark}`"
                )
            }
        };
        self.error_at(row, Some(self.layout.chosen[column]), message)
    }

    /// Warns of what was read as something else than it looks.
    pub(super) fn tell(&self, style: Style, warnings: &mut Vec<DataWarning>) {
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

    pub(super) fn judge_missing(&self, warnings: &mut Vec<DataWarning>) -> Result<()> {
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
    pub(super) fn way_out_of_holes(&self) -> String {
        let width = self.layout.chosen.len();
        let name = |slot: usize| self.layout.names[self.layout.chosen[slot]].as_str();
        let fill_in = "fill in the missing values with another program first";
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
                        " and the rows that still have missing values with `drop_missing`, which leaves \
                         {sum} of {} rows",
                        self.missing.holes.len()
                    ),
                };
                let which = if drop == 1 { "that column" } else { "the columns that have most" };
                return format!(
                    "; leave {which} out with `drop = {}`{rows}",
                    option_list(&columns)
                );
            }
        }
        let holey = count.iter().filter(|count| **count > 0).count();
        format!(
            "; {holey} of {width} columns have missing values, and leaving out up to half of the columns \
             keeps fewer than a tenth of the rows: {fill_in}"
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
