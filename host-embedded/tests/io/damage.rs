//! What does not verify, and what must not be taken for a power cut.

use embedded_io::ErrorKind;
use interstice_core::{
    TxOffset,
    log::{
        Log as _,
        frame::{CHECKSUM_LEN, Frames, HEADER_LEN, LogHeader, SegmentHeader},
    },
};
use interstice_embedded::io_log::{IoLog, IoLogError};

use crate::{HEADER, Medium, draw, expected, largest_allocation, log_of, open};

/// A log of these commits, each of them synced.
fn synced(commits: impl IntoIterator<Item = Vec<u8>>, capacity: Option<u64>) -> IoLog<Medium> {
    let mut log = IoLog::create(Medium::default(), HEADER, capacity).unwrap();
    for (offset, commit) in (0..).zip(commits) {
        log.append(TxOffset(offset), &commit).unwrap();
        log.sync().unwrap();
    }
    log
}

/// Bytes of a frame with a commit of one byte.
const SMALL_FRAME: usize = 8;

/// A log of 600 commits of one byte, in which these bytes were set to zero: where the
/// first commit is missing that should be there, or how many there are.
fn with_hole(medium: &Medium, hole: std::ops::Range<usize>) -> Result<u64, TxOffset> {
    let mut medium = medium.clone();
    medium.live[hole.clone()].fill(0);
    match open(medium) {
        Ok((_, opened, _)) => Ok(opened.commits),
        Err(IoLogError::Damaged { at, offset }) => {
            assert_eq!(at, (HEADER_LEN + offset.0 as usize * SMALL_FRAME) as u64, "{hole:?}");
            Err(offset)
        }
        Err(error) => panic!("{hole:?}: {error}"),
    }
}

#[test]
fn a_hole_of_zeros_in_synced_commits_is_damage() {
    for capacity in [None, Some(10_000)] {
        let medium = synced((0..600).map(|at| vec![at as u8 | 1]), capacity).into_inner();
        let frame = |number: usize| HEADER_LEN + number * SMALL_FRAME;
        assert_eq!(with_hole(&medium, frame(50)..frame(562)), Err(TxOffset(50)));
        let (mut random, mut proved) = (1, 0);
        for round in 0..2_000 {
            let (mut start, mut end) = (draw(&mut random) % 4_800, draw(&mut random) % 4_801);
            (start, end) = (start.min(end), start.max(end));
            // Every second one begins where a frame does, every fourth ends so too.
            if round % 2 == 0 {
                start -= start % SMALL_FRAME;
            }
            if round % 4 == 0 {
                end -= end % SMALL_FRAME;
            }
            let hole = HEADER_LEN + start..HEADER_LEN + end;
            let nonzero = |at: &usize| medium.live[*at] != 0;
            let place =
                |at: usize| ((at - HEADER_LEN) / SMALL_FRAME, (at - HEADER_LEN) % SMALL_FRAME);
            let changed = hole.clone().find(nonzero).zip(hole.clone().rfind(nonzero));
            let found = with_hole(&medium, hole.clone());
            let Some((first, last)) = changed else {
                assert_eq!(found, Ok(600));
                continue;
            };
            let ((first, first_byte), (last, last_byte)) = (place(first), place(last));
            // A frame is verified with the checksum before it, which is known where
            // nothing else of its frame is bad.
            let body_len = SMALL_FRAME - CHECKSUM_LEN;
            let has_chain = last_byte < body_len || (first == last && first_byte >= body_len);
            let proof = last + if has_chain { 1 } else { 2 };
            let first = first as u64;
            let expected = if proof < 600 { Err(TxOffset(first)) } else { Ok(first) };
            proved += u64::from(expected.is_err());
            assert_eq!(found, expected, "{hole:?}");
        }
        assert!(proved > 1_900, "{proved}");
    }
}

#[test]
fn what_is_torn_far_behind_the_end_is_overwritten() {
    let log = log_of(5, Some(10_000));
    let end = log.len() as usize;
    let medium = log.into_inner();
    for gap in [0, 1, 200, 256, 257, 1_000, 5_000] {
        let mut torn = medium.clone();
        torn.live[end + gap..][..10].fill(0xff);
        let (log, opened, commits) = open(torn).unwrap();
        assert_eq!((opened.torn_bytes, commits), (gap as u64 + 10, expected(5)));
        assert!(log.into_inner().live == medium.live, "behind {gap} zeros");
    }
}

#[test]
fn a_length_that_is_not_verified_takes_no_memory() {
    let capacity = Some(4 << 20);
    let medium = synced((0..3).map(|_| vec![7; 200]), capacity).into_inner();
    let frame = 1 + 2 + 2 + 200 + 4;
    let mut far = 0;
    for number in [0, 2] {
        let at = HEADER_LEN + number * frame;
        // Kind, length, and the length of the commit.
        for bit in at * 8..(at + 5) * 8 {
            let mut bad = medium.clone();
            bad.live[bit / 8] ^= 1 << (bit % 8);
            // What the length says now.
            let len = bad.live[at + 1..at + 5].iter().enumerate();
            let len: u64 = len.map(|(nth, byte)| u64::from(byte & 0x7f) << (7 * nth)).sum();
            far += u64::from(bad.live[at + 2] & 0x80 != 0 && len < 4 << 20);
            let (opened, needed) = largest_allocation(|| open(bad));
            assert!(needed < 4_096, "bit {bit}: {needed}");
            match opened {
                Ok((_, opened, commits)) => {
                    assert_eq!((number, commits.len()), (2, 2));
                    assert!((1..=frame as u64).contains(&opened.torn_bytes));
                }
                Err(IoLogError::Damaged { offset, .. }) => assert_eq!((number, offset.0), (0, 0)),
                Err(error) => panic!("bit {bit}: {error}"),
            }
        }
    }
    assert_eq!(far, 2, "lengths that the medium has room for");
}

#[test]
fn frames_that_are_verified_before_they_are_read_are_read_whole() {
    // Around the length from which on they are, and the steps in which they are read.
    let lens = [1_010, 1_014, 1_015, 1_016, 1_017, 1_018, 1_019, 1_020, 1_024, 1_025, 1_280];
    let lens = lens.into_iter().chain(1_530..1_545).chain([4_096, 20_000, 3]);
    let commits: Vec<_> = lens.map(|len| vec![len as u8 | 1; len]).collect();
    let mut log = synced(commits.clone(), None);
    log.mark().unwrap();
    let medium = log.into_inner();
    let (_, opened, found) = open(medium.clone()).unwrap();
    assert_eq!(opened.torn_bytes, 0);
    assert!(found.into_values().eq(commits.iter().cloned()));
    let mut at = HEADER_LEN;
    for (number, commit) in commits.iter().enumerate() {
        let len = interstice_core::log::frame::frame_len(commit.len() as u64) as usize;
        for byte in [0, 1, len / 2, len - 5, len - 4, len - 1] {
            let mut bad = medium.clone();
            bad.live[at + byte] ^= 0x10;
            let damaged = IoLogError::Damaged { at: at as u64, offset: TxOffset(number as u64) };
            assert_eq!(open(bad).err(), Some(damaged), "byte {byte} of {number}");
        }
        at += len;
    }
}

#[test]
fn a_medium_that_ends_before_its_end_has_failed_and_is_left_as_it_was() {
    let medium = log_of(60, Some(20_000)).into_inner();
    for at in [30, 700, 10_000] {
        for said in [0, 257] {
            let mut lying = medium.clone();
            lying.lie = Some((at, said));
            let opened = IoLog::open(&mut lying, None, &mut |_, _| Ok::<_, IoLogError>(()));
            assert_eq!(opened.err(), Some(IoLogError::Io(ErrorKind::Other)), "{said} at {at}");
            assert_eq!(lying.lie, None);
            assert_eq!(lying.live, medium.live);
            assert_eq!(open(lying).unwrap().2, expected(60));
        }
    }
}

#[test]
fn a_block_is_no_part_of_a_log() {
    for after_it in [false, true] {
        let mut medium = log_of(3, None).into_inner();
        let mut frames = Frames::new(&medium.live).unwrap();
        frames.by_ref().for_each(drop);
        let (at, mut chain) = (frames.position(), frames.end());
        chain.append_block(b"part", &mut medium.live);
        if after_it {
            chain.append(b"behind", false, &mut medium.live);
        }
        let torn = (medium.live.len() - at) as u64;
        let (mut log, opened, commits) = open(medium).unwrap();
        assert_eq!((opened.torn_bytes, commits), (torn, expected(3)));
        log.append(TxOffset(3), &crate::commit(3)).unwrap();
        assert_eq!(open(log.into_inner()).unwrap().2, expected(4));
    }
}

#[test]
fn a_log_is_made_where_there_was_one() {
    let mut old = log_of(60, None).into_inner();
    old.at = 1_000;
    let header = LogHeader { log_id: [4; 16], seed: 2 };
    let mut log = IoLog::create(old, header, None).unwrap();
    log.append(TxOffset(0), &crate::commit(0)).unwrap();
    let (log, opened, commits) = open(log.into_inner()).unwrap();
    assert_eq!((log.header(), opened.torn_bytes, commits), (header, 0, expected(1)));
}

#[test]
fn a_later_segment_is_empty_until_it_has_a_commit() {
    let header = SegmentHeader { log: HEADER, number: 5, first: TxOffset(1_000), previous: 7 };
    let medium = Medium { live: header.encode().to_vec(), ..Medium::default() };
    let mut log = open(medium).unwrap().0;
    assert!(log.is_empty());
    log.append(TxOffset(1_000), &[1]).unwrap();
    assert!(!log.is_empty());
}
