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
        let info = folder.succeeds("info m").out;
        assert!(info.contains("Process") && info.contains("silu"), "{noise}: {info}");
        let judged = folder.succeeds("eval m good.csv --json").json();
        let times = judged["times"].as_array().unwrap().iter();
        let times: Vec<f64> = times.map(|t| t["time"].as_f64().unwrap()).collect();
        assert!(times.len() >= 4, "{noise}: {times:?}");
        // A ladder has no two of them at one level.
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{noise}: {times:?}");
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
    assert!(folder.succeeds("info plain").out.contains("softplus"));
    folder.fails(2, "score plain good.csv --at 0.5", &["without --noise"]);
    folder.fails(2, "loglik plain good.csv", &["--noise"]);
    fit(&folder, "vp", "time");
    folder.fails(2, "score time good.csv --at 2", &["from 0.001 to 1, not 2"]);
    folder.fails(2, "loglik time good.csv --probes 1", &["probes", "at least 2"]);
    fit(&folder, "custom --drift -x --diffusion 1", "own");
    folder.fails(2, "loglik own good.csv", &["custom"]);
}

/// A model of every noise level whose rows of a large sum leave the finite numbers: one unit of weights 1e30 is off
/// up to a sum of `edge` (standardised), and the rest of the network is zero: the score of N(0, I).
fn explosive(folder: &Folder, edge: f32) {
    fit(folder, "vp", "time");
    let model = gradlogp::FittedModel::load(&folder.path("time")).unwrap();
    let settings = &model.description.noise.as_ref().unwrap().network;
    let mut network = settings.build::<f32>(1).unwrap();
    let ranges: Vec<_> =
        network.graph().parameters().iter().map(|(p, range)| (p.name.clone(), range)).collect();
    for (name, range) in ranges {
        let parameters = &mut network.parameters[range];
        parameters.fill(0.0);
        match name.as_str() {
            "net.0.weight" => parameters[..2].fill(1e30),
            "net.0.bias" => parameters[0] = -edge * 1e30,
            // [out, in]: from the one unit to both columns.
            "net.1.weight" => (parameters[0], parameters[8]) = (1e30, 1e30),
            _ => {}
        }
    }
    let worse = gradlogp::FittedModel::new(network, model.description.clone()).unwrap();
    worse.save(&folder.path("worse")).unwrap();
}

/// What can be drawn is written, and the exit code and the error say what could not.
#[test]
fn rows_that_diverge_do_not_take_the_others_with_them() {
    let folder = folder();
    explosive(&folder, 3.5);
    for (sampler, least) in [("em", 1700), ("ddim", 1965), ("ode", 1965)] {
        let line = format!("sample worse -n 2500 --steps 20 --sampler {sampler} -o s.csv --json");
        let ended = folder.run(&line);
        assert_eq!(ended.code, Some(6), "{sampler}: {ended:?}");
        let json: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
        let kept = json["draws"].as_u64().unwrap();
        // Of the 2000 rows of the first block those beyond 3.5 are lost: 0.7% at the start, with noise some more.
        // The second block is not begun.
        assert!((least..2000).contains(&kept), "{sampler}: {kept}");
        assert_eq!(json["completed"], false);
        assert_eq!(first_column(&folder.text("s.csv")).len() as u64, kept);
        assert!(first_column(&folder.text("s.csv")).iter().all(|x| x.is_finite()));
        let pieces = ["diverged at step", "row ", "rows left in all", &format!("The {kept} rows")];
        for piece in pieces {
            assert!(ended.err.contains(piece), "{sampler}: {piece} in {}", ended.err);
        }
    }
    // So far out that of the rows to fill in only the one with a wide a is lost.
    explosive(&folder, 9.0);
    folder.write("holes.csv", "a,b\n0.1,\n,0.2\n9,\n-0.3,0.4\n");
    let ended = folder.run("impute worse holes.csv -o full.csv --steps 20");
    assert_eq!(ended.code, Some(6), "{ended:?}");
    assert!(ended.err.contains("draws of rows 3 of the table were lost"), "{}", ended.err);
    let lines: Vec<String> = folder.text("full.csv").lines().map(str::to_string).collect();
    assert!(lines[3].starts_with("9,") && lines[3].ends_with("NaN"), "{lines:?}");
    assert!(lines[1].starts_with("0.1,") && !lines[1].contains("NaN"), "{lines:?}");
    assert!(!lines[2].contains("NaN") && lines[4] == "-0.3,0.4", "{lines:?}");
    // The page shows what there is and says that it is not all.
    explosive(&folder, 3.5);
    let rows = (0..40).map(|i| format!("{},{}\n", 0.01 * f64::from(i), 1.6 - 0.02 * f64::from(i)));
    folder.write("few.csv", format!("a,b\n{}", rows.collect::<String>()));
    folder.succeeds("report worse few.csv -o r.html");
    let page = folder.text("r.html");
    assert!(page.contains("sampling ended early") && page.contains("fig-scatter"));
}

/// Samples against the rows themselves, not the noised ones; checks of one density are refused.
#[test]
fn eval_compares_samples_of_time_models() {
    let folder = folder();
    folder.succeeds("fit good.csv --steps 400 --hidden 16,16 --threads 1 --noise vp -o m");
    let own = folder.succeeds("eval m good.csv --samples good.csv --json").json();
    // The same rows twice: no distance at all.
    assert!(own["samples"]["energy_distance"].as_f64().unwrap() < 1e-9, "{own}");
    let drawn = folder.succeeds("eval m good.csv --draw 300 --json").json();
    assert_eq!(drawn["samples"]["sample_rows"], 300);
    assert!(drawn["samples"]["energy_distance"].as_f64().unwrap() < 0.1, "{drawn}");
    folder.write("far.csv", "a,b\n9,9\n8,9\n9,8\n7,9\n9,7\n8,8\n9,6\n6,9\n7,7\n5,9\n");
    let far = folder.succeeds("eval m good.csv --samples far.csv --json").json();
    assert!(far["samples"]["energy_p_value"].as_f64().unwrap() < 0.01, "{far}");
    // The report judges rows noised to the least time, but compares samples with the rows themselves.
    let page = folder.succeeds("report m good.csv --samples good.csv -o r.html --json").json();
    assert!(page["samples"]["energy_distance"].as_f64().unwrap() < 1e-9, "{page}");
    assert!(folder.succeeds("eval m good.csv --draw 50").out.contains("Samples (50 rows): energy"));
    folder.fails(2, "eval m good.csv --likelihood", &["--likelihood", "gradlogp loglik"]);
    folder.fails(2, "eval m good.csv --test-functions cube", &["--test-functions", "--noise"]);
}

/// Thirty rows are learnt by heart within a few hundred steps, and fit says so; but not where what helps was asked for.
#[test]
fn fit_says_when_a_small_table_is_learnt_by_heart() {
    let folder = folder();
    let rows =
        (0..30).map(|i| f64::from(i) * 0.7).map(|t| format!("{},{}\n", t.sin(), (1.9 * t).cos()));
    folder.write("few.csv", format!("a,b\n{}", rows.collect::<String>()));
    let line = "fit few.csv --noise vp --steps 2000 --hidden 64,64 --threads 1 -o m";
    let ended = folder.succeeds(line);
    assert!(
        ended.err.contains("by heart") && ended.err.contains("--weight-decay 1"),
        "{}",
        ended.err
    );
    let ended = folder.succeeds(&format!("{line} --weight-decay 1"));
    assert!(!ended.err.contains("by heart"), "{}", ended.err);
}
