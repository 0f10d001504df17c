//! From a table to rows in a network's units: checks, noise of rounding, split, scaling.

use std::sync::OnceLock;

use ndarray::{Array2, Axis};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::config::{Family, FitConfig, NetworkConfig, Support};
use crate::data::synthetic::Dataset;
use crate::data::{
    DataWarning, Dequantization, DequantizeColumns, GapRule, Marginals, RowCopies, Split,
    Standardization, Table, Transform, check_table, split_rows, split_rows_together,
};
use crate::diagnose::Baselines;
use crate::domain::Domain;
use crate::fitted::{ConditionColumns, FittedModel, NoiseRecord};
use crate::model::PointSet;
use crate::reference::GaussianMixture;
use crate::train::TrainConfig;
use crate::{Error, Result};

/// A table that has been looked over, its columns of x and of the condition apart, with the noise of rounding if
/// asked for.
pub struct CheckedTable {
    /// x.
    pub table: Table,
    /// The condition, if there is one.
    pub condition: Option<Table>,
    /// What was found that the user should know.
    pub warnings: Vec<DataWarning>,
    /// The set that the rows were drawn from, where they were: an evaluation then knows the truth.
    pub drawn_from: Option<Dataset>,
    /// Whether the table is a built-in one.
    pub built_in: bool,
    content_hash: String,
    dequantization: Option<Dequantization>,
    /// Rows that were recorded more than once, before they got noise.
    copies: Option<RowCopies>,
}

/// A table ready to train on. All randomness comes from the seed of the training settings.
pub struct Prepared {
    checked: CheckedTable,
    /// Which rows train, validate and test.
    pub split: Split,
    /// To the network's units.
    pub(super) transform: Transform,
    pub(super) condition: Option<ConditionColumns>,
    /// Means and standard deviations of the training columns.
    pub(super) units: Transform,
    /// Where all rows lie, in the columns' units.
    pub(super) domain: Option<Domain>,
    /// What potentials add to, in the network's units.
    pub(super) base: Option<GaussianMixture>,
    /// For diffusion models.
    pub(super) noise: Option<NoiseRecord>,
    /// What to know of the process beside the columns.
    pub notes: Vec<String>,
    seed: u64,
    /// What the model is measured by, and its density may be mixed with; fitted when it is first asked for.
    baselines: OnceLock<Option<Baselines>>,
}

impl CheckedTable {
    /// Looks a table over and adds the noise of rounding.
    ///
    /// # Errors
    /// [`Error::Data`] for a table that no setting can train on, and for columns that are not there.
    pub fn new(table: Table, config: &FitConfig) -> Result<Self> {
        let content_hash = format!("{:016x}", table.content_hash());
        let (mut table, condition) = without_condition(table, config.condition_columns())?;
        let tables: Vec<_> = [Some(&table), condition.as_ref()].into_iter().flatten().collect();
        let copies = RowCopies::of(&tables.iter().map(|table| &table.rows).collect::<Vec<_>>());
        let mut warnings = Vec::new();
        // Its noise comes first: it is for constant columns too.
        let whole = config.prepare.gap_rule == GapRule::Whole;
        if !whole {
            warnings = check_table(&table)?;
        }
        let dequantization = dequantize(config, &mut table)?;
        if whole {
            warnings = check_table(&table)?;
        } else if dequantization.is_some() {
            // What the noise cures needs no warning.
            let left = check_table(&table)?;
            let still = |w: &DataWarning| left.iter().any(|other| same_kind(w, other));
            warnings.retain(|w| !w.is_about_ties() || still(w));
        }
        let (count, total) = (copies.count(), table.n_rows());
        let kept_together = count > 0 && copies.are_repeated_records();
        if kept_together || condition.is_some() {
            // Those found so far are of x alone, and of rows that have their noise.
            warnings.retain(|w| !matches!(w, DataWarning::DuplicateRows { .. }));
            if kept_together || (count > 0 && dequantization.is_none()) {
                warnings.push(DataWarning::DuplicateRows { count, total, kept_together });
            }
        }
        Ok(CheckedTable {
            copies: kept_together.then_some(copies),
            table,
            condition,
            warnings,
            drawn_from: None,
            built_in: false,
            content_hash,
            dequantization,
        })
    }

    /// A hash of the table as it was before anything was done to it, in hexadecimal.
    pub fn content_hash(&self) -> &str {
        &self.content_hash
    }

    /// Splits the rows, and fits the scaling to those of training.
    ///
    /// # Errors
    /// [`Error::Data`] where there are too few rows, a column has no width, or rows lie outside the domain;
    /// [`Error::Config`] for a process that does not suit the columns.
    pub fn prepare(self, config: &FitConfig) -> Result<Prepared> {
        let checked = self;
        let (table, seed) = (&checked.table, config.training.seed);
        let rows = table.n_rows();
        let fractions = config.prepare.fractions();
        let split = match &checked.copies {
            Some(copies) => split_rows_together(copies, &fractions, seed)?,
            None => split_rows(rows, &fractions, seed)?,
        };
        if split.train.len() < 2 {
            let message = format!("{rows} rows are too few: only one would be left to train on");
            return Err(Error::data(&table.name, message));
        }
        let mut kind = config.prepare.standardization;
        let training = table.rows.select(Axis(0), &split.train);
        let fit = |kind, of: &Table, training: &Array2<f64>| {
            Transform::fit(kind, training.view(), &of.columns)
                .map_err(|error| in_training_rows(error, &table.name))
        };
        let (mut notes, mut noise) = (Vec::new(), None);
        let plain = match fit(kind, table, &training) {
            Err(Error::Data { message, .. })
                if kind == Standardization::Whiten && config.prepare.or_standardize =>
            {
                notes.push(format!("the columns are standardized, not whitened: {message}"));
                kind = Standardization::Standardize;
                fit(kind, table, &training)?
            }
            other => other?,
        };
        let normal = |kind| {
            Transform::fit_normal(kind, training.view(), &table.columns)
                .map_err(|error| in_training_rows(error, &table.name))
        };
        let transform = match config.prepare.marginals {
            Marginals::Keep => plain,
            Marginals::Normal => normal(kind)?,
            Marginals::Auto => {
                let validation = table.rows.select(Axis(0), &split.validation);
                let mean = |of: &Transform| of.log_density_of_normal(validation.view()).mean();
                // Gaussians of all columns together, however these are scaled: what follows from other columns does so no
                // more when each is bent by itself.
                let as_is = fit(Standardization::Whiten, table, &training);
                let gaussians = (as_is, normal(Standardization::Whiten));
                match &gaussians {
                    (Ok(as_is), Ok(bent)) if mean(bent) > mean(as_is) => normal(kind)?,
                    _ => plain,
                }
            }
        };
        let condition = checked.condition.as_ref().map(|condition| -> Result<ConditionColumns> {
            let training = condition.rows.select(Axis(0), &split.train);
            let transform = fit(kind, condition, &training)?;
            let range = training.columns().into_iter().map(|column| {
                let ends = [f64::INFINITY, f64::NEG_INFINITY];
                column.iter().fold(ends, |[low, high], x| [low.min(*x), high.max(*x)])
            });
            let range = Some(range.collect());
            Ok(ConditionColumns { columns: condition.columns.clone(), transform, range })
        });
        let condition = condition.transpose()?;
        let units = fit(Standardization::Standardize, table, &training)?;
        let domain = match &config.family {
            Family::Network(NetworkConfig {
                support: Support::Domain { domain, power }, ..
            }) => {
                let noisy = checked.dequantization.is_some();
                Some(domain.domain(table, &units, *power, noisy)?)
            }
            _ => None,
        };
        if let Family::Diffusion(diffusion) = &config.family {
            let columns = &table.columns;
            notes.extend(diffusion.notes(columns, transform.forward(training.view()).view())?);
            noise = Some(diffusion.record(columns, training.view(), &transform, seed)?);
        }
        let baselines = OnceLock::new();
        let base = None;
        let prepared = Prepared {
            split,
            transform,
            condition,
            units,
            domain,
            base,
            noise,
            notes,
            checked,
            seed,
            baselines,
        };
        prepared.with_base(config)
    }
}

impl Prepared {
    /// Columns of x.
    pub fn dim(&self) -> usize {
        self.checked.table.n_columns()
    }

    /// Names of the columns of x.
    pub fn columns(&self) -> &[String] {
        &self.checked.table.columns
    }

    /// Rows in all.
    pub fn n_rows(&self) -> usize {
        self.checked.table.n_rows()
    }

    /// The table.
    pub fn checked(&self) -> &CheckedTable {
        &self.checked
    }

    /// The noise of rounding that was added.
    pub fn dequantization(&self) -> Option<&Dequantization> {
        self.checked.dequantization.as_ref()
    }

    /// x of some rows, in the columns' units.
    pub fn rows(&self, part: &[usize]) -> Array2<f64> {
        self.checked.table.rows.select(Axis(0), part)
    }

    /// The conditions of some rows; no columns without any.
    pub fn conditions(&self, part: &[usize]) -> Array2<f64> {
        let all = self.checked.condition.as_ref();
        all.map_or_else(|| Array2::zeros((part.len(), 0)), |c| c.rows.select(Axis(0), part))
    }

    /// Rows in the network's units and precision, with their conditions.
    ///
    /// # Errors
    /// [`Error::Data`] for a value that is too large for single precision.
    pub fn network_rows(&self, part: &[usize]) -> Result<PointSet<f32>> {
        let x = narrow(&self.checked.table, &self.rows(part), &self.transform)?;
        let mut set = PointSet::from(x);
        if let (Some(condition), Some(table)) = (&self.condition, &self.checked.condition) {
            set.contexts.push(narrow(table, &self.conditions(part), &condition.transform)?);
        }
        Ok(set)
    }

    /// The model at the conditions of some rows.
    ///
    /// # Errors
    /// As [`FittedModel::condition`].
    pub fn model_at(&self, model: &FittedModel, part: &[usize]) -> Result<FittedModel> {
        model.at_condition(self.conditions(part).view())
    }

    /// A Gaussian and a mixture of the training rows, in columns of unit standard deviation, in which a floor under variances
    /// means the same for all; None where there are no validation rows, or the training rows have no covariance.
    pub(super) fn baselines(&self) -> Result<Option<&Baselines>> {
        if let Some(found) = self.baselines.get() {
            return Ok(found.as_ref());
        }
        let scaled = |part: &[usize]| self.units.forward(self.rows(part).view());
        let (training, validation) = (scaled(&self.split.train), scaled(&self.split.validation));
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let found = match validation.nrows() {
            0 => None,
            _ => match Baselines::fit(training.view(), validation.view(), &mut rng) {
                Ok(found) => Some(found),
                Err(Error::Numerical { .. }) => None,
                Err(error) => return Err(error),
            },
        };
        Ok(self.baselines.get_or_init(|| found).as_ref())
    }

    /// The settings of training in the network's units.
    pub fn training(&self, config: &FitConfig) -> TrainConfig {
        let transform = &self.transform;
        let inside = |domain: &Domain| {
            domain.scaled(&transform.mean().to_vec(), &transform.standard_deviations().to_vec())
        };
        TrainConfig { domain: self.domain.as_ref().map(inside), ..config.training.clone() }
    }

    /// The map to the units in which a model file says that its network, or the process of one, works: none where
    /// a custom process scales the columns anew at every time.
    pub(super) fn lasting_transform(&self) -> Transform {
        match &self.noise {
            Some(NoiseRecord { scaling: Some(_), .. }) => Transform::identity(self.dim()),
            _ => self.transform.clone(),
        }
    }
}

/// The table without the columns of the condition, and these.
fn without_condition(table: Table, names: &[String]) -> Result<(Table, Option<Table>)> {
    if names.is_empty() {
        return Ok((table, None));
    }
    let condition = table.select(names)?;
    if condition.n_columns() == table.n_columns() {
        let message = "names every column of the table, which leaves none to model";
        return Err(Error::config("given", message));
    }
    Ok((table.drop_columns(names)?, Some(condition)))
}

fn same_kind(a: &DataWarning, b: &DataWarning) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

fn dequantize(config: &FitConfig, table: &mut Table) -> Result<Option<Dequantization>> {
    let Some(names) = &config.prepare.dequantize else { return Ok(None) };
    let columns = match names.as_slice() {
        [] => DequantizeColumns::Discrete,
        names => DequantizeColumns::Named(names.to_vec()),
    };
    let noise = Dequantization::fit(table, config.prepare.gap_rule, &columns)?;
    noise.apply(table, &mut ChaCha8Rng::seed_from_u64(config.training.seed))?;
    Ok(Some(noise))
}

/// Some rows of a table in the network's units and precision.
fn narrow(table: &Table, rows: &Array2<f64>, transform: &Transform) -> Result<Vec<f32>> {
    let z = transform.forward(rows.view());
    let bad = z.indexed_iter().find(|(_, z)| !(**z as f32).is_finite());
    if let Some(((row, column), _)) = bad {
        return Err(Error::Data {
            source_name: table.name.clone(),
            row: None,
            column: Some(table.columns[column].clone()),
            message: format!(
                "{:e} is too large for the network's single precision; scale the columns with \
                 `standardize` standardize, or remove such outliers",
                rows[[row, column]]
            ),
        });
    }
    Ok(z.iter().map(|z| *z as f32).collect())
}

/// Says of which table the training rows are.
fn in_training_rows(error: Error, name: &str) -> Error {
    match error {
        Error::Data { source_name, row, column, message } => {
            Error::Data { source_name: format!("{name}, {source_name}"), row, column, message }
        }
        other => other,
    }
}
