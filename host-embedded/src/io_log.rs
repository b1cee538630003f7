//! The log on anything that reads, writes and seeks: SD cards, FRAM, EEPROM,
//! files.
//!
//! It is one segment in the [format of logs in files](interstice_core::log), so a
//! card with it is read on a desk as it is: as the first file of a data
//! directory's `log`.
//!
//! # What it promises, and on which medium
//!
//! A commit is acknowledged when [`sync`](Log::sync) has returned, which flushes the
//! medium. Then it survives, as far as a flushed medium keeps what it was given: FRAM
//! and EEPROM do; SD cards and files do, unless the card or the system lies about its
//! cache. What was appended since the last sync may be there after a power cut, or
//! not, in any part; that is found, reported and overwritten. What does not verify
//! although something behind it was written when it was durable is damage, and refused.
//!
//! There are no snapshots: the medium holds the whole history, and a full one takes
//! nothing more. For a log that never fills there is
//! [`FlashLog`](crate::FlashLog).

use alloc::vec::Vec;
use core::{convert::Infallible, error::Error, fmt};

use embedded_io::{ErrorKind, Read, Seek, SeekFrom, Write};
use interstice_core::{
    TxOffset,
    log::{
        Log,
        frame::{
            Chain, FrameKind, HEADER_LEN, HeaderError, LogHeader, Read as Found, SegmentHeader,
            Tail,
        },
    },
};

use crate::memory::{extend, extend_zeros};

/// Bytes that are read at once.
const CHUNK: usize = 256;

/// A log on a medium. It fills the medium from byte 0 up to a capacity.
pub struct IoLog<T> {
    io: T,
    header: LogHeader,
    chain: Chain,
    /// Where the next frame goes.
    end: u64,
    capacity: u64,
    frame: Vec<u8>,
    /// Everything that was written is flushed.
    is_synced: bool,
    has_failed: bool,
}

/// What opening a log has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Opened {
    /// Commits.
    pub commits: u64,
    /// Bytes that were being written when power went. They are overwritten.
    pub torn_bytes: u64,
}

/// Why a log is not opened, or does not take a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IoLogError<E = Infallible> {
    /// The medium failed. The log takes nothing more until it is opened again.
    Io(ErrorKind),
    /// An earlier operation failed: open the log again.
    Failed,
    /// The medium is full. Nothing of the commit was written.
    Full,
    /// The medium does not begin with a log.
    Header(HeaderError),
    /// The log was sealed: it goes on elsewhere.
    Sealed,
    /// Bytes do not verify although they had been durable.
    Damaged {
        /// The first of them.
        at: u64,
        /// The first commit that should be there.
        offset: TxOffset,
    },
    /// The memory for a frame could not be allocated.
    Memory,
    /// The commit is not the next one.
    Position {
        /// The position of the next one.
        next: TxOffset,
    },
    /// A commit was refused by the one it is for.
    Refused(E),
}

impl<E: fmt::Display> fmt::Display for IoLogError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(kind) => write!(f, "the medium failed: {kind:?}"),
            Self::Failed => f.write_str("an earlier operation failed: open the log again"),
            Self::Full => f.write_str("the medium is full"),
            Self::Header(error) => error.fmt(f),
            Self::Sealed => f.write_str("the log was sealed: it goes on elsewhere"),
            Self::Damaged { at, offset } => {
                write!(f, "damaged at byte {at}, where commit {offset} should be")
            }
            Self::Memory => f.write_str("not enough memory for a frame"),
            Self::Position { next } => write!(f, "the next commit is {next}"),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl<E: Error> Error for IoLogError<E> {}

impl<E: Error> embedded_io::Error for IoLogError<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Io(kind) => *kind,
            Self::Full | Self::Memory => ErrorKind::OutOfMemory,
            Self::Header(_) | Self::Damaged { .. } => ErrorKind::InvalidData,
            Self::Sealed => ErrorKind::Unsupported,
            Self::Position { .. } => ErrorKind::InvalidInput,
            Self::Failed | Self::Refused(_) => ErrorKind::Other,
        }
    }
}

fn io<E, R>(error: E) -> IoLogError<R>
where
    E: embedded_io::Error,
{
    IoLogError::Io(error.kind())
}

impl<T: Read + Write + Seek> IoLog<T> {
    /// Makes a log. The medium is filled with zeros up to its capacity in bytes;
    /// with `None` it grows with the log, as a file does, and is to be empty.
    ///
    /// # Errors
    ///
    /// When the medium fails, or is too small for a header.
    pub fn create(
        mut medium: T,
        log: LogHeader,
        capacity: Option<u64>,
    ) -> Result<Self, IoLogError> {
        let header = log.first_segment();
        let size = capacity.unwrap_or(u64::MAX);
        if size < HEADER_LEN as u64 {
            return Err(IoLogError::Full);
        }
        // The header comes last: before it there is no log.
        medium.seek(SeekFrom::Start(0)).map_err(io)?;
        write_zeros(&mut medium, capacity.unwrap_or(HEADER_LEN as u64))?;
        medium.flush().map_err(io)?;
        medium.seek(SeekFrom::Start(0)).map_err(io)?;
        write_all(&mut medium, &header.encode())?;
        medium.flush().map_err(io)?;
        Ok(Self::at_end(medium, &header, header.chain(), HEADER_LEN as u64, size))
    }

    fn at_end(io: T, header: &SegmentHeader, chain: Chain, end: u64, capacity: u64) -> Self {
        Self {
            io,
            header: header.log,
            chain,
            end,
            capacity,
            frame: Vec::new(),
            is_synced: true,
            has_failed: false,
        }
    }

    /// Opens a log and hands its commits to `visit`, in order. It needs memory
    /// for the largest frame; after a power cut, or where something is damaged, for
    /// everything from there to the last byte that is not zero.
    ///
    /// # Errors
    ///
    /// See [`IoLogError`].
    pub fn open<E>(
        mut medium: T,
        capacity: Option<u64>,
        visit: &mut impl FnMut(TxOffset, &[u8]) -> Result<(), E>,
    ) -> Result<(Self, Opened), IoLogError<E>> {
        let len = medium.seek(SeekFrom::End(0)).map_err(io)?;
        let len = capacity.map_or(len, |capacity| len.min(capacity));
        medium.seek(SeekFrom::Start(0)).map_err(io)?;
        let mut window = Window { io: &mut medium, bytes: Vec::new(), left: len };
        window.fill(HEADER_LEN)?;
        let header = SegmentHeader::decode(&window.bytes).map_err(IoLogError::Header)?;
        window.pass(HEADER_LEN);
        let mut opened = Opened::default();
        let (mut chain, mut end) = (header.chain(), HEADER_LEN as u64);
        loop {
            window.fill(CHUNK)?;
            let before = chain;
            let frame = match chain.read(&window.bytes) {
                Found::Frame(frame) => frame,
                Found::Incomplete { len } if len <= window.reach() => {
                    window.fill(len as usize)?;
                    continue;
                }
                _ => {
                    chain = before;
                    break;
                }
            };
            if frame.kind == FrameKind::Seal {
                return Err(IoLogError::Sealed);
            }
            for (offset, commit) in frame.commits() {
                visit(offset, commit).map_err(IoLogError::Refused)?;
                opened.commits += 1;
            }
            end += frame.len as u64;
            let len = frame.len;
            window.pass(len);
        }
        opened.torn_bytes = window.torn_bytes(chain, end)?;
        let mut log = Self::at_end(medium, &header, chain, end, capacity.unwrap_or(u64::MAX));
        log.overwrite(opened.torn_bytes)?;
        // What was read may not have been flushed before.
        log.io.flush().map_err(io)?;
        Ok((log, opened))
    }

    /// The log's id and seed.
    pub fn header(&self) -> LogHeader {
        self.header
    }

    /// Bytes of the log.
    pub fn len(&self) -> u64 {
        self.end
    }

    /// Whether there is no commit in it.
    pub fn is_empty(&self) -> bool {
        self.chain.next_offset() == TxOffset(0)
    }

    /// Gives the medium back.
    pub fn into_inner(self) -> T {
        self.io
    }

    /// Writes zeros over what a power cut has left behind the end.
    fn overwrite<E>(&mut self, torn_bytes: u64) -> Result<(), IoLogError<E>> {
        if torn_bytes == 0 {
            return Ok(());
        }
        self.io.seek(SeekFrom::Start(self.end)).map_err(io)?;
        write_zeros(&mut self.io, torn_bytes)?;
        self.io.flush().map_err(io)
    }

    fn write_frame(&mut self) -> Result<(), IoLogError> {
        self.io.seek(SeekFrom::Start(self.end)).map_err(io)?;
        write_all(&mut self.io, &self.frame)?;
        self.end += self.frame.len() as u64;
        Ok(())
    }
}

impl<T: Read + Write + Seek> Log for IoLog<T> {
    type Error = IoLogError;

    fn append(&mut self, offset: TxOffset, commit: &[u8]) -> Result<(), IoLogError> {
        if self.has_failed {
            return Err(IoLogError::Failed);
        }
        let next = self.chain.next_offset();
        if offset != next {
            return Err(IoLogError::Position { next });
        }
        let mut chain = self.chain;
        let (head, checksum) = chain.frame(commit, self.is_synced);
        self.frame.clear();
        for part in [head.bytes(), commit, &checksum] {
            extend(&mut self.frame, part).ok_or(IoLogError::Memory)?;
        }
        if self.end + self.frame.len() as u64 > self.capacity {
            return Err(IoLogError::Full);
        }
        let written = self.write_frame();
        self.has_failed = written.is_err();
        self.chain = chain;
        self.is_synced = false;
        written
    }

    fn sync(&mut self) -> Result<(), IoLogError> {
        if self.has_failed {
            return Err(IoLogError::Failed);
        }
        let flushed = self.io.flush().map_err(io);
        self.has_failed = flushed.is_err();
        self.is_synced = flushed.is_ok();
        flushed
    }
}

/// The bytes of a medium that are being looked at.
struct Window<'a, T> {
    io: &'a mut T,
    bytes: Vec<u8>,
    /// Bytes of the medium behind them.
    left: u64,
}

impl<T: Read> Window<'_, T> {
    /// Bytes that there can be.
    fn reach(&self) -> u64 {
        (self.bytes.len() as u64).saturating_add(self.left)
    }

    /// Lets go of the first of them.
    fn pass(&mut self, len: usize) {
        self.bytes.drain(..len.min(self.bytes.len()));
    }

    /// Reads on until there are so many bytes, or no more.
    fn fill<E>(&mut self, len: usize) -> Result<(), IoLogError<E>> {
        while self.bytes.len() < len && self.left > 0 {
            let start = self.bytes.len();
            let more = CHUNK.min(usize::try_from(self.left).unwrap_or(CHUNK));
            extend_zeros(&mut self.bytes, more).ok_or(IoLogError::Memory)?;
            let into = self.bytes.get_mut(start..).unwrap_or_default();
            let read = self.io.read(into).map_err(io)?;
            self.bytes.truncate(start + read);
            self.left = if read == 0 { 0 } else { self.left.saturating_sub(read as u64) };
        }
        Ok(())
    }

    /// Reads on up to the last byte that is not zero, and some zeros: a checksum
    /// may end with them.
    fn fill_to_last_byte<E>(&mut self) -> Result<(), IoLogError<E>> {
        let mut read = Window { io: &mut *self.io, bytes: Vec::new(), left: self.left };
        let mut zeros = 0;
        while read.left > 0 {
            read.bytes.clear();
            read.fill(CHUNK)?;
            if read.bytes.iter().any(|byte| *byte != 0) {
                let before = usize::try_from(zeros).map_err(|_| IoLogError::Memory)?;
                extend_zeros(&mut self.bytes, before).ok_or(IoLogError::Memory)?;
                extend(&mut self.bytes, &read.bytes).ok_or(IoLogError::Memory)?;
                zeros = 0;
            } else {
                zeros += read.bytes.len() as u64;
            }
        }
        self.left = 0;
        let zeros = usize::try_from(zeros).unwrap_or(CHUNK).min(CHUNK);
        extend_zeros(&mut self.bytes, zeros).ok_or(IoLogError::Memory)
    }

    /// How many bytes behind the last frame, which ends at `end`, a power cut has
    /// left.
    fn torn_bytes<E>(&mut self, chain: Chain, end: u64) -> Result<u64, IoLogError<E>> {
        // A frame is searched for with the four bytes before it.
        const BEFORE: usize = 4;
        extend(&mut self.bytes, &chain.checksum().to_le_bytes()).ok_or(IoLogError::Memory)?;
        let len = BEFORE.min(self.bytes.len());
        self.bytes.rotate_right(len);
        let mut zeros = 0;
        // Mostly there are only zeros, which need no memory.
        while self.bytes.iter().skip(BEFORE).all(|byte| *byte == 0) {
            if self.left == 0 {
                return Ok(0);
            }
            zeros += (self.bytes.len() - BEFORE) as u64;
            self.bytes.clear();
            extend_zeros(&mut self.bytes, BEFORE).ok_or(IoLogError::Memory)?;
            self.fill(BEFORE + CHUNK)?;
        }
        self.fill_to_last_byte()?;
        match Tail::of(&self.bytes, BEFORE, chain) {
            Tail::Damaged { offset, .. } => Err(IoLogError::Damaged { at: end, offset }),
            Tail::Torn { bytes, .. } => Ok(zeros + bytes as u64),
            Tail::Clean | Tail::BehindSeal { .. } => Ok(0),
        }
    }
}

/// As [`Write::write_all`], which panics where a medium takes nothing, or says to
/// have taken more than there was.
fn write_all<E>(medium: &mut impl Write, bytes: &[u8]) -> Result<(), IoLogError<E>> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = medium.write(rest).map_err(io)?;
        let behind = rest.get(written..).filter(|_| written > 0);
        rest = behind.ok_or(IoLogError::Io(ErrorKind::WriteZero))?;
    }
    Ok(())
}

fn write_zeros<E>(medium: &mut impl Write, len: u64) -> Result<(), IoLogError<E>> {
    let zeros = [0; CHUNK];
    let mut left = len;
    while left > 0 {
        let len = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let piece = zeros.get(..len).unwrap_or_default();
        write_all(medium, piece)?;
        left -= piece.len() as u64;
    }
    Ok(())
}
