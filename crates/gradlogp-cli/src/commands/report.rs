//! `gradlogp report MODEL [DATA]`

use std::process::ExitCode;

use anyhow::Result;
use gradlogp::draw::{Outcome, Samples};
use gradlogp::storage::write_atomically;
use gradlogp::{Error, FittedModel};
use ndarray::{Array2, s};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::Show;
use super::info::{objective, settings};
use crate::args::{ChainArgs, ReportArgs};
use crate::checks::Checks;
use crate::exit;
use crate::input::{Place, STANDARD_INPUT, Source, in_named_table, show_warnings, warning_text};
use crate::judgement::{Judgement, judge_at_its_time};
use crate::picture::ImageShape;
use crate::places::Places;
use crate::report::{self, FieldGrid, Fitted, GridSpec, ReportData};
use crate::sampling::{self, Words};
use crate::text::{self, short};

/// Frames of the way from noise to data.
const FRAMES: usize = 7;

/// Rows drawn for the pictures, and the chains that draw them: long enough to be compared.
const SAMPLES: usize = 1500;
const CHAINS: usize = 100;
/// Conditions at which rows are drawn, one each.
const CONDITIONS: usize = 500;
/// Rows of data shown.
const SHOWN: usize = 5000;
/// Grid points per side of the field pictures.
const GRID: usize = 72;

#[derive(Serialize)]
struct Written {
    output: String,
    #[serde(flatten)]
    judgement: Judgement,
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
    let judgement = judge_at_its_time(&model, rows.view(), set, (seed, seed_of_checks), checks)
        .map_err(|e| in_named_table(e, &name))?;
    let drawn = write_with(
        &model,
        Some(&judgement),
        (rows, image),
        warnings,
        &args.output,
        args.seed,
        show,
    )?;
    let output = args.output.display().to_string();
    let text = format!("{}Report: {output}", judgement.table());
    show.result(&text, &Written { output, judgement, drawn })?;
    Ok(ExitCode::SUCCESS)
}

/// Draws samples and writes the page.
pub(crate) fn write(
    model: &FittedModel,
    judgement: Option<&Judgement>,
    rows: Array2<f64>,
    warnings: Vec<String>,
    path: &std::path::Path,
    show: Show,
) -> Result<()> {
    write_with(model, judgement, (rows, None), warnings, path, None, show)?;
    Ok(())
}

/// As [`write`]; with rows as pictures where their columns are pixels. What was drawn, if rows could be.
fn write_with(
    model: &FittedModel,
    judgement: Option<&Judgement>,
    (rows, image): (Array2<f64>, Option<ImageShape>),
    warnings: Vec<String>,
    path: &std::path::Path,
    seed: Option<u64>,
    show: Show,
) -> Result<Option<Samples>> {
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
    let checks = drawn.as_ref().map(Words::checks).unwrap_or_default();
    warnings[shown..].iter().for_each(|warning| show.warning(warning));
    let mut page = ReportData { frames, image, ..data(model, judgement, rows, samples, warnings) };
    page.checks.extend(checks);
    let page = report::render(&page)?;
    write_atomically(path, |out| out.write_all(page.as_bytes()))?;
    Ok(drawn)
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
    judgement: Option<&Judgement>,
    rows: Array2<f64>,
    samples: Option<Array2<f64>>,
    warnings: Vec<String>,
) -> ReportData {
    let d = model.description();
    let shown = rows.nrows().min(SHOWN);
    let rows = rows.slice(s![..shown, ..]).to_owned();
    let grid = (rows.ncols() == 2).then(|| field(model, &rows));
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
        verdict: judgement.map_or_else(unchecked, Judgement::as_verdict),
        checks: judgement.map(Judgement::checks).unwrap_or_default(),
        history: history.collect(),
        best_step: Some(d.summary.best_step),
        columns: d.columns.clone(),
        data: rows,
        samples,
        frames: Vec::new(),
        image: None,
        grid,
        warnings,
        settings: settings(model),
    }
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
