//! Tables for the terminal.

use gradlogp::words::short;

use crate::render::{Check, Grade};

/// A table with aligned columns: all but the last to a common width.
pub fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |k: usize| {
        rows.iter().filter_map(|r| r.get(k)).map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(k, cell)| {
            let pad = if k + 1 == row.len() { 0 } else { widths[k] - cell.chars().count() };
            format!("{cell}{}", " ".repeat(pad))
        });
        format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// Rows of the check table.
pub fn table(checks: &[Check]) -> String {
    let word = |grade| match grade {
        Grade::Pass => "ok",
        Grade::Warn => "look",
        Grade::Fail => "FAULT",
        Grade::Info => "",
    };
    let cells = |c: &Check| {
        let spread = c.value.standard_error.map_or(String::new(), |se| format!("+- {}", short(se)));
        let expected = c.expected.as_ref().map_or(String::new(), |e| format!("(expected {e})"));
        vec![c.name.clone(), short(c.value.value), spread, expected, word(c.grade).to_string()]
    };
    aligned(&checks.iter().map(cells).collect::<Vec<_>>())
}
