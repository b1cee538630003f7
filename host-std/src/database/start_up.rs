//! Data directory -> state: the newest good snapshot, and the log behind it.

use std::time::Instant;

use interstice_core::{
    CommittedState, Limits, TxOffset,
    log::frame::{Chain, LogHeader},
};

use super::{
    OpenError, Opening,
    ties::{snapshot_ahead, tied_snapshot},
};
use crate::{
    data_dir::DataDir,
    file_log::{LogEnd, LogError, LogReader, SegmentFault, SegmentFile, segments},
    snapshots::{self, BadSnapshot},
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
    let wrong = |started: &Result<Started, OpenError>| match started {
        Ok(started) if started.end.is_sealed => vec!["no segment follows".to_owned()],
        started => error_text(started),
    };
    while_others_write(dir, wrong, || start_up_once(dir))
}

/// How often a directory is read in which others write.
pub(crate) const READS_MAX: usize = 8;

/// Reads a data directory, and again while another process begins and removes
/// files in it and something seems to be `wrong`: then what was listed is not what
/// was there to read. What is wrong twice in a row is so.
pub(crate) fn while_others_write<R>(
    dir: &DataDir,
    wrong: impl Fn(&R) -> Vec<String>,
    mut read: impl FnMut() -> R,
) -> R {
    let names =
        || [dir.log_dir(), dir.snapshots_dir()].map(|folder| dir.files().list(&folder).ok());
    let mut last = Vec::new();
    for _ in 1..READS_MAX {
        let before = names();
        let done = read();
        let found = wrong(&done);
        let is_so = found.is_empty() || found.iter().any(|it| last.contains(it));
        if is_so || !dir.is_read_only() || names() == before {
            return done;
        }
        last = found;
    }
    read()
}

/// What is wrong with something that was read: its error.
pub(super) fn error_text<T, E: ToString>(read: &Result<T, E>) -> Vec<String> {
    read.as_ref().err().map(E::to_string).into_iter().collect()
}

fn start_up_once(dir: &DataDir) -> Result<Started, OpenError> {
    let started = Instant::now();
    let mut bad_snapshots = Vec::new();
    let segments = segments(&**dir.files(), &dir.log_dir())?;
    let (mut state, beginning) = base_state(dir, &segments, None, &mut bad_snapshots)?;
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
        ends_sealed: end.is_sealed,
        read_only: dir.is_read_only(),
        resumed: 0,
    };
    Ok(Started { header: log.log(), state, end, opening, snapshot })
}

/// The state of the newest good snapshot, or of the newest at or before
/// `at_most`, and where it is tied to the log. Without one it is the empty
/// state; or, where the log's first segment is gone, that of the oldest good
/// snapshot behind `at_most`.
pub(super) fn base_state(
    dir: &DataDir,
    segments: &[SegmentFile],
    at_most: Option<TxOffset>,
    bad: &mut Vec<BadSnapshot>,
) -> Result<(CommittedState, Option<Chain>), OpenError> {
    let folder = dir.snapshots_dir();
    let positions = snapshots::snapshots(&**dir.files(), &folder)
        .map_err(LogError::io("read the directory", &folder))?;
    let newest = segments.last().map(|segment| segment.header.first);
    if let Some(position) = snapshot_ahead(dir, segments[0].header.log, newest)? {
        let path = snapshots::snapshot_path(&folder, position);
        return Err(OpenError::LogBehindSnapshot { path, position });
    }
    let at_most = at_most.unwrap_or(TxOffset(u64::MAX));
    let (before, behind) = positions.split_at(positions.partition_point(|at| *at <= at_most));
    let has_beginning = segments[0].header.number == 0;
    let behind = behind.iter().filter(|_| !has_beginning);
    for position in before.iter().rev().chain(behind) {
        match tied_snapshot(dir, segments, *position) {
            Ok((end, state)) => return Ok((state, Some(end))),
            Err(fault) => {
                let path = snapshots::snapshot_path(&folder, *position);
                bad.push(BadSnapshot { path, why: fault.to_string() });
            }
        }
    }
    let seed = segments[0].header.log.seed;
    Ok((CommittedState::new(seed, Limits::default()), None))
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
