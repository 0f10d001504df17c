//! README.md as a new user follows it: its commands, from top to bottom, in one empty folder.
//!
//! Blocks marked `sh` are run as they stand; in those marked `console` lines after `$ ` are run, and what is
//! below them must be printed, but for numbers and the widths of columns; a `text` block shows some of
//! what the block before it prints. `cargo run -p gradlogp-cli --` stands for the program, other commands of
//! cargo are left out.
//!
//! `UPDATE_README=1 cargo test -p gradlogp-cli --test readme` writes the figures of this machine into README.md.

#![cfg(unix)]

use std::path::Path;
use std::process::{Command, Stdio};

/// Commands, and what README shows of what they print.
struct Step {
    script: String,
    /// Line of README.md of the script.
    line: usize,
    shown: Vec<(usize, String)>,
}

fn steps(readme: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut kind: Option<&str> = None;
    for (number, line) in readme.lines().enumerate() {
        if let Some(fence) = line.strip_prefix("```") {
            kind = if kind.is_some() { None } else { Some(fence) };
            if kind == Some("sh") {
                steps.push(Step { script: String::new(), line: number + 1, shown: Vec::new() });
            }
            continue;
        }
        match (kind, line.strip_prefix("$ ")) {
            (Some("console"), Some(command)) => {
                steps.push(Step { script: command.into(), line: number + 1, shown: Vec::new() });
            }
            (Some("console" | "text"), _) => {
                let before = steps.last_mut().expect("a command before what it prints");
                before.shown.push((number, line.to_string()));
            }
            (Some("sh"), _) => {
                let script = &mut steps.last_mut().expect("a block has begun").script;
                let line = line.replace("cargo run --release -p gradlogp-cli -- ", "gradlogp ");
                *script += &format!("{}\n", if line.starts_with("cargo ") { "" } else { &line });
            }
            _ => {}
        }
    }
    steps
}

/// Numbers as `#`, blanks as one.
fn masked(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line.trim_end();
    while let Some(c) = rest.chars().next() {
        let word = out.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let digits = rest.trim_start_matches('-');
        if !word && digits.starts_with(|c: char| c.is_ascii_digit()) {
            let of_number = |c: char| c.is_ascii_digit() || c == '.';
            rest = digits.trim_start_matches(of_number);
            let power = rest.strip_prefix('e').map(|power| power.trim_start_matches(['-', '+']));
            if let Some(power) = power.filter(|p| p.starts_with(|c: char| c.is_ascii_digit())) {
                rest = power.trim_start_matches(|c: char| c.is_ascii_digit());
            }
            out.push('#');
            continue;
        }
        if !(c == ' ' && (out.ends_with(' ') || out.is_empty())) {
            out.push(c);
        }
        rest = &rest[c.len_utf8()..];
    }
    out
}

fn run(script: &str, folder: &Path, path: &str) -> (bool, String) {
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", &format!("exec 2>&1\n{script}")]).current_dir(folder);
    shell.env("PATH", path).env_remove("COLUMNS").stdin(Stdio::null());
    let output = shell.output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn every_command_does_what_it_shows() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(&file).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (bin, work) = (folder.path().join("bin"), folder.path().join("work"));
    std::fs::create_dir(&bin).unwrap();
    std::fs::create_dir(&work).unwrap();
    let program = assert_cmd::cargo::cargo_bin!("gradlogp");
    std::os::unix::fs::symlink(program, bin.join("gradlogp")).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());

    let mut lines: Vec<String> = readme.lines().map(str::to_string).collect();
    let mut missing = Vec::new();
    let steps = steps(&readme);
    assert!(steps.len() > 10, "only {} steps found: is the search broken?", steps.len());
    for step in &steps {
        let (succeeded, printed) = run(&step.script, &work, &path);
        let place = format!("README.md:{}: {}", step.line, step.script);
        assert!(succeeded, "{place}\n{printed}");
        let mut printed_lines = printed.lines();
        for (number, line) in &step.shown {
            let same = |printed: &&str| masked(printed) == masked(line);
            match printed_lines.clone().find(same) {
                Some(found) => {
                    lines[*number] = found.trim_end().to_string();
                    printed_lines.find(same);
                }
                None => missing.push(format!("{place}\ndoes not print: {line}\nbut:\n{printed}")),
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    }
}

#[test]
fn numbers_are_masked_and_words_are_not() {
    assert_eq!(masked("  Stein slope    1.180   +- 0.07492  ok "), "Stein slope # +- # ok");
    assert_eq!(masked("0.62,-1.5e-3,x2"), "#,#,x2");
    assert_eq!(masked("R-hat 1.006, 57%"), "R-hat #, #%");
}
