//! A folder of its own for every test, and the program run in it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A small, quick fit.
pub(crate) const QUICK: &str = "--steps 100 --hidden 8 --evaluate-every 50 --threads 1";

/// A place for files.
pub(crate) struct Folder(TempDir);

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    /// With good.csv, 200 rows of columns a and b, and m.safetensors, a potential on one Gaussian fitted to it.
    pub(crate) fn with_model() -> Self {
        let folder = Folder::new();
        folder.write("good.csv", table(200));
        folder.succeeds(&format!("fit good.csv {QUICK} --base gaussian -o m.safetensors"));
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), contents).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(program());
        command.current_dir(self.0.path()).args(line.split_whitespace()).stdin(Stdio::null());
        command
    }

    /// Starts `gradlogp LINE` in the folder; words are split at spaces.
    pub(crate) fn start(&self, line: &str) -> Child {
        self.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs `gradlogp LINE` in the folder. It must not panic, whatever the line.
    pub(crate) fn run(&self, line: &str) -> Ended {
        Ended::of(assert_cmd::Command::from_std(self.command(line)).output().unwrap(), line)
    }

    /// Runs a shell script in the folder, with the program as `$GRADLOGP`.
    #[cfg(unix)]
    pub(crate) fn shell(&self, script: &str) -> Ended {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).current_dir(self.0.path()).env("GRADLOGP", program());
        Ended::of(shell.output().unwrap(), script)
    }

    /// Runs a line that must succeed.
    #[track_caller]
    pub(crate) fn succeeds(&self, line: &str) -> Ended {
        let ended = self.run(line);
        assert_eq!(ended.code, Some(0), "gradlogp {line}\n{ended:?}");
        ended
    }

    /// Runs a line that must end with `code`, say everything in `pieces`, and print no result.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, line: &str, pieces: &[&str]) -> Ended {
        let ended = self.run(line);
        assert_eq!(ended.code, Some(code), "gradlogp {line}\n{ended:?}");
        let error = ended.err.lines().find(|l| l.starts_with("error: "));
        assert!(error.is_some(), "gradlogp {line}\n{ended:?}");
        for piece in pieces {
            assert!(ended.err.contains(piece), "gradlogp {line}\n{piece:?} is missing: {ended:?}");
        }
        assert_eq!(ended.out, "", "gradlogp {line}");
        ended
    }

    /// The bytes of all tensors of a model file, in its order: without the metadata, in which the
    /// seconds differ between runs.
    pub(crate) fn weights(&self, name: &str) -> Vec<u8> {
        let file = self.read(name);
        file[8 + header_length(&file)..].to_vec()
    }
}

impl Ended {
    fn of(output: std::process::Output, line: &str) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ended = Ended {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        };
        assert!(!ended.err.contains("panicked"), "gradlogp {line}\n{}", ended.err);
        ended
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

pub(crate) fn program() -> PathBuf {
    assert_cmd::cargo::cargo_bin!("gradlogp").to_path_buf()
}

/// Bytes of the JSON header of a safetensors file.
pub(crate) fn header_length(file: &[u8]) -> usize {
    u64::from_le_bytes(file[..8].try_into().unwrap()) as usize
}

/// `n` rows of two dependent columns under the header a,b; values in between are as irregular as noise
/// (fractions of multiples of irrational numbers), the same everywhere.
pub(crate) fn table(n: usize) -> String {
    let rows = pairs(n).into_iter().map(|(a, b)| format!("{a:.9},{b:.9}\n"));
    format!("a,b\n{}", rows.collect::<String>())
}

/// The rows of [`table`].
pub(crate) fn pairs(n: usize) -> Vec<(f64, f64)> {
    let fraction = |x: f64| x - x.floor();
    (1..=n)
        .map(|i| {
            let u = |k: f64| fraction(i as f64 * k.sqrt());
            let a = u(2.0) + u(3.0) + u(5.0) - 1.5;
            (a, 0.5 * a + u(7.0) + u(11.0) + u(13.0))
        })
        .collect()
}
