//! Replacing a file whole or not at all.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::{Error, Result};

/// Writes `path` through a temporary file beside it, synced and renamed: a reader sees the old
/// contents or the new, and a full disk or a crash leaves the old.
///
/// # Errors
/// Whatever the system refuses, with the path.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let failed = |e| Error::io(path, "write", e);
    // A link stays one: its target is replaced.
    let link = if path.is_symlink() { path.canonicalize().ok() } else { None };
    let path = link.as_deref().unwrap_or(path);
    if path.is_dir() {
        return Err(failed(std::io::Error::other("it is a directory; name a file")));
    }
    // A device such as /dev/stdout has no place beside it, and nothing to protect.
    if path.exists() && !path.is_file() {
        let mut out = BufWriter::new(File::create(path).map_err(failed)?);
        return write(&mut out).and_then(|()| out.flush()).map_err(failed);
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let temporary = tempfile::Builder::new()
        .prefix(".gradlogp-")
        .suffix(".tmp")
        .permissions(permissions(path))
        .tempfile_in(folder)
        // The reason without the name of the temporary file, which nobody asked for.
        .map_err(|e| failed(e.kind().into()))?;
    let mut out = BufWriter::new(temporary);
    write(&mut out).and_then(|()| out.flush()).map_err(failed)?;
    let temporary = out.into_inner().map_err(|e| failed(e.into_error()))?;
    temporary.as_file().sync_all().map_err(failed)?;
    temporary.persist(path).map_err(|e| failed(e.error))?;
    // The rename itself must reach the disk too; where folders cannot be synced, nothing is lost.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
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
}
