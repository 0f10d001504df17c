//! Products with a few columns only, such as the output layer of a potential: C is a set of dot products
//! of contiguous rows of A and contiguous columns of B.

use pulp::{Simd, WithSimd};

use crate::Real;
use crate::mat::Mat;

/// C = A B or C += A B, rows of C `c_rows` apart.
pub(crate) struct Dots<'a, T> {
    pub(crate) c: &'a mut [T],
    pub(crate) c_rows: usize,
    pub(crate) a: Mat<'a, T>,
    pub(crate) b: Mat<'a, T>,
    pub(crate) accumulate: bool,
}

impl<T: Real> WithSimd for Dots<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let n = self.b.cols;
        for (i, c) in self.c.chunks_mut(self.c_rows).take(self.a.rows).enumerate() {
            let a = &self.a.data[i * self.a.row_stride..][..self.a.cols];
            for (j, c) in c[..n].iter_mut().enumerate() {
                let b = &self.b.data[j * self.b.col_stride..][..self.a.cols];
                let sum = dot(simd, a, b);
                *c = if self.accumulate { *c + sum } else { sum };
            }
        }
    }
}

#[inline(always)]
fn dot<T: Real, S: Simd>(simd: S, a: &[T], b: &[T]) -> T {
    let lanes = T::count::<S>();
    let zero = T::splat(simd, T::ZERO);
    // Four sums at once hide the latency of each.
    let mut sums = [zero; 4];
    let (mut a4, mut b4) = (a.chunks_exact(4 * lanes), b.chunks_exact(4 * lanes));
    for (a, b) in (&mut a4).zip(&mut b4) {
        for (k, sum) in sums.iter_mut().enumerate() {
            let (a, b) = (T::load(simd, &a[k * lanes..]), T::load(simd, &b[k * lanes..]));
            *sum = T::fused(simd, a, b, *sum);
        }
    }
    let (mut a1, mut b1) = (a4.remainder().chunks_exact(lanes), b4.remainder().chunks_exact(lanes));
    for (a, b) in (&mut a1).zip(&mut b1) {
        sums[0] = T::fused(simd, T::load(simd, a), T::load(simd, b), sums[0]);
    }
    let mut tail = T::ZERO;
    for (a, b) in a1.remainder().iter().zip(b1.remainder()) {
        tail = a.mul_add(*b, tail);
    }
    let (left, right) = (T::sum(simd, sums[0], sums[1]), T::sum(simd, sums[2], sums[3]));
    T::reduce(simd, T::sum(simd, left, right)) + tail
}
