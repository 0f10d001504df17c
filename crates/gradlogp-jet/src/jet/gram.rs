//! The sum of squares of all unit directions at once, without following any of them.
//!
//! A Laplacian needs, at each activation, sum_m (a1^(m))^2 over the unit vectors e_1 ... e_d. Behind the first affine
//! map, W1, the first orders are the columns of W1, the same for every row, and the sum is the
//! diagonal of the Gram matrix G = W1 W1^T. Behind the activation that follows they are h' * (W1 e_m), and behind
//! the next affine map, W2, the sum is, per row and per unit k,
//!
//! q_k = sum_m (sum_j W2_kj h'_j (W1)_jm)^2 = u_k . G u_k, with u_k = W2_k * h' (elementwise),
//!
//! which costs one product with G whatever the number of columns d. Adjoint, with v_k = G u_k and Q the
//! adjoint of q: G += sum_k Q_k u_k u_k^T, U_k = 2 Q_k v_k, so W2_k += U_k * h' and H' += sum_k U_k * W2_k;
//! and at the end W1 += 2 G_bar W1. So two products of out x in x in for each row, the second of which is
//! symmetric and done in half, instead of three of d x in x out.

use gradlogp_numeric::vector::{row_dots, scale_rows};
use gradlogp_numeric::{Mat, MatMut, Real, matmul};

/// Columns of the symmetric product that are formed at a time.
const BLOCK: usize = 32;

/// G = W1 W1^T of an affine map of the input, and its adjoint.
#[derive(Debug, Clone)]
pub(super) struct Metric<T> {
    /// First column of W1 that meets a unit vector.
    pub(super) start: usize,
    gram: Vec<T>,
    /// The diagonal of G: the sum of squares behind the map itself.
    pub(super) diagonal: Vec<T>,
    /// The adjoint of G: blocks on and below the diagonal, and what is above is not used.
    gram_bar: Vec<T>,
    pub(super) diagonal_bar: Vec<T>,
}

impl<T> Metric<T> {
    pub(super) fn new(start: usize) -> Self {
        let [gram, diagonal, gram_bar, diagonal_bar] = [const { Vec::new() }; 4];
        Metric { start, gram, diagonal, gram_bar, diagonal_bar }
    }
}

impl<T> Squared<T> {
    pub(super) fn new() -> Self {
        let [scaled, mixed, sums, sums_bar] = [const { Vec::new() }; 4];
        Squared { scaled, mixed, sums, sums_bar }
    }

    /// q, and where its adjoint goes.
    pub(super) fn sums_and_bar(&mut self) -> (&[T], &mut [T]) {
        (&self.sums, &mut self.sums_bar)
    }
}

impl<T: Real> Metric<T> {
    /// G of `weight`, of which only the columns that the unit vectors meet are given (`out` rows);
    /// adjoints zeroed.
    pub(super) fn prepare(&mut self, weight: Mat<'_, T>, out: usize) {
        for buffer in [&mut self.gram, &mut self.gram_bar] {
            buffer.resize(out * out, T::ZERO);
        }
        self.diagonal.resize(out, T::ZERO);
        self.diagonal_bar.resize(out, T::ZERO);
        self.gram_bar.fill(T::ZERO);
        self.diagonal_bar.fill(T::ZERO);
        matmul(MatMut::new(&mut self.gram, out, out), weight, weight.t(), false);
        for (i, d) in self.diagonal.iter_mut().enumerate() {
            *d = self.gram[i * (out + 1)];
        }
    }

    /// Adds 2 G_bar W1 to the adjoint of W1.
    pub(super) fn finish(&mut self, weight: Mat<'_, T>, weight_bar: MatMut<'_, T>) {
        let out = self.diagonal.len();
        for i in 0..out {
            for j in 0..i {
                let below = self.gram_bar[i * out + j];
                self.gram_bar[j * out + i] = below;
            }
            self.gram_bar[i * (out + 1)] += self.diagonal_bar[i];
        }
        self.gram_bar.iter_mut().for_each(|g| *g += *g);
        matmul(weight_bar, Mat::new(&self.gram_bar, out, out), weight, true);
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        (2 * self.gram.capacity() + 2 * self.diagonal.capacity()) * size_of::<T>()
    }
}

/// q of an affine map behind an activation, and what its adjoint needs.
#[derive(Debug, Clone)]
pub(super) struct Squared<T> {
    /// u, rows x out x inner.
    scaled: Vec<T>,
    /// v = G u, the same shape.
    mixed: Vec<T>,
    /// q, rows x out.
    pub(super) sums: Vec<T>,
    /// Its adjoint.
    sums_bar: Vec<T>,
}

impl<T: Real> Squared<T> {
    /// q for every row of `derivative` (h', rows x inner).
    pub(super) fn forward(&mut self, metric: &Metric<T>, weight: &[T], derivative: &[T]) {
        let inner = metric.diagonal.len();
        let (rows, out) = (derivative.len() / inner, weight.len() / inner);
        for buffer in [&mut self.scaled, &mut self.mixed] {
            buffer.resize(rows * out * inner, T::ZERO);
        }
        for buffer in [&mut self.sums, &mut self.sums_bar] {
            buffer.resize(rows * out, T::ZERO);
        }
        for (u, derivative) in self.scaled.chunks_mut(out * inner).zip(derivative.chunks(inner)) {
            scale_rows(u, weight, derivative);
        }
        let u = Mat::new(&self.scaled, rows * out, inner);
        let v = MatMut::new(&mut self.mixed, rows * out, inner);
        matmul(v, u, Mat::new(&metric.gram, inner, inner), false);
        row_dots(&mut self.sums, &self.scaled, &self.mixed, inner);
    }

    /// Adds to the adjoints of G, W2 and h'; the adjoint of q is in `sums_bar`. Spoils v.
    pub(super) fn adjoint(
        &mut self,
        metric: &mut Metric<T>,
        weight: &[T],
        weight_bar: &mut [T],
        derivative: &[T],
        derivative_bar: &mut [T],
    ) {
        let inner = metric.diagonal.len();
        let out = weight.len() / inner;
        let rows = derivative.chunks(inner).zip(derivative_bar.chunks_mut(inner));
        let parts = (self.scaled.chunks(out * inner).zip(self.mixed.chunks_mut(out * inner)))
            .zip(self.sums_bar.chunks(out));
        for ((derivative, derivative_bar), ((u, v), bars)) in rows.zip(parts) {
            let sides = Sides { derivative, derivative_bar, weight, weight_bar };
            unscale(sides, u, v, bars);
        }
        let count = self.sums_bar.len();
        let u = Mat::new(&self.scaled, count, inner);
        let weighted = Mat::new(&self.mixed, count, inner);
        for start in (0..inner).step_by(BLOCK) {
            let columns = start..inner.min(start + BLOCK);
            let target =
                MatMut::new(&mut metric.gram_bar, inner, inner).part(start..inner, columns.clone());
            matmul(target, weighted.columns(start..inner).t(), u.columns(columns), true);
        }
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        let all = [&self.scaled, &self.mixed, &self.sums, &self.sums_bar];
        all.iter().map(|v| v.capacity() * size_of::<T>()).sum()
    }
}

/// Floating-point operations of the two products per row.
pub(super) fn operations(out: usize, inner: usize, adjoint: bool) -> usize {
    let blocks = inner.div_ceil(BLOCK);
    let lower = inner * inner * (blocks + 1) / (2 * blocks);
    2 * out * (inner * inner + if adjoint { lower } else { 0 })
}

struct Sides<'a, T> {
    derivative: &'a [T],
    derivative_bar: &'a mut [T],
    weight: &'a [T],
    weight_bar: &'a mut [T],
}

/// One row: U = 2 Q v goes to W2 and h', and v becomes Q u.
fn unscale<T: Real>(s: Sides<'_, T>, u: &[T], v: &mut [T], bars: &[T]) {
    let inner = s.derivative.len();
    gradlogp_numeric::simd::dispatch(
        #[inline(always)]
        || {
            let weights = s.weight.chunks_exact(inner).zip(s.weight_bar.chunks_exact_mut(inner));
            let rows = u.chunks_exact(inner).zip(v.chunks_exact_mut(inner));
            for (((w, w_bar), (u, v)), bar) in weights.zip(rows).zip(bars) {
                let twice = *bar + *bar;
                for j in 0..inner {
                    let u_bar = twice * v[j];
                    w_bar[j] = u_bar.mul_add(s.derivative[j], w_bar[j]);
                    s.derivative_bar[j] = u_bar.mul_add(w[j], s.derivative_bar[j]);
                    v[j] = *bar * u[j];
                }
            }
        },
    )
}
