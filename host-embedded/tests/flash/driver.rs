//! A device with the simplest state there is: how many commits there were, and
//! a hash of all of them.

use embedded_storage::nor_flash::NorFlash;
use interstice_core::{TxOffset, log::frame::LogHeader};
use interstice_embedded::flash_log::{Entry, FlashLog, FlashLogError, MountError, ReplayError};

pub(crate) const HEADER: LogHeader = LogHeader { log_id: [0x5a; 16], seed: 77 };

/// Bytes of the record buffer.
pub(crate) const RECORD: usize = 96;

pub(crate) type Log<F> = FlashLog<F, RECORD>;

/// A number that a long run sets.
pub(crate) fn setting(name: &str, short: u64) -> u64 {
    std::env::var(name).map_or(short, |value| value.parse().expect(name))
}

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed ^ 0x5bd1_e995)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

/// What the commits lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) commits: u64,
    pub(crate) hash: u64,
}

impl State {
    pub(crate) const EMPTY: Self = Self { commits: 0, hash: 0 };

    pub(crate) fn apply(&mut self, commit: &[u8]) {
        self.commits += 1;
        for byte in commit {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self.hash = (self.hash ^ self.commits).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// As snapshot content of `len` bytes.
    pub(crate) fn encode(&self, len: usize) -> Vec<u8> {
        let mut bytes = [self.commits.to_le_bytes(), self.hash.to_le_bytes()].concat();
        while bytes.len() < len {
            bytes.push((bytes.len() as u64 ^ self.hash) as u8);
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let commits = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
        let hash = u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?);
        let state = Self { commits, hash };
        (state.encode(bytes.len()) == bytes).then_some(state)
    }
}

/// Why a device does not come up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OpenError {
    Mount(MountError),
    Replay(ReplayError<&'static str>),
    Snapshot(FlashLogError),
}

/// The state that a log leads to.
pub(crate) fn replay<F: NorFlash>(log: &mut Log<F>) -> Result<State, ReplayError<&'static str>> {
    let mut state = State::EMPTY;
    let mut snapshot = Vec::new();
    log.replay(&mut |entry| {
        match entry {
            Entry::Snapshot(piece) => snapshot.extend_from_slice(piece),
            Entry::SnapshotEnd(position) => {
                state = State::decode(&snapshot).ok_or("a wrong snapshot")?;
                if state.commits != position.0 {
                    return Err("a snapshot of another position");
                }
            }
            Entry::Commit(TxOffset(offset), commit) => {
                if offset != state.commits {
                    return Err("a commit at another position");
                }
                state.apply(commit);
            }
        }
        Ok(())
    })?;
    Ok(state)
}

/// Mounts, replays, and makes the snapshot that the log may need.
pub(crate) fn open<F: NorFlash>(
    flash: F,
    snapshot_len: usize,
) -> Result<(Log<F>, State), OpenError> {
    let (mut log, _) = Log::mount(flash).map_err(OpenError::Mount)?;
    let state = replay(&mut log).map_err(OpenError::Replay)?;
    if log.needs_snapshot() {
        snapshot(&mut log, &state, snapshot_len).map_err(OpenError::Snapshot)?;
    }
    Ok((log, state))
}

pub(crate) fn snapshot<F: NorFlash>(
    log: &mut Log<F>,
    state: &State,
    len: usize,
) -> Result<(), FlashLogError> {
    log.begin_snapshot()?;
    log.write_snapshot(&state.encode(len))?;
    log.finish_snapshot()
}

/// Appends a commit, and makes the snapshot that it may need. Returns how many
/// snapshots it made.
pub(crate) fn append<F: NorFlash>(
    log: &mut Log<F>,
    state: &mut State,
    commit: &[u8],
    snapshot_len: usize,
) -> Result<u64, FlashLogError> {
    let mut snapshots = 0;
    loop {
        match log.append(TxOffset(state.commits), commit) {
            Ok(()) => break,
            Err(FlashLogError::NeedsSnapshot) if snapshots < 3 => {
                snapshot(log, state, snapshot_len)?;
                snapshots += 1;
            }
            Err(error) => return Err(error),
        }
    }
    state.apply(commit);
    Ok(snapshots)
}

/// The commit at a position: mostly small, now and then one that needs several
/// records.
pub(crate) fn commit(position: u64, attempt: u64, large: bool) -> Vec<u8> {
    let mut random = position.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ attempt;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    next();
    let len = match next() % 16 {
        0 if large => 100 + next() % 60,
        1 => 1,
        _ => 8 + next() % 32,
    };
    (0..len).map(|_| next() as u8).collect()
}
