//! Where a repaired log begins.

use std::path::PathBuf;

use interstice_core::{CommittedState, Limits, TxOffset, log::frame::Chain};

use super::{
    Damage, Log, Mode, RecoveryError,
    segments::{self, Segment},
};
use crate::{
    data_dir::DataDir,
    database::ties::{snapshot_ahead, snapshots_of},
    file_log::{LogError, beginning_path, check_first, header_of, segment_path},
    file_system::{OpenMode, SharedFileSystem},
    ownership::{Owner, owner},
    snapshots::{self, snapshot_path},
};

/// Where to begin.
pub(super) struct Base {
    pub(super) files: SharedFileSystem,
    pub(super) log: Log,
    /// The state to begin with: empty, or that of a snapshot.
    pub(super) state: CommittedState,
    /// The segments from there on.
    pub(super) segments: Vec<Segment>,
    /// The position of the newest snapshot, and its file: the log was that long.
    pub(super) known_end: (TxOffset, PathBuf),
    /// Whether the segment behind that is missing.
    pub(super) lost_end: bool,
    /// Damage that is not in a segment that is read.
    pub(super) damage: Vec<Damage>,
}

pub(super) fn find(dir: &DataDir, mode: Mode) -> Result<Base, RecoveryError> {
    let log = match owner(dir)? {
        Owner::Log(log) => log,
        Owner::Nobody => return Err(RecoveryError::NoLog { path: dir.path().to_owned() }),
        Owner::Several { file, other, .. } => return Err(RecoveryError::Foreign { file, other }),
    };
    let mut damage = Vec::new();
    let mut segments = segments::read(dir, &mut damage)?;
    damage.extend(missing_first(dir, &segments)?);
    let good = good_snapshots(dir, log, &mut damage)?;
    let ahead = snapshot_ahead(dir, log, segments.last().map(|segment| segment.first))?;
    damage.extend(ahead.map(|position| missing_end(dir, position)));
    let known_end = snapshots_of(dir, log)?.pop().unwrap_or_default();
    let known_end = (known_end, snapshot_path(&dir.snapshots_dir(), known_end));
    let state = match beginning(mode, log, &segments, &good)? {
        None => CommittedState::new(log.seed, Limits::default()),
        Some(position) => {
            let read = read_snapshot(dir, log, position);
            read.map_err(|why| RecoveryError::NoSnapshot { why })?.1
        }
    };
    segments.retain(|segment| segment.first >= state.next_offset());
    let files = dir.files().clone();
    Ok(Base { files, log, state, segments, damage, known_end, lost_end: ahead.is_some() })
}

/// The snapshot to begin with; `None` for the empty state.
fn beginning(
    mode: Mode,
    log: Log,
    segments: &[Segment],
    good: &[(TxOffset, Chain)],
) -> Result<Option<TxOffset>, RecoveryError> {
    let newest = good.last().map(|(position, _)| *position);
    let first = match (mode, segments.first().map(|segment| segment.first)) {
        (Mode::Snapshot(None), _) => return newest.ok_or_else(|| no_snapshot(good)).map(Some),
        (Mode::Snapshot(Some(wanted)), _) => {
            return match good.iter().any(|(position, _)| *position == wanted) {
                true => Ok(Some(wanted)),
                false => Err(no_snapshot(good)),
            };
        }
        (_, None) => return Ok(newest),
        (_, Some(TxOffset(0))) => return Ok(None),
        (_, Some(first)) => first,
    };
    // Where the log goes on behind a snapshot; else what was before the log.
    let is_tied = |end: &Chain| segments.iter().any(|segment| segment.chain(&log) == Some(*end));
    let tied = good.iter().find(|(_, end)| is_tied(end));
    let before = good.iter().rfind(|(position, _)| *position < first);
    let begin = tied.or(before).map(|(position, _)| *position);
    begin.ok_or(RecoveryError::NoBeginning { first: first.0 }).map(Some)
}

/// What is missing before the first segment.
fn missing_first(dir: &DataDir, segments: &[Segment]) -> Result<Option<Damage>, LogError> {
    let (files, log_dir) = (&**dir.files(), dir.log_dir());
    let Some(Ok(first)) = segments.first().map(|segment| &segment.header) else {
        return Ok(None);
    };
    let (file, what) = match check_first(files, &log_dir, first) {
        Ok(()) => return Ok(None),
        Err(error) if error.is_permission_denied() => return Err(error),
        Err(LogError::Segment { path, fault }) => (path, format!("it {fault}")),
        Err(error) => (beginning_path(&log_dir), error.to_string()),
    };
    let commit = match header_of(files, &beginning_path(&log_dir)) {
        Ok(begins) => begins.first,
        // What was before the log is lost, or not.
        Err(LogError::Io { .. }) => TxOffset(0),
        Err(_) => first.first,
    };
    Ok(Some(Damage { file, from: 0, to: 0, commit: commit.0, what }))
}

/// What is missing behind the log's end, where a snapshot is ahead of it.
fn missing_end(dir: &DataDir, snapshot: TxOffset) -> Damage {
    Damage {
        file: segment_path(&dir.log_dir(), snapshot),
        from: 0,
        to: 0,
        commit: snapshot.0,
        what: "it is missing, and was there when the snapshot of its first commit was made".into(),
    }
}

fn no_snapshot(good: &[(TxOffset, Chain)]) -> RecoveryError {
    let positions: Vec<String> = good.iter().map(|(at, _)| at.0.to_string()).collect();
    let why = match positions.is_empty() {
        true => "none is good".into(),
        false => format!("good are those at {}", positions.join(", ")),
    };
    RecoveryError::NoSnapshot { why }
}

/// The snapshots that can be read, oldest first: their positions, and where
/// they are tied to the log.
fn good_snapshots(
    dir: &DataDir,
    log: Log,
    damage: &mut Vec<Damage>,
) -> Result<Vec<(TxOffset, Chain)>, RecoveryError> {
    let folder = dir.snapshots_dir();
    let positions = snapshots::snapshots(&**dir.files(), &folder)
        .map_err(RecoveryError::io("read", &folder))?;
    let mut good = Vec::new();
    for position in positions {
        match read_snapshot(dir, log, position) {
            Ok((end, _)) => good.push((position, end)),
            Err(what) => {
                let file = snapshot_path(&folder, position);
                let opened = dir.files().open(&file, OpenMode::Read);
                let to = opened.and_then(|mut file| file.size()).unwrap_or_default();
                damage.push(Damage { file, from: 0, to, commit: position.0, what });
            }
        }
    }
    Ok(good)
}

fn read_snapshot(
    dir: &DataDir,
    log: Log,
    position: TxOffset,
) -> Result<(Chain, CommittedState), String> {
    let path = snapshot_path(&dir.snapshots_dir(), position);
    let read = snapshots::read(&**dir.files(), &path, log, &Limits::default(), &mut |_| {});
    read.map(|(header, state)| (header.end, state)).map_err(|error| error.to_string())
}
