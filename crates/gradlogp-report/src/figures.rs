//! What is known of a fitted model on some rows: the figures of a fit and of an evaluation.

use gradlogp::diagnose::{Baseline, BaselineComparison, Paired};
use gradlogp::fit::{Evaluation, LEVEL, Measure, SampleCheck, Standing};
use gradlogp::words::short;
use serde::Serialize;

use crate::findings::Findings;
use crate::judged::Judged;
use crate::render::{self, Grade};
use crate::tables::table;

/// The figures, as `--json` shows them. Keys are described in docs/json.md.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    rows: usize,
    exact_loss: f64,
    exact_loss_se: f64,
    stein_mean_max_z: f64,
    stein_product_max_z: f64,
    /// Of conditional models.
    #[serde(skip_serializing_if = "Option::is_none")]
    stein_given_max_z: Option<f64>,
    stein_critical_z: f64,
    stein_slope: f64,
    stein_slope_se: f64,
    /// Whether all Stein identities hold within their bands.
    pub consistent: bool,
    /// The verdict.
    #[serde(flatten)]
    pub judged: Judged,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel_stein_squared: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel_stein_p_value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel_stein_groups: Option<usize>,
    /// The fit beside densities fitted to the same training rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    baselines: Vec<Beside>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_likelihood: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_likelihood_se: Option<f64>,
    /// The log likelihood of a time model beside that of densities fitted to the same training rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    likelihood_baselines: Vec<LikelihoodBeside>,
    /// What all of this was made of.
    #[serde(skip)]
    evaluation: Evaluation,
    /// Whether the identities are those within bounds.
    #[serde(skip)]
    bounded: bool,
    #[serde(flatten)]
    findings: Findings,
    #[serde(skip_serializing_if = "Option::is_none")]
    relative_fisher_divergence: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    relative_fisher_divergence_se: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fisher_divergence: Option<f64>,
}

/// A fit beside one baseline, on the same rows.
#[derive(Debug, Clone, Serialize)]
struct Beside {
    baseline: String,
    /// The baseline's.
    exact_loss: f64,
    /// The fit's less the baseline's.
    difference: f64,
    difference_se: f64,
    relative_difference: f64,
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

    fn check(&self, of: Grade) -> render::Check {
        render::Check {
            name: format!("Loss beside a {}", self.baseline),
            value: render::Estimate {
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
struct LikelihoodBeside {
    baseline: String,
    /// The baseline's.
    log_likelihood: f64,
    /// The fit's less the baseline's.
    difference: f64,
    difference_se: f64,
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

    fn check(&self, of: Grade) -> render::Check {
        render::Check {
            name: format!("Log likelihood beside a {}", self.baseline),
            value: render::Estimate {
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
    pub(crate) fn checks(&self) -> Vec<render::Check> {
        let estimate = |value, se: f64| render::Estimate { value, standard_error: Some(se) };
        let plain = |value| render::Estimate { value, standard_error: None };
        // They say whether there is a fault, not how large it is.
        let graded = |fine: bool| if fine { Grade::Pass } else { Grade::Warn };
        let mut checks = vec![
            render::Check {
                name: "Exact loss".into(),
                value: estimate(self.exact_loss, self.exact_loss_se),
                expected: None,
                grade: Grade::Info,
                explanation: "Implicit score matching loss on held-out rows, columns in units of \
                              their standard deviations. Lower is better; compare fits of the same \
                              rows."
                    .into(),
            },
            render::Check {
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
            render::Check {
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
            render::Check {
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
            checks.push(render::Check {
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
            checks.push(render::Check {
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
            checks.push(render::Check {
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
            checks.push(render::Check {
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

    /// The same with what was found by checks beyond the usual ones.
    pub fn with_findings(self, findings: Findings) -> Self {
        let Figures { mut evaluation, .. } = self;
        evaluation.samples = findings.sample_check();
        Figures { findings, ..Figures::from(evaluation) }
    }

    /// Whether there is nothing that the model is known to be good for.
    pub fn is_refused(&self) -> bool {
        self.judged.is_refused()
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
    pub(crate) fn as_verdict(&self) -> render::Verdict {
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
        render::Verdict { grade, headline, details }
    }

    /// The terminal's table.
    pub fn table(&self) -> String {
        let head =
            format!("Verdict: {}\nCheck on {} held-out rows:\n", self.judged.verdict, self.rows);
        let note = self.findings.note().map_or(String::new(), |note| note + "\n");
        format!("{head}{}{note}", table(&self.checks()))
    }
}
