//! A log whose end is marked.

use interstice_core::{
    TxOffset,
    log::{
        Log as _,
        frame::{Chain, FRAME_LEN_MIN, Frames, HEADER_LEN, Read, SegmentHeader, Tail},
    },
};
use interstice_embedded::io_log::{IoLog, IoLogError};

use crate::{HEADER, Medium, commit, expected, log_of, open};

/// The kinds of a log's frames.
fn kinds(medium: &Medium) -> String {
    let mut chain: Chain = SegmentHeader::decode(&medium.live).unwrap().chain();
    let mut rest = &medium.live[HEADER_LEN..];
    let mut kinds = String::new();
    while let Read::Frame(frame) = chain.read(rest) {
        kinds.push(char::from(frame.kind as u8));
        rest = &rest[frame.len..];
    }
    kinds
}

/// Appends commits up to so many, without a sync.
fn append(log: &mut IoLog<Medium>, from: u64, to: u64) {
    for position in from..to {
        log.append(TxOffset(position), &commit(position)).unwrap();
    }
}

#[test]
fn every_flipped_bit_of_a_marked_log_loses_no_commit() {
    // Marked once; and gone on with behind a mark, with several commits and with one.
    for (first, second) in [(20, 20), (10, 20), (19, 20)] {
        let mut log = log_of(0, None);
        append(&mut log, 0, first);
        log.mark().unwrap();
        append(&mut log, first, second);
        log.mark().unwrap();
        let medium = log.into_inner();
        for bit in 0..medium.live.len() * 8 {
            let mut bad = medium.clone();
            bad.live[bit / 8] ^= 1 << (bit % 8);
            match open(bad) {
                Err(IoLogError::Damaged { .. } | IoLogError::Header(_)) => {}
                Err(error) => panic!("bit {bit}: {error}"),
                Ok((mut log, opened, commits)) => {
                    // The mark itself, which is then written again.
                    assert!(opened.torn_bytes > 0, "bit {bit}");
                    assert_eq!(commits, expected(second), "bit {bit}");
                    log.mark().unwrap();
                    assert_eq!(log.into_inner().live, medium.live);
                }
            }
        }
    }
}

#[test]
fn a_mark_that_is_damaged_is_no_power_cut_where_the_log_went_on() {
    let mut log = log_of(5, None);
    let at = log.len() as usize;
    log.mark().unwrap();
    append(&mut log, 5, 6);
    log.sync().unwrap();
    let medium = log.into_inner();
    for bit in at * 8..(at + FRAME_LEN_MIN) * 8 {
        let mut bad = medium.clone();
        bad.live[bit / 8] ^= 1 << (bit % 8);
        let damaged = IoLogError::Damaged { at: at as u64, offset: TxOffset(5) };
        assert_eq!(open(bad).err(), Some(damaged), "bit {bit}");
    }
}

#[test]
fn a_marked_log_goes_on_and_is_marked_once() {
    let mut log = log_of(0, None);
    append(&mut log, 0, 3);
    log.mark().unwrap();
    log.mark().unwrap();
    let len = log.len();
    let (mut log, opened, commits) = open(log.into_inner()).unwrap();
    assert_eq!((opened.torn_bytes, commits), (0, expected(3)));
    log.mark().unwrap();
    assert_eq!(log.len(), len);
    append(&mut log, 3, 5);
    log.mark().unwrap();
    let medium = log.into_inner();
    // A mark says that everything before it is durable, so it was flushed, and so is
    // the mark before the commit behind it.
    assert_eq!(medium.durable, medium.live);
    assert_eq!(kinds(&medium), "CccMCcM");
    let mut frames = Frames::new(&medium.live).unwrap();
    assert_eq!((frames.by_ref().count(), frames.tail()), (5, Tail::Clean));
    // A log that was synced only is marked when it is opened again.
    let mut log = open(log_of(2, None).into_inner()).unwrap().0;
    log.mark().unwrap();
    assert_eq!(kinds(&log.into_inner()), "CcM");
}

#[test]
fn commits_are_flushed_before_a_mark_is_written() {
    let mut failures = 0;
    for fails_after in 0.. {
        let mut medium = log_of(3, None).into_inner();
        medium.fails_after = Some(fails_after);
        let Ok((mut log, ..)) = open(medium) else { continue };
        if log.append(TxOffset(3), &commit(3)).is_err() {
            continue;
        }
        let len = log.len() as usize;
        let marked = log.mark();
        let mut medium = log.into_inner();
        assert!(medium.durable.len() >= len || medium.live.len() == len);
        medium.fails_after = None;
        assert_eq!(open(medium).unwrap().2, expected(4));
        if marked.is_ok() {
            break;
        }
        failures += 1;
    }
    assert_eq!(failures, 4, "flush, seek, write, flush");
}

#[test]
fn a_full_log_has_room_for_its_mark() {
    for capacity in 600..700 {
        let mut log = IoLog::create(Medium::default(), HEADER, Some(capacity)).unwrap();
        let mut next = 0;
        while log.append(TxOffset(next), &commit(next)).is_ok() {
            next += 1;
        }
        while log.append(TxOffset(next), &[1]).is_ok() {
            next += 1;
        }
        log.mark().unwrap();
        assert!(log.len() <= capacity && capacity - log.len() < 8, "{capacity}");
        assert_eq!(log.append(TxOffset(next), &[1]), Err(IoLogError::Full));
        log.mark().unwrap();
        let medium = log.into_inner();
        assert_eq!(medium.live.len() as u64, capacity);
        let mut log = IoLog::open(medium, Some(capacity), &mut |_, _| Ok::<_, IoLogError>(()));
        let log = &mut log.as_mut().unwrap().0;
        assert_eq!(log.append(TxOffset(next), &[1]), Err(IoLogError::Full));
        log.mark().unwrap();
    }
}

#[test]
fn a_log_that_another_host_has_filled_has_no_room_for_a_mark() {
    let log = log_of(3, None);
    let capacity = log.len() + FRAME_LEN_MIN as u64 - 1;
    let opened = IoLog::open(log.into_inner(), Some(capacity), &mut |_, _| Ok::<_, IoLogError>(()));
    let mut log = opened.unwrap().0;
    assert_eq!(log.mark(), Err(IoLogError::Full));
    assert_eq!(log.mark(), Err(IoLogError::Full));
    assert_eq!(log.sync(), Ok(()));
    assert_eq!(open(log.into_inner()).unwrap().2, expected(3));
}
