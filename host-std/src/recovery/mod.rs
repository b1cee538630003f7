//! Recovery: what can be saved of a damaged data directory.
//!
//! ```text
//! find the beginning -> read what is good -> write a new directory beside -> open it -> rename
//! ```
//!
//! Invariants:
//! - The original is read and never written: the repaired directory is another
//!   one, which has its name when it is whole, durable, and was opened.
//! - A repaired log has the log id and seed of the original, and every commit
//!   that is kept has the position that it had.
//! - No commit is made up: what is lost has a
//!   [repair](interstice_core::log::commit::Body::Repair) in its place.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use interstice_core::{CommittedState, TxOffset, log::frame::LogHeader};
use serde::Serialize;
use thiserror::Error;

use crate::{
    data_dir::{self, DataDir, DataDirError, Unfinished, UnfinishedError},
    database::{
        Database, Go, History, OpenError, ReadOnlyState, start_up::while_others_write,
        ties::tied_snapshot,
    },
    file_log::{FileLogError, LogError, segments},
    paths,
    snapshots::{self, ReadError},
};

mod base;
pub(crate) mod rebuild;
mod segments;
mod target;
mod walk;

#[cfg(test)]
mod tests;

/// What to do about damage. Opening a directory is the strict mode: it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Keep what is before the first damage.
    Truncate,
    /// Leave out what is damaged, and keep what still holds behind it.
    Skip,
    /// Begin with the snapshot at this position, or with the newest good one,
    /// and keep the log behind it up to the first damage.
    Snapshot(Option<TxOffset>),
}

/// Damage that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where the damage begins, in bytes.
    pub from: u64,
    /// Where it ends: the next good byte, or the end of the file.
    pub to: u64,
    /// The first commit that should be there.
    pub commit: u64,
    /// What is wrong.
    pub what: String,
}

/// Commits in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Commits {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

/// A commit that verifies, but is not kept as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dependent {
    /// Its position.
    pub commit: u64,
    /// Why.
    pub why: String,
    /// The tables that it changed, as far as that can be read.
    pub tables: Vec<String>,
    /// Changes that were taken over, because they fit the rows.
    pub taken: u32,
    /// Changes that were not.
    pub left: u32,
}

/// What a repair found, kept and lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether nothing is damaged. Then nothing was done.
    pub good: bool,
    /// What is damaged, in order.
    pub damage: Vec<Damage>,
    /// Position of the snapshot that the repaired log begins with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<u64>,
    /// Commits kept as they were.
    pub kept: u64,
    /// Commits that are lost.
    pub lost: Vec<Commits>,
    /// Whether the log's end is lost, so that nothing says how many commits
    /// there were.
    pub lost_end: bool,
    /// Commits behind those, which depend on them.
    pub dependent: Vec<Dependent>,
    /// How many of these cannot be read at all, because the installation of
    /// their module is lost.
    pub unreadable: u64,
    /// Subscriptions that waited where commits are lost, and will not run.
    pub dropped_subscriptions: u64,
    /// Bytes at the end of the log that are no whole commit.
    pub torn_bytes: u64,
    /// Position behind the last commit of the repaired log.
    pub next_commit: u64,
    /// The repaired state.
    pub state_hash: String,
}

impl Report {
    /// How many commits are not kept as they were, as far as that is known.
    pub fn lost_commits(&self) -> u64 {
        let lost = self.lost.iter().map(|lost| lost.last - lost.first + 1);
        lost.sum::<u64>() + self.dependent.len() as u64
    }
}

/// A repaired directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// What was found, kept and lost.
    pub report: Report,
    /// Where the repaired directory is; `None` when the original is good.
    pub repaired: Option<PathBuf>,
    /// Where the original is.
    pub original: PathBuf,
}

/// Why nothing was repaired. The original is as it was.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// The directory.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// No segment has a header that can be read, so whose log it is is not known.
    #[error("no segment and no snapshot in {} has a good header: nothing can be saved", path.display())]
    NoLog {
        /// The directory.
        path: PathBuf,
    },
    /// There are segments of different logs, or only snapshots of such.
    #[error(
        "{} and {} belong to different logs: move away what does not belong there",
        file.display(),
        other.display()
    )]
    Foreign {
        /// A file of one log.
        file: PathBuf,
        /// A file of another one.
        other: PathBuf,
    },
    /// The log's beginning is gone.
    #[error("the log begins with commit {first}, and no good snapshot has what was before it")]
    NoBeginning {
        /// Its first commit.
        first: u64,
    },
    /// There is no such snapshot.
    #[error("there is no good snapshot to begin with: {why}")]
    NoSnapshot {
        /// What there is.
        why: String,
    },
    /// By a file more commits are missing than there can have been.
    #[error("by {} commits {first} to {last} are missing: no log had so many", file.display())]
    Gap {
        /// The file.
        file: PathBuf,
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// There is something where the repaired directory would be.
    #[error("there is something at {} already", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// The repaired directory would be in the damaged one.
    #[error("{} is in the damaged directory, which a repair leaves as it is", path.display())]
    Inside {
        /// The path.
        path: PathBuf,
    },
    /// The system refused something.
    #[error("could not {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The repaired directory could not be made beside its place, or a crash of the
    /// system may still take its name.
    #[error(transparent)]
    Unfinished(#[from] UnfinishedError),
    /// The copy is whole, and neither it nor the original could be given the
    /// directory's name.
    #[error(
        "could not rename {} to {}: {source}; the original is at {}",
        copy.display(),
        path.display(),
        original.display()
    )]
    Between {
        /// The name.
        path: PathBuf,
        /// The repaired directory.
        copy: PathBuf,
        /// The original.
        original: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The repaired log could not be written.
    #[error(transparent)]
    Write(#[from] FileLogError),
    /// The repaired directory could not be read back.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The repaired directory does not open.
    #[error("the repaired directory does not open: {0}")]
    Verify(OpenError),
    /// The repaired directory has another state than it should.
    #[error("the repaired directory has state {found}, and should have {expected}")]
    Differs {
        /// The hash that it should have.
        expected: String,
        /// The hash it has.
        found: String,
    },
}

impl RecoveryError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// Says what a repair would keep and lose. Writes nothing.
///
/// # Errors
///
/// When nothing can be saved this way.
pub fn examine(path: &Path, mode: Mode) -> Result<Report, RecoveryError> {
    let dir = DataDir::open_read_only(path)?;
    if let Some(report) = good(&dir)? {
        return Ok(report);
    }
    let base = base::find(&dir, mode)?;
    walk::walk_and_count(&dir, base, mode, &mut |_, _| Ok(()))
}

/// The mode that keeps most of a damaged data directory, and what it would do:
/// the one that loses the fewest commits, of those the one that keeps the
/// longest history, of those the one with the least doubt. `None` when a repair
/// has nothing to do.
///
/// # Errors
///
/// When nothing can be saved in any mode.
pub fn best_mode(path: &Path) -> Result<Option<(Mode, Report)>, RecoveryError> {
    let dir = DataDir::open_read_only(path)?;
    if good(&dir)?.is_some() {
        return Ok(None);
    }
    let whole = walk::examine_whole(&dir);
    let other = |mode| {
        let report = walk::walk(base::find(&dir, mode)?, mode, &mut |_, _| Ok(()))?;
        Ok(whole.as_ref().map_or(report.clone(), |whole| walk::count(report, whole)))
    };
    let (truncated, behind) = (other(Mode::Truncate), other(Mode::Snapshot(None)));
    let tried = [(Mode::Truncate, truncated), (Mode::Snapshot(None), behind), (Mode::Skip, whole)];
    let mut failed = None;
    let mut best: Option<(Mode, Report)> = None;
    let key = |report: &Report| (report.lost_commits(), report.snapshot);
    for (mode, report) in tried {
        match report {
            // Nothing is what there is without a repair.
            Ok(report) if report.kept == 0 && report.snapshot.is_none() => {}
            Ok(report) if best.as_ref().is_none_or(|(_, best)| key(&report) < key(best)) => {
                best = Some((mode, report));
            }
            Ok(_) => {}
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    match best {
        Some(best) => Ok(Some(best)),
        None => Err(failed.unwrap_or(RecoveryError::NoLog { path: path.to_owned() })),
    }
}

/// Writes a repaired copy of the data directory `path` to `into`, where nothing
/// is yet. It appears there whole, or not at all.
///
/// # Errors
///
/// When nothing can be saved this way, or it cannot be written.
pub fn repair_into(path: &Path, mode: Mode, into: &Path) -> Result<Done, RecoveryError> {
    let dir = DataDir::open_read_only(path)?;
    let original = path.to_owned();
    if let Some(report) = good(&dir)? {
        return Ok(Done { report, repaired: None, original });
    }
    target::check_new(into, path)?;
    let copy = Unfinished::begin(target::unfinished(into), into)?;
    let report = rebuild::build(&dir, mode, copy.path())?;
    copy.publish(&**dir.files(), into)?;
    Ok(Done { report, repaired: Some(into.to_owned()), original })
}

/// Puts a repaired copy in the place of the data directory `path`. The original
/// is kept beside it, as `path.before-repair-1` or the next number. Where `path` is
/// a link, that happens where it leads.
///
/// # Errors
///
/// When the directory is in use, nothing can be saved this way, or it cannot be
/// written.
pub fn repair_in_place(path: &Path, mode: Mode) -> Result<Done, RecoveryError> {
    repair_open_dir(&DataDir::open(&target::named(path)?)?, mode)
}

fn repair_open_dir(dir: &DataDir, mode: Mode) -> Result<Done, RecoveryError> {
    let path = dir.path();
    if let Some(report) = good(dir)? {
        return Ok(Done { report, repaired: None, original: path.to_owned() });
    }
    let mut copy = Unfinished::begin(target::unfinished(path), path)?;
    let report = rebuild::build(dir, mode, copy.path())?;
    copy.finish(&**dir.files())?;
    let original = swap(dir, copy)?;
    data_dir::sync_name(&**dir.files(), path)?;
    Ok(Done { report, repaired: Some(path.to_owned()), original })
}

/// Puts a repaired copy in the place of its original. Returns where that is now.
fn swap(dir: &DataDir, copy: Unfinished) -> Result<PathBuf, RecoveryError> {
    let (files, path) = (&**dir.files(), dir.path());
    let original = target::kept_original(path);
    files.rename(path, &original).map_err(RecoveryError::io("rename", path))?;
    // The original has its other name before the copy takes this one.
    let synced = files.sync_dir(paths::parent(path));
    let Err(source) = synced.and_then(|()| files.rename(copy.path(), path)) else {
        copy.keep();
        return Ok(original);
    };
    if files.rename(&original, path).is_ok() {
        // Then nothing was repaired.
        return Err(RecoveryError::io("rename", copy.path())(source));
    }
    let (path, kept) = (path.to_owned(), copy.path().to_owned());
    copy.keep();
    Err(RecoveryError::Between { path, copy: kept, original, source })
}

/// The repaired directory beside `path` that a crash has kept from taking its
/// place, as far as names tell: nothing is at `path`, and an original was kept.
/// A repair in place that is cut short between its two renames leaves that; to
/// rename the directory to `path` ends the repair.
pub fn unpublished(path: &Path) -> Option<PathBuf> {
    let copy = target::unfinished(path);
    let is_between = path.symlink_metadata().is_err() && target::has_kept_original(path);
    (is_between && data_dir::is_finished(&copy)).then_some(copy)
}

/// Opens a data directory as [`Database::open`] does, and repairs it first if
/// it is damaged; the original is kept beside it.
///
/// # Errors
///
/// As [`repair_in_place`] and [`Database::open`].
pub fn open_recovering(path: &Path, mode: Mode) -> Result<(Database, Done), RecoveryError> {
    let done = repair_in_place(path, mode)?;
    // Not by a name that now leads to the original, as `.` does.
    let at = done.repaired.as_deref().unwrap_or(&done.original);
    let database = Database::open(at).map_err(RecoveryError::Verify)?;
    Ok((database, done))
}

/// What there is to say about a directory that is not damaged, from the first
/// commit that can be replayed to the last; `None` when it is.
///
/// # Errors
///
/// When the system did not read something: that says nothing of what is there.
fn good(dir: &DataDir) -> Result<Option<Report>, RecoveryError> {
    let wrong = |good: &Result<Option<Report>, OpenError>| match good {
        Ok(Some(_)) => Vec::new(),
        Ok(None) => vec!["snapshots and log do not lead to the same".to_owned()],
        Err(error) => vec![error.to_string()],
    };
    match while_others_write(dir, wrong, || good_once(dir)) {
        Ok(found) => Ok(found),
        Err(OpenError::DataDir(error)) => Err(error.into()),
        Err(OpenError::Log(error @ (LogError::Io { .. } | LogError::Removed { .. }))) => {
            Err(error.into())
        }
        Err(_) => Ok(None),
    }
}

fn good_once(dir: &DataDir) -> Result<Option<Report>, OpenError> {
    let mut history = History::open(dir, TxOffset(0))?;
    let first = history.first().0;
    let Some(snapshots) = whole_snapshots(dir)? else { return Ok(None) };
    let leads_to = |state: &CommittedState| {
        let hash = snapshots.get(&state.next_offset());
        hash.is_none_or(|hash| *hash == state.state_hash())
    };
    let mut differs = false;
    history.visit(|state, _, _| {
        differs |= !leads_to(state);
        Ok::<_, OpenError>(Go::On)
    })?;
    if differs || !leads_to(history.state()) {
        return Ok(None);
    }
    // What is behind the newest snapshot leads there, too.
    let again = DataDir::open_read_only_in(dir.files().clone(), dir.path())?;
    let opened = ReadOnlyState::of(again)?;
    let (whole, newest) = (history.state(), opened.state());
    let is_later = dir.is_read_only() && newest.next_offset() > whole.next_offset();
    let is_same =
        newest.next_offset() == whole.next_offset() && newest.state_hash() == whole.state_hash();
    if !opened.opening().bad_snapshots.is_empty() || !(is_same || is_later) {
        return Ok(None);
    }
    Ok(Some(Report {
        good: true,
        snapshot: (first > 0).then_some(first),
        kept: whole.next_offset().0 - first,
        torn_bytes: history.end().torn_tail.map_or(0, |torn| torn.bytes),
        next_commit: whole.next_offset().0,
        state_hash: hash_text(whole.state_hash()),
        ..Report::default()
    }))
}

/// The state hashes of all snapshots, if none of them is damaged.
fn whole_snapshots(dir: &DataDir) -> Result<Option<BTreeMap<TxOffset, u64>>, LogError> {
    let folder = dir.snapshots_dir();
    let segments = segments(&**dir.files(), &dir.log_dir())?;
    let positions = snapshots::snapshots(&**dir.files(), &folder)
        .map_err(LogError::io("read the directory", &folder))?;
    let mut whole = BTreeMap::new();
    for position in positions {
        match tied_snapshot(dir, &segments, position) {
            Ok((_, state)) => whole.insert(position, state.state_hash()),
            Err(ReadError::Io(source)) => {
                return Err(LogError::io("read", &snapshots::snapshot_path(&folder, position))(
                    source,
                ));
            }
            Err(_) => return Ok(None),
        };
    }
    Ok(Some(whole))
}

fn hash_text(hash: u64) -> String {
    format!("{hash:016x}")
}

/// Whose log it is.
type Log = LogHeader;
