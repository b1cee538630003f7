//! Why a log cannot be read.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use interstice_core::{TxOffset, log::frame::HeaderError};
use thiserror::Error;

/// Why a log cannot be opened or read. Nothing was changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogError {
    /// The system refused something.
    #[error("could not {action} {}: {source}", path.display())]
    Io {
        /// What was tried, e.g. `read`.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A segment was there when the log was opened, and is not any more.
    #[error(
        "the log's segment {} was removed while the log was read: whoever writes it keeps less of \
         it",
        path.display()
    )]
    Removed {
        /// The segment.
        path: PathBuf,
    },
    /// The directory holds no segment.
    #[error("there is no log in {}: it holds no segment", dir.display())]
    NoSegment {
        /// The log's directory.
        dir: PathBuf,
    },
    /// A segment does not begin like one that this build reads.
    #[error("the log's segment {} cannot be read: {source}", path.display())]
    Header {
        /// The segment.
        path: PathBuf,
        /// What is wrong with its header.
        source: HeaderError,
    },
    /// The file that says where the log begins cannot be read.
    #[error("{}, which says where the log begins, cannot be read: {source}", path.display())]
    Beginning {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: HeaderError,
    },
    /// A segment is not the one that belongs there.
    #[error("the log's segment {} {fault}", path.display())]
    Segment {
        /// The segment.
        path: PathBuf,
        /// What is wrong with it.
        fault: SegmentFault,
    },
    /// Something that was durable is damaged.
    #[error("{}", damaged(path, *at, *offset, *next_good))]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where the damage begins in it, in bytes.
        at: u64,
        /// The first commit that should be there.
        offset: TxOffset,
        /// Where the next good frame begins, if there is one.
        next_good: Option<u64>,
    },
}

/// What is wrong with a segment as a part of its log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SegmentFault {
    /// Its name is not its first commit.
    Renamed {
        /// The first commit, by its header.
        first: TxOffset,
    },
    /// It belongs to another log than another segment.
    Foreign {
        /// The other segment.
        beside: PathBuf,
    },
    /// It is empty: a segment has its name when its header is durable.
    Empty,
    /// It is not the one that comes next.
    Number {
        /// The number that comes next.
        expected: u64,
        /// Its number.
        found: u64,
    },
    /// It is the first one and not number 0, and no file says that it is.
    NotFirst {
        /// Its number.
        number: u64,
    },
    /// It does not go on where the segment before ends.
    Unchained {
        /// The segment before.
        before: PathBuf,
    },
    /// The log begins with it, and nothing has the commits before it.
    Beginning {
        /// Its first commit.
        first: TxOffset,
    },
    /// Something stands behind its seal, where nothing is ever written.
    BehindSeal {
        /// Where it begins, in bytes.
        at: u64,
    },
    /// Other segments follow, but it does not end with its seal.
    Unsealed,
}

impl LogError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Whether it says nothing of the log: this user may not read it.
    pub(crate) fn is_permission_denied(&self) -> bool {
        matches!(self, Self::Io { source, .. }
            if source.kind() == io::ErrorKind::PermissionDenied)
    }

    pub(super) fn segment(path: &Path, fault: SegmentFault) -> Self {
        Self::Segment { path: path.to_owned(), fault }
    }
}

impl fmt::Display for SegmentFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Renamed { first } => {
                write!(f, "was renamed: its first commit is {first}, which its name does not say")
            }
            Self::Foreign { beside } => {
                write!(f, "belongs to another log than {}", beside.display())
            }
            Self::Empty => f.write_str("is empty: what it held is lost"),
            Self::Number { expected, found } if found > expected => {
                write!(f, "is number {found}, but number {expected} is missing before it")
            }
            Self::Number { expected, found } => {
                write!(f, "is number {found} once more, where number {expected} should be")
            }
            Self::NotFirst { number } => {
                write!(
                    f,
                    "is number {number}: those before it are missing; or the file `beginning` beside \
                     it is, which says that they were removed on purpose"
                )
            }
            Self::Unchained { before } => {
                write!(
                    f,
                    "does not go on where {} ends: one of them was replaced",
                    before.display()
                )
            }
            Self::Beginning { first } => {
                write!(
                    f,
                    "begins at commit {first}: the segments before it are missing, and no good \
                     snapshot has what they made"
                )
            }
            Self::BehindSeal { at } => {
                write!(f, "goes on behind its seal, at byte {at}, where nothing is ever written")
            }
            Self::Unsealed => f.write_str("ends too early: others follow, and its seal is missing"),
        }
    }
}

fn damaged(path: &Path, at: u64, offset: TxOffset, next_good: Option<u64>) -> String {
    let path = path.display();
    let follows = match next_good {
        Some(next) => format!("good commits follow at byte {next}"),
        None => "it had been durable".to_owned(),
    };
    format!(
        "the log's segment {path} is damaged at byte {at}: commit {offset} does not verify, and \
         {follows}; nothing was changed"
    )
}
