//! What a report is made of: plain values, computed elsewhere.

use anyhow::{Result, ensure};
use ndarray::{Array1, Array2, ArrayView2};
use serde::Serialize;

use super::stats;
use crate::picture::ImageShape;

/// Everything that one page shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReportData {
    /// Heading of the page, for example "Red wine: fitted score".
    pub(crate) title: String,
    /// What was fitted, to what, and how.
    pub(crate) fitted: Fitted,
    /// The conclusion in plain words.
    pub(crate) verdict: Verdict,
    /// The figures behind the conclusion, in the order in which they are shown.
    pub(crate) checks: Vec<Check>,
    /// Training curve, in increasing order of step; may be empty.
    pub(crate) history: Vec<HistoryPoint>,
    /// The step whose weights were kept.
    pub(crate) best_step: Option<u64>,
    /// Names of the columns of `data` and `samples`.
    pub(crate) columns: Vec<String>,
    /// Held-out rows in the user's units: n x d.
    pub(crate) data: Array2<f64>,
    /// Rows drawn from the model in the user's units: m x d, m may be 0.
    pub(crate) samples: Option<Array2<f64>>,
    /// Whether the samples of each column differ from its rows beyond chance; empty where it is not known.
    pub(crate) failing: Vec<bool>,
    /// The Stein products.
    pub(crate) stein: Option<SteinProducts>,
    /// Log densities under the model.
    pub(crate) log_densities: Option<LogDensities>,
    /// The chains that drew the samples, in one column.
    pub(crate) chains: Option<Chains>,
    /// The way of some samples from noise to data: a name and rows, in order; empty if none was kept.
    pub(crate) frames: Vec<(String, Array2<f64>)>,
    /// Where columns are the pixels of a picture.
    pub(crate) image: Option<ImageShape>,
    /// The model on a grid, for two columns only.
    pub(crate) grid: Option<FieldGrid>,
    /// The score in a slice, for more than two columns.
    pub(crate) slice: Option<Slice>,
    /// The command that makes the fit again.
    pub(crate) command: Option<String>,
    /// Things the reader should know before trusting the page.
    pub(crate) warnings: Vec<String>,
    /// Every setting, as name and value.
    pub(crate) settings: Vec<(String, String)>,
}

/// What was fitted, to what, and how.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Fitted {
    /// File or built-in data set.
    pub(crate) data_name: String,
    /// Rows of the whole table.
    pub(crate) rows: usize,
    /// Columns that were fitted.
    pub(crate) columns: usize,
    /// Model kind and size, for example "potential, 3 x 128, softplus".
    pub(crate) model: String,
    /// Training objective, for example "ssm-vr".
    pub(crate) objective: String,
    /// Slice law and number of slices, for example "rademacher, 1 slice".
    pub(crate) slices: String,
    /// Seed of the run.
    pub(crate) seed: u64,
    /// Version of this program.
    pub(crate) version: String,
    /// Date of the fit, if it shall be shown (it makes pages differ between identical runs).
    pub(crate) date: Option<String>,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// As it should be.
    Pass,
    /// Usable with care.
    Warn,
    /// Not to be trusted.
    Fail,
    /// A figure without a threshold.
    #[default]
    Info,
}

/// The conclusion of a report.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Verdict {
    /// Overall outcome.
    pub(crate) grade: Grade,
    /// One sentence.
    pub(crate) headline: String,
    /// What it rests on and what to do next; one paragraph each.
    pub(crate) details: Vec<String>,
}

/// A value with its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// One standard error, where there is one.
    pub standard_error: Option<f64>,
}

/// One row of the check table.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// Short name.
    pub name: String,
    /// What was measured.
    pub value: Estimate,
    /// What a perfect fit would show, in words or figures.
    pub expected: Option<String>,
    /// Outcome.
    pub grade: Grade,
    /// What the figure means, in a sentence.
    pub explanation: String,
}

/// One point of the training curve. Losses may be negative, and not finite if a run diverged.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct HistoryPoint {
    /// Optimizer step, counted from the start of training.
    pub(crate) step: u64,
    /// Training objective on this step's batch (or its mean since the last point).
    pub(crate) train_loss: f64,
    /// Held-out loss with its standard error over rows, where it was computed at this step.
    pub(crate) validation_loss: Option<Estimate>,
}

/// A rectangular grid of nx x ny points, both ends of each side included. x runs fastest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct GridSpec {
    /// First and last value of the first column.
    pub(crate) x: (f64, f64),
    /// First and last value of the second column.
    pub(crate) y: (f64, f64),
    /// Points along x, at least 2.
    pub(crate) nx: usize,
    /// Points along y, at least 2.
    pub(crate) ny: usize,
}

impl GridSpec {
    /// A grid of n x n points over the bulk of two-column `data`, with a margin around it.
    pub(crate) fn around(data: ArrayView2<'_, f64>, n: usize) -> Self {
        let side = |j: usize| {
            let (lo, hi) = stats::robust_range(&stats::usable(data.column(j)));
            let margin = 0.12 * (hi - lo);
            (lo - margin, hi + margin)
        };
        Self { x: side(0), y: side(1), nx: n.max(2), ny: n.max(2) }
    }

    /// The grid's points, (nx * ny) x 2: row iy * nx + ix is (x_ix, y_iy).
    pub(crate) fn points(&self) -> Array2<f64> {
        Array2::from_shape_fn((self.nx * self.ny, 2), |(row, axis)| match axis {
            0 => self.x_at(row % self.nx),
            _ => self.y_at(row / self.nx),
        })
    }

    /// Value of the first column at index `ix`.
    pub(super) fn x_at(&self, ix: usize) -> f64 {
        self.x.0 + (self.x.1 - self.x.0) * ix as f64 / (self.nx - 1) as f64
    }

    /// Value of the second column at index `iy`.
    pub(super) fn y_at(&self, iy: usize) -> f64 {
        self.y.0 + (self.y.1 - self.y.0) * iy as f64 / (self.ny - 1) as f64
    }
}

/// A two-column model on a grid, in the user's units.
#[derive(Debug, Clone)]
pub(crate) struct FieldGrid {
    /// Where it was evaluated.
    pub(crate) spec: GridSpec,
    /// Score at [`GridSpec::points`]: (nx * ny) x 2.
    pub(crate) score: Array2<f64>,
    /// Log density there up to a constant, for potentials: nx * ny values.
    pub(crate) log_density: Option<Array1<f64>>,
}

impl ReportData {
    /// Refuses arrays that do not fit together.
    pub(super) fn validate(&self) -> Result<()> {
        let d = self.columns.len();
        ensure!(
            self.data.ncols() == d,
            "report: {d} column names for {} data columns",
            self.data.ncols()
        );
        if let Some(samples) = &self.samples {
            ensure!(
                samples.ncols() == d,
                "report: {d} column names for {} sample columns",
                samples.ncols()
            );
        }
        for (name, rows) in &self.frames {
            ensure!(
                rows.ncols() == d,
                "report: {d} column names for the {} of {name}",
                rows.ncols()
            );
        }
        self.grid.as_ref().map_or(Ok(()), |grid| grid.validate(d))
    }

    /// The name of a column, or its number (from 1) if it has none.
    pub(super) fn name(&self, column: usize) -> String {
        let name = &self.columns[column];
        if name.trim().is_empty() { format!("column {}", column + 1) } else { name.clone() }
    }

    /// The sampled rows, if there are any.
    pub(super) fn drawn(&self) -> Option<ArrayView2<'_, f64>> {
        self.samples.as_ref().filter(|s| s.nrows() > 0).map(|s| s.view())
    }
}

impl FieldGrid {
    fn validate(&self, columns: usize) -> Result<()> {
        let GridSpec { x, y, nx, ny } = self.spec;
        ensure!(columns == 2, "report: a field grid needs 2 columns, not {columns}");
        ensure!(nx >= 2 && ny >= 2, "report: the field grid needs at least 2 x 2 points");
        ensure!(
            [x.0, x.1, y.0, y.1].iter().all(|v| v.is_finite()) && x.0 < x.1 && y.0 < y.1,
            "report: the field grid's sides {x:?} and {y:?} are not increasing finite ranges"
        );
        ensure!(
            self.score.dim() == (nx * ny, 2),
            "report: field grid of {nx} x {ny} points with scores of shape {:?}",
            self.score.dim()
        );
        let values = self.log_density.as_ref().map_or(nx * ny, |l| l.len());
        ensure!(
            values == nx * ny,
            "report: field grid of {nx} x {ny} points with {values} log densities"
        );
        Ok(())
    }
}

/// The draws of every chain, in their order.
#[derive(Debug, Clone)]
pub(crate) struct Chains {
    /// The column.
    pub(crate) column: usize,
    /// One list for each chain.
    pub(crate) draws: Vec<Vec<f64>>,
}

impl Chains {
    /// Of samples, by the chain of each row.
    pub(crate) fn new(column: usize, values: &[f64], chain: &[usize]) -> Self {
        let most = chain.iter().max().map_or(0, |last| last + 1);
        let mut draws = vec![Vec::new(); most];
        for (value, chain) in values.iter().zip(chain) {
            draws[*chain].push(*value);
        }
        draws.retain(|draws| !draws.is_empty());
        Chains { column, draws }
    }

    /// The mean rank of every chain's draws among all, from 0 to 1, 1/2 on average.
    pub(super) fn mean_ranks(&self) -> Vec<f64> {
        let mut order: Vec<(f64, usize)> = self
            .draws
            .iter()
            .enumerate()
            .flat_map(|(k, draws)| draws.iter().map(move |value| (*value, k)))
            .collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        let all = order.len() as f64;
        let mut sums = vec![0.0; self.draws.len()];
        for (rank, (_, chain)) in order.iter().enumerate() {
            sums[*chain] += (rank as f64 + 0.5) / all;
        }
        sums.iter().zip(&self.draws).map(|(sum, draws)| sum / draws.len() as f64).collect()
    }
}

/// Log densities, up to one constant of the model.
#[derive(Debug, Clone)]
pub(crate) struct LogDensities {
    /// Of held-out rows.
    pub(crate) rows: Array1<f64>,
    /// Of samples.
    pub(crate) samples: Array1<f64>,
}

/// A plane and the score on it.
#[derive(Debug, Clone)]
pub(crate) struct Slice {
    /// The columns that vary.
    pub(crate) columns: (usize, usize),
    /// Their scores.
    pub(crate) grid: FieldGrid,
}

/// The Stein products of a model, in standardized columns.
#[derive(Debug, Clone)]
pub(crate) struct SteinProducts {
    /// E[s x^T] + I, row = column of the score: d x d.
    pub(crate) off: Array2<f64>,
    /// The same in standard errors.
    pub(crate) z: Array2<f64>,
    /// Beyond which |z| is more than chance, all pairs together.
    pub(crate) critical_z: f64,
}
