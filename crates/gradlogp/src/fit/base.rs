//! Log densities that add to a mixture of Gaussians fitted to the same training rows, MATH (76).
//!
//! ```text
//! log p = log q + w f,      J(grad log p) = J(grad log q) + w (E[tr grad s] + E[g.s]) + w^2/2 E|s|^2
//! ```
//!
//! with g = grad log q and s = grad f. q is fitted first and does not change, so that training needs no more of it than
//! g at every row, and weight decay draws towards the mixture. w, from 0 to 1, is where J is least on the validation
//! rows, so that a network that has learnt nothing that lasts does no harm.

use ndarray::{Array1, Array2};

use super::config::{Family, FitConfig, NetworkConfig, Support};
use super::prepare::Prepared;
use crate::diagnose::{Estimate, exact_loss_rows};
use crate::linear::Cholesky;
use crate::model::{Derivatives, Mlp, Model, ModelKind, PointSet};
use crate::reference::GaussianMixture;
use crate::score::{LogDensity, Score};
use crate::{Error, Result};

impl FitConfig {
    /// Whether a potential is to add to a mixture of Gaussians.
    pub(super) fn adds_to_gaussians(&self) -> bool {
        let network = match &self.family {
            Family::Network(network) => network,
            _ => return false,
        };
        self.with_gaussians
            && network.kind == ModelKind::LogDensity
            && matches!(network, NetworkConfig { support: Support::Everywhere, .. })
    }
}

impl Prepared {
    /// The same rows with the mixture that a potential is to add to: one Gaussian where more do not raise the log density
    /// of the validation rows by more than a standard error; none where that cannot be fitted. All draws come from the
    /// seed of the fit.
    pub(super) fn with_base(mut self, config: &FitConfig) -> Result<Self> {
        if !config.adds_to_gaussians() {
            return Ok(self);
        }
        let Some(found) = self.baselines()? else { return Ok(self) };
        let validation = self.units.forward(self.rows(&self.split.validation).view());
        let mixture = found.mixture().filter(|mixture| {
            let of = |p: &GaussianMixture| p.log_density(validation.view());
            let gain = Estimate::of((of(mixture) - of(found.gaussian())).view());
            gain.mean > gain.standard_error
        });
        self.base = match self.inside(mixture.unwrap_or(found.gaussian())) {
            Ok(mixture) => Some(mixture),
            Err(Error::Numerical { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(self)
    }

    /// The settings of one member: without a Gaussian base where it adds to a mixture.
    pub(super) fn mlp(&self, config: &FitConfig) -> Mlp {
        let settings = config.mlp(self.dim());
        match &self.base {
            Some(_) => Mlp { base_scale: None, ..settings },
            None => settings,
        }
    }

    /// Rows in the network's units with the score of the mixture, if there is one.
    pub(super) fn rows_on_base(&self, part: &[usize]) -> Result<PointSet<f32>> {
        let mut rows = self.network_rows(part)?;
        if let Some(base) = &self.base {
            let score = base.score(self.inside_rows(part).view());
            rows.base = score.iter().map(|g| *g as f32).collect();
        }
        Ok(rows)
    }

    /// Losses of the mixture on the validation rows, in the network's units.
    pub(super) fn base_losses(&self) -> Result<Array1<f64>> {
        match &self.base {
            Some(base) => exact_loss_rows(base, self.inside_rows(&self.split.validation).view()),
            None => Ok(Array1::zeros(0)),
        }
    }

    /// Members' weights, one after the other, with those of the mixture behind them and the members scaled by w.
    pub(super) fn on_base(
        &self,
        settings: Mlp,
        mut parameters: Vec<f32>,
    ) -> Result<(Mlp, Vec<f32>)> {
        let Some(base) = &self.base else { return Ok((settings, parameters)) };
        let alone = Model::new(settings.kind, settings.graph()?, parameters.clone())?;
        let w = self.share_of(&alone.cast::<f64>(), base) as f32;
        let last = format!("net.{}.", settings.hidden.len());
        for (parameter, range) in alone.graph().parameters().iter() {
            if crate::model::members::without_member(&parameter.name).starts_with(&last) {
                parameters[range].iter_mut().for_each(|p| *p *= w);
            }
        }
        parameters.extend(of_mixture(base)?.into_iter().map(|p| p as f32));
        Ok((Mlp { base_components: base.components().len(), ..settings }, parameters))
    }

    /// w = -E[tr grad s + g.s] / E|s|^2 on the validation rows, kept from 0 to 1.
    fn share_of(&self, network: &Model<f64>, base: &GaussianMixture) -> f64 {
        let z = self.inside_rows(&self.split.validation);
        let flat: Vec<f64> = z.iter().copied().collect();
        let at = Derivatives::new(network);
        let (score, trace) = (at.score(&flat), at.trace(&flat));
        let g = base.score(z.view());
        let linear: f64 =
            trace.iter().sum::<f64>() + score.iter().zip(&g).map(|(s, g)| s * g).sum::<f64>();
        let square: f64 = score.iter().map(|s| s * s).sum();
        match -linear / square {
            w if w.is_finite() => w.clamp(0.0, 1.0),
            _ => 0.0,
        }
    }

    fn inside_rows(&self, part: &[usize]) -> Array2<f64> {
        self.transform.forward(self.rows(part).view())
    }
}

/// The parameters `base.*` of a potential ([`Mlp::base_components`]) that adds to `mixture`.
///
/// # Errors
/// A covariance without a Cholesky factor.
fn of_mixture(mixture: &GaussianMixture) -> Result<Vec<f64>> {
    let (d, parts) = (mixture.dim(), mixture.components());
    let (mut weight, mut bias) = (Vec::new(), Vec::new());
    let mut constants = Vec::new();
    for (part, pi) in parts.iter().zip(mixture.weights()) {
        let precision = part.precision();
        let factor = Cholesky::new(d, &|i, j| precision[[i, j]]).ok_or_else(|| {
            let message = "a component has no positive definite covariance".into();
            Error::Numerical { operation: "Gaussian mixture", message }
        })?;
        let upper = factor.lower().reversed_axes();
        bias.extend(upper.dot(part.mean()).mapv(|u| -u));
        constants.push(
            pi.ln() + upper.diag().mapv(f64::ln).sum()
                - 0.5 * d as f64 * (2.0 * std::f64::consts::PI).ln(),
        );
        weight.extend(upper.iter().copied());
    }
    let count = parts.len();
    let halves = (0..count * count * d).map(|at| match at / (count * d) == at / d % count {
        true => -0.5,
        false => 0.0,
    });
    Ok(weight.into_iter().chain(bias).chain(halves).chain(constants).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Table;
    use crate::fit::{CheckedTable, Purpose};
    use crate::reference::ReferenceDensity;
    use crate::score::ScoreTrace;
    use ndarray::{Axis, array};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn mixture(components: usize) -> GaussianMixture {
        let shapes = [array![[1.0, 0.6], [0.6, 0.8]], array![[0.3, -0.1], [-0.1, 2.0]]];
        let means = Array2::from_shape_fn((components, 2), |(k, j)| ((3 * k + 2 * j) as f64).sin());
        let weights = Array1::from_shape_fn(components, |k| 1.0 + k as f64);
        let covariances = (0..components).map(|k| shapes[k % 2].clone()).collect();
        GaussianMixture::new(weights, means.view(), covariances).unwrap()
    }

    /// Value, score and trace are those of the closed form, for every remainder of halving, near and far off.
    #[test]
    fn value_score_and_trace_are_those_of_the_mixture() {
        let x = array![[0.1, -0.4], [1.3, 2.0], [-30.0, 40.0]];
        let flat: Vec<f64> = x.iter().copied().collect();
        for components in 1..=6 {
            let known = mixture(components);
            // A network that is 0 everywhere.
            let alone = Mlp { hidden: vec![], ..Mlp::new(2, ModelKind::LogDensity) };
            let graph = Mlp { base_components: components, ..alone }.graph().unwrap();
            let values = [vec![0.0; 3], of_mixture(&known).unwrap()].concat();
            let model = Model::<f64>::new(ModelKind::LogDensity, graph, values).unwrap();
            let at = Derivatives::new(&model);
            let (value, score) = at.value_and_score(&flat);
            let near = |found: &[f64], right: Vec<f64>| {
                let all = found.iter().zip(&right);
                all.for_each(|(a, b)| assert!((a - b).abs() < 1e-9 * (1.0 + b.abs()), "{a} {b}"));
                assert_eq!(found.len(), right.len());
            };
            near(&value, known.log_density(x.view()).to_vec());
            near(&score, known.score(x.view()).iter().copied().collect());
            near(&at.trace(&flat), known.trace(x.view()).to_vec());
        }
    }

    /// Rows of one Gaussian get one, whatever seed splits them, and rows of two that lie apart get more.
    #[test]
    fn components_without_a_clear_gain_are_not_taken() {
        let clear = GaussianMixture::new(
            array![1.0, 1.0],
            array![[-4.0, 0.0], [4.0, 0.0]].view(),
            vec![Array2::eye(2); 2],
        )
        .unwrap();
        let components = |from: &GaussianMixture, seed| {
            let rows = from.sample(400, &mut ChaCha8Rng::seed_from_u64(seed));
            let table = Table::new("rows", vec!["a".into(), "b".into()], rows).unwrap();
            let mut config = Purpose::Score.config();
            config.training.seed = seed;
            let prepared = CheckedTable::new(table, &config).unwrap().prepare(&config).unwrap();
            prepared.base.unwrap().components().len()
        };
        let single = (0..8).filter(|seed| components(&mixture(1), *seed) == 1).count();
        assert!(single >= 6, "{single} of 8");
        assert!((0..3).all(|seed| components(&clear, seed) >= 2));
    }

    /// Of a network whose score a is the same everywhere, J is least at w = -mean g.a / |a|^2: 0.6 for a = -mean g / 0.6, and
    /// 0 for its opposite, which only does harm.
    #[test]
    fn the_network_is_scaled_to_the_least_loss_of_validation_rows() {
        let rows = mixture(2).sample(300, &mut ChaCha8Rng::seed_from_u64(3));
        let table = Table::new("rows", vec!["a".into(), "b".into()], rows).unwrap();
        let config = Purpose::Score.config();
        let prepared = CheckedTable::new(table, &config).unwrap().prepare(&config).unwrap();
        let base = prepared.base.clone().unwrap();
        let g = base.score(prepared.inside_rows(&prepared.split.validation).view());
        let mean = g.mean_axis(Axis(0)).unwrap();
        for (sign, share) in [(1.0, 0.6), (-1.0, 0.0)] {
            let a = mean.mapv(|g| -sign * g / 0.6);
            let alone = Mlp { hidden: vec![], ..Mlp::new(2, ModelKind::LogDensity) };
            let weights = vec![a[0] as f32, a[1] as f32, 0.5];
            let (settings, found) = prepared.on_base(alone, weights).unwrap();
            assert_eq!(settings.base_components, base.components().len());
            let right = [share * a[0], share * a[1], share * 0.5];
            for (found, right) in found.iter().zip(right) {
                assert!(
                    (f64::from(*found) - right).abs() < 1e-5 * (1.0 + right.abs()),
                    "{found} {right}"
                );
            }
            assert_eq!(found.len(), settings.graph().unwrap().parameters().len());
        }
    }
}
