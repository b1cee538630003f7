//! The library: a database from its creation to its re-opening.

use std::{fs, path::Path};

use interstice::{
    data_dir::DataDirError,
    database::{AddModuleError, Database, OpenError, ReadOnlyState},
    feed::{Feed, FeedError, Step},
    file_log::LogError,
    persistence::PersistenceConfig,
    text::{Rows, RowsFormat},
};
use interstice_core::{CallErrorKind, InstallError, log::frame::Frames};

mod fixture;

fn log_of(path: &Path) -> std::path::PathBuf {
    path.join("log/00000000000000000000.log")
}

/// A database with the module `notes` and these notes.
fn with_notes(path: &Path, notes: &[&str]) -> Database {
    let mut database = Database::create(path).unwrap();
    database.install(&fixture::wasm()).unwrap();
    let add = database.reducer("notes", "add").unwrap();
    for note in notes {
        database.call(add, &fixture::text_argument(note)).unwrap();
    }
    database
}

/// How many notes were tallied, by subscription.
fn tally(database: &Database) -> u64 {
    let rows = database.state().table("notes", "tally").unwrap().rows();
    let counts = rows.map(|row| u64::from_le_bytes(row[1..].try_into().unwrap()));
    counts.sum()
}

#[test]
fn a_database_is_the_same_after_it_was_reopened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let database = with_notes(&path, &["one", "two", "three"]);
    assert_eq!(database.state().next_offset().0, 7);
    assert_eq!(database.log().unsynced_len(), 0);
    let hash = database.state().state_hash();
    drop(database);
    let log = fs::read(log_of(&path)).unwrap();

    let mut database = Database::open(&path).unwrap();
    assert_eq!(database.state().state_hash(), hash);
    assert_eq!(database.opening().commits, 7);
    assert_eq!(database.opening().resumed, 0);
    let count = database.query_ref("notes", "count").unwrap();
    assert_eq!(database.query(count, &[]).unwrap().result, 3u64.to_le_bytes());
    assert_eq!(tally(&database), 3);
    drop(database);
    assert_eq!(fs::read(log_of(&path)).unwrap(), log);
}

#[test]
fn calls_that_fail_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut database = with_notes(&dir.path().join("data"), &["one"]);
    let before = (database.state().state_hash(), database.log().len());
    let add = database.reducer("notes", "add").unwrap();
    let boom = database.reducer("notes", "boom").unwrap();
    for (reducer, args) in
        [(add, fixture::text_argument("")), (boom, Vec::new()), (add, vec![1, 2, 3])]
    {
        database.call(reducer, &args).unwrap_err();
    }
    assert_eq!((database.state().state_hash(), database.log().len()), before);
}

#[test]
fn subscriptions_that_waited_at_a_crash_run_once_at_the_next_opening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let hash = with_notes(&path, &["one", "two"]).state().state_hash();
    // The crash: everything behind the call is lost, its subscription too.
    let log = fs::read(log_of(&path)).unwrap();
    let frames = Frames::new(&log).unwrap();
    let mut chain = frames.end();
    let mut written = frames.header().encode().to_vec();
    frames.take(4).for_each(|(_, commit)| chain.append(commit, true, &mut written));
    fs::write(log_of(&path), &written).unwrap();

    // Looking does not run anything.
    assert_eq!(ReadOnlyState::open(&path).unwrap().state().pending(), 1);
    let database = Database::open_read_only(&path).unwrap();
    assert_eq!((database.opening().resumed, tally(&database)), (0, 1));
    drop(database);

    for resumed in [1, 0] {
        let database = Database::open(&path).unwrap();
        assert_eq!((database.opening().resumed, tally(&database)), (resumed, 2));
        assert_eq!(database.state().state_hash(), hash);
    }
}

#[test]
fn a_database_that_is_open_can_be_read_by_others_but_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let database = with_notes(&path, &["one"]);
    let locked = Database::open(&path).unwrap_err();
    assert!(matches!(locked, OpenError::DataDir(DataDirError::Locked { .. })));
    let mut reader = Database::open_read_only(&path).unwrap();
    assert_eq!(reader.state().state_hash(), database.state().state_hash());
    let add = reader.reducer("notes", "add").unwrap();
    let refused = reader.call(add, &fixture::text_argument("two")).unwrap_err();
    assert!(matches!(refused.kind, CallErrorKind::Log(_)));
    let refused = reader.install(&fixture::wasm()).unwrap_err();
    assert!(matches!(refused, AddModuleError::DataDir(DataDirError::ReadOnly { .. })));
}

#[test]
fn a_refused_module_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let mut database = Database::create(&path).unwrap();
    let refused = database.install(b"\0asm\x01\0\0\0").unwrap_err();
    assert!(matches!(refused, AddModuleError::Install(InstallError::Load(_))));
    assert_eq!(fs::read_dir(path.join("modules")).unwrap().count(), 0);
    assert_eq!(database.state().next_offset().0, 0);
}

#[test]
fn a_log_that_does_not_replay_is_refused_with_the_commit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    drop(with_notes(&path, &["one"]));
    // The log of another module's tables: good frames, wrong content.
    let log = fs::read(log_of(&path)).unwrap();
    let header = interstice_core::log::frame::SegmentHeader::decode(&log).unwrap();
    let mut chain = header.chain();
    let mut written = header.encode().to_vec();
    for (_, commit) in Frames::new(&log).unwrap().skip(1) {
        chain.append(commit, true, &mut written);
    }
    fs::write(log_of(&path), written).unwrap();
    let refused = Database::open(&path).unwrap_err();
    assert!(matches!(&refused, OpenError::Replay { source, .. } if source.offset.0 == 0));
}

#[test]
fn damage_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    drop(with_notes(&path, &["one", "two"]));
    let mut log = fs::read(log_of(&path)).unwrap();
    let middle = log.len() - 50;
    log[middle] ^= 0x10;
    fs::write(log_of(&path), &log).unwrap();
    for opened in [Database::open(&path), Database::open_read_only(&path)] {
        assert!(matches!(opened, Err(OpenError::Log(LogError::Damaged { .. }))));
    }
    assert_eq!(fs::read(log_of(&path)).unwrap(), log);
}

fn group(group_bytes: u64, group_delay_ms: u64) -> PersistenceConfig {
    PersistenceConfig { group_bytes, group_delay_ms, ..PersistenceConfig::default() }
}

fn rows(database: &Database, text: &'static str) -> Rows<&'static [u8]> {
    let add = database.reducer("notes", "add").unwrap();
    let params = database.state().function(add).unwrap().args();
    Rows::new(text.as_bytes(), RowsFormat::Csv, params).unwrap()
}

#[test]
fn fed_calls_are_acknowledged_when_their_group_is_synced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let mut database = with_notes(&path, &[]);
    let add = database.reducer("notes", "add").unwrap();
    let rows = rows(&database, "text\none\ntwo\nthree\n");
    // A day: nothing here is due by its delay. About two calls: by bytes.
    database.set_config(group(80, 86_400_000));
    let synced = database.log().len();
    let mut feed = Feed::new(&mut database, add, rows);
    assert_eq!(feed.step().unwrap(), Step::Called);
    assert_eq!((feed.calls(), feed.acknowledged()), (1, 0));
    assert_eq!(fs::metadata(log_of(&path)).unwrap().len(), synced);
    assert_eq!(feed.step().unwrap(), Step::Synced);
    assert_eq!((feed.calls(), feed.acknowledged()), (2, 2));
    assert_eq!(fs::metadata(log_of(&path)).unwrap().len(), feed.database().log().len());
    assert_eq!(feed.step().unwrap(), Step::Called);
    assert_eq!(feed.step().unwrap(), Step::End);
    assert_eq!((feed.calls(), feed.acknowledged()), (3, 3));
    assert_eq!(tally(&database), 3);
}

#[test]
fn a_group_without_delay_is_every_commit_on_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut database = with_notes(&dir.path().join("data"), &[]);
    let add = database.reducer("notes", "add").unwrap();
    let rows = rows(&database, "text\none\ntwo\n");
    database.set_config(group(1 << 20, 0));
    let mut feed = Feed::new(&mut database, add, rows);
    let steps = [(); 3].map(|()| feed.step().unwrap());
    assert_eq!(steps, [Step::Synced, Step::Synced, Step::End]);
}

#[test]
fn a_bad_row_leaves_nothing_and_the_rows_behind_it_can_be_fed() {
    let dir = tempfile::tempdir().unwrap();
    let mut database = with_notes(&dir.path().join("data"), &[]);
    let add = database.reducer("notes", "add").unwrap();
    let rows = rows(&database, "text\none\n\"\"\nthree\n");
    let mut feed = Feed::new(&mut database, add, rows);
    feed.step().unwrap();
    let error = feed.step().unwrap_err();
    assert!(matches!(&error, FeedError::Call { place, .. } if place.line == 3 && place.row == 2));
    assert!(error.is_of_one_row());
    feed.step().unwrap();
    assert_eq!(feed.step().unwrap(), Step::End);
    assert_eq!((feed.calls(), tally(&database)), (2, 2));
}

#[test]
fn an_open_that_fails_cuts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    with_notes(&path, &["one"]).close().unwrap();
    let mut torn = fs::read(log_of(&path)).unwrap();
    torn.extend_from_slice(b"c and the rest of a frame is missing");
    fs::write(log_of(&path), &torn).unwrap();
    let module = fs::read_dir(path.join("modules")).unwrap().next().unwrap().unwrap().path();
    let wasm = fs::read(&module).unwrap();
    fs::remove_file(&module).unwrap();
    assert!(matches!(Database::open(&path), Err(OpenError::DataDir(_))));
    assert_eq!(fs::read(log_of(&path)).unwrap(), torn);
    fs::write(module, wasm).unwrap();
    let opened = Database::open(&path).unwrap();
    assert!(opened.opening().torn_tail.is_some(), "and it is told when it is cut");
}
