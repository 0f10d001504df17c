//! What every reference density must satisfy, checked without using its own derivation.

use super::ReferenceDensity;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// score = grad log p and trace = div score, by central differences with step 1e-4 `scale`.
pub(super) fn derivatives(reference: &dyn ReferenceDensity, x: ArrayView2<'_, f64>, scale: f64) {
    let h = 1e-4 * scale;
    let (score, trace) = (reference.score(x), reference.trace(x));
    let mut divergence = Array1::<f64>::zeros(x.nrows());
    for j in 0..x.ncols() {
        let shifted = |by: f64| {
            let mut y = x.to_owned();
            y.column_mut(j).mapv_inplace(|v| v + by);
            y
        };
        let (up, down) = (shifted(h), shifted(-h));
        let slope =
            (reference.log_density(up.view()) - reference.log_density(down.view())) / (2.0 * h);
        for i in 0..x.nrows() {
            close(score[[i, j]], slope[i], 2e-6, "score", x.row(i));
        }
        divergence += &((&reference.score(up.view()) - &reference.score(down.view()))
            .column(j)
            .mapv(|v| v / (2.0 * h)));
    }
    for i in 0..x.nrows() {
        close(trace[i], divergence[i], 2e-6, "trace", x.row(i));
    }
    let (both_log, both_score) = reference.log_density_and_score(x);
    for (a, b) in both_log.iter().zip(&reference.log_density(x)) {
        assert!((a - b).abs() <= 1e-12 * (1.0 + b.abs()), "log_density_and_score: {a} vs {b}");
    }
    for (a, b) in both_score.iter().zip(&score) {
        assert!((a - b).abs() <= 1e-12 * (1.0 + b.abs()), "log_density_and_score: {a} vs {b}");
    }
}

/// [`derivatives`] at `n` rows of the reference density's own sampler.
pub(super) fn derivatives_at_samples(reference: &dyn ReferenceDensity, n: usize, scale: f64) {
    let x = reference.sample(n, &mut ChaCha8Rng::seed_from_u64(1));
    derivatives(reference, x.view(), scale);
}

fn close(found: f64, expected: f64, tolerance: f64, what: &str, at: ArrayView1<'_, f64>) {
    let error = (found - expected).abs() / (1.0 + expected.abs());
    assert!(error < tolerance, "{what} at {at}: {found}, by differences {expected}");
}

/// E[s] = 0 and E[s x^T] = -I over `n` samples, every entry within 4.5 standard errors, and the
/// standard errors themselves small enough that a wrong scale or sign would be seen.
pub(super) fn stein(reference: &dyn ReferenceDensity, n: usize, seed: u64) {
    let x = reference.sample(n, &mut ChaCha8Rng::seed_from_u64(seed));
    let s = reference.score(x.view());
    for i in 0..reference.dim() {
        within(s.column(i).to_owned(), 0.0, &format!("E[s_{i}]"));
        for j in 0..reference.dim() {
            let target = if i == j { -1.0 } else { 0.0 };
            let error = within(&s.column(i) * &x.column(j), target, &format!("E[s_{i} x_{j}]"));
            assert!(i != j || error < 0.1, "E[s_{i} x_{j}] is known only to +-{error}");
        }
    }
}

/// Asserts that the mean is within 4.5 standard errors of `target`; returns the standard error.
pub(super) fn within(values: Array1<f64>, target: f64, what: &str) -> f64 {
    let mean = values.mean().unwrap();
    let error = values.std(1.0) / (values.len() as f64).sqrt();
    assert!((mean - target).abs() <= 4.5 * error, "{what} = {mean} +- {error}, not {target}");
    error
}

/// The integral of p over the square [-half, half]^2 by the midpoint rule, `cells` a side.
pub(super) fn integral(reference: &dyn ReferenceDensity, half: f64, cells: usize) -> f64 {
    let width = 2.0 * half / cells as f64;
    let grid = Array2::from_shape_fn((cells * cells, 2), |(i, j)| {
        let k = if j == 0 { i / cells } else { i % cells };
        -half + (k as f64 + 0.5) * width
    });
    reference.log_density(grid.view()).mapv(f64::exp).sum() * width * width
}
