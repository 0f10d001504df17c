//! The trace of a potential's Hessian by a second backward sweep: two older estimates, kept to compare
//! with (MATH (8)). Both begin with the ordinary backward sweep, u = df/dy for every node y, and with the
//! second derivatives c = h''(a) u of every activation of input a.
//!
//! - **Curvature propagation** (Martens, Sutskever, Swersky 2012): covectors S and T start at 0 and are pulled back
//!   by the Jacobians; at every activation S gets sqrt|c| v and T gets sign(c) sqrt|c| v, v fresh noise with
//!   E[v v^T] = I over all units. Then E[S T^T] at the input is the Hessian, and S.T is unbiased for its trace. (S and T are
//!   the sum and difference of the parts with c > 0 and c < 0; S.T is the real part of their complex form.)
//! - **The approximate diagonal** (Kingma, LeCun 2010): second derivatives D are pulled back by the squared Jacobians,
//!   each activation adding c: D_x = sum_y (dy/dx)^2 D_y + c. Products of different units' derivatives are left
//!   out, so it is exact where there is one layer of activations and biased, by terms that do not average out,
//!   where there are more.
//!
//! Gradients go through both sweeps: the adjoint of the second, of the curvatures and of the first, then
//! ordinary reverse mode. Buffers are not kept, and rows are not tiled for the cache: these are for comparison.

use super::covectors::{Bend, Network, PerNode, bending_nodes};
use super::loss_pass::Tile;
use super::{Model, ModelKind};
use crate::graph::{Graph, Op};
use crate::kernel::Real;
use crate::kernel::vector::{add_assign, axpy, dot};
use crate::objective::{Objective, RowLoss, SecondSweep, Slices};
use crate::{Error, Result};

/// Refuses models that have no second backward sweep, where the objective needs one.
pub(super) fn check<T: Real>(objective: &Objective, model: &Model<T>) -> Result<()> {
    if objective.second_sweep().is_none() {
        return Ok(());
    }
    if model.kind() == ModelKind::Score {
        let message = "cp and approx-backprop propagate second derivatives of a density; they need a potential";
        return Err(Error::config("objective", message));
    }
    if model.graph().nodes().iter().any(|n| matches!(n.op, Op::Multiply { .. })) {
        let message = "cp and approx-backprop are not for networks with products of units";
        return Err(Error::config("objective", message));
    }
    Ok(())
}

/// Numbers of noise per slice: units that are not linear.
pub(super) fn noise_width(graph: &Graph) -> usize {
    bending_nodes(graph).map(|(_, input)| graph.nodes()[input].width).sum()
}

/// Floating-point operations in the matrix products of one loss and gradient over `rows` rows.
pub(super) fn product_operations(graph: &Graph, rows: usize, sweep: SecondSweep) -> u64 {
    let pulls = match sweep {
        SecondSweep::Diagonal => 2,
        SecondSweep::Random(slices) => 1 + 2 * slices as u64,
    };
    let once: u64 = (graph.nodes().iter())
        .filter_map(|node| match node.op {
            Op::Affine { input, .. } => Some(2 * rows * node.width * graph.nodes()[input.0].width),
            _ => None,
        })
        .sum::<usize>() as u64;
    // Forward; every sweep, its adjoint and its gradient; the last reverse pass and its gradient.
    once * (1 + 3 * pulls + 2)
}

/// Losses of the rows of a tile without their weights and, where a gradient is given, `weight` times the
/// gradient of their weighted sum.
pub(super) fn run<T: Real>(
    sweep: SecondSweep,
    rule: &dyn RowLoss<T>,
    (graph, parameters): (&Graph, &[T]),
    tile: Tile<'_, T>,
    losses: &mut [T],
    gradient: Option<(&mut [T], T)>,
) {
    let network = Network::new((graph, parameters), tile.rows, tile.x, tile.contexts);
    let mut u = network.zeros();
    u[graph.nodes().len() - 1].fill(T::ONE);
    network.pull(&mut u, false);
    let bends = network.curvatures(&u);
    let pairs = match sweep {
        SecondSweep::Diagonal => vec![diagonal(&network, &bends)],
        SecondSweep::Random(slices) => {
            (0..slices).map(|m| propagated(&network, &bends, tile, m)).collect()
        }
    };
    let (input, d) = (network.input(), graph.input_width());
    let mut score_bar = network.zeros();
    let mut curvature_bar = vec![T::ZERO; tile.rows];
    for r in 0..tile.rows {
        let row = r * d..(r + 1) * d;
        let mut q = T::ZERO;
        pairs.iter().for_each(|pair| q += pair.curvature(input, row.clone()));
        let seen = Slices { projections: &[], noise: &[], curvature: q };
        let term = rule.slice_term(seen, &mut []);
        let score = &u[input][row.clone()];
        let bar = &mut score_bar[input][row];
        losses[r] = term.loss + rule.score_term(score, &[], bar);
        bar.iter_mut().for_each(|bar| *bar *= tile.weight(r));
        curvature_bar[r] = tile.weight(r) * term.curvature_bar;
    }
    let Some((gradient, weight)) = gradient else { return };
    let mut weighted = vec![T::ZERO; gradient.len()];
    let mut value_bar = network.zeros();
    for pair in &pairs {
        let below =
            pair.adjoint(&network, (input, d), &curvature_bar, &mut weighted, &mut value_bar);
        for (bend, c_bar) in bends.iter().zip(below) {
            network.curvature_adjoint(bend, &c_bar, &u, &mut score_bar, &mut value_bar);
        }
    }
    network.push(&u, &mut score_bar, false, &mut weighted, &mut value_bar);
    network.backpropagate(&mut value_bar, &mut weighted);
    axpy(gradient, weight, &weighted);
}

/// What a second sweep left behind.
enum Pulled<T> {
    /// D.
    Diagonal(PerNode<T>),
    /// S and T, and for each node that is not linear the derivatives of sqrt|c| v and of sign(c) sqrt|c| v
    /// with respect to c.
    Pair { s: PerNode<T>, t: PerNode<T>, noise: Vec<[Vec<T>; 2]> },
}

fn diagonal<T: Real>(network: &Network<'_, T>, bends: &[Bend<T>]) -> Pulled<T> {
    let mut d = network.zeros();
    bends.iter().for_each(|bend| add_assign(&mut d[bend.input], &bend.c));
    network.pull(&mut d, true);
    Pulled::Diagonal(d)
}

fn propagated<T: Real>(
    network: &Network<'_, T>,
    bends: &[Bend<T>],
    tile: Tile<'_, T>,
    m: usize,
) -> Pulled<T> {
    let (mut s, mut t) = (network.zeros(), network.zeros());
    let width: usize = bends.iter().map(|b| b.c.len() / tile.rows).sum();
    let (mut start, mut noise) = (0, Vec::new());
    for bend in bends {
        let units = bend.c.len() / tile.rows;
        let mut slopes = [Vec::with_capacity(bend.c.len()), Vec::with_capacity(bend.c.len())];
        for (at, c) in bend.c.iter().enumerate() {
            let (r, unit) = (at / units, at % units);
            let v = tile.slices[(m * tile.rows + r) * width + start + unit];
            let (root, sign) = (c.abs().sqrt(), if *c < T::ZERO { -T::ONE } else { T::ONE });
            s[bend.input][at] += root * v;
            t[bend.input][at] += sign * root * v;
            // Where c is 0 the root has no derivative, and nothing comes from there.
            let slope = if root > T::ZERO { T::of(0.5) * v / root } else { T::ZERO };
            slopes[0].push(sign * slope);
            slopes[1].push(slope);
        }
        noise.push(slopes);
        start += units;
    }
    network.pull(&mut s, false);
    network.pull(&mut t, false);
    Pulled::Pair { s, t, noise }
}

impl<T: Real> Pulled<T> {
    /// Its trace for one row: of D, or S.T.
    fn curvature(&self, input: usize, row: std::ops::Range<usize>) -> T {
        match self {
            Pulled::Diagonal(d) => d[input][row].iter().fold(T::ZERO, |sum, d| sum + *d),
            Pulled::Pair { s, t, .. } => dot(&s[input][row.clone()], &t[input][row]),
        }
    }

    /// Carries the adjoint of the traces back through the sweep; returns that of every node's c.
    fn adjoint(
        &self,
        network: &Network<'_, T>,
        (input, width): (usize, usize),
        curvature_bar: &[T],
        gradient: &mut [T],
        value_bar: &mut PerNode<T>,
    ) -> Vec<Vec<T>> {
        let mut pushed = |u: &PerNode<T>, other: Option<&PerNode<T>>, squared: bool| {
            let mut a = network.zeros();
            for (at, a) in a[input].iter_mut().enumerate() {
                *a = curvature_bar[at / width] * other.map_or(T::ONE, |o| o[input][at]);
            }
            network.push(u, &mut a, squared, gradient, value_bar);
            a
        };
        match self {
            Pulled::Diagonal(d) => {
                let a = pushed(d, None, true);
                network.bending().map(|(_, input)| a[input].clone()).collect()
            }
            Pulled::Pair { s, t, noise } => {
                let (a_s, a_t) = (pushed(s, Some(t), false), pushed(t, Some(s), false));
                let nodes = network.bending().zip(noise);
                let c_bar = |input: usize, [from_s, from_t]: &[Vec<T>; 2]| {
                    let s = a_s[input].iter().zip(from_s).map(|(a, n)| *a * *n);
                    let t = a_t[input].iter().zip(from_t).map(|(a, n)| *a * *n);
                    s.zip(t).map(|(s, t)| s + t).collect()
                };
                nodes.map(|((_, input), noise)| c_bar(input, noise)).collect()
            }
        }
    }
}
