//! Tests of `stein.rs`.

use super::super::testing::{Changed, Linear};
use super::*;
use crate::reference::{Banana, Gaussian, GaussianMixture, ReferenceDensity};
use ndarray::array;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn correlated() -> Gaussian {
    let covariance = array![[1.0, 0.6, 0.0], [0.6, 4.0, -0.5], [0.0, -0.5, 0.2]];
    Gaussian::new(array![5.0, 0.0, -3.0], covariance).unwrap()
}

fn mixture() -> GaussianMixture {
    let means = array![[-2.0, 0.0, 1.0], [2.0, 1.0, 0.0]];
    GaussianMixture::isotropic(array![0.4, 0.6], means.view(), 0.9).unwrap()
}

/// How many of `repetitions` fresh samples of 2000 rows are found consistent.
fn consistent(p: &dyn ReferenceDensity, score: &dyn Score, repetitions: u64) -> usize {
    let consistent = |seed: u64| {
        let x = p.sample(2000, &mut ChaCha8Rng::seed_from_u64(seed));
        stein_check(score, x.view(), 0.05).unwrap().verdict.is_consistent()
    };
    (0..repetitions).filter(|seed| consistent(*seed)).count()
}

fn check(p: &dyn ReferenceDensity, score: &dyn Score) -> SteinReport {
    let x = p.sample(4000, &mut ChaCha8Rng::seed_from_u64(99));
    stein_check(score, x.view(), 0.05).unwrap()
}

#[test]
fn true_scores_pass_as_often_as_stated() {
    let banana = Banana::new(3, 1.0, 0.4, 0.7).unwrap();
    let references: [&dyn ReferenceDensity; 3] = [&correlated(), &mixture(), &banana];
    for (k, p) in references.into_iter().enumerate() {
        let score: &dyn Score = p;
        let passed = consistent(p, score, 200);
        assert!(passed >= 182, "reference density {k}: {passed} of 200");
    }
}

#[test]
fn wrong_scales_nearly_never_pass() {
    fn wrong<S: Score>(score: &S, factor: f64) -> Changed<'_, S> {
        Changed { score, factor, shift: Array1::zeros(3) }
    }
    for factor in [1.2, 0.8, -1.0] {
        let (gaussian, mixture) = (correlated(), mixture());
        let passed = consistent(&gaussian, &wrong(&gaussian, factor), 50)
            + consistent(&mixture, &wrong(&mixture, factor), 50);
        assert!(passed <= 2, "factor {factor}: {passed} of 100 passed");
    }
}

#[test]
fn verdict_names_scale_and_sign() {
    let p = correlated();
    let with = |factor| check(&p, &Changed { score: &p, factor, shift: Array1::zeros(3) });
    let large = with(1.5);
    assert!(
        matches!(large.verdict, Verdict::ScaleOff { slope, .. } if (1.4..1.6).contains(&slope))
    );
    assert!(large.verdict.to_string().contains("times too large"), "{}", large.verdict);
    let small = with(0.5);
    assert!(
        matches!(small.verdict, Verdict::ScaleOff { slope, .. } if (0.45..0.55).contains(&slope))
    );
    assert!(small.verdict.to_string().contains("too small: 0."), "{}", small.verdict);
    let inverted = with(-1.0);
    assert!(matches!(inverted.verdict, Verdict::SignInverted { .. }));
    assert!(inverted.verdict.to_string().contains("sign is inverted"));
    assert!((inverted.slope.mean + 1.0).abs() < 0.1);
}

#[test]
fn verdict_names_the_column_of_a_wrong_mean() {
    let p = correlated();
    let wrong = Changed { score: &p, factor: 1.0, shift: array![0.0, 0.0, 3.0] };
    let report = check(&p, &wrong);
    let Verdict::MeanOff { column: 2, mean, .. } = report.verdict else {
        panic!("{:?}", report.verdict)
    };
    // The standardized score has the shift times the sd.
    assert!((mean - 3.0 * 0.2f64.sqrt()).abs() < 0.2, "{mean}");
    assert_eq!(report.mean_max_z, report.mean_z[2].abs());
    let names = ["a", "b", "c"].map(String::from);
    assert!(report.verdict.describe(&names).contains("off in column \"c\""));
    assert!(report.verdict.to_string().contains("off in column 3"));
    // Nothing else is touched by it, estimate or error.
    let right = check(&p, &p);
    assert!((&report.product_z - &right.product_z).iter().all(|e| e.abs() < 1e-9));
    assert!((report.slope.mean - right.slope.mean).abs() < 1e-9);
}

/// The precision of the diagonal alone: right by column, blind to the correlation.
#[test]
fn verdict_names_a_missing_dependence() {
    let p = Gaussian::new(array![0.0, 0.0], array![[1.0, 0.7], [0.7, 1.0]]).unwrap();
    let report = check(&p, &Linear { a: Array2::eye(2), b: array![0.0, 0.0] });
    let Verdict::DependenceOff { product, .. } = report.verdict else {
        panic!("{:?}", report.verdict)
    };
    assert!((product + 0.7).abs() < 0.1);
}

#[test]
fn verdict_names_one_column_of_wrong_scale() {
    let p = Gaussian::standard(3).unwrap();
    let a = Array2::from_diag(&array![1.0, 1.6, 1.0]);
    let report = check(&p, &Linear { a, b: Array1::zeros(3) });
    let Verdict::ColumnScaleOff { column: 1, slope, .. } = report.verdict else {
        panic!("{:?}", report.verdict)
    };
    assert!((slope - 1.6).abs() < 0.15);
}

/// x given c where (x, c) is jointly Gaussian: mean b c, variance v.
struct Regression {
    b: f64,
    v: f64,
    c: Array2<f64>,
}

impl Score for Regression {
    fn dim(&self) -> usize {
        1
    }
    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        (&self.c * self.b - x) / self.v
    }
}

fn regression_rows(seed: u64) -> (Array2<f64>, Array2<f64>) {
    let p = Gaussian::new(array![1.0, 3.0], array![[2.0, 0.9], [0.9, 1.0]]).unwrap();
    let rows = p.sample(2000, &mut ChaCha8Rng::seed_from_u64(seed));
    let column = |k: usize| (&rows.column(k) - [1.0, 3.0][k]).insert_axis(Axis(1));
    (column(0), column(1))
}

#[test]
fn conditional_scores_pass_as_often_as_stated_and_a_wrong_slope_in_c_is_named() {
    let check = |b: f64, v: f64, seed: u64| {
        let (x, c) = regression_rows(seed);
        let score = Regression { b, v, c: c.clone() };
        stein_check_conditional(&score, x.view(), c.view(), 0.05).unwrap()
    };
    let (b, v) = (0.9, 2.0 - 0.81);
    let passed = (0..100).filter(|seed| check(b, v, *seed).verdict.is_consistent()).count();
    assert!(passed >= 89, "{passed}");
    // Without c the score is that of x alone: the other identities hold, this one does not.
    let blind = check(0.0, 2.0, 7);
    let Verdict::ConditionOff { score_column: 0, given_column: 1, product, .. } = blind.verdict
    else {
        panic!("{:?}", blind.verdict)
    };
    // E[s_z c] = -sd E[x c] / 2 with E[x c] = 0.9, sd = sqrt 2.
    assert!((product + 0.9 / 2.0 * 2f64.sqrt()).abs() < 0.08, "{product}");
    assert!(blind.product_max_z < blind.critical_z && blind.mean_max_z < blind.critical_z);
    let names = ["x", "c"].map(String::from);
    assert!(blind.verdict.describe(&names).contains("condition in column \"c\""));
}

#[test]
fn a_constant_condition_passes_and_other_rows_are_refused() {
    let (x, c) = regression_rows(3);
    let score = Regression { b: 0.9, v: 1.19, c };
    let constant = Array2::from_elem((2000, 1), 4.0);
    let report = stein_check_conditional(&score, x.view(), constant.view(), 0.05).unwrap();
    assert_eq!(report.condition_max_z, 0.0);
    assert!(stein_check_conditional(&score, x.view(), array![[1.0]].view(), 0.05).is_err());
}

/// Another unit and origin for every column, the score's with it: nothing changes.
#[test]
fn is_free_of_units_and_origin() {
    struct Moved<'a>(&'a dyn Score, Array1<f64>, Array1<f64>);
    impl Score for Moved<'_> {
        fn dim(&self) -> usize {
            self.0.dim()
        }
        fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
            self.0.score(((&x - &self.2) / &self.1).view()) / &self.1
        }
    }
    let p = mixture();
    let x = p.sample(500, &mut ChaCha8Rng::seed_from_u64(1));
    let (unit, origin) = (array![1e-3, 50.0, 2.0], array![7.0, -1e3, 0.5]);
    let moved = Moved(&p, unit.clone(), origin.clone());
    let here = stein_check(&p, x.view(), 0.05).unwrap();
    let there = stein_check(&moved, (&x * &unit + &origin).view(), 0.05).unwrap();
    assert!((&here.product_z - &there.product_z).iter().all(|e| e.abs() < 1e-6));
    assert!((&here.mean_z - &there.mean_z).iter().all(|e| e.abs() < 1e-6));
    assert!((here.slope.mean - there.slope.mean).abs() < 1e-9);
}

/// One column, three rows x = -1, 0, 1 (sd 1), s = -2x: products -2, 0, -2; covariance -2.
#[test]
fn estimates_by_hand() {
    let x = array![[-1.0], [0.0], [1.0]];
    let report = stein_check(&Linear { a: array![[2.0]], b: array![0.0] }, x.view(), 0.05).unwrap();
    assert!((report.product[[0, 0]] + 2.0).abs() < 1e-14);
    assert!((report.slope.mean - 2.0).abs() < 1e-14);
    // Products -2, 0, -2 have variance 4/3, so the standard error is 2/3 and z = -1.5.
    assert!((report.product_z[[0, 0]] + 1.5).abs() < 1e-12);
    assert_eq!(report.mean_max_z, 0.0);
    // Two degrees of freedom: F(t) = 1/2 + t/(2 sqrt(2 + t^2)), at 1 - 0.05/6.
    let u: f64 = 1.0 - 0.05 / 3.0;
    let expected = u * (2.0 / (1.0 - u * u)).sqrt();
    assert!((report.critical_z - expected).abs() < 1e-6, "{}", report.critical_z);
}

/// Two-sided 5% over 13 statements at many rows: the normal quantile at 1 - 0.05/26 is 2.8905.
#[test]
fn critical_value_is_the_quantile() {
    assert!((critical_z(10_000_000, 3, 0, 0.05).unwrap() - 2.8905).abs() < 1e-3);
    // 784 columns: level/2 over 615,441 statements, 1 - Phi(5.369) = 4.0e-8.
    let many = critical_z(1_000_000, 784, 0, 0.05).unwrap();
    assert!((5.3..5.5).contains(&many), "{many}");
}

/// A score that does not depend on x at all: no spread, no slope.
#[test]
fn constant_score_is_called_too_small() {
    let p = Gaussian::standard(2).unwrap();
    let report = check(&p, &Linear { a: Array2::zeros((2, 2)), b: array![0.0, 0.0] });
    assert!(report.verdict.to_string().contains("too small: 0.000"), "{}", report.verdict);
    assert_eq!(report.mean_max_z, 0.0);
}

#[test]
fn refuses_what_cannot_be_judged() {
    let p = Gaussian::standard(2).unwrap();
    let constant = array![[1.0, 2.0], [1.0, 3.0], [1.0, 4.0]];
    let error = stein_check(&p, constant.view(), 0.05).unwrap_err();
    assert!(error.to_string().contains("column 1"), "{error}");
    assert!(stein_check(&p, array![[1.0, 2.0], [2.0, 1.0]].view(), 0.05).is_err());
    assert!(stein_check(&p, array![[1.0], [2.0], [4.0]].view(), 0.05).is_err());
    assert!(stein_check(&p, Array2::eye(2).view(), 1.5).is_err());
}

/// A report of d columns without violation, to be changed: every error 0.1, the slope's 0.05.
fn faultless(d: usize, w: usize) -> Fitted {
    Fitted {
        mean: Array1::zeros(d),
        mean_error: Array1::from_elem(d, 0.1),
        product: -Array2::<f64>::eye(d),
        product_error: Array2::from_elem((d, d), 0.1),
        condition: Array2::zeros((d, w)),
        condition_error: Array2::from_elem((d, w), 0.1),
        slope: Estimate { mean: 1.0, standard_error: 0.05, n: 50 },
    }
}

fn report_with(change: impl FnOnce(&mut Fitted)) -> SteinReport {
    let mut fitted = faultless(3, 2);
    change(&mut fitted);
    fitted.report(4.0, 0.05)
}

/// Statements by hand, each a little outside and a little inside its band of 4 errors.
#[test]
fn each_fault_is_named_with_its_place_and_band() {
    assert_eq!(report_with(|_| ()).verdict, Verdict::Consistent);
    let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
    for sign in [1.0, -1.0] {
        let of = |size: f64| report_with(|f| f.mean[1] = sign * size);
        assert!(of(0.39).verdict.is_consistent());
        let Verdict::MeanOff { column: 1, mean, half_width } = of(0.41).verdict else { panic!() };
        assert!(near(mean, sign * 0.41) && near(half_width, 0.4));
        assert!(near(of(0.41).mean_max_z, 4.1) && near(of(0.41).mean_z[1], sign * 4.1));

        let of = |size: f64| report_with(|f| f.product[[2, 1]] = sign * size);
        assert!(of(0.39).verdict.is_consistent());
        let Verdict::DependenceOff { score_column: 2, data_column: 1, product, half_width } =
            of(0.41).verdict
        else {
            panic!()
        };
        assert!(near(product, sign * 0.41) && near(half_width, 0.4));
        assert!(near(of(0.41).product_max_z, 4.1) && near(of(0.41).product_z[[2, 1]], sign * 4.1));

        let of = |size: f64| report_with(|f| f.condition[[2, 1]] = sign * size);
        assert!(of(0.39).verdict.is_consistent());
        let Verdict::ConditionOff { score_column: 2, given_column: 4, product, half_width } =
            of(0.41).verdict
        else {
            panic!()
        };
        assert!(near(product, sign * 0.41) && near(half_width, 0.4));
        assert!(
            near(of(0.41).condition_max_z, 4.1)
                && near(of(0.41).condition_product_z[[2, 1]], sign * 4.1)
        );

        let of = |size: f64| report_with(|f| f.product[[1, 1]] = -1.0 - sign * size);
        assert!(of(0.39).verdict.is_consistent());
        let Verdict::ColumnScaleOff { column: 1, slope, half_width } = of(0.41).verdict else {
            panic!()
        };
        assert!(near(slope, 1.0 + sign * 0.41) && near(half_width, 0.4));

        // The slope alone, with all columns' products in its band: one factor.
        let of = |size: f64| report_with(|f| f.slope.mean = 1.0 + sign * size);
        assert!(of(0.19).verdict.is_consistent());
        let Verdict::ScaleOff { slope, half_width } = of(0.21).verdict else { panic!() };
        assert!(near(slope, 1.0 + sign * 0.21) && near(half_width, 0.2));
    }
}

#[test]
fn the_worst_fault_is_told_and_a_sign_before_all() {
    let both = report_with(|f| (f.mean[0], f.product[[0, 1]]) = (0.5, 0.6));
    assert!(matches!(both.verdict, Verdict::DependenceOff { score_column: 0, data_column: 1, .. }));
    let both = report_with(|f| (f.mean[0], f.product[[0, 1]]) = (0.6, 0.5));
    assert!(matches!(both.verdict, Verdict::MeanOff { column: 0, .. }));
    // Below 0 with its whole band, or not.
    let inverted = report_with(|f| (f.slope.mean, f.mean[0]) = (-0.21, 9.0));
    let Verdict::SignInverted { slope, half_width } = inverted.verdict else { panic!() };
    assert!(slope == -0.21 && (half_width - 0.2).abs() < 1e-12);
    let perhaps = report_with(|f| (f.slope.mean, f.mean[0]) = (-0.19, 9.0));
    assert!(matches!(perhaps.verdict, Verdict::MeanOff { .. }));
    // One factor in all columns, of which one is furthest off; and two columns in opposite ways, where
    // the slope is off because of the one.
    let one = report_with(|f| {
        f.slope.mean = 1.5;
        f.product = Array2::from_diag(&array![-1.5, -1.55, -1.45]);
    });
    assert!(matches!(one.verdict, Verdict::ScaleOff { slope: 1.5, .. }), "{:?}", one.verdict);
    let wide = report_with(|f| {
        f.slope = Estimate { mean: 1.5, standard_error: 0.2, n: 50 };
        f.product = Array2::from_diag(&array![-1.5, -1.55, -1.45]);
    });
    assert!(
        matches!(wide.verdict, Verdict::ColumnScaleOff { column: 1, .. }),
        "{:?}",
        wide.verdict
    );
    let column_first = report_with(|f| {
        f.slope = Estimate { mean: 1.5, standard_error: 0.1, n: 50 };
        f.product = Array2::from_diag(&array![-1.5, -1.55, -1.45]);
    });
    assert!(matches!(column_first.verdict, Verdict::ScaleOff { slope: 1.5, .. }));
    let mixed = report_with(|f| {
        f.slope.mean = 1.5;
        f.product = Array2::from_diag(&array![-1.0, -1.2, -2.3]);
    });
    assert!(
        matches!(mixed.verdict, Verdict::ColumnScaleOff { column: 2, .. }),
        "{:?}",
        mixed.verdict
    );
    let overall = report_with(|f| {
        f.slope = Estimate { mean: 1.5, standard_error: 0.01, n: 50 };
        f.product = Array2::from_diag(&array![-1.0, -2.3, -1.2]);
    });
    assert!(
        matches!(overall.verdict, Verdict::ColumnScaleOff { column: 1, .. }),
        "{:?}",
        overall.verdict
    );
}

#[test]
fn verdicts_in_words_name_the_right_columns() {
    let names = ["a", "b", "c"].map(String::from);
    let half_width = 0.5;
    let words = |verdict: Verdict| verdict.describe(&names);
    let dependence = words(Verdict::DependenceOff {
        score_column: 2,
        data_column: 0,
        product: 0.25,
        half_width,
    });
    assert!(
        dependence.contains("\"c\" (score) and column \"a\" (data) is off: 0.250 +- 0.500"),
        "{dependence}"
    );
    let condition = words(Verdict::ConditionOff {
        score_column: 1,
        given_column: 3,
        product: 0.25,
        half_width,
    });
    assert!(condition.contains("score of column \"b\"") && condition.contains("in column 4:"));
    let column = words(Verdict::ColumnScaleOff { column: 1, slope: 1.25, half_width });
    assert!(column.contains("column \"b\" is 1.250 (+- 0.500) times too large"), "{column}");
    let small = words(Verdict::ScaleOff { slope: 0.75, half_width });
    assert!(small.contains("too small: 0.750 (+- 0.500)"), "{small}");
    assert!(
        words(Verdict::SignInverted { slope: -0.25, half_width }).contains("slope -0.250 +- 0.500")
    );
}

/// 2 + 4 + 6 + 1 statements are as many as 3 + 9 + 1; a condition's unit and origin do not matter.
#[test]
fn conditions_count_and_have_no_unit() {
    let at = |d, w| critical_z(40, d, w, 0.05).unwrap();
    assert_eq!(at(2, 3), at(3, 0));
    assert!(at(2, 3) > at(2, 2));
    let (x, c) = regression_rows(5);
    let score = Regression { b: 0.5, v: 1.19, c: c.clone() };
    let of = |c: Array2<f64>| stein_check_conditional(&score, x.view(), c.view(), 0.05).unwrap();
    let (here, there) = (of(c.clone()), of(&c * 250.0 + 7.0));
    assert!((here.condition_product[[0, 0]] - there.condition_product[[0, 0]]).abs() < 1e-9);
    assert!((here.condition_product_z[[0, 0]] - there.condition_product_z[[0, 0]]).abs() < 1e-7);
}

/// Three centred rows: sums of products 3 and 0, over n - 1.
#[test]
fn covariances_and_errors_by_hand() {
    let s = array![[0.0], [-3.0], [3.0]];
    let z = array![[-1.0, 2.0], [0.0, -1.0], [1.0, -1.0]];
    let (found, error) = covariance(&s, &z);
    assert_eq!(found, array![[1.5, 0.0]]);
    // Products 0, 0, 3: squares 9 less 9/3, over 2, over 3. Products 0, 3, -3: squares 18.
    assert!((error[[0, 0]] - 1.0).abs() < 1e-15 && (error[[0, 1]] - 3f64.sqrt()).abs() < 1e-15);
    assert_eq!((z_score(3.0, 1.0, 0.5), z_score(1.0, 1.0, 0.0)), (4.0, 0.0));
    assert_eq!(z_score(0.5, 1.0, 0.0), f64::NEG_INFINITY);
}

#[test]
fn levels_lie_between_0_and_1() {
    let p = Gaussian::standard(1).unwrap();
    let x = array![[1.0], [2.0], [4.0]];
    for level in [0.0, 1.0, 1.5, -0.1, f64::NAN] {
        assert!(stein_check(&p, x.view(), level).is_err(), "{level}");
    }
    assert!(stein_check(&p, x.view(), 0.999).is_ok());
}
