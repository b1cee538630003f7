//! The first good frame behind bad bytes: where a repair goes on.

use interstice_core::{
    TxOffset,
    log::frame::{Chain, Frames, HEADER_LEN, Read, next_good},
};

use crate::reference::{LOG, Writer};

const GARBAGE: [u8; 64] = [0xff; 64];

/// Where the next good frame is in a segment behind its first bad byte, and
/// the chain there; the frame is read to be sure.
fn found(bytes: &[u8]) -> Option<(usize, Chain)> {
    let mut frames = Frames::new(bytes).unwrap();
    frames.by_ref().for_each(drop);
    let found = next_good(bytes, frames.position(), frames.end());
    if let Some((at, mut chain)) = found {
        assert!(matches!(chain.read(&bytes[at..]), Read::Frame(_)));
    }
    found
}

#[test]
fn a_good_frame_of_any_kind_of_a_log_is_found_with_its_chain() {
    for kind in *b"cCMSB" {
        let mut written = Writer::segment(1000);
        written.commits(b'C', &[b"good"]).garbage(&GARBAGE[..33]).skip(3);
        let expected = (written.at(), written.chain());
        match kind {
            b'c' | b'C' => written.commits(kind, &[b"behind"]),
            b'B' => written.block(b"behind"),
            _ => written.empty(kind),
        };
        let expected = (kind != b'B').then_some(expected);
        assert_eq!(found(&written.bytes), expected, "{}", char::from(kind));
    }
}

#[test]
fn the_first_of_several_is_found() {
    let mut written = Writer::segment(1 << 40);
    written.garbage(&GARBAGE[..10]).skip(2);
    let expected = (written.at(), written.chain());
    written.commits(b'c', &[b"first"]).commits(b'C', &[b"second"]);
    assert_eq!(expected.1.next_offset(), TxOffset((1 << 40) + 2));
    assert_eq!(found(&written.bytes), Some(expected));
}

#[test]
fn behind_a_frame_whose_checksum_alone_is_damaged_the_chain_is_what_it_was() {
    let mut written = Writer::segment(1000);
    written.commits(b'c', &[b"one", b"two"]);
    let expected = (written.at(), written.chain());
    written.commits(b'c', &[b"behind"]);
    for byte in 1..=4 {
        let mut damaged = written.bytes.clone();
        damaged[expected.0 - byte] ^= 0x55;
        assert_eq!(found(&damaged), Some(expected));
    }
    // A block is no frame of a log.
    let mut block = Writer::segment(1000);
    block.commits(b'c', &[b"one"]);
    let checksum = block.at() - 1;
    block.block(b"behind");
    block.bytes[checksum] ^= 1;
    assert_eq!(found(&block.bytes), None);
}

#[test]
fn where_nothing_good_follows_nothing_is_found() {
    let mut written = Writer::segment(0);
    written.commits(b'C', &[b"good"]);
    assert_eq!(found(&written.bytes), None);
    written.garbage(&GARBAGE);
    assert_eq!(found(&written.bytes), None);
}

#[test]
fn a_search_needs_the_checksum_before_where_it_begins() {
    // Any bytes before, as long as there are four.
    let mut written = Writer::behind(7, 5);
    written.garbage(&GARBAGE[..24]).skip(1);
    let (place, chain) = (written.at(), written.chain());
    written.commits(b'c', &[b"behind"]);
    for at in 0..=HEADER_LEN {
        let expected = (4..place).contains(&at).then_some((place, chain));
        // One lost commit takes two bytes at the least.
        let expected = expected.filter(|(place, _)| place - at >= 2);
        assert_eq!(
            next_good(&written.bytes, at, Chain::behind(&LOG, 7, TxOffset(5))),
            expected,
            "{at}"
        );
    }
}
