//! Everything that can be found wrong with a data directory's log.
//!
//! Opening a directory stops at the first fault, and reads no more than it
//! needs. A check reads everything: each segment on its own, how each goes on
//! where the one before ends, each snapshot, and then it replays the log and
//! compares it with the snapshots. It takes no lock and changes nothing.

use std::{fmt, path::PathBuf};

use interstice_core::{CommittedState, InstalledModule, TxOffset, log::frame::Chain};

use crate::{
    data_dir::{DataDir, DataDirError},
    database::{
        Go, History, OpenError,
        start_up::while_others_write,
        ties::{snapshot_ahead, tied_snapshot},
    },
    file_log::{
        LogError, LogReader, SegmentFault, SegmentFile, TornTail, check_first, inspect_segments,
    },
    module_files::{ModuleFile, ModuleFiles},
    ownership::{Owner, owner},
    snapshots,
};

/// What a check has read, and what it has found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Segments of the log.
    pub segments: u64,
    /// Commits in them that verify.
    pub commits: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// Bytes of the segments.
    pub bytes: u64,
    /// What there is behind the last commit of the newest segment.
    pub torn_tail: Option<TornTail>,
    /// The first commit that there is.
    pub oldest: TxOffset,
    /// The first commit that can be replayed: those before it, if there are any,
    /// have no good snapshot to begin with.
    pub first: TxOffset,
    /// Whether the newest segment is sealed: others followed, or a crash came
    /// before the next one.
    pub ends_sealed: bool,
    /// The hash of the state behind the last commit, if the log replays.
    pub state_hash: Option<u64>,
    /// Everything that is wrong with the log and its snapshots.
    pub problems: Vec<Problem>,
    /// Files of modules that are missing or changed. Found only where the log
    /// replays.
    pub modules: Vec<Problem>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.problems.is_empty() && self.modules.is_empty()
    }
}

/// Something that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// Where in it, in bytes.
    pub at: Option<u64>,
    /// The commit that cannot be had there.
    pub commit: Option<TxOffset>,
    /// What is wrong, in words.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.what)
    }
}

/// Checks the log and the snapshots of a data directory. `progress` is told the
/// bytes that were read so far.
///
/// # Errors
///
/// When the directory's files cannot be listed; what is wrong in them is in the
/// report.
pub fn check(dir: &DataDir, progress: &mut dyn FnMut(u64)) -> Result<Report, LogError> {
    let wrong = |checked: &Result<Report, LogError>| match checked {
        Ok(report) => {
            let sealed = report.ends_sealed.then(|| "no segment follows".to_owned());
            let problems = report.problems.iter().chain(&report.modules);
            problems.map(Problem::to_string).chain(sealed).collect()
        }
        Err(error) => vec![error.to_string()],
    };
    while_others_write(dir, wrong, || check_once(dir, progress))
}

fn check_once(dir: &DataDir, progress: &mut dyn FnMut(u64)) -> Result<Report, LogError> {
    let mut report = Report::default();
    let owner = owner(dir)?;
    let segments = check_segments(dir, &owner, &mut report, progress)?;
    let snapshots = check_snapshots(dir, &owner, &segments, &mut report)?;
    if let Err(error) = dir.config() {
        let path = dir.config_path();
        // Without the picture of the line.
        let what = error.to_string();
        let what: Vec<&str> = what.lines().filter(|line| !line.contains('|')).collect();
        let what = what.join(": ");
        report.problems.push(Problem { path, at: None, commit: None, what });
    }
    report.oldest = segments.first().map(|segment| segment.header.first).unwrap_or_default();
    if report.problems.is_empty() {
        check_replay(dir, &snapshots, &mut report);
    }
    Ok(report)
}

/// Reads every segment on its own, and compares it with its neighbours.
fn check_segments(
    dir: &DataDir,
    owner: &Owner,
    report: &mut Report,
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<SegmentFile>, LogError> {
    let inspected = inspect_segments(&**dir.files(), &dir.log_dir())?;
    let is_of_log = |segment: &SegmentFile| owner.log() == Some(segment.header.log);
    let newest = inspected.iter().rposition(|segment| segment.as_ref().is_ok_and(is_of_log));
    let mut good: Vec<SegmentFile> = Vec::new();
    // The end of the segment before, if that could be read to its end.
    let mut before: Option<(SegmentFile, Chain)> = None;
    let mut read_bytes = 0;
    for (index, inspected) in inspected.into_iter().enumerate() {
        report.segments += 1;
        let segment = match inspected {
            Ok(segment) => segment,
            Err(error) if error.is_permission_denied() => return Err(error),
            Err(error) => {
                report.problems.push(problem(&error));
                before = None;
                continue;
            }
        };
        report.bytes += segment.len;
        if let Owner::Several { file, .. } = owner
            && !is_of_log(&segment)
        {
            let (path, fault) = (segment.path, SegmentFault::Foreign { beside: file.clone() });
            report.problems.push(problem(&LogError::Segment { path, fault }));
            before = None;
            continue;
        }
        let broken = match index {
            0 => check_first(&**dir.files(), &dir.log_dir(), &segment.header).err(),
            _ => before.as_ref().and_then(|before| broken_link(before, &segment)),
        };
        if let Some(error) = broken {
            if error.is_permission_denied() {
                return Err(error);
            }
            report.problems.push(problem(&error));
        }
        before = check_segment(dir, &segment, Some(index) == newest, report);
        good.push(segment);
        read_bytes += good.last().map_or(0, |segment| segment.len);
        progress(read_bytes);
    }
    Ok(good)
}

/// What is wrong between a segment and the one before it, which ends at `end`.
fn broken_link((before, end): &(SegmentFile, Chain), segment: &SegmentFile) -> Option<LogError> {
    let expected = before.header.number.saturating_add(1);
    let found = segment.header.number;
    let fault = match found == expected {
        true if segment.header.follows(&before.header, *end) => return None,
        true => SegmentFault::Unchained { before: before.path.clone() },
        false => SegmentFault::Number { expected, found },
    };
    Some(LogError::Segment { path: segment.path.clone(), fault })
}

/// Reads a segment to its end. Returns its end if it is whole.
fn check_segment(
    dir: &DataDir,
    segment: &SegmentFile,
    is_newest: bool,
    report: &mut Report,
) -> Option<(SegmentFile, Chain)> {
    let read = LogReader::of_segment(dir.files(), segment, is_newest).and_then(|mut reader| {
        while let Some(frame) = reader.next_frame()? {
            report.commits += frame.commits().count() as u64;
        }
        Ok(reader.end())
    });
    match read {
        Ok(end) => {
            report.torn_tail = end.torn_tail;
            report.ends_sealed = is_newest && end.is_sealed;
            Some((segment.clone(), end.chain))
        }
        Err(error) => {
            report.problems.push(problem(&error));
            None
        }
    }
}

/// Reads every snapshot. Returns the good ones: position and state hash.
fn check_snapshots(
    dir: &DataDir,
    owner: &Owner,
    segments: &[SegmentFile],
    report: &mut Report,
) -> Result<Vec<(TxOffset, u64)>, LogError> {
    let folder = dir.snapshots_dir();
    let positions = snapshots::snapshots(&**dir.files(), &folder)
        .map_err(LogError::io("read the directory", &folder))?;
    let newest = segments.last().map(|segment| segment.header.first);
    let ahead = match owner.log() {
        Some(log) => snapshot_ahead(dir, log, newest)?,
        None => None,
    };
    let mut good = Vec::new();
    for position in positions {
        report.snapshots += 1;
        let path = snapshots::snapshot_path(&folder, position);
        let what = match tied_snapshot(dir, segments, position) {
            Ok((_, state)) => {
                good.push((position, state.state_hash()));
                continue;
            }
            Err(_) if ahead == Some(position) => {
                OpenError::LogBehindSnapshot { path: path.clone(), position }.to_string()
            }
            Err(error) => format!("the snapshot {} {error}", path.display()),
        };
        report.problems.push(Problem { path, at: None, commit: Some(position), what });
    }
    Ok(good)
}

/// Replays the log, which verifies, and compares it with the snapshots.
fn check_modules(dir: &DataDir, files: &ModuleFiles, state: &CommittedState) -> Vec<Problem> {
    let problem = |(file, error): (&ModuleFile, DataDirError)| {
        let mut installed = state.modules().iter().map(InstalledModule::content_hash);
        let what = match installed.any(|hash| *hash == file.content_hash) {
            true => error.to_string(),
            false => format!("{error}; it is an earlier version, which re-execution needs"),
        };
        let path = dir.module_path(&file.content_hash);
        Problem { path, at: None, commit: file.commit, what }
    };
    files.wrong(dir).map(problem).collect()
}

fn check_replay(dir: &DataDir, snapshots: &[(TxOffset, u64)], report: &mut Report) {
    let mut different = Vec::new();
    let mut compare = |state: &CommittedState| {
        let position = state.next_offset();
        let of_snapshot = snapshots.iter().find(|(at, _)| *at == position);
        if of_snapshot.is_some_and(|(_, hash)| *hash != state.state_hash()) {
            different.push(position);
        }
    };
    let replayed = History::open(dir, TxOffset(0)).and_then(|mut history| {
        let mut files = ModuleFiles::behind(history.state());
        history.visit(|state, offset, commit| {
            compare(state);
            files.see(offset, commit);
            Ok::<Go, OpenError>(Go::On)
        })?;
        Ok((history, files))
    });
    match replayed {
        Ok((history, files)) => {
            let state = history.state();
            compare(state);
            report.modules = check_modules(dir, &files, state);
            report.first = history.first();
            report.state_hash = Some(state.state_hash());
        }
        Err(OpenError::Replay { path, source }) => report.problems.push(Problem {
            path,
            at: None,
            commit: Some(source.offset),
            what: format!("the log verifies, but does not replay: {source}"),
        }),
        Err(error) => report.problems.push(Problem {
            path: dir.log_dir(),
            at: None,
            commit: None,
            what: error.to_string(),
        }),
    }
    for position in different {
        report.problems.push(Problem {
            path: snapshots::snapshot_path(&dir.snapshots_dir(), position),
            at: None,
            commit: Some(position),
            what: "the snapshot is whole, but not the state that the log leads to".to_owned(),
        });
    }
}

/// What an error of reading says, with its place.
fn problem(error: &LogError) -> Problem {
    let (path, at, commit) = match error {
        LogError::Io { path, .. } | LogError::Removed { path } => (path, None, None),
        LogError::NoSegment { dir } => (dir, None, None),
        LogError::Header { path, .. } | LogError::Beginning { path, .. } => (path, Some(0), None),
        LogError::Damaged { path, at, offset, .. } => (path, Some(*at), Some(*offset)),
        LogError::Segment { path, fault } => {
            let at = match fault {
                SegmentFault::BehindSeal { at } => Some(*at),
                _ => None,
            };
            (path, at, None)
        }
    };
    Problem { path: path.clone(), at, commit, what: error.to_string() }
}
