//! Settings of a fit whose purpose is the density: log likelihoods of new rows, and samples.
//!
//! A diffusion model on columns that are each made about normal and then whitened, whose weight decay, steps and members follow the table, mixed with Gaussians
//! on the validation rows. With all weights 0 the model is the Gaussian of the training rows, so weight decay
//! shrinks the fits of small tables towards it. How the numbers were found: experiments/density-study.

use super::size_rule::{NoiseRule, SizeRule};
use crate::diffusion::{NoiseWeight, TimeDistribution, TimeMlp};

/// Columns over training rows below which there are rows enough to fit the finest structure.
const PLENTY: f64 = 0.005;

/// For so many training rows and columns.
pub(super) fn density_rule(rows: usize, columns: usize) -> SizeRule {
    let q = columns as f64 / rows.max(1) as f64;
    let (strength, floor) = if q < PLENTY { (40.0, 0.03) } else { (80.0, TimeMlp::FLOOR) };
    let steps = match rows {
        ..1500 => 3000,
        1500..6000 => 6000,
        _ => 12_000,
    };
    SizeRule {
        decay: (strength * q).clamp(0.03, 3.0),
        noise: Some(NoiseRule {
            weight: NoiseWeight::Likelihood,
            times: TimeDistribution::Importance,
            floor,
        }),
        steps,
        evaluate_every: steps / 60,
        patience: 20,
        members: 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::Purpose;

    #[test]
    fn decay_falls_with_rows_and_rises_with_columns() {
        let decay = |rows, columns| density_rule(rows, columns).decay;
        assert_eq!((decay(400, 10), decay(100, 10), decay(1_000_000, 2)), (2.0, 3.0, 0.03));
        assert_eq!((decay(0, 3), decay(1000, 5)), (3.0, 0.4));
        let floor = |rows, columns| density_rule(rows, columns).noise.map(|noise| noise.floor);
        assert_eq!((floor(1000, 5), floor(1001, 5)), (Some(TimeMlp::FLOOR), Some(0.03)));
        let config = Purpose::Density.config_for(1250, 5);
        assert!(config.validate().is_ok());
        assert_eq!(
            (config.training.weight_decay, config.members, config.training.steps),
            (0.4, 2, 3000)
        );
    }
}
