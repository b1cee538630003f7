//! The log on a medium that reads, writes and seeks, and loses power.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    collections::BTreeMap,
    ptr::null_mut,
};

use embedded_io::{ErrorKind, ErrorType, Read, Seek, SeekFrom, Write};
use interstice_core::{
    TxOffset,
    log::{
        Log as _,
        frame::{Frames, LogHeader, Tail},
    },
};
use interstice_embedded::io_log::{IoLog, IoLogError, Opened};

mod damage;
mod marks;
mod room;

thread_local! {
    /// The largest allocation of this thread.
    static LARGEST: Cell<usize> = const { Cell::new(0) };
    /// Bytes of the largest allocation that this thread is given.
    static LARGEST_GIVEN: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The result of `of`, and the largest allocation that it asked for.
fn largest_allocation<R>(of: impl FnOnce() -> R) -> (R, usize) {
    let before = LARGEST.with(|largest| largest.replace(0));
    let result = of();
    (result, LARGEST.with(|largest| largest.replace(before)))
}

/// What `of` does where there is no memory for more than so many bytes at once.
fn with_memory<R>(len: usize, of: impl FnOnce() -> R) -> R {
    LARGEST_GIVEN.with(|given| given.set(len));
    let result = of();
    LARGEST_GIVEN.with(|given| given.set(usize::MAX));
    result
}

struct Watched;

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(layout.size())));
        if LARGEST_GIVEN.try_with(Cell::get).is_ok_and(|given| layout.size() > given) {
            return null_mut();
        }
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

const HEADER: LogHeader = LogHeader { log_id: [3; 16], seed: 1 };

/// A medium in memory. What is written since the last flush may be lost when power
/// goes, byte by byte.
#[derive(Clone, Default)]
struct Medium {
    durable: Vec<u8>,
    live: Vec<u8>,
    at: usize,
    /// Bytes that can be written before power goes.
    budget: Option<usize>,
    /// When power is gone, a write takes nothing, instead of failing.
    takes_nothing: bool,
    /// Operations before one fails.
    fails_after: Option<usize>,
    /// What a read at a place says, once, instead of what it has read.
    lie: Option<(usize, usize)>,
}

impl Medium {
    fn check(&mut self) -> Result<(), ErrorKind> {
        match &mut self.fails_after {
            Some(0) => Err(ErrorKind::Other),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What is left after a power cut: every byte that was not flushed is there or
    /// not.
    fn after_cut(&self, random: &mut u64) -> Self {
        let mut durable = self.durable.clone();
        durable.resize(self.live.len().max(durable.len()), 0);
        for (kept, byte) in durable.iter_mut().zip(&self.live) {
            if draw(random) & 3 != 0 {
                *kept = *byte;
            }
        }
        Self { live: durable.clone(), durable, ..Self::default() }
    }
}

impl ErrorType for Medium {
    type Error = ErrorKind;
}

impl Read for Medium {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, ErrorKind> {
        self.check()?;
        // Not all at once, as a medium may.
        let mut len = into.len().min(self.live.len().saturating_sub(self.at)).min(100);
        match self.lie {
            Some((at, said)) if at == self.at => {
                self.lie = None;
                return Ok(said);
            }
            Some((at, _)) if at > self.at => len = len.min(at - self.at),
            _ => {}
        }
        into[..len].copy_from_slice(&self.live[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

impl Write for Medium {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.check()?;
        let len = self.budget.map_or(bytes.len(), |budget| budget.min(bytes.len()));
        if let Some(budget) = &mut self.budget {
            *budget -= len;
        }
        if len == 0 && !self.takes_nothing {
            return Err(ErrorKind::Other);
        }
        let end = self.at + len;
        self.live.resize(self.live.len().max(end), 0);
        self.live[self.at..end].copy_from_slice(&bytes[..len]);
        self.at = end;
        Ok(len)
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        self.check()?;
        if self.budget == Some(0) {
            return Err(ErrorKind::Other);
        }
        self.durable.clone_from(&self.live);
        Ok(())
    }
}

impl Seek for Medium {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, ErrorKind> {
        self.check()?;
        self.at = match to {
            SeekFrom::Start(at) => at as usize,
            SeekFrom::End(by) => (self.live.len() as i64 + by) as usize,
            SeekFrom::Current(by) => (self.at as i64 + by) as usize,
        };
        Ok(self.at as u64)
    }
}

fn commit(position: u64) -> Vec<u8> {
    let len = 1 + position * 7 % 60;
    (0..len).map(|at| (position * 31 + at) as u8).collect()
}

/// The next number.
fn draw(random: &mut u64) -> usize {
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    (*random >> 33) as usize
}

type Commits = BTreeMap<u64, Vec<u8>>;

fn open(medium: Medium) -> Result<(IoLog<Medium>, Opened, Commits), IoLogError> {
    let mut commits = Commits::new();
    let (log, opened) = IoLog::open(medium, None, &mut |TxOffset(offset), commit| {
        commits.insert(offset, commit.to_vec());
        Ok(())
    })?;
    assert_eq!(opened.commits, commits.len() as u64);
    Ok((log, opened, commits))
}

/// A log with so many commits, flushed now and then.
fn log_of(commits: u64, capacity: Option<u64>) -> IoLog<Medium> {
    let mut log = IoLog::create(Medium::default(), HEADER, capacity).unwrap();
    for position in 0..commits {
        log.append(TxOffset(position), &commit(position)).unwrap();
        if position % 3 == 2 {
            log.sync().unwrap();
        }
    }
    log.sync().unwrap();
    log
}

fn expected(commits: u64) -> Commits {
    (0..commits).map(|position| (position, commit(position))).collect()
}

#[test]
fn what_was_written_is_read_and_is_a_log_file() {
    for capacity in [None, Some(40_000)] {
        let medium = log_of(300, capacity).into_inner();
        let mut frames = Frames::new(&medium.live).unwrap();
        assert_eq!(frames.by_ref().count(), 300);
        assert_eq!(frames.tail(), Tail::Clean);
        let (log, opened, commits) = open(medium).unwrap();
        assert_eq!((opened.torn_bytes, commits), (0, expected(300)));
        assert_eq!(log.header(), HEADER);
    }
}

#[test]
fn power_that_goes_at_any_byte_loses_nothing_that_was_synced() {
    let mut random = 1;
    let (mut torn, mut more) = (0, 0);
    for cut in 1..2_000 {
        let mut log = log_of(cut as u64 % 7, None);
        let (mut next, mut synced) = (cut as u64 % 7, cut as u64 % 7);
        let mut medium = log.into_inner();
        medium.budget = Some(cut);
        (log, ..) = open(medium).unwrap();
        loop {
            if log.append(TxOffset(next), &commit(next)).is_err() {
                break;
            }
            next += 1;
            if next % 4 == 0 {
                let synced_or_marked = if next % 8 == 0 { log.mark() } else { log.sync() };
                if synced_or_marked.is_err() {
                    break;
                }
                synced = next;
            }
        }
        assert_eq!(log.append(TxOffset(next), &commit(next)), Err(IoLogError::Failed));
        let medium = log.into_inner().after_cut(&mut random);
        let (mut log, opened, commits) = open(medium).unwrap();
        let found = commits.len() as u64;
        assert!(synced <= found && found <= next + 1, "cut {cut}: {found} of {synced} to {next}");
        assert_eq!(commits, expected(found));
        torn += u64::from(opened.torn_bytes > 0);
        more += u64::from(found > synced);
        // And it goes on.
        log.append(TxOffset(found), &commit(found)).unwrap();
        log.sync().unwrap();
        let (_, opened, commits) = open(log.into_inner()).unwrap();
        assert_eq!((opened.torn_bytes, commits), (0, expected(found + 1)), "cut {cut}");
    }
    assert!(torn > 500 && more > 0, "{torn} {more}");
}

#[test]
fn the_zeros_of_a_large_medium_need_no_memory_after_a_power_cut() {
    let mut random = 1;
    let mut torn = 0;
    for cut in 1..200 {
        let mut medium = log_of(5, Some(1 << 20)).into_inner();
        medium.budget = Some(cut);
        let mut log = open(medium).unwrap().0;
        let mut next = 5;
        while log.append(TxOffset(next), &commit(next)).is_ok() {
            next += 1;
        }
        let medium = log.into_inner().after_cut(&mut random);
        let (opened, needed) = largest_allocation(|| open(medium));
        let (mut log, opened, commits) = opened.unwrap();
        assert!(needed < 4_096, "cut {cut}: {needed}");
        assert!(commits.len() >= 5 && commits == expected(commits.len() as u64));
        torn += u64::from(opened.torn_bytes > 0);
        log.append(TxOffset(commits.len() as u64), &[1]).unwrap();
        log.sync().unwrap();
        assert_eq!(open(log.into_inner()).unwrap().2.len(), commits.len() + 1);
    }
    assert!(torn > 100, "{torn}");
}

#[test]
fn a_commit_that_is_not_the_next_one_is_refused() {
    let mut log = log_of(3, None);
    let next = TxOffset(3);
    for offset in [2, 4] {
        assert_eq!(log.append(TxOffset(offset), &[1]), Err(IoLogError::Position { next }));
    }
    log.append(next, &[1]).unwrap();
}

#[test]
fn every_flipped_bit_is_damage_or_at_the_end() {
    let medium = log_of(60, None).into_inner();
    let good = expected(60);
    let mut located = 0;
    for bit in 0..medium.live.len() * 8 {
        let mut bad = medium.clone();
        bad.live[bit / 8] ^= 1 << (bit % 8);
        match open(bad) {
            Err(IoLogError::Damaged { at, offset }) => {
                assert!(at <= (bit / 8) as u64 && offset.0 < 60, "bit {bit}");
                located += 1;
            }
            Err(IoLogError::Header(_)) => {}
            Err(error) => panic!("bit {bit}: {error}"),
            // Since the last sync: what a power cut could have done.
            Ok((_, opened, commits)) => {
                assert!(opened.torn_bytes > 0 && commits.len() >= 57, "bit {bit}");
                assert!(commits.iter().all(|(offset, commit)| good[offset] == *commit));
            }
        }
    }
    assert!(located > medium.live.len() * 7, "{located}");
}

#[test]
fn a_medium_that_fails_at_any_operation_acknowledges_nothing() {
    for fails_after in 0..40 {
        let mut medium = log_of(5, None).into_inner();
        medium.fails_after = Some(fails_after);
        let Ok((mut log, ..)) = open(medium.clone()) else { continue };
        let appended = log.append(TxOffset(5), &commit(5));
        let synced = appended.and_then(|()| log.sync());
        let mut medium = log.into_inner();
        medium.fails_after = None;
        let (_, _, commits) = open(medium).unwrap();
        assert!(synced.is_err() || commits.len() == 6);
        assert!(commits.len() >= 5);
    }
}

#[test]
fn a_full_medium_says_so_and_keeps_what_it_has() {
    let mut log = IoLog::create(Medium::default(), HEADER, Some(600)).unwrap();
    let mut next = 0;
    while log.append(TxOffset(next), &commit(next)).is_ok() {
        next += 1;
    }
    assert_eq!(log.append(TxOffset(next), &[1; 500]), Err(IoLogError::Full));
    log.sync().unwrap();
    let medium = log.into_inner();
    assert_eq!(medium.live.len(), 600);
    let (_, _, commits) = open(medium).unwrap();
    assert_eq!(commits, expected(next));
    assert!(IoLog::create(Medium::default(), HEADER, Some(59)).is_err());
}

#[test]
fn a_medium_that_takes_nothing_is_an_error() {
    let mut medium = log_of(3, None).into_inner();
    (medium.budget, medium.takes_nothing) = (Some(5), true);
    let (mut log, ..) = open(medium).unwrap();
    let full = IoLogError::Io(ErrorKind::WriteZero);
    assert_eq!(log.append(TxOffset(3), &commit(3)), Err(full));
    assert_eq!(log.append(TxOffset(3), &commit(3)), Err(IoLogError::Failed));
}
