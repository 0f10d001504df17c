//! Tables from files and built-in sets.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use gradlogp::data::synthetic::{self, Dataset};
use gradlogp::data::{
    DataWarning, Header, Mark, ReadOptions, Table, TextTable, parquet_as_text, read_table,
    read_table_from, read_text_from,
};
use gradlogp::{Error, FittedModel};
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::args::{ReadArgs, SourceArgs};
use crate::commands::Show;
use crate::limits::check_memory;
use crate::{exit, text};

/// The built-in real table: 11 measured columns of UCI's red wine quality data (the twelfth, a grade
/// from 3 to 8, is not a continuous quantity).
pub(crate) const RED_WINE: &str = "red-wine";

/// Default number of rows of a synthetic data set.
const ROWS: usize = 10_000;

/// Where rows come from and how they are read; stored in checkpoints.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Source {
    pub(crate) place: Place,
    columns: Option<Vec<String>>,
    drop: Vec<String>,
    header: Option<bool>,
    delimiter: Option<char>,
    #[serde(default)]
    decimal: Option<Mark>,
    drop_missing: bool,
    /// Missing values stay, as NaN.
    #[serde(default)]
    pub(crate) keep_missing: bool,
}

/// A file or a built-in set.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Place {
    File(PathBuf),
    BuiltIn { name: String, rows: usize },
}

/// A table and what is known of it.
pub(crate) struct Loaded {
    pub(crate) table: Table,
    /// The columns of a condition, apart from the table.
    pub(crate) condition: Option<Table>,
    pub(crate) warnings: Vec<DataWarning>,
    /// The set it was drawn from, if it was drawn.
    pub(crate) drawn_from: Option<Dataset>,
}

impl Place {
    /// The file, if it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Place::File(path) => Some(path),
            Place::BuiltIn { .. } => None,
        }
    }
}

impl Source {
    pub(crate) fn new(source: &SourceArgs, read: &ReadArgs) -> Result<Self> {
        let place = match (&source.data, &source.dataset) {
            (Some(path), _) => Place::File(path.clone()),
            (None, Some(name)) if name == RED_WINE && source.rows.is_some() => {
                let message = format!("{RED_WINE} is a fixed table of 1599 rows; leave it out");
                return Err(Error::config("--rows", message).into());
            }
            (None, Some(name)) => {
                Place::BuiltIn { name: name.clone(), rows: source.rows.unwrap_or(ROWS) }
            }
            (None, None) => {
                return Err(Error::config("DATA", "name a file, or --dataset NAME").into());
            }
        };
        Ok(Source::at(place, read))
    }

    pub(crate) fn at(place: Place, read: &ReadArgs) -> Self {
        Source {
            place,
            columns: read.columns(),
            drop: read.dropped(),
            header: if read.header { Some(true) } else { read.no_header.then_some(false) },
            delimiter: read.delimiter,
            decimal: read.decimal(),
            drop_missing: read.drop_missing,
            keep_missing: false,
        }
    }

    /// Refuses what no command line gives.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(delimiter) = self.delimiter {
            let checked = crate::args::delimiter(&delimiter.to_string());
            checked.map_err(|message| Error::config("--delimiter", message))?;
        }
        Ok(())
    }

    /// The name that messages and model files use.
    pub(crate) fn name(&self) -> String {
        match &self.place {
            Place::File(path) if is_standard_input(path) => STANDARD_INPUT.into(),
            Place::File(path) => path.display().to_string(),
            Place::BuiltIn { name, .. } => name.clone(),
        }
    }

    /// Reads or draws the table; `like` are a fitted model's columns, to be matched.
    pub(crate) fn load(&self, seed: u64, like: Option<&[String]>) -> Result<Loaded> {
        match &self.place {
            Place::File(path) => {
                let (table, warnings) = read_file(path, &self.options(like))?;
                Ok(Loaded { table, condition: None, warnings, drawn_from: None })
            }
            Place::BuiltIn { name, rows } => {
                let (table, drawn_from) = built_in(name, *rows, seed)?;
                let table = match &self.columns {
                    Some(columns) => table.select(columns)?,
                    None => table,
                };
                let table =
                    if self.drop.is_empty() { table } else { table.drop_columns(&self.drop)? };
                // With columns left out, the set's density is not that of the table.
                let whole = drawn_from.as_ref().is_some_and(|set| set.dim == table.n_columns());
                let drawn_from = drawn_from.filter(|_| whole);
                let (table, warning) = match like {
                    Some(model) => table.like_model(model)?,
                    None => (table, None),
                };
                let warnings = warning.into_iter().collect();
                Ok(Loaded { table, condition: None, warnings, drawn_from })
            }
        }
    }

    /// Reads a file for a fitted model's columns; and its other columns as they are written, where it is text and no
    /// columns were chosen.
    pub(crate) fn load_with_text(&self, like: &[String]) -> Result<(Loaded, Option<TextTable>)> {
        let Place::File(path) = &self.place else { return Ok((self.load(0, Some(like))?, None)) };
        let bytes = match is_standard_input(path) {
            true => {
                let mut bytes = Vec::new();
                let mut input = standard_input()?;
                input.read_to_end(&mut bytes).map_err(|e| Error::io(STANDARD_INPUT, "read", e))?;
                bytes
            }
            false if !path.is_file() => return Ok((self.load(0, Some(like))?, None)),
            false => std::fs::read(path).map_err(|e| Error::io(path, "read", e))?,
        };
        let bytes = parquet_as_text(bytes, &self.name())?;
        let options = self.options(Some(like));
        let (table, warnings) = read_table_from(&bytes[..], &self.name(), &options)?;
        let loaded = Loaded { table, condition: None, warnings, drawn_from: None };
        if self.columns.is_some() || bytes.starts_with(b"\x93NUMPY") || bytes.starts_with(b"PK") {
            return Ok((loaded, None));
        }
        let mut text = read_text_from(&bytes[..], &self.name(), &options)?;
        let kept: Vec<usize> =
            (0..text.columns.len()).filter(|j| !self.drop.contains(&text.columns[*j])).collect();
        let others = kept.iter().any(|j| text.places[*j].is_none());
        if kept.len() < text.columns.len() {
            text.columns = kept.iter().map(|j| text.columns[*j].clone()).collect();
            text.places = kept.iter().map(|j| text.places[*j]).collect();
            for row in &mut text.rows {
                *row = kept.iter().map(|j| row[*j].clone()).collect();
            }
        }
        let same = text.rows.len() == loaded.table.n_rows();
        Ok((loaded, Some(text).filter(|_| others && same)))
    }

    /// Reads or draws rows for a fitted model: its columns, and those of its condition apart.
    pub(crate) fn load_for(&self, seed: u64, model: &FittedModel) -> Result<Loaded> {
        let mut loaded = self.load(seed, Some(&model.all_columns()))?;
        let by_position = |w: &DataWarning| matches!(w, DataWarning::MatchedByPosition { .. });
        if !model.condition_columns().is_empty() && loaded.warnings.iter().any(by_position) {
            let message = format!(
                "no column has a name of the model's; for a conditional model they must be named: \
                 {} given {}",
                model.description().columns.join(", "),
                model.condition_columns().join(", ")
            );
            return Err(Error::data(self.name(), message).into());
        }
        loaded.take_condition(model.condition_columns())?;
        Ok(loaded)
    }

    fn options(&self, like: Option<&[String]>) -> ReadOptions {
        let header = match self.header {
            Some(true) => Header::Present,
            Some(false) => Header::Absent,
            None => Header::Find,
        };
        ReadOptions {
            columns: self.columns.clone(),
            drop: self.drop.clone(),
            like: like.map(<[String]>::to_vec),
            header,
            // Checked to be ASCII where the option is read.
            delimiter: self.delimiter.map(|c| c as u8),
            decimal: self.decimal,
            drop_missing: self.drop_missing,
            keep_missing: self.keep_missing,
            array: None,
        }
    }
}

impl Loaded {
    /// Moves the columns of a condition out of the table.
    pub(crate) fn take_condition(&mut self, names: &[String]) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let condition = self.table.select(names)?;
        if condition.n_columns() == self.table.n_columns() {
            let message = "names every column of the table, which leaves none to model";
            return Err(Error::config("--given", message).into());
        }
        self.table = self.table.drop_columns(names)?;
        self.condition = Some(condition);
        // The known score is that of all columns together.
        self.drawn_from = None;
        Ok(())
    }

    /// `model` at the conditions of the rows, where it has one.
    pub(crate) fn model_at_condition(&self, model: FittedModel) -> Result<FittedModel> {
        Ok(match &self.condition {
            Some(condition) => model.at_condition(condition.rows.view())?,
            None => model,
        })
    }
}

/// The same error with the name of the table that it is about, where it names none.
pub(crate) fn in_table(error: Error, name: &str) -> Error {
    match error {
        Error::TooFewRows { .. } => Error::data(name, error.to_string()),
        Error::Data { source_name, row, column, message } if source_name == "held-out rows" => {
            Error::Data { source_name: name.to_string(), row, column, message }
        }
        other => other,
    }
}

/// As [`in_table`].
pub(crate) fn in_named_table(error: anyhow::Error, name: &str) -> anyhow::Error {
    match error.downcast::<Error>() {
        Ok(error) => in_table(error, name).into(),
        Err(other) => other,
    }
}

/// What messages and model files call it.
pub(crate) const STANDARD_INPUT: &str = "standard input";

/// Whether a path is `-`.
pub(crate) fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Reads a table from a file, or from standard input where that is called `-`, once.
pub(crate) fn read_file(path: &Path, options: &ReadOptions) -> Result<(Table, Vec<DataWarning>)> {
    match is_standard_input(path) {
        true => Ok(read_table_from(standard_input()?, STANDARD_INPUT, options)?),
        false => Ok(read_table(path, options)?),
    }
}

/// Standard input, which can be read once.
fn standard_input() -> Result<std::io::Stdin> {
    static READ: AtomicBool = AtomicBool::new(false);
    if READ.swap(true, Ordering::Relaxed) {
        let message = "standard input can be read only once, and is used for two tables here; name a file for one";
        return Err(Error::config("-", message).into());
    }
    Ok(std::io::stdin())
}

/// Warns of conditions far outside those that the model was fitted to, by column and row.
pub(crate) fn conditions_far_off(model: &FittedModel, condition: ArrayView2<'_, f64>, show: Show) {
    let Some(known) = &model.description().condition else { return };
    for far in known.far_off(condition) {
        let rows: Vec<usize> = far.rows.iter().map(|row| row + 1).collect();
        let what = match far.range {
            Some([low, high]) => {
                format!("outside the {} to {} of training", text::short(low), text::short(high))
            }
            None => "from those of training".to_string(),
        };
        show.warning(&format!(
            "condition \"{}\": {} in {} lies far {what}, where there were no training rows: its answers there \
             are guesses",
            far.column,
            text::short(far.worst),
            text::rows(&rows)
        ));
    }
}

/// Prints the warnings, also where notes are not wanted.
pub(crate) fn show_warnings(warnings: &[DataWarning]) {
    warnings.iter().for_each(|w| text::warning(&warning_text(w)));
}

/// A warning with the settings that it names called by their options.
pub(crate) fn warning_text(warning: &DataWarning) -> String {
    exit::in_options(&warning.to_string())
}

/// Name, shape and description of every built-in set.
pub(crate) fn listing() -> Vec<(String, usize, String, bool)> {
    let drawn = synthetic::names().filter_map(synthetic::named).map(|set| {
        (set.name.to_string(), set.dim, set.description.to_string(), set.density().is_some())
    });
    let wine = "real: 1599 red wines, 11 measurements (UCI); rounded, so add --dequantize";
    drawn.chain([(RED_WINE.to_string(), 11, wine.to_string(), false)]).collect()
}

fn built_in(name: &str, rows: usize, seed: u64) -> Result<(Table, Option<Dataset>)> {
    if name == RED_WINE {
        return Ok((red_wine()?, None));
    }
    let Some(set) = synthetic::named(name) else {
        let names: Vec<String> = listing().into_iter().map(|entry| entry.0).collect();
        let guess = text::did_you_mean(name, names.iter().map(String::as_str));
        let message = format!("there is no set \"{name}\".{guess} There are {}", names.join(", "));
        return Err(Error::config("--dataset", message).into());
    };
    if rows == 0 {
        return Err(Error::config("--rows", "must be at least 1").into());
    }
    // The table, in the network's units, and its scores in both.
    check_memory("--rows", 32.0 * rows as f64 * set.dim as f64)?;
    let columns = (0..set.dim).map(|k| format!("x{k}")).collect();
    let table = Table::new(name, columns, set.sample_seeded(rows, seed))?;
    Ok((table, Some(set)))
}

fn red_wine() -> Result<Table> {
    let wine = linfa_datasets::winequality();
    let records = wine.records();
    let rows = Array2::from_shape_fn(records.dim(), |(i, j)| records[[i, j]]);
    let columns = wine.feature_names().iter().map(ToString::to_string).collect();
    Ok(Table::new(RED_WINE, columns, rows)?)
}
