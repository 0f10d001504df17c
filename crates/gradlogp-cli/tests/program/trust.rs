//! Checks made when asked for, anomaly scores, likelihoods.

use super::support::Folder;

/// A fit good enough to judge.
fn fitted() -> Folder {
    let folder = Folder::new();
    folder.succeeds(
        "fit --dataset banana --rows 3000 --base gaussian --steps 600 --hidden 32,32 --rate 5e-3 -o m.safetensors",
    );
    folder
}

#[test]
fn likelihood_agrees_with_the_table_of_scores() {
    let folder = fitted();
    let line = "--dataset banana --rows 500 --seed 5";
    let json = folder.succeeds(&format!("eval m.safetensors {line} --likelihood --json")).json();
    let found = &json["likelihood"];
    let number = |key: &str| found[key].as_f64().unwrap_or_else(|| panic!("{key}: {json}"));
    let log_z = number("log_z");
    // No density has a higher expected log likelihood than the rows' own, whose normalizer is known.
    let set = gradlogp::data::synthetic::named("banana").unwrap();
    let truth =
        set.density().unwrap().log_density(set.sample_seeded(20_000, 3).view()).mean().unwrap();
    let miss = number("log_likelihood") - truth;
    assert!(miss.abs() < 0.3 + 4.0 * number("log_likelihood_se"), "{miss}: {json}");
    let bits = -number("log_likelihood") / (2.0 * 2f64.ln());
    assert!((number("bits_per_dimension") - bits).abs() < 1e-12);
    // The same from the table of scores.
    let text = folder.succeeds(&format!("score m.safetensors {line} --log-z {log_z}")).out;
    let last = |l: &str| l.rsplit(',').next().unwrap().parse::<f64>().unwrap();
    let mean = text.lines().skip(1).map(last).sum::<f64>() / 500.0;
    assert!((mean - number("log_likelihood")).abs() < 1e-9, "{mean}: {json}");
}

#[test]
fn a_strict_check_ends_by_its_verdict() {
    let folder = fitted();
    folder.succeeds("eval m.safetensors --dataset banana --rows 400 --strict");
    // Rows of another density: 7, and the table is shown all the same.
    let other: String = (0..400).map(|k| format!("{},{}\n", k % 20, k / 20)).collect();
    folder.write("other.csv", format!("x0,x1\n{other}"));
    let ended = folder.run("eval m.safetensors other.csv --strict");
    assert!(ended.code == Some(7) && ended.out.contains("FAULT"), "{ended:?}");
    assert_eq!(folder.run("eval m.safetensors other.csv").code, Some(0));
}

#[test]
fn samples_are_compared_with_rows() {
    let folder = fitted();
    folder.succeeds("sample m.safetensors -n 400 -o s.csv");
    let own = "eval m.safetensors --dataset banana --rows 400 --samples s.csv";
    let json = folder.succeeds(&format!("{own} --json")).json();
    assert_eq!(json["samples"]["source"], "s.csv");
    assert_eq!(json["samples"]["columns"].as_array().unwrap().len(), 2);
    // Rows from another distribution are told apart; the text says where to look.
    let other: String = (0..400).map(|k| format!("{},{}\n", f64::from(k) / 400.0, 9.0)).collect();
    folder.write("other.csv", format!("x0,x1\n{other}"));
    let line = "eval m.safetensors --dataset banana --rows 400 --samples other.csv";
    let json = folder.succeeds(&format!("{line} --json")).json();
    assert!(json["samples"]["energy_p_value"].as_f64().unwrap() < 0.01);
    assert!(json["samples"]["classifier_accuracy"].as_f64().unwrap() > 0.9);
    let text = folder.succeeds(line).out;
    assert!(text.contains("Samples: classifier accuracy") && text.contains("look"), "{text}");
    folder.fails(2, "eval m.safetensors --dataset banana --samples a --draw 4", &["--draw"]);
}

#[test]
fn false_alarms_are_as_many_as_asked_for() {
    let folder = fitted();
    let rows = |seed: u64, n: usize| -> String {
        let set = gradlogp::data::synthetic::named("banana").unwrap();
        let rows = set.sample_seeded(n, seed);
        rows.outer_iter().map(|r| format!("{},{}\n", r[0], r[1])).collect()
    };
    folder.write("usual.csv", format!("x0,x1\n{}", rows(11, 999)));
    folder.write("new.csv", format!("x0,x1\n{}", rows(12, 2000)));
    let line =
        "score m.safetensors new.csv --anomaly --held-out usual.csv --false-alarm 0.05 -o s.csv";
    let json = folder.succeeds(&format!("{line} --json")).json();
    // Binomial(2000, about 0.05) with the spread of the threshold: sd about 12 + 14.
    let alarms = json["anomalies"].as_f64().unwrap();
    assert!((100.0 - 80.0..=100.0 + 80.0).contains(&alarms), "{json}");
    let text = folder.text("s.csv");
    assert!(text.lines().next().unwrap().ends_with("log_density,anomaly,is_anomaly"), "{text}");
    let bad = "score m.safetensors new.csv --anomaly --held-out usual.csv --false-alarm 0.0001";
    folder.fails(3, bad, &["at least 9999 rows"]);
    folder.fails(2, "score m.safetensors new.csv --false-alarm 0.1", &["--held-out"]);
}

#[test]
fn score_fields_have_anomaly_scores_but_no_likelihood() {
    let folder = Folder::new();
    folder.succeeds("fit --dataset banana --rows 500 --steps 50 --hidden 8 --model score -o f");
    let text = folder.succeeds("score f --dataset banana --rows 5 --anomaly").out;
    assert!(text.lines().next().unwrap().ends_with("trace,anomaly"), "{text}");
    folder.succeeds("score f --dataset banana --rows 5 --anomaly=norm");
    folder.fails(2, "score f --dataset banana --rows 5 --anomaly=density", &["path or norm"]);
    folder.fails(2, "eval f --dataset banana --rows 50 --likelihood", &["--model potential"]);
    folder.fails(2, "score f --dataset banana --log-z 1", &["--model potential"]);
    folder.fails(2, "score f --dataset banana --normalize", &["--model potential"]);
}

#[test]
fn a_shifted_log_z_shifts_normalized_densities() {
    let folder = fitted();
    let line = "score m.safetensors --dataset banana --rows 300 --seed 9";
    let last = |text: &str| -> Vec<(f64, f64)> {
        let pair = |l: &str| {
            let cells: Vec<f64> = l.split(',').map(|c| c.parse().unwrap()).collect();
            (cells[3], cells[cells.len() - 1])
        };
        text.lines().skip(1).map(pair).collect()
    };
    let given = folder.succeeds(&format!("{line} --log-z -1.5")).out;
    assert!(last(&given).iter().all(|(raw, normal)| (normal - raw - 1.5).abs() < 1e-12));
    let found = folder.succeeds(&format!("{line} --normalize"));
    assert!(found.err.contains("log Z"), "{found:?}");
    folder.fails(2, &format!("{line} --normalize --log-z 1"), &["--log-z"]);
    // Too few rows to check log Z on: refused, not guessed.
    let few = "score m.safetensors --dataset banana --rows 20 --normalize";
    folder.fails(3, few, &["banana: 20 rows are too few", "at least 50 are needed"]);
}

/// 400 usual rows and a tight group of 8 far from them, which trains the model like all others.
#[test]
fn a_fit_for_anomalies_finds_a_small_group_that_trained_it() {
    let folder = Folder::new();
    let group: String =
        (0..8).map(|k| format!("{},{}\n", 3.0 + f64::from(k) / 500.0, -3.0)).collect();
    folder.write("all.csv", super::support::table(400) + &group);
    folder.succeeds("fit all.csv --for anomaly --steps 400 -o m.safetensors");
    let text = folder.succeeds("score m.safetensors all.csv --anomaly").out;
    assert!(text.lines().next().unwrap().ends_with("log_density,anomaly"), "{text}");
    let last = |l: &str| l.rsplit(',').next().unwrap().parse::<f64>().unwrap();
    let scores: Vec<f64> = text.lines().skip(1).map(last).collect();
    let usual = scores[..400].iter().copied().fold(f64::NEG_INFINITY, f64::max);
    assert!(scores[400..].iter().all(|a| *a > usual), "{usual} {:?}", &scores[400..]);
    // The score is the mean over noise of 1/2, 1, 2, 4 scales, at equal steps of time, of noise^2 (-log p).
    let mut mean = vec![0.0; scores.len()];
    for (k, sigma) in [0.5f64, 1.0, 2.0, 4.0].into_iter().enumerate() {
        let line = format!("score m.safetensors all.csv --at {}", k as f64 / 3.0);
        let text = folder.succeeds(&line).out;
        for (mean, line) in mean.iter_mut().zip(text.lines().skip(1)) {
            *mean -= sigma * sigma / 4.0 * last(line);
        }
    }
    let constant = scores[0] - mean[0];
    for (score, mean) in scores.iter().zip(&mean) {
        assert!((score - mean - constant).abs() < 1e-6 * (1.0 + score.abs()), "{score} {mean}");
    }
    // The same in full; and what is given beside it counts.
    folder.succeeds(
        "fit all.csv --noise ve --sigma-min 0.5 --sigma-max 4 --model potential --standardize robust \
         --hidden 64,64 --activation softplus --steps 400 -o long.safetensors",
    );
    assert_eq!(folder.weights("m.safetensors"), folder.weights("long.safetensors"));
    folder.succeeds("fit all.csv --for anomaly --steps 40 --hidden 8 --standardize none -o s");
    assert!(folder.weights("s").len() < folder.weights("m.safetensors").len() / 4);
    folder.fails(2, "fit all.csv --for anomaly --noise vp", &["--noise"]);
    folder.succeeds("fit all.csv --steps 40 --hidden 8 -o plain");
    folder.fails(2, "score plain all.csv --anomaly=scales", &["--for anomaly"]);
    folder.succeeds("fit all.csv --noise ve --steps 40 --hidden 8 -o field");
    folder.fails(2, "score field all.csv --anomaly=scales", &["path or norm"]);
}
