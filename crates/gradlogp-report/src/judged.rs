//! The verdict on a model and what it rests on, in words and as `--json` shows it.

use gradlogp::fit::{Evidence, Finding, Fitness, Grade as Fit, Measure, ONE_SIDED, Verdict};
use serde::Serialize;

use crate::render::{self, Grade};
use gradlogp::words::short;

/// The verdict, as `--json` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Judged {
    /// The verdict, in a sentence.
    pub verdict: String,
    /// The grade, in one or two words.
    pub grade: &'static str,
    /// Purposes that the model is good or usable for.
    pub usable_for: Vec<String>,
    purposes: Vec<ForPurpose>,
    evidence: Vec<Effect>,
    #[serde(skip)]
    of: Verdict,
    #[serde(skip)]
    from: Vec<Evidence>,
}

/// How fit a model is for one purpose.
#[derive(Debug, Clone, Serialize)]
struct ForPurpose {
    purpose: String,
    fitness: String,
    reason: String,
}

/// One figure that speaks for or against a model.
#[derive(Debug, Clone, Serialize)]
struct Effect {
    about: String,
    value: f64,
    at_least: f64,
    at_most: f64,
    bound: f64,
    fitness: String,
}

impl Judged {
    /// Of a verdict and what it rests on.
    pub fn new(of: Verdict, from: Vec<Evidence>) -> Self {
        let usable = |finding: &&Finding| finding.fitness <= Fitness::Usable;
        let purpose = |finding: &Finding| ForPurpose {
            purpose: finding.purpose.to_string(),
            fitness: finding.fitness.to_string(),
            reason: finding.reason.clone(),
        };
        let effect = |e: &Evidence| Effect {
            about: e.to_string(),
            value: e.effect.estimate,
            at_least: e.effect.low,
            at_most: e.effect.high,
            bound: e.bound,
            fitness: e.fitness().to_string(),
        };
        Judged {
            verdict: of.to_string(),
            grade: of.grade.name(),
            usable_for: of.findings.iter().filter(usable).map(|f| f.purpose.to_string()).collect(),
            purposes: of.findings.iter().map(purpose).collect(),
            evidence: from.iter().map(effect).collect(),
            of,
            from,
        }
    }

    /// Whether there is nothing that the model is known to be good for.
    pub fn is_refused(&self) -> bool {
        !self.of.grade.is_usable()
    }

    /// The grade as a mark: never green where the rows are too few to say.
    pub(crate) fn mark(&self) -> Grade {
        match self.of.grade {
            Fit::Good => Grade::Pass,
            Fit::NotUsable => Grade::Fail,
            _ => Grade::Warn,
        }
    }

    /// The mark of a figure that is evidence: what it says of the model, not whether it is significant.
    pub(crate) fn mark_of(&self, measure: &Measure) -> Option<Grade> {
        let found = self.from.iter().find(|e| e.measure == *measure)?;
        Some(mark(found.fitness()))
    }

    /// Rows of the check table.
    pub(crate) fn checks(&self) -> Vec<render::Check> {
        self.from.iter().filter_map(check).collect()
    }
}

fn mark(fitness: Fitness) -> Grade {
    match fitness {
        Fitness::Good => Grade::Pass,
        Fitness::Usable | Fitness::CannotTell => Grade::Warn,
        _ => Grade::Fail,
    }
}

/// The row of a figure that has no other row in the table.
fn check(found: &Evidence) -> Option<render::Check> {
    let name = match &found.measure {
        Measure::Correction(correction) => format!("Fault seen by {correction}"),
        Measure::Overfitting => "Overfitting".into(),
        Measure::OverTimes => "Faults seen at all noise levels".into(),
        Measure::LikelihoodOverfitting { .. } => "Overfitting, nats a row".into(),
        _ => return None,
    };
    let explanation = match &found.measure {
        Measure::Correction(_) => {
            "What the best correction of this kind would take away of E|s - s*|^2 / E|s*|^2, which is at least so much."
        }
        Measure::Overfitting => {
            "What the loss of held-out rows is above that of training rows, of all there is to know: an estimate of the part \
             of the relative Fisher divergence that is due to chance in the training rows."
        }
        Measure::OverTimes => {
            "What corrections of the score at all noise levels are worth, in nats a row: at least so much is lost of the log \
             likelihood."
        }
        _ => {
            "Half of what the log likelihood of training rows is above that of held-out rows, in nats a row: an estimate of \
             what chance in the training rows costs."
        }
    };
    let half = found.effect.high - found.effect.estimate;
    Some(render::Check {
        name,
        value: render::Estimate {
            value: found.effect.estimate,
            standard_error: (half > 0.0).then_some(half / ONE_SIDED),
        },
        expected: Some(format!("below {}", short(found.bound))),
        grade: mark(found.fitness()),
        explanation: explanation.into(),
    })
}
