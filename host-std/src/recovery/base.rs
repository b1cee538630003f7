//! Where a repaired log begins, and the segments that there are.

use std::path::PathBuf;

use interstice_core::{CommittedState, Limits, TxOffset, log::frame::SegmentHeader};

use super::{Damage, Log, Mode, RecoveryError};
use crate::{
    data_dir::DataDir,
    file_log::{list_or_none, position_of, segment_path},
    file_system,
    ownership::{Owner, owner},
    snapshots::{self, snapshot_path},
};

/// A file of the log, good or not.
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
    /// Its first commit, by its header, or else by its name.
    pub(super) first: TxOffset,
    /// Its header, or what is wrong with it.
    pub(super) header: Result<SegmentHeader, String>,
}

/// Where to begin.
pub(super) struct Base {
    pub(super) log: Log,
    /// The state to begin with: empty, or that of a snapshot.
    pub(super) state: CommittedState,
    /// The segments from there on.
    pub(super) segments: Vec<Segment>,
    /// The position of the newest good snapshot: the log was that long.
    pub(super) known_end: TxOffset,
    /// Whether the segment behind that is missing.
    pub(super) lost_end: bool,
    /// Damage that is not in a segment that is read.
    pub(super) damage: Vec<Damage>,
}

pub(super) fn find(dir: &DataDir, mode: Mode) -> Result<Base, RecoveryError> {
    let log = match owner(dir)? {
        Owner::Log(log) => log,
        Owner::Nobody => return Err(RecoveryError::NoLog { path: dir.path().to_owned() }),
        Owner::Even { file, other, .. } => return Err(RecoveryError::TwoLogs { file, other }),
    };
    let mut damage = Vec::new();
    let mut segments = read_segments(dir, log, &mut damage)?;
    let good = good_snapshots(dir, log, &mut damage)?;
    let missing = missing_end(dir, &segments, &good);
    let lost_end = missing.is_some();
    damage.extend(missing);
    let begin = beginning(mode, &segments, &good)?;
    if let (Mode::Truncate | Mode::Skip, Some(begin)) = (mode, begin) {
        let cut_off = segments.first().filter(|oldest| oldest.first < begin);
        let what = "no good snapshot leads to its first commit".to_owned();
        damage.extend(cut_off.map(|oldest| of_file(oldest, what)));
    }
    let state = match begin {
        None => CommittedState::new(log.seed, Limits::default()),
        Some(position) => {
            read_snapshot(dir, log, position).map_err(|why| RecoveryError::NoSnapshot { why })?
        }
    };
    segments.retain(|segment| segment.first >= state.next_offset());
    let known_end = good.last().copied().unwrap_or_default();
    Ok(Base { log, state, segments, damage, known_end, lost_end })
}

/// The snapshot to begin with; `None` for the empty state.
fn beginning(
    mode: Mode,
    segments: &[Segment],
    good: &[TxOffset],
) -> Result<Option<TxOffset>, RecoveryError> {
    let newest = good.last().copied();
    let first = segments.first().map(|segment| segment.first);
    match (mode, first) {
        (Mode::Snapshot(None), _) => newest.ok_or_else(|| no_snapshot(good)).map(Some),
        (Mode::Snapshot(Some(wanted)), _) if good.contains(&wanted) => Ok(Some(wanted)),
        (Mode::Snapshot(Some(_)), _) => Err(no_snapshot(good)),
        (Mode::Truncate | Mode::Skip, Some(TxOffset(0))) => Ok(None),
        (Mode::Truncate | Mode::Skip, None) => Ok(newest),
        (Mode::Truncate | Mode::Skip, Some(first)) => {
            let oldest = good.iter().find(|position| **position >= first).copied();
            match oldest.is_none() && mode == Mode::Truncate {
                true => Err(RecoveryError::NoBeginning { first: first.0 }),
                false => Ok(oldest),
            }
        }
    }
}

fn of_file(segment: &Segment, what: String) -> Damage {
    let (file, to) = (segment.path.clone(), segment.bytes.len() as u64);
    Damage { file, from: 0, to, commit: segment.first.0, what }
}

/// What is missing behind the log's end, where the newest snapshot is ahead of
/// it.
fn missing_end(dir: &DataDir, segments: &[Segment], good: &[TxOffset]) -> Option<Damage> {
    let snapshot = *good.last()?;
    let is_ahead = segments.last().is_none_or(|newest| newest.first < snapshot);
    is_ahead.then(|| Damage {
        file: segment_path(&dir.log_dir(), snapshot),
        from: 0,
        to: 0,
        commit: snapshot.0,
        what: "it is missing, and was there when the snapshot of its first commit was made".into(),
    })
}

fn no_snapshot(good: &[TxOffset]) -> RecoveryError {
    let positions: Vec<String> = good.iter().map(|position| position.0.to_string()).collect();
    let why = match positions.is_empty() {
        true => "none is good".into(),
        false => format!("good are those at {}", positions.join(", ")),
    };
    RecoveryError::NoSnapshot { why }
}

/// The segments of `log`, in order. A file that is no segment of it, or one of
/// those once more, is damage.
fn read_segments(
    dir: &DataDir,
    log: Log,
    damage: &mut Vec<Damage>,
) -> Result<Vec<Segment>, RecoveryError> {
    let folder = dir.log_dir();
    let files = &**dir.files();
    let mut segments: Vec<Segment> = Vec::new();
    for name in list_or_none(files, &folder)? {
        if !name.ends_with(".log") {
            continue;
        }
        let path = folder.join(&name);
        let bytes = file_system::read(files, &path).map_err(RecoveryError::io("read", &path))?;
        let named = position_of(&name, ".log");
        let header = SegmentHeader::decode(&bytes).map_err(|error| error.to_string());
        let first = header.as_ref().map_or(named, |header| Some(header.first));
        let what = match (&header, first) {
            (Ok(header), _) if header.log != log => "it belongs to another log",
            (_, Some(first)) => {
                segments.push(Segment { path, bytes, first, header });
                continue;
            }
            (_, None) => "it is no segment, by its name and by its header",
        };
        let (file, to, commit) = (path, bytes.len() as u64, first.map_or(0, |first| first.0));
        damage.push(Damage { file, from: 0, to, commit, what: what.to_owned() });
    }
    // The one with a good header, and the right name, is before its copies.
    let is_named = |s: &Segment| s.path == segment_path(&folder, s.first);
    segments.sort_by_key(|s| (s.first, s.header.is_err(), !is_named(s)));
    let mut kept: Vec<Segment> = Vec::new();
    for segment in segments {
        let first = segment.first;
        let is_copy = kept.last().is_some_and(|kept| kept.first == first);
        if is_copy {
            damage
                .push(of_file(&segment, format!("it begins with commit {first}, as another does")));
            continue;
        }
        if !is_named(&segment) {
            damage
                .push(of_file(&segment, format!("it was renamed: it begins with commit {first}")));
        }
        kept.push(segment);
    }
    Ok(kept)
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
