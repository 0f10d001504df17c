//! `gradlogp report MODEL [DATA]`

use std::process::ExitCode;

use anyhow::Result;
use gradlogp::draw::{Outcome, Route, Samples};
use gradlogp::fit::{SampleCheck, correlations};
use gradlogp::fitted::LikelihoodConfig;
use gradlogp::storage::write_atomically;
use gradlogp::{Error, FittedModel, LogDensity};
use ndarray::{Array2, ArrayView2, Axis, s};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::Show;
use super::info::{objective, settings};
use crate::args::{ChainArgs, ReportArgs};
use crate::checks::{Checks, LEAST_COMPARED};
use crate::evaluation::{Figures, figures_at_its_time};
use crate::exit;
use crate::input::{Place, STANDARD_INPUT, Source, in_named_table, show_warnings, warning_text};
use crate::picture::ImageShape;
use crate::places::Places;
use crate::report::{self, FieldGrid, Fitted, GridSpec, LogDensities, ReportData};
use crate::sampling::{self, Words};
use crate::text::{self, short};

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

#[derive(Serialize)]
struct Written {
    output: String,
    #[serde(flatten)]
    figures: Option<Figures>,
    /// What is known of the rows drawn for the pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    drawn: Option<Samples>,
}

pub(crate) fn run(args: &ReportArgs, show: Show) -> Result<ExitCode> {
    let model = FittedModel::load(&args.model)?;
    let columns = model.description().columns.len();
    let image = args.image.map(|shape| ImageShape::of(Some(shape), columns)).transpose()?;
    let record = &model.description().data;
    let place = match &args.data {
        Some(path) => Place::File(path.clone()),
        None if record.built_in => {
            Place::BuiltIn { name: record.source.clone(), rows: record.rows }
        }
        None if record.source == STANDARD_INPUT => {
            let message =
                "the model was fitted to standard input, which cannot be read again; name a table";
            return Err(Error::config("DATA", message).into());
        }
        None => Place::File(record.source.clone().into()),
    };
    Places::default()
        .reads("MODEL", Some(&args.model))
        .reads("DATA", place.file())
        .reads("--samples", args.checks.samples.as_deref())
        .writes("--output", Some(&args.output))
        .check()?;
    // Not the seed of the fit: a drawn set is drawn anew, and no row trained the model.
    let fitted_with = model.description().training.seed;
    let (seed, seed_of_checks) = match args.seed {
        Some(seed) => (seed, seed),
        None => (fitted_with.wrapping_add(1), fitted_with),
    };
    let source = Source::at(place, &args.read);
    let mut loaded = source.load_for(seed, &model)?;
    let mut warnings: Vec<String> = loaded.warnings.iter().map(warning_text).collect();
    show_warnings(&loaded.warnings);
    if args.data.is_none() && loaded.drawn_from.is_none() {
        let note = "these rows include those that trained the model, so the check is too optimistic; \
                    give a table of new rows, or use fit --report, which keeps test rows apart";
        show.warning(note);
        warnings.push(note.into());
    }
    let name = loaded.table.name.clone();
    let as_read = args.checks.samples.is_some().then(|| loaded.table.rows.clone());
    if let Some(noise) = &model.description().dequantization {
        noise.apply(&mut loaded.table, &mut ChaCha8Rng::seed_from_u64(seed))?;
    }
    let model = loaded.model_at_condition(model)?;
    let rows = loaded.table.rows;
    let (read, quiet) = (&args.read, show.silent());
    let call = text::quoted(&args.model);
    let as_read = as_read.as_ref().map(|rows| rows.view());
    let checks = Checks {
        args: &args.checks,
        read,
        rows_for_samples: None,
        as_read,
        name: &name,
        quiet,
        call: &call,
    };
    let set = loaded.drawn_from.as_ref();
    let figures = figures_at_its_time(&model, rows.view(), set, (seed, seed_of_checks), checks)
        .map_err(|e| in_named_table(e, &name))?;
    let (figures, drawn) = write_with(
        &model,
        Some(figures),
        (rows, image, None),
        warnings,
        &args.output,
        args.seed,
        show,
    )?;
    let output = args.output.display().to_string();
    let table = figures.as_ref().map_or(String::new(), Figures::table);
    show.result(&format!("{table}Report: {output}"), &Written { output, figures, drawn })?;
    Ok(ExitCode::SUCCESS)
}

/// Draws samples and writes the page: the figures, with what the samples show.
pub(crate) fn write(
    model: &FittedModel,
    figures: Option<Figures>,
    rows: Array2<f64>,
    warnings: Vec<String>,
    path: &std::path::Path,
    show: Show,
) -> Result<Option<Figures>> {
    // How this program was called: what makes the fit again.
    let arguments = std::env::args().skip(1).map(|argument| text::quoted(argument.as_ref()));
    let command =
        ["gradlogp".to_string()].into_iter().chain(arguments).collect::<Vec<_>>().join(" ");
    Ok(write_with(model, figures, (rows, None, Some(command)), warnings, path, None, show)?.0)
}

/// As [`write`]; with rows as pictures where their columns are pixels. The figures and what was drawn, if rows could be.
fn write_with(
    model: &FittedModel,
    figures: Option<Figures>,
    (rows, image, command): (Array2<f64>, Option<ImageShape>, Option<String>),
    warnings: Vec<String>,
    path: &std::path::Path,
    seed: Option<u64>,
    show: Show,
) -> Result<(Option<Figures>, Option<Samples>)> {
    let mut warnings = warnings;
    if model.description().columns.len() == 2 && model.condition().is_some() {
        warnings.push("the plots of the field are at the mean of the condition".into());
    }
    // Those so far are known already, or about the pictures alone.
    let shown = warnings.len();
    // A conditional model's samples belong to the conditions of the rows beside which they are drawn.
    let (drawing, count) = match model.condition() {
        Some(c) => (model.at_first_conditions(CONDITIONS), c.nrows().min(CONDITIONS)),
        None => (model.clone(), SAMPLES),
    };
    let chain = ChainArgs {
        chains: model.condition().is_none().then_some(CHAINS),
        seed: seed.unwrap_or_else(|| ChainArgs::default().seed),
        ..ChainArgs::default()
    };
    let mut frames = Vec::new();
    let drawn = match draw(&drawing, count, &chain, &mut frames, show) {
        Ok(Outcome { samples: drawn, failure }) => {
            warnings.extend(drawn.warning());
            warnings.extend(failure.map(|error| {
                format!(
                    "sampling ended early, the pictures show the {} rows drawn: {error}",
                    drawn.draws
                )
            }));
            Some(drawn).filter(|drawn| drawn.draws > 0)
        }
        Err(error) => {
            let why = match error.downcast_ref::<Error>() {
                Some(Error::Config { message, .. }) => exit::in_options(message),
                _ => exit::message(&error),
            };
            warnings.push(format!("no samples: {why}"));
            None
        }
    };
    let samples = drawn.as_ref().map(|drawn| drawn.rows.clone());
    let figures = match (figures, &drawn) {
        (Some(figures), Some(drawn)) => Some(beside_samples(figures, rows.view(), drawn, count)?),
        (figures, _) => figures,
    };
    let checks = drawn.as_ref().map(Words::checks).unwrap_or_default();
    warnings[shown..].iter().for_each(|warning| show.warning(warning));
    let of_draws = match &drawn {
        Some(drawn) => of_draws(model, figures.as_ref(), rows.view(), drawn),
        None => ReportData::default(),
    };
    let mut page = ReportData {
        frames,
        image,
        command,
        failing: of_draws.failing,
        log_densities: of_draws.log_densities,
        chains: of_draws.chains,
        ..data(model, figures.as_ref(), rows, samples, warnings)
    };
    page.checks.extend(checks);
    let page = report::render(&page)?;
    write_atomically(path, |out| out.write_all(page.as_bytes()))?;
    Ok((figures, drawn))
}

/// The figures with what the samples show beside the rows: those rows at whose conditions they were drawn, if there are any.
fn beside_samples(
    figures: Figures,
    rows: ArrayView2<'_, f64>,
    drawn: &Samples,
    conditions: usize,
) -> Result<Figures> {
    // Rows that the user gave to be compared come first.
    if figures.evaluation().samples.is_some() {
        return Ok(figures);
    }
    let given = figures.evaluation().conditional;
    let rows = if given { rows.slice_move(s![..conditions.min(rows.nrows()), ..]) } else { rows };
    if rows.nrows().min(drawn.draws) < LEAST_COMPARED {
        return Ok(figures);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(SEED_OF_COMPARISON);
    let check = SampleCheck::of(rows, drawn.rows.view(), Some(drawn), &mut rng);
    Ok(check.map_or_else(|_| figures.clone(), |check| figures.clone().with_samples(check)))
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
        report::Chains::new(column, &drawn.rows.column(column).to_vec(), &drawn.chain)
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
fn slice(model: &FittedModel, rows: &Array2<f64>) -> Option<report::Slice> {
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
    Some(report::Slice { columns: (i, j), grid })
}

/// Samples; of models of every noise level with two columns also the way there.
fn draw(
    model: &FittedModel,
    count: usize,
    chain: &ChainArgs,
    frames: &mut Vec<(String, Array2<f64>)>,
    show: Show,
) -> Result<Outcome> {
    let job = sampling::job(model, count, chain)?;
    let (first, last) = job.traced();
    let Some(times) = model.over_time().filter(|_| model.description().columns.len() == 2) else {
        return sampling::run(job, model, show.silent(), |_| Ok(()));
    };
    sampling::run(job, model, show.silent(), |snapshot| {
        let spaces = (FRAMES - 1).min(last - first).max(1);
        let due = (0..=spaces).any(|k| snapshot.step == first + (last - first) * k / spaces);
        // What comes after belongs to further rows.
        if due && snapshot.step <= last && frames.len() <= spaces {
            let time = snapshot.time.unwrap_or_else(|| times.clock().horizon());
            let rows = model.description().transform.inverse(snapshot.position);
            frames.push((format!("t = {}", short(time)), rows));
        }
        Ok(())
    })
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
    let estimate = |e: &gradlogp::train::HeldOutLoss| report::Estimate {
        value: e.mean,
        standard_error: Some(e.standard_error),
    };
    let history = d.summary.history.iter().map(|p| report::HistoryPoint {
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
fn stein_products(figures: &Figures) -> report::SteinProducts {
    let stein = &figures.evaluation().stein;
    let mut off = stein.product.clone();
    off.diag_mut().map_inplace(|c| *c += 1.0);
    report::SteinProducts { off, z: stein.product_z.clone(), critical_z: stein.critical_z }
}

fn unchecked() -> report::Verdict {
    report::Verdict {
        grade: report::Grade::Warn,
        headline: "Not checked: too few rows were held out".into(),
        details: vec!["The pictures show all rows, those that trained the model too.".into()],
    }
}

fn field(model: &FittedModel, rows: &Array2<f64>) -> FieldGrid {
    let spec = GridSpec::around(rows.view(), GRID);
    let scores = model.at_mean_condition().scores(spec.points().view());
    FieldGrid { spec, score: scores.score, log_density: scores.log_density }
}
