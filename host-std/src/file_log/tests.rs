use std::fs;

use interstice_core::log::frame::HEADER_LEN;

use super::*;

const HEADER: LogHeader = LogHeader { log_id: [7; 16], seed: 42 };

/// A log in a temporary directory with these commits, synced.
fn log_with(commits: &[&[u8]]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("test.log");
    FileLog::create(&path, HEADER).unwrap();
    let (mut log, torn) = open(&path).unwrap();
    assert_eq!(torn, None);
    for (offset, commit) in commits.iter().enumerate() {
        log.append(TxOffset(offset as u64), commit).unwrap();
    }
    log.sync().unwrap();
    (dir, path)
}

fn open(path: &Path) -> Result<(FileLog, Option<TornTail>), LogOpenError> {
    let bytes = LogBytes::read(path)?;
    let mut frames = bytes.frames()?;
    frames.by_ref().for_each(drop);
    let torn = bytes.end(&frames)?;
    Ok((bytes.continue_log(frames.position(), frames.end())?, torn))
}

fn commits(path: &Path) -> Vec<Vec<u8>> {
    let bytes = LogBytes::read(path).unwrap();
    bytes.frames().unwrap().map(|(_, commit)| commit.to_vec()).collect()
}

#[test]
fn commits_are_read_back_in_order() {
    let (_dir, path) = log_with(&[b"one", b"two"]);
    assert_eq!(commits(&path), [b"one", b"two"]);
    let (mut log, _) = open(&path).unwrap();
    log.append(TxOffset(2), b"three").unwrap();
    log.sync().unwrap();
    assert_eq!(log.len(), fs::metadata(&path).unwrap().len());
    assert_eq!(commits(&path), [&b"one"[..], b"two", b"three"]);
}

#[test]
fn nothing_reaches_the_file_before_the_sync_or_a_full_buffer() {
    let (_dir, path) = log_with(&[]);
    let (mut log, _) = open(&path).unwrap();
    log.append(TxOffset(0), b"one").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), HEADER_LEN as u64);
    assert_eq!(log.unsynced_len(), 8);
    log.append(TxOffset(1), &vec![1; BUFFER_LEN]).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), log.len());
    log.sync().unwrap();
    assert_eq!(log.unsynced_len(), 0);
}

#[test]
fn opening_and_closing_writes_nothing() {
    let (_dir, path) = log_with(&[b"one", b"two"]);
    let before = (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().modified().unwrap());
    let (mut log, _) = open(&path).unwrap();
    log.sync().unwrap();
    drop(log);
    let after = (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().modified().unwrap());
    assert_eq!(before, after);
}

#[test]
fn every_torn_tail_is_cut_and_keeps_every_commit_before_it() {
    let (_dir, path) = log_with(&[b"one", b"two", b"three"]);
    let whole = fs::read(&path).unwrap();
    // Where each commit's frame ends.
    let ends = [HEADER_LEN, HEADER_LEN + 8, HEADER_LEN + 16, HEADER_LEN + 26];
    assert_eq!(whole.len(), ends[3]);
    for len in HEADER_LEN..whole.len() {
        fs::write(&path, &whole[..len]).unwrap();
        let kept = ends.iter().filter(|end| **end <= len).count() - 1;
        let expected = (len > ends[kept]).then(|| TornTail {
            at: ends[kept] as u64,
            bytes: (len - ends[kept]) as u64,
            last_commit: kept.checked_sub(1).map(|last| TxOffset(last as u64)),
        });
        let (log, torn) = open(&path).unwrap();
        assert_eq!(torn, expected, "cut at {len}");
        assert_eq!(log.len(), ends[kept] as u64);
        assert_eq!(fs::metadata(&path).unwrap().len(), ends[kept] as u64);
    }
}

#[test]
fn every_flipped_bit_is_found_and_damage_is_refused_with_its_place() {
    let (_dir, path) = log_with(&[b"one", b"two", b"three"]);
    let whole = fs::read(&path).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &flipped).unwrap();
        let frame = bit / 8 - HEADER_LEN.min(bit / 8);
        match open(&path) {
            Err(LogOpenError::Header { .. }) => assert!(bit / 8 < HEADER_LEN),
            Err(LogOpenError::Damaged { at, offset, .. }) => {
                let (expected, place) = if frame < 8 { (0, 0) } else { (1, 8) };
                assert_eq!((offset, at), (TxOffset(expected), (HEADER_LEN + place) as u64));
            }
            // Nothing good follows the last commit.
            Ok((_, Some(torn))) => {
                assert_eq!(torn.last_commit, Some(TxOffset(1)), "bit {bit}");
                assert!(frame >= 16);
            }
            other => panic!("bit {bit}: {other:?}"),
        }
        // What is damaged is left as it is.
        if frame < 16 || bit / 8 < HEADER_LEN {
            assert_eq!(fs::read(&path).unwrap(), flipped);
        }
    }
}

#[test]
fn a_read_only_log_takes_nothing() {
    let (_dir, path) = log_with(&[b"one"]);
    let bytes = LogBytes::read(&path).unwrap();
    let mut frames = bytes.frames().unwrap();
    frames.by_ref().for_each(drop);
    let mut log = FileLog::read_only(path, frames.position() as u64, frames.end());
    assert!(matches!(log.append(TxOffset(1), b"x"), Err(FileLogError::ReadOnly { .. })));
    log.sync().unwrap();
}

#[test]
fn files_that_are_no_log_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("test.log");
    assert!(matches!(open(&path), Err(LogOpenError::Io { action: "read", .. })));
    for content in [&b""[..], b"short", &[0; 100]] {
        fs::write(&path, content).unwrap();
        assert!(matches!(open(&path), Err(LogOpenError::Header { .. })));
    }
}

/// Every write to `/dev/full` fails as on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_failed_write_poisons_the_log() {
    let file = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut log = FileLog::new("/dev/full".into(), Some(file), 0, HEADER.chain());
    log.append(TxOffset(0), b"one").unwrap();
    let failed = log.sync().unwrap_err();
    assert_eq!(
        failed.to_string(),
        "could not write the log /dev/full: No space left on device (os error 28); \
         nothing is acknowledged any more, reopen the data directory"
    );
    assert!(log.is_poisoned());
    assert!(matches!(log.append(TxOffset(1), b"two"), Err(FileLogError::Poisoned { .. })));
    assert!(matches!(log.sync(), Err(FileLogError::Poisoned { .. })));
}
