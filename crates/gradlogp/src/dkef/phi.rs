//! phi by hand: its affine maps, its hidden layers at some rows, and what sweeps of second derivatives
//! through it share ([`SecondOrder`]).

use super::layer::{CentreBars, Centres};
use crate::graph::Graph;
use gradlogp_numeric::activation::{self, Activation, Forward, Layout, Squares};
use gradlogp_numeric::vector::{add_row_sums, add_to_rows};
use gradlogp_numeric::{Mat, MatMut, Real, matmul};

/// An estimate of the Laplacian of each kernel k(x, z_m), written k excess with excess n x M, that is not made
/// of jets. It is linear in k, so that b keeps its closed form.
pub(super) trait SecondOrder<T: Real>: Send {
    /// The excess at the rows `x` (n x d), whose features are `p` (n x H), for the `noise` of these rows.
    fn forward(&mut self, phi: &Phi<'_, T>, x: &[T], noise: &[T], p: &[T], centres: &Centres<T>);

    /// n x M.
    fn excess(&self) -> &[T];

    /// From the adjoint `bar` of the excess (n x M) adds to those of `p`, to the gradient of phi and to the
    /// kernel's own.
    fn adjoint(
        &mut self,
        phi: &Phi<'_, T>,
        p: &[T],
        centres: &Centres<T>,
        bar: &[T],
        into: (&mut [T], &mut [T], &mut CentreBars<T>),
    );
}

/// A layer's weight and where it and its bias lie.
#[derive(Debug, Clone)]
pub(super) struct Affine {
    pub(super) weight: std::ops::Range<usize>,
    bias: Option<std::ops::Range<usize>>,
    inner: usize,
    outer: usize,
}

/// One phi: its parameters and its maps.
pub(super) struct Phi<'a, T> {
    net: &'a [T],
    /// Those before a softplus.
    pub(super) hidden: Vec<Affine>,
    /// The one after the last softplus, and the one from x; None where phi is the identity.
    pub(super) ends: Option<(Affine, Affine)>,
}

/// A softplus layer at some rows, n x H each.
#[derive(Debug, Clone)]
pub(super) struct Units<T> {
    pub(super) value: Vec<T>,
    /// h'.
    pub(super) derivative: Vec<T>,
}

impl<T: Real> Units<T> {
    /// h', h'' and h''' of unit `k`: sigma, sigma (1 - sigma), sigma (1 - sigma)(1 - 2 sigma).
    #[inline(always)]
    pub(super) fn derivatives(&self, k: usize) -> [T; 3] {
        let h1 = self.derivative[k];
        let h2 = h1 * (T::ONE - h1);
        [h1, h2, h2 * (T::ONE - h1 - h1)]
    }
}

/// Columns of noise that one sweep needs at phi: one for each hidden unit and each feature.
pub(super) fn noise_width(graph: &Graph) -> usize {
    let shapes = graph.parameters().iter().filter(|(p, _)| p.shape.len() == 2);
    match shapes.map(|(p, _)| p.shape[0]).collect::<Vec<_>>()[..] {
        // Hidden layers, features; the skip ends at the same features.
        [ref layers @ .., _] => layers.iter().sum(),
        [] => graph.input_width(),
    }
}

impl<'a, T: Real> Phi<'a, T> {
    /// Of a graph with the maps 0, 1, 2 and skip in this order, or with none.
    pub(super) fn new(graph: &Graph, net: &'a [T]) -> Self {
        let mut maps: Vec<Affine> = Vec::new();
        for (parameter, range) in graph.parameters().iter() {
            if let [outer, inner] = parameter.shape[..] {
                maps.push(Affine { weight: range, bias: None, inner, outer });
            } else if let Some(map) = maps.last_mut() {
                map.bias = Some(range);
            }
        }
        let skip = maps.pop();
        let ends = maps.pop().zip(skip);
        Phi { net, hidden: maps, ends }
    }

    pub(super) fn weight(&self, map: &Affine) -> &[T] {
        &self.net[map.weight.clone()]
    }

    /// x W^T.
    pub(super) fn apply(&self, map: &Affine, x: &[T]) -> Vec<T> {
        product(x, self.weight(map), map)
    }

    /// y W.
    pub(super) fn apply_back(&self, map: &Affine, y: &[T]) -> Vec<T> {
        product_back(y, self.weight(map), map)
    }

    /// x (W^2)^T.
    pub(super) fn apply_squared(&self, map: &Affine, x: &[T]) -> Vec<T> {
        product(x, &squares(self.weight(map)), map)
    }

    /// The maps after each softplus: those of `hidden` but the first, and the last one.
    pub(super) fn after_hidden(&self) -> Vec<&Affine> {
        let last = self.ends.as_ref().map(|(last, _)| last);
        self.hidden.iter().skip(1).chain(last).collect()
    }

    /// y W^2.
    pub(super) fn apply_back_squared(&self, map: &Affine, y: &[T]) -> Vec<T> {
        product_back(y, &squares(self.weight(map)), map)
    }

    /// The hidden layers at the rows `x`.
    pub(super) fn units(&self, x: &[T]) -> Vec<Units<T>> {
        let mut out: Vec<Units<T>> = Vec::new();
        for map in &self.hidden {
            let mut a = self.apply(map, out.last().map_or(x, |below| &below.value));
            if let Some(bias) = &map.bias {
                add_to_rows(&mut a, &self.net[bias.clone()]);
            }
            out.push(softplus(&a));
        }
        out
    }

    /// Ordinary reverse mode: from the adjoints of what enters each softplus, beside what comes from the
    /// layers above, to the gradient of weights and biases.
    pub(super) fn backpropagate(
        &self,
        x: &[T],
        units: &[Units<T>],
        mut bars: Vec<Vec<T>>,
        gradient: &mut [T],
    ) {
        for l in (0..units.len()).rev() {
            let map = &self.hidden[l];
            let bar = std::mem::take(&mut bars[l]);
            let below = l.checked_sub(1).map_or(x, |below| &units[below].value);
            add_outer(&mut gradient[map.weight.clone()], &bar, below, map);
            if let Some(bias) = &map.bias {
                add_row_sums(&mut gradient[bias.clone()], &bar);
            }
            if l > 0 {
                let value_bar = self.apply_back(map, &bar);
                let derivative = units[l - 1].derivative.iter();
                for ((b, v), h1) in bars[l - 1].iter_mut().zip(&value_bar).zip(derivative) {
                    *b += *h1 * *v;
                }
            }
        }
    }
}

pub(super) fn squares<T: Real>(x: &[T]) -> Vec<T> {
    x.iter().map(|x| *x * *x).collect()
}

fn product<T: Real>(x: &[T], weight: &[T], map: &Affine) -> Vec<T> {
    let n = x.len() / map.inner;
    let mut out = vec![T::ZERO; n * map.outer];
    let w = Mat::new(weight, map.outer, map.inner);
    matmul(MatMut::new(&mut out, n, map.outer), Mat::new(x, n, map.inner), w.t(), false);
    out
}

fn product_back<T: Real>(y: &[T], weight: &[T], map: &Affine) -> Vec<T> {
    let n = y.len() / map.outer;
    let mut out = vec![T::ZERO; n * map.inner];
    let w = Mat::new(weight, map.outer, map.inner);
    matmul(MatMut::new(&mut out, n, map.inner), Mat::new(y, n, map.outer), w, false);
    out
}

/// out += y^T x.
pub(super) fn add_outer<T: Real>(out: &mut [T], y: &[T], x: &[T], map: &Affine) {
    let n = y.len() / map.outer;
    let (y, x) = (Mat::new(y, n, map.outer), Mat::new(x, n, map.inner));
    matmul(MatMut::new(out, map.outer, map.inner), y.t(), x, true);
}

fn softplus<T: Real>(a: &[T]) -> Units<T> {
    let zeros = || vec![T::ZERO; a.len()];
    let mut units = Units { value: zeros(), derivative: zeros() };
    let layout = Layout {
        rows: 1,
        width: a.len(),
        directions: 0,
        curved: 0,
        shared: false,
        input_second: false,
        squares: Squares::None,
    };
    let buffers = Forward {
        input: a,
        output: &mut units.value,
        saved: &mut zeros(),
        squares: &[],
        derivative: &mut units.derivative,
    };
    activation::forward(Activation::Softplus, layout, buffers);
    units
}
