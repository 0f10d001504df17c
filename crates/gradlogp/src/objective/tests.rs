//! Tests of `mod.rs`.

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
        (Objective::FdDsm { slices: 6, sigma: 0.7, eps: EPS }, Some(6), Some(0.7), Some(6), None),
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
            _ => Some("noise moves rows"),
        };
        let found = objective.check_bounded().err().map(|e| e.to_string());
        assert_eq!(found.is_some(), why.is_some(), "{objective:?}");
        assert!(why.is_none_or(|why| found.unwrap().contains(why)), "{objective:?}");
    }
}
