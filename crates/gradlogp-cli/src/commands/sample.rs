//! `gradlogp sample MODEL -n N`

use std::process::ExitCode;

use anyhow::Result;
use gradlogp::data::{ReadOptions, read_csv};
use gradlogp::{Error, FittedModel};
use ndarray::{Array2, Axis, concatenate};

use super::Show;
use crate::args::SampleArgs;
use crate::output::{check_apart, check_writable, write_table};
use crate::{exit, interrupt, sampling, text};

pub(crate) fn run(args: &SampleArgs, show: Show) -> Result<ExitCode> {
    show.check_output(args.output.as_deref())?;
    let model = FittedModel::load(&args.model)?;
    if let Some(path) = &args.output {
        check_writable(path)?;
        check_apart(path, &[Some(&args.model), args.given_rows.as_ref()])?;
    }
    let conditions = conditions(args, &model)?;
    let (model, n) = match &conditions {
        Some(c) => (model.given(c.view())?, args.n.saturating_mul(c.nrows())),
        None => (model, args.n),
    };
    interrupt::watch();
    let drawn = sampling::draw(&model, n, &args.chain, show.silent())?;
    if drawn.rows.nrows() == 0 {
        show.note("stopped before the first draw; nothing was written");
        return Ok(ExitCode::from(exit::INTERRUPTED));
    }
    let rows = match &conditions {
        // Each draw with its condition beside it.
        Some(c) => {
            let at: Vec<usize> = drawn.chain.iter().map(|chain| chain % c.nrows()).collect();
            concatenate![Axis(1), drawn.rows, c.select(Axis(0), &at)]
        }
        None => drawn.rows.clone(),
    };
    write_table(args.output.as_deref(), &model.all_columns(), &rows)?;
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

/// The conditions at which to draw, in the model's order of columns.
fn conditions(args: &SampleArgs, model: &FittedModel) -> Result<Option<Array2<f64>>> {
    let names = model.given_columns();
    let asked = if args.given_rows.is_some() { "--given-rows" } else { "--given-values" };
    if names.is_empty() && (args.given_rows.is_some() || !args.given_values.is_empty()) {
        let message = "the model is not conditional: fit it with --given COLUMNS";
        return Err(Error::config(asked, message).into());
    }
    if let Some(path) = &args.given_rows {
        let options = ReadOptions { columns: Some(names.to_vec()), ..ReadOptions::default() };
        return Ok(Some(read_csv(path, &options)?.0.rows));
    }
    if args.given_values.is_empty() {
        return Ok(None);
    }
    for (k, (name, _)) in args.given_values.iter().enumerate() {
        let again = args.given_values[..k].iter().any(|(other, _)| other == name);
        if again || !names.contains(name) {
            let what = if again { "is given twice" } else { "is none of the model's" };
            let message = format!("\"{name}\" {what}; it needs {} once each", names.join(", "));
            return Err(Error::config(asked, message).into());
        }
    }
    let value = |name: &String| {
        let found = args.given_values.iter().find(|(given, _)| given == name);
        let missing = || Error::config(asked, format!("\"{name}\" is missing"));
        found.map(|(_, value)| *value).ok_or_else(missing)
    };
    let row = names.iter().map(value).collect::<Result<Vec<f64>, Error>>()?;
    Ok(Some(Array2::from_shape_vec((1, row.len()), row)?))
}
