//! What every score is, fitted or exact: the traits that samplers and diagnostics take.

use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

/// A score field s(x) = grad log p(x) over R^d.
///
/// Rows are points: `x` is n x d throughout. Implementations may assume that the caller passes
/// exactly [`dim`](Score::dim) columns. References, boxes and `Arc`s of scores are scores, and [`ScoreFn`]
/// makes one of a function.
///
/// ```
/// use gradlogp_density::Score;
/// use ndarray::{Array2, ArrayView2, array};
///
/// /// log p(x) = -sum of x^4 / 4.
/// struct Quartic;
///
/// impl Score for Quartic {
///     fn dim(&self) -> usize {
///         2
///     }
///     fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
///         x.mapv(|x| -x.powi(3))
///     }
/// }
///
/// let shared: std::sync::Arc<dyn Score + Send> = std::sync::Arc::new(Quartic);
/// assert_eq!(shared.score(array![[1.0, 2.0]].view()), array![[-1.0, -8.0]]);
/// ```
pub trait Score: Sync {
    /// Number of columns d.
    fn dim(&self) -> usize;

    /// s(x) for every row: n x d, in units of 1 / (unit of x).
    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64>;

    /// Whether the point `x` (d numbers) lies where there is a density at all: everywhere, unless the
    /// model knows a boundary. Chains do not leave it.
    fn contains(&self, _x: ArrayView1<'_, f64>) -> bool {
        true
    }
}

/// A score whose divergence is known, too: what the exact loss, MATH (4), needs. No sampler asks for it.
pub trait ScoreTrace: Score {
    /// tr grad s(x) for every row: n values (the Laplacian of log p where s is a gradient).
    fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64>;
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

/// [`Score`], [`ScoreTrace`] or [`LogDensity`] of what is one by something that it holds.
#[doc(hidden)]
#[macro_export]
macro_rules! delegate_score {
    (Score [$($generics:tt)*] $type:ty, |$this:ident| $inner:expr) => {
        impl<$($generics)*> $crate::score::Score for $type {
            fn dim(&self) -> usize {
                let $this = self;
                $crate::score::Score::dim($inner)
            }

            fn score(&self, x: ::ndarray::ArrayView2<'_, f64>) -> ::ndarray::Array2<f64> {
                let $this = self;
                $crate::score::Score::score($inner, x)
            }

            fn contains(&self, x: ::ndarray::ArrayView1<'_, f64>) -> bool {
                let $this = self;
                $crate::score::Score::contains($inner, x)
            }
        }
    };
    (ScoreTrace [$($generics:tt)*] $type:ty, |$this:ident| $inner:expr) => {
        impl<$($generics)*> $crate::score::ScoreTrace for $type {
            fn trace(&self, x: ::ndarray::ArrayView2<'_, f64>) -> ::ndarray::Array1<f64> {
                let $this = self;
                $crate::score::ScoreTrace::trace($inner, x)
            }
        }
    };
    (LogDensity [$($generics:tt)*] $type:ty, |$this:ident| $inner:expr) => {
        impl<$($generics)*> $crate::score::LogDensity for $type {
            fn log_density(&self, x: ::ndarray::ArrayView2<'_, f64>) -> ::ndarray::Array1<f64> {
                let $this = self;
                $crate::score::LogDensity::log_density($inner, x)
            }

            fn log_density_and_score(
                &self,
                x: ::ndarray::ArrayView2<'_, f64>,
            ) -> (::ndarray::Array1<f64>, ::ndarray::Array2<f64>) {
                let $this = self;
                $crate::score::LogDensity::log_density_and_score($inner, x)
            }
        }
    };
}
delegate_score!(Score [S: Score + ?Sized] &S, |this| *this);
delegate_score!(Score [S: Score + ?Sized] Box<S>, |this| &**this);
delegate_score!(Score [S: Score + Send + ?Sized] Arc<S>, |this| &**this);
delegate_score!(ScoreTrace [S: ScoreTrace + ?Sized] &S, |this| *this);
delegate_score!(ScoreTrace [S: ScoreTrace + ?Sized] Box<S>, |this| &**this);
delegate_score!(ScoreTrace [S: ScoreTrace + Send + ?Sized] Arc<S>, |this| &**this);
delegate_score!(LogDensity [S: LogDensity + ?Sized] &S, |this| *this);
delegate_score!(LogDensity [S: LogDensity + ?Sized] Box<S>, |this| &**this);
delegate_score!(LogDensity [S: LogDensity + Send + ?Sized] Arc<S>, |this| &**this);

/// A score of a function of the rows.
///
/// ```
/// use gradlogp_density::ScoreFn;
/// use gradlogp_density::sample::{ChainConfig, Chains};
/// use rand::SeedableRng;
///
/// // N(0, I) in two columns, under ULA.
/// let normal = ScoreFn::new(2, |x| -&x);
/// let config = ChainConfig { warm_up: 100, steps: 200, ..ChainConfig::default() };
/// let start = ndarray::Array2::zeros((8, 2));
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
/// let run = Chains::ula(&normal, start.view(), &config)?.run(&mut rng)?;
/// assert_eq!(run.draws.dim(), (8, 200, 2));
///
/// // With log p it is a density, for MALA and HMC.
/// let density = normal.with_log_density(|x| x.map_axis(ndarray::Axis(1), |x| -0.5 * x.dot(&x)));
/// let run = Chains::mala(&density, start.view(), &config)?.run(&mut rng)?;
/// assert!(run.acceptance_rate() > Some(0.3));
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct ScoreFn<F> {
    dim: usize,
    score: F,
}

impl<F: Fn(ArrayView2<'_, f64>) -> Array2<f64> + Sync> ScoreFn<F> {
    /// s(x) = `score`(x), from n x `dim` numbers to as many.
    pub fn new(dim: usize, score: F) -> Self {
        ScoreFn { dim, score }
    }

    /// The density whose score it is; `log_density`(x) gives n numbers, up to one constant for all.
    pub fn with_log_density<G>(self, log_density: G) -> LogDensityFn<F, G>
    where
        G: Fn(ArrayView2<'_, f64>) -> Array1<f64> + Sync,
    {
        LogDensityFn { score: self, log_density }
    }
}

impl<F: Fn(ArrayView2<'_, f64>) -> Array2<f64> + Sync> Score for ScoreFn<F> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        (self.score)(x)
    }
}

/// A density of two functions of the rows: [`ScoreFn::with_log_density`].
#[derive(Clone, Copy)]
pub struct LogDensityFn<F, G> {
    score: ScoreFn<F>,
    log_density: G,
}

delegate_score!(
    Score [F: Fn(ArrayView2<'_, f64>) -> Array2<f64> + Sync, G: Sync] LogDensityFn<F, G>,
    |this| &this.score
);

impl<F, G> LogDensity for LogDensityFn<F, G>
where
    F: Fn(ArrayView2<'_, f64>) -> Array2<f64> + Sync,
    G: Fn(ArrayView2<'_, f64>) -> Array1<f64> + Sync,
{
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        (self.log_density)(x)
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
}

impl ScoreTrace for AtTime<'_> {
    fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        self.family.trace_at(x, self.time)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    /// exp(-x) above 0.
    struct Half;

    impl Score for Half {
        fn dim(&self) -> usize {
            1
        }
        fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
            Array2::from_elem(x.dim(), -1.0)
        }
        fn contains(&self, x: ArrayView1<'_, f64>) -> bool {
            x[0] > 0.0
        }
    }

    impl LogDensity for Half {
        fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
            -x.column(0).to_owned()
        }
        fn log_density_and_score(&self, x: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
            (self.log_density(x) + 1.0, self.score(x))
        }
    }

    /// What is overridden is asked for through every pointer, the edge of the domain too.
    #[test]
    fn pointers_answer_as_what_they_point_to() {
        fn check(density: impl LogDensity) {
            let x = array![[2.0], [3.0]];
            assert_eq!((density.dim(), density.score(x.view())), (1, array![[-1.0], [-1.0]]));
            assert_eq!(density.log_density(x.view()), array![-2.0, -3.0]);
            assert_eq!(density.log_density_and_score(x.view()).0, array![-1.0, -2.0]);
            assert!(density.contains(array![1.0].view()) && !density.contains(array![-1.0].view()));
        }
        check(&Half);
        check(Box::new(Half) as Box<dyn LogDensity>);
        check(Arc::new(Half));
        let of_functions = ScoreFn::new(1, |x| Array2::from_elem(x.dim(), -1.0))
            .with_log_density(|x| -x.column(0).to_owned());
        let (value, score) = of_functions.log_density_and_score(array![[2.0]].view());
        assert_eq!((value, score, of_functions.dim()), (array![-2.0], array![[-1.0]], 1));
    }
}
