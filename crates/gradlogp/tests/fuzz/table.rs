//! Tables of text and arrays: whatever they hold, a table of finite numbers or an error; and the same numbers
//! however the same fields are written.

use std::io::Write;

use gradlogp::data::{
    DataWarning, Mark, ReadOptions, Table, check_table, read_table_from, read_text_from,
};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::harness::{Input, Target, fuzz};
use crate::mutate;

#[test]
fn changed_tables_are_read_or_refused() {
    let tally = fuzz(&Target { name: "table", seeds, change, accepts, inputs: 3000 });
    assert!(tally.inputs < 100 || tally.accepted > tally.inputs / 20, "{tally:?} tests too little");
}

fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "a,b\n1,2.5\n-3e2,4\n0.1,7\n",
        "\"a\", \"b, c\"\r\n1, \"2\"\r\n\"3\", 4\r\n",
        "length;width\n1,5;2.345\n3,25;1.000,5\n",
        "income\tspend\n1,213\t1,165\n791\t1,846\n2,843\t612\n847\t820\n",
        "# by hand\n# a b\n  1.5   2\n 3.0   4.5\n",
        "sep=;\na;b\n1;2\n3;4\n",
        ",x,y\n0,1.5,2\n1,2.5,3\n",
        "400,410,420\n0.1,0.2,0.3\n0.2,0.3,0.1\n0.4,0.1,0.2\n0.3,0.2,0.2\n",
        "\"a, b\",ok\n1 234,True\n5'678.5,false\n",
        "1\r2\r3\r",
        "a|b\n1|2\n3|4\n# 5|6\n7|8\n",
    ];
    let utf16: Vec<u8> = "\u{feff}a,b\n1,2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let npy = b"\x93NUMPY\x01\0v\0{'descr': '<f8', 'fortran_order': False, 'shape': (2, 1), }";
    let mut npy = npy.to_vec();
    npy.resize(127, b' ');
    npy.push(b'\n');
    npy.extend([1.5f64, -2.0].iter().flat_map(|x| x.to_le_bytes()));
    let mut all: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    all.extend([utf16, gzip(texts[0].as_bytes()), npy]);
    all
}

fn change(rng: &mut ChaCha8Rng, input: &mut Vec<u8>) {
    const WORDS: [&str; 40] = [
        ",",
        ";",
        "\t",
        "|",
        " ",
        "\n",
        "\r\n",
        "\r",
        "\"",
        "\"\"",
        "#",
        "# ",
        "sep=,",
        "NA",
        "#N/A",
        "nan",
        "inf",
        "1.#INF",
        "1,234",
        "1.234",
        "1 234",
        "1'234",
        "0,5",
        "1e151",
        "-",
        ".",
        "'",
        "\u{a0}",
        "true",
        "a",
        "a,b\n",
        "1,2\n",
        "\u{feff}",
        "400,410\n",
        "\\N",
        "2024-01-01",
        "1,234,567",
        "1.234.567,8",
        "\n\n",
        "x0",
    ];
    if rng.random_range(0..8) == 0 && !input.is_empty() {
        // Whole lines, which keep a table a table.
        let lines: Vec<&[u8]> = input.split_inclusive(|byte| *byte == b'\n').collect();
        let line = lines[rng.random_range(0..lines.len())].to_vec();
        let times = rng.random_range(1..20);
        input.extend(line.repeat(times));
        return;
    }
    mutate::bytes(rng, input, &WORDS);
}

type Read = Result<(Table, Vec<DataWarning>), String>;

fn read(bytes: &[u8], options: &ReadOptions) -> Read {
    read_table_from(bytes, "t", options).map_err(|e| e.to_string())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn accepts(input: &Input<'_>) -> bool {
    let plain = ReadOptions::default();
    let found = read(input.bytes, &plain);
    let is_text = !input.bytes.starts_with(b"\x93NUMPY") && !input.bytes.starts_with(b"PK");
    if is_text && !input.bytes.starts_with(&[0x1f, 0x8b]) {
        assert_eq!(same(&found), same(&read(&gzip(input.bytes), &plain)), "gzip");
    }
    let holes = ReadOptions { keep_missing: true, ..ReadOptions::default() };
    for options in [
        holes.clone(),
        ReadOptions { drop_missing: true, ..ReadOptions::default() },
        ReadOptions { decimal: Some(Mark::Point), ..ReadOptions::default() },
        ReadOptions { decimal: Some(Mark::Comma), ..ReadOptions::default() },
        ReadOptions { like: Some(vec!["a".into(), "B".into()]), ..ReadOptions::default() },
        ReadOptions { drop: vec!["a".into()], ..ReadOptions::default() },
    ] {
        if let Ok((table, _)) = read(input.bytes, &options) {
            let missing = options.keep_missing;
            assert!(table.rows.iter().all(|x| x.is_finite() || missing && x.is_nan()));
        }
    }
    if let (Ok((table, _)), true) = (read(input.bytes, &holes), is_text) {
        let text = read_text_from(input.bytes, "t", &holes).unwrap();
        assert_eq!(text.rows.len(), table.n_rows(), "as many rows of text as of numbers");
        written_otherwise(&table);
    }
    let Ok((table, _)) = found else { return false };
    let _ = check_table(&table).map(|warnings| warnings.iter().map(ToString::to_string).count());
    true
}

/// Names, bits of the numbers and warnings of a table, or what is said of it.
type Seen = Result<(Vec<String>, Vec<u64>, Vec<String>), String>;

/// What two readings must have in common, to the bit.
fn same(read: &Read) -> Seen {
    let (table, warnings) = read.as_ref().map_err(Clone::clone)?;
    let bits = table.rows.iter().map(|x| x.to_bits()).collect();
    Ok((table.columns.clone(), bits, warnings.iter().map(ToString::to_string).collect()))
}

/// The table written anew in several ways is the same table.
fn written_otherwise(table: &Table) {
    let columns: Vec<String> = (0..table.n_columns()).map(|j| format!("c{j}")).collect();
    let options =
        ReadOptions { keep_missing: true, decimal: Some(Mark::Point), ..ReadOptions::default() };
    let write = |delimiter: &str, quote: &str, end: &str| -> Vec<u8> {
        let field = |text: String| format!("{quote}{text}{quote}");
        let line = |fields: Vec<String>| fields.join(delimiter) + end;
        let number = |x: &f64| field(if x.is_nan() { "NA".into() } else { format!("{x:?}") });
        let mut text = line(columns.iter().cloned().map(field).collect());
        for row in table.rows.outer_iter() {
            text += &line(row.iter().map(number).collect());
        }
        text.into_bytes()
    };
    let bits = |table: &Table| -> Vec<u64> {
        let one = |x: &f64| if x.is_nan() { u64::MAX } else { x.to_bits() };
        table.rows.iter().map(one).collect()
    };
    let ways = [
        (",", "", "\n"),
        (",", "\"", "\n"),
        (";", "", "\r\n"),
        ("\t", "", "\n"),
        ("|", "\"", "\r\n"),
        (", ", "\"", "\n"),
        (",", "", "\r"),
    ];
    for (delimiter, quote, end) in ways {
        let text = write(delimiter, quote, end);
        let again = read_table_from(&text[..], "t", &options).unwrap_or_else(|e| {
            panic!("{e}: {:?}", String::from_utf8_lossy(&text[..text.len().min(300)]))
        });
        assert_eq!(again.0.columns, columns, "{delimiter:?} {quote:?} {end:?}");
        assert_eq!(bits(&again.0), bits(table), "{delimiter:?} {quote:?} {end:?}");
    }
}
