//! Ctrl-C and its relatives: the step is finished, the checkpoint written, the way on said.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command};

use super::support::{Folder, table};

/// Some hundred thousand steps would take seconds; the signal comes at the first.
const LONG: &str = "--hidden 8 --batch 32 --evaluate-every 500 --threads 1 --objective ssm --seed 3 \
                    --patience 0 --checkpoint-every 1000 --base gaussian";

fn send(signal: &str, child: &Child) {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Sends a signal once the fit runs; returns the exit code and what was said after that.
fn stop(folder: &Folder, line: &str, signal: &str) -> (Option<i32>, String) {
    let mut child = folder.start(line);
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut first = String::new();
    said.read_line(&mut first).unwrap();
    assert!(first.starts_with("fitting "), "{first}");
    send(signal, &child);
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    (child.wait().unwrap().code(), rest)
}

#[test]
fn stopped_and_resumed_is_bit_for_bit_never_stopped() {
    let folder = Folder::new();
    folder.write("good.csv", table(200));
    let line = |name: &str| format!("fit good.csv --steps 20000 {LONG} -o {name}");
    folder.succeeds(&line("whole"));
    for signal in ["-INT", "-TERM"] {
        let (code, said) = stop(&folder, &line("parts"), signal);
        assert_eq!(code, Some(130), "{signal}: {said}");
        let command = "resume with: gradlogp fit --resume parts.checkpoint";
        assert!(said.contains("stopped at step ") && said.contains(command), "{said}");
        assert!(!folder.has("parts"));
        let info = folder.succeeds("info parts.checkpoint").out;
        assert!(info.contains("of 20000 done"), "{info}");
        // Once more on the way.
        let (code, said) = stop(&folder, "fit --resume parts.checkpoint", signal);
        assert_eq!(code, Some(130), "{signal}: {said}");
        folder.succeeds("fit --resume parts.checkpoint");
        assert_eq!(folder.weights("parts"), folder.weights("whole"), "{signal}");
        assert!(!folder.has("parts.checkpoint"), "a finished fit needs none");
        std::fs::remove_file(folder.path("parts")).unwrap();
    }
}

#[test]
fn a_checkpoint_belongs_to_its_table_and_is_not_replaced_silently() {
    let folder = Folder::new();
    folder.write("good.csv", table(200));
    let line = format!("fit good.csv --steps 20000 {LONG} -o m");
    assert_eq!(stop(&folder, &line, "-INT").0, Some(130));
    folder.fails(4, "score m.checkpoint good.csv", &["is a gradlogp.checkpoint file"]);
    let pieces = ["m.checkpoint: cannot write", "unfinished run of fit with another", "delete it"];
    folder.fails(5, "fit good.csv --steps 20 --hidden 8 -o m --threads 1", &pieces);
    folder.write("good.csv", table(199));
    let pieces = ["good.csv", "has changed since the checkpoint", "start again"];
    folder.fails(3, "fit --resume m.checkpoint", &pieces);
    let whole = folder.read("m.checkpoint");
    folder.write("m.checkpoint", &whole[..whole.len() / 2]);
    folder.fails(
        4,
        "fit --resume m.checkpoint",
        &["m.checkpoint: is not a whole safetensors file"],
    );
}

#[test]
fn a_stopped_sampler_writes_what_it_has_or_leaves_the_old_file() {
    let folder = Folder::with_model();
    let sample = |options: &str| {
        let mut child = folder.start(&format!("sample m.safetensors {options} -o s.csv"));
        let mut said = BufReader::new(child.stderr.take().unwrap());
        said.read_line(&mut String::new()).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(200));
        send("-INT", &child);
        let mut rest = String::new();
        said.read_to_string(&mut rest).unwrap();
        (child.wait().unwrap().code(), rest)
    };
    folder.write("s.csv", "old");
    let (code, said) = sample("-n 5 --warm-up 1000000000");
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("nothing was written"), "{said}");
    assert_eq!(folder.text("s.csv"), "old");
    // Another run does not replace what that one left.
    std::fs::remove_file(folder.path("s.csv.checkpoint")).unwrap();
    let (code, said) = sample("-n 100000000 --chains 2 --warm-up 1 --thinning 1");
    assert_eq!(code, Some(130), "{said}");
    let rows = folder.text("s.csv").lines().count();
    assert!((3..100_000_000).contains(&rows), "{rows}");
}

/// Within a move of a hundred million leapfrog steps, a level of as many Langevin steps, or a schedule of
/// solver steps, the run stops where it was before; it would else go on for hours.
#[test]
fn a_sampler_is_stopped_within_a_long_step() {
    let folder = Folder::with_model();
    folder.succeeds(
        "fit good.csv --steps 100 --hidden 8 --evaluate-every 50 --threads 1 --noise vp -o t -q",
    );
    for line in [
        "m.safetensors --sampler hmc --leapfrog 100000000 -n 5",
        "t --sampler annealed --corrections 100000000 -n 5",
        "t --sampler pc --corrections 100000000 -n 5",
    ] {
        let mut child = folder.start(&format!("sample {line} -o s.csv"));
        let mut said = BufReader::new(child.stderr.take().unwrap());
        if !line.contains("hmc") {
            said.read_line(&mut String::new()).unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(700));
        send("-INT", &child);
        let mut rest = String::new();
        said.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{line}: {rest}");
        assert!(rest.contains("resume with: gradlogp sample --resume s.csv.checkpoint"), "{rest}");
        assert!(folder.has("s.csv.checkpoint") && !folder.has("s.csv"));
        // Another run does not replace what that one left.
        std::fs::remove_file(folder.path("s.csv.checkpoint")).unwrap();
    }
    folder.write("holes.csv", "a,b\n0.5,\n,1\n");
    for line in ["m.safetensors holes.csv --leapfrog 100000000", "t holes.csv --steps 100000"] {
        let mut child = folder.start(&format!("impute {line} -o s.csv"));
        let mut said = BufReader::new(child.stderr.take().unwrap());
        std::thread::sleep(std::time::Duration::from_millis(700));
        send("-INT", &child);
        let mut rest = String::new();
        said.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{line}: {rest}");
        assert!(rest.contains("nothing was written") && !folder.has("s.csv"), "{rest}");
    }
}

/// A launcher may send a signal to the program and to its group. Steps take long enough here that the second one
/// comes while the first is still waited for.
#[test]
fn two_signals_of_one_moment_leave_the_checkpoint() {
    let folder = Folder::new();
    folder.write("good.csv", table(2000));
    let heavy =
        "--hidden 256,256 --batch 2048 --threads 1 --objective exact --patience 0 --base gaussian";
    let line = format!("fit good.csv --steps 20000 {heavy} --checkpoint-every 1000 -o m");
    let mut child = folder.start(&line);
    let mut said = BufReader::new(child.stderr.take().unwrap());
    said.read_line(&mut String::new()).unwrap();
    let id = child.id();
    let both = format!("kill -INT {id}; kill -INT {id}");
    assert!(Command::new("sh").args(["-c", &both]).status().unwrap().success());
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert!(rest.contains("resume with: gradlogp fit --resume m.checkpoint"), "{rest}");
    let info = folder.succeeds("info m.checkpoint").out;
    assert!(info.contains("of 20000 done"), "{info}");
}

/// Where there is nothing to keep, no command waits for anything; half a file is none.
#[test]
fn every_command_ends_at_a_signal() {
    let folder = Folder::with_model();
    folder.write("holes.csv", "a,b\n0.5,\n,0.1\n");
    folder.succeeds("fit good.csv --steps 20 --hidden 8 --threads 1 --noise vp -o t");
    let before = folder.names();
    let many = "--dataset two-moons --rows";
    let lines = [
        "compare good.csv --steps 1000000 --hidden 64 --threads 1".to_string(),
        // In the variances of the gradients.
        "compare good.csv --steps 1 --hidden 64 --draws 1000000 --threads 1".to_string(),
        format!("eval m.safetensors {many} 1000000"),
        format!("eval m.safetensors {many} 20000 --likelihood"),
        format!("eval m.safetensors {many} 300 --draw 1000000"),
        format!("score m.safetensors {many} 3000000 -o s.csv"),
        format!("loglik t {many} 100000"),
        "report m.safetensors --draw 1000000 -o r.html".to_string(),
        "fit good.csv --model dkef --steps 1000000 -o k".to_string(),
        "impute m.safetensors holes.csv --steps 100000000 -o o.csv".to_string(),
        "bench step --dim 2 --seconds 3000 --threads 1".to_string(),
        "bench fit good.csv --hidden 64 --steps 1000000 --patience 0 --threads 1".to_string(),
        "bench score --dim 2 --rows 2000000 --passes 1000".to_string(),
        "bench mala --dim 2 --steps 100000000".to_string(),
        "bench stein --rows 1000000".to_string(),
    ];
    for some in lines.chunks(4) {
        let children: Vec<_> = some.iter().map(|line| (line, folder.start(line))).collect();
        std::thread::sleep(std::time::Duration::from_millis(1500));
        for (_, child) in &children {
            send("-INT", child);
        }
        for (line, child) in children {
            let ended = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&ended.stderr).into_owned();
            assert_eq!(ended.status.code(), Some(130), "{line}: {said}");
            assert!(said.contains("stopped"), "{line}: {said}");
            assert!(ended.stdout.is_empty(), "{line}");
        }
    }
    assert_eq!(folder.names(), before);
}
