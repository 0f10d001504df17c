//! Tests of `checks.rs`.

use super::*;
use ndarray::{Array2, array, concatenate};
use rand::RngExt;

fn table(rows: Array2<f64>) -> Table {
    let columns = (0..rows.ncols()).map(|j| format!("c{j}")).collect();
    Table::new("t", columns, rows).unwrap()
}

fn uniform(n: usize, d: usize) -> Array2<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    Array2::from_shape_simple_fn((n, d), || rng.random::<f64>())
}

#[test]
fn good_data_pass_silently() {
    assert_eq!(check_table(&table(uniform(2000, 5))).unwrap(), []);
}

#[test]
fn constant_columns_and_single_rows_are_refused() {
    let mut rows = uniform(50, 4);
    rows.column_mut(1).fill(0.3);
    rows.column_mut(3).fill(-7.0);
    rows[[4, 1]] = 0.1 + 0.2;
    let error = check_table(&table(rows)).unwrap_err().to_string();
    assert!(error.contains("constant columns \"c1\", \"c3\""), "{error}");
    assert!(error.ends_with("`drop = c1,c3`"), "{error}");
    assert!(check_table(&table(uniform(1, 3))).unwrap_err().to_string().contains("one row"));
}

#[test]
fn few_rows() {
    let warnings = check_table(&table(uniform(3, 5))).unwrap();
    assert_eq!(warnings, [DataWarning::FewerRowsThanColumns { rows: 3, columns: 5 }]);
}

#[test]
fn discrete_columns_are_described() {
    let mut rows = uniform(400, 3);
    rows.column_mut(1).mapv_inplace(|x| (x * 4.0).floor());
    let warnings = check_table(&table(rows)).unwrap();
    let [DataWarning::DiscreteColumns { columns, total: 3 }] = &warnings[..] else {
        panic!("{warnings:?}")
    };
    assert_eq!((columns.len(), columns[0].column.as_str()), (1, "c1"));
    assert_eq!((columns[0].ties.distinct, columns[0].ties.tied), (4, 400));
    let text = warnings[0].to_string();
    assert!(text.starts_with("1 of 3 columns are discrete or rounded: \"c1\" (4 distinct"));
    assert!(text.contains("smallest gap 1") && text.contains("`dequantize`"), "{text}");
}

#[test]
fn duplicate_rows_are_counted() {
    let rows = uniform(100, 3);
    let twice = concatenate![Axis(0), rows, rows.slice(ndarray::s![..7, ..])];
    let warnings = check_table(&table(twice)).unwrap();
    assert_eq!(
        warnings,
        [DataWarning::DuplicateRows { count: 7, total: 107, kept_together: true }]
    );
    let zeros = table(array![[0.0, 1.0], [-0.0, 1.0]]);
    assert_eq!(
        duplicate_rows(&zeros),
        Some(DataWarning::DuplicateRows { count: 1, total: 2, kept_together: false })
    );
}

#[test]
fn copies_up_to_scale_sign_and_shift_are_found_and_near_ones_are_not() {
    let mut rows = uniform(500, 300);
    let copy = rows.column(20).mapv(|x| 1e6 - 1e3 * x);
    rows.column_mut(7).assign(&copy);
    let noisy = Zip::from(rows.column(1)).and(rows.column(2)).map_collect(|a, b| a + 0.01 * b);
    rows.column_mut(250).assign(&noisy);
    let Some(DataWarning::DuplicateColumns { pairs }) = duplicate_columns(&table(rows)) else {
        panic!("not found")
    };
    assert_eq!(pairs.len(), 1, "{pairs:?}");
    assert_eq!((pairs[0].0.as_str(), pairs[0].1.as_str()), ("c7", "c20"));
    assert!(pairs[0].2 < 1e-12);
}

#[test]
fn one_minus_correlation_matches_the_textbook_formula() {
    let rows = uniform(50, 2);
    let (a, b) = (rows.column(0), rows.column(1));
    let (ma, mb) = (a.mean().unwrap(), b.mean().unwrap());
    let sum = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
        a.iter().zip(b).map(|(x, y)| f(x - ma, y - mb)).sum()
    };
    let r = sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt();
    assert!((off_correlation(a, b) - (1.0 - r.abs())).abs() < 1e-12);
    let tiny = rows.mapv(|x| 1e-200 * x);
    let scaled = off_correlation(tiny.column(0), rows.column(1));
    assert!((scaled - (1.0 - r.abs())).abs() < 1e-12);
}

fn texts(rows: Array2<f64>) -> Vec<String> {
    check_table(&table(rows)).unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn columns_that_follow_from_others_are_named() {
    let x = uniform(800, 3);
    let with = |column: Array1<f64>| concatenate![Axis(1), x, column.insert_axis(Axis(1))];
    let sum = &texts(with(&x.column(0) + &x.column(2)))[..];
    assert_eq!(sum.len(), 1, "{sum:?}");
    assert!(
        sum[0].contains("\"c3\" = \"c0\" + \"c2\"") && sum[0].contains("`drop = c3`"),
        "{sum:?}"
    );
    let near = &texts(with(7.0 - 2.5 * &x.column(0) + 0.02 * &x.column(1)))[..];
    assert_eq!(near.len(), 1, "{near:?}");
    assert!(near[0].contains("\"c3\" = 7") && near[0].contains("- 2.5 \"c0\""), "{near:?}");
    assert!(texts(with(&x.column(0) + 0.5 * &x.column(2).mapv(|x| x * x * x))).is_empty());
}

#[test]
fn compositions_and_indicators_are_told_apart() {
    let x = uniform(600, 4);
    let shares = &x / &x.sum_axis(Axis(1)).insert_axis(Axis(1));
    let text = &texts(shares.clone())[..];
    assert_eq!(text.len(), 1, "{text:?}");
    assert!(
        text[0].starts_with("\"c0\", \"c1\", \"c2\", \"c3\" sum to 1 in every row"),
        "{text:?}"
    );
    assert!(text[0].contains("`domain = simplex`") && text[0].contains("`drop = c3`"), "{text:?}");
    // Beside other columns the domain of all columns is none.
    let text =
        &texts(concatenate![Axis(1), uniform(600, 5).slice(ndarray::s![.., 4..]), 100.0 * &shares])
            [..];
    assert_eq!(text.len(), 1, "{text:?}");
    assert!(text[0].contains("sum to 100") && !text[0].contains("domain"), "{text:?}");
    let kind = x.column(0).mapv(|x| (3.0 * x).floor());
    let is = |k: f64| kind.mapv(|x| f64::from(u8::from(x == k))).insert_axis(Axis(1));
    let text = texts(concatenate![Axis(1), uniform(600, 1), is(0.0), is(1.0), is(2.0)]);
    let found = text
        .iter()
        .any(|t| t.starts_with("\"c1\", \"c2\", \"c3\" one-hot encode a category of 3 values"));
    assert!(found, "{text:?}");
}

#[test]
fn single_values_far_from_all_others_are_named() {
    let mut rows = uniform(300, 2);
    rows[[16, 1]] = 1e6;
    let warnings = check_table(&table(rows)).unwrap();
    let [DataWarning::FarValue { column, row: 17, value: 1e6, .. }] = &warnings[..] else {
        panic!("{warnings:?}")
    };
    assert_eq!(column, "c1");
    // Heavy tails are none.
    let tails = uniform(1500, 2).mapv(|u| u.powf(-0.4));
    assert_eq!(check_table(&table(tails)).unwrap(), []);
}

#[test]
fn row_numbers_are_noticed() {
    let mut rows = uniform(30, 2);
    rows.column_mut(0).iter_mut().enumerate().for_each(|(i, x)| *x = i as f64 + 1.0);
    let warnings = check_table(&table(rows)).unwrap();
    assert_eq!(warnings, [DataWarning::RowNumbers { column: "c0".into() }]);
}
