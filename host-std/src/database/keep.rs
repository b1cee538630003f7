//! Snapshots and retention: when they are due, and what they let go.

use std::{
    io,
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use interstice_core::TxOffset;
use thiserror::Error;

use super::{
    Database,
    ties::{is_good, snapshots_of},
};
use crate::{
    data_dir::DataDir,
    file_log::{FileLogError, LogError, SegmentFile, segments, write_beginning},
    persistence::PersistenceConfig,
    snapshots,
};

/// Why a snapshot was not taken, or old files were not removed. The database
/// is as good as before, unless the log has failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapshotFailure {
    /// The log takes nothing more.
    #[error(transparent)]
    Log(#[from] FileLogError),
    /// The log's segments could not be listed.
    #[error(transparent)]
    Segments(#[from] LogError),
    /// The snapshot is taken, and something old is still there.
    #[error("the snapshot {} is taken, but {failure}", snapshot.display())]
    NotRemoved {
        /// Its file.
        snapshot: PathBuf,
        /// Why what is not kept was not removed.
        failure: Box<SnapshotFailure>,
    },
    /// The system could not write the snapshot, or remove an old file.
    #[error("could not {action} in {}: {source}", path.display())]
    Io {
        /// `write a snapshot` or `remove what is not kept`.
        action: &'static str,
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Knows when the next snapshot is due.
#[derive(Debug)]
pub(super) struct Keeper {
    /// Position of the last snapshot; 0, if there is none.
    position: TxOffset,
    /// Bytes of the log then.
    log_len: u64,
    /// How old it was at the time `since`.
    age: Duration,
    since: Instant,
}

impl Keeper {
    pub(super) fn new(position: TxOffset, log_len: u64) -> Self {
        Self { position, log_len, age: Duration::ZERO, since: Instant::now() }
    }

    /// Goes on from the snapshot at `position`, which an earlier process may have
    /// taken: what it has left counts. `next`: where the log ends. Where there is no
    /// snapshot yet, but commits, nobody knows since when one is due: it is.
    pub(super) fn resume(
        dir: &DataDir,
        position: TxOffset,
        next: TxOffset,
    ) -> Result<Self, LogError> {
        let segments = segments(&**dir.files(), &dir.log_dir())?;
        let before = segments.iter().filter(|segment| segment.header.first < position);
        let log_len = before.map(|segment| segment.len).sum();
        let path = snapshots::snapshot_path(&dir.snapshots_dir(), position);
        let age = match dir.files().modified(&path) {
            Ok(taken) => SystemTime::now().duration_since(taken).unwrap_or_default(),
            Err(_) if next > TxOffset(0) => Duration::MAX,
            Err(_) => Duration::ZERO,
        };
        Ok(Self { age, ..Self::new(position, log_len) })
    }

    fn is_due(&self, config: &PersistenceConfig, next: TxOffset, log_len: u64) -> bool {
        let by_len = config.snapshot_log_bytes > 0
            && log_len.saturating_sub(self.log_len) >= config.snapshot_log_bytes;
        let by_time = config.snapshot_seconds > 0
            && self.age.saturating_add(self.since.elapsed())
                >= Duration::from_secs(config.snapshot_seconds);
        next > self.position && (by_len || by_time)
    }
}

impl Database {
    /// Takes a snapshot, when the [`PersistenceConfig`] says that one is due.
    /// Returns its file. Takes time in the order of the state.
    ///
    /// # Errors
    ///
    /// See [`SnapshotFailure`].
    pub fn snapshot_if_due(&mut self) -> Result<Option<PathBuf>, SnapshotFailure> {
        let (next, len) = (self.state().next_offset(), self.log().len());
        if !self.keeper.is_due(&self.config, next, len) {
            return Ok(None);
        }
        self.snapshot().map(Some)
    }

    /// Takes a snapshot of the state, and removes the snapshots and segments
    /// that the [`PersistenceConfig`] does not keep. The log goes on in a new
    /// segment. Returns the snapshot's file.
    ///
    /// # Errors
    ///
    /// See [`SnapshotFailure`].
    pub fn snapshot(&mut self) -> Result<PathBuf, SnapshotFailure> {
        self.sync()?;
        let end = self.runtime.log_mut().begin_new_segment()?;
        // Also where it fails: not after the next commit again.
        self.keeper = Keeper::new(end.next_offset(), self.log().len());
        let dir = self.dir.snapshots_dir();
        let (files, header) = (self.dir.files(), self.log_header);
        let path = snapshots::write(files, &dir, header, end, self.state());
        let path = path.map_err(io_failure("write a snapshot", &dir))?;
        match remove_old(&self.dir, &self.config) {
            Ok(()) => Ok(path),
            Err(failure) => {
                Err(SnapshotFailure::NotRemoved { snapshot: path, failure: Box::new(failure) })
            }
        }
    }
}

fn io_failure(
    action: &'static str,
    path: &std::path::Path,
) -> impl FnOnce(io::Error) -> SnapshotFailure {
    let path = path.to_owned();
    move |source| SnapshotFailure::Io { action, path, source }
}

/// Removes what `config` does not keep, oldest first: the snapshots, and then
/// the segments before the snapshot that the log begins with from now on.
fn remove_old(dir: &DataDir, config: &PersistenceConfig) -> Result<(), SnapshotFailure> {
    let (files, folder, log) = (&**dir.files(), dir.snapshots_dir(), dir.log_dir());
    let failed = |path| io_failure("remove what is not kept", path);
    let segments = segments(files, &log)?;
    let positions = snapshots_of(dir, segments[0].header.log)?;
    let unread = io_failure("read a snapshot in", &folder);
    let kept = Kept::choose(dir, config, &segments, &positions).map_err(unread)?;
    let (before, rest) =
        segments.split_at(segments.partition_point(|it| it.header.first < kept.cut));
    // The one that the first segment goes on behind stays with it: where it is
    // damaged, a copy of it may be had.
    let first = rest.first().map(|segment| segment.header.first);
    let goes = |at: &TxOffset| !kept.has_snapshot(*at) && Some(*at) != first;
    let old: Vec<TxOffset> = positions.into_iter().filter(goes).collect();
    for position in &old {
        let path = snapshots::snapshot_path(&folder, *position);
        files.remove(&path).map_err(failed(&folder))?;
    }
    if !old.is_empty() {
        files.sync_dir(&folder).map_err(failed(&folder))?;
    }
    if let (Some(_), Some(first)) = (before.first(), rest.first()) {
        write_beginning(files, &log, &first.header).map_err(failed(&log))?;
    }
    for segment in before {
        files.remove(&segment.path).map_err(failed(&log))?;
        // One by one: a crash must not leave a gap.
        files.sync_dir(&log).map_err(failed(&log))?;
    }
    Ok(())
}

/// What retention leaves.
struct Kept {
    /// Where the history begins: 0, or a snapshot.
    beginning: TxOffset,
    /// Segments that begin before this go.
    cut: TxOffset,
    /// The snapshot where the log is cut next; only while segments are removed.
    next_cut: Option<TxOffset>,
    /// The oldest of the newest snapshots, as many as are asked for.
    oldest_of_newest: TxOffset,
}

impl Kept {
    /// `positions` are those of the log's snapshots. One that is not good is
    /// never a beginning.
    ///
    /// # Errors
    ///
    /// When one cannot be read: that says nothing of what it is.
    fn choose(
        dir: &DataDir,
        config: &PersistenceConfig,
        segments: &[SegmentFile],
        positions: &[TxOffset],
    ) -> io::Result<Self> {
        let count = usize::try_from(config.snapshots_kept.get()).unwrap_or(usize::MAX);
        let newest = &positions[positions.len().saturating_sub(count)..];
        let oldest_of_newest = newest.first().copied().unwrap_or_default();
        let removes = config.removes_segments();
        let wanted = if removes { first_retained(dir, config, segments) } else { TxOffset(0) };
        let is_good = |at: &TxOffset| is_good(dir, segments, *at);
        let beginning_now = match segments[0].header.number {
            0 => TxOffset(0),
            _ => first_good(positions.iter(), is_good)?.unwrap_or_default(),
        };
        let last = wanted.min(oldest_of_newest);
        let candidates = positions.iter().rev().skip_while(|at| **at > last);
        let new = first_good(candidates.take_while(|at| **at > beginning_now), is_good)?;
        let beginning = new.unwrap_or(beginning_now);
        let cut = if beginning <= wanted { beginning } else { TxOffset(0) };
        let next_cut = match removes {
            true => first_good(positions.iter().filter(|at| **at > beginning), is_good)?,
            false => None,
        };
        Ok(Self { beginning, cut, next_cut, oldest_of_newest })
    }

    fn has_snapshot(&self, at: TxOffset) -> bool {
        at >= self.oldest_of_newest || at == self.beginning || Some(at) == self.next_cut
    }
}

fn first_good<'a>(
    mut positions: impl Iterator<Item = &'a TxOffset>,
    is_good: impl Fn(&TxOffset) -> io::Result<bool>,
) -> io::Result<Option<TxOffset>> {
    positions
        .find_map(|at| match is_good(at) {
            Ok(true) => Some(Ok(*at)),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        })
        .transpose()
}

/// The first commit of the oldest segment that the configuration keeps.
fn first_retained(dir: &DataDir, config: &PersistenceConfig, segments: &[SegmentFile]) -> TxOffset {
    let goes = |index: usize| {
        let newer = segments.get(index + 1..).unwrap_or_default();
        let bytes: u64 = newer.iter().map(|segment| segment.len).sum();
        config.retain_segments > 0 && newer.len() as u64 > config.retain_segments
            || config.retain_bytes > 0 && bytes >= config.retain_bytes
            || config.retain_hours > 0 && hours_old(dir, &segments[index]) >= config.retain_hours
    };
    let first_kept = (0..segments.len()).find(|index| !goes(*index));
    first_kept.or(segments.len().checked_sub(1)).map_or(TxOffset(0), |i| segments[i].header.first)
}

/// Hours since the segment was written last.
fn hours_old(dir: &DataDir, segment: &SegmentFile) -> u64 {
    let written = dir.files().modified(&segment.path).ok();
    let age = written.and_then(|written| written.elapsed().ok());
    age.map_or(0, |age| age.as_secs() / 3600)
}
