//! Where reading begins, what a reader knows, and how a log ends.

use std::sync::atomic::{AtomicU32, Ordering};

use super::{disk::*, *};
use crate::file_system::{FileSystem, forward::forward_to_system};

const FIVE: [&[u8]; 5] = [b"one", b"two", b"six", b"ten", b"end"];

/// A log of one segment with these commits, whose file ends with the last frame.
fn without_growth(commits: &[&[u8]]) -> (Fixture, PathBuf, Vec<u8>) {
    let fixture = Fixture::with(1 << 30, commits);
    let end = fixture.read().1.unwrap();
    let (path, mut bytes) = fixture.content().remove(0);
    bytes.truncate(end.at as usize);
    fs::write(&path, &bytes).unwrap();
    (fixture, path, bytes)
}

/// Frames up to the end of the log: the position of each.
fn read_all(reader: &mut LogReader) -> Vec<u64> {
    let mut firsts = Vec::new();
    while let Some(frame) = reader.next_frame().unwrap() {
        firsts.push(frame.first.0);
    }
    firsts
}

/// A file that somebody else writes while it is read: the first readings find
/// zeros from `hole` on, `stale` of them.
#[derive(Debug)]
struct Growing {
    file: Box<dyn StoredFile>,
    hole: std::ops::Range<u64>,
    stale: Arc<AtomicU32>,
}

impl StoredFile for Growing {
    fn size(&mut self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&mut self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(at, into)?;
        let is_stale = self.stale.load(Ordering::Relaxed) > 0;
        if is_stale && at > 0 && at + read as u64 > self.hole.start {
            self.stale.fetch_sub(1, Ordering::Relaxed);
            for (place, byte) in (at..).zip(&mut into[..read]) {
                if self.hole.contains(&place) {
                    *byte = 0;
                }
            }
        }
        Ok(read)
    }

    fn write_at(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_len(&mut self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[derive(Debug)]
struct GrowingFiles {
    hole: std::ops::Range<u64>,
    stale: Arc<AtomicU32>,
}

impl FileSystem for GrowingFiles {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StoredFile>> {
        let file = System.open(path, mode)?;
        Ok(Box::new(Growing { file, hole: self.hole.clone(), stale: self.stale.clone() }))
    }

    forward_to_system!(
        is_file is_dir list modified create_dir_all sync_dir rename remove lock
    );
}

/// A frame that was not there yet, and one behind it that was written when it was
/// durable: read one after the other, they look like damage.
#[test]
fn what_a_writer_adds_while_it_is_read_is_not_taken_for_damage() {
    let (fixture, _, bytes) = without_growth(&FIVE);
    let second = HEADER_LEN as u64 + 10;
    let hole = second..second + 10;
    for first_readings in 0..12 {
        let stale = Arc::new(AtomicU32::new(first_readings));
        let files: SharedFileSystem =
            Arc::new(GrowingFiles { hole: hole.clone(), stale: stale.clone() });
        let mut reader = LogReader::open(&files, fixture.dir()).unwrap();
        let mut commits = 0;
        let ended = loop {
            match reader.next_frame() {
                Ok(Some(frame)) => commits += frame.commits().count(),
                Ok(None) => break Ok(reader.end()),
                Err(error) => break Err(error),
            }
        };
        // Each look reads twice: for the next frame, and what is there instead.
        match first_readings {
            0..=6 => assert_eq!((commits, ended.unwrap().at), (5, bytes.len() as u64)),
            _ => assert!(matches!(ended, Err(LogError::Damaged { .. }))),
        }
    }
}

#[test]
fn a_segment_that_goes_while_the_log_is_read_is_named() {
    let fixture = Fixture::with(HEADER_LEN as u64, &[b"one", b"two", b"three"]);
    let mut reader = LogReader::open(&fixture.files, fixture.dir()).unwrap();
    assert!(reader.next_frame().unwrap().is_some());
    let gone = segment_path(fixture.dir(), TxOffset(1));
    fs::remove_file(&gone).unwrap();
    let error = reader.next_frame().unwrap_err();
    assert!(matches!(error, LogError::Removed { path } if path == gone));
}

#[test]
fn reading_begins_with_the_segment_that_holds_a_commit() {
    // Two commits in each segment, up to the last.
    let fixture = Fixture::with(HEADER_LEN as u64 + 16, &FIVE);
    let firsts: Vec<u64> = segments(&*fixture.files, fixture.dir())
        .unwrap()
        .iter()
        .map(|segment| segment.header.first.0)
        .collect();
    assert_eq!(firsts, [0, 2, 4]);
    for (from, first) in [(0, 0), (1, 0), (2, 2), (3, 2), (4, 4), (5, 4), (99, 4)] {
        let opened = LogReader::open_at(&fixture.files, fixture.dir(), TxOffset(from));
        let mut reader = opened.unwrap();
        assert_eq!(reader.segment().header.first, TxOffset(first), "from {from}");
        assert_eq!(reader.next_offset(), TxOffset(first));
        assert_eq!(read_all(&mut reader), (first..5).collect::<Vec<_>>());
    }
    // With the first one, where there is none that old.
    let second = segments(&*fixture.files, fixture.dir()).unwrap()[1].header;
    write_beginning(&*fixture.files, fixture.dir(), &second).unwrap();
    fs::remove_file(segment_path(fixture.dir(), TxOffset(0))).unwrap();
    let mut reader = LogReader::open(&fixture.files, fixture.dir()).unwrap();
    assert_eq!(read_all(&mut reader), [2, 3, 4]);
}

#[test]
fn a_reader_says_where_in_the_log_it_is() {
    let fixture = Fixture::with(HEADER_LEN as u64 + 16, &FIVE);
    let content = fixture.content();
    let lens: Vec<u64> = content.iter().map(|(_, bytes)| bytes.len() as u64).collect();
    let mut reader = LogReader::open(&fixture.files, fixture.dir()).unwrap();
    assert_eq!(reader.log(), HEADER);
    assert_eq!(reader.segments().len(), 3);
    assert_eq!(reader.len(), lens.iter().sum::<u64>());
    assert!(!reader.is_empty());
    let header = HEADER_LEN as u64;
    assert_eq!((reader.position(), reader.chain()), (header, HEADER.first_segment().chain()));
    // Behind each frame: of kind, two lengths, commit and checksum.
    let ends = [
        header + 10,
        header + 20,
        lens[0] + header + 10,
        lens[0] + header + 20,
        lens[0] + lens[1] + header + 10,
    ];
    for (commit, end) in ends.into_iter().enumerate() {
        assert_eq!(reader.next_frame().unwrap().unwrap().first, TxOffset(commit as u64));
        assert_eq!(reader.position(), end, "behind commit {commit}");
        assert_eq!(reader.next_offset(), TxOffset(commit as u64 + 1));
        assert_eq!(reader.segment().path, content[commit / 2].0);
    }
    assert!(reader.next_frame().unwrap().is_none());
    assert!(reader.next_frame().unwrap().is_none());
    let end = reader.end();
    assert_eq!((end.at, end.len), (lens[2], reader.len()));
    assert_eq!((end.chain, end.newest), (reader.chain(), reader.segments()[2].clone()));
    assert_eq!((end.torn_tail, end.is_sealed, end.is_marked), (None, false, false));
}

#[test]
fn a_log_ends_with_its_mark_if_it_was_closed_and_nothing_is_behind_that() {
    let fixture = Fixture::with(1 << 20, &[b"one"]);
    assert!(!fixture.read().1.unwrap().is_marked);
    let mut log = fixture.open().unwrap();
    log.append(TxOffset(1), b"two").unwrap();
    log.sync().unwrap();
    drop(log);
    let (path, closed) = fixture.content().remove(0);
    let end = fixture.read().1.unwrap();
    assert!(end.is_marked);
    assert_eq!((end.at, end.len), (closed.len() as u64, closed.len() as u64));
    // Bytes behind the mark: somebody else went on, and crashed.
    fs::write(&path, [&closed[..], b"torn"].concat()).unwrap();
    let end = fixture.read().1.unwrap();
    assert!(!end.is_marked);
    assert_eq!((end.at, end.len), (closed.len() as u64, closed.len() as u64));
    assert_eq!(end.torn_tail.unwrap().bytes, 4);
    // A commit behind the mark, and no other.
    fs::write(&path, &closed).unwrap();
    let mut log = fixture.open().unwrap();
    log.append(TxOffset(2), b"three").unwrap();
    log.sync().unwrap();
    std::mem::forget(log);
    assert!(!fixture.read().1.unwrap().is_marked);
}

#[test]
fn a_log_that_was_not_closed_goes_on_in_a_copy_of_its_good_frames_however_long() {
    let long = vec![7; 200_000];
    let (fixture, path, good) = without_growth(&[&long, &long, b"last"]);
    fs::write(&path, [&good[..], &[9; 100_000]].concat()).unwrap();
    let log = fixture.open().unwrap();
    assert_eq!(log.len(), good.len() as u64);
    drop(log);
    assert!(fs::read(&path).unwrap() == good, "the copy is what was good");
}

#[test]
fn files_are_read_in_windows_of_256_kib() {
    let window = 256 * 1024;
    let (fixture, _, bytes) = without_growth(&[&[7; 10_000][..]; 100]);
    let disk = Disk::default();
    let files: SharedFileSystem = Arc::new(disk.clone());
    let mut reader = LogReader::open(&files, fixture.dir()).unwrap();
    disk.take_done();
    assert_eq!(read_all(&mut reader).len(), 100);
    let reads = disk.take_done();
    let wanted = |done: &Done| match done {
        Done::Read { wanted, .. } => *wanted,
        _ => panic!("a reader only reads"),
    };
    // What is left of a window is moved, not read again; a frame has 10,009 bytes.
    let (last, others) = reads.split_last().unwrap();
    let range = window - 10_009..=window;
    assert!(others.iter().all(|read| range.contains(&wanted(read))), "{reads:?}");
    assert!(wanted(last) <= window);
    assert_eq!(reads.iter().map(wanted).sum::<usize>(), bytes.len() - HEADER_LEN);
}

#[test]
fn a_block_of_a_snapshot_is_no_frame_of_a_log() {
    let fixture = Fixture::with(1 << 20, &[b"one"]);
    let end = fixture.read().1.unwrap();
    let (path, mut bytes) = fixture.content().remove(0);
    let mut chain = end.chain;
    chain.append_block(b"part", &mut bytes);
    let mark = bytes.len();
    fs::write(&path, &bytes).unwrap();
    let torn = fixture.read().1.unwrap();
    assert_eq!((torn.at, torn.chain), (end.at, end.chain));
    let expected = TornTail { at: end.at, bytes: 10, last_commit: Some(TxOffset(0)) };
    assert_eq!((mark as u64 - end.at, torn.torn_tail), (10, Some(expected)));
}

#[test]
fn in_an_older_segment_everything_that_does_not_verify_is_damage() {
    let fixture = Fixture::with(HEADER_LEN as u64, &FIVE);
    let content = fixture.content();
    let (path, whole) = &content[1];
    // The seal, behind which nothing follows in this file.
    let seal = whole.len() - FRAME_LEN_MIN;
    let mut damaged = whole.clone();
    damaged[whole.len() - 1] ^= 1;
    fs::write(path, &damaged).unwrap();
    let (commits, end) = fixture.read();
    assert_eq!(commits.len(), 2);
    let Err(LogError::Damaged { at, offset, next_good, .. }) = end else { panic!("{end:?}") };
    assert_eq!((at, offset, next_good), (seal as u64, TxOffset(2), None));
    let expected = format!(
        "the log's segment {:020}.log is damaged at byte {seal}: commit 2 does not verify, and it \
         had been durable; nothing was changed",
        1
    );
    assert_eq!(fixture.error(), expected);
    // In the commit, behind which the seal is good.
    let mut damaged = whole.clone();
    damaged[HEADER_LEN + 4] ^= 1;
    fs::write(path, &damaged).unwrap();
    let expected = format!(
        "the log's segment {:020}.log is damaged at byte {HEADER_LEN}: commit 1 does not verify, \
         and good commits follow at byte {seal}; nothing was changed",
        1
    );
    assert_eq!(fixture.error(), expected);
}

#[test]
fn a_segment_alone_is_torn_or_damaged_as_it_is_the_newest_or_not() {
    let fixture = Fixture::with(1 << 20, &[b"one", b"two"]);
    let (path, whole) = fixture.content().remove(0);
    let segment = |len: usize| {
        fs::write(&path, &whole[..len]).unwrap();
        segments(&*fixture.files, fixture.dir()).unwrap().remove(0)
    };
    let read = |segment: &SegmentFile, is_newest| {
        let mut reader = LogReader::of_segment(&fixture.files, segment, is_newest).unwrap();
        assert_eq!(reader.next_frame().unwrap().unwrap().first, TxOffset(0));
        loop {
            match reader.next_frame() {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(reader.end()),
                Err(error) => return Err(error),
            }
        }
    };
    let good = segment(whole.len());
    assert_eq!(read(&good, true).unwrap().torn_tail, None);
    let unsealed = read(&good, false).unwrap_err();
    assert!(matches!(unsealed, LogError::Segment { fault: SegmentFault::Unsealed, .. }));
    let cut = segment(whole.len() - 1);
    assert_eq!(read(&cut, true).unwrap().torn_tail.unwrap().bytes, 9);
    assert!(matches!(read(&cut, false), Err(LogError::Damaged { next_good: None, .. })));
}
