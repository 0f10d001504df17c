//! The texts of `-h`, `--help` and `info`, as a user sees them, against files in `tests/snapshots/`.
//!
//! After a change that is meant: `UPDATE_EXPECT=1 cargo test -p gradlogp-cli --test snapshots`, and look at
//! what `git diff` shows.

use std::path::Path;
use std::process::{Command, Stdio};

use expect_test::expect_file;

/// Every command; bench and its own are told apart by a space.
const COMMANDS: [&str; 20] = [
    "",
    "fit",
    "compare",
    "eval",
    "loglik",
    "score",
    "sample",
    "impute",
    "report",
    "info",
    "datasets",
    "completions",
    "man",
    "bench",
    "bench step",
    "bench fit",
    "bench score",
    "bench mala",
    "bench stein",
    "bench read",
];

/// Both streams of `gradlogp LINE` in a folder, which must succeed.
fn run(folder: &Path, line: &str) -> String {
    let output = Command::new(assert_cmd::cargo::cargo_bin!("gradlogp"))
        .current_dir(folder)
        .args(line.split_whitespace())
        .env_remove("COLUMNS")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("gradlogp.exe", "gradlogp");
    assert!(output.status.success(), "gradlogp {line}\n{}", text(&output.stderr));
    text(&output.stdout)
}

/// Lines without blanks at their ends, which editors and patches lose.
fn trimmed(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[test]
fn help() {
    for command in COMMANDS {
        let text: String = ["-h", "--help"]
            .map(|option| {
                let line = format!("{command} {option}");
                let line = line.trim();
                format!("$ gradlogp {line}\n{}\n", run(Path::new("."), line))
            })
            .concat();
        let name = if command.is_empty() { "gradlogp" } else { command };
        let file = format!("snapshots/{}.txt", name.replace(' ', "-"));
        expect_file![file].assert_eq(&trimmed(&text));
    }
}

/// Digits as `#` in lines of figures, which differ between processors, and in times.
fn masked(text: &str) -> String {
    const FIGURES: [&str; 5] =
        ["Chosen as", "Validation loss", "Weights kept", "Solve", "Training"];
    let mask = |line: &str| {
        if !FIGURES.iter().any(|name| line.trim_start().starts_with(name)) {
            return line.replace(env!("CARGO_PKG_VERSION"), "VERSION");
        }
        let mut out = String::new();
        for c in line.chars() {
            match c {
                '0'..='9' | '.' if out.ends_with('#') => {}
                '0'..='9' => {
                    let sign = out.ends_with(" -");
                    out.truncate(out.len() - usize::from(sign));
                    out.push('#');
                }
                c => out.push(c),
            }
        }
        out
    };
    text.lines().map(|line| format!("{}\n", mask(line).trim_end())).collect()
}

#[test]
fn info() {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..200)
        .map(|i| {
            let (u, v) = ((f64::from(i) * 0.618).fract(), (f64::from(i) * 0.414).fract());
            format!("{:.1},{:.5},{:.5}\n", 5.0 * (u + v), u, 0.3 + 0.5 * v)
        })
        .collect();
    std::fs::write(folder.path().join("a.csv"), format!("count,wait,share\n{rows}")).unwrap();
    let quick = "-q --steps 10 --hidden 8,8 --threads 1";
    let models = [
        ("potential", "--dequantize=count --objective ssm --slices 2"),
        ("chosen", "--columns wait,share"),
        ("score", "--model score --standardize whiten --objective dsm --columns wait,share"),
        ("given", "--given wait --conditioning film --objective exact"),
        ("bounds", "--columns wait,share --bounds wait=0:inf --objective exact"),
        ("vp", "--columns wait,share --noise vp"),
        (
            "ve",
            "--columns wait,share --noise ncsn --levels 4 --noise-weight noise --model potential",
        ),
        ("subvp", "--columns wait,share --noise subvp --beta cosine --times importance"),
        ("ou", "--columns wait,share --noise ou --noise-objective ssm"),
        ("custom", "--columns wait,share --noise custom --drift 0.5-x --diffusion 0.3+t"),
        ("kernel", "--columns wait,share --model kef --inducing 20 --objective exact"),
    ];
    let mut text = String::new();
    for (name, options) in models {
        // Kernel families have networks of their own.
        let quick = if name == "kernel" { "-q --threads 1" } else { quick };
        run(folder.path(), &format!("fit a.csv {quick} {options} -o {name}.safetensors"));
        let said = run(folder.path(), &format!("info {name}.safetensors"));
        text += &format!(
            "$ gradlogp fit a.csv {options}\n$ gradlogp info {name}.safetensors\n{said}\n"
        );
    }
    let shown = masked(&text);
    // Names of Rust types begin with capitals and have braces behind them.
    assert!(!shown.contains('{') && !shown.contains("Some("), "{shown}");
    expect_file!["snapshots/models.txt"].assert_eq(&shown);
}
