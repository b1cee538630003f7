//! The log in files: segments in a directory, one behind the other.
//!
//! ```text
//! append(commit) -> group -> frame -> buffer -> write -> sync -> acknowledged
//!                                                 |
//!                            segment full: sync, seal, sync, next segment
//! ```
//!
//! ```text
//! DIR/00000000000000000000.log    segment 0, sealed; named by its first commit
//! DIR/00000000000000413207.log    segment 1, sealed
//! DIR/00000000000000826551.log    the newest segment: where commits are appended
//! DIR/beginning                   which segment is the first, if not number 0
//! ```
//!
//! Invariants:
//! - Bytes are only ever added at the end of the newest segment. A log that was
//!   not closed goes on in a copy of that segment, without its torn tail.
//! - A segment is sealed, and the seal durable, before the next one is made.
//!   It gets its name when its header is durable.
//! - A frame says that everything before it is durable only if it is.
//! - After a failed write or sync nothing is known about what the files hold,
//!   so the log takes nothing more and acknowledges nothing more until it is
//!   opened again. There is no retry: a second sync may succeed and still have
//!   lost what the first one could not write.
//! - What a segment holds is the business of `interstice_core::log`.

use std::{
    io, mem,
    path::{Path, PathBuf},
};

use interstice_core::{
    TxOffset,
    log::{
        Log,
        frame::{Chain, FrameBuffer, HEADER_LEN, LogHeader, SegmentHeader},
    },
};
use thiserror::Error;

use crate::file_system::{self, OpenMode, SharedFileSystem, StoredFile};

mod beginning;
mod error;
mod frame_reader;
mod newest;
mod reader;
mod segments;

pub(crate) use beginning::{beginning_path, check_first, write_beginning};
pub use error::{LogError, SegmentFault};
pub use frame_reader::FrameReader;
pub use reader::{LogEnd, LogReader, TornTail};
pub use segments::{SegmentFile, inspect_segments, segment_path, segments};
pub(crate) use segments::{header_of, list_or_none, position_name, position_of};

use newest::{Ahead, Newest};

/// Bytes of encoded frames that wait in memory before they are handed to the
/// system.
const BUFFER_LEN: usize = 256 * 1024;

/// Bytes of commits that share a frame at the most, a larger commit excepted.
/// What is damaged is lost by the frame.
const GROUP_LEN: usize = 16 * 1024;

/// An append-only log in segments.
#[derive(Debug)]
pub struct FileLog {
    files: SharedFileSystem,
    dir: PathBuf,
    newest: Newest,
    segment_bytes: u64,
    /// The end of everything encoded so far.
    chain: Chain,
    /// Whether all of that is durable.
    is_durable: bool,
    /// Frames that were not handed to the system yet, and commits that will
    /// share the next one.
    buffer: FrameBuffer,
    /// Position behind the last of those commits.
    next: TxOffset,
    /// Bytes of all segments, what waits in memory left out.
    written_len: u64,
    /// Bytes of them that are durable.
    synced_len: u64,
    /// Bytes of all segments when the log was opened.
    opened_len: u64,
    /// What the system said when it refused something: the log takes nothing more.
    refusal: Option<String>,
}

/// Why the log takes no more.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileLogError {
    /// The system could not write or sync a segment.
    #[error(
        "could not {action} the log {}: {source}; nothing is acknowledged any more, reopen the data directory",
        path.display()
    )]
    Io {
        /// `write`, `sync`, or `begin a new segment of`.
        action: &'static str,
        /// The log's directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier write or sync has failed.
    #[error(
        "an earlier write to the log {} has failed: {why}; reopen the data directory",
        path.display()
    )]
    Poisoned {
        /// The log's directory.
        path: PathBuf,
        /// What the system said then.
        why: String,
    },
    /// The log was opened for reading only.
    #[error("the log {} is open for reading only", path.display())]
    ReadOnly {
        /// The log's directory.
        path: PathBuf,
    },
}

impl FileLog {
    /// Writes the first segment of a new, empty log: whole and durable, or not
    /// at all.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn create(files: &SharedFileSystem, dir: &Path, header: LogHeader) -> io::Result<()> {
        let segment = header.first_segment();
        let path = segment_path(dir, segment.first);
        match files.open(&path, OpenMode::Read) {
            Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if file_system::is_absent(&error) => {}
            Err(error) => return Err(error),
        }
        file_system::write_new(&**files, &path, &segment.encode())
    }

    /// Continues the log in `dir` behind `end`, which a [`LogReader`] has found.
    /// Segments are closed when they reach `segment_bytes`.
    ///
    /// If the log was not closed, what its newest segment holds is made durable
    /// by a copy in its place, without the torn tail.
    ///
    /// # Errors
    ///
    /// When the system refuses, or the medium fails.
    pub fn open(
        files: &SharedFileSystem,
        dir: &Path,
        end: &LogEnd,
        segment_bytes: u64,
    ) -> Result<Self, LogError> {
        let path = &end.newest.path;
        let file = match end.is_marked {
            true => files.open(path, OpenMode::Write).map_err(LogError::io("open", path))?,
            false => copy(files, end).map_err(LogError::io("copy", path))?,
        };
        let size = if end.is_marked { end.newest.len } else { end.at };
        let newest = match end.is_sealed {
            true => Newest::Missing { header: end.next_segment() },
            false => Newest::Open { file, header: end.newest.header, len: end.at, size },
        };
        let mut log = Self::new(files, dir, newest, end, segment_bytes);
        log.is_durable = !end.is_marked;
        Ok(log)
    }

    /// The log in `dir` up to `end`, which refuses every append.
    pub fn read_only(files: &SharedFileSystem, dir: &Path, end: &LogEnd) -> Self {
        Self::new(files, dir, Newest::ReadOnly, end, u64::MAX)
    }

    fn new(
        files: &SharedFileSystem,
        dir: &Path,
        newest: Newest,
        end: &LogEnd,
        segment_bytes: u64,
    ) -> Self {
        Self {
            files: files.clone(),
            dir: dir.to_owned(),
            newest,
            segment_bytes,
            is_durable: false,
            chain: end.chain,
            buffer: FrameBuffer::default(),
            next: end.chain.next_offset(),
            written_len: end.len,
            synced_len: end.len,
            opened_len: end.len,
            refusal: None,
        }
    }

    /// The directory of its segments.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Bytes of all its segments, and of what waits in memory.
    pub fn len(&self) -> u64 {
        self.written_len + self.waiting_len()
    }

    /// Bytes that wait in memory.
    fn waiting_len(&self) -> u64 {
        (self.buffer.closed().len() + self.buffer.open_len()) as u64
    }

    /// Whether the log holds no commit.
    pub fn is_empty(&self) -> bool {
        self.next == TxOffset(0)
    }

    /// Bytes appended since the last sync.
    pub fn unsynced_len(&self) -> u64 {
        self.len() - self.synced_len
    }

    /// Whether a write or sync has failed, so that the log takes nothing more.
    pub fn is_poisoned(&self) -> bool {
        self.refusal.is_some()
    }

    /// Makes everything appended durable and begins a new segment, unless the
    /// newest has no commit yet. Returns the chain at its beginning, where a
    /// snapshot can be tied to the log.
    ///
    /// # Errors
    ///
    /// When the system refuses; the log takes nothing more from then on.
    pub fn begin_new_segment(&mut self) -> Result<Chain, FileLogError> {
        self.write()?;
        if let Newest::Open { header, .. } = self.newest
            && header.first != self.next
        {
            self.seal()?;
        }
        self.make_segment()?;
        // Behind the header of a segment without commits may be a mark, which
        // a snapshot is not tied to.
        match self.newest {
            Newest::Open { header, .. } => Ok(header.chain()),
            _ => Ok(self.chain),
        }
    }

    /// Hands everything appended to the system, without waiting for the disk:
    /// it survives the end of the process, not that of the system.
    ///
    /// # Errors
    ///
    /// When the system refuses; the log takes nothing more from then on.
    pub fn write(&mut self) -> Result<(), FileLogError> {
        self.check_writable()?;
        self.close_group()?;
        self.write_buffer()
    }

    fn check_writable(&self) -> Result<(), FileLogError> {
        let path = || self.dir.clone();
        match (&self.newest, &self.refusal) {
            (Newest::ReadOnly, _) => Err(FileLogError::ReadOnly { path: path() }),
            (_, Some(why)) => Err(FileLogError::Poisoned { path: path(), why: why.clone() }),
            _ => Ok(()),
        }
    }

    /// Encodes the commits that wait as a frame.
    fn close_group(&mut self) -> Result<(), FileLogError> {
        if self.buffer.open_len() == 0 {
            return Ok(());
        }
        self.make_room()?;
        self.buffer.close(&mut self.chain, self.is_durable);
        self.is_durable = false;
        Ok(())
    }

    /// Sees to it that there is a segment for the next frame.
    fn make_room(&mut self) -> Result<(), FileLogError> {
        if let Newest::Open { header, len, .. } = &self.newest {
            let is_empty = header.first == self.chain.next_offset();
            if is_empty || len + self.waiting_len() <= self.segment_bytes {
                return Ok(());
            }
            self.seal()?;
        }
        self.make_segment()
    }

    /// Makes the newest segment, if it is missing.
    fn make_segment(&mut self) -> Result<(), FileLogError> {
        let Newest::Missing { header } = self.newest else { return Ok(()) };
        let begun = self.begin_segment(header);
        self.newest = self.or_poison("begin a new segment of", begun)?;
        self.chain = header.chain();
        self.is_durable = true;
        self.written_len += HEADER_LEN as u64;
        self.synced_len = self.written_len;
        Ok(())
    }

    /// Ends the newest segment. Everything in it is durable then.
    fn seal(&mut self) -> Result<(), FileLogError> {
        let Newest::Open { header, .. } = self.newest else { return Ok(()) };
        // A seal says that what is before it is durable.
        self.write_buffer()?;
        self.sync_file()?;
        let mut seal = Vec::new();
        self.chain.append_seal(&mut seal);
        self.write_frames(&seal)?;
        let shrunk = self.newest.shrink();
        self.or_poison("write", shrunk)?;
        self.sync_file()?;
        let (first, previous) = (self.chain.next_offset(), self.chain.checksum());
        let header = SegmentHeader { log: header.log, number: header.number + 1, first, previous };
        self.newest = Newest::Missing { header };
        Ok(())
    }

    fn begin_segment(&self, header: SegmentHeader) -> io::Result<Newest> {
        let path = segment_path(&self.dir, header.first);
        let file = file_system::create_whole(&*self.files, &path, |file| {
            file.write_at(0, &header.encode())
        })?;
        let len = HEADER_LEN as u64;
        Ok(Newest::Open { file, header, len, size: len })
    }

    fn write_buffer(&mut self) -> Result<(), FileLogError> {
        if self.buffer.closed().is_empty() {
            return Ok(());
        }
        let mut buffer = mem::take(&mut self.buffer);
        let written = self.write_frames(buffer.closed());
        buffer.clear_closed();
        self.buffer = buffer;
        written
    }

    fn write_frames(&mut self, frames: &[u8]) -> Result<(), FileLogError> {
        let written_len = self.written_len + frames.len() as u64;
        let ahead = Ahead::of(self.written_len - self.opened_len, written_len - self.synced_len);
        let written = self.newest.append(frames, ahead, self.segment_bytes);
        self.written_len = written_len;
        self.or_poison("write", written)
    }

    fn sync_file(&mut self) -> Result<(), FileLogError> {
        let Newest::Open { file, .. } = &mut self.newest else { return Ok(()) };
        let synced = file.sync();
        self.or_poison("sync", synced)?;
        self.synced_len = self.written_len;
        self.is_durable = true;
        Ok(())
    }

    fn or_poison<T>(
        &mut self,
        action: &'static str,
        done: io::Result<T>,
    ) -> Result<T, FileLogError> {
        done.map_err(|source| {
            self.refusal = Some(source.to_string());
            FileLogError::Io { action, path: self.dir.clone(), source }
        })
    }
}

/// Puts a durable copy of the newest segment, up to its last good frame, in its
/// place.
///
/// What an earlier process wrote need not be durable, although it can be read:
/// a sync may have failed, and no later one would write it. To write it again
/// in place could tear what is durable. A copy does neither.
fn copy(files: &SharedFileSystem, end: &LogEnd) -> io::Result<Box<dyn StoredFile>> {
    let path = &end.newest.path;
    let mut from = files.open(path, OpenMode::Read)?;
    file_system::create_whole(&**files, path, |to| {
        let mut bytes = vec![0; BUFFER_LEN];
        let mut at = 0;
        while at < end.at {
            let wanted = usize::try_from(end.at - at).unwrap_or(BUFFER_LEN).min(BUFFER_LEN);
            let read = from.read_at(at, &mut bytes[..wanted])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            to.write_at(at, &bytes[..read])?;
            at += read as u64;
        }
        Ok(())
    })
}

impl Drop for FileLog {
    /// Marks the end of a log that is durable, so that damage in its last
    /// commits cannot be taken for a write that was cut short. The mark itself
    /// need not survive a crash, so nothing is waited for, and a log without
    /// one has lost nothing.
    fn drop(&mut self) {
        let is_durable = self.is_durable && self.buffer.open_len() == 0 && !self.is_poisoned();
        let is_changed = self.written_len > self.opened_len;
        if is_changed && is_durable && matches!(self.newest, Newest::Open { .. }) {
            let mut mark = Vec::new();
            self.chain.append_mark(&mut mark);
            let _ = self.write_frames(&mark).map(|()| self.newest.shrink());
        }
    }
}

impl Log for FileLog {
    type Error = FileLogError;

    fn append(&mut self, offset: TxOffset, commit: &[u8]) -> Result<(), FileLogError> {
        self.check_writable()?;
        assert_eq!(offset, self.next, "commits come in order");
        if self.buffer.open_len() + commit.len() > GROUP_LEN {
            self.close_group()?;
            if self.buffer.closed().len() >= BUFFER_LEN {
                self.write_buffer()?;
            }
        }
        self.buffer.push(commit);
        self.next = offset.next();
        Ok(())
    }

    fn sync(&mut self) -> Result<(), FileLogError> {
        if self.unsynced_len() == 0 && !self.is_poisoned() {
            return Ok(());
        }
        self.write()?;
        self.sync_file()
    }
}

#[cfg(test)]
mod tests;
