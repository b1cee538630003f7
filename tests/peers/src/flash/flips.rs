//! What becomes of a log with one wrong bit.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    peers::Peer,
    simulated::{Simulated, WORD},
};
use crate::{Result, records::Records};

/// How many times as much may be read as an undamaged log needs, until reading
/// is taken for endless.
const READS_MAX: u64 = 50;

/// How the reading of damaged regions ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flips {
    /// With every record as it was written.
    pub same: u64,
    /// With an error.
    pub reported: u64,
    /// With records that are missing or wrong, and no error.
    pub silent: u64,
    /// With a panic, or not at all.
    pub stuck: u64,
}

/// Whether what is read is what was written, so far.
struct Comparison {
    records: Records,
    next: u64,
    is_same: bool,
}

impl Comparison {
    fn new(records: Records) -> Self {
        Self { records, next: 0, is_same: true }
    }

    fn visit(&mut self, record: &[u8]) {
        self.is_same &= record == self.records.get(self.next);
        self.next += 1;
    }

    fn is_good(&self, count: u64) -> bool {
        self.is_same && self.next == count
    }
}

/// Flips bits of words that are not blank, each in a copy, and reads it.
pub fn flip(
    peer: &dyn Peer,
    flash: &Simulated,
    records: Records,
    count: u64,
    flips: u64,
) -> Result<Flips> {
    let reads_max = READS_MAX * bytes_of_reading(peer, flash.clone(), records, count)?;
    let words: Vec<usize> = flash
        .flash
        .image()
        .chunks(WORD)
        .enumerate()
        .filter(|(_, word)| word.iter().any(|byte| *byte != 0xff))
        .map(|(at, _)| at)
        .collect();
    let mut random = 0x5EED_u64;
    let mut found = Flips::default();
    for _ in 0..flips {
        let chosen = crate::records::split_mix(&mut random) as usize;
        let (word, bit) = (words[(chosen >> 5) % words.len()], chosen % 32);
        let mut damaged = flash.clone();
        damaged.flash.image_mut()[word * WORD + bit / 8] ^= 1 << (bit % 8);
        damaged.limit_reads(reads_max);
        *read(peer, &mut damaged, records, count, &mut found) += 1;
    }
    Ok(found)
}

/// Reads a damaged region. Returns what to count.
fn read<'a>(
    peer: &dyn Peer,
    flash: &mut Simulated,
    records: Records,
    count: u64,
    found: &'a mut Flips,
) -> &'a mut u64 {
    let mut comparison = Comparison::new(records);
    let result = quietly(|| peer.read(flash, &mut |record| comparison.visit(record)));
    match result {
        None => &mut found.stuck,
        Some(_) if flash.is_exhausted() => &mut found.stuck,
        Some(Err(_)) => &mut found.reported,
        Some(Ok(())) if comparison.is_good(count) => &mut found.same,
        Some(Ok(())) => &mut found.silent,
    }
}

/// Runs something; nothing if it panics, and nothing is printed then.
fn quietly<T>(run: impl FnOnce() -> T) -> Option<T> {
    static IS_SET: AtomicBool = AtomicBool::new(false);
    if !IS_SET.swap(true, Ordering::Relaxed) {
        panic::set_hook(Box::new(|_| {}));
    }
    panic::catch_unwind(AssertUnwindSafe(run)).ok()
}

fn bytes_of_reading(
    peer: &dyn Peer,
    mut flash: Simulated,
    records: Records,
    count: u64,
) -> Result<u64> {
    let before = flash.flash.counters.bytes_read;
    let mut comparison = Comparison::new(records);
    peer.read(&mut flash, &mut |record| comparison.visit(record))?;
    if !comparison.is_good(count) {
        let (name, found) = (peer.name(), comparison.next);
        return Err(format!("{name} gave {found} records of {count}, or wrong ones").into());
    }
    Ok(flash.flash.counters.bytes_read - before)
}
