//! The only place that prints.

use std::io::Write;

use anyhow::Result;

/// A result, to standard output.
pub(crate) fn result(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.trim_end_matches('\n'))?;
    out.flush()?;
    Ok(())
}

/// A note on the way, to standard error.
pub(crate) fn note(text: &str) {
    // Nobody can be told that standard error is closed or full, and the work is worth more.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Something the user should know, to standard error.
pub(crate) fn warning(text: &str) {
    note(&format!("warning: {text}"));
}

/// Why the program stops, to standard error.
pub(crate) fn error(text: &str) {
    note(&format!("error: {text}"));
}

/// A table with aligned columns: all but the last to a common width.
pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
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

/// Numbers of rows in words: the first ten, and how many more.
pub(crate) fn rows(numbers: &[usize]) -> String {
    let few: Vec<String> = numbers.iter().take(10).map(ToString::to_string).collect();
    let more = match numbers.len() - few.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("row{} {}{more}", if numbers.len() == 1 { "" } else { "s" }, few.join(", "))
}

/// A number with four significant digits.
pub(crate) fn short(x: f64) -> String {
    if x == 0.0 || !x.is_finite() {
        return format!("{x}");
    }
    let digits = 3 - x.abs().log10().floor() as i32;
    if (-2..=7).contains(&digits) {
        format!("{x:.*}", digits.max(0) as usize)
    } else {
        format!("{x:.3e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_four_digits() {
        assert_eq!(short(-13.45678), "-13.46");
        assert_eq!(short(0.00123456), "0.001235");
        assert_eq!(short(123456.0), "123456");
        assert_eq!(short(1.0e9), "1.000e9");
        assert_eq!(short(f64::NAN), "NaN");
    }

    #[test]
    fn rows_are_named_up_to_ten() {
        assert_eq!(rows(&[7]), "row 7");
        assert_eq!(rows(&[1, 3]), "rows 1, 3");
        let many: Vec<usize> = (1..=13).collect();
        assert_eq!(rows(&many), "rows 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 3 more");
    }

    #[test]
    fn tables_line_up() {
        let rows = vec![vec!["a".into(), "bb".into(), "c".into()], vec!["aaa".into(), "b".into()]];
        assert_eq!(aligned(&rows), "  a    bb  c\n  aaa  b\n");
    }
}
