//! How files grow, and what waits before it is handed to the system.

use super::{disk::*, *};
use crate::file_system::FileSystem;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// A log on a watched disk.
fn watched(segment_bytes: u64) -> (Fixture, Disk) {
    let disk = Disk::default();
    let fixture = Fixture { files: Arc::new(disk.clone()), ..Fixture::new(segment_bytes) };
    (fixture, disk)
}

fn append(log: &mut FileLog, len: usize) {
    log.append(log.next, &vec![1; len]).unwrap();
}

/// The newest segment as a file of ten bytes, with a record of what is done to it.
fn newest() -> (tempfile::TempDir, Disk, Newest) {
    let (folder, disk) = (tempfile::tempdir().unwrap(), Disk::default());
    let mut file = disk.open(&folder.path().join("file"), OpenMode::Create).unwrap();
    file.write_at(0, &[1; 10]).unwrap();
    disk.take_done();
    let newest = Newest::Open { file, header: HEADER.first_segment(), len: 10, size: 10 };
    (folder, disk, newest)
}

#[test]
fn files_grow_ahead_once_much_was_written_and_by_zeros_while_little_waits() {
    assert_eq!(Ahead::of(0, 0), Ahead::Nothing);
    assert_eq!(Ahead::of(64 * KIB - 1, 0), Ahead::Nothing);
    assert_eq!(Ahead::of(64 * KIB - 1, MIB), Ahead::Nothing);
    assert_eq!(Ahead::of(64 * KIB, 0), Ahead::Zeros);
    assert_eq!(Ahead::of(64 * KIB, 32 * KIB), Ahead::Zeros);
    assert_eq!(Ahead::of(64 * KIB, 32 * KIB + 1), Ahead::Length);
}

#[test]
fn a_file_that_does_not_grow_ahead_grows_by_what_is_written() {
    let (_folder, disk, mut newest) = newest();
    newest.append(&[2; 5], Ahead::Nothing, u64::MAX).unwrap();
    newest.append(&[3; 6], Ahead::Nothing, u64::MAX).unwrap();
    let expected = [Done::Write { at: 10, len: 5 }, Done::Write { at: 15, len: 6 }];
    assert_eq!(disk.take_done(), expected);
    // It is as long as what it holds.
    newest.shrink().unwrap();
    assert_eq!(disk.take_done(), []);
}

#[test]
fn a_file_grows_ahead_when_what_is_written_has_no_room_and_not_before() {
    for ahead in [Ahead::Length, Ahead::Zeros] {
        let (_folder, disk, mut newest) = newest();
        newest.append(&[2; 5], ahead, u64::MAX).unwrap();
        let write = Done::Write { at: 10, len: 5 };
        let expected = match ahead {
            Ahead::Length => [Done::SetLen(15 + MIB), write],
            _ => [write, Done::Write { at: 15, len: MIB as usize }],
        };
        assert_eq!(disk.take_done(), expected);
        // Up to the last byte of what it has grown by.
        newest.append(&vec![3; MIB as usize], ahead, u64::MAX).unwrap();
        assert_eq!(disk.take_done(), [Done::Write { at: 15, len: MIB as usize }]);
        newest.append(&[4], ahead, u64::MAX).unwrap();
        assert_eq!(disk.take_done().len(), 2);
        newest.shrink().unwrap();
        assert_eq!(disk.take_done(), [Done::SetLen(16 + MIB)]);
        newest.shrink().unwrap();
        assert_eq!(disk.take_done(), []);
        // What is written behind that needs room again.
        newest.append(&[5], ahead, u64::MAX).unwrap();
        assert_eq!(disk.take_done().len(), 2);
    }
}

#[test]
fn a_file_does_not_grow_ahead_beyond_the_end_of_its_segment() {
    for ahead in [Ahead::Length, Ahead::Zeros] {
        let (_folder, disk, mut newest) = newest();
        newest.append(&[2; 5], ahead, 20).unwrap();
        let write = Done::Write { at: 10, len: 5 };
        let expected = match ahead {
            Ahead::Length => [Done::SetLen(20), write],
            _ => [write, Done::Write { at: 15, len: 5 }],
        };
        assert_eq!(disk.take_done(), expected);
        newest.append(&[3; 5], ahead, 20).unwrap();
        newest.shrink().unwrap();
        assert_eq!(disk.take_done(), [Done::Write { at: 15, len: 5 }]);
        // To the end of the segment, and beyond it: there is nothing ahead.
        for (at, limit) in [(20, 29), (29, 20)] {
            newest.append(&[4; 9], ahead, limit).unwrap();
            assert_eq!(disk.take_done(), [Done::Write { at, len: 9 }]);
        }
    }
}

#[test]
fn a_disk_without_room_ahead_takes_what_fits() {
    for ahead in [Ahead::Length, Ahead::Zeros] {
        let (folder, disk, mut newest) = newest();
        disk.fill_up_to(5);
        newest.append(&[2; 5], ahead, u64::MAX).unwrap();
        newest.append(&[3; 5], ahead, u64::MAX).unwrap();
        assert!(newest.append(&[4; 6], ahead, u64::MAX).is_err());
        let expected = [&[1; 10][..], &[2; 5], &[3; 5]].concat();
        assert_eq!(fs::read(folder.path().join("file")).unwrap(), expected);
    }
}

#[test]
fn what_is_written_ahead_is_zeros_behind_what_is_written() {
    let (folder, _disk, mut newest) = newest();
    newest.append(&[2; 5], Ahead::Zeros, u64::MAX).unwrap();
    let expected = [&[1; 10][..], &[2; 5], &vec![0; MIB as usize]].concat();
    assert_eq!(fs::read(folder.path().join("file")).unwrap(), expected);
}

#[test]
fn a_process_counts_what_it_has_written_itself_and_what_waits_for_a_sync() {
    let (fixture, disk) = watched(u64::MAX);
    let mut log = fixture.open().unwrap();
    append(&mut log, 100 * KIB as usize);
    log.sync().unwrap();
    drop(log);
    // The log is long, but this process has written nothing yet.
    let mut log = fixture.open().unwrap();
    let opened = log.len();
    let size = || fixture.content()[0].1.len() as u64;
    while log.len() - opened < 64 * KIB {
        append(&mut log, KIB as usize);
        log.sync().unwrap();
        assert_eq!(size(), log.len());
    }
    // From here on there are zeros ahead, because little waits.
    disk.take_done();
    append(&mut log, KIB as usize);
    log.sync().unwrap();
    assert_eq!(size(), log.len() + MIB);
    let zeros = Done::Write { at: log.len(), len: MIB as usize };
    assert!(disk.take_done().contains(&zeros));
    drop(log);
    // Where much waits, the length is set ahead.
    let mut log = fixture.open().unwrap();
    append(&mut log, 100 * KIB as usize);
    log.write().unwrap();
    assert_eq!(size(), log.len());
    disk.take_done();
    append(&mut log, KIB as usize);
    log.write().unwrap();
    assert!(matches!(disk.take_done()[..], [Done::SetLen(_), Done::Write { .. }]));
    assert_eq!(size(), log.len() + MIB);
}

#[test]
fn up_to_256_kib_of_frames_wait_in_memory() {
    let (fixture, disk) = watched(u64::MAX);
    let mut log = fixture.open().unwrap();
    disk.take_done();
    let mut most = 0;
    while disk.take_done().is_empty() {
        most = log.unsynced_len();
        append(&mut log, KIB as usize);
    }
    let range = 256 * KIB..=(256 + 2 * 16) * KIB;
    assert!(range.contains(&most), "{most} bytes waited");
}

#[test]
fn commits_share_a_frame_up_to_16_kib() {
    for (len, frames) in [(16 * 1024 - 1002, 1), (16 * 1024 - 1001, 2)] {
        let fixture = Fixture::new(u64::MAX);
        let mut log = fixture.open().unwrap();
        append(&mut log, 1000);
        assert_eq!(log.unsynced_len(), 1002);
        append(&mut log, len);
        log.sync().unwrap();
        let mut reader = LogReader::open(&fixture.files, fixture.dir()).unwrap();
        let mut found = 0;
        while reader.next_frame().unwrap().is_some() {
            found += 1;
        }
        assert_eq!(found, frames, "{len} bytes behind 1,002");
    }
}

#[test]
fn a_segment_is_closed_when_what_waits_would_make_it_longer_than_it_may_be() {
    // The header, a frame with a commit of three bytes, and one that waits.
    let len = HEADER_LEN as u64 + 10 + 4;
    for (segment_bytes, segments) in [(len, 1), (len - 1, 2)] {
        let fixture = Fixture::with(segment_bytes, &[b"one", b"two"]);
        assert_eq!(fixture.content().len(), segments);
    }
}

#[test]
fn the_length_of_a_log_is_that_of_all_its_segments() {
    let fixture = Fixture::new(100);
    let mut log = fixture.open().unwrap();
    for _ in 0..10 {
        append(&mut log, 50);
        log.sync().unwrap();
        let files = fixture.content();
        assert_eq!(log.len(), files.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>());
        assert_eq!(log.unsynced_len(), 0);
    }
    assert!(fixture.content().len() > 5);
}

#[test]
fn a_log_is_empty_until_it_has_a_commit() {
    let fixture = Fixture::new(u64::MAX);
    let mut log = fixture.open().unwrap();
    assert!(log.is_empty());
    append(&mut log, 1);
    assert!(!log.is_empty());
    log.sync().unwrap();
    assert!(!log.is_empty());
    drop(log);
    assert!(!fixture.open().unwrap().is_empty());
}
