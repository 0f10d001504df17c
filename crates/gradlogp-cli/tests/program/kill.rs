//! Killed without warning at any moment and resumed, a fit ends with the same bits.

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::support::{Folder, table};

/// A checkpoint every few milliseconds, so that many kills fall into the writing of one.
const FIT: &str = "fit good.csv --steps 3000 --hidden 16,16 --batch 32 --evaluate-every 25 --threads 2 \
                   --objective ssm --seed 9 --patience 0 --checkpoint-every 0 -q";

/// What became of the kills.
#[derive(Debug, Default)]
struct Tally {
    before_the_first_checkpoint: usize,
    on_the_way: usize,
    after_the_model: usize,
}

fn kill_and_resume(kills: usize) -> Tally {
    let folder = Folder::new();
    folder.write("good.csv", table(300));
    let start = Instant::now();
    folder.succeeds(&format!("{FIT} -o whole"));
    let length = start.elapsed();
    let whole = folder.weights("whole");
    let mut rng = ChaCha8Rng::seed_from_u64(kills as u64);
    let mut tally = Tally::default();
    let mut kill = 0;
    while kill < kills {
        for name in ["m", "m.checkpoint"] {
            let _ = std::fs::remove_file(folder.path(name));
        }
        // The first one comes before any checkpoint.
        let moment = if kill == 0 { 0.0 } else { rng.random_range(0.0..1.0) };
        if !killed_after(&folder, &format!("{FIT} -o m"), length.mul_f64(moment)) {
            // It was done before: not a kill. The next moment may be luckier.
            continue;
        }
        if folder.has("m") {
            // A model is there whole or not at all.
            assert_eq!(folder.weights("m"), whole, "kill {kill}");
        }
        if folder.has("m.checkpoint") {
            tally.on_the_way += 1;
            folder.succeeds("info m.checkpoint");
            // A resumed fit is killed too, every other time.
            if kill % 2 == 1 {
                let resume = "fit --resume m.checkpoint -q";
                killed_after(&folder, resume, length.mul_f64(rng.random_range(0.0..0.5)));
            }
            if folder.has("m.checkpoint") {
                folder.succeeds("fit --resume m.checkpoint -q");
            }
        } else if folder.has("m") {
            tally.after_the_model += 1;
        } else {
            tally.before_the_first_checkpoint += 1;
            folder.fails(5, "fit --resume m.checkpoint", &["start the fit again"]);
            folder.succeeds(&format!("{FIT} -o m"));
        }
        assert_eq!(folder.weights("m"), whole, "kill {kill}");
        assert!(!folder.has("m.checkpoint"), "kill {kill}");
        kill += 1;
    }
    tally
}

/// Whether it was SIGKILL that ended the fit.
fn killed_after(folder: &Folder, line: &str, wait: Duration) -> bool {
    let mut child = folder.start(line);
    std::thread::sleep(wait);
    let _ = child.kill();
    child.wait().unwrap().code().is_none()
}

#[test]
fn three_kills() {
    kill_and_resume(3);
}

/// `cargo test -p gradlogp-cli --test program -- --ignored --nocapture twenty_kills`
#[test]
#[ignore = "half a minute; run before a release"]
fn twenty_kills() {
    let tally = kill_and_resume(20);
    #[allow(clippy::print_stderr)]
    {
        eprintln!("{tally:?}");
    }
}
