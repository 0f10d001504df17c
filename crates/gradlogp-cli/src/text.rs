//! The only place that prints.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

/// A result, to standard output.
pub(crate) fn result(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.trim_end_matches('\n'))
        .and_then(|()| out.flush())
        .context("standard output: cannot write")
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

/// A path as a shell reads it back: in quotes where it has to be.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "-_./+,:@%~".contains(c);
    match !text.is_empty() && !text.starts_with('~') && text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// The question that helps with a misspelt name; nothing where none of the names is near.
pub(crate) fn did_you_mean<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> String {
    let near = |other: &str| strsim::jaro(&name.to_lowercase(), &other.to_lowercase());
    let best = names.map(|other| (near(other), other)).max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((likeness, other)) if likeness > 0.75 => format!(" Did you mean \"{other}\"?"),
        _ => String::new(),
    }
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

pub(crate) use gradlogp::words::short;
pub(crate) use gradlogp_report::aligned;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_where_a_shell_needs_it() {
        let quoted = |path: &str| quoted(Path::new(path));
        assert_eq!(quoted("a-1/b_2.csv"), "a-1/b_2.csv");
        assert_eq!(quoted("my data.csv"), "'my data.csv'");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!((quoted("~/x"), quoted("")), ("'~/x'".into(), "''".into()));
    }

    #[test]
    fn misspelt_names_are_guessed() {
        let guess = |name| did_you_mean(name, ["banana", "eight-gaussians"].into_iter());
        assert_eq!(guess("bananna"), " Did you mean \"banana\"?");
        assert_eq!(guess("Eight_Gaussians"), " Did you mean \"eight-gaussians\"?");
        assert_eq!(guess("wine"), "");
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
