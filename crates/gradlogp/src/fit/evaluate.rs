//! What is known of a fitted model on rows that did not train it, and what it comes to.

use ndarray::{Array2, ArrayView2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::figures::{
    FRESH_ROWS, LEVEL, ONE_SIDED, Parts, corrections_of, enough_rows, finite, of_corrections,
};
use super::over_times::{MEANT, nats_over_time, of_likelihood, of_nats};
use super::samples::SampleCheck;
use super::verdict::judge;
use super::{
    Effect, Evidence, Measure, NATS_A_COLUMN, Prepared, Purpose, RELATIVE_FISHER, Verdict,
};
use crate::data::synthetic::Dataset;
use crate::diagnose::{
    Baseline, BaselineComparison, Correction, Corrections, Estimate, FisherDivergence,
    KernelSteinDiscrepancy, KsdConfig, Paired, SteinReport, fisher_divergence,
    kernel_stein_discrepancy, stein_check_conditional, stein_check_on_domain,
};
use crate::fitted::{FittedModel, LikelihoodComparison, LikelihoodConfig};
use crate::model::ModelKind;
use crate::score::Score;
use crate::{Error, ErrorClass, Result};

/// Seed offset of fresh rows: not the rows that trained the model.
const FRESH: u64 = 0x5eed_f5e5;
/// Most training rows whose losses are compared with those of held-out rows, and whose log likelihoods.
const TRAINING_ROWS: usize = 2000;
const LIKELIHOOD_ROWS: usize = 300;
/// Standard errors beyond which a difference is one.
const APART: f64 = 2.0;
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
    /// The model beside densities fitted to the same training rows, or where these were not at hand, to some of these rows.
    pub baselines: Vec<BaselineComparison>,
    /// Log likelihoods of a diffusion model, beside those of these densities, where they were at hand.
    pub likelihood: Option<LikelihoodComparison>,
    /// What corrections of the score take away; None for models with a domain, at whose boundary the identity behind it
    /// need not hold.
    pub corrections: Option<Corrections>,
    /// What the exact loss of these rows is above that of training rows, where these were at hand.
    pub overfitting: Option<Estimate>,
    /// For models over time, what corrections of the score at all noise levels are worth, in nats a row.
    pub nats: Vec<(Correction, Estimate)>,
    /// For models over time, half of what the log likelihood of training rows is above that of these.
    pub likelihood_overfitting: Option<Estimate>,
    /// Samples beside these rows, where there are any.
    pub samples: Option<SampleCheck>,
    /// The distance from the truth, on fresh rows, where that is known.
    pub fisher: Option<FisherDivergence>,
    kind: Kind,
    columns: Vec<String>,
}

/// What kind of model it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    LogDensity,
    Score,
    OverTime,
}

impl Kind {
    fn of(model: &FittedModel) -> Self {
        match (model.over_time(), model.kind()) {
            (Some(_), _) => Kind::OverTime,
            (None, ModelKind::LogDensity) => Kind::LogDensity,
            (None, ModelKind::Score) => Kind::Score,
        }
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

/// Evaluates a model, at the rows' conditions if it has any, on held-out rows (n x d), and against the truth where the
/// rows were drawn from one; where there are rows enough, a third of them beside baselines that are fitted to the others. All draws come
/// from `seed`.
///
/// # Errors
/// Too few rows; rows outside the model's domain; a score that is not finite.
pub fn evaluate(
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    drawn_from: Option<&Dataset>,
    seed: u64,
) -> Result<Evaluation> {
    let figures = figures(model, rows, drawn_from, seed)?;
    if rows.nrows() < 6 * (rows.ncols() + 1) {
        return Ok(figures);
    }
    let parts = Parts::of(rows);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (training, validation) = (parts.training.view(), parts.validation.view());
    let found = match finite(model.fit_baselines(training, validation, &mut rng))?.flatten() {
        Some(baselines) => model.beside_baselines(&baselines, parts.tested.view()),
        None => Ok(None),
    };
    Ok(Evaluation { baselines: finite(found)?.flatten().unwrap_or_default(), ..figures })
}

/// As [`evaluate`], without baselines.
fn figures(
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    drawn_from: Option<&Dataset>,
    seed: u64,
) -> Result<Evaluation> {
    enough_rows(rows.nrows())?;
    let losses = model.exact_loss_rows(rows);
    let c = model.condition().unwrap_or_default();
    // One condition for all rows says nothing of how the score follows it.
    let c = if c.nrows() == rows.nrows() { c } else { Array2::zeros((rows.nrows(), 0)) };
    model.check_domain(rows, "held-out rows")?;
    let stein = match &model.description().domain {
        Some(domain) => stein_check_on_domain(model, domain, rows, LEVEL)?,
        None => stein_check_conditional(model, rows, c.view(), LEVEL)?,
    };
    let kernel_stein = kernel_stein(model, rows, seed)?;
    let corrections = match model.description().domain {
        Some(_) => None,
        None => corrections_of(model, rows, &losses, c.view(), seed)?,
    };
    let fisher = match drawn_from.and_then(|set| Some((set, set.density()?))) {
        Some((set, truth)) => {
            let fresh = set.sample_seeded(FRESH_ROWS, FRESH ^ seed);
            Some(fisher_divergence(model, truth as &dyn Score, fresh.view())?)
        }
        None => None,
    };
    Ok(Evaluation {
        rows: rows.nrows(),
        exact_loss: Estimate::of(losses.view()),
        conditional: c.ncols() > 0,
        bounded: model.description().domain.is_some(),
        stein,
        kernel_stein,
        baselines: Vec::new(),
        likelihood: None,
        corrections,
        overfitting: None,
        nats: Vec::new(),
        likelihood_overfitting: None,
        samples: None,
        fisher,
        kind: Kind::of(model),
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
    /// Whether all Stein identities hold within their bands.
    pub fn is_consistent(&self) -> bool {
        self.stein.verdict.is_consistent()
    }

    /// What speaks for or against the model.
    pub fn evidence(&self) -> Vec<Evidence> {
        let mut found = Vec::new();
        let score = self.purposes_of_the_score();
        let of = |measure, effect| {
            let purposes = score.clone();
            Evidence { measure, effect, bound: RELATIVE_FISHER, purposes, proven: true }
        };
        if let Some(corrections) = &self.corrections {
            found.extend(of_corrections(corrections, &score));
            let information = corrections.information;
            found.extend(self.baselines.iter().map(|b| {
                // Twice the difference of losses is that of the divergences.
                let (mean, error) = (2.0 * b.difference.mean, 2.0 * b.difference.standard_error);
                let effect = Effect::shown(mean / information, ONE_SIDED, error / information);
                of(Measure::Baseline(b.baseline), effect)
            }));
            found.extend(self.overfitting.map(|gap| {
                let (mean, error) = (gap.mean / information, gap.standard_error / information);
                of(Measure::Overfitting, Effect::shown(mean, ONE_SIDED, error))
            }));
        } else {
            found.push(of(Measure::Slope, self.slope_effect()));
        }
        let columns = self.columns.len();
        found.extend(of_nats(&self.nats, columns));
        found.extend(self.likelihood.iter().flat_map(|l| of_likelihood(l, columns)));
        let beats_baselines = self.likelihood.as_ref().is_some_and(|found| {
            let mut all = found.baselines.iter();
            !found.baselines.is_empty()
                && all.all(|b| Standing::of_likelihood(&b.2) == Standing::Better)
        });
        found.extend(self.likelihood_overfitting.map(|half| Evidence {
            measure: Measure::LikelihoodOverfitting { beats_baselines },
            effect: Effect::shown(half.mean, ONE_SIDED, half.standard_error),
            bound: NATS_A_COLUMN * columns as f64,
            purposes: MEANT.to_vec(),
            proven: true,
        }));
        let proven = match self.kind {
            Kind::OverTime => beats_baselines,
            _ => {
                let mut all = self.baselines.iter();
                !self.baselines.is_empty() && all.all(|b| Standing::of(b) == Standing::Better)
            }
        };
        for evidence in &mut found {
            evidence.proven = proven;
        }
        found.extend(self.samples.iter().flat_map(|samples| samples.evidence(&self.columns)));
        found
    }

    /// (c - 1)^2 of the Stein slope, with the limits of its band.
    fn slope_effect(&self) -> Effect {
        let (off, half) =
            ((self.stein.slope.mean - 1.0).abs(), ONE_SIDED * self.stein.slope.standard_error);
        Effect {
            low: (off - half).max(0.0).powi(2),
            estimate: off.powi(2),
            high: (off + half).powi(2),
        }
    }

    /// What a score of the rows' own density bears on.
    fn purposes_of_the_score(&self) -> Vec<Purpose> {
        use Purpose::{Anomaly, Density, Imputation, Sampling, Score};
        match self.kind {
            Kind::OverTime => vec![Score],
            Kind::LogDensity => vec![Score, Density, Anomaly, Sampling, Imputation],
            Kind::Score => vec![Score, Sampling, Imputation],
        }
    }

    /// What the figures come to. What a model over time is for is densities and samples, which its score where the noise is least
    /// hardly touches. Samples are looked at where there are any.
    pub fn verdict(&self) -> Verdict {
        let (meant, others): (Vec<Purpose>, Vec<Purpose>) = match self.kind {
            Kind::OverTime => (MEANT.to_vec(), vec![Purpose::Score]),
            Kind::LogDensity | Kind::Score => {
                // Of samples nothing is known before there are any.
                let of_samples = [Purpose::Sampling, Purpose::Imputation];
                let known = |p: &Purpose| self.samples.is_some() || !of_samples.contains(p);
                (self.purposes_of_the_score().into_iter().filter(known).collect(), Vec::new())
            }
        };
        judge(
            &self.evidence(),
            (self.rows, self.columns.len()),
            (&meant, &others),
            &self.beside_baselines(),
        )
    }

    /// What is to be said of the baselines first, if anything: that one is better, or as good as far as the rows can tell.
    fn beside_baselines(&self) -> String {
        let of_score = self.baselines.iter().map(|b| (b.baseline, Standing::of(b)));
        let of_density = self.likelihood.iter().flat_map(|found| &found.baselines);
        let of_density = of_density.map(|(b, _, above)| (*b, Standing::of_likelihood(above)));
        let all: Vec<(Baseline, Standing)> = match self.kind {
            Kind::OverTime => of_density.collect(),
            _ => of_score.collect(),
        };
        let measure = if self.kind == Kind::OverTime { " in log likelihood" } else { "" };
        let first = |wanted| all.iter().find(|(_, standing)| *standing == wanted);
        match (first(Standing::Worse), first(Standing::Neither), all.last()) {
            (Some((baseline, _)), ..) => format!("worse than a {baseline}{measure}"),
            (None, Some((baseline, _)), _) => {
                format!("no better than a {baseline}{measure}, as far as these rows can tell")
            }
            (None, None, Some((baseline, _))) => format!("better than a {baseline}{measure}"),
            (None, None, None) => String::new(),
        }
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
        let found = match at.noised(test.view(), seed)? {
            Some(noised) => figures(&at, noised.view(), None, seed),
            None => figures(&at, test.view(), set, seed),
        };
        match found {
            Ok(evaluation) => {
                let baselines = self.beside(&at, test.view())?;
                let likelihood = self.likelihood(&at, test.view())?;
                let overfitting = self.overfitting(model, &evaluation)?;
                let likelihood_overfitting = match &likelihood {
                    Some(held_out) => self.likelihood_overfitting(model, held_out)?,
                    None => None,
                };
                let nats = nats_over_time(&at, test.view(), seed)?;
                Ok(Ok(Evaluation {
                    baselines,
                    likelihood,
                    overfitting,
                    likelihood_overfitting,
                    nats,
                    ..evaluation
                }))
            }
            Err(error) if error.class() == ErrorClass::Data => Ok(Err(error)),
            Err(error) => Err(error),
        }
    }

    /// The densities that a fit has to beat, on its test rows; none where they cannot be fitted.
    fn beside(
        &self,
        model: &FittedModel,
        test: ArrayView2<'_, f64>,
    ) -> Result<Vec<BaselineComparison>> {
        // Nothing is fitted that such a model cannot be compared with.
        if model.over_time().is_some() || self.condition.is_some() || self.domain.is_some() {
            return Ok(Vec::new());
        }
        let Some(baselines) = self.baselines()? else { return Ok(Vec::new()) };
        Ok(unless_singular(model.beside_baselines(baselines, test))?.unwrap_or_default())
    }

    /// Log likelihoods of a diffusion model beside theirs.
    fn likelihood(
        &self,
        model: &FittedModel,
        test: ArrayView2<'_, f64>,
    ) -> Result<Option<LikelihoodComparison>> {
        if model.over_time().is_none() {
            return Ok(None);
        }
        let Some(baselines) = self.baselines()? else { return Ok(None) };
        let mut rng = ChaCha8Rng::seed_from_u64(model.description().training.seed);
        unless_singular(model.likelihood_beside_baselines(baselines, test, &mut rng))
    }

    /// What the exact loss of the held-out rows is above that of the training rows; None for models over time and with bounds.
    fn overfitting(&self, model: &FittedModel, held_out: &Evaluation) -> Result<Option<Estimate>> {
        if model.over_time().is_some() || held_out.corrections.is_none() {
            return Ok(None);
        }
        let part = evenly(&self.split.train, TRAINING_ROWS);
        let at = self.model_at(model, &part)?;
        let of_training = Estimate::of(at.exact_loss_rows(self.rows(&part).view()).view());
        Ok(Some(above(&held_out.exact_loss, &of_training)))
    }

    /// Half of what the log likelihood of training rows is above that of held-out ones.
    fn likelihood_overfitting(
        &self,
        model: &FittedModel,
        held_out: &LikelihoodComparison,
    ) -> Result<Option<Estimate>> {
        let part = evenly(&self.split.train, LIKELIHOOD_ROWS);
        let mut rng = ChaCha8Rng::seed_from_u64(model.description().training.seed);
        let config = LikelihoodConfig::default();
        let found = finite(model.log_likelihood(self.rows(&part).view(), &config, &mut rng))?;
        Ok(found.filter(|found| found.failed.is_empty()).map(|found| {
            let gap = above(&Estimate::of(found.log_density.view()), &held_out.log_likelihood);
            Estimate { mean: 0.5 * gap.mean, standard_error: 0.5 * gap.standard_error, ..gap }
        }))
    }
}

/// None for rows without a covariance, which have no Gaussian.
fn unless_singular<T>(found: Result<Option<T>>) -> Result<Option<T>> {
    match found {
        Err(Error::Numerical { .. }) => Ok(None),
        other => other,
    }
}

/// At most about `most` of `rows`, evenly spaced.
fn evenly(rows: &[usize], most: usize) -> Vec<usize> {
    let every = rows.len().div_ceil(most).max(1);
    rows.iter().step_by(every).copied().collect()
}

/// What one mean is above another of other rows.
fn above(a: &Estimate, b: &Estimate) -> Estimate {
    let standard_error = a.standard_error.hypot(b.standard_error);
    Estimate { mean: a.mean - b.mean, standard_error, n: a.n }
}
