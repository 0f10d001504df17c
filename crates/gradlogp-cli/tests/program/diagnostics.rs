//! Figures from few draws, few rows, or rows that are copies: what can be known is printed, and of the rest it is
//! said that it cannot be.

use super::support::{Folder, pairs, table};

/// The line of `sample` about its rows, and any warning, as one text; and the effective sample size in it.
fn drawn(folder: &Folder, options: &str) -> (String, Option<f64>) {
    let err = folder.succeeds(&format!("sample m.safetensors {options} -o s.csv")).err;
    let at = err.split("smallest effective sample size ").nth(1);
    let size = at.and_then(|rest| rest.split([' ', '\n']).next().map(|n| n.parse().unwrap()));
    (err, size)
}

#[test]
fn every_number_of_rows_is_diagnosed_by_default_and_frozen_chains_are_called_out() {
    let folder = Folder::with_model();
    for n in [1, 5, 40, 300, 1000, 2000, 4000] {
        let (said, size) = drawn(&folder, &format!("-n {n} --warm-up 60 --thinning 3"));
        assert!(said.contains("split R-hat"), "{n}: {said}");
        let size = size.unwrap_or_else(|| panic!("{n}: {said}"));
        // MALA after three steps: between a tenth of the rows and all of them.
        let least = if n <= 20 { n as f64 } else { 0.1 * n as f64 };
        assert!((least..=1.3 * n as f64).contains(&size), "{n}: {size}");
        assert_eq!(folder.text("s.csv").lines().count(), n + 1);
    }
    // Chains that hardly move are worth one draw each, and have not mixed.
    for (n, chains) in [(2000, 250.0), (4000, 500.0), (5000, 500.0)] {
        let (said, size) = drawn(&folder, &format!("-n {n} --step-size 1e-9 --warm-up 0"));
        assert!((0.9 * chains..1.1 * chains).contains(&size.unwrap()), "{n}: {said}");
        let warns = said.contains("warning: chains disagree") && said.contains("--step-size");
        assert!(warns && said.contains("small part"), "{n}: {said}");
    }
}

#[test]
fn what_short_chains_cannot_tell_is_said_with_a_way_out_that_works() {
    let folder = Folder::with_model();
    let quick = "--warm-up 60 --thinning 3";
    let (said, size) = drawn(&folder, &format!("-n 1000 --chains 500 {quick}"));
    let why = "whether the chains have mixed is not known: R-hat needs 4 draws of each, and these 500 \
               chains have 2 draws each";
    assert!(said.contains(why) && said.contains("leave out the number of chains"), "{said}");
    // Two draws of 500 chains still tell how alike two draws are.
    assert!((450.0..1200.0).contains(&size.unwrap()), "{said}");
    let (said, size) = drawn(&folder, &format!("-n 50 --chains 10 {quick}"));
    assert!(
        said.contains("split R-hat") && said.contains("needs 20 chains, or 10 draws"),
        "{said}"
    );
    assert_eq!(size, None, "{said}");
    let (said, size) = drawn(&folder, &format!("-n 2 --chains 2 {quick}"));
    assert!(said.contains("these 2 chains have 1 draw each") && size.is_none(), "{said}");
    // The way out.
    let (said, size) = drawn(&folder, &format!("-n 50 {quick}"));
    assert!(said.contains("split R-hat") && size.is_some(), "{said}");
    let line = format!("sample m.safetensors -n 1000 --chains 500 {quick} -o s.csv --json");
    let json = folder.succeeds(&line).json();
    assert!(json["max_split_r_hat"].is_null() && json["unchecked"].is_string(), "{json}");
}

#[test]
fn too_few_rows_are_named_with_their_file_and_the_number_needed() {
    let folder = Folder::with_model();
    let row = |n: usize| table(n);
    folder.write("one.csv", row(1));
    folder.write("two.csv", row(2));
    folder.write("seven.csv", row(7));
    folder.write("forty.csv", row(40));
    let few = |n: &str, what: &str, least: &str| {
        let verb = if n == "1" { "row is" } else { "rows are" };
        format!("{n} {verb} too few for the {what}, at least {least} are needed")
    };
    for (line, file, said) in [
        (
            "eval m.safetensors good.csv --samples one.csv",
            "one.csv",
            few("1", "comparison of samples with rows", "8"),
        ),
        (
            "eval m.safetensors good.csv --samples two.csv",
            "two.csv",
            few("2", "comparison of samples with rows", "8"),
        ),
        (
            "eval m.safetensors seven.csv --samples good.csv",
            "seven.csv",
            few("7", "comparison of samples with rows", "8"),
        ),
        ("eval m.safetensors one.csv", "one.csv", few("1", "check of a fit", "3")),
        ("eval m.safetensors two.csv --likelihood", "two.csv", few("2", "check of a fit", "3")),
        ("report m.safetensors one.csv -o r.html", "one.csv", few("1", "check of a fit", "3")),
        (
            "score m.safetensors one.csv --normalize",
            "one.csv",
            few("1", "normalizing constant", "50"),
        ),
        (
            "score m.safetensors forty.csv --normalize",
            "forty.csv",
            few("40", "normalizing constant", "50"),
        ),
    ] {
        folder.fails(3, line, &[&format!("error: {file}: {said}")]);
    }
    // What needs more rows is left out of a check that does not.
    let out = folder.succeeds("eval m.safetensors forty.csv --likelihood").out;
    assert!(out.contains("No likelihood is given: 40 rows are too few"), "{out}");
    let json = folder.succeeds("eval m.safetensors forty.csv --likelihood --json").json();
    assert!(
        json["likelihood"]["importance"].is_null() && json["likelihood"]["refused"].is_string()
    );
    for n in 3..6 {
        folder.write("few.csv", row(n));
        let json = folder.succeeds("eval m.safetensors few.csv --json").json();
        assert!(json["kernel_stein_p_value"].is_null(), "{json}");
        let verdict = json["verdict"].as_str().unwrap();
        let honest = ["cannot tell", "not usable"].iter().any(|grade| json["grade"] == *grade);
        assert!(honest && verdict.starts_with(json["grade"].as_str().unwrap()), "{n}: {verdict}");
    }
    folder.succeeds("eval m.safetensors good.csv --samples forty.csv");
    for bad in ["nan", "inf", "-inf"] {
        let line = format!("score m.safetensors good.csv --log-z={bad}");
        folder.fails(2, &line, &["--log-z: must be a finite number"]);
    }
    folder.write("tiny.csv", row(12));
    folder.fails(
        3,
        "compare tiny.csv --steps 5 --hidden 4",
        &["tiny.csv, test rows: 1 row is too few"],
    );
}

#[test]
fn samples_that_are_copies_of_rows_are_noticed() {
    let folder = Folder::with_model();
    // Half of them are rows of good.csv, in single precision.
    let line = |(i, (a, b)): (usize, (f64, f64))| match i.is_multiple_of(2) {
        true => format!("{},{}\n", a as f32, b as f32),
        false => format!("{},{}\n", a + 0.01, b),
    };
    let rows: Vec<(f64, f64)> = pairs(60)
        .into_iter()
        .map(|(a, b)| (format!("{a:.9}").parse().unwrap(), format!("{b:.9}").parse().unwrap()))
        .collect();
    folder.write(
        "half.csv",
        format!("a,b\n{}", rows.into_iter().enumerate().map(line).collect::<String>()),
    );
    let said = folder.succeeds("eval m.safetensors good.csv --samples half.csv");
    let piece = "warning: half.csv: 30 of 60 rows are copies of rows of good.csv";
    assert!(said.err.contains(piece), "{said:?}");
    assert!(said.out.contains("Samples: copies of rows"), "{said:?}");
    // Against other rows: those of the table that the model was fitted to are found too.
    let other: String =
        pairs(300).into_iter().skip(200).map(|(a, b)| format!("{a:.9},{b:.9}\n")).collect();
    folder.write("other.csv", format!("a,b\n{other}"));
    let said = folder.succeeds("eval m.safetensors other.csv --samples half.csv");
    assert!(said.err.contains(piece), "{said:?}");
    let json = folder.succeeds("eval m.safetensors other.csv --samples half.csv --json").json();
    assert_eq!(json["samples"]["copied_rows"], 30);
    // Rows drawn from the model are none, and neither are rows of few values.
    folder.succeeds("sample m.safetensors -n 60 --warm-up 50 --thinning 2 -o drawn.csv");
    let fine = folder.succeeds("eval m.safetensors good.csv --samples drawn.csv");
    assert!(!fine.err.contains("copies") && !fine.out.contains("copies"), "{fine:?}");
    let coarse: String = pairs(200).iter().map(|(a, b)| format!("{a:.0},{b:.0}\n")).collect();
    folder.write("coarse.csv", format!("a,b\n{coarse}"));
    let fine = folder.succeeds("eval m.safetensors coarse.csv --samples coarse.csv");
    assert!(!fine.err.contains("copies"), "{fine:?}");
}
