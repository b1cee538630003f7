//! A simulated NOR flash: write-once words, power cuts, bad pages, counters.
//!
//! # The fault model
//!
//! - A program clears bits in words that were not programmed since the last
//!   whole erase; anything else is refused, so that a test fails, unless it is
//!   [allowed](MockFlash::allow_programming_twice).
//! - Power goes after a [budget](MockFlash::cut_after) of units: a byte programmed is
//!   one unit, an erase is [`ERASE_UNITS`]. What was interrupted is left as the
//!   [`Tear`] says; everything fails until [`power_on`](MockFlash::power_on).
//! - What an interrupted operation would have changed, and nothing else, is
//!   affected. A word of it counts as programmed until the next whole erase.
//! - Operations can [fail](MockFlash::fail_at) without a power cut, and pages can
//!   be [bad](BadPage).

use alloc::{collections::BTreeMap, vec, vec::Vec};
use core::fmt;

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

/// Points at which an erase can be interrupted.
pub const ERASE_UNITS: u64 = 8;

/// What an interrupted operation leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tear {
    /// What it did, from the first byte on, and nothing of the rest.
    InOrder,
    /// Any of the bits that it was to change, each for itself.
    AnySubset,
    /// As [`AnySubset`](Self::AnySubset); and any of the bits reads differently
    /// each time, until the page is erased.
    Unstable,
    /// All that it was to do, but for one or two bits that read differently
    /// each time, mostly as they were or mostly as they were to be.
    Late,
    /// Nothing, but for one or two bits that read differently each time, in the
    /// same way.
    Early,
}

/// How a page is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPage {
    /// Erasing it gives an error, and changes nothing.
    EraseFails,
    /// Erasing it seems to succeed, and leaves one bit zero.
    EraseLies,
    /// Programming it gives an error, and changes nothing.
    ProgramFails,
    /// Programming it seems to succeed, and leaves one bit one.
    ProgramLies,
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MockError {
    /// Not whole words or pages.
    NotAligned,
    /// Not in the flash.
    OutOfBounds,
    /// A word that was programmed was to be programmed again.
    ProgrammedTwice,
    /// Power is gone.
    PowerCut,
    /// As the test wants it.
    Injected,
}

impl fmt::Display for MockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl NorFlashError for MockError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            _ => NorFlashErrorKind::Other,
        }
    }
}

/// What was done to a flash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Program operations.
    pub programs: u64,
    /// Bytes programmed.
    pub bytes_programmed: u64,
    /// Words that were to be programmed twice. Each was refused, unless that is
    /// allowed.
    pub words_programmed_twice: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Erases of each page.
    pub erases: Vec<u64>,
}

/// A simulated NOR flash with words of `WRITE` bytes and pages of `ERASE`.
#[derive(Clone, Debug)]
pub struct MockFlash<const WRITE: usize, const ERASE: usize> {
    bytes: Vec<u8>,
    /// Whether each word was programmed since the last whole erase.
    programmed: Vec<bool>,
    /// Bits that read differently each time, by byte.
    unstable: BTreeMap<usize, u8>,
    /// How they do: 0, mostly as they are stored; 1, mostly not; else evenly.
    bias: u64,
    bad: BTreeMap<usize, BadPage>,
    allows_twice: bool,
    random: u64,
    budget: Option<u64>,
    tear: Tear,
    is_off: bool,
    operations: u64,
    fail_at: Option<u64>,
    /// What was done.
    pub counters: Counters,
}

impl<const WRITE: usize, const ERASE: usize> MockFlash<WRITE, ERASE> {
    /// A flash of so many pages, as a programmer leaves it: blank.
    pub fn new(pages: usize) -> Self {
        let len = pages * ERASE;
        Self {
            bytes: vec![0xff; len],
            programmed: vec![false; len / WRITE],
            unstable: BTreeMap::new(),
            bias: 2,
            bad: BTreeMap::new(),
            allows_twice: false,
            random: 0,
            budget: None,
            tear: Tear::InOrder,
            is_off: false,
            operations: 0,
            fail_at: None,
            counters: Counters { erases: vec![0; pages], ..Counters::default() },
        }
    }

    /// A flash that holds an image.
    pub fn of_image(image: &[u8]) -> Self {
        let mut flash = Self::new(image.len() / ERASE);
        let len = flash.bytes.len();
        flash.bytes.copy_from_slice(&image[..len]);
        flash.programmed.fill(true);
        flash
    }

    /// What it holds.
    pub fn image(&self) -> &[u8] {
        &self.bytes
    }

    /// What it holds, to be damaged.
    pub fn image_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Cuts power after so many units.
    pub fn cut_after(&mut self, units: u64, tear: Tear, seed: u64) {
        self.budget = Some(units);
        self.tear = tear;
        self.random = seed;
    }

    /// Whether power is gone.
    pub fn is_off(&self) -> bool {
        self.is_off
    }

    /// Power comes back, and stays.
    pub fn power_on(&mut self) {
        self.is_off = false;
        self.budget = None;
    }

    /// Units that a budget would have spent so far.
    pub fn units(&self) -> u64 {
        self.counters.bytes_programmed + ERASE_UNITS * self.counters.erases.iter().sum::<u64>()
    }

    /// Fails the operation with this number, counted from now: read, program or
    /// erase. It changes nothing.
    pub fn fail_at(&mut self, operation: Option<u64>) {
        self.operations = 0;
        self.fail_at = operation;
    }

    /// Operations since [`fail_at`](Self::fail_at).
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// Lets words be programmed twice, as flash without ECC does, and counts them.
    pub fn allow_programming_twice(&mut self) {
        self.allows_twice = true;
    }

    /// Makes a page bad, or good.
    pub fn set_bad(&mut self, page: usize, bad: Option<BadPage>) {
        match bad {
            Some(bad) => self.bad.insert(page, bad),
            None => self.bad.remove(&page),
        };
    }

    fn next_random(&mut self) -> u64 {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn begin(&mut self) -> Result<(), MockError> {
        if self.is_off {
            return Err(MockError::PowerCut);
        }
        self.operations += 1;
        match self.fail_at == Some(self.operations - 1) {
            true => Err(MockError::Injected),
            false => Ok(()),
        }
    }

    /// Takes units from the budget; how many there were, if not all.
    fn spend(&mut self, units: u64) -> Option<u64> {
        let budget = self.budget.as_mut()?;
        if *budget >= units {
            *budget -= units;
            return None;
        }
        self.is_off = true;
        Some(core::mem::take(budget))
    }

    /// Leaves `bytes[at]` somewhere between what it is and `to`, with `share`
    /// of 256 of the change done.
    fn tear_byte(&mut self, at: usize, to: u8, share: u64) {
        let mut change = self.bytes[at] ^ to;
        if change == 0 {
            return;
        }
        let (mut done, mut unstable) = (0, 0);
        while change != 0 {
            let bit = change & change.wrapping_neg();
            change ^= bit;
            if self.next_random() % 256 < share {
                done |= bit;
            }
            if self.tear == Tear::Unstable && self.next_random().is_multiple_of(4) {
                unstable |= bit;
            }
        }
        self.bytes[at] ^= done;
        if unstable != 0 {
            *self.unstable.entry(at).or_default() |= unstable;
        }
    }

    /// Leaves everything from `from` on as `to` says, or as it was, but for one or
    /// two bits.
    fn tear_few(&mut self, from: usize, to: &[u8]) {
        let mut changing = Vec::new();
        for (at, to) in (from..).zip(to) {
            let change = self.bytes[at] ^ to;
            changing.extend(
                (0..8).map(|bit| 1 << bit).filter(|bit| change & bit != 0).map(|bit| (at, bit)),
            );
            if self.tear == Tear::Late {
                self.bytes[at] = *to;
            }
        }
        self.bias = self.next_random() % 4;
        for _ in 0..1 + self.next_random() % 2 {
            if changing.is_empty() {
                return;
            }
            let (at, bit) = changing.swap_remove(self.next_random() as usize % changing.len());
            *self.unstable.entry(at).or_default() |= bit;
        }
    }

    /// The bits that read otherwise this time, of those that may.
    fn noise(&mut self) -> u8 {
        let random = self.next_random();
        let [even, a, b, ..] = random.to_le_bytes();
        match self.bias {
            0 => even & a & b,
            1 => !(even & a & b),
            _ => even,
        }
    }

    fn tear_program(&mut self, at: usize, bytes: &[u8], done: usize) {
        if matches!(self.tear, Tear::Late | Tear::Early) {
            let whole: Vec<u8> =
                (at..).zip(bytes).map(|(at, byte)| self.bytes[at] & byte).collect();
            return self.tear_few(at, &whole);
        }
        if self.tear == Tear::InOrder {
            for (at, byte) in (at..).zip(&bytes[..done]) {
                self.bytes[at] &= byte;
            }
            return;
        }
        let share = self.tear_share(done as u64, bytes.len() as u64);
        for (at, byte) in (at..).zip(bytes) {
            self.tear_byte(at, self.bytes[at] & byte, share);
        }
    }

    fn tear_erase(&mut self, page: usize, done: u64) {
        let (from, to) = (page * ERASE, (page + 1) * ERASE);
        if matches!(self.tear, Tear::Late | Tear::Early) {
            self.tear_few(from, &[0xff; ERASE]);
        } else if self.tear == Tear::InOrder {
            let end = from + ERASE * done as usize / ERASE_UNITS as usize;
            self.bytes[from..end].fill(0xff);
        } else {
            let share = self.tear_share(done, ERASE_UNITS);
            for at in from..to {
                self.tear_byte(at, 0xff, share);
            }
        }
        self.programmed[from / WRITE..to / WRITE].fill(true);
    }

    /// How much of an operation is done: mostly in step with the budget, now
    /// and then nearly all or nearly nothing of it.
    fn tear_share(&mut self, done: u64, of: u64) -> u64 {
        match self.next_random() % 4 {
            0 => 2,
            1 => 254,
            _ => 256 * done / of,
        }
    }
}

impl<const WRITE: usize, const ERASE: usize> ErrorType for MockFlash<WRITE, ERASE> {
    type Error = MockError;
}

impl<const WRITE: usize, const ERASE: usize> ReadNorFlash for MockFlash<WRITE, ERASE> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), MockError> {
        self.begin()?;
        let from = offset as usize;
        let to = from + bytes.len();
        let stored = self.bytes.get(from..to).ok_or(MockError::OutOfBounds)?;
        bytes.copy_from_slice(stored);
        self.counters.bytes_read += bytes.len() as u64;
        if !self.unstable.is_empty() {
            let affected: Vec<(usize, u8)> =
                self.unstable.range(from..to).map(|(at, mask)| (*at, *mask)).collect();
            for (at, mask) in affected {
                let noise = self.noise();
                bytes[at - from] ^= mask & noise;
            }
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl<const WRITE: usize, const ERASE: usize> NorFlash for MockFlash<WRITE, ERASE> {
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = ERASE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), MockError> {
        self.begin()?;
        let (from, to) = (from as usize, to as usize);
        if !from.is_multiple_of(ERASE) || !to.is_multiple_of(ERASE) {
            return Err(MockError::NotAligned);
        }
        if to > self.bytes.len() || from > to {
            return Err(MockError::OutOfBounds);
        }
        for page in from / ERASE..to / ERASE {
            if let Some(done) = self.spend(ERASE_UNITS) {
                self.tear_erase(page, done);
                return Err(MockError::PowerCut);
            }
            if self.bad.get(&page) == Some(&BadPage::EraseFails) {
                return Err(MockError::Injected);
            }
            let bytes = page * ERASE..(page + 1) * ERASE;
            self.counters.erases[page] += 1;
            self.programmed[bytes.start / WRITE..bytes.end / WRITE].fill(false);
            self.unstable.retain(|at, _| !bytes.contains(at));
            let middle = bytes.start + ERASE / 2;
            self.bytes[bytes].fill(0xff);
            if self.bad.get(&page) == Some(&BadPage::EraseLies) {
                self.bytes[middle] = 0xef;
            }
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), MockError> {
        self.begin()?;
        let from = offset as usize;
        let to = from + bytes.len();
        if !from.is_multiple_of(WRITE) || !to.is_multiple_of(WRITE) {
            return Err(MockError::NotAligned);
        }
        if to > self.bytes.len() {
            return Err(MockError::OutOfBounds);
        }
        let words = from / WRITE..to / WRITE;
        let twice = self.programmed[words.clone()].iter().filter(|done| **done).count() as u64;
        self.counters.words_programmed_twice += twice;
        if twice > 0 && !self.allows_twice {
            return Err(MockError::ProgrammedTwice);
        }
        let bad = self.bad.get(&(from / ERASE)).copied();
        if bad == Some(BadPage::ProgramFails) {
            return Err(MockError::Injected);
        }
        self.programmed[words].fill(true);
        if let Some(done) = self.spend(bytes.len() as u64) {
            self.tear_program(from, bytes, done as usize);
            return Err(MockError::PowerCut);
        }
        self.counters.programs += 1;
        self.counters.bytes_programmed += bytes.len() as u64;
        for (stored, byte) in self.bytes[from..to].iter_mut().zip(bytes) {
            *stored &= byte;
        }
        if bad == Some(BadPage::ProgramLies)
            && let Some(at) = bytes.iter().position(|byte| *byte != 0xff)
        {
            self.bytes[from + at] |= !bytes[at] & bytes[at].wrapping_add(1);
        }
        Ok(())
    }
}
