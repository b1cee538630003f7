//! Snapshots: states in files, so that start-up need not replay the whole log.
//!
//! ```text
//! DIR/00000000000000826551.snapshot   the state before commit 826551
//! ```
//!
//! Invariants:
//! - A snapshot gets its seal when its content is durable, and its name when
//!   its seal is; what has a name and does not verify is damaged.
//! - A damaged snapshot is reported and left aside, never read as data.
//! - What a snapshot holds is the business of `interstice_core`.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use interstice_core::{
    CommittedState, Limits, TxOffset,
    log::frame::{Chain, FrameKind, HeaderError, LogHeader, SNAPSHOT_HEADER_LEN, SnapshotHeader},
    snapshot::{SnapshotDecoder, SnapshotError},
};
use thiserror::Error;

use crate::{
    file_log::{FrameReader, position_name, position_of},
    file_system::{self, FileSystem, OpenMode, SharedFileSystem, StoredFile},
};

const EXTENSION: &str = ".snapshot";

/// Bytes of a state that share a block and its checksum.
const BLOCK_LEN: usize = 64 * 1024;

/// Why a snapshot is left aside.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The system could not read it.
    #[error("could not be read: {0}")]
    Io(#[from] io::Error),
    /// It does not begin like a snapshot.
    #[error("cannot be read: {0}")]
    Header(#[from] HeaderError),
    /// Its name is not its position.
    #[error("was renamed: it holds the state before commit {}", position.0)]
    Renamed {
        /// The position in it.
        position: TxOffset,
    },
    /// It belongs to another log.
    #[error("belongs to another log")]
    Foreign,
    /// A part of it does not verify.
    #[error("is damaged at byte {at}")]
    Damaged {
        /// Where the part begins.
        at: u64,
    },
    /// It ends before its seal.
    #[error("ends too early, at byte {at}: its seal is missing")]
    Unsealed {
        /// Where it ends.
        at: u64,
    },
    /// Something stands behind its seal.
    #[error("goes on behind its seal, at byte {at}")]
    BehindSeal {
        /// Where it begins.
        at: u64,
    },
    /// It verifies, but its content is no state.
    #[error("{0}")]
    Content(#[from] SnapshotError),
    /// The log is not the one that it was made of.
    #[error("is tied to no segment: none begins with commit {} as it says", position.0)]
    Unchained {
        /// Its position.
        position: TxOffset,
    },
}

/// A snapshot that was left aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSnapshot {
    /// Its file.
    pub path: PathBuf,
    /// What is wrong with it: a [`ReadError`] in words.
    pub why: String,
}

impl fmt::Display for BadSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the snapshot {} {}", self.path.display(), self.why)
    }
}

/// The file of the snapshot of the state before commit `position`.
pub fn snapshot_path(dir: &Path, position: TxOffset) -> PathBuf {
    dir.join(format!("{}{EXTENSION}", position_name(position)))
}

/// The positions of the snapshots in `dir`, oldest first. None when there is no
/// such directory.
///
/// # Errors
///
/// When the system refuses.
pub fn snapshots(files: &dyn FileSystem, dir: &Path) -> io::Result<Vec<TxOffset>> {
    match files.list(dir) {
        Ok(names) => Ok(names.iter().filter_map(|name| position_of(name, EXTENSION)).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Writes a snapshot of `state`, which is what the log has made up to `end`.
/// It is there whole and durable, or not at all. Returns its file.
///
/// # Errors
///
/// When the system refuses. Nothing is left that counts as a snapshot.
pub fn write(
    files: &SharedFileSystem,
    dir: &Path,
    log: LogHeader,
    end: Chain,
    state: &CommittedState,
) -> io::Result<PathBuf> {
    debug_assert_eq!(end.next_offset(), state.next_offset());
    files.create_dir_all(dir)?;
    if let Some(parent) = dir.parent() {
        files.sync_dir(parent)?;
    }
    let path = snapshot_path(dir, end.next_offset());
    let header = SnapshotHeader { log, end };
    file_system::create_whole(&**files, &path, |file| {
        let mut writer = Writer {
            file,
            chain: header.chain(),
            at: 0,
            block: Vec::new(),
            buffer: header.encode().to_vec(),
        };
        state.encode_snapshot(&mut |bytes| writer.push(bytes))?;
        writer.finish()
    })?;
    Ok(path)
}

/// Writes blocks, and a seal when they are durable.
struct Writer<'a> {
    file: &'a mut dyn StoredFile,
    chain: Chain,
    at: u64,
    block: Vec<u8>,
    buffer: Vec<u8>,
}

impl Writer<'_> {
    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.block.extend_from_slice(bytes);
        if self.block.len() < BLOCK_LEN {
            return Ok(());
        }
        self.end_block()
    }

    fn end_block(&mut self) -> io::Result<()> {
        if !self.block.is_empty() {
            self.chain.append_block(&self.block, &mut self.buffer);
            self.block.clear();
        }
        self.file.write_at(self.at, &self.buffer)?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.end_block()?;
        self.file.sync()?;
        self.chain.append_seal(&mut self.buffer);
        self.file.write_at(self.at, &self.buffer)
    }
}

/// Reads the snapshot at `path` of the log `log`. `progress` is told the bytes
/// read so far.
///
/// # Errors
///
/// When it is not good, with the reason.
pub fn read(
    files: &dyn FileSystem,
    path: &Path,
    log: LogHeader,
    limits: &Limits,
    progress: &mut dyn FnMut(u64),
) -> Result<(SnapshotHeader, CommittedState), ReadError> {
    let mut decoder = SnapshotDecoder::new(limits.clone());
    let header = read_blocks(files, path, log, |block, position| {
        decoder.push(block)?;
        progress(position);
        Ok(())
    })?;
    let state = decoder.finish_at(header.end.next_offset())?;
    if state.seed() != header.log.seed {
        return Err(ReadError::Unchained { position: state.next_offset() });
    }
    Ok((header, state))
}

/// Checks that the snapshot at `path` of the log `log` is whole, without looking
/// at what it holds.
///
/// # Errors
///
/// As [`read`], but for its content.
pub fn verify(
    files: &dyn FileSystem,
    path: &Path,
    log: LogHeader,
) -> Result<SnapshotHeader, ReadError> {
    read_blocks(files, path, log, |_, _| Ok(()))
}

/// Hands every block of a snapshot, and where the next one begins, to `each`.
fn read_blocks(
    files: &dyn FileSystem,
    path: &Path,
    log: LogHeader,
    mut each: impl FnMut(&[u8], u64) -> Result<(), ReadError>,
) -> Result<SnapshotHeader, ReadError> {
    let (header, mut frames) = open(files, path, log)?;
    loop {
        match frames.advance()? {
            Some(FrameKind::Seal) => break,
            Some(_) => {
                let position = frames.position();
                each(frames.frame().map_or(&[][..], |frame| frame.content), position)?;
            }
            None if frames.position() == frames.size() => {
                return Err(ReadError::Unsealed { at: frames.position() });
            }
            None => return Err(ReadError::Damaged { at: frames.position() }),
        }
    }
    match frames.position() < frames.size() {
        true => Err(ReadError::BehindSeal { at: frames.position() }),
        false => Ok(header),
    }
}

/// Reads the header of a snapshot.
pub(crate) fn read_header(
    files: &dyn FileSystem,
    path: &Path,
) -> Result<SnapshotHeader, ReadError> {
    let mut file = files.open(path, OpenMode::Read)?;
    let mut bytes = [0; SNAPSHOT_HEADER_LEN];
    let read = file.read_at(0, &mut bytes)?;
    Ok(SnapshotHeader::decode(bytes.get(..read).unwrap_or_default())?)
}

/// Opens a snapshot behind its header, which belongs to its name and its log.
fn open(
    files: &dyn FileSystem,
    path: &Path,
    log: LogHeader,
) -> Result<(SnapshotHeader, FrameReader), ReadError> {
    let header = read_header(files, path)?;
    let position = header.end.next_offset();
    let name = path.file_name().and_then(|name| name.to_str());
    if name.and_then(|name| position_of(name, EXTENSION)) != Some(position) {
        return Err(ReadError::Renamed { position });
    }
    if header.log != log {
        return Err(ReadError::Foreign);
    }
    let kinds = |kind| matches!(kind, FrameKind::Block | FrameKind::Seal);
    let file = files.open(path, OpenMode::Read)?;
    let frames = FrameReader::new(file, SNAPSHOT_HEADER_LEN as u64, header.chain(), kinds)?;
    Ok((header, frames))
}
