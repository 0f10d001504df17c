//! Vectors of scalars, as the matrix product sees them.

use std::cell::RefCell;
use std::thread::LocalKey;

use pulp::Simd;

/// A scalar with the vector operations of a matrix product, for any instruction set.
pub trait Lanes: Copy + 'static {
    /// One register's worth of scalars.
    type Vector<S: Simd>: Copy;

    /// x in every place.
    fn splat<S: Simd>(simd: S, x: Self) -> Self::Vector<S>;
    /// The first places of a slice.
    ///
    /// # Panics
    /// When the slice is shorter than a vector.
    fn load<S: Simd>(simd: S, from: &[Self]) -> Self::Vector<S>;
    /// a b + c; fused where the machine can.
    fn fused<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;
    /// a + b.
    fn sum<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// Sum of all places.
    fn reduce<S: Simd>(simd: S, a: Self::Vector<S>) -> Self;
    /// `to[4 columns] = from[4 rows]`: the transpose of a 4 x 4 block, each side with its row stride.
    fn transpose4(from: &[Self], from_stride: usize, to: &mut [Self], to_stride: usize);
    /// This thread's buffer for packed operands: kept, so that products allocate once.
    fn scratch() -> &'static LocalKey<RefCell<Vec<Self>>>;

    /// Scalars in a vector.
    #[inline(always)]
    fn count<S: Simd>() -> usize {
        size_of::<Self::Vector<S>>() / size_of::<Self>()
    }
}

#[inline(always)]
fn transpose_plainly<T: Copy>(from: &[T], from_stride: usize, to: &mut [T], to_stride: usize) {
    for x in 0..4 {
        for y in 0..4 {
            to[x * to_stride + y] = from[y * from_stride + x];
        }
    }
}

/// With the shuffles that every x86-64 has; the compiler does not find them by itself.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
#[inline(always)]
fn transpose_f32(from: &[f32], from_stride: usize, to: &mut [f32], to_stride: usize) {
    use std::arch::x86_64::{_MM_TRANSPOSE4_PS, _mm_loadu_ps, _mm_storeu_ps};
    assert!(from.len() >= 3 * from_stride + 4 && to.len() >= 3 * to_stride + 4);
    // SAFETY: SSE is part of x86-64, and the assertion covers the four rows on both sides.
    unsafe {
        let row = |k: usize| _mm_loadu_ps(from.as_ptr().add(k * from_stride));
        let (mut a, mut b, mut c, mut d) = (row(0), row(1), row(2), row(3));
        _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
        for (k, column) in [a, b, c, d].into_iter().enumerate() {
            _mm_storeu_ps(to.as_mut_ptr().add(k * to_stride), column);
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
use transpose_plainly as transpose_f32;

macro_rules! lanes {
    ($t:ident, $vector:ident, $as_simd:ident, $splat:ident, $fused:ident, $sum:ident, $reduce:ident, $transpose:ident) => {
        impl Lanes for $t {
            type Vector<S: Simd> = S::$vector;

            #[inline(always)]
            fn splat<S: Simd>(simd: S, x: Self) -> S::$vector {
                simd.$splat(x)
            }
            #[inline(always)]
            fn load<S: Simd>(_: S, from: &[Self]) -> S::$vector {
                S::$as_simd(from).0[0]
            }
            #[inline(always)]
            fn fused<S: Simd>(simd: S, a: S::$vector, b: S::$vector, c: S::$vector) -> S::$vector {
                simd.$fused(a, b, c)
            }
            #[inline(always)]
            fn sum<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$sum(a, b)
            }
            #[inline(always)]
            fn reduce<S: Simd>(simd: S, a: S::$vector) -> Self {
                simd.$reduce(a)
            }
            #[inline(always)]
            fn transpose4(from: &[Self], from_stride: usize, to: &mut [Self], to_stride: usize) {
                $transpose(from, from_stride, to, to_stride)
            }
            fn scratch() -> &'static LocalKey<RefCell<Vec<Self>>> {
                thread_local! {
                    static SCRATCH: RefCell<Vec<$t>> = const { RefCell::new(Vec::new()) };
                }
                &SCRATCH
            }
        }
    };
}

lanes!(
    f32,
    f32s,
    as_simd_f32s,
    splat_f32s,
    mul_add_e_f32s,
    add_f32s,
    reduce_sum_f32s,
    transpose_f32
);
lanes!(
    f64,
    f64s,
    as_simd_f64s,
    splat_f64s,
    mul_add_e_f64s,
    add_f64s,
    reduce_sum_f64s,
    transpose_plainly
);
