#![doc = include_str!("../SNAPSHOT.md")]

mod decode;
mod encode;
mod error;

pub use decode::SnapshotDecoder;
pub use error::{SnapshotError, SnapshotFault, SnapshotPlace};

/// The version of the content that this library writes and reads.
pub const SNAPSHOT_VERSION: u8 = 1;
