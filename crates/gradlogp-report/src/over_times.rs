//! What is known of a time model on some rows, at several times: those of an evaluation.

use gradlogp::fit::{AtOneTime, OverTimes as Evaluation};
use gradlogp::words::short;
use serde::Serialize;

use crate::findings::Comparison;
use crate::judged::Judged;
use crate::tables::{aligned, table};

/// The figures, as `--json` shows them. Keys are described in docs/json.md.
#[derive(Debug, Serialize)]
pub struct OverTimes {
    rows: usize,
    consistent: bool,
    #[serde(flatten)]
    judged: Judged,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_likelihood: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_likelihood_se: Option<f64>,
    times: Vec<Time>,
    /// Samples against the rows, which are not noised for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    samples: Option<Comparison>,
}

#[derive(Debug, Serialize)]
struct Time {
    time: f64,
    exact_loss: f64,
    exact_loss_se: f64,
    stein_slope: f64,
    stein_slope_se: f64,
    stein_mean_max_z: f64,
    stein_product_max_z: f64,
    stein_critical_z: f64,
    consistent: bool,
    verdict: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    relative_fisher_divergence: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    relative_fisher_divergence_se: Option<f64>,
}

impl From<AtOneTime> for Time {
    fn from(found: AtOneTime) -> Self {
        let (stein, fisher) = (&found.stein, found.relative_fisher_divergence);
        Time {
            time: found.time,
            exact_loss: found.exact_loss.mean,
            exact_loss_se: found.exact_loss.standard_error,
            stein_slope: stein.slope.mean,
            stein_slope_se: stein.slope.standard_error,
            stein_mean_max_z: stein.mean_max_z,
            stein_product_max_z: stein.product_max_z,
            stein_critical_z: stein.critical_z,
            consistent: stein.verdict.is_consistent(),
            verdict: found.verdict,
            relative_fisher_divergence: fisher.map(|f| f.mean),
            relative_fisher_divergence_se: fisher.map(|f| f.standard_error),
        }
    }
}

impl OverTimes {
    /// Of an evaluation, and samples beside the rows if there are any.
    pub fn new(evaluation: Evaluation, samples: Option<Comparison>) -> Self {
        let mut found = evaluation;
        found.samples = samples.as_ref().and_then(Comparison::to_judge);
        let likelihood = found.likelihood.as_ref().map(|l| l.log_likelihood);
        OverTimes {
            rows: found.rows,
            consistent: found.is_consistent(),
            judged: Judged::new(found.verdict(), found.evidence()),
            log_likelihood: likelihood.map(|l| l.mean),
            log_likelihood_se: likelihood.map(|l| l.standard_error),
            times: found.times.into_iter().map(Time::from).collect(),
            samples,
        }
    }

    /// Whether there is nothing that the model is known to be good for.
    pub fn is_refused(&self) -> bool {
        self.judged.is_refused()
    }

    /// The terminal's table.
    pub fn table(&self) -> String {
        let mut cells = vec![
            ["t", "exact loss", "", "Stein slope", "", "", "Fisher", ""].map(String::from).to_vec(),
        ];
        for t in &self.times {
            cells.push(vec![
                short(t.time),
                short(t.exact_loss),
                format!("+- {}", short(t.exact_loss_se)),
                short(t.stein_slope),
                format!("+- {}", short(t.stein_slope_se)),
                "(expected 1)".into(),
                t.relative_fisher_divergence.map_or(String::new(), short),
                if t.consistent { "ok".into() } else { format!("look: {}", t.verdict) },
            ]);
        }
        let samples = self.samples.as_ref().map_or(String::new(), Comparison::line);
        format!(
            "Verdict: {}\nCheck on {} rows, noised to each time:\n{}{}{samples}",
            self.judged.verdict,
            self.rows,
            aligned(&cells),
            table(&self.judged.checks())
        )
    }
}
