//! The log of a device -> a data directory.
//!
//! ```text
//! what came out of the device -> image of its flash -> log, checked -> data directory
//! ```
//!
//! The directory has the log's identity, its commits at their positions, and, where
//! the log of the device begins with a snapshot, that snapshot. So it is inspected,
//! re-executed and continued as any other.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use interstice_core::{
    CommittedState, Limits, ReplayError as StateError, TxOffset,
    log::Log as _,
    snapshot::{SnapshotDecoder, SnapshotError},
};
use interstice_embedded::flash_log::{
    Entry, Geometry, Mounted, ReplayError,
    image::{FoundLog, ImageError, open_image},
};
use serde::Serialize;
use thiserror::Error;

use crate::{
    data_dir::{DataDir, DataDirError, content_hash},
    database::{OpenError, ReadOnlyState},
    file_log::{FileLog, FileLogError},
    file_system::{SharedFileSystem, System},
    paths,
    persistence::PersistenceConfig,
    recovery::{RecoveryError, rebuild::begin_log},
    text::hex,
};

mod stream;

pub use stream::{StreamError, decode_stream};

/// What was pulled out of a device.
#[derive(Clone, Debug, Serialize)]
pub struct Pulled {
    /// The log's identity, in hexadecimal digits.
    pub log_id: String,
    /// Byte of the image at which the log's region begins.
    pub region_at: usize,
    /// Pages of the region.
    pub pages: u16,
    /// Bytes of a page.
    pub page_size: u32,
    /// Position of the snapshot that the log begins with.
    pub snapshot: Option<u64>,
    /// Commits behind it.
    pub commits: u64,
    /// The position of the next one.
    pub next_commit: u64,
    /// The state hash, in hexadecimal digits.
    pub state_hash: String,
    /// A record that was being written when power went, and is not in the log:
    /// page, and byte in it.
    pub torn: Option<(u16, u32)>,
    /// The newest record had one bit wrong, and was mended: page, and byte in it.
    pub corrected: Option<(u16, u32)>,
    /// Pages that are neither blank nor in the log: they were being erased or opened
    /// when power went.
    pub unfinished_pages: u16,
    /// A snapshot was not finished when power went, and is not in the log.
    pub dropped_snapshot: bool,
    /// Modules that are installed.
    pub modules: Vec<PulledModule>,
}

/// A module that a device's log has installed.
#[derive(Clone, Debug, Serialize)]
pub struct PulledModule {
    /// Its name.
    pub name: String,
    /// SHA-256 of its file, in hexadecimal digits.
    pub content_hash: String,
    /// Whether its file is in the directory. Without it the module can be read
    /// about, and not run.
    pub has_file: bool,
}

/// Why a device's log is not pulled. Nothing is at the directory's place then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PullError {
    /// There is no good log in the image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The log is damaged.
    #[error("the log cannot be read: {0}")]
    Read(interstice_embedded::flash_log::MountError),
    /// The snapshot that it begins with is bad.
    #[error("the snapshot in the log: {0}")]
    Snapshot(SnapshotError),
    /// A commit does not fit the state.
    #[error(transparent)]
    Replay(StateError),
    /// A module file is not of a module that the log has installed.
    #[error("{} is not the file of a module that the log has installed", path.display())]
    Module {
        /// The file.
        path: PathBuf,
    },
    /// There is something at the directory's place already.
    #[error("{} exists", path.display())]
    Exists {
        /// The place.
        path: PathBuf,
    },
    /// The directory could not be made.
    #[error("could not {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory could not be written.
    #[error(transparent)]
    Begin(RecoveryError),
    /// The log could not be written.
    #[error(transparent)]
    Write(#[from] FileLogError),
    /// The directory could not be opened.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// What was written does not open.
    #[error("what was written does not open: {0}")]
    Verify(OpenError),
    /// What was written has another state.
    #[error("what was written has another state than the device's log")]
    Differs,
}

impl PullError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// Makes the data directory `into`, where nothing is yet, of the log in an image
/// of a device's flash, with these module files. It appears there whole, or not
/// at all.
///
/// # Errors
///
/// See [`PullError`].
pub fn pull(image: &[u8], into: &Path, modules: &[PathBuf]) -> Result<Pulled, PullError> {
    if into.symlink_metadata().is_ok() {
        return Err(PullError::Exists { path: into.to_owned() });
    }
    let found = open_image(image)?;
    let unfinished = paths::beside(into, ".pulling");
    fs::create_dir(&unfinished).map_err(PullError::io("make", &unfinished))?;
    let pulled = build(found, &unfinished, modules).and_then(|pulled| {
        fs::rename(&unfinished, into).map_err(PullError::io("rename", &unfinished))?;
        let parent = paths::parent(into);
        files().sync_dir(parent).map_err(PullError::io("sync", parent))?;
        Ok(pulled)
    });
    if pulled.is_err() {
        // Only ours, and of no use to anybody.
        let _ = fs::remove_dir_all(&unfinished);
    }
    pulled
}

fn files() -> SharedFileSystem {
    Arc::new(System)
}

fn build(found: FoundLog, to: &Path, modules: &[PathBuf]) -> Result<Pulled, PullError> {
    for name in ["log", "modules"] {
        let path = to.join(name);
        fs::create_dir(&path).map_err(PullError::io("make", &path))?;
    }
    let FoundLog { mut log, mounted, at } = found;
    let Geometry { page_size, pages, .. } = log.geometry();
    let header = log.header();
    let mut copy = Copy::new(to, header);
    let replayed = log.replay(&mut |entry| copy.take(entry));
    replayed.map_err(|error| match error {
        ReplayError::Log(error) => PullError::Read(error),
        ReplayError::Refused(error) => error,
        _ => PullError::Differs,
    })?;
    let (state, first) = copy.finish()?;
    let dir = DataDir::open(to)?;
    store_modules(&dir, &state, modules)?;
    for path in [dir.log_dir(), to.join("modules"), to.to_owned()] {
        files().sync_dir(&path).map_err(PullError::io("sync", &path))?;
    }
    let pulled = Pulled {
        log_id: hex(&header.log_id),
        region_at: at,
        pages,
        page_size,
        snapshot: (first > TxOffset(0)).then_some(first.0),
        commits: state.next_offset().0 - first.0,
        next_commit: state.next_offset().0,
        state_hash: format!("{:016x}", state.state_hash()),
        torn: place(&mounted, |mounted| mounted.torn),
        corrected: place(&mounted, |mounted| mounted.corrected),
        unfinished_pages: mounted.unfinished_pages,
        dropped_snapshot: mounted.dropped_snapshot,
        modules: modules_of(&dir, &state),
    };
    drop(dir);
    let opened = ReadOnlyState::open(to).map_err(PullError::Verify)?;
    let same = opened.state().state_hash() == state.state_hash()
        && opened.state().next_offset() == state.next_offset();
    if same { Ok(pulled) } else { Err(PullError::Differs) }
}

fn place(
    mounted: &Mounted,
    which: impl Fn(&Mounted) -> Option<interstice_embedded::flash_log::Torn>,
) -> Option<(u16, u32)> {
    which(mounted).map(|torn| (torn.page, torn.place))
}

/// A log that is copied into a directory, and the state that it leads to.
struct Copy<'a> {
    to: &'a Path,
    header: interstice_core::log::frame::LogHeader,
    snapshot: SnapshotDecoder,
    state: CommittedState,
    /// Once its beginning is known.
    log: Option<FileLog>,
    first: TxOffset,
}

impl<'a> Copy<'a> {
    fn new(to: &'a Path, header: interstice_core::log::frame::LogHeader) -> Self {
        Self {
            to,
            header,
            snapshot: SnapshotDecoder::new(Limits::default()),
            state: CommittedState::new(header.seed, Limits::default()),
            log: None,
            first: TxOffset(0),
        }
    }

    fn take(&mut self, entry: Entry<'_>) -> Result<(), PullError> {
        match entry {
            Entry::Snapshot(piece) => self.snapshot.push(piece).map_err(PullError::Snapshot),
            Entry::SnapshotEnd(position) => {
                let empty = SnapshotDecoder::new(Limits::default());
                let decoder = std::mem::replace(&mut self.snapshot, empty);
                self.state = decoder.finish_at(position).map_err(PullError::Snapshot)?;
                Ok(())
            }
            Entry::Commit(offset, commit) => {
                self.log()?.append(offset, commit)?;
                self.state.replay(offset, commit).map_err(PullError::Replay)
            }
        }
    }

    /// The log, which begins with the state that there is now.
    fn log(&mut self) -> Result<&mut FileLog, PullError> {
        match &mut self.log {
            Some(log) => Ok(log),
            log => {
                let segment_bytes = PersistenceConfig::default().segment_bytes.get();
                let begun = begin_log(&files(), self.to, self.header, &self.state, segment_bytes);
                self.first = self.state.next_offset();
                Ok(log.insert(begun.map_err(PullError::Begin)?))
            }
        }
    }

    /// The state at the end, and where the log begins.
    fn finish(mut self) -> Result<(CommittedState, TxOffset), PullError> {
        self.log()?.sync()?;
        Ok((self.state, self.first))
    }
}

fn store_modules(
    dir: &DataDir,
    state: &CommittedState,
    modules: &[PathBuf],
) -> Result<(), PullError> {
    for path in modules {
        let wasm = fs::read(path).map_err(PullError::io("read", path))?;
        let hash = content_hash(&wasm);
        if !state.modules().iter().any(|module| *module.content_hash() == hash) {
            return Err(PullError::Module { path: path.clone() });
        }
        dir.store_module(&wasm)?;
    }
    Ok(())
}

fn modules_of(dir: &DataDir, state: &CommittedState) -> Vec<PulledModule> {
    let modules = state.modules().iter().map(|module| PulledModule {
        name: module.name().to_owned(),
        content_hash: hex(module.content_hash()),
        has_file: dir.module_path(module.content_hash()).is_file(),
    });
    modules.collect()
}
