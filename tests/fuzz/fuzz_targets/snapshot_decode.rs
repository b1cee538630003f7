//! Snapshot content is refused, or makes a state, wherever the content is cut.
//! The state encodes to content that makes this state again, and is the same
//! but for the order of items in schemas.
//!
//! The fuzzer cannot guess a checksum, so both sums are mended first.
#![no_main]

use std::convert::Infallible;

use interstice_core::{
    CommittedState, Limits,
    snapshot::{SnapshotDecoder, SnapshotError, SnapshotFault},
};
use libfuzzer_sys::fuzz_target;
use xxhash_rust::xxh64::xxh64;

fn decode(content: &[u8], piece: usize) -> Result<CommittedState, SnapshotError> {
    let mut decoder = SnapshotDecoder::new(Limits::default());
    for piece in content.chunks(piece) {
        decoder.push(piece)?;
    }
    decoder.finish()
}

fn encode(state: &CommittedState) -> Vec<u8> {
    let mut content = Vec::new();
    let written = state.encode_snapshot(&mut |piece: &[u8]| {
        content.extend_from_slice(piece);
        Ok::<(), Infallible>(())
    });
    written.unwrap_or_else(|never| match never {});
    content
}

/// Writes the checksum of what stands before it.
fn sum(content: &mut [u8]) {
    if let Some((before, checksum)) = content.split_last_chunk_mut::<8>() {
        *checksum = xxh64(before, 0).to_le_bytes();
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&piece, content)) = input.split_first() else { return };
    let mut content = content.to_vec();
    sum(&mut content);
    let mut decoded = decode(&content, content.len().max(1));
    if let Err(SnapshotError { fault: SnapshotFault::StateHash { computed, .. }, .. }) = decoded {
        let at = content.len() - 16;
        content[at..at + 8].copy_from_slice(&computed.to_le_bytes());
        sum(&mut content);
        decoded = decode(&content, content.len());
    }
    let in_pieces = decode(&content, usize::from(piece) + 1);
    assert_eq!(decoded.as_ref().err(), in_pieces.as_ref().err());
    let Ok(state) = decoded else { return };
    let again = encode(&state);
    assert_eq!(again.len(), content.len());
    let same = decode(&again, 100).expect("it was encoded");
    assert_eq!(same.state_hash(), state.state_hash());
    assert_eq!(encode(&same), again);
});
