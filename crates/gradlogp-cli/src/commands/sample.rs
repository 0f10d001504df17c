//! `gradlogp sample MODEL -n N`

use std::process::ExitCode;

use anyhow::Result;
use gradlogp::FittedModel;

use super::Show;
use crate::args::SampleArgs;
use crate::output::{check_apart, check_writable, write_table};
use crate::{exit, interrupt, sampling, text};

pub(crate) fn run(args: &SampleArgs, show: Show) -> Result<ExitCode> {
    show.check_output(args.output.as_deref())?;
    let model = FittedModel::load(&args.model)?;
    if let Some(path) = &args.output {
        check_writable(path)?;
        check_apart(path, &[Some(&args.model)])?;
    }
    interrupt::watch();
    let drawn = sampling::draw(&model, args.n, &args.chain, show.silent())?;
    if drawn.rows.nrows() == 0 {
        show.note("stopped before the first draw; nothing was written");
        return Ok(ExitCode::from(exit::INTERRUPTED));
    }
    write_table(args.output.as_deref(), &model.description.columns, &drawn.rows)?;
    if let Some(warning) = drawn.warning() {
        show.warning(&warning);
    }
    if show.json {
        text::result(&serde_json::to_string_pretty(&drawn)?)?;
    } else {
        show.note(&drawn.summary());
    }
    Ok(if drawn.completed { ExitCode::SUCCESS } else { ExitCode::from(exit::INTERRUPTED) })
}
