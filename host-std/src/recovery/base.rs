//! Where a repaired log begins, and the segments that there are.

use std::path::PathBuf;

use interstice_core::{
    CommittedState, Limits, TxOffset,
    log::frame::{SNAPSHOT_HEADER_LEN, SegmentHeader, SnapshotHeader},
};

use super::{Damage, Log, Mode, RecoveryError};
use crate::{
    data_dir::DataDir,
    file_log::position_of,
    file_system,
    snapshots::{self, snapshot_path},
};

/// A file of the log, good or not.
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
    /// Its first commit, by its name.
    pub(super) first: TxOffset,
    /// Its header, if it is the one that belongs there.
    pub(super) header: Result<SegmentHeader, String>,
}

/// Where to begin.
pub(super) struct Base {
    pub(super) log: Log,
    /// The state to begin with: empty, or that of a snapshot.
    pub(super) state: CommittedState,
    /// The segments from there on.
    pub(super) segments: Vec<Segment>,
    /// Damage outside the log.
    pub(super) damage: Vec<Damage>,
}

pub(super) fn find(dir: &DataDir, mode: Mode) -> Result<Base, RecoveryError> {
    let mut segments = read_segments(dir)?;
    let log = whose(dir, &segments)?;
    for segment in &mut segments {
        if let Ok(header) = &segment.header {
            if header.log != log {
                segment.header = Err("it belongs to another log".into());
            } else if header.first != segment.first {
                segment.header = Err(format!("it was renamed: it begins at {}", header.first));
            }
        }
    }
    let mut damage = Vec::new();
    let good = good_snapshots(dir, log, &mut damage)?;
    let first = segments.first().map_or(TxOffset(0), |segment| segment.first);
    let chosen = match mode {
        Mode::Snapshot(Some(wanted)) => match good.contains(&wanted) {
            true => Some(wanted),
            false => return Err(no_snapshot(&good)),
        },
        Mode::Snapshot(None) => Some(*good.last().ok_or_else(|| no_snapshot(&good))?),
        Mode::Truncate | Mode::Skip if first == TxOffset(0) => None,
        Mode::Truncate | Mode::Skip => good.iter().find(|position| **position >= first).copied(),
    };
    if mode == Mode::Truncate && chosen.is_none() && first > TxOffset(0) {
        return Err(RecoveryError::NoBeginning { first: first.0 });
    }
    let state = match chosen {
        None => CommittedState::new(log.seed, Limits::default()),
        Some(position) => {
            read_snapshot(dir, log, position).map_err(|why| RecoveryError::NoSnapshot { why })?
        }
    };
    let begin = state.next_offset();
    segments.retain(|segment| segment.first >= begin);
    Ok(Base { log, state, segments, damage })
}

fn no_snapshot(good: &[TxOffset]) -> RecoveryError {
    let positions: Vec<String> = good.iter().map(|position| position.0.to_string()).collect();
    let why = match positions.is_empty() {
        true => "none is good".into(),
        false => format!("good are those at {}", positions.join(", ")),
    };
    RecoveryError::NoSnapshot { why }
}

fn read_segments(dir: &DataDir) -> Result<Vec<Segment>, RecoveryError> {
    let folder = dir.log_dir();
    let files = &**dir.files();
    let names = files.list(&folder).map_err(RecoveryError::io("read", &folder))?;
    let mut segments = Vec::new();
    for name in names {
        let Some(first) = position_of(&name, ".log") else { continue };
        let path = folder.join(&name);
        let bytes = file_system::read(files, &path).map_err(RecoveryError::io("read", &path))?;
        let header = SegmentHeader::decode(&bytes).map_err(|error| error.to_string());
        segments.push(Segment { path, bytes, first, header });
    }
    Ok(segments)
}

/// Whose log it is: what most headers say, the first of them where it is even.
fn whose(dir: &DataDir, segments: &[Segment]) -> Result<Log, RecoveryError> {
    let mut logs: Vec<Log> =
        segments.iter().filter_map(|s| s.header.as_ref().ok()).map(|header| header.log).collect();
    let folder = dir.snapshots_dir();
    for position in snapshots::snapshots(&**dir.files(), &folder).unwrap_or_default() {
        let bytes = file_system::read(&**dir.files(), &snapshot_path(&folder, position));
        let bytes = bytes.unwrap_or_default();
        let bytes = bytes.get(..SNAPSHOT_HEADER_LEN).unwrap_or_default();
        logs.extend(SnapshotHeader::decode(bytes).map(|header| header.log));
    }
    let count = |log: &Log| logs.iter().filter(|other| *other == log).count();
    let best = logs.iter().rev().max_by_key(|log| count(log)).copied();
    best.ok_or_else(|| RecoveryError::NoLog { path: dir.path().to_owned() })
}

/// The positions of the snapshots that can be read, oldest first.
fn good_snapshots(
    dir: &DataDir,
    log: Log,
    damage: &mut Vec<Damage>,
) -> Result<Vec<TxOffset>, RecoveryError> {
    let folder = dir.snapshots_dir();
    let positions = snapshots::snapshots(&**dir.files(), &folder)
        .map_err(RecoveryError::io("read", &folder))?;
    let mut good = Vec::new();
    for position in positions {
        match read_snapshot(dir, log, position) {
            Ok(_) => good.push(position),
            Err(what) => {
                let file = snapshot_path(&folder, position);
                let size = file_system::read(&**dir.files(), &file).map_or(0, |bytes| bytes.len());
                damage.push(Damage { file, from: 0, to: size as u64, commit: position.0, what });
            }
        }
    }
    Ok(good)
}

fn read_snapshot(dir: &DataDir, log: Log, position: TxOffset) -> Result<CommittedState, String> {
    let path = snapshot_path(&dir.snapshots_dir(), position);
    let read = snapshots::read(&**dir.files(), &path, log, &Limits::default(), &mut |_| {});
    read.map(|(_, state)| state).map_err(|error| error.to_string())
}
