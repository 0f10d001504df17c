//! Writing tables: CSV, or `.npy` by the file's ending.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use gradlogp::Error;
use gradlogp::storage::write_atomically;
use ndarray::Array2;

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
            Ok(write_atomically(path, |out| write_npy(out, rows))?)
        }
        Some(path) => Ok(write_atomically(path, |out| write_csv(out, columns, rows))?),
    }
}

/// Refuses a file that cannot be written before hours are spent on what should go there.
pub(crate) fn check_writable(path: &Path) -> Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let fail = |e| Error::io(path, "write", e);
    if path.is_dir() {
        return Err(fail(std::io::Error::other("it is a directory; name a file")).into());
    }
    if path.exists() && !path.is_file() {
        return Ok(());
    }
    tempfile::Builder::new().prefix(".gradlogp-").tempfile_in(folder).map_err(fail)?;
    Ok(())
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case(ending))
}

fn write_csv(out: &mut dyn Write, columns: &[String], rows: &Array2<f64>) -> std::io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(columns)?;
    for row in rows.outer_iter() {
        writer.write_record(row.iter().map(f64::to_string))?;
    }
    writer.flush()
}

fn write_npy(out: &mut dyn Write, rows: &Array2<f64>) -> std::io::Result<()> {
    use npyz::WriterBuilder;
    let shape = [rows.nrows() as u64, rows.ncols() as u64];
    let mut writer =
        npyz::WriteOptions::new().default_dtype().shape(&shape).writer(out).begin_nd()?;
    writer.extend(rows.iter().copied())?;
    writer.finish()
}
