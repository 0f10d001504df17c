//! `gradlogp impute MODEL DATA`

use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::Result;
use gradlogp::data::TextTable;
use gradlogp::diffusion::TimeModel;
use gradlogp::sample::reverse::{Reverse, ReverseImpute, impute_reverse};
use gradlogp::sample::{ImputeConfig, Parallel, Target, impute};
use gradlogp::{Error, FittedModel};
use ndarray::{Array2, ArrayView2, Axis};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
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
    /// Numbers of rows whose chains have not met.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows_not_mixed: Option<Vec<usize>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
}

/// Draws of the incomplete rows, all of the first draw first, and what is known of them.
struct Draws {
    rows: Array2<f64>,
    sampler: &'static str,
    step_size: Option<f64>,
    acceptance: Option<f64>,
    r_hat: Option<f64>,
    /// Rows whose chains have not met, as places among the incomplete ones.
    not_mixed: Option<Vec<usize>>,
    /// Why some values are still missing.
    failure: Option<Error>,
}

pub(crate) fn run(args: &ImputeArgs, show: Show) -> Result<ExitCode> {
    show.check_output(args.output.as_deref())?;
    Places::default()
        .reads("MODEL", Some(&args.model))
        .reads("DATA", Some(&args.data))
        .writes("--output", args.output.as_deref())
        .check()?;
    let model = FittedModel::load(&args.model)?;
    if !model.given_columns().is_empty() {
        let message = "is conditional, and only a model of all columns can fill in what is missing of \
                       them; fit one without --given";
        return Err(Error::model_file(&args.model, message).into());
    }
    if model.description().domain.is_some() {
        let why = "was fitted with bounds, and imputed values would not keep to them; fit a model without --bounds and --domain";
        return Err(Error::config(super::MODEL, why).into());
    }
    let (table, text) = load(args, &model)?;
    let incomplete: Vec<usize> =
        (0..table.nrows()).filter(|row| table.row(*row).iter().any(|x| x.is_nan())).collect();
    let cells = table.len() as f64 * args.draws as f64;
    // Each chain has a generator of its own.
    let generators = 400.0 * incomplete.len() as f64 * args.draws as f64;
    check_memory("--draws", 8.0 * 8.0 * cells + generators)?;
    interrupt::say("stopped before the draws were done; nothing was written");
    let part = table.select(Axis(0), &incomplete);
    let drawn = draw(args, &model, part.view(), show);
    let Some(mut draws) = drawn.map_err(|error| all_in_table(error, &incomplete))? else {
        show.note("stopped before the draws were done; nothing was written");
        return Ok(ExitCode::from(exit::INTERRUPTED));
    };
    if let Some(noise) = model.description().dequantization.as_ref().filter(|_| !args.keep_noise) {
        let count = part.nrows().max(1);
        noise.restore(&mut draws.rows, |i, j| part[[i % count, j]].is_nan());
    }
    let (columns, rows) = complete(args, &model, &table, &incomplete, &draws.rows);
    match &text {
        Some(text) if holds_text(args.output.as_deref()) => {
            write_with_text(args, text, &columns, &rows)?;
        }
        Some(text) => {
            write_table(args.output.as_deref(), &columns, &rows)?;
            let others = text.columns.iter().zip(&text.places).filter(|(_, place)| place.is_none());
            let names: Vec<&str> = others.map(|(name, _)| name.as_str()).collect();
            show.warning(&format!(
                "an array cannot hold the columns that the model does not have, so they were left out: {}",
                names.join(", ")
            ));
        }
        None => write_table(args.output.as_deref(), &columns, &rows)?,
    }
    let summary = Summary {
        rows: table.nrows(),
        incomplete_rows: incomplete.len(),
        missing_values: table.iter().filter(|x| x.is_nan()).count(),
        draws: args.draws,
        sampler: draws.sampler,
        step_size: draws.step_size,
        acceptance_rate: draws.acceptance,
        r_hat: draws.r_hat,
        rows_not_mixed: draws
            .not_mixed
            .map(|rows| rows.iter().map(|i| incomplete[*i] + 1).collect()),
        output: args.output.as_ref().map(|path| path.display().to_string()),
    };
    if let Some(rows) = summary.rows_not_mixed.as_ref().filter(|rows| !rows.is_empty()) {
        show.warning(&format!(
            "{} of the table: the chains have not met, so the values drawn there are not to be relied on; \
             use more --steps and --warm-up, or a model of fit --for imputation, which has no chains. Where a missing value may lie in separate places, their \
             shares are those of the starting points",
            text::rows(rows)
        ));
    }
    if show.json {
        text::result(&serde_json::to_string_pretty(&summary)?)?;
    } else {
        show.note(&summary.text());
    }
    let Some(error) = draws.failure.take() else { return Ok(ExitCode::SUCCESS) };
    text::error(&format!("{}. Their values are written as NaN", in_table(&error, &incomplete)));
    Ok(ExitCode::from(exit::code(error.class())))
}

/// An error that counts the draws of incomplete rows, in the numbers of the table's rows.
fn in_table(error: &Error, incomplete: &[usize]) -> String {
    let Error::Diverged { step, rows, .. } = error else { return error.to_string() };
    let mut numbers: Vec<usize> =
        rows.iter().map(|i| incomplete[i % incomplete.len()] + 1).collect();
    numbers.sort_unstable();
    numbers.dedup();
    format!(
        "{} of the table: draws were lost at step {step}, where the model gives no finite density or score; \
         such a row is far from all that the model was fitted to",
        text::rows(&numbers)
    )
}

/// The same of a run that has no draw to show.
fn all_in_table(error: anyhow::Error, incomplete: &[usize]) -> anyhow::Error {
    match error.downcast::<Error>() {
        Ok(Error::Diverged { step, rows, message }) if !rows.is_empty() => {
            let error = Error::Diverged { step, rows, message };
            let message = in_table(&error, incomplete);
            Error::Numerical { operation: "imputation", message }.into()
        }
        Ok(error) => error.into(),
        Err(error) => error,
    }
}

/// The rows, and the file's other columns if there are any.
fn load(args: &ImputeArgs, model: &FittedModel) -> Result<(Array2<f64>, Option<TextTable>)> {
    if args.read.drop_missing {
        let message = "rows with missing values are what this command is for; leave it out";
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
    args: &ImputeArgs,
    model: &FittedModel,
    rows: ArrayView2<'_, f64>,
    show: Show,
) -> Result<Option<Draws>> {
    let config = ImputeConfig {
        draws: args.draws,
        warm_up: args.warm_up,
        steps: args.steps,
        step_size: args.step_size,
        leapfrog: args.leapfrog,
    };
    config.validate()?;
    let sampler = match (model.over_time(), model.as_log_density()) {
        (Some(_), _) => "em",
        (None, Some(_)) => "hmc",
        (None, None) => "ula",
    };
    if rows.nrows() == 0 {
        let rows = rows.to_owned();
        let (step_size, acceptance, r_hat) = (None, None, None);
        let (not_mixed, failure) = (None, None);
        return Ok(Some(Draws { rows, sampler, step_size, acceptance, r_hat, not_mixed, failure }));
    }
    if let Some(time_model) = model.over_time() {
        return draw_in_reverse(args, model, time_model, rows, show);
    }
    let known = (&model.description().column_mean[..], &model.description().column_scale[..]);
    let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
    let mut bar = Progress::new(show.silent(), "imputing", 0, (args.warm_up + args.steps) as u64);
    let mut observe = |step: usize, _: usize| {
        bar.at(step as u64, String::new);
        if interrupt::requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let density = model.as_log_density();
    let density = density.as_ref().map(Parallel);
    let field = Parallel(model);
    let target = match &density {
        Some(density) => Target::Density(density),
        None => Target::Field(&field),
    };
    let run = impute(target, rows, known, &config, &mut rng, &mut observe);
    bar.finish();
    Ok(run?.map(|run| Draws {
        sampler,
        step_size: Some(run.step_size),
        acceptance: run.acceptance,
        r_hat: run.r_hat,
        failure: run.failure(),
        not_mixed: Some(run.not_mixed),
        rows: run.rows,
    }))
}

/// By the reverse process, in the network's units.
fn draw_in_reverse(
    args: &ImputeArgs,
    model: &FittedModel,
    time_model: &TimeModel<f64>,
    rows: ArrayView2<'_, f64>,
    show: Show,
) -> Result<Option<Draws>> {
    let transform = &model.description().transform;
    if transform.diagonal_scale().is_none() {
        let message = "this model mixes the columns (--standardize whiten), and the reverse process of \
                       noise in mixed columns cannot hold single ones; fit with --standardize standardize";
        return Err(Error::config(super::MODEL, message).into());
    }
    let score = Parallel(time_model);
    let reverse = Reverse { sde: time_model.clock().sde(), score: &score };
    let (draws, steps) = (args.draws, args.steps);
    let config = ReverseImpute { draws, steps, ..ReverseImpute::default() };
    let inside = transform.forward(rows);
    let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
    let mut bar = Progress::new(show.silent(), "imputing", 0, args.steps as u64);
    let mut observe = |step: usize, _: usize| {
        bar.at(step as u64, String::new);
        if interrupt::requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let drawn = impute_reverse(&reverse, inside.view(), &config, &mut rng, &mut observe);
    bar.finish();
    Ok(drawn?.map(|drawn| {
        let mut out = transform.inverse(drawn.rows.view());
        let observed = rows.indexed_iter().filter(|(_, x)| !x.is_nan());
        for ((i, j), x) in observed {
            (0..args.draws).for_each(|draw| out[[draw * rows.nrows() + i, j]] = *x);
        }
        let failure = drawn.failure();
        let (step_size, acceptance, r_hat) = (None, None, None);
        let not_mixed = None;
        Draws { rows: out, sampler: "em", step_size, acceptance, r_hat, not_mixed, failure }
    }))
}

/// The whole table once per draw, with what tells the draws apart in front if there is more than one.
fn complete(
    args: &ImputeArgs,
    model: &FittedModel,
    table: &Array2<f64>,
    incomplete: &[usize],
    draws: &Array2<f64>,
) -> (Vec<String>, Array2<f64>) {
    let front = if args.draws > 1 { 2 } else { 0 };
    let (n, d) = table.dim();
    let mut out = Array2::zeros((args.draws * n, front + d));
    for (at, mut row) in out.outer_iter_mut().enumerate() {
        let (draw, i) = (at / n, at % n);
        let whole = match incomplete.binary_search(&i) {
            Ok(k) => draws.row(draw * incomplete.len() + k),
            Err(_) => table.row(i),
        };
        row.slice_mut(ndarray::s![front..]).assign(&whole);
        if front == 2 {
            (row[0], row[1]) = ((draw + 1) as f64, (i + 1) as f64);
        }
    }
    let own = ["draw", "row"].iter().take(front).map(ToString::to_string);
    (own.chain(model.description().columns.iter().cloned()).collect(), out)
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
