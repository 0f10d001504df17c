//! The trace of a potential's Hessian by a second backward sweep: two older estimates, kept to compare
//! with (MATH (8)). Both begin with the ordinary backward sweep, u = df/dy for every node y, and with the
//! second derivatives c = h''(a) u of every activation of input a.
//!
//! - **Curvature propagation** (Martens, Sutskever, Swersky 2012): covectors S and T start at 0 and are pulled back
//!   by the Jacobians; at every activation S gets sqrt|c| v and T gets sign(c) sqrt|c| v, v fresh noise with
//!   E[v v^T] = I over all units. Then E[S T^T] at the input is the Hessian, and S.T is unbiased for its trace.
//!   (S and T are the sum and difference of the parts with c > 0 and c < 0; S.T is the real part of their
//!   complex form.)
//! - **The approximate diagonal** (Kingma, LeCun 2010): second derivatives D are pulled back by the squared Jacobians,
//!   each activation adding c: D_x = sum_y (dy/dx)^2 D_y + c. Products of different units' derivatives are left
//!   out, so it is exact where there is one layer of activations and biased, by terms that do not average out,
//!   where there are more.
//!
//! Gradients go through both sweeps: the adjoint of the second, of the curvatures and of the first, then
//! ordinary reverse mode. These are for comparison.

use super::vjp::{Held, Network, Nonlinearity, PerNode, bytes, nonlinearities};
use super::{GradientOf, Route};
use crate::graph::{Graph, Op};
use crate::model::tile::Tile;
use crate::model::{Model, ModelKind};
use crate::objective::{Objective, RowLoss, SecondSweep, Slices};
use crate::{Error, Result};
use gradlogp_numeric::Real;
use gradlogp_numeric::vector::{add_assign, dot};

/// Refuses models that have no second backward sweep, where the objective needs one.
pub(in crate::model) fn check<T: Real>(objective: &Objective, model: &Model<T>) -> Result<()> {
    if objective.second_sweep().is_none() {
        return Ok(());
    }
    if model.kind() == ModelKind::Score {
        let message = "cp and approx-backprop propagate second derivatives of a density; they need a potential";
        return Err(Error::config("objective", message));
    }
    if multiplies_units(model.graph()) {
        let message = "cp and approx-backprop are not for networks with products of units";
        return Err(Error::config("objective", message));
    }
    Ok(())
}

/// Whether two factors of a product both depend on x: its curvature is then no diagonal. A condition may multiply.
fn multiplies_units(graph: &Graph) -> bool {
    let mut moves = Vec::with_capacity(graph.nodes().len());
    for node in graph.nodes() {
        let moving = node.op.inputs().iter().filter(|i| moves[i.0]).count();
        if matches!(node.op, Op::Multiply { .. }) && moving == 2 {
            return true;
        }
        moves.push(node.op == Op::Input || moving > 0);
    }
    false
}

/// One objective on one graph by a second backward sweep, in kept buffers.
pub(super) struct SecondSweepRoute<T: Real> {
    rule: Box<dyn RowLoss<T>>,
    pass: SecondPass<T>,
}

impl<T: Real> SecondSweepRoute<T> {
    pub(super) fn new(graph: &Graph, rule: Box<dyn RowLoss<T>>, sweep: SecondSweep) -> Self {
        SecondSweepRoute { rule, pass: SecondPass::new(graph, sweep) }
    }
}

impl<T: Real> Route<T> for SecondSweepRoute<T> {
    fn rule(&self) -> &dyn RowLoss<T> {
        self.rule.as_ref()
    }

    fn slices(&self) -> usize {
        self.pass.slices()
    }

    fn slice_width(&self) -> usize {
        self.pass.noise_width()
    }

    fn coefficients(&self) -> usize {
        2 + 2 * self.slices()
    }

    fn begin(&mut self, network: super::Network<'_, T>, gradient: Option<&mut [T]>) {
        self.pass.prepare(network.parameters);
        if let Some(gradient) = gradient {
            gradient.fill(T::ZERO);
        }
    }

    fn end(&mut self, _: super::Network<'_, T>, _: &mut [T]) {}

    fn product_operations(&self, graph: &Graph, rows: usize) -> u64 {
        self.pass.product_operations(graph, rows)
    }

    fn shared_operations(&self, _: &Graph) -> u64 {
        0
    }

    fn bytes(&self) -> usize {
        self.pass.bytes()
    }

    fn run(
        &mut self,
        network: super::Network<'_, T>,
        tile: Tile<'_, T>,
        losses: &mut [T],
        gradient: Option<GradientOf<'_, T>>,
    ) {
        let network = (network.graph, network.parameters);
        let gradient = gradient.map(|gradient| (gradient.sum, gradient.weight));
        self.pass.run(self.rule.as_ref(), network, tile, losses, gradient);
    }
}

/// The sweeps and what they leave.
struct SecondPass<T> {
    sweep: SecondSweep,
    held: Held<T>,
    nonlinearities: Vec<Nonlinearity<T>>,
    /// The covectors of the first sweep, and their adjoints.
    u: PerNode<T>,
    u_bar: PerNode<T>,
    value_bar: PerNode<T>,
    pulled: Vec<Pulled<T>>,
    /// Adjoints of S and T, or of D.
    pushed: [PerNode<T>; 2],
    curvature_bar: Vec<T>,
    /// The adjoint of the second derivatives of one node.
    c_bar: Vec<T>,
    /// The gradient with respect to the squares of the parameters.
    by_squares: Vec<T>,
}

impl<T: Real> SecondPass<T> {
    fn new(graph: &Graph, sweep: SecondSweep) -> Self {
        let nonlinearities = nonlinearities(graph);
        let pulled = match sweep {
            SecondSweep::Diagonal => vec![Pulled::Diagonal(Vec::new())],
            SecondSweep::Random(slices) => (0..slices)
                .map(|_| {
                    let noise = nonlinearities.iter().map(|_| Default::default()).collect();
                    Pulled::Pair { s: Vec::new(), t: Vec::new(), noise }
                })
                .collect(),
        };
        SecondPass {
            sweep,
            held: Held::default(),
            nonlinearities,
            u: Vec::new(),
            u_bar: Vec::new(),
            value_bar: Vec::new(),
            pulled,
            pushed: [Vec::new(), Vec::new()],
            curvature_bar: Vec::new(),
            c_bar: Vec::new(),
            by_squares: Vec::new(),
        }
    }

    /// How many times noise is propagated.
    fn slices(&self) -> usize {
        match self.sweep {
            SecondSweep::Random(slices) => slices,
            SecondSweep::Diagonal => 0,
        }
    }

    /// Numbers of noise per slice: units that are not linear.
    fn noise_width(&self) -> usize {
        self.nonlinearities.iter().map(|nonlinearity| nonlinearity.units).sum()
    }

    /// Bytes held at present.
    fn bytes(&self) -> usize {
        let own =
            self.nonlinearities.iter().map(|nonlinearity| nonlinearity.c.len()).sum::<usize>()
                + self.curvature_bar.len()
                + self.c_bar.len()
                + self.by_squares.len();
        let arrays = [&self.u, &self.u_bar, &self.value_bar, &self.pushed[0], &self.pushed[1]];
        self.held.bytes()
            + own * size_of::<T>()
            + arrays.into_iter().map(bytes).sum::<usize>()
            + self.pulled.iter().map(Pulled::bytes).sum::<usize>()
    }

    /// Floating-point operations in the matrix products of one loss and gradient over `rows` rows.
    fn product_operations(&self, graph: &Graph, rows: usize) -> u64 {
        let pulls = match self.sweep {
            SecondSweep::Diagonal => 2,
            SecondSweep::Random(slices) => 1 + 2 * slices as u64,
        };
        let once: u64 = (graph.nodes().iter())
            .filter_map(|node| match node.op {
                Op::Affine { input, .. } => {
                    Some(2 * rows * node.width * graph.nodes()[input.0].width)
                }
                _ => None,
            })
            .sum::<usize>() as u64;
        // Forward; every sweep, its adjoint and its gradient; the last reverse pass and its gradient.
        once * (1 + 3 * pulls + 2)
    }

    /// To be called before the first of a set of tiles with the same parameters.
    fn prepare(&mut self, parameters: &[T]) {
        if self.sweep == SecondSweep::Diagonal {
            self.held.square(parameters);
        }
    }

    /// Losses of the rows of a tile without their weights and, where a gradient is given, `weight` times the
    /// gradient of their weighted sum.
    fn run(
        &mut self,
        rule: &dyn RowLoss<T>,
        (graph, parameters): (&Graph, &[T]),
        tile: Tile<'_, T>,
        losses: &mut [T],
        gradient: Option<(&mut [T], T)>,
    ) {
        let weight = gradient.as_ref().map_or(T::ZERO, |(_, weight)| *weight);
        let network = self.held.evaluate((graph, parameters), tile.rows, tile.x, tile.contexts);
        network.zero(&mut self.u);
        self.u[graph.nodes().len() - 1].fill(T::ONE);
        network.pull(&mut self.u, false);
        network.curvatures(&self.u, &mut self.nonlinearities);
        for (m, pulled) in self.pulled.iter_mut().enumerate() {
            pulled.pull(network, &self.nonlinearities, tile, m);
        }
        let (input, d) = (network.input(), graph.input_width());
        network.zero(&mut self.u_bar);
        self.curvature_bar.resize(tile.rows, T::ZERO);
        for r in 0..tile.rows {
            let row = r * d..(r + 1) * d;
            let mut q = T::ZERO;
            self.pulled.iter().for_each(|pulled| q += pulled.curvature(input, row.clone()));
            let seen = Slices { projections: &[], noise: &[], curvature: q };
            let term = rule.slice_term(seen, &mut []);
            let score = &self.u[input][row.clone()];
            let bar = &mut self.u_bar[input][row];
            losses[r] = term.loss + rule.score_term(score, &[], bar);
            let weight = weight * tile.weight(r);
            bar.iter_mut().for_each(|bar| *bar *= weight);
            self.curvature_bar[r] = weight * term.curvature_bar;
        }
        let Some((gradient, _)) = gradient else { return };
        network.zero(&mut self.value_bar);
        self.by_squares.clear();
        self.by_squares.resize(gradient.len(), T::ZERO);
        for pulled in &self.pulled {
            let ends = (self.curvature_bar.as_slice(), input);
            let into = match pulled {
                Pulled::Diagonal(_) => self.by_squares.as_mut_slice(),
                Pulled::Pair { .. } => &mut *gradient,
            };
            pulled.adjoint(network, ends, &mut self.pushed, into, &mut self.value_bar);
            for (k, nonlinearity) in self.nonlinearities.iter().enumerate() {
                pulled.curvature_bar(&self.pushed, (k, nonlinearity.input), &mut self.c_bar);
                let bars = (&mut self.u_bar, &mut self.value_bar);
                network.curvature_adjoint(nonlinearity, &self.c_bar, &self.u, bars);
            }
        }
        if self.sweep == SecondSweep::Diagonal {
            network.add_unsquared(&self.by_squares, gradient);
        }
        network.push(&self.u, &mut self.u_bar, false, gradient, &mut self.value_bar);
        network.backpropagate(&mut self.value_bar, gradient);
    }
}

/// What a second sweep left behind.
enum Pulled<T> {
    /// D.
    Diagonal(PerNode<T>),
    /// S and T, and for each node that is not linear the derivatives of sqrt|c| v and of sign(c) sqrt|c| v
    /// with respect to c.
    Pair { s: PerNode<T>, t: PerNode<T>, noise: Vec<[Vec<T>; 2]> },
}

impl<T: Real> Pulled<T> {
    /// The sweep, with the `m`-th slices of the rows.
    fn pull(
        &mut self,
        network: Network<'_, T>,
        nonlinearities: &[Nonlinearity<T>],
        tile: Tile<'_, T>,
        m: usize,
    ) {
        match self {
            Pulled::Diagonal(d) => {
                network.zero(d);
                nonlinearities.iter().for_each(|nonlinearity| {
                    add_assign(&mut d[nonlinearity.input], &nonlinearity.c)
                });
                network.pull(d, true);
            }
            Pulled::Pair { s, t, noise } => {
                network.zero(s);
                network.zero(t);
                let width: usize =
                    nonlinearities.iter().map(|nonlinearity| nonlinearity.units).sum();
                let mut start = 0;
                for (nonlinearity, derivatives) in nonlinearities.iter().zip(noise) {
                    derivatives.iter_mut().for_each(Vec::clear);
                    for (at, c) in nonlinearity.c.iter().enumerate() {
                        let (r, unit) = (at / nonlinearity.units, at % nonlinearity.units);
                        let v = tile.slices[(m * tile.rows + r) * width + start + unit];
                        let (root, sign) =
                            (c.abs().sqrt(), if *c < T::ZERO { -T::ONE } else { T::ONE });
                        s[nonlinearity.input][at] += root * v;
                        t[nonlinearity.input][at] += sign * root * v;
                        // Where c is 0 the root has no derivative, and nothing comes from there.
                        let first = if root > T::ZERO { T::of(0.5) * v / root } else { T::ZERO };
                        derivatives[0].push(sign * first);
                        derivatives[1].push(first);
                    }
                    start += nonlinearity.units;
                }
                network.pull(s, false);
                network.pull(t, false);
            }
        }
    }

    /// Its trace for one row: of D, or S.T.
    fn curvature(&self, input: usize, row: std::ops::Range<usize>) -> T {
        match self {
            Pulled::Diagonal(d) => d[input][row].iter().fold(T::ZERO, |sum, d| sum + *d),
            Pulled::Pair { s, t, .. } => dot(&s[input][row.clone()], &t[input][row]),
        }
    }

    /// Carries the adjoint of the traces back through the sweep, to every node's D, or S and T; adds to the gradient
    /// of the parameters, or of their squares for D.
    fn adjoint(
        &self,
        network: Network<'_, T>,
        (curvature_bar, input): (&[T], usize),
        [a, b]: &mut [PerNode<T>; 2],
        gradient: &mut [T],
        value_bar: &mut PerNode<T>,
    ) {
        let mut push = |u: &PerNode<T>, other: Option<&PerNode<T>>, a: &mut PerNode<T>| {
            network.zero(a);
            let width = a[input].len() / curvature_bar.len();
            for (at, a) in a[input].iter_mut().enumerate() {
                *a = curvature_bar[at / width] * other.map_or(T::ONE, |o| o[input][at]);
            }
            network.push(u, a, other.is_none(), gradient, value_bar);
        };
        match self {
            Pulled::Diagonal(d) => push(d, None, a),
            Pulled::Pair { s, t, .. } => {
                push(s, Some(t), a);
                push(t, Some(s), b);
            }
        }
    }

    /// Writes the adjoint of c at the `k`-th node that is not linear, from those of its input.
    fn curvature_bar(
        &self,
        [a, b]: &[PerNode<T>; 2],
        (k, input): (usize, usize),
        out: &mut Vec<T>,
    ) {
        out.clear();
        match self {
            Pulled::Diagonal(_) => out.extend_from_slice(&a[input]),
            Pulled::Pair { noise, .. } => {
                let [from_s, from_t] = &noise[k];
                let s = a[input].iter().zip(from_s).map(|(a, n)| *a * *n);
                let t = b[input].iter().zip(from_t).map(|(a, n)| *a * *n);
                out.extend(s.zip(t).map(|(s, t)| s + t));
            }
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Pulled::Diagonal(d) => bytes(d),
            Pulled::Pair { s, t, noise } => {
                let noise = noise.iter().flatten().map(Vec::len).sum::<usize>();
                bytes(s) + bytes(t) + noise * size_of::<T>()
            }
        }
    }
}
