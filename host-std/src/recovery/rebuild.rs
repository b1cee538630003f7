//! A damaged data directory -> a good one beside it.

use std::{fs, path::Path};

use interstice_core::{
    CommittedState, TxOffset,
    log::{
        Log as _,
        frame::{LogHeader, SegmentHeader},
    },
};

use super::{
    Mode, RecoveryError, Report,
    base::{self, Base},
    hash_text, target, walk,
};
use crate::{
    data_dir::DataDir,
    database::ReadOnlyState,
    file_log::{FileLog, LogReader, segment_path, write_beginning},
    file_system::{self, FileSystem, SharedFileSystem},
    paths, snapshots,
};

/// Writes a repaired copy of `dir` beside `into`. `publish` is called when the
/// copy is whole, and gives it that name.
pub(super) fn rebuild(
    dir: &DataDir,
    mode: Mode,
    into: &Path,
    publish: impl FnOnce(&dyn FileSystem, &Path) -> Result<(), RecoveryError>,
) -> Result<Report, RecoveryError> {
    let unfinished = target::unfinished(into);
    target::check_free(&unfinished)?;
    let base = base::find(dir, mode)?;
    let built = build(dir, mode, base, &unfinished).and_then(|report| {
        publish(&**dir.files(), &unfinished)?;
        let not_durable = |source| RecoveryError::NotDurable { path: into.to_owned(), source };
        dir.files().sync_dir(paths::parent(into)).map_err(not_durable)?;
        Ok(report)
    });
    if built.is_err() && !matches!(built, Err(RecoveryError::Between { .. })) {
        // Only ours, and of no use to anybody.
        let _ = fs::remove_dir_all(&unfinished);
    }
    built
}

fn build(dir: &DataDir, mode: Mode, base: Base, to: &Path) -> Result<Report, RecoveryError> {
    let files = dir.files();
    let log_dir = to.join("log");
    for path in [to.to_owned(), log_dir.clone(), to.join("modules")] {
        files.create_dir_all(&path).map_err(RecoveryError::io("make", &path))?;
    }
    copy_rest(dir, to)?;
    let segment_bytes = dir.config()?.segment_bytes.get();
    let mut log = begin_log(files, to, base.log, &base.state, segment_bytes)?;
    let mut append = |offset, commit: &[u8]| Ok(log.append(offset, commit)?);
    let report = walk::walk_and_count(dir, base, mode, &mut append)?;
    log.sync()?;
    drop(log);
    for path in [&log_dir, &to.join("modules"), to] {
        files.sync_dir(path).map_err(RecoveryError::io("sync", path))?;
    }
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
