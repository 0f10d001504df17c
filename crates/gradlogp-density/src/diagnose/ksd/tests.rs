//! Tests of `ksd.rs`.

use super::super::stein_check;
use super::super::testing::{Changed, Linear};
use super::*;
use crate::reference::{Banana, Gaussian, GaussianMixture, ReferenceDensity};
use ndarray::array;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const KERNELS: [SteinKernel; 2] = [SteinKernel::Imq, SteinKernel::Gaussian];

fn mixture() -> GaussianMixture {
    let means = array![[-2.0, 0.0], [2.0, 1.0]];
    GaussianMixture::isotropic(array![0.4, 0.6], means.view(), 0.9).unwrap()
}

fn p_value(
    p: &dyn ReferenceDensity,
    score: &dyn Score,
    n: usize,
    seed: u64,
    config: &KsdConfig,
) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let x = p.sample(n, &mut rng);
    kernel_stein_discrepancy(score, x.view(), config, &mut rng).unwrap().p_value
}

/// k(x, y) itself, for derivatives by differences.
fn k(kernel: SteinKernel, x: &Array1<f64>, y: &Array1<f64>, h: f64) -> f64 {
    let q = (x - y).mapv(|v| v * v).sum();
    match kernel {
        SteinKernel::Imq => 1.0 / (h * h + q).sqrt(),
        SteinKernel::Gaussian => (-q / (2.0 * h * h)).exp(),
    }
}

/// u by its definition, s.s k + s(x).grad_y k + s(y).grad_x k + tr grad_x grad_y k, with every
/// derivative of k by central differences.
#[test]
fn stein_kernel_is_its_definition() {
    let (x, y) = (array![0.3, -1.2, 0.8], array![-0.5, 0.4, 1.1]);
    let (sx, sy) = (array![1.5, -0.7, 0.2], array![0.1, 2.0, -1.3]);
    let (h, e) = (1.3, 1e-4);
    let unit = |i: usize| Array1::from_shape_fn(3, |j| if i == j { e } else { 0.0 });
    for kernel in KERNELS {
        let at = |i: Option<usize>, a: f64, j: Option<usize>, b: f64| {
            let (mut x, mut y) = (x.clone(), y.clone());
            i.into_iter().for_each(|i| x.scaled_add(a, &unit(i)));
            j.into_iter().for_each(|j| y.scaled_add(b, &unit(j)));
            k(kernel, &x, &y, h)
        };
        let mut expected = sx.dot(&sy) * at(None, 0.0, None, 0.0);
        for i in 0..3 {
            let dy = (at(None, 0.0, Some(i), 1.0) - at(None, 0.0, Some(i), -1.0)) / (2.0 * e);
            let dx = (at(Some(i), 1.0, None, 0.0) - at(Some(i), -1.0, None, 0.0)) / (2.0 * e);
            let mixed = |a, b| at(Some(i), a, Some(i), b);
            let both = (mixed(1.0, 1.0) - mixed(1.0, -1.0) - mixed(-1.0, 1.0) + mixed(-1.0, -1.0))
                / (4.0 * e * e);
            expected += sx[i] * dy + sy[i] * dx + both;
        }
        let row = |v: &Array1<f64>| v.clone().insert_axis(Axis(0));
        let rows = ndarray::concatenate![Axis(0), row(&x), row(&y)];
        let scores = ndarray::concatenate![Axis(0), row(&sx), row(&sy)];
        let found = SteinRows::new(rows.view(), scores.view()).tile(0..1, 1..2, kernel, h);
        assert!((found[[0, 0]] - expected).abs() < 1e-6, "{kernel:?}: {found} {expected}");
    }
}

/// Three rows -1, 0, 1 (sd 1), h the median distance 1, s = -x, Gaussian kernel:
/// u(-1, 0) = u(0, 1) = e^(-1/2) (0 - 1 + 1 - 1) and u(-1, 1) = e^-2 (-1 - 4 + 1 - 4).
#[test]
fn statistic_by_hand() {
    let x = array![[-1.0], [0.0], [1.0]];
    let config = KsdConfig { kernel: SteinKernel::Gaussian, ..KsdConfig::default() };
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let score = Linear { a: array![[1.0]], b: array![0.0] };
    let found = kernel_stein_discrepancy(&score, x.view(), &config, &mut rng).unwrap();
    assert_eq!((found.bandwidth, found.n, found.groups), (1.0, 3, 1));
    let expected = (-2.0 * (-0.5f64).exp() - 8.0 * (-2f64).exp()) / 3.0;
    assert!((found.squared - expected).abs() < 1e-12, "{} {expected}", found.squared);
}

/// E u = 0 for the true score, whatever the density; in units of its spread over repetitions.
#[test]
fn is_zero_on_average_and_positive_for_wrong_scores() {
    let banana = Banana::new(3, 1.0, 0.4, 0.7).unwrap();
    for kernel in KERNELS {
        let config = KsdConfig { kernel, bootstrap: 1, ..KsdConfig::default() };
        let squared = |score: &dyn Score, seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let x = banana.sample(300, &mut rng);
            kernel_stein_discrepancy(score, x.view(), &config, &mut rng).unwrap().squared
        };
        let over: Array1<f64> = (0..100).map(|seed| squared(&banana, seed)).collect();
        let found = crate::diagnose::Estimate::of(over.view());
        assert!(found.mean.abs() < 4.0 * found.standard_error, "{kernel:?} {found:?}");
        let wrong = Changed { score: &banana, factor: 1.3, shift: Array1::zeros(3) };
        let over: Array1<f64> = (0..20).map(|seed| squared(&wrong, 100 + seed)).collect();
        assert!(over.mean().unwrap() > 10.0 * found.standard_error, "{kernel:?}");
    }
}

#[test]
fn p_values_are_uniform_under_the_true_score() {
    for (kernel, group) in KERNELS.into_iter().zip([2000, 50]) {
        let config = KsdConfig { kernel, group, bootstrap: 199 };
        let p = mixture();
        let values: Vec<f64> = (0..200).map(|seed| p_value(&p, &p, 200, seed, &config)).collect();
        let uniform = crate::diagnose::ks_uniform(&values);
        assert!(uniform.p_value > 0.001, "{kernel:?}, groups of {group}: {uniform:?}");
    }
}

fn correlated() -> Gaussian {
    Gaussian::new(array![1.0, -1.0], array![[1.0, 0.5], [0.5, 2.0]]).unwrap()
}

/// In how many of 20 data sets the score times `factor` is rejected at 5%.
fn rejected(p: &dyn ReferenceDensity, factor: f64, n: usize, config: &KsdConfig) -> usize {
    let wrong = Changed { score: p, factor, shift: Array1::zeros(2) };
    (0..20).filter(|seed| p_value(p, &wrong, n, *seed, config) < 0.05).count()
}

#[test]
fn wrong_scores_are_found() {
    for kernel in KERNELS {
        let config = KsdConfig { kernel, bootstrap: 199, ..KsdConfig::default() };
        for factor in [1.3, 0.7] {
            let found = rejected(&correlated(), factor, 1000, &config);
            assert!(found >= 19, "{kernel:?}, factor {factor}: {found} of 20");
        }
        let found = rejected(&mixture(), -1.0, 500, &config);
        assert!(found >= 19, "{kernel:?}, inverted: {found} of 20");
    }
    // Right mean and slope, wrong shape: what the Stein identities of first order cannot see.
    let gaussian = Gaussian::new(array![0.4, 0.6], array![[4.65, 0.96], [0.96, 1.05]]).unwrap();
    let found = (0..20)
        .filter(|s| p_value(&mixture(), &gaussian, 1000, *s, &KsdConfig::default()) < 0.05)
        .count();
    assert!(found >= 19, "shape: {found} of 20");
}

/// Groups use fewer pairs, so power falls, but slowly.
#[test]
fn groups_keep_power() {
    let config = KsdConfig { group: 250, bootstrap: 199, ..KsdConfig::default() };
    let found = rejected(&correlated(), 1.3, 4000, &config);
    assert!(found >= 19, "{found} of 20");
}

/// Another unit and origin for every column, the score's with it: nothing changes.
#[test]
fn is_free_of_units_and_reproducible() {
    let p = Gaussian::new(array![0.0, 0.0], array![[1.0, 0.5], [0.5, 1.0]]).unwrap();
    let (unit, origin) = (array![1e-3, 50.0], array![7.0, -1e3]);
    let covariance = array![[1e-6, 0.025], [0.025, 2500.0]];
    let moved = Gaussian::new(origin.clone(), covariance).unwrap();
    let x = p.sample(300, &mut ChaCha8Rng::seed_from_u64(1));
    let run = |p: &Gaussian, x: &Array2<f64>| {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        kernel_stein_discrepancy(p, x.view(), &KsdConfig::default(), &mut rng).unwrap()
    };
    let (here, there) = (run(&p, &x), run(&moved, &(&x * &unit + &origin)));
    assert!((here.squared - there.squared).abs() < 1e-9, "{here:?} {there:?}");
    assert!((here.p_value - there.p_value).abs() < 0.01);
    assert_eq!(run(&p, &x), here);
}

/// Rows that lie column after column, and scores that do, give the same bits.
#[test]
fn the_layout_of_rows_is_of_no_consequence() {
    struct Turned<'a>(&'a Gaussian);
    impl Score for Turned<'_> {
        fn dim(&self) -> usize {
            self.0.dim()
        }
        fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
            by_columns(self.0.score(x).view())
        }
    }
    let p =
        Gaussian::new(array![0.0, 0.0, 1.0], Array2::from_diag(&array![1.0, 0.3, 7.0])).unwrap();
    let x = p.sample(211, &mut ChaCha8Rng::seed_from_u64(8));
    let run = |score: &dyn Score, x: ArrayView2<'_, f64>| {
        let config = KsdConfig { group: 100, ..KsdConfig::default() };
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        kernel_stein_discrepancy(score, x, &config, &mut rng).unwrap()
    };
    let turned = by_columns(x.view());
    assert!(!turned.is_standard_layout() && turned == x);
    let (expected, of_stein) = (run(&p, x.view()), stein_check(&p, x.view(), 0.05).unwrap());
    for score in [&p as &dyn Score, &Turned(&p)] {
        for x in [turned.view(), x.view()] {
            assert_eq!(run(score, x), expected);
            let found = stein_check(score, x, 0.05).unwrap();
            assert_eq!((found.slope, &found.product), (of_stein.slope, &of_stein.product));
        }
    }
    // One column has a stride from row to row that says nothing, and one along the row that may be any.
    let p = Gaussian::new(array![1.0], array![[0.3]]).unwrap();
    let wide = x.slice(s![.., 1..2]);
    let expected = run(&p, wide.to_owned().view());
    assert_eq!(run(&p, wide), expected);
    assert_eq!(run(&p, by_columns(wide).view()), expected);
}

/// The same numbers, column after column.
fn by_columns(x: ArrayView2<'_, f64>) -> Array2<f64> {
    x.reversed_axes().as_standard_layout().into_owned().reversed_axes()
}

#[test]
fn refuses_what_cannot_be_tested() {
    let p = Gaussian::standard(1).unwrap();
    let run = |x: &Array2<f64>, config: &KsdConfig| {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        kernel_stein_discrepancy(&p, x.view(), config, &mut rng).unwrap_err().to_string()
    };
    let fine = KsdConfig::default();
    assert!(run(&array![[1.0], [1.0], [1.0], [1.0], [2.0]], &fine).contains("equal"));
    assert!(run(&array![[1.0], [1.0], [1.0]], &fine).contains("column 1 is constant"));
    let x = array![[1.0], [2.0], [4.0]];
    assert!(run(&x, &KsdConfig { group: 1, ..fine.clone() }).starts_with("group"));
    assert!(run(&x, &KsdConfig { bootstrap: 0, ..fine }).starts_with("bootstrap"));
}

/// A score so wrong that no draw comes near: the smallest p-value there is, one of 19 draws and itself.
#[test]
fn the_least_p_value_counts_the_statistic_itself() {
    let p = Gaussian::standard(1).unwrap();
    let wrong = Changed { score: &p, factor: 4.0, shift: Array1::zeros(1) };
    let config = KsdConfig { bootstrap: 19, ..KsdConfig::default() };
    assert_eq!(p_value(&p, &wrong, 300, 2, &config), 0.05);
}

/// Seven rows in groups of at most three: rows 0 and 1, 2 and 3, 4 to 6, and only pairs within them.
#[test]
fn groups_are_runs_of_rows() {
    let p = Gaussian::standard(2).unwrap();
    let of = |n: usize, group: usize| {
        let x = p.sample(n, &mut ChaCha8Rng::seed_from_u64(3));
        let config = KsdConfig { group, bootstrap: 1, ..KsdConfig::default() };
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        (kernel_stein_discrepancy(&p, x.view(), &config, &mut rng).unwrap(), x)
    };
    let (found, x) = of(7, 3);
    let (z, sd) = standardize(x.view()).unwrap();
    let s = p.score(x.view()) * &sd;
    let u = SteinRows::new(z.view(), s.view()).tile(0..7, 0..7, SteinKernel::Imq, found.bandwidth);
    let sum = u[[0, 1]] + u[[2, 3]] + u[[4, 5]] + u[[4, 6]] + u[[5, 6]];
    assert!((found.squared - sum / 5.0).abs() < 1e-12, "{} {}", found.squared, sum / 5.0);
    let groups = |n, group| of(n, group).0.groups;
    // Every group has two rows at least.
    let counts = [(7, 3), (7, 2), (4, 2), (3, 2), (5, 5), (6, 5)].map(|(n, g)| groups(n, g));
    assert_eq!(counts, [3, 3, 2, 1, 1, 2]);
}
