//! No file of the user is lost: outputs over inputs, outputs over each other, and whatever lies where a checkpoint
//! would go are refused before any work.

use super::support::{Folder, QUICK, table};

/// Every line is refused with `code` and these pieces, and leaves every file as it was.
#[track_caller]
fn refused(folder: &Folder, code: i32, line: &str, pieces: &[&str]) {
    let all = |folder: &Folder| -> Vec<(String, Vec<u8>)> {
        let files = folder.names().into_iter().filter(|name| folder.path(name).is_file());
        files.map(|name| (name.clone(), folder.read(&name))).collect()
    };
    let before = all(folder);
    folder.fails(code, line, pieces);
    assert_eq!(folder.names(), all_names(folder, &before), "gradlogp {line}");
    assert!(all(folder) == before, "gradlogp {line} changed a file");
}

fn all_names(folder: &Folder, files: &[(String, Vec<u8>)]) -> Vec<String> {
    let mut names: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
    names.extend(folder.names().into_iter().filter(|name| !folder.path(name).is_file()));
    names.sort();
    names
}

fn with_links() -> Folder {
    let folder = Folder::with_model();
    folder.write("usual.csv", table(60));
    std::fs::create_dir(folder.path("sub")).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("usual.csv", folder.path("link.csv")).unwrap();
        std::os::unix::fs::symlink("not-yet.csv", folder.path("leads.csv")).unwrap();
        std::fs::hard_link(folder.path("usual.csv"), folder.path("hard.csv")).unwrap();
    }
    folder
}

#[test]
fn no_output_replaces_what_is_read() {
    let folder = with_links();
    let held = "score m.safetensors good.csv --anomaly --false-alarm 0.1 --held-out usual.csv";
    let cases = [
        (format!("{held} -o usual.csv"), "--output", "--held-out"),
        (format!("{held} -o ./usual.csv"), "--output", "--held-out"),
        (format!("{held} -o sub/../usual.csv"), "--output", "--held-out"),
        (format!("{held} -o good.csv"), "--output", "DATA"),
        (
            "report m.safetensors good.csv --samples usual.csv -o usual.csv".into(),
            "--output",
            "--samples",
        ),
        // The table of the fit, which is read where none is named.
        ("report m.safetensors -o good.csv".into(), "--output", "DATA"),
        ("impute m.safetensors good.csv -o m.safetensors".into(), "--output", "MODEL"),
        ("impute m.safetensors good.csv -o good.csv".into(), "--output", "DATA"),
        ("sample m.safetensors --trace m.safetensors".into(), "--trace", "MODEL"),
        ("sample m.safetensors --sheet ./m.safetensors --image 2x1".into(), "--sheet", "MODEL"),
        (
            "sample m.safetensors --given-rows usual.csv -o usual.csv".into(),
            "--output",
            "--given-rows",
        ),
        ("loglik m.safetensors good.csv -o good.csv".into(), "--output", "DATA"),
        (format!("fit good.csv {QUICK} --report sub/../good.csv"), "--report", "DATA"),
        ("compare good.csv --steps 5 --report good.csv".into(), "--report", "DATA"),
    ];
    for (line, output, input) in cases {
        let piece = format!("would replace what is read as {input}");
        refused(&folder, 2, &line, &[&format!("{output}: "), &piece]);
    }
    #[cfg(unix)]
    for name in ["link.csv", "hard.csv"] {
        refused(&folder, 2, &format!("{held} -o {name}"), &["would replace", "--held-out"]);
        let line = format!("score m.safetensors {name} -o usual.csv");
        refused(&folder, 2, &line, &["would replace", "DATA"]);
    }
}

#[test]
fn no_output_replaces_another() {
    let folder = with_links();
    let fit = format!("fit good.csv {QUICK}");
    let cases = [
        (format!("{fit} -o x --report x"), "--report", "--output"),
        (format!("{fit} -o x --report ./x"), "--report", "--output"),
        (format!("{fit} -o x --report sub/../x"), "--report", "--output"),
        (format!("{fit} -o x --report x.checkpoint"), "the checkpoint of --output", "--report"),
        (format!("{fit} --report model.safetensors"), "--report", "--output"),
        ("sample m.safetensors -o x.npy --trace x.npy".into(), "--trace", "--output"),
        ("sample m.safetensors -o x --sheet x --image 2x1".into(), "--sheet", "--output"),
        ("sample m.safetensors -o y --trace x --sheet x --image 2x1".into(), "--sheet", "--trace"),
        ("sample m.safetensors -o x --trace x.checkpoint".into(), "the checkpoint", "--trace"),
    ];
    for (line, output, other) in cases {
        let piece = format!("is where {other} goes too");
        refused(&folder, 2, &line, &[output, &piece]);
    }
    #[cfg(unix)]
    {
        let line = format!("{fit} -o leads.csv --report not-yet.csv");
        refused(&folder, 2, &line, &["is where --output goes too"]);
        // Written through a link to nothing yet, the file comes to be there and the link stays.
        folder.succeeds("score m.safetensors good.csv -o leads.csv");
        assert!(folder.path("leads.csv").is_symlink());
        assert!(folder.text("not-yet.csv").starts_with("score_a,"));
        folder.succeeds(&format!("{fit} -o /dev/null --report /dev/null"));
    }
}

#[test]
fn a_checkpoint_replaces_nothing_that_is_none() {
    let folder = Folder::with_model();
    let fit = format!("fit good.csv {QUICK} -o x");
    for contents in [table(9).into_bytes(), folder.read("m.safetensors"), Vec::new()] {
        folder.write("x.checkpoint", contents);
        let pieces = ["x.checkpoint: cannot write", "is not a checkpoint", "another --output"];
        refused(&folder, 5, &fit, &pieces);
        refused(&folder, 5, &format!("{fit} --checkpoint-every 0"), &pieces);
        refused(&folder, 5, "sample m.safetensors -n 5 -o x", &pieces);
    }
    // Kernel families keep none, so nothing is in their way, and nothing is removed.
    folder.write("x.checkpoint", "precious");
    folder.succeeds("fit good.csv --model kef --inducing 10 -o x");
    assert_eq!(folder.text("x.checkpoint"), "precious");
}

/// A checkpoint that an interrupted fit or run left, under this name.
#[cfg(unix)]
fn leave_checkpoint(folder: &Folder, line: &str, name: &str) {
    let ended = folder.shell(&format!(
        "$GRADLOGP {line} & pid=$!; n=0; while [ ! -e {name} ] && [ $n -lt 1000 ]; do n=$((n+1)); \
         sleep 0.02; done; kill -TERM $pid; wait $pid"
    ));
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(folder.has(name), "{ended:?}");
}

#[cfg(unix)]
#[test]
fn a_checkpoint_is_replaced_by_its_own_run_alone() {
    let folder = Folder::with_model();
    let long = "--steps 2000000 --hidden 8 --batch 32 --evaluate-every 20 --threads 1 --objective ssm \
                --patience 0 --checkpoint-every 0";
    leave_checkpoint(&folder, &format!("fit good.csv {long} -o x"), "x.checkpoint");
    let pieces = ["x.checkpoint", "unfinished run of fit", "gradlogp fit --resume x.checkpoint"];
    refused(&folder, 5, &format!("fit good.csv {QUICK} -o x"), &pieces);
    refused(&folder, 5, &format!("fit good.csv {long} --seed 1 -o x"), &pieces);
    refused(&folder, 5, "sample m.safetensors -n 5 -o x", &pieces);
    // The same fit once more says what becomes of it.
    let again = folder.shell(&format!(
        "$GRADLOGP fit good.csv {long} -o x & pid=$!; sleep 0.5; kill -TERM $pid; wait $pid"
    ));
    assert!(again.err.contains("holds an unfinished fit with the same settings"), "{again:?}");
    let swept = "sample m.safetensors -n 4 --chains 4 --warm-up 100000000 --checkpoint-every 0";
    leave_checkpoint(&folder, &format!("{swept} -o s"), "s.checkpoint");
    let pieces = ["s.checkpoint", "unfinished run of sample", "sample --resume s.checkpoint"];
    refused(&folder, 5, "sample m.safetensors -n 5 -o s", &pieces);
    refused(&folder, 5, &format!("fit good.csv {QUICK} -o s"), &pieces);
    refused(&folder, 2, "sample --resume s.checkpoint -o s.checkpoint", &["--resume"]);
    refused(&folder, 2, "fit --resume x.checkpoint -o x.checkpoint", &["--resume"]);
    refused(&folder, 2, "fit --resume x.checkpoint --report x.checkpoint", &["--resume"]);
}

/// Something put in the checkpoint's place while the fit runs stays, and the fit is kept all the same.
#[cfg(unix)]
#[test]
fn what_comes_to_lie_there_on_the_way_stays() {
    let folder = Folder::with_model();
    // Seconds apart, so that it is not put there while one is being written.
    let line = "fit good.csv --steps 120000 --hidden 8 --batch 32 --evaluate-every 20 --threads 1 \
                --objective ssm --patience 0 --checkpoint-every 0.5 -o x";
    let ended = folder.shell(&format!(
        "$GRADLOGP {line} & pid=$!; while [ ! -e x.checkpoint ]; do sleep 0.005; done; \
         cp good.csv new; mv new x.checkpoint; wait $pid"
    ));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("the fit continues, but cannot be resumed"), "{ended:?}");
    assert_eq!(folder.text("x.checkpoint"), table(200));
    folder.succeeds("info x");
}

/// A log to which standard output is appended keeps what it had.
#[cfg(target_os = "linux")]
#[test]
fn standard_output_as_a_file_is_neither_emptied_nor_replaced() {
    let folder = Folder::with_model();
    folder.write("log", "before\n");
    for name in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        folder.write("log", "before\n");
        let ended = folder.shell(&format!(
            "$GRADLOGP score m.safetensors good.csv -o {name} --json >> log; echo after >> log"
        ));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let log = folder.text("log");
        assert!(log.starts_with("before\nscore_a,score_b,"), "{name}: {log}");
        assert!(log.contains("\n{\n  \"rows\": 200") && log.ends_with("after\n"), "{name}: {log}");
    }
    // Two outputs into one file by way of the shell.
    let ended = folder.shell("$GRADLOGP score m.safetensors good.csv -o s.csv --json > s.csv");
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("standard output: it goes to s.csv"), "{ended:?}");
    let ended = folder.shell("$GRADLOGP eval m.safetensors good.csv >> good.csv");
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(folder.text("good.csv"), table(200));
    let ended = folder.shell("$GRADLOGP score m.safetensors good.csv -o /dev/stdout | head -n 1");
    assert_eq!(ended.out, "score_a,score_b,laplacian,log_density\n", "{ended:?}");
    folder.succeeds(&format!("fit good.csv {QUICK} -o /dev/null"));
    assert!(!folder.names().iter().any(|name| name.contains("checkpoint")), "{:?}", folder.names());
}

/// A file size limit stands for a disk that is full at every place in turn: the file before stays whole, nothing is
/// left beside it, and the code says so.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_full_at_every_place() {
    let folder = Folder::with_model();
    folder.succeeds("score m.safetensors good.csv -o old.csv");
    folder.succeeds("sample m.safetensors -n 300 --warm-up 5 --thinning 1 -o draws.csv --trace trajectories.npy --frames 3");
    let tiny = "fit good.csv --base gaussian --steps 4 --hidden 4 --evaluate-every 2 --threads 1 -o m.safetensors";
    folder.succeeds(tiny);
    let lines = [
        ("m.safetensors", tiny),
        ("old.csv", "score m.safetensors good.csv -o old.csv --hessian-diagonal"),
        ("draws.csv", "sample m.safetensors -n 300 --warm-up 5 --thinning 1 -o draws.csv"),
        (
            "trajectories.npy",
            "sample m.safetensors -n 300 --warm-up 5 --thinning 1 --trace trajectories.npy --frames 3",
        ),
        ("full.csv", "impute m.safetensors good.csv -o full.csv"),
    ];
    let names = folder.names();
    for (file, line) in lines {
        let old = folder.has(file).then(|| folder.read(file));
        let mut failed = 0;
        for blocks in 0..200 {
            let ended = folder
                .shell(&format!("trap '' XFSZ; ulimit -f {blocks}; exec $GRADLOGP {line} -q"));
            if ended.code == Some(0) {
                break;
            }
            failed += 1;
            assert_eq!(ended.code, Some(5), "{line}, {blocks}: {ended:?}");
            let piece = format!("{file}: cannot write: File too large");
            assert!(ended.err.contains(&piece), "{line}, {blocks}: {ended:?}");
            assert_eq!(folder.has(file).then(|| folder.read(file)), old, "{line}, {blocks}");
            assert_eq!(folder.names(), names, "{line}, {blocks}");
        }
        assert!((3..200).contains(&failed), "{line}: {failed} of the sizes are too small");
        let _ = old.is_none().then(|| std::fs::remove_file(folder.path(file)));
    }
}

/// A checkpoint that cannot be written is no reason to lose the draws.
#[cfg(target_os = "linux")]
#[test]
fn a_run_goes_on_without_its_checkpoint() {
    let folder = Folder::with_model();
    let line = "sample m.safetensors -n 5 --warm-up 50 --thinning 1 --checkpoint-every 0 -o s.csv";
    folder.succeeds(line);
    let whole = folder.text("s.csv");
    std::fs::remove_file(folder.path("s.csv")).unwrap();
    let ended = folder.shell(&format!("trap '' XFSZ; ulimit -f 2; exec $GRADLOGP {line} -q"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let warnings = ended.err.matches("the run continues, but cannot be resumed from here").count();
    assert_eq!(warnings, 1, "{ended:?}");
    assert_eq!(folder.text("s.csv"), whole);
    assert!(!folder.has("s.csv.checkpoint"));
}
