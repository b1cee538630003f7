//! The segments of a damaged log, good or not.

use std::{
    io,
    path::{Path, PathBuf},
};

use interstice_core::{
    TxOffset,
    log::frame::{Chain, HEADER_LEN, HeaderError, LogHeader, SegmentHeader},
};

use super::{Damage, RecoveryError};
use crate::{
    data_dir::DataDir,
    file_log::{LogError, list_or_none, position_of, segment_path},
    file_system::{FileSystem, OpenMode},
};

/// A file of the log, good or not.
pub(super) struct Segment {
    pub(super) path: PathBuf,
    /// Bytes of the file.
    pub(super) len: u64,
    /// What it begins with: a header, or as much as there is.
    head: Vec<u8>,
    /// Its first commit, by its header, or else by its name.
    pub(super) first: TxOffset,
    /// Its header, or what is wrong with it.
    pub(super) header: Result<SegmentHeader, String>,
}

impl Segment {
    /// What its first frame is checked against, as a segment of `log`; also where its
    /// header is damaged, if the checksum in it is not.
    pub(super) fn chain(&self, log: &LogHeader) -> Option<Chain> {
        match &self.header {
            Ok(header) => Some(header.chain()),
            Err(_) => {
                let stored = self.head.first_chunk::<HEADER_LEN>()?.last_chunk::<4>()?;
                Some(Chain::behind(log, u32::from_le_bytes(*stored), self.first))
            }
        }
    }
}

/// The segments, in order. A file that is none, or one of those once more, is
/// damage.
pub(super) fn read(dir: &DataDir, damage: &mut Vec<Damage>) -> Result<Vec<Segment>, RecoveryError> {
    let folder = dir.log_dir();
    let files = &**dir.files();
    let names = list_or_none(files, &folder)?;
    let mut segments: Vec<Segment> = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(".log")) {
        let path = folder.join(name);
        let (head, len) = head(files, &path).map_err(RecoveryError::io("read", &path))?;
        let header = match SegmentHeader::decode(&head) {
            Err(source @ HeaderError::Version { .. }) => {
                return Err(LogError::Header { path, source }.into());
            }
            header => header.map_err(|error| error.to_string()),
        };
        let named = position_of(name, ".log");
        match header.as_ref().map_or(named, |header| Some(header.first)) {
            Some(first) => segments.push(Segment { path, len, head, first, header }),
            None => {
                let what = "it is no segment, by its name and header".to_owned();
                damage.push(Damage { file: path, from: 0, to: len, commit: 0, what });
            }
        }
    }
    // The one with a good header, and the right name, is before its copies.
    let is_named = |s: &Segment| s.path == segment_path(&folder, s.first);
    segments.sort_by_key(|s| (s.first, s.header.is_err(), !is_named(s)));
    let mut last = None;
    segments.retain(|segment| {
        let first = segment.first;
        let is_copy = last.replace(first) == Some(first);
        let what = match (is_copy, is_named(segment)) {
            (false, true) => return true,
            (false, false) => format!("it was renamed: it begins with commit {first}"),
            (true, _) => format!("it begins with commit {first}, as another does"),
        };
        let file = segment.path.clone();
        damage.push(Damage { file, from: 0, to: segment.len, commit: first.0, what });
        !is_copy
    });
    Ok(segments)
}

/// What a file begins with, as much as a header has, and its length.
fn head(files: &dyn FileSystem, path: &Path) -> io::Result<(Vec<u8>, u64)> {
    let mut file = files.open(path, OpenMode::Read)?;
    let mut head = vec![0; HEADER_LEN];
    let read = file.read_at(0, &mut head)?;
    head.truncate(read);
    Ok((head, file.size()?))
}
