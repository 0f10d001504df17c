//! What good runs print and write.

use serde_json::Value;

use super::bad_data::gzip;
use super::support::{Ended, Folder, QUICK, pairs, table};

/// Keys that the issue of the program promises; all are described in docs/json.md.
const CHECK_KEYS: [&str; 11] = [
    "grade",
    "usable_for",
    "purposes",
    "evidence",
    "exact_loss",
    "exact_loss_se",
    "stein_mean_max_z",
    "stein_slope",
    "verdict",
    "rows",
    "consistent",
];

#[track_caller]
fn has_keys(json: &Value, keys: &[&str]) {
    for key in keys {
        assert!(json.get(key).is_some(), "{key} is missing: {json}");
    }
}

#[test]
fn one_table_in_many_dresses_gives_one_model() {
    let folder = Folder::new();
    let plain = table(200);
    folder.write("plain.csv", &plain);
    folder.write("zipped", gzip(&plain));
    folder.write("semicolon.csv", plain.replace(',', ";"));
    folder.write("comma.csv", plain.replace(',', ";").replace('.', ","));
    folder.write("tab.txt", plain.replace(',', "\t"));
    folder.write("bare.csv", plain.split_once('\n').unwrap().1);
    let labelled = plain.lines().enumerate().map(|(i, line)| match i {
        0 => format!("label,{line}\n"),
        _ => format!("kind {i},{line}\n"),
    });
    folder.write("text.csv", labelled.collect::<String>());
    folder.succeeds(&format!("fit plain.csv {QUICK} -o plain"));
    for data in [
        "zipped",
        "semicolon.csv",
        "comma.csv",
        "tab.txt",
        "tab.txt --delimiter tab",
        "bare.csv",
        "text.csv --drop label",
        "text.csv --columns a,b",
    ] {
        folder.succeeds(&format!("fit {data} {QUICK} -o other"));
        assert_eq!(folder.weights("other"), folder.weights("plain"), "{data}");
    }
    let pieces = ["row 1, column \"label\": \"kind 1\" is not a number", "--drop label"];
    folder.fails(3, "fit text.csv", &pieces);
}

#[test]
fn fit_prints_one_object_with_what_the_text_shows() {
    let folder = Folder::new();
    let line = format!(
        "fit --dataset eight-gaussians --rows 500 --base gaussian {QUICK} -o m --report r.html"
    );
    let json = folder.succeeds(&format!("{line} --json")).json();
    has_keys(&json, &CHECK_KEYS);
    has_keys(&json, &["seconds", "steps", "relative_fisher_divergence", "model", "report"]);
    assert_eq!(json["steps"], 100);
    let text = folder.succeeds(&line);
    for piece in ["Exact loss", "Stein slope", "Verdict:", "Relative Fisher", "Model: m", "r.html"]
    {
        assert!(text.out.contains(piece), "{piece}: {text:?}");
    }
    assert!(text.err.contains("fitting 100/100 loss"), "{text:?}");
    assert!(text.out.lines().all(|line| line == line.trim_end()), "{text:?}");
    let page = folder.text("r.html");
    assert!(page.contains("<svg") && page.contains("</html>") && !page.contains("http://cdn"));
}

#[test]
fn quiet_is_quiet() {
    let folder = Folder::with_model();
    folder.write("more.csv", table(150));
    for line in [
        "fit good.csv --base gaussian --steps 600 --hidden 16 --threads 1 --quiet --report r.html",
        "eval m.safetensors good.csv -q",
        "score -q m.safetensors good.csv -o s.csv",
        "sample m.safetensors -n 400 --chains 20 --warm-up 300 --thinning 10 --quiet",
        "report m.safetensors more.csv -o r.html --quiet",
        "info m.safetensors -q",
    ] {
        assert_eq!(folder.succeeds(line).err, "", "{line}");
    }
    // Errors are not notes.
    assert!(folder.run("eval m.safetensors none.csv -q").err.starts_with("error: "));
}

/// Whatever is hidden, a warning is not.
#[test]
fn quiet_hides_no_warning() {
    let folder = Folder::with_model();
    folder.write("other.csv", table(200).replacen("a,b", "u,v", 1));
    let rounded: String = pairs(200).iter().map(|(a, b)| format!("{:.1},{b:.9}\n", a)).collect();
    folder.write("rounded.csv", format!("a,b\n{rounded}"));
    folder.write("holes.csv", "u,v\n1,\n0.5,0.25\n");
    let names = "warning: the table has none of the model's column names";
    let trained = "warning: these rows include those that trained the model";
    let held =
        "score m.safetensors good.csv -o s.csv --anomaly --false-alarm 0.2 --held-out other.csv";
    let fit = format!("fit rounded.csv --base gaussian {QUICK} -o r");
    let compare = "compare rounded.csv --steps 5 --hidden 4 --threads 1 --objectives exact";
    let frozen = "sample m.safetensors -n 40 --warm-up 5 --thinning 1 --step-size 1e4 -o d.csv";
    for (line, warning) in [
        (fit.as_str(), "warning: "),
        (compare, "warning: "),
        ("eval m.safetensors other.csv", names),
        ("eval m.safetensors good.csv --samples other.csv", names),
        ("score m.safetensors other.csv -o s.csv", names),
        (held, names),
        ("impute m.safetensors holes.csv -o i.csv", names),
        ("report m.safetensors other.csv -o r.html", names),
        ("report m.safetensors -o r.html", trained),
        (frozen, "warning: only 0"),
    ] {
        let warnings = |ended: &Ended| -> Vec<String> {
            ended.err.lines().filter(|l| l.starts_with("warning: ")).map(String::from).collect()
        };
        let (loud, quiet) = (folder.succeeds(line), folder.succeeds(&format!("{line} -q")));
        assert!(quiet.err.contains(warning), "{line}: {quiet:?}");
        assert_eq!(warnings(&quiet), warnings(&loud), "{line}");
        assert_eq!(quiet.err.lines().count(), warnings(&quiet).len(), "{line}: {quiet:?}");
    }
}

#[test]
fn eval_agrees_with_the_figures_of_the_fit() {
    let folder = Folder::with_model();
    let json = folder.succeeds("eval m.safetensors good.csv --json").json();
    has_keys(&json, &CHECK_KEYS);
    assert_eq!(json["rows"], 200);
    // Half the mean squared score plus the mean trace, in units of the columns' deviations.
    folder.succeeds("score m.safetensors good.csv -o s.csv --hessian-diagonal");
    let rows: Vec<Vec<f64>> = csv_rows(&folder.text("s.csv"));
    let info = folder.succeeds("info m.safetensors --json").json();
    let scale = |k: usize| info["column_scale"][k].as_f64().unwrap();
    let loss = |row: &Vec<f64>| -> f64 {
        let term = |k: usize| scale(k).powi(2) * (0.5 * row[k] * row[k] + row[4 + k]);
        term(0) + term(1)
    };
    let mean = rows.iter().map(loss).sum::<f64>() / rows.len() as f64;
    let reported = json["exact_loss"].as_f64().unwrap();
    assert!((mean - reported).abs() < 1e-9 * (1.0 + reported.abs()), "{mean} {reported}");
}

fn csv_rows(text: &str) -> Vec<Vec<f64>> {
    let number = |cell: &str| cell.parse().unwrap();
    text.lines().skip(1).map(|line| line.split(',').map(number).collect()).collect()
}

#[test]
fn scores_in_csv_and_npy_are_the_same_numbers() {
    let folder = Folder::with_model();
    let line = "score m.safetensors good.csv --hessian-diagonal";
    let json = folder.succeeds(&format!("{line} -o s.csv --json")).json();
    let columns = "score_a,score_b,laplacian,log_density,hessian_a,hessian_b";
    let written: Vec<&str> =
        json["columns"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
    assert_eq!(written.join(","), columns);
    let text = folder.text("s.csv");
    assert_eq!(text.lines().next(), Some(columns));
    assert_eq!(folder.succeeds(line).out, text, "standard output is the same table");
    folder.succeeds(&format!("{line} -o s.npy"));
    let bytes = folder.read("s.npy");
    let npy = npyz::NpyFile::new(&bytes[..]).unwrap();
    assert_eq!(npy.shape(), [200, 6]);
    let values: Vec<f64> = npy.into_vec().unwrap();
    let rows = csv_rows(&text);
    assert_eq!(values, rows.concat());
    for row in rows {
        assert!((row[2] - row[4] - row[5]).abs() < 1e-9 * row[2].abs(), "trace of {row:?}");
    }
}

#[test]
fn samples_follow_the_seed() {
    let folder = Folder::with_model();
    let draw = |seed: u32| {
        let options = "-n 30 --warm-up 100 --thinning 2";
        folder.succeeds(&format!("sample m.safetensors {options} --sample-seed {seed}")).out
    };
    let first = draw(1);
    assert_eq!(first, draw(1));
    assert_ne!(first, draw(2));
    assert_eq!(first.lines().count(), 31);
    assert_eq!(first.lines().next(), Some("a,b"));
    let json = folder.succeeds("sample m.safetensors -n 8 --warm-up 20 -o s.npy --json").json();
    has_keys(&json, &["sampler", "draws", "chains", "acceptance_rate", "step_size"]);
    assert_eq!((&json["sampler"], &json["draws"]), (&Value::from("mala"), &Value::from(8)));
}

#[test]
fn a_report_finds_its_data_again() {
    let folder = Folder::new();
    folder.succeeds(&format!("fit --dataset two-moons --rows 300 {QUICK} -o moons"));
    let json = folder.succeeds("report moons -o r.html --json").json();
    has_keys(&json, &CHECK_KEYS);
    assert_eq!(json["output"], "r.html");
    assert!(folder.text("r.html").contains("Score of two-moons"));

    folder.write("good.csv", table(200));
    folder.succeeds(&format!("fit good.csv {QUICK} -o m"));
    let ended = folder.succeeds("report m");
    assert!(ended.err.contains("these rows include those that trained the model"), "{ended:?}");
    assert!(folder.has("report.html"));
    std::fs::rename(folder.path("good.csv"), folder.path("moved.csv")).unwrap();
    folder.fails(5, "report m", &["good.csv: cannot read"]);
    folder.succeeds("report m moved.csv");
}

#[test]
fn info_data_sets_and_benchmarks() {
    let folder = Folder::with_model();
    let text = folder.succeeds("info m.safetensors").out;
    for piece in ["good.csv (200 rows)", "a, b", "potential", "160 training", "gradlogp 0."] {
        assert!(text.contains(piece), "{piece}: {text}");
    }
    let json = folder.succeeds("info m.safetensors --json").json();
    has_keys(&json, &["parameters", "columns", "training", "network", "data", "summary"]);
    let sets = folder.succeeds("datasets --json").json();
    let names: Vec<&str> =
        sets.as_array().unwrap().iter().map(|set| set["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"two-moons") && names.contains(&"red-wine"), "{names:?}");
    assert!(folder.succeeds("datasets").out.contains("exact score known"));
    let line = "bench step --dim 2 --hidden 8 --batch 16 --seconds 0.05 --threads 1 --json";
    has_keys(&folder.succeeds(line).json(), &["median_ms", "min_ms", "rows_per_s", "gemm_share"]);
    let stein = |more: &str| {
        let line = format!("bench stein --rows 90 --bootstrap 19 {more}");
        let groups = folder.succeeds(&format!("{line} --json")).json()["groups"].clone();
        (groups, folder.succeeds(&line).out.contains("all pairs"))
    };
    assert_eq!((stein(""), stein("--group 30")), ((1.into(), true), (3.into(), false)));
}

#[test]
fn real_data_are_built_in() {
    let folder = Folder::new();
    let line = format!("fit --dataset red-wine --columns alcohol,pH --dequantize {QUICK} --json");
    let json = folder.succeeds(&line).json();
    assert_eq!(json["rows"], 160);
}

#[test]
#[cfg(unix)]
fn a_reader_that_has_seen_enough() {
    let folder = Folder::with_model();
    // More than any pipe holds.
    let rows: String = pairs(20_000).iter().map(|(a, b)| format!("{a:.9},{b:.9}\n")).collect();
    folder.write("long.csv", format!("a,b\n{rows}"));
    for command in ["score m.safetensors long.csv", "info m.safetensors", "datasets --json"] {
        let script = format!("{{ $GRADLOGP {command}; echo $? > code; }} | head -n 1");
        let ended = folder.shell(&script);
        assert_eq!(ended.err, "", "{command}");
        assert_eq!(ended.out.lines().count(), 1, "{command}");
        assert_eq!(folder.text("code").trim(), "0", "{command}");
    }
    let ended = folder.shell(&format!("$GRADLOGP fit good.csv {QUICK} -o new 2>&- >&-"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn auto_says_what_it_chose_and_why_and_the_file_remembers() {
    let folder = Folder::new();
    let fit = format!("fit --dataset gaussian --rows 500 {QUICK} -o a.safetensors");
    let said = folder.succeeds(&fit);
    assert!(said.err.contains("objective ") && said.err.contains("times the work"), "{said:?}");
    let json: Value = serde_json::from_str(&folder.succeeds(&format!("{fit} --json")).out).unwrap();
    assert_eq!(json["choice"]["objective"], json["objective"]);
    assert_eq!(json["choice"]["steps"], 100);
    let info: Value =
        serde_json::from_str(&folder.succeeds("info a.safetensors --json").out).unwrap();
    assert_eq!(
        (&info["choice"], &info["training"]["objective"]),
        (&json["choice"], &json["objective"])
    );
    assert!(folder.succeeds("info a.safetensors").out.contains("Chosen as"));
    // A named objective is not chosen, and the sliced one that was named stays.
    let named = folder.succeeds(&format!("{fit} --objective ssm-vr --slices 3 --json"));
    let json: Value = serde_json::from_str(&named.out).unwrap();
    assert_eq!(json["objective"], serde_json::json!({"name": "ssm-vr", "slices": 3}));
    assert_eq!(json.get("choice"), None);
}
