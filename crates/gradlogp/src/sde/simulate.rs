//! Forward simulation, for processes whose kernel is not known (Maruyama 1955; MATH 6).
//!
//! ```text
//! x_(k+1) = x_k + f(x_k, t_k) h + g(t_k + h/2) sqrt(h) z,   z ~ N(0, I)
//! ```
//!
//! Every row runs to a time of its own in the same number of steps, h = t/steps. Weak order 1; strong order 1,
//! and 1/2 where g depends on x ([`euler_maruyama`], the step itself, lets it), which is then read as Ito does.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::Sde;

/// One step of length h of the columns of a point `x` under noise of their own:
/// x_j += h f_j + sqrt(h) g_j z_j, where `diffusion` gives g_j of x_j before the step and `normal` z_j.
///
/// Kloeden and Platen (1992), "Numerical solution of stochastic differential equations", 10.2 (2.7).
pub fn euler_maruyama(
    x: &mut [f64],
    h: f64,
    drift: &[f64],
    diffusion: impl Fn(f64) -> f64,
    mut normal: impl FnMut() -> f64,
) {
    let root = h.sqrt();
    for (x, f) in x.iter_mut().zip(drift) {
        *x += h * f + diffusion(*x) * root * normal();
    }
}

/// Moves every row of `x` (n x d, data at t = 0) to its time in `times` (n), in `steps` steps.
pub fn simulate(
    sde: &dyn Sde,
    rng: &mut (impl Rng + ?Sized),
    x: &mut [f64],
    times: &[f64],
    steps: usize,
) {
    let d = x.len() / times.len().max(1);
    let mut drift = vec![0.0; d];
    let mut normal = || -> f64 { StandardNormal.sample(rng) };
    for (x, time) in x.chunks_mut(d.max(1)).zip(times) {
        let h = time / steps as f64;
        if sde.initial_std() > 0.0 {
            x.iter_mut().for_each(|x| *x += sde.initial_std() * normal());
        }
        for k in 0..steps {
            let t = k as f64 * h;
            sde.drift(x, t, &mut drift);
            // g at the middle of the step: its variance is then right to second order.
            let noise = sde.diffusion(t + 0.5 * h);
            euler_maruyama(x, h, &drift, |_| noise, &mut normal);
        }
    }
}
