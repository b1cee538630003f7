//! What can go wrong, and where.

use core::{error::Error, fmt};

use embedded_storage::nor_flash::NorFlashErrorKind;
use interstice_core::TxOffset;

use super::{FLASH_FORMAT_VERSION, Geometry};

/// What the flash was asked to do when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Operation {
    /// To read.
    Read,
    /// To program.
    Program,
    /// To erase.
    Erase,
    /// To read back what was programmed or erased: it was not there.
    Verify,
}

/// The flash failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FlashError {
    /// What it was asked to do.
    pub operation: Operation,
    /// At which byte of the region.
    pub at: u32,
    /// What it says.
    pub kind: NorFlashErrorKind,
}

impl fmt::Display for FlashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operation = match self.operation {
            Operation::Read => "read",
            Operation::Program => "be programmed",
            Operation::Erase => "be erased",
            Operation::Verify => "hold what was programmed",
        };
        write!(f, "the flash could not {operation} at byte {}: {}", self.at, self.kind)
    }
}

impl Error for FlashError {}

/// Why a commit or a part of a snapshot is not in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FlashLogError {
    /// The flash failed. The log takes nothing more until it is mounted again.
    Flash(FlashError),
    /// An earlier operation failed: mount the log again.
    Failed,
    /// Nothing is written: the pages that are left are kept for a snapshot,
    /// and it is time to make one.
    NeedsSnapshot,
    /// A snapshot is being written: finish it first.
    Snapshotting,
    /// No snapshot is being written.
    NotSnapshotting,
    /// The state needs so much of the region that its snapshot does not fit, or that
    /// this commit does not fit behind it. Nothing was written, unless pages were left
    /// out on the way that the flash does not hold.
    Full,
    /// The commit is too large for the region.
    TooLarge {
        /// Bytes of the commit.
        len: u32,
        /// Bytes that a commit can have here.
        max: u32,
    },
    /// The commit is not the next one.
    Position {
        /// The position of the next one.
        #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
        next: TxOffset,
    },
}

impl fmt::Display for FlashLogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(error) => error.fmt(f),
            Self::Failed => f.write_str("an earlier operation failed: mount the log again"),
            Self::NeedsSnapshot => f.write_str("the pages that are left are for a snapshot"),
            Self::Snapshotting => f.write_str("a snapshot is being written"),
            Self::NotSnapshotting => f.write_str("no snapshot is being written"),
            Self::Full => f.write_str("the state leaves no room for it in the region"),
            Self::TooLarge { len, max } => {
                write!(f, "the commit has {len} bytes; this region takes {max}")
            }
            Self::Position { next } => write!(f, "the next commit is {next}"),
        }
    }
}

impl Error for FlashLogError {}

impl From<FlashError> for FlashLogError {
    fn from(error: FlashError) -> Self {
        Self::Flash(error)
    }
}

/// What is wrong with a place in the region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Damage {
    /// The beginning of a page that was in use.
    Header,
    /// A record, although it was programmed whole.
    Record,
    /// Records are missing, or not those that the next page knows of.
    Records,
    /// The page that goes on here is missing.
    MissingPage,
    /// The page belongs to another log.
    Foreign,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "the beginning of the page is damaged",
            Self::Record => "a record is damaged",
            Self::Records => "the records are not those that the next page knows of",
            Self::MissingPage => "the page that goes on here is missing or damaged",
            Self::Foreign => "the page belongs to another log",
        })
    }
}

/// Where damage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Damaged {
    /// The page, counted in the region.
    pub page: u16,
    /// The byte in the page.
    pub place: u32,
    /// What is wrong.
    pub what: Damage,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "page {}, byte {}: {}", self.page, self.place, self.what)
    }
}

/// Why a region is not mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum MountError {
    /// The flash failed.
    Flash(FlashError),
    /// No page begins as those of a log do: the region is to be formatted.
    NoLog {
        /// The first page in which something is that no format leaves. One whose
        /// erase was interrupted may.
        not_blank: Option<u16>,
    },
    /// The region cannot hold a log: it needs 2 to 65,535 pages of at least
    /// [`PAGE_SIZE_MIN`](super::PAGE_SIZE_MIN) bytes, a multiple of 64, words of 1, 2,
    /// 4 and so on up to [`WORD_MAX`](super::WORD_MAX) bytes, and less than 4 GiB in all.
    Region {
        /// Bytes that the flash erases at once.
        page_size: u64,
        /// How many of them it has.
        pages: u64,
        /// Bytes that it programs at once.
        word: u64,
    },
    /// No page of the region holds what is written to it: no log can begin there.
    NoGoodPage,
    /// The region was formatted with another shape.
    Geometry {
        /// What the log says.
        found: Geometry,
        /// What the flash says.
        expected: Geometry,
    },
    /// Another version of the format.
    Version {
        /// The version found; this build reads [`FLASH_FORMAT_VERSION`].
        found: u16,
    },
    /// There may be larger records than the record buffer holds.
    RecordBuffer {
        /// Bytes that it needs.
        needed: u32,
    },
    /// A page is not where it was written: pages were moved, swapped or copied.
    Moved {
        /// Where it is.
        page: u16,
        /// Where it was written.
        belongs: u16,
    },
    /// The log is damaged.
    Damaged(Damaged),
    /// The memory for a commit in several records could not be allocated.
    Memory,
    /// A snapshot is being written: finish it, or mount again.
    Snapshotting,
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(error) => error.fmt(f),
            Self::NoLog { not_blank: None } => f.write_str("the region is blank"),
            Self::NoLog { not_blank: Some(page) } => {
                write!(f, "there is no log in the region, although page {page} is not blank")
            }
            Self::Region { page_size, pages, word } => write!(
                f,
                "a region of {pages} pages of {page_size} bytes in words of {word} cannot hold a log"
            ),
            Self::NoGoodPage => f.write_str("no page of the region holds what is written to it"),
            Self::Geometry { found, expected } => write!(
                f,
                "the log was made for {} pages of {} bytes in words of {}; the region has {} of {} in \
                 words of {}",
                found.pages,
                found.page_size,
                found.word,
                expected.pages,
                expected.page_size,
                expected.word
            ),
            Self::Version { found } => write!(
                f,
                "the log has format version {found}; this build reads version {FLASH_FORMAT_VERSION}"
            ),
            Self::RecordBuffer { needed } => {
                write!(
                    f,
                    "the log was written with a record buffer of {needed} bytes, this one is smaller"
                )
            }
            Self::Moved { page, belongs } => {
                write!(f, "page {page} was written as page {belongs}: pages were moved or copied")
            }
            Self::Damaged(damaged) => damaged.fmt(f),
            Self::Memory => f.write_str("not enough memory for a commit in several records"),
            Self::Snapshotting => f.write_str("a snapshot is being written"),
        }
    }
}

impl Error for MountError {}

impl From<FlashError> for MountError {
    fn from(error: FlashError) -> Self {
        Self::Flash(error)
    }
}

impl From<Damaged> for MountError {
    fn from(damaged: Damaged) -> Self {
        Self::Damaged(damaged)
    }
}

/// Why a log is not replayed to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ReplayError<E> {
    /// The log cannot be read.
    Log(MountError),
    /// What was read was refused by the one it is for.
    Refused(E),
}

impl<E: fmt::Display> fmt::Display for ReplayError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(error) => error.fmt(f),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl<E: Error> Error for ReplayError<E> {}

impl<E, M: Into<MountError>> From<M> for ReplayError<E> {
    fn from(error: M) -> Self {
        Self::Log(error.into())
    }
}
