//! `fit --members` and `fit --for density`.

use super::support::{Folder, table};

const SMALL: &str = "--hidden 8 --batch 32 --evaluate-every 100 --threads 1 --patience 0 --seed 3";

/// The score of two members is the mean of those of the two fits of their seeds.
#[test]
fn the_score_of_an_ensemble_is_the_mean_of_its_members() {
    let folder = Folder::new();
    folder.write("good.csv", table(200));
    for kind in ["--base gaussian --objective exact", "--model score --objective ssm", "--noise vp"]
    {
        let line = format!("fit good.csv --steps 300 {SMALL} {kind}");
        folder.succeeds(&format!("{line} --members 2 -o both"));
        folder.succeeds(&format!("{line} -o first"));
        // The split is that of the ensemble's seed, so another seed is another split: compare weights of the first.
        let (both, first) = (folder.weights("both"), folder.weights("first"));
        assert_eq!(both.len(), 2 * first.len(), "{kind}");
        assert_eq!(both[..first.len()], first[..], "{kind}");
        assert_ne!(both[first.len()..], first[..], "{kind}");
        let info = folder.succeeds("info both").out;
        assert!(info.contains("Members") && info.contains('2'), "{info}");
        let told = folder.succeeds("score both good.csv --spread -o s.csv").err;
        assert!(told.contains("spread_"), "{told}");
        folder.fails(
            2,
            "score first good.csv --spread",
            &["--spread: needs a model of several members"],
        );
    }
}

#[cfg(unix)]
#[test]
fn an_ensemble_stopped_in_its_second_member_goes_on_as_if_never_stopped() {
    let folder = Folder::new();
    folder.write("good.csv", table(200));
    let line = |name: &str| {
        format!(
            "fit good.csv --steps 4000 --members 3 {SMALL} --objective ssm --checkpoint-every 0 -o {name}"
        )
    };
    folder.succeeds(&line("whole"));
    // Once the second member is well under way: 4000 to 8000 of all steps.
    let ended = folder.shell(&format!(
        "$GRADLOGP {} & pid=$!; while ! $GRADLOGP info parts.checkpoint --json 2> /dev/null | grep -q '\"steps\": \"[5-7][0-9][0-9][0-9] of'; \
         do sleep 0.02; done; kill -TERM $pid; wait $pid",
        line("parts")
    ));
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(ended.err.contains("of 12000; resume with"), "{ended:?}");
    folder.succeeds("fit --resume parts.checkpoint");
    assert_eq!(folder.weights("parts"), folder.weights("whole"));
}

/// What is set by the size of the table is said, log likelihoods are compared, and `loglik` and `sample` know both
/// parts.
#[test]
fn a_fit_for_the_density_is_no_worse_than_its_gaussian_part() {
    let folder = Folder::new();
    let line = "fit --dataset two-moons --rows 1000 --for density --steps 600 --hidden 32,32 --threads 1 -o m";
    let fit = folder.succeeds(line);
    let said = "for a table of this size: --weight-decay 0.1000 --noise-weight likelihood --times importance \
                --noise-floor 0.03000 --evaluate-every 50 --patience 20 --members 2";
    assert!(fit.err.contains(said), "{fit:?}");
    let told = ["Log likelihood beside a Gaussian", "in log likelihood"];
    assert!(told.iter().all(|told| fit.out.contains(told)), "{fit:?}");
    let info = folder.succeeds("info m").out;
    assert!(info.contains("Gaussians with") && info.contains("2, whose scores"), "{info}");
    let json = folder.succeeds("loglik m --dataset two-moons --rows 300 --seed 9 --json").out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let found = json["mean_log_density"].as_f64().unwrap();
    // One Gaussian has about -2, and 16 have about -1.1.
    assert!((-1.3..-0.3).contains(&found), "{json}");
    folder.succeeds("sample m -n 200 -o x.csv");
    // Columns that follow from others cannot be whitened, which no purpose is a reason to refuse.
    let once = table(200);
    let twice = once.lines().map(|line| match line.split_once(',') {
        Some((a, b)) if a.parse::<f64>().is_err() => format!("{a},{b},c\n"),
        Some((a, b)) => {
            let [a, b] = [a, b].map(|x| x.parse::<f64>().unwrap());
            format!("{a},{b},{}\n", 2.0 * a - b)
        }
        None => String::new(),
    });
    folder.write("twice.csv", twice.collect::<String>());
    let fit = folder.succeeds("fit twice.csv --for density --steps 20 --hidden 8 --threads 1 -o t");
    assert!(fit.err.contains("the columns are standardized, not whitened"), "{fit:?}");
    folder.fails(2, "fit --dataset two-moons --members 0", &["--members: must be from 1 to 100"]);
    folder.fails(
        2,
        "fit --dataset two-moons --model kef --members 2",
        &["--members has no effect"],
    );
}

/// A fit for the score says which settings follow the table and which columns got noise; its network adds to the mixture that it is
/// set beside, one file that every command takes, and a run that is stopped goes on as if it never had been.
#[test]
fn a_fit_for_the_score_adds_to_a_mixture() {
    let folder = Folder::new();
    let line = "fit --dataset two-moons --rows 1000 --for score --steps 200 --hidden 16 --threads 1 -o m --json";
    let fit = folder.succeeds(line);
    let said = "for a table of this size: --weight-decay 0.05000 --evaluate-every 100 --patience 20 --members 2";
    assert!(fit.err.contains(said), "{fit:?}");
    let json: serde_json::Value = serde_json::from_str(&fit.out).unwrap();
    assert_eq!(json["settings"]["members"], "2");
    let found = &json["baselines"][1];
    assert!(found["baseline"].as_str().unwrap().starts_with("mixture of"), "{json}");
    let beside = ["difference", "difference_se"].map(|key| found[key].as_f64().unwrap());
    assert!(beside[0] < 2.0 * beside[1], "{json}");
    // Its graph has the mixture: chains and scores know it.
    assert!(folder.succeeds("info m").out.contains("Gaussians that it adds to"));
    folder.succeeds("sample m -n 100 -o x.csv");
    folder.succeeds("score m --dataset two-moons --rows 50 --spread --hessian-diagonal -o s.csv");
    // Without a purpose it is the same, said in one line with what undoes it.
    let unsaid = folder.succeeds(&line.replace("--for score ", "").replace("-o m", "-o n"));
    let said = "as with --for score: potentials on whitened columns that add to a mixture of Gaussians; for a table of this \
                size: --weight-decay 0.05000 --evaluate-every 100 --patience 20 --members 2; --base gaussian fits";
    assert!(unsaid.err.contains(said), "{unsaid:?}");
    assert_eq!(folder.weights("n"), folder.weights("m"));
    let own = folder.succeeds(&line.replace("--for score", "--base gaussian"));
    assert!(!own.err.contains("for a table of this size"), "{own:?}");
    assert!(!folder.succeeds("info m").out.contains("adds to"));
    let rounded: String =
        (0..200).map(|k| format!("{},{}\n", k * 7 % 11, f64::from(k * k).sin())).collect();
    folder.write("rounded.csv", format!("whole,real\n{rounded}"));
    let quick = "--steps 20 --hidden 8 --threads 1 -o r";
    let fit = folder.succeeds(&format!("fit rounded.csv --for score {quick}"));
    let said =
        "rounded columns got noise as wide as their step: whole; --no-dequantize leaves them";
    assert!(fit.err.contains(said), "{fit:?}");
    for own in ["--no-dequantize", "--dequantize"] {
        let fit = folder.succeeds(&format!("fit rounded.csv --for score {quick} {own}"));
        assert!(!fit.err.contains("rounded columns got noise"), "{fit:?}");
    }
    for (line, told) in [
        ("--base mixture --base-scale 2", "--base-scale: is for --base gaussian"),
        ("--base mixture --model score", "--base: is for potentials"),
        ("--base mixture --objective dsm", "--base: mixture is not for"),
        ("--base mixture --for density", "--base: is for potentials"),
        ("--base mixture --model kef", "--base: is for potentials"),
    ] {
        folder.fails(2, &format!("fit rounded.csv {line}"), &[told]);
    }
}
