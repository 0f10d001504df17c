//! What is found by the checks that are made when asked for: test functions, likelihood, samples against rows.

use gradlogp::diagnose::{Copies, LogMean, Normalizer, SteinStatement, likelihood};
use gradlogp::fit::{LEVEL, SampleCheck};
use gradlogp::words::short;
use gradlogp::{FittedModel, LogDensity};
use ndarray::ArrayView2;
use serde::Serialize;

use crate::render::{Check, Estimate, Grade};

/// What was found. Keys are described in docs/json.md.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Findings {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    /// Test functions.
    pub test_functions: Vec<Statement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// The likelihood.
    pub likelihood: Option<Normalized>,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// Samples.
    pub samples: Option<Comparison>,
}

/// The Stein identity of one test function.
#[derive(Debug, Clone, Serialize)]
pub struct Statement {
    name: String,
    value: f64,
    value_se: f64,
    z: f64,
    holds: bool,
}

/// The likelihood of the rows, or why there is none.
#[derive(Debug, Clone, Serialize)]
pub struct Normalized {
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
pub struct Comparison {
    source: String,
    sample_rows: usize,
    /// Samples that are rows of a table given, where they were not drawn here.
    #[serde(skip_serializing_if = "Option::is_none")]
    copied_rows: Option<usize>,
    #[serde(skip)]
    copies_are_suspicious: bool,
    #[serde(skip)]
    check: SampleCheck,
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

impl From<SteinStatement> for Statement {
    fn from(found: SteinStatement) -> Self {
        Statement {
            name: found.name,
            value: found.value.mean,
            value_se: found.value.standard_error,
            z: found.z,
            holds: found.holds,
        }
    }
}

impl Findings {
    /// Rows of the check table.
    pub fn checks(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        checks.extend(self.worst_function());
        checks.extend(self.likelihood.iter().flat_map(Normalized::checks));
        checks.extend(self.samples.iter().flat_map(Comparison::checks));
        checks
    }

    /// What samples show beside the rows, unless they are copies of rows.
    pub fn sample_check(&self) -> Option<SampleCheck> {
        self.samples.as_ref().and_then(Comparison::to_judge)
    }

    /// What the table cannot say.
    pub fn note(&self) -> Option<String> {
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
    /// No likelihood, and why.
    pub fn refused(why: String) -> Self {
        Normalized {
            found: None,
            refused: Some(why),
            importance: None,
            forward_annealing: None,
            reverse_annealing: None,
        }
    }

    /// That of `rows`, by the estimates of a model's log Z; `in_words` of why there may be none.
    pub fn of(
        model: &FittedModel,
        rows: ArrayView2<'_, f64>,
        estimates: Normalizer,
        in_words: &dyn Fn(&str) -> String,
    ) -> Self {
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
        Normalized {
            found,
            refused: estimates.log_z.err().map(|why| in_words(&why.to_string())),
            importance: Some(route(estimates.importance)),
            forward_annealing: Some(route(estimates.forward)),
            reverse_annealing: Some(route(estimates.reverse)),
        }
    }

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
    /// Of samples from `source`, with what they show beside the rows, and how many are copies of some.
    pub fn of(
        source: String,
        sample_rows: usize,
        copies: Option<Copies>,
        check: SampleCheck,
        columns: &[String],
    ) -> Self {
        let (energy, classifier) = (check.energy, check.classifier);
        let of_columns = check.columns.iter().zip(columns).map(|(test, name)| ColumnComparison {
            column: name.clone(),
            ks_distance: test.distance,
            ks_p_value: test.p_value,
        });
        Comparison {
            source,
            sample_rows,
            copied_rows: copies.map(|copies| copies.copies),
            copies_are_suspicious: copies.is_some_and(|copies| copies.are_suspicious()),
            energy_distance: energy.squared,
            energy_critical: energy.critical,
            energy_p_value: energy.p_value,
            classifier_accuracy: classifier.accuracy,
            classifier_accuracy_se: classifier.standard_error,
            classifier_p_value: classifier.p_value,
            columns: of_columns.collect(),
            check,
        }
    }

    /// What is evidence: not of samples that are copies of rows.
    pub fn to_judge(&self) -> Option<SampleCheck> {
        (!self.copies_are_suspicious).then(|| self.check.clone())
    }

    /// One line for the terminal.
    pub fn line(&self) -> String {
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
