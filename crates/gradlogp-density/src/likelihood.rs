//! Log densities of time models, by the probability flow (Chen et al. 2018, eq. 8; Song et al. 2021, eq. 39;
//! MATH 6).
//!
//! The flow dx/dt = F(x, t) = f - g^2 s / 2 has the same marginals as the process, and along it
//!
//! ```text
//! log p_tmin(x) = log p_T(x_T) + integral from t_min to T of div F(x_t, t) dt
//! div F         = div f - g^2 tr(grad s) / 2
//! ```
//!
//! The trace is exact, or estimated by v.(grad s) v with Rademacher probes v that stay the same along the
//! whole path (Grathwohl et al. 2019): then the result is unbiased up to the solver's tolerance, and the
//! spread over probes is its standard error. Each row is solved with steps of its own and has probes of its own, so
//! its answer does not depend on the other rows. It is the density at t_min: that of the data with the noise
//! of t_min, not of the data themselves.

use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate, s};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::{Error, Result};
use crate::ode::{At, Failure, OdeConfig, OdeInfo, Solution, integrate_rows};
use crate::score::{LogDensity, TimeScore};
use crate::sde::Sde;

/// Most rows that one solution carries.
const ROWS: usize = 512;

/// How the divergence along a path is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Divergence {
    /// The exact trace: one pass per column.
    Exact,
    /// An estimate along so many random probes per row, at least 2.
    Hutchinson {
        /// Number of probes.
        probes: usize,
    },
}

/// Log densities of rows.
#[derive(Debug, Clone)]
pub struct LogLikelihood {
    /// log p_tmin(x) for every row, in nats, in the units of x; NaN for rows that failed.
    pub log_density: Array1<f64>,
    /// Its standard error over the probes, where the divergence is estimated.
    pub standard_error: Option<Array1<f64>>,
    /// Where the flow carries every row: x_T, n x d.
    pub latent: Array2<f64>,
    /// What solving took: the most over rows of the steps, and the calls of the right-hand side in all.
    pub info: OdeInfo,
    /// Rows along whose path the model's score is not finite or the tolerance not met.
    pub failed: Vec<Failure>,
}

/// -log2 p / d: bits per dimension of log densities in nats.
///
/// ```
/// // A density of 1/4 over two columns: one bit each.
/// assert_eq!(gradlogp_density::likelihood::bits_per_dimension((0.25f64).ln(), 2), 1.0);
/// ```
pub fn bits_per_dimension(log_density: f64, dim: usize) -> f64 {
    -log_density / (dim as f64 * std::f64::consts::LN_2)
}

/// Log densities of the rows of `x` (n x d) under `model`, whose noise is that of `sde`. `end` is the distribution at
/// T.
///
/// # Errors
/// [`Error::Config`] for fewer than 2 probes, and for the settings of the solver; [`Error::Shape`].
pub fn log_likelihood(
    model: &dyn TimeScore,
    sde: &dyn Sde,
    end: &dyn LogDensity,
    x: ArrayView2<'_, f64>,
    (divergence, ode): (Divergence, &OdeConfig),
    rng: &mut dyn Rng,
) -> Result<LogLikelihood> {
    if matches!(divergence, Divergence::Hutchinson { probes: ..2 }) {
        return Err(Error::config("probes", "must be at least 2, for a standard error"));
    }
    let d = model.dim();
    if x.ncols() != d {
        let (expected, found) = (vec![x.nrows(), d], x.shape().to_vec());
        return Err(Error::Shape { operation: "log likelihood", expected, found });
    }
    let mut all = LogLikelihood {
        log_density: Array1::zeros(x.nrows()),
        standard_error: (divergence != Divergence::Exact).then(|| Array1::zeros(x.nrows())),
        latent: Array2::zeros(x.dim()),
        info: OdeInfo::default(),
        failed: Vec::new(),
    };
    let seed = rng.random();
    for start in (0..x.nrows()).step_by(ROWS) {
        let rows = start..(start + ROWS).min(x.nrows());
        let flow = Flow { model, sde, probes: draw_probes(divergence, rows.clone(), d, seed) };
        let mut solved = flow.solve(x.slice(s![rows.clone(), ..]), ode)?;
        for failed in &mut solved.failed {
            solved.y.row_mut(failed.row).fill(f64::NAN);
            failed.row += start;
        }
        all.failed.extend(solved.failed);
        let (latent, integrals) = solved.y.view().split_at(Axis(1), d);
        let mean = integrals.mean_axis(Axis(1)).unwrap_or_default();
        let log_density = end.log_density(latent) + mean;
        all.log_density.slice_mut(s![rows.clone()]).assign(&log_density);
        all.latent.slice_mut(s![rows.clone(), ..]).assign(&latent);
        if let Some(errors) = &mut all.standard_error {
            let error = integrals.std_axis(Axis(1), 1.0) / (integrals.ncols() as f64).sqrt();
            errors.slice_mut(s![rows]).assign(&error);
        }
        all.info.steps = all.info.steps.max(solved.info.steps);
        all.info.rejected = all.info.rejected.max(solved.info.rejected);
        all.info.evaluations += solved.info.evaluations;
    }
    Ok(all)
}

/// One block of signs per probe, a row for each of `rows`, whose stream is named by its number; none for the exact
/// trace.
fn draw_probes(
    divergence: Divergence,
    rows: std::ops::Range<usize>,
    d: usize,
    seed: u64,
) -> Vec<Array2<f64>> {
    let Divergence::Hutchinson { probes } = divergence else { return Vec::new() };
    let first = ChaCha8Rng::seed_from_u64(seed);
    let mut out = vec![Array2::zeros((rows.len(), d)); probes];
    for (k, row) in rows.enumerate() {
        let mut rng = first.clone();
        rng.set_stream(row as u64);
        for probe in &mut out {
            probe.row_mut(k).mapv_inplace(|_| if rng.random::<bool>() { 1.0 } else { -1.0 });
        }
    }
    out
}

/// The probability flow of some rows, with the integrals of its divergence beside them.
struct Flow<'a> {
    model: &'a dyn TimeScore,
    sde: &'a dyn Sde,
    probes: Vec<Array2<f64>>,
}

impl Flow<'_> {
    fn solve(&self, x: ArrayView2<'_, f64>, ode: &OdeConfig) -> Result<Solution> {
        let zeros = Array2::zeros((x.nrows(), self.probes.len().max(1)));
        let start = concatenate![Axis(1), x, zeros];
        let mut derivative = |at: At<'_>| self.derivative(at, x.ncols());
        let span = (self.sde.t_min(), self.sde.horizon());
        let solved =
            integrate_rows(&mut derivative, span, start.view(), (ode, None), &mut || true)?;
        // It was not told to stop.
        solved.ok_or_else(|| Error::config("solver", "was stopped"))
    }

    /// F and, for every probe (or exactly), div F; `at.y` has d columns of x in front.
    fn derivative(&self, at: At<'_>, d: usize) -> Array2<f64> {
        let (x, times) = (at.y.slice(s![.., ..d]), at.times);
        let half: Array1<f64> =
            times.iter().map(|t| 0.5 * self.sde.diffusion(*t).powi(2)).collect();
        let half = half.insert_axis(Axis(1));
        let (mut drift, mut of_drift) = (vec![0.0; d], Array2::zeros((x.nrows(), 1)));
        let mut flow = self.model.score_at_times(x, times) * &half;
        for (k, t) in times.iter().enumerate() {
            let point = x.row(k).to_vec();
            self.sde.drift(&point, *t, &mut drift);
            of_drift[[k, 0]] = self.sde.drift_divergence(&point, *t);
            flow.row_mut(k).iter_mut().zip(&drift).for_each(|(s, f)| *s = f - *s);
        }
        let mut traces = Array2::zeros((x.nrows(), self.probes.len().max(1)));
        if self.probes.is_empty() {
            traces.column_mut(0).assign(&self.model.trace_at_times(x, times));
        }
        for (v, mut trace) in self.probes.iter().zip(traces.columns_mut()) {
            let v = v.select(Axis(0), at.rows);
            let product = self.model.jacobian_vector_at_times(x, times, v.view());
            trace.assign(&(product * v).sum_axis(Axis(1)));
        }
        let divergence = of_drift - traces * &half;
        concatenate![Axis(1), flow, divergence]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{Gaussian, GaussianMixture};
    use crate::sde::{
        BetaSchedule, CustomSde, Marginal, OrnsteinUhlenbeck, Process, SubVp, Ve, Vp,
    };
    use ndarray::array;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn mixture() -> GaussianMixture {
        GaussianMixture::new(
            array![3.0, 1.0],
            array![[-1.5, 0.0], [1.0, 1.0]].view(),
            vec![array![[0.5, 0.3], [0.3, 0.4]], array![[0.3, -0.1], [-0.1, 0.6]]],
        )
        .unwrap()
    }

    fn rng() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(1)
    }

    const TIGHT: OdeConfig = OdeConfig { relative: 1e-7, absolute: 1e-7, max_steps: 10_000 };

    /// The flow of the exact score gives back the exact density, under every process.
    #[test]
    fn exact_scores_give_exact_densities() {
        let x = array![[0.3, -0.4], [-1.2, 0.1], [1.5, 1.0], [0.0, 3.0]];
        for process in [
            Process::Ve(Ve { sigma_min: 0.1, sigma_max: 5.0 }),
            Process::Vp(Vp::default()),
            Process::Vp(Vp { beta: BetaSchedule::Cosine, t_min: 1e-3 }),
            Process::SubVp(SubVp::default()),
            Process::OrnsteinUhlenbeck(OrnsteinUhlenbeck::default()),
        ] {
            let marginal = Marginal::new(mixture(), process).unwrap();
            let end = marginal.at(process.horizon());
            let how = (Divergence::Exact, &TIGHT);
            let found =
                log_likelihood(&marginal, &process, &end, x.view(), how, &mut rng()).unwrap();
            let expected = marginal.log_density_at(x.view(), process.t_min());
            for (a, b) in found.log_density.iter().zip(&expected) {
                assert!((a - b).abs() < 2e-5 * (1.0 + b.abs()), "{process:?}: {a} vs {b}");
            }
            assert!(found.standard_error.is_none());
        }
    }

    /// Also where nothing but drift and diffusion is known of the process: its divergence then comes from
    /// differences.
    #[test]
    fn a_process_of_closures_gives_the_same() {
        let known = OrnsteinUhlenbeck::default();
        let drift = |x: &[f64], _: f64, f: &mut [f64]| {
            f.iter_mut().zip(x).for_each(|(f, x)| *f = -x);
        };
        let custom = CustomSde::new(drift, |_| 2f64.sqrt(), known.horizon, known.t_min).unwrap();
        let marginal = Marginal::new(mixture(), known).unwrap();
        let (end, x) = (marginal.at(known.horizon), array![[0.3, -0.4]]);
        let how = (Divergence::Exact, &TIGHT);
        let found = log_likelihood(&marginal, &custom, &end, x.view(), how, &mut rng()).unwrap();
        let expected = marginal.log_density_at(x.view(), known.t_min)[0];
        assert!((found.log_density[0] - expected).abs() < 2e-5, "{found:?} vs {expected}");
    }

    /// The estimate is within its own error bars of the truth, and the bars are neither 0 nor wide.
    #[test]
    fn probes_are_unbiased_and_know_their_error() {
        // Unequal correlations: v.Hv takes 32 values, so that eight probes are never all equal.
        let covariance = Array2::from_shape_fn((6, 6), |(i, j)| {
            let (low, high) = (i.min(j) as f64, i.max(j) as f64);
            if i == j { 2.0 } else { (0.3 + 0.1 * low) * (-0.35 * (high - low)).exp() }
        });
        let data = Gaussian::new(Array1::zeros(6), covariance).unwrap();
        let sde = Vp::default();
        let marginal = Marginal::gaussian(data, sde).unwrap();
        let end = marginal.at(sde.horizon());
        let x = marginal.sample_at(60, sde.t_min, &mut rng());
        let how = (Divergence::Hutchinson { probes: 8 }, &OdeConfig::default());
        let found = log_likelihood(&marginal, &sde, &end, x.view(), how, &mut rng()).unwrap();
        let expected = marginal.log_density_at(x.view(), sde.t_min);
        let errors = found.standard_error.unwrap();
        assert!(errors.iter().all(|e| *e > 0.05 && *e < 2.0), "{errors}");
        let z = (&found.log_density - &expected) / &errors;
        // Student's t with 7 degrees of freedom: mean 0 and mean square 7/5.
        let (mean, square) = (z.mean().unwrap(), z.mapv(|z| z * z).mean().unwrap());
        assert!(mean.abs() < 4.0 * (1.4f64 / 60.0).sqrt(), "mean of z {mean}");
        assert!((0.6..3.0).contains(&square), "mean square of z {square}");
    }

    /// Alone, among others and beside rows that are far off, a row has the same bits; a hopeless row is named.
    #[test]
    fn a_row_has_its_density_in_any_company() {
        let sde = Vp::default();
        let marginal = Marginal::new(mixture(), sde).unwrap();
        let end = marginal.at(1.0);
        // The far rows use up all steps that they are given.
        let ode = OdeConfig { max_steps: 500, ..OdeConfig::default() };
        let near = array![[0.3, -0.4], [-1.2, 0.1], [1.5, 1.0]];
        let far = array![[1e5, 3.0], [999_999_999_999_999.0, 0.0], [1e308, -1e308]];
        let all = concatenate![Axis(0), near, far];
        for how in [Divergence::Exact, Divergence::Hutchinson { probes: 3 }] {
            let solve = |x: &Array2<f64>| {
                log_likelihood(&marginal, &sde, &end, x.view(), (how, &ode), &mut rng()).unwrap()
            };
            let (alone, among) = (solve(&near), solve(&all));
            assert_eq!(alone.log_density, among.log_density.slice(s![..3]));
            assert_eq!(alone.latent, among.latent.slice(s![..3, ..]));
            let one = solve(&near.slice(s![..1, ..]).to_owned());
            assert_eq!(one.log_density[0], among.log_density[0]);
            assert!(alone.failed.is_empty());
            let failed: Vec<usize> = among.failed.iter().map(|failed| failed.row).collect();
            assert_eq!(failed.last(), Some(&5), "{failed:?}");
            let far = among.log_density[3];
            assert!(among.log_density[5].is_nan() && (far < -1e6 || failed.contains(&3)), "{far}");
        }
    }

    #[test]
    fn a_single_probe_and_foreign_columns_are_refused() {
        let sde = Vp::default();
        let marginal = Marginal::new(mixture(), sde).unwrap();
        let end = marginal.at(1.0);
        let ode = OdeConfig::default();
        let refuse = |x: Array2<f64>, how| {
            let how = (how, &ode);
            log_likelihood(&marginal, &sde, &end, x.view(), how, &mut rng()).unwrap_err()
        };
        let one = refuse(Array2::zeros((1, 2)), Divergence::Hutchinson { probes: 1 });
        assert!(one.to_string().contains("probes"), "{one}");
        assert!(refuse(Array2::zeros((1, 3)), Divergence::Exact).to_string().contains("shape"));
    }
}
