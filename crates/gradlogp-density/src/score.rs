//! What every score is, fitted or exact: the traits that samplers and diagnostics take.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

/// A score field s(x) = grad log p(x) over R^d.
///
/// Rows are points: `x` is n x d throughout. Implementations may assume that the caller passes
/// exactly [`dim`](Score::dim) columns.
pub trait Score: Sync {
    /// Number of columns d.
    fn dim(&self) -> usize;

    /// s(x) for every row: n x d, in units of 1 / (unit of x).
    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64>;

    /// tr grad s(x) for every row: n values (the Laplacian of log p where s is a gradient).
    fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64>;

    /// Whether the point `x` (d numbers) lies where there is a density at all: everywhere, unless the
    /// model knows a boundary. Chains do not leave it.
    fn contains(&self, _x: ArrayView1<'_, f64>) -> bool {
        true
    }
}

/// A score that is the gradient of a known function log p(x), possibly without its constant.
pub trait LogDensity: Score {
    /// log p(x) for every row, up to one additive constant for the whole model.
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64>;

    /// Both at once, for samplers; override when they share work.
    fn log_density_and_score(&self, x: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        (self.log_density(x), self.score(x))
    }
}

/// The scores s(x, t) = grad log p_t(x) of a family of densities, one per time t.
pub trait TimeScore: Sync {
    /// Number of columns d.
    fn dim(&self) -> usize;

    /// s(x, t) for every row: n x d.
    fn score_at(&self, x: ArrayView2<'_, f64>, t: f64) -> Array2<f64>;

    /// tr grad s(x, t) for every row: n values.
    fn trace_at(&self, x: ArrayView2<'_, f64>, t: f64) -> Array1<f64>;

    /// (grad s(x, t)) v for every row with its own v (n x d): n x d.
    fn jacobian_vector_at(
        &self,
        x: ArrayView2<'_, f64>,
        t: f64,
        v: ArrayView2<'_, f64>,
    ) -> Array2<f64>;

    /// s(x, t) where every row has a time of its own: n x d. The same numbers as [`TimeScore::score_at`] of each.
    fn score_at_times(&self, x: ArrayView2<'_, f64>, times: &[f64]) -> Array2<f64> {
        at_times(x.dim(), times, |rows, t| self.score_at(x.select(Axis(0), rows).view(), t))
    }

    /// tr grad s(x, t) where every row has a time of its own: n values.
    fn trace_at_times(&self, x: ArrayView2<'_, f64>, times: &[f64]) -> Array1<f64> {
        let trace = |rows: &[usize], t| self.trace_at(x.select(Axis(0), rows).view(), t);
        let column = |rows: &[usize], t| trace(rows, t).insert_axis(Axis(1));
        at_times((x.nrows(), 1), times, column).column(0).to_owned()
    }

    /// (grad s(x, t)) v where every row has a time and a v of its own: n x d.
    fn jacobian_vector_at_times(
        &self,
        x: ArrayView2<'_, f64>,
        times: &[f64],
        v: ArrayView2<'_, f64>,
    ) -> Array2<f64> {
        at_times(x.dim(), times, |rows, t| {
            let (x, v) = (x.select(Axis(0), rows), v.select(Axis(0), rows));
            self.jacobian_vector_at(x.view(), t, v.view())
        })
    }
}

/// `part` of the rows of each time, put in their places.
fn at_times(
    shape: (usize, usize),
    times: &[f64],
    part: impl Fn(&[usize], f64) -> Array2<f64>,
) -> Array2<f64> {
    let mut order: Vec<usize> = (0..times.len()).collect();
    order.sort_by(|i, j| times[*i].total_cmp(&times[*j]));
    let mut out = Array2::zeros(shape);
    for rows in order.chunk_by(|i, j| times[*i].to_bits() == times[*j].to_bits()) {
        let found = part(rows, times[rows[0]]);
        for (row, found) in rows.iter().zip(found.outer_iter()) {
            out.row_mut(*row).assign(&found);
        }
    }
    out
}

/// A [`TimeScore`] at one time, as a [`Score`] for whatever takes one.
#[derive(Clone, Copy)]
pub struct AtTime<'m> {
    /// The family.
    pub family: &'m dyn TimeScore,
    /// t.
    pub time: f64,
}

impl Score for AtTime<'_> {
    fn dim(&self) -> usize {
        self.family.dim()
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        self.family.score_at(x, self.time)
    }

    fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        self.family.trace_at(x, self.time)
    }
}
