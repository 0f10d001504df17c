//! One kernel over a tile of rows and all inducing points, forward and adjoint, without copying rows.
//!
//! A row reaches the kernel as the jet of its features: p = phi(x), p1_i = d phi along direction i, p2 =
//! the collapsed second order. With the features c_m of the inducing points and S = 10^s,
//!
//! u0 = -|p - c|^2 / (2S),  u1_i = (p1_i.c - p.p1_i) / S,  u2 = (p2.c - p.p2 - sum_i |p1_i|^2) / S,
//! k = rho e^(u0),  k1_i = k u1_i,  k2 = k (u2 + sum_i u1_i^2) = k Q.
//!
//! Everything that meets c is an inner product with c, so all coefficients of all rows are one matrix
//! product with the M x H matrix of centres; the rest is one fused loop. Back, with capitals for adjoints:
//!
//! U0 = k (sum_i K1_i u1_i + K2 Q),  U1_i = k (K1_i + 2 K2 u1_i),  U2 = k K2,
//!
//! P = (U C - row sums of U times the other features) / S is one more product, the centres' adjoint
//! U^T P the third, and d/dS = -(1/S) sum (U0 u0 + U1 u1 + U2 u2).

use crate::jet::Jet;
use gradlogp_numeric::simd::dispatch;
use gradlogp_numeric::{Mat, MatMut, Real, matmul};

/// One kernel's centres: phi(z), and what depends on them and the width alone.
#[derive(Debug, Clone)]
pub(super) struct Centres<T> {
    /// phi(z_m), M x H.
    pub(super) points: Vec<T>,
    /// |phi(z_m)|^2 / 2.
    pub(super) half_norms: Vec<T>,
    /// 1 / S.
    pub(super) precision: T,
    /// rho.
    pub(super) weight: T,
}

impl<T: Real> Centres<T> {
    pub(super) fn new(points: Vec<T>, inducing: usize, width: f64, weight: f64) -> Self {
        let h = points.len() / inducing;
        let half_norms = points.chunks(h).map(|c| dot(c, c) * T::of(0.5)).collect();
        Centres { points, half_norms, precision: T::of(1.0 / width), weight: T::of(weight) }
    }

    /// H.
    pub(super) fn features(&self) -> usize {
        self.points.len() / self.half_norms.len()
    }
}

/// Adjoints of one kernel's own quantities, added up over rows.
#[derive(Debug, Clone, Default)]
pub(super) struct CentreBars<T> {
    /// Of phi(z) as it enters inner products, M x H.
    pub(super) points: Vec<T>,
    /// Of |phi(z_m)|^2 / 2.
    pub(super) half_norms: Vec<T>,
    /// Per m: sum of U u over all coefficients; in all -S d/dS.
    pub(super) stretch: Vec<T>,
    /// Per m: sum of U0; in all rho d/drho.
    pub(super) weight: Vec<T>,
}

impl<T: Real> CentreBars<T> {
    /// From the adjoint `bar` of a part of Q made elsewhere, of which `square` goes with 1 / S^2 and the rest
    /// with 1 / S (n x M each): -S dQ / dS = excess + square.
    pub(super) fn add_stretch(&mut self, bar: &[T], excess: &[T], square: &[T]) {
        let m = self.stretch.len();
        dispatch(
            #[inline(always)]
            || {
                for ((bar, excess), square) in
                    bar.chunks(m).zip(excess.chunks(m)).zip(square.chunks(m))
                {
                    let terms = bar.iter().zip(excess.iter().zip(square));
                    for (s, (b, (e, q))) in self.stretch.iter_mut().zip(terms) {
                        *s += *b * (*e + *q);
                    }
                }
            },
        );
    }

    pub(super) fn clear(&mut self, inducing: usize, features: usize) {
        for (sum, len) in [
            (&mut self.points, inducing * features),
            (&mut self.half_norms, inducing),
            (&mut self.stretch, inducing),
            (&mut self.weight, inducing),
        ] {
            sum.clear();
            sum.resize(len, T::ZERO);
        }
    }
}

/// The adjoints of k1 and k2 of a tile. Both objectives and the solve give matrices of rank two over the
/// inducing points: K1_i of row n is `first[0]` times `over[0]` + `first[1]` times `over[1]`, with a factor
/// per row and direction (D x n); K2 has one pair of factors for all rows.
#[derive(Clone, Copy)]
pub(super) struct KernelBars<'a, T> {
    pub(super) over: [&'a [T]; 2],
    pub(super) first: [&'a [T]; 2],
    pub(super) second: [T; 2],
    /// Whether k2 is part of the loss.
    pub(super) curves: bool,
}

/// Sizes of a tile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) rows: usize,
    pub(super) directions: usize,
    pub(super) curved: usize,
}

/// What one kernel keeps of a forward pass.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer<T> {
    /// rho e^(u0), n x M.
    kappa: Vec<T>,
    /// u0, u1, u2 in the order of the jet's stack, each n x M; in the adjoint U / S.
    stack: Vec<T>,
    /// Q, n x M.
    curvature: Vec<T>,
    /// u2 of rows whose features have no second order, which is the same for every m.
    level: Vec<T>,
}

impl<T: Real> Layer<T> {
    /// Adds k1 (D x n x M) and k2 (n x M) of the features `p`. `excess` (n x M), if given, is a part of Q
    /// made elsewhere; k2 is then formed without any curved direction.
    pub(super) fn forward(
        &mut self,
        p: Jet<'_, T>,
        extent: Extent,
        centres: &Centres<T>,
        excess: Option<&[T]>,
        k1: &mut [T],
        k2: &mut [T],
    ) {
        let (h, m) = (centres.features(), centres.half_norms.len());
        let stack_rows = p.data.len() / h;
        self.stack.resize(stack_rows * m, T::ZERO);
        self.kappa.resize(extent.rows * m, T::ZERO);
        self.curvature.resize(extent.rows * m, T::ZERO);
        self.level.resize(extent.rows, T::ZERO);
        let points = Mat::new(&centres.points, m, h).t();
        let stack = MatMut::new(&mut self.stack, stack_rows, m);
        matmul(stack, Mat::new(p.data, stack_rows, h), points, false);
        match excess {
            Some(excess) => self.curvature.copy_from_slice(excess),
            None => self.curvature.fill(T::ZERO),
        }
        let curves = extent.curved > 0 || excess.is_some();
        let tile = Tile { extent, h, m, second: p.form.second, curves };
        dispatch(
            #[inline(always)]
            || {
                for r in 0..extent.rows {
                    self.forward_row(r, tile, p.data, centres, k1, k2);
                }
            },
        );
    }

    #[inline(always)]
    fn forward_row(
        &mut self,
        r: usize,
        tile: Tile,
        p: &[T],
        centres: &Centres<T>,
        k1: &mut [T],
        k2: &mut [T],
    ) {
        let Tile { extent, m, second, curves, .. } = tile;
        let (scale, half) = (centres.precision, T::of(0.5));
        let p0 = tile.features(p, 0, r);
        let kappa = &mut self.kappa[r * m..(r + 1) * m];
        let own = dot(p0, p0) * half;
        let u0 = &mut self.stack[tile.at(0, r)..][..m];
        for ((u, k), c) in u0.iter_mut().zip(kappa.iter_mut()).zip(&centres.half_norms) {
            *u = (*u - own - *c) * scale;
            *k = centres.weight * u.exp();
        }
        let curvature = &mut self.curvature[r * m..(r + 1) * m];
        let mut pull = T::ZERO;
        for i in 0..extent.directions {
            let p1 = tile.features(p, 1 + i, r);
            let along = dot(p0, p1);
            let u1 = &mut self.stack[tile.at(1 + i, r)..][..m];
            let k1 = &mut k1[(i * extent.rows + r) * m..][..m];
            for ((u, k1), k) in u1.iter_mut().zip(k1).zip(kappa.iter()) {
                *u = (*u - along) * scale;
                *k1 = k.mul_add(*u, *k1);
            }
            if i < extent.curved {
                pull += dot(p1, p1);
                curvature.iter_mut().zip(u1.iter()).for_each(|(q, u)| *q = u.mul_add(*u, *q));
            }
        }
        if !curves {
            return;
        }
        let k2 = &mut k2[r * m..(r + 1) * m];
        if second {
            let p2 = tile.features(p, 1 + extent.directions, r);
            pull += dot(p0, p2);
            let u2 = &mut self.stack[tile.at(1 + extent.directions, r)..][..m];
            for (u, q) in u2.iter_mut().zip(curvature.iter_mut()) {
                *u = (*u - pull) * scale;
                *q += *u;
            }
        } else {
            let u = -pull * scale;
            self.level[r] = u;
            curvature.iter_mut().for_each(|q| *q += u);
        }
        for ((k2, q), k) in k2.iter_mut().zip(curvature.iter()).zip(kappa.iter()) {
            *k2 = k.mul_add(*q, *k2);
        }
    }

    /// The gradient with respect to the features of sum over m of `weights` k, n x H, after a forward pass
    /// without directions.
    pub(super) fn pull_back(
        &mut self,
        p: Jet<'_, T>,
        rows: usize,
        centres: &Centres<T>,
        weights: &[T],
        out: &mut [T],
    ) {
        let (h, m) = (centres.features(), centres.half_norms.len());
        let Layer { kappa, stack, .. } = self;
        for r in 0..rows {
            let bar = &mut stack[r * m..(r + 1) * m];
            for ((u, k), w) in bar.iter_mut().zip(&kappa[r * m..]).zip(weights) {
                *u = *k * *w * centres.precision;
            }
        }
        let (bars, points) = (Mat::new(stack, rows, m), Mat::new(&centres.points, m, h));
        matmul(MatMut::new(out, rows, h), bars, points, false);
        for r in 0..rows {
            let total = sum(&stack[r * m..(r + 1) * m]);
            let p0 = &p.data[r * h..(r + 1) * h];
            out[r * h..].iter_mut().zip(p0).for_each(|(o, p)| *o -= total * *p);
        }
    }

    /// The adjoint of Q, n x M, before [`Layer::adjoint`] spends what is kept.
    pub(super) fn excess_bar(&self, bars: KernelBars<'_, T>, rows: usize) -> Vec<T> {
        let ([over0, over1], [s0, s1]) = (bars.over, bars.second);
        let mut out = self.kappa[..rows * over0.len()].to_vec();
        dispatch(
            #[inline(always)]
            || {
                for row in out.chunks_mut(over0.len()) {
                    for ((q, a), b) in row.iter_mut().zip(over0).zip(over1) {
                        *q *= s0.mul_add(*a, s1 * *b);
                    }
                }
            },
        );
        out
    }

    /// Carries `bars` back: writes the adjoint of the features' stack and adds to the kernel's own. Spends
    /// what [`Layer::forward`] kept.
    pub(super) fn adjoint(
        &mut self,
        p: Jet<'_, T>,
        extent: Extent,
        centres: &Centres<T>,
        bars: KernelBars<'_, T>,
        p_bar: &mut [T],
        own: &mut CentreBars<T>,
    ) {
        let (h, m) = (centres.features(), centres.half_norms.len());
        let stack_rows = p.data.len() / h;
        let tile = Tile { extent, h, m, second: p.form.second, curves: bars.curves };
        let mut sums = vec![T::ZERO; stack_rows + if p.form.second { 0 } else { extent.rows }];
        let mut scratch = [vec![T::ZERO; m], vec![T::ZERO; m]];
        dispatch(
            #[inline(always)]
            || {
                for r in 0..extent.rows {
                    self.adjoint_row(r, tile, centres, bars, &mut sums, &mut scratch, own);
                }
            },
        );
        let (u, points) = (Mat::new(&self.stack, stack_rows, m), Mat::new(&centres.points, m, h));
        matmul(MatMut::new(p_bar, stack_rows, h), u, points, false);
        matmul(MatMut::new(&mut own.points, m, h), u.t(), Mat::new(p.data, stack_rows, h), true);
        for r in 0..extent.rows {
            tile.own_features(r, p.data, &sums, p_bar);
        }
    }

    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    fn adjoint_row(
        &mut self,
        r: usize,
        tile: Tile,
        centres: &Centres<T>,
        bars: KernelBars<'_, T>,
        sums: &mut [T],
        scratch: &mut [Vec<T>; 2],
        own: &mut CentreBars<T>,
    ) {
        let Tile { extent, m, second, curves, .. } = tile;
        let scale = centres.precision;
        let [k2_bar, total] = scratch;
        let (k2_bar, total) = (&mut k2_bar[..m], &mut total[..m]);
        let kappa = &self.kappa[r * m..(r + 1) * m];
        let curvature = &self.curvature[r * m..(r + 1) * m];
        let (over0, over1) = (&bars.over[0][..m], &bars.over[1][..m]);
        let stretch = &mut own.stretch[..m];
        let [s0, s1] = bars.second;
        for j in 0..m {
            k2_bar[j] = if curves { s0.mul_add(over0[j], s1 * over1[j]) } else { T::ZERO };
            total[j] = k2_bar[j] * curvature[j];
        }
        for i in 0..extent.directions {
            let at = i * extent.rows + r;
            let (a, b) = (bars.first[0][at], bars.first[1][at]);
            let u1 = &mut self.stack[tile.at(1 + i, r)..][..m];
            let twice = if i < extent.curved { T::of(2.0) } else { T::ZERO };
            for j in 0..m {
                let u = u1[j];
                let k1_bar = a.mul_add(over0[j], b * over1[j]);
                total[j] = k1_bar.mul_add(u, total[j]);
                let bar = kappa[j] * (twice * k2_bar[j]).mul_add(u, k1_bar);
                stretch[j] = bar.mul_add(u, stretch[j]);
                u1[j] = bar * scale;
            }
            sums[tile.row(1 + i, r)] = sum(u1);
        }
        let u0 = &mut self.stack[tile.at(0, r)..][..m];
        for j in 0..m {
            let bar = kappa[j] * total[j];
            own.weight[j] += bar;
            stretch[j] = bar.mul_add(u0[j], stretch[j]);
            u0[j] = bar * scale;
            own.half_norms[j] -= u0[j];
        }
        sums[tile.row(0, r)] = sum(u0);
        if !curves {
            return;
        }
        let last = tile.row(1 + extent.directions, r);
        if second {
            let u2 = &mut self.stack[last * m..][..m];
            for j in 0..m {
                let bar = kappa[j] * k2_bar[j];
                stretch[j] = bar.mul_add(u2[j], stretch[j]);
                u2[j] = bar * scale;
            }
            sums[last] = sum(u2);
        } else {
            // Its adjoint has no product with c.
            for j in 0..m {
                total[j] = kappa[j] * k2_bar[j];
                stretch[j] = total[j].mul_add(self.level[r], stretch[j]);
            }
            sums[last] = sum(total) * scale;
        }
    }
}

/// Where things lie in a stack.
#[derive(Clone, Copy)]
struct Tile {
    extent: Extent,
    h: usize,
    m: usize,
    second: bool,
    curves: bool,
}

impl Tile {
    #[inline(always)]
    fn row(&self, coefficient: usize, r: usize) -> usize {
        coefficient * self.extent.rows + r
    }

    #[inline(always)]
    fn at(&self, coefficient: usize, r: usize) -> usize {
        self.row(coefficient, r) * self.m
    }

    #[inline(always)]
    fn features<'a, T>(&self, p: &'a [T], coefficient: usize, r: usize) -> &'a [T] {
        &p[self.row(coefficient, r) * self.h..][..self.h]
    }

    /// The part of the features' adjoint that meets features of the same row and no centre:
    /// P0 -= s0 p + sum_i s1_i p1_i + s2 p2, P1_i -= s1_i p (+ 2 s2 p1_i), P2 -= s2 p, with s the row sums.
    fn own_features<T: Real>(&self, r: usize, p: &[T], sums: &[T], p_bar: &mut [T]) {
        let Extent { directions, curved, .. } = self.extent;
        let mut take = |to: usize, from: usize, factor: T| {
            let to = self.row(to, r) * self.h;
            let from = &p[self.row(from, r) * self.h..][..self.h];
            let out = &mut p_bar[to..to + self.h];
            out.iter_mut().zip(from).for_each(|(o, p)| *o -= factor * *p);
        };
        take(0, 0, sums[self.row(0, r)]);
        let s2 = if self.curves { sums[self.row(1 + directions, r)] } else { T::ZERO };
        for i in 0..directions {
            let s1 = sums[self.row(1 + i, r)];
            take(0, 1 + i, s1);
            take(1 + i, 0, s1);
            if i < curved {
                take(1 + i, 1 + i, s2 + s2);
            }
        }
        if self.curves && self.second {
            take(0, 1 + directions, s2);
            take(1 + directions, 0, s2);
        }
    }
}

const LANES: usize = 16;

/// Sum in an order that does not depend on the machine.
#[inline(always)]
pub(super) fn sum<T: Real>(x: &[T]) -> T {
    let mut lanes = [T::ZERO; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest = chunks.remainder().iter().fold(T::ZERO, |s, x| s + *x);
    for x in chunks {
        for k in 0..LANES {
            lanes[k] += x[k];
        }
    }
    lanes.iter().fold(rest, |s, x| s + *x)
}

#[inline(always)]
fn dot<T: Real>(x: &[T], y: &[T]) -> T {
    const LANES: usize = 8;
    let mut lanes = [T::ZERO; LANES];
    let (xs, ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let tail = xs.remainder().iter().zip(ys.remainder());
    let rest = tail.fold(T::ZERO, |s, (x, y)| x.mul_add(*y, s));
    for (x, y) in xs.zip(ys) {
        for k in 0..LANES {
            lanes[k] = x[k].mul_add(y[k], lanes[k]);
        }
    }
    lanes.iter().fold(rest, |s, x| s + *x)
}
