//! The Laplacian of a kernel by curvature propagation (Martens, Sutskever, Swersky 2012), MATH (63).
//!
//! Every function on the way from x to k adds J^T B J to the Hessian of k, with J the Jacobian of its input
//! and B its own second derivative times dk by its output: at a softplus of input a, B = diag(h''(a) u) with u
//! the gradient of k at its output; at the kernel, with d = phi(x) - c and S = 10^s, B = k (d d^T / S^2 - I / S).
//! With noise v at each of them, E\[v v^T\] = I over all of their inputs, the covectors
//!
//! A = sum J^T v,  C = sum J^T B v  have  E\[A C^T\] = Hessian,  so that A.C is unbiased for the Laplacian.
//!
//! B v is linear in k, and A does not know k: b keeps its closed form, and no row is copied for the
//! inducing points. (The factors sqrt|B| and sign(B) sqrt|B| of MATH (8), of smaller variance, have neither.) A
//! is pulled back from the features to x. Then A.C is a forward pass: with w = J A,
//!
//! A.C / k = (w.d)(v.d) / S^2 - w.v / S - y.d / S,  y <- y W^T at a linear map, y <- h' y + h'' (w v) at a softplus,
//!
//! the recursion of the approximate diagonal (`diagonal.rs`) with w v in place of t, whose expectation is the
//! true diagonal of J J^T.

use super::layer::{CentreBars, Centres, sum};
use super::phi::{Phi, SecondOrder, Units, add_outer};
use gradlogp_numeric::simd::dispatch;
use gradlogp_numeric::vector::{add_assign, dot};
use gradlogp_numeric::{Mat, MatMut, Real, matmul};

/// One phi and its kernel.
#[derive(Debug, Clone)]
pub(super) struct Propagation<T> {
    draws: usize,
    x: Vec<T>,
    rows: usize,
    units: Vec<Units<T>>,
    sweeps: Vec<Sweep<T>>,
    excess: Vec<T>,
    /// (w.d)(v.d) / S^2, the mean over draws, n x M.
    square: Vec<T>,
}

/// One draw.
#[derive(Debug, Clone, Default)]
struct Sweep<T> {
    /// Per softplus layer.
    layers: Vec<Pulled<T>>,
    /// A at x, n x d.
    at_x: Vec<T>,
    /// v, w and y at the features, each n x H, stacked.
    ends: Vec<T>,
    /// v.d / S and w.d / S, each n x M, stacked.
    along: Vec<T>,
}

/// What a sweep leaves at a softplus layer, each n x H.
#[derive(Debug, Clone)]
struct Pulled<T> {
    v: Vec<T>,
    /// A at its output, before the derivative, and at its input.
    above: Vec<T>,
    pulled: Vec<T>,
    /// w and y at its input and output.
    w_in: Vec<T>,
    y_in: Vec<T>,
    w: Vec<T>,
    y: Vec<T>,
}

impl<T: Real> SecondOrder<T> for Propagation<T> {
    /// `noise` is \[n, draws, width\], the hidden layers of phi and then its features.
    fn forward(&mut self, phi: &Phi<'_, T>, x: &[T], noise: &[T], p: &[T], centres: &Centres<T>) {
        let (h, m) = (centres.features(), centres.half_norms.len());
        self.rows = p.len() / h;
        self.x = x.to_vec();
        self.units = phi.units(x);
        let width = noise.len() / (self.rows * self.draws);
        for sums in [&mut self.excess, &mut self.square] {
            sums.clear();
            sums.resize(self.rows * m, T::ZERO);
        }
        let mut sweeps = std::mem::take(&mut self.sweeps);
        sweeps.resize(self.draws, Sweep::default());
        for (k, sweep) in sweeps.iter_mut().enumerate() {
            let mine = |from: usize, len: usize| -> Vec<T> {
                let mut out = Vec::with_capacity(self.rows * len);
                for v in noise.chunks(width).skip(k).step_by(self.draws) {
                    out.extend_from_slice(&v[from..from + len]);
                }
                out
            };
            let layers = self.units.iter().enumerate();
            let hidden = layers.map(|(l, units)| {
                let len = units.value.len() / self.rows;
                mine(l * len, len)
            });
            sweep.features(phi, &self.units, hidden.collect(), mine(width - h, h));
            sweep.kernel(
                p,
                centres,
                T::of(1.0 / self.draws as f64),
                [&mut self.excess, &mut self.square],
            );
        }
        self.sweeps = sweeps;
    }

    fn excess(&self) -> &[T] {
        &self.excess
    }

    fn adjoint(
        &mut self,
        phi: &Phi<'_, T>,
        p: &[T],
        centres: &Centres<T>,
        bar: &[T],
        (p_bar, gradient, own): (&mut [T], &mut [T], &mut CentreBars<T>),
    ) {
        own.add_stretch(bar, &self.excess, &self.square);
        let share = T::of(1.0 / self.draws as f64);
        let bar: Vec<T> = bar.iter().map(|b| share * *b).collect();
        let mut bars: Vec<Vec<T>> =
            self.units.iter().map(|u| vec![T::ZERO; u.value.len()]).collect();
        for sweep in &self.sweeps {
            let (w_bar, y_bar) = sweep.kernel_adjoint(p, centres, &bar, p_bar, own);
            sweep.features_adjoint(phi, &self.units, (w_bar, y_bar), gradient, &mut bars);
        }
        phi.backpropagate(&self.x, &self.units, bars, gradient);
    }
}

impl<T: Real> Propagation<T> {
    pub(super) fn new(draws: usize) -> Self {
        Propagation {
            draws,
            x: Vec::new(),
            rows: 0,
            units: Vec::new(),
            sweeps: Vec::new(),
            excess: Vec::new(),
            square: Vec::new(),
        }
    }
}

impl<T: Real> Sweep<T> {
    /// A at x, then w and y of the features.
    fn features(&mut self, phi: &Phi<'_, T>, units: &[Units<T>], hidden: Vec<Vec<T>>, v: Vec<T>) {
        let Some((last, skip)) = &phi.ends else {
            let zeros = vec![T::ZERO; v.len()];
            (self.at_x, self.ends) = (v.clone(), [v.clone(), v, zeros].concat());
            return;
        };
        self.layers.clear();
        let (mut map, mut covector) = (last, &v);
        for ((v, units), below) in hidden.into_iter().zip(units).zip(&phi.hidden).rev() {
            let above = phi.apply_back(map, covector);
            let mut pulled = v.clone();
            for ((s, g), h1) in pulled.iter_mut().zip(&above).zip(&units.derivative) {
                *s += *h1 * *g;
            }
            let empty = || Vec::new();
            let (w_in, y_in, w, y) = (empty(), empty(), empty(), empty());
            self.layers.insert(0, Pulled { v, above, pulled, w_in, y_in, w, y });
            (map, covector) = (below, &self.layers[0].pulled);
        }
        let mut at_x = phi.apply_back(map, covector);
        add_assign(&mut at_x, &phi.apply_back(skip, &v));
        let (mut w, mut y) = (at_x.clone(), vec![T::ZERO; at_x.len()]);
        for ((layer, units), map) in self.layers.iter_mut().zip(units).zip(&phi.hidden) {
            layer.through_activation(phi.apply(map, &w), phi.apply(map, &y), units);
            (w, y) = (layer.w.clone(), layer.y.clone());
        }
        (w, y) = (phi.apply(last, &w), phi.apply(last, &y));
        add_assign(&mut w, &phi.apply(skip, &at_x));
        (self.at_x, self.ends) = (at_x, [v, w, y].concat());
    }

    /// Adds `share` of this draw's excess and of its square.
    fn kernel(&mut self, p: &[T], centres: &Centres<T>, share: T, [excess, square]: [&mut [T]; 2]) {
        let (h, m) = (centres.features(), centres.half_norms.len());
        let (n, scale) = (p.len() / h, centres.precision);
        let mut stack = vec![T::ZERO; 3 * n * m];
        let points = Mat::new(&centres.points, m, h).t();
        let ends = Mat::new(&self.ends, 3 * n, h);
        matmul(MatMut::new(&mut stack, 3 * n, m), ends, points, false);
        let own: Vec<T> = (0..3 * n)
            .map(|r| dot(&self.ends[r * h..(r + 1) * h], &p[r % n * h..(r % n + 1) * h]))
            .collect();
        let level: Vec<T> = (0..n)
            .map(|r| scale * dot(&self.v()[r * h..(r + 1) * h], &self.w()[r * h..(r + 1) * h]))
            .collect();
        dispatch(
            #[inline(always)]
            || {
                for (row, own) in stack.chunks_mut(m).zip(&own) {
                    row.iter_mut().for_each(|s| *s = scale * (*own - *s));
                }
                let (v, rest) = stack.split_at(n * m);
                let (w, y) = rest.split_at(n * m);
                for (r, level) in level.iter().enumerate() {
                    let at = r * m..(r + 1) * m;
                    let sums = square[at.clone()].iter_mut().zip(&mut excess[at.clone()]);
                    let ends = v[at.clone()].iter().zip(&w[at.clone()]).zip(&y[at]);
                    for ((square, excess), ((v, w), y)) in sums.zip(ends) {
                        let product = *w * *v;
                        *square += share * product;
                        *excess += share * (product - *level - *y);
                    }
                }
            },
        );
        stack.truncate(2 * n * m);
        self.along = stack;
    }

    fn v(&self) -> &[T] {
        &self.ends[..self.ends.len() / 3]
    }

    fn w(&self) -> &[T] {
        &self.ends[self.ends.len() / 3..self.ends.len() / 3 * 2]
    }

    /// Adds to the adjoints of p and c; returns those of w and y.
    fn kernel_adjoint(
        &self,
        p: &[T],
        centres: &Centres<T>,
        bar: &[T],
        p_bar: &mut [T],
        own: &mut CentreBars<T>,
    ) -> (Vec<T>, Vec<T>) {
        let (h, m) = (centres.features(), centres.half_norms.len());
        let (n, scale) = (p.len() / h, centres.precision);
        let (v, w) = self.along.split_at(n * m);
        // The adjoints of v.d, w.d and y.d, stacked as v, w and y are.
        let mut stack = vec![T::ZERO; 3 * n * m];
        dispatch(
            #[inline(always)]
            || {
                let (v_bar, rest) = stack.split_at_mut(n * m);
                let (w_bar, y_bar) = rest.split_at_mut(n * m);
                let bars = v_bar.iter_mut().zip(w_bar).zip(y_bar);
                for ((((v_bar, w_bar), y_bar), b), (v, w)) in bars.zip(bar).zip(v.iter().zip(w)) {
                    let b = scale * *b;
                    (*v_bar, *w_bar, *y_bar) = (b * *w, b * *v, -b);
                }
            },
        );
        let bars = Mat::new(&stack, 3 * n, m);
        let ends = Mat::new(&self.ends, 3 * n, h);
        let mut towards = vec![T::ZERO; 3 * n * h];
        let points = Mat::new(&centres.points, m, h);
        matmul(MatMut::new(&mut towards, 3 * n, h), bars, points, false);
        let mut pulled = vec![T::ZERO; m * h];
        matmul(MatMut::new(&mut pulled, m, h), bars.t(), ends, false);
        own.points.iter_mut().zip(&pulled).for_each(|(o, p)| *o -= *p);
        let mut totals = vec![T::ZERO; 3 * n];
        dispatch(
            #[inline(always)]
            || {
                for (r, (total, bars)) in totals.iter_mut().zip(stack.chunks(m)).enumerate() {
                    *total = sum(bars);
                    let (at, row) = (r * h..(r + 1) * h, r % n * h..(r % n + 1) * h);
                    let rows = p_bar[row.clone()].iter_mut().zip(&p[row]);
                    let ends = self.ends[at.clone()].iter().zip(&mut towards[at]);
                    for ((p_bar, p), (end, towards)) in rows.zip(ends) {
                        *p_bar += *total * *end;
                        *towards = *total * *p - *towards;
                    }
                }
            },
        );
        let y_bar = towards.split_off(2 * n * h);
        let mut w_bar = towards.split_off(n * h);
        // From w.v; the sum of the adjoints of y.d is -scale times that of bar.
        let rows = w_bar.chunks_mut(h).zip(self.v().chunks(h)).zip(&totals[2 * n..]);
        for ((w, v), total) in rows {
            w.iter_mut().zip(v).for_each(|(w, v)| *w += *total * *v);
        }
        (w_bar, y_bar)
    }

    /// From the adjoints of w and y at the features to the weights, and to those of what enters each
    /// softplus, `bars`.
    fn features_adjoint(
        &self,
        phi: &Phi<'_, T>,
        units: &[Units<T>],
        (mut w_bar, mut y_bar): (Vec<T>, Vec<T>),
        gradient: &mut [T],
        bars: &mut [Vec<T>],
    ) {
        let Some((_, skip)) = &phi.ends else { return };
        add_outer(&mut gradient[skip.weight.clone()], &w_bar, &self.at_x, skip);
        let mut x_bar = phi.apply_back(skip, &w_bar);
        // Down from the features along w and y.
        let maps = phi.after_hidden();
        for (l, map) in maps.iter().enumerate().rev() {
            let out = &mut gradient[map.weight.clone()];
            add_outer(out, &w_bar, &self.layers[l].w, map);
            add_outer(out, &y_bar, &self.layers[l].y, map);
            (w_bar, y_bar) = (phi.apply_back(map, &w_bar), phi.apply_back(map, &y_bar));
            self.layers[l].through_activation_adjoint(
                &units[l],
                &mut w_bar,
                &mut y_bar,
                &mut bars[l],
            );
        }
        let Some(first) = phi.hidden.first() else { return };
        add_outer(&mut gradient[first.weight.clone()], &w_bar, &self.at_x, first);
        add_assign(&mut x_bar, &phi.apply_back(first, &w_bar));
        // Up again along A.
        let mut bar = phi.apply(first, &x_bar);
        add_outer(&mut gradient[first.weight.clone()], &self.layers[0].pulled, &x_bar, first);
        for (l, map) in maps.iter().enumerate() {
            let layer = &self.layers[l];
            for k in 0..bar.len() {
                let [h1, h2, _] = units[l].derivatives(k);
                bars[l][k] += h2 * layer.above[k] * bar[k];
                bar[k] *= h1;
            }
            let covector = self.layers.get(l + 1).map_or(self.v(), |above| &above.pulled);
            add_outer(&mut gradient[map.weight.clone()], covector, &bar, map);
            bar = phi.apply(map, &bar);
        }
        add_outer(&mut gradient[skip.weight.clone()], self.v(), &x_bar, skip);
    }
}

impl<T: Real> Pulled<T> {
    /// w <- h' w, y <- h' y + h'' (w v).
    fn through_activation(&mut self, w_in: Vec<T>, y_in: Vec<T>, units: &Units<T>) {
        let len = w_in.len();
        (self.w, self.y) = (w_in.clone(), y_in.clone());
        let (w, y, v) = (&mut self.w[..len], &mut self.y[..len], &self.v[..len]);
        dispatch(
            #[inline(always)]
            || {
                for k in 0..len {
                    let [h1, h2, _] = units.derivatives(k);
                    (y[k], w[k]) = (h1 * y[k] + h2 * w[k] * v[k], h1 * w[k]);
                }
            },
        );
        (self.w_in, self.y_in) = (w_in, y_in);
    }

    /// Turns the adjoints of the output's w and y into those of the input's; adds to that of the input.
    fn through_activation_adjoint(
        &self,
        units: &Units<T>,
        w_bar: &mut [T],
        y_bar: &mut [T],
        bar: &mut [T],
    ) {
        let len = bar.len();
        let (w_bar, y_bar) = (&mut w_bar[..len], &mut y_bar[..len]);
        let (v, w_in, y_in) = (&self.v[..len], &self.w_in[..len], &self.y_in[..len]);
        dispatch(
            #[inline(always)]
            || {
                for k in 0..len {
                    let [h1, h2, h3] = units.derivatives(k);
                    let (w, y) = (w_bar[k], y_bar[k]);
                    bar[k] += w * h2 * w_in[k] + y * (h2 * y_in[k] + h3 * w_in[k] * v[k]);
                    w_bar[k] = h1 * w + h2 * y * v[k];
                    y_bar[k] = h1 * y;
                }
            },
        );
    }
}
