use std::{
    io,
    path::{Path, PathBuf},
};

use interstice_core::{ReplayError as StateError, snapshot::SnapshotError};
use interstice_embedded::flash_log::{MountError, image::ImageError};
use thiserror::Error;

use crate::{
    data_dir::{DataDirError, UnfinishedError},
    database::OpenError,
    file_log::FileLogError,
    recovery::RecoveryError,
};

/// Why a device's log is not pulled. Nothing of it is at the directory's place then,
/// but with [`UnfinishedError::NotDurable`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PullError {
    /// There is no good log in the image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The log is damaged.
    #[error("the log cannot be read: {0}")]
    Read(MountError),
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
    /// The directory could not be made, or not durably.
    #[error(transparent)]
    Unfinished(#[from] UnfinishedError),
    /// It was to stop.
    #[error("interrupted")]
    Interrupted,
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
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
