//! Choosing columns by name, with an error that helps when a name is not there.

use std::collections::{HashMap, HashSet};

use crate::{Error, Result};

/// At most this many names are written into one message.
const LISTED: usize = 20;

/// Where names are among the columns of a table.
struct Index<'a> {
    source: &'a str,
    available: &'a [String],
    places: HashMap<&'a str, usize>,
}

impl<'a> Index<'a> {
    fn new(source: &'a str, available: &'a [String]) -> Self {
        // The first of equal names.
        let places =
            available.iter().enumerate().rev().map(|(i, name)| (name.as_str(), i)).collect();
        Index { source, available, places }
    }

    /// Where `name` is; otherwise an error with the near names and what there is.
    fn position(&self, name: &str) -> Result<usize> {
        self.places.get(name).copied().ok_or_else(|| {
            let near = near_names(self.available, name);
            let part = |column: &&String| {
                column.contains(',') && column.split(',').any(|part| part.trim() == name.trim())
            };
            let hint = match (near.is_empty(), self.available.iter().find(part)) {
                (_, Some(whole)) => format!(
                    " There is a column \"{whole}\"; in a list, a name with a comma is written in \
                     quotation marks, as in `columns = {}`.",
                    option_list(&[whole])
                ),
                (true, None) => String::new(),
                (false, None) => format!(" Did you mean {}?", quoted_list(&near)),
            };
            let there = quoted_list(self.available);
            Error::data(
                self.source,
                format!("there is no column \"{name}\".{hint} The columns are {there}"),
            )
        })
    }
}

/// Where `name` is among `available`; otherwise an error with the near names and what there is.
pub(super) fn position(source: &str, available: &[String], name: &str) -> Result<usize> {
    Index::new(source, available).position(name)
}

/// Indices of the columns to keep: `columns` in the order given (all of them when `None`), without
/// those in `drop`. Every name must exist, none may be chosen twice, and one column must remain.
pub(crate) fn choose(
    source: &str,
    available: &[String],
    columns: Option<&[String]>,
    drop: &[String],
) -> Result<Vec<usize>> {
    let index = Index::new(source, available);
    let find = |name: &String| index.position(name);
    let mut chosen: Vec<usize> = match columns {
        Some(names) => names.iter().map(find).collect::<Result<_>>()?,
        None => (0..available.len()).collect(),
    };
    let mut seen = HashSet::new();
    if let Some(twice) = chosen.iter().find(|at| !seen.insert(**at)) {
        let name = &available[*twice];
        return Err(Error::data(source, format!("column \"{name}\" is chosen twice")));
    }
    let dropped: HashSet<usize> = drop.iter().map(find).collect::<Result<_>>()?;
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
    Names(Vec<usize>),
    /// Every wanted name is there, some only in other letters: small or capital, or other blanks.
    Letters(Vec<usize>),
    /// No wanted name is there, but the number of columns is right.
    Positions,
}

/// Finds a model's columns in a table: by name, where need be in small or capital letters, else (no
/// name in common, same number) by position, else an error. A table with some of the names but not
/// all is refused even when the number is right, because positions cannot be trusted then.
pub(crate) fn match_model(source: &str, available: &[String], wanted: &[String]) -> Result<Match> {
    let index = Index::new(source, available);
    let find = |name: &String| index.places.get(name.as_str()).copied();
    let found: Vec<Option<usize>> = wanted.iter().map(find).collect();
    if let Some(indices) = found.iter().copied().collect::<Option<Vec<usize>>>() {
        return Ok(Match::Names(indices));
    }
    if let Some(indices) = match_letters(available, wanted, &found) {
        return Ok(Match::Letters(indices));
    }
    let absent: Vec<String> =
        wanted.iter().zip(&found).filter(|(_, f)| f.is_none()).map(|(n, _)| n.clone()).collect();
    if absent.len() == wanted.len() && available.len() == wanted.len() {
        return Ok(Match::Positions);
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

/// The columns whose names are the same but for small and capital letters, blanks and underscores; None unless
/// there is exactly one for each.
fn match_letters(
    available: &[String],
    wanted: &[String],
    found: &[Option<usize>],
) -> Option<Vec<usize>> {
    let key = |name: &str| -> String {
        name.chars()
            .filter(|c| !c.is_whitespace() && *c != '_')
            .flat_map(char::to_lowercase)
            .collect()
    };
    let mut places: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, name) in available.iter().enumerate() {
        places.entry(key(name)).or_default().push(at);
    }
    let mut taken = HashSet::new();
    let letters = |(name, found): (&String, &Option<usize>)| match found {
        Some(at) => Some(*at),
        None => match places.get(&key(name))?.as_slice() {
            [at] => Some(*at),
            _ => None,
        },
    };
    let indices: Vec<usize> = wanted.iter().zip(found).map(letters).collect::<Option<_>>()?;
    indices.iter().all(|at| taken.insert(*at)).then_some(indices)
}

#[cfg(feature = "io")]
/// Renames empty and repeated names: a repeated name gets _2, _3, ..., an empty one x and its index; returns
/// (old, new).
pub(crate) fn make_unique(names: &mut [String]) -> Vec<(String, String)> {
    let mut taken: HashSet<String> = names.iter().cloned().collect();
    let (mut before, mut last) = (HashSet::new(), HashMap::new());
    let mut renamed = Vec::new();
    for i in 0..names.len() {
        let old = names[i].clone();
        if !old.is_empty() && before.insert(old.clone()) {
            continue;
        }
        let base = if old.is_empty() { format!("x{i}") } else { old.clone() };
        // Numbers below are taken.
        let number = last.entry(base.clone()).or_insert(1);
        let mut new = base.clone();
        while taken.contains(&new) {
            *number += 1;
            new = format!("{base}_{number}");
        }
        taken.insert(new.clone());
        renamed.push((old, new.clone()));
        names[i] = new;
    }
    renamed
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

/// `a,b,c`. Names with a comma or a quotation mark are in quotation marks; [`split_names`] takes the list apart again.
/// Backticks are doubled, as the list stands between two.
pub(crate) fn option_list<S: AsRef<str>>(names: &[S]) -> String {
    let written = |name: &S| {
        let name = name.as_ref();
        match name.contains([',', '"']) || name.trim() != name {
            true => format!("\"{}\"", name.replace('"', "\"\"")),
            false => name.to_string(),
        }
    };
    names.iter().map(written).collect::<Vec<_>>().join(",").replace('`', "``")
}

/// Takes a list such as `a,"mass, kg",b` apart at its commas. A name in quotation marks can hold commas, and
/// quotation marks that are doubled.
///
/// ```
/// use gradlogp::data::split_names;
/// assert_eq!(split_names("a, \"mass, kg\",b=1").unwrap(), ["a", "mass, kg", "b=1"]);
/// ```
///
/// # Errors
/// What is wrong, where a quotation mark is not closed.
pub fn split_names(list: &str) -> std::result::Result<Vec<String>, String> {
    let mut names = vec![String::new()];
    let (mut quoted, mut started, mut trims) = (false, false, true);
    let mut letters = list.chars().peekable();
    while let Some(letter) = letters.next() {
        let Some(name) = names.last_mut() else { break };
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                name.push('"');
                letters.next();
            }
            '"' if quoted => quoted = false,
            '"' if !started => (quoted, started, trims) = (true, true, false),
            ',' if !quoted => {
                if trims {
                    name.truncate(name.trim_end().len());
                }
                (started, trims) = (false, true);
                names.push(String::new());
            }
            letter if letter.is_whitespace() && !started => {}
            letter => {
                started = true;
                name.push(letter);
            }
        }
    }
    if let Some(name) = names.last_mut().filter(|_| trims) {
        name.truncate(name.trim_end().len());
    }
    match quoted {
        true => Err(format!("a quotation mark is not closed in {list}")),
        false => Ok(names),
    }
}

/// Up to three available names within a third of the letters of `name`, the nearest first.
fn near_names(available: &[String], name: &str) -> Vec<String> {
    let wanted = name.to_lowercase();
    let length = wanted.chars().count();
    let limit = (length / 3).max(1);
    let mut scored: Vec<(usize, &String)> = available
        .iter()
        .filter(|column| column.chars().count().abs_diff(length) <= limit)
        .map(|column| (edit_distance(&column.to_lowercase(), &wanted), column))
        .filter(|(distance, _)| *distance <= limit && *distance < length)
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
        assert_eq!(by(&["id", "a", "b"]).unwrap(), Match::Names(vec![2, 1]));
        assert_eq!(by(&["x0", "x1"]).unwrap(), Match::Positions);
        assert!(by(&["x0", "x1", "x2"]).is_err());
        let partly = by(&["a", "c"]).unwrap_err().to_string();
        assert!(partly.contains("lacks \"b\""), "{partly}");
        assert_eq!(by(&["A", "b "]).unwrap(), Match::Letters(vec![1, 0]));
        assert_eq!(by(&["a", "B", "x"]).unwrap(), Match::Letters(vec![1, 0]));
        // Which of the two is meant?
        assert!(by(&["A", "a_", "B"]).is_err());
    }

    #[test]
    fn long_lists_are_cut() {
        let many: Vec<String> = (0..25).map(|i| format!("x{i}")).collect();
        assert!(quoted_list(&many).ends_with("\"x19\" and 5 more"));
        assert_eq!(option_list(&["a", "b"]), "a,b");
        assert_eq!(option_list(&["a b"]), "a b");
    }

    #[test]
    fn many_equal_names_are_told_apart() {
        let mut names = vec!["a".to_string(); 20_000];
        names[7] = String::new();
        let renamed = make_unique(&mut names);
        assert_eq!(
            (renamed.len(), names[1].as_str(), names[19_999].as_str()),
            (19_999, "a_2", "a_19999")
        );
        assert_eq!(names[7], "x7");
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), 20_000);
        let every: Vec<usize> = (0..20_000).collect();
        assert_eq!(choose("t", &names, Some(&names), &[]).unwrap(), every);
        assert_eq!(match_model("t", &names, &names).unwrap(), Match::Names(every));
    }

    #[test]
    fn a_name_with_a_comma_is_written_as_it_is_read() {
        assert_eq!(option_list(&["mass, kg", "b"]), "\"mass, kg\",b");
        assert_eq!(option_list(&["it's", "a`b"]), "it's,a``b");
        let have = names(&["a", "mass, kg"]);
        let text = position("t", &have, "mass").unwrap_err().to_string();
        assert!(text.contains("as in `columns = \"mass, kg\"`"), "{text}");
        assert!(split_names("a,\"b").is_err());
        assert_eq!(split_names("a, b ,").unwrap(), ["a", "b", ""]);
    }

    proptest::proptest! {
        #[test]
        fn lists_are_taken_apart_as_they_were_put_together(
            names in proptest::collection::vec("[a-c \",é]{1,6}", 1..5),
        ) {
            let list = option_list(&names);
            proptest::prop_assert_eq!(split_names(&list).unwrap(), names);
        }
    }
}
