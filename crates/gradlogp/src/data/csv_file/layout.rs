//! The layout of the records of a file: header, delimiter, columns.

use std::collections::{BTreeMap, HashSet};

use csv::ByteRecord;

use super::options::{Header, ReadOptions};
use crate::data::csv_field::Field;
use crate::data::csv_sniff::{
    NumericHeader, latin_or_utf8, looks_like_header, numeric_header, sample_records,
};
use crate::data::names::{self, Match};
use crate::data::{DataWarning, LeftOut};
use crate::{Error, Result};

/// The layout of the records of a file: header, delimiter, columns.
pub(super) struct Layout {
    /// Names of all columns of the file, unique.
    pub(super) names: Vec<String>,
    /// The columns to read, in the order of the table.
    pub(super) chosen: Vec<usize>,
    /// For every column of the file, its place in a row of the table, if it is chosen.
    pub(super) slots: Vec<Option<usize>>,
    /// Whether the names stand in the first record.
    pub(super) has_header: bool,
    /// Fields that a record must have.
    pub(super) fields: usize,
}

impl Layout {
    pub(super) fn find(
        records: &[ByteRecord],
        comment: Option<&str>,
        delimiter: u8,
        source_name: &str,
        options: &ReadOptions,
    ) -> Result<(Layout, Vec<DataWarning>)> {
        let Some(first) = records.first() else {
            return Err(Error::data(source_name, "the file is empty"));
        };
        let mut warnings = Vec::new();
        let text = looks_like_header(records);
        let comment = match options.header {
            Header::Absent => None,
            Header::Find | Header::Present => comment.and_then(|line| {
                let names = names_in_comment(line, delimiter, first.len(), options)?;
                (!text).then_some(names)
            }),
        };
        let has_header = comment.is_none()
            && match options.header {
                Header::Present => true,
                Header::Absent => false,
                Header::Find => text || is_numeric_header(records, options, &mut warnings),
            };
        let named = comment.is_some() || has_header;
        let (mut names, latin) = match comment {
            Some(names) => (names, Vec::new()),
            None if has_header => decoded(first),
            None => ((0..first.len()).map(|i| format!("x{i}")).collect(), Vec::new()),
        };
        if text && has_header && options.header == Header::Find {
            let is_number = |name: &&String| Field::parse(name.as_bytes()).is_number();
            let fields: Vec<String> = names.iter().filter(is_number).cloned().collect();
            if !fields.is_empty() {
                warnings.push(DataWarning::NumericHeader { fields });
            }
        }
        let body = if has_header { &records[1..] } else { records };
        let aside = if named { columns_aside(&mut names, body, options) } else { BTreeMap::new() };
        let renamed = names::make_unique(&mut names);
        let chosen = choose(source_name, &names, &aside, options, &mut warnings)?;
        let fields = names.len();
        let mut slots = vec![None; fields];
        chosen.iter().enumerate().for_each(|(slot, column)| slots[*column] = Some(slot));
        let left_out = |column: &usize| slots[*column].is_none();
        for (column, why) in aside.iter().filter(|(column, _)| left_out(column)) {
            let column = names[*column].clone();
            warnings.push(DataWarning::ColumnLeftOut { column, why: *why });
        }
        let used: HashSet<&String> = chosen.iter().map(|column| &names[*column]).collect();
        let renamed: Vec<_> = renamed.into_iter().filter(|(_, new)| used.contains(new)).collect();
        if !renamed.is_empty() {
            warnings.push(DataWarning::RenamedColumns { renamed });
        }
        let latin: Vec<String> = latin
            .into_iter()
            .map(|at| names[at].clone())
            .filter(|name| used.contains(name))
            .collect();
        if !latin.is_empty() {
            warnings.push(DataWarning::NamesInLatin1 { columns: latin });
        }
        Ok((Layout { names, chosen, slots, has_header, fields }, warnings))
    }

    pub(super) fn chosen_names(&self) -> Vec<String> {
        self.chosen.iter().map(|&i| self.names[i].clone()).collect()
    }
}

/// The names in a comment such as `# a,b`, if there are as many as fields; for one field, a single word.
pub(super) fn names_in_comment(
    line: &str,
    delimiter: u8,
    fields: usize,
    options: &ReadOptions,
) -> Option<Vec<String>> {
    let records = sample_records(line.as_bytes(), delimiter, true);
    let names: Vec<String> =
        records.first()?.iter().map(|name| latin_or_utf8(name.trim_ascii()).0).collect();
    let text = |name: &String| Field::parse(name.as_bytes()).is_text();
    let fits = names.len() == fields && names.iter().any(text) && records.len() == 1;
    if !fits || fields == 1 && line.trim().contains(char::is_whitespace) {
        return None;
    }
    // A column that is called #, or #id where somebody asks for it so.
    let marked = format!("#{}", names[0]);
    let wanted = |list: &[String]| list.contains(&marked);
    let asked = options.columns.as_deref().is_some_and(wanted)
        || options.like.as_deref().is_some_and(wanted)
        || wanted(&options.drop);
    let mut names = names;
    if names[0].is_empty() || asked {
        names[0] = marked;
    }
    Some(names)
}

/// Whether a first row of numbers holds names, with a warning where it does or may.
pub(super) fn is_numeric_header(
    records: &[ByteRecord],
    options: &ReadOptions,
    warnings: &mut Vec<DataWarning>,
) -> bool {
    let first: Vec<String> =
        records[0].iter().map(|field| latin_or_utf8(field.trim_ascii()).0).collect();
    let among = |names: &[String]| {
        let first: HashSet<&String> = first.iter().collect();
        !names.is_empty() && names.iter().all(|name| first.contains(name))
    };
    let asked = [options.columns.as_deref(), options.like.as_deref(), Some(&options.drop)];
    // Names that were asked for are names.
    if asked.into_iter().flatten().any(among) {
        return true;
    }
    match numeric_header(records) {
        NumericHeader::No => false,
        NumericHeader::Yes => {
            warnings.push(DataWarning::NumbersAsNames { fields: first });
            true
        }
        NumericHeader::Perhaps => {
            warnings.push(DataWarning::NamesAsNumbers { fields: first });
            false
        }
    }
}

/// Names of the first record, trimmed, and which of them are in Latin-1.
pub(super) fn decoded(record: &ByteRecord) -> (Vec<String>, Vec<usize>) {
    let names: Vec<(String, bool)> =
        record.iter().map(|field| latin_or_utf8(field.trim_ascii())).collect();
    let latin = (0..names.len()).filter(|&i| names[i].1).collect();
    (names.into_iter().map(|(name, _)| name.trim().to_string()).collect(), latin)
}

/// Columns that are none of the table: names of rows, or nothing at all after a delimiter at the end. Where the
/// header has one name less than the rows have fields, that one is added.
pub(super) fn columns_aside(
    names: &mut Vec<String>,
    body: &[ByteRecord],
    options: &ReadOptions,
) -> BTreeMap<usize, LeftOut> {
    const ROW_NAMES: &str = "row_names";
    let mut aside = BTreeMap::new();
    let Some(second) = body.first() else { return aside };
    let fields = second.len();
    let alike = body.iter().all(|record| record.len() == fields);
    let empty = |at: usize| {
        alike && body.iter().all(|record| record.get(at).is_some_and(|f| f.trim_ascii().is_empty()))
    };
    if alike && fields == names.len() + 1 {
        if empty(fields - 1) {
            names.push(String::new());
        } else {
            names.insert(0, ROW_NAMES.into());
            aside.insert(0, LeftOut::RowNames);
        }
    } else if names.len() > 1 && names[0].is_empty() && fields == names.len() {
        let labels: Vec<Field> = body.iter().filter_map(|r| r.get(0)).map(Field::parse).collect();
        let counts =
            |pair: &[Field]| matches!(pair, [Field::Number(a), Field::Number(b)] if b - a == 1.0);
        let text = labels.iter().all(|label| label.is_text());
        if text
            || labels.windows(2).all(counts) && labels[0].value().is_some_and(|x| x.fract() == 0.0)
        {
            names[0] = ROW_NAMES.into();
            aside.insert(0, LeftOut::RowNames);
        }
    }
    let last = names.len() - 1;
    if last > 0 && names[last].is_empty() && empty(last) {
        aside.insert(last, LeftOut::Empty);
    }
    // What is asked for by name is part of the table.
    let asked = [options.columns.as_deref(), options.like.as_deref()];
    aside.retain(|at, _| !asked.iter().flatten().any(|names_| names_.contains(&names[*at])));
    aside
}

pub(super) fn choose(
    source_name: &str,
    names: &[String],
    aside: &BTreeMap<usize, LeftOut>,
    options: &ReadOptions,
    warnings: &mut Vec<DataWarning>,
) -> Result<Vec<usize>> {
    let mut chosen = names::choose(source_name, names, options.columns.as_deref(), &options.drop)?;
    chosen.retain(|column| !aside.contains_key(column));
    if chosen.is_empty() {
        return Err(Error::data(source_name, "there is no column but names of rows"));
    }
    let Some(model) = &options.like else { return Ok(chosen) };
    let have: Vec<String> = chosen.iter().map(|&i| names[i].clone()).collect();
    match names::match_model(source_name, &have, model)? {
        Match::Names(order) => Ok(order.into_iter().map(|k| chosen[k]).collect()),
        Match::Letters(order) => {
            let table = order.iter().map(|k| have[*k].clone()).collect();
            warnings.push(DataWarning::MatchedByLetters { model: model.clone(), table });
            Ok(order.into_iter().map(|k| chosen[k]).collect())
        }
        Match::Positions => {
            warnings.push(DataWarning::MatchedByPosition { model: model.clone(), table: have });
            Ok(chosen)
        }
    }
}
