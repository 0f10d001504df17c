use super::*;
use crate::data::{LeftOut, Mark};
use flate2::{Compression, write::GzEncoder};
use ndarray::array;
use std::io::Write;

type Read = (Table, Vec<DataWarning>);

fn read_with(text: impl AsRef<[u8]>, options: &ReadOptions) -> Result<Read> {
    read_csv_from(text.as_ref(), "t.csv", options)
}

fn read(text: impl AsRef<[u8]>) -> Result<Read> {
    read_with(text, &ReadOptions::default())
}

fn good(text: impl AsRef<[u8]>) -> Table {
    let (table, warnings) = read(text).unwrap();
    assert_eq!(warnings, []);
    table
}

fn message(text: impl AsRef<[u8]>) -> String {
    let error = read(text).unwrap_err();
    assert_eq!(error.class(), crate::ErrorClass::Data);
    error.to_string()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn list(names: &[&str]) -> Vec<String> {
    names.iter().map(|s| s.to_string()).collect()
}

#[test]
fn delimiters_line_ends_quotes_spaces_and_bom() {
    let expected = array![[1.0, -2.5], [3.38e-5, 4e3]];
    for text in [
        "a,b\n1,-2.5\n3.38e-005,4E3\n",
        "a;b\n1;-2.5\n3.38e-005;4E3",
        "a\tb\r\n1\t-2.5\r\n3.38e-005\t4e+3\r\n",
        "\u{feff}a,b\n 1 , -2.5\n\n3.38e-005,\t4e3  \n   \n",
        "\"a\",\"b\"\n\"1\",-2.5\n\"3.38e-005\",\"+4e3\"\n",
    ] {
        let table = good(text);
        assert_eq!(table.columns, ["a", "b"], "{text:?}");
        assert_eq!(table.rows, expected, "{text:?}");
    }
    let named = good("\"x, y\",\"say \"\"b\"\"\"\n1,2\n");
    assert_eq!(named.columns, ["x, y", "say \"b\""]);
}

#[test]
fn a_byte_order_mark_counts_at_the_start_alone() {
    // After plain numbers, after a line for the csv reader, in blocks of any size, within quotation marks: the same.
    let quoted = "a,b\n1,2\n\u{feff}3,4\n\"5\",6\n";
    for text in ["a,b\n1,2\n\u{feff}3,4\n5,6\n", "a,b\n1, 2\n\u{feff}3,4\n5,6\n", quoted] {
        for block in [1, 8, 1 << 20] {
            let read = read_in_blocks(text.as_bytes(), "t", &ReadOptions::default(), block);
            let error = read.unwrap_err().to_string();
            assert!(error.starts_with("t, row 2, column \"a\": "), "{text:?} {block} {error}");
        }
    }
    // A line of nothing else is a row of text, for numbers and for text alike.
    let (text, holes) =
        ("1\n\u{feff}\n3\n", ReadOptions { keep_missing: true, ..Default::default() });
    let error = read_with(text, &holes).unwrap_err().to_string();
    assert!(error.starts_with("t.csv, row 2"), "{error}");
    assert_eq!(read_text_from(text.as_bytes(), "t.csv", &holes).unwrap().rows.len(), 3);
}

#[test]
fn header_is_found_or_not() {
    let bare = good("1,2\n3,4\n");
    assert_eq!((bare.columns, bare.rows), (list(&["x0", "x1"]), array![[1.0, 2.0], [3.0, 4.0]]));
    assert_eq!(good("v\n1\n2\n").columns, ["v"]);
    // A missing value in the first row does not make it a header.
    let drop = ReadOptions { drop_missing: true, ..Default::default() };
    assert_eq!(read_with("NA,2\n3,4\n", &drop).unwrap().0.rows, array![[3.0, 4.0]]);
    // Text in the same places as in the second row: data, whose text column can be dropped.
    let options = ReadOptions { drop: list(&["x2"]), ..Default::default() };
    let iris = read_with("5.1,3.5,setosa\n4.9,3.0,setosa\n", &options).unwrap().0;
    assert_eq!(iris.rows, array![[5.1, 3.5], [4.9, 3.0]]);
    // Numbers among the names: a header with a warning.
    let (years, warnings) = read("id,1990\n1,2\n3,4\n").unwrap();
    assert_eq!(years.columns, ["id", "1990"]);
    assert!(
        matches!(&warnings[..], [DataWarning::NumericHeader { fields }] if fields == &["1990"])
    );
}

#[test]
fn header_can_be_forced() {
    let with = |header| ReadOptions { header, ..Default::default() };
    let table = read_with("1,2\n3,4\n", &with(Header::Present)).unwrap().0;
    assert_eq!((table.columns, table.rows), (list(&["1", "2"]), array![[3.0, 4.0]]));
    let error = read_with("a,b\n3,4\n", &with(Header::Absent)).unwrap_err().to_string();
    assert!(error.starts_with("t.csv, row 1, column \"x0\": \"a\" is not a number"), "{error}");
    assert!(error.contains("`header`"), "{error}");
}

#[test]
fn repeated_and_empty_names_are_renamed_with_a_warning() {
    let (table, warnings) = read("a,,a,a_2,a\n1,2,3,4,5\n").unwrap();
    assert_eq!(table.columns, ["a", "x1", "a_3", "a_2", "a_4"]);
    let text = warnings[0].to_string();
    assert!(text.contains("a further \"a\" is called \"a_3\""), "{text}");
    assert!(text.contains("a column without a name is called \"x1\""), "{text}");
}

#[test]
fn columns_are_chosen_before_parsing() {
    let text = "id,a,note,b\nk1,1,hello,2\nk2,3,,4\n";
    let keep = ReadOptions { columns: Some(list(&["b", "a"])), ..Default::default() };
    assert_eq!(read_with(text, &keep).unwrap().0.rows, array![[2.0, 1.0], [4.0, 3.0]]);
    let drop = ReadOptions { drop: list(&["id", "note"]), ..Default::default() };
    assert_eq!(read_with(text, &drop).unwrap().0.rows, array![[1.0, 2.0], [3.0, 4.0]]);
    let unknown = ReadOptions { drop: list(&["nota"]), ..Default::default() };
    let error = read_with(text, &unknown).unwrap_err().to_string();
    assert!(error.contains("no column \"nota\". Did you mean \"note\"?"), "{error}");
}

#[test]
fn a_models_columns_are_found() {
    let like = |names: &[&str]| ReadOptions { like: Some(list(names)), ..Default::default() };
    let (table, warnings) = read_with("id,b,a\nk,1,2\n", &like(&["a", "b"])).unwrap();
    assert_eq!((table.rows, warnings), (array![[2.0, 1.0]], vec![]));
    let (table, warnings) = read_with("1,2\n3,4\n", &like(&["a", "b"])).unwrap();
    assert_eq!(table.rows, array![[1.0, 2.0], [3.0, 4.0]]);
    assert!(matches!(warnings[..], [DataWarning::MatchedByPosition { .. }]));
    assert!(read_with("1,2,3\n", &like(&["a", "b"])).is_err());
    assert!(read_with("a,c\n1,2\n", &like(&["a", "b"])).is_err());
}

#[test]
fn decimal_commas_are_read_with_a_warning() {
    for text in ["a;b\n1,5;2\n-0,25;3\n", "a\tb\n1,5\t2\n-0,25\t3\n", "1,5;2,0\n-0,25;3,0\n"] {
        let (table, warnings) = read(text).unwrap();
        assert_eq!(table.rows, array![[1.5, 2.0], [-0.25, 3.0]], "{text:?}");
        assert!(
            matches!(&warnings[..], [DataWarning::DecimalCommas { first, .. }] if first == "1,5")
        );
    }
    let mixed = message("a;b\n1,500;2\n1.5;3\n");
    assert!(mixed.starts_with("t.csv, row 2, column \"a\""), "{mixed}");
    let thousands = message("a,b\n\"1,500\",2\n");
    assert!(
        thousands.starts_with("t.csv, row 1, column \"a\": \"1,500\" is 1500 if"),
        "{thousands}"
    );
    assert!(thousands.ends_with("use `thousands = ,` or `decimal = ,`"), "{thousands}");
}

#[test]
fn gzip_is_found_by_content_even_in_several_members() {
    let mut bytes = gzip("a,b\n1,2\n");
    bytes.extend(gzip("3,4\n"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain_name.csv");
    std::fs::write(&path, &bytes).unwrap();
    let table = read_csv(&path, &ReadOptions::default()).unwrap().0;
    assert_eq!(table.rows, array![[1.0, 2.0], [3.0, 4.0]]);
    std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
    let error = read_csv(&path, &ReadOptions::default()).unwrap_err();
    assert_eq!(error.class(), crate::ErrorClass::Io);
    assert!(error.to_string().contains("plain_name.csv: cannot read"), "{error}");
    let missing = gzip("");
    assert!(message(missing).contains("the file is empty"));
}

#[test]
fn missing_file_and_directory() {
    let folder = tempfile::tempdir().unwrap();
    let absent = read_csv(&folder.path().join("no.csv"), &ReadOptions::default()).unwrap_err();
    assert_eq!(absent.class(), crate::ErrorClass::Io);
    assert!(absent.to_string().contains("no.csv: cannot read"), "{absent}");
    let directory = read_csv(folder.path(), &ReadOptions::default()).unwrap_err().to_string();
    assert!(directory.contains("it is a directory"), "{directory}");
}

#[test]
fn empty_and_header_only() {
    for text in ["", "\n\n", "  \r\n", "\u{feff}"] {
        assert_eq!(message(text), "t.csv: the file is empty", "{text:?}");
    }
    assert!(message("a,b\n").contains("no row of data"));
    assert!(message("a,b\n\n  \n").contains("no row of data"));
}

#[test]
fn ragged_rows() {
    let short = message("a,b,c\n1,2,3\n\n4,5\n6,7,8\n");
    assert_eq!(short, "t.csv, row 2: expected 3 fields, like the header, found 2 fields: 4,5");
    let long = message("1,2\n3,4,5\n");
    assert!(long.starts_with("t.csv, row 2: expected 2 fields, like the first row, found 3"));
    let open = message("a,b\n1,2\n\"3,4\n5,6\n");
    assert!(open.contains("found 1 field: ") && open.contains("not closed"), "{open}");
}

#[test]
fn text_in_a_number_column() {
    let one = message("a,b\n1,2\n3,12 kg\n");
    assert_eq!(
        one,
        "t.csv, row 2, column \"b\": \"12 kg\" is not a number; correct it, or leave the column out \
         with `drop = b`"
    );
    let several = message("id,a,note\nk,1,hello\n");
    assert!(several.contains("`drop = id,note`"), "{several}");
    let spaces = message("1:2:3\n4:5:6\n");
    assert!(spaces.contains("separated by commas, semicolons or tabs"), "{spaces}");
    let long = message(format!("a\n1\n{}\n", "z".repeat(500)));
    assert!(long.len() < 200, "{long}");
}

#[test]
fn missing_values_are_counted_or_dropped() {
    let text = "a,b\n1,2\n,3\nNaN,n/a\n4,?\n5,6\n";
    let error = message(text);
    assert_eq!(
        error,
        "t.csv, row 2, column \"a\": 4 missing values in 3 of 5 rows, the first here (\"\"); leave \
         these rows out with `drop_missing` (2 are left), or fill them in"
    );
    let drop = ReadOptions { drop_missing: true, ..Default::default() };
    let (table, warnings) = read_with(text, &drop).unwrap();
    assert_eq!(table.rows, array![[1.0, 2.0], [5.0, 6.0]]);
    assert_eq!(warnings, [DataWarning::MissingDropped { dropped: 3, total: 5 }]);
    let everywhere = read_with("a,b\n1,\n2,\n", &drop).unwrap_err().to_string();
    assert!(everywhere.contains("every row") && everywhere.contains("`drop = b`"), "{everywhere}");
    for token in ["", "NA", "nan", "-NaN", "NULL", "None", ".", "-", "?", "#N/A", " "] {
        let error = message(format!("a,b\n1,2\n{token},3\n"));
        assert!(error.contains("1 missing value in 1 of 2 rows"), "{token:?} {error}");
    }
}

#[test]
fn infinite_and_huge_numbers() {
    for token in ["inf", "-Inf", "+infinity", "INF"] {
        let error = message(format!("a,b\n1,2\n3,{token}\n"));
        assert!(error.starts_with("t.csv, row 2, column \"b\""), "{error}");
        assert!(error.contains(&format!("\"{token}\" is infinite")), "{error}");
    }
    for token in ["1e300", "-1e400", "1.1e150"] {
        let error = message(format!("a,b\n1,2\n3,{token}\n"));
        assert!(error.contains(&format!("{token} is too large: its square overflows")), "{error}");
        assert!(error.contains("limit is 1e150"), "{error}");
    }
    assert_eq!(good("a\n1e150\n-1e150\n").rows[[1, 0]], -1e150);
}

#[test]
fn other_encodings_and_formats() {
    let latin = message(b"a,b\n1,2\n3,4\xE9\n");
    assert!(latin.contains("column \"b\": \"4\\u{fffd}\" is not valid UTF-8"), "{latin}");
    // Names in Latin-1 are read, with a warning where they are used.
    let (table, warnings) = read(b"caf\xE9,b\n1,2\n").unwrap();
    assert_eq!(table.columns, ["caf\u{e9}", "b"]);
    assert_eq!(warnings, [DataWarning::NamesInLatin1 { columns: list(&["caf\u{e9}"]) }]);
    let unused = ReadOptions { columns: Some(list(&["b"])), ..Default::default() };
    let (table, warnings) = read_with(b"caf\xE9,b\n\xE9,2\n", &unused).unwrap();
    assert_eq!((table.rows, warnings), (array![[2.0]], vec![]));
    let utf16: Vec<u8> = "\u{feff}a,b\n1,2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(read(&utf16).unwrap().0.rows, array![[1.0, 2.0]]);
    assert!(message(&utf16[2..]).contains("UTF-16 text without"));
    for (begin, words) in [
        (&b"PK\x03\x04rest"[..], "export the sheet as CSV"),
        (b"PAR1\0\0", "a Parquet file: write it as CSV"),
        (b"ARROW1\0\0", "a Feather or Arrow file"),
        (b"\x80\x04\x95", "a Python pickle"),
        (b"{\"a\": 1}", "JSON"),
        (b"<!DOCTYPE html>", "a web page"),
    ] {
        let text = message(begin);
        assert!(text.contains(words), "{text}");
    }
    assert!(message(b"1,2\n\x00\n").contains("binary"));
    // Text that is not UTF-8 does no harm in a column that is left out.
    let options = ReadOptions { drop: list(&["a"]), ..Default::default() };
    assert_eq!(read_with(b"a,b\n\xE9,2\n\xFF,4\n", &options).unwrap().0.rows, array![[2.0], [4.0]]);
}

#[test]
fn files_longer_than_the_sample_are_read_whole() {
    let mut text = String::from("a;b\n");
    let n = 60_000;
    for i in 0..n {
        text += &format!("{i};{}\n", 0.5 * f64::from(i));
    }
    assert!(text.len() > 2 * SAMPLE_BYTES);
    let table = good(&text);
    assert_eq!(table.n_rows(), n as usize);
    for i in 0..n {
        assert_eq!(table.rows[[i as usize, 1]], 0.5 * f64::from(i));
    }
    text += "1;x\n";
    assert!(message(&text).starts_with(&format!("t.csv, row {}", n + 1)));
}

/// Blocks and threads change nothing: not the numbers, the warnings, the messages or their row numbers.
#[test]
fn blocks_read_like_the_whole() {
    let rows = |from: usize, to: usize| -> String {
        (from..to).map(|i| format!("{i};{}\r\n", i * i)).collect()
    };
    let texts = [
        format!("a;b\n{}", rows(0, 90)),
        format!("\n\n \n\n\n\n\n\n\n\n\n\n7;8\n{}", rows(1, 9)),
        format!("{}\n\n{}3,5;4", rows(0, 50), rows(50, 70)),
        format!("a;b\n{};1\n2;\n{}", rows(0, 30), rows(0, 30)),
        format!("a;b\n{}1;x\n{}", rows(0, 40), rows(0, 5)),
        format!("a;b\n{}1;2;3\n{}", rows(0, 60), rows(0, 5)),
        format!("a;b\n{}1,5;2\n{}1.5;2\n", rows(0, 20), rows(0, 33)),
        format!("a;b\n{}\"4\";\"\n5\"\n{}", rows(0, 25), rows(0, 25)),
        format!("a;b\n{}4;\"5\n{}", rows(0, 25), rows(0, 25)),
        "a;b\r1;2\r3;4\r".to_string(),
        "1\n2\n\n3".to_string(),
    ];
    for header in [Header::Find, Header::Present, Header::Absent] {
        for drop_missing in [false, true] {
            let options = ReadOptions { header, drop_missing, ..Default::default() };
            let read = |text: &str, threads: usize, block: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let read = || read_in_blocks(text.as_bytes(), "t.csv", &options, block);
                pool.install(read).map_err(|e| e.to_string())
            };
            for text in &texts {
                let whole = read(text, 1, 1 << 20);
                for (threads, block) in [(1, 1), (1, 7), (2, 5), (3, 64), (4, 1 << 20)] {
                    let found = read(text, threads, block);
                    assert_eq!(found, whole, "{threads} threads, blocks of {block}: {text:?}");
                }
            }
        }
    }
}

#[test]
fn missing_values_can_stay() {
    let keep = ReadOptions { keep_missing: true, ..Default::default() };
    let (table, warnings) = read_with("a,b\n1,\nNA,2\n3,4\n,NaN\n", &keep).unwrap();
    assert_eq!(warnings, []);
    let holes = [false, true, true, false, false, false, true, true];
    assert!(table.rows.iter().zip(holes).all(|(x, hole)| x.is_nan() == hole), "{table:?}");
    assert_eq!(table.rows[[2, 1]], 4.0);
    let error = read_with("a,b\n1,\n2,inf\n", &keep).unwrap_err().to_string();
    assert!(error.contains("row 2") && error.contains("infinite"), "{error}");
}

/// Quotation marks send a file through the csv reader alone, which must find what the pass over plain
/// numbers finds.
#[test]
fn plain_lines_read_like_quoted_ones() {
    let number = |i: usize, j: usize| match (i + j) % 6 {
        0 => format!("{}", i * j),
        1 => format!(" {:.3}", (i as f64).sin()),
        2 => format!("{:e} ", (0.1 + j as f64).powi(i as i32 % 90 - 45)),
        3 => format!("-.{i}"),
        4 => format!("+{i}.E{j}"),
        _ => format!("{:?}", 1.0 / (3.0 + i as f64)),
    };
    let text = |quote: &str, delimiter: &str| -> String {
        let row = |i: usize| {
            let fields: Vec<String> =
                (0..5).map(|j| format!("{quote}{}{quote}", number(i, j))).collect();
            // Now and then a line that is not plain: text in a column that is left out does not matter.
            let last = if i % 50 == 7 { format!("{quote}{quote}") } else { "text 1".to_string() };
            let keep = if i % 70 == 9 { "NA".to_string() } else { i.to_string() };
            format!("{}{delimiter}{last}{delimiter}{keep}\n", fields.join(delimiter))
        };
        let header = ["a", "b", "c", "d", "e", "note", "k"].join(delimiter);
        format!("{header}\n{}", (0..400).map(row).collect::<String>())
    };
    let columns = ["k", "c", "a", "e", "b", "d"].map(str::to_string).to_vec();
    let options = ReadOptions { columns: Some(columns), drop_missing: true, ..Default::default() };
    for delimiter in [",", ";", "\t"] {
        let plain = read_with(text("", delimiter), &options).unwrap();
        assert_eq!(plain, read_with(text("\"", delimiter), &options).unwrap());
        assert_eq!(plain.0.n_rows(), 394);
        assert_eq!(plain.0.rows[[100, 0]], 102.0);
    }
}

#[test]
fn a_table_that_does_not_fit_into_memory_is_refused_and_not_the_end() {
    let mut values = vec![0.5; 3];
    assert!(super::rows::make_room(&mut values, 1000, "a.csv").is_ok());
    let error = super::rows::make_room(&mut values, usize::MAX / 16, "a.csv").unwrap_err();
    let said = error.to_string();
    assert!(said.starts_with("a.csv: the table does not fit into the memory"), "{said}");
    assert_eq!((values.len(), error.class()), (3, crate::ErrorClass::Data));
}

#[test]
fn thousands_are_told_from_decimals_by_the_whole_column() {
    // As spreadsheets write them into tab-separated text.
    let (table, warnings) =
        read("income\tspend\n1,213\t1,165\n791\t1,846\n2,843\t612\n847\t820\n").unwrap();
    let rows = array![[1213.0, 1165.0], [791.0, 1846.0], [2843.0, 612.0], [847.0, 820.0]];
    assert_eq!(table.rows, rows);
    let text = warnings[0].to_string();
    assert!(text.starts_with("4 numbers were read with \",\" between thousands"), "{text}");
    assert!(
        text.contains("\"1,213\", read as 1213") && text.ends_with("use `decimal = ,`"),
        "{text}"
    );
    // Every mark and delimiter.
    for text in [
        "a;b\n1'213;0.5\n12;1.5\n",
        "a;b\n1\u{2019}213;0.5\n12;1.5\n",
        "a;b\n1 213;0,5\n12;1,5\n",
        "a\tb\n1\u{a0}213\t0,5\n12\t1,5\n",
        "a;b\n1\u{202f}213;0.5\n12;1.5\n",
        "a,b\n\"1,213\",0.5\n12,1.5\n",
        "a;b\n1.213;0,5\n12;1,5\n",
        "a,b\n\"1.213\",\"0,5\"\n12,\"1,5\"\n",
    ] {
        let (table, warnings) = read(text).unwrap();
        assert_eq!(table.rows, array![[1213.0, 0.5], [12.0, 1.5]], "{text:?}");
        let thousands = |w: &DataWarning| matches!(w, DataWarning::Thousands { count: 1, .. });
        assert!(warnings.iter().any(thousands), "{text:?}: {warnings:?}");
    }
    // Nothing tells: refused, and read as the user says.
    for (text, mark) in [("a\tb\n1,213\t7\n2,400\t7\n", ','), ("a;b\n1.213;7\n847;8\n911;8\n", '.')]
    {
        let error = message(text);
        assert!(
            error.starts_with("t.csv, row 1, column \"a\": \"1") && error.contains("is 1213 if"),
            "{error}"
        );
        assert!(error.contains(&format!("`thousands = {mark}` or `decimal = {mark}`")), "{error}");
        let as_decimal = if mark == ',' { Mark::Comma } else { Mark::Point };
        for (decimal, value) in [(as_decimal, 1.213), (as_decimal.other(), 1213.0)] {
            let options = ReadOptions { decimal: Some(decimal), ..Default::default() };
            let (table, warnings) = read_with(text, &options).unwrap();
            assert_eq!((table.rows[[0, 0]], warnings), (value, vec![]), "{text:?}");
        }
    }
    let point = ReadOptions { decimal: Some(Mark::Point), ..Default::default() };
    let error = read_with("a;b\n1,5;2\n", &point).unwrap_err().to_string();
    assert!(error.contains("\"1,5\" cannot be read with \".\" before decimals"), "{error}");
}

#[test]
fn numbers_that_are_names_are_told_from_rows() {
    let rows = "0.12,0.34,0.31\n0.22,0.31,0.28\n0.18,0.30,0.33\n0.21,0.33,0.35\n";
    for names in ["400,410,420", "1990,1991,1992", "0,1,2", "3.0,9.0,6.0"] {
        let (table, warnings) = read(format!("{names}\n{rows}")).unwrap();
        if names == "3.0,9.0,6.0" {
            assert_eq!(table.n_rows(), 5);
            let text = warnings[0].to_string();
            assert!(
                text.contains("was taken for data") && text.ends_with("use `header`"),
                "{text}"
            );
            continue;
        }
        assert_eq!((table.columns.join(","), table.n_rows()), (names.to_string(), 4));
        let text = warnings[0].to_string();
        assert!(
            text.contains("taken for column names") && text.ends_with("use `no header`"),
            "{text}"
        );
        let absent = ReadOptions { header: Header::Absent, ..Default::default() };
        assert_eq!(read_with(format!("{names}\n{rows}"), &absent).unwrap().0.n_rows(), 5);
    }
    // Names that are asked for are names, however few rows there are.
    let like = ReadOptions { like: Some(list(&["410", "400"])), ..Default::default() };
    let (table, warnings) = read_with("400,410\n1,2\n", &like).unwrap();
    assert_eq!((table.rows, warnings), (array![[2.0, 1.0]], vec![]));
}

#[test]
fn comments_and_the_header_of_numpy() {
    let expected = array![[1.5, 2.0], [3.0, 4.5]];
    for text in [
        "# a,b\n1.5,2\n3,4.5\n",
        "# by instrument 7\n# a, b\n1.5,2\n3,4.5\n",
        "# by instrument 7\na,b\n1.5,2\n3,4.5\n",
        "#\n\n#\"a\",\"b\"\n1.5,2\n# a pause\n3,4.5\n# end",
        "sep=;\r\na;b\r\n1.5;2\r\n3;4.5\r\n",
        "sep=;\na;b\n1,5;2\n3;4,5\n",
        "# a b\n1.5 2\n3.0 4.5\n",
        "# a b\n  1.5   2\n 3.0   4.5\n",
        "\"a\", \"b\"\n1.5, 2\n\"3\", \"4.5\"\n",
        "a,b,\n1.5,2,\n3,4.5,\n",
        "a,b\n1.5,2,\n3,4.5,\n",
        "a,b\r1.5,2\r3,4.5\r",
        "a|b\n1.5|2\n3|4.5\n",
    ] {
        let (table, _) = read(text).unwrap_or_else(|e| panic!("{text:?}: {e}"));
        assert_eq!(table.columns, ["a", "b"], "{text:?}");
        assert_eq!(table.rows, expected, "{text:?}");
    }
    let table = good("\"a\", \"mass, kg\"\n1, 2\n");
    assert_eq!(table.columns, ["a", "mass, kg"]);
    // A column that is called #, and rows whose names begin with it, which are read or counted.
    assert_eq!(good("#,a\n1,2\n2,3\n").columns, ["#", "a"]);
    let drop = ReadOptions { drop: list(&["id"]), ..Default::default() };
    assert_eq!(read_with("id,a\n#1,2\n#2,3\n", &drop).unwrap().0.n_rows(), 2);
    let (table, warnings) = read("a,b\n1,2\n# 7,8\n3,4\n").unwrap();
    assert_eq!(table.n_rows(), 2);
    assert_eq!(warnings, [DataWarning::CommentRows { count: 1, first: "# 7".into() }]);
    assert!(message("id,a\n#1,2\n#2,3\n").contains("all 2 rows begin with #"));
    assert!(message("# nothing else\n").contains("empty"));
}

#[test]
fn names_of_rows_are_left_out_with_a_warning() {
    let left =
        |column: &str| DataWarning::ColumnLeftOut { column: column.into(), why: LeftOut::RowNames };
    for text in [
        "\"a\" \"b\"\n\"1\" 0.5 2\n\"2\" 3 4\n",
        "a,b\nr1,0.5,2\nr2,3,4\n",
        "\"\",\"a\",\"b\"\n\"Mazda RX4\",0.5,2\n\"Datsun\",3,4\n",
        ",a,b\n0,0.5,2\n1,3,4\n",
    ] {
        let (table, warnings) = read(text).unwrap_or_else(|e| panic!("{text:?}: {e}"));
        assert_eq!(table.columns, ["a", "b"], "{text:?}");
        assert_eq!(table.rows, array![[0.5, 2.0], [3.0, 4.0]], "{text:?}");
        assert_eq!(warnings, [left("row_names")], "{text:?}");
    }
    // Numbers that count nothing are data; and what is asked for is read.
    let (table, _) = read(",a,b\n0.3,0.5,2\n1.7,3,4\n").unwrap();
    assert_eq!(table.columns, ["x0", "a", "b"]);
    let asked = ReadOptions { columns: Some(list(&["row_names", "a"])), ..Default::default() };
    let table = read_with(",a,b\n0,0.5,2\n1,3,4\n", &asked).unwrap().0;
    assert_eq!(table.rows, array![[0.0, 0.5], [1.0, 3.0]]);
}

#[test]
fn true_and_false_are_numbers_with_a_warning() {
    let (table, warnings) = read("a,smoker\n1,True\n2,False\n3,TRUE\n").unwrap();
    assert_eq!(table.rows.column(1).to_vec(), [1.0, 0.0, 1.0]);
    assert_eq!(warnings, [DataWarning::Booleans { columns: list(&["smoker"]) }]);
}

#[test]
fn letters_of_names_may_differ_with_a_warning() {
    let like = ReadOptions { like: Some(list(&["a", "Body Mass"])), ..Default::default() };
    let (table, warnings) = read_with("body_mass,A\n1,2\n", &like).unwrap();
    assert_eq!(table.rows, array![[2.0, 1.0]]);
    let text = warnings[0].to_string();
    assert!(text.contains("\"A\" for \"a\", \"body_mass\" for \"Body Mass\""), "{text}");
}

#[test]
fn advice_for_holes_works() {
    let every =
        |options: &ReadOptions, text: &str| read_with(text, options).unwrap_err().to_string();
    let plain = ReadOptions::default();
    let one = every(&plain, "a,b,c\n1,,3\n2,,4\n");
    assert!(one.ends_with("leave that column out with `drop = b`"), "{one}");
    // b is nearly empty, and the others have holes, too: all that is said helps.
    let text: String = (0..40)
        .map(|i| match i {
            0 => "1,2,3\n".into(),
            i if i % 4 == 0 => format!(",,{i}\n"),
            i => format!("{i},,{}\n", i * i),
        })
        .skip(1)
        .collect();
    let some = every(&plain, &format!("a,b,c\n{text}"));
    assert!(some.contains("`drop = b` and the rows that still have missing values"), "{some}");
    assert!(some.ends_with("with `drop_missing`, which leaves 30 of 39 rows"), "{some}");
    let follow = ReadOptions { drop: list(&["b"]), drop_missing: true, ..Default::default() };
    assert_eq!(read_with(format!("a,b,c\n{text}"), &follow).unwrap().0.n_rows(), 30);
    // Holes everywhere: no column to leave out is named.
    let scattered: String = (0..60u32)
        .map(|i| {
            let hole = |j: u32| (i * 7 + j * j * 5 + i * i * (j + 3)) % 10 < 3 || j == i % 12;
            (0..12)
                .map(|j| if hole(j) { String::new() } else { format!("{i}") })
                .collect::<Vec<_>>()
                .join(",")
                + "\n"
        })
        .collect();
    let none = every(&plain, &format!("a,b,c,d,e,f,g,h,i,j,k,l\n{scattered}"));
    assert!(
        none.contains("12 of 12 columns have missing values") && !none.contains("`drop"),
        "{none}"
    );
    assert!(none.ends_with("fill in the missing values with another program first"), "{none}");
    // A column that a model needs is not to be left out.
    let like = ReadOptions { like: Some(list(&["a", "b"])), ..Default::default() };
    for text in ["a,b\n1,x\n", "a,b\n1,\n2,\n", "a,b\n1,inf\n", "a,b\n1,1e300\n", "1,2,3\n1,x,3\n"]
    {
        let error = every(&like, text);
        assert!(!error.contains("drop"), "{error}");
    }
}

#[test]
fn very_wide_tables_and_endless_lines() {
    let d = 17_000;
    let names: Vec<String> = (0..d).map(|i| format!("ENSG{i:011}")).collect();
    let row = vec!["1"; d].join(",");
    let text = format!("{}\n{row}\n{row}\n", names.join(","));
    let options = ReadOptions {
        columns: Some(list(&["ENSG00000016999", "ENSG00000000003"])),
        ..Default::default()
    };
    assert_eq!(read_with(&text, &options).unwrap().0.rows, array![[1.0, 1.0], [1.0, 1.0]]);
    assert_eq!(good(&text).n_columns(), d);
    let endless = std::io::Read::take(std::io::repeat(b'1'), 600 << 20);
    let error = read_csv_from(endless, "t.csv", &ReadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("is longer than 64 MiB"), "{error}");
}

#[test]
fn texts_are_kept_as_they_are_written() {
    let options =
        ReadOptions { like: Some(list(&["b", "a"])), keep_missing: true, ..Default::default() };
    let text = "# by hand\na,name,b\n1.50,\"Smith, J.\",\n# pause\n,caf\u{e9} , 2\n";
    let table = read_text_from(text.as_bytes(), "t.csv", &options).unwrap();
    assert_eq!(table.columns, ["a", "name", "b"]);
    assert_eq!(table.places, [Some(1), None, Some(0)]);
    assert_eq!(table.rows, [["1.50", "Smith, J.", ""], ["", "caf\u{e9}", "2"]]);
    assert_eq!(read_with(text, &options).unwrap().0.n_rows(), 2);
    assert!(read_text_from(&b"a,b\n1\n"[..], "t.csv", &options).is_err());
}
