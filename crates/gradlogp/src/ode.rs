//! Ordinary differential equations for many rows at once: Dormand and Prince's pair of orders 5 and 4.
//!
//! dy/dt = f(t, y) with y n x d and each row an equation of its own. All rows take the same steps, so
//! that f sees whole batches, and a step counts as good only if it is good for every row:
//!
//! ```text
//! k_1 = f(t, y),   k_i = f(t + c_i h, y + h sum_j a_ij k_j),   i = 2 ... 7
//! y'  = y + h sum_j a_7j k_j                  order 5; k_7 is the k_1 of the next step
//! e   = h sum_j (a_7j - b*_j) k_j             against the embedded order 4
//! err = max over rows of sqrt(mean over columns of (e / (absolute + relative max(|y|, |y'|)))^2)
//! ```
//!
//! A step with err <= 1 is kept; the next one is h min(10, max(0.2, 0.9 err^(-1/5))), not growing right
//! after a rejection. A trial step whose err is not a finite number is rejected and the step cut to a fifth.
//! Time may run either way. References: Dormand and Prince (1980), "A family of embedded Runge-Kutta
//! formulae", table 2; Hairer, Norsett, Wanner (1993), "Solving ordinary differential equations I",
//! II.4 (4.11)-(4.14) for the error norm, the step control and the first step.

use crate::error::{Error, Result};
use ndarray::{Array2, ArrayView1, ArrayView2, Zip};

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

/// The right-hand side: f(t, y), n x d for y of n x d.
pub type Derivative<'a> = dyn FnMut(f64, ArrayView2<'_, f64>) -> Array2<f64> + 'a;

/// How exactly to solve.
#[derive(Debug, Clone, PartialEq)]
pub struct OdeConfig {
    /// Error allowed in a step, as a share of |y| (default 1e-5).
    pub relative: f64,
    /// Error allowed in a step where |y| is small, in units of y (default 1e-5).
    pub absolute: f64,
    /// Steps, tried ones included, after which to give up (default 10,000).
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
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct OdeInfo {
    /// Steps kept.
    pub steps: usize,
    /// Steps tried and rejected.
    pub rejected: usize,
    /// Evaluations of the right-hand side for the whole batch.
    pub evaluations: usize,
    /// Size of the step that would have come next, without its sign.
    pub next_step: f64,
}

/// One step of size h, with what the next one and the step control need.
#[derive(Debug, Clone)]
pub struct Step {
    /// y at t + h to order 5.
    pub y: Array2<f64>,
    /// f(t + h, y at t + h): the next step's `slope`.
    pub slope: Array2<f64>,
    /// Difference from the embedded solution of order 4: of order h^5.
    pub error: Array2<f64>,
}

/// One step of fixed size h from y at t, where `slope` is f(t, y).
pub fn step(
    f: &mut Derivative<'_>,
    t: f64,
    y: ArrayView2<'_, f64>,
    slope: ArrayView2<'_, f64>,
    h: f64,
) -> Step {
    let mut slopes = vec![slope.to_owned()];
    let mut place = y.to_owned();
    for (row, c) in A.iter().zip(C).skip(1) {
        place = y.to_owned();
        for (a, k) in row.iter().zip(&slopes).filter(|(a, _)| **a != 0.0) {
            place.scaled_add(h * a, k);
        }
        slopes.push(f(t + c * h, place.view()));
    }
    let mut error = Array2::zeros(y.dim());
    E.iter().zip(&slopes).for_each(|(e, k)| error.scaled_add(h * e, k));
    // The last stage stands at the new place: first same as last.
    Step { y: place, slope: slopes.pop().unwrap_or_default(), error }
}

/// Solves from `t0` to `t1` (either may be the larger) with steps that meet the tolerances.
///
/// ```
/// use gradlogp::ode::{OdeConfig, integrate};
/// // dy/dt = -y from 1 at t = 0: exp(-2) at t = 2.
/// let start = ndarray::array![[1.0]];
/// let mut f = |_t: f64, y: ndarray::ArrayView2<'_, f64>| -y.to_owned();
/// let (y, info) = integrate(&mut f, 0.0, 2.0, start.view(), &OdeConfig::default())?;
/// assert!((y[[0, 0]] - (-2f64).exp()).abs() < 1e-5);
/// assert!(info.steps < 20);
/// # Ok::<(), gradlogp::Error>(())
/// ```
///
/// # Errors
/// [`Error::Config`] for the settings, [`Error::Diverged`], naming step and row, where f or y is not finite
/// however small the step, or `max_steps` do not reach `t1`.
pub fn integrate(
    f: &mut Derivative<'_>,
    t0: f64,
    t1: f64,
    y0: ArrayView2<'_, f64>,
    config: &OdeConfig,
) -> Result<(Array2<f64>, OdeInfo)> {
    integrate_from(f, (t0, t1), y0, config, None)
}

/// [`integrate`] over `span` (from, to) whose first step is `first_step` where given: the
/// [`OdeInfo::next_step`] of the part before, when a solution is wanted at several times.
///
/// # Errors
/// Those of [`integrate`].
pub fn integrate_from(
    f: &mut Derivative<'_>,
    (t0, t1): (f64, f64),
    y0: ArrayView2<'_, f64>,
    config: &OdeConfig,
    first_step: Option<f64>,
) -> Result<(Array2<f64>, OdeInfo)> {
    config.validate()?;
    if !(t0.is_finite() && t1.is_finite()) {
        return Err(Error::config("t0, t1", "must be finite"));
    }
    let (direction, length) = ((t1 - t0).signum(), (t1 - t0).abs());
    let mut info = OdeInfo { next_step: first_step.unwrap_or(length), ..OdeInfo::default() };
    let mut y = y0.to_owned();
    if length == 0.0 || y.is_empty() {
        return Ok((y, info));
    }
    let mut slope = f(t0, y.view());
    info.evaluations = 1;
    let bad = bad_rows(&y, &slope);
    if !bad.is_empty() {
        return Err(diverged(0, bad, t0));
    }
    let mut h = match first_step {
        Some(h) if h > 0.0 && h.is_finite() => h,
        _ => {
            info.evaluations += 1;
            first_step_size(f, t0, direction, (y.view(), slope.view()), config)
        }
    };
    let (mut t, mut after_rejection) = (t0, false);
    while (t1 - t) * direction > 0.0 {
        if info.steps + info.rejected == config.max_steps {
            return Err(too_many(config, t, t1));
        }
        let left = (t1 - t).abs();
        let last = h >= left * (1.0 - 1e-12);
        let tried = if last { left } else { h };
        let new = step(f, t, y.view(), slope.view(), direction * tried);
        info.evaluations += 6;
        let error = largest_error(&y, &new, config);
        if error <= 1.0 {
            // The end exactly, so that rounding leaves no sliver of a step.
            t = if last { t1 } else { t + direction * tried };
            (y, slope) = (new.y, new.slope);
            info.steps += 1;
            let grown = tried * growth(error, after_rejection);
            // A short last step says nothing against the step size before it.
            h = if last { grown.max(h) } else { grown };
            after_rejection = false;
            continue;
        }
        info.rejected += 1;
        after_rejection = true;
        h = tried * if error.is_finite() { growth(error, true) } else { 0.2 };
        if h < 1e-14 * t.abs().max(length) {
            return Err(diverged(info.steps + 1, culprits(&y, &new, config), t));
        }
    }
    info.next_step = h;
    Ok((y, info))
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

/// Largest norm over rows; infinite if any is not a number.
fn norm(
    v: ArrayView2<'_, f64>,
    a: ArrayView2<'_, f64>,
    b: ArrayView2<'_, f64>,
    c: &OdeConfig,
) -> f64 {
    let rows = v.outer_iter().zip(a.outer_iter()).zip(b.outer_iter());
    let norms = rows.map(|((v, a), b)| row_norm(v, a, b, c));
    norms.fold(0.0, |largest: f64, n| if n.is_nan() { f64::INFINITY } else { largest.max(n) })
}

fn largest_error(y: &Array2<f64>, new: &Step, config: &OdeConfig) -> f64 {
    if !bad_rows(&new.y, &new.slope).is_empty() {
        return f64::INFINITY;
    }
    norm(new.error.view(), y.view(), new.y.view(), config)
}

/// Hairer's first step: an Euler step that changes y by a hundredth of its size, corrected by how much
/// the slope changes over it.
fn first_step_size(
    f: &mut Derivative<'_>,
    t: f64,
    direction: f64,
    (y, slope): (ArrayView2<'_, f64>, ArrayView2<'_, f64>),
    config: &OdeConfig,
) -> f64 {
    let (size, speed) = (norm(y, y, y, config), norm(slope, y, y, config));
    let euler = if size < 1e-5 || speed < 1e-5 { 1e-6 } else { 0.01 * size / speed };
    let mut there = y.to_owned();
    there.scaled_add(direction * euler, &slope);
    let change = f(t + direction * euler, there.view()) - slope;
    let bend = norm(change.view(), y, y, config) / euler;
    let largest = speed.max(bend);
    let other =
        if largest <= 1e-15 { (euler * 1e-3).max(1e-6) } else { (0.01 / largest).powf(0.2) };
    // A bend that is not finite says only that the Euler step was too long.
    if bend.is_finite() { other.min(100.0 * euler) } else { 1e-3 * euler }
}

/// The rows in which either has a value that is not finite.
fn bad_rows(y: &Array2<f64>, slope: &Array2<f64>) -> Vec<usize> {
    let bad = |row: ArrayView1<'_, f64>| row.iter().any(|v| !v.is_finite());
    (0..y.nrows()).filter(|i| bad(y.row(*i)) || bad(slope.row(*i))).collect()
}

/// The rows for which a step was refused: those that are not finite, else those with too large an error.
fn culprits(y: &Array2<f64>, new: &Step, config: &OdeConfig) -> Vec<usize> {
    let bad = bad_rows(&new.y, &new.slope);
    if !bad.is_empty() {
        return bad;
    }
    let error = |i: usize| row_norm(new.error.row(i), y.row(i), new.y.row(i), config);
    (0..y.nrows()).filter(|i| !(error(*i) <= 1.0)).collect()
}

fn diverged(step: usize, rows: Vec<usize>, t: f64) -> Error {
    let message = format!(
        "row {}: the solution or its slope is not finite from t = {t:.6} on, or changes faster than \
         any step can follow",
        rows.first().map_or(0, |row| row + 1)
    );
    Error::Diverged { step: step as u64, rows, message }
}

fn too_many(config: &OdeConfig, t: f64, t1: f64) -> Error {
    let message = format!(
        "{} steps reached t = {t:.6} on the way to {t1:.6}; allow more steps or a larger error",
        config.max_steps
    );
    Error::Diverged { step: config.max_steps as u64, rows: Vec::new(), message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{array, s};

    /// y' = y cos t, y(0) = 1: exp(sin t); and z' = -2 t z^2, z(0) = 1: 1/(1 + t^2).
    fn field(t: f64, y: ArrayView2<'_, f64>) -> Array2<f64> {
        let mut out = y.to_owned();
        out.column_mut(0).mapv_inplace(|y| y * t.cos());
        out.column_mut(1).mapv_inplace(|z| -2.0 * t * z * z);
        out
    }

    fn exact(t: f64) -> [f64; 2] {
        [t.sin().exp(), 1.0 / (1.0 + t * t)]
    }

    fn fixed_steps(n: usize, t1: f64) -> Array2<f64> {
        let h = t1 / n as f64;
        let mut y = array![[1.0, 1.0]];
        for k in 0..n {
            let t = k as f64 * h;
            let slope = field(t, y.view());
            y = step(&mut field, t, y.view(), slope.view(), h).y;
        }
        y
    }

    /// Halving the step divides the error by 2^5.
    #[test]
    fn order_is_five() {
        for column in 0..2 {
            // Over several ends, since the error passes through 0 at some.
            let error = |n| -> f64 {
                let at = |t: f64| (fixed_steps(n, t)[[0, column]] - exact(t)[column]).abs();
                [1.3, 2.0, 2.9].into_iter().map(at).sum()
            };
            let order = (error(40) / error(160)).log2() / 2.0;
            assert!((order - 5.0).abs() < 0.35, "column {column}: order {order}");
        }
    }

    /// The error estimate of one step is of order h^5, that of the embedded solution.
    #[test]
    fn the_error_estimate_has_the_order_of_the_embedded_solution() {
        let size = |h: f64| {
            let y = array![[1.0, 0.8]];
            let slope = field(0.5, y.view());
            step(&mut field, 0.5, y.view(), slope.view(), h).error.mapv(f64::abs)
        };
        let (coarse, fine) = (size(0.04), size(0.01));
        for column in 0..2 {
            let order = (coarse[[0, column]] / fine[[0, column]]).log2() / 2.0;
            assert!((order - 5.0).abs() < 0.35, "column {column}: order {order}");
        }
    }

    /// Order conditions that a wrong coefficient breaks: rows of A sum to C; polynomials of degree 4 are
    /// integrated exactly.
    #[test]
    fn coefficients_are_consistent() {
        for (row, c) in A.iter().zip(C) {
            assert!((row.iter().sum::<f64>() - c).abs() < 1e-14);
        }
        assert!(E.iter().sum::<f64>().abs() < 1e-16);
        for power in 0..5 {
            let sum: f64 = A[6].iter().zip(C).map(|(b, c)| b * c.powi(power)).sum();
            assert!((sum - 1.0 / f64::from(power + 1)).abs() < 1e-14, "power {power}");
        }
    }

    #[test]
    fn errors_follow_the_tolerance_in_both_directions_of_time() {
        let mut before = f64::INFINITY;
        for tolerance in [1e-3, 1e-6, 1e-9] {
            let config =
                OdeConfig { relative: tolerance, absolute: tolerance, ..Default::default() };
            let start = array![[1.0, 1.0]];
            let (there, info) = integrate(&mut field, 0.0, 3.0, start.view(), &config).unwrap();
            let error = (0..2).map(|k| (there[[0, k]] - exact(3.0)[k]).abs()).fold(0.0, f64::max);
            assert!(error < 20.0 * tolerance && error < 0.1 * before, "{tolerance}: {error}");
            before = error;
            let (back, _) = integrate(&mut field, 3.0, 0.0, there.view(), &config).unwrap();
            // Column 1 loses a factor of 100 on the way back: dz(0)/dz(3) = (1 + 3^2)^2.
            let error = (back[[0, 0]] - 1.0).abs();
            assert!(error < 20.0 * tolerance, "{tolerance}: {error} on the way back");
            let all = 2 + 6 * (info.steps + info.rejected);
            assert_eq!(info.evaluations, all);
        }
    }

    /// A fast row among many slow ones still meets the tolerance: the norm is the worst row's.
    #[test]
    fn every_row_meets_the_tolerance() {
        let mut rates = Array2::from_elem((1000, 1), 0.01);
        rates[[700, 0]] = 30.0;
        let mut f = |_: f64, y: ArrayView2<'_, f64>| -(&rates * &y);
        let start = Array2::ones((1000, 1));
        let (y, info) = integrate(&mut f, 0.0, 0.1, start.view(), &OdeConfig::default()).unwrap();
        assert!((y[[700, 0]] - (-3f64).exp()).abs() < 1e-4, "{}", y[[700, 0]]);
        assert!((y[[0, 0]] - (-0.001f64).exp()).abs() < 1e-6);
        assert!(info.steps > 3);
    }

    #[test]
    fn parts_make_the_whole() {
        let config = OdeConfig::default();
        let start = array![[1.0, 1.0]];
        let (half, first) = integrate(&mut field, 0.0, 1.5, start.view(), &config).unwrap();
        let guess = Some(first.next_step);
        let (parts, second) =
            integrate_from(&mut field, (1.5, 3.0), half.view(), &config, guess).unwrap();
        assert!((parts[[0, 0]] - exact(3.0)[0]).abs() < 1e-4);
        assert_eq!(second.evaluations, 1 + 6 * (second.steps + second.rejected));
        let (same, none) = integrate(&mut field, 1.0, 1.0, start.view(), &config).unwrap();
        assert_eq!((same, none.evaluations), (start, 0));
    }

    /// y' = y^2 from 1 ends at t = 1; the second row does so at 1/2.
    #[test]
    fn a_blow_up_names_the_row() {
        let mut f = |_: f64, y: ArrayView2<'_, f64>| &y * &y;
        let start = array![[0.1], [2.0], [1.0]];
        let error = integrate(&mut f, 0.0, 2.0, start.view(), &OdeConfig::default()).unwrap_err();
        let Error::Diverged { rows, message, .. } = error else { panic!("{error}") };
        assert!(rows == [1] && message.contains("row 2"), "{rows:?} {message}");
        let mut nan = |t: f64, y: ArrayView2<'_, f64>| {
            let mut out = y.to_owned();
            out.slice_mut(s![1.., ..]).fill(if t > 0.5 { f64::NAN } else { 0.0 });
            out
        };
        let error = integrate(&mut nan, 0.0, 1.0, start.view(), &OdeConfig::default()).unwrap_err();
        assert!(error.to_string().contains("row 2"), "{error}");
        assert!(error.to_string().contains("t = 0.5"), "{error}");
        assert!(matches!(error, Error::Diverged { rows, .. } if rows == [1, 2]));
    }

    #[test]
    fn gives_up_after_so_many_steps_and_refuses_bad_settings() {
        let config = OdeConfig { max_steps: 3, relative: 1e-10, absolute: 1e-10 };
        let start = array![[1.0, 1.0]];
        let error = integrate(&mut field, 0.0, 3.0, start.view(), &config).unwrap_err();
        assert!(error.to_string().contains("3 steps reached"), "{error}");
        for (config, name) in [
            (OdeConfig { relative: 0.0, ..Default::default() }, "relative"),
            (OdeConfig { absolute: f64::NAN, ..Default::default() }, "absolute"),
            (OdeConfig { max_steps: 0, ..Default::default() }, "max_steps"),
        ] {
            assert!(config.validate().unwrap_err().to_string().starts_with(name));
        }
    }
}
