//! The peers, behind one interface.

mod commitlog;
mod interstice;
mod redb;
mod sqlite;

use std::path::Path;

use crate::{Result, records::Records};

/// How records are given to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    pub name: &'static str,
    /// Records that are handed over at once.
    pub group: u64,
    /// Whether the disk is waited for each time, or the system only told.
    pub synced: bool,
}

/// The four patterns.
pub const PATTERNS: [Pattern; 4] = [
    Pattern { name: "handed over, each", group: 1, synced: false },
    Pattern { name: "handed over, per 100", group: 100, synced: false },
    Pattern { name: "synced, per 100", group: 100, synced: true },
    Pattern { name: "synced, each", group: 1, synced: true },
];

/// An open log that takes records.
pub trait Writer {
    /// Appends these records, and hands them to the system or, if the pattern
    /// is synced, to the disk.
    fn append(&mut self, first: u64, end: u64) -> Result<()>;

    /// Closes it in good order.
    fn close(self: Box<Self>) -> Result<()>;
}

/// One of those compared.
pub trait Peer {
    fn name(&self) -> &'static str;

    /// Whether reading verifies checksums of what is read.
    fn verifies(&self) -> bool {
        true
    }

    /// Makes an empty log in an empty directory.
    fn create(&self, dir: &Path, records: Records, pattern: Pattern) -> Result<Box<dyn Writer>>;

    /// Reads everything in order, verifies it as far as the library does, and
    /// compares each record. Returns how many there were.
    fn read(&self, dir: &Path, records: Records) -> Result<u64>;
}

/// All of them, ours first. Logs begin a new segment at `segment_bytes`.
pub fn all(segment_bytes: u64) -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(interstice::Interstice { segment_bytes }),
        Box::new(commitlog::Spacetime { segment_bytes }),
        Box::new(redb::Redb),
        Box::new(sqlite::Sqlite),
    ]
}

/// Says that a record is not what was written.
fn check(found: &[u8], records: Records, number: u64) -> Result<()> {
    match found == records.get(number) {
        true => Ok(()),
        false => Err(format!("record {number} is not what was written").into()),
    }
}
