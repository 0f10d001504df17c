//! Tests of `proposal.rs`.

use super::*;
use crate::reference::{Gaussian, ReferenceDensity};
use crate::score::LogDensity;
use ndarray::{Array2, array};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

#[test]
fn separate_parts_are_found_with_their_weights() {
    let means = array![[-6.0, 0.0], [6.0, 0.0], [0.0, 8.0], [0.0, -8.0]];
    let weights = array![0.1, 0.2, 0.3, 0.4];
    let p = GaussianMixture::isotropic(weights.clone(), means.view(), 0.7).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let q = fit_proposals(p.sample(2000, &mut rng).view(), &mut rng).unwrap().heavy;
    let near = |mean: ndarray::ArrayView1<'_, f64>| -> f64 {
        // By its own draws: the share that falls near a part, without the wide component's.
        let draws = q.sample(8000, &mut ChaCha8Rng::seed_from_u64(5));
        let inside = |row: &ndarray::ArrayView1<'_, f64>| (row - &mean).mapv(|v| v * v).sum() < 9.0;
        draws.outer_iter().filter(inside).count() as f64 / 8000.0
    };
    for (k, mean) in means.outer_iter().enumerate() {
        assert!((near(mean) - 0.85 * weights[k]).abs() < 0.05, "part {k}: {}", near(mean));
    }
}

/// Rows on a line: still a density in all columns.
#[test]
fn degenerate_rows_give_a_proposal() {
    let x = Array2::from_shape_fn((60, 2), |(i, _)| i as f64 / 10.0);
    let q = fit_proposals(x.view(), &mut ChaCha8Rng::seed_from_u64(0)).unwrap();
    assert!(q.heavy.log_density(x.view()).iter().all(|l| l.is_finite()));
    assert!(q.core.log_density(x.view()).iter().all(|l| l.is_finite()));
}

/// Few rows: one component, nine tenths of it with five degrees of freedom where the rows are, one tenth
/// three times as wide.
#[test]
fn few_rows_give_one_component_and_a_wide_one() {
    let x = Gaussian::standard(2).unwrap().sample(17, &mut ChaCha8Rng::seed_from_u64(1));
    let q = fit_proposals(x.view(), &mut ChaCha8Rng::seed_from_u64(0)).unwrap();
    let whole = Component::whole(x.view());
    let t = |width: f64| {
        StudentT::new(whole.mean.clone(), &whole.covariance * (width * width), 5.0).unwrap()
    };
    let at = array![[0.0, 0.0], [3.0, -1.0], [20.0, 20.0]];
    let (near, far) = (t(1.0).log_density(at.view()), t(3.0).log_density(at.view()));
    let found = q.heavy.log_density(at.view());
    for i in 0..3 {
        let expected = (0.9 * near[i].exp() + 0.1 * far[i].exp()).ln();
        assert!((found[i] - expected).abs() < 1e-9, "{i}: {} {expected}", found[i]);
    }
    let core = Gaussian::new(whole.mean.clone(), whole.covariance.clone()).unwrap();
    let gap = q.core.log_density(at.view()) - core.log_density(at.view());
    assert!(gap.iter().all(|e| e.abs() < 1e-9));
}
