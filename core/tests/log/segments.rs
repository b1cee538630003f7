//! Segments that are in memory, read commit by commit.

use interstice_core::{
    TxOffset,
    log::frame::{Frames, HEADER_LEN, HeaderError, Tail},
};
use proptest::{collection::vec, prelude::*};

use crate::reference::{LOG, Writer, cases};

/// Commits of a segment, with their positions.
fn read<'a>(frames: &mut Frames<'a>) -> Vec<(u64, &'a [u8])> {
    frames.map(|(offset, commit)| (offset.0, commit)).collect()
}

#[test]
fn a_segment_gives_its_commits_from_its_first_position_on() {
    let mut written = Writer::segment(41);
    written.commits(b'C', &[b"one", b"two"]).empty(b'M').commits(b'c', &[b"three"]);
    let mut frames = Frames::new(&written.bytes).unwrap();
    assert_eq!((frames.header().number, frames.header().first), (3, TxOffset(41)));
    assert_eq!(frames.log(), LOG);
    assert_eq!((frames.position(), frames.end()), (HEADER_LEN, Writer::segment(41).chain()));
    assert_eq!(read(&mut frames), [(41, &b"one"[..]), (42, b"two"), (43, b"three")]);
    assert_eq!((frames.position(), frames.end()), (written.at(), written.chain()));
    assert!(!frames.is_sealed());
    assert_eq!(frames.tail(), Tail::Clean);
    assert_eq!(frames.next(), None);
}

#[test]
fn a_position_moves_frame_by_frame_and_not_commit_by_commit() {
    let mut written = Writer::segment(0);
    written.commits(b'C', &[b"one", b"two"]);
    let behind_first = written.at();
    written.commits(b'c', &[b"three"]);
    let mut frames = Frames::new(&written.bytes).unwrap();
    for expected in [behind_first, behind_first, written.at()] {
        assert!(frames.next().is_some());
        assert_eq!(frames.position(), expected);
    }
}

#[test]
fn a_segment_ends_with_its_seal_whatever_follows() {
    let mut written = Writer::segment(0);
    written.commits(b'C', &[b"one"]).empty(b'S');
    let sealed = written.clone();
    let mut frames = Frames::new(&sealed.bytes).unwrap();
    assert_eq!(read(&mut frames).len(), 1);
    assert!(frames.is_sealed());
    assert_eq!((frames.position(), frames.tail()), (sealed.at(), Tail::Clean));
    // A frame that is good in itself.
    written.commits(b'C', &[b"two"]);
    let mut frames = Frames::new(&written.bytes).unwrap();
    assert_eq!(read(&mut frames).len(), 1);
    let bytes = written.at() - sealed.at();
    assert_eq!(frames.tail(), Tail::BehindSeal { at: sealed.at(), bytes });
    // Zeros are nothing, here too; and what is before the last other byte counts.
    let zeros = [&sealed.bytes[..], &[0; 9]].concat();
    let mut frames = Frames::new(&zeros).unwrap();
    assert_eq!(read(&mut frames).len(), 1);
    assert_eq!(frames.tail(), Tail::Clean);
    let not_zero = [&zeros[..], &[1, 0]].concat();
    let mut frames = Frames::new(&not_zero).unwrap();
    assert_eq!(read(&mut frames).len(), 1);
    assert_eq!(frames.tail(), Tail::BehindSeal { at: sealed.at(), bytes: 10 });
}

#[test]
fn a_block_of_a_snapshot_ends_a_segment() {
    let mut written = Writer::segment(0);
    written.commits(b'C', &[b"one"]);
    let at = written.at();
    written.block(b"part");
    let mut frames = Frames::new(&written.bytes).unwrap();
    assert_eq!(read(&mut frames).len(), 1);
    assert_eq!(frames.position(), at);
    assert_eq!(frames.end().next_offset(), TxOffset(1));
    assert_eq!(frames.tail(), Tail::Torn { at, bytes: written.at() - at });
}

#[test]
fn a_segment_with_a_bad_header_is_not_read() {
    let mut bytes = Writer::segment(0).bytes;
    bytes[20] ^= 1;
    assert_eq!(Frames::new(&bytes).unwrap_err(), HeaderError::Checksum);
    let error = HeaderError::TooShort { len: 59, needed: 60 };
    assert_eq!(Frames::new(&bytes[..59]).unwrap_err(), error);
}

#[test]
fn every_cut_of_a_segment_keeps_the_frames_before_it_and_tells_what_is_torn() {
    let mut written = Writer::segment(7);
    let mut ends = vec![(written.at(), 0)];
    written.commits(b'C', &[b"one"]);
    ends.push((written.at(), 1));
    written.commits(b'c', &[b"two", &[0; 200]]);
    ends.push((written.at(), 3));
    written.empty(b'M');
    ends.push((written.at(), 3));
    for cut in HEADER_LEN..=written.at() {
        let bytes = &written.bytes[..cut];
        let (end, commits) = *ends.iter().rfind(|(end, _)| *end <= cut).unwrap();
        let mut frames = Frames::new(bytes).unwrap();
        assert_eq!(read(&mut frames).len(), commits, "cut at {cut}");
        assert_eq!(frames.position(), end);
        // Zeros at the end are no part of what is torn.
        let torn = bytes[end..].iter().rposition(|byte| *byte != 0).map(|last| last + 1);
        let expected = torn.map_or(Tail::Clean, |bytes| Tail::Torn { at: end, bytes });
        assert_eq!(frames.tail(), expected, "cut at {cut}");
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn what_is_written_is_read(
        groups in vec((vec(vec(any::<u8>(), 1..50), 0..4), any::<bool>()), 0..8),
        first in any::<u32>(),
        is_sealed in any::<bool>(),
    ) {
        let mut written = Writer::segment(u64::from(first));
        let mut expected = Vec::new();
        for (commits, after_sync) in &groups {
            let commits: Vec<&[u8]> = commits.iter().map(Vec::as_slice).collect();
            let numbered = commits.iter().zip(written.next..);
            expected.extend(numbered.map(|(commit, offset)| (offset, *commit)));
            match commits.is_empty() {
                true => written.empty(b'M'),
                false => written.commits(if *after_sync { b'C' } else { b'c' }, &commits),
            };
        }
        if is_sealed {
            written.empty(b'S');
        }
        let mut frames = Frames::new(&written.bytes).unwrap();
        prop_assert_eq!(read(&mut frames), expected);
        prop_assert_eq!(frames.end(), written.chain());
        prop_assert_eq!(frames.is_sealed(), is_sealed);
        prop_assert_eq!(frames.tail(), Tail::Clean);
    }
}
