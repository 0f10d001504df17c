//! sqrt(d) e_i with i drawn without replacement: Var\[v.Hv\] = d sum_i H_ii^2 - tr(H)^2 at M = 1,
//! 0 at M = d.

use rand::{Rng, seq::index};

use gradlogp_numeric::Real;

/// `out` is \[M, d\] with M <= d.
pub(super) fn draw<T: Real>(rng: &mut impl Rng, d: usize, out: &mut [T]) {
    out.fill(T::ZERO);
    let chosen = index::sample(rng, d, out.len() / d);
    for (v, i) in out.chunks_mut(d).zip(chosen) {
        v[i] = T::of((d as f64).sqrt());
    }
}
