//! Where the log begins, once its first segments are gone on purpose.
//!
//! Such a log looks as one that has lost them. So before the first segment is
//! removed, the header of the one that is the first from then on is written to
//! a file beside the segments, `DIR/beginning`. Of those before it any may be
//! missing, of those behind it none. A log without the file has all. A log that
//! begins behind a snapshot from its first day, because it was repaired or pulled
//! from a device, has the file, too.

use std::{
    io,
    path::{Path, PathBuf},
};

use interstice_core::log::frame::SegmentHeader;

use super::{LogError, SegmentFault, header_of, segment_path};
use crate::file_system::{self, FileSystem};

/// The file that says where the log in `dir` begins, which may not be there.
pub(crate) fn beginning_path(dir: &Path) -> PathBuf {
    dir.join("beginning")
}

/// Says that the log in `dir` begins with this segment. Durable when it returns.
pub(crate) fn write_beginning(
    files: &dyn FileSystem,
    dir: &Path,
    first: &SegmentHeader,
) -> io::Result<()> {
    file_system::write_new(files, &beginning_path(dir), &first.encode())
}

/// Checks that nothing is missing before the first segment of the log in `dir`.
///
/// # Errors
///
/// When something is, or what says where the log begins cannot be read.
pub(crate) fn check_first(
    files: &dyn FileSystem,
    dir: &Path,
    first: &SegmentHeader,
) -> Result<(), LogError> {
    let SegmentHeader { log, number, first, .. } = *first;
    if number == 0 {
        return Ok(());
    }
    let path = beginning_path(dir);
    let fault = match header_of(files, &path) {
        Ok(beginning) if beginning.log != log => SegmentFault::Foreign { beside: path },
        Ok(beginning) if number <= beginning.number => return Ok(()),
        Ok(beginning) => SegmentFault::Number { expected: beginning.number, found: number },
        Err(LogError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            SegmentFault::NotFirst { number }
        }
        Err(LogError::Header { path, source }) => {
            return Err(LogError::Beginning { path, source });
        }
        Err(error) => return Err(error),
    };
    Err(LogError::segment(&segment_path(dir, first), fault))
}
