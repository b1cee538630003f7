//! Names beside a data directory.

use std::path::{Path, PathBuf};

/// Where a repaired directory is made before it gets its name.
pub(super) fn unfinished(path: &Path) -> PathBuf {
    beside(path, ".repairing")
}

/// Where the original is kept: the first name that is free.
pub(super) fn kept_original(path: &Path) -> PathBuf {
    let numbered = (1u64..).map(|number| beside(path, &format!(".before-repair-{number}")));
    let mut free = numbered.filter(|path| path.symlink_metadata().is_err());
    free.next().unwrap_or_else(|| beside(path, ".before-repair"))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    // Taken apart, so that a slash at the end does not count.
    let path: PathBuf = path.components().collect();
    let mut name = path.into_os_string();
    name.push(suffix);
    name.into()
}
