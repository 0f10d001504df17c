//! The page of a fitted model: what is computed for its pictures.

use anyhow::Result;
use gradlogp::draw::{Route, Samples, Snapshot};
use gradlogp::fit::{SampleCheck, correlations};
use gradlogp::fitted::LikelihoodConfig;
use gradlogp::words::short;
use gradlogp::{FittedModel, LogDensity};
use ndarray::{Array2, ArrayView2, Axis, s};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::figures::Figures;
use crate::picture::ImageShape;
use crate::render::{self, FieldGrid, Fitted, GridSpec, LogDensities, ReportData};
use crate::samples;
use crate::settings::{objective, settings};

/// Least rows of each side that are compared: what the classifier test needs.
pub const LEAST_COMPARED: usize = 8;
/// Frames of the way from noise to data.
const FRAMES: usize = 7;

/// Rows drawn for the pictures, and the chains that draw them: long enough to be compared.
const SAMPLES: usize = 1500;
const CHAINS: usize = 100;
/// Of the comparison of samples with rows.
const SEED_OF_COMPARISON: u64 = 0xc0_4a_4e;
/// Conditions at which rows are drawn, one each.
const CONDITIONS: usize = 500;
/// Rows of data shown.
const SHOWN: usize = 5000;
/// Grid points per side of the field pictures.
const GRID: usize = 72;
/// The same of a slice through more columns.
const SLICE_GRID: usize = 48;
/// Most rows, and samples, whose log density takes a solution of the probability flow.
const BY_THE_FLOW: usize = 200;

/// What to draw for the pictures.
pub struct ToDraw {
    /// The model: a conditional one at the conditions of the rows beside which the samples are drawn.
    pub model: FittedModel,
    /// How many rows.
    pub rows: usize,
    /// Chains that draw them, where that is not left open.
    pub chains: Option<usize>,
}

impl ToDraw {
    /// Of a model.
    pub fn of(model: &FittedModel) -> Self {
        match model.condition() {
            Some(c) => ToDraw {
                model: model.at_first_conditions(CONDITIONS),
                rows: c.nrows().min(CONDITIONS),
                chains: None,
            },
            None => ToDraw { model: model.clone(), rows: SAMPLES, chains: Some(CHAINS) },
        }
    }
}

/// The way of samples from noise to data, of models of every noise level with two columns.
pub struct Frames<'m> {
    model: Option<&'m FittedModel>,
    first: usize,
    last: usize,
    /// A name and the rows of each frame, in their order.
    pub rows: Vec<(String, Array2<f64>)>,
}

impl<'m> Frames<'m> {
    /// None yet; `traced` are the first and the last step of a job to be seen.
    pub fn new(model: &'m FittedModel, traced: (usize, usize)) -> Self {
        let two = model.description().columns.len() == 2;
        let model = (two && model.over_time().is_some()).then_some(model);
        Frames { model, first: traced.0, last: traced.1, rows: Vec::new() }
    }

    /// Keeps a snapshot that is due.
    pub fn see(&mut self, snapshot: &Snapshot<'_>) {
        let Some(model) = self.model else { return };
        let Some(times) = model.over_time() else { return };
        let (first, last) = (self.first, self.last);
        let spaces = (FRAMES - 1).min(last - first).max(1);
        let due = (0..=spaces).any(|k| snapshot.step == first + (last - first) * k / spaces);
        // What comes after belongs to further rows.
        if due && snapshot.step <= last && self.rows.len() <= spaces {
            let time = snapshot.time.unwrap_or_else(|| times.clock().horizon());
            let rows = model.description().transform.inverse(snapshot.position);
            self.rows.push((format!("t = {}", short(time)), rows));
        }
    }
}

/// What was drawn, and what else the page shows.
#[derive(Debug, Default)]
pub struct Drawn {
    /// Samples of [`ToDraw`].
    pub samples: Option<Samples>,
    /// Their way from noise.
    pub frames: Vec<(String, Array2<f64>)>,
    /// Where columns are the pixels of a picture.
    pub image: Option<ImageShape>,
    /// The command that makes the fit again.
    pub command: Option<String>,
    /// What to know before trusting the page.
    pub warnings: Vec<String>,
}

/// What to know of the pictures of a model.
pub fn notes(model: &FittedModel) -> Vec<String> {
    let two = model.description().columns.len() == 2;
    let note = "the plots of the field are at the mean of the condition";
    (two && model.condition().is_some()).then(|| note.into()).into_iter().collect()
}

/// The page of a model with its figures, if it was checked, and rows, which are those that it was checked on; and the
/// figures with what the samples show.
///
/// # Errors
/// Arrays that do not fit together.
pub fn page(
    model: &FittedModel,
    figures: Option<Figures>,
    rows: Array2<f64>,
    drawn: &Drawn,
) -> Result<(String, Option<Figures>)> {
    let count = ToDraw::of(model).rows;
    let found = drawn.samples.as_ref();
    let figures = match (figures, found) {
        (Some(figures), Some(found)) => Some(beside_samples(figures, rows.view(), found, count)),
        (figures, _) => figures,
    };
    let of_draws = match found {
        Some(found) => of_draws(model, figures.as_ref(), rows.view(), found),
        None => ReportData::default(),
    };
    let samples = found.map(|found| found.rows.clone());
    let mut page = ReportData {
        frames: drawn.frames.clone(),
        image: drawn.image,
        command: drawn.command.clone(),
        failing: of_draws.failing,
        log_densities: of_draws.log_densities,
        chains: of_draws.chains,
        ..data(model, figures.as_ref(), rows, samples, drawn.warnings.clone())
    };
    page.checks.extend(found.map(samples::checks).unwrap_or_default());
    Ok((render::render(&page)?, figures))
}

/// The figures with what the samples show beside the rows: those rows at whose conditions they were drawn, if there are any.
fn beside_samples(
    figures: Figures,
    rows: ArrayView2<'_, f64>,
    drawn: &Samples,
    conditions: usize,
) -> Figures {
    // Rows that the user gave to be compared come first.
    if figures.evaluation().samples.is_some() {
        return figures;
    }
    let given = figures.evaluation().conditional;
    let rows = if given { rows.slice_move(s![..conditions.min(rows.nrows()), ..]) } else { rows };
    if rows.nrows().min(drawn.draws) < LEAST_COMPARED {
        return figures;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(SEED_OF_COMPARISON);
    let check = SampleCheck::of(rows, drawn.rows.view(), Some(drawn), &mut rng);
    check.map_or_else(|_| figures.clone(), |check| figures.clone().with_samples(check))
}

/// What the page shows of draws beside rows.
fn of_draws(
    model: &FittedModel,
    figures: Option<&Figures>,
    rows: ArrayView2<'_, f64>,
    drawn: &Samples,
) -> ReportData {
    let check = figures.and_then(|figures| figures.evaluation().samples.as_ref());
    let columns = model.description().columns.len();
    let worst = check.and_then(|check| {
        let distance = |j: &usize| check.columns[*j].distance;
        (0..check.columns.len()).max_by(|a, b| distance(a).total_cmp(&distance(b)))
    });
    let chains = matches!(drawn.route, Route::Chains { .. }).then(|| {
        let column = worst.unwrap_or(0);
        render::Chains::new(column, &drawn.rows.column(column).to_vec(), &drawn.chain)
    });
    ReportData {
        failing: check.map_or_else(Vec::new, |c| (0..columns).map(|j| c.column_fails(j)).collect()),
        log_densities: log_densities(model, rows, drawn.rows.view()),
        chains: chains.filter(|_| model.condition().is_none()),
        ..ReportData::default()
    }
}

/// Under a potential, or by the probability flow; none for models with conditions, whose densities are different ones, and
/// where there is no number.
fn log_densities(
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    samples: ArrayView2<'_, f64>,
) -> Option<LogDensities> {
    if !model.condition_columns().is_empty() {
        return None;
    }
    let some = |x: ArrayView2<'_, f64>, most: usize| {
        x.slice_move(s![..;x.nrows().div_ceil(most).max(1) as isize, ..]).to_owned()
    };
    if model.over_time().is_some() {
        let mut rng = ChaCha8Rng::seed_from_u64(SEED_OF_COMPARISON);
        let mut of = |x: ArrayView2<'_, f64>| {
            let found = model.log_likelihood(
                some(x, BY_THE_FLOW).view(),
                &LikelihoodConfig::default(),
                &mut rng,
            );
            found.ok().map(|found| found.log_density)
        };
        return Some(LogDensities { rows: of(rows)?, samples: of(samples)? });
    }
    let density = model.as_log_density()?;
    let of = |x| density.log_density(some(x, SHOWN).view());
    Some(LogDensities { rows: of(rows), samples: of(samples) })
}

/// The score on the plane of the two columns that depend most on each other, the others at their medians.
fn slice(model: &FittedModel, rows: &Array2<f64>) -> Option<render::Slice> {
    let d = rows.ncols();
    if d < 3 || rows.nrows() == 0 {
        return None;
    }
    let correlation = correlations(rows.view());
    let (i, j) = (0..d)
        .flat_map(|j| (0..j).map(move |i| (i, j)))
        .max_by(|a, b| correlation[*a].abs().total_cmp(&correlation[*b].abs()))?;
    let plane = rows.select(Axis(1), &[i, j]);
    let spec = GridSpec::around(plane.view(), SLICE_GRID);
    let places = spec.points();
    let median = |k: usize| {
        let mut column: Vec<f64> = rows.column(k).to_vec();
        column.sort_by(f64::total_cmp);
        column[column.len() / 2]
    };
    let medians: Vec<f64> = (0..d).map(median).collect();
    let points = Array2::from_shape_fn((places.nrows(), d), |(row, k)| match k {
        k if k == i => places[[row, 0]],
        k if k == j => places[[row, 1]],
        k => medians[k],
    });
    let scores = model.at_mean_condition().scores(points.view());
    let score = scores.score.select(Axis(1), &[i, j]);
    let grid = FieldGrid { spec, score, log_density: scores.log_density };
    Some(render::Slice { columns: (i, j), grid })
}

fn data(
    model: &FittedModel,
    figures: Option<&Figures>,
    rows: Array2<f64>,
    samples: Option<Array2<f64>>,
    warnings: Vec<String>,
) -> ReportData {
    let d = model.description();
    let shown = rows.nrows().min(SHOWN);
    let rows = rows.slice(s![..shown, ..]).to_owned();
    let grid = (rows.ncols() == 2).then(|| field(model, &rows));
    let slice = slice(model, &rows);
    let estimate = |e: &gradlogp::train::HeldOutLoss| render::Estimate {
        value: e.mean,
        standard_error: Some(e.standard_error),
    };
    let history = d.summary.history.iter().map(|p| render::HistoryPoint {
        step: p.step,
        // Nothing was trained before the first evaluation.
        train_loss: if p.step == 0 { f64::NAN } else { p.train_loss },
        validation_loss: Some(estimate(&p.held_out)),
    });
    ReportData {
        title: format!("Score of {}", d.data.source),
        fitted: Fitted {
            data_name: d.data.source.clone(),
            rows: d.data.rows,
            columns: d.columns.len(),
            model: d.network.kind.to_string(),
            objective: objective(model),
            slices: String::new(),
            seed: d.training.seed,
            version: d.library_version.clone(),
            date: None,
        },
        verdict: figures.map_or_else(unchecked, Figures::as_verdict),
        checks: figures.map(Figures::checks).unwrap_or_default(),
        history: history.collect(),
        best_step: Some(d.summary.best_step),
        columns: d.columns.clone(),
        data: rows,
        samples,
        stein: figures.map(stein_products),
        slice,
        grid,
        warnings,
        settings: settings(model),
        ..ReportData::default()
    }
}

/// E[s x^T] + I, with z.
fn stein_products(figures: &Figures) -> render::SteinProducts {
    let stein = &figures.evaluation().stein;
    let mut off = stein.product.clone();
    off.diag_mut().map_inplace(|c| *c += 1.0);
    render::SteinProducts { off, z: stein.product_z.clone(), critical_z: stein.critical_z }
}

fn unchecked() -> render::Verdict {
    render::Verdict {
        grade: render::Grade::Warn,
        headline: "Not checked: too few rows were held out".into(),
        details: vec!["The pictures show all rows, those that trained the model too.".into()],
    }
}

fn field(model: &FittedModel, rows: &Array2<f64>) -> FieldGrid {
    let spec = GridSpec::around(rows.view(), GRID);
    let scores = model.at_mean_condition().scores(spec.points().view());
    FieldGrid { spec, score: scores.score, log_density: scores.log_density }
}
