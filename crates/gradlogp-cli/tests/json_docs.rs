//! Every key that `--json` prints is described in docs/json.md.

use std::collections::BTreeSet;
use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

/// Runs the program in `folder` and returns the value it prints.
fn json(folder: &Path, arguments: &str) -> Value {
    let run = Command::new(env!("CARGO_BIN_EXE_gradlogp"))
        .current_dir(folder)
        .args(arguments.split_whitespace())
        .args(["--json", "--quiet"])
        .assert()
        .success();
    let text = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{arguments}: {e}\n{text}"))
}

/// All keys, at any depth.
fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                found.insert(key.clone());
                keys(value, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

/// The part of docs/json.md about one command.
fn section(command: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/json.md");
    let document = std::fs::read_to_string(path).unwrap();
    let heading = format!("\n## `{command}`\n");
    let (_, rest) =
        document.split_once(&heading).unwrap_or_else(|| panic!("no section on {command}"));
    rest.split("\n## ").next().unwrap_or_default().to_string()
}

/// Runs one command and looks for every key it prints in the sections given; `expected` are keys
/// that it must print, so that an empty object does not pass.
fn check(folder: &Path, arguments: &str, sections: &[&str], expected: &[&str]) {
    let mut printed = BTreeSet::new();
    keys(&json(folder, arguments), &mut printed);
    for key in expected {
        assert!(printed.contains(*key), "{arguments} does not print {key}");
    }
    let documented: String = sections.iter().map(|name| section(name)).collect();
    let missing: Vec<&String> =
        printed.iter().filter(|key| !documented.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "docs/json.md says nothing of {missing:?} of {arguments}");
}

#[test]
fn every_key_is_documented() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let truth = ["relative_fisher_divergence", "exact_loss_se", "stein_slope", "verdict"];
    let fit = "fit --dataset eight-gaussians --rows 400 --steps 20 --hidden 8 -o a.safetensors \
               --report a.html";
    check(
        at,
        fit,
        &["fit", "eval"],
        &[&truth[..], &["report", "validation_loss", "choice", "noise"]].concat(),
    );
    check(at, "eval a.safetensors --dataset eight-gaussians --rows 50", &["eval"], &truth);
    let more = "eval a.safetensors --dataset eight-gaussians --rows 200 --likelihood --draw 50 \
                --test-functions cube,tanh";
    let keys = ["kernel_stein_p_value", "effective_size", "energy_critical", "ks_p_value", "holds"];
    check(at, more, &["eval"], &keys);
    let keys = ["output", "rows", "max_split_r_hat", "min_effective_sample_size", "thinning"];
    check(at, "report a.safetensors -o b.html", &["report", "eval"], &keys);
    let score = "score a.safetensors --dataset banana --rows 5 -o s.csv";
    check(at, score, &["score"], &["rows", "columns", "output"]);
    // Ten rows are enough for one false alarm in ten.
    let held_out: String = (0..10).map(|k| format!("{k},{}\n", k * k)).collect();
    std::fs::write(at.join("h.csv"), format!("x0,x1\n{held_out}")).unwrap();
    let score = "score a.safetensors --dataset banana --rows 5 --anomaly --held-out h.csv \
                 --false-alarm 0.1 --log-z -2.5 -o s.csv";
    check(at, score, &["score"], &["threshold", "anomalies", "log_z"]);
    let sample = "sample a.safetensors -n 40 --chains 8 --warm-up 20 --thinning 2 -o x.npy";
    check(at, sample, &["sample"], &["acceptance_rate", "max_split_r_hat", "completed"]);
    let sample = "sample a.safetensors --sampler hmc -n 8 --warm-up 20 --thinning 2 -o x.npy";
    check(at, sample, &["sample"], &["acceptance_rate", "step_size"]);
    std::fs::write(at.join("holes.csv"), "x0,x1\n0.5,\n,1.5\n").unwrap();
    let impute = "impute a.safetensors holes.csv --draws 2 --warm-up 20 --steps 5 -o y.csv";
    check(at, impute, &["impute"], &["acceptance_rate", "r_hat", "missing_values"]);
    let kept = ["library_version", "history", "content_hash", "choice"];
    check(at, "info a.safetensors", &["info", "fit"], &kept);
}

#[test]
fn every_key_of_rarer_settings_is_documented() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let kernel = "fit --dataset banana --rows 300 --model dkef --inducing 15 --objective ssm-vr \
                  --steps 10 -o k.safetensors";
    let keys = ["kernel", "log_normalizer", "effective", "condition", "slices"];
    check(at, kernel, &["fit", "eval", "info"], &keys);
    check(at, "info k.safetensors", &["info"], &keys);
    let fit = "fit --dataset red-wine --dequantize --standardize whiten --steps 5 --hidden 4 \
               --model score --objective ssm --slices 2 -o a.safetensors";
    check(at, fit, &["fit", "eval"], &["warnings"]);
    check(at, "info a.safetensors", &["info"], &["directions", "half_widths", "slices"]);
    let sample = "sample a.safetensors -n 8 --warm-up 5 --thinning 1 -o x.csv";
    check(at, sample, &["sample"], &["sampler", "draws"]);
    let fit = "fit --dataset ring --rows 200 --steps 5 --hidden 4 --objective dsm -o b.safetensors";
    check(at, fit, &["fit", "eval"], &["exact_loss"]);
    check(at, "info b.safetensors", &["info"], &["sigma"]);
    let parts: String =
        (1..50).map(|i| format!("{},{}\n", 0.01 * f64::from(i), 0.4 / f64::from(i))).collect();
    std::fs::write(at.join("parts.csv"), format!("a,b\n{parts}")).unwrap();
    for (data, keys) in [
        ("--dataset ring --rows 200 --objective fd-ssm", &["eps"][..]),
        ("parts.csv --bounds a=0:", &["domain", "shape", "low", "high", "cap", "power"]),
        ("parts.csv --domain ball:99", &["centre", "axes"]),
        ("parts.csv --domain simplex", &["faces", "normal", "offset"]),
    ] {
        let fit = format!("fit {data} --steps 5 --hidden 4 -o c.safetensors");
        check(at, &fit, &["fit", "eval"], &["exact_loss"]);
        check(at, "info c.safetensors", &["info"], keys);
    }
}

#[test]
fn every_key_of_time_models_is_documented() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let fit =
        "fit --dataset eight-gaussians --rows 200 --steps 5 --hidden 4 --noise vp -o a.safetensors";
    check(at, fit, &["fit", "eval"], &["exact_loss"]);
    check(at, "info a.safetensors", &["info"], &["beta_max", "frequencies", "simulate", "scaled"]);
    let eval = "eval a.safetensors --dataset eight-gaussians --rows 50";
    check(at, eval, &["eval"], &["times", "time", "relative_fisher_divergence_se"]);
    let loglik = "loglik a.safetensors --dataset eight-gaussians --rows 5 --probes 2 -o l.csv";
    check(at, loglik, &["loglik"], &["bits_per_dimension", "probe_se", "output"]);
    let own = "fit --dataset ring --rows 200 --steps 5 --hidden 4 --noise custom --drift -x \
               --diffusion 1 -o b.safetensors";
    check(at, own, &["fit", "eval"], &["exact_loss"]);
    check(at, "info b.safetensors", &["info"], &["drift", "horizon"]);
}

#[test]
fn every_key_of_conditions_and_comparisons_is_documented() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let fit = "fit --dataset banana --rows 200 --given x1 --steps 5 --hidden 4 -o a.safetensors";
    check(at, fit, &["fit", "eval"], &["stein_given_max_z"]);
    check(at, "eval a.safetensors --dataset banana --rows 50", &["eval"], &["stein_given_max_z"]);
    check(at, "info a.safetensors", &["info"], &["given", "transform"]);
    let sample = "sample a.safetensors -n 8 --warm-up 5 --given-values x1=0 -o x.csv";
    check(at, sample, &["sample"], &["sampler", "draws"]);
    let compare = "compare --dataset banana --rows 200 --objectives ssm,dsm --steps 5 --hidden 4 \
                   --draws 3 --seeds 2 --report c.html";
    let expected = ["best", "difference_se", "relative_gradient_variance", "sigma", "report"];
    check(at, compare, &["compare"], &expected);
}

#[test]
fn every_key_of_listings_and_measurements_is_documented() {
    let here = Path::new(".");
    check(here, "datasets", &["datasets"], &["name", "exact_score_known"]);
    let bench = "bench step --dim 2 --hidden 8 --batch 8 --seconds 0.01";
    check(here, bench, &["bench step"], &["median_ms", "min_ms", "rows_per_s", "gemm_share"]);
    let noise = format!("{bench} --gradient-noise");
    check(here, &noise, &["bench step"], &["gradient_noise", "slices"]);
    let score = "bench score --dim 2 --hidden 8 --rows 50 --trace --double --passes 1";
    check(here, score, &["bench score"], &["seconds", "rows_per_s"]);
    let mala = "bench mala --dim 2 --hidden 8 --chains 3 --steps 4";
    check(here, mala, &["bench mala"], &["acceptance_rate", "chain_steps_per_s"]);
    let stein = "bench stein --rows 50 --bootstrap 9 --group 20";
    check(here, stein, &["bench stein"], &["seconds", "groups", "p_value"]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.csv"), "a,b\n1,2\n3,4\n").unwrap();
    check(folder.path(), "bench read a.csv", &["bench read"], &["megabytes_per_s", "columns"]);
    let fit = "bench fit --dataset ring --rows 300 --steps 4 --evaluate-every 2 --hidden 4";
    check(folder.path(), fit, &["bench fit", "fit"], &["history", "seconds", "choice"]);
}
