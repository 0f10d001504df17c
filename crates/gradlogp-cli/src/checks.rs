//! The checks that are made when asked for: test functions, likelihood, samples against rows.

use anyhow::Result;
use gradlogp::diagnose::{ColumnFunction, Copies, TestFunction, copies_of, test_functions};
use gradlogp::draw::Samples;
use gradlogp::fit::{LEVEL, SampleCheck};
use gradlogp::{Error, FittedModel};
use gradlogp_report::{Comparison, Findings, LEAST_COMPARED, Normalized, Statement};
use ndarray::{Array2, ArrayView2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::args::{ChainArgs, CheckArgs, ReadArgs};
use crate::exit;
use crate::input::{Place, Source, in_table, show_warnings};
use crate::limits::check_memory;
use crate::sampling::{self, Words};
use crate::text;

/// What was asked for.
pub(crate) struct Checks<'a> {
    pub(crate) args: &'a CheckArgs,
    /// How a table of samples is read.
    pub(crate) read: &'a ReadArgs,
    /// Rows that samples are compared with, where it is others that are judged: noised ones.
    pub(crate) rows_for_samples: Option<ArrayView2<'a, f64>>,
    /// The rows without the noise that cures ties, among which copies are looked for.
    pub(crate) as_read: Option<ArrayView2<'a, f64>>,
    /// What the table of rows is called.
    pub(crate) name: &'a str,
    pub(crate) quiet: bool,
    /// The files that were named, as one would write them again.
    pub(crate) call: &'a str,
}

/// Samples, and what is known of how they were drawn.
struct ToCompare {
    source: String,
    rows: Array2<f64>,
    drawn: Option<Samples>,
}

impl Checks<'_> {
    /// Makes them on `rows`.
    pub(crate) fn run(
        &self,
        model: &FittedModel,
        rows: ArrayView2<'_, f64>,
        seed: u64,
    ) -> Result<Findings> {
        // A generator of their own each: one check more or less does not change another.
        let mut rngs = (1..).map(|k| ChaCha8Rng::seed_from_u64(seed ^ (0xc4ec << 32) ^ k));
        let mut rng = || rngs.next().unwrap_or_else(|| ChaCha8Rng::seed_from_u64(seed));
        Ok(Findings {
            test_functions: self.functions(model, rows)?,
            likelihood: match self.args.likelihood {
                true => Some(normalized(model, rows, &mut rng())?),
                false => None,
            },
            samples: match self.samples(model, seed)? {
                Some(samples) => {
                    let rows = self.rows_for_samples.unwrap_or(rows);
                    Some(self.compare(model, rows, samples, &mut rng())?)
                }
                None => None,
            },
        })
    }

    /// Samples against rows, for models of every noise level; the other checks are of one density.
    pub(crate) fn samples_over_time(
        &self,
        model: &FittedModel,
        rows: ArrayView2<'_, f64>,
        seed: u64,
    ) -> Result<Option<Comparison>> {
        let message = "is about one density, and this model was fitted with --noise: it has one for \
                       every time";
        if self.args.likelihood {
            let message = format!("{message}; use: gradlogp loglik {}", self.call);
            return Err(Error::config("--likelihood", message).into());
        }
        if !self.args.test_functions.is_empty() {
            let message = format!("{message}; gradlogp report {} takes the least noise", self.call);
            return Err(Error::config("--test-functions", message).into());
        }
        let Some(samples) = self.samples(model, seed)? else { return Ok(None) };
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ (0xc4ec << 32));
        Ok(Some(self.compare(model, rows, samples, &mut rng)?))
    }

    fn functions(&self, model: &FittedModel, rows: ArrayView2<'_, f64>) -> Result<Vec<Statement>> {
        if self.args.test_functions.is_empty() {
            return Ok(Vec::new());
        }
        without_bounds(model, "--test-functions")?;
        let columns = model.description().columns.iter().enumerate();
        let functions: Vec<ColumnFunction> = columns
            .flat_map(|(column, name)| {
                self.args.test_functions.iter().map(move |shape| ColumnFunction {
                    column,
                    shape: *shape,
                    column_name: name.clone(),
                })
            })
            .collect();
        let functions: Vec<&dyn TestFunction> =
            functions.iter().map(|f| f as &dyn TestFunction).collect();
        let found = test_functions(model, rows, &functions, LEVEL)?;
        Ok(found.into_iter().map(Statement::from).collect())
    }

    fn samples(&self, model: &FittedModel, seed: u64) -> Result<Option<ToCompare>> {
        if let Some(path) = &self.args.samples {
            let source = Source::at(Place::File(path.clone()), self.read);
            let mut loaded = source.load(0, Some(&model.description().columns))?;
            show_warnings(&loaded.warnings);
            if let Some(noise) = &model.description().dequantization {
                // As the rows that they are compared with.
                let seed = model.description().training.seed ^ (0x5a3b << 32);
                noise.apply_to_rounded(&mut loaded.table, &mut ChaCha8Rng::seed_from_u64(seed))?;
            }
            let rows = loaded.table.rows;
            return Ok(Some(ToCompare { source: source.name(), rows, drawn: None }));
        }
        let Some(n) = self.args.draw else { return Ok(None) };
        if n == 0 {
            return Err(Error::config("--draw", "must be at least 1").into());
        }
        without_condition(model, "--draw")?;
        if n < LEAST_COMPARED {
            let message = format!("must be at least {LEAST_COMPARED}, to be compared with rows");
            return Err(Error::config("--draw", message).into());
        }
        check_memory("--draw", 16.0 * n as f64 * model.description().columns.len() as f64)?;
        let chains = ChainArgs { seed, ..ChainArgs::default() };
        let drawn = sampling::draw(model, n, &chains, self.quiet)?;
        if let Some(warning) = drawn.warning() {
            crate::text::warning(&warning);
        }
        let rows = drawn.rows.clone();
        Ok(Some(ToCompare { source: "drawn from the model".into(), rows, drawn: Some(drawn) }))
    }

    /// Two-sample tests, after a look for copies.
    fn compare(
        &self,
        model: &FittedModel,
        rows: ArrayView2<'_, f64>,
        ToCompare { source, rows: samples, drawn }: ToCompare,
        rng: &mut ChaCha8Rng,
    ) -> Result<Comparison> {
        let samples = samples.view();
        for (name, part) in [(source.as_str(), samples), (self.name, rows)] {
            if part.nrows() < LEAST_COMPARED {
                let operation = "comparison of samples with rows";
                let (found, least) = (part.nrows(), LEAST_COMPARED);
                return Err(in_table(Error::TooFewRows { operation, found, least }, name).into());
            }
        }
        let copies = self.copies(model, samples, &source);
        let check = SampleCheck::of(rows, samples, drawn.as_ref(), rng)?;
        let columns = &model.description().columns;
        Ok(Comparison::of(source, samples.nrows(), copies, check, columns))
    }

    /// Samples of a file that are rows of the table, or of the one that the model was fitted to, if that is still
    /// there; warns of more than chance explains.
    fn copies(
        &self,
        model: &FittedModel,
        samples: ArrayView2<'_, f64>,
        source: &str,
    ) -> Option<Copies> {
        let rows = self.as_read?;
        let record = &model.description().data;
        let here = copies_of(rows, samples);
        let of_training = (record.source != self.name && !record.built_in)
            .then(|| self.fitted_to(model))
            .flatten()
            .map(|rows| copies_of(rows.view(), samples));
        let worse = of_training.filter(|there| there.copies > here.copies);
        let (found, table) = match worse {
            Some(there) => (there, record.source.as_str()),
            None => (here, self.name),
        };
        if found.are_suspicious() {
            text::warning(&format!(
                "{source}: {} of {} rows are copies of rows of {table}, so they show nothing of the model; \
                 give rows that were drawn from it",
                found.copies, found.samples
            ));
        }
        Some(found)
    }

    /// The table that the model was fitted to, if it is there and has not changed.
    fn fitted_to(&self, model: &FittedModel) -> Option<Array2<f64>> {
        let record = &model.description().data;
        let source = Source::at(Place::File(record.source.clone().into()), self.read);
        let table = source.load(0, Some(&model.description().columns)).ok()?.table;
        (table.n_rows() == record.rows).then_some(table.rows)
    }
}

/// Refuses a model with bounds for what integrates over all of R^d.
fn without_bounds(model: &FittedModel, option: &str) -> Result<()> {
    if model.description().domain.is_none() {
        return Ok(());
    }
    let message =
        "this model has bounds, and the check is for densities on all of R^d; leave it out";
    Err(Error::config(option.to_string(), message).into())
}

/// Refuses a conditional model for what is about one density.
fn without_condition(model: &FittedModel, option: &str) -> Result<()> {
    if model.condition_columns().is_empty() {
        return Ok(());
    }
    let message = "this model is conditional: it has one density for each condition; leave it out";
    Err(Error::config(option.to_string(), message).into())
}

/// log Z of a model by [`FittedModel::normalizer`], refusing in the words of the options that ask for it.
pub(crate) fn normalizer(
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    rng: &mut ChaCha8Rng,
) -> Result<gradlogp::diagnose::Normalizer> {
    let options = "--likelihood, --normalize";
    without_bounds(model, options)?;
    without_condition(model, options)?;
    model.normalizer(rows, rng).map_err(|error| match error {
        Error::Config { option, message } if option == "fitted_model" => {
            Error::config(options, message).into()
        }
        other => other.into(),
    })
}

fn normalized(
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    rng: &mut ChaCha8Rng,
) -> Result<Normalized> {
    let estimates = match normalizer(model, rows, rng) {
        Ok(estimates) => estimates,
        Err(error) => match error.downcast::<Error>()? {
            // The other checks can do with fewer rows.
            few @ Error::TooFewRows { .. } => {
                return Ok(Normalized::refused(few.to_string()));
            }
            other => return Err(other.into()),
        },
    };
    Ok(Normalized::of(model, rows, estimates, &exit::in_options))
}
