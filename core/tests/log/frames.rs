//! Single frames: written and read by a chain.

use interstice_core::{
    TxOffset,
    log::frame::{CHECKSUM_LEN, Chain, FRAME_LEN_MIN, Frame, FrameKind, Read, frame_len},
};
use proptest::prelude::*;

use crate::reference::{BORDERS, LOG, Writer, cases, content, varint, with_len};

const CHECKSUM: u32 = 0xdead_beef;
const NEXT: u64 = 0x0102_0304_0506_0708;

fn writer() -> Writer {
    Writer::behind(CHECKSUM, NEXT)
}

fn chain() -> Chain {
    writer().chain()
}

/// Reads one frame, which may be there or not, and checks that the chain moves
/// only for a good one.
fn read(bytes: &[u8]) -> Read<'_> {
    let mut after = chain();
    let read = after.read(bytes);
    if !matches!(read, Read::Frame(_)) {
        assert_eq!(after, chain(), "a chain stays before what is no frame");
    }
    read
}

#[test]
fn a_commit_is_framed_as_the_format_says() {
    for len in [1, 2, 125, 126, 127, 128, 129, 16_380, 16_381, 16_382, 16_383, 16_384] {
        for after_sync in [false, true] {
            let commit = vec![len as u8; len];
            let mut written = writer();
            written.commits(if after_sync { b'C' } else { b'c' }, &[&commit]);
            let (mut chain, mut bytes) = (chain(), b"before".to_vec());
            chain.append(&commit, after_sync, &mut bytes);
            assert_eq!(bytes, [b"before", &written.bytes[..]].concat(), "{len} bytes");
            assert_eq!(chain, written.chain());
            assert_eq!(frame_len(len as u64), written.bytes.len() as u64);
        }
    }
    assert_eq!(frame_len(u64::MAX), u64::MAX);
}

#[test]
fn marks_seals_and_blocks_are_framed_as_the_format_says() {
    let (mut chain, mut bytes) = (chain(), Vec::new());
    chain.append_mark(&mut bytes);
    chain.append_block(b"part", &mut bytes);
    chain.append_block(&[3; 300], &mut bytes);
    chain.append_seal(&mut bytes);
    let mut written = writer();
    written.empty(b'M').block(b"part").block(&[3; 300]).empty(b'S');
    assert_eq!(bytes, written.bytes);
    assert_eq!(chain, written.chain());
    assert_eq!(chain.next_offset(), TxOffset(NEXT + 2));
    assert_eq!(chain.checksum(), written.checksum);
}

#[test]
fn every_kind_of_frame_is_read_back() {
    let mut written = writer();
    written.commits(b'c', &[b"one", b"two"]).commits(b'C', &[b"three"]);
    written.empty(b'M').block(b"part").empty(b'S');
    let (mut chain, mut rest) = (chain(), &written.bytes[..]);
    let mut frames = Vec::new();
    while let Read::Frame(frame) = chain.read(rest) {
        frames.push((frame.kind, frame.first.0 - NEXT, frame.content.to_vec()));
        rest = &rest[frame.len..];
    }
    let expected = [
        (FrameKind::Commits, 0, content(&[b"one", b"two"])),
        (FrameKind::CommitsAfterSync, 2, content(&[b"three"])),
        (FrameKind::Mark, 3, Vec::new()),
        (FrameKind::Block, 3, b"part".to_vec()),
        (FrameKind::Seal, 4, Vec::new()),
    ];
    assert_eq!(frames, expected);
    assert_eq!((chain, rest), (written.chain(), &[][..]));
}

#[test]
fn a_frame_gives_its_commits_with_their_positions() {
    let mut written = writer();
    let long = [7; 200];
    written.commits(b'c', &[b"one", &long, b"x"]);
    let Read::Frame(frame) = read(&written.bytes) else { panic!("it is good") };
    let commits: Vec<(TxOffset, &[u8])> = frame.commits().collect();
    let at = |commit| TxOffset(NEXT + commit);
    assert_eq!(commits, [(at(0), &b"one"[..]), (at(1), &long), (at(2), b"x")]);
}

#[test]
fn kinds_say_what_they_hold_and_what_was_durable() {
    use FrameKind::{Block, Commits, CommitsAfterSync, Mark, Seal};
    let kinds = [
        (Commits, true, false),
        (CommitsAfterSync, true, true),
        (Mark, false, true),
        (Seal, false, true),
        (Block, false, false),
    ];
    for (kind, has_commits, is_after_sync) in kinds {
        assert_eq!(kind.has_commits(), has_commits, "{kind:?}");
        assert_eq!(kind.is_after_sync(), is_after_sync, "{kind:?}");
    }
}

#[test]
fn a_byte_that_is_no_kind_begins_no_frame() {
    for kind in 0..=u8::MAX {
        let has_content = b"cCB".contains(&kind);
        let mut written = writer();
        match has_content {
            true => written.commits(kind, &[b"x"]),
            false => written.empty(kind),
        };
        let is_frame = matches!(read(&written.bytes), Read::Frame(_));
        assert_eq!(is_frame, b"cCMSB".contains(&kind), "kind {kind}");
    }
}

#[test]
fn a_frame_without_content_is_a_mark_or_a_seal_and_no_other_is() {
    for kind in *b"cCBMS" {
        let mut empty = writer();
        let mut full = writer();
        empty.empty(kind);
        full.raw(kind, &[2], &[1, 7], 1);
        let is_empty = b"MS".contains(&kind);
        assert_eq!(matches!(read(&empty.bytes), Read::Frame(_)), is_empty);
        assert_eq!(matches!(read(&full.bytes), Read::Frame(_)), !is_empty);
    }
}

#[test]
fn every_flipped_bit_of_a_frame_is_found() {
    let mut written = writer();
    written.commits(b'c', &[b"some", b"commits"]);
    let mut with_more = written.clone();
    with_more.commits(b'C', &[&[9; 300]]);
    for bit in 0..written.bytes.len() * 8 {
        let mut flipped = with_more.bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!matches!(read(&flipped), Read::Frame(_)), "bit {bit}");
    }
}

#[test]
fn a_frame_verifies_only_where_it_was_written() {
    let mut written = writer();
    written.commits(b'c', &[b"one"]);
    for checksum_bit in 0..32 {
        let mut other = Chain::behind(&LOG, CHECKSUM ^ 1 << checksum_bit, TxOffset(NEXT));
        assert_eq!(other.read(&written.bytes), Read::Bad);
    }
    for id_bit in 0..128 {
        let mut log = LOG;
        log.log_id[id_bit / 8] ^= 1 << (id_bit % 8);
        let mut other = Chain::behind(&log, CHECKSUM, TxOffset(NEXT));
        assert_eq!(other.read(&written.bytes), Read::Bad);
    }
    for position_bit in 0..64 {
        let mut other = Chain::behind(&LOG, CHECKSUM, TxOffset(NEXT ^ 1 << position_bit));
        assert_eq!(other.read(&written.bytes), Read::Bad);
    }
}

#[test]
fn every_frame_that_is_cut_short_says_how_long_it_is() {
    for len in [1, 126, 300, 20_000] {
        let mut written = writer();
        written.commits(b'c', &[&vec![1; len]]);
        let whole = written.bytes.len() as u64;
        let head = 1 + varint(with_len(&vec![1; len]).len() as u64).len();
        for cut in 0..written.bytes.len() {
            let expected = match cut {
                0 => FRAME_LEN_MIN as u64,
                // As far as can be told: one more byte of the length, and no content.
                _ if cut < head => (cut + FRAME_LEN_MIN) as u64,
                _ => whole,
            };
            let incomplete = Read::Incomplete { len: expected };
            assert_eq!(read(&written.bytes[..cut]), incomplete, "{cut} of {whole}");
        }
    }
}

#[test]
fn a_length_is_read_up_to_the_largest_there_is() {
    for len in BORDERS.into_iter().filter(|len| *len > 30) {
        let head = [&b"c"[..], &varint(len)].concat();
        let whole = len.checked_add((head.len() + CHECKSUM_LEN) as u64);
        let expected = whole.map_or(Read::Bad, |len| Read::Incomplete { len });
        assert_eq!(read(&head), expected, "length {len}");
    }
}

#[test]
fn a_length_that_goes_on_is_cut_short_up_to_nine_bytes() {
    for goes_on in 0..15 {
        let head = [&b"C"[..], &[0x80; 15][..goes_on]].concat();
        let expected = match goes_on < 10 {
            true => Read::Incomplete { len: (head.len() + FRAME_LEN_MIN) as u64 },
            false => Read::Bad,
        };
        assert_eq!(read(&head), expected, "{goes_on} bytes");
    }
    // One that has ended in its longer form is none.
    assert_eq!(read(&[b'c', 0x80, 0x00]), Read::Bad);
    assert_eq!(read(&[b'c', 0x85, 0x80, 0x00]), Read::Bad);
    // Ten bytes hold 70 bits, a length has 64.
    let too_large = [&b"c"[..], &[0xff; 9], &[0x02]].concat();
    assert_eq!(read(&too_large), Read::Bad);
}

#[test]
fn lengths_in_a_longer_form_are_refused_although_the_checksum_is_right() {
    let good = content(&[b"one"]);
    let mut longer = writer();
    longer.raw(b'c', &[0x84, 0x00], &good, 1);
    assert_eq!(read(&longer.bytes), Read::Bad);
    let mut longer_mark = writer();
    longer_mark.raw(b'M', &[0x80, 0x00], &[], 0);
    assert_eq!(read(&longer_mark.bytes), Read::Bad);
    let mut longer_commit = writer();
    longer_commit.raw(b'c', &[5], &[&[0x83, 0x00], &b"one"[..]].concat(), 1);
    assert_eq!(read(&longer_commit.bytes), Read::Bad);
}

#[test]
fn content_that_is_no_commits_is_refused_although_the_checksum_is_right() {
    let contents: [&[u8]; 6] = [
        // A commit of no bytes; alone, before another, behind another.
        &[0],
        &[0, 1, 7],
        &[1, 7, 0],
        // One that is longer than the frame.
        &[2, 7],
        &[1, 7, 2, 7],
        // One whose length is cut short.
        &[1, 7, 0x80],
    ];
    for content in contents {
        let mut written = writer();
        written.raw(b'c', &varint(content.len() as u64), content, 1);
        assert_eq!(read(&written.bytes), Read::Bad, "{content:?}");
        // A block may hold anything.
        let mut block = writer();
        block.block(content);
        assert!(matches!(read(&block.bytes), Read::Frame(Frame { .. })));
    }
}

#[test]
fn a_chain_has_no_position_behind_the_last() {
    let mut last = Writer::behind(CHECKSUM, u64::MAX - 1);
    last.commits(b'c', &[b"x"]);
    let mut chain = Chain::behind(&LOG, CHECKSUM, TxOffset(u64::MAX - 1));
    assert!(matches!(chain.read(&last.bytes), Read::Frame(_)));
    assert_eq!(chain, last.chain());
    let mut behind = Writer::behind(last.checksum, u64::MAX);
    behind.commits(b'c', &[b"x"]);
    assert_eq!(chain.read(&behind.bytes), Read::Bad);
    assert_eq!(chain, last.chain());
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn no_bytes_are_a_frame_by_accident(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let is_frame = matches!(read(&bytes), Read::Frame(_));
        prop_assert!(!is_frame);
    }
}
