//! The units in which the network of a custom process works, fitted to training rows.

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::data::{Standardization, Transform};
use crate::diffusion::{Clock, Frame, Measured};
use crate::reference::Gaussian;
use crate::{Error, Result};

/// How columns are scaled at every time of a process that is stated in their own units, MATH (48).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// What places and widths are: any but whitening.
    pub kind: Standardization,
    /// The places and widths.
    pub frame: Frame,
    /// The terminal distribution of the process, as far as simulated rows tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

/// Moments of the rows at the horizon, where the way back begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// d values.
    pub mean: Vec<f64>,
    /// d x d, row by row.
    pub covariance: Vec<f64>,
    /// The largest skewness, or half excess kurtosis, of a column: 0 for a normal distribution.
    pub shape: f64,
    /// Four standard errors of it, were the distribution normal.
    pub shape_band: f64,
}

impl End {
    /// Most columns for which it is kept: it takes the square of their number.
    const MOST_COLUMNS: usize = 256;
    /// A shape up to which a distribution passes for normal.
    const NORMAL: f64 = 0.2;

    /// Of rows x, n x d.
    pub(super) fn of(x: ArrayView2<'_, f64>) -> Option<Self> {
        let (n, d) = x.dim();
        if d > Self::MOST_COLUMNS || n <= d + 1 {
            return None;
        }
        let mean = x.mean_axis(Axis(0))?;
        let centred = &x - &mean;
        let covariance = centred.t().dot(&centred) / n as f64;
        let shape = |(column, variance): (ndarray::ArrayView1<'_, f64>, &f64)| {
            let power = |p: i32| column.iter().map(|x| (x / variance.sqrt()).powi(p)).sum::<f64>();
            let (skewness, kurtosis) = (power(3) / n as f64, power(4) / n as f64 - 3.0);
            skewness.abs().max(0.5 * kurtosis.abs())
        };
        let shapes = centred.columns().into_iter().zip(covariance.diag()).map(shape);
        Some(End {
            shape: shapes.fold(0.0, f64::max),
            // Of the skewness, sqrt(6/n), and of half the kurtosis alike.
            shape_band: 4.0 * (6.0 / n as f64).sqrt(),
            mean: mean.to_vec(),
            covariance: covariance.iter().copied().collect(),
        })
    }

    /// The normal distribution of these moments.
    ///
    /// # Errors
    /// Moments of no normal distribution.
    pub fn gaussian(&self) -> Result<Gaussian> {
        let d = self.mean.len();
        let covariance =
            Array2::from_shape_vec((d, d), self.covariance.clone()).map_err(|_| Error::Shape {
                operation: "terminal distribution",
                expected: vec![d, d],
                found: vec![self.covariance.len()],
            })?;
        Gaussian::new(Array1::from(self.mean.clone()), covariance)
    }

    /// Whether the distribution passes for normal; if not, what starts from the normal distribution of these
    /// moments is biased.
    pub fn is_normal(&self) -> bool {
        self.shape <= Self::NORMAL.max(self.shape_band)
    }
}

impl Scaling {
    /// Measures simulated rows as [`Transform::fit`] measures a table: `rows` are training rows at t = 0, n x d
    /// in the columns' units, `start` what was fitted to them, `steps` as in
    /// [`simulate`](crate::sde::simulate). None for a start that changes nothing.
    ///
    /// # Errors
    /// A start that whitens; rows that diverge; a column that the process brings to one point.
    pub fn fit(
        clock: &Clock,
        rows: ArrayView2<'_, f64>,
        columns: &[String],
        start: &Transform,
        steps: usize,
        seed: u64,
    ) -> Result<Option<Self>> {
        let kind = start.kind();
        match kind {
            Standardization::None => return Ok(None),
            Standardization::Whiten => {
                let message = "whiten mixes the columns, and a custom process moves each by itself; use \
                               standardize, robust, common or none";
                return Err(Error::config("standardize", message));
            }
            _ => {}
        }
        let measured =
            |t: &Transform| -> Measured { (t.mean().to_vec(), t.standard_deviations().to_vec()) };
        let (d, mut end) = (rows.ncols(), None);
        let measure = |time: f64, x: &[f64]| -> Result<Measured> {
            let x = ArrayView2::from_shape((x.len() / d, d), x).map_err(|_| Error::Shape {
                operation: "simulated rows",
                expected: vec![d],
                found: vec![x.len()],
            })?;
            if time == clock.horizon() {
                end = End::of(x);
            }
            match Transform::fit(kind, x, columns) {
                Ok(transform) => Ok(measured(&transform)),
                Err(_) => Err(collapsed(x, columns, time)),
            }
        };
        let flat: Vec<f64> = rows.iter().copied().collect();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let frame = Frame::along(clock, &flat, measured(start), steps, &mut rng, measure)?;
        // Linearly dependent columns have no density there.
        let end = end.filter(|end| end.gaussian().is_ok());
        Ok(Some(Scaling { kind, frame, end }))
    }
}

/// Which column has no width at `time`.
fn collapsed(x: ArrayView2<'_, f64>, columns: &[String], time: f64) -> Error {
    let still = |column: &ndarray::ArrayView1<'_, f64>| {
        column.iter().all(|x| (x - column[0]).abs() <= 16.0 * f64::EPSILON * column[0].abs())
    };
    let columns_of_x = x.axis_iter(Axis(1)).zip(columns);
    let name = columns_of_x.into_iter().find(|(column, _)| still(column)).map(|(_, name)| name);
    let what = name.map_or("the rows".to_string(), |name| format!("column \"{name}\""));
    let message = format!(
        "the process contracts {what} to a point by t = {time:.3}, where there is no score; give it more \
         noise, or a drift that contracts less"
    );
    Error::config("diffusion", message)
}
