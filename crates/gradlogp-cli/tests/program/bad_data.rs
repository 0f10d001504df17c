//! Tables that cannot be used end with code 3 (5 if they cannot be read), and the message says where the
//! fault is and what to do.

use std::io::Write;

use super::support::{Folder, QUICK, pairs, table};

/// Fits `text`, which must be refused as data.
#[track_caller]
fn refused(text: &str, options: &str, pieces: &[&str]) {
    let folder = Folder::new();
    folder.write("t.csv", text);
    folder.fails(3, &format!("fit t.csv {QUICK} {options}"), &[pieces, &["t.csv"]].concat());
    assert_eq!(folder.names(), ["t.csv"], "nothing is left behind");
}

fn with_row(row: &str) -> String {
    table(50) + row + "\n"
}

#[test]
fn files_that_are_not_there_or_cannot_be_read() {
    let folder = Folder::new();
    let missing = folder.fails(5, "fit none.csv", &["none.csv: cannot read: No such file"]);
    assert_eq!(missing.err.matches("No such file").count(), 1, "said once: {missing:?}");
    folder.fails(5, "fit .", &["directory"]);
    let whole = gzip(&table(300));
    folder.write("cut.csv.gz", &whole[..whole.len() / 2]);
    folder.fails(5, "fit cut.csv.gz", &["cut.csv.gz: cannot read"]);
}

pub(crate) fn gzip(text: &str) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(text.as_bytes()).unwrap();
    out.finish().unwrap()
}

#[test]
fn empty_files_and_headers_alone() {
    refused("", "", &["the file is empty"]);
    refused("\n\n", "", &["the file is empty"]);
    refused("a,b\n", "", &["no row of data", "--no-header"]);
}

#[test]
fn faults_in_one_place_are_named_by_row_and_column() {
    refused(&with_row("1,2,3"), "", &["row 51", "expected 2 fields", "found 3 fields: 1,2,3"]);
    refused(&with_row("1,abc"), "", &["row 51, column \"b\": \"abc\" is not a number", "--drop b"]);
    refused(&with_row("1,inf"), "", &["row 51, column \"b\": \"inf\" is infinite", "--drop b"]);
    refused(&with_row("1,1e300"), "", &["row 51, column \"b\": 1e300 is too large", "--drop b"]);
}

#[test]
fn missing_values_are_counted_and_dropped_on_request() {
    refused(&with_row("1,nan"), "", &["row 51, column \"b\": 1 missing value", "--drop-missing"]);
    let text = with_row("1,\n,2\nNA,");
    refused(&text, "", &["row 51, column \"b\": 4 missing values in 3 of 53 rows"]);
    let folder = Folder::new();
    folder.write("t.csv", text);
    let ended = folder.succeeds(&format!("fit t.csv --drop-missing {QUICK}"));
    assert!(ended.err.contains("3 of 53 rows were left out"), "{ended:?}");
}

#[test]
fn constant_columns_and_too_few_rows() {
    let constant: String = pairs(50).iter().map(|(a, _)| format!("{a:.9},7\n")).collect();
    refused(&format!("a,b\n{constant}"), "", &["constant column \"b\"", "--drop b"]);
    refused("a,b\n1,2\n", "", &["one row is not enough"]);
    refused("a,b\n1,2\n3,5\n", "", &["2 rows are too few"]);
}

#[test]
fn a_column_that_is_constant_in_the_training_rows_only() {
    let rows = |i: usize| format!("{i}.5{i},{}\n", if i == 0 { 1 } else { 0 });
    // Seed 0 holds row 1 out of 12 back in one of these ten rotations at least.
    let message = (0..12).find_map(|shift| {
        let folder = Folder::new();
        let text: String = (0..12).map(|i| rows((i + shift) % 12)).collect();
        folder.write("t.csv", format!("a,b\n{text}"));
        let ended = folder.run(&format!("fit t.csv {QUICK} --base gaussian"));
        (ended.code == Some(3)).then_some(ended.err)
    });
    let message = message.expect("one of the rotations");
    assert!(message.contains("t.csv, training rows: columns that are constant"), "{message}");
    assert!(message.contains("--drop b"), "{message}");
}

#[test]
fn few_rows_warn_but_are_fitted_and_not_judged() {
    let folder = Folder::new();
    let row =
        |(a, b): &(f64, f64)| format!("{a:.6},{b:.6},{:.6},{:.6},{:.6}\n", a * b, a * a, b * b);
    let rows: String = pairs(4).iter().map(row).collect();
    folder.write("t.csv", format!("a,b,c,d,e\n{rows}"));
    let ended = folder.succeeds(&format!("fit t.csv {QUICK} --json --report r.html -o m"));
    assert!(ended.err.contains("4 rows for 5 columns: too few"), "{ended:?}");
    assert!(ended.err.contains("the fit is not checked"), "{ended:?}");
    let json = ended.json();
    assert!(json.get("exact_loss").is_none() && json["warnings"].as_array().unwrap().len() >= 2);
    assert!(folder.text("r.html").contains("Not checked"));
    folder.succeeds("info m");
    folder.fails(3, "eval m t.csv --columns a", &["the model was fitted on 5 columns"]);
}

#[test]
fn dependent_columns_are_named_when_whitening() {
    let copy: String =
        pairs(60).iter().map(|(a, b)| format!("{a:.9},{b:.9},{:.9}\n", 2.0 * a + 1.0)).collect();
    let text = format!("a,b,c\n{copy}");
    let pieces = ["whitening is singular", "\"a\", \"c\"", "--drop c"];
    refused(&text, "--standardize whiten", &pieces);
    let folder = Folder::new();
    folder.write("t.csv", text);
    let ended = folder.succeeds(&format!("fit t.csv {QUICK}"));
    assert!(ended.err.contains("equal up to scale and shift: \"a\" and \"c\""), "{ended:?}");
}

#[test]
fn values_beyond_single_precision_are_refused_before_training() {
    let large: String =
        pairs(60).iter().map(|(a, b)| format!("{:e},{:e}\n", a * 1e45, b * 1e45)).collect();
    let text = format!("a,b\n{large}");
    refused(&text, "--standardize none", &["column \"a\"", "single precision", "--standardize"]);
    let folder = Folder::new();
    folder.write("t.csv", text);
    folder.succeeds(&format!("fit t.csv {QUICK}"));
}

#[test]
fn other_kinds_of_files() {
    refused("\u{0}\u{1}binary", "", &["binary file"]);
    let folder = Folder::new();
    folder.write("t.csv", b"gr\xF6\xDFe,b\n1,2\n3,4\n5,6\xB2\n");
    folder.fails(3, "fit t.csv", &["row 3, column \"b\"", "not valid UTF-8"]);
}

#[test]
fn columns_that_are_not_there() {
    let pieces = ["there is no column \"bb\"", "Did you mean \"b\"?"];
    refused(&table(30), "--columns a,bb", &pieces);
    refused(&table(30), "--drop a,b", &["no column is left"]);
    refused(&table(30), "--columns a,a", &["chosen twice"]);
}

#[test]
fn rounded_columns_are_described_and_dequantized() {
    let folder = Folder::new();
    let rows: String = pairs(300).iter().map(|(a, b)| format!("{a:.1},{b:.9}\n")).collect();
    folder.write("t.csv", format!("a,b\n{rows}"));
    let ended = folder.succeeds(&format!("fit t.csv {QUICK} --base gaussian"));
    assert!(ended.err.contains("discrete or rounded: \"a\""), "{ended:?}");
    let ended = folder.succeeds(&format!("fit t.csv {QUICK} --dequantize"));
    assert!(!ended.err.contains("discrete"), "{ended:?}");
    assert!(folder.succeeds("info model.safetensors").out.contains("Dequantized"));
    folder.fails(3, "fit t.csv --dequantize=zz", &["there is no column \"zz\""]);
}
