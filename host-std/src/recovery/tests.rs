//! Repairs in place that are cut short.

use std::{
    collections::BTreeMap,
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use super::*;
use crate::file_system::{
    FileSystem, OpenMode, SharedFileSystem, StoredFile, System, forward::forward_to_system,
};

#[path = "../../tests/fixture/mod.rs"]
mod fixture;

/// The system's files, with something happening instead of the nth renaming of
/// a directory.
#[derive(Debug)]
struct Renaming {
    happens: Happens,
    directories_left: AtomicU32,
}

#[derive(Clone, Copy, Debug)]
enum Happens {
    /// The process ends: unwinding runs nothing that a crash would not, because no
    /// value of a repair cleans up then.
    Crash,
    /// The system refuses.
    Refusal,
}

impl FileSystem for Renaming {
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if from.is_dir() && self.directories_left.fetch_sub(1, Ordering::Relaxed) == 0 {
            match self.happens {
                Happens::Crash => resume_unwind(Box::new("crash")),
                Happens::Refusal => return Err(io::ErrorKind::PermissionDenied.into()),
            }
        }
        System.rename(from, to)
    }

    forward_to_system!(
        is_file is_dir list modified create_dir_all sync_dir open remove lock
    );
}

/// Makes a database with damage in its last commits.
fn make_damaged(path: &Path) {
    let mut database = Database::create(path).unwrap();
    database.install(&fixture::wasm()).unwrap();
    let add = database.reducer("notes", "add").unwrap();
    for note in ["one", "two", "three"] {
        database.call(add, &fixture::text_argument(note)).unwrap();
    }
    database.close().unwrap();
    let log = path.join("log/00000000000000000000.log");
    let mut bytes = fs::read(&log).unwrap();
    let at = bytes.len() - 60;
    bytes[at] ^= 1;
    fs::write(log, bytes).unwrap();
}

/// Repairs `path` in place, with something happening instead of the renaming of
/// a directory behind `before` others. `None` when that was a crash.
fn repair(path: &Path, happens: Happens, before: u32) -> Option<Result<Done, RecoveryError>> {
    let files = Renaming { happens, directories_left: AtomicU32::new(before) };
    let dir = DataDir::open_in(Arc::new(files), path).unwrap();
    catch_unwind(AssertUnwindSafe(|| repair_open_dir(&dir, Mode::Truncate))).ok()
}

/// Every file below `dir` by its path there; the lock left out.
fn content(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.ends_with("interstice.lock") => {}
                false => {
                    let bytes = fs::read(&path).unwrap();
                    files.insert(path.strip_prefix(dir).unwrap().to_owned(), bytes);
                }
            }
        }
    }
    files
}

fn names(folder: &Path) -> Vec<String> {
    System.list(folder).unwrap()
}

fn hash(path: &Path) -> String {
    hash_text(ReadOnlyState::open(path).unwrap().state().state_hash())
}

/// Files that somebody else makes all the time.
#[derive(Debug, Default)]
struct Growing(AtomicU32);

impl FileSystem for Growing {
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = System.list(dir)?;
        names.push(format!("{}.tmp", self.0.fetch_add(1, Ordering::Relaxed)));
        Ok(names)
    }

    forward_to_system!(
        is_file is_dir modified create_dir_all sync_dir open rename remove lock
    );
}

#[test]
fn damage_beside_a_writer_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    make_damaged(&path);
    let dir = DataDir::open_read_only_in(Arc::new(Growing::default()), &path).unwrap();
    let report = crate::log_check::check(&dir, &mut |_| {}).unwrap();
    assert_eq!(report.problems.len(), 1);
    assert_eq!(good(&dir).unwrap(), None);
}

#[test]
fn a_crash_before_the_first_renaming_leaves_the_original_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    make_damaged(&path);
    let damaged = content(&path);
    assert!(repair(&path, Happens::Crash, 0).is_none(), "it crashed");
    assert_eq!(names(folder.path()), ["data", "data.repairing"]);
    assert_eq!(content(&path), damaged);
    assert_eq!(unpublished(&path), None, "nothing is missing");
    // What is left is in the way, and may be deleted.
    let refused = repair_in_place(&path, Mode::Truncate).unwrap_err();
    assert!(
        matches!(refused, RecoveryError::Unfinished(UnfinishedError::InTheWay { .. })),
        "{refused}"
    );
    fs::remove_dir_all(folder.path().join("data.repairing")).unwrap();
    repair_in_place(&path, Mode::Truncate).unwrap();
}

#[test]
fn a_crash_between_the_renamings_leaves_both_directories_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    make_damaged(&path);
    let (damaged, report) = (content(&path), examine(&path, Mode::Truncate).unwrap());
    assert!(repair(&path, Happens::Crash, 1).is_none(), "it crashed");
    let [original, copy] =
        ["data.before-repair-1", "data.repairing"].map(|name| folder.path().join(name));
    assert_eq!(names(folder.path()), ["data.before-repair-1", "data.repairing"]);
    assert_eq!(content(&original), damaged);
    assert_eq!(hash(&copy), report.state_hash);
    // Nothing takes the place of what is missing but the end of the repair.
    assert_eq!(unpublished(&path), Some(copy.clone()));
    let refused = repair_in_place(&path, Mode::Truncate).unwrap_err();
    let missing = DataDirError::Missing { path: path.clone(), exists: false };
    assert_eq!(refused.to_string(), RecoveryError::from(missing).to_string());
    fs::rename(copy, &path).unwrap();
    assert_eq!(unpublished(&path), None);
    let mut database = Database::open(&path).unwrap();
    assert_eq!(hash_text(database.state().state_hash()), report.state_hash);
    let add = database.reducer("notes", "add").unwrap();
    database.call(add, &fixture::text_argument("again")).unwrap();
}

#[test]
fn a_repair_writes_nothing_into_the_damaged_directory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    make_damaged(&path);
    let damaged = content(&path);
    std::os::unix::fs::symlink(&path, folder.path().join("link")).unwrap();
    for into in ["data/copy", "data/log/00000000000000000009.log", "link/copy", "data/../data/x"] {
        let refused = repair_into(&path, Mode::Truncate, &folder.path().join(into)).unwrap_err();
        assert!(matches!(refused, RecoveryError::Inside { .. }), "{into}: {refused}");
    }
    for into in ["data", "data/", "link"] {
        let refused = repair_into(&path, Mode::Truncate, &folder.path().join(into)).unwrap_err();
        assert!(matches!(refused, RecoveryError::Exists { .. }), "{into}: {refused}");
    }
    let nowhere = folder.path().join("nowhere/copy");
    let refused = repair_into(&path, Mode::Truncate, &nowhere).unwrap_err();
    assert!(matches!(refused, RecoveryError::Io { .. }), "{refused}");
    assert_eq!(content(&path), damaged);
    assert_eq!(names(folder.path()), ["data", "link"]);
}

#[test]
fn a_renaming_that_is_refused_leaves_the_original_where_it_was() {
    for before in 0..2 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        make_damaged(&path);
        let damaged = content(&path);
        let refused = repair(&path, Happens::Refusal, before).unwrap().unwrap_err();
        assert!(matches!(refused, RecoveryError::Io { action: "rename", .. }), "{refused}");
        assert_eq!(names(folder.path()), ["data"]);
        assert_eq!(content(&path), damaged);
    }
}

#[test]
fn what_is_being_repaired_is_not_repaired_by_another_and_what_is_left_of_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let [path, into, copy] = ["data", "new", "new.repairing"].map(|name| folder.path().join(name));
    make_damaged(&path);
    let first = Unfinished::begin(copy.clone(), &into).unwrap();
    fs::write(copy.join("log/half"), "a log").unwrap();
    let refused = repair_into(&path, Mode::Truncate, &into).unwrap_err();
    assert!(
        matches!(refused, RecoveryError::Unfinished(UnfinishedError::Busy { .. })),
        "{refused}"
    );
    assert!(copy.join("log/half").exists());
    // As a kill leaves it: the lock is gone, the rest is there.
    fs::copy(copy.join("interstice.unfinished"), folder.path().join("mark")).unwrap();
    drop(first);
    fs::create_dir_all(copy.join("log")).unwrap();
    fs::write(copy.join("log/half"), "a log").unwrap();
    fs::rename(folder.path().join("mark"), copy.join("interstice.unfinished")).unwrap();
    repair_into(&path, Mode::Truncate, &into).unwrap();
    assert_eq!(names(folder.path()), ["data", "new"]);
    assert!(!into.join("log/half").exists());
    assert!(!into.join("interstice.unfinished").exists());
    Database::open(&into).unwrap();
}

#[cfg(unix)]
#[test]
fn a_link_leads_to_what_is_repaired_in_place() {
    let folder = tempfile::tempdir().unwrap();
    make_damaged(&folder.path().join("data"));
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("data", &link).unwrap();
    let done = repair_in_place(&link.join(""), Mode::Truncate).unwrap();
    let real = folder.path().canonicalize().unwrap();
    assert_eq!(done.repaired, Some(real.join("data")));
    assert_eq!(done.original, real.join("data.before-repair-1"));
    assert_eq!(names(folder.path()), ["data", "data.before-repair-1", "link"]);
    Database::open(&link).unwrap();
}

#[test]
fn a_damaged_snapshot_is_damage_also_where_nothing_needs_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let mut database = Database::create(&path).unwrap();
    database.install(&fixture::wasm()).unwrap();
    let add = database.reducer("notes", "add").unwrap();
    let mut snapshots = Vec::new();
    for note in ["one", "two", "three"] {
        database.call(add, &fixture::text_argument(note)).unwrap();
        snapshots.push(database.snapshot().unwrap());
    }
    let (hash, commits) =
        (hash_text(database.state().state_hash()), database.state().next_offset());
    database.close().unwrap();
    assert!(examine(&path, Mode::Truncate).unwrap().good);
    let mut bytes = fs::read(&snapshots[1]).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&snapshots[1], bytes).unwrap();
    let (mode, report) = best_mode(&path).unwrap().unwrap();
    assert_eq!((mode, report.kept, report.lost_commits()), (Mode::Truncate, commits.0, 0));
    assert_eq!(report.damage[0].file, snapshots[1]);
    let done = repair_in_place(&path, mode).unwrap();
    assert_eq!(done.report.state_hash, hash);
    assert!(examine(&path, Mode::Truncate).unwrap().good);
}

/// The system's files; names of directories are noted, and one operation fails.
#[derive(Debug, Default)]
struct Noting {
    done: Mutex<Vec<&'static str>>,
    unreadable: Option<&'static str>,
}

impl FileSystem for Noting {
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        match self.unreadable.is_some_and(|name| dir.ends_with(name)) {
            true => Err(io::Error::other("input/output error")),
            false => System.list(dir),
        }
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn StoredFile>> {
        match self.unreadable.is_some_and(|name| path.ends_with(name)) {
            true => Err(io::Error::other("input/output error")),
            false => System.open(path, mode),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if from.is_dir() {
            self.done.lock().unwrap().push("rename");
        }
        System.rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if !dir.join("interstice.lock").exists() && dir.join("data.before-repair-1").exists() {
            self.done.lock().unwrap().push("sync");
        }
        System.sync_dir(dir)
    }

    forward_to_system!(is_file is_dir modified create_dir_all remove lock);
}

#[test]
fn the_original_has_its_other_name_before_the_copy_takes_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    make_damaged(&path);
    let files = Arc::new(Noting::default());
    let dir = DataDir::open_in(files.clone(), &path).unwrap();
    repair_open_dir(&dir, Mode::Truncate).unwrap();
    assert_eq!(*files.done.lock().unwrap(), ["rename", "sync", "rename", "sync"]);
}

#[test]
fn what_cannot_be_read_is_neither_damaged_nor_absent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    make_damaged(&path);
    let segment = path.join("log/00000000000000000000.log");
    let bytes = fs::read(&segment).unwrap();
    for unreadable in ["00000000000000000000.log", "log", "modules"] {
        let files = Noting { unreadable: Some(unreadable), ..Noting::default() };
        let files: SharedFileSystem = Arc::new(files);
        let error = DataDir::create_in(files.clone(), &path, header()).unwrap_err();
        assert!(matches!(error, DataDirError::Exists { .. }), "{unreadable}: {error}");
        let dir = DataDir::open_in(files, &path).unwrap();
        let error = repair_open_dir(&dir, Mode::Truncate).unwrap_err();
        assert!(error.to_string().ends_with("input/output error"), "{unreadable}: {error}");
        assert_eq!(fs::read(&segment).unwrap(), bytes);
        assert_eq!(names(folder.path()), ["data"]);
    }
}

#[test]
fn zeros_that_a_file_has_grown_by_are_not_reported_as_torn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    make_damaged(&path);
    let log = path.join("log/00000000000000000000.log");
    for (behind, torn) in [(vec![0; 5000], 0), ([&b"c"[..], &[0, 7], &[0; 5000]].concat(), 3)] {
        let bytes = fs::read(&log).unwrap();
        fs::write(&log, [&bytes[..], &behind].concat()).unwrap();
        assert_eq!(examine(&path, Mode::Skip).unwrap().torn_bytes, torn);
        fs::write(&log, bytes).unwrap();
    }
}

fn header() -> LogHeader {
    LogHeader { log_id: [1; 16], seed: 1 }
}
