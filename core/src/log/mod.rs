#![doc = include_str!("FORMAT.md")]

pub mod commit;
pub mod frame;
mod memory;

pub use memory::MemoryLog;

use crate::{ids::TxOffset, state::CommittedState};

/// Where commits go. Hosts implement it for files, flash, memory.
///
/// The core hands over encoded commits in order; how they are framed and found
/// again is the storage's business. [`frame`] is the framing that files use.
pub trait Log {
    /// What can go wrong.
    type Error: core::error::Error + Send + Sync + 'static;

    /// Appends the commit at `offset`, which is the one behind the last.
    ///
    /// The append may be torn by a power cut until [`sync`](Self::sync) has
    /// returned: then the commit is either there whole or not at all.
    ///
    /// # Errors
    ///
    /// When an append fails the storage takes no further one: what it wrote of
    /// the commit is not known.
    fn append(&mut self, offset: TxOffset, commit: &[u8]) -> Result<(), Self::Error>;

    /// Called before each append of a commit of `len` bytes, with the state that
    /// the commits so far lead to. A storage of bounded size can make room: write
    /// a snapshot of the state, and let the commits before it go. Others need
    /// not care.
    ///
    /// # Errors
    ///
    /// When there is no room. Nothing of the commit was written then, and a
    /// smaller one may still be taken.
    fn prepare(&mut self, state: &CommittedState, len: usize) -> Result<(), Self::Error> {
        let _ = (state, len);
        Ok(())
    }

    /// Makes everything appended so far survive a crash.
    ///
    /// # Errors
    ///
    /// When a sync fails, nothing since the last good one may be acknowledged,
    /// and the storage takes nothing more until it is reopened.
    fn sync(&mut self) -> Result<(), Self::Error>;
}
