//! A data directory that is being made, beside the place that it is for.
//!
//! It is locked as every data directory, and has a mark in it until it is whole. So
//! what a process that was killed has left is told from what somebody works on, and
//! from what is somebody's: only what has the mark is removed, or nothing but a lock.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    thread,
};

use thiserror::Error;

use super::{CONFIG, DataDir, DataDirError, LOG, MODULES, SNAPSHOTS};
use crate::{file_system::FileSystem, paths};

const MARK: &str = "interstice.unfinished";

/// Why a data directory is not made at its place. Nothing of it is there then,
/// but with [`NotDurable`](Self::NotDurable).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UnfinishedError {
    /// It is made beside its place first, and something else is there.
    #[error(
        "{} is in the way: it is whole, or nothing that a command was cut short in making",
        path.display()
    )]
    InTheWay {
        /// What is there.
        path: PathBuf,
    },
    /// Another process makes the same directory.
    #[error("another process makes {}", path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
    },
    /// The directory is there and whole, but a crash of the system may take its name.
    #[error(
        "{} is there and whole, but its name may not survive a crash of the system: could not sync \
         the directory it is in: {source}",
        path.display()
    )]
    NotDurable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused something.
    #[error("could not {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It could not be locked.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
}

impl UnfinishedError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// The directory. It is removed when it is dropped without being kept.
#[derive(Debug)]
pub(crate) struct Unfinished {
    path: PathBuf,
    dir: Option<DataDir>,
}

impl Unfinished {
    /// Makes the directory `path`, for `into`, empty but for folders. What an earlier
    /// process has left is removed.
    pub(crate) fn begin(path: PathBuf, into: &Path) -> Result<Self, UnfinishedError> {
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Before anything is written to what may be somebody's.
                check_left(&path)?;
            }
            made => made.map_err(UnfinishedError::io("make", &path))?,
        }
        let dir = DataDir::lock_unfinished(&path).map_err(|error| match error {
            DataDirError::Locked { .. } => UnfinishedError::Busy { path: into.to_owned() },
            error => error.into(),
        })?;
        // Whoever had the lock may have ended it in the meantime.
        check_left(&path)?;
        let mark = path.join(MARK);
        File::create(&mark).map_err(UnfinishedError::io("make", &mark))?;
        let unfinished = Self { path, dir: Some(dir) };
        unfinished.clear()?;
        for name in [LOG, MODULES] {
            let folder = unfinished.path.join(name);
            fs::create_dir(&folder).map_err(UnfinishedError::io("make", &folder))?;
        }
        Ok(unfinished)
    }

    /// Removes what an earlier process has written.
    fn clear(&self) -> Result<(), UnfinishedError> {
        let removed = |path: &Path, done: io::Result<()>| match done {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(UnfinishedError::io("remove", path)(error))
            }
            _ => Ok(()),
        };
        for name in [LOG, MODULES, SNAPSHOTS] {
            let folder = self.path.join(name);
            removed(&folder, fs::remove_dir_all(&folder))?;
        }
        let config = self.path.join(CONFIG);
        removed(&config, fs::remove_file(&config))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps a module file in it.
    pub(crate) fn store_module(&self, wasm: &[u8]) -> Result<(), DataDirError> {
        self.dir.as_ref().map_or(Ok(()), |dir| dir.store_module(wasm).map(drop))
    }

    /// It is whole: makes that durable, and takes away its mark and lock. Then it is
    /// to be given its name, and [kept](Self::keep).
    pub(crate) fn finish(&mut self, files: &dyn FileSystem) -> Result<(), UnfinishedError> {
        for path in [LOG, MODULES].map(|name| self.path.join(name)) {
            files.sync_dir(&path).map_err(UnfinishedError::io("sync", &path))?;
        }
        let mark = self.path.join(MARK);
        files.remove(&mark).map_err(UnfinishedError::io("remove", &mark))?;
        files.sync_dir(&self.path).map_err(UnfinishedError::io("sync", &self.path))?;
        // Not every system renames what is open.
        self.dir = None;
        Ok(())
    }

    /// It stays where it is.
    pub(crate) fn keep(mut self) {
        self.path.clear();
    }

    /// Gives it its name, now that it is whole.
    pub(crate) fn publish(
        mut self,
        files: &dyn FileSystem,
        into: &Path,
    ) -> Result<(), UnfinishedError> {
        self.finish(files)?;
        files.rename(&self.path, into).map_err(UnfinishedError::io("rename", &self.path))?;
        self.keep();
        sync_name(files, into)
    }
}

/// Makes the name of a directory that was published durable.
pub(crate) fn sync_name(files: &dyn FileSystem, path: &Path) -> Result<(), UnfinishedError> {
    let failed = |source| UnfinishedError::NotDurable { path: path.to_owned(), source };
    files.sync_dir(paths::parent(path)).map_err(failed)
}

/// Whether the directory `path` is whole: somebody has made it, and not left it unfinished.
pub(crate) fn is_finished(path: &Path) -> bool {
    DataDir::exists(path) && path.join(MARK).symlink_metadata().is_err()
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // A panic leaves it, as a crash does.
        if !self.path.as_os_str().is_empty() && !thread::panicking() {
            // Only ours, and of no use to anybody. Nobody waits for the lock.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Checks that a directory is what a process has left: marked, or not even that.
fn check_left(path: &Path) -> Result<(), UnfinishedError> {
    let is_ours = |name: &io::Result<fs::DirEntry>| {
        name.as_ref().is_ok_and(|entry| entry.file_name() == super::LOCK)
    };
    // A link may lead to anything of anybody's.
    let is_dir = path.symlink_metadata().is_ok_and(|found| found.is_dir());
    let is_left = path.join(MARK).is_file()
        || fs::read_dir(path).is_ok_and(|mut entries| entries.all(|entry| is_ours(&entry)));
    match is_dir && is_left {
        true => Ok(()),
        false => Err(UnfinishedError::InTheWay { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_system::{System, forward::forward_to_system};

    fn begin(into: &Path) -> Result<Unfinished, UnfinishedError> {
        Unfinished::begin(paths::beside(into, ".pulling"), into)
    }

    fn names(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn what_a_killed_process_has_left_is_removed_and_what_is_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("data");
        let mut first = begin(&into).unwrap();
        let path = first.path.clone();
        fs::write(path.join("log").join("half"), "a log").unwrap();
        assert!(matches!(begin(&into), Err(UnfinishedError::Busy { .. })));
        assert!(path.join("log").join("half").is_file());
        // As a kill leaves it.
        first.path.clear();
        drop(first);
        let second = begin(&into).unwrap();
        assert!(!path.join("log").join("half").exists());
        second.publish(&System, &into).unwrap();
        assert_eq!(names(folder.path()), ["data"]);
        assert!(!into.join(MARK).exists());
    }

    #[test]
    fn what_is_somebodys_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("data");
        let path = folder.path().join("data.pulling");
        // A data directory of that name, say.
        DataDir::create(&path).unwrap();
        let before = names(&path);
        assert!(matches!(begin(&into), Err(UnfinishedError::InTheWay { .. })));
        assert_eq!(names(&path), before);
        drop(DataDir::open(&path).unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("data");
        let path = folder.path().join("data.pulling");
        fs::create_dir(folder.path().join("other")).unwrap();
        std::os::unix::fs::symlink(folder.path().join("other"), &path).unwrap();
        assert!(matches!(begin(&into), Err(UnfinishedError::InTheWay { .. })));
        assert_eq!(names(&folder.path().join("other")), [""; 0]);
    }

    /// A disk that takes no name for durable any more.
    #[derive(Debug)]
    struct NoParentSync;

    impl FileSystem for NoParentSync {
        forward_to_system!(is_file is_dir list modified create_dir_all open rename remove lock);

        fn sync_dir(&self, dir: &Path) -> io::Result<()> {
            match dir.join("data").is_dir() {
                true => Err(io::ErrorKind::Other.into()),
                false => Ok(()),
            }
        }
    }

    #[test]
    fn a_name_that_may_not_survive_is_told_and_the_directory_stays() {
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("data");
        let published = begin(&into).unwrap().publish(&NoParentSync, &into);
        assert!(matches!(published, Err(UnfinishedError::NotDurable { .. })));
        assert!(into.join("log").is_dir());
    }
}
