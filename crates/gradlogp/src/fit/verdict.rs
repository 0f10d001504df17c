//! A grade for a model: what it is good or usable for, by the size of what speaks against it.

use std::fmt;

use super::{Evidence, Fitness, Purpose};

/// Held-out rows below which nothing is called good or usable: a standard error from fewer is not known well enough, nor how
/// columns depend on each other.
pub fn least_rows(columns: usize) -> usize {
    LEAST.max(ROWS_PER_COLUMN * (columns + 1))
}

const LEAST: usize = 100;
const ROWS_PER_COLUMN: usize = 10;

/// How good a model is, as far as the rows can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Grade {
    /// Good for all that such a model is for.
    Good,
    /// Good or usable for some of it.
    Usable(Vec<Purpose>),
    /// The rows are too few to say.
    CannotTell,
    /// For none of it.
    NotUsable,
}

impl Grade {
    /// Whether there is something that the model can be relied on for.
    pub fn is_usable(&self) -> bool {
        matches!(self, Grade::Good | Grade::Usable(_))
    }

    /// In one or two words, without the purposes.
    pub fn name(&self) -> &'static str {
        match self {
            Grade::Good => "good",
            Grade::Usable(_) => "usable",
            Grade::CannotTell => "cannot tell",
            Grade::NotUsable => "not usable",
        }
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Grade::Usable(purposes) => write!(f, "usable for {}", listed(purposes)),
            other => f.write_str(other.name()),
        }
    }
}

/// How fit a model is for one purpose, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The purpose.
    pub purpose: Purpose,
    /// How fit.
    pub fitness: Fitness,
    /// Why, in one clause.
    pub reason: String,
}

/// A grade and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The grade.
    pub grade: Grade,
    /// Of every purpose that something is known about, those that such a model is for first.
    pub findings: Vec<Finding>,
    /// Why, in one sentence.
    pub reason: String,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.grade {
            Grade::Good => {
                let all: Vec<Purpose> = self
                    .findings
                    .iter()
                    .filter(|finding| finding.fitness == Fitness::Good)
                    .map(|finding| finding.purpose)
                    .collect();
                write!(f, "good for {}: {}", listed(&all), self.reason)
            }
            grade => write!(f, "{grade}: {}", self.reason),
        }
    }
}

/// "a, b and c".
fn listed(purposes: &[Purpose]) -> String {
    let names: Vec<String> = purposes.iter().map(Purpose::to_string).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => "nothing".into(),
    }
}

/// What speaks of a purpose: the worst, and of equals the furthest from what is allowed.
fn worst(evidence: &[Evidence], purpose: Purpose) -> Option<&Evidence> {
    evidence.iter().filter(|e| e.purposes.contains(&purpose)).max_by(|a, b| {
        let by_fitness = a.fitness().cmp(&b.fitness());
        by_fitness.then(a.excess().total_cmp(&b.excess()))
    })
}

/// Whether something speaks of a purpose that would show a fault if there was one.
fn clears(evidence: &[Evidence], purpose: Purpose) -> bool {
    evidence.iter().any(|e| e.purposes.contains(&purpose) && e.measure.clears())
}

/// What `evidence` from `rows` held-out rows of `columns` columns comes to for a model that is for the purposes `meant`, and perhaps
/// `others`.
pub(super) fn judge(
    evidence: &[Evidence],
    (rows, columns): (usize, usize),
    (meant, others): (&[Purpose], &[Purpose]),
    note: &str,
) -> Verdict {
    let least = least_rows(columns);
    let find = |purpose: &Purpose| {
        let found = worst(evidence, *purpose)?;
        let (fitness, reason) = match found.fitness() {
            Fitness::NotUsable => (Fitness::NotUsable, found.to_string()),
            _ if rows < least => (
                Fitness::CannotTell,
                format!("{rows} held-out rows are too few, {least} are the least"),
            ),
            // Comparisons may fail to show a fault; what would have shown it is still missing.
            Fitness::Good if !clears(evidence, *purpose) => {
                let reason = "no comparison shows a fault, and nothing here would show every one";
                (Fitness::Usable, reason.into())
            }
            fitness => (fitness, found.to_string()),
        };
        Some(Finding { purpose: *purpose, fitness, reason })
    };
    let meant: Vec<Finding> = meant.iter().filter_map(find).collect();
    let others: Vec<Finding> = others.iter().filter_map(find).collect();
    let usable: Vec<Purpose> = meant
        .iter()
        .chain(&others)
        .filter(|finding| finding.fitness <= Fitness::Usable)
        .map(|finding| finding.purpose)
        .collect();
    let any = |fitness| meant.iter().any(|finding: &Finding| finding.fitness == fitness);
    let grade = match meant.is_empty() {
        false if meant.iter().all(|finding| finding.fitness == Fitness::Good) => Grade::Good,
        false if !usable.is_empty() => Grade::Usable(usable),
        false if !any(Fitness::CannotTell) => Grade::NotUsable,
        _ => Grade::CannotTell,
    };
    let reason = sentence(&meant, &others, note);
    Verdict { grade, findings: [meant, others].concat(), reason }
}

/// The reasons of the worst and of the best, each with what it is about.
fn sentence(meant: &[Finding], others: &[Finding], note: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    if !note.is_empty() {
        parts.push(note.into());
    }
    if meant.is_empty() {
        parts.push("no figure that could tell was found".into());
    }
    let mut reasons: Vec<(Fitness, &str, Vec<Purpose>)> = Vec::new();
    for finding in meant.iter().chain(others) {
        match reasons.iter_mut().find(|(f, r, _)| *f == finding.fitness && *r == finding.reason) {
            Some((_, _, purposes)) => purposes.push(finding.purpose),
            None => reasons.push((finding.fitness, &finding.reason, vec![finding.purpose])),
        }
    }
    let one = reasons.len() == 1;
    parts.extend(reasons.into_iter().map(|(fitness, reason, purposes)| match fitness {
        Fitness::CannotTell if !one => {
            format!("for {} the rows cannot tell: {reason}", listed(&purposes))
        }
        Fitness::NotUsable if !one => format!("not for {}: {reason}", listed(&purposes)),
        _ => reason.to_string(),
    }));
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::Correction;
    use crate::fit::{Effect, Measure};

    fn of(estimate: f64, half: f64, purposes: &[Purpose]) -> Evidence {
        let effect = Effect::within(estimate, 1.0, half);
        let measure = Measure::Correction(Correction::Affine);
        Evidence { measure, effect, bound: 0.1, purposes: purposes.to_vec(), proven: true }
    }

    const BOTH: [Purpose; 2] = [Purpose::Score, Purpose::Sampling];

    fn grade(evidence: &[Evidence], rows: usize) -> Grade {
        judge(evidence, (rows, 3), (&BOTH, &[]), "").grade
    }

    #[test]
    fn grades_by_hand() {
        let (score, sampling) = (&BOTH[..1], &BOTH[1..]);
        assert_eq!(grade(&[of(0.02, 0.05, &BOTH)], 1000), Grade::Good);
        assert_eq!(grade(&[of(0.02, 0.05, &BOTH)], LEAST - 1), Grade::CannotTell);
        assert_eq!(grade(&[of(0.5, 0.2, &BOTH)], LEAST - 1), Grade::NotUsable);
        assert_eq!(grade(&[of(0.05, 0.1, &BOTH)], 1000), Grade::Usable(BOTH.to_vec()));
        let one = [of(0.02, 0.01, score), of(0.5, 0.1, sampling)];
        assert_eq!(grade(&one, 1000), Grade::Usable(vec![Purpose::Score]));
        assert_eq!(grade(&[of(0.5, 1.0, score), of(0.5, 0.1, sampling)], 1000), Grade::CannotTell);
        assert_eq!(grade(&[], 1000), Grade::CannotTell);
        // The worst of what speaks of a purpose counts.
        assert_eq!(grade(&[of(0.01, 0.01, &BOTH), of(0.3, 0.1, &BOTH)], 1000), Grade::NotUsable);
        // What a model is not meant for does not make it worse, and may make it usable.
        let other = judge(&one, (1000, 3), (score, sampling), "");
        assert_eq!((other.grade, other.findings.len()), (Grade::Good, 2));
    }

    #[test]
    fn comparisons_alone_make_nothing_good() {
        let effect = Effect::shown(-0.3, 1.0, 0.1);
        let measure = Measure::LikelihoodBaseline(crate::diagnose::Baseline::Gaussian);
        let purposes = BOTH.to_vec();
        let beside = Evidence { measure, effect, bound: 0.1, purposes, proven: true };
        assert_eq!(grade(std::slice::from_ref(&beside), 1000), Grade::Usable(BOTH.to_vec()));
        assert_eq!(grade(&[beside, of(0.02, 0.01, &BOTH)], 1000), Grade::Good);
    }

    #[test]
    fn verdicts_say_for_what_and_why() {
        let one = [of(0.02, 0.01, &BOTH[..1]), of(0.5, 0.1, &BOTH[1..])];
        let words = judge(&one, (1000, 3), (&BOTH, &[]), "no better than a Gaussian").to_string();
        assert!(words.starts_with("usable for score: no better than a Gaussian; "), "{words}");
        assert!(
            words.contains("not for sampling: an affine function would take away 50%"),
            "{words}"
        );
        let words = judge(&[of(0.02, 0.01, &BOTH)], (1000, 3), (&BOTH, &[]), "").to_string();
        assert!(words.starts_with("good for score and sampling: an affine"), "{words}");
        let words = judge(&one, (9, 19), (&BOTH[..1], &[]), "").to_string();
        assert_eq!(words, "cannot tell: 9 held-out rows are too few, 200 are the least");
    }
}
