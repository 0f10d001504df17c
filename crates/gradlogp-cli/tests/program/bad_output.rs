//! Places that cannot be written end with code 5, and what was there before stays whole.

use super::support::{Folder, QUICK, table};

#[test]
fn missing_folders_directories_and_read_only_files() {
    let folder = Folder::with_model();
    std::fs::create_dir(folder.path("dir")).unwrap();
    for line in [
        &format!("fit good.csv {QUICK} -o PLACE"),
        &format!("fit good.csv {QUICK} -o new --report PLACE"),
        "score m.safetensors good.csv -o PLACE",
        "sample m.safetensors -n 5 -o PLACE",
        "report m.safetensors -o PLACE",
    ] {
        let at = |place: &str| line.replace("PLACE", place);
        let ended = folder.fails(5, &at("no/x"), &["no/x: cannot write: there is no folder no"]);
        assert!(!ended.err.contains(".gradlogp-"), "no temporary names: {ended:?}");
        folder.fails(5, &at("dir"), &["dir: cannot write: it is a directory"]);
    }
    let path = folder.path("locked");
    folder.write("locked", "precious");
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions).unwrap();
    folder.fails(
        5,
        "score m.safetensors good.csv -o locked",
        &["locked: cannot write", "read-only"],
    );
    assert_eq!(folder.text("locked"), "precious");
}

#[test]
fn what_is_read_is_not_replaced() {
    let folder = Folder::with_model();
    let before = folder.read("m.safetensors");
    let pieces = ["--output", "would replace what is read"];
    folder.fails(2, "fit good.csv -o good.csv", &pieces);
    let report = ["--report", "would replace what is read"];
    folder.fails(2, "fit good.csv --report ./good.csv", &report);
    folder.fails(2, "score m.safetensors good.csv -o good.csv", &pieces);
    folder.fails(2, "score m.safetensors good.csv -o m.safetensors", &pieces);
    folder.fails(2, "sample m.safetensors -o m.safetensors", &pieces);
    folder.fails(2, "report m.safetensors -o m.safetensors", &pieces);
    assert_eq!(folder.text("good.csv"), table(200));
    assert_eq!(folder.read("m.safetensors"), before);
}

#[test]
#[cfg(unix)]
fn a_link_stays_a_link() {
    let folder = Folder::with_model();
    std::os::unix::fs::symlink("target.csv", folder.path("link.csv")).unwrap();
    folder.write("target.csv", "old");
    folder.succeeds("score m.safetensors good.csv -o link.csv");
    assert!(folder.path("link.csv").is_symlink());
    assert!(folder.text("target.csv").starts_with("score_a,"));
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_device() {
    let folder = Folder::with_model();
    let full = ["/dev/full: cannot write: No space left on device"];
    folder.fails(5, "score m.safetensors good.csv -o /dev/full", &full);
    folder.fails(5, "sample m.safetensors -n 5 --warm-up 10 --thinning 1 -o /dev/full", &full);
    // Standard output and standard error can be full as well.
    let ended = folder.shell("$GRADLOGP info m.safetensors > /dev/full");
    assert_eq!(ended.code, Some(5), "{ended:?}");
    let ended = folder.shell("$GRADLOGP score m.safetensors good.csv > /dev/full");
    assert_eq!(ended.code, Some(5), "{ended:?}");
    let ended = folder.shell(&format!("$GRADLOGP fit good.csv {QUICK} -o new 2> /dev/full"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(folder.has("new"));
}

/// A file size limit stands for a full disk: writes beyond it fail in the same way.
#[test]
#[cfg(target_os = "linux")]
fn a_disk_that_fills_up_leaves_the_old_model_whole_and_keeps_the_fit() {
    let folder = Folder::with_model();
    let old = folder.read("m.safetensors");
    let limited =
        |line: &str| folder.shell(&format!("trap '' XFSZ; ulimit -f 16; exec $GRADLOGP {line}"));
    let large = "--steps 60 --hidden 64,64 --evaluate-every 10 --threads 1 --checkpoint-every 0";
    let ended = limited(&format!("fit good.csv {large} -o m.safetensors"));
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.err.contains("m.safetensors: cannot write: File too large"), "{ended:?}");
    let warnings = ended.err.matches("the fit continues, but cannot be resumed").count();
    assert_eq!(warnings, 1, "{ended:?}");
    assert_eq!(folder.read("m.safetensors"), old);
    assert_eq!(folder.names(), ["good.csv", "m.safetensors"], "no halves are left");
    folder.succeeds("info m.safetensors");
    let ended = limited("score m.safetensors good.csv -o scores.npy");
    assert_eq!(ended.code, Some(0), "small files fit: {ended:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_fit_whose_model_cannot_be_written_can_be_finished_elsewhere() {
    let folder = Folder::new();
    folder.write("good.csv", table(200));
    let ended = folder.fails(
        5,
        &format!("fit good.csv {QUICK} -o /dev/full"),
        &["the fit is kept: resume it with gradlogp fit --resume", "No space left"],
    );
    assert!(ended.err.contains("model.safetensors.checkpoint -o FILE"), "{ended:?}");
    folder.succeeds("fit --resume model.safetensors.checkpoint -o saved");
    folder.succeeds(&format!("fit good.csv {QUICK} -o fresh"));
    assert_eq!(folder.weights("saved"), folder.weights("fresh"));
}

/// Resumed from a checkpoint of its last evaluation, a fit that had stopped early takes no further step.
#[test]
#[cfg(target_os = "linux")]
fn a_fit_that_had_stopped_early_stays_stopped() {
    let folder = Folder::new();
    folder.write("good.csv", table(60));
    let line = "fit good.csv --hidden 64 --steps 5000 --evaluate-every 5 --patience 2 --threads 1 \
                --rate 0.05 --ema 0 --json";
    let fresh = folder.succeeds(&format!("{line} -o fresh")).json();
    folder.fails(5, &format!("{line} -o /dev/full"), &["the fit is kept"]);
    let line = "fit --resume model.safetensors.checkpoint -o saved --json";
    let saved = folder.succeeds(line).json();
    for key in ["stopped", "steps", "best_step", "exact_loss"] {
        assert_eq!(saved[key], fresh[key], "{key}");
    }
    assert_eq!(folder.weights("saved"), folder.weights("fresh"));
}
