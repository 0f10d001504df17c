//! The checks that are made when asked for: test functions, likelihood, samples against rows.

use anyhow::Result;
use gradlogp::diagnose::{
    ColumnFunction, Copies, LogMean, TestFunction, copies_of, likelihood, test_functions,
};
use gradlogp::draw::Samples;
use gradlogp::fit::{LEVEL, SampleCheck};
use gradlogp::{Error, FittedModel, LogDensity};
use ndarray::{Array2, ArrayView2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::args::{ChainArgs, CheckArgs, ReadArgs};
use crate::exit;
use crate::input::{Place, Source, in_table, show_warnings};
use crate::limits::check_memory;
use crate::report::{Check, Estimate, Grade};
use crate::sampling::{self, Words};
use crate::text::{self, short};

/// Least rows of each side that are compared: what the classifier test needs.
pub(crate) const LEAST_COMPARED: usize = 8;

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

/// What was found. Keys are described in docs/json.md.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Findings {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) test_functions: Vec<Statement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) likelihood: Option<Normalized>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) samples: Option<Comparison>,
}

/// The Stein identity of one test function.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Statement {
    name: String,
    value: f64,
    value_se: f64,
    z: f64,
    holds: bool,
}

/// The likelihood of the rows, or why there is none.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Normalized {
    #[serde(flatten)]
    found: Option<Likely>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    importance: Option<Route>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forward_annealing: Option<Route>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reverse_annealing: Option<Route>,
}

#[derive(Debug, Clone, Serialize)]
struct Likely {
    log_z: f64,
    log_z_se: f64,
    log_z_interval: [f64; 2],
    log_likelihood: f64,
    log_likelihood_se: f64,
    bits_per_dimension: f64,
    bits_per_dimension_se: f64,
}

/// One estimate of log Z.
#[derive(Debug, Clone, Serialize)]
struct Route {
    value: f64,
    value_se: f64,
    effective_size: f64,
}

/// Samples against rows.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Comparison {
    source: String,
    sample_rows: usize,
    /// Samples that are rows of a table given, where they were not drawn here.
    #[serde(skip_serializing_if = "Option::is_none")]
    copied_rows: Option<usize>,
    #[serde(skip)]
    copies_are_suspicious: bool,
    #[serde(skip)]
    pub(crate) check: SampleCheck,
    energy_distance: f64,
    energy_critical: f64,
    energy_p_value: f64,
    classifier_accuracy: f64,
    classifier_accuracy_se: f64,
    classifier_p_value: f64,
    columns: Vec<ColumnComparison>,
}

#[derive(Debug, Clone, Serialize)]
struct ColumnComparison {
    column: String,
    ks_distance: f64,
    ks_p_value: f64,
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
        let statement = |s: gradlogp::diagnose::SteinStatement| Statement {
            name: s.name,
            value: s.value.mean,
            value_se: s.value.standard_error,
            z: s.z,
            holds: s.holds,
        };
        Ok(found.into_iter().map(statement).collect())
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
        let (energy, classifier) = (check.energy, check.classifier);
        let columns = check
            .columns
            .iter()
            .zip(&model.description().columns)
            .map(|(test, name)| ColumnComparison {
                column: name.clone(),
                ks_distance: test.distance,
                ks_p_value: test.p_value,
            })
            .collect();
        Ok(Comparison {
            source,
            sample_rows: samples.nrows(),
            copied_rows: copies.map(|copies| copies.copies),
            copies_are_suspicious: copies.is_some_and(|copies| copies.are_suspicious()),
            check,
            energy_distance: energy.squared,
            energy_critical: energy.critical,
            energy_p_value: energy.p_value,
            classifier_accuracy: classifier.accuracy,
            classifier_accuracy_se: classifier.standard_error,
            classifier_p_value: classifier.p_value,
            columns,
        })
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
                return Ok(Normalized {
                    found: None,
                    refused: Some(few.to_string()),
                    importance: None,
                    forward_annealing: None,
                    reverse_annealing: None,
                });
            }
            other => return Err(other.into()),
        },
    };
    let route = |e: LogMean| Route {
        value: e.value,
        value_se: e.standard_error,
        effective_size: e.effective_size,
    };
    let found = match (estimates.log_z, model.as_log_density()) {
        (Ok(log_z), Some(density)) => {
            let of_rows = likelihood(density.log_density(rows).view(), rows.ncols(), log_z);
            Some(Likely {
                log_z: log_z.value,
                log_z_se: log_z.standard_error,
                log_z_interval: log_z.interval(0.95),
                log_likelihood: of_rows.per_row.mean,
                log_likelihood_se: of_rows.per_row.standard_error,
                bits_per_dimension: of_rows.bits_per_dimension.mean,
                bits_per_dimension_se: of_rows.bits_per_dimension.standard_error,
            })
        }
        _ => None,
    };
    Ok(Normalized {
        found,
        refused: estimates.log_z.err().map(|why| exit::in_options(&why.to_string())),
        importance: Some(route(estimates.importance)),
        forward_annealing: Some(route(estimates.forward)),
        reverse_annealing: Some(route(estimates.reverse)),
    })
}

/// Rows of the check table as the terminal shows them.
pub(crate) fn table(checks: &[Check]) -> String {
    let word = |grade| match grade {
        Grade::Pass => "ok",
        Grade::Warn => "look",
        Grade::Fail => "FAULT",
        Grade::Info => "",
    };
    let cells = |c: &Check| {
        let spread = c.value.standard_error.map_or(String::new(), |se| format!("+- {}", short(se)));
        let expected = c.expected.as_ref().map_or(String::new(), |e| format!("(expected {e})"));
        vec![c.name.clone(), short(c.value.value), spread, expected, word(c.grade).to_string()]
    };
    text::aligned(&checks.iter().map(cells).collect::<Vec<_>>())
}

/// Look at it, or not.
fn graded(fine: bool) -> Grade {
    if fine { Grade::Pass } else { Grade::Warn }
}

fn row(
    name: impl Into<String>,
    value: f64,
    standard_error: Option<f64>,
    expected: Option<String>,
    grade: Grade,
    explanation: &str,
) -> Check {
    let value = Estimate { value, standard_error };
    Check { name: name.into(), value, expected, grade, explanation: explanation.into() }
}

impl Findings {
    /// Rows of the check table.
    pub(crate) fn checks(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        checks.extend(self.worst_function());
        checks.extend(self.likelihood.iter().flat_map(Normalized::checks));
        checks.extend(self.samples.iter().flat_map(Comparison::checks));
        checks
    }

    /// What samples show beside the rows, unless they are copies of rows.
    pub(crate) fn sample_check(&self) -> Option<SampleCheck> {
        self.samples.as_ref().and_then(Comparison::to_judge)
    }

    /// What the table cannot say.
    pub(crate) fn note(&self) -> Option<String> {
        let why = self.likelihood.as_ref()?.refused.as_ref()?;
        Some(format!("No likelihood is given: {why}"))
    }

    fn worst_function(&self) -> Option<Check> {
        let size = |s: &&Statement| s.z.abs();
        let worst = self.test_functions.iter().max_by(|a, b| size(a).total_cmp(&size(b)))?;
        let broken = self.test_functions.iter().filter(|s| !s.holds).count();
        Some(row(
            format!("Test functions, worst z ({})", worst.name),
            worst.z,
            None,
            Some(format!("{broken} of {} outside their bands", self.test_functions.len())),
            graded(broken == 0),
            "E[s f + f'] must be 0 for every function f of every column; in standard errors, all bands \
             together at 95%.",
        ))
    }
}

impl Normalized {
    fn checks(&self) -> Vec<Check> {
        let Some(found) = &self.found else { return Vec::new() };
        vec![
            row(
                "log Z",
                found.log_z,
                Some(found.log_z_se),
                None,
                Grade::Info,
                "What the model's log density exceeds the normalized one by: importance sampling and \
                 annealing in both directions agree on it.",
            ),
            row(
                "Log likelihood of a row",
                found.log_likelihood,
                Some(found.log_likelihood_se),
                None,
                Grade::Info,
                "Mean normalized log density of the held-out rows, in natural logarithms and the units of \
                 the columns.",
            ),
            row(
                "Bits per dimension",
                found.bits_per_dimension,
                Some(found.bits_per_dimension_se),
                None,
                Grade::Info,
                "-log2 of the density of a row, over the number of columns. It depends on the units of the \
                 columns.",
            ),
        ]
    }
}

impl Comparison {
    /// What is evidence: not of samples that are copies of rows.
    pub(crate) fn to_judge(&self) -> Option<SampleCheck> {
        (!self.copies_are_suspicious).then(|| self.check.clone())
    }

    /// One line for the terminal.
    pub(crate) fn line(&self) -> String {
        let worst = self.columns.iter().map(|c| c.ks_p_value).fold(f64::INFINITY, f64::min);
        format!(
            "Samples ({} rows): energy distance {} (95% point {}, p {}), classifier {} +- {} (p {}), least \
             Kolmogorov-Smirnov p of a column {}\n",
            self.sample_rows,
            short(self.energy_distance),
            short(self.energy_critical),
            short(self.energy_p_value),
            short(self.classifier_accuracy),
            short(self.classifier_accuracy_se),
            short(self.classifier_p_value),
            short(worst)
        )
    }

    fn checks(&self) -> Vec<Check> {
        let mut checks = vec![
            row(
                "Samples: energy distance",
                self.energy_distance,
                None,
                Some(format!("below {}", short(self.energy_critical))),
                graded(self.energy_p_value >= LEVEL),
                "2 E|x - y| - E|x - x'| - E|y - y'| of rows x and samples y, pooled standardized; 95% of \
                 random relabellings stay below the bound.",
            ),
            row(
                "Samples: classifier accuracy",
                self.classifier_accuracy,
                Some(self.classifier_accuracy_se),
                Some("0.5".into()),
                graded(self.classifier_p_value >= LEVEL),
                "How often a classifier tells rows from samples on cases it has not seen: 0.5 is no better \
                 than chance.",
            ),
        ];
        if self.copies_are_suspicious {
            checks.push(row(
                "Samples: copies of rows",
                self.copied_rows.unwrap_or(0) as f64,
                None,
                Some("0".into()),
                Grade::Warn,
                "Samples that are equal to a row that is compared with, or that trained the model: they pass the \
                 tests and show nothing of the model.",
            ));
        }
        let worst = self.columns.iter().min_by(|a, b| a.ks_p_value.total_cmp(&b.ks_p_value));
        if let Some(worst) = worst {
            let bound = LEVEL / self.columns.len() as f64;
            checks.push(row(
                format!("Samples: least p of a column ({})", worst.column),
                worst.ks_p_value,
                None,
                Some(format!("above {}", short(bound))),
                graded(worst.ks_p_value >= bound),
                "Kolmogorov-Smirnov test of each column's rows against its samples; all columns together \
                 at 95%.",
            ));
        }
        checks
    }
}
