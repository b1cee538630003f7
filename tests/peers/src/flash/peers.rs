//! The peers in flash, behind one interface.

use std::{fmt::Debug, ops::Range};

#[cfg(feature = "littlefs")]
use super::littlefs::LittleFs;
use super::{
    ekv::Ekv, interstice::Interstice, map::Map, queue::Queue, queue::UncachedQueue,
    simulated::Simulated,
};
use crate::{Result, records::Records};

/// Payload that is kept at least, where a peer must be told what to drop.
const KEPT_BYTES: usize = 320_000;

/// Records of one length that are kept at least.
pub fn kept(records: Records) -> u64 {
    (KEPT_BYTES / records.len) as u64
}

/// One of those compared.
pub trait Peer {
    fn name(&self) -> &'static str;

    /// Records that become durable together.
    fn group(&self) -> u64 {
        1
    }

    /// Bytes of the object that is open between two appends, and of buffers that
    /// the caller holds for it.
    fn memory(&self) -> (usize, usize);

    /// Makes an empty log of the whole flash.
    fn format(&self, flash: &mut Simulated) -> Result<()>;

    /// Opens it, appends these records, which become durable group by group, and
    /// closes it in good order. What is older than [`kept`] may go.
    fn append(&self, flash: &mut Simulated, records: Records, numbers: Range<u64>) -> Result<()>;

    /// Opens it and reads everything in order. An error where anything is said
    /// to be wrong.
    fn read(&self, flash: &mut Simulated, visit: &mut dyn FnMut(&[u8])) -> Result<()>;
}

/// All of them, ours first.
pub fn all() -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(Interstice),
        Box::new(Queue),
        Box::new(UncachedQueue),
        Box::new(Map),
        Box::new(Ekv { group: 1 }),
        Box::new(Ekv { group: 100 }),
        #[cfg(feature = "littlefs")]
        Box::new(LittleFs { group: 1 }),
        #[cfg(feature = "littlefs")]
        Box::new(LittleFs { group: 100 }),
    ]
}

/// An error of a library, as it shows itself.
pub fn said<T, E: Debug>(result: std::result::Result<T, E>) -> Result<T> {
    result.map_err(|error| format!("{error:?}").into())
}

/// Runs a future that never waits.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
    }
}
