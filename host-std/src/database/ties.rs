//! How snapshots are tied to the log: each one to the segment that goes on
//! behind it, whose header was durable before the snapshot was.

use std::io;

use interstice_core::{
    CommittedState, Limits, TxOffset,
    log::frame::{Chain, LogHeader},
};

use crate::{
    data_dir::DataDir,
    file_log::{LogError, SegmentFile},
    snapshots::{self, ReadError},
};

/// The positions of the snapshots of `log`, oldest first: by their headers,
/// whatever follows.
///
/// # Errors
///
/// When they cannot be listed, or a header cannot be read for another reason
/// than what is in it.
pub(crate) fn snapshots_of(dir: &DataDir, log: LogHeader) -> Result<Vec<TxOffset>, LogError> {
    let (files, folder) = (&**dir.files(), dir.snapshots_dir());
    let mut positions = snapshots::snapshots(files, &folder)
        .map_err(LogError::io("read the directory", &folder))?;
    let mut failed = None;
    positions.retain(|position| {
        let path = snapshots::snapshot_path(&folder, *position);
        match snapshots::read_header(files, &path) {
            Ok(header) => header.log == log && header.end.next_offset() == *position,
            Err(ReadError::Io(source)) => {
                failed.get_or_insert(LogError::io("read", &path)(source));
                false
            }
            Err(_) => false,
        }
    });
    failed.map_or(Ok(positions), Err)
}

/// The newest snapshot of `log`, if that is ahead of the newest segment, which
/// begins with commit `newest`. Then the end of the log is lost.
///
/// # Errors
///
/// As [`snapshots_of`].
pub(crate) fn snapshot_ahead(
    dir: &DataDir,
    log: LogHeader,
    newest: Option<TxOffset>,
) -> Result<Option<TxOffset>, LogError> {
    let position = snapshots_of(dir, log)?.pop();
    Ok(position.filter(|position| newest.is_none_or(|newest| newest < *position)))
}

/// The snapshot at `position`, if it is good and a segment goes on behind it.
pub(crate) fn tied_snapshot(
    dir: &DataDir,
    segments: &[SegmentFile],
    position: TxOffset,
) -> Result<(Chain, CommittedState), ReadError> {
    let path = snapshots::snapshot_path(&dir.snapshots_dir(), position);
    let log = segments.first().map(|segment| segment.header.log);
    let log = log.ok_or(ReadError::Unchained { position })?;
    let (header, state) =
        snapshots::read(&**dir.files(), &path, log, &Limits::default(), &mut |_| {})?;
    match is_tied(segments, header.end) {
        true => Ok((header.end, state)),
        false => Err(ReadError::Unchained { position }),
    }
}

/// Whether the snapshot at `position` is whole, and a segment goes on behind
/// it. What it holds is not looked at.
///
/// # Errors
///
/// When that cannot be known, because the system does not read it.
pub(crate) fn is_good(
    dir: &DataDir,
    segments: &[SegmentFile],
    position: TxOffset,
) -> io::Result<bool> {
    let path = snapshots::snapshot_path(&dir.snapshots_dir(), position);
    let Some(segment) = segments.first() else { return Ok(false) };
    match snapshots::verify(&**dir.files(), &path, segment.header.log) {
        Ok(header) => Ok(is_tied(segments, header.end)),
        Err(ReadError::Io(error)) => Err(error),
        Err(_) => Ok(false),
    }
}

fn is_tied(segments: &[SegmentFile], end: Chain) -> bool {
    segments.iter().any(|segment| segment.header.chain() == end)
}
