//! Saving what can be saved of a damaged data directory.
//!
//! Opening a damaged directory is refused, because whoever opens it has to
//! decide what to give up. What a mode keeps goes into a new directory, which
//! is there whole or not at all; the damaged one is not touched. The new log
//! has the identity and the seed of the old one, so that what it keeps can be
//! executed again and compared.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use interstice_core::{
    CommittedState, Limits, TxOffset,
    log::{
        Log,
        frame::{LogHeader, SegmentHeader},
    },
};
use thiserror::Error;

use crate::{
    data_dir::{DataDir, DataDirError},
    database::{Go, History, OpenError, ReadOnlyState},
    file_log::{FileLog, FileLogError, LogError, LogReader, inspect_segments},
    file_system, snapshots,
};

/// What to keep of a damaged directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every commit before the first damage.
    Truncate,
    /// The state of this snapshot, or of the newest good one, and the commits
    /// behind it up to the first damage there. What the log held before is
    /// given up: only the state is left of it.
    Snapshot(Option<TxOffset>),
}

/// What was kept and what was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// The snapshot that the new log begins with.
    pub snapshot: Option<TxOffset>,
    /// Commits in the new log.
    pub commits: u64,
    /// Position of the first commit that is not kept: the end of the new log.
    pub end: TxOffset,
    /// The hash of the state behind it.
    pub state_hash: u64,
    /// Why the log does not go on; `None` if all of it is kept.
    pub damage: Option<String>,
    /// The position behind the last commit that the damaged log is known to
    /// have held, as far as its headers and snapshots tell.
    pub known_end: TxOffset,
}

/// Why nothing was saved. No directory was left behind.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RepairError {
    /// Nothing of the directory can be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The directory's files.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// There is no good snapshot, or not the one asked for.
    #[error("{}", no_snapshot(*position, bad))]
    NoSnapshot {
        /// The one asked for.
        position: Option<TxOffset>,
        /// What is wrong with those that there are.
        bad: Vec<String>,
    },
    /// The system refused to write the new directory.
    #[error("could not write {}: {source}", path.display())]
    Io {
        /// What could not be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The new log.
    #[error(transparent)]
    Log(#[from] FileLogError),
    /// The new directory was written, and does not lead to the same state.
    #[error("the new directory leads to another state; this is a bug, and it was removed")]
    Different,
}

impl From<LogError> for RepairError {
    fn from(error: LogError) -> Self {
        Self::Open(error.into())
    }
}

fn no_snapshot(position: Option<TxOffset>, bad: &[String]) -> String {
    let which = position.map_or_else(String::new, |position| format!(" of commit {position}"));
    let mut text = format!("there is no good snapshot{which}");
    for why in bad {
        text += "; ";
        text += why;
    }
    text
}

/// Writes what `mode` keeps of the data directory `from` into a new directory.
///
/// # Errors
///
/// See [`RepairError`]. The directory `from` is not changed in any case.
pub fn repair(from: &DataDir, mode: Mode, into: &Path) -> Result<Repaired, RepairError> {
    DataDir::check_new(into)?;
    // Under another name until it is whole: a directory that was cut short is
    // not taken for a saved one.
    let partial = into.with_extension("partial");
    remove(&partial)?;
    let repaired = write_kept(from, mode, &partial).and_then(|repaired| {
        let written = ReadOnlyState::open(&partial)?;
        match written.state().state_hash() == repaired.state_hash {
            true => Ok(repaired),
            false => Err(RepairError::Different),
        }
    });
    match repaired {
        Ok(repaired) => {
            remove(into)?;
            fs::rename(&partial, into).map_err(io_error(into))?;
            if let Some(parent) = into.parent() {
                from.files().sync_dir(parent).map_err(io_error(parent))?;
            }
            Ok(repaired)
        }
        Err(error) => {
            remove(&partial)?;
            Err(error)
        }
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> RepairError {
    let path = path.to_owned();
    move |source| RepairError::Io { path, source }
}

fn remove(dir: &Path) -> Result<(), RepairError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(dir)(error)),
        _ => Ok(()),
    }
}

/// Where the new log begins.
struct Beginning {
    state: CommittedState,
    log: LogHeader,
    /// The log behind the state, if it can be read.
    history: Option<History>,
    /// Why it ends, or cannot be read at all.
    damage: Option<String>,
}

/// The beginning of the log, and all that can be read of it.
fn truncated(from: &DataDir) -> Result<Beginning, RepairError> {
    let (history, error) = History::open_leading(from)?;
    Ok(Beginning {
        state: history.state().clone(),
        log: history.log_header(),
        history: Some(history),
        damage: error.map(|error| error.to_string()),
    })
}

/// The snapshot at `position`, or the newest good one, and the log behind it.
fn from_snapshot(from: &DataDir, position: Option<TxOffset>) -> Result<Beginning, RepairError> {
    let (files, folder) = (&**from.files(), from.snapshots_dir());
    let mut positions = snapshots::snapshots(files, &folder).map_err(io_error(&folder))?;
    positions.retain(|at| position.is_none_or(|position| position == *at));
    let mut bad = Vec::new();
    for at in positions.into_iter().rev() {
        let path = snapshots::snapshot_path(&folder, at);
        let read = snapshots::read_header(files, &path).and_then(|header| {
            snapshots::read(files, &path, header.log, &Limits::default(), &mut |_| {})
        });
        match read {
            Ok((header, state)) => {
                let (history, damage) = match History::behind(from, state.clone(), header.end) {
                    Ok(history) => (Some(history), None),
                    Err(error) => (None, Some(error.to_string())),
                };
                return Ok(Beginning { state, log: header.log, history, damage });
            }
            Err(error) => bad.push(format!("{} {error}", path.display())),
        }
    }
    Err(RepairError::NoSnapshot { position, bad })
}

fn write_kept(from: &DataDir, mode: Mode, into: &Path) -> Result<Repaired, RepairError> {
    let Beginning { mut state, log: header, history, mut damage } = match mode {
        Mode::Truncate => truncated(from)?,
        Mode::Snapshot(position) => from_snapshot(from, position)?,
    };
    copy_files(from, into)?;
    let first = state.next_offset();
    let mut log = begin_log(from, into, header, &state)?;
    if let Some(history) = history {
        let (kept, error) = copy_commits(history, &mut log)?;
        state = kept;
        damage = error.map(|error| error.to_string()).or(damage);
    }
    log.sync()?;
    Ok(Repaired {
        snapshot: (first > TxOffset(0)).then_some(first),
        commits: state.next_offset().0 - first.0,
        end: state.next_offset(),
        state_hash: state.state_hash(),
        damage,
        known_end: known_end(from).max(state.next_offset()),
    })
}

/// Makes the new log, which goes on behind `state`.
fn begin_log(
    from: &DataDir,
    into: &Path,
    log: LogHeader,
    state: &CommittedState,
) -> Result<FileLog, RepairError> {
    let (files, dir) = (from.files(), into.join("log"));
    let first = state.next_offset();
    let segment = SegmentHeader { log, number: 0, first, previous: 0 };
    FileLog::create_at(files, &dir, &segment).map_err(io_error(&dir))?;
    if first > TxOffset(0) {
        let folder = into.join("snapshots");
        snapshots::write(files, &folder, log, segment.chain(), state).map_err(io_error(&folder))?;
    }
    let mut reader = LogReader::open(files, &dir)?;
    while reader.next_frame()?.is_some() {}
    let segment_bytes = from.config().unwrap_or_default().segment_bytes.get();
    Ok(FileLog::open(files, &dir, &reader.end(), segment_bytes)?)
}

/// Copies the commits that replay. Returns the state behind them, and what the
/// first one that is not copied met.
fn copy_commits(
    mut history: History,
    log: &mut FileLog,
) -> Result<(CommittedState, Option<OpenError>), RepairError> {
    // A commit is visited before it is replayed, and copied when it has been.
    let mut visited: Option<(TxOffset, Vec<u8>)> = None;
    let done = history.visit(|_, offset, commit| {
        if let Some((offset, commit)) = visited.replace((offset, commit.to_vec())) {
            log.append(offset, &commit)?;
        }
        Ok(Go::On)
    });
    let error = match done {
        Ok(_) => None,
        Err(RepairError::Open(error)) => Some(error),
        Err(error) => return Err(error),
    };
    let state = history.into_state();
    if let Some((offset, commit)) = visited.filter(|(offset, _)| *offset < state.next_offset()) {
        log.append(offset, &commit)?;
    }
    Ok((state, error))
}

/// Copies what is not the log: module files and the configuration.
fn copy_files(from: &DataDir, into: &Path) -> Result<(), RepairError> {
    let files = &**from.files();
    for folder in ["modules", "log"] {
        let folder = into.join(folder);
        files.create_dir_all(&folder).map_err(io_error(&folder))?;
    }
    let modules = from.path().join("modules");
    for name in files.list(&modules).unwrap_or_default() {
        if !name.ends_with(".wasm") {
            continue;
        }
        let to = into.join("modules").join(&name);
        let content = file_system::read(files, &modules.join(&name)).map_err(io_error(&to))?;
        file_system::write_new(files, &to, &content).map_err(io_error(&to))?;
    }
    let config = from.config_path();
    if let Ok(content) = file_system::read(files, &config) {
        let to = into.join("interstice.toml");
        file_system::write_new(files, &to, &content).map_err(io_error(&to))?;
    }
    Ok(())
}

/// The position behind the last commit that headers and snapshots tell of.
fn known_end(from: &DataDir) -> TxOffset {
    let files = &**from.files();
    let segments = inspect_segments(files, &from.log_dir()).unwrap_or_default();
    let firsts = segments.into_iter().flatten().map(|segment| segment.header.first);
    let positions = snapshots::snapshots(files, &from.snapshots_dir()).unwrap_or_default();
    firsts.chain(positions).max().unwrap_or_default()
}
