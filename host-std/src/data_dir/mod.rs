//! A data directory: one log, its snapshots, the modules it installed, a lock.
//!
//! ```text
//! DIR/interstice.lock                        held by the process that may write
//! DIR/interstice.toml                        how it is kept, if that was said
//! DIR/log/00000000000000000000.log           segments of the log
//! DIR/log/beginning                          the first of them, where older ones were removed
//! DIR/snapshots/00000000000000826551.snapshot states
//! DIR/modules/<sha256>.wasm                  module files by content
//! ```
//!
//! Invariants:
//! - A directory with a segment, a snapshot or a beginning is a data directory. Everything
//!   else is made before the first segment, so a creation that was cut short can
//!   be repeated.
//! - A file appears under its name whole and synced, or not at all.
//! - A module file is there, and durable, before the log says it is installed.
//! - Opening a directory and closing it again changes no byte of it, except
//!   that a torn tail is cut, files go that never got their names, and
//!   subscriptions run that a crash has left waiting.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use interstice_core::content_hash;
use interstice_core::log::frame::LogHeader;

mod error;
mod unfinished;

pub use error::DataDirError;
pub use unfinished::UnfinishedError;
pub(crate) use unfinished::{Unfinished, is_finished, sync_name};

use crate::{
    file_log::{FileLog, beginning_path},
    file_system::{self, FileLock, SharedFileSystem, System},
    persistence::PersistenceConfig,
    text::hex,
};

const LOCK: &str = "interstice.lock";
const CONFIG: &str = "interstice.toml";
const LOG: &str = "log";
const SNAPSHOTS: &str = "snapshots";
const MODULES: &str = "modules";

/// SHA-256 of a module file.
pub type ContentHash = [u8; 32];

/// An open data directory. While it is open for writing, no other process can
/// open it so.
pub struct DataDir {
    files: SharedFileSystem,
    path: PathBuf,
    /// Held until it is dropped. `None` when the directory is open for reading.
    lock: Option<Lock>,
}

/// What keeps others from writing: the lock file, and the directory itself where
/// the system can, as a file may be deleted while it is locked.
struct Lock {
    _file: Box<dyn FileLock>,
    _directory: Option<Box<dyn FileLock>>,
}

impl fmt::Debug for DataDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.is_read_only() { "read only" } else { "locked" };
        write!(f, "DataDir({}, {mode})", self.path.display())
    }
}

impl DataDir {
    /// Makes a data directory with an empty log, and opens it.
    ///
    /// `path` may not exist yet, or be an empty directory, or one whose
    /// creation was cut short. A configuration may be there already.
    ///
    /// # Errors
    ///
    /// When there is something at `path` already, or the system refuses.
    pub fn create(path: &Path) -> Result<Self, DataDirError> {
        let header = new_log_header().map_err(DataDirError::io("make", path))?;
        Self::create_in(Arc::new(System), path, header)
    }

    /// As [`create`](Self::create), in any file system, with a log of this
    /// identity.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub fn create_in(
        files: SharedFileSystem,
        path: &Path,
        header: LogHeader,
    ) -> Result<Self, DataDirError> {
        check_new(&files, path)?;
        let made = |path: &Path, done: io::Result<()>| done.map_err(DataDirError::io("make", path));
        for dir in [path.to_owned(), path.join(MODULES), path.join(LOG)] {
            made(&dir, create_dir_durably(&files, &dir))?;
        }
        let lock = lock(&files, path)?;
        // Somebody may have been faster between the first look and the lock.
        if exists(&files, path) {
            return Err(DataDirError::Exists { path: path.to_owned() });
        }
        let log = path.join(LOG);
        made(&log, FileLog::create(&files, &log, header))?;
        Ok(Self { files, path: path.to_owned(), lock: Some(lock) })
    }

    /// Opens a data directory for writing.
    ///
    /// # Errors
    ///
    /// When there is none, or another process has it open.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        Self::open_in(Arc::new(System), path)
    }

    /// As [`open`](Self::open), in any file system.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_in(files: SharedFileSystem, path: &Path) -> Result<Self, DataDirError> {
        check(&files, path)?;
        let lock = lock(&files, path)?;
        Ok(Self { files, path: path.to_owned(), lock: Some(lock) })
    }

    /// Locks a directory that is to become a data directory, for one who writes its
    /// log himself.
    ///
    /// # Errors
    ///
    /// When another process has it open.
    pub(crate) fn lock_unfinished(path: &Path) -> Result<Self, DataDirError> {
        let files: SharedFileSystem = Arc::new(System);
        let lock = lock(&files, path)?;
        Ok(Self { files, path: path.to_owned(), lock: Some(lock) })
    }

    /// Opens a data directory for reading. Takes no lock and writes nothing,
    /// so the directory may be on read-only media, or be in use: then what is
    /// read is what was written so far.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn open_read_only(path: &Path) -> Result<Self, DataDirError> {
        Self::open_read_only_in(Arc::new(System), path)
    }

    /// As [`open_read_only`](Self::open_read_only), in any file system.
    ///
    /// # Errors
    ///
    /// As [`open_read_only`](Self::open_read_only).
    pub fn open_read_only_in(files: SharedFileSystem, path: &Path) -> Result<Self, DataDirError> {
        check(&files, path)?;
        Ok(Self { files, path: path.to_owned(), lock: None })
    }

    /// Whether a data directory can be made at `path`, as far as can be told
    /// without making it.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub fn check_new(path: &Path) -> Result<(), DataDirError> {
        let files: SharedFileSystem = Arc::new(System);
        check_new(&files, path)
    }

    /// Whether there is a data directory at `path`.
    pub fn exists(path: &Path) -> bool {
        let files: SharedFileSystem = Arc::new(System);
        exists(&files, path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file system that it is in.
    pub fn files(&self) -> &SharedFileSystem {
        &self.files
    }

    /// Whether it is open for reading only.
    pub fn is_read_only(&self) -> bool {
        self.lock.is_none()
    }

    /// The directory of the log's segments.
    pub fn log_dir(&self) -> PathBuf {
        self.path.join(LOG)
    }

    /// The directory of its snapshots, which may not be there.
    pub fn snapshots_dir(&self) -> PathBuf {
        self.path.join(SNAPSHOTS)
    }

    /// The file that says how it is kept, which may not be there.
    pub fn config_path(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// How it is kept, by its file; the default if there is none.
    ///
    /// # Errors
    ///
    /// When there is one that cannot be read, or says what means nothing.
    pub fn config(&self) -> Result<PersistenceConfig, DataDirError> {
        let path = self.config_path();
        let bytes = match file_system::read(&*self.files, &path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(PersistenceConfig::default());
            }
            Err(error) => return Err(DataDirError::io("read", &path)(error)),
        };
        PersistenceConfig::parse(&String::from_utf8_lossy(&bytes)).map_err(|mut error| {
            error.path = Some(path);
            DataDirError::Config(error)
        })
    }

    /// Makes names durable that an earlier process may have left undone.
    ///
    /// # Errors
    ///
    /// When the medium fails.
    pub(crate) fn sync_names(&self) -> Result<(), DataDirError> {
        sync_names(&self.files, &self.path).map_err(DataDirError::io("sync", &self.path))
    }

    /// Removes what writers that were cut short have left.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub(crate) fn remove_unfinished(&self) -> Result<(), DataDirError> {
        [LOG, SNAPSHOTS, MODULES].iter().try_for_each(|folder| {
            let folder = self.path.join(folder);
            file_system::remove_unfinished(&*self.files, &folder)
                .map_err(DataDirError::io("remove unfinished files in", &folder))
        })
    }

    /// Where the file of the module with this content is, or would be.
    pub fn module_path(&self, hash: &ContentHash) -> PathBuf {
        self.path.join(MODULES).join(format!("{}.wasm", hex(hash)))
    }

    /// Keeps a module file. Durable when it returns.
    ///
    /// # Errors
    ///
    /// When the system refuses, or the directory is open for reading.
    pub fn store_module(&self, wasm: &[u8]) -> Result<ContentHash, DataDirError> {
        let hash = content_hash(wasm);
        let path = self.module_path(&hash);
        if self.is_read_only() {
            return Err(DataDirError::ReadOnly { path: self.path.clone() });
        }
        let files = &*self.files;
        // A file with this name is whole, but its name may not be durable yet.
        let stored = match file_system::read(files, &path).is_ok_and(|kept| kept == wasm) {
            true => files.sync_dir(&self.path.join(MODULES)),
            false => create_dir_durably(&self.files, &self.path.join(MODULES))
                .and_then(|()| file_system::write_new(files, &path, wasm)),
        };
        stored.map_err(DataDirError::io("write", &path))?;
        Ok(hash)
    }

    /// Reads the file of an installed module.
    ///
    /// # Errors
    ///
    /// When it is missing, or its content is not what its name says.
    pub fn load_module(&self, module: &str, hash: &ContentHash) -> Result<Vec<u8>, DataDirError> {
        let path = self.module_path(hash);
        let wasm = match file_system::read(&*self.files, &path) {
            Ok(wasm) => wasm,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(DataDirError::ModuleMissing { module: module.to_owned(), path });
            }
            Err(error) => return Err(DataDirError::io("read", &path)(error)),
        };
        match content_hash(&wasm) == *hash {
            true => Ok(wasm),
            false => Err(DataDirError::ModuleChanged { module: module.to_owned(), path }),
        }
    }
}

fn exists(files: &SharedFileSystem, path: &Path) -> bool {
    let holds = |folder, extension| match files.list(&path.join(folder)) {
        Ok(names) => names.iter().any(|name| name.ends_with(extension)),
        // There is something that cannot be seen, or not now.
        Err(error) => !file_system::is_absent(&error),
    };
    let begins = files.is_file(&beginning_path(&path.join(LOG)));
    begins || holds(LOG, ".log") || holds(SNAPSHOTS, ".snapshot")
}

fn check_new(files: &SharedFileSystem, path: &Path) -> Result<(), DataDirError> {
    if exists(files, path) {
        return Err(DataDirError::Exists { path: path.to_owned() });
    }
    if files.is_file(path) {
        return Err(DataDirError::NotDirectory { path: path.to_owned() });
    }
    match foreign_entry(files, path) {
        Some(entry) => Err(DataDirError::NotEmpty { path: path.to_owned(), entry }),
        None => Ok(()),
    }
}

fn check(files: &SharedFileSystem, path: &Path) -> Result<(), DataDirError> {
    match exists(files, path) {
        true => Ok(()),
        false => {
            let exists = files.is_dir(path) || files.is_file(path);
            Err(DataDirError::Missing { path: path.to_owned(), exists })
        }
    }
}

/// The first thing in the directory `path` that is not ours.
fn foreign_entry(files: &SharedFileSystem, path: &Path) -> Option<String> {
    let ours = [LOCK, CONFIG, LOG, SNAPSHOTS, MODULES];
    let names = files.list(path).unwrap_or_default();
    names.into_iter().find(|name| !ours.contains(&name.as_str()))
}

fn lock(files: &SharedFileSystem, path: &Path) -> Result<Lock, DataDirError> {
    let file = path.join(LOCK);
    let locked = || DataDirError::Locked { path: path.to_owned() };
    let file = files.lock(&file).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => locked(),
        _ => DataDirError::io("lock", &file)(error),
    })?;
    let directory = match files.lock(path) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(locked()),
        directory => directory.ok(),
    };
    Ok(Lock { _file: file, _directory: directory })
}

/// Makes a directory and those above it, durably.
fn create_dir_durably(files: &SharedFileSystem, dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|dir| !files.is_dir(dir)).collect();
    files.create_dir_all(dir)?;
    // One that is there may be the trace of a creation that was cut short.
    let parents = missing.into_iter().rev().chain([dir]).filter_map(Path::parent);
    parents.into_iter().try_for_each(|parent| files.sync_dir(parent))
}

/// Makes the names of a data directory and what is in it durable.
fn sync_names(files: &SharedFileSystem, path: &Path) -> io::Result<()> {
    files.sync_dir(path)?;
    path.parent().map_or(Ok(()), |parent| files.sync_dir(parent))
}

fn new_log_header() -> io::Result<LogHeader> {
    let mut random = [0; 24];
    getrandom::fill(&mut random).map_err(io::Error::from)?;
    let (mut log_id, mut seed) = ([0; 16], [0; 8]);
    log_id.copy_from_slice(&random[..16]);
    seed.copy_from_slice(&random[16..]);
    Ok(LogHeader { log_id, seed: u64::from_le_bytes(seed) })
}

#[cfg(test)]
mod tests;
