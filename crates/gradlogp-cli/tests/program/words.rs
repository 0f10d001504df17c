//! What the program says: names that can be typed as they are printed, advice that works, seeds.

use crate::support::{Folder, QUICK};

#[test]
fn completions_and_manual_pages() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = folder.succeeds(&format!("completions {shell}")).out;
        assert!(script.contains("gradlogp") && script.contains("held-out"), "{shell}: {script}");
    }
    folder.fails(2, "completions bsh", &["a similar value exists: 'bash'"]);
    folder.fails(2, "completions bash --json", &["--json: ", "leave it out"]);
    let page = folder.succeeds("man").out;
    assert!(page.contains(".TH gradlogp 1") && page.contains("Exit codes"), "{page}");
    folder.succeeds("man pages/man1");
    for name in ["gradlogp.1", "gradlogp-fit.1", "gradlogp-bench-step.1", "gradlogp-man.1"] {
        let page = folder.text(&format!("pages/man1/{name}"));
        assert!(page.contains("Examples:"), "{name}: {page}");
    }
    folder.write("a-file", "");
    folder.fails(5, "man a-file", &["a-file: cannot write"]);
}

#[cfg(target_os = "linux")]
#[test]
fn standard_output_that_is_full_is_named() {
    let folder = Folder::new();
    for line in ["datasets", "man", "completions bash", "--help", "fit -h", "--version"] {
        let ended = folder.shell(&format!("\"$GRADLOGP\" {line} > /dev/full"));
        assert_eq!(ended.code, Some(5), "{line}: {ended:?}");
        assert!(ended.err.starts_with("error: standard output: cannot write"), "{line}: {ended:?}");
        let ended = folder.shell(&format!("\"$GRADLOGP\" {line} | head -1"));
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{line}: {ended:?}");
    }
}

#[test]
fn every_command_that_draws_has_a_seed_and_old_names_still_work() {
    let folder = Folder::with_model();
    folder.write("holes.csv", "a,b\n0.1,\n,0.2\n");
    for line in [
        "sample m.safetensors -n 8 --warm-up 5 --thinning 1 --step-size 0.5",
        "impute m.safetensors holes.csv --warm-up 5 --steps 5",
    ] {
        let with = |seed: &str| folder.succeeds(&format!("{line} {seed}")).out;
        assert_eq!(with("--seed 3"), with("--sample-seed 3"), "{line}");
        assert_eq!(with("--seed 0"), with(""), "{line}");
        assert_ne!(with("--seed 3"), with(""), "{line}");
    }
}

#[test]
fn the_seed_of_eval_redraws_everything_random() {
    let folder = Folder::new();
    // A fit so good, on rows so few, that no p-value is the least that there is.
    let fit = "fit --dataset gaussian --rows 600 --steps 400 --hidden 16 --threads 1";
    folder.succeeds(&format!("{fit} -o m.safetensors"));
    folder.succeeds("sample m.safetensors -n 60 --seed 5 -o few.csv");
    let line = "eval m.safetensors few.csv --likelihood --draw 40 --json";
    let with = |seed: u64| folder.succeeds(&format!("{line} --seed {seed}")).json();
    let (one, again, other) = (with(1), with(1), with(2));
    assert_eq!(one, again);
    assert_eq!(one["exact_loss"], other["exact_loss"], "nothing is drawn for the loss");
    let drawn =
        ["/kernel_stein_p_value", "/likelihood/importance/value", "/samples/energy_distance"];
    for pointer in drawn {
        assert!(one.pointer(pointer).is_some_and(serde_json::Value::is_number), "{pointer}: {one}");
        assert_ne!(one.pointer(pointer), other.pointer(pointer), "{pointer}");
    }
    // Rows of a known density, and the truth that they are compared with.
    let fit = format!("fit --dataset banana --rows 200 {QUICK} -o b.safetensors");
    folder.succeeds(&fit);
    let with = |seed: u64| {
        let line = "eval b.safetensors --dataset banana --rows 100 --json";
        folder.succeeds(&format!("{line} --seed {seed}")).json()["fisher_divergence"].clone()
    };
    assert_ne!(with(1), with(2));
    let with = |seed: &str| {
        folder.succeeds(&format!("report m.safetensors few.csv -o r.html --json {seed}")).json()
    };
    let (usual, other) = (with(""), with("--seed 9"));
    assert_ne!(usual["kernel_stein_p_value"], other["kernel_stein_p_value"]);
    assert_eq!(usual["kernel_stein_p_value"], with("--seed 0")["kernel_stein_p_value"]);
}

#[test]
fn advice_names_the_files_and_works_as_it_is_printed() {
    let folder = Folder::with_model();
    let advised = |line: &str, code: i32, pieces: &[&str]| {
        let error = folder.fails(code, line, pieces).err;
        assert!(!error.contains("MODEL") && !error.contains("DATA"), "{error}");
        let (_, command) = error.trim_end().rsplit_once("gradlogp ").expect("a command");
        folder.succeeds(command);
    };
    advised("loglik m.safetensors good.csv", 2, &["m.safetensors: was fitted without --noise"]);
    folder.succeeds(&format!("fit good.csv {QUICK} --noise vp -o t.safetensors"));
    advised("eval t.safetensors good.csv --likelihood", 2, &["--likelihood", "gradlogp loglik "]);
    let bounds = "--bounds a=-9:9 --objective exact -o bounds.safetensors";
    folder.succeeds(&format!("fit good.csv {QUICK} {bounds}"));
    folder.fails(2, "impute bounds.safetensors good.csv", &["bounds.safetensors: ", "--bounds"]);
}

#[test]
fn the_option_at_fault_is_the_one_that_was_typed() {
    let folder = Folder::with_model();
    folder.succeeds(&format!("fit good.csv {QUICK} --noise vp -o t.safetensors"));
    for (line, option) in [
        ("eval m.safetensors good.csv --draw 0", "--draw: "),
        ("loglik t.safetensors good.csv --tolerance 0", "--tolerance: "),
        ("sample t.safetensors --sampler annealed --corrections 0", "--corrections: "),
        ("sample m.safetensors -o s.csv --checkpoint-every -1", "--checkpoint-every: must be 0 or"),
        ("bench mala --dim 2 --steps 0", "--steps: "),
    ] {
        folder.fails(2, line, &[&format!("error: {option}")]);
    }
}

#[test]
fn misspelt_words_are_guessed_at() {
    let folder = Folder::with_model();
    for (line, guess) in [
        ("fit good.csv --model potentail", "'potential'"),
        ("fit good.csv --objective ssm-vt", "'ssm-vr'"),
        ("fit good.csv --stpes 5", "'--steps'"),
        ("sample m.safetensors --sampler malla", "'mala'"),
        ("compere", "'compare'"),
        ("fit --dataset bananna", "Did you mean \"banana\"?"),
        ("fit good.csv --bounds A=0:1", "Did you mean \"a\"?"),
    ] {
        folder.fails(2, line, &[guess]);
    }
}

#[test]
fn info_has_words_and_no_names_of_types() {
    let folder = Folder::new();
    folder.write("good.csv", crate::support::table(100));
    for (options, words) in [
        ("--noise vp", "vp, rate from 0.1 to 20, t from 0.001 to 1"),
        ("--noise subvp --beta cosine", "subvp, cosine schedule, t from 0.025 to 1"),
        ("--noise ve --sigma-max 5", "ve, noise from 0.01 to 5"),
        ("--noise ou", "Ornstein-Uhlenbeck, rate 1, diffusion 1.414, t from 0.001 to 5"),
        ("--noise vp --times importance", "by the kernel, weight balanced, times importance"),
    ] {
        folder.succeeds(&format!("fit good.csv {QUICK} {options} -o t.safetensors"));
        let said = folder.succeeds("info t.safetensors").out;
        assert!(said.contains(words), "{said}");
        assert!(!said.contains('{') && !said.contains("Vp(") && !said.contains("Some("), "{said}");
    }
}
