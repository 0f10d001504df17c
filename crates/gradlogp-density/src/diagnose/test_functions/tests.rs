//! Tests of `test_functions.rs`.

use super::super::testing::Changed;
use super::*;
use crate::reference::{Banana, Gaussian, GaussianMixture, ReferenceDensity};
use ndarray::array;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn all(d: usize) -> Vec<ColumnFunction> {
    let of = |column| {
        Shape::ALL.map(|shape| ColumnFunction { column, shape, column_name: column.to_string() })
    };
    (0..d).flat_map(of).collect()
}

fn check(p: &dyn ReferenceDensity, score: &dyn Score, n: usize, seed: u64) -> Vec<SteinStatement> {
    let x = p.sample(n, &mut ChaCha8Rng::seed_from_u64(seed));
    let functions = all(p.dim());
    let functions: Vec<_> = functions.iter().map(|f| f as &dyn TestFunction).collect();
    test_functions(score, x.view(), &functions, 0.05).unwrap()
}

#[test]
fn divergences_are_derivatives() {
    let z = array![[0.3, -1.1], [1.7, 0.2]];
    for function in all(2) {
        let (_, divergence) = function.field(z.view());
        let mut sum = Array1::zeros(2);
        for j in 0..2 {
            let moved = |e: f64| {
                let mut z = z.clone();
                z.column_mut(j).mapv_inplace(|v| v + e);
                function.field(z.view()).0.column(j).to_owned()
            };
            sum += &((moved(1e-5) - moved(-1e-5)) / 2e-5);
        }
        assert!((sum - divergence).iter().all(|e: &f64| e.abs() < 1e-8), "{}", function.name());
    }
}

#[test]
fn true_scores_pass_as_often_as_stated() {
    let means = array![[-2.0, 0.0], [2.0, 1.0]];
    let mixture = GaussianMixture::isotropic(array![0.4, 0.6], means.view(), 0.9).unwrap();
    let banana = Banana::new(2, 1.0, 0.4, 0.7).unwrap();
    let references: [&dyn ReferenceDensity; 2] = [&mixture, &banana];
    for (k, p) in references.into_iter().enumerate() {
        let score: &dyn Score = p;
        let pass = |seed| check(p, score, 2000, seed).iter().all(|s| s.holds);
        let passed = (0..100).filter(|seed| pass(*seed)).count();
        // Binomial(100, 0.95): 88 or fewer has a chance of 0.4%.
        assert!(passed > 88, "reference density {k}: {passed} of 100");
    }
}

/// A scale error c: E[c s g + g'] = (1 - c) E[g'], which is 3 (1 - c) for the cube of N(0, 1).
#[test]
fn size_of_a_fault_is_as_computed() {
    let p = Gaussian::standard(1).unwrap();
    let wrong = Changed { score: &p, factor: 1.4, shift: Array1::zeros(1) };
    let found = check(&p, &wrong, 20_000, 1);
    let cube = found.iter().find(|s| s.name.starts_with("cube")).unwrap();
    assert!((cube.value.mean + 1.2).abs() < 4.0 * cube.value.standard_error, "{cube:?}");
    assert!(!cube.holds);
}

/// The Gaussian of the same mean and spread passes the identities of first order, and not these.
#[test]
fn a_wrong_shape_is_found() {
    let p =
        GaussianMixture::isotropic(array![0.5, 0.5], array![[-2.0], [2.0]].view(), 0.5).unwrap();
    let gaussian = Gaussian::new(array![0.0], array![[4.25]]).unwrap();
    let x = p.sample(2000, &mut ChaCha8Rng::seed_from_u64(3));
    assert!(
        crate::diagnose::stein_check(&gaussian, x.view(), 0.05).unwrap().verdict.is_consistent()
    );
    assert!(check(&p, &gaussian, 2000, 3).iter().any(|s| !s.holds));
}

#[test]
fn refuses_a_field_of_another_shape() {
    struct Bad;
    impl TestFunction for Bad {
        fn name(&self) -> String {
            "bad".into()
        }
        fn field(&self, z: ArrayView2<'_, f64>) -> (Array2<f64>, Array1<f64>) {
            (Array2::zeros((1, 1)), Array1::zeros(z.nrows()))
        }
    }
    let p = Gaussian::standard(2).unwrap();
    let x = p.sample(10, &mut ChaCha8Rng::seed_from_u64(0));
    assert!(test_functions(&p, x.view(), &[&Bad as &dyn TestFunction], 0.05).is_err());
    assert!(test_functions(&p, x.view(), &[], 1.0).is_err());
    assert!(test_functions(&p, x.view(), &[], 0.05).unwrap().is_empty());
}

/// Three rows -1, 0, 1 (sd 1), s = -2x, f = (z, 0)^3: rows -2 + 3, 0 and -2 + 3.
#[test]
fn a_statement_by_hand() {
    let cube = ColumnFunction { column: 0, shape: Shape::Cube, column_name: "a".into() };
    let p = Gaussian::standard(1).unwrap();
    let wrong = Changed { score: &p, factor: 2.0, shift: Array1::zeros(1) };
    let x = array![[-1.0], [0.0], [1.0]];
    let found = test_functions(&wrong, x.view(), &[&cube as &dyn TestFunction], 0.05).unwrap();
    assert!((found[0].value.mean - 2.0 / 3.0).abs() < 1e-14);
    assert!((found[0].value.standard_error - 1.0 / 3.0).abs() < 1e-14);
    assert!((found[0].z - 2.0).abs() < 1e-12 && found[0].holds, "4.3 for two degrees of freedom");
    // t = 2 is the two-sided quantile of 2 degrees at 1 - sqrt(2/3) = 0.1835.
    for (level, holds) in [(0.18, true), (0.19, false)] {
        let one = test_functions(&wrong, x.view(), &[&cube as &dyn TestFunction], level).unwrap();
        assert_eq!(one[0].holds, holds, "{level}");
        // Two statements share the level.
        let two = [&cube as &dyn TestFunction, &cube];
        let two = test_functions(&wrong, x.view(), &two, 2.0 * level).unwrap();
        assert_eq!(two[1].holds, holds, "{level}");
    }
}

#[test]
fn names_and_columns() {
    let names: Vec<String> = all(1).iter().map(TestFunction::name).collect();
    assert_eq!(names, ["square of 0", "cube of 0", "tanh of 0", "sine of 0", "cosine of 0"]);
    let of = ColumnFunction { column: 1, shape: Shape::Square, column_name: "b".into() };
    let (f, divergence) = of.field(array![[2.0, 3.0]].view());
    assert_eq!((f, divergence), (array![[0.0, 9.0]], array![6.0]));
}

/// g and g' at 0.3.
#[test]
fn shapes_by_hand() {
    let z = 0.3f64;
    for (shape, g, slope) in [
        (Shape::Square, 0.09, 0.6),
        (Shape::Cube, 0.027, 0.27),
        (Shape::Tanh, 0.291_312_612_451_590_9, 0.915_136_961_826_629_8),
        (Shape::Sine, 0.564_642_473_395_035_4, 2.0 * 0.825_335_614_909_678_3),
        (Shape::Cosine, 0.825_335_614_909_678_3, -2.0 * 0.564_642_473_395_035_4),
    ] {
        let found = shape.at(z);
        assert!((found.0 - g).abs() < 1e-14 && (found.1 - slope).abs() < 1e-14, "{shape:?}");
    }
}

#[test]
fn refuses_a_divergence_of_another_length_and_levels_at_their_ends() {
    struct Short;
    impl TestFunction for Short {
        fn name(&self) -> String {
            "short".into()
        }
        fn field(&self, z: ArrayView2<'_, f64>) -> (Array2<f64>, Array1<f64>) {
            (Array2::zeros(z.dim()), Array1::zeros(z.nrows() - 1))
        }
    }
    let p = Gaussian::standard(1).unwrap();
    let x = array![[1.0], [2.0], [4.0]];
    let error = test_functions(&p, x.view(), &[&Short as &dyn TestFunction], 0.05).unwrap_err();
    assert!(matches!(error, Error::Shape { .. }), "{error}");
    assert!(test_functions(&p, x.view(), &[], 0.0).is_err());
    assert!(test_functions(&p, x.view(), &[], 0.999).is_ok());
}
