//! `gradlogp impute MODEL DATA`

use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::Result;
use gradlogp::data::TextTable;
use gradlogp::draw::{Imputation, ImputeSettings};
use gradlogp::{Error, FittedModel};
use ndarray::{Array2, ArrayView2, s};
use serde::Serialize;

use super::Show;
use crate::args::ImputeArgs;
use crate::input::{Place, Source, show_warnings};
use crate::limits::check_memory;
use crate::output::{holds_text, write_table, write_text};
use crate::places::Places;
use crate::progress::Progress;
use crate::{exit, interrupt, text};

/// The summary, as `--json` shows it.
#[derive(Debug, Serialize)]
struct Summary {
    rows: usize,
    incomplete_rows: usize,
    missing_values: usize,
    draws: usize,
    sampler: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    step_size: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acceptance_rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r_hat: Option<f64>,
    /// Numbers of rows whose chains have not mixed.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows_not_mixed: Option<Vec<usize>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
}

pub(crate) fn run(args: &ImputeArgs, show: Show) -> Result<ExitCode> {
    show.check_output(args.output.as_deref())?;
    Places::default()
        .reads("MODEL", Some(&args.model))
        .reads("DATA", Some(&args.data))
        .writes("--output", args.output.as_deref())
        .check()?;
    let model = FittedModel::load(&args.model)?;
    if !model.condition_columns().is_empty() {
        let message = "is conditional, and only a model of all columns can fill in what is missing of \
                       them; fit one without --given";
        return Err(Error::model_file(&args.model, message).into());
    }
    model.check_imputes().map_err(in_words)?;
    let (table, text) = load(args, &model)?;
    let settings = args.settings();
    check_memory("--draws", settings.bytes(table.view()))?;
    interrupt::say("stopped before the draws were done; nothing was written");
    let Some(mut found) = draw(&model, table.view(), &settings, show)? else {
        show.note("stopped before the draws were done; nothing was written");
        return Ok(ExitCode::from(exit::INTERRUPTED));
    };
    let (columns, rows) = with_numbers(&model, args.draws, std::mem::take(&mut found.rows));
    match &text {
        Some(text) if holds_text(args.output.as_deref()) => {
            write_with_text(args, text, &columns, &rows)?;
        }
        Some(text) => {
            write_table(args.output.as_deref(), &columns, &rows)?;
            let others = text.columns.iter().zip(&text.places).filter(|(_, place)| place.is_none());
            let names: Vec<&str> = others.map(|(name, _)| name.as_str()).collect();
            show.warning(&format!(
                "columns that the model does not have cannot be written to an array, so they were left out: {}",
                names.join(", ")
            ));
        }
        None => write_table(args.output.as_deref(), &columns, &rows)?,
    }
    let summary = Summary {
        rows: table.nrows(),
        incomplete_rows: found.incomplete.len(),
        missing_values: table.iter().filter(|x| x.is_nan()).count(),
        draws: args.draws,
        sampler: found.sampler.name(),
        step_size: found.step_size,
        acceptance_rate: found.acceptance_rate,
        r_hat: found.r_hat,
        rows_not_mixed: found.not_mixed.map(|rows| rows.iter().map(|i| i + 1).collect()),
        output: args.output.as_ref().map(|path| path.display().to_string()),
    };
    if let Some(rows) = summary.rows_not_mixed.as_ref().filter(|rows| !rows.is_empty()) {
        show.warning(&format!(
            "{} of the table: the chains have not mixed, so the values drawn there are unreliable; use more \
             --steps and --warm-up, or a model of fit --for imputation, which has no chains. Where a \
             missing value has several modes, their weights are those of the starting points",
            text::rows(rows)
        ));
    }
    if show.json {
        text::result(&serde_json::to_string_pretty(&summary)?)?;
    } else {
        show.note(&summary.text());
    }
    let Some(error) = found.failure else { return Ok(ExitCode::SUCCESS) };
    let lost = lost(&error).unwrap_or_else(|| error.to_string());
    text::error(&format!("{lost}. Their values are written as NaN"));
    Ok(ExitCode::from(exit::code(error.class())))
}

/// What is said of draws that were lost.
fn lost(error: &Error) -> Option<String> {
    let Error::Diverged { step, rows, .. } = error else { return None };
    let numbers: Vec<usize> = rows.iter().map(|i| i + 1).collect();
    (!rows.is_empty()).then(|| {
        format!(
            "{} of the table: draws were lost at step {step}, where the model gives no finite density or \
             score; such a row is far from all that the model was fitted to",
            text::rows(&numbers)
        )
    })
}

/// An error of the library in the program's words.
fn in_words(error: Error) -> Error {
    match (lost(&error), error) {
        (Some(message), _) => Error::Numerical { operation: "imputation", message },
        (None, Error::Config { option, message }) if option == "fitted_model" => {
            Error::config(super::MODEL, message)
        }
        (None, other) => other,
    }
}

/// The rows, and the file's other columns if there are any.
fn load(args: &ImputeArgs, model: &FittedModel) -> Result<(Array2<f64>, Option<TextTable>)> {
    if args.read.drop_missing {
        let message = "this command is for rows with missing values; leave it out";
        return Err(Error::config("--drop-missing", message).into());
    }
    let mut source = Source::at(Place::File(args.data.clone()), &args.read);
    source.keep_missing = true;
    let (loaded, text) = source.load_with_text(&model.description().columns)?;
    show_warnings(&loaded.warnings);
    Ok((loaded.table.rows, text))
}

/// The whole table with the file's other columns as they were, all in the order of the file.
fn write_with_text(
    args: &ImputeArgs,
    text: &TextTable,
    columns: &[String],
    rows: &Array2<f64>,
) -> Result<()> {
    let front = rows.ncols() - text.places.iter().flatten().count();
    let names: Vec<String> = columns[..front].iter().chain(&text.columns).cloned().collect();
    let n = text.rows.len();
    let records = (0..rows.nrows()).map(|at| {
        let own = (0..front).map(|j| rows[[at, j]].to_string());
        let of_file = text.places.iter().enumerate().map(|(j, place)| match place {
            Some(slot) => rows[[at, front + slot]].to_string(),
            None => text.rows[at % n][j].clone(),
        });
        own.chain(of_file).collect::<Vec<String>>()
    });
    write_text(args.output.as_deref(), &names, records)
}

/// None where Ctrl-C stopped it.
fn draw(
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    settings: &ImputeSettings,
    show: Show,
) -> Result<Option<Imputation>> {
    let mut bar = None;
    let mut observe = |step: usize, steps: usize| {
        bar.get_or_insert_with(|| Progress::new(show.silent(), "imputing", 0, steps as u64))
            .at(step as u64, String::new);
        if interrupt::requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let found = model.impute_watched(rows, settings, &mut observe);
    bar.into_iter().for_each(Progress::finish);
    Ok(found.map_err(in_words)?)
}

/// The table once per draw, with the numbers of draw and row in front if there is more than one draw.
fn with_numbers(
    model: &FittedModel,
    draws: usize,
    rows: Array2<f64>,
) -> (Vec<String>, Array2<f64>) {
    let columns = model.description().columns.clone();
    if draws == 1 {
        return (columns, rows);
    }
    let n = (rows.nrows() / draws).max(1);
    let mut out = Array2::zeros((rows.nrows(), 2 + rows.ncols()));
    for (at, (mut out, row)) in out.outer_iter_mut().zip(rows.outer_iter()).enumerate() {
        (out[0], out[1]) = ((at / n + 1) as f64, (at % n + 1) as f64);
        out.slice_mut(s![2..]).assign(&row);
    }
    (["draw".to_string(), "row".to_string()].into_iter().chain(columns).collect(), out)
}

impl Summary {
    fn text(&self) -> String {
        let mut parts = vec![format!(
            "{} missing values in {} of {} rows, {} draw{} by {}",
            self.missing_values,
            self.incomplete_rows,
            self.rows,
            self.draws,
            if self.draws == 1 { "" } else { "s" },
            self.sampler
        )];
        parts.extend(self.acceptance_rate.map(|a| format!("acceptance {:.0}%", 100.0 * a)));
        parts.extend(self.r_hat.map(|r| format!("R-hat {r:.3}")));
        parts.join(", ")
    }
}
