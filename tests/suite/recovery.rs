//! Recovery modes: what is kept of a damaged data directory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use interstice::{
    data_dir::DataDir,
    database::{Go, History, OpenError, ReadOnlyState},
    file_log::{FileLog, LogReader},
    file_system::{SharedFileSystem, System},
    recovery::{self, Mode, RecoveryError},
    snapshots,
};
use interstice_core::{
    Cause, CommittedState, Limits, Record, TxOffset,
    log::{Log as _, frame::Frames},
};
use interstice_tests::{
    Fixture,
    fixture::{HEADER, commits, rows},
    guest::{on_insert, script},
    random::Random,
};

use crate::modules::{
    args, delete, insert, insert_into, on_row, schedule, script as script_of, scripted, update,
};

/// A random history: rows that come, change and go, subscriptions, schedules.
fn history(random: &mut Random) -> Fixture {
    let guest = scripted("m", &[])
        .reducer(on_row("on_note", "Note").on(on_insert("note")), &script::run_row());
    let mut fixture = Fixture::of(&[&guest]);
    let mut time = 1_000;
    for step in 0..60u64 {
        let id = random.below(12);
        let data = random.bytes(4);
        let fresh = 100 + step;
        let op = match random.below(8) {
            0 | 1 => insert(fresh, &data),
            2 => insert(id, &data),
            3 | 4 => update(id, &data),
            5 => delete(id),
            6 => insert_into("note", 0, &script_of(&[insert(1_000 + step, &data)])),
            _ => schedule(time + 50, &[insert(2_000 + step, &data)]),
        };
        // Refused where the row is there already, or not: that leaves nothing.
        let _ = fixture.call("m.run", &args(&[op]));
        if random.chance(10) {
            time += 100;
            fixture.run_due(time);
        }
    }
    fixture
}

/// A data directory with the log of `fixture` in groups and segments, and
/// snapshots where segments begin.
fn write(fixture: &Fixture, path: &Path, random: &mut Random) {
    write_commits(commits(fixture.bytes()), path, random);
}

fn write_commits(
    commits: impl IntoIterator<Item = (TxOffset, Vec<u8>)>,
    path: &Path,
    random: &mut Random,
) {
    let files: SharedFileSystem = Arc::new(System);
    let dir = DataDir::create_in(files.clone(), path, HEADER).unwrap();
    let mut reader = LogReader::open(&files, &dir.log_dir()).unwrap();
    assert!(reader.next_frame().unwrap().is_none());
    let mut log = FileLog::open(&files, &dir.log_dir(), &reader.end(), u64::MAX).unwrap();
    let mut state = CommittedState::new(HEADER.seed, Limits::default());
    for (offset, commit) in commits {
        log.append(offset, &commit).unwrap();
        state.replay(offset, &commit).unwrap();
        if random.chance(40) {
            log.sync().unwrap();
        }
        if random.chance(6) {
            let end = log.begin_new_segment().unwrap();
            if random.chance(50) {
                snapshots::write(&files, &dir.snapshots_dir(), HEADER, end, &state).unwrap();
            }
        }
    }
    log.sync().unwrap();
}

/// Every file below `dir`, with its content; the lock left out, which has none.
fn content(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(content(&path));
        } else if !path.ends_with("interstice.lock") {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    files
}

fn segments(path: &Path) -> Vec<PathBuf> {
    content(&path.join("log")).into_keys().collect()
}

/// Changes one to eight bytes of one segment. Returns how many commits stand
/// before the frame that they are in.
fn damage(path: &Path, random: &mut Random) -> u64 {
    let segments = segments(path);
    let file = random.pick(&segments);
    let good = fs::read(file).unwrap();
    let at = random.below(good.len() as u64) as usize;
    let mut bad = good.clone();
    for byte in bad.iter_mut().skip(at).take(1 + random.below(8) as usize) {
        *byte ^= 1 + random.below(255) as u8;
    }
    fs::write(file, bad).unwrap();
    let mut frames = Frames::new(&good).unwrap();
    let mut before = frames.header().first.0;
    while frames.next().is_some() {
        before += u64::from(frames.position() <= at);
    }
    before
}

/// The commits of a directory that opens, with their types.
fn records(path: &Path) -> Vec<Record> {
    let dir = DataDir::open_read_only(path).unwrap();
    let mut history = History::open(&dir, TxOffset(0)).unwrap();
    let mut records = Vec::new();
    history
        .visit(|state, offset, commit| {
            records.push(state.read(offset, commit).unwrap());
            Ok::<_, OpenError>(Go::On)
        })
        .unwrap();
    records
}

fn hash(path: &Path) -> u64 {
    ReadOnlyState::open(path).unwrap().state().state_hash()
}

/// Runs `check` with damaged directories of many seeds: the fixture, the
/// directory, where to repair to, and the commits before the damage.
fn with_damage(seeds: std::ops::Range<u64>, check: impl Fn(&Fixture, &Path, &Path, u64)) {
    let mut damaged = 0;
    for seed in seeds.clone() {
        let random = &mut Random::new(seed);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let fixture = history(random);
        write(&fixture, &path, random);
        let before = damage(&path, random);
        let bad = content(&path);
        let report = recovery::examine(&path, Mode::Truncate);
        if matches!(&report, Ok(report) if report.good) {
            continue;
        }
        // A log whose only header is gone.
        if matches!(&report, Err(RecoveryError::NoLog { .. })) && segments(&path).len() == 1 {
            continue;
        }
        damaged += 1;
        check(&fixture, &path, &folder.path().join("repaired"), before);
        assert_eq!(content(&path), bad, "the original is as it was, seed {seed}");
    }
    assert!(damaged * 2 > seeds.end - seeds.start, "only {damaged} were damaged");
}

#[test]
fn truncating_keeps_exactly_the_commits_before_the_damage() {
    with_damage(0..80, |fixture, path, into, before| {
        let done = recovery::repair_into(path, Mode::Truncate, into).unwrap();
        assert_eq!(done.report.next_commit, before);
        assert_eq!(records(into), fixture.records()[..before as usize]);
        let cut = fixture.cut(before as usize);
        assert_eq!(hash(into), cut.state().state_hash());
    });
}

/// The commits of a directory that opens.
fn commits_in(path: &Path) -> Vec<(TxOffset, Vec<u8>)> {
    let dir = DataDir::open_read_only(path).unwrap();
    let mut history = History::open(&dir, TxOffset(0)).unwrap();
    let mut commits = Vec::new();
    history
        .visit(|_, offset, commit| {
            commits.push((offset, commit.to_vec()));
            Ok::<_, OpenError>(Go::On)
        })
        .unwrap();
    commits
}

#[test]
fn a_log_that_was_repaired_and_is_damaged_again_is_repaired_as_any_other() {
    let mut behind_repairs = 0;
    for seed in 500..530 {
        let random = &mut Random::new(seed);
        let folder = tempfile::tempdir().unwrap();
        let [first, once, again, twice] = ["a", "b", "c", "d"].map(|name| folder.path().join(name));
        write(&history(random), &first, random);
        damage(&first, random);
        let done = recovery::repair_into(&first, Mode::Skip, &once);
        if !matches!(&done, Ok(done) if done.repaired.is_some() && done.report.snapshot.is_none()) {
            continue;
        }
        let repaired = records(&once);
        write_commits(commits_in(&once), &again, random);
        let before = damage(&again, random);
        let report = recovery::examine(&again, Mode::Skip);
        if report.map_or(true, |report| report.good) {
            continue;
        }
        let done = recovery::repair_into(&again, Mode::Truncate, &twice).unwrap();
        assert_eq!(done.report.next_commit, before, "seed {seed}");
        let files: BTreeSet<_> = done.report.damage.iter().map(|damage| &damage.file).collect();
        assert_eq!(files.len(), 1, "seed {seed}: {:?}", done.report.damage);
        assert_eq!(records(&twice), repaired[..before as usize], "seed {seed}");
        let repairs = |records: &[Record]| {
            records.iter().filter(|record| record.cause == Cause::Repair).count()
        };
        behind_repairs += repairs(&repaired[..before as usize]);
    }
    assert!(behind_repairs > 30, "{behind_repairs}");
}

/// The rows of `item` that a record touches.
fn keys(record: &Record) -> BTreeSet<(u32, Vec<u8>)> {
    let row = |change: &interstice_core::RecordChange| {
        change.new.clone().or(change.old.clone()).unwrap()[..8].to_vec()
    };
    record.changes.iter().map(|change| (change.table.0, row(change))).collect()
}

#[test]
fn skipping_keeps_what_does_not_depend_on_what_is_lost_and_makes_no_row_up() {
    let kept_behind_damage = std::cell::Cell::new(0);
    with_damage(100..220, |fixture, path, into, before| {
        let original = fixture.records();
        let report = recovery::repair_into(path, Mode::Skip, into).unwrap().report;
        assert!(!report.good);
        let lost: BTreeSet<u64> =
            report.lost.iter().flat_map(|lost| lost.first..=lost.last).collect();
        let state = ReadOnlyState::open(into).unwrap();
        if lost.contains(&0) {
            // The installation: nothing can be read without it.
            assert_eq!((report.kept, report.unreadable), (0, report.dependent.len() as u64));
        } else if report.snapshot.is_none() {
            let repaired = records(into);
            let mut touched = BTreeSet::new();
            for (record, was) in repaired.iter().zip(&original) {
                let offset = record.offset.0;
                let is_repair = record.cause == Cause::Repair;
                assert!(offset >= before || !is_repair, "before the damage all is kept");
                if is_repair {
                    touched.extend(keys(was));
                } else {
                    assert_eq!(record.args, was.args, "commit {offset}");
                    assert_eq!(record.changes, was.changes, "commit {offset}");
                }
                let plain = matches!(was.cause, Cause::Call(_))
                    && was.schedules.is_empty()
                    && was.changes.iter().all(|change| change.table.0 == 0);
                let known = offset == 0 || !lost.contains(&(offset - 1));
                let independent = keys(was).is_disjoint(&touched) && !lost.contains(&offset);
                assert!(!(plain && known && independent && is_repair), "commit {offset}");
                kept_behind_damage
                    .set(kept_behind_damage.get() + u32::from(offset > before && !is_repair));
            }
        }
        let justified: BTreeSet<Vec<u8>> = original
            .iter()
            .filter(|record| !lost.contains(&record.offset.0))
            .flat_map(|record| record.changes.iter().filter_map(|change| change.new.clone()))
            .collect();
        for table in state.state().tables() {
            for row in table.rows() {
                assert!(justified.contains(row), "a row that no kept commit has made");
            }
        }
        // What is repaired is good.
        let again = recovery::examine(into, Mode::Skip).unwrap();
        assert!(again.good);
        assert_eq!(again.state_hash, report.state_hash);
    });
    assert!(kept_behind_damage.get() > 200, "{}", kept_behind_damage.get());
}

#[test]
fn a_snapshot_brings_back_what_the_log_before_it_has_lost() {
    let mut found = 0;
    for seed in 300..340 {
        let random = &mut Random::new(seed);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let fixture = history(random);
        write(&fixture, &path, random);
        let at = snapshots::snapshots(&System, &path.join("snapshots")).unwrap();
        let Some(newest) = at.last() else { continue };
        let first = path.join("log/00000000000000000000.log");
        let mut log = fs::read(&first).unwrap();
        log[80] ^= 4;
        fs::write(&first, log).unwrap();
        for mode in [Mode::Snapshot(None), Mode::Snapshot(Some(*newest))] {
            let report = recovery::examine(&path, mode).unwrap();
            assert_eq!(report.snapshot, Some(newest.0));
        }
        let into = folder.path().join("repaired");
        let report = recovery::repair_into(&path, Mode::Snapshot(None), &into).unwrap().report;
        assert_eq!(report.next_commit, fixture.state().next_offset().0);
        assert_eq!(hash(&into), fixture.state().state_hash());
        let state = ReadOnlyState::open(&into).unwrap();
        assert_eq!(rows(state.state(), "m.item"), fixture.rows("m.item"));
        found += 1;
    }
    assert!(found > 20, "{found}");
}

#[test]
fn a_good_directory_is_left_as_it_is() {
    for seed in 400..410 {
        let random = &mut Random::new(seed);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        write(&history(random), &path, random);
        let before = content(folder.path());
        for mode in [Mode::Truncate, Mode::Skip, Mode::Snapshot(None)] {
            let done = recovery::repair_in_place(&path, mode).unwrap();
            assert!(done.report.good);
            assert_eq!(done.repaired, None);
            let done = recovery::repair_into(&path, mode, &folder.path().join("new")).unwrap();
            assert_eq!(done.repaired, None);
        }
        assert_eq!(content(folder.path()), before);
    }
}

#[test]
fn repairing_in_place_keeps_the_original_beside_it() {
    let random = &mut Random::new(7);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    write(&history(random), &path, random);
    for number in 1..=2 {
        let file = segments(&path).remove(0);
        let mut log = fs::read(&file).unwrap();
        log[70] ^= 1;
        fs::write(&file, log).unwrap();
        let bad: Vec<Vec<u8>> = content(&path).into_values().collect();
        let done = recovery::repair_in_place(&path, Mode::Skip).unwrap();
        let original = folder.path().join(format!("data.before-repair-{number}"));
        assert_eq!(done.original, original);
        assert_eq!(content(&original).into_values().collect::<Vec<_>>(), bad);
        hash(&path);
    }
    let names = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(names, 3, "nothing unfinished is left");
}
