//! What a command reads and what it writes, compared before any work starts: nothing that is read is replaced, and
//! no output by another.

use std::path::{Path, PathBuf};

use anyhow::Result;
use gradlogp::Error;
use gradlogp::storage::file_behind;

use crate::file_id::{FileId, file_id};
use crate::output::{check_writable, folder_of, standard_output};

/// The files of one command.
#[derive(Debug, Default)]
pub(crate) struct Places {
    read: Vec<Named>,
    written: Vec<Named>,
}

/// A file and what the command line calls it.
#[derive(Debug)]
struct Named {
    what: String,
    path: PathBuf,
}

impl Places {
    /// With a file that is read, if it is given; `what` is the option or argument that names it.
    pub(crate) fn reads(mut self, what: &str, path: Option<&Path>) -> Self {
        self.read.extend(path.map(|path| Named::new(what, path)));
        self
    }

    /// With a file that is written, if it is given.
    pub(crate) fn writes(mut self, what: &str, path: Option<&Path>) -> Self {
        self.written.extend(path.map(|path| Named::new(what, path)));
        self
    }

    /// Refuses an output that cannot be written, is read, or is another output.
    pub(crate) fn check(&self) -> Result<()> {
        for named in &self.written {
            check_writable(&named.what, &named.path)?;
        }
        let (read, written) = (Known::all(&self.read), Known::all(&self.written));
        for (k, output) in written.iter().enumerate() {
            let Named { what, path } = output.named;
            let path = path.display();
            if let Some(input) = read.iter().find(|input| input.same(output)) {
                let message = format!(
                    "{path} would replace what is read as {}; name another file",
                    input.named.what
                );
                return Err(Error::config(what.to_string(), message).into());
            }
            if let Some(other) = written[..k].iter().find(|other| other.same(output)) {
                let message = format!(
                    "{path} is where {} goes too, and only one of the two would be left; name another \
                     file",
                    other.named.what
                );
                return Err(Error::config(what.to_string(), message).into());
            }
        }
        check_standard_output(&read, &written)
    }
}

/// A file to which standard output was sent is an output too.
fn check_standard_output(read: &[Known<'_>], written: &[Known<'_>]) -> Result<()> {
    let Some(id) = standard_output() else { return Ok(()) };
    let same = |known: &&Known<'_>| known.id == Some(id);
    let Some(known) = read.iter().chain(written).find(same) else { return Ok(()) };
    let Named { what, path } = known.named;
    let message = format!(
        "it goes to {}, which is {} {what}; send it to another file",
        path.display(),
        if read.iter().any(|other| std::ptr::eq(other.named, known.named)) {
            "read as"
        } else {
            "written by"
        }
    );
    Err(Error::config("standard output", message).into())
}

impl Named {
    fn new(what: &str, path: &Path) -> Self {
        Named { what: what.into(), path: path.into() }
    }
}

/// The identity of a file, by which two names of it are recognized as one.
struct Known<'a> {
    named: &'a Named,
    /// Without links, `.` and `..`, whether or not it is there yet.
    path: PathBuf,
    id: Option<FileId>,
}

impl<'a> Known<'a> {
    /// Those that are files; devices and pipes can be named as often as one likes.
    fn all(named: &'a [Named]) -> Vec<Self> {
        named.iter().filter_map(Known::new).collect()
    }

    fn new(named: &'a Named) -> Option<Self> {
        let file = file_behind(&named.path)?;
        let id = std::fs::metadata(&file).ok().and_then(|of| file_id(&of));
        let path = match (file.canonicalize(), file.file_name()) {
            (Ok(path), _) => path,
            (Err(_), Some(name)) => match folder_of(&file).canonicalize() {
                Ok(folder) => folder.join(name),
                Err(_) => file,
            },
            (Err(_), None) => file,
        };
        Some(Known { named, path, id })
    }

    fn same(&self, other: &Known<'_>) -> bool {
        let by_id = self.id.is_some() && self.id == other.id;
        by_id || self.path == other.path || self.same_but_for_case(other)
    }

    /// Two names not there yet that differ in capitals alone, in a folder where that is no difference.
    fn same_but_for_case(&self, other: &Known<'_>) -> bool {
        let lower = |path: &Path| path.to_string_lossy().to_lowercase();
        lower(&self.path) == lower(&other.path) && ignores_case(folder_of(&self.path))
    }
}

/// Whether a folder takes names that differ in capitals alone for one.
fn ignores_case(folder: &Path) -> bool {
    let Ok(probe) = tempfile::Builder::new().prefix(".gradlogp-a").tempfile_in(folder) else {
        return false;
    };
    let name = probe.path().file_name().map(|name| name.to_string_lossy().to_uppercase());
    name.is_some_and(|name| folder.join(name).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(places: &Places) -> String {
        crate::exit::message(&places.check().unwrap_err())
    }

    #[test]
    fn files_are_one_under_whatever_names() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("data.csv"), "a\n1\n").unwrap();
        std::fs::create_dir(at("sub")).unwrap();
        let pair = |input: &str, output: &str| {
            Places::default().reads("DATA", Some(&at(input))).writes("--output", Some(&at(output)))
        };
        for name in ["data.csv", "./data.csv", "sub/../data.csv", "sub//../data.csv"] {
            let message = refused(&pair("data.csv", name));
            assert!(message.starts_with("--output: "), "{message}");
            assert!(message.contains("would replace what is read as DATA"), "{message}");
        }
        assert!(pair("data.csv", "new.csv").check().is_ok());
        assert!(pair("data.csv", "sub/data.csv").check().is_ok());
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("data.csv", at("link")).unwrap();
            std::fs::hard_link(at("data.csv"), at("hard")).unwrap();
            std::os::unix::fs::symlink("sub", at("other")).unwrap();
            std::os::unix::fs::symlink("sub/not-yet", at("leads-there")).unwrap();
            for (input, output) in
                [("data.csv", "link"), ("link", "data.csv"), ("data.csv", "hard")]
            {
                assert!(refused(&pair(input, output)).contains("read as DATA"), "{input} {output}");
            }
            let both = |a: &str, b: &str| {
                Places::default().writes("--output", Some(&at(a))).writes("--report", Some(&at(b)))
            };
            for (a, b) in [("x", "./x"), ("sub/x", "other/x"), ("leads-there", "sub/not-yet")] {
                let message = refused(&both(a, b));
                assert!(message.starts_with("--report: "), "{message}");
                assert!(message.contains("is where --output goes too"), "{message}");
            }
            assert!(both("x", "y").check().is_ok());
            let null = Path::new("/dev/null");
            let twice = Places::default().writes("-o", Some(null)).writes("--report", Some(null));
            assert!(twice.check().is_ok());
        }
    }
}
