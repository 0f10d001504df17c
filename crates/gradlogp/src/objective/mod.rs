//! Score matching objectives: what each needs to know about the score, its loss per row, and its
//! adjoint. An objective knows nothing of graphs, jets or model kinds.
//!
//! Every objective here is a sum of two terms per row:
//! - a **slice term**, a function of the projections p_m = v_m.s(x) and of the curvature
//!   q = sum over m of v_m.(grad s) v_m along its slices, and
//! - a **score term**, a function of the whole score s(x) (and of the noise added to x, if any).
//!
//! That split is what lets any objective run on any model kind: [`crate::model`] says how p, q and s
//! come out of a jet, or out of finite differences ([`Differences`]), and how their adjoints go back in.
//! All losses have the scale of MATH (1), so that
//! they can be compared, except for denoising (MATH (6)).

mod differences;
mod dsm;
mod exact;
mod regression;
mod sliced_dsm;
mod ssm;
mod ssm_vr;

pub use differences::{DifferenceOrder, Differences};
pub use dsm::Dsm;
pub use exact::{Exact, ExactApart};
pub use regression::Regression;
pub use sliced_dsm::SlicedDsm;
pub use ssm::Ssm;
pub use ssm_vr::SsmVr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};
use gradlogp_numeric::Real;

/// Along which directions an objective looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directions {
    /// None: it has no slice term.
    None,
    /// So many random slices, drawn fresh for every row and step.
    Slices(usize),
    /// The unit vectors e_1 ... e_d, possibly in blocks: the slice term must be additive over them.
    Basis,
}

/// What a slice term sees of one row.
#[derive(Debug, Clone, Copy)]
pub struct Slices<'a, T> {
    /// p_m = v_m.s, one per slice.
    pub projections: &'a [T],
    /// v_m.z with z the noise that was added to x as sigma z, one per slice; only for objectives with
    /// noise and slices.
    pub noise: &'a [T],
    /// q = sum over m of v_m.(grad s) v_m.
    pub curvature: T,
}

/// A second backward sweep that stands for the curvature, MATH (8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondSweep {
    /// Curvature propagation, so many times with fresh noise.
    Random(usize),
    /// The approximate diagonal.
    Diagonal,
}

/// A slice term and its derivative with respect to the curvature q.
#[derive(Debug, Clone, Copy)]
pub struct SliceTerm<T> {
    /// The term of one row.
    pub loss: T,
    /// d loss / d q.
    pub curvature_bar: T,
}

/// The loss of one row. Implementations override the terms they have.
pub trait RowLoss<T: Real>: Send + Sync {
    /// Along which directions it looks.
    fn directions(&self) -> Directions;

    /// Whether it has a score term.
    fn has_score_term(&self) -> bool;

    /// Whether its slice term depends on the curvature.
    fn has_curvature(&self) -> bool {
        true
    }

    /// Standard deviation sigma of the Gaussian noise to be added to x, if any.
    fn noise(&self) -> Option<f64> {
        None
    }

    /// The slice term; writes d loss / d p.
    fn slice_term(&self, seen: Slices<'_, T>, projections_bar: &mut [T]) -> SliceTerm<T> {
        let _ = (seen, projections_bar);
        SliceTerm { loss: T::ZERO, curvature_bar: T::ZERO }
    }

    /// The score term from s (d numbers) and the standard normal noise z that was added as sigma z
    /// (d numbers, or none); writes d loss / d s.
    fn score_term(&self, score: &[T], noise: &[T], score_bar: &mut [T]) -> T {
        let _ = (score, noise, score_bar);
        T::ZERO
    }
}

/// The objectives, as a setting.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Objective {
    /// Sliced score matching, MATH (2).
    Ssm {
        /// M.
        slices: usize,
    },
    /// Sliced score matching with variance reduction, MATH (3).
    SsmVr {
        /// M.
        slices: usize,
    },
    /// Implicit score matching with the exact trace, MATH (4).
    Exact,
    /// Denoising score matching at one noise level, MATH (6).
    Dsm {
        /// Noise level, in the units in which the model is trained.
        sigma: f64,
    },
    /// Regression on scores that come with the rows: denoising at all noise levels of a time model.
    Regression,
    /// Sliced score matching by finite differences, MATH (5).
    FdSsm {
        /// M.
        slices: usize,
        /// eps; None balances truncation and rounding, see [`Differences`].
        eps: Option<f64>,
    },
    /// Denoising score matching by finite differences, MATH (5).
    FdDsm {
        /// M.
        slices: usize,
        /// Noise level, in the units in which the model is trained.
        sigma: f64,
        /// eps; None balances truncation and rounding, see [`Differences`].
        eps: Option<f64>,
    },
    /// Curvature propagation, MATH (8): unbiased for MATH (4), for potentials. A baseline: slow.
    Cp {
        /// How many times the noise is propagated.
        slices: usize,
    },
    /// The approximate diagonal by backpropagation, MATH (8): biased where there is more than one layer of
    /// activations, for potentials. A baseline: slow.
    ApproxBackprop,
}

impl Objective {
    /// The row loss behind the setting. `whole_score` says that the whole score comes at no cost
    /// beside its projections; differences then use it, which has less variance.
    pub fn row_loss<T: Real>(&self, whole_score: bool) -> Box<dyn RowLoss<T>> {
        match *self {
            Objective::Ssm { slices } => Box::new(Ssm { slices }),
            Objective::SsmVr { slices } => Box::new(SsmVr { slices }),
            Objective::Exact => Box::new(Exact),
            Objective::Dsm { sigma } => Box::new(Dsm { sigma }),
            Objective::Regression => Box::new(Regression),
            Objective::FdSsm { slices, .. } if whole_score => Box::new(SsmVr { slices }),
            Objective::FdSsm { slices, .. } => Box::new(Ssm { slices }),
            Objective::FdDsm { sigma, .. } if whole_score => Box::new(Dsm { sigma }),
            Objective::FdDsm { slices, sigma, .. } => Box::new(SlicedDsm { slices, sigma }),
            // What differs is where the curvature comes from.
            Objective::Cp { slices } => Box::new(SsmVr { slices }),
            Objective::ApproxBackprop => Box::new(SsmVr { slices: 1 }),
        }
    }

    /// The finite differences that stand for derivatives, if they do.
    pub fn differences(&self) -> Option<Differences> {
        match *self {
            Objective::FdSsm { slices, eps } | Objective::FdDsm { slices, eps, .. } => {
                Some(Differences { slices, eps })
            }
            _ => None,
        }
    }

    /// The second backward sweep that stands for the curvature, if one does.
    pub fn second_sweep(&self) -> Option<SecondSweep> {
        match *self {
            Objective::Cp { slices } => Some(SecondSweep::Random(slices)),
            Objective::ApproxBackprop => Some(SecondSweep::Diagonal),
            _ => None,
        }
    }

    /// M, for objectives with random slices.
    pub fn slices(&self) -> Option<usize> {
        match *self {
            Objective::Ssm { slices }
            | Objective::SsmVr { slices }
            | Objective::FdSsm { slices, .. }
            | Objective::FdDsm { slices, .. }
            | Objective::Cp { slices } => Some(slices),
            Objective::Exact
            | Objective::Dsm { .. }
            | Objective::Regression
            | Objective::ApproxBackprop => None,
        }
    }

    /// Standard deviation of the noise that is added to x, if any.
    pub fn sigma(&self) -> Option<f64> {
        match *self {
            Objective::Dsm { sigma } | Objective::FdDsm { sigma, .. } => Some(sigma),
            _ => None,
        }
    }

    /// Refuses what cannot be weighted on a domain with a boundary, MATH (7).
    ///
    /// # Errors
    /// Denoising, whose noise leaves the domain; finite differences, whose points do.
    pub fn check_bounded(&self) -> Result<()> {
        let why = match self {
            Objective::Ssm { .. } | Objective::SsmVr { .. } | Objective::Exact => return Ok(()),
            Objective::FdSsm { .. } => "its differences look across the boundary",
            Objective::Dsm { .. } | Objective::FdDsm { .. } | Objective::Regression => {
                "its noise carries rows across the boundary"
            }
            Objective::Cp { .. } | Objective::ApproxBackprop => "it has no weighted form here",
        };
        let message = format!("is not for data with bounds: {why}; use exact, ssm or ssm-vr");
        Err(Error::config("objective", message))
    }

    /// Checks the numbers in the setting.
    ///
    /// # Errors
    /// No slices; a noise level or a step that is not a positive number.
    pub fn validate(&self) -> Result<()> {
        if self.slices() == Some(0) {
            return Err(Error::config("slices", "must be at least 1"));
        }
        positive("sigma", self.sigma())?;
        positive("fd_eps", self.differences().and_then(|d| d.eps))
    }
}

fn positive(option: &'static str, value: Option<f64>) -> Result<()> {
    match value {
        Some(value) if !(value > 0.0 && value.is_finite()) => {
            Err(Error::config(option, format!("must be a positive number, not {value}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPS: Option<f64> = Some(0.25);

    type Said = (Objective, Option<usize>, Option<f64>, Option<usize>, Option<SecondSweep>);

    /// Each setting with what it says of itself: slices, noise, differences, second sweep.
    fn settings() -> [Said; 9] {
        [
            (Objective::Ssm { slices: 3 }, Some(3), None, None, None),
            (Objective::SsmVr { slices: 4 }, Some(4), None, None, None),
            (Objective::Exact, None, None, None, None),
            (Objective::Dsm { sigma: 0.5 }, None, Some(0.5), None, None),
            (Objective::Regression, None, None, None, None),
            (Objective::FdSsm { slices: 5, eps: EPS }, Some(5), None, Some(5), None),
            (
                Objective::FdDsm { slices: 6, sigma: 0.7, eps: EPS },
                Some(6),
                Some(0.7),
                Some(6),
                None,
            ),
            (Objective::Cp { slices: 7 }, Some(7), None, None, Some(SecondSweep::Random(7))),
            (Objective::ApproxBackprop, None, None, None, Some(SecondSweep::Diagonal)),
        ]
    }

    #[test]
    fn settings_say_what_they_need() {
        for (objective, slices, sigma, differences, sweep) in settings() {
            assert_eq!((objective.slices(), objective.sigma()), (slices, sigma), "{objective:?}");
            assert_eq!(objective.second_sweep(), sweep);
            let expected = differences.map(|slices| Differences { slices, eps: EPS });
            assert_eq!(objective.differences(), expected);
            assert!(objective.validate().is_ok());
        }
    }

    /// What the rule behind each setting looks at, with and without the whole score at hand.
    #[test]
    fn rules_say_what_they_look_at() {
        use Directions::{Basis, None as Nowhere, Slices as Along};
        let rules = [
            // Directions, score term, curvature; noise.
            ((Along(3), false, true), None),
            ((Along(4), true, true), None),
            ((Basis, false, true), None),
            ((Nowhere, true, true), Some(0.5)),
            ((Nowhere, true, true), None),
            ((Along(5), false, true), None),
            ((Along(6), false, false), Some(0.7)),
            ((Along(7), true, true), None),
            ((Along(1), true, true), None),
        ];
        for ((objective, ..), (looks, noise)) in settings().into_iter().zip(rules) {
            let of = |whole| {
                let rule = objective.row_loss::<f64>(whole);
                ((rule.directions(), rule.has_score_term(), rule.has_curvature()), rule.noise())
            };
            assert_eq!(of(false), (looks, noise), "{objective:?}");
            let whole = match objective {
                Objective::FdSsm { .. } => ((Along(5), true, true), None),
                Objective::FdDsm { .. } => ((Nowhere, true, true), Some(0.7)),
                _ => (looks, noise),
            };
            assert_eq!(of(true), whole, "{objective:?}");
        }
        let apart: &dyn RowLoss<f64> = &ExactApart;
        assert_eq!((apart.directions(), apart.has_score_term()), (Basis, true));
    }

    /// p = (1, -2), v.z = (3, 1), q = 5; s = (2, -1, 3), z = (1, 0, -2).
    #[test]
    fn losses_and_adjoints_by_hand() {
        let slices = |rule: &dyn RowLoss<f64>| {
            let mut bar = [f64::NAN; 2];
            let seen = Slices { projections: &[1.0, -2.0], noise: &[3.0, 1.0], curvature: 5.0 };
            let term = rule.slice_term(seen, &mut bar);
            (term.loss, term.curvature_bar, bar)
        };
        let score = |rule: &dyn RowLoss<f64>| {
            let mut bar = [f64::NAN; 3];
            (rule.score_term(&[2.0, -1.0, 3.0], &[1.0, 0.0, -2.0], &mut bar), bar)
        };
        assert_eq!(slices(&Ssm { slices: 2 }), (3.75, 0.5, [0.5, -1.0]));
        assert_eq!(slices(&SsmVr { slices: 2 }), (2.5, 0.5, [0.0, 0.0]));
        assert_eq!(score(&SsmVr { slices: 2 }), (7.0, [2.0, -1.0, 3.0]));
        assert_eq!(slices(&Exact), (7.5, 1.0, [1.0, -2.0]));
        assert_eq!(slices(&ExactApart), (5.0, 1.0, [0.0, 0.0]));
        assert_eq!(score(&ExactApart), (7.0, [2.0, -1.0, 3.0]));
        // s + z / 0.5 = (4, -1, -1).
        assert_eq!(score(&Dsm { sigma: 0.5 }), (9.0, [4.0, -1.0, -1.0]));
        // 7 - s.y with s.y = 2 - 6.
        assert_eq!(score(&Regression), (11.0, [1.0, -1.0, 5.0]));
        // p + v.z / 0.5 = (7, 0), over 2 M = 4.
        assert_eq!(slices(&SlicedDsm { slices: 2, sigma: 0.5 }), (12.25, 0.0, [3.5, 0.0]));
    }

    /// A rule that says nothing has no terms, and leaves adjoints alone.
    #[test]
    fn terms_that_are_not_there_are_zero() {
        struct Silent;
        impl RowLoss<f64> for Silent {
            fn directions(&self) -> Directions {
                Directions::None
            }
            fn has_score_term(&self) -> bool {
                false
            }
        }
        let seen = Slices { projections: &[1.0], noise: &[1.0], curvature: 5.0 };
        let mut bar = [3.0];
        let term = Silent.slice_term(seen, &mut bar);
        assert_eq!((term.loss, term.curvature_bar, bar), (0.0, 0.0, [3.0]));
        assert_eq!((Silent.score_term(&[2.0], &[1.0], &mut bar), bar), (0.0, [3.0]));
        assert!(Silent.has_curvature() && Silent.noise().is_none());
    }

    #[test]
    fn numbers_out_of_range_are_refused_by_name() {
        let refusal = |objective: Objective| objective.validate().unwrap_err().to_string();
        for objective in [
            Objective::Ssm { slices: 0 },
            Objective::SsmVr { slices: 0 },
            Objective::Cp { slices: 0 },
            Objective::FdSsm { slices: 0, eps: None },
        ] {
            assert!(refusal(objective).contains("slices"));
        }
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(refusal(Objective::Dsm { sigma: bad }).contains("sigma"));
            let eps = Some(bad);
            assert!(refusal(Objective::FdSsm { slices: 1, eps }).contains("fd_eps"));
            assert!(refusal(Objective::FdDsm { slices: 1, sigma: 1.0, eps }).contains("fd_eps"));
        }
    }

    #[test]
    fn only_weighted_objectives_take_bounds() {
        for (objective, ..) in settings() {
            let why = match objective {
                Objective::Ssm { .. } | Objective::SsmVr { .. } | Objective::Exact => None,
                Objective::FdSsm { .. } => Some("across the boundary"),
                Objective::Cp { .. } | Objective::ApproxBackprop => Some("no weighted form"),
                _ => Some("noise carries rows"),
            };
            let found = objective.check_bounded().err().map(|e| e.to_string());
            assert_eq!(found.is_some(), why.is_some(), "{objective:?}");
            assert!(why.is_none_or(|why| found.unwrap().contains(why)), "{objective:?}");
        }
    }
}
