//! The log in a file: a header and frames, nothing else.
//!
//! ```text
//! append(commit) -> buffer -> write -> sync -> acknowledged
//! ```
//!
//! Invariants:
//! - Bytes are only ever added at the end of the file; the one exception is a
//!   torn tail, which is cut when the log is opened for writing.
//! - After a failed write or sync nothing is known about what the file holds,
//!   so the log takes nothing more and acknowledges nothing more until it is
//!   opened again. There is no retry: a second sync may succeed and still have
//!   lost what the first one could not write.
//! - What a frame holds is the business of `interstice_core::log`.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use interstice_core::{
    TxOffset,
    log::{
        Log,
        frame::{Chain, LogHeader},
    },
};
use thiserror::Error;

mod open;

pub use open::{LogBytes, LogOpenError, TornTail};

/// Bytes that wait in memory before they are handed to the system.
const BUFFER_LEN: usize = 256 * 1024;

/// An append-only log in one file.
#[derive(Debug)]
pub struct FileLog {
    path: PathBuf,
    /// `None` when the log is open for reading only.
    file: Option<File>,
    chain: Chain,
    buffer: Vec<u8>,
    /// Bytes of the file that a sync has covered.
    synced_len: u64,
    /// Bytes handed over since then, whether written or still in the buffer.
    unsynced_len: u64,
    poisoned: bool,
}

/// Why the log takes no more.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileLogError {
    /// The system could not write or sync the file.
    #[error(
        "could not {action} the log {}: {source}; nothing is acknowledged any more, reopen the data directory",
        path.display()
    )]
    Io {
        /// `write` or `sync`.
        action: &'static str,
        /// The log's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier write or sync failed.
    #[error(
        "the log {} takes nothing after a failed write or sync; reopen the data directory",
        path.display()
    )]
    Poisoned {
        /// The log's file.
        path: PathBuf,
    },
    /// The log was opened for reading only.
    #[error("the log {} is open for reading only", path.display())]
    ReadOnly {
        /// The log's file.
        path: PathBuf,
    },
}

impl FileLog {
    /// Writes a new, empty log: whole and synced, or not at all.
    pub(crate) fn create(path: &Path, header: LogHeader) -> io::Result<()> {
        crate::data_dir::write_new_file(path, &header.encode())
    }

    /// The log at `path`, which refuses every append.
    pub(crate) fn read_only(path: PathBuf, len: u64, chain: Chain) -> Self {
        Self::new(path, None, len, chain)
    }

    fn new(path: PathBuf, file: Option<File>, len: u64, chain: Chain) -> Self {
        let buffer = Vec::new();
        Self { path, file, chain, buffer, synced_len: len, unsynced_len: 0, poisoned: false }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the log, those not yet synced included.
    pub fn len(&self) -> u64 {
        self.synced_len + self.unsynced_len
    }

    /// Whether the log holds no commit.
    pub fn is_empty(&self) -> bool {
        self.chain.next_offset() == TxOffset(0)
    }

    /// Bytes appended since the last sync.
    pub fn unsynced_len(&self) -> u64 {
        self.unsynced_len
    }

    /// Whether a write or sync has failed, so that the log takes nothing more.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// The file to write to, unless there is none or nothing is known about it.
    fn writable(&mut self) -> Result<&mut File, FileLogError> {
        let path = || self.path.clone();
        match &mut self.file {
            None => Err(FileLogError::ReadOnly { path: path() }),
            Some(_) if self.poisoned => Err(FileLogError::Poisoned { path: path() }),
            Some(file) => Ok(file),
        }
    }

    fn write_buffer(&mut self) -> Result<(), FileLogError> {
        let buffer = std::mem::take(&mut self.buffer);
        let written = self.writable()?.write_all(&buffer);
        self.buffer = buffer;
        self.buffer.clear();
        self.or_poison("write", written)
    }

    fn or_poison(
        &mut self,
        action: &'static str,
        done: io::Result<()>,
    ) -> Result<(), FileLogError> {
        done.map_err(|source| {
            self.poisoned = true;
            FileLogError::Io { action, path: self.path.clone(), source }
        })
    }
}

impl Log for FileLog {
    type Error = FileLogError;

    fn append(&mut self, offset: TxOffset, commit: &[u8]) -> Result<(), FileLogError> {
        self.writable()?;
        debug_assert_eq!(offset, self.chain.next_offset());
        let before = self.buffer.len();
        self.chain.append(commit, &mut self.buffer);
        self.unsynced_len += (self.buffer.len() - before) as u64;
        if self.buffer.len() >= BUFFER_LEN {
            self.write_buffer()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), FileLogError> {
        if self.unsynced_len == 0 && !self.poisoned {
            return Ok(());
        }
        self.write_buffer()?;
        let synced = self.writable()?.sync_data();
        self.or_poison("sync", synced)?;
        self.synced_len += self.unsynced_len;
        self.unsynced_len = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
