//! Models of every noise level: `fit --noise`, and what can be asked of them.

use gradlogp::storage::TensorFile;

use crate::support::{Folder, QUICK, pairs, table};

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
        (
            "--noise custom --drift x^3 --diffusion 5 --horizon 9",
            vec!["--drift", "diverge", "--simulate 100"],
        ),
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
    fit(&folder, "custom --drift -x --diffusion 1 --standardize none", "own");
    folder.fails(2, "loglik own good.csv", &["custom", "--standardize none"]);
}

/// A model of every noise level whose rows of a large sum become non-finite: one unit of weights 1e30 is off
/// up to a sum of `edge` (standardized), and the rest of the network is zero: the score of N(0, I).
fn explosive(folder: &Folder, edge: f32) {
    fit(folder, "vp", "time");
    let model = gradlogp::FittedModel::load(&folder.path("time")).unwrap();
    let settings = &model.description().noise.as_ref().unwrap().network;
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
    let worse = gradlogp::FittedModel::new(network, model.description().clone()).unwrap();
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
    assert!(ended.err.contains("row 3 of the table: draws were lost"), "{}", ended.err);
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

/// Thirty rows are overfitted within a few hundred steps, and fit says so; but not where what helps was asked for.
#[test]
fn fit_says_when_a_small_table_is_learnt_by_heart() {
    let folder = folder();
    let rows =
        (0..30).map(|i| f64::from(i) * 0.7).map(|t| format!("{},{}\n", t.sin(), (1.9 * t).cos()));
    folder.write("few.csv", format!("a,b\n{}", rows.collect::<String>()));
    let line = "fit few.csv --noise vp --steps 2000 --hidden 64,64 --threads 1 -o m";
    let ended = folder.succeeds(line);
    assert!(
        ended.err.contains("overfitting") && ended.err.contains("--weight-decay 1"),
        "{}",
        ended.err
    );
    let ended = folder.succeeds(&format!("{line} --weight-decay 1"));
    assert!(!ended.err.contains("overfitting"), "{}", ended.err);
}

/// The words x and t mean the column itself and the time whatever the columns are called: the same numbers under
/// other names are fitted alike, and a name that could mislead is said.
#[test]
fn names_of_columns_do_not_change_what_a_drift_means() {
    let folder = Folder::new();
    let rows = table(300);
    for (name, header) in [("ab", "a,b"), ("xy", "x,y"), ("tpi", "t,pi")] {
        folder.write(&format!("{name}.csv"), rows.replace("a,b", header));
    }
    let settings = format!("{QUICK} --noise custom --diffusion 1+0*t --simulate 10");
    let run = |name: &str, drift: &str| {
        let line = format!("fit {name}.csv {settings} --drift {drift} -o {name}.st");
        (folder.succeeds(&line).err, folder.weights(&format!("{name}.st")))
    };
    let (quiet, plain) = run("ab", "-2*x*exp(-t)");
    assert!(!quiet.contains("column of that name"), "{quiet}");
    let (says, same) = run("xy", "-2*x*exp(-t)");
    assert!(says.contains("x is each column in turn") && says.contains("write {x}"), "{says}");
    assert!(plain == same, "another fit under other names");
    let (says, same) = run("tpi", "-2*x*exp(-t)");
    assert!(says.contains("t is the time") && says.contains("write {t}"), "{says}");
    assert!(plain == same, "another fit under other names");
    // In braces a column is meant.
    let (quiet, other) = run("xy", "-2*{x}");
    assert!(!quiet.contains("column of that name") && plain != other, "{quiet}");
    assert_eq!(other, run("ab", "-2*a").1);
}

/// README's example: temperature and pressure carried to 20 and 1013 by noise that grows. The process is linear and
/// the rows nearly normal, so that the score at every time is known.
#[test]
fn a_process_in_the_columns_own_units_is_fitted_at_every_time() {
    let folder = Folder::new();
    // Sums of twelve uniforms, standardized: a = 18 + 5 u, b = 1008 + 7 v.
    let fraction = |x: f64| x - x.floor();
    let primes = [
        2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89,
    ];
    let normal = |i: usize, from: usize| -> f64 {
        let of = |p: &u32| fraction((i + 1) as f64 * f64::from(*p).sqrt()) - 0.5;
        primes[from..from + 12].iter().map(of).sum()
    };
    let rows: Vec<(f64, f64)> =
        (0..2000).map(|i| (18.0 + 5.0 * normal(i, 0), 1008.0 + 7.0 * normal(i, 12))).collect();
    let text = rows.iter().map(|(a, b)| format!("{a:.6},{b:.6}\n")).collect::<String>();
    folder.write("my.csv", format!("temperature,pressure\n{text}"));
    let process =
        "--noise custom --drift 20-temperature --drift 1013-pressure --diffusion 3+t --horizon 2";
    let small = "--steps 500 --hidden 24,24 --rate 0.005 --ema 0.99 --simulate 40 --threads 1";
    folder.succeeds(&format!("fit my.csv {process} {small} -o own.st --report r.html"));
    for time in [0.02f64, 0.3, 1.0, 2.0] {
        let shrunk = (-time).exp();
        let noise = 0.5 * time * time + 2.5 * time + 3.25 * (1.0 - shrunk * shrunk);
        let columns = [(18.0, 25.0, 20.0), (1008.0, 49.0, 1013.0)].map(|(mean, variance, to)| {
            (to + shrunk * (mean - to), shrunk * shrunk * variance + noise)
        });
        // Rows on a grid of two standard deviations, weighted by their density.
        let steps = || (-8..=8).map(|k| f64::from(k) / 4.0);
        let grid: Vec<(f64, f64)> = steps().flat_map(|u| steps().map(move |v| (u, v))).collect();
        let place = |k: usize, u: f64| columns[k].0 + u * columns[k].1.sqrt();
        let text = grid.iter().map(|(u, v)| format!("{},{}\n", place(0, *u), place(1, *v)));
        folder.write("grid.csv", format!("temperature,pressure\n{}", text.collect::<String>()));
        folder.succeeds(&format!("score own.st grid.csv --at {time} -o s.csv"));
        let (mut miss, mut whole) = (0.0, 0.0);
        for (line, (u, v)) in folder.text("s.csv").lines().skip(1).zip(&grid) {
            let found: Vec<f64> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
            let weight = (-0.5 * (u * u + v * v)).exp();
            for (k, u) in [u, v].into_iter().enumerate() {
                let expected = -u / columns[k].1.sqrt();
                miss += weight * (found[k] - expected).powi(2);
                whole += weight * expected.powi(2);
            }
        }
        // At the least time, where few rows fall, so short a fit is rough.
        let bound = if time < 0.1 { 0.4 } else { 0.05 };
        assert!(miss < bound * whole, "at {time}: relative Fisher divergence {}", miss / whole);
    }
    let judged = folder.succeeds("eval own.st my.csv --json").json();
    assert!(judged["times"].as_array().unwrap().len() == 5, "{judged}");
    // From the normal distribution at the horizon back to the data, and their likelihood: entropy of N(m,
    // diag(25, 49) + the noise of the least time) is log(2 pi e) + log(5 * 7) in nats.
    folder.succeeds("sample own.st -n 2000 -o back.csv");
    let back = folder.text("back.csv");
    let column = |k: usize| -> Vec<f64> {
        back.lines().skip(1).map(|line| line.split(',').nth(k).unwrap().parse().unwrap()).collect()
    };
    for (k, mean, variance) in [(0, 18.0, 25.0), (1, 1008.0, 49.0)] {
        let drawn = column(k);
        let found = drawn.iter().sum::<f64>() / 2000.0;
        let square = drawn.iter().map(|x| (x - found).powi(2)).sum::<f64>() / 2000.0;
        assert!((found - mean).abs() < 0.1 * f64::sqrt(variance), "{k}: {found}");
        assert!((square / variance - 1.0).abs() < 0.15, "{k}: {square}");
    }
    let likely = folder.succeeds("loglik own.st my.csv --json").json();
    let entropy = (2.0 * std::f64::consts::PI * std::f64::consts::E).ln() + 35f64.ln();
    let found = likely["mean_log_density"].as_f64().unwrap();
    assert!((found + entropy).abs() < 0.1, "{found}, not {}", -entropy);
    let info = folder.succeeds("info own.st").out;
    assert!(info.contains("standardize, measured at every time"), "{info}");
    // Every way to scale is taken, or refused with the reason.
    for kind in ["robust", "common", "none"] {
        folder.succeeds(&format!(
            "fit my.csv {process} {QUICK} --simulate 5 --standardize {kind} -o {kind}"
        ));
        let stated = folder.succeeds(&format!("info {kind}")).out;
        assert_eq!(
            stated.contains(&format!("{kind}, measured at every time")),
            kind != "none",
            "{stated}"
        );
    }
    let whiten = format!("fit my.csv {process} {QUICK} --standardize whiten -o w");
    folder.fails(2, &whiten, &["--standardize", "mixes the columns"]);
}

/// A model file whose drift is a sum of a million terms is refused with a sentence, one of some thousands read.
#[test]
fn long_sums_in_model_files_end_in_a_sentence() {
    let folder = folder();
    fit(&folder, "custom --drift -x --diffusion 1 --simulate 5", "m");
    let (path, kind) = (folder.path("m"), "gradlogp.model");
    let with_terms = |terms: usize, name: &str| {
        let whole = TensorFile::bytes(&path).unwrap();
        let (mut contents, tensors) =
            TensorFile::decode::<serde_json::Value>(&whole, &path, kind).unwrap();
        let drift = contents.pointer_mut("/fit/noise/process/drift/0").unwrap();
        *drift = (drift.as_str().unwrap().to_string() + &"+0*t".repeat(terms)).into();
        TensorFile::write(&folder.path(name), kind, &contents, tensors).unwrap();
    };
    with_terms(5_000, "some");
    folder.succeeds("eval some good.csv");
    with_terms(1_000_000, "many");
    folder.fails(4, "eval many good.csv", &["many: drift: ", "too long", "operations"]);
}

/// Every bad number is blamed on its own option.
#[test]
fn bad_numbers_are_blamed_on_their_option() {
    let folder = folder();
    let own = "custom --drift -x --diffusion";
    for (line, says) in [
        ("ve --sigma-min -1".to_string(), "--sigma-min: must be a positive number, not -1"),
        ("ve --sigma-min 20".into(), "--sigma-min: must be below --sigma-max, which is 10"),
        ("ve --sigma-max 0.001".into(), "--sigma-max: must be above --sigma-min, which is 0.01"),
        ("ve --sigma-max 1e30".into(), "--sigma-max: must be from 1e-15 to 1e15"),
        ("ve --sigma-min 1e-14".into(), "--sigma-min: is so small"),
        ("ncsn --sigma-max nan".into(), "--sigma-max: must be a positive number, not NaN"),
        ("ncsn --levels 1".into(), "--levels: must be at least 2"),
        ("vp --beta-min 30".into(), "--beta-min: must be below --beta-max, which is 20"),
        ("vp --beta-max 0.05".into(), "--beta-max: must be above --beta-min, which is 0.1"),
        ("vp --beta-max 1e9".into(), "--beta-max: of 1000000000 forgets"),
        ("subvp --beta-max inf".into(), "--beta-max: must be a positive number, not inf"),
        ("vp --t-min 0".into(), "--t-min: must be above 0"),
        ("vp --t-min -1".into(), "--t-min: must be in [0, 1), not -1"),
        ("subvp --t-min 1e-200".into(), "--t-min: is so small"),
        ("ou --ou-rate 0".into(), "--ou-rate: must be a positive number, not 0"),
        ("ou --ou-rate 1e9".into(), "--ou-rate: a horizon of 5 with a rate of 1000000000"),
        ("ou --ou-diffusion 0".into(), "--ou-diffusion: must be a positive number, not 0"),
        ("ou --horizon 1e9".into(), "--horizon: of 1000000000 with a rate of 1"),
        ("ou --horizon -1".into(), "--horizon: must be a positive number, not -1"),
        ("vp --noise-floor -1".into(), "--noise-floor: must be 0 or a positive number, not -1"),
        (format!("{own} 0"), "--diffusion: is 0 at every time"),
        (format!("{own} 0*t"), "--diffusion: is 0 at every time"),
        (format!("{own} 1e-300"), "--diffusion: is so small"),
        (format!("{own} 1e300"), "--diffusion: is so large"),
        (format!("{own} log(-t)"), "--diffusion: is NaN"),
        (format!("{own} 1/(t-0.00048828125)"), "--diffusion: is inf"),
        (format!("{own} 1 --t-min 0"), "--t-min: must be above 0"),
        (format!("{own} 1 --t-min 1"), "--t-min: must be in [0, 1), not 1"),
        (format!("{own} 1 --horizon 0"), "--horizon: must be a positive number, not 0"),
        (format!("{own} 1 --horizon nan"), "--horizon: must be a positive number, not NaN"),
        (format!("{own} 1 --simulate 0"), "--simulate: must be at least 1 step"),
        (
            format!("{own} 1 --simulate 4294967296"),
            "--simulate 4294967296 is too large: at most 10000",
        ),
    ] {
        folder.fails(2, &format!("fit good.csv {QUICK} --noise {line} -o m"), &[says]);
    }
    // What the messages advise works, and a short process needs no other option.
    for line in [
        "ve --sigma-min 20 --sigma-max 40",
        "vp --beta-max 0.05 --beta-min 0.01",
        "ou --horizon 0.0001",
    ] {
        folder.succeeds(&format!("fit good.csv {QUICK} --noise {line} -o m"));
    }
}

/// Named processes take columns as they are where that is asked for, and say if these are not of their size.
#[test]
fn columns_that_do_not_suit_a_named_process_are_said() {
    let folder = folder();
    let wide = pairs(300).into_iter().map(|(a, b)| format!("{},{b}\n", 100.0 + a));
    folder.write("wide.csv", format!("far,b\n{}", wide.collect::<String>()));
    let run = |data: &str, scale: &str| {
        folder.succeeds(&format!("fit {data} {QUICK} --noise vp --standardize {scale} -o m")).err
    };
    let says = run("wide.csv", "none");
    assert!(
        says.contains("column \"far\" has a root mean square") && says.contains("--standardize"),
        "{says}"
    );
    assert!(!run("wide.csv", "standardize").contains("root mean square"));
    assert!(!run("good.csv", "none").contains("root mean square"));
}

/// A fit whose loss stays where a score of 0 has it says so long before its end.
#[test]
fn fit_says_early_when_nothing_is_learnt() {
    let folder = folder();
    let line =
        "fit good.csv --model score --hidden 8 --threads 1 --steps 500 --evaluate-every 50 -o m";
    let ended = folder.succeeds(&format!("{line} --rate 1e-12"));
    let says = "after 100 of 500 steps the held-out loss";
    assert_eq!(ended.err.matches(says).count(), 1, "{}", ended.err);
    assert!(!folder.succeeds(&format!("{line} --rate 0.01")).err.contains("held-out loss, "));
}
