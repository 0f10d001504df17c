//! Tests of `ode.rs`.

use super::*;
use ndarray::array;

/// y' = y cos t, y(0) = 1: exp(sin t); and z' = -2 t z^2, z(0) = 1: 1/(1 + t^2).
fn field(at: At<'_>) -> Array2<f64> {
    let mut out = at.y.to_owned();
    for (mut y, t) in out.outer_iter_mut().zip(at.times) {
        y[0] *= t.cos();
        y[1] = -2.0 * t * y[1] * y[1];
    }
    out
}

/// Of one row.
fn one(t: f64, y: &Array2<f64>, h: f64) -> Step {
    let at = At { rows: &[0], times: &[t], y: y.view() };
    let derivative = field(at);
    step(&mut field, at, derivative.view(), &[h])
}

fn exact(t: f64) -> [f64; 2] {
    [t.sin().exp(), 1.0 / (1.0 + t * t)]
}

fn fixed_steps(n: usize, t1: f64) -> Array2<f64> {
    let h = t1 / n as f64;
    let mut y = array![[1.0, 1.0]];
    for k in 0..n {
        let t = k as f64 * h;
        y = one(t, &y, h).y;
    }
    y
}

/// Halving the step divides the error by 2^5.
#[test]
fn order_is_five() {
    for column in 0..2 {
        // Over several ends, since the error passes through 0 at some.
        let error = |n| -> f64 {
            let at = |t: f64| (fixed_steps(n, t)[[0, column]] - exact(t)[column]).abs();
            [1.3, 2.0, 2.9].into_iter().map(at).sum()
        };
        let order = (error(40) / error(160)).log2() / 2.0;
        assert!((order - 5.0).abs() < 0.35, "column {column}: order {order}");
    }
}

/// The error estimate of one step is of order h^5, that of the embedded solution.
#[test]
fn the_error_estimate_has_the_order_of_the_embedded_solution() {
    let size = |h: f64| {
        let y = array![[1.0, 0.8]];
        one(0.5, &y, h).error.mapv(f64::abs)
    };
    let (coarse, fine) = (size(0.04), size(0.01));
    for column in 0..2 {
        let order = (coarse[[0, column]] / fine[[0, column]]).log2() / 2.0;
        assert!((order - 5.0).abs() < 0.35, "column {column}: order {order}");
    }
}

/// Order conditions that a wrong coefficient breaks: rows of A sum to C; polynomials of degree 4 are
/// integrated exactly.
#[test]
fn coefficients_are_consistent() {
    for (row, c) in A.iter().zip(C) {
        assert!((row.iter().sum::<f64>() - c).abs() < 1e-14);
    }
    assert!(E.iter().sum::<f64>().abs() < 1e-16);
    for power in 0..5 {
        let sum: f64 = A[6].iter().zip(C).map(|(b, c)| b * c.powi(power)).sum();
        assert!((sum - 1.0 / f64::from(power + 1)).abs() < 1e-14, "power {power}");
    }
}

#[test]
fn errors_follow_the_tolerance_in_both_directions_of_time() {
    let mut before = f64::INFINITY;
    for tolerance in [1e-3, 1e-6, 1e-9] {
        let config = OdeConfig { relative: tolerance, absolute: tolerance, ..Default::default() };
        let start = array![[1.0, 1.0]];
        let (there, info) = integrate(&mut field, (0.0, 3.0), start.view(), &config).unwrap();
        let error = (0..2).map(|k| (there[[0, k]] - exact(3.0)[k]).abs()).fold(0.0, f64::max);
        assert!(error < 20.0 * tolerance && error < 0.1 * before, "{tolerance}: {error}");
        before = error;
        let (back, _) = integrate(&mut field, (3.0, 0.0), there.view(), &config).unwrap();
        // Column 1 loses a factor of 100 on the way back: dz(0)/dz(3) = (1 + 3^2)^2.
        let error = (back[[0, 0]] - 1.0).abs();
        assert!(error < 20.0 * tolerance, "{tolerance}: {error} on the way back");
        let all = 2 + 6 * (info.steps + info.rejected);
        assert_eq!(info.evaluations, all);
    }
}

/// Rows of very different speed meet the tolerance each with its own steps, and have the bits that they have alone.
#[test]
fn every_row_is_solved_as_if_alone() {
    let rate = |row: usize| if row == 700 { 300.0 } else { 0.01 * (row % 7) as f64 };
    let solve = |rows: &[usize], config: &OdeConfig| {
        let mut f = |at: At<'_>| {
            Array2::from_shape_fn(at.y.dim(), |(k, j)| {
                let t = at.times[k];
                -rate(rows[at.rows[k]]) * (1.0 + t * t) * at.y[[k, j]]
            })
        };
        let start = Array2::from_shape_fn((rows.len(), 2), |(k, j)| (1 + rows[k] + j) as f64);
        let solved = integrate_rows(&mut f, (0.0, 0.1), start.view(), (config, None), &mut || true);
        solved.unwrap().unwrap()
    };
    let config = OdeConfig::default();
    let all: Vec<usize> = (0..1000).collect();
    let together = solve(&all, &config);
    assert!(together.failed.is_empty() && together.info.steps > 10);
    for row in [0, 3, 6, 700, 999] {
        let alone = solve(&[row], &config);
        assert_eq!(alone.y.row(0), together.y.row(row), "row {row}");
        let expected = (row + 1) as f64 * (-rate(row) * (0.1 + 0.001 / 3.0)).exp();
        let miss = (alone.y[[0, 0]] - expected).abs();
        assert!(miss < 1e-3 * expected.max(0.1), "row {row}: {miss}");
        assert!(row == 700 || alone.info.steps < 9, "row {row}: {:?}", alone.info);
    }
    // One that does not arrive is named and costs the others nothing.
    let config = OdeConfig { max_steps: 8, ..config };
    let some = solve(&all, &config);
    assert!(matches!(some.failed[..], [Failure { row: 700, too_many_steps: true, .. }]));
    assert_eq!(some.y.row(3), together.y.row(3));
}

#[test]
fn parts_make_the_whole_and_can_be_stopped() {
    let config = OdeConfig::default();
    let start = array![[1.0, 1.0]];
    let part = |f: &mut Derivative<'_>, span, y: &Array2<f64>, first: Option<&[f64]>| {
        integrate_rows(f, span, y.view(), (&config, first), &mut || true).unwrap().unwrap()
    };
    let half = part(&mut field, (0.0, 1.5), &start, None);
    let rest = part(&mut field, (1.5, 3.0), &half.y, Some(&half.next_steps));
    assert!((rest.y[[0, 0]] - exact(3.0)[0]).abs() < 1e-4);
    assert_eq!(rest.info.evaluations, 1 + 6 * (rest.info.steps + rest.info.rejected));
    let (same, none) = integrate(&mut field, (1.0, 1.0), start.view(), &config).unwrap();
    assert_eq!((&same, none.evaluations), (&start, 0));
    let mut asked = 0;
    let mut twice = || {
        asked += 1;
        asked < 3
    };
    let stopped = integrate_rows(&mut field, (0.0, 3.0), start.view(), (&config, None), &mut twice);
    assert!(stopped.unwrap().is_none() && asked == 3);
}

/// y' = y^2 from 1 ends at t = 1; the second row does so at 1/2.
#[test]
fn a_blow_up_names_the_row() {
    let mut f = |at: At<'_>| &at.y * &at.y;
    let start = array![[0.1], [2.0], [1.0]];
    let error = integrate(&mut f, (0.0, 2.0), start.view(), &OdeConfig::default()).unwrap_err();
    let Error::Diverged { rows, message, .. } = error else { panic!("{error}") };
    // The third does so at 1.
    assert!(rows == [1, 2] && message.contains("row 2"), "{rows:?} {message}");
    let mut nan = |at: At<'_>| {
        Array2::from_shape_fn(at.y.dim(), |(k, _)| match at.rows[k] {
            0 => 1.0,
            _ if at.times[k] > 0.5 => f64::NAN,
            _ => 0.0,
        })
    };
    let error = integrate(&mut nan, (0.0, 1.0), start.view(), &OdeConfig::default()).unwrap_err();
    assert!(error.to_string().contains("row 2"), "{error}");
    assert!(error.to_string().contains("t = 0.5"), "{error}");
    assert!(matches!(error, Error::Diverged { rows, .. } if rows == [1, 2]));
}

#[test]
fn gives_up_after_so_many_steps_and_refuses_bad_settings() {
    let config = OdeConfig { max_steps: 3, relative: 1e-10, absolute: 1e-10 };
    let start = array![[1.0, 1.0]];
    let error = integrate(&mut field, (0.0, 3.0), start.view(), &config).unwrap_err();
    assert!(error.to_string().contains("row 1: all steps reached"), "{error}");
    for (config, name) in [
        (OdeConfig { relative: 0.0, ..Default::default() }, "relative"),
        (OdeConfig { absolute: f64::NAN, ..Default::default() }, "absolute"),
        (OdeConfig { max_steps: 0, ..Default::default() }, "max_steps"),
    ] {
        assert!(config.validate().unwrap_err().to_string().starts_with(name));
    }
}
