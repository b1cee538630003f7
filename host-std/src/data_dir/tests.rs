use std::fs;

use interstice_core::TxOffset;

use super::*;
use crate::file_log::segment_path;

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_second_process_is_refused_until_the_first_has_closed() {
    let dir = temporary();
    let path = dir.path().join("data");
    let first = DataDir::create(&path).unwrap();
    assert!(matches!(DataDir::open(&path), Err(DataDirError::Locked { .. })));
    // Also where somebody has taken the lock file for a stale one.
    fs::remove_file(path.join(LOCK)).unwrap();
    assert!(matches!(DataDir::open(&path), Err(DataDirError::Locked { .. })));
    // Reading needs no lock.
    DataDir::open_read_only(&path).unwrap();
    drop(first);
    DataDir::open(&path).unwrap();
}

#[test]
fn nothing_is_made_where_something_is() {
    let dir = temporary();
    let path = dir.path().join("data");
    DataDir::create(&path).unwrap();
    assert!(matches!(DataDir::create(&path), Err(DataDirError::Exists { .. })));
    // Where a log was lost, whatever of it is left, no other one begins.
    fs::rename(segment_path(&path.join(LOG), TxOffset(0)), path.join(LOG).join("beginning"))
        .unwrap();
    assert!(matches!(DataDir::create(&path), Err(DataDirError::Exists { .. })));

    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("letter.txt"), "dear").unwrap();
    let refused = DataDir::create(&other).unwrap_err();
    assert!(matches!(&refused, DataDirError::NotEmpty { entry, .. } if entry == "letter.txt"));
    assert_eq!(fs::read_dir(&other).unwrap().count(), 1);

    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(DataDir::create(&file), Err(DataDirError::NotDirectory { .. })));
}

#[test]
fn a_creation_that_was_cut_short_can_be_repeated() {
    let dir = temporary();
    let path = dir.path().join("data");
    DataDir::create(&path).unwrap();
    let log = segment_path(&path.join(LOG), TxOffset(0));
    // A crash before the log was renamed into place.
    fs::rename(&log, log.with_extension("tmp")).unwrap();
    assert!(matches!(DataDir::open(&path), Err(DataDirError::Missing { exists: true, .. })));
    DataDir::create(&path).unwrap();
    assert!(log.is_file());
}

#[test]
fn a_missing_directory_is_said_to_be_missing() {
    let dir = temporary();
    let path = dir.path().join("data");
    for opened in [DataDir::open(&path), DataDir::open_read_only(&path)] {
        assert!(matches!(opened, Err(DataDirError::Missing { exists: false, .. })));
    }
    assert!(!path.exists());
}

#[test]
fn modules_are_kept_by_content() {
    let dir = temporary();
    let data = DataDir::create(&dir.path().join("data")).unwrap();
    let hash = data.store_module(b"some module").unwrap();
    assert_eq!(data.store_module(b"some module").unwrap(), hash);
    assert_eq!(data.load_module("some", &hash).unwrap(), b"some module");
    assert_eq!(fs::read_dir(data.path().join(MODULES)).unwrap().count(), 1);

    fs::write(data.module_path(&hash), b"another module").unwrap();
    let changed = data.load_module("some", &hash);
    assert!(matches!(changed, Err(DataDirError::ModuleChanged { .. })));
    // Storing it again mends it.
    data.store_module(b"some module").unwrap();
    data.load_module("some", &hash).unwrap();

    fs::remove_file(data.module_path(&hash)).unwrap();
    let missing = data.load_module("some", &hash);
    assert!(matches!(missing, Err(DataDirError::ModuleMissing { .. })));
}

#[test]
fn a_directory_open_for_reading_is_not_written_to() {
    let dir = temporary();
    let path = dir.path().join("data");
    DataDir::create(&path).unwrap();
    fs::remove_file(path.join(LOCK)).unwrap();
    let data = DataDir::open_read_only(&path).unwrap();
    assert!(matches!(data.store_module(b"m"), Err(DataDirError::ReadOnly { .. })));
    assert!(!path.join(LOCK).exists());
}

#[test]
fn two_logs_have_different_identities() {
    let header = || new_log_header().unwrap();
    assert_ne!(header(), header());
}
