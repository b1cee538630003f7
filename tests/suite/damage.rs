//! Damaged logs: every bit, every cut, every frame in the wrong place.

use interstice_core::{
    Limits, TxOffset,
    log::{
        MemoryLog,
        frame::{Frames, HEADER_LEN, HeaderError, LogHeader, SegmentHeader, Tail, crc32c},
    },
};
use interstice_tests::{
    Fixture,
    fixture::{HEADER, chained, commits, replay},
    random::Random,
};

use crate::modules::{args, insert, insert_into, schedule, scripted, update};

/// A small log of all kinds of commits.
fn small_log() -> Vec<u8> {
    let mut fixture = Fixture::of(&[&scripted("m", &[])]);
    fixture.call("m.run", &args(&[insert(1, b"one"), insert_into("note", 0, b"")])).unwrap();
    fixture.call("m.run", &args(&[update(1, b"another")])).unwrap();
    fixture.call("m.run", &args(&[schedule(50, &[insert(2, b"")])])).unwrap();
    fixture.run_due(100);
    fixture.bytes().to_vec()
}

/// Where each frame begins, and where the last one ends.
fn borders(bytes: &[u8]) -> Vec<usize> {
    let mut frames = Frames::new(bytes).unwrap();
    let mut borders = vec![frames.position()];
    while frames.next().is_some() {
        borders.push(frames.position());
    }
    borders
}

/// The commits that can be read, and how the log ends.
fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, Tail) {
    let mut frames = Frames::new(bytes).expect("a good header");
    let commits = frames.by_ref().map(|(_, commit)| commit.to_vec()).collect();
    (commits, frames.tail())
}

#[test]
fn a_log_cut_at_any_byte_is_exactly_the_commits_before() {
    let bytes = small_log();
    let (all, tail) = read(&bytes);
    assert_eq!(tail, Tail::Clean);
    let borders = borders(&bytes);
    for len in 0..=bytes.len() {
        let cut = &bytes[..len];
        if len < HEADER_LEN {
            assert_eq!(
                Frames::new(cut).unwrap_err(),
                HeaderError::TooShort { len, needed: HEADER_LEN }
            );
            continue;
        }
        let whole = borders.iter().filter(|&&border| border <= len).count() - 1;
        let (commits, tail) = read(cut);
        assert_eq!(commits, all[..whole], "cut at byte {len}");
        let at = borders[whole];
        let torn = cut[at..].iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let expected = match torn {
            0 => Tail::Clean,
            bytes => Tail::Torn { at, bytes },
        };
        assert_eq!(tail, expected, "cut at byte {len}");
        // Going on from there writes what the uncut log has.
        let mut log = MemoryLog::from_bytes(cut.to_vec()).unwrap();
        assert_eq!(log.bytes(), &bytes[..at]);
        for (offset, commit) in all.iter().enumerate().skip(whole) {
            use interstice_core::log::Log;
            let appended = log.append(TxOffset(offset as u64), commit);
            appended.unwrap_or_else(|never| match never {});
        }
        assert_eq!(log.bytes(), bytes);
    }
}

#[test]
fn every_flipped_bit_is_found_where_it_is() {
    let bytes = small_log();
    let (all, _) = read(&bytes);
    let borders = borders(&bytes);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if bit / 8 < HEADER_LEN {
            let error = Frames::new(&flipped).expect_err("the header is damaged");
            let expected = match bit / 8 {
                0..8 => HeaderError::Magic,
                _ => HeaderError::Checksum,
            };
            assert_eq!(error, expected, "bit {bit}");
            continue;
        }
        let frame = borders.iter().rposition(|&border| border <= bit / 8).unwrap();
        let at = borders[frame];
        let (commits, tail) = read(&flipped);
        assert_eq!(commits, all[..frame], "bit {bit}, in frame {frame}");
        let offset = TxOffset(frame as u64);
        let expected = if frame + 1 == all.len() {
            Tail::Torn { at, bytes: bytes.len() - at }
        } else {
            Tail::Damaged { at, offset, next_good: borders[frame + 1] }
        };
        assert_eq!(tail, expected, "bit {bit}, in frame {frame}");
    }
}

/// The frames of a log, each with its length and checksum.
fn frames(bytes: &[u8]) -> Vec<Vec<u8>> {
    borders(bytes).windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec()).collect()
}

fn joined(frames: &[Vec<u8>]) -> Vec<u8> {
    [HEADER.first_segment().encode().to_vec(), frames.concat()].concat()
}

/// A log of many small commits, so that something good follows everything.
fn long_log() -> Vec<u8> {
    let mut fixture = Fixture::of(&[&scripted("m", &[])]);
    for id in 0..8 {
        fixture.call("m.run", &args(&[insert(id, b"")])).unwrap();
    }
    fixture.bytes().to_vec()
}

/// Asserts that `bytes` reads as the first `intact` commits and is damaged there.
fn assert_damaged_behind(bytes: &[u8], intact: usize, what: &str) {
    let (all, _) = read(&long_log());
    let (commits, tail) = read(bytes);
    assert_eq!(commits, all[..intact], "{what}");
    let at = borders(bytes)[intact];
    match tail {
        Tail::Damaged { at: found, offset, next_good } => {
            assert_eq!((found, offset.0), (at, intact as u64), "{what}");
            assert!(next_good > at, "{what}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn swapped_frames_are_found() {
    let frames = frames(&long_log());
    for first in 1..5 {
        let mut swapped = frames.clone();
        swapped.swap(first, first + 1);
        assert_damaged_behind(&joined(&swapped), first, "two neighbours swapped");
    }
}

#[test]
fn a_repeated_frame_is_found() {
    let frames = frames(&long_log());
    for repeated in 0..5 {
        let mut twice = frames.clone();
        twice.insert(repeated + 1, frames[repeated].clone());
        assert_damaged_behind(&joined(&twice), repeated + 1, "a frame twice");
    }
}

#[test]
fn a_missing_frame_is_found() {
    let frames = frames(&long_log());
    for missing in 0..5 {
        let mut without = frames.clone();
        without.remove(missing);
        assert_damaged_behind(&joined(&without), missing, "a frame missing");
    }
}

#[test]
fn a_frame_of_another_log_is_found() {
    // The same commits under another identity: only the chain differs.
    let ours = long_log();
    let other = LogHeader { log_id: [1; 16], ..HEADER }.first_segment();
    let mut chain = other.chain();
    let mut theirs = other.encode().to_vec();
    for (_, commit) in commits(&ours) {
        chain.append(&commit, true, &mut theirs);
    }
    let (ours, theirs) = (frames(&ours), {
        let mut borders = Vec::new();
        let mut frames = Frames::new(&theirs).unwrap();
        borders.push(frames.position());
        while frames.next().is_some() {
            borders.push(frames.position());
        }
        borders.windows(2).map(|pair| theirs[pair[0]..pair[1]].to_vec()).collect::<Vec<_>>()
    });
    for foreign in 0..5 {
        let mut mixed = ours.clone();
        mixed[foreign] = theirs[foreign].clone();
        assert_damaged_behind(&joined(&mixed), foreign, "a frame of another log");
    }
}

#[test]
fn zeros_behind_a_log_are_nothing_and_ones_are_a_torn_tail() {
    let bytes = small_log();
    for len in [1, 4, 5, 6, 7, 64, 512] {
        let mut padded = bytes.clone();
        padded.resize(bytes.len() + len, 0x00);
        let (commits, tail) = read(&padded);
        assert_eq!(commits.len(), borders(&bytes).len() - 1);
        assert_eq!(tail, Tail::Clean);
        // Up to the last byte that is not zero.
        padded.truncate(bytes.len());
        padded.resize(bytes.len() + len, 0xff);
        padded.resize(bytes.len() + len + 100, 0x00);
        let (commits, tail) = read(&padded);
        assert_eq!(commits.len(), borders(&bytes).len() - 1);
        assert_eq!(tail, Tail::Torn { at: bytes.len(), bytes: len });
    }
}

#[test]
fn a_header_says_what_is_wrong_with_it() {
    let good = HEADER.first_segment().encode();
    let text = |bytes: &[u8]| SegmentHeader::decode(bytes).unwrap_err().to_string();
    assert_eq!(text(&good[..59]), "its header has 59 bytes of 60");
    assert_eq!(text(&[b'#'; 60]), "not an Interstice log (it does not begin with `INTRSTCE`)");
    let mut newer = good;
    newer[8] = 4;
    let checksum = crc32c(0, &newer[..56]);
    newer[56..].copy_from_slice(&checksum.to_le_bytes());
    assert_eq!(text(&newer), "it has format version 4; this build reads version 3");
    let mut damaged = good;
    damaged[30] ^= 1;
    assert_eq!(text(&damaged), "its header does not match its checksum");
}

#[test]
fn a_commit_is_only_replayed_at_its_own_position() {
    let bytes = small_log();
    let commits = commits(&bytes);
    let mut state = interstice_core::CommittedState::new(HEADER.seed, Limits::default());
    let (offset, commit) = &commits[1];
    let error = state.replay(*offset, commit).unwrap_err();
    assert_eq!(error.to_string(), "commit 1: the next commit is 0");
    assert_eq!(state.read(*offset, commit).unwrap_err(), error);
    // Dropping one in front and numbering the rest anew does not fit either.
    let without_first = chained(commits.into_iter().skip(1).map(|(_, commit)| commit));
    let error = replay(&without_first, &Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "commit 0: module number 0 is not installed");
}

#[test]
fn a_large_torn_append_is_told_from_damage() {
    let bytes = long_log();
    let clean = borders(&bytes).len() - 1;
    let mut random = Random::new(3);
    for _ in 0..4 {
        let mut torn = bytes.clone();
        torn.extend(random.bytes(100_000));
        let (commits, tail) = read(&torn);
        assert_eq!(commits.len(), clean);
        assert_eq!(tail, Tail::Torn { at: bytes.len(), bytes: 100_000 });
    }
}

#[test]
fn damage_is_found_far_behind_and_before_a_torn_tail() {
    let bytes = long_log();
    let borders = borders(&bytes);
    let mut random = Random::new(4);
    // A page of a file that was overwritten, and good frames behind it.
    let page = random.bytes(4096);
    let mut frames: Vec<Vec<u8>> = borders.windows(2).map(|b| bytes[b[0]..b[1]].to_vec()).collect();
    frames[2] = page.clone();
    let at = borders[2];
    let (_, tail) = read(&joined(&frames));
    let next_good = at + page.len() + frames[3].len();
    assert_eq!(tail, Tail::Damaged { at, offset: TxOffset(2), next_good });

    // One bad frame, one good one, and half a frame behind them.
    for damaged in 1..borders.len() - 3 {
        let mut torn = bytes[..borders[damaged + 2] + 10].to_vec();
        torn[borders[damaged] + 20] ^= 0x10;
        let (_, tail) = read(&torn);
        let (at, next_good) = (borders[damaged], borders[damaged + 1]);
        assert_eq!(tail, Tail::Damaged { at, offset: TxOffset(damaged as u64), next_good });
    }
}
