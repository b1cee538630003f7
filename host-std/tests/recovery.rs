//! Recovery of databases as they are used: opened through it, and shortened by
//! retention.

use std::{collections::BTreeMap, fs, path::Path};

use interstice::{
    data_dir::DataDir,
    database::{Database, Go, History, OpenError, ReadOnlyState},
    persistence::PersistenceConfig,
    recovery::{self, Mode, RecoveryError},
};
use interstice_core::TxOffset;

mod fixture;

fn add(database: &mut Database, text: &str) {
    let add = database.reducer("notes", "add").unwrap();
    database.call(add, &fixture::text_argument(text)).unwrap();
}

/// The segments of a directory, oldest first.
fn segments(path: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(path.join("log")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The state hash before every commit that the log has, and at its end.
fn hashes(path: &Path) -> BTreeMap<u64, u64> {
    let dir = DataDir::open_read_only(path).unwrap();
    let mut history = History::open(&dir, TxOffset(0)).unwrap();
    let mut hashes = BTreeMap::new();
    history
        .visit(|state, offset, _| {
            hashes.insert(offset.0, state.state_hash());
            Ok::<_, OpenError>(Go::On)
        })
        .unwrap();
    hashes.insert(history.state().next_offset().0, history.state().state_hash());
    hashes
}

#[test]
fn opening_with_recovery_repairs_what_is_damaged_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let mut database = Database::create(&path).unwrap();
    database.install(&fixture::wasm()).unwrap();
    add(&mut database, "one");
    add(&mut database, "two");
    database.close().unwrap();

    let (mut database, done) = recovery::open_recovering(&path, Mode::Truncate).unwrap();
    assert!(done.report.good);
    assert_eq!((done.repaired, done.original), (None, path.clone()));
    add(&mut database, "three");
    database.close().unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is beside it");

    let hashes = hashes(&path);
    let log = &segments(&path)[0];
    let mut bytes = fs::read(log).unwrap();
    let at = bytes.len() - 60;
    bytes[at] ^= 1;
    fs::write(log, &bytes).unwrap();
    assert!(Database::open(&path).is_err(), "opening without it refuses");
    let (mut database, done) = recovery::open_recovering(&path, Mode::Truncate).unwrap();
    let original = folder.path().join("data.before-repair-1");
    assert!(!done.report.good && !done.report.lost.is_empty());
    assert_eq!((done.repaired, &done.original), (Some(path.clone()), &original));
    assert_eq!(fs::read(&segments(&original)[0]).unwrap(), bytes);
    assert_eq!(database.state().next_offset().0, done.report.next_commit);
    assert_eq!(database.state().state_hash(), hashes[&done.report.next_commit]);
    // It is open for writing, and what is written then is kept.
    add(&mut database, "four");
    let hash = database.state().state_hash();
    database.close().unwrap();
    let (database, done) = recovery::open_recovering(&path, Mode::Truncate).unwrap();
    assert!(done.report.good);
    assert_eq!(database.state().state_hash(), hash);
}

#[test]
fn what_no_mode_can_save_is_not_opened_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    drop(Database::create(&path).unwrap());
    let log = path.join("log/00000000000000000000.log");
    fs::write(&log, b"INTERSTICE?").unwrap();
    for mode in [Mode::Truncate, Mode::Skip, Mode::Snapshot(None)] {
        let refused = recovery::open_recovering(&path, mode).unwrap_err();
        assert!(matches!(refused, RecoveryError::NoLog { .. }), "{mode:?}: {refused}");
    }
    assert_eq!(fs::read(&log).unwrap(), b"INTERSTICE?");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is beside it");
}

/// A database whose log begins with a snapshot: what is before it was removed.
fn make_shortened(path: &Path) {
    let config = PersistenceConfig {
        segment_bytes: 300.try_into().unwrap(),
        snapshot_log_bytes: 0,
        retain_segments: 1,
        ..PersistenceConfig::default()
    };
    let mut database = Database::start_with(DataDir::create(path).unwrap(), config).unwrap();
    database.install(&fixture::wasm()).unwrap();
    for round in 0..3 {
        for note in 0..10 {
            add(&mut database, &format!("{round} {note}"));
        }
        if round < 2 {
            database.snapshot().unwrap();
        }
    }
    database.close().unwrap();
}

#[test]
fn a_log_that_retention_has_shortened_is_repaired_from_the_snapshot_that_it_begins_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    make_shortened(&path);
    let hashes = hashes(&path);
    let first = *hashes.keys().next().unwrap();
    assert!(first > 0, "retention has removed the beginning");
    let mut damaged = 0;
    for segment in segments(&path) {
        let good = fs::read(&segment).unwrap();
        for at in (0..good.len()).step_by(23) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            fs::write(&segment, bad).unwrap();
            damaged += u32::from(check_repairs(&path, &folder.path().join("new"), &hashes));
        }
        fs::write(&segment, good).unwrap();
    }
    assert!(damaged > 30, "only {damaged} were damaged");
    assert!(recovery::examine(&path, Mode::Truncate).unwrap().good);
}

/// Checks what every mode makes of a shortened log. Returns whether it is
/// damaged: what a crash could have left behind its last commit is not.
fn check_repairs(path: &Path, into: &Path, hashes: &BTreeMap<u64, u64>) -> bool {
    let first = *hashes.keys().next().unwrap();
    for mode in [Mode::Truncate, Mode::Skip, Mode::Snapshot(None)] {
        let done = recovery::repair_into(path, mode, into).unwrap();
        let report = done.report;
        if report.good {
            assert_eq!(report.state_hash, format!("{:016x}", hashes[&report.next_commit]));
            return false;
        }
        let opened = ReadOnlyState::open(into).unwrap();
        let (next, hash) = (opened.state().next_offset().0, opened.state().state_hash());
        assert_eq!((next, format!("{hash:016x}")), (report.next_commit, report.state_hash));
        let begins = report.snapshot.unwrap();
        match mode {
            Mode::Skip => assert!(begins == first && next >= begins + report.kept),
            _ => {
                assert!(begins == first || mode != Mode::Truncate);
                assert_eq!(next, begins + report.kept);
                assert_eq!(hash, hashes[&next], "a state that it had at {next}");
            }
        }
        assert!(recovery::examine(into, mode).unwrap().good);
        // It goes on.
        add(&mut Database::open(into).unwrap(), "more");
        fs::remove_dir_all(into).unwrap();
    }
    true
}

#[test]
fn a_shortened_log_without_a_good_snapshot_has_nothing_to_begin_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    make_shortened(&path);
    let first = *hashes(&path).keys().next().unwrap();
    for entry in fs::read_dir(path.join("snapshots")).unwrap() {
        let file = entry.unwrap().path();
        let mut bytes = fs::read(&file).unwrap();
        let at = bytes.len() - 30;
        bytes[at] ^= 1;
        fs::write(file, bytes).unwrap();
    }
    for mode in [Mode::Truncate, Mode::Skip] {
        match recovery::examine(&path, mode).unwrap_err() {
            RecoveryError::NoBeginning { first: begins } => assert_eq!(begins, first),
            other => panic!("{other}"),
        }
    }
    let refused = recovery::examine(&path, Mode::Snapshot(None)).unwrap_err();
    assert!(matches!(refused, RecoveryError::NoSnapshot { .. }), "{refused}");
}
