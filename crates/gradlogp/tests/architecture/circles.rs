//! No circle among files: who names what of whom, file by file.
//!
//! A file *uses* another when its code names something that is defined there. Names are followed through
//! re-exports, so `use crate::train::Trainer` uses `train/trainer.rs`; to declare a module or to re-export from it
//! is not to use it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, code, shipped, without_tests};

/// A path with what is needed to follow it: `use a::b as c` is `c` for `a::b`.
#[derive(Debug, Clone, PartialEq)]
struct Import {
    name: String,
    path: Vec<String>,
    reexported: bool,
}

/// A file: where it stands, what it imports, and the paths in its code.
struct File {
    path: String,
    module: Vec<String>,
    children: BTreeSet<String>,
    imports: Vec<Import>,
    paths: Vec<Vec<String>>,
    words: BTreeSet<String>,
}

struct Files {
    files: Vec<File>,
    of_module: BTreeMap<Vec<String>, usize>,
}

/// Names, `::` and single marks.
fn tokens(code: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), code);
    while let Some(first) = rest.chars().next() {
        let name: String = rest.chars().take_while(|c| super::is_name(*c)).collect();
        let token = match name.as_str() {
            "" if rest.starts_with("::") => "::".to_string(),
            "" => first.to_string(),
            _ => name,
        };
        rest = &rest[token.len()..];
        if !first.is_whitespace() {
            found.push(token);
        }
    }
    found
}

fn names(token: &str) -> bool {
    token.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
}

/// The paths of a `use` tree that begins at `at`, and the place of its end.
fn tree(tokens: &[String], mut at: usize, before: &[String], out: &mut Vec<Import>) -> usize {
    let mut path = before.to_vec();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("::") => at += 1,
            Some("{") => {
                at += 1;
                while tokens[at] != "}" {
                    at = tree(tokens, at, &path, out);
                    if tokens[at] == "," {
                        at += 1;
                    }
                }
                return at + 1;
            }
            Some("as") => {
                out.push(Import { name: tokens[at + 1].clone(), path, reexported: false });
                return at + 2;
            }
            Some(token) if names(token) || token == "*" => {
                path.push(token.to_string());
                at += 1;
            }
            _ => break,
        }
    }
    if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
        path.pop();
    }
    let name = path.last().cloned().unwrap_or_default();
    out.push(Import { name, path, reexported: false });
    at
}

fn module(path: &str) -> Vec<String> {
    let stem = path.strip_suffix(".rs").unwrap();
    let parts = stem.split('/').filter(|part| !["mod", "lib", "main"].contains(part));
    parts.map(str::to_string).collect()
}

fn file(source: &Source) -> File {
    let tokens = tokens(&source.text);
    let mut file = File {
        path: source.path.clone(),
        module: module(&source.path),
        children: BTreeSet::new(),
        imports: Vec::new(),
        paths: Vec::new(),
        words: BTreeSet::new(),
    };
    let (mut at, mut visible) = (0, false);
    while at < tokens.len() {
        let next = tokens.get(at + 1).map_or("", String::as_str);
        match tokens[at].as_str() {
            "pub" if next == "(" => {
                visible = true;
                at += tokens[at..].iter().position(|t| t == ")").unwrap() + 1;
                continue;
            }
            "pub" => {
                visible = true;
                at += 1;
                continue;
            }
            "use" => {
                let from = file.imports.len();
                at = tree(&tokens, at + 1, &[], &mut file.imports);
                file.imports[from..].iter_mut().for_each(|i| i.reexported = visible);
            }
            "mod" if tokens.get(at + 2).is_some_and(|t| t == ";") => {
                file.children.insert(next.to_string());
                at += 3;
            }
            token if names(token) => {
                let mut path = vec![token.to_string()];
                file.words.insert(token.to_string());
                at += 1;
                while tokens.get(at).is_some_and(|t| t == "::")
                    && tokens.get(at + 1).is_some_and(|t| names(t))
                {
                    path.push(tokens[at + 1].clone());
                    at += 2;
                }
                if path.len() > 1 {
                    file.paths.push(path);
                }
            }
            _ => at += 1,
        }
        visible = false;
    }
    file
}

impl Files {
    fn of(sources: &[Source]) -> Self {
        let files: Vec<File> = sources.iter().map(file).collect();
        let of_module = files.iter().enumerate().map(|(k, f)| (f.module.clone(), k)).collect();
        Self { files, of_module }
    }

    /// The file in which what `path`, read in `file`, names is defined.
    fn resolve(&self, file: usize, path: &[String], depth: usize) -> Option<usize> {
        if depth > 8 {
            return None;
        }
        let mut at = self.files[file].module.clone();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => {
                at.pop();
            }
            name if self.files[file].children.contains(name) => at.push(name.to_string()),
            _ => return None,
        }
        rest = &rest[1..];
        while let Some(name) = rest.first() {
            let below: Vec<String> = at.iter().chain([name]).cloned().collect();
            if name == "super" {
                at.pop();
            } else if self.of_module.contains_key(&below) {
                at = below;
            } else {
                let here = *self.of_module.get(&at)?;
                let import = self.files[here].imports.iter().find(|i| i.name == *name);
                return match import {
                    Some(import) => {
                        let path: Vec<String> =
                            import.path.iter().chain(&rest[1..]).cloned().collect();
                        self.resolve(here, &path, depth + 1)
                    }
                    None => Some(here),
                };
            }
            rest = &rest[1..];
        }
        self.of_module.get(&at).copied()
    }

    /// The files that `file` uses.
    fn uses(&self, file: usize) -> BTreeSet<usize> {
        let own = &self.files[file];
        let imported = own.imports.iter().filter(|i| !i.reexported || own.words.contains(&i.name));
        let paths = own.paths.iter().chain(imported.map(|i| &i.path));
        paths.filter_map(|path| self.resolve(file, path, 0)).filter(|to| *to != file).collect()
    }

    /// Sets of files that reach each other, as lists of paths.
    fn circles(&self) -> Vec<Vec<&str>> {
        let arrows: Vec<BTreeSet<usize>> = (0..self.files.len()).map(|k| self.uses(k)).collect();
        let reached: Vec<BTreeSet<usize>> = (0..arrows.len())
            .map(|k| {
                let (mut open, mut seen) = (vec![k], BTreeSet::new());
                while let Some(at) = open.pop() {
                    open.extend(arrows[at].iter().filter(|to| seen.insert(**to)));
                }
                seen
            })
            .collect();
        let mut found = BTreeSet::new();
        for k in 0..arrows.len() {
            let circle: Vec<usize> =
                reached[k].iter().filter(|to| reached[**to].contains(&k)).copied().collect();
            if circle.len() > 1 {
                found.insert(circle);
            }
        }
        let paths =
            |circle: &Vec<usize>| circle.iter().map(|k| self.files[*k].path.as_str()).collect();
        found.iter().map(paths).collect()
    }

    /// The arrows within a circle, for the message.
    fn arrows(&self, circle: &[&str]) -> String {
        let mut lines = String::new();
        for (k, file) in self.files.iter().enumerate().filter(|(_, f)| circle.contains(&&*f.path)) {
            let to = self.uses(k).into_iter().map(|to| self.files[to].path.as_str());
            let to: Vec<&str> = to.filter(|to| circle.contains(to)).collect();
            lines += &format!("  {} -> {}\n", file.path, to.join(", "));
        }
        lines
    }
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let mut message = String::new();
    for root in super::crates() {
        let files = Files::of(&shipped(&root));
        for circle in &files.circles() {
            message += &format!("{}:\n{}", root.display(), files.arrows(circle));
        }
    }
    assert!(message.is_empty(), "files that use each other:\n{message}");
}

#[test]
fn a_circle_is_seen() {
    let circles = |files: &[(&str, &str)]| {
        let source = |(path, text): &(&str, &str)| Source {
            path: path.to_string(),
            text: without_tests(&code(text)),
        };
        let files: Vec<Source> = files.iter().map(source).collect();
        let files = Files::of(&files);
        files.circles().into_iter().map(|c| c.join(" ")).collect::<Vec<_>>()
    };
    let pair = |a: &str, b: &str| {
        circles(&[("lib.rs", "mod a; mod b; pub use a::A;"), ("a.rs", a), ("b.rs", b)])
    };
    assert_eq!(pair("use crate::b::B; pub struct A;", "use super::A;"), ["a.rs b.rs"]);
    assert_eq!(pair("use crate::{b::{B, C}};", "fn f() { crate::a::g() }"), ["a.rs b.rs"]);
    let none: [&str; 0] = [];
    assert_eq!(pair("use crate::b::B;", "pub struct B; // crate::a::A"), none);
    assert_eq!(pair("use crate::b::B;", "#[cfg(test)] mod tests { use crate::a::A; }"), none);
    let room = |text: &str| {
        circles(&[("lib.rs", "mod m;"), ("m/mod.rs", text), ("m/a.rs", "use super::helper;")])
    };
    assert_eq!(room("mod a; pub use a::A; fn helper() {}"), none);
    assert_eq!(room("mod a; pub use a::A; fn helper() { A::new() }"), ["m/mod.rs m/a.rs"]);
    assert_eq!(room("mod a; fn helper() { a::f() }"), ["m/mod.rs m/a.rs"]);
    assert_eq!(room("mod a; mod b; pub use a::A; use b::helper;"), none);
}
