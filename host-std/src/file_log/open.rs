//! Finding out what a log's file holds.

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use interstice_core::{
    TxOffset,
    log::frame::{Chain, Frames, HeaderError, LogHeader, Tail},
};
use thiserror::Error;

use super::FileLog;

/// The end of a log that did not make it to the disk: an append that a crash
/// cut short. Nothing of it was ever acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// Where the torn bytes begin in the file.
    pub at: u64,
    /// How many there are.
    pub bytes: u64,
    /// The last commit before them, which is kept; `None` when there is none.
    pub last_commit: Option<TxOffset>,
}

/// Why a log cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogOpenError {
    /// The system could not read, or for a torn tail cut, the file.
    #[error("could not {action} the log {}: {source}", path.display())]
    Io {
        /// `open`, `read` or `cut the torn tail of`.
        action: &'static str,
        /// The log's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file does not begin like a log that this build reads.
    #[error("the log {} cannot be read: {source}", path.display())]
    Header {
        /// The log's file.
        path: PathBuf,
        /// What is wrong with its header.
        source: HeaderError,
    },
    /// Something in the middle of the log is damaged.
    #[error(
        "the log {} is damaged at byte {at}: commit {offset} does not verify, and a good commit \
         follows at byte {next_good}; nothing was changed. Restore the file from a copy",
        path.display()
    )]
    Damaged {
        /// The log's file.
        path: PathBuf,
        /// Where the damage begins in the file.
        at: u64,
        /// The commit that should be there.
        offset: TxOffset,
        /// Where the next good commit begins.
        next_good: u64,
    },
}

/// A log's bytes, checked: header, frames up to the last good one, and what
/// there is behind it.
#[derive(Debug)]
pub struct LogBytes {
    path: PathBuf,
    bytes: Vec<u8>,
    header: LogHeader,
}

impl LogBytes {
    /// Reads the file at `path`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or does not begin with a good header.
    pub fn read(path: &Path) -> Result<Self, LogOpenError> {
        let path = path.to_owned();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(LogOpenError::Io { action: "read", path, source }),
        };
        match LogHeader::decode(&bytes) {
            Ok(header) => Ok(Self { path, bytes, header }),
            Err(source) => Err(LogOpenError::Header { path, source }),
        }
    }

    /// The log's header.
    pub fn header(&self) -> LogHeader {
        self.header
    }

    /// Bytes of the file.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Always false: there is a header.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The commits, in order, up to the first bytes that are none.
    ///
    /// # Errors
    ///
    /// Never: the header was read already.
    pub fn frames(&self) -> Result<Frames<'_>, LogOpenError> {
        Frames::new(&self.bytes)
            .map_err(|source| LogOpenError::Header { path: self.path.clone(), source })
    }

    /// What there is behind the last good frame, once `frames` has come to it.
    ///
    /// # Errors
    ///
    /// When something good follows: then it is damage, with its place.
    pub fn end(&self, frames: &Frames<'_>) -> Result<Option<TornTail>, LogOpenError> {
        match frames.tail() {
            Tail::Clean => Ok(None),
            Tail::Torn { at, bytes } => {
                let last_commit = frames.end().next_offset().0.checked_sub(1).map(TxOffset);
                Ok(Some(TornTail { at: at as u64, bytes: bytes as u64, last_commit }))
            }
            Tail::Damaged { at, offset, next_good } => Err(LogOpenError::Damaged {
                path: self.path.clone(),
                at: at as u64,
                offset,
                next_good: next_good as u64,
            }),
        }
    }

    /// Continues the log behind its last good frame, which ends at `end` with
    /// this chain. A torn tail is cut off the file.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened for writing, or its tail not be cut.
    pub fn continue_log(&self, end: usize, chain: Chain) -> Result<FileLog, LogOpenError> {
        let failed = |action| {
            let path = self.path.clone();
            move |source| LogOpenError::Io { action, path, source }
        };
        let mut file = OpenOptions::new().write(true).open(&self.path).map_err(failed("open"))?;
        let len = end as u64;
        if end < self.bytes.len() {
            cut(&file, len).map_err(failed("cut the torn tail of"))?;
        }
        file.seek(SeekFrom::Start(len)).map_err(failed("open"))?;
        Ok(FileLog::new(self.path.clone(), Some(file), len, chain))
    }
}

fn cut(file: &File, len: u64) -> io::Result<()> {
    file.set_len(len)?;
    // Not `sync_data`: the new length has to be durable before anything is
    // appended behind it.
    file.sync_all()
}
