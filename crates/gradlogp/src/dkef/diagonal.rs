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

use super::layer::{CentreBars, Centres, sum};
use super::phi::{Affine, Phi, SecondOrder, Units, add_outer, squares};
use gradlogp_numeric::simd::dispatch;
use gradlogp_numeric::vector::add_assign;
use gradlogp_numeric::{Mat, MatMut, Real, matmul};

/// One phi and its kernel.
#[derive(Debug, Clone)]
pub(super) struct Diagonal<T> {
    units: Vec<Units<T>>,
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

/// t and y of a softplus layer's input and output, each n x H.
#[derive(Debug, Clone)]
struct Hidden<T> {
    t_in: Vec<T>,
    y_in: Vec<T>,
    t: Vec<T>,
    y: Vec<T>,
}

impl<T: Real> SecondOrder<T> for Diagonal<T> {
    fn forward(&mut self, phi: &Phi<'_, T>, x: &[T], _noise: &[T], p: &[T], centres: &Centres<T>) {
        self.x = x.to_vec();
        self.features(phi);
        self.rows = p.len() / centres.features();
        self.kernel(p, centres);
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
        let (t_bar, y_bar) = self.kernel_adjoint(p, centres, bar, p_bar, own);
        self.features_adjoint(phi, t_bar, y_bar, gradient);
    }
}

impl<T: Real> Diagonal<T> {
    pub(super) fn new() -> Self {
        Diagonal {
            units: Vec::new(),
            hidden: Vec::new(),
            x: Vec::new(),
            rows: 0,
            t: Vec::new(),
            y: Vec::new(),
            square: Vec::new(),
            excess: Vec::new(),
        }
    }

    fn features(&mut self, phi: &Phi<'_, T>) {
        self.units = phi.units(&self.x);
        self.hidden.clear();
        let ones = vec![T::ONE; self.x.len()];
        let (mut t, mut y) = (ones.clone(), vec![T::ZERO; ones.len()]);
        for (map, units) in phi.hidden.iter().zip(&self.units) {
            let hidden =
                Hidden::through_activation(phi.apply_squared(map, &t), phi.apply(map, &y), units);
            (t, y) = (hidden.t.clone(), hidden.y.clone());
            self.hidden.push(hidden);
        }
        if let Some((last, skip)) = &phi.ends {
            (t, y) = (phi.apply_squared(last, &t), phi.apply(last, &y));
            add_assign(&mut t, &phi.apply_squared(skip, &ones));
        }
        (self.t, self.y) = (t, y);
    }

    fn kernel(&mut self, p: &[T], centres: &Centres<T>) {
        let (n, m) = (self.rows, centres.half_norms.len());
        let h = centres.points.len() / m;
        let scale = centres.precision;
        let (s2, two) = (scale * scale, T::of(2.0));
        let linear: Vec<T> = (0..n * h).map(|k| -(two * s2 * self.t[k] * p[k])).collect();
        let mut square = vec![T::ZERO; n * m];
        let c2 = squares(&centres.points);
        let scaled: Vec<T> = self.t.iter().map(|t| s2 * *t).collect();
        let (c1, c2) = (Mat::new(&centres.points, m, h).t(), Mat::new(&c2, m, h).t());
        matmul(MatMut::new(&mut square, n, m), Mat::new(&scaled, n, h), c2, false);
        matmul(MatMut::new(&mut square, n, m), Mat::new(&linear, n, h), c1, true);
        let mut tilt = vec![T::ZERO; n * m];
        matmul(MatMut::new(&mut tilt, n, m), Mat::new(&self.y, n, h), c1, false);
        dispatch(
            #[inline(always)]
            || {
                for (r, (square, tilt)) in square.chunks_mut(m).zip(tilt.chunks_mut(m)).enumerate()
                {
                    let at = |x: &[T], j: usize| x[r * h + j];
                    let (mut own, mut rest) = (T::ZERO, T::ZERO);
                    for j in 0..h {
                        own += at(&scaled, j) * at(p, j) * at(p, j);
                        rest += at(&self.t, j) + at(&self.y, j) * at(p, j);
                    }
                    for (square, tilt) in square.iter_mut().zip(tilt) {
                        *square += own;
                        *tilt = (*tilt - rest) * scale + *square;
                    }
                }
            },
        );
        (self.square, self.excess) = (square, tilt);
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
        own.add_stretch(bar, &self.excess, &self.square);
        (t_bar, y_bar)
    }

    fn features_adjoint(
        &self,
        phi: &Phi<'_, T>,
        mut t_bar: Vec<T>,
        mut y_bar: Vec<T>,
        gradient: &mut [T],
    ) {
        let Some((_, skip)) = &phi.ends else { return };
        let ones = vec![T::ONE; self.x.len()];
        add_squared(gradient, phi, skip, &t_bar, &ones);
        let mut bars = Vec::new();
        let maps = phi.after_hidden();
        for ((map, hidden), units) in maps.iter().zip(&self.hidden).zip(&self.units).rev() {
            add_squared(gradient, phi, map, &t_bar, &hidden.t);
            add_outer(&mut gradient[map.weight.clone()], &y_bar, &hidden.y, map);
            (t_bar, y_bar) = (phi.apply_back_squared(map, &t_bar), phi.apply_back(map, &y_bar));
            bars.push(hidden.through_activation_adjoint(units, &mut t_bar, &mut y_bar));
        }
        bars.reverse();
        if let Some(first) = phi.hidden.first() {
            add_squared(gradient, phi, first, &t_bar, &ones);
        }
        phi.backpropagate(&self.x, &self.units, bars, gradient);
    }
}

/// The adjoint of W where t <- t (W^2)^T: 2 W (t_bar^T t_in).
fn add_squared<T: Real>(
    gradient: &mut [T],
    phi: &Phi<'_, T>,
    map: &Affine,
    t_bar: &[T],
    t_in: &[T],
) {
    let weight = phi.weight(map);
    let mut product = vec![T::ZERO; weight.len()];
    add_outer(&mut product, t_bar, t_in, map);
    for ((g, p), w) in gradient[map.weight.clone()].iter_mut().zip(&product).zip(weight) {
        *g += T::of(2.0) * *p * *w;
    }
}

impl<T: Real> Hidden<T> {
    /// t <- h'^2 t, y <- h' y + h'' t.
    fn through_activation(t_in: Vec<T>, y_in: Vec<T>, units: &Units<T>) -> Self {
        let (mut t, mut y) = (t_in.clone(), y_in.clone());
        for k in 0..t.len() {
            let [h1, h2, _] = units.derivatives(k);
            t[k] = h1 * h1 * t_in[k];
            y[k] = h1 * y_in[k] + h2 * t_in[k];
        }
        Hidden { t_in, y_in, t, y }
    }

    /// Turns the adjoints of the output's t and y into those of the input's; returns that of the input.
    fn through_activation_adjoint(
        &self,
        units: &Units<T>,
        t_bar: &mut [T],
        y_bar: &mut [T],
    ) -> Vec<T> {
        (0..t_bar.len())
            .map(|k| {
                let [h1, h2, h3] = units.derivatives(k);
                let (t, y) = (t_bar[k], y_bar[k]);
                t_bar[k] = h1 * h1 * t + h2 * y;
                y_bar[k] = h1 * y;
                t * T::of(2.0) * h1 * h2 * self.t_in[k]
                    + y * (h2 * self.y_in[k] + h3 * self.t_in[k])
            })
            .collect()
    }
}
