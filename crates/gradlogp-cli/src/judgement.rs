//! What is known of a fitted model on some rows: the figures of `fit` and `eval`.

use anyhow::Result;
use gradlogp::data::synthetic::Dataset;
use gradlogp::diagnose::{
    BaselineComparison, Estimate, KernelSteinDiscrepancy, KsdConfig, SteinReport,
    fisher_divergence, kernel_stein_discrepancy, stein_check_given, stein_check_within,
};
use gradlogp::{Error, FittedModel};
use ndarray::{Array2, ArrayView2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::checks::{Checks, Findings, LEVEL};
use crate::input::truth;
use crate::report::{self, Grade};
use crate::text::short;

/// Fresh rows on which a fit is compared with a known truth.
const FRESH_ROWS: usize = 10_000;
/// Seed offset of fresh rows: not the rows that trained the model.
const FRESH: u64 = 0x5eed_f5e5;

/// The figures, as `--json` shows them. Keys are described in docs/json.md.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Judgement {
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
    pub(crate) verdict: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kernel_stein_squared: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kernel_stein_p_value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kernel_stein_groups: Option<usize>,
    /// The fit beside densities fitted to the same training rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) baselines: Vec<Beside>,
    /// Whether the rows are too few to show a fault.
    #[serde(skip)]
    pub(crate) cannot_tell: bool,
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
    better: Better,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Better {
    Fit,
    Baseline,
    Neither,
}

/// Standard errors beyond which a difference is one.
const APART: f64 = 2.0;

impl Beside {
    fn of(found: &BaselineComparison) -> Self {
        Beside {
            baseline: found.baseline.to_string(),
            exact_loss: found.loss,
            difference: found.difference.mean,
            difference_se: found.difference.standard_error,
            relative_difference: found.relative,
            better: match (found.is_beaten(APART), found.is_better(APART)) {
                (true, _) => Better::Fit,
                (_, true) => Better::Baseline,
                _ => Better::Neither,
            },
        }
    }

    fn check(&self) -> report::Check {
        report::Check {
            name: format!("Loss beside a {}", self.baseline),
            value: report::Estimate {
                value: self.difference,
                standard_error: Some(self.difference_se),
            },
            expected: Some("below 0".into()),
            grade: match self.better {
                Better::Fit => Grade::Pass,
                Better::Neither => Grade::Warn,
                Better::Baseline => Grade::Fail,
            },
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

/// Judges a model, at the rows' conditions if it has any, on held-out rows, and against the truth where
/// the rows were drawn from one; `checks` are what was asked for beyond. All draws come from `seed`.
pub(crate) fn judge(
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    drawn_from: Option<&Dataset>,
    seed: u64,
    checks: Option<Checks<'_>>,
) -> Result<Judgement> {
    enough_to_check(rows.nrows())?;
    let loss = Estimate::of(model.exact_loss_rows(rows).view());
    let c = model.condition().unwrap_or_default();
    // One condition for all rows says nothing of how the score follows it.
    let c = if c.nrows() == rows.nrows() { c } else { Array2::zeros((rows.nrows(), 0)) };
    model.check_domain(rows, "held-out rows")?;
    let stein = match &model.description().domain {
        Some(domain) => stein_check_within(model, domain, rows, LEVEL)?,
        None => stein_check_given(model, rows, c.view(), LEVEL)?,
    };
    let kernel_stein = kernel_stein(model, rows, seed)?;
    let findings =
        checks.map_or(Ok(Findings::default()), |checks| checks.run(model, rows, seed))?;
    let fisher = match (drawn_from, truth(drawn_from)) {
        (Some(set), Some(truth)) => {
            let fresh = set.sample_seeded(FRESH_ROWS, FRESH ^ seed);
            Some(fisher_divergence(model, truth, fresh.view())?)
        }
        _ => None,
    };
    Ok(Judgement {
        rows: rows.nrows(),
        exact_loss: loss.mean,
        exact_loss_se: loss.standard_error,
        stein_mean_max_z: stein.mean_max_z,
        stein_product_max_z: stein.product_max_z,
        stein_given_max_z: (c.ncols() > 0).then_some(stein.given_max_z),
        stein_critical_z: stein.critical_z,
        stein_slope: stein.slope.mean,
        stein_slope_se: stein.slope.standard_error,
        consistent: stein.verdict.is_consistent(),
        verdict: sentence(&stein, &model.all_columns()),
        kernel_stein_squared: kernel_stein.map(|k| k.squared),
        kernel_stein_p_value: kernel_stein.map(|k| k.p_value),
        kernel_stein_groups: kernel_stein.map(|k| k.groups),
        baselines: Vec::new(),
        cannot_tell: is_too_wide(&stein),
        bounded: model.description().domain.is_some(),
        findings,
        relative_fisher_divergence: fisher.map(|f| f.relative.mean),
        relative_fisher_divergence_se: fisher.map(|f| f.relative.standard_error),
        fisher_divergence: fisher.map(|f| f.absolute.mean),
    })
}

/// Least rows on which a fit is checked.
const LEAST: usize = 3;

/// Refuses fewer rows than a check needs.
pub(crate) fn enough_to_check(found: usize) -> Result<(), Error> {
    let operation = "check of a fit";
    match found < LEAST {
        true => Err(Error::TooFewRows { operation, found, least: LEAST }),
        false => Ok(()),
    }
}

/// None for too few rows to find anything, where half of the rows are equal, which no density explains, and for
/// models with bounds, at which the identity behind the test need not hold.
fn kernel_stein(
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    seed: u64,
) -> Result<Option<KernelSteinDiscrepancy>> {
    // Of n rows half of the 2^n patterns of signs are different: of 5 rows no p-value can be below 0.05.
    if model.description().domain.is_some() || rows.nrows() < 6 {
        return Ok(None);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    match kernel_stein_discrepancy(model, rows, &KsdConfig::default(), &mut rng) {
        Ok(found) => Ok(Some(found)),
        Err(Error::Data { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether no fault was found in a band so wide that it holds no score at all, whose slope is 0, and one of twice the
/// size alike.
fn is_too_wide(stein: &SteinReport) -> bool {
    let half_width = stein.critical_z * stein.slope.standard_error;
    stein.verdict.is_consistent() && half_width >= 1.0
}

fn sentence(stein: &SteinReport, columns: &[String]) -> String {
    let half_width = stein.critical_z * stein.slope.standard_error;
    if is_too_wide(stein) {
        return format!(
            "cannot tell: {} rows give the slope to +- {} only, so that they would hardly show a fault",
            stein.n,
            short(half_width)
        );
    }
    if stein.verdict.is_consistent() {
        return "no fault found: the score agrees with the held-out rows in mean and slope".into();
    }
    stein.verdict.describe(columns)
}

impl Judgement {
    /// Sets the fit beside baselines, which the verdict then names first where they are not beaten.
    pub(crate) fn beside(&mut self, found: &[BaselineComparison]) {
        self.baselines = found.iter().map(Beside::of).collect();
        let better = |wanted| self.baselines.iter().find(|beside| beside.better == wanted);
        let said = match (better(Better::Baseline), better(Better::Neither)) {
            (Some(beside), _) => format!(
                "worse than a {}, whose exact loss is {} lower",
                beside.baseline,
                short(beside.difference)
            ),
            (None, Some(beside)) => {
                format!("no better than a {}, as far as these rows can tell", beside.baseline)
            }
            (None, None) => return,
        };
        self.verdict = format!("{said}; {}", self.verdict);
    }

    /// The check table of the report and the terminal.
    pub(crate) fn checks(&self) -> Vec<report::Check> {
        let estimate = |value, se: f64| report::Estimate { value, standard_error: Some(se) };
        let plain = |value| report::Estimate { value, standard_error: None };
        let graded = |fine: bool| if fine { Grade::Pass } else { Grade::Fail };
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
        checks.extend(self.baselines.iter().map(Beside::check));
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

    /// The verdict as the report shows it.
    pub(crate) fn as_verdict(&self) -> report::Verdict {
        let worse = self.baselines.iter().any(|beside| beside.better == Better::Baseline);
        let beaten = self.baselines.iter().all(|beside| beside.better == Better::Fit);
        let grade = match self.consistent && !worse {
            false => Grade::Fail,
            true if beaten && !self.cannot_tell => Grade::Pass,
            true => Grade::Warn,
        };
        let mut headline = self.verdict.clone();
        if let Some(first) = headline.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let note = format!(
            "Checked on {} rows that did not train the model, all bands together at 95%.",
            self.rows
        );
        let details = [note].into_iter().chain(self.findings.note()).collect();
        report::Verdict { grade, headline, details }
    }

    /// The terminal's table.
    pub(crate) fn table(&self) -> String {
        let word = |grade| match grade {
            Grade::Pass => "ok",
            Grade::Warn => "look",
            Grade::Fail => "FAULT",
            Grade::Info => "",
        };
        let rows: Vec<Vec<String>> = self
            .checks()
            .iter()
            .map(|c| {
                let spread =
                    c.value.standard_error.map_or(String::new(), |se| format!("+- {}", short(se)));
                let expected =
                    c.expected.as_ref().map_or(String::new(), |e| format!("(expected {e})"));
                vec![
                    c.name.clone(),
                    short(c.value.value),
                    spread,
                    expected,
                    word(c.grade).to_string(),
                ]
            })
            .collect();
        let head = format!("Check on {} held-out rows:\n", self.rows);
        let note = self.findings.note().map_or(String::new(), |note| note + "\n");
        format!("{head}{}{note}Verdict: {}\n", crate::text::aligned(&rows), self.verdict)
    }
}
