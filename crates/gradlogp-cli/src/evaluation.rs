//! What is known of a fitted model on some rows: the figures of `fit` and `eval`.

use anyhow::Result;
use gradlogp::FittedModel;
use gradlogp::data::synthetic::Dataset;
use gradlogp::diagnose::{Baseline, BaselineComparison, Paired};
use gradlogp::fit::{
    Evaluation, LEVEL, Measure, SampleCheck, Standing, evaluate, evaluate_at_its_time,
};
use ndarray::ArrayView2;
use serde::Serialize;

use crate::checks::{Checks, Findings, table};
use crate::report::{self, Grade};
use crate::text::short;
use crate::verdict::Judged;

/// The figures, as `--json` shows them. Keys are described in docs/json.md.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    pub(crate) rows: usize,
    pub(crate) exact_loss: f64,
    pub(crate) exact_loss_se: f64,
    pub(crate) stein_mean_max_z: f64,
    pub(crate) stein_product_max_z: f64,
    /// Of conditional models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stein_given_max_z: Option<f64>,
    pub(crate) stein_critical_z: f64,
    pub(crate) stein_slope: f64,
    pub(crate) stein_slope_se: f64,
    pub(crate) consistent: bool,
    #[serde(flatten)]
    pub(crate) judged: Judged,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kernel_stein_squared: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kernel_stein_p_value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kernel_stein_groups: Option<usize>,
    /// The fit beside densities fitted to the same training rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) baselines: Vec<Beside>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log_likelihood: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log_likelihood_se: Option<f64>,
    /// The log likelihood of a time model beside that of densities fitted to the same training rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) likelihood_baselines: Vec<LikelihoodBeside>,
    /// What all of this was made of.
    #[serde(skip)]
    evaluation: Evaluation,
    /// Whether the identities are those within bounds.
    #[serde(skip)]
    pub(crate) bounded: bool,
    #[serde(flatten)]
    pub(crate) findings: Findings,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) relative_fisher_divergence: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) relative_fisher_divergence_se: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fisher_divergence: Option<f64>,
}

/// A fit beside one baseline, on the same rows.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Beside {
    pub(crate) baseline: String,
    /// The baseline's.
    pub(crate) exact_loss: f64,
    /// The fit's less the baseline's.
    pub(crate) difference: f64,
    pub(crate) difference_se: f64,
    pub(crate) relative_difference: f64,
    #[serde(skip)]
    standing: Standing,
    #[serde(skip)]
    measure: Measure,
}

impl Beside {
    fn of(found: &BaselineComparison) -> Self {
        Beside {
            baseline: found.baseline.to_string(),
            exact_loss: found.loss,
            difference: found.difference.mean,
            difference_se: found.difference.standard_error,
            relative_difference: found.relative,
            standing: Standing::of(found),
            measure: Measure::Baseline(found.baseline),
        }
    }

    fn check(&self, of: Grade) -> report::Check {
        report::Check {
            name: format!("Loss beside a {}", self.baseline),
            value: report::Estimate {
                value: self.difference,
                standard_error: Some(self.difference_se),
            },
            expected: Some("below 0".into()),
            grade: of,
            explanation: format!(
                "Exact loss of the fit less that of a {} fitted to the same training rows, on the same held-out \
                 rows: half of the difference of their Fisher divergences. Below 0 the fit is nearer to the \
                 true score. Its share of what there is to know: {}%.",
                self.baseline,
                short(100.0 * self.relative_difference)
            ),
        }
    }
}

/// The log likelihood of a fit beside one baseline's, on the same rows.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LikelihoodBeside {
    pub(crate) baseline: String,
    /// The baseline's.
    pub(crate) log_likelihood: f64,
    /// The fit's less the baseline's.
    pub(crate) difference: f64,
    pub(crate) difference_se: f64,
    #[serde(skip)]
    standing: Standing,
    #[serde(skip)]
    measure: Measure,
}

impl LikelihoodBeside {
    fn of((baseline, log_likelihood, above): &(Baseline, f64, Paired)) -> Self {
        LikelihoodBeside {
            baseline: baseline.to_string(),
            log_likelihood: *log_likelihood,
            difference: above.mean,
            difference_se: above.standard_error,
            standing: Standing::of_likelihood(above),
            measure: Measure::LikelihoodBaseline(*baseline),
        }
    }

    fn check(&self, of: Grade) -> report::Check {
        report::Check {
            name: format!("Log likelihood beside a {}", self.baseline),
            value: report::Estimate {
                value: self.difference,
                standard_error: Some(self.difference_se),
            },
            expected: Some("above 0".into()),
            grade: of,
            explanation: format!(
                "Mean log density of the held-out rows under the fit less that under a {} fitted to the same \
                 training rows, in nats a row.",
                self.baseline
            ),
        }
    }
}

/// Of a baseline: green where the fit is better, red where the baseline is better by more than a good fit allows.
fn beside(standing: Standing, of_effect: Option<Grade>) -> Grade {
    match (standing, of_effect) {
        (Standing::Better, _) => Grade::Pass,
        (_, Some(Grade::Fail)) => Grade::Fail,
        _ => Grade::Warn,
    }
}

/// Evaluates a model on held-out rows; `checks` are what was asked for beyond the usual. All draws come from `seed`.
pub(crate) fn figures_of(
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    drawn_from: Option<&Dataset>,
    seed: u64,
    checks: Option<Checks<'_>>,
) -> Result<Figures> {
    let mut evaluation = evaluate(model, rows, drawn_from, seed)?;
    let findings = checks.map(|checks| checks.run(model, rows, seed)).transpose()?;
    let findings = findings.unwrap_or_default();
    evaluation.samples = findings.sample_check();
    Ok(Figures { findings, ..Figures::from(evaluation) })
}

/// As [`figures_of`]; a time model on the rows noised to the time at which it answers. Samples are compared with the rows
/// as they are.
pub(crate) fn figures_at_its_time(
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    drawn_from: Option<&Dataset>,
    seeds: (u64, u64),
    checks: Checks<'_>,
) -> Result<Figures> {
    let mut evaluation = evaluate_at_its_time(model, rows, drawn_from, seeds)?;
    let findings = match model.noised(rows, seeds.0)? {
        Some(noised) => {
            let checks = Checks { rows_for_samples: Some(rows), ..checks };
            checks.run(model, noised.view(), seeds.1)?
        }
        None => checks.run(model, rows, seeds.1)?,
    };
    evaluation.samples = findings.sample_check();
    Ok(Figures { findings, ..Figures::from(evaluation) })
}

impl From<Evaluation> for Figures {
    fn from(found: Evaluation) -> Self {
        let (stein, kernel_stein, fisher) = (&found.stein, found.kernel_stein, found.fisher);
        Figures {
            rows: found.rows,
            exact_loss: found.exact_loss.mean,
            exact_loss_se: found.exact_loss.standard_error,
            stein_mean_max_z: stein.mean_max_z,
            stein_product_max_z: stein.product_max_z,
            stein_given_max_z: found.conditional.then_some(stein.condition_max_z),
            stein_critical_z: stein.critical_z,
            stein_slope: stein.slope.mean,
            stein_slope_se: stein.slope.standard_error,
            consistent: found.is_consistent(),
            judged: Judged::new(found.verdict(), found.evidence()),
            kernel_stein_squared: kernel_stein.map(|k| k.squared),
            kernel_stein_p_value: kernel_stein.map(|k| k.p_value),
            kernel_stein_groups: kernel_stein.map(|k| k.groups),
            baselines: found.baselines.iter().map(Beside::of).collect(),
            log_likelihood: found.likelihood.as_ref().map(|l| l.log_likelihood.mean),
            log_likelihood_se: found.likelihood.as_ref().map(|l| l.log_likelihood.standard_error),
            likelihood_baselines: found
                .likelihood
                .iter()
                .flat_map(|l| &l.baselines)
                .map(LikelihoodBeside::of)
                .collect(),
            bounded: found.bounded,
            findings: Findings::default(),
            relative_fisher_divergence: fisher.map(|f| f.relative.mean),
            relative_fisher_divergence_se: fisher.map(|f| f.relative.standard_error),
            fisher_divergence: fisher.map(|f| f.absolute.mean),
            evaluation: found,
        }
    }
}

impl Figures {
    /// The check table of the report and the terminal.
    pub(crate) fn checks(&self) -> Vec<report::Check> {
        let estimate = |value, se: f64| report::Estimate { value, standard_error: Some(se) };
        let plain = |value| report::Estimate { value, standard_error: None };
        // They say whether there is a fault, not how large it is.
        let graded = |fine: bool| if fine { Grade::Pass } else { Grade::Warn };
        let mut checks = vec![
            report::Check {
                name: "Exact loss".into(),
                value: estimate(self.exact_loss, self.exact_loss_se),
                expected: None,
                grade: Grade::Info,
                explanation: "Implicit score matching loss on held-out rows, columns in units of \
                              their standard deviations. Lower is better; compare fits of the same \
                              rows."
                    .into(),
            },
            report::Check {
                name: "Stein slope".into(),
                value: estimate(self.stein_slope, self.stein_slope_se),
                expected: Some("1".into()),
                grade: graded(
                    (self.stein_slope - 1.0).abs() <= self.stein_critical_z * self.stein_slope_se,
                ),
                explanation: match self.bounded {
                    true => "c in E[w s x] = -c E[w + x dw/dx], w being the weight by the distance to the \
                             bounds. Above 1 the score is c times too large, below 1 too small, below 0 its \
                             sign is inverted.",
                    false => "c in E[s x^T] = -c I. Above 1 the score is c times too large, below 1 too small, \
                              below 0 its sign is inverted.",
                }
                .into(),
            },
            report::Check {
                name: "Stein mean, largest |z|".into(),
                value: plain(self.stein_mean_max_z),
                expected: Some(format!("below {}", short(self.stein_critical_z))),
                grade: graded(self.stein_mean_max_z <= self.stein_critical_z),
                explanation: match self.bounded {
                    true => "E[w s + dw/dx] must be 0 in every column, w being the weight by the distance \
                             to the bounds; in standard errors.",
                    false => "E[s] must be 0 in every column; in standard errors.",
                }
                .into(),
            },
            report::Check {
                name: "Stein products, largest |z|".into(),
                value: plain(self.stein_product_max_z),
                expected: Some(format!("below {}", short(self.stein_critical_z))),
                grade: graded(self.stein_product_max_z <= self.stein_critical_z),
                explanation: match self.bounded {
                    true => "E[(w s + dw/dx) x^T] must be -E[w] I in every pair of columns; in standard \
                             errors.",
                    false => "E[s x^T] must be -I in every pair of columns; in standard errors.",
                }
                .into(),
            },
        ];
        if let Some(z) = self.stein_given_max_z {
            checks.push(report::Check {
                name: "Stein condition, largest |z|".into(),
                value: plain(z),
                expected: Some(format!("below {}", short(self.stein_critical_z))),
                grade: graded(z <= self.stein_critical_z),
                explanation:
                    "E[s c^T] must be 0 for every given column c: the score must not lean \
                              with the condition; in standard errors."
                        .into(),
            });
        }
        if let Some(p) = self.kernel_stein_p_value {
            checks.push(report::Check {
                name: "Kernel Stein test, p".into(),
                value: plain(p),
                expected: Some(format!("above {LEVEL}")),
                grade: if p >= LEVEL { Grade::Pass } else { Grade::Warn },
                explanation:
                    "Chance of so large a kernel Stein discrepancy under the true score. It sees \
                              faults of every shape; with many rows also those too small to matter."
                        .into(),
            });
        }
        checks.extend(self.judged.checks());
        checks.extend(
            self.baselines
                .iter()
                .map(|b| b.check(beside(b.standing, self.judged.mark_of(&b.measure)))),
        );
        if let (Some(value), Some(se)) = (self.log_likelihood, self.log_likelihood_se) {
            checks.push(report::Check {
                name: "Log likelihood".into(),
                value: estimate(value, se),
                expected: None,
                grade: Grade::Info,
                explanation: "Mean log density of the held-out rows by the probability flow, in nats a row and the \
                              units of the columns. Higher is better; compare fits of the same rows."
                    .into(),
            });
        }
        checks.extend(
            self.likelihood_baselines
                .iter()
                .map(|b| b.check(beside(b.standing, self.judged.mark_of(&b.measure)))),
        );
        checks.extend(self.findings.checks());
        if let (Some(value), Some(se)) =
            (self.relative_fisher_divergence, self.relative_fisher_divergence_se)
        {
            checks.push(report::Check {
                name: "Relative Fisher divergence".into(),
                value: estimate(value, se),
                expected: Some("0".into()),
                grade: Grade::Info,
                explanation:
                    "E|s - s*|^2 / E|s*|^2 against the true score s* of this built-in set, \
                              on 10,000 fresh rows."
                        .into(),
            });
        }
        checks
    }

    /// The same with what `samples` show beside the rows.
    pub(crate) fn with_samples(self, samples: SampleCheck) -> Self {
        let Figures { mut evaluation, findings, .. } = self;
        evaluation.samples = Some(samples);
        Figures { findings, ..Figures::from(evaluation) }
    }

    /// What all of this was made of.
    pub(crate) fn evaluation(&self) -> &Evaluation {
        &self.evaluation
    }

    /// The verdict as the report shows it.
    pub(crate) fn as_verdict(&self) -> report::Verdict {
        let grade = self.judged.mark();
        let mut headline = self.judged.verdict.clone();
        if let Some(first) = headline.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let note = format!(
            "Checked on {} rows that did not train the model. Limits are at 95%.",
            self.rows
        );
        let details = [note].into_iter().chain(self.findings.note()).collect();
        report::Verdict { grade, headline, details }
    }

    /// The terminal's table.
    pub(crate) fn table(&self) -> String {
        let head =
            format!("Verdict: {}\nCheck on {} held-out rows:\n", self.judged.verdict, self.rows);
        let note = self.findings.note().map_or(String::new(), |note| note + "\n");
        format!("{head}{}{note}", table(&self.checks()))
    }
}
