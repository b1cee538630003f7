//! The log of a device -> segments of a data directory.

use std::{path::Path, sync::Arc};

use interstice_core::{
    CommittedState, Limits, TxOffset,
    log::{
        Log as _,
        commit::{Body, Commit},
        frame::LogHeader,
    },
    snapshot::SnapshotDecoder,
};
use interstice_embedded::flash_log::Entry;

use super::PullError;
use crate::{
    data_dir::ContentHash,
    file_log::FileLog,
    file_system::{SharedFileSystem, System},
    persistence::PersistenceConfig,
    recovery::rebuild::begin_log,
};

/// A log that is copied into a directory, and the state that it leads to.
pub(super) struct Copy<'a> {
    to: &'a Path,
    header: LogHeader,
    snapshot: SnapshotDecoder,
    state: CommittedState,
    /// Once its beginning is known.
    log: Option<FileLog>,
    first: TxOffset,
    /// Names and content of the modules that it has installed, the first one first.
    modules: Vec<(String, ContentHash)>,
}

/// What was copied.
pub(super) struct Copied {
    /// The state at the end.
    pub(super) state: CommittedState,
    /// Where the log begins.
    pub(super) first: TxOffset,
    /// Names and content of every module that it has installed.
    pub(super) modules: Vec<(String, ContentHash)>,
}

impl<'a> Copy<'a> {
    pub(super) fn new(to: &'a Path, header: LogHeader) -> Self {
        Self {
            to,
            header,
            snapshot: SnapshotDecoder::new(Limits::default()),
            state: CommittedState::new(header.seed, Limits::default()),
            log: None,
            first: TxOffset(0),
            modules: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, entry: Entry<'_>) -> Result<(), PullError> {
        match entry {
            Entry::Snapshot(piece) => self.snapshot.push(piece).map_err(PullError::Snapshot),
            Entry::SnapshotEnd(position) => {
                let empty = SnapshotDecoder::new(Limits::default());
                let decoder = std::mem::replace(&mut self.snapshot, empty);
                self.state = decoder.finish_at(position).map_err(PullError::Snapshot)?;
                self.note_modules();
                Ok(())
            }
            Entry::Commit(offset, commit) => {
                self.log()?.append(offset, commit)?;
                self.state.replay(offset, commit).map_err(PullError::Replay)?;
                if let Ok(Commit { body: Body::Install { .. }, .. }) = Commit::decode(commit) {
                    self.note_modules();
                }
                Ok(())
            }
        }
    }

    /// The log, which begins with the state that there is now.
    fn log(&mut self) -> Result<&mut FileLog, PullError> {
        match &mut self.log {
            Some(log) => Ok(log),
            log => {
                let files: SharedFileSystem = Arc::new(System);
                let segment_bytes = PersistenceConfig::default().segment_bytes.get();
                let begun = begin_log(&files, self.to, self.header, &self.state, segment_bytes);
                self.first = self.state.next_offset();
                Ok(log.insert(begun.map_err(PullError::Begin)?))
            }
        }
    }

    /// Notes the modules that there are now: an upgrade takes the place of the one
    /// before, whose calls stay in the log.
    fn note_modules(&mut self) {
        for module in self.state.modules() {
            if !self.modules.iter().any(|(_, hash)| hash == module.content_hash()) {
                self.modules.push((module.name().to_owned(), *module.content_hash()));
            }
        }
    }

    /// Whether there is a state: that of a commit, or of a whole snapshot.
    pub(super) fn has_begun(&self) -> bool {
        self.log.is_some() || self.state.next_offset() > TxOffset(0)
    }

    pub(super) fn finish(mut self) -> Result<Copied, PullError> {
        self.log()?.sync()?;
        Ok(Copied { state: self.state, first: self.first, modules: self.modules })
    }
}
