//! A data directory that is being made, beside the place that it is for.
//!
//! It is locked as every data directory, and has a mark in it until it is whole. So
//! what a process that was killed has left is told from what somebody works on, and
//! from what is somebody's: only what has the mark is removed.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::PullError;
use crate::{
    data_dir::{DataDir, DataDirError},
    file_system::FileSystem,
    paths,
};

const MARK: &str = "interstice.unfinished";

/// The directory. It is removed when it is dropped without being published.
#[derive(Debug)]
pub(super) struct Unfinished {
    path: PathBuf,
    dir: Option<DataDir>,
}

impl Unfinished {
    /// Makes the directory for `into`, empty but for folders. What an earlier process
    /// has left is removed.
    pub(super) fn begin(into: &Path) -> Result<Self, PullError> {
        let path = paths::beside(into, ".pulling");
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Before anything is written to what may be somebody's.
                check_left(&path)?;
            }
            made => made.map_err(PullError::io("make", &path))?,
        }
        let dir = DataDir::lock_unfinished(&path).map_err(|error| match error {
            DataDirError::Locked { .. } => PullError::Busy { path: into.to_owned() },
            error => error.into(),
        })?;
        // Whoever had the lock may have ended it in the meantime.
        check_left(&path)?;
        let mark = path.join(MARK);
        File::create(&mark).map_err(PullError::io("make", &mark))?;
        let unfinished = Self { path, dir: Some(dir) };
        unfinished.clear()?;
        for name in ["log", "modules"] {
            let folder = unfinished.path.join(name);
            fs::create_dir(&folder).map_err(PullError::io("make", &folder))?;
        }
        Ok(unfinished)
    }

    /// Removes what an earlier process has written.
    fn clear(&self) -> Result<(), PullError> {
        for name in ["log", "modules", "snapshots"] {
            let folder = self.path.join(name);
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(PullError::io("remove", &folder)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps a module file in it.
    pub(super) fn store_module(&self, wasm: &[u8]) -> Result<(), PullError> {
        match &self.dir {
            Some(dir) => Ok(dir.store_module(wasm).map(drop)?),
            None => Ok(()),
        }
    }

    /// Gives it its name, now that it is whole.
    pub(super) fn publish(mut self, files: &dyn FileSystem, into: &Path) -> Result<(), PullError> {
        for path in [self.path.join("log"), self.path.join("modules")] {
            files.sync_dir(&path).map_err(PullError::io("sync", &path))?;
        }
        let mark = self.path.join(MARK);
        files.remove(&mark).map_err(PullError::io("remove", &mark))?;
        files.sync_dir(&self.path).map_err(PullError::io("sync", &self.path))?;
        // Not every system renames what is open.
        self.dir = None;
        files.rename(&self.path, into).map_err(PullError::io("rename", &self.path))?;
        self.path.clear();
        let failed = |source| PullError::NotDurable { path: into.to_owned(), source };
        files.sync_dir(paths::parent(into)).map_err(failed)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // Only ours, and of no use to anybody. Nobody waits for the lock.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Checks that a directory is what a pull has left: marked, or not even that.
fn check_left(path: &Path) -> Result<(), PullError> {
    let is_ours = |name: &io::Result<fs::DirEntry>| {
        name.as_ref().is_ok_and(|entry| entry.file_name() == "interstice.lock")
    };
    // A link may lead to anything of anybody's.
    let is_dir = path.symlink_metadata().is_ok_and(|found| found.is_dir());
    let is_left = path.join(MARK).is_file()
        || fs::read_dir(path).is_ok_and(|mut entries| entries.all(|entry| is_ours(&entry)));
    match is_dir && is_left {
        true => Ok(()),
        false => Err(PullError::InTheWay { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_system::{System, forward::forward_to_system};

    fn names(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn what_a_killed_process_has_left_is_removed_and_what_is_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("data");
        let mut first = Unfinished::begin(&into).unwrap();
        let path = first.path.clone();
        fs::write(path.join("log").join("half"), "a log").unwrap();
        assert!(matches!(Unfinished::begin(&into), Err(PullError::Busy { .. })));
        assert!(path.join("log").join("half").is_file());
        // As a kill leaves it.
        first.path.clear();
        drop(first);
        let second = Unfinished::begin(&into).unwrap();
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
        assert!(matches!(Unfinished::begin(&into), Err(PullError::InTheWay { .. })));
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
        assert!(matches!(Unfinished::begin(&into), Err(PullError::InTheWay { .. })));
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
        let published = Unfinished::begin(&into).unwrap().publish(&NoParentSync, &into);
        assert!(matches!(published, Err(PullError::NotDurable { .. })));
        assert!(into.join("log").is_dir());
    }
}
