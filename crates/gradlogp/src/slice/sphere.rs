//! Uniform on the sphere of radius sqrt(d): Var\[v.Hv\] = 2d/(d+2) (|H|_F^2 - tr(H)^2/d).

use rand::Rng;

use gradlogp_numeric::Real;
use gradlogp_numeric::vector::dot;

pub(super) fn draw<T: Real>(rng: &mut impl Rng, out: &mut [T]) {
    super::gaussian::draw(rng, out);
    let radius = T::of((out.len() as f64).sqrt()) / dot(out, out).sqrt();
    out.iter_mut().for_each(|v| *v *= radius);
}
