//! The commits of a log in files, from segment to segment.

use std::{io, path::Path};

use interstice_core::{
    TxOffset,
    log::frame::{
        CHECKSUM_LEN, Chain, Frame, FrameKind, HEADER_LEN, LogHeader, SegmentHeader, Tail,
    },
};

use super::{FrameReader, LogError, SegmentFault, SegmentFile, segments};
use crate::file_system::{OpenMode, SharedFileSystem};

/// The end of a log that did not make it to the disk: appends that a crash cut
/// short. Nothing of it was ever acknowledged as durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// Where the torn bytes begin in the newest segment.
    pub at: u64,
    /// How many there are.
    pub bytes: u64,
    /// The last commit before them, which is kept; `None` when there is none.
    pub last_commit: Option<TxOffset>,
}

/// Reads the commits of a log in files.
///
/// Everything it reads is verified, and that each segment goes on where the one
/// before ends. Takes constant memory.
#[derive(Debug)]
pub struct LogReader {
    files: SharedFileSystem,
    segments: Vec<SegmentFile>,
    /// The segment that is read.
    current: usize,
    frames: FrameReader,
    /// Whether the last of the segments is the log's newest.
    is_newest: bool,
    is_sealed: bool,
    is_marked: bool,
    is_at_end: bool,
    torn_tail: Option<TornTail>,
    /// How often was looked again at what seems to be damaged.
    looks: u32,
}

/// How often is looked again at what seems to be damaged at the end of the newest
/// segment. Somebody may be writing there: what a read finds in one place is then
/// older than what it finds in another.
const LOOKS_MAX: u32 = 3;

/// How a log ends: where it can be continued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEnd {
    /// The chain behind the last good frame.
    pub chain: Chain,
    /// The newest segment.
    pub newest: SegmentFile,
    /// Where its last good frame ends.
    pub at: u64,
    /// Bytes of all segments up to there.
    pub len: u64,
    /// What there is behind that.
    pub torn_tail: Option<TornTail>,
    /// Whether the last frame is the seal of the newest segment.
    pub is_sealed: bool,
    /// Whether the log was closed: it ends with a mark, and everything before
    /// that is durable.
    pub is_marked: bool,
}

impl LogEnd {
    /// The header of the segment behind a newest one that is sealed.
    pub(super) fn next_segment(&self) -> SegmentHeader {
        SegmentHeader {
            log: self.newest.header.log,
            number: self.newest.header.number + 1,
            first: self.chain.next_offset(),
            previous: self.chain.checksum(),
        }
    }
}

impl LogReader {
    /// Begins with the first segment of the log in `dir`.
    ///
    /// # Errors
    ///
    /// When there is no log, or a segment does not belong there.
    pub fn open(files: &SharedFileSystem, dir: &Path) -> Result<Self, LogError> {
        Self::open_at(files, dir, TxOffset(0))
    }

    /// Begins with the segment that holds commit `from`, or would hold it; with
    /// the first one, where `from` is before it.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_at(files: &SharedFileSystem, dir: &Path, from: TxOffset) -> Result<Self, LogError> {
        Self::of_segments(files, segments(&**files, dir)?, from)
    }

    /// As [`open_at`](Self::open_at), with these segments.
    pub(crate) fn of_segments(
        files: &SharedFileSystem,
        segments: Vec<SegmentFile>,
        from: TxOffset,
    ) -> Result<Self, LogError> {
        let current = segments.iter().rposition(|segment| segment.header.first <= from);
        let current = current.unwrap_or(0);
        let frames = open_segment(files, &segments, current)?;
        Ok(Self::at(files, segments, current, frames))
    }

    /// Reads one segment only. What is behind its last good frame may be torn if
    /// it is the newest one.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened.
    pub fn of_segment(
        files: &SharedFileSystem,
        segment: &SegmentFile,
        is_newest: bool,
    ) -> Result<Self, LogError> {
        let segments = vec![segment.clone()];
        let frames = open_segment(files, &segments, 0)?;
        Ok(Self { is_newest, ..Self::at(files, segments, 0, frames) })
    }

    fn at(
        files: &SharedFileSystem,
        segments: Vec<SegmentFile>,
        current: usize,
        frames: FrameReader,
    ) -> Self {
        Self {
            files: files.clone(),
            segments,
            current,
            frames,
            is_newest: true,
            is_sealed: false,
            is_marked: false,
            is_at_end: false,
            torn_tail: None,
            looks: 0,
        }
    }

    /// The log's header.
    pub fn log(&self) -> LogHeader {
        self.segments.first().map_or(LogHeader { log_id: [0; 16], seed: 0 }, |s| s.header.log)
    }

    /// The segments, in order.
    pub fn segments(&self) -> &[SegmentFile] {
        &self.segments
    }

    /// The segment that is read.
    pub fn segment(&self) -> &SegmentFile {
        &self.segments[self.current]
    }

    /// Position of the next commit.
    pub fn next_offset(&self) -> TxOffset {
        self.frames.chain().next_offset()
    }

    /// The chain behind the last frame that was read.
    pub fn chain(&self) -> Chain {
        self.frames.chain()
    }

    /// Bytes of all segments.
    pub fn len(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }

    /// Always false: there is a segment, and it has a header.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Bytes of all segments up to the next frame.
    pub fn position(&self) -> u64 {
        let before = self.segments.iter().take(self.current).map(|segment| segment.len);
        before.sum::<u64>() + self.frames.position()
    }

    /// The next frame of commits; `None` at the end of the log.
    ///
    /// # Errors
    ///
    /// When the log is damaged there, or cannot be read.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, LogError> {
        while !self.is_at_end {
            let Some(kind) = self.advance()? else {
                self.end_segment()?;
                continue;
            };
            self.looks = 0;
            self.is_marked = kind == FrameKind::Mark;
            self.is_sealed = kind == FrameKind::Seal;
            if kind.has_commits() {
                return Ok(self.frames.frame());
            }
        }
        Ok(None)
    }

    fn advance(&mut self) -> Result<Option<FrameKind>, LogError> {
        if self.is_sealed {
            return Ok(None);
        }
        self.frames.advance().map_err(LogError::io("read", &self.segment().path))
    }

    /// Finds out how a segment ends, and goes on to the next one.
    fn end_segment(&mut self) -> Result<(), LogError> {
        let is_last = self.current + 1 == self.segments.len();
        let is_newest = is_last && self.is_newest;
        let (at, size) = (self.frames.position(), self.frames.size());
        if at < size {
            let tail = self.tail()?;
            if is_newest && matches!(tail, Tail::Damaged { .. }) && self.looks < LOOKS_MAX {
                self.looks += 1;
                self.frames.read_again();
                return Ok(());
            }
            self.torn_tail = self.judge(tail, is_newest)?;
        }
        if !is_newest && !self.is_sealed {
            return Err(LogError::segment(&self.segment().path, SegmentFault::Unsealed));
        }
        if is_last {
            self.is_at_end = true;
            return Ok(());
        }
        let next = &self.segments[self.current + 1];
        if !next.header.follows(&self.segment().header, self.frames.chain()) {
            let fault = SegmentFault::Unchained { before: self.segment().path.clone() };
            return Err(LogError::segment(&next.path, fault));
        }
        self.frames = open_segment(&self.files, &self.segments, self.current + 1)?;
        self.current += 1;
        (self.is_sealed, self.is_marked) = (false, false);
        Ok(())
    }

    /// What the bytes behind the last good frame of a segment are.
    fn tail(&mut self) -> Result<Tail, LogError> {
        let rest = self.frames.rest().map_err(LogError::io("read", &self.segment().path))?;
        Ok(match self.is_sealed {
            true => Tail::behind_seal(&rest, CHECKSUM_LEN),
            false => Tail::of(&rest, CHECKSUM_LEN, self.frames.chain()),
        })
    }

    /// What that means: torn, or damaged, which is an error.
    fn judge(&self, tail: Tail, is_newest: bool) -> Result<Option<TornTail>, LogError> {
        let path = &self.segment().path;
        let (offset, at) = (self.frames.chain().next_offset(), self.frames.position());
        let damaged = |behind: Option<usize>| {
            let next_good = behind.map(|behind| at + (behind - CHECKSUM_LEN) as u64);
            Err(LogError::Damaged { path: path.clone(), at, offset, next_good })
        };
        match tail {
            Tail::Clean => Ok(None),
            Tail::BehindSeal { .. } => {
                Err(LogError::segment(path, SegmentFault::BehindSeal { at }))
            }
            Tail::Damaged { next_good, .. } => damaged(Some(next_good)),
            Tail::Torn { bytes, .. } if is_newest => {
                let last_commit = offset.0.checked_sub(1).map(TxOffset);
                Ok(Some(TornTail { at, bytes: bytes as u64, last_commit }))
            }
            Tail::Torn { .. } => damaged(None),
        }
    }

    /// How the log ends, once everything was read.
    pub fn end(&self) -> LogEnd {
        let newest = self.segment().clone();
        let at = self.frames.position();
        LogEnd {
            chain: self.frames.chain(),
            len: self.len() - newest.len + at,
            newest,
            at,
            torn_tail: self.torn_tail,
            is_sealed: self.is_sealed,
            is_marked: self.is_marked && self.torn_tail.is_none(),
        }
    }
}

fn open_segment(
    files: &SharedFileSystem,
    segments: &[SegmentFile],
    index: usize,
) -> Result<FrameReader, LogError> {
    let SegmentFile { path, header, .. } = &segments[index];
    let opened = |file| FrameReader::new(file, HEADER_LEN as u64, header.chain(), is_of_log);
    files.open(path, OpenMode::Read).and_then(opened).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => LogError::Removed { path: path.clone() },
        _ => LogError::io("read", path)(error),
    })
}

fn is_of_log(kind: FrameKind) -> bool {
    kind != FrameKind::Block
}
