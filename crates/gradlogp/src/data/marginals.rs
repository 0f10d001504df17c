//! A smooth, increasing map of each column to one that is about normal.
//!
//! With F a distribution function fitted to the column and Phi the standard normal one, MATH (75):
//!
//! ```text
//! u = g(x) = Phi^-1(F(x))
//! F(x) = sum_k w Phi((x - q_k) / h_k) + w_0 T_3((x - m) / s),     w = (1 - w_0) / K
//! ```
//!
//! q_k are the quantiles of the column at (k + 1/2) / K, h_k three quarters of the distance between their neighbours, and T_3 is the
//! distribution function of Student's t with 3 degrees of freedom, about the median and as wide as the column: its tails
//! keep g(x) small where x is far out. Densities and scores carry over by the derivatives of g, f = F':
//!
//! ```text
//! g' = f / phi(u),   (log g')' = f'/f + u g',   g'' = g' (log g')'
//! (log g')'' = f''/f - (f'/f)^2 + g'^2 + u g''
//! ```

use std::f64::consts::PI;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};
use statrs::function::erf::{erfc, erfc_inv};

use crate::stats::{quantile, sorted};

/// Weight of the part with heavy tails.
const TAILS: f64 = 0.05;
/// Least and most kernels.
const KERNELS: (usize, usize) = (8, 20);
/// Width of a kernel over the distance between its neighbours.
const WIDTH: f64 = 0.75;
/// The least width of a kernel, in standard deviations of the column.
const LEAST_WIDTH: f64 = 1e-3;
/// Widths beyond which a kernel is 0 or 1 to rounding.
const FAR: f64 = 9.0;
/// Steps of Newton's method, safeguarded by bisection.
const STEPS: usize = 80;

/// Whether columns are mapped to normal ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Marginals {
    /// They stay as they are.
    #[default]
    Keep,
    /// Each is mapped.
    Normal,
    /// Each is mapped, if then all together are nearer to a Gaussian, by the log likelihood of the validation rows. They are
    /// not where columns follow closely from others, which single columns do not know of.
    Auto,
}

gradlogp_numeric::names!(Marginals { Keep => "keep", Normal => "normal", Auto => "auto" });

/// The map of one column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Marginal {
    /// q: K.
    centres: Vec<f64>,
    /// h: K.
    widths: Vec<f64>,
    /// m.
    middle: f64,
    /// s.
    scale: f64,
}

/// F, 1 - F and the first three derivatives of F.
struct Law {
    below: f64,
    above: f64,
    density: f64,
    first: f64,
    second: f64,
}

/// The derivatives of g at one value.
#[derive(Debug, Clone, Copy)]
struct Local {
    log_slope: f64,
    slope: f64,
    first: f64,
    second: f64,
}

/// The derivatives of the maps of all columns at rows, n x d.
#[derive(Debug, Clone)]
pub struct Warp {
    /// The sum over columns of log g', n values: log p(x) is log p(u) and this.
    pub log_volume: Array1<f64>,
    /// g'.
    pub slope: Array2<f64>,
    /// g''.
    pub curvature: Array2<f64>,
    /// (log g')'.
    pub first: Array2<f64>,
    /// (log g')''.
    pub second: Array2<f64>,
}

impl Marginal {
    /// The map of a column, finite and of positive standard deviation `sd`.
    pub(super) fn fit(column: ArrayView1<'_, f64>, sd: f64) -> Self {
        let sorted = sorted(column.iter().copied());
        let count = (sorted.len() as f64).sqrt().round() as usize;
        let count = count.clamp(KERNELS.0, KERNELS.1);
        let at = |share: f64| quantile(&sorted, share).unwrap_or(f64::NAN);
        let centres: Vec<f64> = (0..count).map(|k| at((k as f64 + 0.5) / count as f64)).collect();
        let (least, most) = (at(0.0), at(1.0));
        let widths = (0..count).map(|k| {
            let before = if k == 0 { least } else { centres[k - 1] };
            let after = centres.get(k + 1).copied().unwrap_or(most);
            (WIDTH * (after - before)).max(LEAST_WIDTH * sd)
        });
        let widths = widths.collect();
        Marginal { widths, middle: at(0.5), scale: sd, centres }
    }

    /// Whether these are numbers of a map.
    pub(super) fn is_sound(&self) -> bool {
        let finite = |v: &[f64]| v.iter().all(|x| x.is_finite());
        let positive = |v: &[f64]| v.iter().all(|x| x.is_finite() && *x > 0.0);
        let same = self.centres.len() == self.widths.len() && !self.centres.is_empty();
        same && finite(&self.centres)
            && positive(&self.widths)
            && self.middle.is_finite()
            && positive(&[self.scale])
    }

    fn law(&self, x: f64) -> Law {
        let (w, root) = ((1.0 - TAILS) / self.centres.len() as f64, 3.0f64.sqrt());
        let v = (x - self.middle) / (root * self.scale);
        let square = 1.0 + v * v;
        // T_3 and its complement; far out the difference of the two terms loses digits that 1/v^3 keeps.
        let tail = |v: f64| match v > 1e4 {
            true => 2.0 / (3.0 * PI * v.powi(3)),
            false => ((1.0 / v).atan() - v / square) / PI,
        };
        let (below, above) = match v {
            v if v > 1.0 => (1.0 - tail(v), tail(v)),
            v if v < -1.0 => (tail(-v), 1.0 - tail(-v)),
            v => {
                let half = (v / square + v.atan()) / PI;
                (0.5 + half, 0.5 - half)
            }
        };
        let peak = 2.0 / (PI * root * self.scale);
        let inner = 1.0 / (root * self.scale);
        let mut law = Law {
            below: TAILS * below,
            above: TAILS * above,
            density: TAILS * peak / square.powi(2),
            first: TAILS * peak * inner * -4.0 * v / square.powi(3),
            second: TAILS
                * peak
                * inner.powi(2)
                * (24.0 * v * v / square.powi(4) - 4.0 / square.powi(3)),
        };
        for (q, h) in self.centres.iter().zip(&self.widths) {
            let t = (x - q) / h;
            if t > FAR {
                law.below += w;
            } else if t < -FAR {
                law.above += w;
            } else {
                law.below += w * normal_below(t);
                law.above += w * normal_below(-t);
                let phi = w * normal_density(t) / h;
                law.density += phi;
                law.first -= phi * t / h;
                law.second += phi * (t * t - 1.0) / (h * h);
            }
        }
        law
    }

    fn local(&self, x: f64) -> Local {
        if x.is_nan() {
            return Local { log_slope: x, slope: x, first: x, second: x };
        }
        let law = self.law(x);
        let u = law.u();
        let log_slope = law.density.ln() + 0.5 * u * u + 0.5 * (2.0 * PI).ln();
        let slope = log_slope.exp();
        let relative = law.first / law.density;
        let first = relative + u * slope;
        let second =
            law.second / law.density - relative.powi(2) + slope * slope + u * slope * first;
        Local { log_slope, slope, first, second }
    }

    /// g.
    fn forward(&self, x: f64) -> f64 {
        if x.is_nan() { x } else { self.law(x).u() }
    }

    /// The x of which g is `u`; infinite where no number is.
    fn inverse(&self, u: f64) -> f64 {
        if !u.is_finite() {
            return u;
        }
        let off = |x: f64| {
            let law = self.law(x);
            let found = law.u();
            (found - u, (law.density.ln() + 0.5 * found * found).exp() * (2.0 * PI).sqrt())
        };
        let mut reach = 4.0 * self.scale;
        let (mut low, mut high) = (self.middle - reach, self.middle + reach);
        while off(low).0 > 0.0 && reach.is_finite() {
            reach *= 4.0;
            low = self.middle - reach;
        }
        while off(high).0 < 0.0 && reach.is_finite() {
            reach *= 4.0;
            high = self.middle + reach;
        }
        let mut x = 0.5 * (low + high);
        for _ in 0..STEPS {
            let (gap, slope) = off(x);
            if gap > 0.0 {
                high = x;
            } else {
                low = x;
            }
            let newton = x - gap / slope;
            let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
            let done = (next - x).abs() <= 4.0 * f64::EPSILON * (x.abs() + self.scale);
            x = next;
            if done {
                break;
            }
        }
        x
    }
}

impl Law {
    /// Phi^-1(F) by whichever of F and 1 - F is the smaller.
    fn u(&self) -> f64 {
        let quantile = |p: f64| 2.0f64.sqrt() * erfc_inv(2.0 * p.max(f64::MIN_POSITIVE));
        if self.below < self.above { -quantile(self.below) } else { quantile(self.above) }
    }
}

fn normal_below(t: f64) -> f64 {
    0.5 * erfc(-t / 2.0f64.sqrt())
}

fn normal_density(t: f64) -> f64 {
    (-0.5 * t * t).exp() / (2.0 * PI).sqrt()
}

/// u of rows, n x d; a missing value stays one.
pub(super) fn forward(maps: &[Marginal], x: ArrayView2<'_, f64>) -> Array2<f64> {
    Array2::from_shape_fn(x.dim(), |(i, j)| maps[j].forward(x[[i, j]]))
}

/// x of rows of u.
pub(super) fn inverse(maps: &[Marginal], u: ArrayView2<'_, f64>) -> Array2<f64> {
    Array2::from_shape_fn(u.dim(), |(i, j)| maps[j].inverse(u[[i, j]]))
}

/// The derivatives at rows of x.
pub(super) fn warp(maps: &[Marginal], x: ArrayView2<'_, f64>) -> Warp {
    let (n, d) = x.dim();
    let zeros = || Array2::zeros((n, d));
    let mut all = Warp {
        log_volume: Array1::zeros(n),
        slope: zeros(),
        curvature: zeros(),
        first: zeros(),
        second: zeros(),
    };
    for ((i, j), x) in x.indexed_iter() {
        let at = maps[j].local(*x);
        all.log_volume[i] += at.log_slope;
        all.slope[[i, j]] = at.slope;
        all.curvature[[i, j]] = at.slope * at.first;
        all.first[[i, j]] = at.first;
        all.second[[i, j]] = at.second;
    }
    all
}

#[cfg(test)]
mod tests;
