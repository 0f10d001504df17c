//! The unadjusted Langevin algorithm: for any score field, exact only as the step goes to 0.
//!
//! ```text
//! x' = x + (a/2) s(x) + sqrt(a) z,   z ~ N(0, I)          MATH 6
//! ```
//!
//! On a domain with a boundary ([`Score::contains`]) a step that would leave it is not taken, as an acceptance
//! step would have it: without drift the chain then keeps the uniform distribution, and with it MATH 6 up to O(a). A
//! reflected step would need to know the shape of the boundary.
//!
//! Nothing corrects the error of the finite step: on N(0, 1) the stationary variance is
//! 1/(1 - a/4), and for a >= 4 the chain explodes. Reference: Roberts and Tweedie (1996),
//! "Exponential convergence of Langevin distributions and their discrete approximations".

use super::{bad_rows, check_columns, normals};
use crate::error::{Error, Result};
use crate::score::Score;
use ndarray::{Array1, Array2, ArrayView2, Zip};
use rand::Rng;

/// Where the chains are.
#[derive(Debug, Clone)]
pub struct State {
    /// chains x d.
    pub position: Array2<f64>,
    /// Steps taken so far.
    pub step: u64,
}

/// What a step showed.
#[derive(Debug, Clone)]
pub struct Info {
    /// |s(x)| of each chain at the place it left.
    pub score_norm: Array1<f64>,
}

/// Chains at the rows of `position` (chains x d).
///
/// # Errors
/// [`Error::Shape`] unless there is a row and the columns are the model's.
pub fn init(position: Array2<f64>, model: &dyn Score) -> Result<State> {
    check_columns("ULA start", &position, model.dim())?;
    Ok(State { position, step: 0 })
}

/// One step of every chain with step size a > 0.
///
/// # Errors
/// [`Error::Diverged`], naming step and chain, where the score or the new place is not finite.
pub fn step(
    rng: &mut (impl Rng + ?Sized),
    state: State,
    model: &dyn Score,
    step_size: f64,
) -> Result<(State, Info)> {
    let score = model.score(state.position.view());
    let mut position = moved(rng, &state, &score, step_size);
    for (mut new, old) in position.outer_iter_mut().zip(state.position.outer_iter()) {
        // What is not finite is no step across a boundary, and must be seen.
        if new.iter().all(|x| x.is_finite()) && !model.contains(new.view()) {
            new.assign(&old);
        }
    }
    next_state(position, state.step + 1, &score, step_size)
}

/// x + (a/2) s + sqrt(a) z for these scores.
fn moved(
    rng: &mut (impl Rng + ?Sized),
    state: &State,
    score: &Array2<f64>,
    step_size: f64,
) -> Array2<f64> {
    let noise = normals(state.position.dim(), rng);
    let mut position = state.position.clone();
    position.scaled_add(0.5 * step_size, score);
    position.scaled_add(step_size.sqrt(), &noise);
    position
}

/// [`step`] without a boundary, for scores that are known.
pub(super) fn advance(
    rng: &mut (impl Rng + ?Sized),
    state: State,
    score: &Array2<f64>,
    step_size: f64,
) -> Result<State> {
    let position = moved(rng, &state, score, step_size);
    Ok(next_state(position, state.step + 1, score, step_size)?.0)
}

/// [`step`] in columns scaled by m (`scale`, chains x d, at least 0):
/// x' = x + (a/2) m^2 s(x) + sqrt(a) m z. What has m = 0 keeps its bits, and the rest is drawn given it.
///
/// # Errors
/// Those of [`step`].
pub fn step_scaled(
    rng: &mut (impl Rng + ?Sized),
    state: State,
    model: &dyn Score,
    step_size: f64,
    scale: ArrayView2<'_, f64>,
) -> Result<(State, Info)> {
    let score = model.score(state.position.view());
    let noise = normals(state.position.dim(), rng);
    let mut position = state.position;
    let root = step_size.sqrt();
    Zip::from(&mut position).and(&score).and(&noise).and(scale).for_each(|x, s, z, m| {
        if *m != 0.0 {
            *x += 0.5 * step_size * m * m * s + root * m * z;
        }
    });
    next_state(position, state.step + 1, &score, step_size)
}

fn next_state(
    position: Array2<f64>,
    step: u64,
    score: &Array2<f64>,
    step_size: f64,
) -> Result<(State, Info)> {
    // A score that is not finite makes the new place so too.
    let left = bad_rows(&position);
    if !left.is_empty() {
        return Err(diverged(step, left, step_size));
    }
    let score_norm = score.outer_iter().map(|s| s.dot(&s).sqrt()).collect();
    Ok((State { position, step }, Info { score_norm }))
}

fn diverged(step: u64, rows: Vec<usize>, step_size: f64) -> Error {
    let message = format!(
        "chain {} became non-finite; try a step size well below {step_size}, or start nearer \
         to the data",
        rows[0] + 1
    );
    Error::Diverged { step, rows, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{Gaussian, ReferenceDensity};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// var = 1/(1 - a/4), here 1.25 where the exact distribution has 1.
    #[test]
    fn stationary_variance_on_a_normal_is_the_known_one() {
        let (p, a) = (Gaussian::standard(1).unwrap(), 0.8);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let chains = 20_000;
        let mut state = init(p.sample(chains, &mut rng), &p).unwrap();
        for _ in 0..30 {
            state = step(&mut rng, state, &p, a).unwrap().0;
        }
        let variance = state.position.var(1.0);
        let expected = 1.0 / (1.0 - a / 4.0);
        let error = expected * (2.0 / chains as f64).sqrt();
        assert!((variance - expected).abs() < 4.5 * error, "{variance} vs {expected}");
    }

    #[test]
    fn explosion_names_step_and_chain() {
        let p = Gaussian::standard(1).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        // |1 - a/2| = 1.5e6: twice the exponent of f64 in some 50 steps.
        let mut state = init(Array2::ones((2, 1)), &p).unwrap();
        let error = loop {
            match step(&mut rng, state, &p, 3e6) {
                Ok((next, _)) => state = next,
                Err(error) => break error,
            }
        };
        let Error::Diverged { step, message, .. } = error else { panic!("{error}") };
        assert!((40..60).contains(&step), "{step}");
        assert!(message.starts_with("chain 1"), "{message}");
    }

    #[test]
    fn info_is_the_norm_where_the_chain_was() {
        let p = Gaussian::standard(2).unwrap();
        let state = init(ndarray::array![[3.0, 4.0]], &p).unwrap();
        let (next, info) = step(&mut ChaCha8Rng::seed_from_u64(1), state, &p, 0.1).unwrap();
        assert_eq!(info.score_norm[0], 5.0);
        assert_eq!(next.step, 1);
    }

    #[test]
    fn refuses_another_number_of_columns() {
        assert!(init(Array2::ones((2, 3)), &Gaussian::standard(2).unwrap()).is_err());
        assert!(init(Array2::ones((0, 2)), &Gaussian::standard(2).unwrap()).is_err());
    }
}
