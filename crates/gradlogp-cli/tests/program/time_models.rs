//! Models of every noise level: `fit --noise`, and what can be asked of them.

use crate::support::{Folder, QUICK, table};

/// A small, quick fit over time.
fn fit(folder: &Folder, noise: &str, output: &str) {
    folder.succeeds(&format!("fit good.csv {QUICK} --noise {noise} -o {output}"));
}

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("good.csv", table(300));
    folder
}

/// The first number of each line of a table with a header.
fn first_column(text: &str) -> Vec<f64> {
    text.lines().skip(1).map(|l| l.split(',').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn every_process_and_objective_fits_and_scores() {
    let folder = folder();
    for noise in [
        "ve --sigma-max 5",
        "ncsn --levels 5 --noise-objective ssm",
        "vp --beta cosine --noise-objective ssm-vr --simulate 10",
        "subvp --noise-weight likelihood --times importance --conditioning concat",
        "ou --horizon 3 --model potential --time-features log-noise --noise-objective exact",
        "custom --drift -x --diffusion 1 --simulate 10 --horizon 2",
    ] {
        fit(&folder, noise, "m");
        folder.succeeds("score m good.csv -o early.csv");
        folder.succeeds("score m good.csv --at 0.9 -o late.csv");
        let (early, late) = (folder.text("early.csv"), folder.text("late.csv"));
        assert_ne!(first_column(&early), first_column(&late), "{noise}: time does not matter");
        assert!(folder.succeeds("info m").out.contains("Process"), "{noise}");
        folder.succeeds("eval m good.csv");
    }
}

#[test]
fn likelihoods_are_near_those_of_a_normal_and_in_the_units_of_the_table() {
    let folder = folder();
    // Ten times as wide: densities ten times lower in each column.
    let wide: String = std::iter::once("a,b".to_string())
        .chain(table(300).lines().skip(1).map(|l| {
            let cells: Vec<String> =
                l.split(',').map(|c| (10.0 * c.parse::<f64>().unwrap()).to_string()).collect();
            cells.join(",")
        }))
        .collect::<Vec<_>>()
        .join("\n");
    folder.write("wide.csv", wide);
    let settings = "--steps 400 --hidden 16,16 --threads 1 --noise vp";
    let likelihood = |data: &str, options: &str| {
        folder.succeeds(&format!("fit {data} {settings} -o m"));
        folder.succeeds(&format!("loglik m {data} --json {options}")).json()
    };
    let narrow = likelihood("good.csv", "-o l.csv");
    let wide = likelihood("wide.csv", "");
    let mean = |v: &serde_json::Value| v["mean_log_density"].as_f64().unwrap();
    let shift = mean(&narrow) - mean(&wide) - 2.0 * 10f64.ln();
    assert!(shift.abs() < 0.02, "{shift}");
    // The entropy of sums of three uniforms is near that of normals: -1 nat for a (sd 0.5), and for b
    // given a likewise.
    assert!((-2.2..-0.9).contains(&mean(&narrow)), "{narrow}");
    let bits = narrow["bits_per_dimension"].as_f64().unwrap();
    assert!((bits + mean(&narrow) / (2.0 * 2f64.ln())).abs() < 1e-12);
    let rows = first_column(&folder.text("l.csv"));
    let average = rows.iter().sum::<f64>() / rows.len() as f64;
    assert!(rows.len() == 300 && (average - mean(&narrow)).abs() < 1e-9);
    folder.succeeds(&format!("fit good.csv {settings} -o m"));
    let probed = folder.succeeds("loglik m good.csv --probes 8 --json").json();
    assert!(probed["probe_se"].as_f64().unwrap() > 0.0);
    assert!((mean(&probed) - mean(&narrow)).abs() < 0.1, "{probed}");
}

#[test]
fn bad_settings_are_refused_with_what_to_do() {
    let folder = folder();
    for (line, pieces) in [
        ("--noise ve --sigma-min 2 --sigma-max 1", vec!["sigma-min", "below sigma-max = 1"]),
        ("--noise vp --simulate 0 --noise-objective ssm", vec!["--simulate", "at least 1"]),
        ("--noise vp --t-min 1", vec!["t-min"]),
        ("--noise vp --sigma-min 1", vec!["--sigma-min", "is for --noise ve or ncsn, not vp"]),
        ("--noise vp --objective ssm", vec!["--noise-objective"]),
        ("--noise custom", vec!["needs --drift and --diffusion"]),
        ("--noise custom --drift x+ --diffusion 1", vec!["drift", "character 3", "missing"]),
        ("--noise custom --drift -c --diffusion 1", vec!["\"c\" is not known", "a, b"]),
        (
            "--noise custom --drift log(a) --diffusion 1",
            vec!["--drift", "log(a)", "NaN", "column a"],
        ),
        ("--noise custom --drift x^3 --diffusion 5 --horizon 9", vec!["--simulate", "run away"]),
        ("--noise custom --drift -x --diffusion sqrt(-t)", vec!["diffusion", "NaN"]),
        ("--noise custom --drift -x --diffusion 1 --noise-objective dsm", vec!["kernel", "ssm"]),
        ("--noise vp --steps 0", vec!["steps"]),
    ] {
        folder.fails(2, &format!("fit good.csv {line} -o m"), &pieces);
        assert!(!folder.has("m"), "{line}");
    }
    folder.succeeds(&format!("fit good.csv {QUICK} -o plain"));
    folder.fails(2, "score plain good.csv --at 0.5", &["without --noise"]);
    folder.fails(2, "loglik plain good.csv", &["--noise"]);
    fit(&folder, "vp", "time");
    folder.fails(2, "score time good.csv --at 2", &["from 0.001 to 1, not 2"]);
    folder.fails(2, "loglik time good.csv --probes 1", &["probes", "at least 2"]);
    fit(&folder, "custom --drift -x --diffusion 1", "own");
    folder.fails(2, "loglik own good.csv", &["custom"]);
}
