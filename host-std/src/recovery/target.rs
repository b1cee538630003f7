//! Names beside a data directory.

use std::path::{Path, PathBuf};

/// Where a repaired directory is made before it gets its name.
pub(super) fn unfinished(path: &Path) -> PathBuf {
    beside(path, ".repairing")
}

/// Whether an original was kept at any time.
pub(super) fn has_kept_original(path: &Path) -> bool {
    numbered(path, 1).symlink_metadata().is_ok()
}

/// Where the original is kept: the first name that is free.
pub(super) fn kept_original(path: &Path) -> PathBuf {
    let numbered = (1u64..).map(|number| numbered(path, number));
    let mut free = numbered.filter(|path| path.symlink_metadata().is_err());
    free.next().unwrap_or_else(|| beside(path, ".before-repair"))
}

fn numbered(path: &Path, number: u64) -> PathBuf {
    beside(path, &format!(".before-repair-{number}"))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    // Taken apart, so that a slash at the end does not count.
    let path: PathBuf = path.components().collect();
    let mut name = path.into_os_string();
    name.push(suffix);
    name.into()
}
