//! Lists between commas.

use gradlogp::data::split_names;
use gradlogp::fit::ColumnBounds;

use crate::bounds::column_bounds;

/// What one option lists between commas.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct List<T>(Vec<T>);

/// What several options of one name list.
pub(crate) fn flat<T: Clone>(lists: &[List<T>]) -> Vec<T> {
    lists.iter().flat_map(|list| list.0.iter().cloned()).collect()
}

/// Names between commas, in quotation marks where they hold commas.
pub(super) fn names(text: &str) -> Result<List<String>, String> {
    split_names(text).map(List)
}

/// What `item` parses, between commas.
fn list<T>(text: &str, item: impl Fn(&str) -> Result<T, String>) -> Result<List<T>, String> {
    split_names(text)?.iter().map(|text| item(text)).collect::<Result<_, _>>().map(List)
}

pub(super) fn bounds_list(text: &str) -> Result<List<ColumnBounds>, String> {
    list(text, column_bounds)
}

pub(super) fn named_values(text: &str) -> Result<List<(String, f64)>, String> {
    list(text, named_value)
}

/// A column's name and a number.
pub(super) fn named_value(text: &str) -> Result<(String, f64), String> {
    let parts = text.rsplit_once('=').map(|(name, value)| (name.trim(), value.trim().parse()));
    match parts {
        Some((name, Ok(value))) if !name.is_empty() && f64::is_finite(value) => {
            Ok((name.to_string(), value))
        }
        _ => Err("must be a column and a number, such as age=40".into()),
    }
}
