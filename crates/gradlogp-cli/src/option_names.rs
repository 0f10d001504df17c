//! Tests that every option which a list, a message, a help text or a page names is one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use gradlogp::fit::SizedSetting;

use crate::args::{Cli, OF_KERNELS, OF_NETWORKS, RESUMABLE, WITH_RESUME};

fn ids(command: &Command) -> BTreeSet<String> {
    command.get_arguments().map(|a| a.get_id().to_string()).collect()
}

#[test]
fn lists_of_options_name_options_that_exist() {
    let cli = Cli::command();
    let fit = ids(cli.find_subcommand("fit").unwrap());
    let sized = SizedSetting::ALL.map(SizedSetting::name);
    for id in OF_NETWORKS.iter().chain(&OF_KERNELS).chain(&sized) {
        assert!(fit.contains(*id), "fit has no option {id}");
    }
    let mut resumable = ids(&cli);
    for (name, _) in RESUMABLE {
        let command = cli.find_subcommand(name).unwrap();
        assert!(ids(command).contains("resume"), "{name} cannot be resumed");
        resumable.extend(ids(command));
    }
    for id in WITH_RESUME {
        assert!(resumable.contains(id), "no option {id} can be given with --resume");
    }
}

/// `--name` of every command, aliases among them.
fn longs(command: &Command, into: &mut BTreeSet<String>) {
    for argument in command.get_arguments() {
        into.extend(argument.get_long().map(str::to_string));
        into.extend(argument.get_all_aliases().into_iter().flatten().map(str::to_string));
    }
    command.get_subcommands().for_each(|below| longs(below, into));
}

/// Words that begin with two dashes, each with its line.
fn named(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for (at, _) in line.match_indices("--") {
            let before = line[..at].chars().next_back();
            let name: String = line[at + 2..]
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')
                .collect();
            let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
            if starts && before.is_none_or(|c| !c.is_alphanumeric() && !"-_".contains(c)) {
                found.push((number + 1, name.trim_end_matches('-').to_string()));
            }
        }
    }
    found
}

fn files(folder: &Path, ending: &str, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, ending, into);
        } else if path.extension().is_some_and(|e| e == ending) {
            into.push(path);
        }
    }
}

/// Options of other programs that the pages name.
const OF_OTHERS: [&str; 15] = [
    "all-targets",
    "check",
    "ignored",
    "list",
    "locked",
    "no-smoke",
    "no-run",
    "nocapture",
    "offline",
    "open",
    "path",
    "preset",
    "release",
    "test",
    "workspace",
];

#[test]
fn every_option_that_is_spoken_of_exists() {
    let mut known = BTreeSet::from(["help".to_string(), "version".to_string()]);
    let mut command = Cli::command();
    command.build();
    longs(&command, &mut known);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(root.join("crates")).unwrap() {
        let folder = entry.unwrap().path().join("src");
        if folder.is_dir() {
            files(&folder, "rs", &mut sources);
        }
    }
    let mut pages = vec![root.join("README.md"), root.join("CHANGELOG.md")];
    files(&root.join("docs"), "md", &mut pages);
    let mut wrong = Vec::new();
    for path in sources.iter().chain(&pages) {
        let text = std::fs::read_to_string(path).unwrap();
        let of_tests = ["tests.rs", "option_names.rs"].iter().any(|e| path.ends_with(e));
        let of_tests = of_tests || path.to_string_lossy().ends_with("_tests.rs");
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for (line, name) in named(text) {
            let page = path.extension().is_some_and(|e| e == "md");
            let other = page && OF_OTHERS.contains(&name.as_str());
            if !of_tests && !known.contains(&name) && !other {
                wrong.push(format!("{}:{line}: --{name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "options that do not exist:\n{}", wrong.join("\n"));
}

#[test]
fn options_are_found_in_text() {
    let names = |text| named(text).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
    assert_eq!(
        names("use --header, or `--drop a,b`\n(--no-header)"),
        ["header", "drop", "no-header"]
    );
    assert_eq!(names("a -- b ---- --Big x--y --beta-min,"), ["beta-min"]);
}
