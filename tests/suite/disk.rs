//! A database on a disk that crashes, fails and fills up, at every operation.
//!
//! `INTERSTICE_CRASH_IMAGES=1000000` makes the long run (`cargo xtask torture`).

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use interstice::{
    data_dir::DataDir,
    database::{AddModuleError, Database, OpenError, ReadOnlyState},
    file_system::SharedFileSystem,
    log_check,
    persistence::{Durability, PersistenceConfig},
};
use interstice_core::{CallErrorKind, InstallError, TxOffset};
use interstice_tests::{
    faults::{Fault, FaultyDisk, Moment},
    fixture::HEADER,
    guest::{on_insert, script},
    random::Random,
};

use crate::modules::{args, insert, insert_into, on_row, script as script_of, scripted, update};

const DATA: &str = "/data";

/// Small segments and few commits behind a snapshot, so that a run meets many
/// of both.
fn config() -> PersistenceConfig {
    PersistenceConfig {
        segment_bytes: 4096.try_into().unwrap(),
        snapshot_log_bytes: 6000,
        retain_segments: 3,
        ..PersistenceConfig::default()
    }
}

fn files(disk: &FaultyDisk) -> SharedFileSystem {
    Arc::new(disk.clone())
}

fn data() -> &'static Path {
    Path::new(DATA)
}

/// Makes or opens the database on a disk.
fn open(disk: &FaultyDisk, config: PersistenceConfig) -> Result<Database, OpenError> {
    let dir = match DataDir::open_in(files(disk), data()) {
        Ok(dir) => dir,
        Err(interstice::data_dir::DataDirError::Missing { .. }) => {
            DataDir::create_in(files(disk), data(), HEADER)?
        }
        Err(error) => return Err(error.into()),
    };
    Database::start_with(dir, config)
}

/// What can be known of a run from outside: the hash of the state behind every
/// commit, and how many commits are acknowledged.
#[derive(Clone, Debug)]
struct Known {
    /// By the number of commits.
    hashes: Vec<u64>,
    acknowledged: u64,
}

impl Default for Known {
    /// No commit, and the hash of the state that has none.
    fn default() -> Self {
        Self { hashes: vec![0], acknowledged: 0 }
    }
}

impl Known {
    fn note(&mut self, database: &Database) {
        let state = database.state();
        let commits = state.next_offset().0 as usize;
        self.hashes.resize(self.hashes.len().max(commits + 1), 0);
        self.hashes[commits] = state.state_hash();
    }
}

/// Installs a module, and makes `calls` calls. Some share a sync. Stops at the
/// first that the disk refuses. `after` is told what is known after each call.
fn work(
    database: &mut Database,
    known: &mut Known,
    calls: u64,
    mut after: impl FnMut(&Known),
) -> Result<(), String> {
    known.note(database);
    let installed = database.install(&scripted("m", &[]).wasm());
    if let Err(AddModuleError::Install(InstallError::Refused(_) | InstallError::Load(_))) =
        &installed
    {
        panic!("{installed:?}");
    }
    // What was refused after it was appended may be on the disk.
    known.note(database);
    installed.map_err(|error| error.to_string())?;
    known.acknowledged = database.state().next_offset().0;
    let run = database.reducer("m", "run").map_err(|error| error.to_string())?;
    for call in 0..calls {
        let number = database.state().next_offset().0;
        let ops = match number % 48 {
            0..4 => [insert(number, &number.to_le_bytes())],
            _ => [update(number / 48 * 48, &[number as u8; 20])],
        };
        // An update before its insert changes nothing, and is a commit too.
        let done = match call % 3 {
            0 => database.append(run, &args(&ops)),
            _ => database.call(run, &args(&ops)),
        };
        known.note(database);
        done.map_err(|error| error.to_string())?;
        if call % 3 > 0 {
            known.acknowledged = database.state().next_offset().0;
        }
        database.snapshot_if_due().map_err(|error| error.to_string())?;
        after(known);
    }
    Ok(())
}

/// Asserts that a disk after a crash holds what is known: everything that was
/// acknowledged, and nothing that is half a commit. Returns the commits.
fn assert_holds(disk: &FaultyDisk, known: &Known, what: &dyn Fn() -> String) -> u64 {
    let dir = match DataDir::open_read_only_in(files(disk), data()) {
        Ok(dir) => dir,
        Err(_) if known.acknowledged == 0 => return 0,
        Err(error) => panic!("{}: {error}", what()),
    };
    let opened = ReadOnlyState::of(dir).unwrap_or_else(|error| panic!("{}: {error}", what()));
    let state = opened.state();
    let commits = state.next_offset().0;
    assert!(commits >= known.acknowledged, "{}: {commits} of {}", what(), known.acknowledged);
    let expected = known.hashes.get(commits as usize);
    assert_eq!(Some(&state.state_hash()), expected, "{}: commit {commits}", what());
    assert!(opened.opening().bad_snapshots.is_empty(), "{}", what());
    commits
}

/// Asserts that what a crash leaves is not taken for damage anywhere.
fn assert_undamaged(disk: &FaultyDisk, what: &dyn Fn() -> String) {
    let dir = DataDir::open_read_only_in(files(disk), data()).unwrap();
    let report = log_check::check(&dir, &mut |_| {}).unwrap();
    assert_eq!(report.problems, [], "{}", what());
}

/// A run, moment by moment: what a crash after each operation has to hold.
fn traced(calls: u64) -> Vec<(Moment, Known)> {
    let disk = FaultyDisk::new();
    disk.keep_trace();
    let mut moments = Vec::new();
    let mut known = Known::default();
    let mut database = open(&disk, config()).unwrap();
    let worked = work(&mut database, &mut known, calls, |known| {
        let trace = disk.take_trace();
        disk.keep_trace();
        moments.push((trace, known.acknowledged));
    });
    worked.unwrap();
    // A moment in the middle of a call promises what was acknowledged before
    // it; the states of the whole run are the ones that may be found.
    let mut acknowledged = 0;
    let mut all = Vec::new();
    let hashes = known.hashes;
    for (trace, acknowledged_after) in moments {
        for moment in trace {
            all.push((moment, Known { hashes: Vec::new(), acknowledged }));
        }
        acknowledged = acknowledged_after;
    }
    for (_, known) in &mut all {
        known.hashes.clone_from(&hashes);
    }
    all
}

#[test]
fn nothing_acknowledged_is_lost_by_a_crash_at_any_operation() {
    let images: u64 = env::var("INTERSTICE_CRASH_IMAGES").map_or(100_000, |n| n.parse().unwrap());
    let moments = traced(1000);
    let names = |moment: &Moment, ending: &str| {
        let content = moment.content();
        content.keys().filter(|path| path.to_string_lossy().ends_with(ending)).count()
    };
    let last = &moments.last().unwrap().0;
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|it| it == "log");
    let newest = last.content().into_keys().filter(is_segment).max();
    assert!(newest.unwrap() > Path::new("/data/log/00000000000000000900.log"));
    assert!(names(last, ".log") >= 4 && names(last, ".snapshot") >= 2);
    assert!(moments.len() > 1500, "{} operations", moments.len());

    let of_each = images.div_ceil(moments.len() as u64);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let moments = &moments;
            scope.spawn(move || {
                for (index, (moment, known)) in moments.iter().enumerate() {
                    if index % threads != thread {
                        continue;
                    }
                    for image in 0..of_each {
                        let seed = index as u64 * of_each + image;
                        let crashed = moment.crash(&mut Random::new(seed));
                        let what = || format!("operation {index}, seed {seed}");
                        let disk = FaultyDisk::after(crashed);
                        let commits = assert_holds(&disk, known, &what);
                        if image == 0 && commits > 0 {
                            assert_undamaged(&disk, &what);
                        }
                    }
                }
            });
        }
    });
}

#[test]
fn a_database_goes_on_behind_any_crash_and_behind_crashes_while_it_opens() {
    for seed in 0..150 {
        let mut random = Random::new(seed);
        let mut known = Known::default();
        let mut disk = FaultyDisk::new();
        for boot in 0..6 {
            let what = || format!("seed {seed}, boot {boot}");
            let commits = assert_holds(&disk, &known, &what);
            // What was not acknowledged may be gone; then other commits follow.
            known.hashes.truncate(commits as usize + 1);
            disk.fail_at(random.below(120), Fault::Crash);
            if let Ok(mut database) = open(&disk, config()) {
                let opened = database.state().next_offset().0;
                assert!(opened >= known.acknowledged, "{}", what());
                let _ = work(&mut database, &mut known, 60, |_| {});
            }
            disk = FaultyDisk::after(disk.moment().crash(&mut random));
        }
        assert_holds(&disk, &known, &|| format!("seed {seed}, at the end"));
    }
}

/// After any error nothing is acknowledged that may be lost; opened again,
/// everything acknowledged is there, and writing goes on.
#[test]
fn no_error_at_any_operation_makes_a_false_acknowledgement() {
    let quiet = FaultyDisk::new();
    let mut database = open(&quiet, config()).unwrap();
    work(&mut database, &mut Known::default(), 90, |_| {}).unwrap();
    drop(database);
    let operations = quiet.operations();
    assert!(operations > 150, "{operations}");
    for operation in 0..operations {
        for fault in [Fault::Io, Fault::NoSpace, Fault::Short] {
            let what = || format!("{fault:?} at operation {operation}");
            let disk = FaultyDisk::new();
            disk.fail_at(operation, fault);
            let mut known = Known::default();
            if let Ok(mut database) = open(&disk, config()) {
                let refused = work(&mut database, &mut known, 90, |_| {});
                if database.log().is_poisoned() {
                    assert!(refused.is_err(), "{}", what());
                    let run = database.reducer("m", "run");
                    if let Ok(run) = run {
                        let again = database.call(run, &args(&[insert(1 << 40, b"")]));
                        let kind = again.unwrap_err().kind;
                        assert!(matches!(kind, CallErrorKind::Poisoned | CallErrorKind::Log(_)));
                    }
                }
            }
            // How long commits are depends on the time, and so how many operations
            // there are: this one may not have been reached.
            disk.fail_at(u64::MAX, fault);
            // The process ends, and another one opens what the system has.
            let commits = assert_holds(&disk, &known, &what);
            known.hashes.truncate(commits as usize + 1);
            let mut database = open(&disk, config()).unwrap_or_else(|e| panic!("{}: {e}", what()));
            work(&mut database, &mut known, 8, |_| {})
                .unwrap_or_else(|e| panic!("{}: {e}", what()));
            // What it acknowledged outlives the power too, whatever the failed
            // sync had lost.
            for seed in 0..3 {
                let crashed = disk.moment().crash(&mut Random::new(operation * 3 + seed));
                let what = || format!("{fault:?} at operation {operation}, then a crash, {seed}");
                assert_holds(&FaultyDisk::after(crashed), &known, &what);
            }
        }
    }
}

/// A call is told that it is committed also where what runs behind it meets an
/// error. Then it is durable, too.
#[test]
fn a_call_that_fails_behind_its_commit_is_on_the_disk_when_that_is_said() {
    let react = on_row("react", "Note").on(on_insert("note"));
    let guest = scripted("m", &[]).reducer(react, &script::run_row());
    // Together more than a group: the second commit begins a segment.
    let large = insert(1, &[7; 12_000]);
    let call = args(&[insert_into("note", 0, &script_of(&[large]))]);
    for operation in 0.. {
        let disk = FaultyDisk::new();
        let mut database = open(&disk, config()).unwrap();
        database.install(&guest.wasm()).unwrap();
        let run = database.reducer("m", "run").unwrap();
        let before = database.state().next_offset().0;
        let operations = disk.operations();
        disk.fail_at(operations + operation, Fault::Io);
        let told = match database.call(run, &call) {
            Ok(_) if disk.operations() <= operations + operation => break,
            Ok(_) => before + 2,
            Err(error) => match error.kind {
                CallErrorKind::Behind { offset, .. } => offset.0 + 1,
                _ => before,
            },
        };
        drop(database);
        for seed in 0..8 {
            let crashed = FaultyDisk::after(disk.moment().crash(&mut Random::new(seed)));
            let dir = DataDir::open_read_only_in(files(&crashed), data()).unwrap();
            let commits = ReadOnlyState::of(dir).unwrap().state().next_offset().0;
            assert!(commits >= told, "operation {operation}: {commits} of {told}");
        }
    }
}

#[test]
fn nothing_is_written_when_the_lock_is_free() {
    let disk = FaultyDisk::new();
    let mut database = open(&disk, config()).unwrap();
    work(&mut database, &mut Known::default(), 20, |_| {}).unwrap();
    let operations = disk.operations();
    drop(database);
    assert!(disk.operations() > operations, "the end of the log is marked");
    assert_eq!(disk.unlocked_at(), Some(disk.operations()));
}

#[test]
fn a_full_disk_loses_nothing_and_writing_resumes_when_there_is_space() {
    for capacity in (6_000..30_000).step_by(997) {
        let disk = FaultyDisk::new();
        disk.set_capacity(capacity);
        let mut known = Known::default();
        if let Ok(mut database) = open(&disk, config()) {
            let _ = work(&mut database, &mut known, 2000, |_| {});
        }
        let what = || format!("{capacity} bytes");
        let content = disk.moment().content();
        assert!(!content.keys().any(|path| path.extension() == Some("tmp".as_ref())), "{}", what());
        let commits = assert_holds(&disk, &known, &what);
        known.hashes.truncate(commits as usize + 1);
        disk.set_capacity(1 << 40);
        let mut database = open(&disk, config()).unwrap();
        work(&mut database, &mut known, 50, |_| {}).unwrap();
        drop(database);
        let crashed = disk.moment().crash(&mut Random::new(capacity));
        assert_holds(&FaultyDisk::after(crashed), &known, &what);
    }
}

#[test]
fn with_the_system_deciding_the_end_of_a_process_loses_nothing() {
    let disk = FaultyDisk::new();
    let config = PersistenceConfig { durability: Durability::System, ..config() };
    let mut known = Known::default();
    let mut database = open(&disk, config.clone()).unwrap();
    work(&mut database, &mut known, 200, |_| {}).unwrap();
    std::mem::forget(database);
    let settled = FaultyDisk::after(disk.moment().settled());
    assert_holds(&settled, &known, &|| "killed".to_owned());
    // A power cut may take commits, but leaves no half of one.
    let promised = Known { acknowledged: 0, ..known };
    for seed in 0..500 {
        let crashed = disk.moment().crash(&mut Random::new(seed));
        assert_holds(&FaultyDisk::after(crashed), &promised, &|| format!("seed {seed}"));
    }
}

#[test]
fn two_of_a_machine_are_refused_and_a_crash_frees_the_lock() {
    let disk = FaultyDisk::new();
    let database = open(&disk, config()).unwrap();
    assert!(open(&disk, config()).is_err());
    let after = FaultyDisk::after(disk.moment().crash(&mut Random::new(1)));
    assert_eq!(open(&after, config()).unwrap().state().next_offset(), TxOffset(0));
    drop(database);
    open(&disk, config()).unwrap();
}

#[test]
fn a_read_that_fails_is_an_error_and_never_a_shorter_log() {
    let disk = FaultyDisk::new();
    let mut known = Known::default();
    let mut database = open(&disk, config()).unwrap();
    work(&mut database, &mut known, 150, |_| {}).unwrap();
    let hash = database.state().state_hash();
    drop(database);
    let before = disk.reads();
    let read =
        |disk: &FaultyDisk| ReadOnlyState::of(DataDir::open_read_only_in(files(disk), data())?);
    read(&disk).unwrap();
    let reads = disk.reads() - before;
    assert!(reads > 5, "{reads}");
    let mut errors = 0;
    for number in 0..reads {
        disk.fail_read_at(disk.reads() + number);
        match read(&disk) {
            Ok(opened) => assert_eq!(opened.state().state_hash(), hash, "read {number}"),
            Err(_) => errors += 1,
        }
        assert_eq!(read(&disk).unwrap().state().state_hash(), hash);
    }
    assert!(errors > 0);
    // A database that could not be read for writing is as it was.
    for number in 0..reads + 10 {
        disk.fail_read_at(disk.reads() + number);
        if let Ok(database) = open(&disk, config()) {
            assert_eq!(database.state().state_hash(), hash, "read {number}");
        }
    }
    disk.fail_read_at(u64::MAX);
    assert_eq!(open(&disk, config()).unwrap().state().state_hash(), hash);
}
