//! Tests of `hmc.rs`.

use super::super::{mala, normals};
use super::*;
use crate::reference::{Banana, Funnel, Gaussian, GaussianMixture, ReferenceDensity};
use crate::score::Score;
use ndarray::{ArrayView1, array};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn plain(step_size: f64, steps: usize, d: usize) -> Trajectory {
    Trajectory { step_size, steps, scale: Array2::ones((1, d)) }
}

#[test]
fn one_leapfrog_step_is_mala() {
    let p =
        GaussianMixture::isotropic(array![0.4, 0.6], array![[-1.0, 0.3], [1.2, 0.0]].view(), 0.7)
            .unwrap();
    let start = p.sample(200, &mut ChaCha8Rng::seed_from_u64(1));
    for a in [0.1, 0.9, 2.0] {
        let state = init(start.clone(), &p).unwrap();
        let (one, other) = (&mut ChaCha8Rng::seed_from_u64(2), &mut ChaCha8Rng::seed_from_u64(2));
        let (expected, theirs) = mala::step(one, state.clone(), &p, a);
        let (found, ours) = step(other, state, &p, &plain(a, 1, 2)).unwrap();
        assert_eq!(theirs.accepted, ours.accepted);
        assert!((&theirs.acceptance - &ours.acceptance).iter().all(|e| e.abs() < 1e-10));
        assert!((expected.position - found.position).iter().all(|e| e.abs() < 1e-12));
    }
}

/// Leapfrog run back with the velocity turned round comes home: the map that acceptance relies on.
#[test]
fn trajectories_are_reversible() {
    let p = Banana::new(2, 1.0, 0.5, 1.0).unwrap();
    let state = init(p.sample(50, &mut ChaCha8Rng::seed_from_u64(1)), &p).unwrap();
    let trajectory = Trajectory { scale: array![[0.7, 1.6]], ..plain(0.05, 7, 2) };
    let scale = trajectory.scale.broadcast((50, 2)).unwrap();
    let velocity = normals((50, 2), &mut ChaCha8Rng::seed_from_u64(2));
    let (end, arrived) =
        leapfrog(&state, velocity.clone(), &p, &trajectory, scale, &mut || true).unwrap();
    let (home, back) = leapfrog(&end, -arrived, &p, &trajectory, scale, &mut || true).unwrap();
    assert!((&end.position - &state.position).iter().any(|e| e.abs() > 0.5));
    assert!((home.position - state.position).iter().all(|e| e.abs() < 1e-9));
    assert!((back + velocity).iter().all(|e| e.abs() < 1e-9));
}

/// H is kept to second order: halving eps over the same length divides the error by 4.
#[test]
fn energy_error_is_of_second_order() {
    let p = Gaussian::rank_one(0.5, 3).unwrap();
    let state = init(p.sample(500, &mut ChaCha8Rng::seed_from_u64(1)), &p).unwrap();
    let error = |eps: f64| {
        let steps = (1.2 / eps).round() as usize;
        let rng = &mut ChaCha8Rng::seed_from_u64(3);
        let info = step(rng, state.clone(), &p, &plain(eps * eps, steps, 3)).unwrap().1;
        info.energy_error.mapv(f64::abs).mean().unwrap()
    };
    let order = (error(0.2) / error(0.05)).log2() / 2.0;
    assert!((order - 2.0).abs() < 0.1, "order {order}");
}

/// Means of `moments` over independent chains that start in the exact distribution and take steps must stay
/// at `exact`.
fn assert_invariant(
    p: &dyn ReferenceDensity,
    trajectory: &Trajectory,
    moments: impl Fn(ArrayView1<'_, f64>) -> Vec<f64>,
    exact: &[f64],
) {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let model: &dyn LogDensity = p;
    let mut state = init(p.sample(8000, &mut rng), model).unwrap();
    let mut rate = 0.0;
    for _ in 0..12 {
        let (next, info) = step(&mut rng, state, model, trajectory).unwrap();
        rate += info.acceptance.mean().unwrap() / 12.0;
        state = next;
    }
    assert!((0.3..0.97).contains(&rate), "acceptance {rate} tests little");
    for (k, exact) in exact.iter().enumerate() {
        let values = state.position.map_axis(Axis(1), |x| moments(x)[k]);
        let error = values.std(1.0) / (values.len() as f64).sqrt();
        let z = (values.mean().unwrap() - exact) / error;
        assert!(z.abs() < 4.0, "moment {k}: {z} standard errors off");
    }
}

#[test]
fn the_exact_law_stays() {
    let p = Gaussian::new(array![1.0, -1.0], array![[1.0, 0.8], [0.8, 2.0]]).unwrap();
    let moments = |x: ArrayView1<'_, f64>| vec![x[0], x[1], x[0] * x[0], x[0] * x[1], x[1] * x[1]];
    let scaled = Trajectory { step_size: 0.8, steps: 4, scale: array![[0.8, 1.3]] };
    assert_invariant(&p, &scaled, moments, &[1.0, -1.0, 2.0, -0.2, 3.0]);
    let p =
        GaussianMixture::isotropic(array![0.7, 0.3], array![[-1.2], [1.2]].view(), 0.8).unwrap();
    let moments = |x: ArrayView1<'_, f64>| vec![x[0], x[0] * x[0]];
    assert_invariant(&p, &plain(1.0, 3, 1), moments, &[-0.48, 2.08]);
}

#[test]
fn acceptance_falls_with_the_step() {
    let p = Gaussian::rank_one(1.0, 5).unwrap();
    let rate = |step_size: f64| {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let state = init(p.sample(2000, &mut rng), &p).unwrap();
        let info = step(&mut rng, state, &p, &plain(step_size, 5, 5)).unwrap().1;
        info.acceptance.mean().unwrap()
    };
    let rates = [0.01, 0.3, 1.0, 2.5, 5.0].map(rate);
    assert!(rates[0] > 0.99 && rates[4] < 0.2, "{rates:?}");
    assert!(rates.windows(2).all(|pair| pair[1] < pair[0] - 0.001), "{rates:?}");
}

/// Columns of scale 0 keep their bits, and the others get the conditional distribution: for covariance
/// ((1, c), (c, 1)), x_1 given x_0 is N(c x_0, 1 - c^2).
#[test]
fn held_columns_condition_the_others() {
    let c = 0.8;
    let p = Gaussian::new(array![0.0, 0.0], array![[1.0, c], [c, 1.0]]).unwrap();
    let start =
        Array2::from_shape_fn((4000, 2), |(i, j)| if j == 0 { 1.3 + (i % 2) as f64 } else { 0.0 });
    let mut state = init(start.clone(), &p).unwrap();
    let scale = Array2::from_shape_fn((4000, 2), |(_, j)| if j == 0 { 0.0 } else { 0.6 });
    let trajectory = Trajectory { step_size: 0.7, steps: 2, scale };
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for _ in 0..20 {
        state = step(&mut rng, state, &p, &trajectory).unwrap().0;
    }
    assert_eq!(state.position.column(0), start.column(0));
    let rest = Array1::from_shape_fn(4000, |i| state.position[[i, 1]] - c * start[[i, 0]]);
    let variance = 1.0 - c * c;
    assert!(rest.mean().unwrap().abs() < 4.0 * (variance / 4000.0).sqrt());
    assert!((rest.var(1.0) / variance - 1.0).abs() < 4.0 * (2.0 / 4000f64).sqrt());
}

#[test]
fn ends_that_are_not_finite_are_rejected() {
    let p = Funnel::new(2, 3.0).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let state = init(array![[0.0, 1.0], [1.0, 0.5]], &p).unwrap();
    let (next, info) = step(&mut rng, state.clone(), &p, &plain(1e9, 3, 2)).unwrap();
    assert!(info.accepted.iter().all(|moved| !moved));
    assert_eq!(next.position, state.position);
    assert_eq!(next.score, p.score(state.position.view()));
    assert!(step(&mut rng, state, &p, &plain(0.1, 1, 3)).is_err());
}
