//! A run that is killed goes on from its last checkpoint and ends with the numbers of a run that was not.

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use gradlogp_experiments::records::read;
use serde_json::Value;

fn start(out: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_dkef-scaling"))
        .args(["--dims", "3", "--objectives", "ssm", "--epochs", "3", "--threads", "1", "--out"])
        .arg(out)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

/// Without what depends on the clock.
fn timeless(mut lines: Vec<Value>) -> Vec<Value> {
    for line in &mut lines {
        if let Some(object) = line.as_object_mut() {
            for key in ["seconds", "timing", "peak_memory_mib"] {
                object.remove(key);
            }
        }
    }
    lines
}

#[test]
fn a_killed_run_ends_as_one_that_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let run = |out: &str| folder.path().join(out).join("runs/scaling-0003-ssm-1234.jsonl");
    assert!(start(&folder.path().join("whole")).wait().unwrap().success());
    let broken = folder.path().join("broken");
    let mut child = start(&broken);
    let checkpoint = run("broken").with_extension("checkpoint");
    let begun = Instant::now();
    while !checkpoint.exists() && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let lines = read(&run("broken")).unwrap();
    assert!(lines.len() > 1 && lines.last().unwrap()["kind"] == "epoch", "not broken off");
    assert!(start(&broken).wait().unwrap().success());
    assert!(!checkpoint.exists());
    let found = timeless(read(&run("broken")).unwrap());
    assert_eq!(found, timeless(read(&run("whole")).unwrap()));
    assert_eq!(found.len(), 5);
}
