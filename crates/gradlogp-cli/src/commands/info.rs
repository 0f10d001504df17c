//! `gradlogp info MODEL`

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use gradlogp::FittedModel;
use gradlogp::storage::TensorFile;
use gradlogp::train::Checkpoint;
use serde::Serialize;

use gradlogp_report::settings;

use super::Show;
use crate::args::InfoArgs;
use crate::text::{aligned, short};

#[derive(Serialize)]
struct Info<'a> {
    parameters: usize,
    #[serde(flatten)]
    description: &'a gradlogp::fitted::Description,
}

pub(crate) fn run(args: &InfoArgs, show: Show) -> Result<ExitCode> {
    match TensorFile::kind(&args.model) {
        Ok(kind) if kind == Checkpoint::KIND => {
            return checkpoint(super::fit::checkpoint_settings(&args.model)?, show);
        }
        Ok(kind) if kind == crate::checkpoints::SAMPLING => {
            return checkpoint(super::sample::checkpoint_settings(&args.model)?, show);
        }
        _ => {}
    }
    let model = FittedModel::load(&args.model)?;
    let d = model.description();
    let parameters = model.network().parameters.len();
    let mut rows = settings(&model);
    rows.push(("Parameters".into(), parameters.to_string()));
    if let Some(best) = d.summary.history.iter().find(|p| p.step == d.summary.best_step) {
        let loss = best.held_out;
        rows.push((
            "Validation loss".into(),
            format!("{} +- {}", short(loss.mean), short(loss.standard_error)),
        ));
    }
    let cells: Vec<Vec<String>> = rows.into_iter().map(|(a, b)| vec![a, b]).collect();
    show.result(&aligned(&cells), &Info { parameters, description: d })?;
    Ok(ExitCode::SUCCESS)
}

fn checkpoint(rows: Vec<(String, String)>, show: Show) -> Result<ExitCode> {
    let object: BTreeMap<String, String> = rows
        .iter()
        .map(|(key, value)| (key.to_lowercase().replace(' ', "_"), value.clone()))
        .collect();
    let cells: Vec<Vec<String>> = rows.into_iter().map(|(a, b)| vec![a, b]).collect();
    show.result(&aligned(&cells), &object)?;
    Ok(ExitCode::SUCCESS)
}
