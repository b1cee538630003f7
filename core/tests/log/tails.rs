//! What there is behind the last good frame of a segment.

use interstice_core::{
    TxOffset,
    log::frame::{FRAME_LEN_MIN, Frames, Tail},
};

use crate::reference::Writer;

/// Bytes that begin no frame.
const GARBAGE: [u8; 64] = [0xff; 64];

/// How a segment ends.
fn tail(bytes: &[u8]) -> Tail {
    let mut frames = Frames::new(bytes).unwrap();
    frames.by_ref().for_each(drop);
    let tail = frames.tail();
    // Asked with the place and the chain, it is the same.
    assert_eq!(Tail::of(bytes, frames.position(), frames.end()), tail);
    tail
}

/// A segment with a good frame, from which on a test goes on.
fn begun(first: u64) -> Writer {
    let mut written = Writer::segment(first);
    written.commits(b'C', &[b"good"]);
    written
}

/// The tail of a log at 1000, whose good frames end where `begun` does, with
/// these bytes behind.
fn tail_with(build: impl FnOnce(&mut Writer)) -> Kind {
    let mut written = begun(1000);
    let at = written.at();
    build(&mut written);
    match tail(&written.bytes) {
        Tail::Clean => Kind::Clean,
        Tail::Torn { at: found, bytes } => {
            let end = written.bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
            assert_eq!((found, bytes), (at, end - at));
            Kind::Torn
        }
        Tail::Damaged { at: found, offset, next_good } => {
            assert_eq!((found, offset), (at, TxOffset(1001)));
            Kind::Damaged(next_good - at)
        }
        Tail::BehindSeal { .. } => unreachable!("no test here has a seal before what is bad"),
    }
}

/// A tail, with the place of the frame that proves damage behind the bad bytes.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Clean,
    Torn,
    Damaged(usize),
}

#[test]
fn zeros_behind_the_last_frame_are_nothing() {
    for zeros in [0, 1, 6, 1000] {
        assert_eq!(tail_with(|log| log.bytes.extend(vec![0; zeros])), Kind::Clean);
    }
}

#[test]
fn bytes_that_nothing_follows_are_torn_up_to_the_last_that_is_not_zero() {
    for bytes in [&b"x"[..], &[0, 0, 1], &[7, 0, 0], &GARBAGE] {
        assert_eq!(tail_with(|log| log.bytes.extend(bytes)), Kind::Torn);
    }
}

#[test]
fn a_frame_after_a_sync_proves_damage_and_others_do_not() {
    for (kind, proves) in [(b'C', true), (b'M', true), (b'S', true), (b'c', false), (b'B', false)] {
        let found = tail_with(|log| {
            log.garbage(&GARBAGE[..10]).skip(1);
            match kind {
                b'C' | b'c' => log.commits(kind, &[b"durable"]),
                b'B' => log.block(b"durable"),
                _ => log.empty(kind),
            };
        });
        let expected = if proves { Kind::Damaged(10) } else { Kind::Torn };
        assert_eq!(found, expected, "{}", char::from(kind));
    }
}

#[test]
fn damage_is_proved_by_the_first_frame_after_a_sync_and_not_by_others_before_it() {
    let mut place = 0;
    let found = tail_with(|log| {
        let at = log.at();
        log.garbage(&GARBAGE[..10]).skip(2).commits(b'c', &[b"not"]).commits(b'c', &[b"not"]);
        place = log.at() - at;
        log.commits(b'C', &[b"durable"]).commits(b'C', &[b"more"]);
    });
    assert_eq!(found, Kind::Damaged(place));
}

#[test]
fn every_flipped_bit_is_damage_where_a_mark_follows() {
    let mut written = begun(0);
    let at = written.at();
    written.commits(b'c', &[b"some", b"commits"]);
    let next_good = written.at();
    written.empty(b'M');
    for bit in at * 8..next_good * 8 {
        let mut flipped = written.bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let damaged = Tail::Damaged { at, offset: TxOffset(1), next_good };
        assert_eq!(tail(&flipped), damaged, "bit {bit}");
    }
}

#[test]
fn every_flipped_bit_of_the_last_frame_is_torn() {
    let mut written = begun(0);
    let at = written.at();
    written.commits(b'C', &[b"some", b"commits"]);
    for bit in at * 8..written.at() * 8 {
        let mut flipped = written.bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let bytes = flipped.iter().rposition(|byte| *byte != 0).unwrap() + 1 - at;
        assert_eq!(tail(&flipped), Tail::Torn { at, bytes }, "bit {bit}");
    }
}

#[test]
fn a_damaged_checksum_is_damage_where_the_frame_behind_is_chained_to_what_it_was() {
    for (kind, proves) in [(b'C', true), (b'c', false)] {
        let mut place = 0;
        let found = tail_with(|log| {
            let at = log.at();
            log.commits(b'c', &[b"one", b"two", b"three"]);
            place = log.at() - at;
            log.commits(kind, &[b"behind"]);
            let checksum = &mut log.bytes[at + place - 4..at + place];
            checksum.fill(0xff);
        });
        assert_eq!(found, if proves { Kind::Damaged(place) } else { Kind::Torn });
    }
}

#[test]
fn a_checksum_is_not_mended_where_the_content_is_no_commits() {
    let found = tail_with(|log| {
        // The lengths in it go beyond it.
        log.raw(b'c', &[3], &[9, 9, 9], 1).commits(b'C', &[b"behind"]);
        // And that frame is at no position that can be there.
        let last = log.at() - 1;
        log.bytes[last] ^= 1;
    });
    assert_eq!(found, Kind::Torn);
}

#[test]
fn positions_beyond_32_bits_are_found_again() {
    for first in [0, 1 << 31, 0xffff_fff0, 1 << 32, 0xabcd_0000_1234, i64::MAX as u64 - 100] {
        let mut written = begun(first);
        let at = written.at();
        written.garbage(&GARBAGE[..20]).skip(5).commits(b'C', &[b"durable"]);
        let damaged = Tail::Damaged { at, offset: TxOffset(first + 1), next_good: at + 20 };
        assert_eq!(tail(&written.bytes), damaged, "{first}");
    }
}

#[test]
fn a_frame_proves_damage_only_at_a_position_that_can_be_there() {
    // A lost commit takes two bytes at the least, and one is lost at the least, unless
    // it is a mark that is bad.
    for bad in [6, 7, 8, 9, 20, 21] {
        for lost in 0..30 {
            let found = tail_with(|log| {
                log.garbage(&GARBAGE[..bad]).skip(lost).commits(b'C', &[b"durable"]);
            });
            let least = u64::from(bad != FRAME_LEN_MIN);
            let is_possible = (least..=bad as u64 / 2).contains(&lost);
            let expected = if is_possible { Kind::Damaged(bad) } else { Kind::Torn };
            assert_eq!(found, expected, "{lost} lost in {bad} bytes");
        }
    }
}

#[test]
fn a_frame_from_before_the_bad_bytes_proves_nothing() {
    let found = tail_with(|log| {
        log.next -= 1;
        log.garbage(&GARBAGE[..20]).commits(b'C', &[b"older"]);
    });
    assert_eq!(found, Kind::Torn);
}

#[test]
fn a_mark_is_damaged_where_a_seal_or_commits_after_a_sync_follow_it() {
    // Chained to the mark's checksum as it reads.
    let bad = |kind: u8, bytes: usize| {
        tail_with(|log| {
            log.garbage(&GARBAGE[..bytes]);
            match kind {
                b'C' => log.commits(b'C', &[b"behind"]),
                _ => log.empty(kind),
            };
        })
    };
    for kind in *b"SC" {
        assert_eq!(bad(kind, FRAME_LEN_MIN), Kind::Damaged(FRAME_LEN_MIN));
        // Where something else is bad, a commit is missing.
        assert_eq!(bad(kind, FRAME_LEN_MIN - 1), Kind::Torn);
        assert_eq!(bad(kind, FRAME_LEN_MIN + 1), Kind::Torn);
    }
    // No mark stands behind a mark, and commits may have been written without a sync.
    assert_eq!(bad(b'M', FRAME_LEN_MIN), Kind::Torn);
    assert_eq!(
        tail_with(|log| {
            log.garbage(&GARBAGE[..FRAME_LEN_MIN]).commits(b'c', &[b"behind"]);
        }),
        Kind::Torn
    );
    // Chained to what the checksum should be.
    let found = tail_with(|log| {
        let at = log.at();
        log.empty(b'M').empty(b'S');
        log.bytes[at + FRAME_LEN_MIN - 1] ^= 0x10;
    });
    assert_eq!(found, Kind::Damaged(FRAME_LEN_MIN));
}

/// Among many bytes one frame may verify by accident at a position that is
/// possible. So where several commits would be lost, one alone is no proof.
#[test]
fn a_frame_that_misses_several_commits_proves_damage_only_with_something_else_that_fits() {
    let lost_then = |lost: u64, behind: &dyn Fn(&mut Writer)| {
        tail_with(|log| {
            log.garbage(&GARBAGE[..20]).skip(lost).commits(b'C', &[b"durable"]);
            behind(log);
        })
    };
    let garbage = |log: &mut Writer| {
        log.garbage(&GARBAGE[..20]);
    };
    let chained = |log: &mut Writer| {
        log.commits(b'c', &[b"next"]);
    };
    let not_chained = |log: &mut Writer| {
        log.skip(1).commits(b'c', &[b"next"]);
    };
    assert_eq!(lost_then(1, &garbage), Kind::Damaged(20));
    assert_eq!(lost_then(2, &garbage), Kind::Torn);
    // A frame follows it: of any kind, as long as it is chained to it.
    assert_eq!(lost_then(2, &chained), Kind::Damaged(20));
    let not_last = |log: &mut Writer| {
        not_chained(log);
        garbage(log);
    };
    assert_eq!(lost_then(2, &not_last), Kind::Torn);
    // Everything ends with it; zeros are nothing.
    assert_eq!(lost_then(2, &|_| {}), Kind::Damaged(20));
    for zeros in [1, 4096] {
        let behind = move |log: &mut Writer| log.bytes.extend(vec![0; zeros]);
        assert_eq!(lost_then(2, &behind), Kind::Damaged(20), "{zeros} zeros");
    }
}

#[test]
fn a_frame_that_misses_several_commits_proves_damage_where_the_bad_frame_says_it_ends() {
    for (at_end, expected) in [(true, Kind::Damaged(20)), (false, Kind::Torn)] {
        let found = tail_with(|log| {
            // Kind and length are good: 14 bytes of content, then a checksum.
            let bad = [&[b'c', if at_end { 14 } else { 13 }], &GARBAGE[..18]].concat();
            log.garbage(&bad).skip(2).commits(b'C', &[b"durable"]).garbage(&GARBAGE[..20]);
        });
        assert_eq!(found, expected);
    }
}

#[test]
fn proof_is_found_behind_long_bad_bytes() {
    // Around multiples of the steps in which their checksums are kept.
    for bad in [63, 64, 65, 127, 128, 129, 500, 5000] {
        for len in [10, 64, 1000] {
            let found = tail_with(|log| {
                let bytes: Vec<u8> = (0..bad).map(|at| (at * at / 3) as u8 | 0x80).collect();
                log.garbage(&bytes).skip(9).commits(b'C', &[&vec![5; len]]);
            });
            assert_eq!(found, Kind::Damaged(bad), "{len} behind {bad}");
        }
    }
}

/// A row can hold anything, and also what looks like a frame: without the log's id.
#[test]
fn frames_that_a_guest_writes_into_a_row_prove_nothing() {
    let mut row = Writer::behind(7, 1_002).of_log([0; 16]);
    row.garbage(&GARBAGE).commits(b'C', &[b"forged"]).empty(b'M').garbage(&GARBAGE);
    let mut good = begun(1_000);
    good.commits(b'c', &[&row.bytes]);
    let mut own = Writer::behind(7, 1_002);
    own.garbage(&GARBAGE).commits(b'C', &[b"known"]).empty(b'M').garbage(&GARBAGE);
    let mut known = begun(1_000);
    known.commits(b'c', &[&own.bytes]);
    let cut = |written: &Writer| written.bytes[..written.bytes.len() - 1].to_vec();
    assert!(matches!(tail(&cut(&good)), Tail::Torn { .. }));
    assert!(matches!(tail(&cut(&known)), Tail::Damaged { .. }), "whoever knows the id could");
}

#[test]
fn zeros_that_are_left_out_count_where_commits_are_lost() {
    for (zeros, kept) in [(100, 4), (100, 5), (100, 99), (4_000, 4)] {
        for lost in [1, 2, 3, 49, 50, 51] {
            let mut written = begun(1000);
            let at = written.at();
            written.garbage(&vec![0; zeros]).skip(lost).commits(b'C', &[b"durable"]);
            let mut frames = Frames::new(&written.bytes).unwrap();
            frames.by_ref().for_each(drop);
            let whole = frames.tail();
            let left_out = (zeros - kept) as u64;
            let short = [&written.bytes[..at + kept], &written.bytes[at + zeros..]].concat();
            let found = Tail::of_shortened(&short, at, left_out, frames.end());
            let expected = match whole {
                Tail::Damaged { next_good, .. } if lost <= zeros as u64 / 2 => Tail::Damaged {
                    at,
                    offset: TxOffset(1001),
                    next_good: next_good - (zeros - kept),
                },
                Tail::Torn { bytes, .. } if lost > zeros as u64 / 2 => {
                    Tail::Torn { at, bytes: bytes - (zeros - kept) }
                }
                other => panic!("{other:?} for {lost} lost in {zeros} zeros"),
            };
            assert_eq!(found, expected, "{lost} lost in {zeros} zeros, {kept} kept");
        }
    }
}

#[test]
fn zeros_of_the_length_of_a_mark_are_none_where_more_were_left_out() {
    let mut written = begun(1000);
    let at = written.at();
    written.garbage(&[0; FRAME_LEN_MIN]).commits(b'C', &[b"behind"]);
    let mut frames = Frames::new(&written.bytes).unwrap();
    frames.by_ref().for_each(drop);
    for (left_out, expected) in [
        (0, Tail::Damaged { at, offset: TxOffset(1001), next_good: at + FRAME_LEN_MIN }),
        (1, Tail::Torn { at, bytes: written.at() - at }),
    ] {
        assert_eq!(Tail::of_shortened(&written.bytes, at, left_out, frames.end()), expected);
    }
}
