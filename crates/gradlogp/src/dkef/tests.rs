//! G, b and alpha against a dense double loop; the gradient through the solve against differences; sliced
//! moments against exact ones; a whole fit against a known density.

use std::ops::ControlFlow;

use ndarray::{Array2, array};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::engine::Engine;
use super::estimator::KernelBatch;
use super::solve::Moments;
use super::*;
use crate::diagnose::fisher_divergence;
use crate::objective::Objective;
use crate::reference::{Gaussian, GaussianMixture, ReferenceDensity};
use crate::slice::SliceDistribution;
use crate::{LogDensity, Score};

const D: usize = 3;
const M: usize = 5;
const H: usize = 4;

const ESTIMATORS: [Objective; 7] = [
    Objective::Exact,
    Objective::Ssm { slices: 1 },
    Objective::Ssm { slices: 3 },
    Objective::SsmVr { slices: 2 },
    Objective::Dsm { sigma: 0.7 },
    Objective::ApproxBackprop,
    Objective::Cp { slices: 2 },
];

fn family(deep: bool) -> KernelFamily {
    KernelFamily {
        dim: D,
        inducing: M,
        log_widths: if deep { vec![0.1, 0.7] } else { vec![0.4] },
        features: deep.then_some(H),
        base_sd: 1.7,
        log_lambda: -1.0,
    }
}

fn normals(n: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| StandardNormal.sample(&mut rng)).collect()
}

/// Parameters away from their special initial values.
fn theta(family: &KernelFamily) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut theta = family.initialize(&normals(20 * D, 1), &mut rng).unwrap();
    let layout = family.layout().unwrap();
    for r in 0..layout.kernels {
        theta[layout.logit(r)] = 0.3 * r as f64 - 0.2;
    }
    theta
}

fn batch(engine: &Engine<f64>, n: usize, seed: u64) -> KernelBatch<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    engine.rule.draw(normals(n * D, seed + 50), D, SliceDistribution::Gaussian, &mut rng)
}

/// phi by plain loops, from the order of parameters 0, 1, 2, skip.
fn phi(family: &KernelFamily, net: &[f64], x: &[f64]) -> Vec<f64> {
    let Some(h) = family.features else { return x.to_vec() };
    let mut rest = net;
    let mut take = |n: usize| {
        let (head, tail) = rest.split_at(n);
        rest = tail;
        head
    };
    let apply = |w: &[f64], x: &[f64]| -> Vec<f64> {
        w.chunks(x.len()).map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum()).collect()
    };
    let mut value = x.to_vec();
    for layer in 0..3 {
        let (w, b) = (take(h * value.len()), take(h));
        value = apply(w, &value).iter().zip(b).map(|(a, b)| a + b).collect();
        if layer < 2 {
            value.iter_mut().for_each(|a| *a = a.exp().ln_1p());
        }
    }
    let skip = apply(take(h * x.len()), x);
    value.iter().zip(skip).map(|(a, s)| a + s).collect()
}

/// k(x, z_m) by its definition.
fn kernel(family: &KernelFamily, theta: &[f64], x: &[f64], m: usize) -> f64 {
    let layout = family.layout().unwrap();
    let z = &theta[layout.inducing.clone()][m * D..(m + 1) * D];
    let rho = layout.weights(theta);
    (0..layout.kernels)
        .map(|r| {
            let net = &theta[layout.net(r)];
            let square: f64 = phi(family, net, x)
                .iter()
                .zip(phi(family, net, z))
                .map(|(a, b)| (a - b) * (a - b))
                .sum();
            rho[r] * (-square / (2.0 * 10f64.powf(theta[layout.log_width(r)]))).exp()
        })
        .sum()
}

/// First and second derivative of f at 0, by fourth-order differences.
fn differences(mut f: impl FnMut(f64) -> f64) -> (f64, f64) {
    let h = 2e-3;
    let (m2, m1, p0, p1, p2) = (f(-2.0 * h), f(-h), f(0.0), f(h), f(2.0 * h));
    let first = (m2 - 8.0 * m1 + 8.0 * p1 - p2) / (12.0 * h);
    (first, (-m2 + 16.0 * m1 - 30.0 * p0 + 16.0 * p1 - p2) / (12.0 * h * h))
}

/// v.grad k_m and v.(grad grad k_m) v.
fn along(family: &KernelFamily, theta: &[f64], x: &[f64], m: usize, v: &[f64]) -> (f64, f64) {
    differences(|t| {
        let moved: Vec<f64> = x.iter().zip(v).map(|(x, v)| x + t * v).collect();
        kernel(family, theta, &moved, m)
    })
}

/// The diagonal back-propagation of Kingma and LeCun for k_m, backwards, layer by layer.
fn back_propagated(family: &KernelFamily, theta: &[f64], x: &[f64], m: usize) -> f64 {
    let layout = family.layout().unwrap();
    let z = &theta[layout.inducing.clone()][m * D..(m + 1) * D];
    let rho = layout.weights(theta);
    let mut total = 0.0;
    for r in 0..layout.kernels {
        let net = &theta[layout.net(r)];
        let width = 10f64.powf(theta[layout.log_width(r)]);
        let apart: Vec<f64> =
            phi(family, net, x).iter().zip(phi(family, net, z)).map(|(a, b)| a - b).collect();
        let k = rho[r] * (-apart.iter().map(|a| a * a).sum::<f64>() / (2.0 * width)).exp();
        let mut g: Vec<f64> = apart.iter().map(|a| -k * a / width).collect();
        let mut c: Vec<f64> =
            apart.iter().map(|a| k * (a * a / (width * width) - 1.0 / width)).collect();
        let Some(h) = family.features else {
            total += c.iter().sum::<f64>();
            continue;
        };
        let (w0, rest) = net.split_at(h * D);
        let (b0, rest) = rest.split_at(h);
        let (w1, rest) = rest.split_at(h * h);
        let (b1, rest) = rest.split_at(h);
        let (w2, rest) = rest.split_at(h * h);
        let skip = &rest[h..];
        let linear = |w: &[f64], b: &[f64], x: &[f64]| -> Vec<f64> {
            let rows = w.chunks(x.len()).zip(b);
            rows.map(|(w, b)| w.iter().zip(x).map(|(a, b)| a * b).sum::<f64>() + b).collect()
        };
        let back = |w: &[f64], y: &[f64], power: i32, inner: usize| -> Vec<f64> {
            (0..inner).map(|i| (0..h).map(|j| w[j * inner + i].powi(power) * y[j]).sum()).collect()
        };
        total += back(skip, &c, 2, D).iter().sum::<f64>();
        let a0 = linear(w0, b0, x);
        let h0: Vec<f64> = a0.iter().map(|a| a.exp().ln_1p()).collect();
        let a1 = linear(w1, b1, &h0);
        for (w, a) in [(w2, &a1), (w1, &a0)] {
            let (g_out, c_out) = (back(w, &g, 1, h), back(w, &c, 2, h));
            for j in 0..h {
                let s = 1.0 / (1.0 + (-a[j]).exp());
                g[j] = s * g_out[j];
                c[j] = s * s * c_out[j] + s * (1.0 - s) * g_out[j];
            }
        }
        total += back(w0, &c, 2, D).iter().sum::<f64>();
    }
    total
}

/// W x, with W given by its rows of `inner` columns; W^T x where `transposed`.
fn times(w: &[f64], inner: usize, x: &[f64], transposed: bool) -> Vec<f64> {
    let outer = w.len() / inner;
    match transposed {
        false => (0..outer).map(|i| (0..inner).map(|j| w[i * inner + j] * x[j]).sum()).collect(),
        true => (0..inner).map(|j| (0..outer).map(|i| w[i * inner + j] * x[i]).sum()).collect(),
    }
}

/// Curvature propagation of k_m by its definition: the Jacobians of everything nonlinear, times its noise
/// and times its second derivative's product with the noise, added up and multiplied.
fn propagated(family: &KernelFamily, theta: &[f64], x: &[f64], m: usize, noise: &[f64]) -> f64 {
    let layout = family.layout().unwrap();
    let z = &theta[layout.inducing.clone()][m * D..(m + 1) * D];
    let rho = layout.weights(theta);
    let each = noise.len() / layout.kernels;
    let mut total = 0.0;
    for r in 0..layout.kernels {
        let net = &theta[layout.net(r)];
        let width = 10f64.powf(theta[layout.log_width(r)]);
        let features = phi(family, net, x);
        let h = features.len();
        let apart: Vec<f64> =
            features.iter().zip(phi(family, net, z)).map(|(a, b)| a - b).collect();
        let k = rho[r] * (-apart.iter().map(|a| a * a).sum::<f64>() / (2.0 * width)).exp();
        // (Jacobian, second derivative at its end), inputs of softplus 1 and 2, then the features.
        let mut nonlinearities: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
        let square = |d: Vec<f64>| -> Vec<f64> {
            (0..h * h).map(|k| if k / h == k % h { d[k / h] } else { 0.0 }).collect()
        };
        let last: Vec<f64> = (0..h * h)
            .map(|at| {
                let identity = if at / h == at % h { 1.0 / width } else { 0.0 };
                k * (apart[at / h] * apart[at % h] / (width * width) - identity)
            })
            .collect();
        if family.features.is_some() {
            let (w0, rest) = net.split_at(h * D);
            let (b0, rest) = rest.split_at(h);
            let (w1, rest) = rest.split_at(h * h);
            let (b1, rest) = rest.split_at(h);
            let (w2, rest) = rest.split_at(h * h);
            let skip = &rest[h..];
            let add = |a: Vec<f64>, b: &[f64]| -> Vec<f64> {
                a.iter().zip(b).map(|(a, b)| a + b).collect()
            };
            let slope =
                |a: &[f64]| -> Vec<f64> { a.iter().map(|a| 1.0 / (1.0 + (-a).exp())).collect() };
            let second =
                |a: &[f64]| -> Vec<f64> { slope(a).iter().map(|s| s * (1.0 - s)).collect() };
            let product = |w: &[f64], d: &[f64], j: &[f64]| -> Vec<f64> {
                let scaled: Vec<f64> =
                    j.chunks(D).zip(d).flat_map(|(j, d)| j.iter().map(move |j| j * d)).collect();
                (0..h * D)
                    .map(|at| (0..h).map(|l| w[at / D * h + l] * scaled[l * D + at % D]).sum())
                    .collect()
            };
            let a0 = add(times(w0, D, x, false), b0);
            let value: Vec<f64> = a0.iter().map(|a| a.exp().ln_1p()).collect();
            let a1 = add(times(w1, h, &value, false), b1);
            let j0 = w0.to_vec();
            let j1 = product(w1, &slope(&a0), &j0);
            let j2 = add(product(w2, &slope(&a1), &j1), skip);
            let gradient: Vec<f64> = apart.iter().map(|a| -k * a / width).collect();
            let u1 = times(w2, h, &gradient, true);
            let below: Vec<f64> = u1.iter().zip(slope(&a1)).map(|(u, s)| u * s).collect();
            let u0 = times(w1, h, &below, true);
            let weighted = |u: &[f64], a: &[f64]| -> Vec<f64> {
                u.iter().zip(second(a)).map(|(u, b)| u * b).collect()
            };
            nonlinearities.push((j0, square(weighted(&u0, &a0))));
            nonlinearities.push((j1, square(weighted(&u1, &a1))));
            nonlinearities.push((j2, last));
        } else {
            nonlinearities.push((square(vec![1.0; h]), last));
        }
        let draws: Vec<&[f64]> =
            noise[r * each..(r + 1) * each].chunks(h * nonlinearities.len()).collect();
        for noise in &draws {
            let (mut a, mut c) = ([0.0; D], [0.0; D]);
            for (v, (jacobian, second)) in noise.chunks(h).zip(&nonlinearities) {
                for (sum, v) in [(&mut a, v.to_vec()), (&mut c, times(second, h, v, false))] {
                    let pulled = times(jacobian, D, &v, true);
                    sum.iter_mut().zip(pulled).for_each(|(s, p)| *s += p);
                }
            }
            total += a.iter().zip(c).map(|(a, c)| a * c).sum::<f64>() / draws.len() as f64;
        }
    }
    total
}

fn unit(i: usize) -> Vec<f64> {
    (0..D).map(|k| f64::from(u8::from(k == i))).collect()
}

/// Sums over rows of G and b by their definitions: a double loop over inducing points, and derivatives by
/// differences.
fn dense(
    family: &KernelFamily,
    theta: &[f64],
    estimator: Objective,
    rows: &KernelBatch<f64>,
) -> Moments {
    let mut moments = Moments::new(M);
    moments.rows = rows.rows;
    let width = rows.random.len() / rows.rows;
    for row in 0..rows.rows {
        let x = &rows.x[row * D..(row + 1) * D];
        let random = &rows.random[row * width..(row + 1) * width];
        let q: Vec<f64> = x.iter().map(|x| -x / (1.7 * 1.7)).collect();
        let units: Vec<Vec<f64>> = (0..D).map(unit).collect();
        let slices: Vec<Vec<f64>> = random.chunks(D).map(<[f64]>::to_vec).collect();
        let g = |v: &[f64], m| along(family, theta, x, m, v).0;
        let c = |v: &[f64], m| along(family, theta, x, m, v).1;
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (directions, curved, scale, share) = match estimator {
            Objective::Exact => (&units, &units, 1.0, 1.0),
            Objective::Ssm { slices: s } => (&slices, &slices, 1.0 / s as f64, 1.0 / s as f64),
            Objective::SsmVr { slices: s } => (&units, &slices, 1.0, 1.0 / s as f64),
            Objective::Dsm { sigma } => (&units, &units, sigma.powi(4), 0.0),
            Objective::ApproxBackprop | Objective::Cp { .. } => (&units, &units, 1.0, 0.0),
            other => panic!("{other} is not for a kernel family"),
        };
        for m in 0..M {
            for n in 0..M {
                moments.gram[m * M + n] +=
                    scale * directions.iter().map(|v| g(v, m) * g(v, n)).sum::<f64>();
            }
            moments.linear[m] += share * curved.iter().map(|v| c(v, m)).sum::<f64>();
            moments.linear[m] += match estimator {
                Objective::Dsm { sigma } => {
                    let target: Vec<f64> =
                        q.iter().zip(random).map(|(q, e)| sigma * sigma * q + e).collect();
                    sigma * sigma * units.iter().map(|v| g(v, m) * dot(v, &target)).sum::<f64>()
                }
                _ => scale * directions.iter().map(|v| g(v, m) * dot(v, &q)).sum::<f64>(),
            };
            moments.linear[m] += match estimator {
                Objective::ApproxBackprop => back_propagated(family, theta, x, m),
                Objective::Cp { .. } => propagated(family, theta, x, m, random),
                _ => 0.0,
            };
        }
    }
    moments
}

fn moments(engine: &mut Engine<f64>, theta: &[f64], rows: &KernelBatch<f64>) -> Moments {
    let mut moments = Moments::new(M);
    engine.place(theta);
    engine.add_moments(theta, rows, &mut moments);
    moments
}

#[test]
fn moments_are_those_of_the_dense_double_loop() {
    for deep in [true, false] {
        for estimator in ESTIMATORS {
            let family = family(deep);
            let theta = theta(&family);
            let mut engine = Engine::new(&family, estimator, 2).unwrap();
            let rows = batch(&engine, 7, 4);
            let (found, want) =
                (moments(&mut engine, &theta, &rows), dense(&family, &theta, estimator, &rows));
            let pairs = found.gram.iter().zip(&want.gram);
            for (a, b) in pairs.chain(found.linear.iter().zip(&want.linear)) {
                assert!((a - b).abs() < 1e-7 * (1.0 + b.abs()), "{estimator:?} {deep}: {a} {b}");
            }
            let size = want.gram.iter().chain(&want.linear).map(|x| x.abs()).fold(0.0, f64::max);
            assert!(size > 1e-2, "{estimator:?}: nothing to compare");
        }
    }
}

/// With more inducing points than one block of G has rows, only its lower triangle is formed by products.
#[test]
fn large_moments_are_whole() {
    const MANY: usize = 70;
    let family = KernelFamily { inducing: MANY, ..family(true) };
    let theta = theta(&family);
    let mut engine = Engine::new(&family, Objective::Exact, 2).unwrap();
    let (rows, mut found) = (batch(&engine, 3, 4), Moments::new(MANY));
    engine.place(&theta);
    engine.add_moments(&theta, &rows, &mut found);
    let mut want = vec![0.0; MANY * MANY];
    for x in rows.x.chunks(D) {
        for v in (0..D).map(unit) {
            let g: Vec<f64> = (0..MANY).map(|m| along(&family, &theta, x, m, &v).0).collect();
            (0..MANY * MANY).for_each(|k| want[k] += g[k / MANY] * g[k % MANY]);
        }
    }
    for (a, b) in found.gram.iter().zip(&want) {
        assert!((a - b).abs() < 1e-7 * (1.0 + b.abs()), "{a} {b}");
    }
    assert!(want[MANY - 1].abs() > 1e-4, "{}", want[MANY - 1]);
}

#[test]
fn alpha_minimizes_the_loss_that_is_reported() {
    // The ridge loss is quadratic in alpha, so at the solution dL/dalpha = -lambda alpha; and a second-order
    // expansion is exact.
    for deep in [true, false] {
        for estimator in ESTIMATORS {
            let family = family(deep);
            let theta = theta(&family);
            let mut engine = Engine::new(&family, estimator, 2).unwrap();
            let rows = batch(&engine, 9, 4);
            let moments = moments(&mut engine, &theta, &rows);
            let solution = moments.solve(0.1).unwrap();
            let (losses, slope) = engine.losses(&theta, &solution.alpha, &rows);
            for (h, a) in slope.iter().zip(&solution.alpha) {
                assert!((h + 0.1 * a).abs() < 1e-10, "{estimator:?}: {h} {a}");
            }
            let mean = |l: &[f64]| l.iter().sum::<f64>() / l.len() as f64;
            for m in 0..M {
                let mut moved = solution.alpha.clone();
                moved[m] += 0.5;
                let (after, _) = engine.losses(&theta, &moved, &rows);
                let want = 0.5 * slope[m] + 0.125 * moments.gram[m * (M + 1)] / 9.0;
                let found = mean(&after) - mean(&losses);
                assert!((found - want).abs() < 1e-10, "{estimator:?}: {found} {want}");
            }
        }
    }
}

#[test]
fn the_gradient_through_the_solve_matches_differences() {
    for deep in [true, false] {
        for estimator in ESTIMATORS {
            let family = family(deep);
            let theta = theta(&family);
            let mut engine = Engine::new(&family, estimator, 2).unwrap();
            let (fit, loss) = (batch(&engine, 7, 4), batch(&engine, 6, 5));
            let mut gradient = vec![0.0; theta.len()];
            engine.step(&theta, &fit, &loss, &mut gradient).unwrap();
            let mut scratch = gradient.clone();
            for k in 0..theta.len() {
                let (numeric, _) = differences(|t| {
                    let mut moved = theta.clone();
                    moved[k] += t;
                    engine.step_loss(&moved, &fit, &loss, &mut scratch)
                });
                let size = 1.0 + numeric.abs();
                assert!(
                    (gradient[k] - numeric).abs() < 2e-7 * size,
                    "{estimator:?} deep {deep}, parameter {k} of {}: {} {numeric}",
                    theta.len(),
                    gradient[k]
                );
            }
            let norm: f64 = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            assert!(norm > 1e-2, "{estimator:?}: {norm}");
        }
    }
}

impl Engine<f64> {
    fn step_loss(
        &mut self,
        theta: &[f64],
        fit: &KernelBatch<f64>,
        loss: &KernelBatch<f64>,
        scratch: &mut [f64],
    ) -> f64 {
        self.step(theta, fit, loss, scratch).unwrap().loss
    }
}

#[test]
fn sliced_moments_are_unbiased_for_the_exact_ones() {
    let family = family(true);
    let theta = theta(&family);
    let mut engine = Engine::new(&family, Objective::Exact, 2).unwrap();
    let x = normals(4 * D, 9);
    let plain = KernelBatch { rows: 4, x: x.clone(), random: Vec::new() };
    let exact = moments(&mut engine, &theta, &plain);
    for estimator in
        [Objective::Ssm { slices: 1 }, Objective::SsmVr { slices: 1 }, Objective::Cp { slices: 1 }]
    {
        for distribution in [SliceDistribution::Rademacher, SliceDistribution::Sphere] {
            let mut engine = Engine::new(&family, estimator, 2).unwrap();
            let mut rng = ChaCha8Rng::seed_from_u64(8);
            let repeats = 400;
            let mut sums = vec![(0.0, 0.0); M * M + M];
            for _ in 0..repeats {
                let rows = engine.rule.draw(x.clone(), D, distribution, &mut rng);
                let found = moments(&mut engine, &theta, &rows);
                for (sum, v) in sums.iter_mut().zip(found.gram.iter().chain(&found.linear)) {
                    *sum = (sum.0 + v, sum.1 + v * v);
                }
            }
            for ((sum, square), want) in sums.iter().zip(exact.gram.iter().chain(&exact.linear)) {
                let n = f64::from(repeats);
                let mean = sum / n;
                let error = ((square / n - mean * mean).max(0.0) / n).sqrt();
                assert!(
                    (mean - want).abs() < 4.5 * error + 1e-9,
                    "{estimator:?} {distribution:?}: {mean} +- {error}, exact {want}"
                );
            }
        }
    }
}

#[test]
fn the_potential_is_the_family_and_has_its_exact_loss() {
    for deep in [true, false] {
        let family = family(deep);
        let theta = theta(&family);
        let alpha = [0.5, -1.0, 0.7, 2.0, -0.3];
        let potential = family.potential(&theta, &alpha, 0.25).unwrap().cast::<f64>();
        let x = normals(6 * D, 12);
        let rows = Array2::from_shape_vec((6, D), x.clone()).unwrap();
        let density = potential.as_log_density().unwrap();
        let values = density.log_density(rows.view());
        for (x, value) in x.chunks(D).zip(&values) {
            let base = -x.iter().map(|x| x * x).sum::<f64>() / (2.0 * 1.7 * 1.7);
            let sum: f64 = (0..M).map(|m| alpha[m] * kernel(&family, &theta, x, m)).sum();
            assert!((base + sum + 0.25 - value).abs() < 1e-5, "{deep}: {value}");
        }
        let mut engine = Engine::new(&family, Objective::Exact, 2).unwrap();
        engine.place(&theta);
        let (losses, _) =
            engine.losses(&theta, &alpha, &KernelBatch { rows: 6, x, random: Vec::new() });
        let want = crate::diagnose::exact_loss_rows(&density, rows.view()).unwrap();
        for (a, b) in losses.iter().zip(&want) {
            assert!((a - b).abs() < 2e-4 * (1.0 + b.abs()), "{deep}: {a} {b}");
        }
    }
}

#[test]
fn diagonals_are_exact_where_phi_is_the_identity() {
    let family = family(false);
    let theta = theta(&family);
    let rows = |engine: &Engine<f64>| batch(engine, 8, 2);
    let mut exact = Engine::new(&family, Objective::Exact, 1).unwrap();
    let mut diagonal = Engine::new(&family, Objective::ApproxBackprop, 1).unwrap();
    let (a, b) = (rows(&exact), rows(&diagonal));
    let (a, b) = (moments(&mut exact, &theta, &a), moments(&mut diagonal, &theta, &b));
    for (a, b) in a.linear.iter().zip(&b.linear) {
        assert!((a - b).abs() < 1e-12 * (1.0 + a.abs()), "{a} {b}");
    }
}

#[test]
fn diagonals_are_biased_where_phi_bends_and_propagation_is_not() {
    let family = family(true);
    let theta = theta(&family);
    let x = normals(40 * D, 9);
    let linear = |estimator| {
        let mut engine = Engine::new(&family, estimator, 2).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let rows = engine.rule.draw(x.clone(), D, SliceDistribution::Rademacher, &mut rng);
        moments(&mut engine, &theta, &rows).linear
    };
    let exact = linear(Objective::Exact);
    let apart = |found: &[f64]| {
        let size: f64 = exact.iter().map(|b| b * b).sum();
        let error: f64 = found.iter().zip(&exact).map(|(a, b)| (a - b) * (a - b)).sum();
        (error / size).sqrt()
    };
    // Not noise: nothing is random in it.
    let diagonal = apart(&linear(Objective::ApproxBackprop));
    assert!(diagonal > 0.05, "{diagonal}");
    // 400 and 40,000 draws: ten times closer.
    let few = apart(&linear(Objective::Cp { slices: 10 }));
    let many = apart(&linear(Objective::Cp { slices: 1000 }));
    assert!(many < 0.25 * few && many < 0.05, "{few} {many}, diagonal {diagonal}");
}

#[test]
fn both_precisions_and_any_thread_count_agree() {
    let family = family(true);
    let theta64 = theta(&family);
    let theta32: Vec<f32> = theta64.iter().map(|t| *t as f32).collect();
    let run = |threads| {
        let mut engine = Engine::<f64>::new(&family, Objective::Exact, threads).unwrap();
        let (fit, loss) = (batch(&engine, 40, 4), batch(&engine, 41, 5));
        let mut gradient = vec![0.0; theta64.len()];
        let found = engine.step(&theta64, &fit, &loss, &mut gradient).unwrap();
        (found.loss, gradient)
    };
    let (one, three) = (run(1), run(3));
    assert!((one.0 - three.0).abs() < 1e-12);
    let mut engine = Engine::<f32>::new(&family, Objective::Exact, 2).unwrap();
    let cast = |x: Vec<f64>| x.into_iter().map(|x| x as f32).collect::<Vec<f32>>();
    let narrow =
        |b: KernelBatch<f64>| KernelBatch { rows: b.rows, x: cast(b.x), random: cast(b.random) };
    let wide = Engine::<f64>::new(&family, Objective::Exact, 1).unwrap();
    let (fit, loss) = (narrow(batch(&wide, 40, 4)), narrow(batch(&wide, 41, 5)));
    let mut gradient = vec![0.0; theta32.len()];
    let found = engine.step(&theta32, &fit, &loss, &mut gradient).unwrap();
    assert!((found.loss - one.0).abs() < 1e-4 * (1.0 + one.0.abs()), "{} {}", found.loss, one.0);
    for (a, b) in gradient.iter().zip(&one.1) {
        assert!((f64::from(*a) - b).abs() < 2e-3 * (1.0 + b.abs()), "{a} {b}");
    }
}

fn mixture() -> GaussianMixture {
    GaussianMixture::isotropic(array![0.4, 0.6], array![[-1.2, 0.4], [0.9, -0.3]].view(), 0.6)
        .unwrap()
}

fn flat(rows: &Array2<f64>) -> Vec<f64> {
    rows.iter().copied().collect()
}

/// log of the integral of exp f over the square [-half, half]^2 by the midpoint rule.
fn log_integral(f: &dyn LogDensity, half: f64, cells: usize) -> f64 {
    let width = 2.0 * half / cells as f64;
    let grid = Array2::from_shape_fn((cells * cells, 2), |(i, j)| {
        let k = if j == 0 { i / cells } else { i % cells };
        -half + (k as f64 + 0.5) * width
    });
    (f.log_density(grid.view()).mapv(f64::exp).sum() * width * width).ln()
}

#[test]
fn a_deep_family_learns_a_mixture_and_its_normalizer_is_right() {
    let truth = mixture();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut rows = |n| truth.sample(n, &mut rng);
    let (training, held_out, fresh) = (rows(3000), rows(500), rows(3000));
    let family = KernelFamily { inducing: 40, features: Some(12), ..KernelFamily::deep(2) };
    // One slice leaves more noise in the gradient.
    for (estimator, bound) in [(Objective::Exact, 0.03), (Objective::SsmVr { slices: 1 }, 0.05)] {
        let config = KernelConfig {
            objective: estimator,
            steps: 400,
            evaluate_every: 10,
            validation_rows: 500,
            lambda_steps: 50,
            threads: 1,
            ..KernelConfig::default()
        };
        let (x, held) = (flat(&training), flat(&held_out));
        let mut trainer = KernelTrainer::new(family.clone(), x, held, config).unwrap();
        trainer.run(&mut |_| ControlFlow::Continue(()));
        let fit = trainer.finish().unwrap();
        let model = fit.potential(0.0).unwrap().cast::<f64>();
        let distance = fisher_divergence(&model, &truth, fresh.view()).unwrap();
        assert!(distance.relative.mean < bound, "{estimator:?}: {:?}", distance.relative);
        let density = model.as_log_density().unwrap();
        let found = log_normalizer(&density, family.base_sd, 100_000, 7).unwrap();
        let want = log_integral(&density, 14.0, 400);
        let (low, high) = found.interval();
        assert!(low < want && want < high, "{found:?}, not {want}");
        assert!(found.standard_error < 0.02 && found.effective > 10_000.0, "{found:?}");
    }
}

#[test]
fn a_plain_family_learns_a_gaussian() {
    let truth = Gaussian::standard(2).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut rows = |n| truth.sample(n, &mut rng);
    let (training, held_out, fresh) = (rows(2000), rows(500), rows(2000));
    let x = flat(&training);
    let width = median_log_width(&x, 2);
    // Squared distances of N(0, I) in two columns are 4 times an exponential: median 4 log 2.
    assert!((width - (4.0 * 2f64.ln()).log10()).abs() < 0.05, "{width}");
    let family = KernelFamily { inducing: 50, ..KernelFamily::plain(2, width) };
    let config =
        KernelConfig { objective: Objective::Exact, threads: 1, ..KernelConfig::default() };
    let mut trainer = KernelTrainer::new(family, x, flat(&held_out), config).unwrap();
    let widths = [width, width + 0.6, width + 1.2];
    let fit = trainer.choose(&widths, &[-4.0, -3.0, -2.0, -1.0]).unwrap();
    let model = fit.potential(0.0).unwrap().cast::<f64>();
    let distance = fisher_divergence(&model, &truth, fresh.view()).unwrap();
    assert!(distance.relative.mean < 0.01, "{:?}", distance.relative);
    let s = model.score(array![[1.0, -0.5]].view());
    assert!((s[[0, 0]] + 1.0).abs() < 0.1 && (s[[0, 1]] - 0.5).abs() < 0.1, "{s}");
}

#[test]
fn alpha_of_a_fit_is_that_of_all_training_rows_at_once() {
    // Several blocks of the streaming pass, the last of them not full.
    let family = family(true);
    let theta = theta(&family);
    let x = normals(2500 * D, 21);
    let config = KernelConfig {
        objective: Objective::Exact,
        lambda_steps: 0,
        threads: 2,
        ..KernelConfig::default()
    };
    let mut trainer = KernelTrainer::with_parameters(
        family.clone(),
        x.clone(),
        normals(10 * D, 22),
        config,
        theta.clone(),
    )
    .unwrap();
    let fit = trainer.finish().unwrap();
    let mut engine = Engine::new(&family, Objective::Exact, 1).unwrap();
    let whole = KernelBatch { rows: 2500, x, random: Vec::new() };
    let moments = moments(&mut engine, &theta, &whole);
    let lambda = 10f64.powf(family.log_lambda);
    let want = moments.solve(lambda).unwrap().alpha;
    for (a, b) in fit.alpha.iter().zip(&want) {
        assert!((a - b).abs() < 1e-9 * (1.0 + b.abs()), "{a} {b}");
    }
    let condition = moments.condition(lambda).unwrap();
    assert!((fit.record.condition / condition - 1.0).abs() < 1e-6, "{condition}");
    assert!((fit.record.lambda - lambda).abs() < 1e-15);
}

#[test]
fn the_interval_of_the_normalizer_covers_the_truth() {
    // q wider than p: log Z = 0 is known, and the standard error is that seen over repetitions.
    let truth = mixture();
    let z: Vec<f64> = (0..200)
        .map(|seed| {
            let found = log_normalizer(&truth, 2.0, 400, seed).unwrap();
            found.value / found.standard_error
        })
        .collect();
    let mean = z.iter().sum::<f64>() / 200.0;
    let spread = (z.iter().map(|z| (z - mean) * (z - mean)).sum::<f64>() / 199.0).sqrt();
    assert!(mean.abs() < 0.3 && (spread - 1.0).abs() < 0.2, "{mean} {spread}");
}

#[test]
fn nonsense_is_refused() {
    let deep = KernelFamily::deep(2);
    assert!(KernelFamily { inducing: 0, ..deep.clone() }.validate().is_err());
    assert!(KernelFamily { log_widths: vec![], ..deep.clone() }.validate().is_err());
    assert!(KernelFamily { base_sd: -1.0, ..deep.clone() }.validate().is_err());
    let config = |estimator| KernelConfig { objective: estimator, ..KernelConfig::default() };
    assert!(config(Objective::Ssm { slices: 0 }).validate().is_err());
    assert!(config(Objective::Dsm { sigma: f64::NAN }).validate().is_err());
    let differences = Objective::FdSsm { slices: 1, eps: None };
    for objective in [differences, Objective::Regression] {
        let error = config(objective).validate().unwrap_err().to_string();
        assert!(error.starts_with("objective: kernel families have exact, ssm"), "{error}");
        assert!(Engine::<f64>::new(&KernelFamily::deep(2), objective, 1).is_err());
    }
    // Files spell two of them as they always did, and both spellings are read.
    let json = serde_json::to_value(config(Objective::Cp { slices: 2 })).unwrap();
    assert_eq!(
        json["estimator"],
        serde_json::json!({ "name": "curvature-propagation", "slices": 2 })
    );
    let read: KernelConfig = serde_json::from_value(json).unwrap();
    assert_eq!(read.objective, Objective::Cp { slices: 2 });
    let json = serde_json::to_value(config(Objective::ApproxBackprop)).unwrap();
    assert_eq!(json["estimator"]["name"], "approximate-backprop");
    let new = |x: Vec<f64>| KernelTrainer::new(deep.clone(), x, vec![0.0; 2], Default::default());
    assert!(new(vec![0.0; 2]).is_err());
    let mut trainer = new(vec![0.5; 8]).unwrap();
    assert!(trainer.choose(&[0.0], &[-1.0]).is_err(), "a deep family is not chosen");
}
