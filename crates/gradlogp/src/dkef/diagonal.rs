//! The Laplacian of a kernel by back-propagated diagonals (Kingma and LeCun 2010), MATH (62).
//!
//! Second derivatives are carried through the network as if every Hessian on the way were diagonal. Written
//! forwards it is the collapsed second-order jet in which sum_i (a1_i)^2 of a unit is replaced by t, that
//! follows squared weights:
//!
//! affine: t <- t (W^2)^T, y <- y W^T;  softplus h: y <- h' y + h'' t, t <- h'^2 t;  at x: t = 1, y = 0,
//!
//! and at the kernel, with d = phi(x) - c and S = 10^s,
//!
//! excess = sum_j t_j d_j^2 / S^2 - sum_j t_j / S - sum_j y_j d_j / S,  so that the "Laplacian" is k excess.
//!
//! It is linear in k, so that b has a closed form; it is biased for the Laplacian unless phi is the
//! identity, and offered for comparison.

use super::layer::{CentreBars, Centres, Extent, KernelBars, Layer, sum};
use crate::graph::Graph;
use crate::jet::Jet;
use crate::kernel::vector::add_row_sums;
use crate::kernel::{Mat, MatMut, Real, matmul};

/// One phi and its kernel.
#[derive(Debug, Clone)]
pub(super) struct Diagonal<T> {
    /// Per softplus layer; empty where phi is the identity.
    hidden: Vec<Hidden<T>>,
    x: Vec<T>,
    rows: usize,
    /// t and y of the features, n x H.
    t: Vec<T>,
    y: Vec<T>,
    /// sum_j t_j d_j^2 / S^2, n x M.
    square: Vec<T>,
    excess: Vec<T>,
}

/// What a softplus layer keeps, each n x H: its input's t and y, its output's value, t and y, and h'.
#[derive(Debug, Clone, Default)]
struct Hidden<T> {
    t_in: Vec<T>,
    y_in: Vec<T>,
    value: Vec<T>,
    t: Vec<T>,
    y: Vec<T>,
    slope: Vec<T>,
}

/// A layer's weight and where it and its bias lie.
#[derive(Clone)]
struct Affine {
    weight: std::ops::Range<usize>,
    bias: Option<std::ops::Range<usize>>,
    inner: usize,
    outer: usize,
}

/// The affine maps of phi in the order 0, 1, 2, skip.
fn affines(graph: &Graph) -> Vec<Affine> {
    let mut out: Vec<Affine> = Vec::new();
    for (parameter, range) in graph.parameters().iter() {
        match parameter.shape[..] {
            [outer, inner] => out.push(Affine { weight: range, bias: None, inner, outer }),
            _ => out.last_mut().expect("a weight comes first").bias = Some(range),
        }
    }
    out
}

fn squares<T: Real>(x: &[T]) -> Vec<T> {
    x.iter().map(|x| *x * *x).collect()
}

/// x W^T.
fn apply<T: Real>(x: &[T], weight: &[T], map: &Affine) -> Vec<T> {
    let n = x.len() / map.inner;
    let mut out = vec![T::ZERO; n * map.outer];
    let w = Mat::new(weight, map.outer, map.inner);
    matmul(MatMut::new(&mut out, n, map.outer), Mat::new(x, n, map.inner), w.t(), false);
    out
}

/// x W.
fn apply_back<T: Real>(x: &[T], weight: &[T], map: &Affine) -> Vec<T> {
    let n = x.len() / map.outer;
    let mut out = vec![T::ZERO; n * map.inner];
    let w = Mat::new(weight, map.outer, map.inner);
    matmul(MatMut::new(&mut out, n, map.inner), Mat::new(x, n, map.outer), w, false);
    out
}

/// out += y^T x.
fn add_outer<T: Real>(out: &mut [T], y: &[T], x: &[T], map: &Affine) {
    let n = y.len() / map.outer;
    let (y, x) = (Mat::new(y, n, map.outer), Mat::new(x, n, map.inner));
    matmul(MatMut::new(out, map.outer, map.inner), y.t(), x, true);
}

/// The adjoint of W where t <- t (W^2)^T: out += 2 W (t_bar^T t_in).
fn add_squared<T: Real>(out: &mut [T], t_bar: &[T], t_in: &[T], weight: &[T], map: &Affine) {
    let mut product = vec![T::ZERO; weight.len()];
    add_outer(&mut product, t_bar, t_in, map);
    for ((o, p), w) in out.iter_mut().zip(&product).zip(weight) {
        *o += T::of(2.0) * *p * *w;
    }
}

impl<T: Real> Diagonal<T> {
    pub(super) fn new(graph: &Graph) -> Self {
        let layers = affines(graph).len().saturating_sub(2);
        Diagonal {
            hidden: vec![Hidden::default(); layers],
            x: Vec::new(),
            rows: 0,
            t: Vec::new(),
            y: Vec::new(),
            square: Vec::new(),
            excess: Vec::new(),
        }
    }

    /// n x M.
    pub(super) fn excess(&self) -> &[T] {
        &self.excess
    }

    /// t and y of the features at `x`, and the excess over their values `p`.
    pub(super) fn forward(
        &mut self,
        graph: &Graph,
        net: &[T],
        x: &[T],
        p: Jet<'_, T>,
        centres: &Centres<T>,
    ) {
        let d = graph.input_width();
        self.rows = x.len() / d;
        self.x = x.to_vec();
        self.features(&affines(graph), net);
        self.kernel(p.data, centres);
    }

    fn features(&mut self, maps: &[Affine], net: &[T]) {
        if maps.is_empty() {
            self.t = vec![T::ONE; self.x.len()];
            self.y = vec![T::ZERO; self.x.len()];
            return;
        }
        let ones = vec![T::ONE; self.x.len()];
        let (mut value, mut t, mut y) = (self.x.clone(), ones.clone(), vec![T::ZERO; ones.len()]);
        for (map, hidden) in maps.iter().zip(&mut self.hidden) {
            let weight = &net[map.weight.clone()];
            let mut a = apply(&value, weight, map);
            if let Some(bias) = &map.bias {
                let bias = &net[bias.clone()];
                a.chunks_mut(map.outer)
                    .for_each(|row| row.iter_mut().zip(bias).for_each(|(a, b)| *a += *b));
            }
            hidden.t_in = apply(&t, &squares(weight), map);
            hidden.y_in = apply(&y, weight, map);
            hidden.bend(&a);
            (value, t, y) = (hidden.value.clone(), hidden.t.clone(), hidden.y.clone());
        }
        let [.., last, skip] = maps else { return };
        let weight = &net[last.weight.clone()];
        self.t = apply(&t, &squares(weight), last);
        self.y = apply(&y, weight, last);
        let through = apply(&ones, &squares(&net[skip.weight.clone()]), skip);
        self.t.iter_mut().zip(&through).for_each(|(t, s)| *t += *s);
    }

    fn kernel(&mut self, p: &[T], centres: &Centres<T>) {
        let (n, m) = (self.rows, centres.half_norms.len());
        let h = centres.points.len() / m;
        let scale = centres.precision;
        let (s2, two) = (scale * scale, T::of(2.0));
        let p = &p[..n * h];
        let linear: Vec<T> = (0..n * h).map(|k| -(two * s2 * self.t[k] * p[k])).collect();
        let mut square = vec![T::ZERO; n * m];
        let c2 = squares(&centres.points);
        let scaled: Vec<T> = self.t.iter().map(|t| s2 * *t).collect();
        let (c1, c2) = (Mat::new(&centres.points, m, h).t(), Mat::new(&c2, m, h).t());
        matmul(MatMut::new(&mut square, n, m), Mat::new(&scaled, n, h), c2, false);
        matmul(MatMut::new(&mut square, n, m), Mat::new(&linear, n, h), c1, true);
        let mut tilt = vec![T::ZERO; n * m];
        matmul(MatMut::new(&mut tilt, n, m), Mat::new(&self.y, n, h), c1, false);
        for r in 0..n {
            let at = |x: &[T], j: usize| x[r * h + j];
            let (mut own, mut rest) = (T::ZERO, T::ZERO);
            for j in 0..h {
                own += at(&scaled, j) * at(p, j) * at(p, j);
                rest += at(&self.t, j) + at(&self.y, j) * at(p, j);
            }
            for k in r * m..(r + 1) * m {
                square[k] += own;
                tilt[k] = (tilt[k] - rest) * scale + square[k];
            }
        }
        (self.square, self.excess) = (square, tilt);
    }

    /// Carries `bars` back through this kernel: its layer, then the diagonals. Writes the adjoint of the
    /// features' stack; adds to the gradient of phi and to the kernel's own adjoints.
    pub(super) fn adjoint(
        &mut self,
        graph: &Graph,
        net: &[T],
        (layer, p, extent): (&mut Layer<T>, Jet<'_, T>, Extent),
        centres: &Centres<T>,
        bars: KernelBars<'_, T>,
        (p_bar, gradient, own): (&mut [T], &mut [T], &mut CentreBars<T>),
    ) {
        let excess_bar = layer.excess_bar(bars, self.rows);
        layer.adjoint(p, extent, centres, bars, p_bar, own);
        let (t_bar, y_bar) = self.kernel_adjoint(p.data, centres, &excess_bar, p_bar, own);
        self.features_adjoint(&affines(graph), net, t_bar, y_bar, gradient);
    }

    /// Adds to the adjoints of p and c; returns those of t and y.
    fn kernel_adjoint(
        &self,
        p: &[T],
        centres: &Centres<T>,
        bar: &[T],
        p_bar: &mut [T],
        own: &mut CentreBars<T>,
    ) -> (Vec<T>, Vec<T>) {
        let (n, m) = (self.rows, centres.half_norms.len());
        let h = centres.points.len() / m;
        let scale = centres.precision;
        let (s2, two) = (scale * scale, T::of(2.0));
        let product = |points: &[T]| {
            let mut out = vec![T::ZERO; n * h];
            let points = Mat::new(points, m, h);
            matmul(MatMut::new(&mut out, n, h), Mat::new(bar, n, m), points, false);
            out
        };
        let (with_c, with_c2) = (product(&centres.points), product(&squares(&centres.points)));
        let (mut t_bar, mut y_bar) = (vec![T::ZERO; n * h], vec![T::ZERO; n * h]);
        // d excess / dc = towards + c pull.
        let (mut towards, mut pull) = (vec![T::ZERO; n * h], vec![T::ZERO; n * h]);
        let totals: Vec<T> = bar.chunks(m).map(sum).collect();
        for k in 0..n * h {
            let (total, p) = (totals[k / h], p[k]);
            let (t, y) = (self.t[k], self.y[k]);
            let apart = total * p - with_c[k];
            t_bar[k] = s2 * (total * p * p - two * p * with_c[k] + with_c2[k]) - scale * total;
            y_bar[k] = -(scale * apart);
            p_bar[k] += two * s2 * t * apart - scale * y * total;
            towards[k] = scale * y - two * s2 * t * p;
            pull[k] = two * s2 * t;
        }
        let bar_t = Mat::new(bar, n, m).t();
        matmul(MatMut::new(&mut own.points, m, h), bar_t, Mat::new(&towards, n, h), true);
        let mut pulled = vec![T::ZERO; m * h];
        matmul(MatMut::new(&mut pulled, m, h), bar_t, Mat::new(&pull, n, h), false);
        for ((o, f), c) in own.points.iter_mut().zip(&pulled).zip(&centres.points) {
            *o += *f * *c;
        }
        // -S d excess / dS = excess + square.
        for (k, bar) in bar.iter().enumerate() {
            own.stretch[k % m] += *bar * (self.excess[k] + self.square[k]);
        }
        (t_bar, y_bar)
    }

    fn features_adjoint(
        &self,
        maps: &[Affine],
        net: &[T],
        mut t_bar: Vec<T>,
        mut y_bar: Vec<T>,
        gradient: &mut [T],
    ) {
        let [hidden_maps @ .., last, skip] = maps else { return };
        let ones = vec![T::ONE; self.x.len()];
        let weight = |map: &Affine| &net[map.weight.clone()];
        add_squared(&mut gradient[skip.weight.clone()], &t_bar, &ones, weight(skip), skip);
        let mut map = last;
        let mut value_bar: Option<Vec<T>> = None;
        for (hidden, below) in self.hidden.iter().zip(hidden_maps).rev() {
            let out = &mut gradient[map.weight.clone()];
            add_outer(out, &y_bar, &hidden.y, map);
            add_squared(out, &t_bar, &hidden.t, weight(map), map);
            if let Some(bar) = &value_bar {
                add_outer(out, bar, &hidden.value, map);
            }
            let above = value_bar.map(|bar| apply_back(&bar, weight(map), map));
            t_bar = apply_back(&t_bar, &squares(weight(map)), map);
            y_bar = apply_back(&y_bar, weight(map), map);
            let bar = hidden.unbend(above.as_deref(), &mut t_bar, &mut y_bar);
            if let Some(bias) = &below.bias {
                add_row_sums(&mut gradient[bias.clone()], &bar);
            }
            value_bar = Some(bar);
            map = below;
        }
        let out = &mut gradient[map.weight.clone()];
        add_squared(out, &t_bar, &ones, weight(map), map);
        if let Some(bar) = &value_bar {
            add_outer(out, bar, &self.x, map);
        }
    }
}

impl<T: Real> Hidden<T> {
    /// Softplus: h' = sigma, h'' = sigma (1 - sigma).
    fn bend(&mut self, a: &[T]) {
        let zeros = || vec![T::ZERO; a.len()];
        (self.value, self.slope, self.t, self.y) = (zeros(), zeros(), zeros(), zeros());
        for k in 0..a.len() {
            let decay = (-a[k].abs()).exp();
            let large = T::ONE / (T::ONE + decay);
            let (sigma, positive) =
                if a[k] < T::ZERO { (decay * large, T::ZERO) } else { (large, a[k]) };
            self.value[k] = positive + decay.ln_1p_unit();
            self.slope[k] = sigma;
            self.t[k] = sigma * sigma * self.t_in[k];
            self.y[k] = sigma * self.y_in[k] + sigma * (T::ONE - sigma) * self.t_in[k];
        }
    }

    /// Turns the adjoints of the output's t and y into those of the input's; returns that of the input's
    /// value, given that of the output's.
    fn unbend(&self, value_bar: Option<&[T]>, t_bar: &mut [T], y_bar: &mut [T]) -> Vec<T> {
        (0..t_bar.len())
            .map(|k| {
                let h1 = self.slope[k];
                let h2 = h1 * (T::ONE - h1);
                let h3 = h2 * (T::ONE - h1 - h1);
                let (t, y) = (t_bar[k], y_bar[k]);
                let bar = value_bar.map_or(T::ZERO, |v| v[k] * h1)
                    + t * T::of(2.0) * h1 * h2 * self.t_in[k]
                    + y * (h2 * self.y_in[k] + h3 * self.t_in[k]);
                t_bar[k] = h1 * h1 * t + h2 * y;
                y_bar[k] = h1 * y;
                bar
            })
            .collect()
    }
}
