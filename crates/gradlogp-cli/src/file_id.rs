//! Whether two paths lead to one file.

/// Device and number of a file, where the system has them: the same for all its names.
pub(crate) type FileId = (u64, u64);

/// The identity of what there is at a path.
pub(crate) fn file_id(of: &std::fs::Metadata) -> Option<FileId> {
    #[cfg(unix)]
    return Some((
        std::os::unix::fs::MetadataExt::dev(of),
        std::os::unix::fs::MetadataExt::ino(of),
    ));
    #[cfg(not(unix))]
    {
        let _ = of;
        None
    }
}
