//! `gradlogp report MODEL [DATA]`

use std::process::ExitCode;

use anyhow::Result;
use gradlogp::draw::{Outcome, Samples};
use gradlogp::storage::write_atomically;
use gradlogp::{Error, FittedModel};
use gradlogp_report::{Drawn, Figures, Frames, ImageShape, ToDraw};
use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::Show;
use crate::args::{ChainArgs, ReportArgs};
use crate::checks::Checks;
use crate::evaluation::figures_at_its_time;
use crate::exit;
use crate::input::{Place, STANDARD_INPUT, Source, in_named_table, show_warnings, warning_text};
use crate::places::Places;
use crate::sampling::{self, Words};
use crate::text;

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
    warnings.extend(gradlogp_report::notes(model));
    // Those so far are known already, or about the pictures alone.
    let shown = warnings.len();
    let drawing = ToDraw::of(model);
    let chain = ChainArgs {
        chains: drawing.chains,
        seed: seed.unwrap_or_else(|| ChainArgs::default().seed),
        ..ChainArgs::default()
    };
    let mut frames = Vec::new();
    let samples = match draw(&drawing.model, drawing.rows, &chain, &mut frames, show) {
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
    warnings[shown..].iter().for_each(|warning| show.warning(warning));
    let drawn = Drawn { samples, frames, image, command, warnings };
    let (page, figures) = gradlogp_report::page(model, figures, rows, &drawn)?;
    write_atomically(path, |out| out.write_all(page.as_bytes()))?;
    Ok((figures, drawn.samples))
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
    let mut way = Frames::new(model, job.traced());
    let outcome = sampling::run(job, model, show.silent(), |snapshot| {
        way.see(&snapshot);
        Ok(())
    });
    *frames = way.rows;
    outcome
}
