//! AdamW with gradient-norm clipping and an exponential moving average, in one pass.
//!
//! g <- g min(1, clip / |g|); m <- b1 m + (1 - b1) g; v <- b2 v + (1 - b2) g^2;
//! p <- (1 - rate decay) p - rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps);
//! average <- average + (1 - e_t)(p - average), with e_t = min(ema, (1 + t) / (10 + t)) so that the
//! start is forgotten fast.
//!
//! References: Kingma & Ba 2015 (algorithm 1), Loshchilov & Hutter 2019 (algorithm 2, decoupled decay).

use rayon::prelude::*;

use gradlogp_numeric::Real;
use gradlogp_numeric::simd::dispatch;
use gradlogp_numeric::vector::dot;

/// Parameters per task; fewer are not worth a hand-off between threads.
const CHUNK: usize = 1 << 16;

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Moments and weight average of a parameter vector.
#[derive(Debug, Clone, PartialEq)]
pub struct AdamW<T> {
    /// Steps taken.
    pub step: u64,
    /// First moment m.
    pub first: Vec<T>,
    /// Second moment v.
    pub second: Vec<T>,
    /// Moving average of the parameters.
    pub average: Vec<T>,
}

/// The settings of one update.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    /// Learning rate.
    pub rate: f64,
    /// Decoupled weight decay.
    pub decay: f64,
    /// Largest gradient norm; infinity for no clipping.
    pub clip: f64,
    /// Largest decay of the weight average; 0 for none.
    pub ema: f64,
}

/// The factors of one update, in the parameters' precision.
#[derive(Clone, Copy)]
struct Factors<T> {
    gradient: T,
    keep: T,
    rate: T,
    second_scale: T,
    average: T,
}

impl<T: Real> AdamW<T> {
    /// Zero moments; the average starts at the parameters.
    pub fn new(parameters: &[T]) -> Self {
        AdamW {
            step: 0,
            first: vec![T::ZERO; parameters.len()],
            second: vec![T::ZERO; parameters.len()],
            average: parameters.to_vec(),
        }
    }

    /// One step; returns the gradient's norm before clipping. Nothing changes if that is not finite.
    pub fn update(&mut self, parameters: &mut [T], gradient: &[T], update: Update) -> f64 {
        let norm = norm(gradient);
        self.update_with_norm(parameters, gradient, norm, update);
        norm
    }

    /// The same where the gradient's norm is known.
    pub fn update_with_norm(
        &mut self,
        parameters: &mut [T],
        gradient: &[T],
        norm: f64,
        update: Update,
    ) {
        if !norm.is_finite() {
            return;
        }
        self.step += 1;
        let t = self.step as f64;
        let (c1, c2) = (1.0 - BETA1.powf(t), 1.0 - BETA2.powf(t));
        let ema = update.ema.min((1.0 + t) / (10.0 + t));
        let factors = Factors {
            gradient: T::of(if norm > update.clip { update.clip / norm } else { 1.0 }),
            keep: T::of(1.0 - update.rate * update.decay),
            rate: T::of(update.rate / c1),
            second_scale: T::of(1.0 / c2),
            average: T::of(1.0 - ema),
        };
        let AdamW { first, second, average, .. } = self;
        if parameters.len() <= CHUNK {
            update_chunk(factors, parameters, gradient, first, second, average);
        } else {
            (parameters.par_chunks_mut(CHUNK), gradient.par_chunks(CHUNK))
                .into_par_iter()
                .zip((first.par_chunks_mut(CHUNK), second.par_chunks_mut(CHUNK)))
                .zip(average.par_chunks_mut(CHUNK))
                .for_each(|(((p, g), (m, v)), a)| update_chunk(factors, p, g, m, v, a));
        }
    }
}

/// |g|, summed in chunks in a fixed order.
fn norm<T: Real>(gradient: &[T]) -> f64 {
    gradient.chunks(CHUNK).map(|g| dot(g, g).to_f64()).sum::<f64>().sqrt()
}

fn update_chunk<T: Real>(
    f: Factors<T>,
    parameters: &mut [T],
    gradient: &[T],
    first: &mut [T],
    second: &mut [T],
    average: &mut [T],
) {
    let (b1, b2) = (T::of(BETA1), T::of(BETA2));
    let (r1, r2, eps) = (T::of(1.0 - BETA1), T::of(1.0 - BETA2), T::of(EPSILON));
    dispatch(
        #[inline(always)]
        || {
            let moments = first.iter_mut().zip(second.iter_mut());
            let weights = parameters.iter_mut().zip(average.iter_mut());
            for (((p, a), (m, v)), g) in weights.zip(moments).zip(gradient) {
                let g = *g * f.gradient;
                *m = b1.mul_add(*m, r1 * g);
                *v = b2.mul_add(*v, r2 * g * g);
                let size = (*v * f.second_scale).sqrt() + eps;
                *p = f.keep.mul_add(*p, -(f.rate * *m / size));
                *a = f.average.mul_add(*p - *a, *a);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPDATE: Update = Update { rate: 0.1, decay: 0.0, clip: f64::INFINITY, ema: 0.0 };

    #[test]
    fn first_step_moves_by_the_rate_whatever_the_gradient() {
        let mut p = vec![1.0f64, -2.0];
        let mut adam = AdamW::new(&p);
        adam.update(&mut p, &[3.0, -1e-3], UPDATE);
        assert!((p[0] - 0.9).abs() < 1e-8 && (p[1] + 1.9).abs() < 1e-5);
        assert_eq!(adam.average, p);
    }

    #[test]
    fn two_steps_by_hand_with_decay_clip_and_average() {
        let mut p = vec![1.0f64];
        let mut adam = AdamW::new(&p);
        let update = Update { rate: 0.1, decay: 0.5, clip: 2.0, ema: 0.9 };
        let norm = adam.update(&mut p, &[4.0], update);
        assert_eq!(norm, 4.0);
        let p1 = 0.95 - 0.1 * 2.0 / (2.0 + 1e-8);
        // e_1 = 2/11: average = 1 + 9/11 (p1 - 1).
        let a1 = 1.0 + 9.0 / 11.0 * (p1 - 1.0);
        assert!((p[0] - p1).abs() < 1e-12 && (adam.average[0] - a1).abs() < 1e-12);
        adam.update(&mut p, &[-1.0], update);
        let m = (0.9 * 0.2 - 0.1) / (1.0 - 0.81);
        let v = (0.999 * 0.004 + 0.001) / (1.0 - 0.999f64.powi(2));
        let p2 = 0.95 * p1 - 0.1 * m / (v.sqrt() + 1e-8);
        assert!((p[0] - p2).abs() < 1e-12, "{} {p2}", p[0]);
        assert!((adam.average[0] - (a1 + 0.75 * (p2 - a1))).abs() < 1e-12);
    }

    #[test]
    fn long_vectors_are_treated_like_short_ones_and_nan_changes_nothing() {
        let n = 3 * CHUNK + 5;
        let mut p = vec![0.5f32; n];
        let mut adam = AdamW::new(&p);
        let norm = adam.update(&mut p, &vec![2.0; n], UPDATE);
        assert!((norm - 2.0 * (n as f64).sqrt()).abs() < 1e-2);
        assert!(p.iter().all(|x| (x - 0.4).abs() < 1e-6));
        let before = (p.clone(), adam.clone());
        let mut bad = vec![0.0; n];
        bad[7] = f32::NAN;
        assert!(adam.update(&mut p, &bad, UPDATE).is_nan());
        assert_eq!((p, adam), before);
    }
}
