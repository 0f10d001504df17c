//! Normalised densities around given rows: where importance sampling and annealing start.
//!
//! The **core** is a mixture of Gaussians fitted by expectation-maximisation, with K of 1, 2, 4, ... chosen by
//! the Bayesian information criterion: annealing starts here, in both directions. Its reverse weights hold
//! q/p, so tails much heavier than those of p would spoil them. In the **heavy** mixture, from which
//! importance sampling draws, each component is made a Student-t of 5 degrees of freedom with
//! the same location and scale; a tenth of the weight goes to one t around all rows, three times as wide as
//! they are, so that mass where no rows are is found, if it is near. Covariances are maximum a posteriori,
//!
//! ```text
//! S_k = (sum_i r_ik (x_i - m_k)(x_i - m_k)^T + nu S_0) / (sum_i r_ik + nu),   nu = d + 1
//! ```
//!
//! with S_0 the rows' own, shrunk by K^(2/d), so that few rows do not make them singular. Nothing that is
//! estimated with this proposal is biased by its fit being poor: weights correct for it, with a smaller
//! effective size.

use crate::error::Result;
use crate::oracle::{Gaussian, GaussianMixture, Mixture, StudentT};
use crate::score::LogDensity;
use ndarray::{Array1, Array2, ArrayView2, Axis, Zip};
use rand::{Rng, RngExt};

/// Both mixtures: normalised, with score and sampler.
#[derive(Debug, Clone)]
pub struct Proposals {
    /// Gaussians fitted to the rows.
    pub core: GaussianMixture,
    /// Student-t components of 5 degrees of freedom in their places, and a wide one.
    pub heavy: Mixture<StudentT>,
}

const DEGREES: f64 = 5.0;
const DEFENSIVE: f64 = 0.1;
/// Width of the defensive component in standard deviations of the rows.
const WIDTH: f64 = 3.0;
const ITERATIONS: usize = 40;
/// Most components, and most rows that they are fitted to.
const COMPONENTS: usize = 32;

/// Fits proposals to the rows of `x` (n x d), which should be of comparable scale in all columns.
///
/// # Errors
/// [`Error::Numerical`](crate::Error::Numerical) where the rows' covariance is singular beyond repair.
pub fn fit_proposals(x: ArrayView2<'_, f64>, rng: &mut dyn Rng) -> Result<Proposals> {
    let whole = Component::whole(x);
    let mut best = Fit::start(x, 1, &whole, rng)?.run(x)?;
    let mut count = 2;
    while count <= COMPONENTS && 3 * count * (x.ncols() + 1) <= x.nrows() {
        let fit = Fit::start(x, count, &whole, rng)?.run(x)?;
        if fit.criterion(x.nrows()) < best.criterion(x.nrows()) {
            best = fit;
        } else if count > 4 {
            break;
        }
        count *= 2;
    }
    let weights: Vec<f64> = best.components.iter().map(|c| c.weight).collect();
    let core = best.mixture()?;
    let mut shares: Vec<f64> = weights.iter().map(|w| (1.0 - DEFENSIVE) * w).collect();
    shares.push(DEFENSIVE * weights.iter().sum::<f64>());
    let wide = Component { covariance: &whole.covariance * (WIDTH * WIDTH), ..whole };
    let heavy = |c: &Component| StudentT::new(c.mean.clone(), c.covariance.clone(), DEGREES);
    let all = best.components.iter().chain([&wide]).map(heavy).collect::<Result<Vec<_>>>()?;
    Ok(Proposals { core, heavy: Mixture::from_components(Array1::from(shares), all)? })
}

/// A Gaussian mixture of `count` components by expectation-maximisation; None where there are too few rows for so
/// many.
///
/// # Errors
/// As [`fit_proposals`].
pub(super) fn fit_mixture(
    x: ArrayView2<'_, f64>,
    count: usize,
    rng: &mut dyn Rng,
) -> Result<Option<GaussianMixture>> {
    let few = count > 1 && 3 * count * (x.ncols() + 1) > x.nrows();
    if few || count > COMPONENTS {
        return Ok(None);
    }
    let fit = Fit::start(x, count, &Component::whole(x), rng)?.run(x)?;
    fit.mixture().map(Some)
}

#[derive(Debug, Clone)]
struct Component {
    weight: f64,
    mean: Array1<f64>,
    covariance: Array2<f64>,
}

impl Component {
    /// One component for all rows.
    fn whole(x: ArrayView2<'_, f64>) -> Self {
        let mean = x.mean_axis(Axis(0)).unwrap_or_default();
        let centred = &x - &mean;
        let mut covariance = centred.t().dot(&centred) / x.nrows() as f64;
        let ridge = 1e-6 * covariance.diag().sum() / x.ncols() as f64 + f64::MIN_POSITIVE;
        covariance.diag_mut().mapv_inplace(|v| v + ridge);
        Component { weight: 1.0, mean, covariance }
    }
}

/// Components with the log likelihood of the rows under them.
struct Fit {
    components: Vec<Component>,
    prior: Array2<f64>,
    log_likelihood: f64,
}

impl Fit {
    /// At rows far from each other (k-means++ draws), with the prior's covariances.
    fn start(
        x: ArrayView2<'_, f64>,
        count: usize,
        whole: &Component,
        rng: &mut dyn Rng,
    ) -> Result<Self> {
        let prior = &whole.covariance / (count as f64).powf(2.0 / x.ncols() as f64);
        let mut means = vec![match count {
            1 => whole.mean.clone(),
            _ => x.row(rng.random_range(0..x.nrows())).to_owned(),
        }];
        let mut nearest = Array1::from_elem(x.nrows(), f64::INFINITY);
        while means.len() < count {
            let last = &means[means.len() - 1];
            Zip::from(&mut nearest).and(x.rows()).for_each(|near, row| {
                *near = near.min((&row - last).mapv(|v| v * v).sum());
            });
            let mut left = rng.random::<f64>() * nearest.sum();
            let chosen = nearest.iter().position(|q| {
                left -= q;
                left <= 0.0
            });
            means.push(x.row(chosen.unwrap_or(0)).to_owned());
        }
        let weight = 1.0 / count as f64;
        let component = |mean| Component { weight, mean, covariance: prior.clone() };
        let components = means.into_iter().map(component).collect();
        Ok(Fit { components, prior, log_likelihood: f64::NEG_INFINITY })
    }

    fn run(mut self, x: ArrayView2<'_, f64>) -> Result<Self> {
        for _ in 0..ITERATIONS {
            let before = self.log_likelihood;
            let responsibilities = self.responsibilities(x)?;
            if self.components.len() > 1 {
                self.update(x, &responsibilities);
            }
            if self.log_likelihood - before < 1e-4 * x.nrows() as f64 {
                break;
            }
        }
        Ok(self)
    }

    /// r_ik, n x K; notes the log likelihood.
    fn responsibilities(&mut self, x: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        let mut joint = Array2::zeros((x.nrows(), self.components.len()));
        for (mut column, c) in joint.columns_mut().into_iter().zip(&self.components) {
            let gaussian = Gaussian::new(c.mean.clone(), c.covariance.clone())?;
            column.assign(&(gaussian.log_density(x) + c.weight.ln()));
        }
        self.log_likelihood = 0.0;
        for mut row in joint.rows_mut() {
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().map(|l| (l - largest).exp()).sum();
            let total = largest + sum.ln();
            self.log_likelihood += total;
            row.mapv_inplace(|l| (l - total).exp());
        }
        Ok(joint)
    }

    fn update(&mut self, x: ArrayView2<'_, f64>, responsibilities: &Array2<f64>) {
        let strength = x.ncols() as f64 + 1.0;
        let n = x.nrows() as f64;
        let count = self.components.len() as f64;
        for (c, r) in self.components.iter_mut().zip(responsibilities.columns()) {
            let size = r.sum();
            // One row's worth for each keeps every weight above 0.
            c.weight = (size + 1.0) / (n + count);
            if size > 1e-8 {
                c.mean = r.dot(&x) / size;
            }
            let centred = &x - &c.mean;
            let weighted = &centred * &r.insert_axis(Axis(1));
            c.covariance =
                (weighted.t().dot(&centred) + &self.prior * strength) / (size + strength);
            // Rounding must not make it unsymmetric.
            c.covariance = (&c.covariance + &c.covariance.t()) * 0.5;
        }
    }

    fn mixture(&self) -> Result<GaussianMixture> {
        let gaussian = |c: &Component| Gaussian::new(c.mean.clone(), c.covariance.clone());
        let gaussians = self.components.iter().map(gaussian).collect::<Result<Vec<_>>>()?;
        Mixture::from_components(self.components.iter().map(|c| c.weight).collect(), gaussians)
    }

    /// BIC: -2 log likelihood + parameters log n.
    fn criterion(&self, n: usize) -> f64 {
        let (k, d) = (self.components.len() as f64, self.prior.nrows() as f64);
        let parameters = k * (1.0 + d + 0.5 * d * (d + 1.0)) - 1.0;
        -2.0 * self.log_likelihood + parameters * (n as f64).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::Oracle;
    use ndarray::array;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn separate_parts_are_found_with_their_weights() {
        let means = array![[-6.0, 0.0], [6.0, 0.0], [0.0, 8.0], [0.0, -8.0]];
        let weights = array![0.1, 0.2, 0.3, 0.4];
        let p = GaussianMixture::isotropic(weights.clone(), means.view(), 0.7).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let q = fit_proposals(p.sample(2000, &mut rng).view(), &mut rng).unwrap().heavy;
        let near = |mean: ndarray::ArrayView1<'_, f64>| -> f64 {
            // By its own draws: the share that falls near a part, without the wide component's.
            let draws = q.sample(8000, &mut ChaCha8Rng::seed_from_u64(5));
            let inside =
                |row: &ndarray::ArrayView1<'_, f64>| (row - &mean).mapv(|v| v * v).sum() < 9.0;
            draws.outer_iter().filter(inside).count() as f64 / 8000.0
        };
        for (k, mean) in means.outer_iter().enumerate() {
            assert!((near(mean) - 0.85 * weights[k]).abs() < 0.05, "part {k}: {}", near(mean));
        }
    }

    /// Rows on a line: still a density in all columns.
    #[test]
    fn degenerate_rows_give_a_proposal() {
        let x = Array2::from_shape_fn((60, 2), |(i, _)| i as f64 / 10.0);
        let q = fit_proposals(x.view(), &mut ChaCha8Rng::seed_from_u64(0)).unwrap();
        assert!(q.heavy.log_density(x.view()).iter().all(|l| l.is_finite()));
        assert!(q.core.log_density(x.view()).iter().all(|l| l.is_finite()));
    }

    fn components() -> Vec<Component> {
        let of = |weight, mean: [f64; 2], covariance: [[f64; 2]; 2]| Component {
            weight,
            mean: Array1::from(mean.to_vec()),
            covariance: array![covariance[0], covariance[1]],
        };
        vec![
            of(0.3, [0.0, 1.0], [[1.0, 0.4], [0.4, 2.0]]),
            of(0.7, [2.0, -1.0], [[0.5, 0.0], [0.0, 0.3]]),
        ]
    }

    /// Means 2 and 3; squares 6 and 2, products 3, over 3 rows; the ridge is a millionth of the mean variance.
    #[test]
    fn one_component_by_hand() {
        let whole = Component::whole(array![[0.0, 2.0], [3.0, 4.0], [3.0, 3.0]].view());
        assert_eq!((whole.weight, whole.mean), (1.0, array![2.0, 3.0]));
        let ridge = 1e-6 * 0.5 * (6.0 / 3.0 + 2.0 / 3.0);
        let expected = array![[2.0 + ridge, 1.0], [1.0, 2.0 / 3.0 + ridge]];
        assert!((whole.covariance - expected).iter().all(|e| e.abs() < 1e-12));
    }

    #[test]
    fn responsibilities_are_shares_of_the_density() {
        let components = components();
        let mut fit =
            Fit { components: components.clone(), prior: Array2::eye(2), log_likelihood: 0.0 };
        let x = array![[0.1, 0.2], [1.5, -1.0], [-30.0, 4.0]];
        let found = fit.responsibilities(x.view()).unwrap();
        let logs: Vec<Array1<f64>> = components
            .iter()
            .map(|c| {
                Gaussian::new(c.mean.clone(), c.covariance.clone()).unwrap().log_density(x.view())
            })
            .collect();
        let mut total = 0.0;
        for i in 0..3 {
            // Far from both the densities themselves are 0 in floating point.
            let odds = 0.7 / 0.3 * (logs[1][i] - logs[0][i]).exp();
            assert!((found[[i, 0]] - 1.0 / (1.0 + odds)).abs() < 1e-12, "{found}");
            assert!((found[[i, 0]] + found[[i, 1]] - 1.0).abs() < 1e-12);
            total += 0.3f64.ln() + logs[0][i] + odds.ln_1p();
        }
        assert!((fit.log_likelihood - total).abs() < 1e-9, "{} {total}", fit.log_likelihood);
    }

    /// Weights (size + 1) / (n + K), means, and covariances with d + 1 rows' worth of the prior.
    #[test]
    fn an_update_by_its_formulas() {
        let prior = array![[2.0, 0.5], [0.5, 1.0]];
        let mut fit = Fit { components: components(), prior: prior.clone(), log_likelihood: 0.0 };
        let x = array![[0.0, 1.0], [1.0, -1.0], [4.0, 0.5], [2.0, 2.0]];
        let r = array![[0.9, 0.1], [0.5, 0.5], [0.2, 0.8], [0.0, 1.0]];
        fit.update(x.view(), &r);
        for (k, c) in fit.components.iter().enumerate() {
            let size = r.column(k).sum();
            assert!((c.weight - (size + 1.0) / 6.0).abs() < 1e-12);
            let mean = |j: usize| (0..4).map(|i| r[[i, k]] * x[[i, j]]).sum::<f64>() / size;
            for a in 0..2 {
                assert!((c.mean[a] - mean(a)).abs() < 1e-12);
                for b in 0..2 {
                    let scatter: f64 = (0..4)
                        .map(|i| r[[i, k]] * (x[[i, a]] - mean(a)) * (x[[i, b]] - mean(b)))
                        .sum();
                    let expected = (scatter + 3.0 * prior[[a, b]]) / (size + 3.0);
                    assert!((c.covariance[[a, b]] - expected).abs() < 1e-12);
                }
            }
        }
        // A component that no row belongs to stays where it is, with the prior's spread around it.
        let mean = fit.components[0].mean.clone();
        fit.update(x.view(), &array![[0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]);
        assert_eq!(fit.components[0].mean, mean);
        assert!((fit.components[0].weight - 1.0 / 6.0).abs() < 1e-12);
        assert!((&fit.components[0].covariance - &prior).iter().all(|e| e.abs() < 1e-12));
    }

    /// Two components in two columns: 2 (1 + 2 + 3) - 1 = 11 parameters; in three, 2 (1 + 3 + 6) - 1 = 19.
    #[test]
    fn the_criterion_counts_parameters() {
        for (d, parameters) in [(2, 11.0), (3, 19.0)] {
            let fit =
                Fit { components: components(), prior: Array2::eye(d), log_likelihood: -123.0 };
            assert!((fit.criterion(50) - (246.0 + parameters * 50f64.ln())).abs() < 1e-9);
        }
    }

    /// The second mean by the squared distance to the first: 0, 1, 3 give the pair {0, 1} with probability
    /// (1/10 + 1/5)/3, {0, 3} with (9/10 + 9/13)/3, and three means are all three.
    #[test]
    fn starts_are_drawn_by_squared_distance() {
        let x = array![[0.0], [1.0], [3.0]];
        let whole = Component { weight: 1.0, mean: array![9.0], covariance: array![[8.0]] };
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut counts = [0.0; 2];
        let n = 4000;
        for _ in 0..n {
            let fit = Fit::start(x.view(), 2, &whole, &mut rng).unwrap();
            let mut found: Vec<f64> = fit.components.iter().map(|c| c.mean[0]).collect();
            found.sort_by(f64::total_cmp);
            counts[0] += f64::from(u8::from(found == [0.0, 1.0]));
            counts[1] += f64::from(u8::from(found == [0.0, 3.0]));
        }
        for (count, p) in counts.iter().zip([0.1, (0.9 + 9.0 / 13.0) / 3.0]) {
            let sd = (p * (1.0 - p) * n as f64).sqrt();
            assert!((count - p * n as f64).abs() < 4.5 * sd, "{counts:?}");
        }
        for _ in 0..20 {
            let fit = Fit::start(x.view(), 3, &whole, &mut rng).unwrap();
            let mut found: Vec<f64> = fit.components.iter().map(|c| c.mean[0]).collect();
            found.sort_by(f64::total_cmp);
            assert_eq!(found, [0.0, 1.0, 3.0]);
            // 8 / 3^2 in one column.
            assert!((fit.prior[[0, 0]] - 8.0 / 9.0).abs() < 1e-12);
            let c = &fit.components[1];
            assert!((c.weight - 1.0 / 3.0).abs() < 1e-15 && c.covariance == fit.prior);
        }
        assert_eq!(
            Fit::start(x.view(), 1, &whole, &mut rng).unwrap().components[0].mean,
            whole.mean
        );
    }

    /// Overlapping parts, where the iteration is slow: it goes on until a step gains nearly nothing.
    #[test]
    fn iterations_end_when_they_gain_nothing() {
        let p = GaussianMixture::isotropic(array![0.4, 0.6], array![[-1.2], [1.2]].view(), 0.8)
            .unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let x = p.sample(800, &mut rng);
        let start = Fit::start(x.view(), 2, &Component::whole(x.view()), &mut rng).unwrap();
        let first = {
            let mut fit =
                Fit { components: start.components.clone(), prior: start.prior.clone(), ..start };
            fit.responsibilities(x.view()).unwrap();
            fit.log_likelihood
        };
        let mut fit = Fit {
            components: start.components,
            prior: start.prior,
            log_likelihood: f64::NEG_INFINITY,
        };
        fit = fit.run(x.view()).unwrap();
        let after = fit.log_likelihood;
        assert!(after > first + 1.0, "{first} {after}");
        let r = fit.responsibilities(x.view()).unwrap();
        fit.update(x.view(), &r);
        fit.responsibilities(x.view()).unwrap();
        assert!(fit.log_likelihood - after < 2.0 * 1e-4 * 800.0, "{} {after}", fit.log_likelihood);
    }

    /// Few rows: one component, nine tenths of it with five degrees of freedom where the rows are, one tenth
    /// three times as wide.
    #[test]
    fn few_rows_give_one_component_and_a_wide_one() {
        let x = Gaussian::standard(2).unwrap().sample(17, &mut ChaCha8Rng::seed_from_u64(1));
        let q = fit_proposals(x.view(), &mut ChaCha8Rng::seed_from_u64(0)).unwrap();
        let whole = Component::whole(x.view());
        let t = |width: f64| {
            StudentT::new(whole.mean.clone(), &whole.covariance * (width * width), 5.0).unwrap()
        };
        let at = array![[0.0, 0.0], [3.0, -1.0], [20.0, 20.0]];
        let (near, far) = (t(1.0).log_density(at.view()), t(3.0).log_density(at.view()));
        let found = q.heavy.log_density(at.view());
        for i in 0..3 {
            let expected = (0.9 * near[i].exp() + 0.1 * far[i].exp()).ln();
            assert!((found[i] - expected).abs() < 1e-9, "{i}: {} {expected}", found[i]);
        }
        let core = Gaussian::new(whole.mean.clone(), whole.covariance.clone()).unwrap();
        let gap = q.core.log_density(at.view()) - core.log_density(at.view());
        assert!(gap.iter().all(|e| e.abs() < 1e-9));
    }
}
