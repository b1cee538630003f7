//! Data directory -> state: the newest good snapshot, and the log behind it.

use std::time::Instant;

use interstice_core::{
    CommittedState, Limits, TxOffset,
    log::frame::{Chain, LogHeader},
};

use super::{OpenError, Opening};
use crate::{
    data_dir::DataDir,
    file_log::{LogEnd, LogError, LogReader, SegmentFault, SegmentFile, segments},
    snapshots::{self, BadSnapshot, ReadError},
};

/// What starting up leads to.
pub(super) struct Started {
    pub(super) header: LogHeader,
    pub(super) state: CommittedState,
    pub(super) end: LogEnd,
    pub(super) opening: Opening,
    /// Position of the snapshot that it began with, 0 for none.
    pub(super) snapshot: TxOffset,
}

/// Reads the state of a data directory. Changes nothing.
pub(super) fn start_up(dir: &DataDir) -> Result<Started, OpenError> {
    while_others_write(dir, || start_up_once(dir))
}

/// Reads a data directory, and again if that fails while another process begins
/// and removes files in it: then what was listed is not what was there to read.
pub(super) fn while_others_write<R>(
    dir: &DataDir,
    mut read: impl FnMut() -> Result<R, OpenError>,
) -> Result<R, OpenError> {
    let names =
        || [dir.log_dir(), dir.snapshots_dir()].map(|folder| dir.files().list(&folder).ok());
    loop {
        let before = names();
        match read() {
            Err(_) if dir.is_read_only() && names() != before => {}
            done => return done,
        }
    }
}

fn start_up_once(dir: &DataDir) -> Result<Started, OpenError> {
    let started = Instant::now();
    let mut bad_snapshots = Vec::new();
    let segments = segments(&**dir.files(), &dir.log_dir())?;
    let (mut state, beginning) = newest_state(dir, &segments, None, &mut bad_snapshots)?;
    let snapshot = state.next_offset();
    let mut log = LogReader::of_segments(dir.files(), segments, snapshot)?;
    check_beginning(&log, snapshot, beginning)?;
    replay(&mut log, &mut state)?;
    let end = log.end();
    let opening = Opening {
        commits: state.next_offset().0 - snapshot.0,
        snapshot: (snapshot.0 > 0).then_some(snapshot),
        bytes: end.len,
        elapsed: started.elapsed(),
        torn_tail: end.torn_tail,
        bad_snapshots,
        read_only: dir.is_read_only(),
        resumed: 0,
    };
    Ok(Started { header: log.log(), state, end, opening, snapshot })
}

/// The state of the newest good snapshot, or of the newest at or before
/// `at_most`, and where it is tied to the log; the empty state if there is none.
pub(super) fn newest_state(
    dir: &DataDir,
    segments: &[SegmentFile],
    at_most: Option<TxOffset>,
    bad: &mut Vec<BadSnapshot>,
) -> Result<(CommittedState, Option<Chain>), OpenError> {
    let log = segments[0].header.log;
    let folder = dir.snapshots_dir();
    let positions = snapshots::snapshots(&**dir.files(), &folder)
        .map_err(LogError::io("read the directory", &folder))?;
    let wanted = |position: &TxOffset| at_most.is_none_or(|at_most| *position <= at_most);
    for position in positions.into_iter().filter(wanted).rev() {
        let path = snapshots::snapshot_path(&folder, position);
        let read = snapshots::read(&**dir.files(), &path, log, &Limits::default(), &mut |_| {});
        let fault = match read {
            Ok((header, state)) => {
                let tied = segments.iter().any(|segment| segment.header.chain() == header.end);
                // The segment was there, and durable, before the snapshot was.
                let is_ahead = segments.iter().all(|segment| segment.header.first < position);
                match tied {
                    true => return Ok((state, Some(header.end))),
                    false if is_ahead && at_most.is_none() => {
                        return Err(OpenError::LogBehindSnapshot { path, position });
                    }
                    false => ReadError::Unchained { position },
                }
            }
            Err(fault) => fault,
        };
        bad.push(BadSnapshot { path, why: fault.to_string() });
    }
    Ok((CommittedState::new(log.seed, Limits::default()), None))
}

/// Checks that the log goes on where the state ends.
pub(super) fn check_beginning(
    log: &LogReader,
    position: TxOffset,
    beginning: Option<Chain>,
) -> Result<(), LogError> {
    let segment = log.segment();
    let first = segment.header.first;
    let is_first = segment.header.number == 0;
    match beginning {
        Some(beginning) if log.chain() == beginning => Ok(()),
        None if is_first && first == position => Ok(()),
        _ => Err(LogError::Segment {
            path: segment.path.clone(),
            fault: SegmentFault::Beginning { first },
        }),
    }
}

/// Replays what is left of a log.
fn replay(log: &mut LogReader, state: &mut CommittedState) -> Result<(), OpenError> {
    loop {
        let path = log.segment().path.clone();
        let Some(frame) = log.next_frame()? else { return Ok(()) };
        for (offset, commit) in frame.commits() {
            state
                .replay(offset, commit)
                .map_err(|source| OpenError::Replay { path: path.clone(), source })?;
        }
    }
}
