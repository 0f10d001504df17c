//! Choosing columns by name, with an error that helps when a name is not there.

use crate::{Error, Result};

/// At most this many names are written into one message.
const LISTED: usize = 20;

/// Where `name` is among `available`; otherwise an error with the near names and what there is.
pub(crate) fn position(source: &str, available: &[String], name: &str) -> Result<usize> {
    available.iter().position(|column| column == name).ok_or_else(|| {
        let near = near_names(available, name);
        let hint = match near.is_empty() {
            true => String::new(),
            false => format!(" Did you mean {}?", quoted_list(&near)),
        };
        let there = quoted_list(available);
        Error::data(source, format!("there is no column \"{name}\".{hint} The columns are {there}"))
    })
}

/// Indices of the columns to keep: `columns` in the order given (all of them when `None`), without
/// those in `drop`. Every name must exist, none may be chosen twice, and one column must remain.
pub(crate) fn choose(
    source: &str,
    available: &[String],
    columns: Option<&[String]>,
    drop: &[String],
) -> Result<Vec<usize>> {
    let find = |name: &String| position(source, available, name);
    let mut chosen: Vec<usize> = match columns {
        Some(names) => names.iter().map(find).collect::<Result<_>>()?,
        None => (0..available.len()).collect(),
    };
    for (k, index) in chosen.iter().enumerate() {
        if chosen[..k].contains(index) && columns.is_some() {
            let name = &available[*index];
            return Err(Error::data(source, format!("column \"{name}\" is chosen twice")));
        }
    }
    let dropped: Vec<usize> = drop.iter().map(find).collect::<Result<_>>()?;
    chosen.retain(|index| !dropped.contains(index));
    if chosen.is_empty() {
        return Err(Error::data(source, "no column is left after choosing and dropping columns"));
    }
    Ok(chosen)
}

/// How a table's columns were found to be those of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Match {
    /// Every wanted name is there: indices in the wanted order.
    ByName(Vec<usize>),
    /// No wanted name is there, but the number of columns is right.
    ByPosition,
}

/// Finds a model's columns in a table: by name, else (no name in common, same number) by position,
/// else an error. A table with some of the names but not all is refused even when the number is
/// right, because positions cannot be trusted then.
pub(crate) fn match_model(source: &str, available: &[String], wanted: &[String]) -> Result<Match> {
    let found: Vec<Option<usize>> =
        wanted.iter().map(|name| available.iter().position(|column| column == name)).collect();
    if let Some(indices) = found.iter().copied().collect::<Option<Vec<usize>>>() {
        return Ok(Match::ByName(indices));
    }
    let absent: Vec<String> =
        wanted.iter().zip(&found).filter(|(_, f)| f.is_none()).map(|(n, _)| n.clone()).collect();
    if absent.len() == wanted.len() && available.len() == wanted.len() {
        return Ok(Match::ByPosition);
    }
    let there = quoted_list(available);
    let absent = quoted_list(&absent);
    let message = format!(
        "the model was fitted on {} columns, of which this table lacks {absent}; it has {} columns: \
         {there}. Rename them to the model's names",
        wanted.len(),
        available.len()
    );
    Err(Error::data(source, message))
}

/// `"a", "b", "c" and 7 more`.
pub(crate) fn quoted_list<S: AsRef<str>>(names: &[S]) -> String {
    let shown: Vec<String> =
        names.iter().take(LISTED).map(|name| format!("\"{}\"", name.as_ref())).collect();
    match names.len().saturating_sub(LISTED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// `a,b,c`: as `--drop` takes it.
pub(crate) fn option_list<S: AsRef<str>>(names: &[S]) -> String {
    let shown: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    let list = shown.join(",");
    let plain = list.chars().all(|c| c.is_ascii_alphanumeric() || "_.,:-".contains(c));
    if plain { list } else { format!("'{list}'") }
}

/// Up to three available names within a third of the letters of `name`, the nearest first.
fn near_names(available: &[String], name: &str) -> Vec<String> {
    let wanted = name.to_lowercase();
    let limit = (wanted.chars().count() / 3).max(1);
    let mut scored: Vec<(usize, &String)> = available
        .iter()
        .map(|column| (edit_distance(&column.to_lowercase(), &wanted), column))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    scored.sort_by_key(|(distance, _)| *distance);
    scored.into_iter().take(3).map(|(_, column)| column.clone()).collect()
}

/// Levenshtein distance: the fewest insertions, deletions and substitutions of one letter.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for j in 0..b.len() {
            let substituted = diagonal + usize::from(from != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| s.to_string()).collect()
    }

    #[test]
    fn edit_distances_are_known() {
        for (a, b, d) in [("", "abc", 3), ("kitten", "sitting", 3), ("ph", "ph", 0), ("ab", "", 2)]
        {
            assert_eq!(edit_distance(a, b), d, "{a} {b}");
            assert_eq!(edit_distance(b, a), d, "{b} {a}");
        }
    }

    #[test]
    fn unknown_name_lists_the_near_and_the_available() {
        let have = names(&["fixed acidity", "pH", "alcohol"]);
        let text = position("wine.csv", &have, "alcohl").unwrap_err().to_string();
        assert!(text.contains("Did you mean \"alcohol\"?"), "{text}");
        assert!(text.contains("\"fixed acidity\", \"pH\", \"alcohol\""), "{text}");
        assert_eq!(position("t", &have, "pH").unwrap(), 1);
        let near = position("t", &have, "ph").unwrap_err().to_string();
        assert!(near.contains("Did you mean \"pH\"?"), "{near}");
    }

    #[test]
    fn choice_keeps_the_given_order_and_drops() {
        let have = names(&["a", "b", "c", "d"]);
        let want = names(&["d", "a", "b"]);
        assert_eq!(choose("t", &have, Some(&want), &[]).unwrap(), [3, 0, 1]);
        assert_eq!(choose("t", &have, Some(&want), &names(&["a"])).unwrap(), [3, 1]);
        assert_eq!(choose("t", &have, None, &names(&["b"])).unwrap(), [0, 2, 3]);
        assert!(choose("t", &have, Some(&names(&["a", "a"])), &[]).is_err());
        assert!(choose("t", &have, None, &have).is_err());
    }

    #[test]
    fn model_columns_match_by_name_then_by_number_else_not() {
        let wanted = names(&["b", "a"]);
        let by = |have: &[&str]| match_model("t", &names(have), &wanted);
        assert_eq!(by(&["id", "a", "b"]).unwrap(), Match::ByName(vec![2, 1]));
        assert_eq!(by(&["x0", "x1"]).unwrap(), Match::ByPosition);
        assert!(by(&["x0", "x1", "x2"]).is_err());
        let partly = by(&["a", "B"]).unwrap_err().to_string();
        assert!(partly.contains("lacks \"b\""), "{partly}");
    }

    #[test]
    fn long_lists_are_cut() {
        let many: Vec<String> = (0..25).map(|i| format!("x{i}")).collect();
        assert!(quoted_list(&many).ends_with("\"x19\" and 5 more"));
        assert_eq!(option_list(&["a", "b"]), "a,b");
        assert_eq!(option_list(&["a b"]), "'a b'");
    }
}
