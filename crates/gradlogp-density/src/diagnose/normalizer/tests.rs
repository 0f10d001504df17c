//! Tests of `normalizer.rs`.

use super::*;
use crate::reference::{Banana, Gaussian, GaussianMixture};
use crate::score::Score;
use ndarray::{Array2, array};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// log p + shift.
struct Shifted<'a>(&'a dyn ReferenceDensity, f64);

crate::delegate_score!(Score [] Shifted<'_>, |this| this.0);

impl LogDensity for Shifted<'_> {
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        self.0.log_density(x) + self.1
    }
}

fn quick() -> NormalizerConfig {
    NormalizerConfig { draws: 2000, chains: 200, rungs: 30, warm_up: 10, ..Default::default() }
}

fn run(model: &dyn LogDensity, rows: &dyn ReferenceDensity, n: usize, seed: u64) -> Normalizer {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let x = rows.sample(n, &mut rng);
    estimate_normalizer(model, x.view(), &quick(), &mut rng).unwrap()
}

fn mixture() -> GaussianMixture {
    let means = array![[-20.0, 0.0], [20.0, 0.1]];
    let narrow = array![[4.0, 0.01], [0.01, 1e-4]];
    GaussianMixture::new(array![0.3, 0.7], means.view(), vec![narrow.clone(), narrow]).unwrap()
}

#[test]
fn known_normalizers_are_found() {
    let gaussian = Gaussian::rank_one(2.0, 8).unwrap();
    let banana = Banana::new(2, 1.0, 1.0, 0.5).unwrap();
    let mixture = mixture();
    let references: [&dyn ReferenceDensity; 3] = [&gaussian, &banana, &mixture];
    for (k, p) in references.into_iter().enumerate() {
        let found = run(&Shifted(p, 3.7), p, 400, k as u64);
        let log_z = found.log_z.unwrap_or_else(|why| panic!("{k}: {why}\n{found:?}"));
        let miss = (log_z.value - 3.7) / log_z.standard_error;
        assert!(miss.abs() < 4.0 && log_z.standard_error < 0.1, "{k}: {found:?}");
        assert!((found.reverse.value - 3.7).abs() < 5.0 * found.reverse.standard_error);
    }
}

/// Beyond the columns of most tables: correlated Gaussians of 20 and 50 columns and a mixture of 20, in the
/// default settings. Where 500 rows cannot fix the proposals, log Z may be refused, never wrong.
#[test]
fn many_columns_are_found_or_refused() {
    let gaussian = |d: usize| Gaussian::rank_one(2.0, d).unwrap();
    let mut means = Array2::zeros((2, 20));
    means[[1, 0]] = 5.0;
    let mixture = GaussianMixture::isotropic(array![0.4, 0.6], means.view(), 1.0).unwrap();
    let references: [(&dyn ReferenceDensity, bool); 3] =
        [(&gaussian(20), true), (&gaussian(50), false), (&mixture, true)];
    for (k, (p, must)) in references.into_iter().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(20 + k as u64);
        let x = p.sample(500, &mut rng);
        let config = NormalizerConfig { chains: 300, ..Default::default() };
        let shifted = Shifted(p, -12.5);
        let found = estimate_normalizer(&shifted, x.view(), &config, &mut rng).unwrap();
        match found.log_z {
            Ok(log_z) => {
                let miss = (log_z.value + 12.5).abs();
                assert!(miss < 4.5 * log_z.standard_error + 0.01, "{k}: {found:?}");
                assert!(log_z.standard_error < 0.2, "{k}: {found:?}");
            }
            Err(why) => assert!(!must, "{k}: {why}\n{found:?}"),
        }
    }
}

/// 50 columns of which every second has a twin far off that no row shows: importance sampling collapses.
#[test]
fn many_columns_with_mass_elsewhere_are_refused() {
    let p = Gaussian::standard(50).unwrap();
    let wide = Gaussian::new(Array1::zeros(50), Array2::eye(50) * 9.0).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(30);
    let x = p.sample(300, &mut rng);
    // A model three times as wide as the rows: neither the proposal nor the ladder spans it.
    let found = estimate_normalizer(&wide, x.view(), &quick(), &mut rng).unwrap();
    assert!(found.log_z.is_err(), "{found:?}");
}

/// The model has a second part that no row shows.
#[test]
fn mass_where_no_rows_are_is_refused() {
    let model = GaussianMixture::isotropic(array![0.5, 0.5], array![[0.0], [4.0]].view(), 0.5);
    let rows = Gaussian::new(array![0.0], array![[0.25]]).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let x = rows.sample(400, &mut rng);
    let config = NormalizerConfig { draws: 10_000, ..quick() };
    let found = estimate_normalizer(&model.unwrap(), x.view(), &config, &mut rng).unwrap();
    let refusal = found.log_z.unwrap_err();
    assert!(matches!(refusal, Refusal::Disagree { .. }), "{found:?}");
    assert!(refusal.to_string().contains("mass where no rows are"), "{refusal}");
}

/// exp f with f constant far out has no integral.
#[test]
fn what_cannot_be_normalized_is_refused() {
    struct Flat;
    impl Score for Flat {
        fn dim(&self) -> usize {
            4
        }
        fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
            -&x / x
                .mapv(|v| v * v)
                .sum_axis(ndarray::Axis(1))
                .insert_axis(ndarray::Axis(1))
                .mapv(|q| 1.0 + q)
        }
    }
    impl LogDensity for Flat {
        fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
            x.outer_iter().map(|x| -0.5 * x.dot(&x).ln_1p()).collect()
        }
    }
    let found = run(&Flat, &Gaussian::standard(4).unwrap(), 400, 2);
    assert!(found.log_z.is_err(), "{found:?}");
}

#[test]
fn few_rows_are_refused_with_advice() {
    let p = Gaussian::standard(2).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let x = p.sample(49, &mut rng);
    let error = estimate_normalizer(&p, x.view(), &quick(), &mut rng).unwrap_err().to_string();
    assert!(error.starts_with("49 rows are too few for the normalizing constant"), "{error}");
    assert!(error.contains("at least 50 are needed"), "{error}");
    let refusal = Refusal::FewEffectiveReverse { effective: 31.0, chains: 60, least: 50.0 };
    assert!(refusal.to_string().contains("give more rows"));
}

/// In other units everything moves by the logarithm of the change: nothing, for log Z.
#[test]
fn is_free_of_units() {
    let narrow = Gaussian::new(array![500.0, 1e-3], array![[1e4, 0.5], [0.5, 1e-4]]).unwrap();
    let found = run(&narrow, &narrow, 400, 4).log_z.unwrap();
    assert!(found.value.abs() < 4.0 * found.standard_error + 1e-3, "{found:?}");
}

#[test]
fn the_entropy_of_a_gaussian_in_bits() {
    let p = Gaussian::standard(3).unwrap();
    let x = p.sample(4000, &mut ChaCha8Rng::seed_from_u64(0));
    let log_z = LogZ { value: 2.0, standard_error: 0.3 };
    let found = likelihood((p.log_density(x.view()) + 2.0).view(), 3, log_z);
    // log2 sqrt(2 pi e) = 2.0471 bits per column.
    assert!((found.bits_per_dimension.mean - 2.0471).abs() < 0.05, "{found:?}");
    assert!(found.per_row.standard_error > 0.3);
    assert!((log_z.interval(0.95)[1] - 2.0 - 0.3 * 1.959_964).abs() < 1e-5);
}

#[test]
fn refuses_settings_out_of_range() {
    let p = Gaussian::standard(1).unwrap();
    let x = p.sample(20, &mut ChaCha8Rng::seed_from_u64(0));
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    for bad in [
        NormalizerConfig { draws: 10, ..quick() },
        NormalizerConfig { rungs: 0, ..quick() },
        NormalizerConfig { tolerance: f64::NAN, ..quick() },
    ] {
        assert!(estimate_normalizer(&p, x.view(), &bad, &mut rng).is_err(), "{bad:?}");
    }
}

fn found(value: f64, standard_error: f64, effective_size: f64) -> LogMean {
    LogMean { value, standard_error, effective_size, n: 70 }
}

/// Effective sizes from 50 on count; the better of importance sampling and forward annealing is told.
#[test]
fn judgements_by_hand() {
    let assess = |i, f, r| assess(i, f, r, &NormalizerConfig::default());
    let reverse = found(1.0, 0.1, 60.0);
    let told = |i, f| assess(i, f, reverse).map(|z| (z.value, z.standard_error));
    assert_eq!(told(found(1.1, 0.2, 50.0), found(0.9, 0.3, 99.0)), Ok((1.1, 0.2)));
    assert_eq!(told(found(1.1, 0.2, 99.0), found(0.9, 0.1, 99.0)), Ok((0.9, 0.1)));
    assert_eq!(told(found(1.1, 0.2, 49.0), found(0.9, 0.3, 99.0)), Ok((0.9, 0.3)));
    assert_eq!(told(found(f64::NAN, 0.2, 99.0), found(0.9, 0.3, 50.0)), Ok((0.9, 0.3)));
    let few = Refusal::FewEffective { effective: 49.0, least: 50.0 };
    assert_eq!(told(found(1.0, 0.1, 49.0), found(1.0, 0.1, 20.0)), Err(few));
    let fine = found(1.0, 0.1, 60.0);
    let few = Refusal::FewEffectiveReverse { effective: 49.0, chains: 70, least: 50.0 };
    assert_eq!(assess(fine, fine, found(1.0, 0.1, 49.0)), Err(few));
}

/// Apart by more than the tolerance of 0.05 *and* more than four joint errors: 0.3 and 0.4 make 0.5.
#[test]
fn disagreements_by_hand() {
    let assess = |i, f, r| assess(i, f, r, &NormalizerConfig::default());
    let with = |gap: f64, i: f64, f: f64| {
        assess(found(1.0, i, 60.0), found(1.0 + gap, f, 60.0), found(1.0 + 0.5 * gap, 9.0, 60.0))
    };
    assert!(with(1.9, 0.3, 0.4).is_ok() && with(-1.9, 0.3, 0.4).is_ok());
    assert!(with(2.1, 0.3, 0.4).is_err() && with(-2.1, 0.3, 0.4).is_err());
    assert!(with(0.04, 1e-3, 1e-3).is_ok() && with(0.06, 1e-3, 1e-3).is_err());
    let Err(Refusal::Disagree { names, values, standard_errors }) = with(2.1, 0.3, 0.4) else {
        panic!("no disagreement")
    };
    assert_eq!(names, ["importance sampling", "forward annealing"]);
    assert_eq!((values, standard_errors), ([1.0, 3.1], [0.3, 0.4]));
    let fine = found(1.0, 0.01, 60.0);
    let Err(Refusal::Disagree { names, .. }) =
        assess(found(1.0, 0.1, 3.0), fine, found(2.0, 0.01, 60.0))
    else {
        panic!("no disagreement")
    };
    assert_eq!(names, ["forward annealing", "reverse annealing"]);
}

#[test]
fn settings_at_their_least_are_taken() {
    let least = NormalizerConfig {
        draws: 50,
        chains: 50,
        rungs: 1,
        warm_up: 0,
        least_effective: 50.0,
        tolerance: 0.0,
    };
    assert!(least.validate().is_ok());
    let few = NormalizerConfig { draws: 2, chains: 2, least_effective: 1.0, ..least.clone() };
    assert!(few.validate().is_ok());
    for bad in [
        NormalizerConfig { draws: 49, ..least.clone() },
        NormalizerConfig { chains: 49, ..least.clone() },
        NormalizerConfig { draws: 1, ..few.clone() },
        NormalizerConfig { tolerance: -1e-9, ..few.clone() },
        NormalizerConfig { least_effective: 0.9, ..few },
    ] {
        assert!(bad.validate().is_err(), "{bad:?}");
    }
}

#[test]
fn likelihoods_and_intervals_by_hand() {
    let found = likelihood(array![1.0, 3.0].view(), 2, LogZ { value: 1.0, standard_error: 0.75 });
    // Rows 0 and 2: mean 1, standard error 1, with that of log Z 1.25.
    assert_eq!((found.per_row.mean, found.per_row.standard_error, found.per_row.n), (1.0, 1.25, 2));
    let bits = found.bits_per_dimension;
    let unit = 2.0 * std::f64::consts::LN_2;
    assert!((bits.mean + 1.0 / unit).abs() < 1e-15);
    assert!((bits.standard_error - 1.25 / unit).abs() < 1e-15 && bits.n == 2);
    let [low, high] = LogZ { value: 2.0, standard_error: 0.3 }.interval(0.9);
    assert!(
        (low - 2.0 + 0.3 * 1.644_854).abs() < 1e-6 && (high - 2.0 - 0.3 * 1.644_854).abs() < 1e-6
    );
}
