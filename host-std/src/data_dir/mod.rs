//! A data directory: one log, the modules it installed, a lock.
//!
//! ```text
//! DIR/interstice.lock              held by the process that may write
//! DIR/log/00000000000000000000.log the log; named by its first commit
//! DIR/modules/<sha256>.wasm        module files by content
//! ```
//!
//! Invariants:
//! - A directory with a log is a data directory. Everything else is made
//!   before the log, so a creation that was cut short can be repeated.
//! - A file appears under its name whole and synced, or not at all.
//! - A module file is there, and durable, before the log says it is installed.
//! - Opening a directory and closing it again changes no byte of it, except
//!   that a torn tail is cut.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use interstice_core::log::frame::LogHeader;
use sha2::{Digest, Sha256};

mod error;

pub use error::DataDirError;

use crate::{file_log::FileLog, text::hex};

const LOCK: &str = "interstice.lock";
const LOG: &str = "log";
const MODULES: &str = "modules";

/// The log's file: its name is the first commit in it.
const LOG_FILE: &str = "00000000000000000000.log";

/// SHA-256 of a module file.
pub type ContentHash = [u8; 32];

/// The content hash of a module file.
pub fn content_hash(wasm: &[u8]) -> ContentHash {
    Sha256::digest(wasm).into()
}

/// An open data directory. While it is open for writing, no other process can
/// open it so.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Held until it is dropped. `None` when the directory is open for reading.
    lock: Option<File>,
}

impl DataDir {
    /// Makes a data directory with an empty log, and opens it.
    ///
    /// `path` may not exist yet, or be an empty directory, or one whose
    /// creation was cut short.
    ///
    /// # Errors
    ///
    /// When there is something at `path` already, or the system refuses.
    pub fn create(path: &Path) -> Result<Self, DataDirError> {
        if Self::exists(path) {
            return Err(DataDirError::Exists { path: path.to_owned() });
        }
        if path.exists() && !path.is_dir() {
            return Err(DataDirError::NotDirectory { path: path.to_owned() });
        }
        if let Some(entry) = foreign_entry(path) {
            return Err(DataDirError::NotEmpty { path: path.to_owned(), entry });
        }
        let made = |path: &Path, done: io::Result<()>| done.map_err(DataDirError::io("make", path));
        for dir in [path.to_owned(), path.join(MODULES), path.join(LOG)] {
            made(&dir, fs::create_dir_all(&dir))?;
        }
        let lock = lock(path)?;
        let log = path.join(LOG).join(LOG_FILE);
        // Somebody may have been faster between the first look and the lock.
        if Self::exists(path) {
            return Err(DataDirError::Exists { path: path.to_owned() });
        }
        made(path, sync_dir(path))?;
        let header = new_log_header().map_err(DataDirError::io("make", &log))?;
        made(&log, FileLog::create(&log, header))?;
        if let Some(parent) = path.parent() {
            made(path, sync_dir(parent))?;
        }
        Ok(Self { path: path.to_owned(), lock: Some(lock) })
    }

    /// Opens a data directory for writing.
    ///
    /// # Errors
    ///
    /// When there is none, or another process has it open.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        Self::check(path)?;
        let lock = lock(path)?;
        Ok(Self { path: path.to_owned(), lock: Some(lock) })
    }

    /// Opens a data directory for reading. Takes no lock and writes nothing,
    /// so the directory may be on read-only media, or be in use: then what is
    /// read is what was written so far.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn open_read_only(path: &Path) -> Result<Self, DataDirError> {
        Self::check(path)?;
        Ok(Self { path: path.to_owned(), lock: None })
    }

    /// Whether there is a data directory at `path`.
    pub fn exists(path: &Path) -> bool {
        path.join(LOG).join(LOG_FILE).is_file()
    }

    fn check(path: &Path) -> Result<(), DataDirError> {
        match Self::exists(path) {
            true => Ok(()),
            false => Err(DataDirError::Missing { path: path.to_owned(), exists: path.exists() }),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is open for reading only.
    pub fn is_read_only(&self) -> bool {
        self.lock.is_none()
    }

    /// The log's file.
    pub fn log_path(&self) -> PathBuf {
        self.path.join(LOG).join(LOG_FILE)
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
        if fs::read(&path).is_ok_and(|kept| kept == wasm) {
            return Ok(hash);
        }
        write_new_file(&path, wasm).map_err(DataDirError::io("write", &path))?;
        Ok(hash)
    }

    /// Reads the file of an installed module.
    ///
    /// # Errors
    ///
    /// When it is missing, or its content is not what its name says.
    pub fn load_module(&self, module: &str, hash: &ContentHash) -> Result<Vec<u8>, DataDirError> {
        let path = self.module_path(hash);
        let wasm = match fs::read(&path) {
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

/// The first thing in the directory `path` that is not ours.
fn foreign_entry(path: &Path) -> Option<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| ![LOCK, LOG, MODULES].contains(&name.as_str()))
        .collect();
    names.sort();
    names.into_iter().next()
}

fn lock(path: &Path) -> Result<File, DataDirError> {
    let path_of_lock = path.join(LOCK);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path_of_lock)
        .map_err(DataDirError::io("open", &path_of_lock))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DataDirError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(DataDirError::io("lock", &path_of_lock)(error)),
    }
}

fn new_log_header() -> io::Result<LogHeader> {
    let mut random = [0; 24];
    getrandom::fill(&mut random).map_err(io::Error::from)?;
    let (mut log_id, mut seed) = ([0; 16], [0; 8]);
    log_id.copy_from_slice(&random[..16]);
    seed.copy_from_slice(&random[16..]);
    Ok(LogHeader { log_id, seed: u64::from_le_bytes(seed) })
}

/// Writes a file so that it is there whole and durable, or not at all: beside
/// its place, synced, renamed, and the directory synced.
pub(crate) fn write_new_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

fn sync_dir(path: &Path) -> io::Result<()> {
    // `File::open` of a directory, and syncing it, is a Unix matter; elsewhere
    // the rename is all there is.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests;
