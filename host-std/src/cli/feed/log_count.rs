//! How many calls reached the log, when no answer says so.

use std::path::Path;

use interstice_core::{
    TxOffset,
    log::commit::{Body, Commit, Origin},
};

use crate::{
    data_dir::DataDir,
    database::{Go, History, OpenError},
};

/// Calls that the log has from commit `from` on, as the next opening finds them.
pub(super) fn calls(path: &Path, from: TxOffset) -> Result<u64, OpenError> {
    let dir = DataDir::open_read_only(path)?;
    let mut calls = 0;
    History::open(&dir, from)?.visit(|_, offset, commit| {
        let is_call = Commit::decode(commit).is_ok_and(|commit| {
            matches!(commit.body, Body::Run { origin: Origin::Call { .. }, .. })
        });
        calls += u64::from(offset >= from && is_call);
        Ok::<Go, OpenError>(Go::On)
    })?;
    Ok(calls)
}
