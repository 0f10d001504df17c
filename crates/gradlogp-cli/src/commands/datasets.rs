//! `gradlogp datasets`

use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;

use super::Show;
use crate::{input, text};

#[derive(Serialize)]
struct Entry {
    name: String,
    columns: usize,
    description: String,
    exact_score_known: bool,
}

pub(crate) fn run(show: Show) -> Result<ExitCode> {
    let entries: Vec<Entry> = input::listing()
        .into_iter()
        .map(|(name, columns, description, exact_score_known)| Entry {
            name,
            columns,
            description,
            exact_score_known,
        })
        .collect();
    let known = |e: &Entry| if e.exact_score_known { "exact score known" } else { "" };
    let rows: Vec<Vec<String>> = entries
        .iter()
        .map(|e| {
            vec![
                e.name.clone(),
                format!("{} columns", e.columns),
                known(e).to_string(),
                e.description.clone(),
            ]
        })
        .collect();
    show.result(&text::aligned(&rows), &entries)?;
    Ok(ExitCode::SUCCESS)
}
