//! The Metropolis-adjusted Langevin algorithm: exact for a known (unnormalized) density.
//!
//! The ULA step is only proposed, y = x + (a/2) s(x) + sqrt(a) z, and accepted with probability
//! min(1, A):
//!
//! ```text
//! log A       = log p(y) - log p(x) + log q(x | y) - log q(y | x)
//! log q(y|x)  = -|y - x - (a/2) s(x)|^2 / (2a) + const
//! ```
//!
//! The two q differ because the drift does; without them the chain has another distribution. A proposal with
//! a density or score that is not finite is rejected. Reference: Roberts and Rosenthal (1998),
//! "Optimal scaling of discrete approximations to Langevin diffusions": the best acceptance rate is
//! about 0.574, with a of order d^(-1/3).

use super::check_columns;
use super::streams::{Common, Draws};
use crate::error::{Error, Result};
use crate::score::LogDensity;
use ndarray::{Array1, Array2, ArrayView1, Zip};
use rand::Rng;

/// Where the chains are, with the model's values there.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// chains x d.
    pub position: Array2<f64>,
    /// log p(x) of each chain, up to the model's constant.
    pub log_density: Array1<f64>,
    /// s(x) of each chain: chains x d.
    pub score: Array2<f64>,
}

/// What a step showed.
#[derive(Debug, Clone)]
pub struct Info {
    /// min(1, A) of each chain: the chance its proposal had.
    pub acceptance: Array1<f64>,
    /// Which chains moved.
    pub accepted: Array1<bool>,
}

/// Chains at the rows of `position` (chains x d).
///
/// # Errors
/// [`Error::Shape`] unless there is a row and the columns are the model's;
/// [`Error::Diverged`] at step 0 where the density or score of a start is not finite.
pub fn init(position: Array2<f64>, model: &dyn LogDensity) -> Result<State> {
    let state = init_unchecked(position, model)?;
    match (0..state.position.nrows()).find(|&chain| !is_usable(&state, chain)) {
        None => Ok(state),
        Some(chain) => Err(Error::Diverged {
            step: 0,
            rows: vec![chain],
            message: format!(
                "chain {} starts where the density or the score is not finite; start nearer to \
                 the data",
                chain + 1
            ),
        }),
    }
}

/// [`init`] that leaves it to the caller to look for chains that are not [usable](is_usable).
pub(super) fn init_unchecked(position: Array2<f64>, model: &dyn LogDensity) -> Result<State> {
    check_columns("start of the chains", &position, model.dim())?;
    let (log_density, score) = model.log_density_and_score(position.view());
    Ok(State { position, log_density, score })
}

/// One step of every chain with step size a > 0.
pub fn step(
    rng: &mut (impl Rng + ?Sized),
    state: State,
    model: &dyn LogDensity,
    step_size: f64,
) -> (State, Info) {
    step_each(&mut Common(rng), state, model, &[step_size])
}

/// [`step`] with random numbers from `draws`, and one step size for all chains or one for each.
pub(super) fn step_each(
    draws: &mut dyn Draws,
    state: State,
    model: &dyn LogDensity,
    step_sizes: &[f64],
) -> (State, Info) {
    let proposal = propose(draws, &state, model, step_sizes);
    let chains = state.position.nrows();
    let acceptance: Array1<f64> = (0..chains)
        .map(|chain| acceptance(&state, &proposal, chain, of_chain(step_sizes, chain)))
        .collect();
    // One number per chain, also where it decides nothing, so that chains stay in step.
    let numbers = draws.uniforms(chains);
    let accepted =
        Zip::from(&numbers).and(&acceptance).map_collect(|number, chance| number < chance);
    (select(state, proposal, &accepted), Info { acceptance, accepted })
}

/// The step size of one chain, from one for all or one for each.
pub(super) fn of_chain(step_sizes: &[f64], chain: usize) -> f64 {
    step_sizes[chain % step_sizes.len()]
}

fn propose(
    draws: &mut dyn Draws,
    state: &State,
    model: &dyn LogDensity,
    step_sizes: &[f64],
) -> State {
    let mut position = draws.normals(state.position.dim());
    for (chain, mut x) in position.outer_iter_mut().enumerate() {
        let step_size = of_chain(step_sizes, chain);
        x *= step_size.sqrt();
        x += &state.position.row(chain);
        x.scaled_add(0.5 * step_size, &state.score.row(chain));
    }
    let (log_density, score) = model.log_density_and_score(position.view());
    State { position, log_density, score }
}

/// min(1, A) of one chain; 0 where the proposal is not finite.
fn acceptance(from: &State, to: &State, chain: usize, step_size: f64) -> f64 {
    if !is_usable(to, chain) {
        return 0.0;
    }
    let (x, y) = (from.position.row(chain), to.position.row(chain));
    let forward = log_proposal(x, from.score.row(chain), y, step_size);
    let backward = log_proposal(y, to.score.row(chain), x, step_size);
    let log_ratio = to.log_density[chain] - from.log_density[chain] + backward - forward;
    // Both densities are finite, but their difference with |s|^2 may still overflow to NaN.
    if log_ratio.is_nan() { 0.0 } else { log_ratio.min(0.0).exp() }
}

/// log q(to | from) without its constant.
fn log_proposal(
    from: ArrayView1<'_, f64>,
    score: ArrayView1<'_, f64>,
    to: ArrayView1<'_, f64>,
    step_size: f64,
) -> f64 {
    let half = 0.5 * step_size;
    let square = Zip::from(&to).and(&from).and(&score).fold(0.0, |sum, to, from, s| {
        let miss = to - from - half * s;
        sum + miss * miss
    });
    -square / (2.0 * step_size)
}

pub(super) fn is_usable(state: &State, chain: usize) -> bool {
    state.log_density[chain].is_finite()
        && state.position.row(chain).iter().all(|v| v.is_finite())
        && state.score.row(chain).iter().all(|v| v.is_finite())
}

/// The proposal where accepted, the old state elsewhere.
pub(super) fn select(mut state: State, proposal: State, accepted: &Array1<bool>) -> State {
    for (chain, _) in accepted.iter().enumerate().filter(|(_, moved)| **moved) {
        state.position.row_mut(chain).assign(&proposal.position.row(chain));
        state.score.row_mut(chain).assign(&proposal.score.row(chain));
        state.log_density[chain] = proposal.log_density[chain];
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{Funnel, Gaussian, GaussianMixture, ReferenceDensity, StudentT};
    use crate::score::Score;
    use ndarray::{Axis, array};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// Mean of each column of `moments` over independent chains, in standard errors from `exact`.
    fn z_scores(moments: &Array2<f64>, exact: &Array1<f64>) -> Array1<f64> {
        let n = moments.nrows() as f64;
        let error = moments.std_axis(Axis(0), 1.0) / n.sqrt();
        (moments.mean_axis(Axis(0)).unwrap() - exact) / error
    }

    /// Chains that start in the exact distribution stay in it. They are independent of one another, so plain
    /// standard errors hold, and a wrong acceptance ratio drives all of them off alike.
    fn assert_invariant(
        p: &dyn ReferenceDensity,
        step_size: f64,
        moments: impl Fn(ArrayView1<'_, f64>) -> Vec<f64>,
        exact: Array1<f64>,
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let model: &dyn LogDensity = p;
        let mut state = init(p.sample(10_000, &mut rng), model).unwrap();
        let mut rate = 0.0;
        for _ in 0..25 {
            let (next, info) = step(&mut rng, state, model, step_size);
            rate += info.acceptance.mean().unwrap() / 25.0;
            state = next;
        }
        assert!((0.3..0.9).contains(&rate), "acceptance {rate} tests little");
        let rows: Vec<f64> = state.position.outer_iter().flat_map(&moments).collect();
        let table = Array2::from_shape_vec((10_000, exact.len()), rows).unwrap();
        let z = z_scores(&table, &exact);
        assert!(z.iter().all(|z| z.abs() < 4.5), "z-scores {z}");
    }

    #[test]
    fn correlated_gaussian_is_invariant() {
        let p = Gaussian::new(array![1.0, -1.0], array![[1.0, 0.8], [0.8, 2.0]]).unwrap();
        assert_invariant(
            &p,
            1.0,
            |x| vec![x[0], x[1], x[0] * x[0], x[0] * x[1], x[1] * x[1], x[1].powi(4)],
            // E x^4 = m^4 + 6 m^2 v + 3 v^2.
            array![1.0, -1.0, 2.0, -0.2, 3.0, 1.0 + 12.0 + 12.0],
        );
    }

    #[test]
    fn mixture_is_invariant() {
        let p = GaussianMixture::isotropic(array![0.7, 0.3], array![[-1.5], [1.5]].view(), 0.8)
            .unwrap();
        let mean = 0.4 * -1.5;
        assert_invariant(
            &p,
            1.2,
            |x| vec![x[0], x[0] * x[0], f64::from(u8::from(x[0] > 0.0)), x[0].powi(3)],
            array![
                mean,
                2.25 + 0.64,
                // Phi(-1.5/0.8) = 0.030396 on the left component, 1 less that on the right.
                0.7 * 0.030_396_361 + 0.3 * (1.0 - 0.030_396_361),
                // E x^3 = m^3 + 3 m v of each component, odd in m.
                -0.4 * (3.375 + 3.0 * 1.5 * 0.64)
            ],
        );
    }

    #[test]
    fn heavy_tails_are_invariant() {
        let p = StudentT::new(array![0.0], array![[1.0]], 3.0).unwrap();
        // P(|x| < 0.764892) = 1/2 at three degrees of freedom.
        assert_invariant(
            &p,
            3.0,
            |x| vec![x[0].signum(), f64::from(u8::from(x[0].abs() < 0.764_892_33))],
            array![0.0, 0.5],
        );
    }

    /// log A written out for N(0, 1): the terms in x and y collapse to a (x^2 - y^2)/8.
    #[test]
    fn acceptance_on_a_normal_is_the_closed_form() {
        let p = Gaussian::standard(1).unwrap();
        let a = 1.7;
        let x = init(array![[0.4], [2.0]], &p).unwrap();
        let y = init(array![[1.9], [0.3]], &p).unwrap();
        for chain in 0..2 {
            let square = |state: &State| state.position[[chain, 0]].powi(2);
            let expected = (a * (square(&x) - square(&y)) / 8.0).exp().min(1.0);
            assert!((acceptance(&x, &y, chain, a) - expected).abs() < 1e-14);
        }
    }

    #[test]
    fn acceptance_falls_with_the_step() {
        let p = Gaussian::rank_one(1.0, 5).unwrap();
        let rate = |step_size: f64| {
            let mut rng = ChaCha8Rng::seed_from_u64(3);
            let state = init(p.sample(2000, &mut rng), &p).unwrap();
            step(&mut rng, state, &p, step_size).1.acceptance.mean().unwrap()
        };
        let rates = [0.01, 0.3, 1.0, 2.0, 4.0].map(rate);
        assert!(rates[0] > 0.99 && rates[4] < 0.2, "{rates:?}");
        assert!(rates.windows(2).all(|pair| pair[1] < pair[0] - 0.001), "{rates:?}");
    }

    #[test]
    fn proposals_that_are_not_finite_are_rejected() {
        let p = Funnel::new(2, 3.0).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        // The proposed v is of order 1e4 or more: exp(-v) or its square overflows, or p is 0.
        let state = init(array![[0.0, 1.0], [1.0, 0.5]], &p).unwrap();
        for _ in 0..10 {
            let (next, info) = step(&mut rng, state.clone(), &p, 1e9);
            assert!(info.accepted.iter().all(|moved| !moved));
            assert_eq!(next.position, state.position);
        }
    }

    #[test]
    fn refuses_a_start_without_density() {
        let p = Gaussian::standard(1).unwrap();
        let error = init(array![[0.0], [f64::INFINITY]], &p).unwrap_err();
        assert!(error.to_string().contains("chain 2"), "{error}");
    }

    /// What moved took all its values along.
    #[test]
    fn state_stays_consistent() {
        let p = Gaussian::rank_one(0.5, 3).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let start = init(p.sample(50, &mut rng), &p).unwrap();
        let before = start.position.clone();
        let (state, info) = step(&mut rng, start, &p, 1.0);
        assert_eq!(state.score, p.score(state.position.view()));
        assert_eq!(state.log_density, p.log_density(state.position.view()));
        for (chain, moved) in info.accepted.iter().enumerate() {
            assert_eq!(*moved, before.row(chain) != state.position.row(chain));
        }
        assert!(info.accepted.iter().any(|m| *m) && info.accepted.iter().any(|m| !m));
    }
}
