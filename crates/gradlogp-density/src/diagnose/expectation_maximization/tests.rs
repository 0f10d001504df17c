//! Tests of `expectation_maximization.rs`.

use super::*;
use crate::reference::ReferenceDensity;
use ndarray::array;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn components() -> Vec<Component> {
    let of = |weight, mean: [f64; 2], covariance: [[f64; 2]; 2]| Component {
        weight,
        mean: Array1::from(mean.to_vec()),
        covariance: array![covariance[0], covariance[1]],
    };
    vec![
        of(0.3, [0.0, 1.0], [[1.0, 0.4], [0.4, 2.0]]),
        of(0.7, [2.0, -1.0], [[0.5, 0.0], [0.0, 0.3]]),
    ]
}

/// Means 2 and 3; squares 6 and 2, products 3, over 3 rows; the ridge is a millionth of the mean variance.
#[test]
fn one_component_by_hand() {
    let whole = Component::whole(array![[0.0, 2.0], [3.0, 4.0], [3.0, 3.0]].view());
    assert_eq!((whole.weight, whole.mean), (1.0, array![2.0, 3.0]));
    let ridge = 1e-6 * 0.5 * (6.0 / 3.0 + 2.0 / 3.0);
    let expected = array![[2.0 + ridge, 1.0], [1.0, 2.0 / 3.0 + ridge]];
    assert!((whole.covariance - expected).iter().all(|e| e.abs() < 1e-12));
}

#[test]
fn responsibilities_are_shares_of_the_density() {
    let components = components();
    let mut fit = Fit {
        components: components.clone(),
        prior: Array2::eye(2),
        shrinkage: Shrinkage::default(),
        log_likelihood: 0.0,
    };
    let x = array![[0.1, 0.2], [1.5, -1.0], [-30.0, 4.0]];
    let found = fit.responsibilities(x.view()).unwrap();
    let logs: Vec<Array1<f64>> = components
        .iter()
        .map(|c| Gaussian::new(c.mean.clone(), c.covariance.clone()).unwrap().log_density(x.view()))
        .collect();
    let mut total = 0.0;
    for i in 0..3 {
        // Far from both the densities themselves are 0 in floating point.
        let odds = 0.7 / 0.3 * (logs[1][i] - logs[0][i]).exp();
        assert!((found[[i, 0]] - 1.0 / (1.0 + odds)).abs() < 1e-12, "{found}");
        assert!((found[[i, 0]] + found[[i, 1]] - 1.0).abs() < 1e-12);
        total += 0.3f64.ln() + logs[0][i] + odds.ln_1p();
    }
    assert!((fit.log_likelihood - total).abs() < 1e-9, "{} {total}", fit.log_likelihood);
}

/// Weights (size + 1) / (n + K), means, and covariances with d + 1 rows' worth of the prior.
#[test]
fn an_update_by_its_formulas() {
    let prior = array![[2.0, 0.5], [0.5, 1.0]];
    let mut fit = Fit {
        components: components(),
        prior: prior.clone(),
        shrinkage: Shrinkage::default(),
        log_likelihood: 0.0,
    };
    let x = array![[0.0, 1.0], [1.0, -1.0], [4.0, 0.5], [2.0, 2.0]];
    let r = array![[0.9, 0.1], [0.5, 0.5], [0.2, 0.8], [0.0, 1.0]];
    fit.update(x.view(), &r);
    for (k, c) in fit.components.iter().enumerate() {
        let size = r.column(k).sum();
        assert!((c.weight - (size + 1.0) / 6.0).abs() < 1e-12);
        let mean = |j: usize| (0..4).map(|i| r[[i, k]] * x[[i, j]]).sum::<f64>() / size;
        for a in 0..2 {
            assert!((c.mean[a] - mean(a)).abs() < 1e-12);
            for b in 0..2 {
                let scatter: f64 =
                    (0..4).map(|i| r[[i, k]] * (x[[i, a]] - mean(a)) * (x[[i, b]] - mean(b))).sum();
                let expected = (scatter + 3.0 * prior[[a, b]]) / (size + 3.0);
                assert!((c.covariance[[a, b]] - expected).abs() < 1e-12);
            }
        }
    }
    // A component that no row belongs to stays where it is, with the prior's spread around it.
    let mean = fit.components[0].mean.clone();
    fit.update(x.view(), &array![[0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]);
    assert_eq!(fit.components[0].mean, mean);
    assert!((fit.components[0].weight - 1.0 / 6.0).abs() < 1e-12);
    assert!((&fit.components[0].covariance - &prior).iter().all(|e| e.abs() < 1e-12));
}

/// Half the prior's rows and a floor; without a prior, components without rows keep their covariance.
#[test]
fn an_update_with_less_prior_and_a_floor() {
    let prior = array![[2.0, 0.5], [0.5, 1.0]];
    let x = array![[0.0, 1.0], [1.0, -1.0], [4.0, 0.5]];
    let r = array![[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]];
    let mean = [5.0 / 3.0, 1.0 / 6.0];
    let scatter = |a: usize, b: usize| -> f64 {
        x.outer_iter().map(|row| (row[a] - mean[a]) * (row[b] - mean[b])).sum()
    };
    for (rows, floor) in [(0.5, 0.0), (0.0, 0.25), (0.5, 0.25)] {
        let shrinkage = Shrinkage { rows, floor };
        let (components, prior) = (components(), prior.clone());
        let mut fit = Fit { components, prior: prior.clone(), shrinkage, log_likelihood: 0.0 };
        let before = fit.components[1].covariance.clone();
        fit.update(x.view(), &r);
        for a in 0..2 {
            for b in 0..2 {
                let level = if a == b { floor } else { 0.0 };
                let expected = (scatter(a, b) + 3.0 * rows * prior[[a, b]]) / (3.0 + 3.0 * rows);
                let found = fit.components[0].covariance[[a, b]];
                assert!((found - expected - level).abs() < 1e-12, "{rows} {floor}");
                let alone = if rows > 0.0 { prior[[a, b]] + level } else { before[[a, b]] };
                assert!((fit.components[1].covariance[[a, b]] - alone).abs() < 1e-12);
            }
        }
    }
}

/// Two components in two columns: 2 (1 + 2 + 3) - 1 = 11 parameters; in three, 2 (1 + 3 + 6) - 1 = 19.
#[test]
fn the_criterion_counts_parameters() {
    for (d, parameters) in [(2, 11.0), (3, 19.0)] {
        let fit = Fit {
            components: components(),
            prior: Array2::eye(d),
            shrinkage: Shrinkage::default(),
            log_likelihood: -123.0,
        };
        assert!((fit.criterion(50) - (246.0 + parameters * 50f64.ln())).abs() < 1e-9);
    }
}

/// The second mean by the squared distance to the first: 0, 1, 3 give the pair {0, 1} with probability
/// (1/10 + 1/5)/3, {0, 3} with (9/10 + 9/13)/3, and three means are all three.
#[test]
fn starts_are_drawn_by_squared_distance() {
    let x = array![[0.0], [1.0], [3.0]];
    let whole = Component { weight: 1.0, mean: array![9.0], covariance: array![[8.0]] };
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut counts = [0.0; 2];
    let n = 4000;
    for _ in 0..n {
        let fit = Fit::start(x.view(), 2, &whole, Shrinkage::default(), &mut rng).unwrap();
        let mut found: Vec<f64> = fit.components.iter().map(|c| c.mean[0]).collect();
        found.sort_by(f64::total_cmp);
        counts[0] += f64::from(u8::from(found == [0.0, 1.0]));
        counts[1] += f64::from(u8::from(found == [0.0, 3.0]));
    }
    for (count, p) in counts.iter().zip([0.1, (0.9 + 9.0 / 13.0) / 3.0]) {
        let sd = (p * (1.0 - p) * n as f64).sqrt();
        assert!((count - p * n as f64).abs() < 4.5 * sd, "{counts:?}");
    }
    for _ in 0..20 {
        let fit = Fit::start(x.view(), 3, &whole, Shrinkage::default(), &mut rng).unwrap();
        let mut found: Vec<f64> = fit.components.iter().map(|c| c.mean[0]).collect();
        found.sort_by(f64::total_cmp);
        assert_eq!(found, [0.0, 1.0, 3.0]);
        // 8 / 3^2 in one column.
        assert!((fit.prior[[0, 0]] - 8.0 / 9.0).abs() < 1e-12);
        let c = &fit.components[1];
        assert!((c.weight - 1.0 / 3.0).abs() < 1e-15 && c.covariance == fit.prior);
    }
    assert_eq!(
        Fit::start(x.view(), 1, &whole, Shrinkage::default(), &mut rng).unwrap().components[0].mean,
        whole.mean
    );
}

/// Overlapping parts, where the iteration is slow: it goes on until a step gains nearly nothing.
#[test]
fn iterations_end_when_they_gain_nothing() {
    let p =
        GaussianMixture::isotropic(array![0.4, 0.6], array![[-1.2], [1.2]].view(), 0.8).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let x = p.sample(800, &mut rng);
    let start =
        Fit::start(x.view(), 2, &Component::whole(x.view()), Shrinkage::default(), &mut rng)
            .unwrap();
    let first = {
        let mut fit =
            Fit { components: start.components.clone(), prior: start.prior.clone(), ..start };
        fit.responsibilities(x.view()).unwrap();
        fit.log_likelihood
    };
    let mut fit = Fit {
        components: start.components,
        prior: start.prior,
        shrinkage: Shrinkage::default(),
        log_likelihood: f64::NEG_INFINITY,
    };
    fit = fit.run(x.view()).unwrap();
    let after = fit.log_likelihood;
    assert!(after > first + 1.0, "{first} {after}");
    let r = fit.responsibilities(x.view()).unwrap();
    fit.update(x.view(), &r);
    fit.responsibilities(x.view()).unwrap();
    assert!(fit.log_likelihood - after < 2.0 * 1e-4 * 800.0, "{} {after}", fit.log_likelihood);
}
