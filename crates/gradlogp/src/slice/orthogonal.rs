//! M <= d columns of a Haar-random orthogonal matrix, times sqrt(d): the trace is exact at M = d.
//!
//! Gram-Schmidt on Gaussian vectors gives Haar columns; a second sweep over the earlier vectors
//! restores the orthogonality that rounding takes from the first.

use rand::Rng;

use gradlogp_numeric::Real;
use gradlogp_numeric::vector::{axpy, dot};

/// `out` is \[M, d\] with M <= d.
pub(super) fn draw<T: Real>(rng: &mut impl Rng, d: usize, out: &mut [T]) {
    super::gaussian::draw(rng, out);
    for m in 0..out.len() / d {
        let (before, rest) = out.split_at_mut(m * d);
        let v = &mut rest[..d];
        for _sweep in 0..2 {
            for earlier in before.chunks(d) {
                // Earlier vectors have length sqrt(d).
                let overlap = dot(v, earlier) / T::of(d as f64);
                axpy(v, -overlap, earlier);
            }
        }
        let radius = T::of((d as f64).sqrt()) / dot(v, v).sqrt();
        v.iter_mut().for_each(|v| *v *= radius);
    }
}
