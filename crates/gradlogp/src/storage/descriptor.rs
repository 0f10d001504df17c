//! Paths that name something the process has open already, such as `/dev/fd/1`. The file behind it may be any,
//! but it is not ours to replace or to empty: what is written there comes after what is there.

use std::fs::{File, OpenOptions};
use std::io::{Result, Write};
use std::path::Path;

/// Whether `path` names an open descriptor.
pub(super) fn is_descriptor(path: &Path) -> bool {
    let in_process = || {
        let folder = path.parent().and_then(Path::file_name);
        path.starts_with("/proc") && folder.is_some_and(|name| name == "fd")
    };
    cfg!(unix) && (path.parent() == Some(Path::new("/dev/fd")) || in_process())
}

/// Opens it for writing. The standard streams keep their place, so that whatever else goes there comes after.
pub(super) fn open(path: &Path) -> Result<File> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        let number = path.file_name().and_then(|name| name.to_str());
        match number {
            Some("1") => {
                std::io::stdout().flush()?;
                return Ok(std::io::stdout().as_fd().try_clone_to_owned()?.into());
            }
            Some("2") => return Ok(std::io::stderr().as_fd().try_clone_to_owned()?.into()),
            _ => {}
        }
    }
    OpenOptions::new().append(true).open(path)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_known_by_their_names() {
        for path in ["/dev/fd/1", "/proc/self/fd/63", "/proc/123/fd/0"] {
            assert!(is_descriptor(Path::new(path)), "{path}");
        }
        for path in ["/dev/null", "/dev/fd", "fd/1", "/home/fd/1", "/proc/self/fd"] {
            assert!(!is_descriptor(Path::new(path)), "{path}");
        }
    }
}
