//! Whether numbers are written 1,234.5 or 1.234,5: found from all numbers of a file, never guessed.
//!
//! A lone comma or point before three digits (2,238) can be a decimal mark or one between thousands. Other
//! numbers of the file tell: 12.5 and 0.238 have a decimal point, 12,5 a decimal comma, 1,234,567 has commas
//! between thousands. Where none does, whole numbers beside them tell: who writes 2,238 for a decimal
//! fraction writes 847.1 and 847.25 far more often than 847, so a column of 2,238 and of several whole numbers
//! below 1000 has thousands. Commas are then read as such, with a warning; points, which nearly always are
//! decimal, are refused until the user says which. So is what stays undecided.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::csv_field::Marked;

/// A mark that can stand before decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// 1,234.5
    Point,
    /// 1.234,5
    Comma,
}

impl Mark {
    /// As it is written.
    pub fn char(self) -> char {
        match self {
            Mark::Point => '.',
            Mark::Comma => ',',
        }
    }

    /// The mark that then stands between thousands.
    pub fn other(self) -> Mark {
        match self {
            Mark::Point => Mark::Comma,
            Mark::Comma => Mark::Point,
        }
    }
}

/// Where something was seen first.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    pub(super) row: usize,
    pub(super) text: String,
}

/// How often, and where first.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Seen {
    pub(super) count: usize,
    pub(super) first: Option<Place>,
}

impl Seen {
    fn add(&mut self, place: impl FnOnce() -> Place) {
        self.count += 1;
        self.first.get_or_insert_with(place);
    }

    fn append(&mut self, later: Seen, rows_before: usize) {
        self.count += later.count;
        if self.first.is_none() {
            self.first = later.first.map(|place| Place { row: rows_before + place.row, ..place });
        }
    }
}

/// The marks of one column.
#[derive(Debug, Clone, Default)]
struct Marks {
    /// 12.5: the point is decimal.
    point: Seen,
    /// 12,5: the comma is decimal.
    comma: Seen,
    /// 1,234.5 or 1,234,567: commas between thousands.
    between_comma: Seen,
    /// 1.234,5 or 1.234.567: points between thousands.
    between_point: Seen,
    /// 2,238.
    lone_comma: Seen,
    /// 2.238.
    lone_point: Seen,
    /// Apostrophes and blanks between thousands.
    groups: Seen,
}

/// What the numbers read so far say of their marks.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    columns: BTreeMap<usize, Marks>,
    /// Columns for which a decimal point is proven: no need to look at their numbers any more.
    pub(super) proven: Vec<bool>,
    any_point: bool,
    /// Of numbers with two readings, the place among all values and the one with a decimal comma.
    two: Vec<(usize, f64)>,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Style {
    pub(super) decimal: Mark,
    /// Numbers with a decimal comma.
    pub(super) decimal_commas: Seen,
    /// Numbers with the other mark between thousands.
    pub(super) thousands: Seen,
    /// Numbers with apostrophes or blanks between thousands.
    pub(super) groups: Seen,
}

/// Why nothing was: column and place, and what is wrong there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Undecided {
    pub(super) column: usize,
    pub(super) place: Place,
    pub(super) why: Why,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Why {
    /// This has no reading with the decimal mark that was asked for.
    Against(Mark),
    /// This has a decimal point, and another number, as written, a decimal comma.
    Both(String),
    /// This has two readings.
    Two,
}

impl Evidence {
    /// For `width` columns.
    pub(super) fn new(width: usize) -> Self {
        Evidence { proven: vec![false; width], ..Evidence::default() }
    }

    /// Starts another part of the same file.
    pub(super) fn part(&self) -> Self {
        Evidence { proven: self.proven.clone(), any_point: self.any_point, ..Evidence::default() }
    }

    /// A decimal point that can be nothing else, in a column where none was seen.
    pub(super) fn prove(&mut self, column: usize, place: impl FnOnce() -> Place) {
        self.columns.entry(column).or_default().point.add(place);
        self.proven[column] = true;
        self.any_point = true;
    }

    /// A number such as 2.238; `at` is its place among all values.
    pub(super) fn lone_point(
        &mut self,
        column: usize,
        at: usize,
        comma: f64,
        place: impl FnOnce() -> Place,
    ) {
        self.columns.entry(column).or_default().lone_point.add(place);
        if !self.any_point {
            self.two.push((at, comma));
        }
    }

    /// Any number with marks.
    pub(super) fn note(
        &mut self,
        column: usize,
        at: usize,
        number: &Marked,
        place: impl Fn() -> Place,
    ) {
        if number.groups.is_some() {
            self.columns.entry(column).or_default().groups.add(&place);
        }
        match (number.point, number.comma, number.has) {
            (_, _, (false, false)) => {}
            (Some(_), Some(comma), (true, _)) => self.lone_point(column, at, comma, place),
            (Some(_), Some(comma), _) => {
                self.columns.entry(column).or_default().lone_comma.add(place);
                self.two.push((at, comma));
            }
            (Some(_), None, (_, false)) => {
                if !self.proven[column] {
                    self.prove(column, place);
                }
            }
            (Some(_), None, _) => {
                self.columns.entry(column).or_default().between_comma.add(place);
            }
            (None, _, (false, _)) => self.columns.entry(column).or_default().comma.add(place),
            (None, _, (_, has_comma)) => {
                let marks = self.columns.entry(column).or_default();
                marks.between_point.add(&place);
                if has_comma {
                    marks.comma.add(&place);
                }
            }
        }
    }

    /// Forgets the values from `len` on, of a row that is left out.
    pub(super) fn truncate(&mut self, len: usize) {
        while self.two.last().is_some_and(|(at, _)| *at >= len) {
            self.two.pop();
        }
    }

    /// Takes over what a later part found.
    pub(super) fn append(&mut self, later: Evidence, rows_before: usize, values_before: usize) {
        for (column, marks) in later.columns {
            let own = self.columns.entry(column).or_default();
            own.point.append(marks.point, rows_before);
            own.comma.append(marks.comma, rows_before);
            own.between_comma.append(marks.between_comma, rows_before);
            own.between_point.append(marks.between_point, rows_before);
            own.lone_comma.append(marks.lone_comma, rows_before);
            own.lone_point.append(marks.lone_point, rows_before);
            own.groups.append(marks.groups, rows_before);
        }
        for (own, later) in self.proven.iter_mut().zip(later.proven) {
            *own |= later;
        }
        self.any_point |= later.any_point;
        self.two.extend(later.two.into_iter().map(|(at, comma)| (values_before + at, comma)));
    }

    /// Decides, and puts the readings with a decimal comma into `values` if that is the mark. `asked` is the
    /// decimal mark that the user named; `width` is the number of columns.
    pub(super) fn decide(
        &self,
        values: &mut [f64],
        width: usize,
        asked: Option<Mark>,
    ) -> Result<Style, Undecided> {
        let decimal = match asked {
            Some(mark) => self.check_asked(mark)?,
            None => self.find(values, width)?,
        };
        if decimal == Mark::Comma {
            for (at, comma) in &self.two {
                values[*at] = *comma;
            }
        }
        let sum = |of: &[fn(&Marks) -> &Seen]| {
            let mut sum = Seen::default();
            let mut all: Vec<&Seen> =
                self.columns.values().flat_map(|marks| of.iter().map(move |f| f(marks))).collect();
            all.sort_by_key(|seen| seen.first.as_ref().map(|place| place.row));
            all.into_iter().for_each(|seen| sum.append(seen.clone(), 0));
            sum
        };
        let groups = sum(&[|m| &m.groups]);
        Ok(match decimal {
            Mark::Point => Style {
                decimal,
                decimal_commas: Seen::default(),
                thousands: sum(&[|m| &m.between_comma, |m| &m.lone_comma]),
                groups,
            },
            Mark::Comma => Style {
                decimal,
                decimal_commas: sum(&[|m| &m.comma, |m| &m.lone_comma]),
                thousands: sum(&[|m| &m.between_point, |m| &m.lone_point]),
                groups,
            },
        })
    }

    /// The place where something was seen first in the file.
    fn first(&self, of: impl Fn(&Marks) -> &Seen) -> Option<(usize, &Place)> {
        let places =
            self.columns.iter().filter_map(|(c, marks)| Some((*c, of(marks).first.as_ref()?)));
        places.min_by_key(|(_, place)| place.row)
    }

    fn check_asked(&self, mark: Mark) -> Result<Mark, Undecided> {
        let against = match mark {
            Mark::Point => self.first(|m| &m.comma).or(self.first(|m| &m.between_point)),
            Mark::Comma => self.first(|m| &m.point).or(self.first(|m| &m.between_comma)),
        };
        match against {
            None => Ok(mark),
            Some((column, place)) => {
                Err(Undecided { column, place: place.clone(), why: Why::Against(mark) })
            }
        }
    }

    fn find(&self, values: &[f64], width: usize) -> Result<Mark, Undecided> {
        let point = self.first(|m| &m.point).or(self.first(|m| &m.between_comma));
        let comma = self.first(|m| &m.comma).or(self.first(|m| &m.between_point));
        match (point, comma) {
            (Some((column, place)), Some((_, other))) => {
                Err(Undecided { column, place: place.clone(), why: Why::Both(other.text.clone()) })
            }
            (Some(_), None) => {
                // 1,500 beside 1.5 in one column, and nothing that proves thousands.
                let proven = self.first(|m| &m.between_comma).is_some();
                let mixed =
                    self.columns.iter().find(|(_, m)| m.lone_comma.count > 0 && m.point.count > 0);
                match mixed.and_then(|(c, m)| {
                    Some((*c, m.point.first.clone()?, m.lone_comma.first.clone()?))
                }) {
                    Some((column, place, other)) if !proven => {
                        Err(Undecided { column, place, why: Why::Both(other.text) })
                    }
                    _ => Ok(Mark::Point),
                }
            }
            (None, Some(_)) => {
                let proven = self.first(|m| &m.between_point).is_some();
                let mixed =
                    self.columns.iter().find(|(_, m)| m.lone_point.count > 0 && m.comma.count > 0);
                match mixed.and_then(|(c, m)| {
                    Some((*c, m.lone_point.first.clone()?, m.comma.first.clone()?))
                }) {
                    Some((column, place, other)) if !proven => {
                        Err(Undecided { column, place, why: Why::Both(other.text) })
                    }
                    _ => Ok(Mark::Comma),
                }
            }
            (None, None) => self.find_from_whole_numbers(values, width),
        }
    }

    /// Where only 2,238 and 2.238 were seen.
    fn find_from_whole_numbers(&self, values: &[f64], width: usize) -> Result<Mark, Undecided> {
        let two = |found: Option<(usize, &Place)>| match found {
            Some((column, place)) => Err(Undecided { column, place: place.clone(), why: Why::Two }),
            None => Ok(Mark::Point),
        };
        let (commas, points) = (self.first(|m| &m.lone_comma), self.first(|m| &m.lone_point));
        let beside = |of: fn(&Marks) -> &Seen| {
            let mut columns = self.columns.iter().filter(move |(_, marks)| of(marks).count > 0);
            columns.any(|(column, _)| self.has_whole_numbers(*column, values, width))
        };
        match (commas, points) {
            (Some(_), None) if beside(|m| &m.lone_comma) => Ok(Mark::Point),
            (None, Some(_)) if !beside(|m| &m.lone_point) => Ok(Mark::Point),
            (None, points) => two(points),
            (commas, _) => two(commas),
        }
    }

    /// Whether two different whole numbers of one to three digits, but 0, stand in a column.
    fn has_whole_numbers(&self, column: usize, values: &[f64], width: usize) -> bool {
        let mut first = None;
        for at in (column..values.len()).step_by(width.max(1)) {
            let value = values[at];
            let whole = value.fract() == 0.0 && value != 0.0 && value.abs() < 1000.0;
            if !whole || self.two.binary_search_by_key(&at, |(at, _)| *at).is_ok() {
                continue;
            }
            if *first.get_or_insert(value) != value {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::csv_field::Field;
    use super::*;

    /// The values of one column, or why there are none.
    fn read(texts: &[&str], asked: Option<Mark>) -> Result<Vec<f64>, Why> {
        let mut evidence = Evidence::new(1);
        let mut values = Vec::new();
        for (row, text) in texts.iter().enumerate() {
            let field = Field::parse(text.as_bytes());
            if let Field::Marked(number) = &field {
                let place = || Place { row, text: text.to_string() };
                evidence.note(0, values.len(), number, place);
            }
            values.push(field.value().unwrap());
        }
        evidence.decide(&mut values, 1, asked).map_err(|undecided| undecided.why)?;
        Ok(values)
    }

    #[test]
    fn other_numbers_of_the_column_decide() {
        for (texts, values) in [
            (&["2,238", "847", "912"][..], &[2238.0, 847.0, 912.0][..]),
            (&["2,238", "12,5"], &[2.238, 12.5]),
            (&["2,238", "0,123"], &[2.238, 0.123]),
            (&["2,238", "1,234,567"], &[2238.0, 1_234_567.0]),
            (&["2,238", "1,234.5", "7.5"], &[2238.0, 1234.5, 7.5]),
            (&["2.238", "12.5", "847", "912"], &[2.238, 12.5, 847.0, 912.0]),
            (&["2.238", "1.234,5"], &[2238.0, 1234.5]),
            (&["2.238", "1.234.567", "847"], &[2238.0, 1_234_567.0, 847.0]),
            (&["2.238", "36.512"], &[2.238, 36.512]),
            (&["2.238", "36.512", "-999", "-999", "0"], &[2.238, 36.512, -999.0, -999.0, 0.0]),
            (&["2 238", "847,5"], &[2238.0, 847.5]),
        ] {
            assert_eq!(read(texts, None), Ok(values.to_vec()), "{texts:?}");
        }
    }

    #[test]
    fn what_nothing_decides_is_not_guessed() {
        assert_eq!(read(&["2,238", "1,165"], None), Err(Why::Two));
        assert_eq!(read(&["2,238", "847"], None), Err(Why::Two));
        assert_eq!(read(&["2.238", "847", "912"], None), Err(Why::Two));
        assert_eq!(read(&["2,238", "2.238"], None), Err(Why::Two));
        assert_eq!(read(&["12,5", "12.5"], None), Err(Why::Both("12,5".into())));
        assert_eq!(read(&["1,500", "1.5"], None), Err(Why::Both("1,500".into())));
        assert_eq!(read(&["1,5", "1.500"], None), Err(Why::Both("1,5".into())));
    }

    #[test]
    fn the_user_decides() {
        let texts = ["2,238", "1,165"];
        assert_eq!(read(&texts, Some(Mark::Point)), Ok(vec![2238.0, 1165.0]));
        assert_eq!(read(&texts, Some(Mark::Comma)), Ok(vec![2.238, 1.165]));
        assert_eq!(read(&["2.238", "847", "912"], Some(Mark::Comma)).unwrap()[0], 2238.0);
        assert_eq!(read(&["12,5"], Some(Mark::Point)), Err(Why::Against(Mark::Point)));
        assert_eq!(read(&["12.5"], Some(Mark::Comma)), Err(Why::Against(Mark::Comma)));
    }
}
