//! Settings that cannot be used end with code 2, before the data is read, and are called by their option.

use super::support::{Folder, QUICK, table};

#[test]
fn settings_are_refused_by_name() {
    let folder = Folder::new();
    folder.write("good.csv", table(100));
    for (options, piece) in [
        ("--slices 0", "--slices: must be at least 1"),
        ("--objective ssm --slices 0", "--slices: must be at least 1"),
        ("--activation relu", "--activation: relu has zero curvature"),
        ("--rate nan", "--rate: must be a positive number"),
        ("--rate -1", "--rate: must be a positive number, not -1"),
        ("--rate inf", "--rate: must be finite"),
        ("--batch 0", "--batch"),
        ("--steps 0", "--steps"),
        ("--evaluate-every 0", "--evaluate-every"),
        ("--clip 0", "--clip"),
        ("--ema 1", "--ema: must be in [0, 1)"),
        ("--weight-decay -1", "--weight-decay"),
        ("--validation 0", "--validation: must lie between 0 and 1"),
        ("--validation nan", "--validation"),
        ("--test -0.1", "--test"),
        ("--validation 0.6 --test 0.5", "no row is left to train on"),
        ("--base-scale -1", "--base-scale"),
        ("--objective cp --model score", "--objective: cp and approx-backprop propagate"),
        ("--objective dsm --sigma 0", "--sigma"),
        ("--objective fd-dsm --sigma -1", "--sigma"),
        ("--objective fd-ssm --fd-eps 0", "--fd-eps"),
        ("--checkpoint-every -1", "--checkpoint-every"),
        ("--hidden 0", "--hidden: every layer needs at least one unit"),
        ("--hidden 100000000,100000000", "--hidden: needs about"),
        ("--hidden 18446744073709551615,2", "--hidden: needs about"),
        ("--objective ssm --slices 1000000000000000", "--slices: needs about"),
        ("--threads 100000", "--threads 100000 is too large: at most 256"),
        ("--delimiter ab", "--delimiter"),
        ("--header --no-header", "cannot be used with"),
        ("--rows 5", "'[DATA]' cannot be used with '--rows <N>'"),
        ("--objective best", "possible values"),
    ] {
        let line = format!("fit good.csv {options}");
        folder.fails(2, &line, &[piece]);
    }
    assert_eq!(folder.names(), ["good.csv"]);
}

#[test]
fn relu_is_allowed_for_a_score_field_and_many_slices_for_orthogonal_ones() {
    let folder = Folder::new();
    folder.write("good.csv", table(100));
    folder.succeeds(&format!("fit good.csv {QUICK} --activation relu --model score"));
    for law in ["orthogonal", "coordinate"] {
        let options = format!("--objective ssm --slices 5 --slice-law {law}");
        folder.succeeds(&format!("fit good.csv {QUICK} {options}"));
    }
}

#[test]
fn slices_count_where_the_objective_is_chosen_by_the_columns() {
    let folder = Folder::new();
    let row = |i: usize| -> String {
        let cells: Vec<String> = (1..=18)
            .map(|k| format!("{:.6}", (i as f64 * (k as f64 + 0.3).sqrt()).sin()))
            .collect();
        cells.join(",") + "\n"
    };
    folder.write("wide.csv", (1..80).map(row).collect::<String>());
    // A score field of three layers: with fewer, or for a potential this narrow, the exact loss is the cheaper one.
    let deep = QUICK.replace("--hidden 8", "--hidden 8,8,8");
    folder.succeeds(&format!("fit wide.csv {deep} --model score --slices 3 -o m"));
    let info = folder.succeeds("info m").out;
    assert!(info.contains("variance reduction, 3 rademacher slices"), "{info}");
}

#[test]
fn data_sets_and_their_rows() {
    let folder = Folder::new();
    folder.fails(2, "fit", &["name a file, or --dataset NAME"]);
    folder.fails(2, "fit --dataset nope", &["there is no set \"nope\"", "two-moons"]);
    folder.fails(2, "fit --dataset two-moons --rows 0", &["--rows: must be at least 1"]);
    for rows in ["1000000000000000", "18446744073709551615"] {
        let line = format!("fit --dataset two-moons --rows {rows}");
        folder.fails(2, &line, &["--rows: needs about", "gigabytes"]);
    }
    folder.fails(2, "fit --dataset red-wine --rows 7", &["red-wine is a fixed table of 1599 rows"]);
}

#[test]
fn sampling() {
    let folder = Folder::with_model();
    for (options, piece) in [
        ("-n 0", "-n: must be at least 1"),
        ("-n 1000000000000000", "-n: needs about"),
        ("-n 18446744073709551615", "-n: needs about"),
        ("-n 5 --chains 0", "--chains"),
        ("-n 5 --chains 1000000000000000", "--chains: needs about"),
        ("-n 5 --thinning 0", "--thinning: must be at least 1"),
        ("-n 5 --warm-up 18446744073709551615", "--warm-up 18446744073709551615 is too large"),
        ("-n 50 --chains 1 --thinning 18446744073709551615", "is too large: at most 1000000000"),
        ("-n 5 --step-size nan", "--step-size: must be positive"),
        ("-n 5 --step-size -1", "--step-size: must be positive"),
        ("-n 5 --json", "--json: without -o FILE the rows go to standard output"),
    ] {
        folder.fails(2, &format!("sample m.safetensors {options}"), &[piece]);
    }
    let stuck = folder.succeeds("sample m.safetensors -n 5 --warm-up 10 --step-size 1e300");
    assert!(stuck.err.contains("warning: only 0.00% of the steps were accepted"), "{stuck:?}");
    folder.fails(2, "score m.safetensors good.csv --json", &["--json: without -o FILE"]);
    folder.fails(2, "score m.safetensors", &["name a file"]);
}

#[test]
fn benchmarks() {
    let folder = Folder::new();
    for (options, piece) in [
        ("--dim 0", "--dim"),
        ("--dim 2 --batch 0", "--batch"),
        ("--dim 2 --hidden 0", "--hidden"),
        ("--dim 2 --slices 0", "--slices"),
        ("--dim 2 --seconds nan", "--seconds"),
        ("--dim 2 --seconds -1", "--seconds"),
        ("--dim 2 --threads 5000", "--threads"),
        ("--dim 2 --batch 1000000000000000", "--batch: needs about"),
        ("--dim 1000000000000000 --hidden 8", "--dim 1000000000000000 is too large"),
        ("--dim 2 --objective auto", "--objective"),
        ("--dim 2 --model potential --activation relu", "--activation: relu"),
    ] {
        folder.fails(2, &format!("bench step {options}"), &[piece]);
    }
    for (options, piece) in [
        ("fit --dataset ring -o m", "--output: bench fit keeps no model"),
        ("fit --dataset ring --report r", "--report"),
        (
            "fit --dataset ring --rows-to nowhere --steps 1 --hidden 4",
            "--rows-to: there is no folder",
        ),
        ("score --dim 2 --rows 0", "--rows"),
        ("score --dim 2 --rows 2 --passes 0", "--passes"),
        ("score --dim 2 --rows 1000000000000000", "--rows: needs about"),
        ("mala --dim 2 --step-size 0", "--step-size"),
        ("mala --dim 2 --chains 0", "chains"),
        ("mala --dim 2 --activation relu", "activation: relu"),
        ("stein --rows 2", "--rows"),
        ("stein --rows 9 --dim 0", "--dim"),
        ("stein --rows 9 --group 1", "group"),
        ("stein --rows 9 --bootstrap 0", "bootstrap"),
        ("stein --rows 9 --passes 0", "--passes"),
        ("stein --rows 1000000000000000", "--rows: needs about"),
        ("read good.csv --passes 0", "--passes"),
    ] {
        folder.fails(2, &format!("bench {options}"), &[piece]);
    }
    folder.fails(5, "bench read none.csv", &["none.csv: cannot read"]);
}

#[test]
fn a_resumed_fit_takes_no_new_settings() {
    let folder = Folder::new();
    let pieces = ["--seed, --hidden would be ignored"];
    folder.fails(2, "fit --resume c --hidden 8 --seed 1", &pieces);
    folder.fails(2, "fit --resume c --dataset two-moons", &["cannot be used with"]);
    let pieces = ["c: cannot read: there is no such file", "start the fit again"];
    folder.fails(5, "fit --resume c", &pieces);
}
