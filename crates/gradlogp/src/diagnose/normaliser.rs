//! The normalising constant of a potential, or a reason not to name one. MATH (36), (37).
//!
//! Three estimates of log Z, Z = integral exp f:
//!
//! - **importance sampling** from a heavy-tailed proposal fitted to the rows (`proposal.rs`);
//! - **forward annealing** from a mixture of Gaussians fitted to the rows (`annealing.rs`), a lower bound on
//!   average;
//! - **reverse annealing** from held-out rows, an upper bound on average.
//!
//! log Z is that of the first two which has the smaller standard error. It is **refused** where
//!
//! - neither of these, or not the reverse run, has an effective size of `least_effective`, or
//! - two estimates with that size differ by more than 4 of their joint standard errors and by more than
//!   `tolerance`.
//!
//! Where a model has mass where no rows are, importance sampling finds it, if it is near, and disagrees with
//! annealing, whose chains stay around the rows. When a density cannot be normalised at all, effective
//! sizes collapse. Everything runs in coordinates whitened by the rows.

use super::annealing::Ladder;
use super::proposal::{Proposals, fit_proposals};
use super::whitened::{Whitened, Whitening};
use super::{Estimate, LogMean, check_rows, subset};
use crate::error::{Error, Result};
use crate::oracle::Oracle;
use crate::score::LogDensity;
use ndarray::{Array1, ArrayView1, ArrayView2};
use rand::Rng;
use statrs::distribution::{ContinuousCDF, Normal};
use std::fmt;

/// Settings of [`estimate_normaliser`].
#[derive(Debug, Clone, PartialEq)]
pub struct NormaliserConfig {
    /// Draws of importance sampling.
    pub draws: usize,
    /// Chains of forward annealing, and most of reverse annealing.
    pub chains: usize,
    /// Rungs of the annealing ladder.
    pub rungs: usize,
    /// MALA steps of the reverse chains under the model before they descend.
    pub warm_up: usize,
    /// Least effective size of an estimate that counts.
    pub least_effective: f64,
    /// Difference of log Z that is not called a disagreement.
    pub tolerance: f64,
}

impl Default for NormaliserConfig {
    /// 10,000 draws; 500 chains on 100 rungs after 50 steps; 50 effective draws; 0.05.
    fn default() -> Self {
        NormaliserConfig {
            draws: 10_000,
            chains: 500,
            rungs: 100,
            warm_up: 50,
            least_effective: 50.0,
            tolerance: 0.05,
        }
    }
}

impl NormaliserConfig {
    /// # Errors
    /// [`Error::Config`] naming a setting that is out of range.
    pub fn validate(&self) -> Result<()> {
        for (name, value) in [("draws", self.draws), ("chains", self.chains)] {
            if (value as f64) < self.least_effective.max(2.0) {
                return Err(Error::config(name, "must be at least 2 and `least_effective`"));
            }
        }
        if self.rungs == 0 {
            return Err(Error::config("rungs", "must be at least 1; 100 is usual"));
        }
        if !(self.tolerance >= 0.0) || !(self.least_effective >= 1.0) {
            return Err(Error::config(
                "tolerance",
                "must be 0 or more, `least_effective` 1 or more",
            ));
        }
        Ok(())
    }
}

/// The three estimates of log Z.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normaliser {
    /// By importance sampling.
    pub importance: LogMean,
    /// By forward annealing: too small on average.
    pub forward: LogMean,
    /// By reverse annealing: too large on average.
    pub reverse: LogMean,
    /// From them, log Z or why there is none.
    pub log_z: std::result::Result<LogZ, Refusal>,
}

/// log Z.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogZ {
    /// Its estimate.
    pub value: f64,
    /// Standard error of the estimate.
    pub standard_error: f64,
}

impl LogZ {
    /// The interval that covers log Z with probability `level` (0.95, say), by the normal law.
    pub fn interval(&self, level: f64) -> [f64; 2] {
        let half = Normal::standard().inverse_cdf(0.5 + 0.5 * level) * self.standard_error;
        [self.value - half, self.value + half]
    }
}

/// Why log Z is not reported.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// Neither importance sampling nor forward annealing has enough effective draws.
    FewEffective {
        /// The larger of their effective sizes.
        effective: f64,
        /// What is needed.
        least: f64,
    },
    /// The reverse run has too few effective chains to check the others.
    FewEffectiveReverse {
        /// Its effective size.
        effective: f64,
        /// Its chains: held-out rows.
        chains: usize,
        /// What is needed.
        least: f64,
    },
    /// Two estimates differ by more than chance.
    Disagree {
        /// Names of the two.
        names: [&'static str; 2],
        /// Their values.
        values: [f64; 2],
        /// Their standard errors.
        standard_errors: [f64; 2],
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Refusal::FewEffective { effective, least } => write!(
                f,
                "the best estimate rests on {effective:.1} effective draws, {least:.0} are needed: \
                 the model may have no finite normaliser (fit with a base scale) or mass far from the rows; \
                 more annealing rungs, a setting of the library, may help"
            ),
            Refusal::FewEffectiveReverse { effective, chains, least } => write!(
                f,
                "the check from the {chains} held-out rows rests on {effective:.1} effective chains, \
                 {least:.0} are needed: give more rows; more annealing rungs, a setting of the library, may \
                 help"
            ),
            Refusal::Disagree { names, values, standard_errors } => write!(
                f,
                "{} gives {:.3} +- {:.3} and {} {:.3} +- {:.3}: the model has mass where no rows are, or \
                 the chains do not cross between its parts. Draw samples and look for rows far from \
                 the data; fit with a smaller base scale or with noise",
                names[0], values[0], standard_errors[0], names[1], values[1], standard_errors[1]
            ),
        }
    }
}

/// log Z of `model`, an unnormalised log density, checked against the rows of `x` (n x d, not used to
/// fit the model), in whatever units the model has.
///
/// ```
/// use gradlogp::diagnose::{NormaliserConfig, estimate_normaliser};
/// use gradlogp::oracle::{Gaussian, Oracle};
/// use rand::SeedableRng;
///
/// let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
/// let p = Gaussian::rank_one(0.5, 2)?; // normalised: log Z = 0
/// let x = p.sample(300, &mut rng);
/// let config = NormaliserConfig { rungs: 20, ..NormaliserConfig::default() };
/// let found = estimate_normaliser(&p, x.view(), &config, &mut rng)?;
/// assert!(found.log_z.unwrap().value.abs() < 0.05);
/// # Ok::<(), gradlogp::Error>(())
/// ```
///
/// # Errors
/// [`Error::Config`] for settings out of range; [`Error::Shape`] where columns differ,
/// [`Error::TooFewRows`] for fewer rows than `least_effective`, or than 10; [`Error::Data`] for a constant column; [`Error::Numerical`] or
/// [`Error::Diverged`] where the density is not finite at rows or draws. That log Z cannot be trusted is no
/// error but a [`Refusal`].
pub fn estimate_normaliser(
    model: &dyn LogDensity,
    x: ArrayView2<'_, f64>,
    config: &NormaliserConfig,
    rng: &mut dyn Rng,
) -> Result<Normaliser> {
    config.validate()?;
    // No more chains descend from the rows than there are rows.
    let least = config.least_effective.ceil().max(10.0) as usize;
    check_rows("normalising constant", model, x, least)?;
    let whitening = Whitening::fit(x)?;
    let target = Whitened { model, whitening: &whitening };
    let rows = whitening.forward(x);
    let few = subset(rows.view(), 4000, rng);
    let Proposals { core, heavy } = fit_proposals(few.view(), rng)?;
    let proposals = heavy.sample(config.draws, rng);
    let log_weights = target.log_density(proposals.view()) - heavy.log_density(proposals.view());
    if log_weights.iter().any(|l| l.is_nan() || *l == f64::INFINITY) {
        let message = "the log density is not a number at some draws around the rows".into();
        return Err(Error::Numerical { operation: "normalising constant", message });
    }
    let importance = LogMean::of(log_weights.view());
    let ladder = Ladder::adapt(&core, &target, config.rungs, config.chains.min(100), rng)?;
    let forward = LogMean::of(ladder.forward(config.chains, rng)?.view());
    let start = subset(rows.view(), config.chains, rng);
    let inverse = LogMean::of(ladder.reverse(start.view(), config.warm_up, rng)?.view());
    let reverse = LogMean { value: -inverse.value, ..inverse };
    let log_z = judge(importance, forward, reverse, config);
    Ok(Normaliser { importance, forward, reverse, log_z })
}

fn judge(
    importance: LogMean,
    forward: LogMean,
    reverse: LogMean,
    config: &NormaliserConfig,
) -> std::result::Result<LogZ, Refusal> {
    let least = config.least_effective;
    let enough = |e: &LogMean| e.effective_size >= least && e.value.is_finite();
    let better = |a: &LogMean, b: &LogMean| a.standard_error.total_cmp(&b.standard_error);
    let Some(best) = [importance, forward].into_iter().filter(enough).min_by(better) else {
        let effective = importance.effective_size.max(forward.effective_size);
        return Err(Refusal::FewEffective { effective, least });
    };
    if !enough(&reverse) {
        let (effective, chains) = (reverse.effective_size, reverse.n);
        return Err(Refusal::FewEffectiveReverse { effective, chains, least });
    }
    let named = [
        ("importance sampling", importance),
        ("forward annealing", forward),
        ("reverse annealing", reverse),
    ];
    let counting: Vec<_> = named.into_iter().filter(|(_, e)| enough(e)).collect();
    for (k, (first, a)) in counting.iter().enumerate() {
        for (second, b) in &counting[k + 1..] {
            let (gap, joint) =
                ((a.value - b.value).abs(), a.standard_error.hypot(b.standard_error));
            if gap > config.tolerance && gap > 4.0 * joint {
                return Err(Refusal::Disagree {
                    names: [first, second],
                    values: [a.value, b.value],
                    standard_errors: [a.standard_error, b.standard_error],
                });
            }
        }
    }
    Ok(LogZ { value: best.value, standard_error: best.standard_error })
}

/// How likely rows are under a normalised density.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likelihood {
    /// Mean log density of a row, in natural logarithms; its standard error has that of log Z in it.
    pub per_row: Estimate,
    /// -mean log density / (d log 2).
    pub bits_per_dimension: Estimate,
}

/// The likelihood of rows with these unnormalised log densities, d columns, and this log Z.
///
/// ```
/// use gradlogp::diagnose::{LogZ, likelihood};
///
/// let log_z = LogZ { value: 1.0, standard_error: 0.0 };
/// let found = likelihood(ndarray::array![1.0, 3.0].view(), 2, log_z);
/// assert_eq!((found.per_row.mean, found.per_row.standard_error), (1.0, 1.0));
/// assert!((found.bits_per_dimension.mean + 0.5 / 2f64.ln()).abs() < 1e-15);
/// ```
pub fn likelihood(log_density: ArrayView1<'_, f64>, d: usize, log_z: LogZ) -> Likelihood {
    let normalised: Array1<f64> = log_density.mapv(|l| l - log_z.value);
    let over_rows = Estimate::of(normalised.view());
    let standard_error = over_rows.standard_error.hypot(log_z.standard_error);
    let per_row = Estimate { standard_error, ..over_rows };
    let unit = d as f64 * std::f64::consts::LN_2;
    let bits_per_dimension = Estimate {
        mean: -per_row.mean / unit,
        standard_error: standard_error / unit,
        n: per_row.n,
    };
    Likelihood { per_row, bits_per_dimension }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::{Banana, Gaussian, GaussianMixture};
    use crate::score::Score;
    use ndarray::{Array2, array};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// log p + shift.
    struct Shifted<'a>(&'a dyn Oracle, f64);

    impl Score for Shifted<'_> {
        fn dim(&self) -> usize {
            self.0.dim()
        }
        fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
            self.0.score(x)
        }
        fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
            self.0.trace(x)
        }
    }

    impl LogDensity for Shifted<'_> {
        fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
            self.0.log_density(x) + self.1
        }
    }

    fn quick() -> NormaliserConfig {
        NormaliserConfig { draws: 2000, chains: 200, rungs: 30, warm_up: 10, ..Default::default() }
    }

    fn run(model: &dyn LogDensity, rows: &dyn Oracle, n: usize, seed: u64) -> Normaliser {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let x = rows.sample(n, &mut rng);
        estimate_normaliser(model, x.view(), &quick(), &mut rng).unwrap()
    }

    fn mixture() -> GaussianMixture {
        let means = array![[-20.0, 0.0], [20.0, 0.1]];
        let narrow = array![[4.0, 0.01], [0.01, 1e-4]];
        GaussianMixture::new(array![0.3, 0.7], means.view(), vec![narrow.clone(), narrow]).unwrap()
    }

    #[test]
    fn known_normalisers_are_found() {
        let gaussian = Gaussian::rank_one(2.0, 8).unwrap();
        let banana = Banana::new(2, 1.0, 1.0, 0.5).unwrap();
        let mixture = mixture();
        let oracles: [&dyn Oracle; 3] = [&gaussian, &banana, &mixture];
        for (k, p) in oracles.into_iter().enumerate() {
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
        let oracles: [(&dyn Oracle, bool); 3] =
            [(&gaussian(20), true), (&gaussian(50), false), (&mixture, true)];
        for (k, (p, must)) in oracles.into_iter().enumerate() {
            let mut rng = ChaCha8Rng::seed_from_u64(20 + k as u64);
            let x = p.sample(500, &mut rng);
            let config = NormaliserConfig { chains: 300, ..Default::default() };
            let shifted = Shifted(p, -12.5);
            let found = estimate_normaliser(&shifted, x.view(), &config, &mut rng).unwrap();
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
        let found = estimate_normaliser(&wide, x.view(), &quick(), &mut rng).unwrap();
        assert!(found.log_z.is_err(), "{found:?}");
    }

    /// The model has a second part that no row shows.
    #[test]
    fn mass_where_no_rows_are_is_refused() {
        let model = GaussianMixture::isotropic(array![0.5, 0.5], array![[0.0], [4.0]].view(), 0.5);
        let rows = Gaussian::new(array![0.0], array![[0.25]]).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let x = rows.sample(400, &mut rng);
        let config = NormaliserConfig { draws: 10_000, ..quick() };
        let found = estimate_normaliser(&model.unwrap(), x.view(), &config, &mut rng).unwrap();
        let refusal = found.log_z.unwrap_err();
        assert!(matches!(refusal, Refusal::Disagree { .. }), "{found:?}");
        assert!(refusal.to_string().contains("mass where no rows are"), "{refusal}");
    }

    /// exp f with f constant far out has no integral.
    #[test]
    fn what_cannot_be_normalised_is_refused() {
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
            fn trace(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
                Array1::zeros(x.nrows())
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
        let error = estimate_normaliser(&p, x.view(), &quick(), &mut rng).unwrap_err().to_string();
        assert!(error.starts_with("49 rows are too few for the normalising constant"), "{error}");
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
            NormaliserConfig { draws: 10, ..quick() },
            NormaliserConfig { rungs: 0, ..quick() },
            NormaliserConfig { tolerance: f64::NAN, ..quick() },
        ] {
            assert!(estimate_normaliser(&p, x.view(), &bad, &mut rng).is_err(), "{bad:?}");
        }
    }

    fn found(value: f64, standard_error: f64, effective_size: f64) -> LogMean {
        LogMean { value, standard_error, effective_size, n: 70 }
    }

    /// Effective sizes from 50 on count; the better of importance sampling and forward annealing is told.
    #[test]
    fn judgements_by_hand() {
        let judge = |i, f, r| judge(i, f, r, &NormaliserConfig::default());
        let reverse = found(1.0, 0.1, 60.0);
        let told = |i, f| judge(i, f, reverse).map(|z| (z.value, z.standard_error));
        assert_eq!(told(found(1.1, 0.2, 50.0), found(0.9, 0.3, 99.0)), Ok((1.1, 0.2)));
        assert_eq!(told(found(1.1, 0.2, 99.0), found(0.9, 0.1, 99.0)), Ok((0.9, 0.1)));
        assert_eq!(told(found(1.1, 0.2, 49.0), found(0.9, 0.3, 99.0)), Ok((0.9, 0.3)));
        assert_eq!(told(found(f64::NAN, 0.2, 99.0), found(0.9, 0.3, 50.0)), Ok((0.9, 0.3)));
        let few = Refusal::FewEffective { effective: 49.0, least: 50.0 };
        assert_eq!(told(found(1.0, 0.1, 49.0), found(1.0, 0.1, 20.0)), Err(few));
        let fine = found(1.0, 0.1, 60.0);
        let few = Refusal::FewEffectiveReverse { effective: 49.0, chains: 70, least: 50.0 };
        assert_eq!(judge(fine, fine, found(1.0, 0.1, 49.0)), Err(few));
    }

    /// Apart by more than the tolerance of 0.05 *and* more than four joint errors: 0.3 and 0.4 make 0.5.
    #[test]
    fn disagreements_by_hand() {
        let judge = |i, f, r| judge(i, f, r, &NormaliserConfig::default());
        let with = |gap: f64, i: f64, f: f64| {
            judge(found(1.0, i, 60.0), found(1.0 + gap, f, 60.0), found(1.0 + 0.5 * gap, 9.0, 60.0))
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
            judge(found(1.0, 0.1, 3.0), fine, found(2.0, 0.01, 60.0))
        else {
            panic!("no disagreement")
        };
        assert_eq!(names, ["forward annealing", "reverse annealing"]);
    }

    #[test]
    fn settings_at_their_least_are_taken() {
        let least = NormaliserConfig {
            draws: 50,
            chains: 50,
            rungs: 1,
            warm_up: 0,
            least_effective: 50.0,
            tolerance: 0.0,
        };
        assert!(least.validate().is_ok());
        let few = NormaliserConfig { draws: 2, chains: 2, least_effective: 1.0, ..least.clone() };
        assert!(few.validate().is_ok());
        for bad in [
            NormaliserConfig { draws: 49, ..least.clone() },
            NormaliserConfig { chains: 49, ..least.clone() },
            NormaliserConfig { draws: 1, ..few.clone() },
            NormaliserConfig { tolerance: -1e-9, ..few.clone() },
            NormaliserConfig { least_effective: 0.9, ..few },
        ] {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn likelihoods_and_intervals_by_hand() {
        let found =
            likelihood(array![1.0, 3.0].view(), 2, LogZ { value: 1.0, standard_error: 0.75 });
        // Rows 0 and 2: mean 1, standard error 1, with that of log Z 1.25.
        assert_eq!(
            (found.per_row.mean, found.per_row.standard_error, found.per_row.n),
            (1.0, 1.25, 2)
        );
        let bits = found.bits_per_dimension;
        let unit = 2.0 * std::f64::consts::LN_2;
        assert!((bits.mean + 1.0 / unit).abs() < 1e-15);
        assert!((bits.standard_error - 1.25 / unit).abs() < 1e-15 && bits.n == 2);
        let [low, high] = LogZ { value: 2.0, standard_error: 0.3 }.interval(0.9);
        assert!(
            (low - 2.0 + 0.3 * 1.644_854).abs() < 1e-6
                && (high - 2.0 - 0.3 * 1.644_854).abs() < 1e-6
        );
    }
}
