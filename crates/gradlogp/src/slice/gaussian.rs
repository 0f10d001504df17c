//! N(0, I): Var\[v.Hv\] = 2 |H|_F^2.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use gradlogp_numeric::Real;

pub(super) fn draw<T: Real>(rng: &mut impl Rng, out: &mut [T]) {
    for v in out {
        let normal: f64 = StandardNormal.sample(rng);
        *v = T::of(normal);
    }
}
