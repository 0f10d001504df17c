//! Tables from Parquet files, by the `parquet` crate.
//!
//! Rows are handed on as delimited text, so that names, missing cells, words among numbers and everything that is said
//! of them are those of a text file. Numbers keep all their digits.

use std::fmt::Write;

use parquet::data_type::AsBytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use crate::{Error, Result};

/// How a Parquet file begins and ends.
pub(super) const PARQUET: &[u8] = b"PAR1";

/// The table of a Parquet file as text, with `,` between fields and a line of names; other files as they are.
///
/// # Errors
/// [`Error::Data`] for files that are damaged, or compressed by another method than Snappy, gzip and LZ4.
pub fn parquet_as_text(bytes: Vec<u8>, source_name: &str) -> Result<Vec<u8>> {
    if !bytes.starts_with(PARQUET) {
        return Ok(bytes);
    }
    let damaged =
        |e: ParquetError| Error::data(source_name, format!("the Parquet file cannot be read: {e}"));
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).map_err(damaged)?;
    let schema = reader.metadata().file_metadata().schema();
    let mut writer = csv::Writer::from_writer(Vec::new());
    let unwritable = |e: csv::Error| Error::data(source_name, format!("cannot be read: {e}"));
    writer.write_record(schema.get_fields().iter().map(|f| f.name())).map_err(unwritable)?;
    let mut row = Vec::new();
    for record in reader.get_row_iter(None).map_err(damaged)? {
        let record = record.map_err(damaged)?;
        row.clear();
        for (_, field) in record.get_column_iter() {
            row.push(text(field));
        }
        writer.write_record(&row).map_err(unwritable)?;
    }
    writer.into_inner().map_err(|e| Error::data(source_name, format!("cannot be read: {e}")))
}

/// A cell as a text file has it; empty where it is missing.
fn text(field: &Field) -> String {
    match field {
        Field::Null => String::new(),
        Field::Bool(value) => value.to_string(),
        // All digits, and no more: what is read again is the same number.
        Field::Float(value) => format!("{value:?}"),
        Field::Double(value) => format!("{value:?}"),
        Field::Byte(value) => value.to_string(),
        Field::Short(value) => value.to_string(),
        Field::Int(value) => value.to_string(),
        Field::Long(value) => value.to_string(),
        Field::UByte(value) => value.to_string(),
        Field::UShort(value) => value.to_string(),
        Field::UInt(value) => value.to_string(),
        Field::ULong(value) => value.to_string(),
        Field::Str(value) => value.clone(),
        Field::Bytes(value) => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        // Decimals, dates and times as they are printed; groups and lists are words to the reader.
        other => {
            let mut text = String::new();
            let _ = write!(text, "{other}");
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{ReadOptions, read_table_from};
    use ndarray::array;
    use parquet::data_type::{
        BoolType, ByteArray, ByteArrayType, DoubleType, FloatType, Int64Type,
    };
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use std::sync::Arc;

    /// Two rows of every kind of number, of which the second has no b, and a column of words.
    fn file(compression: parquet::basic::Compression) -> Vec<u8> {
        let schema = "message table { required double a; optional float b; required int64 \"c\"; \
                      required boolean d; required binary name (UTF8); }";
        let schema = schema.replace('"', "");
        let schema = Arc::new(parse_message_type(&schema).unwrap());
        let properties = WriterProperties::builder().set_compression(compression).build();
        let mut bytes = Vec::new();
        let mut writer =
            SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
        let mut group = writer.next_row_group().unwrap();
        macro_rules! column {
            ($kind:ty, $values:expr, $there:expr) => {
                let mut column = group.next_column().unwrap().unwrap();
                column.typed::<$kind>().write_batch(&$values, $there, None).unwrap();
                column.close().unwrap();
            };
        }
        column!(DoubleType, [0.1 + 0.2, -1e300], None);
        column!(FloatType, [0.1f32], Some(&[1i16, 0][..]));
        column!(Int64Type, [1_234_567_890_123i64, -2], None);
        column!(BoolType, [true, false], None);
        column!(ByteArrayType, [ByteArray::from("x, y"), ByteArray::from("z")], None);
        group.close().unwrap();
        writer.close().unwrap();
        bytes
    }

    #[test]
    fn parquet_files_are_tables() {
        use parquet::basic::Compression;
        for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY] {
            let bytes = file(compression);
            let text =
                String::from_utf8(parquet_as_text(bytes.clone(), "t.parquet").unwrap()).unwrap();
            assert_eq!(
                text,
                "a,b,c,d,name\n0.30000000000000004,0.1,1234567890123,true,\"x, y\"\n\
                 -1e300,,-2,false,z\n"
            );
            let options =
                ReadOptions { drop: vec!["name".into(), "b".into()], ..ReadOptions::default() };
            let mut kept = options.clone();
            kept.drop.push("a".into());
            let (table, _) = read_table_from(&bytes[..], "t.parquet", &kept).unwrap();
            assert_eq!(table.columns, ["c", "d"]);
            assert_eq!(table.rows, array![[1_234_567_890_123.0, 1.0], [-2.0, 0.0]]);
            // What is wrong with a cell is said as of a text.
            let error = read_table_from(&bytes[..], "t.parquet", &ReadOptions::default());
            let error = error.unwrap_err().to_string();
            assert!(error.starts_with("t.parquet, row ") && error.contains("column"), "{error}");
        }
    }

    #[test]
    fn damaged_files_are_refused() {
        let whole = file(parquet::basic::Compression::UNCOMPRESSED);
        for end in [4, 8, whole.len() / 2, whole.len() - 1] {
            let error = read_table_from(&whole[..end], "t.parquet", &ReadOptions::default());
            let error = error.unwrap_err();
            assert_eq!(error.class(), crate::ErrorClass::Data);
            assert!(error.to_string().starts_with("t.parquet: the Parquet file"), "{error}");
        }
    }
}
