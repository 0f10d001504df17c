//! `gradlogp eval MODEL DATA`

use std::process::ExitCode;

use anyhow::Result;
use gradlogp::FittedModel;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Show, call};
use crate::args::EvalArgs;
use crate::checks::Checks;
use crate::evaluation::{figures_of, figures_over_times};
use crate::exit;
use crate::input::{Source, in_named_table, show_warnings};
use crate::places::Places;

pub(crate) fn run(args: &EvalArgs, show: Show) -> Result<ExitCode> {
    // It writes none, but standard output may go to one that it reads.
    Places::default()
        .reads("MODEL", Some(&args.model))
        .reads("DATA", args.source.data.as_deref())
        .reads("--samples", args.checks.samples.as_deref())
        .check()?;
    let model = FittedModel::load(&args.model)?;
    let source = Source::new(&args.source, &args.read)?;
    let mut loaded = source.load_for(args.seed, &model)?;
    let name = loaded.table.name.clone();
    // Copies are looked for among the rows as they are in the file.
    let as_read = args.checks.samples.is_some().then(|| loaded.table.rows.clone());
    show_warnings(&loaded.warnings);
    if let Some(noise) = &model.description().dequantization {
        noise.apply(&mut loaded.table, &mut ChaCha8Rng::seed_from_u64(args.seed))?;
        show.note("rounded columns were dequantized as when the model was fitted");
    }
    let (read, quiet) = (&args.read, show.silent());
    let call = call(&args.model, &args.source);
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
    if model.over_time().is_some() {
        let set = loaded.drawn_from.as_ref();
        let rows = loaded.table.rows.view();
        let figures = figures_over_times(&model, rows, set, args.seed, &checks)
            .map_err(|e| in_named_table(e, &name))?;
        show.result(&figures.table(), &figures)?;
        return Ok(code(args.strict && figures.is_refused()));
    }
    let model = loaded.model_at_condition(model)?;
    let rows = loaded.table.rows.view();
    let figures = figures_of(&model, rows, loaded.drawn_from.as_ref(), args.seed, Some(checks))
        .map_err(|e| in_named_table(e, &name))?;
    show.result(&figures.table(), &figures)?;
    Ok(code(args.strict && figures.is_refused()))
}

fn code(refused: bool) -> ExitCode {
    if refused { ExitCode::from(exit::REFUSED) } else { ExitCode::SUCCESS }
}
