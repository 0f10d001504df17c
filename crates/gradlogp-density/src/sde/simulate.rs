//! Forward simulation, for processes whose kernel is not known (Maruyama 1955; MATH 6).
//!
//! ```text
//! x_(k+1) = x_k + f(x_k, t_k) h + g(t_k + h/2) sqrt(h) z,   z ~ N(0, I)
//! ```
//!
//! Every row runs to a time of its own in the same number of steps, h = t/steps. Weak order 1; strong order 1,
//! and 1/2 where g depends on x ([`euler_maruyama`], the step itself, lets it), which is then read as Ito does.
//!
//! Rows go in blocks, so that drift and diffusion are asked of many at once; the noise is drawn row by row, and
//! what comes out does not depend on the size of the blocks.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::Sde;

/// Default steps of the forward simulation where no kernel is known.
pub const SIMULATED: usize = 100;

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
    simulate_from(sde, rng, x, 0.0, times, steps);
}

/// As [`simulate`], from rows that stand at time `from`; those at 0 are data, and get the noise that data carry.
pub fn simulate_from(
    sde: &dyn Sde,
    rng: &mut (impl Rng + ?Sized),
    x: &mut [f64],
    from: f64,
    times: &[f64],
    steps: usize,
) {
    let d = (x.len() / times.len().max(1)).max(1);
    let rows = (BLOCK / steps.saturating_mul(d).max(1)).max(1);
    let mut block = Block::default();
    for (x, times) in x.chunks_mut(rows * d).zip(times.chunks(rows)) {
        block.run(sde, rng, x, from, times, steps);
    }
}

/// Normal numbers drawn at a time.
const BLOCK: usize = 1 << 15;

/// Buffers of some rows.
#[derive(Default)]
struct Block {
    /// Rows x steps x d.
    noise: Vec<f64>,
    drift: Vec<f64>,
    at: Vec<f64>,
    size: Vec<f64>,
}

impl Block {
    fn run(
        &mut self,
        sde: &dyn Sde,
        rng: &mut (impl Rng + ?Sized),
        x: &mut [f64],
        from: f64,
        times: &[f64],
        steps: usize,
    ) {
        let (n, d) = (times.len(), x.len() / times.len());
        let Block { noise, drift, at, size } = self;
        let initial = if from == 0.0 { sde.initial_std() } else { 0.0 };
        noise.clear();
        for x in x.chunks_mut(d) {
            let mut normal = || -> f64 { StandardNormal.sample(rng) };
            if initial > 0.0 {
                x.iter_mut().for_each(|x| *x += initial * normal());
            }
            noise.extend((0..steps * d).map(|_| normal()));
        }
        drift.resize(x.len(), 0.0);
        at.resize(n, 0.0);
        size.resize(n, 0.0);
        let h = |time: f64| (time - from) / steps as f64;
        for k in 0..steps {
            at.iter_mut().zip(times).for_each(|(at, time)| *at = from + k as f64 * h(*time));
            sde.drift_at_times(x, at, drift);
            // g at the middle of the step: its variance is then right to second order.
            at.iter_mut().zip(times).for_each(|(at, time)| *at += 0.5 * h(*time));
            sde.diffusion_at_times(at, size);
            let rows = x.chunks_mut(d).zip(drift.chunks(d)).zip(times.iter().zip(size.iter()));
            for (row, ((x, drift), (time, size))) in rows.enumerate() {
                let mut z = noise[(row * steps + k) * d..].iter();
                let normal = || z.next().copied().unwrap_or(0.0);
                euler_maruyama(x, h(*time), drift, |_| *size, normal);
            }
        }
    }
}
