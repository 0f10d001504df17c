//! Ordinary differential equations for many rows at once: Dormand and Prince's pair of orders 5 and 4.
//!
//! dy/dt = f(t, y) with y n x d and each row an equation of its own. Each row takes steps of its own, at times
//! of its own, so its solution is what it would be alone; all rows that are under way take a step together,
//! so that f sees whole batches:
//!
//! ```text
//! k_1 = f(t, y),   k_i = f(t + c_i h, y + h sum_j a_ij k_j),   i = 2 ... 7
//! y'  = y + h sum_j a_7j k_j                  order 5; k_7 is the k_1 of the next step
//! e   = h sum_j (a_7j - b*_j) k_j             against the embedded order 4
//! err = sqrt(mean over columns of (e / (absolute + relative max(|y|, |y'|)))^2)
//! ```
//!
//! A step with err <= 1 is kept; the next one is h min(10, max(0.2, 0.9 err^(-1/5))), not growing right
//! after a rejection. A trial step whose err is not a finite number is rejected and the step cut to a fifth.
//! Time may run either way. References: Dormand and Prince (1980), "A family of embedded Runge-Kutta
//! formulae", table 2; Hairer, Norsett, Wanner (1993), "Solving ordinary differential equations I",
//! II.4 (4.11)-(4.14) for the error norm, the step control and the first step.

use crate::error::{Error, Result};
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, Zip};

const C: [f64; 7] = [0.0, 0.2, 0.3, 0.8, 8.0 / 9.0, 1.0, 1.0];
/// Row i holds a_i1 ... a_i,i-1; the last row is also the weights of order 5.
const A: [[f64; 6]; 7] = [
    [0.0; 6],
    [1.0 / 5.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [3.0 / 40.0, 9.0 / 40.0, 0.0, 0.0, 0.0, 0.0],
    [44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0, 0.0, 0.0, 0.0],
    [19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0, 0.0, 0.0],
    [9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0, 0.0],
    [35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
];
/// Weights of order 5 less those of order 4.
const E: [f64; 7] = [
    71.0 / 57600.0,
    0.0,
    -71.0 / 16695.0,
    71.0 / 1920.0,
    -17253.0 / 339_200.0,
    22.0 / 525.0,
    -1.0 / 40.0,
];

/// Where the right-hand side is evaluated: some of the rows, each at a time of its own.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    /// Which rows of the start these are.
    pub rows: &'a [usize],
    /// t of each.
    pub times: &'a [f64],
    /// y, a row each.
    pub y: ArrayView2<'a, f64>,
}

/// The right-hand side: f(t, y), a row for each of those asked for.
pub type Derivative<'a> = dyn FnMut(At<'_>) -> Array2<f64> + 'a;

/// How exactly to solve.
#[derive(Debug, Clone, PartialEq)]
pub struct OdeConfig {
    /// Error allowed in a step, as a share of |y| (default 1e-5).
    pub relative: f64,
    /// Error allowed in a step where |y| is small, in units of y (default 1e-5).
    pub absolute: f64,
    /// Steps of a row, tried ones included, after which to give it up (default 10,000).
    pub max_steps: usize,
}

impl Default for OdeConfig {
    fn default() -> Self {
        Self { relative: 1e-5, absolute: 1e-5, max_steps: 10_000 }
    }
}

impl OdeConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        for (name, value) in [("relative", self.relative), ("absolute", self.absolute)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::config(name, "must be positive and finite"));
            }
        }
        if self.max_steps == 0 {
            return Err(Error::config("max_steps", "must be at least 1"));
        }
        Ok(())
    }
}

/// What solving took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OdeInfo {
    /// Steps kept, of the row with most of them.
    pub steps: usize,
    /// Steps tried and rejected, of the row with most of them.
    pub rejected: usize,
    /// Calls of the right-hand side, each for all rows under way.
    pub evaluations: usize,
}

/// A row that did not arrive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Failure {
    /// Which row, counted from 0.
    pub row: usize,
    /// Steps it had kept.
    pub step: usize,
    /// The time it had reached.
    pub time: f64,
    /// It needed more steps than allowed; otherwise y or f is not finite, or too steep for any step.
    pub too_many_steps: bool,
}

/// Solutions of all rows.
#[derive(Debug, Clone)]
pub struct Solution {
    /// y at the end; of rows that failed where they were last.
    pub y: Array2<f64>,
    /// What it took.
    pub info: OdeInfo,
    /// For each row the size of the step that would have come next, without its sign.
    pub next_steps: Vec<f64>,
    /// Rows that did not arrive, in increasing order.
    pub failed: Vec<Failure>,
}

/// Steps of size h from y at t, one of each for every row.
#[derive(Debug, Clone)]
pub struct Step {
    /// y at t + h to order 5.
    pub y: Array2<f64>,
    /// f(t + h, y at t + h): the next step's `derivative`.
    pub derivative: Array2<f64>,
    /// Difference from the embedded solution of order 4: of order h^5.
    pub error: Array2<f64>,
}

/// One step of every row of `at`, of its size in `h`; `derivative` is f there.
pub fn step(
    f: &mut Derivative<'_>,
    at: At<'_>,
    derivative: ArrayView2<'_, f64>,
    h: &[f64],
) -> Step {
    let add = |to: &mut Array2<f64>, factor: f64, k: &Array2<f64>| {
        for ((mut to, k), h) in to.outer_iter_mut().zip(k.outer_iter()).zip(h) {
            to.scaled_add(h * factor, &k);
        }
    };
    let mut derivatives = vec![derivative.to_owned()];
    let mut place = at.y.to_owned();
    for (row, c) in A.iter().zip(C).skip(1) {
        place = at.y.to_owned();
        for (a, k) in row.iter().zip(&derivatives).filter(|(a, _)| **a != 0.0) {
            add(&mut place, *a, k);
        }
        let times: Vec<f64> = at.times.iter().zip(h).map(|(t, h)| t + c * h).collect();
        derivatives.push(f(At { rows: at.rows, times: &times, y: place.view() }));
    }
    let mut error = Array2::zeros(at.y.dim());
    E.iter().zip(&derivatives).for_each(|(e, k)| add(&mut error, *e, k));
    // The last stage stands at the new place: first same as last.
    Step { y: place, derivative: derivatives.pop().unwrap_or_default(), error }
}

/// Solves from `t0` to `t1` (either may be the larger) with steps that meet the tolerances.
///
/// ```
/// use gradlogp_density::ode::{At, OdeConfig, integrate};
/// // dy/dt = -y from 1 at t = 0: exp(-2) at t = 2.
/// let start = ndarray::array![[1.0]];
/// let mut f = |at: At<'_>| -at.y.to_owned();
/// let (y, info) = integrate(&mut f, (0.0, 2.0), start.view(), &OdeConfig::default())?;
/// assert!((y[[0, 0]] - (-2f64).exp()).abs() < 1e-5);
/// assert!(info.steps < 20);
/// # Ok::<(), gradlogp_density::Error>(())
/// ```
///
/// # Errors
/// [`Error::Config`] for the settings, [`Error::Diverged`], naming step and row, where f or y is not finite
/// however small the step, or `max_steps` do not reach `t1`.
pub fn integrate(
    f: &mut Derivative<'_>,
    span: (f64, f64),
    y0: ArrayView2<'_, f64>,
    config: &OdeConfig,
) -> Result<(Array2<f64>, OdeInfo)> {
    let solved = integrate_rows(f, span, y0, (config, None), &mut || true)?;
    let Some(solved) = solved else { return Ok((y0.to_owned(), OdeInfo::default())) };
    match failure(&solved.failed) {
        None => Ok((solved.y, solved.info)),
        Some(error) => Err(error),
    }
}

/// The error that names the rows that failed, if any did.
pub fn failure(failed: &[Failure]) -> Option<Error> {
    let first = failed.first()?;
    let (row, t) = (first.row + 1, first.time);
    let message = match first.too_many_steps {
        true => {
            format!("row {row}: all steps reached t = {t:.6}; allow more steps or a larger error")
        }
        false => format!(
            "row {row}: the solution or its derivative is not finite from t = {t:.6} on, or changes faster \
             than any step can follow"
        ),
    };
    let rows = failed.iter().map(|failed| failed.row).collect();
    Some(Error::Diverged { step: first.step as u64 + 1, rows, message })
}

/// One row on its way.
struct Way {
    t: f64,
    h: f64,
    steps: usize,
    rejected: usize,
    after_rejection: bool,
}

/// [`integrate`] over `span` (from, to) where some rows may fail, and none spoils another. The first step of
/// each row is that of `first_steps` where given: the [`Solution::next_steps`] of the part before, when a
/// solution is wanted at several times. `go_on` is asked before every step; None where it said no.
///
/// # Errors
/// [`Error::Config`] for the settings.
pub fn integrate_rows(
    f: &mut Derivative<'_>,
    (t0, t1): (f64, f64),
    y0: ArrayView2<'_, f64>,
    (config, first_steps): (&OdeConfig, Option<&[f64]>),
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Option<Solution>> {
    config.validate()?;
    if !(t0.is_finite() && t1.is_finite()) {
        return Err(Error::config("t0", "must be finite"));
    }
    let (n, direction, length) = (y0.nrows(), (t1 - t0).signum(), (t1 - t0).abs());
    let next_steps = first_steps.map_or_else(|| vec![length; n], <[f64]>::to_vec);
    let (info, failed) = (OdeInfo::default(), Vec::new());
    let mut solution = Solution { y: y0.to_owned(), info, next_steps, failed };
    if length == 0.0 || y0.is_empty() {
        return Ok(Some(solution));
    }
    let mut active: Vec<usize> = (0..n).collect();
    let mut derivative = f(At { rows: &active, times: &vec![t0; n], y: y0 });
    solution.info.evaluations = 1;
    let sizes = match first_steps.filter(|steps| steps.iter().all(|h| *h > 0.0 && h.is_finite())) {
        Some(steps) => steps.to_vec(),
        None => {
            solution.info.evaluations += 1;
            first_step_sizes(f, (t0, t1), (y0, derivative.view()), config)
        }
    };
    let way = |h: &f64| Way { t: t0, h: *h, steps: 0, rejected: 0, after_rejection: false };
    let mut ways: Vec<Way> = sizes.iter().map(way).collect();
    let fail = |row: usize, way: &Way, too_many_steps: bool| Failure {
        row,
        step: way.steps,
        time: way.t,
        too_many_steps,
    };
    active.retain(|row| {
        let bad = is_bad(y0.row(*row), derivative.row(*row));
        if bad {
            solution.failed.push(fail(*row, &ways[*row], false));
        }
        !bad
    });
    while !active.is_empty() {
        if !go_on() {
            return Ok(None);
        }
        let left = |way: &Way| (t1 - way.t).abs();
        let last = |way: &Way| way.h >= left(way) * (1.0 - 1e-12);
        let tried: Vec<f64> = active
            .iter()
            .map(|row| if last(&ways[*row]) { left(&ways[*row]) } else { ways[*row].h })
            .collect();
        let times: Vec<f64> = active.iter().map(|row| ways[*row].t).collect();
        let signed: Vec<f64> = tried.iter().map(|h| direction * h).collect();
        let (here, derivatives) =
            (solution.y.select(Axis(0), &active), derivative.select(Axis(0), &active));
        let at = At { rows: &active, times: &times, y: here.view() };
        let new = step(f, at, derivatives.view(), &signed);
        solution.info.evaluations += 6;
        let mut stay = Vec::with_capacity(active.len());
        for (k, &row) in active.iter().enumerate() {
            let way = &mut ways[row];
            let error = match is_bad(new.y.row(k), new.derivative.row(k)) {
                true => f64::INFINITY,
                false => row_norm(new.error.row(k), here.row(k), new.y.row(k), config),
            };
            if error <= 1.0 {
                let last = last(way);
                // The end exactly, so that rounding leaves no sliver of a step.
                way.t = if last { t1 } else { way.t + signed[k] };
                solution.y.row_mut(row).assign(&new.y.row(k));
                derivative.row_mut(row).assign(&new.derivative.row(k));
                way.steps += 1;
                let grown = tried[k] * growth(error, way.after_rejection);
                // A short last step says nothing against the step size before it.
                way.h = if last { grown.max(way.h) } else { grown };
                way.after_rejection = false;
                if (t1 - way.t) * direction <= 0.0 {
                    continue;
                }
            } else {
                way.rejected += 1;
                way.after_rejection = true;
                way.h = tried[k] * if error.is_finite() { growth(error, true) } else { 0.2 };
                if way.h < 1e-14 * way.t.abs().max(length) {
                    solution.failed.push(fail(row, way, false));
                    continue;
                }
            }
            if way.steps + way.rejected == config.max_steps {
                solution.failed.push(fail(row, way, true));
                continue;
            }
            stay.push(row);
        }
        active = stay;
    }
    solution.failed.sort_by_key(|failed| failed.row);
    solution.next_steps = ways.iter().map(|way| way.h).collect();
    solution.info.steps = ways.iter().map(|way| way.steps).max().unwrap_or(0);
    solution.info.rejected = ways.iter().map(|way| way.rejected).max().unwrap_or(0);
    Ok(Some(solution))
}

fn growth(error: f64, after_rejection: bool) -> f64 {
    (0.9 * error.powf(-0.2)).clamp(0.2, if after_rejection { 1.0 } else { 10.0 })
}

/// Norm of one row of `v` in units of the error allowed at `a` and `b`.
fn row_norm(
    v: ArrayView1<'_, f64>,
    a: ArrayView1<'_, f64>,
    b: ArrayView1<'_, f64>,
    config: &OdeConfig,
) -> f64 {
    let sum = Zip::from(&v).and(&a).and(&b).fold(0.0, |sum, v, a, b| {
        let allowed = config.absolute + config.relative * a.abs().max(b.abs());
        sum + (v / allowed) * (v / allowed)
    });
    (sum / v.len() as f64).sqrt()
}

/// Hairer's first step of every row: an Euler step that changes y by a hundredth of its size, corrected by how
/// much the derivative changes over it.
fn first_step_sizes(
    f: &mut Derivative<'_>,
    (t, end): (f64, f64),
    (y, derivative): (ArrayView2<'_, f64>, ArrayView2<'_, f64>),
    config: &OdeConfig,
) -> Vec<f64> {
    let (direction, length) = ((end - t).signum(), (end - t).abs());
    let rows: Vec<usize> = (0..y.nrows()).collect();
    let of = |v: ArrayView1<'_, f64>, row: usize| row_norm(v, y.row(row), y.row(row), config);
    let euler_step = |row: &usize| {
        let (size, speed) = (of(y.row(*row), *row), of(derivative.row(*row), *row));
        let euler = if !(size >= 1e-5 && speed >= 1e-5) { 1e-6 } else { 0.01 * size / speed };
        // No further than the end, beyond which f may not be known.
        euler.clamp(f64::MIN_POSITIVE, length)
    };
    let eulers: Vec<f64> = rows.iter().map(euler_step).collect();
    let mut there = y.to_owned();
    for (row, mut there) in there.outer_iter_mut().enumerate() {
        there.scaled_add(direction * eulers[row], &derivative.row(row));
    }
    let times: Vec<f64> = eulers.iter().map(|euler| t + direction * euler).collect();
    let change = f(At { rows: &rows, times: &times, y: there.view() }) - derivative;
    let corrected = |row: &usize| {
        let (euler, speed) = (eulers[*row], of(derivative.row(*row), *row));
        let curvature = of(change.row(*row), *row) / euler;
        let largest = speed.max(curvature);
        let other =
            if largest <= 1e-15 { (euler * 1e-3).max(1e-6) } else { (0.01 / largest).powf(0.2) };
        // A curvature that is not finite says only that the Euler step was too long.
        if curvature.is_finite() { other.min(100.0 * euler) } else { 1e-3 * euler }
    };
    rows.iter().map(corrected).collect()
}

/// Whether a row has a value that is not finite.
fn is_bad(y: ArrayView1<'_, f64>, derivative: ArrayView1<'_, f64>) -> bool {
    y.iter().chain(derivative).any(|v| !v.is_finite())
}

#[cfg(test)]
mod tests;
