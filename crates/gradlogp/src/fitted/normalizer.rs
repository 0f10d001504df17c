//! The normalizing constant of a fitted potential, from rows that show where its density is.

use ndarray::{ArrayView2, Axis};
use rand::Rng;

use super::FittedModel;
use crate::diagnose::{Normalizer, NormalizerConfig, estimate_normalizer};
use crate::{Error, Result};

/// Standard deviations from the mean of training beyond which a row is no guide to where the density is.
const FAR: f64 = 8.0;

impl FittedModel {
    /// log Z of the model, estimated and checked on rows of the data (n x d, the user's units): the three
    /// estimates, and what comes of them. Where they are at most one in twenty, rows further than 8 standard
    /// deviations from the mean of training are left out.
    ///
    /// # Errors
    /// [`Error::Config`] for a score field, a conditional model, or one with bounds; those of
    /// [`estimate_normalizer`].
    pub fn normalizer(&self, rows: ArrayView2<'_, f64>, rng: &mut dyn Rng) -> Result<Normalizer> {
        let refuse = |why: &str| Err(Error::config("fitted_model", why));
        if self.description().domain.is_some() {
            return refuse("has bounds, and normalizers are of densities on all of R^d");
        }
        if !self.condition_columns().is_empty() {
            return refuse("is conditional: it has one density for each condition");
        }
        let Some(log_density) = self.as_log_density() else {
            return refuse("a score field has no density to normalize; fit with `model` potential");
        };
        // A few rows far from all others would widen the proposals until they miss the rest.
        let near = self.near_training(rows, FAR);
        let few = rows.nrows() - near.len() <= rows.nrows() / 20;
        let rows = if few { rows.select(Axis(0), &near) } else { rows.to_owned() };
        estimate_normalizer(&log_density, rows.view(), &NormalizerConfig::default(), rng)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fitted::tests::standard_normal;
    use crate::reference::{Gaussian, ReferenceDensity};
    use ndarray::Array1;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn the_integral_of_a_normal_density_is_found_whatever_lies_far_off() {
        let model = standard_normal();
        let z = Gaussian::standard(3).unwrap().sample(400, &mut ChaCha8Rng::seed_from_u64(2));
        let scale = Array1::from(model.description().column_scale.clone());
        let rows = z * &scale + &Array1::from(model.description().column_mean.clone());
        let found = |rows: ArrayView2<'_, f64>| {
            let found = model.normalizer(rows, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
            found.log_z.unwrap()
        };
        let log_z = found(rows.view());
        // exp(-|z|^2 / 2) integrates to (2 pi)^(3/2).
        let expected = 1.5 * std::f64::consts::TAU.ln();
        assert!((log_z.value - expected).abs() < 0.02, "{log_z:?} {expected}");
        // One row in a hundred 50 deviations off is left out, and the draws are the same.
        let mut with_far = rows.clone();
        for k in 0..4 {
            let far = rows.row(k).to_owned() + &(&scale * 50.0);
            with_far.push_row(far.view()).unwrap();
        }
        assert_eq!(found(with_far.view()), log_z);
    }
}
