//! Writing tables: CSV, or `.npy` by the file's ending.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use gradlogp::Error;
use gradlogp::data::write_npy;
use gradlogp::storage::{file_behind, write_atomically};
use ndarray::Array2;

use crate::file_id::{FileId, file_id};

/// Writes named columns to `path`, or as CSV to standard output without one.
pub(crate) fn write_table(
    path: Option<&Path>,
    columns: &[String],
    rows: &Array2<f64>,
) -> Result<()> {
    match path {
        None => write_csv(&mut std::io::stdout().lock(), columns, rows)
            .context("standard output: cannot write"),
        Some(path) if has_ending(path, "npy") => {
            write_array(path, &[rows.nrows(), rows.ncols()], rows.iter().copied())
        }
        Some(path) => Ok(write_atomically(path, |out| write_csv(out, columns, rows))?),
    }
}

/// Whether a table that is written to `path` can hold text.
pub(crate) fn holds_text(path: Option<&Path>) -> bool {
    !path.is_some_and(|path| has_ending(path, "npy"))
}

/// Writes a table of text as CSV, to standard output without a path.
pub(crate) fn write_text(
    path: Option<&Path>,
    columns: &[String],
    rows: impl Iterator<Item = Vec<String>> + Clone,
) -> Result<()> {
    match path {
        None => write_records(&mut std::io::stdout().lock(), columns, rows)
            .context("standard output: cannot write"),
        Some(path) => Ok(write_atomically(path, |out| write_records(out, columns, rows.clone()))?),
    }
}

/// Refuses a file that cannot be written before hours are spent on what should go there; `what` names it.
pub(crate) fn check_writable(what: &str, path: &Path) -> Result<()> {
    let fail = |why: String| Error::io(path, "write", std::io::Error::other(why));
    if path.as_os_str().is_empty() {
        return Err(Error::config(what.to_string(), "name a file").into());
    }
    let Some(file) = file_behind(path) else { return Ok(()) };
    if file.is_dir() {
        return Err(fail("it is a directory; name a file".into()).into());
    }
    let folder = folder_of(&file);
    if !folder.is_dir() {
        return Err(fail(format!("there is no folder {}", folder.display())).into());
    }
    if std::fs::metadata(&file).is_ok_and(|m| m.permissions().readonly()) {
        return Err(fail("it is read-only; name another file".into()).into());
    }
    // The reason without the name of the temporary file, which nobody asked for.
    let probe = tempfile::Builder::new().prefix(".gradlogp-").tempfile_in(folder);
    probe.map_err(|e| fail(e.kind().to_string()))?;
    Ok(())
}

/// The folder in which a file lies.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Something that can be written but is no file of its own, such as /dev/stdout.
pub(crate) fn is_device(path: &Path) -> bool {
    file_behind(path).is_none()
}

/// The file to which standard output was sent, if it was one.
pub(crate) fn standard_output() -> Option<FileId> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        let open = std::io::stdout().as_fd().try_clone_to_owned().ok()?;
        let of = std::fs::File::from(open).metadata().ok()?;
        of.is_file().then(|| file_id(&of)).flatten()
    }
    #[cfg(not(unix))]
    None
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case(ending))
}

fn write_csv(out: &mut dyn Write, columns: &[String], rows: &Array2<f64>) -> std::io::Result<()> {
    let rows = rows.outer_iter().map(|row| row.iter().map(f64::to_string).collect::<Vec<_>>());
    write_records(out, columns, rows)
}

fn write_records(
    out: &mut dyn Write,
    columns: &[String],
    rows: impl Iterator<Item = Vec<String>>,
) -> std::io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    // The system's own error, so that a closed pipe is known for what it is.
    let plain = |e: csv::Error| match e.into_kind() {
        csv::ErrorKind::Io(e) => e,
        _ => std::io::Error::other("the rows cannot be written as CSV"),
    };
    writer.write_record(columns).map_err(plain)?;
    for row in rows {
        writer.write_record(row).map_err(plain)?;
    }
    writer.flush()
}

/// Writes an array as `.npy`; `values` run through it with the last index fastest.
pub(crate) fn write_array(
    path: &Path,
    shape: &[usize],
    values: impl Iterator<Item = f64> + Clone,
) -> Result<()> {
    Ok(write_atomically(path, |out| write_npy(out, shape, values.clone()))?)
}
