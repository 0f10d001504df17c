//! Tests of `derivatives.rs`.

use super::*;
use crate::model::Mlp;

/// Few units and many columns, so that the trace is taken as a whole; its diagonal never is.
#[test]
fn whole_traces_are_the_sums_of_their_diagonals() {
    for (kind, hidden) in [
        (ModelKind::LogDensity, vec![8, 5]),
        (ModelKind::LogDensity, vec![8]),
        (ModelKind::Score, vec![8, 5]),
        (ModelKind::Score, vec![30]),
    ] {
        let model = Mlp { hidden, ..Mlp::new(20, kind) }.build::<f64>(1).unwrap();
        let at = Derivatives::new(&model);
        let x: Vec<f64> = (0..20 * 1500).map(|k| (1.3 * k as f64).sin()).collect();
        let (trace, diagonal) = (at.trace(&x), at.jacobian_diagonal(&x));
        for (trace, diagonal) in trace.iter().zip(diagonal.chunks(20)) {
            let sum: f64 = diagonal.iter().sum();
            assert!((trace - sum).abs() < 1e-12 * (1.0 + sum.abs()), "{kind:?}: {trace} {sum}");
        }
    }
}

/// However many rows and threads there are, a row's value and score are those of the row alone.
#[test]
fn rows_keep_their_numbers_on_any_number_of_threads() {
    for kind in [ModelKind::LogDensity, ModelKind::Score] {
        let model = Mlp { hidden: vec![8], ..Mlp::new(3, kind) }.build::<f64>(1).unwrap();
        let at = Derivatives::new(&model);
        let x: Vec<f64> = (0..3 * 100).map(|k| (1.3 * k as f64).sin()).collect();
        let alone: Vec<_> = x.chunks(3).map(|row| at.value_and_score(row)).collect();
        for threads in [1, 2, 3, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (value, score) = pool.install(|| at.value_and_score(&x));
            assert_eq!(value, alone.iter().flat_map(|a| a.0.clone()).collect::<Vec<_>>());
            assert_eq!(score, alone.iter().flat_map(|a| a.1.clone()).collect::<Vec<_>>());
        }
    }
}

/// Every answer of a row has the bits that it has alone, in both precisions, wherever the row stands and whatever
/// is beside it: numbers far off, infinite, or none.
fn same_bits_in_any_company<T: Real>(kind: ModelKind, d: usize, hidden: &[usize]) {
    let model = Mlp { hidden: hidden.to_vec(), ..Mlp::new(d, kind) }.build::<T>(2).unwrap();
    let at = Derivatives::new(&model);
    let wave =
        |n: usize, w: f64| -> Vec<T> { (0..n).map(|k| T::of((w * k as f64).sin())).collect() };
    let shared = wave(3 * d, 0.4);
    let all = |x: &[T], v: &[T]| -> Vec<Vec<T>> {
        let (value, score) = at.value_and_score(x);
        vec![
            at.value(x),
            value,
            score,
            at.jacobian_vector(x, v),
            at.curvature(x, v),
            at.trace(x),
            at.curvature_sum(x, &shared),
            at.curvatures(x, &shared),
            at.jacobian_diagonal(x),
        ]
    };
    for n in [2, 3, 5, 7, 11, 13, 24, 31, 67, 150] {
        let (mut x, v) = (wave(n * d, 1.3), wave(n * d, 0.7));
        for (row, value) in [(1, 1e30), (2, f64::NAN), (4, f64::INFINITY)] {
            if row + 2 < n {
                x[row * d..(row + 1) * d].fill(T::of(value));
            }
        }
        let among = all(&x, &v);
        for row in [0, 1, 3, n / 2, n - 2, n - 1].into_iter().filter(|row| *row < n) {
            let own = row * d..(row + 1) * d;
            let alone = all(&x[own.clone()], &v[own]);
            for (what, (among, alone)) in among.iter().zip(&alone).enumerate() {
                let width = alone.len();
                let there = &among[row * width..(row + 1) * width];
                let same = there
                    .iter()
                    .zip(alone)
                    .all(|(a, b)| a == b || (a.to_f64().is_nan() && b.to_f64().is_nan()));
                assert!(same, "{kind:?} {d} {hidden:?}, answer {what}: row {row} of {n}");
            }
        }
    }
}

#[test]
fn a_row_has_the_same_bits_in_any_company() {
    for kind in [ModelKind::LogDensity, ModelKind::Score] {
        for (d, hidden) in [(1, &[5][..]), (2, &[33, 18]), (3, &[8, 7, 4]), (20, &[8, 5])] {
            same_bits_in_any_company::<f32>(kind, d, hidden);
            same_bits_in_any_company::<f64>(kind, d, hidden);
        }
    }
}

fn close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (k, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() < 1e-7 * (1.0 + b.abs()), "{what} {k}: {a} {b}");
    }
}

/// (f(x + t v) - f(x - t v)) / (2 t) for rows of any function of rows.
fn along(f: impl Fn(&[f64]) -> Vec<f64>, x: &[f64], v: &[f64]) -> Vec<f64> {
    let t = 1e-5;
    let moved = |t: f64| f(&x.iter().zip(v).map(|(x, v)| x + t * v).collect::<Vec<f64>>());
    moved(t).iter().zip(moved(-t)).map(|(a, b)| (a - b) / (2.0 * t)).collect()
}

/// Everything from values alone by differences, over several tasks of rows and two blocks of directions.
#[test]
fn everything_is_a_difference_of_values() {
    for (kind, d, rows) in [
        (ModelKind::Score, 3, 700),
        (ModelKind::LogDensity, 3, 700),
        (ModelKind::Score, 70, 3),
        (ModelKind::LogDensity, 70, 3),
    ] {
        let mlp = Mlp { hidden: vec![7, 6], ..Mlp::new(d, kind) };
        let model = mlp.build::<f64>(3).unwrap();
        let at = Derivatives::new(&model);
        let wave = |n: usize, w: f64| (0..n).map(|k| (w * k as f64).sin()).collect::<Vec<f64>>();
        let (x, v) = (wave(rows * d, 1.3), wave(rows * d, 0.7));
        let dots = |a: &[f64], b: &[f64]| -> Vec<f64> {
            a.chunks(d).zip(b.chunks(d)).map(|(a, b)| dot(a, b)).collect()
        };
        let score = at.score(&x);
        if kind == ModelKind::LogDensity {
            close(&dots(&score, &v), &along(|x| at.value(x), &x, &v), "score");
            let (value, again) = at.value_and_score(&x);
            assert_eq!((value, again), (at.value(&x), score.clone()));
        } else {
            assert_eq!(
                (at.value(&x), at.value_and_score(&x)),
                (score.clone(), (vec![], score.clone()))
            );
        }
        let product = along(|x| at.score(x), &x, &v);
        close(&at.jacobian_vector(&x, &v), &product, "J v");
        close(&at.curvature(&x, &v), &dots(&product, &v), "v.J v");
        // One direction for all rows is the same as that direction in every row.
        let curvature = |v: &[f64]| {
            let v = v.repeat(rows);
            dots(&along(|x| at.score(x), &x, &v), &v)
        };
        let shared = wave(d * (d + 1), 0.4);
        let (mut sum, mut each) = (vec![0.0; rows], vec![0.0; rows * (d + 1)]);
        for (m, v) in shared.chunks(d).enumerate() {
            for (r, c) in curvature(v).into_iter().enumerate() {
                sum[r] += c;
                each[r * (d + 1) + m] = c;
            }
        }
        close(&at.curvature_sum(&x, &shared), &sum, "sum of v.J v");
        close(&at.curvatures(&x, &shared), &each, "every v.J v");
        let (mut trace, mut diagonal) = (vec![0.0; rows], vec![0.0; rows * d]);
        for i in 0..d {
            let e: Vec<f64> = (0..d).map(|j| if i == j { 1.0 } else { 0.0 }).collect();
            for (r, c) in curvature(&e).into_iter().enumerate() {
                trace[r] += c;
                diagonal[r * d + i] = c;
            }
        }
        close(&at.trace(&x), &trace, "trace");
        close(&at.jacobian_diagonal(&x), &diagonal, "diagonal");
    }
}
