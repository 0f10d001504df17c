//! One error type for the whole library.
//!
//! Every variant says what was wrong in the user's terms (file, row, column, setting) and, where
//! there is one, what to do about it. Settings are called by the names of their fields, in backticks within a
//! sentence, so that a program can put its own words in their places. [`Error::class`] groups errors by what to
//! change.

use std::borrow::Cow;
use std::path::PathBuf;

/// Result with the library's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting that cannot be used, alone or with another.
    #[error("{option}: {message}")]
    Config {
        /// The setting's name: that of the field or argument.
        option: Cow<'static, str>,
        /// Why it is refused and what to use instead.
        message: String,
    },
    /// Arrays whose shapes do not fit together.
    #[error("{operation}: expected shape {expected:?}, got {found:?}")]
    Shape {
        /// The operation that refused.
        operation: &'static str,
        /// The shape it needs.
        expected: Vec<usize>,
        /// The shape it was given.
        found: Vec<usize>,
    },
    /// Fewer rows than an operation can say something from.
    #[error("{} too few for the {operation}, at least {least} are needed", rows_are(*.found))]
    TooFewRows {
        /// The operation that refused.
        operation: &'static str,
        /// Rows it was given.
        found: usize,
        /// Rows it needs.
        least: usize,
    },
    /// A table that cannot be used. Rows are counted from 1, the header not counted.
    #[error("{}{}", place(.source_name, *.row, .column.as_deref()), .message)]
    Data {
        /// File or data set name.
        source_name: String,
        /// Data row, counted from 1, where there is one.
        row: Option<usize>,
        /// Column name, where there is one.
        column: Option<String>,
        /// What is wrong and what to do.
        message: String,
    },
    /// A model or checkpoint file that cannot be read.
    #[error("{}: {message}", .path.display())]
    ModelFile {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        message: String,
    },
    /// A file could not be read or written.
    #[error("{}: cannot {action}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried: "read", "write", ...
        action: &'static str,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The numbers left the range in which the algorithm means anything: not a bug, but a run to repeat
    /// with other settings.
    #[error("diverged at step {step}: {message}")]
    Diverged {
        /// Step at which it was seen.
        step: u64,
        /// Rows or chains that left, counted from 0, where they are known.
        rows: Vec<usize>,
        /// What was seen and what to try.
        message: String,
    },
    /// A linear-algebra problem without a (stable) solution.
    #[error("{operation}: {message}")]
    Numerical {
        /// The operation that failed.
        operation: &'static str,
        /// What is wrong and what to do.
        message: String,
    },
}

/// Coarse kinds of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// A setting was wrong: change the command.
    Usage,
    /// The data was wrong: change the table.
    Data,
    /// The model file was wrong: use another one.
    Model,
    /// Reading or writing failed: look at disk, path, permissions.
    Io,
    /// Training or sampling diverged, or a computation had no solution: change step size or model.
    Numerical,
}

impl Error {
    /// The class of this error.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Config { .. } => ErrorClass::Usage,
            Error::Shape { .. } | Error::TooFewRows { .. } | Error::Data { .. } => ErrorClass::Data,
            Error::ModelFile { .. } => ErrorClass::Model,
            Error::Io { .. } => ErrorClass::Io,
            Error::Diverged { .. } | Error::Numerical { .. } => ErrorClass::Numerical,
        }
    }

    /// A setting that cannot be used.
    pub fn config(option: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Error::Config { option: option.into(), message: message.into() }
    }

    /// A table that cannot be used as a whole.
    pub fn data(source_name: impl Into<String>, message: impl Into<String>) -> Self {
        Error::Data {
            source_name: source_name.into(),
            row: None,
            column: None,
            message: message.into(),
        }
    }

    /// A failed read or write of `path`.
    pub fn io(path: impl Into<PathBuf>, action: &'static str, source: std::io::Error) -> Self {
        Error::Io { path: path.into(), action, source }
    }

    /// A model file that cannot be used.
    pub fn model_file(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Error::ModelFile { path: path.into(), message: message.into() }
    }
}

fn rows_are(n: usize) -> String {
    if n == 1 { "1 row is".into() } else { format!("{n} rows are") }
}

fn place(source_name: &str, row: Option<usize>, column: Option<&str>) -> String {
    let mut out = source_name.to_string();
    if let Some(row) = row {
        out += &format!(", row {row}");
    }
    if let Some(column) = column {
        out += &format!(", column \"{column}\"");
    }
    out + ": "
}
