//! Missing values of a table drawn from their conditional distribution given the others of the row: by chains on the
//! missing values alone where the model has one density, by the reverse process where it knows every noise
//! level.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::Sampler;
use crate::data::Transform;
use crate::fitted::FittedModel;
use crate::sample::reverse::{Holes, Reverse, ReverseImpute, impute_reverse};
use crate::sample::{ImputeConfig, Parallel, Target, impute};
use crate::score::{LogDensity, Score};
use crate::{Error, Result};

/// How missing values are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct ImputeSettings {
    /// Draws of every missing value.
    pub draws: usize,
    /// Chains: steps that bring each to where it belongs.
    pub warm_up: usize,
    /// Chains: steps after them, the last one being the draw; else steps from noise to data.
    pub steps: usize,
    /// Chains: step a in units of the columns' standard deviations, squared; None: found for each row.
    pub step_size: Option<f64>,
    /// Chains on a density: most leapfrog steps of a move.
    pub leapfrog: usize,
    /// Values of columns that got noise before the fit are not rounded back to the columns' own.
    pub keep_noise: bool,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for ImputeSettings {
    fn default() -> Self {
        let ImputeConfig { draws, warm_up, steps, step_size, leapfrog } = ImputeConfig::default();
        ImputeSettings { draws, warm_up, steps, step_size, leapfrog, keep_noise: false, seed: 0 }
    }
}

impl ImputeSettings {
    fn config(&self) -> ImputeConfig {
        ImputeConfig {
            draws: self.draws,
            warm_up: self.warm_up,
            steps: self.steps,
            step_size: self.step_size,
            leapfrog: self.leapfrog,
        }
    }

    /// Bytes that the draws of `rows` take, at least.
    pub fn bytes(&self, rows: ArrayView2<'_, f64>) -> f64 {
        let draws = self.draws as f64;
        // Each chain has a generator of its own.
        8.0 * 8.0 * rows.len() as f64 * draws + 400.0 * incomplete(rows).len() as f64 * draws
    }
}

/// A table without its holes, and diagnostics of the draws.
#[derive(Debug)]
pub struct Imputation {
    /// The whole table of the first draw, then that of the second, ...: (draws * n) x d, in the user's units. What was
    /// observed is there bit for bit; values of draws that were lost are still missing.
    pub rows: Array2<f64>,
    /// Rows with missing values, counted from 0.
    pub incomplete: Vec<usize>,
    /// By what they were drawn.
    pub sampler: Sampler,
    /// Chains: a after warm-up, the median over rows.
    pub step_size: Option<f64>,
    /// Chains on a density: mean acceptance after warm-up.
    pub acceptance_rate: Option<f64>,
    /// Chains: R-hat of the halves of those of a row, the median over missing values; None with one draw.
    pub r_hat: Option<f64>,
    /// Chains: rows, counted from 0, whose chains have not mixed; None where there are no chains.
    pub not_mixed: Option<Vec<usize>>,
    /// [`Error::Diverged`] with the rows, counted from 0, of which draws were lost; None where none was.
    pub failure: Option<Error>,
}

/// Draws of the incomplete rows, all of the first draw first; their places are those among the incomplete rows.
struct Drawn {
    rows: Array2<f64>,
    sampler: Sampler,
    step_size: Option<f64>,
    acceptance_rate: Option<f64>,
    r_hat: Option<f64>,
    not_mixed: Option<Vec<usize>>,
    failure: Option<Error>,
}

/// Sees (steps done, steps) after each step, and may stop the run.
type Observer<'a> = dyn FnMut(usize, usize) -> ControlFlow<()> + 'a;

/// The places of rows with missing values.
fn incomplete(rows: ArrayView2<'_, f64>) -> Vec<usize> {
    (0..rows.nrows()).filter(|row| rows.row(*row).iter().any(|x| x.is_nan())).collect()
}

impl FittedModel {
    /// Draws the values that are NaN in `rows` (n x d, the user's units) given the others of their row: by HMC on a
    /// density, by ULA on a score field, by the reverse process of a model that knows every noise level. Each draw is
    /// one of its own; a row's draws do not depend on the other rows.
    ///
    /// ```no_run
    /// use gradlogp::FittedModel;
    /// use gradlogp::draw::ImputeSettings;
    /// use ndarray::array;
    ///
    /// let model = FittedModel::load("model.safetensors".as_ref())?;
    /// let rows = array![[1.5, f64::NAN], [0.2, 3.0]];
    /// let settings = ImputeSettings { draws: 5, ..ImputeSettings::default() };
    /// println!("{}", model.impute(rows.view(), &settings)?.rows);
    /// # Ok::<(), gradlogp::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] for settings, and for a model that is conditional or has bounds; [`Error::Shape`] for other columns than the model's; [`Error::Diverged`] where some draws, or
    /// all, were lost.
    pub fn impute(
        &self,
        rows: ArrayView2<'_, f64>,
        settings: &ImputeSettings,
    ) -> Result<Imputation> {
        let found = self.impute_watched(rows, settings, &mut |_, _| ControlFlow::Continue(()))?;
        match found {
            Some(Imputation { failure: Some(error), .. }) => Err(error),
            Some(found) => Ok(found),
            None => Err(Error::Numerical {
                operation: "imputation",
                message: "was stopped".to_string(),
            }),
        }
    }

    /// The same under way: `observer` sees (steps done, steps), within a long step several times the same; None
    /// where it stopped the run. Draws that were lost leave their values missing, and are told of in
    /// [`failure`](Imputation::failure).
    ///
    /// # Errors
    /// As [`impute`](FittedModel::impute), and [`Error::Diverged`] only where all draws were lost.
    pub fn impute_watched(
        &self,
        rows: ArrayView2<'_, f64>,
        settings: &ImputeSettings,
        observer: &mut Observer<'_>,
    ) -> Result<Option<Imputation>> {
        self.check_imputes()?;
        settings.config().validate()?;
        let d = self.description().columns.len();
        if rows.ncols() != d {
            let (expected, found) = (vec![d], vec![rows.ncols()]);
            return Err(Error::Shape { operation: "columns to impute", expected, found });
        }
        let incomplete = incomplete(rows);
        let part = rows.select(Axis(0), &incomplete);
        let drawn = match incomplete.is_empty() {
            true => Ok(Some(self.nothing(part.clone()))),
            false => self.draw_missing(part.view(), settings, observer),
        };
        let Some(mut drawn) = drawn.map_err(|error| in_table(error, &incomplete))? else {
            return Ok(None);
        };
        let noise = self.description().dequantization.as_ref().filter(|_| !settings.keep_noise);
        if let Some(noise) = noise {
            let count = part.nrows().max(1);
            noise.restore(&mut drawn.rows, |i, j| part[[i % count, j]].is_nan());
        }
        let places = |rows: Vec<usize>| rows.into_iter().map(|i| incomplete[i]).collect();
        Ok(Some(Imputation {
            rows: whole(rows, &incomplete, settings.draws, &drawn.rows),
            sampler: drawn.sampler,
            step_size: drawn.step_size,
            acceptance_rate: drawn.acceptance_rate,
            r_hat: drawn.r_hat,
            not_mixed: drawn.not_mixed.map(places),
            failure: drawn.failure.map(|error| in_table(error, &incomplete)),
            incomplete,
        }))
    }

    /// Refuses a model that cannot fill in missing values.
    ///
    /// # Errors
    /// [`Error::Config`] for a model that is conditional, or has bounds.
    pub fn check_imputes(&self) -> Result<()> {
        let refuse = |why: &str| Err(Error::config("fitted_model", why));
        if !self.condition_columns().is_empty() {
            return refuse(
                "is conditional, and only a model of all columns can fill in what is missing of them; fit one \
                 without `given`",
            );
        }
        if self.description().domain.is_some() {
            return refuse(
                "was fitted with bounds, and imputed values would not respect them; fit a model without \
                 `bounds` and `domain`",
            );
        }
        Ok(())
    }

    /// No draws, of no rows.
    fn nothing(&self, rows: Array2<f64>) -> Drawn {
        let sampler = match (self.over_time(), self.as_log_density()) {
            (Some(_), _) => Sampler::Em,
            (None, Some(_)) => Sampler::Hmc,
            (None, None) => Sampler::Ula,
        };
        let (step_size, acceptance_rate, r_hat, not_mixed, failure) =
            (None, None, None, None, None);
        Drawn { rows, sampler, step_size, acceptance_rate, r_hat, not_mixed, failure }
    }

    fn draw_missing(
        &self,
        rows: ArrayView2<'_, f64>,
        settings: &ImputeSettings,
        observer: &mut Observer<'_>,
    ) -> Result<Option<Drawn>> {
        match self.over_time() {
            Some(model) => {
                let score = Parallel(model);
                let reverse = Reverse { sde: model.clock().sde(), score: &score };
                self.by_reverse(&reverse, rows, settings, observer)
            }
            None => self.by_chains(rows, settings, observer),
        }
    }

    fn by_chains(
        &self,
        rows: ArrayView2<'_, f64>,
        settings: &ImputeSettings,
        observer: &mut Observer<'_>,
    ) -> Result<Option<Drawn>> {
        let known = (&self.description().column_mean[..], &self.description().column_scale[..]);
        let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
        // Chains run in single precision, as those of samples do.
        let (network, transform) = (self.in_network_units(), &self.description().transform);
        let density = network.as_log_density().map(|inner| InUserUnits { inner, transform });
        let density = density.as_ref().map(Parallel);
        let field = InUserUnits { inner: &network, transform };
        let field = Parallel(&field);
        let target = match &density {
            Some(density) => Target::Density(density),
            None => Target::Field(&field),
        };
        let run = impute(target, rows, known, &settings.config(), &mut rng, observer)?;
        Ok(run.map(|run| Drawn {
            step_size: Some(run.step_size),
            acceptance_rate: run.acceptance,
            r_hat: run.r_hat,
            failure: run.failure(),
            not_mixed: Some(run.not_mixed),
            ..self.nothing(run.rows)
        }))
    }

    /// In the network's units.
    fn by_reverse(
        &self,
        reverse: &Reverse<'_>,
        rows: ArrayView2<'_, f64>,
        settings: &ImputeSettings,
        observer: &mut Observer<'_>,
    ) -> Result<Option<Drawn>> {
        let transform = &self.description().transform;
        let (draws, steps) = (settings.draws, settings.steps);
        let config = ReverseImpute { draws, steps, ..ReverseImpute::default() };
        let holes = match transform.diagonal_scale() {
            Some(_) => Holes::in_coordinates(transform.forward(rows).view()),
            None => in_mixed_columns(transform, &self.description().column_mean, rows)?,
        };
        let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
        let run = impute_reverse(reverse, &holes, &config, &mut rng, observer)?;
        Ok(run.map(|run| {
            let mut out = transform.inverse(run.rows.view());
            // There and back, what was observed would be rounded.
            for ((i, j), x) in rows.indexed_iter().filter(|(_, x)| !x.is_nan()) {
                (0..draws).for_each(|draw| out[[draw * rows.nrows() + i, j]] = *x);
            }
            Drawn { failure: run.failure(), ..self.nothing(out) }
        }))
    }
}

/// Rows of x as those of z = A (x - m), A mixing the columns: of each is known what is orthogonal to the columns of A that
/// belong to its missing values. What stands for these, here `filler`, is of no consequence.
fn in_mixed_columns(
    transform: &Transform,
    filler: &[f64],
    rows: ArrayView2<'_, f64>,
) -> Result<Holes> {
    let columns = transform.column_directions();
    let mut bases: HashMap<Vec<bool>, Arc<Array2<f64>>> = HashMap::new();
    let mut filled = rows.to_owned();
    let mut directions = Vec::with_capacity(rows.nrows());
    for mut row in filled.outer_iter_mut() {
        let missing: Vec<bool> = row.iter().map(|x| x.is_nan()).collect();
        let basis = bases.entry(missing.clone()).or_insert_with(|| {
            let places: Vec<usize> = (0..missing.len()).filter(|j| missing[*j]).collect();
            Arc::new(orthonormal(columns.select(Axis(0), &places)))
        });
        directions.push(Arc::clone(basis));
        row.iter_mut().zip(filler).filter(|(x, _)| x.is_nan()).for_each(|(x, m)| *x = *m);
    }
    Holes::along(transform.forward(filled.view()).view(), directions)
}

/// An orthonormal basis, in columns, of what independent rows span: by Gram and Schmidt, each row twice, which rounding asks for.
fn orthonormal(mut rows: Array2<f64>) -> Array2<f64> {
    for k in 0..rows.nrows() {
        let (done, mut rest) = rows.view_mut().split_at(Axis(0), k);
        let mut row = rest.row_mut(0);
        for _ in 0..2 {
            let length = row.dot(&row).sqrt();
            row /= length;
            for q in done.outer_iter() {
                let along = q.dot(&row);
                row.scaled_add(-along, &q);
            }
        }
        let length = row.dot(&row).sqrt();
        row /= length;
    }
    rows.reversed_axes()
}

/// A score or log density of z = A (x - m) as one of x.
struct InUserUnits<'m, S> {
    inner: S,
    transform: &'m Transform,
}

impl<S: Score> Score for InUserUnits<'_, S> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn score(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        let score = self.inner.score(self.transform.forward(x).view());
        self.transform.score_to_user(score.view())
    }
}

impl<S: LogDensity> LogDensity for InUserUnits<'_, S> {
    fn log_density(&self, x: ArrayView2<'_, f64>) -> Array1<f64> {
        let value = self.inner.log_density(self.transform.forward(x).view());
        self.transform.log_density_to_user(value.view())
    }

    fn log_density_and_score(&self, x: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
        let inside = self.transform.forward(x);
        let (value, score) = self.inner.log_density_and_score(inside.view());
        (
            self.transform.log_density_to_user(value.view()),
            self.transform.score_to_user(score.view()),
        )
    }
}

/// The whole table once per draw.
fn whole(
    table: ArrayView2<'_, f64>,
    incomplete: &[usize],
    draws: usize,
    drawn: &Array2<f64>,
) -> Array2<f64> {
    let n = table.nrows();
    let mut out = Array2::zeros((draws * n, table.ncols()));
    for (at, mut row) in out.outer_iter_mut().enumerate() {
        let (draw, i) = (at / n, at % n);
        row.assign(&match incomplete.binary_search(&i) {
            Ok(k) => drawn.row(draw * incomplete.len() + k),
            Err(_) => table.row(i),
        });
    }
    out
}

/// An error that counts the draws of incomplete rows, with the places of these rows in the table.
fn in_table(error: Error, incomplete: &[usize]) -> Error {
    let Error::Diverged { step, rows, message } = error else { return error };
    if rows.is_empty() {
        return Error::Diverged { step, rows, message };
    }
    let mut rows: Vec<usize> = rows.iter().map(|i| incomplete[i % incomplete.len()]).collect();
    rows.sort_unstable();
    rows.dedup();
    let message = format!(
        "the model gives no finite density or score along the chains of {} of the incomplete rows, the \
         first of which is row {}; such a row is far from all that the model was fitted to",
        rows.len(),
        rows[0] + 1
    );
    Error::Diverged { step, rows, message }
}

#[cfg(test)]
#[path = "impute_tests.rs"]
mod tests;
