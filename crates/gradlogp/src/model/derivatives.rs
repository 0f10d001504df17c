//! Derivatives of a model at given rows, for direct use.
//!
//! With s the score (the output of a score field, the gradient of a potential) and J = grad s
//! (the Hessian of a potential): value, s, J v, v.J v, tr J, diag J, each for all rows at once.

use rayon::prelude::*;

use super::{Model, ModelKind, Points};
use crate::graph::{Graph, Op};
use crate::jet::{Coefficient, First, Inputs, Request, Tape, has_laplacian, has_trace};
use gradlogp_numeric::Real;
use gradlogp_numeric::vector::dot;

/// Rows of the stacked matrices that one task aims at.
const STACK_ROWS: usize = 1024;

/// Fewest rows worth a task of their own.
const LEAST_ROWS: usize = 32;

/// Where the directions of one call come from.
#[derive(Clone, Copy)]
enum Along<'a, T> {
    /// None.
    Nothing,
    /// One per row, n x d.
    PerRow(&'a [T]),
    /// The same for every row, M x d.
    Shared(&'a [T]),
}

/// Derivatives of one model. Rows are spread over the current rayon pool.
///
/// ```
/// use gradlogp::model::{Derivatives, Mlp, ModelKind};
///
/// let model = Mlp::new(2, ModelKind::LogDensity).build::<f64>(0)?;
/// let at = Derivatives::new(&model);
/// let x = [0.3, -1.2, 0.5, 0.1]; // two rows
/// let (trace, diagonal) = (at.trace(x.as_slice()), at.jacobian_diagonal(x.as_slice()));
/// assert!((trace[0] - (diagonal[0] + diagonal[1])).abs() < 1e-12);
/// # Ok::<(), gradlogp::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Derivatives<'m, T> {
    model: &'m Model<T>,
}

/// One task: some rows, with their directions in place on a tape.
struct Task<'t, T> {
    tape: &'t mut Tape<T>,
    rows: std::ops::Range<usize>,
}

impl<'m, T: Real> Derivatives<'m, T> {
    /// Derivatives of `model`.
    pub fn new(model: &'m Model<T>) -> Self {
        Derivatives { model }
    }

    /// The output of the graph: n x d for a score field, n for a potential (log p up to a constant).
    pub fn value<'a>(&self, points: impl Into<Points<'a, T>>) -> Vec<T> {
        let width = self.model.graph().output_width();
        self.run(points.into(), Along::Nothing, Request::Value, width, |task, out| {
            out.copy_from_slice(task.tape.output().data);
        })
    }

    /// s(x), n x d.
    pub fn score<'a>(&self, points: impl Into<Points<'a, T>>) -> Vec<T> {
        match self.model.kind {
            ModelKind::Score => self.value(points),
            ModelKind::LogDensity => self.value_and_score(points).1,
        }
    }

    /// Value and score of a potential from one reverse pass: (n, n x d). For a score field the value
    /// is empty.
    pub fn value_and_score<'a>(&self, points: impl Into<Points<'a, T>>) -> (Vec<T>, Vec<T>) {
        if self.model.kind == ModelKind::Score {
            return (Vec::new(), self.value(points));
        }
        let d = self.model.dim();
        let both = self.run(points.into(), Along::Nothing, Request::Value, 1 + d, |task, out| {
            let n = task.rows.len();
            let (values, scores) = out.split_at_mut(n);
            values.copy_from_slice(task.tape.output().data);
            self.reverse(task.tape, Coefficient::Value, n, scores);
        });
        // Each task wrote its values before its scores.
        let rows = both.len() / (1 + d);
        let (mut values, mut scores) = (Vec::with_capacity(rows), Vec::with_capacity(rows * d));
        for block in both.chunks(self.task_rows(Request::Value.coefficients(), rows) * (1 + d)) {
            let n = block.len() / (1 + d);
            values.extend_from_slice(&block[..n]);
            scores.extend_from_slice(&block[n..]);
        }
        (values, scores)
    }

    /// J v for one direction per row (`v` is n x d): n x d.
    pub fn jacobian_vector<'a>(&self, points: impl Into<Points<'a, T>>, v: &[T]) -> Vec<T> {
        let d = self.model.dim();
        let request = Request::first(First::PerRow, 1);
        self.run(points.into(), Along::PerRow(v), request, d, |task, out| {
            let n = task.rows.len();
            match self.model.kind {
                ModelKind::Score => {
                    for (r, out) in out.chunks_mut(d).enumerate() {
                        fill(out, task.tape.output().row(Coefficient::First(0), r));
                    }
                }
                // d/dx of v.grad f is H v.
                ModelKind::LogDensity => self.reverse(task.tape, Coefficient::First(0), n, out),
            }
        })
    }

    /// v.J v for one direction per row (`v` is n x d): n.
    pub fn curvature<'a>(&self, points: impl Into<Points<'a, T>>, v: &[T]) -> Vec<T> {
        let request = self.curvature_request(First::PerRow, 1);
        let d = self.model.dim();
        self.run(points.into(), Along::PerRow(v), request, 1, |task, out| {
            let start = task.rows.start;
            for (r, out) in out.iter_mut().enumerate() {
                let v = &v[(start + r) * d..(start + r + 1) * d];
                *out = self.curvature_at(task.tape, r, std::iter::once(v));
            }
        })
    }

    /// tr J, the Laplacian of a potential: n. As a whole where that is cheaper than along each unit vector.
    pub fn trace<'a>(&self, points: impl Into<Points<'a, T>>) -> Vec<T> {
        let (graph, points) = (self.model.graph(), points.into());
        match self.model.kind {
            ModelKind::Score if has_trace(graph) => {
                self.run(points, Along::Nothing, Request::Trace, 1, |task, out| {
                    out.copy_from_slice(task.tape.traces());
                })
            }
            ModelKind::LogDensity
                if first_width(graph) < graph.input_width() && has_laplacian(graph) =>
            {
                self.run(points, Along::Nothing, Request::Laplacian { count: 0 }, 1, |task, out| {
                    for (r, out) in out.iter_mut().enumerate() {
                        *out = self.curvature_at(task.tape, r, std::iter::empty());
                    }
                })
            }
            _ => self.curvature_sum(points, &identity(self.model.dim())),
        }
    }

    /// sum over m of v_m.J v_m for directions shared by all rows (`v` is M x d): n.
    ///
    /// With the columns of a matrix A for v this is tr(A^T J A).
    pub fn curvature_sum<'a>(&self, points: impl Into<Points<'a, T>>, v: &[T]) -> Vec<T> {
        const BLOCK: usize = 64;
        let (points, d) = (points.into(), self.model.dim());
        let mut sum = vec![T::ZERO; points.x.len() / d];
        for v in v.chunks(BLOCK * d) {
            let request = self.curvature_request(First::Shared, v.len() / d);
            let part = self.run(points, Along::Shared(v), request, 1, |task, out| {
                for (r, out) in out.iter_mut().enumerate() {
                    *out = self.curvature_at(task.tape, r, v.chunks(d));
                }
            });
            sum.iter_mut().zip(part).for_each(|(s, p)| *s += p);
        }
        sum
    }

    /// v_m.J v_m for each of the directions shared by all rows (`v` is M x d): n x M.
    pub fn curvatures<'a>(&self, points: impl Into<Points<'a, T>>, v: &[T]) -> Vec<T> {
        let (points, d) = (points.into(), self.model.dim());
        let (rows, count) = (points.x.len() / d, v.len() / d);
        let mut out = vec![T::ZERO; rows * count];
        for (m, v) in v.chunks(d).enumerate() {
            let column = self.curvature_sum(points, v);
            for (r, c) in column.into_iter().enumerate() {
                out[r * count + m] = c;
            }
        }
        out
    }

    /// diag J: n x d.
    pub fn jacobian_diagonal<'a>(&self, points: impl Into<Points<'a, T>>) -> Vec<T> {
        self.curvatures(points, &identity(self.model.dim()))
    }

    fn curvature_request(&self, first: First, count: usize) -> Request {
        match self.model.kind {
            ModelKind::Score => Request::first(first, count),
            ModelKind::LogDensity => Request::second(first, count, count),
        }
    }

    fn curvature_at<'v>(
        &self,
        tape: &Tape<T>,
        r: usize,
        directions: impl Iterator<Item = &'v [T]>,
    ) -> T {
        let output = tape.output();
        match self.model.kind {
            ModelKind::Score => directions
                .enumerate()
                .filter_map(|(m, v)| Some(dot(v, output.row(Coefficient::First(m), r)?)))
                .fold(T::ZERO, |sum, c| sum + c),
            ModelKind::LogDensity => output.row(Coefficient::Second, r).map_or(T::ZERO, |y| y[0]),
        }
    }

    /// The gradient with respect to x of one coefficient of a one-column output.
    fn reverse(&self, tape: &mut Tape<T>, c: Coefficient, rows: usize, x_bar: &mut [T]) {
        let mut backward = tape.backward();
        let mut bar = backward.bar();
        for r in 0..rows {
            if let Some(bar) = bar.row_mut(c, r) {
                bar.fill(T::ONE);
            }
        }
        backward.run(self.model.graph(), &self.model.parameters, None, Some(x_bar));
    }

    /// Rows of a task: few enough for the cache, and for every thread to have some.
    fn task_rows(&self, coefficients: usize, rows: usize) -> usize {
        let share = rows.div_ceil(rayon::current_num_threads()).max(LEAST_ROWS);
        (STACK_ROWS / coefficients).clamp(1, share)
    }

    /// Runs forward passes over all rows; `finish` turns each into `width` numbers per row.
    fn run(
        &self,
        points: Points<'_, T>,
        along: Along<'_, T>,
        request: Request,
        width: usize,
        finish: impl Fn(Task<'_, T>, &mut [T]) + Sync,
    ) -> Vec<T> {
        let (graph, d) = (self.model.graph(), self.model.dim());
        let rows = points.x.len() / d;
        // What all rows share, if there is anything.
        let prepared = request.is_prepared().then(|| {
            let mut tape = Tape::new(graph, request);
            tape.prepare(graph, &self.model.parameters);
            tape
        });
        let extra = prepared.as_ref().map_or(0, Tape::extra_rows);
        let step = self.task_rows(request.coefficients() + extra, rows);
        let work = |tape: &mut Tape<T>, k: usize, out: &mut [T]| {
            let rows = k * step..k * step + out.len() / width;
            let some = points.some(graph, rows.clone());
            let inputs = Inputs {
                rows: rows.len(),
                x: some.x,
                contexts: &some.contexts,
                directions: match along {
                    Along::Nothing => &[],
                    Along::PerRow(v) => &v[rows.start * d..rows.end * d],
                    Along::Shared(v) => v,
                },
            };
            tape.forward(graph, &self.model.parameters, inputs);
            finish(Task { tape, rows }, out);
        };
        let mut out = vec![T::ZERO; rows * width];
        let tasks = out.par_chunks_mut(step * width).enumerate();
        match prepared {
            Some(prepared) => {
                tasks.for_each_init(|| prepared.clone(), |tape, (k, out)| work(tape, k, out))
            }
            None => tasks.for_each(|(k, out)| {
                self.model.pool.with(graph, request, |tape| work(tape, k, out));
            }),
        }
        out
    }
}

/// Units of the first layer: what the cost of a whole Laplacian grows with, as d second orders grow with d.
pub(super) fn first_width(graph: &Graph) -> usize {
    let nodes = graph.nodes();
    let mut first = nodes.iter().filter_map(|node| match node.op {
        Op::Affine { input, .. } if nodes[input.0].op == Op::Input => Some(node.width),
        _ => None,
    });
    first.next().unwrap_or(usize::MAX)
}

fn fill<T: Real>(out: &mut [T], row: Option<&[T]>) {
    match row {
        Some(row) => out.copy_from_slice(row),
        None => out.fill(T::ZERO),
    }
}

/// e_1 ... e_d.
fn identity<T: Real>(d: usize) -> Vec<T> {
    let mut out = vec![T::ZERO; d * d];
    (0..d).for_each(|i| out[i * (d + 1)] = T::ONE);
    out
}

#[cfg(test)]
mod tests;
