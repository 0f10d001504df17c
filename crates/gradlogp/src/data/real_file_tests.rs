//! Published files, where they lie beside the repository; skipped, saying so, where they do not.
#![allow(clippy::print_stderr)]

use std::path::PathBuf;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;

fn file(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

fn list(names: &[&str]) -> Vec<String> {
    names.iter().map(|s| s.to_string()).collect()
}

fn read(name: &str, drop: &[&str]) -> Option<Table> {
    let options = ReadOptions { drop: list(drop), ..Default::default() };
    let (table, warnings) = read_csv(&file(name)?, &options).unwrap();
    assert_eq!(warnings, [], "{name}");
    Some(table)
}

fn discrete(warnings: &[DataWarning]) -> Vec<&ColumnTies> {
    let columns = warnings.iter().find_map(|warning| match warning {
        DataWarning::DiscreteColumns { columns, .. } => Some(columns.iter().collect()),
        _ => None,
    });
    columns.unwrap_or_default()
}

#[test]
fn red_wine_is_rounded_everywhere_and_dequantized() {
    let Some(mut wine) = read("uci/winequality-red.csv", &[]) else { return };
    assert_eq!(wine.rows.dim(), (1599, 12));
    assert_eq!((wine.columns[0].as_str(), wine.rows[[1598, 10]]), ("fixed acidity", 11.0));
    let warnings = check_table(&wine).unwrap();
    assert_eq!(discrete(&warnings).len(), 12);
    assert_eq!(warnings.len(), 2, "no spikes, no copies: {warnings:?}");
    assert!(warnings.contains(&DataWarning::DuplicateRows {
        count: 240,
        total: 1599,
        kept_together: true
    }));
    let noise = Dequantization::fit(&wine, GapRule::Gap, &DequantizeColumns::Discrete).unwrap();
    for (column, half_width) in [(0, 0.05), (2, 0.005), (8, 0.005), (11, 0.5)] {
        let found = noise.half_widths[column];
        assert!((found / half_width - 1.0).abs() < 1e-9, "{column}: {found}");
    }
    noise.apply(&mut wine, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
    assert_eq!(check_table(&wine).unwrap(), []);
    let split = split_rows(1599, &SplitFractions::default(), 1).unwrap();
    let train = wine.rows.select(ndarray::Axis(0), &split.train);
    assert!(Transform::fit(Standardization::Whiten, train.view(), &wine.columns).is_ok());
}

#[test]
fn parkinsons_reads_its_exponents() {
    let Some(table) = read("uci/parkinsons_updrs.data", &["subject#"]) else { return };
    assert_eq!(table.rows.dim(), (5875, 21));
    let jitter = table.select(&list(&["Jitter(Abs)"])).unwrap();
    assert_eq!(jitter.rows[[0, 0]], 3.38e-5);
    let warnings = check_table(&table).unwrap();
    assert!(discrete(&warnings).iter().any(|c| c.column == "sex" && c.ties.distinct == 2));
    let copies = warnings.iter().any(|w| match w {
        DataWarning::DuplicateColumns { pairs } => {
            pairs.iter().any(|(a, b, _)| a == "Jitter:RAP" && b == "Jitter:DDP")
        }
        _ => false,
    });
    assert!(copies, "DDP is three times RAP up to rounding: {warnings:?}");
}

#[test]
fn gzipped_outlier_sets() {
    for (name, rows, columns) in [
        ("2_annthyroid", 7200, 6),
        ("4_breastw", 683, 9),
        ("6_cardio", 1831, 21),
        ("18_Ionosphere", 351, 32),
        ("23_mammography", 11183, 6),
        ("28_pendigits", 6870, 16),
        ("31_satimage-2", 5803, 36),
        ("32_shuttle", 49097, 9),
        ("43_WDBC", 367, 30),
    ] {
        let Some(table) = read(&format!("adbench/csv/{name}.csv.gz"), &["y"]) else { return };
        assert_eq!(table.rows.dim(), (rows, columns), "{name}");
        let warnings = check_table(&table).unwrap();
        let spikes = warnings.iter().any(|w| matches!(w, DataWarning::Spikes { .. }));
        let expected =
            ["6_cardio", "18_Ionosphere", "23_mammography", "28_pendigits", "32_shuttle"];
        assert_eq!(spikes, expected.contains(&name), "{name}");
    }
}

#[test]
fn no_header_tabs_and_closed_compositions() {
    if let Some(digits) = read("digits/optdigits.tes", &["x64"]) {
        assert_eq!((digits.rows.dim(), digits.columns[3].as_str()), ((1797, 64), "x3"));
        let error = check_table(&digits).unwrap_err().to_string();
        assert!(
            error.contains("constant columns \"x0\"") && error.contains("`drop = x0,x32,x39`"),
            "{error}"
        );
    }
    if let Some(cells) = read("sachs/sachs.2005.continuous.txt", &[]) {
        assert_eq!((cells.rows.dim(), cells.columns[10].as_str()), ((7466, 11), "jnk"));
    }
    if let Some(shares) = read("microbiome/composition_92x5.csv", &[]) {
        let fit = Transform::fit(Standardization::Whiten, shares.rows.view(), &shares.columns);
        let error = fit.unwrap_err().to_string();
        assert!(error.contains("\"TM7\"") && error.contains("`drop = pool`"), "{error}");
    }
}
