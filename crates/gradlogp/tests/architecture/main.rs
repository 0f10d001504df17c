//! What ARCHITECTURE.md promises of the sources: imports point one way, `unsafe` stays in the crate of arithmetic,
//! nothing prints but a few files of the program, and every formula that is cited exists.

mod circles;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The modules of the library from the ground up, each with all it may import. A module may import
/// only what stands above it in this list.
const ORDER: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("stats", &[]),
    ("score", &[]),
    ("words", &[]),
    ("formulas", &[]),
    ("graph", &["error"]),
    ("jet", &["graph"]),
    ("slice", &[]),
    ("domain", &["error", "score"]),
    ("objective", &["error"]),
    ("model", &["error", "score", "graph", "jet", "objective"]),
    ("engine", &["error", "slice", "domain", "objective", "model"]),
    ("linear", &[]),
    ("reference", &["error", "score", "linear"]),
    ("ode", &["error"]),
    ("sde", &["error", "score", "reference"]),
    ("storage", &["error"]),
    (
        "train",
        &["error", "words", "slice", "domain", "graph", "objective", "model", "engine", "storage"],
    ),
    ("diffusion", &["error", "score", "graph", "objective", "model", "engine", "sde", "train"]),
    ("data", &["error", "linear", "stats", "engine", "reference", "train"]),
    (
        "dkef",
        &[
            "error",
            "stats",
            "score",
            "linear",
            "graph",
            "jet",
            "slice",
            "objective",
            "model",
            "engine",
            "storage",
            "train",
        ],
    ),
    ("likelihood", &["words", "error", "score", "sde", "ode"]),
    ("sample", &["error", "stats", "score", "ode", "sde"]),
    ("diagnose", &["error", "score", "domain", "linear", "reference", "sample"]),
    (
        "fitted",
        &[
            "error",
            "score",
            "domain",
            "likelihood",
            "ode",
            "diagnose",
            "graph",
            "objective",
            "model",
            "reference",
            "sde",
            "diffusion",
            "data",
            "storage",
            "train",
            "dkef",
        ],
    ),
    (
        "draw",
        &[
            "error",
            "score",
            "domain",
            "ode",
            "reference",
            "sde",
            "model",
            "sample",
            "data",
            "fitted",
        ],
    ),
    (
        "fit",
        &[
            "error",
            "draw",
            "words",
            "score",
            "domain",
            "slice",
            "engine",
            "diagnose",
            "model",
            "objective",
            "linear",
            "reference",
            "sde",
            "diffusion",
            "data",
            "train",
            "dkef",
            "fitted",
        ],
    ),
];

/// Single files that may import more than their module.
const EXCEPTIONS: &[(&str, &[&str])] = &[];

/// Where the names that lib.rs re-exports come from.
const REEXPORTS: &[(&str, &[&str])] = &[
    ("error", &["Error", "ErrorClass", "Result"]),
    ("fitted", &["FittedModel"]),
    ("model", &["Derivatives", "Mlp", "Model", "ModelKind"]),
    ("objective", &["Objective"]),
    ("score", &["LogDensity", "Score", "ScoreFn", "ScoreTrace", "TimeScore"]),
    ("slice", &["SliceDistribution"]),
];

/// The files that reach the terminal: a standard stream that is named as the file to write, tables of numbers,
/// whether there is a terminal, every word.
const WRITES: [&str; 4] = ["output.rs", "progress.rs", "storage/descriptor.rs", "text.rs"];

/// The sources of every crate.
fn crates() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries.map(|p| p.join("src")).filter(|p| p.is_dir()).collect();
    found.sort();
    found
}

/// Crates above the library, which speak of options: the program, the Python package, and what both tell of a model.
const FRONT_ENDS: [&str; 3] = ["gradlogp-cli/src", "gradlogp-report/src", "gradlogp-py/src"];

fn is_front_end(root: &Path) -> bool {
    FRONT_ENDS.iter().any(|of| root.ends_with(of))
}

/// The sources of the library: of all crates but the arithmetic and the front ends.
fn library() -> Vec<PathBuf> {
    let mut roots = crates();
    roots.retain(|root| !is_front_end(root) && !root.ends_with("gradlogp-numeric/src"));
    roots
}

/// The shipped sources of all crates but the arithmetic.
fn plain() -> impl Iterator<Item = Source> {
    let roots = crates().into_iter().filter(|root| !root.ends_with("gradlogp-numeric/src"));
    roots.flat_map(|root| shipped(&root))
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A source file: its path below `root` with `/` between folders, and its text.
struct Source {
    path: String,
    text: String,
}

fn sources(root: &Path) -> Vec<Source> {
    let (mut folders, mut found) = (vec![root.to_path_buf()], Vec::new());
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder)
            .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
            .map(|entry| entry.unwrap().path());
        for path in entries {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let parts = path.strip_prefix(root).unwrap().iter();
                let parts: Vec<_> = parts.map(|p| p.to_str().unwrap()).collect();
                found.push(Source { path: parts.join("/"), text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The sources that are compiled outside tests, reduced to their code.
fn shipped(root: &Path) -> Vec<Source> {
    let all = sources(root);
    let tests: BTreeSet<String> = all.iter().flat_map(test_files).collect();
    all.into_iter()
        .filter(|source| !tests.contains(&source.path))
        .map(|s| Source { text: without_tests(&code(&s.text)), path: s.path })
        .collect()
}

/// Files that a source declares under `#[cfg(test)]`.
fn test_files(source: &Source) -> Vec<String> {
    let folder = source.path.rsplit_once('/').map_or(String::new(), |(f, _)| format!("{f}/"));
    let room = ["mod.rs", "lib.rs", "main.rs"].iter().any(|name| source.path.ends_with(name));
    let stem = source.path.strip_suffix(".rs").unwrap();
    let below = if room { folder.clone() } else { format!("{stem}/") };
    let mut found = Vec::new();
    let mut lines = source.text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line != "#[cfg(test)]" {
            continue;
        }
        let mut next = lines.next().unwrap_or_default();
        let mut name = None;
        if let Some(path) = next.strip_prefix("#[path = \"") {
            name = path.strip_suffix("\"]").map(str::to_string);
            next = lines.next().unwrap_or_default();
        }
        if let Some(module) = next.strip_prefix("mod ").and_then(|m| m.strip_suffix(';')) {
            let path = name.map(|name| folder.clone() + &name);
            found.push(path.unwrap_or_else(|| format!("{below}{module}.rs")));
        }
    }
    found
}

/// The code without what follows `#[cfg(test)]` (one item: to its `;` or its closing brace).
fn without_tests(code: &str) -> String {
    let mut out = String::new();
    let mut rest = code;
    while let Some((before, after)) = rest.split_once("#[cfg(test)]") {
        out += before;
        let mut depth = 0isize;
        let end = after.char_indices().find(|(_, c)| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            depth == 0 && matches!(c, ';' | '}')
        });
        let end = end.map_or(after.len(), |(at, _)| at + 1);
        out.extend(after[..end].chars().filter(|c| *c == '\n'));
        rest = &after[end..];
    }
    out + rest
}

/// Rust text with comments and the contents of string and character literals taken out; lines stay.
fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let (mut out, mut i) = (String::new(), 0);
    while i < chars.len() {
        let end = match (at(i), at(i + 1)) {
            ('/', '/') => skip(&chars, i, |k| at(k) == '\n'),
            ('/', '*') => block_comment_end(&chars, i),
            ('"', _) => quoted_end(&chars, i),
            ('r', '"' | '#') if !is_name(at(i.wrapping_sub(1))) => raw_end(&chars, i),
            ('\'', '\\') => skip(&chars, i + 3, |k| at(k) == '\'') + 1,
            ('\'', _) if at(i + 2) == '\'' => i + 3,
            _ => i,
        };
        if end > i {
            out.extend(chars[i..end.min(chars.len())].iter().filter(|c| **c == '\n'));
            i = end;
        } else {
            out.push(at(i));
            i += 1;
        }
    }
    out
}

fn skip(chars: &[char], from: usize, stop: impl Fn(usize) -> bool) -> usize {
    (from..chars.len()).find(|k| stop(*k)).unwrap_or(chars.len())
}

fn block_comment_end(chars: &[char], from: usize) -> usize {
    let (mut depth, mut i) = (0, from);
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => (depth, i) = (depth + 1, i + 2),
            ('*', '/') => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    chars.len()
}

fn quoted_end(chars: &[char], from: usize) -> usize {
    let mut i = from + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// End of `r"..."` or `r#"..."#`; `from` itself for a raw name such as `r#type`.
fn raw_end(chars: &[char], from: usize) -> usize {
    let hashes = chars[from + 1..].iter().take_while(|c| **c == '#').count();
    if chars.get(from + 1 + hashes) != Some(&'"') {
        return from;
    }
    let closes = |k: usize| {
        chars[k] == '"'
            && chars[k + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
    };
    skip(chars, from + 2 + hashes, closes) + 1 + hashes
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Positions at which `word` stands by itself.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = code[..*at].chars().next_back().is_some_and(is_name);
        let after = code[at + word.len()..].chars().next().is_some_and(is_name);
        !before && !after
    })
}

/// The module path of a file: `jet/tape.rs` is jet, tape; `jet/mod.rs` is jet.
fn module_path(path: &str) -> Vec<&str> {
    let stem = path.strip_suffix(".rs").unwrap();
    stem.split('/').filter(|part| *part != "mod").collect()
}

/// What a file names right below the root of the crate: (line, module or re-exported name).
fn imports(source: &Source) -> Vec<(usize, String)> {
    let module = module_path(&source.path);
    let mut found = Vec::new();
    for (at, rest) in roots(&source.text, module.len()) {
        let line = source.text[..at].lines().count().max(1);
        let names = match rest.trim_start().strip_prefix('{') {
            Some(list) => top_level_names(list),
            None => vec![first_name(rest)],
        };
        found.extend(names.into_iter().map(|name| (line, name)));
    }
    found
}

/// Places where a path reaches the root, as `crate::` or by as many `super::` as the file is deep,
/// each with the text behind it.
fn roots(code: &str, depth: usize) -> Vec<(usize, &str)> {
    let by_name = words(code, "crate").filter_map(|at| {
        let rest = code[at + "crate".len()..].trim_start().strip_prefix("::")?;
        Some((at, rest))
    });
    let by_super = words(code, "super").filter_map(|at| {
        let mut rest = &code[at..];
        for _ in 0..depth {
            rest = rest.trim_start().strip_prefix("super")?.trim_start().strip_prefix("::")?;
        }
        Some((at, rest))
    });
    by_name.chain(by_super).collect()
}

fn first_name(text: &str) -> String {
    text.trim_start().chars().take_while(|c| is_name(*c) || *c == '*').collect()
}

/// First names of the paths of `{a::b, c::{d, e}}`, given what follows its brace.
fn top_level_names(list: &str) -> Vec<String> {
    let (mut depth, mut item, mut names) = (0, String::new(), Vec::new());
    for c in list.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => names.push(std::mem::take(&mut item)),
            '{' => depth += 1,
            '}' => depth -= 1,
            _ if depth == 0 => item.push(c),
            _ => {}
        }
    }
    names.push(item);
    names.iter().map(|item| first_name(item)).filter(|name| !name.is_empty()).collect()
}

/// The module that a name at the root belongs to.
fn owner(name: &str) -> Option<&'static str> {
    let module = ORDER.iter().map(|(module, _)| *module).find(|module| *module == name);
    let reexported = REEXPORTS.iter().find(|(_, names)| names.contains(&name)).map(|(m, _)| *m);
    module.or(reexported)
}

fn lookup<'a>(table: &[(&str, &'a [&'a str])], key: &str) -> &'a [&'a str] {
    table.iter().find(|(name, _)| *name == key).map_or(&[], |(_, entries)| *entries)
}

/// Imports of one file that its module may not have, as lines of text.
fn forbidden(source: &Source) -> Vec<String> {
    let module = module_path(&source.path)[0];
    let may = |target: &str| {
        target == module
            || lookup(ORDER, module).contains(&target)
            || lookup(EXCEPTIONS, &source.path).contains(&target)
    };
    imports(source)
        .into_iter()
        .filter(|(_, name)| !owner(name).is_some_and(may))
        .map(|(line, name)| format!("{}:{line}: {module} must not import {name}", source.path))
        .collect()
}

#[test]
fn imports_never_point_upwards() {
    for (k, (module, allowed)) in ORDER.iter().enumerate() {
        let below: Vec<&str> = ORDER[..k].iter().map(|(module, _)| *module).collect();
        for target in *allowed {
            assert!(below.contains(target), "{module} stands before {target} in ORDER");
        }
    }
    let files: Vec<Source> = library()
        .iter()
        .flat_map(|root| shipped(root))
        .filter(|source| source.path != "lib.rs")
        .collect();
    let crates_of_one_module = ["error"];
    let modules: BTreeSet<&str> =
        files.iter().map(|s| module_path(&s.path)[0]).chain(crates_of_one_module).collect();
    let listed: BTreeSet<&str> = ORDER.iter().map(|(module, _)| *module).collect();
    assert_eq!(modules, listed, "every module has its place in ORDER");
    let found: Vec<String> = files.iter().flat_map(forbidden).collect();
    assert!(found.is_empty(), "imports against ARCHITECTURE.md:\n{}", found.join("\n"));
}

#[test]
fn an_upward_import_is_seen() {
    let refused = |path: &str, text: &str| {
        let text = without_tests(&code(text));
        forbidden(&Source { path: path.into(), text }).len()
    };
    let upward = [
        ("objective/ssm.rs", "use crate::model::Model;"),
        ("objective/ssm.rs", "use super::super::graph::Graph;"),
        ("objective/mod.rs", "use super::sample::ula;"),
        ("objective/mod.rs", "use crate::{Error, model::{Model, Tile}, Result};"),
        ("jet/tape.rs", "fn f() {\n    let x = crate::engine::stream(1);\n}"),
        ("sample/ula.rs", "use crate::Mlp;"),
        ("score.rs", "use super::model;"),
        ("data/table.rs", "use crate::sample::ula;"),
        ("graph/mod.rs", "use crate::*;"),
        ("score.rs", "#[cfg(test)]\nmod tests {\n    use x;\n}\nuse crate::graph::Graph;"),
    ];
    for (path, text) in upward {
        assert_eq!(refused(path, text), 1, "{path}: {text}");
    }
    let fine = [
        ("model/mod.rs", "use crate::graph::Graph; use crate::{Error, Result}; use super::score;"),
        ("data/mod.rs", "use crate::reference::Ring;"),
        ("jet/affine.rs", "use super::form::Form; use crate::graph::Graph;"),
        (
            "score.rs",
            "//! See [`crate::model`].\n/* crate::model */ const S: &str = \"crate::model\";",
        ),
        (
            "score.rs",
            "const C: [char; 2] = ['\"', '\\'']; // '\nconst R: &str = r#\"crate::jet\"#;",
        ),
        (
            "objective/ssm.rs",
            "#[cfg(test)]\nmod tests {\n    fn f() { }\n    use crate::model::Mlp;\n}",
        ),
    ];
    for (path, text) in fine {
        assert_eq!(refused(path, text), 0, "{path}: {text}");
    }
}

#[test]
fn unsafe_code_stays_in_the_arithmetic() {
    for source in plain() {
        let uses = words(&source.text, "unsafe").chain(words(&source.text, "unsafe_code"));
        assert_eq!(uses.count(), 0, "{} has unsafe code", source.path);
    }
}

#[test]
fn nothing_prints_through_macros() {
    let macros = ["print", "println", "eprint", "eprintln", "dbg"];
    let mut printing = BTreeSet::new();
    for source in plain() {
        let prints = |name: &str| {
            words(&source.text, name).any(|at| source.text[at + name.len()..].starts_with('!'))
        };
        if macros.iter().any(|name| prints(name)) {
            printing.insert(source.path);
        }
    }
    // The macros panic when the reader is gone; the program writes through handles that report it.
    assert_eq!(printing, BTreeSet::new());
}

#[test]
fn the_terminal_is_reached_from_few_files() {
    let reaches = |s: &Source| ["stdout", "stderr"].iter().any(|w| words(&s.text, w).count() > 0);
    let mut found: Vec<String> = plain().filter(reaches).map(|s| s.path).collect();
    found.sort();
    assert_eq!(found, WRITES);
}

/// Flags of a command line in a text, such as `--drop`.
fn flags(text: &str) -> Vec<String> {
    let name = |rest: &str| -> String {
        rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect()
    };
    let alone = |at: usize| !text[..at].ends_with('-');
    let found =
        text.match_indices("--").filter(|(at, _)| alone(*at)).map(|(at, _)| name(&text[at + 2..]));
    found.filter(|name| name.len() > 1 && !name.starts_with('-')).collect()
}

#[test]
fn the_library_names_no_option_of_a_command_line() {
    assert_eq!(
        flags("leave it out with --drop a, or --no-header; a --- b, 3--x"),
        ["drop", "no-header"]
    );
    let roots = crates().into_iter().filter(|root| !is_front_end(root));
    let files: Vec<Source> = roots.flat_map(|root| sources(&root)).collect();
    assert!(files.len() > 100);
    let found: Vec<String> = files
        .iter()
        .flat_map(|s| flags(&s.text).into_iter().map(|flag| format!("{}: --{flag}", s.path)))
        .collect();
    assert!(found.is_empty(), "say the name of the field in backticks: {found:?}");
    // Settings are called by the names of fields and arguments.
    for source in &files {
        for rest in source.text.split("Error::config(").skip(1) {
            let Some(name) = rest.trim_start().strip_prefix('"') else { continue };
            let name = name.split('"').next().unwrap_or_default();
            let field = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(name.chars().all(field), "{}: {name:?} is no name of a field", source.path);
        }
    }
}

#[test]
fn every_cited_formula_is_in_the_document() {
    let document = std::fs::read_to_string(repository().join("docs/MATH.md")).unwrap();
    let has = |line_start: &str| document.lines().any(|line| line.starts_with(line_start));
    let mut checked = 0;
    let folders = crates().into_iter().flat_map(|root| [root.join("../tests"), root]);
    for source in folders.filter(|folder| folder.exists()).flat_map(|f| sources(&f)) {
        for (line, text) in source.text.lines().enumerate() {
            let cites = words(text, "MATH")
                .filter(|at| !text[*at..].starts_with("MATH.md"))
                .filter(|_| !source.path.contains("architecture"));
            for at in cites {
                let rest = &text[at + "MATH".len()..];
                let place = format!("{}:{}: MATH{rest}", source.path, line + 1);
                let number: String = rest
                    .chars()
                    .skip_while(|c| " (".contains(*c))
                    .take_while(char::is_ascii_digit)
                    .collect();
                assert!(!number.is_empty(), "{place}: cites nothing");
                let wanted = if rest.starts_with(" (") {
                    format!("**({number})**")
                } else {
                    format!("## {number}. ")
                };
                assert!(
                    has(&wanted),
                    "{place}: docs/MATH.md has no line that starts with {wanted}"
                );
                if let Some((_, trap)) = rest.split_once(", trap ") {
                    let wanted = format!("**Trap {}.**", &trap[..1]);
                    assert!(has(&wanted), "{place}: docs/MATH.md has no {wanted}");
                }
                checked += 1;
            }
        }
    }
    assert!(checked > 30, "only {checked} citations found: is the search broken?");
}
