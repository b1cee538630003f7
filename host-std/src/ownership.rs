//! Whose log a data directory holds, where its files do not agree.

use std::path::{Path, PathBuf};

use interstice_core::log::frame::{HEADER_LEN, LogHeader, SegmentHeader};

use crate::{
    data_dir::DataDir,
    file_log::{LogError, list_or_none},
    file_system::{FileSystem, OpenMode},
    snapshots,
};

/// The log that most files of a directory belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// No file has a good header.
    Nobody,
    /// Most belong to this one, or all.
    Log(LogHeader),
    /// Two logs have the most, and as many each.
    Even {
        /// The first log.
        log: LogHeader,
        /// A file of it.
        file: PathBuf,
        /// A file of the other one.
        other: PathBuf,
    },
}

/// Finds out whose the segments and snapshots of `dir` are, by their headers.
///
/// # Errors
///
/// When they cannot be listed.
pub(crate) fn owner(dir: &DataDir) -> Result<Owner, LogError> {
    let votes = votes(dir)?;
    let count = |log: &LogHeader| votes.iter().filter(|(_, other)| other == log).count();
    let most = votes.iter().map(|(_, log)| count(log)).max().unwrap_or_default();
    let mut best = votes.iter().filter(|(_, log)| count(log) == most);
    let Some((file, log)) = best.next() else { return Ok(Owner::Nobody) };
    Ok(match best.find(|(_, other)| other != log) {
        None => Owner::Log(*log),
        Some((other, _)) => Owner::Even { log: *log, file: file.clone(), other: other.clone() },
    })
}

/// Every file with a good header, and the log that it says.
fn votes(dir: &DataDir) -> Result<Vec<(PathBuf, LogHeader)>, LogError> {
    let files = &**dir.files();
    let listed = |folder: PathBuf| {
        let names = list_or_none(files, &folder)?;
        Ok::<_, LogError>(names.into_iter().map(move |name| folder.join(name)))
    };
    let segments = listed(dir.log_dir())?.filter_map(|path: PathBuf| {
        let log = segment_header(files, &path)?.log;
        Some((path, log))
    });
    let snapshots = listed(dir.snapshots_dir())?.filter_map(|path: PathBuf| {
        let log = snapshots::read_header(files, &path).ok()?.log;
        Some((path, log))
    });
    Ok(segments.chain(snapshots).collect())
}

fn segment_header(files: &dyn FileSystem, path: &Path) -> Option<SegmentHeader> {
    let mut bytes = [0; HEADER_LEN];
    let read = files.open(path, OpenMode::Read).ok()?.read_at(0, &mut bytes).ok()?;
    SegmentHeader::decode(bytes.get(..read)?).ok()
}
