//! The commits of a database, one after the other, with the state before each.

use interstice_core::{CommittedState, TxOffset, log::frame::LogHeader};

use super::{
    OpenError,
    start_up::{base_state, check_beginning, error_text, while_others_write},
};
use crate::{
    data_dir::DataDir,
    file_log::{LogEnd, LogReader, SegmentFile, segments},
    snapshots::BadSnapshot,
};

/// Reads the commits of a data directory, in constant memory besides the state.
///
/// Begins at a snapshot where one saves time, or where the log's first segments
/// are gone. Changes nothing.
#[derive(Debug)]
pub struct History {
    log: LogReader,
    first: TxOffset,
    state: CommittedState,
    bad_snapshots: Vec<BadSnapshot>,
}

/// Whether a [`History`] goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Go {
    /// To the next commit.
    On,
    /// No further: the commit that was shown is not replayed.
    Stop,
}

impl History {
    /// Begins at the newest good snapshot that holds the state before commit
    /// `from` or an earlier one; without one at the beginning of the log. Where
    /// the log's first segments are gone, and no good snapshot is as old as
    /// that, it begins [later](Self::first).
    ///
    /// # Errors
    ///
    /// When the log has no beginning: its first segments are gone, and no good
    /// snapshot has what they made.
    pub fn open(dir: &DataDir, from: TxOffset) -> Result<Self, OpenError> {
        while_others_write(dir, error_text, || Self::open_once(dir, from))
    }

    fn open_once(dir: &DataDir, from: TxOffset) -> Result<Self, OpenError> {
        let segments = segments(&**dir.files(), &dir.log_dir())?;
        Self::of_segments(dir, segments, from)
    }

    fn of_segments(
        dir: &DataDir,
        segments: Vec<SegmentFile>,
        from: TxOffset,
    ) -> Result<Self, OpenError> {
        let mut bad_snapshots = Vec::new();
        let (state, beginning) = base_state(dir, &segments, Some(from), &mut bad_snapshots)?;
        let next = state.next_offset();
        let log = LogReader::of_segments(dir.files(), segments, next)?;
        check_beginning(&log, next, beginning)?;
        Ok(Self { log, first: next, state, bad_snapshots })
    }

    /// Visits every commit that is left, with the state before it, and replays
    /// it.
    ///
    /// # Errors
    ///
    /// Those of `visit`, and what the log ends with when it is damaged or does
    /// not replay.
    pub fn visit<E: From<OpenError>>(
        &mut self,
        mut visit: impl FnMut(&CommittedState, TxOffset, &[u8]) -> Result<Go, E>,
    ) -> Result<Go, E> {
        loop {
            let path = self.log.segment().path.clone();
            let frame = self.log.next_frame().map_err(OpenError::from)?;
            let Some(frame) = frame else { return Ok(Go::On) };
            for (offset, commit) in frame.commits() {
                if visit(&self.state, offset, commit)? == Go::Stop {
                    return Ok(Go::Stop);
                }
                self.state
                    .replay(offset, commit)
                    .map_err(|source| OpenError::Replay { path: path.clone(), source })?;
            }
        }
    }

    /// The first commit that it visits.
    pub fn first(&self) -> TxOffset {
        self.first
    }

    /// The log's header.
    pub fn log_header(&self) -> LogHeader {
        self.log.log()
    }

    /// Bytes of the log, and how many of them are read.
    pub fn progress(&self) -> (u64, u64) {
        (self.log.len(), self.log.position())
    }

    /// The state behind the last commit that was replayed.
    pub fn state(&self) -> &CommittedState {
        &self.state
    }

    /// The state, to keep.
    pub fn into_state(self) -> CommittedState {
        self.state
    }

    /// Snapshots that were left aside.
    pub fn bad_snapshots(&self) -> &[BadSnapshot] {
        &self.bad_snapshots
    }

    /// How the log ends, once everything was visited.
    pub fn end(&self) -> LogEnd {
        self.log.end()
    }
}
