//! Whose log a data directory holds, where its files do not agree.

use std::{
    io,
    path::{Path, PathBuf},
};

use interstice_core::log::frame::LogHeader;

use crate::{
    data_dir::DataDir,
    file_log::{LogError, header_of, list_or_none},
    file_system::FileSystem,
    snapshots::{self, ReadError},
};

/// Whose the files of a log are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// No file has a good header.
    Nobody,
    /// All belong to this log.
    Log(LogHeader),
    /// They belong to different logs.
    Several {
        /// The log of the first file.
        log: LogHeader,
        /// The first file.
        file: PathBuf,
        /// One of another log.
        other: PathBuf,
    },
}

impl Owner {
    /// The log, or the first of several.
    pub(crate) fn log(&self) -> Option<LogHeader> {
        match self {
            Self::Nobody => None,
            Self::Log(log) | Self::Several { log, .. } => Some(*log),
        }
    }
}

/// Finds out whose the segments of `dir` are, by their headers; where none has
/// a good one, whose its snapshots are.
///
/// # Errors
///
/// When they cannot be listed.
pub(crate) fn owner(dir: &DataDir) -> Result<Owner, LogError> {
    let files = &**dir.files();
    let of_segment = |path: &Path| match header_of(files, path) {
        Err(error) if error.is_permission_denied() => Err(error),
        header => Ok(header.ok().map(|header| header.log)),
    };
    let segments = listed(files, &dir.log_dir(), ".log", of_segment)?;
    if !segments.is_empty() {
        return Ok(one_of(&segments));
    }
    let of_snapshot = |path: &Path| match snapshots::read_header(files, path) {
        Err(ReadError::Io(source)) if source.kind() == io::ErrorKind::PermissionDenied => {
            Err(LogError::io("read", path)(source))
        }
        header => Ok(header.ok().map(|header| header.log)),
    };
    Ok(one_of(&listed(files, &dir.snapshots_dir(), ".snapshot", of_snapshot)?))
}

fn one_of(votes: &[(PathBuf, LogHeader)]) -> Owner {
    let Some((file, log)) = votes.first() else { return Owner::Nobody };
    match votes.iter().find(|(_, other)| other != log) {
        None => Owner::Log(*log),
        Some((other, _)) => Owner::Several { log: *log, file: file.clone(), other: other.clone() },
    }
}

/// Every file in a directory that says a log, and which.
fn listed(
    files: &dyn FileSystem,
    folder: &Path,
    extension: &str,
    log: impl Fn(&Path) -> Result<Option<LogHeader>, LogError>,
) -> Result<Vec<(PathBuf, LogHeader)>, LogError> {
    let names = list_or_none(files, folder)?.into_iter();
    let mut found = Vec::new();
    for path in names.filter(|name| name.ends_with(extension)).map(|name| folder.join(name)) {
        if let Some(log) = log(&path)? {
            found.push((path, log));
        }
    }
    Ok(found)
}
