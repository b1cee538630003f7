use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::persistence::ConfigError;

/// Why a data directory cannot be made, opened or used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataDirError {
    /// There is no data directory at the path.
    #[error("{}", missing(path, *exists))]
    Missing {
        /// The path.
        path: PathBuf,
        /// Whether something else is there.
        exists: bool,
    },
    /// There is a data directory at the path already.
    #[error("{} is a data directory already", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// The directory holds other things.
    #[error(
        "{} holds other files (`{entry}`); a data directory needs an empty or a new one",
        path.display()
    )]
    NotEmpty {
        /// The path.
        path: PathBuf,
        /// One of them.
        entry: String,
    },
    /// There is something else than a directory at the path.
    #[error("{} is not a directory", path.display())]
    NotDirectory {
        /// The path.
        path: PathBuf,
    },
    /// Another process has it open.
    #[error(
        "{} is open in another process; wait until it has ended, or use another directory",
        path.display()
    )]
    Locked {
        /// The path.
        path: PathBuf,
    },
    /// It was opened for reading.
    #[error("{} is open for reading only", path.display())]
    ReadOnly {
        /// The path.
        path: PathBuf,
    },
    /// The file of an installed module is not there.
    #[error(
        "a file of module `{module}` that the log has installed is missing: {}; put it there, the \
         one whose SHA-256 is its name, or read without running code",
        path.display()
    )]
    ModuleMissing {
        /// The module.
        module: String,
        /// Its file.
        path: PathBuf,
    },
    /// The file of an installed module has another content than the one installed.
    #[error(
        "the file of the installed module `{module}` was changed: {} does not have the content \
         that its name says; put the original there",
        path.display()
    )]
    ModuleChanged {
        /// The module.
        module: String,
        /// Its file.
        path: PathBuf,
    },
    /// Its configuration means nothing.
    #[error(transparent)]
    Config(ConfigError),
    /// The system refused something.
    #[error("could not {action} {}: {source}", path.display())]
    Io {
        /// What was tried, e.g. `open`.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl DataDirError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

fn missing(path: &Path, exists: bool) -> String {
    let path = path.display();
    if exists {
        format!("{path} is not a data directory: it has no log")
    } else {
        format!("there is no data directory at {path}")
    }
}
