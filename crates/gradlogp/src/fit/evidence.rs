//! What speaks for or against a model: sizes of effects, with their limits, beside the largest that a purpose allows.
//!
//! Of the distance from the truth two measures can be had without knowing it. Of the **relative Fisher divergence**
//! E|s - s*|^2 / E|s*|^2: what corrections take away (`diagnose/corrections.rs`) and what a baseline's exact loss is lower,
//! both lower bounds, and what the loss of the held-out rows is above that of the training rows, which estimates the part of it
//! that is due to chance in the training rows: for a model of p parameters at the optimum of its loss both are tr(G^-1 V)/n, as in
//! Takeuchi's criterion. Of the **Kullback-Leibler divergence** in nats a row, for models over time: what corrections at every noise level come to
//! (`over_times.rs`), and what a baseline's log likelihood is higher. A score off by a constant vector of relative Fisher
//! divergence r of a Gaussian of unit covariance costs r/2 nats a column: hence the two bounds.
//!
//! Samples beside held-out rows speak of the samples: distances of marginals, of correlations, and how often a classifier tells
//! them apart, in which a lower limit allows for as many columns as there are.

use std::fmt;

use super::Purpose;
use crate::diagnose::{Baseline, Correction};
use crate::words::short;

/// The largest relative Fisher divergence of a good score.
pub const RELATIVE_FISHER: f64 = 0.1;
/// The largest divergence of a good density, in nats a row and column.
pub const NATS_A_COLUMN: f64 = 0.5 * RELATIVE_FISHER;
/// The largest distance of the distribution functions of a column's samples and rows.
pub const MARGINAL: f64 = 0.1;
/// The largest difference of correlations between samples and rows.
pub const CORRELATION: f64 = 0.2;
/// The largest excess over 1/2 of the share that a classifier tells right.
pub const TOLD_APART: f64 = 0.08;
/// Upper limits up to so much of what a good model may have are those of a good one: what is seen is not all there is.
const SEEN: f64 = 0.8;
/// The same of a model that is not shown to be better than every baseline: there is less to say for it.
const SEEN_UNPROVEN: f64 = 0.5;
/// Upper limits up to so many times what a good model may have are those of a usable one.
const LOOSE: f64 = 2.5;

/// How large an effect is: an estimate and one-sided limits at 95%.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    /// At least, with 95%.
    pub low: f64,
    /// The estimate.
    pub estimate: f64,
    /// At most, with 95%; the estimate itself where an effect can be shown, and its absence cannot.
    pub high: f64,
}

impl Effect {
    /// Of an estimate and `t` times its standard error.
    pub fn within(estimate: f64, t: f64, standard_error: f64) -> Self {
        let half = t * standard_error;
        Effect { low: estimate - half, estimate, high: estimate + half }
    }

    /// The same where a small effect is no proof that there is none.
    pub fn shown(estimate: f64, t: f64, standard_error: f64) -> Self {
        Effect { high: estimate, ..Effect::within(estimate, t, standard_error) }
    }
}

/// What an effect is of.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Measure {
    /// What a correction takes away, of the relative Fisher divergence.
    Correction(Correction),
    /// What a baseline's exact loss is lower, of the relative Fisher divergence.
    Baseline(Baseline),
    /// What the exact loss of held-out rows is above that of training rows, of the relative Fisher divergence.
    Overfitting,
    /// (c - 1)^2 of the slope c of the Stein identities within bounds.
    Slope,
    /// What corrections at every noise level take away, in nats a row.
    OverTimes,
    /// What a baseline's log likelihood is higher, in nats a row.
    LikelihoodBaseline(Baseline),
    /// Half of what the log likelihood of training rows is above that of held-out rows, in nats a row.
    LikelihoodOverfitting {
        /// Whether the held-out rows are still likelier than under every baseline.
        beats_baselines: bool,
    },
    /// The distance of the distribution functions of samples and rows of a column.
    Marginal(String),
    /// The difference of correlations of samples and rows of two columns.
    Correlation(String, String),
    /// The share of rows and samples that a classifier tells right, above 1/2.
    Classifier,
    /// R-hat of the chains that drew the samples, above its bound.
    Chains,
}

impl Measure {
    /// Whether a small value is a sign that there is little to see, and not only that this did not show it.
    pub fn clears(&self) -> bool {
        match self {
            Measure::Correction(_)
            | Measure::Overfitting
            | Measure::Slope
            | Measure::OverTimes
            | Measure::LikelihoodOverfitting { .. } => true,
            Measure::Baseline(_)
            | Measure::LikelihoodBaseline(_)
            | Measure::Marginal(_)
            | Measure::Correlation(..)
            | Measure::Classifier
            | Measure::Chains => false,
        }
    }
}

/// How fit a model is for a purpose, or an effect says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fitness {
    /// Even the upper limit is well within what a good model may have.
    Good,
    /// The estimate is, and the upper limit not far beyond it.
    Usable,
    /// The rows are too few to say.
    CannotTell,
    /// The lower limit is beyond it.
    NotUsable,
}

impl fmt::Display for Fitness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fitness::Good => "good",
            Fitness::Usable => "usable",
            Fitness::CannotTell => "cannot tell",
            Fitness::NotUsable => "not usable",
        })
    }
}

/// An effect and what it bears on.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// What it is of.
    pub measure: Measure,
    /// How large it is.
    pub effect: Effect,
    /// The largest of a good model.
    pub bound: f64,
    /// What it bears on.
    pub purposes: Vec<Purpose>,
    /// Whether the model is shown to be better than every baseline; else there must be less to see against it.
    pub proven: bool,
}

impl Evidence {
    /// What it says of these purposes.
    pub fn fitness(&self) -> Fitness {
        let Effect { low, estimate, high } = self.effect;
        let seen = if self.proven { SEEN } else { SEEN_UNPROVEN };
        let found = match self.bound {
            bound if low > bound => Fitness::NotUsable,
            bound if high <= seen * bound => Fitness::Good,
            bound if estimate <= bound && high <= LOOSE * bound => Fitness::Usable,
            _ => Fitness::CannotTell,
        };
        match self.measure {
            // A flexible density is nearer to its training rows than to others, and yet the best there is where the
            // held-out rows say so.
            Measure::LikelihoodOverfitting { beats_baselines: true } => found.min(Fitness::Usable),
            _ => found,
        }
    }

    /// How far it is from what a good model may have: where several say the same, the reason is the furthest.
    pub(super) fn excess(&self) -> f64 {
        match self.fitness() {
            Fitness::NotUsable => self.effect.low / self.bound,
            _ => self.effect.high / self.bound,
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Effect { low, estimate, high } = self.effect;
        let percent =
            |x: f64| format!("{:.*}%", if x.abs() < 0.1 { 1 } else { 0 }, 100.0 * x.max(0.0));
        let limits = |unit: &dyn Fn(f64) -> String| match self.fitness() {
            Fitness::NotUsable => format!("{}, at least {}", unit(estimate), unit(low)),
            _ if high > estimate => format!("{}, at most {}", unit(estimate), unit(high)),
            _ => unit(estimate),
        };
        let nats = |x: f64| format!("{} nats a row", short(x.max(0.0)));
        match &self.measure {
            Measure::Correction(correction) => write!(
                f,
                "{correction} would take away {} of what there is to know of the score",
                limits(&percent)
            ),
            Measure::Baseline(baseline) => {
                write!(f, "a {baseline} is nearer to the true score by {} of it", limits(&percent))
            }
            Measure::Overfitting => write!(
                f,
                "overfitting: the loss of held-out rows is above that of training rows by {} of what there is to know",
                limits(&percent)
            ),
            Measure::Slope => {
                write!(f, "the slope is off by a factor whose square is {}", limits(&short))
            }
            Measure::OverTimes => {
                write!(
                    f,
                    "corrections of the score at all noise levels are worth {}",
                    limits(&nats)
                )
            }
            Measure::LikelihoodBaseline(baseline) => {
                write!(f, "the log likelihood of a {baseline} is higher by {}", limits(&nats))
            }
            Measure::LikelihoodOverfitting { .. } => write!(
                f,
                "overfitting: it costs {}, by what the log likelihood of training rows is above that of held-out rows",
                limits(&nats)
            ),
            Measure::Marginal(column) => write!(
                f,
                "{} of the samples of column \"{column}\" lie on the wrong side of a value, beyond chance",
                limits(&percent)
            ),
            Measure::Correlation(a, b) => write!(
                f,
                "the correlation of \"{a}\" and \"{b}\" in samples is off by {}, beyond chance",
                limits(&short)
            ),
            Measure::Classifier => write!(
                f,
                "a classifier tells samples from rows in {} more cases than chance",
                limits(&percent)
            ),
            Measure::Chains => {
                write!(f, "the chains do not meet: R-hat is {} above its bound", short(estimate))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(low: f64, estimate: f64, high: f64) -> Fitness {
        let effect = Effect { low, estimate, high };
        let measure = Measure::Overfitting;
        Evidence { measure, effect, bound: 0.1, purposes: vec![Purpose::Score], proven: true }
            .fitness()
    }

    #[test]
    fn limits_and_not_significance_decide() {
        // Significant and small; large and not significant; a slope of 2.9 +- 0.6.
        assert_eq!(of(0.01, 0.02, 0.03), Fitness::Good);
        assert_eq!(of(-0.5, 0.3, 1.1), Fitness::CannotTell);
        let slope =
            Effect { low: 1.3_f64.powi(2), estimate: 1.9_f64.powi(2), high: 2.5_f64.powi(2) };
        assert_eq!(of(slope.low, slope.estimate, slope.high), Fitness::NotUsable);
        assert_eq!(of(0.02, 0.07, 0.09), Fitness::Usable);
        assert_eq!(of(0.02, 0.09, 0.2), Fitness::Usable);
        assert_eq!(of(0.02, 0.09, 0.3), Fitness::CannotTell);
        assert_eq!(of(0.02, 0.11, 0.2), Fitness::CannotTell);
        assert_eq!(of(0.11, 0.2, 0.3), Fitness::NotUsable);
        // Nobody has seen it beat anything.
        let unproven = |high| {
            let effect = Effect { low: 0.01, estimate: 0.03, high };
            let measure = Measure::Overfitting;
            let purposes = vec![Purpose::Score];
            Evidence { measure, effect, bound: 0.1, purposes, proven: false }.fitness()
        };
        assert_eq!((unproven(0.049), unproven(0.06)), (Fitness::Good, Fitness::Usable));
        assert_eq!((of(0.01, 0.03, 0.06), of(0.01, 0.03, 0.085)), (Fitness::Good, Fitness::Usable));
        let shown = Effect::shown(0.05, 2.0, 0.1);
        assert_eq!((shown.low, shown.high), (0.05 - 0.2, 0.05));
    }

    #[test]
    fn overfitting_is_forgiven_only_where_baselines_are_beaten() {
        let of = |beats_baselines, low, high| {
            let effect = Effect { low, estimate: 0.5 * (low + high), high };
            let measure = Measure::LikelihoodOverfitting { beats_baselines };
            Evidence { measure, effect, bound: 0.1, purposes: vec![Purpose::Density], proven: true }
                .fitness()
        };
        assert_eq!(
            (of(true, 0.2, 0.4), of(false, 0.2, 0.4)),
            (Fitness::Usable, Fitness::NotUsable)
        );
        assert_eq!((of(true, 0.0, 0.02), of(false, 0.0, 0.02)), (Fitness::Good, Fitness::Good));
    }

    #[test]
    fn evidence_is_told_with_its_limits() {
        let tell = |measure, effect| {
            Evidence { measure, effect, bound: 0.1, purposes: vec![Purpose::Score], proven: true }
                .to_string()
        };
        let large = tell(Measure::Correction(Correction::Scale), Effect::within(0.5, 1.0, 0.25));
        assert_eq!(
            large,
            "one factor would take away 50%, at least 25% of what there is to know of the score"
        );
        let small = tell(Measure::OverTimes, Effect::within(-0.01, 1.0, 0.03));
        assert!(small.ends_with("worth 0 nats a row, at most 0.02000 nats a row"), "{small}");
    }
}
