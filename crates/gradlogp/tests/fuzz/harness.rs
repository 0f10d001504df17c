//! Changes the seeds of a target again and again, and watches what becomes of them.
//!
//! Input k is a function of the target's name and k alone. So a fault is found again by its number, whatever ran
//! before it, and `GRADLOGP_FUZZ_FIRST` cuts a long run into parts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::COUNTED;

/// Bytes that one input may ask for in all, far above what each needs.
const MOST_BYTES: usize = 1 << 30;
/// Held while an input is watched: what targets on other threads ask for must not count.
static WATCHED: Mutex<()> = Mutex::new(());
/// An input that takes longer is a fault: they take about a millisecond.
const LONGEST: Duration = Duration::from_secs(30);
/// Inputs without a note of how far the run is.
const BLOCK: u64 = 1000;

/// What is fuzzed.
pub(crate) struct Target {
    /// Names the files that a run leaves, and the stream of its random numbers.
    pub(crate) name: &'static str,
    /// Inputs from which all others are made; each must be accepted as it is.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// Makes one change. Inputs get one or more.
    pub(crate) change: fn(&mut ChaCha8Rng, &mut Vec<u8>),
    /// What must not panic; whether it took the input for what it should be. Asserts what must hold then.
    pub(crate) accepts: fn(&Input<'_>) -> bool,
    /// Inputs where nothing else is asked for: about a second's worth.
    pub(crate) inputs: u64,
}

/// One input.
pub(crate) struct Input<'a> {
    pub(crate) bytes: &'a [u8],
    file: PathBuf,
}

impl Input<'_> {
    /// A file with its bytes, for what reads files alone.
    pub(crate) fn file(&self) -> PathBuf {
        std::fs::write(&self.file, self.bytes).unwrap();
        self.file.clone()
    }
}

/// What a run came to.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) inputs: u64,
    pub(crate) accepted: u64,
}

/// Runs a target for as long as the environment asks for: `GRADLOGP_FUZZ_SECONDS`, else
/// `GRADLOGP_FUZZ_INPUTS`, else the target's own number. Fails at the first fault, which it keeps as a file.
pub(crate) fn fuzz(target: &Target) -> Tally {
    let asked = |name: &str| -> Option<u64> {
        std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|e| panic!("{name}: {e}")))
    };
    let first = asked("GRADLOGP_FUZZ_FIRST").unwrap_or(0);
    let seconds = asked("GRADLOGP_FUZZ_SECONDS").map(Duration::from_secs);
    let inputs = asked("GRADLOGP_FUZZ_INPUTS").unwrap_or(target.inputs);
    let seeds = (target.seeds)();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(target.name);
    for (k, bytes) in seeds.iter().enumerate() {
        let input = Input { bytes, file: file.clone() };
        assert!((target.accepts)(&input), "{}: seed {k} is not accepted as it is", target.name);
    }
    let start = Instant::now();
    let mut tally = Tally::default();
    let mut slowest = (Duration::ZERO, 0);
    for k in first.. {
        let enough = match seconds {
            Some(seconds) => start.elapsed() >= seconds,
            None => tally.inputs >= inputs,
        };
        if enough {
            break;
        }
        if k % BLOCK == 0 {
            // What ends the process (a stack that overflows, memory that is not there) lies in the block noted last.
            let note = format!("GRADLOGP_FUZZ_FIRST={k} GRADLOGP_FUZZ_INPUTS={BLOCK}\n");
            std::fs::write(left(target, "at"), note).unwrap();
        }
        let bytes = input(target, &seeds, k);
        let of = Input { bytes: &bytes, file: file.clone() };
        let (took, ended) = watched(target, &of, MOST_BYTES);
        match ended {
            Ok(accepted) => tally.accepted += u64::from(accepted),
            Err(why) => {
                let kept = left(target, "fault");
                std::fs::write(&kept, &bytes).unwrap();
                panic!(
                    "{}: input {k} {why}; it is kept as {}, and GRADLOGP_FUZZ_FIRST={k} \
                     GRADLOGP_FUZZ_INPUTS=1 makes it again",
                    target.name,
                    kept.display()
                );
            }
        }
        slowest = slowest.max((took, k));
        tally.inputs += 1;
    }
    let Tally { inputs, accepted } = tally;
    let (longest, which) = slowest;
    #[allow(clippy::print_stderr)]
    {
        eprintln!(
            "{}: {inputs} inputs in {:.1?}, {accepted} accepted, the slowest {longest:.1?} (input {which})",
            target.name,
            start.elapsed()
        );
    }
    tally
}

/// Input k of a target.
fn input(target: &Target, seeds: &[Vec<u8>], k: u64) -> Vec<u8> {
    let name = target.name.bytes().fold(0u64, |hash, byte| {
        // FNV-1a: the name's own stream.
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut rng = ChaCha8Rng::seed_from_u64(name);
    rng.set_stream(k);
    let mut bytes = seeds[rng.random_range(0..seeds.len())].clone();
    loop {
        (target.change)(&mut rng, &mut bytes);
        if rng.random::<bool>() {
            return bytes;
        }
    }
}

/// What becomes of one input: whether it was accepted, or what was wrong.
fn watched(target: &Target, input: &Input<'_>, most: usize) -> (Duration, Result<bool, String>) {
    let _alone = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    let (start, before) = (Instant::now(), COUNTED.stats().bytes_allocated);
    let ended = catch_unwind(AssertUnwindSafe(|| (target.accepts)(input)));
    let (took, bytes) = (start.elapsed(), COUNTED.stats().bytes_allocated.wrapping_sub(before));
    let ended = match ended {
        Err(_) => Err("panics".into()),
        Ok(_) if took > LONGEST => Err(format!("takes {took:.0?}")),
        Ok(_) if bytes > most => Err(format!("asks for {bytes} bytes of memory")),
        Ok(accepted) => Ok(accepted),
    };
    (took, ended)
}

/// Where a run leaves something.
fn left(target: &Target, what: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}.{what}", target.name))
}

#[test]
fn an_input_is_made_again_by_its_number() {
    let target = Target {
        name: "itself",
        seeds: || vec![b"some bytes".to_vec()],
        change: |rng, bytes| crate::mutate::bytes(rng, bytes, &["word"]),
        accepts: |_| true,
        inputs: 0,
    };
    let seeds = (target.seeds)();
    let all: Vec<Vec<u8>> = (0..50).map(|k| input(&target, &seeds, k)).collect();
    assert_eq!(input(&target, &seeds, 33), all[33]);
    let mut distinct = all.clone();
    distinct.sort();
    distinct.dedup();
    assert!(distinct.len() > 40, "{}", distinct.len());
}

#[test]
fn a_fault_is_told_with_its_number() {
    let target = Target {
        name: "faulty",
        seeds: || vec![vec![0; 4]],
        change: |rng, bytes| bytes[0] = rng.random(),
        accepts: |input| {
            assert!(input.bytes[0] < 250, "a made-up fault");
            std::hint::black_box(Vec::<u8>::with_capacity(1000)).is_empty()
        },
        inputs: 4000,
    };
    let told = catch_unwind(|| fuzz(&target)).unwrap_err();
    let told = told.downcast_ref::<String>().unwrap();
    assert!(told.starts_with("faulty: input ") && told.contains("GRADLOGP_FUZZ_FIRST="), "{told}");
    let (_, ended) = watched(&target, &Input { bytes: &[0], file: PathBuf::new() }, 999);
    assert!(ended.unwrap_err().contains("bytes of memory"));
}
