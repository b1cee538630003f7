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
//! cache. (To flush a `File` of the standard library does nothing: its flush must be
//! `sync_data`.) What was appended since the last sync may be there after a power cut,
//! or not, in any part; that is found, reported and overwritten. What does not verify
//! although something behind it was written when it was durable is damage, and refused.
//! Damage to the newest commits, which no later sync follows, is told from a power cut
//! only where the log was [marked](IoLog::mark) behind them.
//!
//! There are no snapshots: the medium holds the whole history, and a full one takes
//! nothing more. For a log that never fills there is
//! [`FlashLog`](crate::FlashLog).

use alloc::vec::Vec;
use core::{convert::Infallible, error::Error, fmt};

use embedded_io::{ErrorKind, Read, Seek, SeekFrom, Write};
use interstice_core::{
    CommittedState, TxOffset,
    log::{
        Log,
        frame::{
            CHECKSUM_LEN, Chain, FRAME_LEN_MIN, FrameKind, HEADER_LEN, HeaderError, LogHeader,
            Read as Found, SegmentHeader, Tail, crc32c, frame_len,
        },
    },
};

use crate::{
    io::WriteError,
    memory::{extend, extend_zeros, reserve},
};

/// Bytes that are read at once.
const CHUNK: usize = 256;

/// Bytes of a frame up to which it is read before it is verified. A longer one is
/// read twice: its length may be damaged, and memory is not taken by that.
const UNVERIFIED_MAX: u64 = 1024;

/// A log on a medium. It fills the medium from byte 0 up to a capacity.
pub struct IoLog<T> {
    io: T,
    header: SegmentHeader,
    chain: Chain,
    /// Where the next frame goes.
    end: u64,
    capacity: u64,
    frame: Vec<u8>,
    /// Everything that was written is flushed.
    is_synced: bool,
    /// The last frame is a mark.
    is_marked: bool,
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
    /// The medium has no room for it. Nothing was written, and a smaller commit may
    /// still be taken.
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
    /// The memory for a frame could not be allocated. Nothing was written.
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
    /// with `None` it grows with the log, as a file does, and what it holds already is
    /// filled with zeros.
    ///
    /// Six bytes of the capacity are kept for a [mark](Self::mark).
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
        let held = medium.seek(SeekFrom::End(0)).map_err(io)?;
        medium.seek(SeekFrom::Start(0)).map_err(io)?;
        write_zeros(&mut medium, capacity.unwrap_or(held.max(HEADER_LEN as u64)))?;
        medium.flush().map_err(io)?;
        medium.seek(SeekFrom::Start(0)).map_err(io)?;
        write_all(&mut medium, &header.encode())?;
        medium.flush().map_err(io)?;
        Ok(Self::at_end(medium, &header, header.chain(), HEADER_LEN as u64, size))
    }

    fn at_end(io: T, header: &SegmentHeader, chain: Chain, end: u64, capacity: u64) -> Self {
        Self {
            io,
            header: *header,
            chain,
            end,
            capacity,
            frame: Vec::new(),
            is_synced: true,
            is_marked: false,
            has_failed: false,
        }
    }

    /// Opens a log and hands its commits to `visit`, in order. The capacity is the one
    /// that the log was made with: with a smaller one, what is behind it is not read,
    /// and a frame that it cuts is taken for torn.
    ///
    /// It needs memory for the largest frame, and a KiB; after a power cut, or where
    /// something is damaged, for everything from there to the last byte that is not
    /// zero.
    ///
    /// # Errors
    ///
    /// See [`IoLogError`]. Commits that come before what is wrong were handed to `visit`.
    pub fn open<E>(
        mut medium: T,
        capacity: Option<u64>,
        visit: &mut impl FnMut(TxOffset, &[u8]) -> Result<(), E>,
    ) -> Result<(Self, Opened), IoLogError<E>> {
        let len = medium.seek(SeekFrom::End(0)).map_err(io)?;
        let len = capacity.map_or(len, |capacity| len.min(capacity));
        medium.seek(SeekFrom::Start(0)).map_err(io)?;
        let mut window = Window { io: &mut medium, bytes: Vec::new(), at: 0, len };
        window.fill(HEADER_LEN)?;
        let header = SegmentHeader::decode(&window.bytes).map_err(IoLogError::Header)?;
        window.pass(HEADER_LEN);
        let mut opened = Opened::default();
        let (mut chain, mut end) = (header.chain(), HEADER_LEN as u64);
        let mut is_marked = false;
        loop {
            window.fill(CHUNK)?;
            let mut next = chain;
            let frame = match next.read(&window.bytes) {
                // A block is no part of a log.
                Found::Frame(frame) if frame.kind != FrameKind::Block => frame,
                Found::Incomplete { len } => match window.fill_frame(chain, len)? {
                    true => continue,
                    false => break,
                },
                _ => break,
            };
            chain = next;
            if frame.kind == FrameKind::Seal {
                return Err(IoLogError::Sealed);
            }
            is_marked = frame.kind == FrameKind::Mark;
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
        log.is_marked = is_marked;
        log.overwrite(opened.torn_bytes)?;
        // What was read may not have been flushed before.
        log.io.flush().map_err(io)?;
        Ok((log, opened))
    }

    /// The log's id and seed.
    pub fn header(&self) -> LogHeader {
        self.header.log
    }

    /// Bytes of the log.
    pub fn len(&self) -> u64 {
        self.end
    }

    /// Whether there is no commit in it.
    pub fn is_empty(&self) -> bool {
        self.chain.next_offset() == self.header.first
    }

    /// Makes everything appended so far survive, as [`sync`](Log::sync) does, and marks
    /// the end of the log: then damage to the newest commits is told from a power cut,
    /// and refused, as long as the mark and the four bytes before it are good. To be
    /// called before a medium is taken out or power is turned off, or when the device
    /// comes to rest. It takes six bytes, and none where the log ends with a mark
    /// already. The log goes on behind it.
    ///
    /// # Errors
    ///
    /// When the medium fails. [`Full`](IoLogError::Full) and
    /// [`Memory`](IoLogError::Memory) are for want of a mark only: the commits are
    /// synced then. There is always room for one behind a commit that this type has
    /// appended.
    pub fn mark(&mut self) -> Result<(), IoLogError> {
        self.sync()?;
        if self.is_marked {
            return Ok(());
        }
        let mut chain = self.chain;
        let mark = chain.mark();
        self.take_room(mark.len() as u64, 0)?;
        extend(&mut self.frame, &mark).ok_or(IoLogError::Memory)?;
        self.write_frame(chain)?;
        self.sync()?;
        self.is_marked = true;
        Ok(())
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

    fn check(&self) -> Result<(), IoLogError> {
        if self.has_failed { Err(IoLogError::Failed) } else { Ok(()) }
    }

    /// Sees to it that a frame of so many bytes has room, with `kept` bytes behind it,
    /// and memory.
    fn take_room(&mut self, len: u64, kept: u64) -> Result<(), IoLogError> {
        if self.end.saturating_add(len).saturating_add(kept) > self.capacity {
            return Err(IoLogError::Full);
        }
        let len = usize::try_from(len).map_err(|_| IoLogError::Memory)?;
        self.frame.clear();
        reserve(&mut self.frame, len).ok_or(IoLogError::Memory)
    }

    /// As [`take_room`](Self::take_room), for a commit. A mark has room behind it.
    fn take_room_for_commit(&mut self, len: usize) -> Result<(), IoLogError> {
        self.take_room(frame_len(len as u64), FRAME_LEN_MIN as u64)
    }

    /// Writes the frame that is in memory, behind which the chain is `chain`.
    fn write_frame(&mut self, chain: Chain) -> Result<(), IoLogError> {
        let sought = self.io.seek(SeekFrom::Start(self.end)).map_err(io);
        let written = sought.and_then(|_| write_all(&mut self.io, &self.frame));
        self.has_failed = written.is_err();
        self.is_synced = false;
        self.is_marked = false;
        written?;
        self.chain = chain;
        self.end += self.frame.len() as u64;
        Ok(())
    }
}

impl<T: Read + Write + Seek> Log for IoLog<T> {
    type Error = IoLogError;

    fn append(&mut self, offset: TxOffset, commit: &[u8]) -> Result<(), IoLogError> {
        self.check()?;
        let next = self.chain.next_offset();
        if offset != next {
            return Err(IoLogError::Position { next });
        }
        self.take_room_for_commit(commit.len())?;
        let mut chain = self.chain;
        let (head, checksum) = chain.frame(commit, self.is_synced);
        for part in [head.bytes(), commit, &checksum] {
            extend(&mut self.frame, part).ok_or(IoLogError::Memory)?;
        }
        self.write_frame(chain)
    }

    /// Asks for room on the medium, and for the memory of a frame.
    fn prepare(&mut self, _: &CommittedState, len: usize) -> Result<(), IoLogError> {
        self.check()?;
        self.take_room_for_commit(len)
    }

    fn sync(&mut self) -> Result<(), IoLogError> {
        self.check()?;
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
    /// Where they end on the medium, and where it is read on.
    at: u64,
    /// Where the medium ends.
    len: u64,
}

impl<T: Read + Seek> Window<'_, T> {
    /// Bytes of the medium behind these.
    fn left(&self) -> u64 {
        self.len.saturating_sub(self.at)
    }

    /// Lets go of the first of them.
    fn pass(&mut self, len: usize) {
        self.bytes.drain(..len.min(self.bytes.len()));
    }

    /// Reads on until there are so many bytes, or no more.
    fn fill<E>(&mut self, len: usize) -> Result<(), IoLogError<E>> {
        while self.bytes.len() < len && self.left() > 0 {
            let start = self.bytes.len();
            let more = CHUNK.min(usize::try_from(self.left()).unwrap_or(CHUNK));
            extend_zeros(&mut self.bytes, more).ok_or(IoLogError::Memory)?;
            let into = self.bytes.get_mut(start..).unwrap_or_default();
            let read = self.io.read(into).map_err(io)?;
            // It has said that it is longer, and what is not read is not torn.
            if read == 0 || read > more {
                return Err(IoLogError::Io(ErrorKind::Other));
            }
            self.bytes.truncate(start + read);
            self.at += read as u64;
        }
        Ok(())
    }

    /// Reads the next frame, which goes on behind `chain` and says that it has so many
    /// bytes. Returns whether there can be one.
    fn fill_frame<E>(&mut self, chain: Chain, len: u64) -> Result<bool, IoLogError<E>> {
        if len > (self.bytes.len() as u64).saturating_add(self.left()) {
            return Ok(false);
        }
        if len > UNVERIFIED_MAX && !self.verifies(chain, len)? {
            return Ok(false);
        }
        let Ok(len) = usize::try_from(len) else { return Ok(false) };
        self.fill(len)?;
        Ok(true)
    }

    /// Whether the next so many bytes have the checksum of a frame. Keeps none of them.
    fn verifies<E>(&mut self, chain: Chain, len: u64) -> Result<bool, IoLogError<E>> {
        let (at, len_max) = (self.at, self.len);
        let mut ahead = Window { io: &mut *self.io, bytes: Vec::new(), at, len: len_max };
        extend(&mut ahead.bytes, &self.bytes).ok_or(IoLogError::Memory)?;
        let mut checksum = chain.before_next();
        let mut body = len.saturating_sub(CHECKSUM_LEN as u64);
        while body > 0 {
            ahead.fill(1)?;
            let len = usize::try_from(body).unwrap_or(usize::MAX).min(ahead.bytes.len());
            checksum = crc32c(checksum, ahead.bytes.get(..len).unwrap_or_default());
            ahead.pass(len);
            body -= len as u64;
        }
        checksum = crc32c(checksum, &chain.next_offset().0.to_le_bytes());
        ahead.fill(CHECKSUM_LEN)?;
        let verifies = ahead.bytes.starts_with(&checksum.to_le_bytes());
        self.io.seek(SeekFrom::Start(at)).map_err(io)?;
        Ok(verifies)
    }

    /// Reads on up to the last byte that is not zero, and some zeros: a checksum
    /// may end with them.
    fn fill_to_last_byte<E>(&mut self) -> Result<(), IoLogError<E>> {
        let mut read = Window { io: &mut *self.io, bytes: Vec::new(), at: self.at, len: self.len };
        let mut zeros = 0;
        while read.left() > 0 {
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
        self.at = self.len;
        let zeros = usize::try_from(zeros).unwrap_or(CHUNK).min(CHUNK);
        extend_zeros(&mut self.bytes, zeros).ok_or(IoLogError::Memory)
    }

    /// How many bytes behind the last frame, which ends at `end`, a power cut has
    /// left.
    fn torn_bytes<E>(&mut self, chain: Chain, end: u64) -> Result<u64, IoLogError<E>> {
        // A frame is searched for with the four bytes before it.
        const BEFORE: usize = CHECKSUM_LEN;
        extend(&mut self.bytes, &chain.checksum().to_le_bytes()).ok_or(IoLogError::Memory)?;
        let len = BEFORE.min(self.bytes.len());
        self.bytes.rotate_right(len);
        let mut left_out = 0;
        // Mostly there are only zeros, which need no memory. Those are kept that may
        // stand before a frame.
        while self.bytes.iter().skip(BEFORE).all(|byte| *byte == 0) {
            if self.left() == 0 {
                return Ok(0);
            }
            left_out += self.bytes.len().saturating_sub(2 * BEFORE) as u64;
            self.bytes.truncate(2 * BEFORE);
            self.fill(2 * BEFORE + CHUNK)?;
        }
        self.fill_to_last_byte()?;
        match Tail::of_shortened(&self.bytes, BEFORE, left_out, chain) {
            Tail::Damaged { offset, .. } => Err(IoLogError::Damaged { at: end, offset }),
            Tail::Torn { bytes, .. } => Ok(left_out + bytes as u64),
            Tail::Clean | Tail::BehindSeal { .. } => Ok(0),
        }
    }
}

fn write_all<E>(medium: &mut impl Write, bytes: &[u8]) -> Result<(), IoLogError<E>> {
    crate::io::write_all(medium, bytes).map_err(|error| match error {
        WriteError::Io(error) => io(error),
        WriteError::Stopped => IoLogError::Io(ErrorKind::WriteZero),
    })
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
