//! What holds for every log and every state, whatever the workload.

use std::convert::Infallible;

use interstice_core::{
    CommittedState, Limits, Reexecution, Step,
    log::frame::{Frames, SegmentHeader, Tail},
    snapshot::{SnapshotDecoder, SnapshotError},
};

use crate::random::Random;

/// Asserts that two states are the same in everything that can be seen.
///
/// # Panics
///
/// When they are not.
pub fn assert_same(one: &CommittedState, other: &CommittedState) {
    assert_eq!(one.next_offset(), other.next_offset(), "commits");
    assert_eq!(one.time(), other.time(), "time");
    assert_eq!(one.pending(), other.pending(), "subscriptions that wait");
    assert_eq!(one.scheduled(), other.scheduled(), "scheduled calls");
    assert_eq!(one.next_due(), other.next_due(), "the next scheduled call");
    assert_eq!(one.modules().len(), other.modules().len(), "modules");
    for (one, other) in one.modules().iter().zip(other.modules()) {
        assert_eq!(one.schema(), other.schema());
        assert_eq!(one.content_hash(), other.content_hash());
    }
    assert_eq!(one.tables().len(), other.tables().len(), "tables");
    for (one, other) in one.tables().iter().zip(other.tables()) {
        let name = one.name();
        assert_eq!(name, other.name());
        assert!(one.rows().eq(other.rows()), "the rows of {name}");
        assert_eq!(one.hash(), other.hash(), "the hash of {name}");
        assert_eq!(one.bytes(), other.bytes(), "the bytes of {name}");
    }
    assert_eq!(one.state_hash(), other.state_hash(), "state hash");
}

/// The snapshot content of a state.
pub fn snapshot(state: &CommittedState) -> Vec<u8> {
    let mut content = Vec::new();
    let written = state.encode_snapshot(&mut |piece: &[u8]| {
        content.extend_from_slice(piece);
        Ok::<(), Infallible>(())
    });
    written.unwrap_or_else(|never| match never {});
    content
}

/// The state of snapshot content that comes in these pieces.
///
/// # Errors
///
/// When the content is bad.
pub fn decode_snapshot<'a>(
    limits: &Limits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<CommittedState, SnapshotError> {
    let mut decoder = SnapshotDecoder::new(limits.clone());
    for piece in pieces {
        decoder.push(piece)?;
    }
    decoder.finish()
}

/// Asserts that a snapshot of a state, cut into pieces by `seed`, makes the
/// same state, and that this one has the same snapshot. Returns it.
///
/// # Panics
///
/// When it does not.
pub fn assert_snapshot(state: &CommittedState, seed: u64) -> CommittedState {
    let content = snapshot(state);
    let mut random = Random::new(seed);
    let mut rest = content.as_slice();
    let pieces = std::iter::from_fn(|| {
        let len = random.below(200) as usize;
        let (piece, behind) = rest.split_at(len.min(rest.len()));
        let more = !rest.is_empty();
        rest = behind;
        more.then_some(piece)
    });
    let decoded = decode_snapshot(state.limits(), pieces).expect("a good snapshot");
    assert_same(state, &decoded);
    assert!(snapshot(&decoded) == content, "the decoded state has another snapshot");
    decoded
}

/// Asserts that a log is whole, replays to `live`, and re-executes to itself,
/// given the files of all its modules. Returns the state hash behind each
/// commit.
///
/// # Panics
///
/// When it does not.
pub fn assert_replays<'a>(
    log: &[u8],
    limits: &Limits,
    files: impl IntoIterator<Item = &'a [u8]>,
    live: &CommittedState,
) -> Vec<u64> {
    let header = SegmentHeader::decode(log).expect("a good header").log;
    let mut replayed = CommittedState::new(header.seed, limits.clone());
    let mut again = Reexecution::new(header.seed);
    for file in files {
        again.attach(file);
    }
    let mut hashes = Vec::new();
    let mut frames = Frames::new(log).expect("a good header");
    for (offset, commit) in frames.by_ref() {
        replayed.replay(offset, commit).expect("it replays");
        let step = again.step(offset, commit).expect("it replays");
        assert!(matches!(step, Step::Identical | Step::Installed), "commit {offset}: {step:?}");
        assert_eq!(replayed.state_hash(), again.state().state_hash(), "commit {offset}");
        hashes.push(replayed.state_hash());
    }
    assert_eq!(frames.tail(), Tail::Clean);
    assert_same(live, &replayed);
    hashes
}
