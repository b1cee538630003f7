//! The queue of `sequential-storage`, with the caches that its documentation
//! recommends for queues, and without any.

use std::ops::Range;

use sequential_storage::{
    cache::{
        Cache, CacheImpl, Uncached, page_pointers::ArrayPagePointers, page_states::ArrayPageStates,
    },
    queue::{QueueConfig, QueueStorage},
};

use super::{
    peers::{Peer, now, said},
    simulated::{PAGE, PAGES, Simulated},
};
use crate::{Result, records::Records};

/// Bytes of the largest record, for reading.
const BUFFER: usize = 128;

type Flash<'a> = &'a mut Simulated;
type Caches = Cache<ArrayPageStates<PAGES>, ArrayPagePointers<PAGES>, Uncached>;
type NoCache = Cache<Uncached, Uncached, Uncached>;

fn caches() -> Caches {
    Cache::new(ArrayPageStates::new(), ArrayPagePointers::new(), Uncached)
}

fn queue<C: CacheImpl<()>>(flash: Flash<'_>, cache: C) -> QueueStorage<Flash<'_>, C> {
    QueueStorage::new(flash, QueueConfig::new(0..(PAGES * PAGE) as u32), cache)
}

fn append<C: CacheImpl<()>>(
    mut queue: QueueStorage<Flash<'_>, C>,
    records: Records,
    numbers: Range<u64>,
) -> Result<()> {
    for number in numbers {
        said(now(queue.push(records.get(number), true)))?;
    }
    Ok(())
}

fn read<C: CacheImpl<()>>(
    mut queue: QueueStorage<Flash<'_>, C>,
    visit: &mut dyn FnMut(&[u8]),
) -> Result<()> {
    let mut buffer = [0; BUFFER];
    let mut entries = said(now(queue.iter()))?;
    while let Some(entry) = said(now(entries.next(&mut buffer)))? {
        visit(&entry);
    }
    Ok(())
}

pub struct Queue;

impl Peer for Queue {
    fn name(&self) -> &'static str {
        "sequential-storage, queue"
    }

    fn memory(&self) -> (usize, usize) {
        (size_of::<QueueStorage<Flash<'_>, Caches>>(), 0)
    }

    fn format(&self, flash: &mut Simulated) -> Result<()> {
        said(now(queue(flash, caches()).erase_all()))
    }

    fn append(&self, flash: &mut Simulated, records: Records, numbers: Range<u64>) -> Result<()> {
        append(queue(flash, caches()), records, numbers)
    }

    fn read(&self, flash: &mut Simulated, visit: &mut dyn FnMut(&[u8])) -> Result<()> {
        read(queue(flash, caches()), visit)
    }
}

pub struct UncachedQueue;

impl Peer for UncachedQueue {
    fn name(&self) -> &'static str {
        "sequential-storage, queue without caches"
    }

    fn memory(&self) -> (usize, usize) {
        (size_of::<QueueStorage<Flash<'_>, NoCache>>(), 0)
    }

    fn format(&self, flash: &mut Simulated) -> Result<()> {
        said(now(queue(flash, Cache::new_uncached()).erase_all()))
    }

    fn append(&self, flash: &mut Simulated, records: Records, numbers: Range<u64>) -> Result<()> {
        append(queue(flash, Cache::new_uncached()), records, numbers)
    }

    fn read(&self, flash: &mut Simulated, visit: &mut dyn FnMut(&[u8])) -> Result<()> {
        read(queue(flash, Cache::new_uncached()), visit)
    }
}
