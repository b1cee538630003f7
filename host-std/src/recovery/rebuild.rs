//! A damaged data directory -> a good one.

use std::path::Path;

use interstice_core::{
    CommittedState, TxOffset,
    log::{
        Log as _,
        frame::{LogHeader, SegmentHeader},
    },
};

use super::{Mode, RecoveryError, Report, base, hash_text, walk};
use crate::{
    data_dir::DataDir,
    database::ReadOnlyState,
    file_log::{FileLog, LogReader, segment_path, write_beginning},
    file_system::{self, SharedFileSystem},
    snapshots,
};

/// Writes a repaired copy of `dir` into the directory `to`, which was made for it.
pub(super) fn build(dir: &DataDir, mode: Mode, to: &Path) -> Result<Report, RecoveryError> {
    let base = base::find(dir, mode)?;
    copy_rest(dir, to)?;
    let segment_bytes = dir.config()?.segment_bytes.get();
    let mut log = begin_log(dir.files(), to, base.log, &base.state, segment_bytes)?;
    let mut append = |offset, commit: &[u8]| Ok(log.append(offset, commit)?);
    let report = walk::walk_and_count(dir, base, mode, &mut append)?;
    log.sync()?;
    drop(log);
    verify(to, &report)?;
    Ok(report)
}

/// Copies the module files and the configuration.
fn copy_rest(dir: &DataDir, to: &Path) -> Result<(), RecoveryError> {
    let files = &**dir.files();
    let copy = |from: &Path, to: &Path| {
        let bytes = file_system::read(files, from).map_err(RecoveryError::io("read", from))?;
        file_system::write_new(files, to, &bytes).map_err(RecoveryError::io("write", to))
    };
    let modules = dir.path().join("modules");
    let names = match files.list(&modules) {
        Err(error) if file_system::is_absent(&error) => Vec::new(),
        names => names.map_err(RecoveryError::io("read", &modules))?,
    };
    for name in names {
        if name.ends_with(".wasm") {
            copy(&modules.join(&name), &to.join("modules").join(&name))?;
        }
    }
    let config = dir.config_path();
    if files.is_file(&config) {
        copy(&config, &to.join("interstice.toml"))?;
    }
    Ok(())
}

/// Writes the first segment of a log below `to` that goes on behind `state`, and
/// the snapshot that it goes on behind.
pub(crate) fn begin_log(
    files: &SharedFileSystem,
    to: &Path,
    log: LogHeader,
    state: &CommittedState,
    segment_bytes: u64,
) -> Result<FileLog, RecoveryError> {
    let log_dir = to.join("log");
    let first = state.next_offset();
    // Number 0 is for a log that begins with its first commit.
    let number = u64::from(first > TxOffset(0));
    let header = SegmentHeader { log, number, first, previous: 0 };
    if number > 0 {
        write_beginning(&**files, &log_dir, &header)
            .map_err(RecoveryError::io("write", &log_dir))?;
    }
    let path = segment_path(&log_dir, first);
    file_system::write_new(&**files, &path, &header.encode())
        .map_err(RecoveryError::io("write", &path))?;
    if number > 0 {
        let folder = to.join("snapshots");
        snapshots::write(files, &folder, log, header.chain(), state)
            .map_err(RecoveryError::io("write", &folder))?;
    }
    let mut reader = LogReader::open_at(files, &log_dir, first)?;
    while reader.next_frame()?.is_some() {}
    Ok(FileLog::open(files, &log_dir, &reader.end(), segment_bytes)?)
}

/// Opens what was written, and compares.
fn verify(path: &Path, report: &Report) -> Result<(), RecoveryError> {
    let opened = ReadOnlyState::open(path).map_err(RecoveryError::Verify)?;
    let found = hash_text(opened.state().state_hash());
    let same_end = opened.state().next_offset().0 == report.next_commit;
    match found == report.state_hash && same_end {
        true => Ok(()),
        false => Err(RecoveryError::Differs { expected: report.state_hash.clone(), found }),
    }
}
