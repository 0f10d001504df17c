//! `gradlogp bench read`

use std::process::ExitCode;

use anyhow::Result;
use gradlogp::Error;
use serde::Serialize;

use super::super::Show;
use super::{median_seconds, table};
use crate::args::ReadClockArgs;
use crate::input::{Place, Source};
use crate::text::short;

#[derive(Serialize)]
struct Measured {
    seconds: f64,
    megabytes_per_s: f64,
    rows_per_s: f64,
    rows: usize,
    columns: usize,
    passes: usize,
}

pub(crate) fn read(args: &ReadClockArgs, show: Show) -> Result<ExitCode> {
    let source = Source::at(Place::File(args.data.clone()), &args.read);
    let (mut rows, mut columns) = (0, 0);
    let seconds = median_seconds(args.passes, || {
        let table = source.load(0, None)?.table;
        (rows, columns) = (table.n_rows(), table.n_columns());
        Ok(())
    })?;
    let size = std::fs::metadata(&args.data).map_err(|e| Error::io(&args.data, "read", e))?.len();
    let measured = Measured {
        seconds,
        megabytes_per_s: 1e-6 * size as f64 / seconds,
        rows_per_s: rows as f64 / seconds,
        rows,
        columns,
        passes: args.passes,
    };
    let text = table([
        ("Seconds", format!("{} for {rows} rows of {columns} columns", short(seconds))),
        ("Bytes", format!("{} megabytes a second", short(measured.megabytes_per_s))),
    ]);
    show.result(&text, &measured)?;
    Ok(ExitCode::SUCCESS)
}
