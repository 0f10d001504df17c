//! The command line as it is read.

use clap::{CommandFactory, Parser};
use gradlogp::data::Mark;

use super::lists::{flat, named_value};
use super::read::delimiter;
use super::{Cli, Command};

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

/// `tests/program/numbers.txt` names every option that takes a number; `numbers.rs` there tries them all.
#[test]
fn every_number_is_listed_for_the_test_of_numbers() {
    use std::any::TypeId;
    fn walk(command: &clap::Command, path: &str, out: &mut Vec<String>) {
        let numbers = [TypeId::of::<usize>(), TypeId::of::<u64>(), TypeId::of::<f64>()];
        for arg in command.get_arguments() {
            let of = arg.get_value_parser().type_id();
            if numbers.iter().any(|number| of == *number) {
                let short = || arg.get_short().map(String::from);
                let name = arg.get_long().map(String::from).or_else(short);
                out.push(format!("{path} --{}", name.unwrap_or_default()));
            }
        }
        for below in command.get_subcommands() {
            walk(below, &format!("{path} {}", below.get_name()), out);
        }
    }
    let mut found = Vec::new();
    walk(&Cli::command(), "", &mut found);
    let found: String = found.iter().map(|line| format!("{}\n", line.trim_start())).collect();
    let list = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/program/numbers.txt");
    let listed = std::fs::read_to_string(list).unwrap();
    assert!(found == listed, "numbers.txt should be\n{found}");
}

#[test]
fn a_resumed_fit_refuses_what_it_would_ignore() {
    let parse = |line: &str| Cli::of_words(line.split(' '));
    assert!(parse("gradlogp fit --resume c -o m --report r --checkpoint-every 0 -q").is_ok());
    assert!(parse("gradlogp fit a.csv --hidden 8 --steps 5").is_ok());
    let refused = parse("gradlogp fit --resume c --hidden 8 --steps 5").unwrap_err();
    assert!(refused.to_string().contains("--hidden, --steps would be ignored"), "{refused}");
    assert!(parse("gradlogp fit a.csv --model dkef --inducing 50 --steps 9").is_ok());
    let refused = parse("gradlogp fit a.csv --model kef --rate 1 --ema 0").unwrap_err();
    assert!(refused.to_string().contains("--rate, --ema has no effect"), "{refused}");
    let refused = parse("gradlogp fit a.csv --inducing 50").unwrap_err();
    assert!(refused.to_string().contains("--inducing has no effect"), "{refused}");
    assert!(parse("gradlogp sample --resume c -o s.csv").is_ok());
    let refused = parse("gradlogp sample m --resume c -n 5").unwrap_err();
    assert!(refused.to_string().contains("MODEL, -n would be ignored"), "{refused}");
    assert!(parse("gradlogp sample").is_err());
}

#[test]
fn named_values() {
    assert_eq!(named_value("a=1.5"), Ok(("a".into(), 1.5)));
    assert_eq!(named_value("a=b = -2e3"), Ok(("a=b".into(), -2e3)));
    for bad in ["a", "=1", "a=", "a=x", "a=inf"] {
        assert!(named_value(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn names_with_commas_are_in_quotation_marks() {
    let parse = |words: &[&str]| match Cli::try_parse_from(words).map(|cli| cli.command) {
        Ok(Command::Fit(fit)) => *fit,
        other => panic!("{other:?}"),
    };
    let fit = parse(&[
        "gradlogp",
        "fit",
        "a.csv",
        "--columns",
        "a,\"mass, kg\"",
        "--columns",
        "b",
        "--drop=\"x\"",
        "--given",
        "c, d",
        "--dequantize=\"mass, kg\"",
        "--bounds",
        "\"mass, kg\"=0:inf,b=:1",
        "--thousands",
        ",",
    ]);
    assert_eq!(fit.read.columns().unwrap(), ["a", "mass, kg", "b"]);
    assert_eq!(
        (fit.read.dropped(), flat(&fit.prepare.given)),
        (vec!["x".into()], vec!["c".into(), "d".into()])
    );
    assert_eq!(flat(&fit.prepare.dequantize.unwrap()), ["mass, kg"]);
    assert_eq!(fit.boundary.bounds.len(), 1);
    assert_eq!(flat(&fit.boundary.bounds).len(), 2);
    assert_eq!(fit.read.decimal(), Some(Mark::Point));
    assert!(
        parse(&["gradlogp", "fit", "a.csv", "--dequantize"]).prepare.dequantize.unwrap().is_empty()
    );
    assert!(Cli::try_parse_from(["gradlogp", "fit", "a.csv", "--drop", "\"a"]).is_err());
}

#[test]
fn delimiters() {
    assert_eq!((delimiter("tab"), delimiter("\\t")), (Ok('\t'), Ok('\t')));
    assert_eq!(delimiter(";"), Ok(';'));
    for bad in ["", "ab", "é", "\"", "\n", "1", "."] {
        assert!(delimiter(bad).is_err(), "{bad:?}");
    }
}
