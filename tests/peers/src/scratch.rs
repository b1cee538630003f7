//! Where things are written, and what they take there.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::Result;

/// A new directory for one measurement, in `dir` or under `target`.
pub fn directory(dir: Option<&Path>) -> Result<TempDir> {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/scratch");
    let parent = dir.map_or_else(default, Path::to_owned);
    fs::create_dir_all(&parent)?;
    Ok(tempfile::tempdir_in(parent)?)
}

/// Waits until the disk has everything, so that nobody pays for what another
/// has left behind.
pub fn settle(dir: &Path) -> Result<()> {
    rustix::fs::syncfs(File::open(dir)?)?;
    Ok(())
}

/// Bytes of the blocks that the files in a directory take. What a file is
/// longer than what was written to it takes none.
pub fn bytes_on_disk(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => bytes_on_disk(&entry.path())?,
            false => entry.metadata()?.blocks() * 512,
        };
    }
    Ok(bytes)
}
