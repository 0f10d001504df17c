//! The three tables as the published experiments prepare them, and without their leaks.
//!
//! Protocol "paper": columns chosen, wines dequantized by U(-1, 1) times the median gap between distinct
//! values, rows in the published order, PCA whitening with the statistics of *all* rows, N(0, 0.05^2) noise
//! added once to *all* parts. Protocol "leak-free": column choice and whitening see training rows only, and
//! test rows get no noise (training and validation rows, which both take part in the fit, do).

use std::path::Path;

use anyhow::{Context, Result, bail};
use gradlogp::data::{ReadOptions, Table, read_csv};
use gradlogp::linear::symmetric_eigen;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

/// Standard deviation of the noise added in whitened units.
const NOISE: f64 = 0.05;
/// Columns correlated more than this with another are dropped (Parkinsons).
const CORRELATED: f64 = 0.98;

/// A published table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Uci {
    /// Red wine quality, 11 columns.
    Red,
    /// White wine quality, 11 columns.
    White,
    /// Parkinsons telemonitoring, 15 columns after pruning.
    Parkinsons,
}

impl Uci {
    /// Every table.
    pub const ALL: [Uci; 3] = [Uci::Red, Uci::White, Uci::Parkinsons];

    /// As the command line names it.
    pub fn name(self) -> &'static str {
        match self {
            Uci::Red => "red",
            Uci::White => "white",
            Uci::Parkinsons => "parkinsons",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Uci::Red => "winequality-red.csv",
            Uci::White => "winequality-white.csv",
            Uci::Parkinsons => "parkinsons_updrs.data",
        }
    }
}

/// How a table is prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// As published.
    Paper,
    /// Nothing of the test rows is used, and nothing added to them.
    LeakFree,
}

impl Protocol {
    /// As the command line names it.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Paper => "paper",
            Protocol::LeakFree => "leak-free",
        }
    }
}

/// Rows in whitened units.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Training rows.
    pub train: Array2<f64>,
    /// Validation rows.
    pub validation: Array2<f64>,
    /// Test rows.
    pub test: Array2<f64>,
    /// Columns kept.
    pub columns: Vec<String>,
}

/// Reads and prepares `table` from the folder of the tables and their `ssm_split_*.csv`.
///
/// # Errors
/// Files that are absent or do not fit together.
pub fn load(folder: &Path, table: Uci, protocol: Protocol, seed: u64) -> Result<Parts> {
    let path = folder.join(table.file());
    let (read, _) = read_csv(&path, &ReadOptions::default()).with_context(|| {
        format!(
            "--data {} must hold {} and ssm_split_{}.csv",
            folder.display(),
            table.file(),
            table.name()
        )
    })?;
    let split = Split::read(&folder.join(format!("ssm_split_{}.csv", table.name())), &read)?;
    prepare(&read, &split, table, protocol, seed)
}

/// The published order of rows, and how many of them are of each part.
#[derive(Debug, Clone)]
struct Split {
    order: Vec<usize>,
    train: usize,
    validation: usize,
}

impl Split {
    /// Columns position, row_index, part.
    fn read(path: &Path, table: &Table) -> Result<Self> {
        let mut reader = csv::Reader::from_path(path)
            .with_context(|| format!("cannot read the split {}", path.display()))?;
        let mut rows: Vec<(usize, usize, String)> = Vec::new();
        for row in reader.deserialize() {
            rows.push(row.with_context(|| {
                format!("{}: needs the columns position, row_index, part", path.display())
            })?);
        }
        rows.sort();
        let order: Vec<usize> = rows.iter().map(|row| row.1).collect();
        let mut seen = order.clone();
        seen.sort_unstable();
        if !seen.into_iter().eq(0..table.n_rows()) {
            bail!("{}: does not name each of {} rows once", path.display(), table.n_rows());
        }
        let count = |part: &str| rows.iter().take_while(|row| row.2 == part).count();
        let train = count("train");
        let validation = rows[train..].iter().take_while(|row| row.2 == "val").count();
        if train == 0 || validation == 0 || train + validation >= rows.len() {
            bail!("{}: needs train, val and test rows in this order", path.display());
        }
        Ok(Split { order, train, validation })
    }
}

fn prepare(
    table: &Table,
    split: &Split,
    which: Uci,
    protocol: Protocol,
    seed: u64,
) -> Result<Parts> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let fitting: Vec<usize> = match protocol {
        Protocol::Paper => (0..table.n_rows()).collect(),
        Protocol::LeakFree => split.order[..split.train].to_vec(),
    };
    let keep: Vec<usize> = match which {
        Uci::Parkinsons => {
            let kept: Vec<usize> = (3..table.n_columns()).collect();
            let rows = table.rows.select(Axis(0), &fitting).select(Axis(1), &kept);
            prune(rows.view()).into_iter().map(|c| kept[c]).collect()
        }
        _ => (0..table.n_columns()).filter(|c| table.columns[*c] != "quality").collect(),
    };
    let mut rows = table.rows.select(Axis(1), &keep);
    if which != Uci::Parkinsons {
        dequantize(&mut rows, &mut rng);
    }
    let rows = rows.select(Axis(0), &split.order);
    let whitening = match protocol {
        Protocol::Paper => Whitening::fit(rows.view())?,
        Protocol::LeakFree => Whitening::fit(rows.slice(ndarray::s![..split.train, ..]))?,
    };
    let mut rows = whitening.apply(rows.view());
    let noisy = match protocol {
        Protocol::Paper => rows.nrows(),
        Protocol::LeakFree => split.train + split.validation,
    };
    rows.slice_mut(ndarray::s![..noisy, ..]).mapv_inplace(|x| {
        let e: f64 = StandardNormal.sample(&mut rng);
        x + NOISE * e
    });
    let (train, rest) = rows.view().split_at(Axis(0), split.train);
    let (validation, test) = rest.split_at(Axis(0), split.validation);
    Ok(Parts {
        train: train.to_owned(),
        validation: validation.to_owned(),
        test: test.to_owned(),
        columns: keep.iter().map(|c| table.columns[*c].clone()).collect(),
    })
}

/// Drops the first column that another exceeds in correlation, by absolute value in the first round only,
/// until there is none; returns those kept.
fn prune(rows: ArrayView2<'_, f64>) -> Vec<usize> {
    let correlations = correlation(rows);
    let mut kept: Vec<usize> = (0..rows.ncols()).collect();
    let mut absolute = true;
    loop {
        let above = |a: usize, b: usize| {
            let c = correlations[[a, b]];
            (if absolute { c.abs() } else { c }) > CORRELATED
        };
        let first = kept.iter().position(|a| kept.iter().filter(|b| above(*a, **b)).count() > 1);
        let Some(first) = first else { return kept };
        kept.remove(first);
        absolute = false;
    }
}

fn correlation(rows: ArrayView2<'_, f64>) -> Array2<f64> {
    let centred = &rows - &column_means(rows);
    let sd = centred.map_axis(Axis(0), |c| c.dot(&c).sqrt());
    let scaled = &centred / &sd;
    scaled.t().dot(&scaled)
}

fn column_means(rows: ArrayView2<'_, f64>) -> Array1<f64> {
    rows.sum_axis(Axis(0)) / rows.nrows() as f64
}

/// Column by column x += U(-1, 1) * (median gap between sorted distinct values).
fn dequantize(rows: &mut Array2<f64>, rng: &mut ChaCha8Rng) {
    for mut column in rows.columns_mut() {
        let mut values = column.to_vec();
        values.sort_by(f64::total_cmp);
        values.dedup();
        let mut gaps: Vec<f64> = values.windows(2).map(|pair| pair[1] - pair[0]).collect();
        gaps.sort_by(f64::total_cmp);
        let gap = match gaps.len() {
            0 => 0.0,
            n if n % 2 == 1 => gaps[n / 2],
            n => 0.5 * (gaps[n / 2 - 1] + gaps[n / 2]),
        };
        column.mapv_inplace(|x| x + gap * rng.random_range(-1.0..1.0));
    }
}

/// x -> (x - mu) V diag(1 / sd): PCA whitening, covariance with divisor n.
struct Whitening {
    mean: Array1<f64>,
    matrix: Array2<f64>,
}

impl Whitening {
    fn fit(rows: ArrayView2<'_, f64>) -> Result<Self> {
        let mean = column_means(rows);
        let centred = &rows - &mean;
        let covariance = centred.t().dot(&centred) / rows.nrows() as f64;
        let d = rows.ncols();
        let (values, vectors) = symmetric_eigen(d, &|i, j| covariance[[i, j]])
            .context("the covariance has no eigenvalues")?;
        if (0..d).any(|k| !(values[k] > 0.0)) {
            bail!("the columns are linearly dependent, so they cannot be whitened");
        }
        // Directions by falling variance.
        let matrix = Array2::from_shape_fn((d, d), |(i, k)| {
            vectors[[i, d - 1 - k]] / values[d - 1 - k].sqrt()
        });
        Ok(Whitening { mean, matrix })
    }

    fn apply(&self, rows: ArrayView2<'_, f64>) -> Array2<f64> {
        (&rows - &self.mean).dot(&self.matrix)
    }
}

#[cfg(test)]
#[allow(clippy::print_stderr)]
mod tests {
    use super::*;
    use ndarray::array;

    fn data() -> Option<std::path::PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/uci");
        let nearby = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/uci");
        [folder, nearby].into_iter().find(|folder| folder.exists())
    }

    #[test]
    fn the_published_sizes_columns_and_whitening() {
        let Some(folder) = data() else {
            eprintln!("skipped: shared/data/uci is not there");
            return;
        };
        for (table, sizes, d) in [
            (Uci::Red, [1296, 144, 159], 11),
            (Uci::White, [3969, 440, 489], 11),
            (Uci::Parkinsons, [4760, 528, 587], 15),
        ] {
            let parts = load(&folder, table, Protocol::Paper, 1).unwrap();
            let found = [parts.train.nrows(), parts.validation.nrows(), parts.test.nrows()];
            assert_eq!((found, parts.columns.len()), (sizes, d), "{table:?}");
            let all = ndarray::concatenate![Axis(0), parts.train, parts.validation, parts.test];
            let covariance = {
                let centred = &all - &column_means(all.view());
                centred.t().dot(&centred) / all.nrows() as f64
            };
            // I from the whitening, and 0.05^2 from the noise.
            for ((i, j), c) in covariance.indexed_iter() {
                let want = if i == j { 1.0025 } else { 0.0 };
                assert!((c - want).abs() < 0.01, "{table:?} {i} {j}: {c}");
            }
            let free = load(&folder, table, Protocol::LeakFree, 1).unwrap();
            assert_eq!(free.columns, parts.columns, "{table:?}");
            assert_ne!(free.test, parts.test);
        }
    }

    #[test]
    fn a_folder_without_the_tables_is_named() {
        let error = load(Path::new("nowhere"), Uci::Red, Protocol::Paper, 1).unwrap_err();
        assert!(format!("{error:#}").contains("--data nowhere must hold winequality-red.csv"));
    }

    #[test]
    fn noise_of_dequantization_is_twice_the_median_gap_wide() {
        // Distinct 0, 1, 3: gaps 1, 2, median 1.5.
        let mut rows = Array2::from_shape_fn((3000, 1), |(i, _)| [0.0, 1.0, 3.0][i % 3]);
        let before = rows.clone();
        dequantize(&mut rows, &mut ChaCha8Rng::seed_from_u64(1));
        let noise = &rows - &before;
        let widest = noise.iter().fold(0f64, |w, e| w.max(e.abs()));
        assert!(widest <= 1.5 && widest > 1.49, "{widest}");
        assert!((noise.mapv(|e| e * e).mean().unwrap() - 0.75).abs() < 0.05);
    }

    #[test]
    fn correlated_columns_go_first_ones_first() {
        let x = array![1.0, 2.0, 4.0, 3.0, 7.0];
        let z = array![1.0, -1.0, 0.5, 0.0, 0.2];
        let rows = ndarray::stack![Axis(1), x, &z + 10.0, &x * 2.0, &x + &z * 0.01];
        assert_eq!(prune(rows.view()), [1, 3]);
    }
}
