//! README.md as a new user follows it: its commands, from top to bottom, in one empty folder.
//!
//! Blocks marked `sh` are run as they stand; in those marked `console` lines after `$ ` are run, and what is
//! below them must be printed, but for numbers and the widths of columns; a `text` block shows some of
//! what the block before it prints. `cargo run -p gradlogp-cli --` stands for the program, other commands of
//! cargo are left out.
//!
//! With `GRADLOGP_README_STEPS=60` fits take that many steps, and what depends on them is not compared: a look at whether
//! all commands still run, for who changes the program. In CI, and unless asked for, everything is as README has it.
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

/// The commands with every fit and comparison cut to `steps` steps.
fn cut(script: &str, steps: &str) -> String {
    let joined = script.replace("\\\n", "");
    let lines = joined.lines().map(|line| match line.strip_prefix("gradlogp ") {
        Some(rest) if rest.starts_with("fit ") || rest.starts_with("compare ") => {
            let asked = rest.find("--steps ").map(|at| at + "--steps ".len());
            match asked {
                Some(at) => {
                    let after = rest[at..].trim_start_matches(|c: char| c.is_ascii_digit());
                    format!("gradlogp {}{steps}{after}\n", &rest[..at])
                }
                None => {
                    let (word, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                    format!("gradlogp {word} --steps {steps} {rest}\n")
                }
            }
        }
        _ => format!("{line}\n"),
    });
    lines.collect()
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
    let quick = std::env::var("GRADLOGP_README_STEPS").ok();
    let steps = steps(&readme);
    assert!(steps.len() > 10, "only {} steps found: is the search broken?", steps.len());
    for step in &steps {
        let script = quick.as_ref().map_or(step.script.clone(), |steps| cut(&step.script, steps));
        let (succeeded, printed) = run(&script, &work, &path);
        let place = format!("README.md:{}: {}", step.line, step.script);
        assert!(succeeded, "{place}\n{printed}");
        let mut printed_lines = printed.lines();
        for (number, line) in step.shown.iter().filter(|_| quick.is_none()) {
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
fn fits_are_cut_wherever_their_steps_stand() {
    assert_eq!(cut("gradlogp fit a.csv -q", "9"), "gradlogp fit --steps 9 a.csv -q\n");
    assert_eq!(
        cut("gradlogp compare a.csv --steps 300 -q", "9"),
        "gradlogp compare a.csv --steps 9 -q\n"
    );
    assert_eq!(cut("gradlogp fit a \\\n  --steps 500", "9"), "gradlogp fit a   --steps 9\n");
    assert_eq!(cut("gradlogp score a b", "9"), "gradlogp score a b\n");
}

#[test]
fn numbers_are_masked_and_words_are_not() {
    assert_eq!(masked("  Stein slope    1.180   +- 0.07492  ok "), "Stein slope # +- # ok");
    assert_eq!(masked("0.62,-1.5e-3,x2"), "#,#,x2");
    assert_eq!(masked("R-hat 1.006, 57%"), "R-hat #, #%");
}
