//! Independent signs: Var\[v.Hv\] = 2 sum over i != j of H_ij^2.

use rand::Rng;

use gradlogp_numeric::Real;

pub(super) fn draw<T: Real>(rng: &mut impl Rng, out: &mut [T]) {
    for chunk in out.chunks_mut(64) {
        let mut bits = rng.next_u64();
        for v in chunk {
            *v = if bits & 1 == 0 { T::ONE } else { -T::ONE };
            bits >>= 1;
        }
    }
}
