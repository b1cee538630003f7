//! What can be wrong with snapshot content, and where.

use alloc::{string::String, sync::Arc};
use core::fmt;

use abi::{
    bytes::{DecodeError, DecodeFault},
    layout::LayoutError,
};
use interstice_abi as abi;

use super::{super::InstallRefusal, SNAPSHOT_VERSION};
use crate::ids::TxOffset;

/// Snapshot content that makes no state, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotError {
    /// The part of the content.
    pub place: SnapshotPlace,
    /// What is wrong with it.
    pub fault: SnapshotFault,
}

/// A part of a snapshot. Numbers count from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotPlace {
    /// Version, seed, positions and counts.
    Head,
    /// The module with this number.
    Module(u32),
    /// All modules and tables together.
    Modules,
    /// The table with this number.
    Table(u32),
    /// A row.
    Row {
        /// The table, with its module.
        table: String,
        /// Which of its rows, in key order.
        row: u64,
    },
    /// A subscription in the queue.
    Subscription(u64),
    /// A scheduled call.
    Schedule(u64),
    /// State hash and checksum.
    End,
}

/// What is wrong with a part of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotFault {
    /// It was written by another version of the format.
    Version {
        /// The version found; this library reads [`SNAPSHOT_VERSION`].
        found: u8,
    },
    /// Its bytes do not decode.
    Decode(DecodeFault),
    /// The content ends before it.
    Missing,
    /// Bytes follow where the content ends.
    TrailingBytes,
    /// It is the state before another commit than the one it stands before.
    Position {
        /// The commit that it is the state before.
        found: TxOffset,
    },
    /// The time of a commit cannot be before 1970.
    Time,
    /// The modules could not be installed like this.
    Install(Arc<InstallRefusal>),
    /// Another module has the same name.
    DuplicateModule,
    /// The table belongs to a module that is not there, or whose schema does
    /// not have it.
    UnknownTable,
    /// The table is there already.
    DuplicateTable,
    /// A table of a module's schema is not there.
    MissingTable {
        /// The table, with its module.
        table: String,
    },
    /// The row or the arguments are no value of their type.
    Value(LayoutError),
    /// The row or the arguments are not in their one encoding.
    NotCanonical,
    /// It does not belong behind the one before it.
    Order,
    /// A number that was not given yet, or cannot be given.
    Number,
    /// There is no such reducer that could wait.
    UnknownReducer,
    /// The state does not have the recorded hash.
    StateHash {
        /// The hash in the snapshot.
        recorded: u64,
        /// The hash of the state it made.
        computed: u64,
    },
    /// The bytes do not have the recorded checksum.
    Checksum,
}

impl From<DecodeError> for SnapshotFault {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error.fault)
    }
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "snapshot, {}: {}", self.place, self.fault)
    }
}

impl fmt::Display for SnapshotPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("head"),
            Self::Module(id) => write!(f, "module number {id}"),
            Self::Modules => f.write_str("modules"),
            Self::Table(id) => write!(f, "table number {id}"),
            Self::Row { table, row } => write!(f, "row {row} of table `{table}`"),
            Self::Subscription(index) => write!(f, "queued subscription {index}"),
            Self::Schedule(index) => write!(f, "scheduled call {index}"),
            Self::End => f.write_str("end"),
        }
    }
}

impl fmt::Display for SnapshotFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { found } => {
                write!(f, "its format is version {found}, this program reads {SNAPSHOT_VERSION}")
            }
            Self::Decode(fault) => fault.fmt(f),
            Self::Missing => f.write_str("the snapshot ends before it"),
            Self::TrailingBytes => f.write_str("bytes follow where the snapshot ends"),
            Self::Position { found } => {
                write!(f, "it is the state before commit {found}, and stands before another one")
            }
            Self::Time => f.write_str("its time is out of range"),
            Self::Install(refusal) => refusal.fmt(f),
            Self::DuplicateModule => f.write_str("another module has its name"),
            Self::UnknownTable => f.write_str("no module has it"),
            Self::DuplicateTable => f.write_str("it is there already"),
            Self::MissingTable { table } => write!(f, "table `{table}` is missing"),
            Self::Value(error) => error.fmt(f),
            Self::NotCanonical => f.write_str("it is not in its one encoding"),
            Self::Order => f.write_str("it does not belong behind the one before it"),
            Self::Number => f.write_str("a number that was not given yet"),
            Self::UnknownReducer => f.write_str("no such reducer could wait"),
            Self::StateHash { recorded, computed } => {
                write!(f, "the state has hash {computed:016x}, the snapshot says {recorded:016x}")
            }
            Self::Checksum => f.write_str("the checksum does not match the bytes"),
        }
    }
}

impl core::error::Error for SnapshotError {}
