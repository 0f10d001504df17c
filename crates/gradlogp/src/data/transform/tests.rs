use super::*;
use ndarray::{Zip, array, s};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

const KINDS: [Standardization; 5] = [
    Standardization::Standardize,
    Standardization::Robust,
    Standardization::Whiten,
    Standardization::Common,
    Standardization::None,
];

fn names(d: usize) -> Vec<String> {
    (0..d).map(|j| format!("c{j}")).collect()
}

/// 400 correlated rows of three columns with very different units and offsets.
fn rows() -> Array2<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let e = Array2::from_shape_simple_fn((400, 3), || StandardNormal.sample(&mut rng));
    let mix = array![[2.0, 0.0, 0.0], [30.0, 10.0, 0.0], [-0.01, 0.02, 0.005]];
    e.dot(&mix.t()) + array![5.0, -300.0, 0.4]
}

fn fitted(kind: Standardization) -> Transform {
    Transform::fit(kind, rows().view(), &names(3)).unwrap()
}

fn close(a: &Array2<f64>, b: &Array2<f64>, tolerance: f64) {
    assert_eq!(a.dim(), b.dim());
    let scale = b.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    for (x, y) in a.iter().zip(b) {
        assert!((x - y).abs() <= tolerance * scale, "{a:?}\n{b:?}");
    }
}

fn det3(m: &Array2<f64>) -> f64 {
    let minor = |i: usize, j: usize| m[[1, i]] * m[[2, j]] - m[[1, j]] * m[[2, i]];
    m[[0, 0]] * minor(1, 2) - m[[0, 1]] * minor(0, 2) + m[[0, 2]] * minor(0, 1)
}

/// Inverse by the adjugate.
fn inv3(m: &Array2<f64>) -> Array2<f64> {
    let cofactor = |i: usize, j: usize| {
        let (a, b) = ((i + 1) % 3, (i + 2) % 3);
        let (c, e) = ((j + 1) % 3, (j + 2) % 3);
        m[[a, c]] * m[[b, e]] - m[[a, e]] * m[[b, c]]
    };
    Array2::from_shape_fn((3, 3), |(i, j)| cofactor(j, i) / det3(m))
}

/// N(mu, sigma) in closed form.
struct Gaussian {
    mu: Array1<f64>,
    sigma: Array2<f64>,
}

impl Gaussian {
    fn in_user_units() -> Self {
        let sigma = array![[3.0, 20.0, -0.01], [20.0, 900.0, 0.05], [-0.01, 0.05, 0.002]];
        Gaussian { mu: array![4.0, -310.0, 0.45], sigma }
    }

    /// The distribution of A (x - m).
    fn pushed(&self, a: &Array2<f64>, m: ArrayView1<'_, f64>) -> Self {
        Gaussian { mu: a.dot(&(&self.mu - &m)), sigma: a.dot(&self.sigma).dot(&a.t()) }
    }

    fn score(&self, x: &Array2<f64>) -> Array2<f64> {
        -(x - &self.mu).dot(&inv3(&self.sigma))
    }

    fn log_density(&self, x: &Array2<f64>) -> Array1<f64> {
        let centred = x - &self.mu;
        let quadratic = (centred.dot(&inv3(&self.sigma)) * &centred).sum_axis(Axis(1));
        let log_norm = 0.5 * ((2.0 * std::f64::consts::PI).powi(3) * det3(&self.sigma)).ln();
        quadratic.mapv(|q| -0.5 * q - log_norm)
    }
}

/// A computed from the definition alone, by differences of `forward`.
fn numeric_a(t: &Transform) -> Array2<f64> {
    let base = t.forward(Array2::zeros((1, 3)).view());
    Array2::from_shape_fn((3, 3), |(i, j)| {
        let mut e = Array2::zeros((1, 3));
        e[[0, j]] = 1.0;
        t.forward(e.view())[[0, i]] - base[[0, i]]
    })
}

#[test]
fn training_rows_get_mean_zero_and_unit_covariance() {
    let z = fitted(Standardization::Whiten).forward(rows().view());
    let n = z.nrows() as f64;
    close(&(z.t().dot(&z) / n), &Array2::eye(3), 1e-12);
    let z = fitted(Standardization::Standardize).forward(rows().view());
    for column in z.columns() {
        assert!(column.mean().unwrap().abs() < 1e-13);
        assert!((column.dot(&column) / n - 1.0).abs() < 1e-13);
    }
    assert!((z.column(0).dot(&z.column(1)) / n).abs() > 0.5, "correlations stay");
    assert_eq!(fitted(Standardization::None).forward(rows().view()), rows());
}

#[test]
fn round_trips() {
    for kind in KINDS {
        let t = fitted(kind);
        close(&t.inverse(t.forward(rows().view()).view()), &rows(), 1e-12);
        let z = t.forward(rows().slice(s![..9, ..]));
        close(&t.forward(t.inverse(z.view()).view()), &z, 1e-11);
        assert_eq!((t.kind(), t.dim()), (kind, 3));
    }
}

#[test]
fn a_is_the_jacobian_and_not_symmetric_when_whitening() {
    for kind in KINDS {
        let t = fitted(kind);
        close(&t.jacobian_factor(), &numeric_a(&t), 1e-9);
        assert!((t.log_abs_det() - det3(&numeric_a(&t)).abs().ln()).abs() < 1e-8);
        let diagonal = t.diagonal_scale().map(|a| Array2::from_diag(&a));
        assert_eq!(diagonal, (kind != Standardization::Whiten).then(|| t.jacobian_factor()));
    }
    let a = fitted(Standardization::Whiten).jacobian_factor();
    assert!((a[[0, 1]] - a[[1, 0]]).abs() > 0.01 * a[[0, 1]].abs());
}

#[test]
fn a_gaussian_comes_back_in_user_units() {
    let user = Gaussian::in_user_units();
    let x = rows().slice(s![..20, ..]).to_owned();
    let hessian = -inv3(&user.sigma);
    for kind in KINDS {
        let t = fitted(kind);
        let model = user.pushed(&numeric_a(&t), t.mean());
        let z = t.forward(x.view());
        close(&t.score_to_user(model.score(&z).view()), &user.score(&x), 1e-8);
        let log_p = t.log_density_to_user(model.log_density(&z).view());
        let difference = &log_p - &user.log_density(&x);
        assert!(difference.iter().all(|e| e.abs() < 1e-7), "{kind:?} {difference}");
        let h_z = -inv3(&model.sigma);
        close(&t.hessian_to_user(h_z.view()), &hessian, 1e-8);
        let v = t.column_directions();
        let diagonal = (v.dot(&h_z) * &v).sum_axis(Axis(1));
        for (k, value) in diagonal.iter().enumerate() {
            assert!((value / hessian[[k, k]] - 1.0).abs() < 1e-8, "{kind:?} {k}");
        }
        assert!((diagonal.sum() / hessian.diag().sum() - 1.0).abs() < 1e-8);
        if let Some(a) = t.diagonal_scale() {
            let trace: f64 = Zip::from(&a).and(h_z.diag()).fold(0.0, |sum, a, h| sum + a * a * h);
            assert!((trace / hessian.diag().sum() - 1.0).abs() < 1e-8);
        }
    }
}

#[test]
fn a_jacobian_that_is_not_symmetric_keeps_its_rows_and_columns() {
    // s_z(z) = B z, so s(x) = A^T B A (x - m), whose Jacobian can be read off two score values.
    let b = array![[-1.0, 0.5, 0.0], [0.0, -2.0, 0.3], [0.7, 0.0, -1.0]];
    for kind in KINDS {
        let t = fitted(kind);
        let score = |x: Array2<f64>| t.score_to_user(t.forward(x.view()).dot(&b.t()).view());
        let origin = score(Array2::zeros((1, 3)));
        let jacobian = Array2::from_shape_fn((3, 3), |(i, j)| {
            let mut e = Array2::zeros((1, 3));
            e[[0, j]] = 1.0;
            score(e)[[0, i]] - origin[[0, i]]
        });
        close(&t.hessian_to_user(b.view()), &jacobian, 1e-8);
    }
}

#[test]
fn dependent_columns_are_named_when_whitening() {
    let base = rows();
    let column = |j: usize| base.column(j).to_owned();
    let with = |extra: [Array1<f64>; 2]| {
        let mut all = Array2::zeros((400, 5));
        all.slice_mut(s![.., 1..4]).assign(&base);
        all.column_mut(0).assign(&extra[0]);
        all.column_mut(4).assign(&extra[1]);
        Transform::fit(Standardization::Whiten, all.view(), &names(5))
    };
    let noise = |seed| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Array1::from_shape_simple_fn(400, || StandardNormal.sample(&mut rng))
    };
    assert!(with([noise(8), noise(9)]).is_ok());
    let sum = with([noise(8), column(0) * 10.0 + column(1) - 3.0]).unwrap_err().to_string();
    assert!(sum.contains("columns \"c1\", \"c2\", \"c4\" are linearly dependent"), "{sum}");
    assert!(sum.contains("use `drop = c4`,"), "{sum}");
    let twice = with([column(2) * -5.0, column(0)]).unwrap_err().to_string();
    assert!(twice.contains("\"c0\", \"c1\", \"c3\", \"c4\""), "{twice}");
    assert!(twice.contains("use `drop = c3,c4`,"), "{twice}");
}

#[test]
fn constant_columns_and_few_rows_are_refused() {
    let mut constant = rows();
    constant.column_mut(1).fill(0.1);
    for kind in [Standardization::Standardize, Standardization::Robust, Standardization::Whiten] {
        let error = Transform::fit(kind, constant.view(), &names(3)).unwrap_err().to_string();
        assert!(error.contains("\"c1\"; use `drop = c1`"), "{error}");
    }
    assert!(Transform::fit(Standardization::None, constant.view(), &names(3)).is_ok());
    let few = rows().slice(s![..3, ..]).to_owned();
    let error = Transform::fit(Standardization::Whiten, few.view(), &names(3)).unwrap_err();
    assert!(error.to_string().contains("more than 3 rows"), "{error}");
    assert!(Transform::fit(Standardization::Standardize, few.view(), &names(3)).is_ok());
    assert!(Transform::fit(Standardization::None, few.slice(s![..0, ..]), &names(3)).is_err());
}

#[test]
fn tiny_and_huge_columns_neither_underflow_nor_overflow() {
    let mut extreme = rows();
    extreme.column_mut(0).mapv_inplace(|x| x * 1e-200);
    extreme.column_mut(1).mapv_inplace(|x| x * 1e145);
    for kind in [Standardization::Standardize, Standardization::Robust, Standardization::Whiten] {
        let t = Transform::fit(kind, extreme.view(), &names(3)).unwrap();
        let plain = Transform::fit(kind, rows().view(), &names(3)).unwrap();
        close(&t.forward(extreme.view()), &plain.forward(rows().view()), 1e-10);
        let shift = (200.0 - 145.0) * std::f64::consts::LN_10;
        assert!((t.log_abs_det() - plain.log_abs_det() - shift).abs() < 1e-9);
    }
}

/// 0, 1, ..., 40 in the middle, and one outlier at either end that moves nothing.
#[test]
fn robust_scales_do_not_see_outliers() {
    let column = |ends: f64| {
        let mut x: Vec<f64> = (0..=40).map(f64::from).collect();
        (x[0], x[40]) = (-ends, 40.0 + ends);
        Array2::from_shape_vec((41, 1), x).unwrap()
    };
    let fit = |ends: f64| {
        Transform::fit(Standardization::Robust, column(ends).view(), &names(1)).unwrap()
    };
    let usual = fit(0.0);
    // Winsorised at 2 and 38: 3 rows at each end, 35 in between.
    let squares = 2.0 * (3.0 * 18.0f64.powi(2) + (1..18).map(|k| f64::from(k * k)).sum::<f64>());
    assert_eq!(usual.mean()[0], 20.0);
    assert!((usual.standard_deviations()[0] - (squares / 41.0).sqrt()).abs() < 1e-12);
    assert_eq!(fit(100.0), usual);
    // One value in more than nine tenths of the rows: a quarter of the ordinary standard deviation is left.
    let mut spike = column(0.0);
    spike.slice_mut(s![1.., ..]).fill(7.0);
    let t = Transform::fit(Standardization::Robust, spike.view(), &names(1)).unwrap();
    assert!((t.standard_deviations()[0] - 7.0 / 4.0 * (40f64 / 41.0 / 41.0).sqrt()).abs() < 1e-12);
    assert_eq!(t.mean()[0], 7.0);
}

/// Ten skewed rows below zero: quantiles at 0.45, 4.5 and 8.55 rows from the least, the centre not the median.
#[test]
fn robust_scales_by_hand() {
    let x = [13.0, 0.0, 55.0, 2.0, 8.0, 1.0, 34.0, 3.0, 21.0, 5.0].map(|x: f64| x - 60.0);
    let rows = Array2::from_shape_vec((10, 1), x.to_vec()).unwrap();
    let t = Transform::fit(Standardization::Robust, rows.view(), &names(1)).unwrap();
    assert!((t.mean()[0] - (6.5 - 60.0)).abs() < 1e-12);
    let (low, high) = (0.45, 34.0 + 0.55 * 21.0);
    let inside = [low, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0, high];
    let centre = inside.iter().sum::<f64>() / 10.0;
    let sd = (inside.iter().map(|x| (x - centre).powi(2)).sum::<f64>() / 10.0).sqrt();
    assert!((t.standard_deviations()[0] - sd).abs() < 1e-12, "{} {sd}", t.standard_deviations()[0]);
    // All but one within a narrow range: again a quarter of the ordinary standard deviation.
    let narrow = Array2::from_shape_fn((41, 1), |(i, _)| if i < 40 { i as f64 / 1e3 } else { 1e3 });
    let t = Transform::fit(Standardization::Robust, narrow.view(), &names(1)).unwrap();
    assert!(
        (t.standard_deviations()[0] / (narrow.std_axis(Axis(0), 0.0)[0] / 4.0) - 1.0).abs() < 1e-12
    );
}

#[test]
fn json_round_trip_is_exact_and_refuses_nonsense() {
    for kind in KINDS {
        let t = fitted(kind);
        let text = serde_json::to_string(&t).unwrap();
        assert_eq!(serde_json::from_str::<Transform>(&text).unwrap(), t);
    }
    for bad in [
        r#"{"kind":"standardize","mean":[0.0,1.0],"sd":[1.0]}"#,
        r#"{"kind":"standardize","mean":[0.0],"sd":[0.0]}"#,
        r#"{"kind":"whiten","mean":[0.0],"sd":[1.0]}"#,
        r#"{"kind":"none","mean":[],"sd":[]}"#,
    ] {
        assert!(serde_json::from_str::<Transform>(bad).is_err(), "{bad}");
    }
}

/// Eigenvectors come with either sign; which one must not depend on how a column is counted.
#[test]
fn directions_fall_in_variance_and_have_their_largest_entry_positive() {
    for signs in 0..8 {
        let mut x = rows();
        for j in (0..3).filter(|j| signs >> j & 1 == 1) {
            x.column_mut(j).mapv_inplace(|v| -v);
        }
        let t = Transform::fit(Standardization::Whiten, x.view(), &names(3)).unwrap();
        let (u, width) = t.directions().unwrap();
        assert!(width[0] > width[1] && width[1] > width[2], "{width}");
        for direction in u.rows() {
            let largest = direction.iter().max_by(|a, b| a.abs().total_cmp(&b.abs()));
            assert!(*largest.unwrap() > 0.0, "{signs}: {direction}");
        }
    }
}

/// At 2^53 and above neighbours are 2 apart and sums are rounded by more: one pass gives 2^53 + 2 here.
#[test]
fn means_are_right_to_the_last_place() {
    let big = 2f64.powi(53);
    let column = Array1::from_shape_fn(1000, |i| big + if i % 2 == 0 { 2.0 } else { 6.0 });
    assert_eq!(mean(column.view()), big + 4.0);
}

#[test]
fn columns_that_differ_by_rounding_alone_are_constant() {
    let column = |width: f64| {
        let x = Array2::from_shape_fn((50, 1), |(i, _)| 1e8 + width * (i % 3) as f64);
        Transform::fit(Standardization::Standardize, x.view(), &names(1))
    };
    assert!(column(2f64.powi(-26)).is_err(), "neighbours at 1e8 are 2^-26 apart");
    assert!((column(1e-3).unwrap().standard_deviations()[0] / 0.8137e-3 - 1.0).abs() < 1e-2);
}

#[test]
fn the_least_number_of_rows_is_one_more_than_columns() {
    let t = |n: usize| {
        let x = rows().slice(s![..n, ..]).to_owned();
        Transform::fit(Standardization::Whiten, x.view(), &names(3)).map(|t| (t, x))
    };
    assert!(t(3).is_err());
    let (t, x) = t(4).unwrap();
    let z = t.forward(x.view());
    close(&(z.t().dot(&z) / 4.0), &Array2::eye(3), 1e-9);
}

#[test]
fn other_names_and_no_columns_are_refused() {
    let few = Transform::fit(Standardization::Standardize, rows().view(), &names(2)).unwrap_err();
    assert!(matches!(few, Error::Shape { .. }), "{few}");
    assert!(Transform::fit(Standardization::None, Array2::zeros((4, 0)).view(), &[]).is_err());
    assert!(
        Transform::fit(Standardization::Whiten, Array2::zeros((0, 3)).view(), &names(3)).is_err()
    );
}

#[test]
fn parts_that_no_fit_gives_are_refused() {
    let good = fitted(Standardization::Whiten).0;
    let taken = |change: &dyn Fn(&mut Parts)| {
        let mut parts = good.clone();
        change(&mut parts);
        Transform::try_from(parts).is_ok()
    };
    assert!(taken(&|_| ()));
    for bad in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
        assert!(!taken(&|p| p.sd[1] = bad) && !taken(&|p| p.direction_sd[2] = bad), "{bad}");
    }
    for bad in [f64::NAN, f64::INFINITY] {
        assert!(!taken(&|p| p.mean[0] = bad) && !taken(&|p| p.directions[4] = bad), "{bad}");
    }
    assert!(taken(&|p| p.mean[0] = 0.0) && taken(&|p| p.directions[4] = -0.5));
    assert!(!taken(&|p| p.sd.truncate(2)) && !taken(&|p| p.directions.truncate(8)));
    assert!(!taken(&|p| p.direction_sd.push(1.0)) && !taken(&|p| p.mean.push(1.0)));
    assert!(!taken(&|p| p.kind = Standardization::Standardize));
}

/// Which columns go, of those whose share in the null space is not 0, in their order and no more than `count`.
#[test]
fn dependent_columns_are_those_that_the_ones_before_explain() {
    let equal = Array2::ones((3, 3));
    assert_eq!(dependent(&equal, 2, &[0.3, 0.3, 0.3]), [1, 2]);
    assert_eq!(dependent(&equal, 1, &[0.3, 0.3, 0.3]), [1]);
    assert_eq!(dependent(&equal, 1, &[0.5, 0.0, 0.5]), [2]);
    // Nothing is explained: the largest share goes.
    assert_eq!(dependent(&Array2::eye(3), 1, &[0.1, 0.7, 0.2]), [1]);
    // z_2 = 0.6 z_0 + 0.8 z_1 and z_3 = -z_0 with z_0, z_1 uncorrelated.
    let r = |a: [f64; 4], b: [f64; 4], c: [f64; 4], e: [f64; 4]| array![a, b, c, e];
    let first = r(
        [1.0, 0.0, 0.6, -1.0],
        [0.0, 1.0, 0.8, 0.0],
        [0.6, 0.8, 1.0, -0.6],
        [-1.0, 0.0, -0.6, 1.0],
    );
    assert_eq!(dependent(&first, 2, &[0.5; 4]), [2, 3]);
    // Correlation 0.5 between z_0 and z_1; z_2 is their mean over its standard deviation.
    let root = 0.75f64.sqrt();
    let second = r(
        [1.0, 0.5, 0.75 / root, 0.0],
        [0.5, 1.0, 0.75 / root, 0.0],
        [0.75 / root, 0.75 / root, 1.0, 0.0],
        [0.0, 0.0, 0.0, 1.0],
    );
    assert_eq!(dependent(&second, 1, &[0.5; 4]), [2]);
    // Correlations of 0.5 all round, and a copy of z_1.
    let third =
        r([1.0, 0.5, 0.5, 0.5], [0.5, 1.0, 0.5, 1.0], [0.5, 0.5, 1.0, 0.5], [0.5, 1.0, 0.5, 1.0]);
    assert_eq!(dependent(&third, 1, &[0.5; 4]), [3]);
}

/// By hand: columns of variance 4 and 16 at the means 1 and 10 have the common width sqrt(10).
#[test]
fn one_width_for_all_columns() {
    let x = array![[-1.0, 6.0], [3.0, 14.0]];
    let t = Transform::fit(Standardization::Common, x.view(), &names(2)).unwrap();
    let c = 10f64.sqrt();
    close(&t.forward(x.view()), &array![[-2.0 / c, -4.0 / c], [2.0 / c, 4.0 / c]], 1e-14);
    assert!((t.log_abs_det() + 10f64.ln()).abs() < 1e-14);
}

/// What becomes of a row does not depend on the rows beside it, not even in the last bit.
#[test]
fn a_row_has_the_same_bits_in_any_company() {
    let rows = Array2::from_shape_fn((57, 5), |(i, j)| {
        ((3 * i + 7 * j) as f64).sin() + ((i * j) as f64).cos()
    });
    let columns: Vec<String> = (0..5).map(|j| format!("c{j}")).collect();
    for kind in [Standardization::Standardize, Standardization::Whiten] {
        let transform = Transform::fit(kind, rows.view(), &columns).unwrap();
        let maps = |x: ArrayView2<'_, f64>| {
            [transform.forward(x), transform.inverse(x), transform.score_to_user(x)]
        };
        let all = maps(rows.view());
        for i in [0, 1, 7, 8, 31, 55, 56] {
            let alone = maps(rows.slice(ndarray::s![i..i + 1, ..]));
            for (k, (alone, all)) in alone.iter().zip(&all).enumerate() {
                assert_eq!(alone.row(0), all.row(i), "{kind:?}, map {k}, row {i}");
            }
        }
    }
}
