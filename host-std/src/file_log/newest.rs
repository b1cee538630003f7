//! The segment that commits are appended to, and how its file grows.
//!
//! ```text
//! +--------+--------------------------+-----------------+
//! | header | frames                   | zeros           |
//! +--------+--------------------------+-----------------+
//!                                    len               size
//! ```
//!
//! A sync has to wait for the file system's journal too when the file's length
//! has changed, or bytes were written where the disk had no block. Both are had
//! for many syncs at once by making the file longer than what it holds. Zeros
//! that are written ahead have blocks; that costs writing the bytes twice,
//! which pays as long as there is little to write for each sync.

use std::io;

use interstice_core::log::frame::SegmentHeader;

use crate::file_system::StoredFile;

/// Bytes by which a file is made longer than what it holds.
const GROWTH: u64 = 1 << 20;

/// Bytes that are written before files are made longer, so that a process which
/// makes a call or two does not.
const GROWTH_FROM: u64 = 64 << 10;

/// Bytes to sync up to which zeros are written ahead. On ext4, syncs of 6 to 32
/// KiB then take two thirds of the time; from 100 KiB on they take as long.
const ZEROS_UP_TO: u64 = 32 << 10;

/// The segment that commits are appended to.
#[derive(Debug)]
pub(super) enum Newest {
    /// The log is open for reading only.
    ReadOnly,
    /// A file, the bytes of it that hold something, and all its bytes.
    Open { file: Box<dyn StoredFile>, header: SegmentHeader, len: u64, size: u64 },
    /// The last one is sealed; this one is yet to be made.
    Missing { header: SegmentHeader },
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// How a file grows when something is written at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ahead {
    /// By what is written.
    Nothing,
    /// Its length is set ahead.
    Length,
    /// It has zeros ahead.
    Zeros,
}

impl Ahead {
    /// For a process that has written so many bytes before, when so many are
    /// not synced.
    pub(super) fn of(written: u64, unsynced: u64) -> Self {
        match written >= GROWTH_FROM {
            true if unsynced <= ZEROS_UP_TO => Self::Zeros,
            true => Self::Length,
            false => Self::Nothing,
        }
    }
}

impl Newest {
    /// Writes behind what the file holds. Where the file has no room for it, it
    /// grows: by what is written, and ahead up to `limit` bytes.
    pub(super) fn append(&mut self, bytes: &[u8], ahead: Ahead, limit: u64) -> io::Result<()> {
        let Self::Open { file, len, size, .. } = self else { return Ok(()) };
        let start = *len;
        let end = start + bytes.len() as u64;
        let grown = (end + GROWTH).min(limit);
        let grows = end > *size && grown > end;
        if grows && ahead == Ahead::Length {
            match file.set_len(grown) {
                Err(error) if is_full(&error) => {}
                set => {
                    set?;
                    *size = grown;
                }
            }
        }
        file.write_at(start, bytes)?;
        *len = end;
        *size = (*size).max(end);
        if grows && ahead == Ahead::Zeros {
            // At most GROWTH. What is written fitted: a disk that has no room for
            // more takes nothing from it.
            match file.write_at(end, &vec![0; (grown - end) as usize]) {
                Err(error) if is_full(&error) => {}
                written => written?,
            }
            *size = grown;
        }
        Ok(())
    }

    /// Makes the file as long as what it holds.
    pub(super) fn shrink(&mut self) -> io::Result<()> {
        let Self::Open { file, len, size, .. } = self else { return Ok(()) };
        if size > len {
            file.set_len(*len)?;
            *size = *len;
        }
        Ok(())
    }
}
