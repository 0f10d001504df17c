//! `--given`: models of p(x | c) from the table to samples.

use super::support::{Folder, QUICK, pairs, table};

/// b given a has the mean 0.5 a + 1.5 and the variance 1/4 (three uniforms), nearly normal.
fn expected_score(a: f64, b: f64) -> f64 {
    -(b - 0.5 * a - 1.5) / 0.25
}

fn numbers(csv: &str) -> Vec<Vec<f64>> {
    csv.lines()
        .skip(1)
        .map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect())
        .collect()
}

fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    values.clone().sum::<f64>() / values.count() as f64
}

#[test]
fn a_conditional_fit_scores_samples_and_reports() {
    let folder = Folder::new();
    folder.write("t.csv", table(3000));
    let fit = "fit t.csv --given a --steps 600 --hidden 16 --threads 1 --rate 5e-3 -o m --json";
    let json = folder.succeeds(&format!("{fit} --report r.html")).json();
    assert_eq!(json["consistent"], true, "{json}");
    assert!(
        json["stein_given_max_z"].as_f64().unwrap() < json["stein_critical_z"].as_f64().unwrap()
    );
    assert!(folder.text("r.html").contains("Stein condition"));

    // The score has x's columns only, and is that of b given a.
    folder.succeeds("score m t.csv -o s.csv -q");
    let scores = folder.text("s.csv");
    assert!(scores.starts_with("score_b,laplacian,log_density\n"), "{}", &scores[..60]);
    let (scores, rows) = (numbers(&scores), pairs(3000));
    let inner = rows.iter().zip(&scores).filter(|((a, b), _)| expected_score(*a, *b).abs() < 3.0);
    let (gap, size) = inner.fold((0.0, 0.0), |(gap, size), ((a, b), s)| {
        let want = expected_score(*a, *b);
        (gap + (s[0] - want).powi(2), size + want * want)
    });
    assert!(gap / size < 0.1, "{}", gap / size);

    // At one condition, and at a table of them.
    folder.succeeds("sample m -n 400 --chains 40 --warm-up 200 --given-values a=1 -o one.csv -q");
    let one = folder.text("one.csv");
    assert!(one.starts_with("b,a\n"), "{}", &one[..10]);
    let one = numbers(&one);
    assert!(one.iter().all(|row| row[1] == 1.0) && one.len() == 400);
    let center = mean(one.iter().map(|row| row[0]));
    assert!((center - 2.0).abs() < 0.15, "{center}");
    folder.write("c.csv", "a,other\n-1,7\n1,8\n");
    folder.succeeds("sample m -n 200 --warm-up 200 --given-rows c.csv -o two.csv -q");
    let two = numbers(&folder.text("two.csv"));
    assert_eq!(two.len(), 400);
    for (rows, a) in two.chunks(200).zip([-1.0, 1.0]) {
        assert!(rows.iter().all(|row| row[1] == a));
        let center = mean(rows.iter().map(|row| row[0]));
        assert!((center - 1.5 - 0.5 * a).abs() < 0.25, "{a}: {center}");
    }

    assert_eq!(folder.succeeds("eval m t.csv --json").json()["rows"], 3000);
    folder.succeeds("report m t.csv -o again.html -q");
    let info = folder.succeeds("info m").out;
    assert!(info.lines().any(|l| l.contains("Given") && l.ends_with(" a")), "{info}");
}

#[test]
fn what_does_not_fit_a_condition_is_refused() {
    let folder = Folder::with_model();
    folder.write("a.csv", table(200).replace("a,b", "a,z"));
    folder.fails(3, "fit good.csv --given c", &["good.csv", "\"c\""]);
    folder.fails(2, "fit good.csv --given a,b", &["--given", "none to model"]);
    folder.succeeds(&format!("fit good.csv --given a {QUICK} -o c.safetensors"));
    folder.fails(3, "score c.safetensors a.csv", &["\"b\""]);
    folder.fails(4, "impute c.safetensors good.csv -o i.csv", &["is conditional", "--given"]);
    folder.write("other.csv", table(200).replace("a,b", "u,v"));
    folder.fails(3, "eval c.safetensors other.csv", &["must be named", "b given a"]);
    folder.fails(2, "sample c.safetensors -o s.csv", &["--given-values", "a=1.5"]);
    folder.fails(2, "sample c.safetensors --given-values a -o s.csv", &["age=40"]);
    folder.fails(
        2,
        "sample c.safetensors --given-values b=1 -o s.csv",
        &["\"b\" is not a column of the condition. It needs a"],
    );
    folder.fails(2, "sample c.safetensors --given-values a=1,a=2 -o s.csv", &["twice"]);
    folder.fails(2, "sample m.safetensors --given-values a=1 -o s.csv", &["not conditional"]);
    folder.fails(3, "sample c.safetensors --given-rows other.csv -o s.csv", &["\"a\""]);
    let several = "sample c.safetensors --given-rows good.csv --chains 3 -o s.csv";
    folder.fails(2, several, &["--chains", "one chain for each"]);
}

#[test]
fn a_condition_may_be_discrete_and_x_is_dequantized_without_it() {
    let folder = Folder::new();
    let rows = pairs(400).into_iter().map(|(a, b)| format!("{:.1},{}\n", b, i32::from(a > 0.0)));
    folder.write("t.csv", format!("b,group\n{}", rows.collect::<String>()));
    let fit = format!("fit t.csv --given group --dequantize {QUICK} -o m --json");
    let json = folder.succeeds(&fit).json();
    let warnings = json["warnings"].to_string();
    assert!(!warnings.contains("group"), "{warnings}");
    let info = folder.succeeds("info m --json").json();
    assert_eq!(info["dequantization"]["half_widths"].as_array().unwrap().len(), 1);
    assert_eq!(info["given"]["columns"][0], "group");
}

#[test]
fn a_condition_may_enter_every_layer() {
    let folder = Folder::new();
    folder.write("t.csv", table(300));
    folder.succeeds(&format!("fit t.csv --given a {QUICK} -o plain"));
    folder.succeeds(&format!("fit t.csv --given a --conditioning film {QUICK} -o film"));
    // Beside W, b of two layers: V of the one, or factor and shift of 8 units each with their biases.
    let more = folder.weights("film").len() - folder.weights("plain").len();
    assert_eq!(more, 4 * (2 * (8 + 8) - 8));
    assert!(folder.succeeds("info film").out.contains("a (film)"));
    folder.succeeds("eval film t.csv");
    folder.succeeds("sample film -n 20 --warm-up 20 --thinning 1 --given-values a=0.5 -o x.csv");
    folder.fails(2, "fit t.csv --conditioning film", &["--conditioning", "--given"]);
    folder
        .succeeds(&format!("fit t.csv --given a --conditioning film --objective cp {QUICK} -o cp"));
}
