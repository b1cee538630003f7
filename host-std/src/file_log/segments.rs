//! Which segments there are.

use std::{
    io,
    path::{Path, PathBuf},
};

use interstice_core::{
    TxOffset,
    log::frame::{HEADER_LEN, SegmentHeader},
};

use super::{LogError, SegmentFault, check_first};
use crate::file_system::{FileSystem, OpenMode, StoredFile};

const EXTENSION: &str = ".log";

/// Digits of a position in a name, so that names are in the order of positions.
const DIGITS: usize = 20;

/// A segment of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFile {
    /// Its file.
    pub path: PathBuf,
    /// What its file begins with.
    pub header: SegmentHeader,
    /// Bytes of the file.
    pub len: u64,
}

/// The file of the segment that begins with commit `first`.
pub fn segment_path(dir: &Path, first: TxOffset) -> PathBuf {
    dir.join(format!("{}{EXTENSION}", position_name(first)))
}

/// A position as a part of a name.
pub(crate) fn position_name(position: TxOffset) -> String {
    format!("{:0DIGITS$}", position.0)
}

/// The position in the name of a file, behind which `extension` stands.
pub(crate) fn position_of(name: &str, extension: &str) -> Option<TxOffset> {
    let digits = name.strip_suffix(extension)?;
    let is_position = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_position.then(|| digits.parse().ok()).flatten().map(TxOffset)
}

/// The segments of the log in `dir`, in order. Their headers are checked, and
/// that none is missing before or between them; what is behind the headers is
/// not.
///
/// # Errors
///
/// When there is none, or one of them does not belong there.
pub fn segments(files: &dyn FileSystem, dir: &Path) -> Result<Vec<SegmentFile>, LogError> {
    let mut segments: Vec<SegmentFile> = Vec::new();
    for segment in inspect_segments(files, dir)? {
        let segment = segment?;
        check_order(segments.last(), &segment)?;
        segments.push(segment);
    }
    // What says where the log begins was there before a segment was missing.
    match segments.first() {
        Some(first) => check_first(files, dir, &first.header)?,
        None => return Err(LogError::NoSegment { dir: dir.to_owned() }),
    }
    Ok(segments)
}

/// Each segment of the log in `dir` by its header, in the order of their names,
/// or why it is none.
///
/// # Errors
///
/// When the directory cannot be listed.
pub fn inspect_segments(
    files: &dyn FileSystem,
    dir: &Path,
) -> Result<Vec<Result<SegmentFile, LogError>>, LogError> {
    let names = list_or_none(files, dir)?;
    let names: Vec<&String> = names.iter().filter(|name| name.ends_with(EXTENSION)).collect();
    Ok(names.into_iter().map(|name| read_header(files, dir, name)).collect())
}

/// The names in a directory; none if it is not there.
///
/// # Errors
///
/// When the system refuses.
pub(crate) fn list_or_none(files: &dyn FileSystem, dir: &Path) -> Result<Vec<String>, LogError> {
    match files.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(LogError::io("read the directory", dir)),
    }
}

/// Reads the header of a segment.
fn read_header(files: &dyn FileSystem, dir: &Path, name: &str) -> Result<SegmentFile, LogError> {
    let path = dir.join(name);
    let failed = || LogError::io("read", &path);
    let mut file = files.open(&path, OpenMode::Read).map_err(failed())?;
    let len = file.size().map_err(failed())?;
    if len == 0 {
        return Err(LogError::segment(&path, SegmentFault::Empty));
    }
    let header = decode_header(&mut *file, &path)?;
    if position_of(name, EXTENSION) != Some(header.first) {
        return Err(LogError::segment(&path, SegmentFault::Renamed { first: header.first }));
    }
    Ok(SegmentFile { path, header, len })
}

/// The header that the file at `path` begins with.
///
/// # Errors
///
/// When there is no such file, or no good header in it.
pub(crate) fn header_of(files: &dyn FileSystem, path: &Path) -> Result<SegmentHeader, LogError> {
    let mut file = files.open(path, OpenMode::Read).map_err(LogError::io("read", path))?;
    decode_header(&mut *file, path)
}

fn decode_header(file: &mut dyn StoredFile, path: &Path) -> Result<SegmentHeader, LogError> {
    let mut bytes = [0; HEADER_LEN];
    let read = file.read_at(0, &mut bytes).map_err(LogError::io("read", path))?;
    SegmentHeader::decode(bytes.get(..read).unwrap_or_default())
        .map_err(|source| LogError::Header { path: path.to_owned(), source })
}

/// Checks that a segment can be the one behind `before`.
fn check_order(before: Option<&SegmentFile>, segment: &SegmentFile) -> Result<(), LogError> {
    let Some(before) = before else { return Ok(()) };
    let (header, before_header) = (&segment.header, &before.header);
    if header.log != before_header.log {
        let fault = SegmentFault::Foreign { beside: before.path.clone() };
        return Err(LogError::segment(&segment.path, fault));
    }
    let expected = before_header.number + 1;
    if header.number != expected {
        let fault = SegmentFault::Number { expected, found: header.number };
        return Err(LogError::segment(&segment.path, fault));
    }
    Ok(())
}
