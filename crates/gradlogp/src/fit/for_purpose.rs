//! Which settings follow the size of a table, by the purpose of its fit.

use super::FitConfig;
use super::density::density_rule;
use super::purpose::{Purpose, SizedSetting};
use super::score::score_rule;
use super::size_rule::SizeRule;

impl SizeRule {
    /// For fits of this purpose to so many training rows and columns; None where its settings are always the same.
    ///
    /// ```
    /// use gradlogp::fit::{Purpose, SizeRule};
    /// let decay = |rows| SizeRule::of(Purpose::Score, rows, 5).map(|rule| rule.decay);
    /// assert!(decay(1000) > decay(2000) && SizeRule::of(Purpose::Anomaly, 1000, 5).is_none());
    /// ```
    pub fn of(purpose: Purpose, rows: usize, columns: usize) -> Option<Self> {
        match purpose {
            Purpose::Anomaly => None,
            Purpose::Score => Some(score_rule(rows, columns)),
            Purpose::Density | Purpose::Sampling | Purpose::Imputation => {
                Some(density_rule(rows, columns))
            }
        }
    }
}

impl Purpose {
    /// All settings for a table with so many rows and columns.
    ///
    /// ```
    /// use gradlogp::fit::Purpose;
    /// let config = Purpose::Score.config_for(1500, 10);
    /// assert!(config.with_gaussians && config.training.weight_decay > 0.0);
    /// ```
    pub fn config_for(self, rows: usize, columns: usize) -> FitConfig {
        let mut config = self.config();
        let training = (rows as f64 * config.prepare.fractions().train).round() as usize;
        if let Some(rule) = SizeRule::of(self, training, columns) {
            rule.apply(&mut config, &SizedSetting::ALL);
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::short;

    #[test]
    fn only_open_settings_are_taken() {
        let mut config = Purpose::Density.config();
        let before = config.clone();
        let rule = density_rule(1000, 5);
        let open = [SizedSetting::Members, SizedSetting::NoiseFloor];
        let taken = rule.apply(&mut config, &open);
        let floor = (SizedSetting::NoiseFloor, short(rule.noise.unwrap().floor));
        assert_eq!(taken, [floor, (SizedSetting::Members, rule.members.to_string())]);
        assert_eq!((config.members, config.training.clone()), (rule.members, before.training));
        // A network of the data themselves has no noise.
        let mut plain = FitConfig::default();
        assert_eq!(rule.apply(&mut plain, &open).len(), 1);
        assert_eq!(score_rule(1000, 5).apply(&mut config, &SizedSetting::ALL).len(), 5);
    }
}
