//! The segments of a damaged log, good or not.

use std::path::PathBuf;

use interstice_core::{
    TxOffset,
    log::frame::{Chain, HEADER_LEN, HeaderError, SegmentHeader},
};

use super::{Damage, RecoveryError};
use crate::{
    data_dir::DataDir,
    file_log::{LogError, list_or_none, position_of, segment_path},
    file_system,
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

impl Segment {
    /// What its first frame is checked against; also where its header is damaged,
    /// if the checksum in it is not.
    pub(super) fn chain(&self) -> Option<Chain> {
        match &self.header {
            Ok(header) => Some(header.chain()),
            Err(_) => {
                let stored = self.bytes.get(..HEADER_LEN)?.last_chunk::<4>()?;
                Some(Chain::behind(u32::from_le_bytes(*stored), self.first))
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
        let bytes = file_system::read(files, &path).map_err(RecoveryError::io("read", &path))?;
        let header = match SegmentHeader::decode(&bytes) {
            Err(source @ HeaderError::Version { .. }) => {
                return Err(LogError::Header { path, source }.into());
            }
            header => header.map_err(|error| error.to_string()),
        };
        let named = position_of(name, ".log");
        match header.as_ref().map_or(named, |header| Some(header.first)) {
            Some(first) => segments.push(Segment { path, bytes, first, header }),
            None => {
                let (to, what) = (bytes.len() as u64, "it is no segment, by its name and header");
                damage.push(Damage { file: path, from: 0, to, commit: 0, what: what.into() });
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
        let (file, to) = (segment.path.clone(), segment.bytes.len() as u64);
        damage.push(Damage { file, from: 0, to, commit: first.0, what });
        !is_copy
    });
    Ok(segments)
}
