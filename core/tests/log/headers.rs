//! Headers of segments and snapshots.

use interstice_core::{
    TxOffset,
    log::frame::{
        Chain, FORMAT_VERSION, HEADER_LEN, HeaderError, SNAPSHOT_HEADER_LEN, SegmentHeader,
        SnapshotHeader, crc32c,
    },
};

use crate::reference::{LOG, crc, header};

const SEGMENT: SegmentHeader = SegmentHeader {
    log: LOG,
    number: 0x0102_0304_0506_0708,
    first: TxOffset(0x1112_1314_1516_1718),
    previous: 0x2122_2324,
};

fn snapshot() -> SnapshotHeader {
    let end = Chain::behind(&LOG, 0x3132_3334, TxOffset(0x4142_4344_4546_4748));
    SnapshotHeader { log: LOG, end }
}

/// Flips every bit of a header.
fn flip_each(header: &[u8], magic: HeaderError, decode: impl Fn(&[u8]) -> HeaderError) {
    for bit in 0..header.len() * 8 {
        let mut flipped = header.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let fault = if bit / 8 < 8 { magic } else { HeaderError::Checksum };
        assert_eq!(decode(&flipped), fault, "bit {bit}");
    }
}

#[test]
fn the_checksum_is_crc_32c() {
    assert_eq!(crc(b"123456789"), 0xe306_9283);
    let bytes: Vec<u8> = (0..500_usize).map(|at| (at * at / 7) as u8).collect();
    for len in 0..bytes.len() {
        let (head, tail) = bytes[..len].split_at(len / 3);
        assert_eq!(crc32c(0, &bytes[..len]), crc(&bytes[..len]));
        assert_eq!(crc32c(crc32c(0, head), tail), crc(&bytes[..len]));
    }
}

#[test]
fn a_segments_header_has_the_fields_of_the_format_in_order() {
    let expected = header(&[
        b"INTRSTCE",
        &FORMAT_VERSION.to_le_bytes(),
        &LOG.log_id,
        &LOG.seed.to_le_bytes(),
        &SEGMENT.number.to_le_bytes(),
        &SEGMENT.first.0.to_le_bytes(),
        &SEGMENT.previous.to_le_bytes(),
    ]);
    assert_eq!(SEGMENT.encode()[..], expected);
    assert_eq!(expected.len(), HEADER_LEN);
    assert_eq!(SegmentHeader::decode(&expected), Ok(SEGMENT));
    // What follows the header is no part of it.
    assert_eq!(SegmentHeader::decode(&[&expected[..], b"more"].concat()), Ok(SEGMENT));
}

#[test]
fn a_snapshots_header_has_the_fields_of_the_format_in_order() {
    let snapshot = snapshot();
    let expected = header(&[
        b"INTRSNAP",
        &FORMAT_VERSION.to_le_bytes(),
        &LOG.log_id,
        &LOG.seed.to_le_bytes(),
        &snapshot.end.next_offset().0.to_le_bytes(),
        &snapshot.end.checksum().to_le_bytes(),
    ]);
    assert_eq!(snapshot.encode()[..], expected);
    assert_eq!(expected.len(), SNAPSHOT_HEADER_LEN);
    assert_eq!(SnapshotHeader::decode(&expected), Ok(snapshot));
    assert_eq!(SnapshotHeader::decode(&[&expected[..], b"more"].concat()), Ok(snapshot));
}

#[test]
fn every_flipped_bit_of_a_header_is_found() {
    let segment = |bytes: &[u8]| SegmentHeader::decode(bytes).unwrap_err();
    flip_each(&SEGMENT.encode(), HeaderError::Magic, segment);
    let decode = |bytes: &[u8]| SnapshotHeader::decode(bytes).unwrap_err();
    flip_each(&snapshot().encode(), HeaderError::NotSnapshot, decode);
}

#[test]
fn what_is_behind_a_header_can_be_counted() {
    let largest = u64::MAX >> 1;
    let decode = |header: SegmentHeader| SegmentHeader::decode(&header.encode());
    let good = SegmentHeader { number: largest, first: TxOffset(largest), ..SEGMENT };
    assert_eq!(decode(good), Ok(good));
    let first = TxOffset(largest + 1);
    assert_eq!(decode(SegmentHeader { first, ..good }), Err(HeaderError::Range));
    assert_eq!(decode(SegmentHeader { number: u64::MAX, ..good }), Err(HeaderError::Range));
    let decode = |header: SnapshotHeader| SnapshotHeader::decode(&header.encode());
    let good = SnapshotHeader { log: LOG, end: Chain::behind(&LOG, 7, TxOffset(largest)) };
    assert_eq!(decode(good), Ok(good));
    let end = Chain::behind(&LOG, 7, first);
    assert_eq!(decode(SnapshotHeader { end, ..good }), Err(HeaderError::Range));
}

#[test]
fn another_version_is_told_from_a_damaged_one() {
    let found = FORMAT_VERSION + 1;
    let of_version = |mut bytes: Vec<u8>| {
        bytes[8..12].copy_from_slice(&found.to_le_bytes());
        let covered = bytes.len() - 4;
        let checksum = crc(&bytes[..covered]);
        bytes[covered..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    };
    let segment = SegmentHeader::decode(&of_version(SEGMENT.encode().to_vec()));
    assert_eq!(segment, Err(HeaderError::Version { found }));
    let snapshot = SnapshotHeader::decode(&of_version(snapshot().encode().to_vec()));
    assert_eq!(snapshot, Err(HeaderError::Version { found }));
}

#[test]
fn every_header_that_is_cut_short_says_how_much_there_is() {
    let (segment, snapshot) = (SEGMENT.encode(), snapshot().encode());
    for len in 0..segment.len() {
        let error = HeaderError::TooShort { len, needed: HEADER_LEN };
        assert_eq!(SegmentHeader::decode(&segment[..len]), Err(error));
    }
    for len in 0..snapshot.len() {
        let error = HeaderError::TooShort { len, needed: SNAPSHOT_HEADER_LEN };
        assert_eq!(SnapshotHeader::decode(&snapshot[..len]), Err(error));
    }
}

#[test]
fn a_chain_begins_with_the_headers_checksum() {
    let checksum = |header: &[u8]| u32::from_le_bytes(*header.last_chunk().unwrap());
    let segment = Chain::behind(&LOG, checksum(&SEGMENT.encode()), SEGMENT.first);
    assert_eq!(SEGMENT.chain(), segment);
    // Blocks of a snapshot are counted from zero.
    let blocks = Chain::behind(&LOG, checksum(&snapshot().encode()), TxOffset(0));
    assert_eq!(snapshot().chain(), blocks);
}

#[test]
fn the_first_segment_is_number_zero_and_follows_nothing() {
    let first = SegmentHeader { log: LOG, number: 0, first: TxOffset(0), previous: 0 };
    assert_eq!(LOG.first_segment(), first);
}

#[test]
fn a_segment_follows_the_one_that_ends_where_it_begins_and_no_other() {
    let before = SegmentHeader { number: 4, ..LOG.first_segment() };
    let end = Chain::behind(&LOG, 77, TxOffset(12));
    let good = SegmentHeader { log: LOG, number: 5, first: TxOffset(12), previous: 77 };
    assert!(good.follows(&before, end));
    let mut other_log = LOG;
    other_log.log_id[3] ^= 1;
    for wrong in [
        SegmentHeader { log: other_log, ..good },
        SegmentHeader { number: 4, ..good },
        SegmentHeader { number: 6, ..good },
        SegmentHeader { first: TxOffset(13), ..good },
        SegmentHeader { previous: 78, ..good },
    ] {
        assert!(!wrong.follows(&before, end), "{wrong:?}");
    }
    // Nothing follows the last number there is.
    let last = SegmentHeader { number: u64::MAX, ..before };
    assert!(!SegmentHeader { number: 0, ..good }.follows(&last, end));
}

#[test]
fn an_error_says_what_a_header_is_instead() {
    let texts = [
        (HeaderError::TooShort { len: 3, needed: 60 }, "its header has 3 bytes of 60"),
        (HeaderError::Magic, "not an Interstice log (it does not begin with `INTRSTCE`)"),
        (
            HeaderError::NotSnapshot,
            "not an Interstice snapshot (it does not begin with `INTRSNAP`)",
        ),
        (HeaderError::Version { found: 7 }, "it has format version 7; this build reads version 3"),
        (HeaderError::Checksum, "its header does not match its checksum"),
    ];
    for (error, text) in texts {
        assert_eq!(error.to_string(), text);
    }
}
