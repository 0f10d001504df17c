//! Replacing a file whole or not at all.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::descriptor;
use super::faults::{self, Fallible};
use crate::{Error, Result};

/// Links that are followed from one to the next, as systems have it.
const LINKS: usize = 40;

/// Temporary files that are being written.
struct Unfinished(Mutex<Vec<PathBuf>>);

/// Those of this process.
static UNFINISHED: Unfinished = Unfinished::none();

/// Removes the temporary files that are being written, for a process that ends in the middle of it: no destructor
/// will.
pub fn discard_unfinished() {
    UNFINISHED.discard();
}

impl Unfinished {
    const fn none() -> Self {
        Unfinished(Mutex::new(Vec::new()))
    }

    fn discard(&self) {
        if let Ok(mut paths) = self.0.lock() {
            for path in paths.drain(..) {
                let _ = std::fs::remove_file(path);
            }
        }
    }

    fn list(&self, path: &Path) -> Listed<'_> {
        if let Ok(mut paths) = self.0.lock() {
            paths.push(path.to_path_buf());
        }
        Listed { list: self, path: path.to_path_buf() }
    }
}

/// The entry of a temporary file in the list, taken out when it is dropped.
struct Listed<'a> {
    list: &'a Unfinished,
    path: PathBuf,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        if let Ok(mut paths) = self.list.0.lock() {
            paths.retain(|path| *path != self.path);
        }
    }
}

/// Writes `path` through a temporary file beside it, synced and renamed: a reader sees the old
/// contents or the new, and a full disk or a crash leaves the old.
///
/// # Errors
/// Whatever the system refuses, with the path.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    write_listed(path, &UNFINISHED, write)
}

fn write_listed(
    path: &Path,
    unfinished: &Unfinished,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let failed = |e| Error::io(path, "write", e);
    // A link stays one: its target is replaced.
    let path = match end_of_links(path) {
        End::File(path) => path,
        // Something open already, or a device: it has no place beside it, and nothing to protect.
        End::Descriptor(path) => return straight(descriptor::open(&path), write).map_err(failed),
        End::Device(path) => return straight(File::create(path), write).map_err(failed),
    };
    if path.is_dir() {
        return Err(failed(std::io::Error::other("it is a directory; name a file")));
    }
    if path.is_symlink() {
        return Err(failed(std::io::Error::other("its links form a loop")));
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    faults::call().map_err(failed)?;
    let temporary = tempfile::Builder::new()
        .prefix(".gradlogp-")
        .suffix(".tmp")
        .permissions(permissions(&path))
        .tempfile_in(folder)
        // The reason without the name of the temporary file, which nobody asked for.
        .map_err(|e| failed(e.kind().into()))?;
    let _listed = unfinished.list(temporary.path());
    let mut out = BufWriter::new(Fallible(temporary));
    write(&mut out).and_then(|()| out.flush()).map_err(failed)?;
    let Fallible(temporary) = out.into_inner().map_err(|e| failed(e.into_error()))?;
    faults::call().and_then(|()| temporary.as_file().sync_all()).map_err(failed)?;
    faults::call().map_err(failed)?;
    temporary.persist(&path).map_err(|e| failed(e.error))?;
    // The rename itself must reach the disk too; where folders cannot be synced, nothing is lost.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// The file that writing to `path` replaces or makes: where its links lead, also to nothing yet. None for what is
/// no file: a device, a pipe, something open already such as `/dev/fd/1`.
pub fn file_behind(path: &Path) -> Option<PathBuf> {
    match end_of_links(path) {
        End::File(path) => Some(path),
        End::Descriptor(_) | End::Device(_) => None,
    }
}

/// What a path comes to.
enum End {
    /// A file, a folder, or nothing yet.
    File(PathBuf),
    Descriptor(PathBuf),
    Device(PathBuf),
}

fn end_of_links(path: &Path) -> End {
    let mut at = path.to_path_buf();
    for _ in 0..LINKS {
        if descriptor::is_descriptor(&at) {
            return End::Descriptor(at);
        }
        let Ok(target) = std::fs::read_link(&at) else { break };
        at = at.parent().unwrap_or(Path::new("")).join(target);
    }
    match std::fs::metadata(&at) {
        Ok(what) if !what.is_file() && !what.is_dir() => End::Device(at),
        _ => End::File(at),
    }
}

fn straight(
    file: std::io::Result<File>,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut out = BufWriter::new(Fallible(file?));
    write(&mut out).and_then(|()| out.flush())
}

/// Those of the file to be replaced, or the usual ones (temporary files are private otherwise).
fn permissions(path: &Path) -> std::fs::Permissions {
    if let Ok(old) = std::fs::metadata(path) {
        return old.permissions();
    }
    #[cfg(unix)]
    return std::os::unix::fs::PermissionsExt::from_mode(0o644);
    #[cfg(not(unix))]
    return std::fs::metadata(".").map(|m| m.permissions()).expect("current folder");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::failing;

    #[test]
    fn unfinished_files_are_removed_and_finished_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let count = || std::fs::read_dir(folder.path()).unwrap().count();
        // A list of its own: other tests are writing.
        let unfinished = Unfinished::none();
        write_listed(&path, &unfinished, |out| out.write_all(b"whole")).unwrap();
        let half = write_listed(&path, &unfinished, |out| {
            out.write_all(b"half")?;
            assert_eq!(count(), 2);
            unfinished.discard();
            assert_eq!(count(), 1);
            Ok(())
        });
        assert!(half.is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        write_atomically(&path, |out| out.write_all(b"old")).unwrap();
        let full = write_atomically(&path, |out| {
            out.write_all(b"new, half")?;
            Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
        });
        assert!(full.unwrap_err().to_string().contains("cannot write"));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no temporary file is left"
        );
    }

    /// Whatever call fails, the old file stays, nothing else is left, and the error is one of files.
    #[test]
    fn every_call_may_fail() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        write_atomically(&path, |out| out.write_all(b"old")).unwrap();
        let new: Vec<u8> = (0..20_000u32).map(|k| k as u8).collect();
        let mut n = 0;
        while let Some(written) = failing(n, 0, || {
            write_atomically(&path, |out| new.chunks(700).try_for_each(|part| out.write_all(part)))
        }) {
            let error = written.unwrap_err();
            assert_eq!(error.class(), crate::ErrorClass::Io);
            assert!(error.to_string().contains("model: cannot write: no storage space"), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), b"old", "call {n}");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "call {n}");
            n += 1;
        }
        assert_eq!(std::fs::read(&path).unwrap(), new, "nothing failed");
        // One to make it; 256 bytes each of two buffers of 7700 and one of 4600; to sync and to rename.
        assert_eq!(n, 1 + (31 + 31 + 18) + 2);
    }

    #[test]
    #[cfg(unix)]
    fn links_lead_to_what_they_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink("b", at("a")).unwrap();
        std::os::unix::fs::symlink("c", at("b")).unwrap();
        assert_eq!(file_behind(&at("a")), Some(at("c")));
        write_atomically(&at("a"), |out| out.write_all(b"1")).unwrap();
        assert!(at("a").is_symlink() && at("b").is_symlink());
        assert_eq!(std::fs::read(at("c")).unwrap(), b"1");
        std::os::unix::fs::symlink("round", at("round")).unwrap();
        assert!(write_atomically(&at("round"), |out| out.write_all(b"1")).is_err());
        std::os::unix::fs::symlink("/dev/null", at("null")).unwrap();
        assert_eq!(file_behind(&at("null")), None);
        write_atomically(&at("null"), |out| out.write_all(b"1")).unwrap();
        assert!(at("null").is_symlink());
    }
}
