//! Tables from any file that is read: NumPy's `.npy` and `.npz`, Parquet, else delimited text.
//!
//! Arrays have no names: columns are called x0, x1, ...; NaN is missing. A matrix has one row in each line, a vector
//! one column.

use std::io::{Cursor, Read, Seek};
use std::path::{Path, PathBuf};

use ndarray::{Array2, Axis, ShapeBuilder};
use zip::ZipArchive;

use super::csv_field::LARGEST;
use super::csv_file::open;
use super::csv_stream::peek;
use super::names::{self, Match};
use super::npy::{self, Header, NPY};
use super::parquet_file::{PARQUET, parquet_as_text};
use super::{DataWarning, ReadOptions, Table, read_csv_from};
use crate::{Error, Result};

const ZIP: &[u8] = b"PK\x03\x04";

/// Reads a table from a file: `.npy`, `.npz`, Parquet or delimited text, told apart by their contents.
/// `FILE.npz:NAME` is an array of several.
///
/// # Errors
/// Those of [`read_csv`](super::read_csv); [`Error::Data`] for arrays that are no table of numbers, or several
/// without a choice (their names are given).
pub fn read_table(path: &Path, options: &ReadOptions) -> Result<(Table, Vec<DataWarning>)> {
    let name = path.display().to_string();
    if !path.exists()
        && let Some((file, array)) = name.rsplit_once(':').filter(|(f, _)| Path::new(f).exists())
    {
        let options = ReadOptions { array: Some(array.to_string()), ..options.clone() };
        return read_table_from(open(&PathBuf::from(file))?, &name, &options);
    }
    read_table_from(open(path)?, &name, options)
}

/// [`read_table`] from a stream; `source_name` is what messages and the table are called after.
///
/// # Errors
/// Those of [`read_table`].
pub fn read_table_from(
    input: impl Read + Send,
    source_name: &str,
    options: &ReadOptions,
) -> Result<(Table, Vec<DataWarning>)> {
    let unreadable = |source| Error::io(source_name, "read", source);
    let (head, mut input) = peek(input, 6).map_err(unreadable)?;
    let is_array = head.starts_with(NPY) || head.starts_with(ZIP);
    if !is_array {
        if options.array.is_some() {
            return Err(Error::data(
                source_name,
                "this is not an .npz file, so it has no named arrays",
            ));
        }
        if !head.starts_with(PARQUET) {
            return read_csv_from(input, source_name, options);
        }
    }
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes).map_err(unreadable)?;
    if !is_array {
        return read_csv_from(&parquet_as_text(bytes, source_name)?[..], source_name, options);
    }
    let rows = match head.starts_with(NPY) {
        true => array(&bytes[..], source_name)?,
        false => match archive(Cursor::new(&bytes[..]), source_name, options)? {
            Some(rows) => rows,
            // What a zip archive is otherwise is said there.
            None => return read_csv_from(&bytes[..], source_name, options),
        },
    };
    choose(rows, source_name, options)
}

/// An array of a `.npz` file; None if it is another archive.
fn archive(
    file: impl Read + Seek,
    source_name: &str,
    options: &ReadOptions,
) -> Result<Option<Array2<f64>>> {
    let damaged = |e: zip::result::ZipError| {
        Error::data(source_name, format!("the archive cannot be read: {e}"))
    };
    let Ok(mut archive) = ZipArchive::new(file) else { return Ok(None) };
    let array_name = |name: &str| name.strip_suffix(".npy").map(str::to_string);
    let names: Vec<String> =
        archive.file_names().filter_map(|name| array_name(&name.ok()?)).collect();
    let list = names::quoted_list(&names);
    let name = match (&options.array, names.as_slice()) {
        (_, []) => return Ok(None),
        (Some(name), names) if names.contains(name) => name,
        (Some(name), _) => {
            let message = format!("there is no array \"{name}\"; there are {list}");
            return Err(Error::data(source_name, message));
        }
        (None, [only]) => only,
        (None, [first, ..]) => {
            let message = format!(
                "there are several arrays, {list}: name one after a colon, as in {source_name}:{first}"
            );
            return Err(Error::data(source_name, message));
        }
    };
    let file = archive.by_name(&format!("{name}.npy")).map_err(damaged)?;
    array(file, source_name).map(Some)
}

/// A vector or matrix of numbers.
fn array(mut file: impl Read, source_name: &str) -> Result<Array2<f64>> {
    let refuse = |message: String| Error::data(source_name, message);
    let damaged = |e: std::io::Error| refuse(format!("the array cannot be read: {e}"));
    let header = Header::read(&mut file).map_err(damaged)?;
    let shape = &header.shape;
    let (n, d) = match shape[..] {
        [n] => (n, 1),
        [n, d] => (n, d),
        _ => {
            let message = format!(
                "an array of shape {shape:?} is not a table: it must have one or two axes, rows and columns"
            );
            return Err(refuse(message));
        }
    };
    let count = n.checked_mul(d).filter(|count| *count < isize::MAX as u64 / 8);
    let (Some(count), Ok(n), Ok(d)) = (count, usize::try_from(n), usize::try_from(d)) else {
        return Err(refuse(format!("an array of shape {shape:?} does not fit into memory")));
    };
    let Some(kind) = header.kind else {
        let message = "the array has named fields; save them as columns of one array of numbers, in Python \
                       with numpy.lib.recfunctions.structured_to_unstructured";
        return Err(refuse(message.into()));
    };
    let values = npy::values(file, &kind, count).map_err(damaged)?.ok_or_else(|| {
        refuse(format!(
            "the array holds values of type {kind}, not numbers; convert it with .astype(float)"
        ))
    })?;
    if values.len() as u64 != count {
        return Err(refuse(format!("the array ends after {} of {count} values", values.len())));
    }
    let shape = (n, d).set_f(header.by_columns);
    let rows = Array2::from_shape_vec(shape, values).map_err(|e| refuse(e.to_string()))?;
    Ok(rows.as_standard_layout().to_owned())
}

/// The columns asked for, and what is done about missing values.
fn choose(
    rows: Array2<f64>,
    source_name: &str,
    options: &ReadOptions,
) -> Result<(Table, Vec<DataWarning>)> {
    let all: Vec<String> = (0..rows.ncols()).map(|j| format!("x{j}")).collect();
    if all.is_empty() {
        return Err(Error::data(source_name, "the array has no columns"));
    }
    let mut chosen = names::choose(source_name, &all, options.columns.as_deref(), &options.drop)?;
    let mut columns: Vec<String> = chosen.iter().map(|j| all[*j].clone()).collect();
    if let Some(model) = &options.like {
        if let Match::Names(order) | Match::Letters(order) =
            names::match_model(source_name, &columns, model)?
        {
            chosen = order.into_iter().map(|k| chosen[k]).collect();
        }
        // An array has no names that could differ.
        columns = model.clone();
    }
    let rows = rows.select(Axis(1), &chosen);
    let refuse = |row: usize, column: usize, message: String| Error::Data {
        source_name: source_name.to_string(),
        row: Some(row + 1),
        column: Some(columns[column].clone()),
        message,
    };
    if let Some(((row, column), value)) =
        rows.indexed_iter().find(|(_, x)| !x.is_nan() && !(x.abs() <= LARGEST))
    {
        return Err(refuse(
            row,
            column,
            format!("{value} is infinite or too large; the limit is {LARGEST:e}"),
        ));
    }
    let mut warnings = Vec::new();
    let holed = |i: &usize| rows.row(*i).iter().any(|x| x.is_nan());
    let holes: Vec<usize> = (0..rows.nrows()).filter(holed).collect();
    let rows = match holes.first() {
        None => rows.clone(),
        Some(_) if options.keep_missing => rows.clone(),
        Some(_) if options.drop_missing && holes.len() < rows.nrows() => {
            warnings
                .push(DataWarning::MissingDropped { dropped: holes.len(), total: rows.nrows() });
            let whole: Vec<usize> = (0..rows.nrows()).filter(|i| !holed(i)).collect();
            rows.select(Axis(0), &whole)
        }
        Some(&row) => {
            let column = rows.row(row).iter().position(|x| x.is_nan()).unwrap_or(0);
            let left = rows.nrows() - holes.len();
            let what = match left {
                0 => "fill in the missing values with another program first".to_string(),
                left => format!(
                    "leave these rows out with `drop_missing` ({left} left), or fill them in"
                ),
            };
            let message = format!(
                "{} of {} rows have missing values (NaN), the first here; {what}",
                holes.len(),
                rows.nrows()
            );
            return Err(refuse(row, column, message));
        }
    };
    let table = Table { name: source_name.to_string(), columns, rows };
    table.validate_with(options.keep_missing)?;
    Ok((table, warnings))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ndarray::array;
    use npyz::{Order, WriterBuilder};

    use super::*;

    fn npy<T: npyz::AutoSerialize>(values: &[T], shape: &[u64], order: Order) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(shape)
            .order(order)
            .writer(&mut out)
            .begin_nd()
            .unwrap();
        writer.extend(values.iter()).unwrap();
        writer.finish().unwrap();
        out
    }

    fn read(bytes: &[u8], options: &ReadOptions) -> Result<Array2<f64>> {
        read_table_from(bytes, "t.npy", options).map(|(table, _)| table.rows)
    }

    fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in arrays {
            writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn numbers_of_every_type_and_order() {
        let expected = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let options = ReadOptions::default();
        macro_rules! both_orders {
            ($($type:ty),*) => {$(
                let c: Vec<$type> = [1, 2, 3, 4, 5, 6].map(|x| x as $type).to_vec();
                let f: Vec<$type> = [1, 4, 2, 5, 3, 6].map(|x| x as $type).to_vec();
                assert_eq!(read(&npy(&c, &[2, 3], Order::C), &options).unwrap(), expected);
                assert_eq!(read(&npy(&f, &[2, 3], Order::Fortran), &options).unwrap(), expected);
            )*};
        }
        both_orders!(f64, f32, i8, i16, i32, i64, u8, u16, u32, u64);
        let flags = npy(&[true, false], &[2], Order::C);
        assert_eq!(read(&flags, &options).unwrap(), array![[1.0], [0.0]]);
    }

    #[test]
    fn columns_holes_and_refusals() {
        let values = [1.0, f64::NAN, 3.0, 4.0];
        let bytes = npy(&values, &[2, 2], Order::C);
        let with = |options: ReadOptions| read(&bytes, &options);
        let drop = with(ReadOptions { drop_missing: true, ..Default::default() }).unwrap();
        assert_eq!(drop, array![[3.0, 4.0]]);
        let one = with(ReadOptions { columns: Some(vec!["x0".into()]), ..Default::default() });
        assert_eq!(one.unwrap(), array![[1.0], [3.0]]);
        let error = with(ReadOptions::default()).unwrap_err().to_string();
        assert!(
            error.starts_with("t.npy, row 1, column \"x1\": 1 of 2 rows have missing"),
            "{error}"
        );
        let like = ReadOptions {
            like: Some(vec!["a".into(), "b".into()]),
            keep_missing: true,
            ..Default::default()
        };
        let (table, warnings) = read_table_from(&bytes[..], "t", &like).unwrap();
        assert_eq!((table.columns, warnings), (vec!["a".to_string(), "b".to_string()], vec![]));
        let words = |bytes: &[u8]| read(bytes, &ReadOptions::default()).unwrap_err().to_string();
        assert!(words(&npy(&[1.0; 8], &[2, 2, 2], Order::C)).contains("one or two axes"));
        assert!(words(&npy(&[f64::INFINITY], &[1], Order::C)).contains("infinite"));
        assert!(words(&bytes[..bytes.len() - 3]).contains("array"));
        assert!(words(&npy::<f64>(&[], &[0, 2], Order::C)).contains("no rows"));
    }

    /// The header of version 3 claims 661 million bytes; the file has 168.
    #[test]
    fn headers_that_claim_all_memory_are_refused() {
        let mut bytes = npy(&[1.5, -2.0], &[2, 1], Order::C);
        (bytes[6], bytes[7]) = (3, 0);
        bytes[8..12].copy_from_slice(&0x277b_0076u32.to_le_bytes());
        let error = read(&bytes, &ReadOptions::default()).unwrap_err().to_string();
        assert!(error.contains("its header is too long"), "{error}");
        // Brackets without end.
        let header = format!("{{'descr': {}", "(".repeat(100));
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
        bytes.extend_from_slice(header.as_bytes());
        let error = read(&bytes, &ReadOptions::default()).unwrap_err().to_string();
        assert!(error.contains("its header does not describe an array"), "{error}");
    }

    #[test]
    fn arrays_of_archives() {
        let (a, b) = (npy(&[1.0, 2.0], &[2], Order::C), npy(&[7i64], &[1, 1], Order::C));
        let one = npz(&[("data.npy", a.clone())]);
        assert_eq!(read(&one, &ReadOptions::default()).unwrap(), array![[1.0], [2.0]]);
        let two = npz(&[("a.npy", a), ("b.npy", b)]);
        let error = read(&two, &ReadOptions::default()).unwrap_err().to_string();
        assert!(
            error.contains("several arrays, \"a\", \"b\"") && error.ends_with("t.npy:a"),
            "{error}"
        );
        let chosen = |name: &str| ReadOptions { array: Some(name.into()), ..Default::default() };
        assert_eq!(read(&two, &chosen("b")).unwrap(), array![[7.0]]);
        assert!(read(&two, &chosen("c")).unwrap_err().to_string().contains("no array \"c\""));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.npz");
        std::fs::write(&path, &two).unwrap();
        let named = PathBuf::from(format!("{}:b", path.display()));
        assert_eq!(read_table(&named, &ReadOptions::default()).unwrap().0.rows, array![[7.0]]);
        let other = npz(&[("xl/workbook.xml", b"<x/>".to_vec())]);
        assert!(
            read(&other, &ReadOptions::default())
                .unwrap_err()
                .to_string()
                .contains("a zip archive")
        );
    }
}
