//! What is known of a fitted model on rows that did not train it, and what it comes to.

use std::fmt;

use ndarray::{Array1, Array2, ArrayView2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::Prepared;
use crate::data::synthetic::Dataset;
use crate::diagnose::{
    Baseline, BaselineComparison, Estimate, FisherDivergence, KernelSteinDiscrepancy, KsdConfig,
    Paired, SteinReport, fisher_divergence, kernel_stein_discrepancy, stein_check,
    stein_check_conditional, stein_check_on_domain,
};
use crate::fitted::{FittedModel, LikelihoodComparison, NoiseRecord};
use crate::reference::{GaussianMixture, ReferenceDensity};
use crate::score::{AtTime, Score};
use crate::sde::{AnyProcess, Marginal, Process};
use crate::words::short;
use crate::{Error, ErrorClass, Result};

/// Chance of a fault reported in a true score, by any test.
pub const LEVEL: f64 = 0.05;
/// Fresh rows on which a fit is compared with a known truth.
const FRESH_ROWS: usize = 10_000;
/// Seed offset of fresh rows: not the rows that trained the model.
const FRESH: u64 = 0x5eed_f5e5;
/// Least rows on which a fit is evaluated.
const LEAST: usize = 3;
/// Standard errors beyond which a difference is one.
const APART: f64 = 2.0;
/// Where between t_min and T a diffusion model is evaluated; of a ladder of noise levels, at the nearest of them.
const SHARES: [f64; 5] = [0.0, 0.05, 0.2, 0.5, 1.0];

/// The figures of a model on held-out rows.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// Rows.
    pub rows: usize,
    /// Implicit score matching loss, MATH (4), columns in units of their standard deviations.
    pub exact_loss: Estimate,
    /// The Stein identities, at [`LEVEL`] together.
    pub stein: SteinReport,
    /// Whether the model has a condition that differs from row to row.
    pub conditional: bool,
    /// Whether the identities are those within a domain.
    pub bounded: bool,
    /// None for too few rows to find anything, where half of the rows are equal, which no density explains, and for
    /// models with a domain, at whose boundary the identity behind the test need not hold.
    pub kernel_stein: Option<KernelSteinDiscrepancy>,
    /// The model beside densities fitted to the same training rows, where these were at hand.
    pub baselines: Vec<BaselineComparison>,
    /// Log likelihoods of a diffusion model, beside those of these densities, where they were at hand.
    pub likelihood: Option<LikelihoodComparison>,
    /// The distance from the truth, on fresh rows, where that is known.
    pub fisher: Option<FisherDivergence>,
    columns: Vec<String>,
}

/// How good a model is, as far as the rows can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Grade {
    /// No fault found, by rows enough to find one, and better than the baselines.
    Good,
    /// Not known, or no better than a baseline.
    Doubtful,
    /// At odds with the rows, or worse than a baseline.
    Faulty,
}

/// A grade and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The grade.
    pub grade: Grade,
    /// Why, in one sentence.
    pub reason: String,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// How a model stands beside a baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The model is better.
    Better,
    /// The rows cannot tell.
    Neither,
    /// The baseline is better.
    Worse,
}

impl Standing {
    /// Of a diffusion model whose log likelihood is so much above a baseline's.
    pub fn of_likelihood(above: &Paired) -> Self {
        let far = APART * above.standard_error;
        match above.mean {
            better if better > far => Standing::Better,
            worse if worse < -far => Standing::Worse,
            _ => Standing::Neither,
        }
    }

    /// Of a model beside `found`: which is better by more than two standard errors.
    pub fn of(found: &BaselineComparison) -> Self {
        match (found.is_beaten(APART), found.is_better(APART)) {
            (true, _) => Standing::Better,
            (_, true) => Standing::Worse,
            _ => Standing::Neither,
        }
    }
}

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

/// Evaluates a model, at the rows' conditions if it has any, on held-out rows (n x d), and against the truth where the
/// rows were drawn from one. All draws come from `seed`.
///
/// # Errors
/// Too few rows; rows outside the model's domain; a score that is not finite.
pub fn evaluate(
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    drawn_from: Option<&Dataset>,
    seed: u64,
) -> Result<Evaluation> {
    enough_rows(rows.nrows())?;
    let exact_loss = Estimate::of(model.exact_loss_rows(rows).view());
    let c = model.condition().unwrap_or_default();
    // One condition for all rows says nothing of how the score follows it.
    let c = if c.nrows() == rows.nrows() { c } else { Array2::zeros((rows.nrows(), 0)) };
    model.check_domain(rows, "held-out rows")?;
    let stein = match &model.description().domain {
        Some(domain) => stein_check_on_domain(model, domain, rows, LEVEL)?,
        None => stein_check_conditional(model, rows, c.view(), LEVEL)?,
    };
    let kernel_stein = kernel_stein(model, rows, seed)?;
    let fisher = match drawn_from.and_then(|set| Some((set, set.density()?))) {
        Some((set, truth)) => {
            let fresh = set.sample_seeded(FRESH_ROWS, FRESH ^ seed);
            Some(fisher_divergence(model, truth as &dyn Score, fresh.view())?)
        }
        None => None,
    };
    Ok(Evaluation {
        rows: rows.nrows(),
        exact_loss,
        conditional: c.ncols() > 0,
        bounded: model.description().domain.is_some(),
        stein,
        kernel_stein,
        baselines: Vec::new(),
        likelihood: None,
        fisher,
        columns: model.all_columns(),
    })
}

fn kernel_stein(
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    seed: u64,
) -> Result<Option<KernelSteinDiscrepancy>> {
    // Of n rows half of the 2^n patterns of signs are different: of 5 rows no p-value can be below 0.05.
    if model.description().domain.is_some() || rows.nrows() < 6 {
        return Ok(None);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    match kernel_stein_discrepancy(model, rows, &KsdConfig::default(), &mut rng) {
        Ok(found) => Ok(Some(found)),
        Err(Error::Data { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// As [`evaluate`]; a diffusion model on the same rows, noised to the time at which it answers, of which no truth is
/// known. The noise comes from `noise_seed`.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_at_its_time(
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    drawn_from: Option<&Dataset>,
    (noise_seed, seed): (u64, u64),
) -> Result<Evaluation> {
    match model.noised(rows, noise_seed)? {
        Some(noised) => evaluate(model, noised.view(), None, seed),
        None => evaluate(model, rows, drawn_from, seed),
    }
}

impl Evaluation {
    /// Whether no fault was found in a band so wide that it holds no score at all, whose slope is 0, and one of twice
    /// the size alike.
    pub fn cannot_tell(&self) -> bool {
        self.stein.verdict.is_consistent() && self.half_width() >= 1.0
    }

    /// Of the band of the slope.
    fn half_width(&self) -> f64 {
        self.stein.critical_z * self.stein.slope.standard_error
    }

    /// Whether all Stein identities hold within their bands.
    pub fn is_consistent(&self) -> bool {
        self.stein.verdict.is_consistent()
    }

    /// What the figures come to. The purpose of a diffusion model is its density and its samples, so its log likelihood
    /// beside the baselines' decides where it is known; the score where the noise is least is a note.
    pub fn verdict(&self) -> Verdict {
        if let Some(likelihood) = &self.likelihood {
            return self.of_the_likelihood(likelihood);
        }
        let beside = |standing| self.baselines.iter().find(|b| Standing::of(b) == standing);
        let (worse, unsure) = (beside(Standing::Worse), beside(Standing::Neither));
        let grade = match self.is_consistent() && worse.is_none() {
            false => Grade::Faulty,
            true if unsure.is_none() && !self.cannot_tell() => Grade::Good,
            true => Grade::Doubtful,
        };
        let beside = match (worse, unsure) {
            (Some(found), _) => format!(
                "worse than a {}, whose exact loss is {} lower; ",
                found.baseline,
                short(found.difference.mean)
            ),
            (None, Some(found)) => {
                format!("no better than a {}, as far as these rows can tell; ", found.baseline)
            }
            (None, None) => String::new(),
        };
        Verdict { grade, reason: beside + &self.of_the_identities() }
    }

    fn of_the_likelihood(&self, found: &LikelihoodComparison) -> Verdict {
        let standing = |baseline: &(Baseline, f64, Paired)| Standing::of_likelihood(&baseline.2);
        let first = |wanted| found.baselines.iter().find(|b| standing(b) == wanted);
        let by = |above: &Paired| {
            format!("{} +- {} nats a row", short(above.mean.abs()), short(above.standard_error))
        };
        let (grade, reason) = match (first(Standing::Worse), first(Standing::Neither)) {
            (Some((name, _, above)), _) => {
                let reason =
                    format!("worse than a {name}, whose log likelihood is {} higher", by(above));
                (Grade::Faulty, reason)
            }
            (None, Some((name, ..))) => {
                let reason = format!(
                    "no better than a {name} in log likelihood, as far as these rows can tell"
                );
                (Grade::Doubtful, reason)
            }
            (None, None) => match found.baselines.last() {
                Some((name, _, above)) => (
                    Grade::Good,
                    format!("better than a {name} in log likelihood, by {}", by(above)),
                ),
                None => (Grade::Doubtful, "not compared with any baseline".to_string()),
            },
        };
        let note = match self.is_consistent() {
            true => String::new(),
            false => format!("; where the noise is least, {}", self.of_the_identities()),
        };
        Verdict { grade, reason: reason + &note }
    }

    fn of_the_identities(&self) -> String {
        if self.cannot_tell() {
            return format!(
                "cannot tell: {} rows give the slope to +- {} only, so that they would hardly show a fault",
                self.stein.n,
                short(self.half_width())
            );
        }
        if self.is_consistent() {
            return "no fault found: the score agrees with the held-out rows in mean and slope"
                .into();
        }
        self.stein.verdict.describe(&self.columns)
    }
}

impl Prepared {
    /// The figures on the test rows, beside baselines, or why there are none.
    ///
    /// # Errors
    /// Whatever is wrong with more than these rows.
    pub fn evaluate(&self, model: &FittedModel) -> Result<Result<Evaluation, Error>> {
        let part = &self.split.test;
        let test = self.rows(part);
        let at = match test.nrows() {
            0 => model.clone(),
            _ => self.model_at(model, part)?,
        };
        let seed = model.description().training.seed;
        let set = self.checked().drawn_from.as_ref().filter(|_| self.condition.is_none());
        match evaluate_at_its_time(&at, test.view(), set, (seed, seed)) {
            Ok(evaluation) => {
                let baselines = self.baselines(&at, test.view())?;
                let likelihood = self.likelihood(&at, test.view())?;
                Ok(Ok(Evaluation { baselines, likelihood, ..evaluation }))
            }
            Err(error) if error.class() == ErrorClass::Data => Ok(Err(error)),
            Err(error) => Err(error),
        }
    }

    /// The densities that a fit has to beat, on its test rows; none where they cannot be fitted.
    fn baselines(
        &self,
        model: &FittedModel,
        test: ArrayView2<'_, f64>,
    ) -> Result<Vec<BaselineComparison>> {
        let (training, validation, mut rng) = self.beside(model);
        let found = model.beside_baselines(training.view(), validation.view(), test, &mut rng);
        Ok(unless_singular(found)?.unwrap_or_default())
    }

    /// Log likelihoods of a diffusion model beside theirs.
    fn likelihood(
        &self,
        model: &FittedModel,
        test: ArrayView2<'_, f64>,
    ) -> Result<Option<LikelihoodComparison>> {
        let (training, validation, mut rng) = self.beside(model);
        unless_singular(model.likelihood_beside_baselines(
            training.view(),
            validation.view(),
            test,
            &mut rng,
        ))
    }

    fn beside(&self, model: &FittedModel) -> (Array2<f64>, Array2<f64>, ChaCha8Rng) {
        let rng = ChaCha8Rng::seed_from_u64(model.description().training.seed);
        (self.rows(&self.split.train), self.rows(&self.split.validation), rng)
    }
}

/// None for rows without a covariance, which have no Gaussian.
fn unless_singular<T>(found: Result<Option<T>>) -> Result<Option<T>> {
    match found {
        Err(Error::Numerical { .. }) => Ok(None),
        other => other,
    }
}

/// A diffusion model at one time.
#[derive(Debug, Clone)]
pub struct AtOneTime {
    /// t.
    pub time: f64,
    /// The loss, as in [`Evaluation`].
    pub exact_loss: Estimate,
    /// The Stein identities, at a level that all times share.
    pub stein: SteinReport,
    /// What they come to, in words.
    pub verdict: String,
    /// E|s - s*|^2 / E|s*|^2 where the truth is known.
    pub relative_fisher_divergence: Option<Estimate>,
}

/// Evaluates a diffusion model on rows of the data, noised to several times from the least to the last; and against
/// the truth where they were drawn from a mixture of Gaussians.
///
/// # Errors
/// Too few rows; a model of one density.
pub fn evaluate_over_times(
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    drawn_from: Option<&Dataset>,
    seed: u64,
) -> Result<Vec<AtOneTime>> {
    enough_rows(rows.nrows())?;
    let Some((family, record)) = model.over_time().zip(model.description().noise.as_ref()) else {
        return Err(Error::config("fitted_model", "is of one density, not of all noise levels"));
    };
    let truth = truth(model, record, drawn_from)?;
    let (low, high) = (family.clock().t_min(), family.clock().horizon());
    let mut times = Vec::new();
    let mut shares = SHARES.map(|share| nearest_level(share, record.config.levels)).to_vec();
    shares.dedup();
    let level = LEVEL / shares.len() as f64;
    for share in shares {
        let time = if share == 1.0 { high } else { low + share * (high - low) };
        let at = model.clone().at_time(time)?;
        let Some(noised) = at.noised(rows, seed)? else { continue };
        let stein = stein_check(&at, noised.view(), level)?;
        let exact_loss = Estimate::of(at.exact_loss_rows(noised.view()).view());
        let fisher = match &truth {
            None => None,
            Some(truth) => {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                let law = truth.at(time);
                let fresh = law.sample(FRESH_ROWS, &mut rng);
                Some(fisher_divergence(&AtTime { family, time }, &law, fresh.view())?.relative)
            }
        };
        let verdict = match stein.verdict.is_consistent() {
            true => "no fault found".to_string(),
            false => stein.verdict.describe(&model.description().columns),
        };
        times.push(AtOneTime {
            time,
            exact_loss,
            stein,
            verdict,
            relative_fisher_divergence: fisher,
        });
    }
    Ok(times)
}

/// The share of the nearest level of a ladder: a model of a ladder knows no time between.
fn nearest_level(share: f64, levels: Option<usize>) -> f64 {
    let Some(levels) = levels.filter(|levels| *levels > 1) else { return share };
    let spaces = (levels - 1) as f64;
    (share * spaces).round() / spaces
}

/// The exact law at every time, in the network's units, where the data are Gaussian mixtures.
fn truth(
    model: &FittedModel,
    record: &NoiseRecord,
    drawn_from: Option<&Dataset>,
) -> Result<Option<Marginal<Process>>> {
    let AnyProcess::Named(process) = record.process else { return Ok(None) };
    let oracle = drawn_from.and_then(Dataset::density);
    let Some(parts) = oracle.and_then(|oracle| oracle.gaussians()) else { return Ok(None) };
    let transform = &model.description().transform;
    // Rows are A e_k: the transpose of A.
    let turned = transform.column_directions();
    let means =
        Array2::from_shape_fn((parts.len(), transform.dim()), |(k, j)| parts[k].1.mean()[j]);
    let covariances = parts
        .iter()
        .map(|(_, p)| {
            let inside = turned.t().dot(p.covariance()).dot(&turned);
            (&inside + &inside.t()) * 0.5
        })
        .collect();
    let weights = parts.iter().map(|(weight, _)| *weight).collect::<Array1<f64>>();
    let means = transform.forward(means.view());
    let data = GaussianMixture::new(weights, means.view(), covariances)?;
    Ok(Some(Marginal::new(data, process)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ladders_are_evaluated_on_their_levels() {
        assert_eq!(nearest_level(0.05, None), 0.05);
        let at = |share| nearest_level(share, Some(5));
        assert_eq!(SHARES.map(at), [0.0, 0.0, 0.25, 0.5, 1.0]);
    }
}
