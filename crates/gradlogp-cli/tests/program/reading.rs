//! Tables as spreadsheets, R and NumPy write them, standard input, and what is said of them.

use super::bad_data::gzip;
use super::support::{Folder, QUICK, pairs, table};

/// Few steps: these tests are about the table.
const FIT: &str = "--steps 5 --hidden 4 --evaluate-every 5 --threads 1";

fn info(folder: &Folder) -> serde_json::Value {
    folder.succeeds("info model.safetensors --json").json()
}

fn columns(folder: &Folder) -> Vec<String> {
    let names = info(folder)["columns"].as_array().unwrap().clone();
    names
        .iter()
        .map(|name| name.as_str().unwrap_or_else(|| name["name"].as_str().unwrap()).into())
        .collect()
}

#[test]
fn thousands_are_read_or_refused_with_options_that_work() {
    let folder = Folder::new();
    let write = |x: f64| match (1000.0 * x).round() as i64 {
        x if x >= 1000 => format!("{},{:03}", x / 1000, x % 1000),
        x => x.to_string(),
    };
    let rows = |from: f64| -> String {
        pairs(60)
            .iter()
            .map(|(a, b)| format!("{}\t{}\n", write(from + a.abs()), write(from + b.abs())))
            .collect()
    };
    folder.write("t.tsv", format!("income\tspend\n{}", rows(0.2)));
    let ended = folder.succeeds(&format!("fit t.tsv {FIT}"));
    assert!(ended.err.contains("\",\" between thousands"), "{ended:?}");
    assert!(ended.err.contains("use --decimal ,"), "{ended:?}");
    // No number below 1000: nothing tells.
    folder.write("t.tsv", format!("income\tspend\n{}", rows(1.2)));
    let pieces = ["t.tsv, row 1, column \"income\"", "use --thousands , or --decimal ,"];
    folder.fails(3, &format!("fit t.tsv {FIT}"), &pieces);
    for option in ["--thousands ,", "--decimal ,"] {
        let ended = folder.succeeds(&format!("fit t.tsv {FIT} {option} -o m"));
        assert!(!ended.err.contains("thousands"), "{ended:?}");
    }
    folder.fails(2, "fit t.tsv --decimal x", &["--decimal"]);
}

#[test]
fn numbers_as_names_are_names_with_a_warning() {
    let folder = Folder::new();
    let rows: String = pairs(40)
        .iter()
        .map(|(a, b)| format!("{a:.6},{b:.6},{:.6}\n", (3.0 * a + b).sin()))
        .collect();
    folder.write("t.csv", format!("400,410,420\n{rows}"));
    let ended = folder.succeeds(&format!("fit t.csv {FIT}"));
    assert!(
        ended.err.contains("taken for column names") && ended.err.contains("use --no-header"),
        "{ended:?}"
    );
    assert_eq!(columns(&folder), ["400", "410", "420"]);
    let ended = folder.succeeds(&format!("fit t.csv --no-header {FIT}"));
    assert!(!ended.err.contains("taken for column names"), "{ended:?}");
    assert_eq!(columns(&folder), ["x0", "x1", "x2"]);
}

#[test]
#[cfg(unix)]
fn columns_with_commas_in_their_names() {
    let folder = Folder::new();
    let rows: String = pairs(40).iter().map(|(a, b)| format!("{a:.6},{b:.6},7\n")).collect();
    folder.write("t.csv", format!("a,\"mass, kg\",c\n{rows}"));
    let run = |options: &str| folder.shell(&format!("$GRADLOGP fit t.csv {FIT} {options}"));
    let ended = run("--columns 'a,\"mass, kg\"'");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(columns(&folder), ["a", "mass, kg"]);
    assert_eq!(run("--drop '\"mass, kg\",c'").code, Some(0));
    assert_eq!(columns(&folder), ["a"]);
    // What is said works when followed.
    let ended = run("--columns 'mass, kg'");
    assert!(ended.err.contains("as in --columns '\"mass, kg\"'"), "{ended:?}");
    folder.write("u.csv", format!("a,\"mass, kg\"\n{}1,x\n", "1,2\n".repeat(3)));
    let ended = folder.fails(3, "fit u.csv", &["--drop '\"mass, kg\"'"]);
    assert!(ended.err.contains("column \"mass, kg\""), "{ended:?}");
    let conditional = run("--columns 'a,\"mass, kg\"' --given '\"mass, kg\"' -o c");
    assert_eq!(conditional.code, Some(0), "{conditional:?}");
    let drawn = folder
        .shell("$GRADLOGP sample c -n 2 --given-values '\"mass, kg\"=0.5' --warm-up 5 -o s.csv");
    assert_eq!(drawn.code, Some(0), "{drawn:?}");
    assert!(folder.text("s.csv").starts_with("a,\"mass, kg\"\n"), "{}", folder.text("s.csv"));
}

#[test]
#[cfg(unix)]
fn standard_input_is_a_table_like_any_other() {
    let folder = Folder::with_model();
    folder.write("two.csv", "a,b\n0.1,0.2\n0.3,0.1\n");
    folder.write("two.csv.gz", gzip("a,b\n0.1,0.2\n0.3,0.1\n"));
    let by_name = folder.succeeds("score m.safetensors two.csv").out;
    for script in [
        "$GRADLOGP score m.safetensors - < two.csv",
        "cat two.csv | $GRADLOGP score m.safetensors -",
        "cat two.csv.gz | $GRADLOGP score m.safetensors -",
    ] {
        let ended = folder.shell(script);
        assert_eq!((ended.code, &ended.out), (Some(0), &by_name), "{script}: {ended:?}");
    }
    let fitted = folder.shell(&format!("$GRADLOGP fit - {QUICK} --base gaussian -o s < good.csv"));
    assert_eq!(fitted.code, Some(0), "{fitted:?}");
    assert_eq!(folder.weights("s"), folder.weights("m.safetensors"));
    let report = folder.shell("$GRADLOGP report s < good.csv");
    assert!(report.code == Some(2) && report.err.contains("name a table"), "{report:?}");
    let imputed = folder
        .shell("printf 'a,b\\n0.1,\\n' | $GRADLOGP impute m.safetensors - --warm-up 5 --steps 5");
    assert!(imputed.code == Some(0) && imputed.out.starts_with("a,b\n0.1,"), "{imputed:?}");
    let twice = folder.shell("$GRADLOGP eval m.safetensors - --samples - < good.csv");
    assert!(twice.code == Some(2) && twice.err.contains("can be read only once"), "{twice:?}");
    let empty = folder.shell("$GRADLOGP score m.safetensors - < /dev/null");
    assert!(
        empty.code == Some(3) && empty.err.contains("standard input: the file is empty"),
        "{empty:?}"
    );
}

#[test]
fn arrays_that_the_program_wrote_are_read() {
    let folder = Folder::with_model();
    folder.succeeds("sample m.safetensors -n 60 --warm-up 20 --chains 60 -o s.npy");
    folder.succeeds("sample m.safetensors -n 60 --warm-up 20 --chains 60 -o s.csv");
    let of = |name: &str| folder.succeeds(&format!("score m.safetensors {name}")).out;
    assert_eq!(of("s.npy"), of("s.csv"));
    folder.succeeds(&format!("fit s.npy {FIT}"));
    assert_eq!(columns(&folder), ["x0", "x1"]);
}

#[test]
fn files_that_are_no_tables_are_named() {
    let folder = Folder::new();
    for (begin, words) in [
        (&b"PAR1\0\0\x15"[..], "the Parquet file cannot be read"),
        (b"PK\x03\x04\x14\0", "zip archive"),
        (b"\x80\x04\x95", "pickle"),
        (b"", "the file is empty"),
    ] {
        folder.write("t.csv", begin);
        folder.fails(3, "fit t.csv", &["t.csv: ", words]);
    }
}

#[test]
fn dependent_columns_ids_and_compositions_are_named() {
    let folder = Folder::new();
    let rows: String = pairs(80)
        .iter()
        .enumerate()
        .map(|(i, (a, b))| format!("{},{a:.9},{b:.9},{:.9}\n", (i * 7919) % 10_007 + 1, a + b))
        .collect();
    folder.write("t.csv", format!("patient_id,a,b,total\n{rows}"));
    let ended = folder.succeeds(&format!("fit t.csv {FIT} --json"));
    assert!(
        ended.err.contains("\"total\" = \"a\" + \"b\"") && ended.err.contains("--drop total"),
        "{ended:?}"
    );
    assert!(
        ended.err.contains("column \"patient_id\" is whole numbers, all different"),
        "{ended:?}"
    );
    let told = ended.json()["warnings"].to_string();
    assert!(told.contains("--drop total") && !told.contains('`'), "{told}");
    // The advice works.
    let ended = folder.succeeds(&format!("fit t.csv {FIT} --drop total,patient_id"));
    assert!(
        !ended.err.contains("follow from") && !ended.err.contains("whole numbers"),
        "{ended:?}"
    );
    let shares: String = pairs(80)
        .iter()
        .map(|(a, b)| {
            let (p, q) = (1.0 / (1.0 + (-a).exp()), 1.0 / (1.0 + (-b).exp()));
            format!("{:.9},{:.9},{:.9}\n", p * q, p - p * q, 1.0 - p)
        })
        .collect();
    folder.write("s.csv", format!("u,v,w\n{shares}"));
    let ended = folder.succeeds(&format!("fit s.csv {FIT}"));
    assert!(ended.err.contains("\"u\", \"v\", \"w\" sum to 1 in every row"), "{ended:?}");
    assert!(ended.err.contains("--drop w") && ended.err.contains("--domain simplex"), "{ended:?}");
    let ended = folder.succeeds(&format!("fit s.csv {FIT} --drop w --domain simplex"));
    assert!(!ended.err.contains("sum to"), "{ended:?}");
}

#[test]
fn names_in_other_letters_are_matched_with_a_warning() {
    let folder = Folder::with_model();
    folder.write("swapped.csv", "B,A\n0.2,0.1\n0.1,0.3\n");
    folder.write("same.csv", "a,b\n0.1,0.2\n0.3,0.1\n");
    let found = folder.succeeds("score m.safetensors swapped.csv");
    assert_eq!(found.out, folder.succeeds("score m.safetensors same.csv").out);
    assert!(found.err.contains("\"A\" for \"a\""), "{found:?}");
}

#[test]
fn counts_come_back_as_counts() {
    let folder = Folder::new();
    let rows: String = pairs(200)
        .iter()
        .map(|(a, b)| format!("{},{}\n", (2.0 * a.abs()).floor(), (1.5 * b.abs()).floor()))
        .collect();
    folder.write("c.csv", format!("n,m\n{rows}"));
    folder.write("h.csv", "n,m\n3,\n,2\n1,1\n");
    folder.succeeds(&format!("fit c.csv --dequantize {QUICK} -o c"));
    let most = |column: usize| -> f64 {
        let of = |line: &str| line.split(',').nth(column).unwrap().parse::<f64>().unwrap();
        rows.lines().map(of).fold(0.0, f64::max)
    };
    let (n, m) = (most(0), most(1));
    let counts = |text: &str| {
        for line in text.lines().skip(1) {
            let row: Vec<f64> = line.split(',').map(|x| x.parse().unwrap()).collect();
            assert!(row.iter().all(|x| x.fract() == 0.0 && *x >= 0.0), "{text}");
            assert!(row[0] <= n.max(3.0) && row[1] <= m.max(2.0), "{text}");
        }
    };
    let sampled = folder.succeeds("sample c -n 50 --warm-up 20").out;
    counts(&sampled);
    let noisy = folder.succeeds("sample c -n 50 --warm-up 20 --keep-noise").out;
    assert!(noisy.lines().skip(1).any(|l| l.contains('.')), "{noisy}");
    let imputed = folder.succeeds("impute c h.csv --warm-up 20 --steps 20").out;
    counts(&imputed);
    assert!(imputed.starts_with("n,m\n3,") && imputed.ends_with("\n1,1\n"), "{imputed}");
    let noisy = folder.succeeds("impute c h.csv --warm-up 20 --steps 20 --keep-noise").out;
    assert!(noisy.contains('.'), "{noisy}");
}

#[test]
fn other_columns_of_the_file_go_through_imputation() {
    let folder = Folder::with_model();
    folder.write("h.csv", "id,b,name,a\n007,,\"Smith, J.\",0.5\n008,0.25,caf\u{e9},0.125\n");
    let out = folder.succeeds("impute m.safetensors h.csv --warm-up 5 --steps 5").out;
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((lines[0], lines[2]), ("id,b,name,a", "008,0.25,caf\u{e9},0.125"));
    assert!(lines[1].starts_with("007,") && lines[1].ends_with(",\"Smith, J.\",0.5"), "{out}");
    let out =
        folder.succeeds("impute m.safetensors h.csv --warm-up 5 --steps 5 --draws 2 --drop id").out;
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((lines[0], lines[4]), ("draw,row,b,name,a", "2,2,0.25,caf\u{e9},0.125"));
    let ended = folder.succeeds("impute m.safetensors h.csv --warm-up 5 --steps 5 -o i.npy");
    assert!(ended.err.contains("left out: id, name"), "{ended:?}");
}

#[test]
fn advice_does_not_ask_for_what_cannot_be() {
    let folder = Folder::with_model();
    for text in ["a,b\n1,x\n2,3\n", "a,b\n1,inf\n2,3\n", "a,b\n,1\n2,\n"] {
        folder.write("bad.csv", text);
        let ended = folder.fails(3, "score m.safetensors bad.csv", &["bad.csv"]);
        assert!(!ended.err.contains("--drop "), "{ended:?}");
    }
    let text = table(30).replace("\n", ",\n").replacen("a,b,", "a,b,c", 1);
    folder.write("holes.csv", text);
    folder.fails(3, "fit holes.csv", &["leave that column out with --drop c"]);
    folder.succeeds(&format!("fit holes.csv --drop c {FIT}"));
}
