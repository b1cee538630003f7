//! What a data directory needs of a file system.
//!
//! Everything that the log, snapshots and module files do to a disk goes
//! through [`FileSystem`]: [`System`] is the one that programs use, and the
//! test harness has another, which forgets, tears and refuses.
//!
//! # What is relied on
//!
//! - What [`StoredFile::sync`] has returned for is there after a crash: the
//!   bytes of the file, and its length. Anything else that was written may be
//!   there after a crash, or not, or in part, in any order.
//! - A file's name is there after a crash when [`FileSystem::sync_dir`] of its
//!   directory has returned, whether or not the file's bytes are. The same
//!   holds for a rename and a removal; until then either name may be found.
//! - A rename replaces its target in one step.
//!
//! Nothing else is: not that a sync makes names durable, not that writes keep
//! their order, not that a file whose length grew has what was written there.

use std::{fmt, io, path::Path, sync::Arc, time::SystemTime};

#[cfg(test)]
pub(crate) mod forward;
mod system;

pub use system::System;

/// A file system.
///
/// Paths are those that the caller was given, with names behind them.
pub trait FileSystem: fmt::Debug + Send + Sync {
    /// Whether there is a file at `path`.
    fn is_file(&self, path: &Path) -> bool;

    /// Whether there is a directory at `path`.
    fn is_dir(&self, path: &Path) -> bool;

    /// The names of everything in a directory, in the order of their bytes.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such directory.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// When a file was written last, by the system's clock.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is none.
    fn modified(&self, path: &Path) -> io::Result<SystemTime>;

    /// Makes a directory and those above it, unless they are there.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    ///
    /// When the system refuses, or the medium fails.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Opens a file.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is none, except to [create](OpenMode::Create) it.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StoredFile>>;

    /// Gives a file another name. What was there under that name is gone.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such file.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is none.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Locks a file, which is made when it is not there, or a directory, against
    /// everybody else. The lock ends when what is returned is dropped, or the
    /// process ends.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when somebody else has it. Not every system locks directories.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn FileLock>>;
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// To read what is there.
    Read,
    /// To read what is there and to write.
    Write,
    /// To be written from the beginning; what was there is gone.
    Create,
}

/// An open file.
pub trait StoredFile: fmt::Debug + Send {
    /// Its length in bytes.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    fn size(&mut self) -> io::Result<u64>;

    /// Reads bytes from `at` on, as many as there are and fit: fewer than fit
    /// only at the end of the file.
    ///
    /// # Errors
    ///
    /// When the system refuses, or the medium fails.
    fn read_at(&mut self, at: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` from `at` on.
    ///
    /// # Errors
    ///
    /// When the system refuses; how much was written is then not known.
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file, or grows it with zeros.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    fn set_len(&mut self, len: u64) -> io::Result<()>;

    /// Makes its bytes and its length durable.
    ///
    /// # Errors
    ///
    /// When the medium fails; what of the file is durable is then not known.
    fn sync(&mut self) -> io::Result<()>;
}

/// A lock that is held until it is dropped.
pub trait FileLock: fmt::Debug + Send + Sync {}

/// A file system that many share.
pub type SharedFileSystem = Arc<dyn FileSystem>;

/// Reads a whole file.
///
/// # Errors
///
/// When there is none, or it cannot be read.
pub fn read(files: &dyn FileSystem, path: &Path) -> io::Result<Vec<u8>> {
    let mut file = files.open(path, OpenMode::Read)?;
    let mut bytes = Vec::new();
    extend_with_zeros(&mut bytes, file.size()?)?;
    let len = file.read_at(0, &mut bytes)?;
    bytes.truncate(len);
    Ok(bytes)
}

/// Makes room for what a file is said to hold: up to `len` bytes.
///
/// # Errors
///
/// When there is no memory for it. How long a file is, nobody vouches for.
pub(crate) fn extend_with_zeros(bytes: &mut Vec<u8>, len: u64) -> io::Result<()> {
    let len = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let more = len.saturating_sub(bytes.len());
    bytes.try_reserve_exact(more).map_err(|_| io::ErrorKind::OutOfMemory)?;
    bytes.resize(len.max(bytes.len()), 0);
    Ok(())
}

/// Writes a file so that it is there whole and durable, or not at all: beside
/// its place, synced, renamed, and the directory synced.
///
/// # Errors
///
/// When the system refuses or the medium fails. What was under the name before
/// may then be there still, or the new content.
pub fn write_new(files: &dyn FileSystem, path: &Path, content: &[u8]) -> io::Result<()> {
    create_whole(files, path, |file| file.write_at(0, content)).map(|_| ())
}

/// As [`write_new`], with what `write` writes into the file. Returns the file.
///
/// # Errors
///
/// As [`write_new`], and those of `write`.
pub fn create_whole(
    files: &dyn FileSystem,
    path: &Path,
    write: impl FnOnce(&mut dyn StoredFile) -> io::Result<()>,
) -> io::Result<Box<dyn StoredFile>> {
    let temporary = path.with_extension(UNFINISHED);
    let created = files.open(&temporary, OpenMode::Create).and_then(|mut file| {
        write(&mut *file)?;
        file.sync()?;
        files.rename(&temporary, path)?;
        path.parent().map_or(Ok(()), |dir| files.sync_dir(dir))?;
        Ok(file)
    });
    if created.is_err() {
        // On a disk that is full, its bytes are missed.
        let _ = files.remove(&temporary);
    }
    created
}

/// Whether an error says that there is nothing of that name. Any other says
/// nothing of what is there.
pub fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Extension of a file that does not have its name yet.
const UNFINISHED: &str = "tmp";

/// Removes what writers that were cut short have left in `dir`, if that is
/// there. Only for who keeps others from writing there.
///
/// # Errors
///
/// When the system refuses.
pub fn remove_unfinished(files: &dyn FileSystem, dir: &Path) -> io::Result<()> {
    let names = match files.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        names => names?,
    };
    for name in names {
        let path = dir.join(name);
        if path.extension().is_some_and(|extension| extension == UNFINISHED) {
            files.remove(&path)?;
        }
    }
    Ok(())
}
