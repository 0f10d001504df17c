//! Tests of `dequantize.rs`.

use super::*;
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Column a continuous, b in steps of 0.5, c integers with a sparse tail.
fn table() -> Table {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut rows = Array2::from_shape_simple_fn((6000, 3), || rng.random::<f64>());
    rows.column_mut(1).mapv_inplace(|x| (20.0 * x).round() / 2.0);
    rows.column_mut(2).mapv_inplace(|x| (1.0 / (x + 1e-3)).round());
    let names = ["a", "b", "c"].map(String::from).to_vec();
    Table::new("t", names, rows).unwrap()
}

fn fit(rule: GapRule, columns: DequantizeColumns) -> Dequantization {
    Dequantization::fit(&table(), rule, &columns).unwrap()
}

#[test]
fn widths_follow_the_rule() {
    let gap = fit(GapRule::Gap, DequantizeColumns::Discrete);
    assert_eq!(gap.half_widths, [0.0, 0.25, 0.5]);
    assert_eq!(gap.columns().collect::<Vec<_>>(), [1, 2]);
    let paper = fit(GapRule::MedianGap, DequantizeColumns::Discrete);
    // h is the gap itself, not half of it.
    assert_eq!(paper.half_widths, [0.0, 0.5, 1.0]);
    // A sparse tail with more distinct values than the body decides the papers' width only.
    let values = (0..1000).map(|i| f64::from(i % 10)).chain((0..40).map(|i| f64::from(99 + 7 * i)));
    let rows = Array2::from_shape_vec((1040, 1), values.collect()).unwrap();
    let tailed = Table::new("t", vec!["a".into()], rows).unwrap();
    for (rule, half_width) in [(GapRule::Gap, 0.5), (GapRule::MedianGap, 7.0)] {
        let fitted = Dequantization::fit(&tailed, rule, &DequantizeColumns::All).unwrap();
        assert_eq!(fitted.half_widths, [half_width]);
    }
    let named = fit(GapRule::Gap, DequantizeColumns::Named(vec!["c".into()]));
    assert_eq!(named.half_widths, [0.0, 0.0, 0.5]);
    assert!(fit(GapRule::Gap, DequantizeColumns::All).half_widths[0] > 0.0);
}

#[test]
fn whole_numbers_have_cells_of_1_also_where_they_are_constant() {
    let rows = ndarray::array![[0.0, 3.0, 0.5], [0.0, -7.0, 1.0]];
    let names = ["a", "b", "c"].map(String::from).to_vec();
    let table = Table::new("t", names, rows).unwrap();
    let fit = |columns| Dequantization::fit(&table, GapRule::Whole, &columns);
    let noise = fit(DequantizeColumns::Discrete).unwrap();
    assert_eq!((noise.half_widths.as_slice(), noise.log_cell()), (&[0.5, 0.5, 0.0][..], None));
    let named = fit(DequantizeColumns::Named(vec!["a".into()])).unwrap();
    assert_eq!(named.half_widths, [0.5, 0.0, 0.0]);
    for columns in [DequantizeColumns::All, DequantizeColumns::Named(vec!["c".into()])] {
        let error = fit(columns).unwrap_err().to_string();
        assert!(error.contains("row 1") && error.contains("0.5 is not a whole number"), "{error}");
    }
    let whole = Dequantization { rule: GapRule::Whole, half_widths: vec![0.5, 2.0], grids: vec![] };
    // Cells of 1 x 4.
    assert!((whole.log_cell().unwrap() - 4f64.ln()).abs() < 1e-15);
}

#[test]
fn noise_is_uniform_in_the_cell_and_undoes_the_ties() {
    let dequantization = fit(GapRule::Gap, DequantizeColumns::Discrete);
    let (before, mut after) = (table(), table());
    dequantization.apply(&mut after, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
    assert_eq!(before.rows.column(0), after.rows.column(0));
    let noise = (&after.rows - &before.rows).column(1).to_owned();
    assert!(noise.iter().all(|e| e.abs() < 0.25));
    // Uniform on (-h, h): mean 0, variance h^2 / 3; both within 4 standard errors.
    let n = noise.len() as f64;
    let variance = 0.0625 / 3.0;
    assert!(noise.mean().unwrap().abs() < 4.0 * (variance / n).sqrt());
    let spread = variance * (4.0 / 5.0 / n).sqrt();
    assert!((noise.var(0.0) - variance).abs() < 4.0 * spread);
    for j in 1..3 {
        assert!(!Ties::of(after.rows.column(j)).is_discrete());
    }
}

#[test]
fn the_same_generator_gives_the_same_table() {
    let dequantization = fit(GapRule::Gap, DequantizeColumns::Discrete);
    let run = |seed| {
        let mut t = table();
        dequantization.apply(&mut t, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
        t.content_hash()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn unit_noise_never_touches_its_ends() {
    assert_eq!(signed_unit(0), -signed_unit(u64::MAX));
    assert!(signed_unit(u64::MAX) < 1.0 && signed_unit(0) > -1.0);
}

#[test]
fn refusals() {
    let mut constant = table();
    constant.rows.column_mut(1).fill(2.0);
    let error =
        Dequantization::fit(&constant, GapRule::Gap, &DequantizeColumns::Discrete).unwrap_err();
    assert!(error.to_string().contains("column \"b\": a constant column"), "{error}");
    let mut narrow = table().select(&["a".into()]).unwrap();
    let d = fit(GapRule::Gap, DequantizeColumns::Discrete);
    let error = d.apply(&mut narrow, &mut ChaCha8Rng::seed_from_u64(0)).unwrap_err();
    assert!(matches!(error, Error::Shape { .. }));
}

#[test]
fn json_round_trip_is_exact() {
    let grid = Grid { origin: 0.1, step: 0.3 - 0.2, low: -1.5, high: 2.5 };
    let grids = vec![Some(grid), None];
    let half_widths = vec![0.1 + 0.2, 0.0];
    let d = Dequantization { rule: GapRule::MedianGap, half_widths, grids };
    let text = serde_json::to_string(&d).unwrap();
    assert!(text.contains("\"median_gap\""), "{text}");
    assert_eq!(serde_json::from_str::<Dequantization>(&text).unwrap(), d);
    // As files of older versions have it.
    let older = r#"{"rule":"gap","half_widths":[0.5]}"#;
    let older: Dequantization = serde_json::from_str(older).unwrap();
    let mut rows = ndarray::array![[0.7]];
    older.restore(&mut rows, |_, _| true);
    assert_eq!(rows, ndarray::array![[0.7]]);
}

#[test]
fn restored_rows_are_those_that_got_the_noise() {
    for rule in [GapRule::Gap, GapRule::Whole] {
        let d = match rule {
            GapRule::Whole => fit(rule, DequantizeColumns::Named(vec!["c".into()])),
            _ => fit(rule, DequantizeColumns::Discrete),
        };
        let (before, mut after) = (table(), table());
        d.apply(&mut after, &mut ChaCha8Rng::seed_from_u64(8)).unwrap();
        assert_ne!(before.rows, after.rows);
        let mut restored = after.rows.clone();
        d.restore(&mut restored, |_, _| true);
        assert_eq!(restored, before.rows, "to the bit: no 0.30000000000000004");
        let mut some = after.rows.clone();
        d.restore(&mut some, |row, _| row > 0);
        assert_eq!(some.row(0), after.rows.row(0));
        // Beyond what was seen.
        let mut far = Array2::from_elem((1, 3), -7.3);
        d.restore(&mut far, |_, _| true);
        let least = before.rows.column(2).iter().copied().fold(f64::INFINITY, f64::min);
        assert_eq!(far[[0, 2]], least);
        assert_eq!(far[[0, 0]], -7.3, "a column without noise");
    }
    // Only what is rounded gets noise again.
    let d = fit(GapRule::Gap, DequantizeColumns::Discrete);
    let mut mixed = table();
    mixed.rows.column_mut(1).mapv_inplace(|x| x + 0.01);
    let before = mixed.clone();
    d.apply_to_rounded(&mut mixed, &mut ChaCha8Rng::seed_from_u64(8)).unwrap();
    assert_eq!(mixed.rows.column(1), before.rows.column(1));
    assert_ne!(mixed.rows.column(2), before.rows.column(2));
    let tenth = Grid { origin: 0.1, step: 0.3 - 0.2, low: 0.0, high: 9.0 };
    assert_eq!((tenth.nearest(0.31), tenth.nearest(99.0), tenth.nearest(-1.0)), (0.3, 9.0, 0.0));
}
