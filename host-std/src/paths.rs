//! Where a path is, and names beside it.

use std::{
    io,
    path::{Path, PathBuf},
};

/// The directory that `path` is in.
pub(crate) fn parent(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Whether `path`, which need not exist, is in the directory `dir`, however deep.
///
/// # Errors
///
/// When one of the two directories is not there.
pub(crate) fn is_in(path: &Path, dir: &Path) -> io::Result<bool> {
    Ok(parent(path).canonicalize()?.starts_with(dir.canonicalize()?))
}

/// The path with `suffix` at the end of its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    // Taken apart, so that a slash at the end does not count.
    let path: PathBuf = path.components().collect();
    let mut name = path.into_os_string();
    name.push(suffix);
    name.into()
}
