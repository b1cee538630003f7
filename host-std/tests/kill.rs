//! Real processes, killed with `kill -9`: nothing acknowledged is lost, and
//! the lock is free.
//!
//! `INTERSTICE_KILL_ROUNDS=10000` makes the long run (`cargo xtask torture`).
#![cfg(unix)]

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
};

use interstice::{
    data_dir::{DataDir, DataDirError},
    database::{Database, OpenError, ReadOnlyState},
    persistence::{Durability, PersistenceConfig},
};

mod fixture;

/// Tells a process of this test that it is a writer, and where it writes.
const DIR: &str = "INTERSTICE_KILL_DIR";
const ROUNDS: &str = "INTERSTICE_KILL_ROUNDS";

/// Small segments and frequent snapshots, so that a kill meets them.
fn config(durability: Durability) -> PersistenceConfig {
    PersistenceConfig {
        durability,
        segment_bytes: 2000.try_into().unwrap(),
        snapshot_log_bytes: 5000,
        retain_segments: 5,
        ..PersistenceConfig::default()
    }
}

/// Adds notes for ever, or so many, and says to `out` what is acknowledged:
/// the number of commits, and the state hash behind them.
fn write_notes(path: &Path, notes: u64, out: &mut impl Write) {
    let dir = if DataDir::exists(path) { DataDir::open(path) } else { DataDir::create(path) };
    let mut database = Database::start_with(dir.unwrap(), config(Durability::Group)).unwrap();
    database.install(&fixture::wasm()).unwrap();
    let add = database.reducer("notes", "add").unwrap();
    for number in 0..notes {
        let note = fixture::text_argument(&format!("note {number}"));
        // Some share a sync.
        if number % 4 > 0 {
            database.append(add, &note).unwrap();
            continue;
        }
        database.call(add, &note).unwrap();
        let state = database.state();
        writeln!(out, "{} {:016x}", state.next_offset(), state.state_hash()).unwrap();
        database.snapshot_if_due().unwrap();
    }
}

/// The writer that other tests start and kill. On its own it writes a little.
#[test]
fn writer() {
    if let Some(dir) = env::var_os(DIR) {
        return write_notes(Path::new(&dir), u64::MAX, &mut std::io::stdout());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let mut said = Vec::new();
    write_notes(&path, 9, &mut said);
    let said = String::from_utf8(said).unwrap();
    assert_eq!(said.lines().next_back().unwrap().split_once(" ").unwrap().0, "19");
}

fn start_writer(path: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["writer", "--exact", "--nocapture"])
        .env(DIR, path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills a writer after it has acknowledged so often. Returns all that it has
/// acknowledged: commits and state hashes.
fn kill_after(path: &Path, acknowledgements: usize) -> Vec<(u64, String)> {
    let mut writer = start_writer(path);
    let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines().map_while(Result::ok);
    let acknowledged = |line: String| {
        let (commits, hash) = line.split_once(' ')?;
        Some((commits.parse().ok()?, hash.to_owned())).filter(|_| hash.len() == 16)
    };
    let mut all: Vec<_> = lines.by_ref().filter_map(acknowledged).take(acknowledgements).collect();
    writer.kill().unwrap();
    writer.wait().unwrap();
    all.extend(lines.filter_map(acknowledged));
    all
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let rounds = env::var(ROUNDS).map_or(200, |rounds| rounds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut path = folder.path().join("data-0");
    let mut commits_before = 0;
    for round in 0..rounds {
        // A new directory now and then: its making is killed too.
        if round % 25 == 0 {
            path = folder.path().join(format!("data-{round}"));
            commits_before = 0;
        }
        let acknowledged = kill_after(&path, round * 7 % 23);
        if !DataDir::exists(&path) {
            assert!(acknowledged.is_empty());
            continue;
        }
        let state = ReadOnlyState::open(&path).unwrap();
        let commits = state.state().next_offset().0;
        let last = acknowledged.last().map_or(commits_before, |(commits, _)| *commits);
        assert!(commits >= last, "round {round}: {commits} commits of {last} acknowledged");
        if let Some((_, hash)) = acknowledged.last().filter(|(last, _)| *last == commits) {
            assert_eq!(format!("{:016x}", state.state().state_hash()), *hash);
        }
        // The lock went with the process.
        let mut database = Database::open(&path).unwrap();
        assert_eq!(database.state().state_hash(), hash_with_resumed(&state, &database));
        let add = database.reducer("notes", "add");
        if let Ok(add) = add {
            database.call(add, &fixture::text_argument("after the kill")).unwrap();
        }
        commits_before = database.state().next_offset().0;
    }
}

/// The hash that opening for writing leads to: that of the log, unless it ran
/// subscriptions that waited.
fn hash_with_resumed(read: &ReadOnlyState, opened: &Database) -> u64 {
    match opened.opening().resumed {
        0 => read.state().state_hash(),
        _ => opened.state().state_hash(),
    }
}

#[test]
fn a_second_process_is_refused_every_time_while_the_first_one_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    for round in 0..10 {
        let mut writer = start_writer(&path);
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        // It says so when it has the directory.
        assert!(lines.any(|line| line.is_ok_and(|line| line.len() > 16)));
        for _ in 0..10 {
            let refused = Database::open(&path).unwrap_err();
            let OpenError::DataDir(DataDirError::Locked { .. }) = refused else {
                panic!("round {round}: {refused}");
            };
        }
        // Readers are not.
        ReadOnlyState::open(&path).unwrap();
        writer.kill().unwrap();
        writer.wait().unwrap();
        Database::open(&path).unwrap();
    }
}

/// What a process of [`disk_full`] is told with the directory: a small disk.
#[cfg(target_os = "linux")]
const SMALL_DISK: &str = "INTERSTICE_SMALL_DISK";

/// Fills a real disk of one megabyte until nothing goes any more; frees space;
/// and goes on. Needs `unshare` and `mount`, which every Linux has, and the
/// right to make a mount namespace.
#[cfg(target_os = "linux")]
#[test]
fn on_a_full_disk_nothing_is_lost_and_writing_resumes_when_there_is_space() {
    if let Some(dir) = env::var_os(SMALL_DISK) {
        return fill_disk(Path::new(&dir));
    }
    let folder = tempfile::tempdir().unwrap();
    let name = "on_a_full_disk_nothing_is_lost_and_writing_resumes_when_there_is_space";
    let script = "mount -t tmpfs -o size=1m none \"$0\" && exec \"$1\" \"$2\" --exact --nocapture";
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .args([folder.path().as_os_str(), env::current_exe().unwrap().as_os_str()])
        .args([name])
        .env(SMALL_DISK, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("filled: "), "{said}");
}

#[cfg(target_os = "linux")]
fn fill_disk(disk: &Path) {
    use interstice_core::CallErrorKind;

    let path = disk.join("data");
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, vec![7; 256 << 10]).unwrap();
    let open =
        || Database::start_with(DataDir::open(&path).unwrap(), config(Durability::Group)).unwrap();
    let mut database = Database::create(&path).unwrap();
    database.install(&fixture::wasm()).unwrap();
    drop(database);
    let note = fixture::text_argument(&"n".repeat(500));
    for round in 0..2 {
        let mut database = open();
        let add = database.reducer("notes", "add").unwrap();
        let mut acknowledged = (database.state().next_offset(), database.state().state_hash());
        // Bounded by the disk.
        let failed = loop {
            match database.call(add, &note) {
                Ok(_) => {
                    let state = database.state();
                    acknowledged = (state.next_offset(), state.state_hash());
                }
                Err(error) => break error,
            }
        };
        assert!(matches!(failed.kind, CallErrorKind::Log(_)), "{failed}");
        // Nothing is acknowledged any more, whatever is tried.
        let refused = database.call(add, &note).unwrap_err();
        assert!(matches!(refused.kind, CallErrorKind::Poisoned), "{refused}");
        drop(database);
        let state = ReadOnlyState::open(&path).unwrap();
        assert!(state.state().next_offset() >= acknowledged.0);
        if state.state().next_offset() == acknowledged.0 {
            assert_eq!(state.state().state_hash(), acknowledged.1);
        }
        println!("filled: {} commits", acknowledged.0);
        if round == 0 {
            std::fs::remove_file(&ballast).unwrap();
        }
    }
}

/// Who may not write may read. As root everything may be written to, so there
/// the directory is on a medium that takes nothing.
#[cfg(target_os = "linux")]
#[test]
fn a_read_only_medium_can_be_read_and_is_not_written_to() {
    if let Some(dir) = env::var_os(SMALL_DISK) {
        let path = Path::new(&dir);
        let mut database = Database::open_read_only(path).unwrap();
        let count = database.query_ref("notes", "count").unwrap();
        assert_eq!(database.query(count, &[]).unwrap().result, 9u64.to_le_bytes());
        let refused = Database::open(path).unwrap_err().to_string();
        assert!(refused.contains("Read-only file system"), "{refused}");
        println!("read: {} commits", database.state().next_offset());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    write_notes(&path, 9, &mut Vec::new());
    let name = "a_read_only_medium_can_be_read_and_is_not_written_to";
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" \
                  && exec \"$1\" \"$2\" --exact --nocapture";
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .args([path.as_os_str(), env::current_exe().unwrap().as_os_str()])
        .args([name])
        .env(SMALL_DISK, &path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("read: 19 commits"), "{said}");
}
