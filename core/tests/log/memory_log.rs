//! The log in memory: one segment.

use interstice_core::{
    TxOffset,
    log::{
        Log, MemoryLog,
        frame::{Frames, HEADER_LEN, HeaderError, Tail},
    },
};

use crate::reference::{LOG, Writer};

/// What a log in memory that holds these commits is made of.
fn written(commits: &[&[u8]]) -> Writer {
    let mut written = Writer::behind(0, 0);
    written.bytes = LOG.first_segment().encode().to_vec();
    written.checksum = u32::from_le_bytes(*written.bytes.last_chunk().unwrap());
    for commit in commits {
        written.commits(b'C', &[commit]);
    }
    written
}

fn append(log: &mut MemoryLog, from: u64, commits: &[&[u8]]) {
    for (offset, commit) in (from..).zip(commits) {
        log.append(TxOffset(offset), commit).unwrap();
    }
    log.sync().unwrap();
}

#[test]
fn a_log_in_memory_is_the_first_segment_and_a_frame_for_each_commit() {
    let mut log = MemoryLog::new(LOG);
    assert_eq!(log.bytes(), written(&[]).bytes);
    append(&mut log, 0, &[b"one", &[2; 300]]);
    assert_eq!(log.bytes(), written(&[b"one", &[2; 300]]).bytes);
    let mut frames = log.frames().unwrap();
    let commits: Vec<_> = frames.by_ref().collect();
    assert_eq!(commits, [(TxOffset(0), &b"one"[..]), (TxOffset(1), &[2; 300])]);
    assert_eq!(frames.tail(), Tail::Clean);
}

#[test]
fn a_log_in_memory_goes_on_behind_its_last_good_frame() {
    let whole = written(&[b"one", b"two"]);
    let first_end = written(&[b"one"]).at();
    for cut in HEADER_LEN..=whole.at() {
        let mut log = MemoryLog::from_bytes(whole.bytes[..cut].to_vec()).unwrap();
        let kept = [first_end, whole.at()].iter().filter(|end| **end <= cut).count();
        assert_eq!(log.bytes(), written(&[&b"one"[..], b"two"][..kept]).bytes, "cut at {cut}");
        append(&mut log, kept as u64, &[b"new"]);
        let commits = [&[&b"one"[..], b"two"][..kept], &[b"new"]].concat();
        assert_eq!(log.bytes(), written(&commits).bytes, "cut at {cut}");
    }
}

#[test]
fn bytes_with_a_bad_header_are_no_log() {
    let mut bytes = written(&[b"one"]).bytes;
    bytes[0] ^= 1;
    assert_eq!(MemoryLog::from_bytes(bytes).unwrap_err(), HeaderError::Magic);
}

#[test]
fn where_there_is_room_an_append_moves_nothing() {
    let mut log = MemoryLog::new(LOG);
    log.reserve(1 << 16);
    let place = log.bytes().as_ptr();
    append(&mut log, 0, &[&[1; 20_000], &[2; 20_000], &[3; 20_000]]);
    assert_eq!(log.bytes().as_ptr(), place);
    assert_eq!(Frames::new(log.bytes()).unwrap().count(), 3);
}
