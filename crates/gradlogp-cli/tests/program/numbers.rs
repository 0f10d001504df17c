//! Every option that takes a number, with numbers that nobody means: refused, done, or stopped by Ctrl-C, and never a
//! panic, an abort, or memory that is not there.
//!
//! `numbers.txt` lists the options, one a line behind their command; a test in `args/tests.rs` checks the list against
//! the command line, so that a new option cannot be forgotten.
//!
//! With `GRADLOGP_NUMBERS_EVERY=4` each option meets every fourth of its numbers, beginning with another one each.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::support::{Folder, program, table};

/// 0, 1, powers of 2 up to the largest, and what is no count at all; and two numbers that are some option's largest.
const VALUES: [&str; 12] = [
    "0",
    "1",
    "10000",
    "1000000000",
    "2147483648",
    "1099511627776",
    "9223372036854775808",
    "18446744073709551615",
    "-1",
    "1e308",
    "nan",
    "inf",
];

/// For commands whose options are read as those of another.
const FEW: [&str; 4] = ["0", "1000000000", "18446744073709551615", "nan"];

/// A run has so long before Ctrl-C is pressed, and then so long to end, which is generous: machines may be busy.
const WAIT: Duration = Duration::from_millis(700);
const PATIENCE: Duration = Duration::from_secs(30);

/// The line on which an option is tried: small, and such that the option has an effect.
fn line(command: &str, option: &str) -> String {
    let fit = "tiny.csv --hidden 4 --steps 20 --batch 16 --evaluate-every 10 --threads 1";
    let noise = "--model score --noise";
    let of_fit = match option {
        "rows" => fit.replace("tiny.csv", "--dataset two-moons"),
        "sigma" => format!("{fit} --objective dsm"),
        "fd-eps" => format!("{fit} --objective fd-ssm"),
        "slices" => format!("{fit} --objective ssm"),
        "inducing" => "tiny.csv --model kef --threads 1".into(),
        "boundary-power" => format!("{fit} --bounds a=-9:9"),
        "sigma-min" | "sigma-max" => format!("{fit} {noise} ve"),
        "levels" => format!("{fit} {noise} ncsn"),
        "ou-rate" | "ou-diffusion" | "horizon" => format!("{fit} {noise} ou"),
        "noise-floor" | "simulate" | "beta-min" | "beta-max" | "t-min" => {
            format!("{fit} {noise} vp")
        }
        "seconds" => fit.replace("--steps 20 ", ""),
        _ => fit.into(),
    };
    let rest = match (command, option) {
        ("fit", _) => format!("{of_fit} -o OUT"),
        ("bench fit", _) => of_fit,
        ("compare", "slices" | "sigma" | "fd-eps") => {
            let objective = if option == "sigma" { "dsm" } else { "fd-ssm" };
            format!("{fit} --draws 2 --objectives {objective}")
        }
        ("compare", _) => format!("{of_fit} --draws 2 --objectives ssm"),
        ("eval" | "score", "rows") => "m --dataset two-moons".into(),
        ("loglik", "rows") => "t --dataset two-moons".into(),
        ("eval", _) => "m tiny.csv".into(),
        ("report", _) => "m tiny.csv -o OUT".into(),
        ("loglik", _) => "t tiny.csv".into(),
        ("score", "at") => "t tiny.csv -o OUT".into(),
        ("score", "false-alarm") => "m tiny.csv -o OUT --anomaly --held-out tiny.csv".into(),
        ("score", _) => "m tiny.csv -o OUT".into(),
        ("sample", "steps") => "t -n 5 -o OUT".into(),
        ("sample", "corrections") => "t -n 5 --steps 3 --sampler annealed -o OUT".into(),
        ("sample", option) => {
            let hmc = if option == "leapfrog" { "--sampler hmc" } else { "--trace OUT.npy" };
            format!("m -n 5 --chains 2 --warm-up 5 --thinning 1 -o OUT {hmc}")
        }
        ("impute", _) => "m holes.csv --warm-up 5 --steps 5 -o OUT".into(),
        ("bench step", _) => "--dim 2 --hidden 4 --batch 8 --threads 1 --seconds 0.01".into(),
        ("bench score", _) => "--dim 2 --hidden 4 --rows 20 --passes 1 --threads 1".into(),
        ("bench mala", _) => "--dim 2 --hidden 4 --chains 2 --steps 5 --threads 1".into(),
        ("bench stein", _) => "--rows 20 --bootstrap 5 --threads 1".into(),
        ("bench read", _) => "tiny.csv --passes 1".into(),
        _ => panic!("{command} --{option}: how is it tried?"),
    };
    // The option itself comes with its value.
    let mut words: Vec<&str> = Vec::new();
    let named = if option == "n" { "-n".into() } else { format!("--{option}") };
    let mut all = rest.split(' ');
    while let Some(word) = all.next() {
        if word == named {
            all.next();
        } else {
            words.push(word);
        }
    }
    format!("{command} {} {named}", words.join(" "))
}

/// Lines with numbers inside a value of another kind.
const INSIDE: [&str; 8] = [
    "fit tiny.csv --model dkef --objective ssm-vr --inducing 5 --steps 3 --threads 1 -o OUT --slices VALUE",
    "fit tiny.csv --model score --hidden VALUE,VALUE --steps 3 --threads 1 -o OUT",
    "fit tiny.csv --hidden 4 --steps 5 --threads 1 -o OUT --bounds a=VALUE:inf",
    "fit tiny.csv --hidden 4 --steps 5 --threads 1 -o OUT --bounds a=-inf:VALUE",
    "fit tiny.csv --hidden 4 --steps 5 --threads 1 -o OUT --domain ball:VALUE",
    "sample m -n 4 --warm-up 2 -o OUT --sheet OUT.png --image VALUExVALUE",
    "sample c -n 4 --warm-up 2 -o OUT --given-values b=VALUE",
    "fit tiny.csv --hidden 4 --steps 5 --threads 1 -o OUT --noise custom --drift VALUE*x --diffusion 1",
];

fn ended(child: &mut Child, within: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if start.elapsed() > within {
            return None;
        }
        std::thread::sleep(Duration::from_millis(4));
    }
}

/// What is wrong with how a line ends, if anything.
fn fault(folder: &Folder, line: &str, k: usize) -> Option<String> {
    let line = line.replace("OUT", &format!("out{k}"));
    let said = folder.path(&format!("said{k}"));
    // Memory that is asked for without need would not be missed here, but where others work.
    let limited = "ulimit -v 8000000; exec \"$0\" \"$@\"";
    let mut child = Command::new("sh")
        .args(["-c", limited])
        .arg(program())
        .args(line.split(' '))
        .current_dir(folder.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&said).unwrap())
        .spawn()
        .unwrap();
    let status = ended(&mut child, WAIT).or_else(|| {
        let id = child.id().to_string();
        Command::new("kill").args(["-INT", &id]).status().unwrap();
        ended(&mut child, PATIENCE)
    });
    let Some(status) = status else {
        child.kill().unwrap();
        child.wait().unwrap();
        return Some(format!("{line}: does not heed Ctrl-C"));
    };
    let text = String::from_utf8_lossy(&std::fs::read(&said).unwrap()).into_owned();
    // A signal before the program listens ends it as well.
    let fine = matches!(status.code(), Some(0 | 2 | 3 | 6 | 130)) || status.signal() == Some(2);
    let wrong = !fine || text.contains("panicked");
    wrong.then(|| format!("{line}: {status}: {}", text.chars().take(300).collect::<String>()))
}

#[test]
fn no_number_is_the_end_of_the_program() {
    let folder = Folder::with_model();
    std::fs::rename(folder.path("m.safetensors"), folder.path("m")).unwrap();
    folder.write("tiny.csv", table(60));
    folder.write("holes.csv", "a,b\n0.5,\n,0.1\n0.2,0.3\n");
    let small = "--hidden 4 --steps 20 --threads 1";
    folder.succeeds(&format!("fit tiny.csv {small} --noise vp -o t"));
    folder.succeeds(&format!("fit tiny.csv {small} --given b -o c"));
    let every: usize =
        std::env::var("GRADLOGP_NUMBERS_EVERY").map_or(1, |every| every.parse().unwrap());
    let mut lines = VecDeque::new();
    let mut tried = 0;
    let mut some = |values: &[&'static str]| -> Vec<&'static str> {
        tried += 1;
        values.iter().skip(tried % every).step_by(every).copied().collect()
    };
    let list = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/program/numbers.txt");
    for option in std::fs::read_to_string(list).unwrap().lines() {
        let (command, option) = option.rsplit_once(" --").unwrap();
        let values: &[&'static str] = match command {
            "bench fit" | "compare" => &FEW,
            _ => &VALUES,
        };
        lines.extend(some(values).iter().map(|value| format!("{} {value}", line(command, option))));
    }
    for line in INSIDE {
        lines.extend(some(&VALUES).iter().map(|value| line.replace("VALUE", value)));
    }
    assert!(lines.len() > 1000 / every);
    let (lines, faults) = (Mutex::new(lines.into_iter().enumerate()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some((k, line)) = lines.lock().unwrap().next() else { break };
                    if let Some(fault) = fault(&folder, &line, k) {
                        faults.lock().unwrap().push(fault);
                    }
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}
