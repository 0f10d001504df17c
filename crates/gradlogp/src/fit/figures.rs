//! What all evaluations of a model share.

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Effect, Evidence, Measure, Purpose, RELATIVE_FISHER};
use crate::diagnose::{Corrections, corrections};
use crate::fitted::FittedModel;
use crate::score::Score;
use crate::{Error, ErrorClass, Result};

/// Chance of a fault reported in a true score, by any test.
pub const LEVEL: f64 = 0.05;
/// Fresh rows on which a fit is compared with a known truth.
pub(super) const FRESH_ROWS: usize = 10_000;
/// Least rows on which a fit is evaluated.
const LEAST: usize = 3;
/// Standard errors of a one-sided limit at 95%.
pub const ONE_SIDED: f64 = 1.645;
/// The same of one of four families of corrections, all of whose lower limits hold together.
const ONE_OF_FOUR: f64 = 2.241;

/// Refuses fewer rows than an evaluation needs.
///
/// # Errors
/// [`Error::TooFewRows`].
pub fn enough_rows(found: usize) -> Result<()> {
    let operation = "check of a fit";
    match found < LEAST {
        true => Err(Error::TooFewRows { operation, found, least: LEAST }),
        false => Ok(()),
    }
}

/// What corrections of a model's score take away on `rows`, whose exact losses are `loss`, at the condition `c` of each;
/// None where the score or its loss is not finite.
pub(super) fn corrections_of(
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    loss: &Array1<f64>,
    c: ArrayView2<'_, f64>,
    seed: u64,
) -> Result<Option<Corrections>> {
    let description = model.description();
    let mean = Array1::from(description.column_mean.clone());
    let scale = Array1::from(description.column_scale.clone());
    let z: Array2<f64> = (&rows - &mean) / &scale;
    let score = model.score(rows) * &scale;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    finite(corrections(z.view(), score.view(), loss.view(), c, &mut rng))
}

/// None for what has no number.
pub(super) fn finite<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.class() == ErrorClass::Numerical => Ok(None),
        Err(error) => Err(error),
    }
}

/// What corrections say of the purposes that rest on the score.
pub(super) fn of_corrections(found: &Corrections, purposes: &[Purpose]) -> Vec<Evidence> {
    let evidence = |explained: &crate::diagnose::Explained| {
        let (mean, error) = (explained.relative.mean, explained.relative.standard_error);
        let low = mean - ONE_OF_FOUR * error;
        Evidence {
            measure: Measure::Correction(explained.correction),
            effect: Effect { low, ..Effect::within(mean, ONE_SIDED, error) },
            bound: RELATIVE_FISHER,
            purposes: purposes.to_vec(),
            proven: true,
        }
    };
    found.explained.iter().map(evidence).collect()
}

/// Rows in three parts: half of them to fit something to, a sixth to choose by, a third to test it.
pub(super) struct Parts {
    pub(super) training: Array2<f64>,
    pub(super) validation: Array2<f64>,
    pub(super) tested: Array2<f64>,
}

impl Parts {
    /// Every sixth row, evenly.
    pub(super) fn of(rows: ArrayView2<'_, f64>) -> Self {
        let part = |which: &[usize]| {
            let all: Vec<usize> = (0..rows.nrows()).filter(|i| which.contains(&(i % 6))).collect();
            rows.select(Axis(0), &all)
        };
        Parts { training: part(&[0, 1, 3]), validation: part(&[4]), tested: part(&[2, 5]) }
    }
}
