//! `gradlogp score MODEL DATA -o out.csv`

use std::process::ExitCode;

use anyhow::Result;
use gradlogp::FittedModel;
use ndarray::{Array2, Axis, s};
use serde::Serialize;

use super::Show;
use crate::args::ScoreArgs;
use crate::input::{Source, show_warnings};
use crate::output::{check_apart, check_writable, write_table};
use crate::text;

/// Rows scored at once: bounds memory at a few hundred MiB for any table.
const BLOCK: usize = 65_536;

#[derive(Serialize)]
struct Written {
    rows: usize,
    columns: Vec<String>,
    output: Option<String>,
}

pub(crate) fn run(args: &ScoreArgs, show: Show) -> Result<ExitCode> {
    show.check_output(args.output.as_deref())?;
    let model = FittedModel::load(&args.model)?;
    let model = match args.at {
        Some(time) => model.at_time(time)?,
        None => model,
    };
    if let Some(path) = &args.output {
        check_writable(path)?;
        check_apart(path, &[Some(&args.model), args.source.data.as_ref()])?;
    }
    let source = Source::new(&args.source, &args.read)?;
    let loaded = source.load(args.seed, Some(&model.description.columns))?;
    show_warnings(show.silent(), &loaded.warnings);
    model.check_domain(loaded.table.rows.view(), &loaded.table.name)?;
    let columns = column_names(&model, args.hessian_diagonal);
    let rows = &loaded.table.rows;
    let mut out = Array2::zeros((rows.nrows(), columns.len()));
    for (rows, mut out) in
        rows.axis_chunks_iter(Axis(0), BLOCK).zip(out.axis_chunks_iter_mut(Axis(0), BLOCK))
    {
        let d = rows.ncols();
        let scores = model.scores(rows);
        out.slice_mut(s![.., ..d]).assign(&scores.score);
        out.column_mut(d).assign(&scores.trace);
        if let Some(log_density) = scores.log_density {
            out.column_mut(d + 1).assign(&log_density);
        }
        if args.hessian_diagonal {
            out.slice_mut(s![.., columns.len() - d..]).assign(&model.jacobian_diagonal(rows));
        }
    }
    write_table(args.output.as_deref(), &columns, &out)?;
    let output = args.output.as_ref().map(|p| p.display().to_string());
    // Without a file, the rows are the result.
    let Some(path) = &output else { return Ok(ExitCode::SUCCESS) };
    let written = Written { rows: rows.nrows(), columns, output: output.clone() };
    if show.json {
        text::result(&serde_json::to_string_pretty(&written)?)?;
    } else {
        show.note(&format!("{path}: {} rows of {}", written.rows, written.columns.join(", ")));
    }
    Ok(ExitCode::SUCCESS)
}

fn column_names(model: &FittedModel, diagonal: bool) -> Vec<String> {
    let of = |what: &str| -> Vec<String> {
        model.description.columns.iter().map(|c| format!("{what}_{c}")).collect()
    };
    let mut names = of("score");
    let potential = model.as_log_density().is_some();
    names.push(if potential { "laplacian" } else { "trace" }.to_string());
    if potential {
        names.push("log_density".to_string());
    }
    if diagonal {
        names.extend(of(if potential { "hessian" } else { "jacobian" }));
    }
    names
}
