use std::{fs, sync::Arc};

use interstice_core::log::frame::FRAME_LEN_MIN;

use super::*;
use crate::file_system::System;

mod disk;
mod growth;
mod poison;
mod reading;
mod segment_files;

const HEADER: LogHeader = LogHeader { log_id: [7; 16], seed: 42 };

/// A log in a temporary directory.
struct Fixture {
    folder: tempfile::TempDir,
    files: SharedFileSystem,
    segment_bytes: u64,
}

impl Fixture {
    fn new(segment_bytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files: SharedFileSystem = Arc::new(System);
        FileLog::create(&files, folder.path(), HEADER).unwrap();
        Self { folder, files, segment_bytes }
    }

    /// A log with these commits, each synced alone.
    fn with(segment_bytes: u64, commits: &[&[u8]]) -> Self {
        let fixture = Self::new(segment_bytes);
        let mut log = fixture.open().unwrap();
        for (offset, commit) in commits.iter().enumerate() {
            log.append(TxOffset(offset as u64), commit).unwrap();
            log.sync().unwrap();
        }
        // The process is killed: no mark.
        std::mem::forget(log);
        fixture
    }

    fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// Every commit that can be read, and how the log ends.
    fn read(&self) -> (Vec<Vec<u8>>, Result<LogEnd, LogError>) {
        let mut commits = Vec::new();
        let mut reader = match LogReader::open(&self.files, self.dir()) {
            Ok(reader) => reader,
            Err(error) => return (commits, Err(error)),
        };
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => commits.extend(frame.commits().map(|(_, c)| c.to_vec())),
                Ok(None) => return (commits, Ok(reader.end())),
                Err(error) => return (commits, Err(error)),
            }
        }
    }

    fn open(&self) -> Result<FileLog, LogError> {
        let end = self.read().1?;
        FileLog::open(&self.files, self.dir(), &end, self.segment_bytes)
    }

    /// The segments' files, with their content.
    fn content(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let names = self.files.list(self.dir()).unwrap();
        names
            .iter()
            .map(|name| self.dir().join(name))
            .map(|p| (p.clone(), fs::read(p).unwrap()))
            .collect()
    }

    fn error(&self) -> String {
        let error = self.read().1.unwrap_err().to_string();
        error.replace(&format!("{}/", self.dir().display()), "")
    }
}

#[test]
fn commits_are_read_back_in_order() {
    let fixture = Fixture::with(1 << 20, &[b"one", b"two"]);
    assert_eq!(fixture.read().0, [b"one", b"two"]);
    let mut log = fixture.open().unwrap();
    log.append(TxOffset(2), b"three").unwrap();
    log.sync().unwrap();
    assert_eq!(log.len(), fixture.content()[0].1.len() as u64);
    assert_eq!(fixture.read().0, [&b"one"[..], b"two", b"three"]);
}

#[test]
fn commits_that_are_written_together_share_a_checksum() {
    let fixture = Fixture::new(1 << 20);
    let mut log = fixture.open().unwrap();
    let before = log.len();
    for offset in 0..100 {
        log.append(TxOffset(offset), &[7; 64]).unwrap();
    }
    log.sync().unwrap();
    // Kind, length of two bytes, checksum; and a length for each commit.
    assert_eq!(log.len() - before, 1 + 2 + 4 + 100 * 65);
    log.append(TxOffset(100), &[7; 64]).unwrap();
    log.sync().unwrap();
    assert_eq!(log.len() - before, 7 + 6500 + 71);
    assert_eq!(fixture.read().0.len(), 101);
}

#[test]
fn a_large_commit_has_a_frame_of_its_own() {
    let fixture = Fixture::new(1 << 10);
    let mut log = fixture.open().unwrap();
    let commits: [Vec<u8>; 4] = [vec![1; 10], vec![2; 600_000], vec![3; 10], vec![4; 20_000]];
    for (offset, commit) in commits.iter().enumerate() {
        log.append(TxOffset(offset as u64), commit).unwrap();
    }
    log.sync().unwrap();
    assert_eq!(fixture.read().0, commits);
}

#[test]
fn nothing_reaches_the_file_before_it_is_handed_over() {
    let fixture = Fixture::new(1 << 20);
    let mut log = fixture.open().unwrap();
    log.append(TxOffset(0), b"one").unwrap();
    assert_eq!(fixture.content()[0].1.len(), HEADER_LEN);
    assert_eq!(log.unsynced_len(), 4);
    log.write().unwrap();
    assert_eq!(fixture.content()[0].1.len(), HEADER_LEN + FRAME_LEN_MIN + 4);
    assert_eq!(log.unsynced_len(), FRAME_LEN_MIN as u64 + 4);
    log.sync().unwrap();
    assert_eq!(log.unsynced_len(), 0);
}

#[test]
fn opening_and_closing_writes_nothing() {
    for segment_bytes in [100, 1 << 20] {
        let fixture = Fixture::with(segment_bytes, &[b"one", b"two", b"three", b"four"]);
        let before = fixture.content();
        let mut log = fixture.open().unwrap();
        log.sync().unwrap();
        drop(log);
        assert_eq!(fixture.content(), before);
    }
}

#[test]
fn segments_are_sealed_and_linked() {
    let fixture = Fixture::with(90, &[b"one", b"two", b"three", b"four", b"five"]);
    let names: Vec<_> = fixture.files.list(fixture.dir()).unwrap();
    assert!(names.len() >= 2, "{names:?}");
    let (commits, end) = fixture.read();
    assert_eq!(commits.len(), 5);
    assert_eq!(end.unwrap().torn_tail, None);
    // A log goes on in a new segment, where one was begun for a snapshot.
    let mut log = fixture.open().unwrap();
    let before = fixture.content().len();
    let chain = log.begin_new_segment().unwrap();
    assert_eq!(chain.next_offset(), TxOffset(5));
    assert_eq!(fixture.content().len(), before + 1);
    assert_eq!(log.begin_new_segment().unwrap(), chain);
    log.append(TxOffset(5), b"six").unwrap();
    log.sync().unwrap();
    assert_eq!(fixture.read().0.len(), 6);
}

#[test]
fn a_log_whose_newest_segment_is_sealed_goes_on_in_the_next() {
    let fixture = Fixture::with(1 << 20, &[b"one", b"two"]);
    let mut log = fixture.open().unwrap();
    log.begin_new_segment().unwrap();
    drop(log);
    // The crash came before the next segment had its name.
    fs::remove_file(segment_path(fixture.dir(), TxOffset(2))).unwrap();
    let before = fixture.content();
    let mut log = fixture.open().unwrap();
    assert_eq!(fixture.content(), before);
    log.append(TxOffset(2), b"three").unwrap();
    log.sync().unwrap();
    assert_eq!(fixture.content().len(), 2);
    assert_eq!(fixture.read().0, [&b"one"[..], b"two", b"three"]);
}

/// Cuts the newest segment at every length.
#[test]
fn every_torn_tail_is_cut_and_keeps_every_commit_before_it() {
    let fixture = Fixture::with(1 << 20, &[b"one", b"two", b"three"]);
    let (path, whole) = fixture.content().remove(0);
    // Where each commit's frame ends.
    let ends = [HEADER_LEN, HEADER_LEN + 10, HEADER_LEN + 20, HEADER_LEN + 32];
    assert_eq!(whole.len(), ends[3]);
    for len in HEADER_LEN..whole.len() {
        fs::write(&path, &whole[..len]).unwrap();
        let kept = ends.iter().filter(|end| **end <= len).count() - 1;
        let expected = (len > ends[kept]).then(|| TornTail {
            at: ends[kept] as u64,
            bytes: (len - ends[kept]) as u64,
            last_commit: kept.checked_sub(1).map(|last| TxOffset(last as u64)),
        });
        assert_eq!(fixture.read().1.unwrap().torn_tail, expected, "cut at {len}");
        let log = fixture.open().unwrap();
        assert_eq!(log.len(), ends[kept] as u64);
        assert_eq!(fs::metadata(&path).unwrap().len(), ends[kept] as u64);
    }
}

#[test]
fn every_flipped_bit_of_a_closed_log_is_found_and_loses_no_commit_before_it() {
    for segment_bytes in [90, 1 << 20] {
        let fixture = Fixture::with(segment_bytes, &[b"one", b"two", b"three"]);
        let mut log = fixture.open().unwrap();
        log.append(TxOffset(3), b"four").unwrap();
        log.sync().unwrap();
        drop(log);
        let (all, _) = fixture.read();
        let content = fixture.content();
        for (path, whole) in &content {
            for bit in 0..whole.len() * 8 {
                let mut flipped = whole.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                fs::write(path, &flipped).unwrap();
                let (read, end) = fixture.read();
                assert_eq!(read, all[..read.len()], "bit {bit} of {}", path.display());
                if let Ok(end) = end {
                    // The mark at the end is all that may be taken for torn.
                    let torn = end.torn_tail.expect("a flipped bit is found");
                    assert_eq!((read.len(), torn.bytes), (4, FRAME_LEN_MIN as u64));
                    assert_eq!(path, &content.last().unwrap().0);
                }
                assert_eq!(fs::read(path).unwrap(), flipped, "damage is left as it is");
                fs::write(path, whole).unwrap();
            }
        }
    }
}

#[test]
fn what_was_not_synced_is_torn_even_where_later_parts_made_it() {
    let fixture = Fixture::with(1 << 20, &[b"one", b"two"]);
    let mut log = fixture.open().unwrap();
    let synced = fixture.content()[0].1.len();
    for offset in 2..6 {
        log.append(TxOffset(offset), b"unsynced").unwrap();
        log.write().unwrap();
    }
    drop(log);
    let (path, whole) = fixture.content().remove(0);
    // The first of them is lost, those behind it are not.
    let mut holed = whole.clone();
    holed[synced..synced + 5].fill(0);
    fs::write(&path, &holed).unwrap();
    let (commits, end) = fixture.read();
    let torn = end.unwrap().torn_tail.unwrap();
    assert_eq!((commits.len(), torn.at), (2, synced as u64));
    assert_eq!(torn.bytes, (whole.len() - synced) as u64);
    // With a sync behind them it would be damage.
    fs::write(&path, &whole).unwrap();
    let mut log = fixture.open().unwrap();
    log.append(TxOffset(6), b"after the sync").unwrap();
    log.sync().unwrap();
    let mut holed = fs::read(&path).unwrap();
    holed[synced..synced + 5].fill(0);
    fs::write(&path, &holed).unwrap();
    let (commits, end) = fixture.read();
    assert_eq!(commits.len(), 2);
    let Err(LogError::Damaged { at, offset, .. }) = end else { panic!("{end:?}") };
    assert_eq!((at, offset), (synced as u64, TxOffset(2)));
}

#[test]
fn segments_out_of_place_are_refused_by_name() {
    let five: [&[u8]; 5] = [b"one", b"two", b"three", b"four", b"five"];
    // One commit in each.
    let fixture = Fixture::with(HEADER_LEN as u64, &five);
    let content = fixture.content();
    assert_eq!(content.len(), 5);
    let restore = || {
        for name in fixture.files.list(fixture.dir()).unwrap() {
            fs::remove_file(fixture.dir().join(name)).unwrap();
        }
        content.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    };
    let name = |first: u64| format!("{first:020}.log");
    let path = |first: u64| fixture.dir().join(name(first));
    let segment = "the log's segment";

    fs::remove_file(path(2)).unwrap();
    let missing = format!("{segment} {} is number 3, but number 2 is missing before it", name(3));
    assert_eq!(fixture.error(), missing);
    restore();

    fs::rename(path(2), path(9)).unwrap();
    assert_eq!(fixture.error(), missing);
    restore();

    fs::rename(path(4), path(9)).unwrap();
    let renamed = "was renamed: its first commit is 4, which its name does not say";
    assert_eq!(fixture.error(), format!("{segment} {} {renamed}", name(9)));
    restore();

    fs::write(path(2), &content[3].1).unwrap();
    fs::write(path(3), &content[2].1).unwrap();
    let renamed = "was renamed: its first commit is 3, which its name does not say";
    assert_eq!(fixture.error(), format!("{segment} {} {renamed}", name(2)));
    restore();

    fs::write(path(2), b"").unwrap();
    assert_eq!(fixture.error(), format!("{segment} {} is empty: what it held is lost", name(2)));
    restore();

    let other = Fixture::new(1 << 20);
    let foreign = SegmentHeader {
        log: LogHeader { log_id: [8; 16], seed: 1 },
        number: 2,
        first: TxOffset(2),
        previous: 0,
    };
    fs::write(path(2), foreign.encode()).unwrap();
    let expected = format!("{segment} {} belongs to another log than {}", name(2), name(1));
    assert_eq!(fixture.error(), expected);
    drop(other);
    restore();

    // An older version of a segment: as long, with another history behind it.
    let twin = Fixture::with(HEADER_LEN as u64, &[b"one", b"TWO", b"three", b"four", b"five"]);
    fs::write(path(2), &twin.content()[2].1).unwrap();
    let unchained = format!("does not go on where {} ends: one of them was replaced", name(1));
    assert_eq!(fixture.error(), format!("{segment} {} {unchained}", name(2)));
    restore();

    // Cut at a frame's border, without its seal.
    fs::write(path(2), &content[2].1[..content[2].1.len() - FRAME_LEN_MIN]).unwrap();
    let early = "ends too early: others follow, and its seal is missing";
    assert_eq!(fixture.error(), format!("{segment} {} {early}", name(2)));
    restore();

    let mut longer = content[2].1.clone();
    longer.extend([0, 0, 1]);
    fs::write(path(2), &longer).unwrap();
    let at = content[2].1.len();
    let behind = format!("goes on behind its seal, at byte {at}, where nothing is ever written");
    assert_eq!(fixture.error(), format!("{segment} {} {behind}", name(2)));
}

#[test]
fn a_read_only_log_takes_nothing() {
    let fixture = Fixture::with(1 << 20, &[b"one"]);
    let end = fixture.read().1.unwrap();
    let mut log = FileLog::read_only(&fixture.files, fixture.dir(), &end);
    assert!(matches!(log.append(TxOffset(1), b"x"), Err(FileLogError::ReadOnly { .. })));
    log.sync().unwrap();
}

#[test]
fn files_that_are_no_log_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let files: SharedFileSystem = Arc::new(System);
    let open = |dir: &Path| LogReader::open(&files, dir).map(|_| ()).unwrap_err();
    assert!(matches!(open(&folder.path().join("none")), LogError::NoSegment { .. }));
    fs::write(folder.path().join("file"), "").unwrap();
    assert!(matches!(open(&folder.path().join("file")), LogError::Io { .. }));
    assert!(matches!(open(folder.path()), LogError::NoSegment { .. }));
    for content in [&b"short"[..], &[0; 100]] {
        fs::write(segment_path(folder.path(), TxOffset(0)), content).unwrap();
        assert!(matches!(open(folder.path()), LogError::Header { .. }));
    }
}

#[test]
fn a_log_is_not_made_where_one_is() {
    let fixture = Fixture::with(u64::MAX, &[b"one"]);
    let error = FileLog::create(&fixture.files, fixture.dir(), HEADER).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fixture.read().0, [b"one"]);
}

#[test]
fn a_file_that_is_said_to_be_longer_than_memory_is_an_error() {
    let mut bytes = vec![1; 3];
    for len in [u64::MAX, 1 << 62] {
        let error = file_system::extend_with_zeros(&mut bytes, len).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    }
    file_system::extend_with_zeros(&mut bytes, 5).unwrap();
    file_system::extend_with_zeros(&mut bytes, 1).unwrap();
    assert_eq!(bytes, [1, 1, 1, 0, 0]);
}
