//! Names beside a data directory.

use std::path::{Path, PathBuf};

use super::RecoveryError;
use crate::paths::{self, beside};

/// Where a repaired directory is made before it gets its name.
pub(super) fn unfinished(path: &Path) -> PathBuf {
    beside(path, ".repairing")
}

/// Checks that a directory can be made at `into`, outside of the damaged one.
pub(super) fn check_new(into: &Path, damaged: &Path) -> Result<(), RecoveryError> {
    check_free(into)?;
    let failed = RecoveryError::io("make a directory in", paths::parent(into));
    match paths::is_in(into, damaged).map_err(failed)? {
        true => Err(RecoveryError::Inside { path: into.to_owned() }),
        false => Ok(()),
    }
}

/// Checks that nothing is at `path`.
pub(super) fn check_free(path: &Path) -> Result<(), RecoveryError> {
    match path.symlink_metadata() {
        Ok(_) => Err(RecoveryError::Exists { path: path.to_owned() }),
        Err(_) => Ok(()),
    }
}

/// `path` with a name at its end, which is that of the directory itself: `.` and
/// the like have none, and that of a link is another.
pub(super) fn named(path: &Path) -> Result<PathBuf, RecoveryError> {
    // A slash at the end would lead behind the link.
    let name: PathBuf = path.components().collect();
    match name.file_name() {
        Some(_) if !name.is_symlink() => Ok(name),
        _ => path.canonicalize().map_err(RecoveryError::io("read", path)),
    }
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
