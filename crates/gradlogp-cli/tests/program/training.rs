//! Fits that go wrong, and fits that repeat.

use super::support::{Folder, QUICK, table};

#[test]
fn a_diverging_fit_keeps_its_last_good_weights_and_says_what_to_try() {
    let folder = Folder::new();
    folder.write("good.csv", table(200));
    let wild = "--rate 1e6 --clip 1e30 --warm-up 1 --ema 0";
    for quiet in ["", "--quiet"] {
        let ended = folder.run(&format!("fit good.csv {QUICK} {wild} -o m --json {quiet}"));
        assert_eq!(ended.code, Some(6), "{ended:?}");
        for piece in
            ["error: diverged at step", "weights of step 0 are kept", "Try a learning rate"]
        {
            assert!(ended.err.contains(piece), "{piece}: {ended:?}");
        }
        assert_eq!(ended.json()["stopped"], "diverged");
    }
    // The model can be used, although the history of its fit ends in infinity.
    folder.succeeds("info m");
    folder.succeeds("eval m good.csv");
    folder.succeeds("report m good.csv");
    assert!(!folder.has("m.checkpoint"));
}

#[test]
fn a_fit_without_any_good_weights_leaves_the_old_model() {
    let folder = Folder::with_model();
    let old = folder.read("m.safetensors");
    let line = format!("fit good.csv {QUICK} --base-scale 1e-30 -o m.safetensors");
    folder.fails(6, &line, &["diverged at step 0", "No model was written"]);
    assert_eq!(folder.read("m.safetensors"), old);
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_one_others() {
    let folder = Folder::new();
    folder.write("good.csv", table(200));
    let fit = |name: &str, options: &str| {
        folder.succeeds(&format!("fit good.csv {QUICK} --objective ssm {options} -o {name}"));
        folder.weights(name)
    };
    let first = fit("first", "--seed 4");
    assert_eq!(fit("second", "--seed 4"), first);
    assert_ne!(fit("third", "--seed 5"), first);
}

#[test]
fn early_stopping_says_so() {
    let folder = Folder::new();
    folder.write("good.csv", table(60));
    let line = "fit good.csv --base gaussian --hidden 64 --steps 5000 --evaluate-every 5 --patience 2 --threads 1";
    let json = folder.succeeds(&format!("{line} --rate 0.05 --ema 0 --json")).json();
    assert_eq!(json["stopped"], "no better held-out loss for a while");
    let step = |key: &str| json[key].as_u64().unwrap();
    assert_eq!(step("steps"), step("best_step") + 10);
}

#[test]
fn a_fit_can_go_without_test_rows() {
    let folder = Folder::new();
    folder.write("good.csv", table(100));
    let ended = folder.succeeds(&format!("fit good.csv {QUICK} --test 0 --report r.html --json"));
    assert!(ended.err.contains("warning: the fit is not checked"), "{ended:?}");
    assert!(ended.json().get("stein_slope").is_none());
}
