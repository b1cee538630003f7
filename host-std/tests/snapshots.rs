//! Starting up from snapshots, and letting old segments go.

use std::{
    fs::{self, File},
    num::NonZeroU64,
    path::Path,
    time::{Duration, SystemTime},
};

use interstice::{
    data_dir::DataDir,
    database::{Database, Go, History, OpenError, ReadOnlyState},
    file_log::{LogError, SegmentFault},
    file_system::System,
    log_check,
    persistence::PersistenceConfig,
    recovery::{self, Mode},
    snapshots,
};
use interstice_core::{Limits, TxOffset, log::frame::SNAPSHOT_HEADER_LEN};

mod fixture;

/// Small segments, and snapshots only when they are asked for.
fn config() -> PersistenceConfig {
    PersistenceConfig {
        segment_bytes: 400.try_into().unwrap(),
        snapshot_log_bytes: 0,
        ..PersistenceConfig::default()
    }
}

fn create(path: &Path, config: PersistenceConfig) -> Database {
    let mut database = Database::start_with(DataDir::create(path).unwrap(), config).unwrap();
    database.install(&fixture::wasm()).unwrap();
    database
}

fn add(database: &mut Database, notes: usize) {
    let add = database.reducer("notes", "add").unwrap();
    for note in 0..notes {
        database.call(add, &fixture::text_argument(&format!("note {note}"))).unwrap();
    }
}

/// The names of the files in a directory.
fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A database with notes before, between and behind two snapshots.
fn with_two_snapshots(path: &Path, config: PersistenceConfig) -> u64 {
    let mut database = create(path, config);
    add(&mut database, 10);
    database.snapshot().unwrap();
    add(&mut database, 10);
    database.snapshot().unwrap();
    add(&mut database, 10);
    database.state().state_hash()
}

#[test]
fn snapshot_and_tail_lead_where_the_whole_log_leads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let hash = with_two_snapshots(&path, config());
    let dir = DataDir::open_read_only(&path).unwrap();
    let database = Database::start(dir).unwrap();
    let opening = database.opening();
    assert_eq!((opening.snapshot, opening.commits), (Some(TxOffset(41)), 20));
    assert_eq!(database.state().state_hash(), hash);
    assert!(opening.bad_snapshots.is_empty());
    drop(database);
    for name in names(&path.join("snapshots")) {
        fs::remove_file(path.join("snapshots").join(name)).unwrap();
    }
    let database = Database::open(&path).unwrap();
    assert_eq!((database.opening().snapshot, database.opening().commits), (None, 61));
    assert_eq!(database.state().state_hash(), hash);
}

#[test]
fn every_flipped_bit_of_a_snapshot_is_found_and_an_older_one_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let hash = with_two_snapshots(&path, config());
    let newest = path.join("snapshots").join(names(&path.join("snapshots")).pop().unwrap());
    let whole = fs::read(&newest).unwrap();
    let log = ReadOnlyState::open(&path).unwrap().log_header();
    let open = || ReadOnlyState::open(&path).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&newest, &flipped).unwrap();
        let read = snapshots::read(&System, &newest, log, &Limits::default(), &mut |_| {});
        assert!(read.is_err(), "bit {bit}");
        // What is found there is left aside; asked now and then, for time.
        if bit % 61 > 0 {
            continue;
        }
        let database = open();
        assert_eq!(database.state().state_hash(), hash, "bit {bit}");
        let opening = database.opening();
        assert_eq!(opening.snapshot, Some(TxOffset(21)), "bit {bit}");
        assert_eq!(opening.bad_snapshots.len(), 1);
        assert_eq!(opening.bad_snapshots[0].path, newest);
    }
    for len in (0..whole.len()).step_by(7) {
        fs::write(&newest, &whole[..len]).unwrap();
        assert_eq!(open().opening().snapshot, Some(TxOffset(21)), "cut at {len}");
    }
    let mut longer = whole.clone();
    longer.push(0);
    fs::write(&newest, &longer).unwrap();
    assert!(open().opening().bad_snapshots[0].why.contains("behind its seal"));
    // Half a snapshot has another name.
    fs::write(newest.with_extension("tmp"), &whole[..SNAPSHOT_HEADER_LEN]).unwrap();
    fs::write(&newest, &whole).unwrap();
    assert_eq!(open().opening().snapshot, Some(TxOffset(41)));
}

#[test]
fn snapshots_of_another_history_are_left_aside() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("data"), folder.path().join("other"));
    let hash = with_two_snapshots(&path, config());
    with_two_snapshots(&other, config());
    let name = names(&path.join("snapshots")).pop().unwrap();
    let newest = path.join("snapshots").join(&name);
    fs::copy(other.join("snapshots").join(&name), &newest).unwrap();
    let database = Database::open(&path).unwrap();
    assert_eq!(database.state().state_hash(), hash);
    assert_eq!(database.opening().bad_snapshots[0].why, "belongs to another log");
    drop(database);
    fs::rename(&newest, path.join("snapshots/00000000000000000077.snapshot")).unwrap();
    let database = Database::open(&path).unwrap();
    assert_eq!(database.state().state_hash(), hash);
    assert!(database.opening().bad_snapshots[0].why.starts_with("was renamed"));
}

#[test]
fn a_snapshot_of_a_log_without_new_commits_is_as_good_as_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let mut database = create(&path, config());
    add(&mut database, 10);
    database.snapshot().unwrap();
    database.close().unwrap();
    // The newest segment holds nothing but the mark of a log that was closed.
    for _ in 0..2 {
        let mut database = Database::open(&path).unwrap();
        assert_eq!(database.opening().bad_snapshots, []);
        assert_eq!(database.opening().snapshot, Some(TxOffset(21)));
        database.snapshot().unwrap();
        database.close().unwrap();
        let dir = DataDir::open_read_only(&path).unwrap();
        assert_eq!(log_check::check(&dir, &mut |_| {}).unwrap().problems, []);
    }
}

#[test]
fn a_log_that_ends_before_its_snapshot_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    with_two_snapshots(&path, config());
    for name in names(&path.join("log")).into_iter().skip_while(|n| *n < format!("{:020}.log", 41))
    {
        fs::remove_file(path.join("log").join(name)).unwrap();
    }
    let refused = Database::open(&path).unwrap_err();
    assert!(
        matches!(&refused, OpenError::LogBehindSnapshot { position, .. } if position.0 == 41),
        "{refused}"
    );
    // Reading an old part of it says so, too: what is behind is lost.
    let dir = DataDir::open_read_only(&path).unwrap();
    for from in [0, 25, u64::MAX] {
        let refused = History::open(&dir, TxOffset(from)).unwrap_err();
        assert!(matches!(refused, OpenError::LogBehindSnapshot { .. }), "{refused}");
    }
}

#[test]
fn segments_go_only_when_a_snapshot_has_what_they_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let retain = PersistenceConfig { retain_segments: 1, ..config() };
    let mut database = create(&path, retain);
    add(&mut database, 40);
    // Without a snapshot nothing goes.
    assert_eq!(names(&path.join("log"))[0], format!("{:020}.log", 0));
    database.snapshot().unwrap();
    // There is no snapshot yet at which the log could begin and still have one
    // segment besides the newest.
    assert_eq!(names(&path.join("log"))[0], format!("{:020}.log", 0));
    add(&mut database, 40);
    database.snapshot().unwrap();
    // The older of two kept snapshots still needs what is behind it.
    assert_eq!(names(&path.join("log"))[0], format!("{:020}.log", 81));
    assert_eq!(names(&path.join("snapshots")).len(), 2);
    add(&mut database, 40);
    database.snapshot().unwrap();
    assert_eq!(names(&path.join("log"))[0], format!("{:020}.log", 161));
    assert_eq!(names(&path.join("snapshots")).len(), 2);
    let hash = database.state().state_hash();
    drop(database);

    let database = Database::open(&path).unwrap();
    assert_eq!(database.state().state_hash(), hash);
    drop(database);
    // The history begins with the oldest snapshot.
    let dir = DataDir::open_read_only(&path).unwrap();
    let mut history = History::open(&dir, TxOffset(0)).unwrap();
    assert_eq!(history.state().next_offset(), TxOffset(161));
    let visited: Result<Go, OpenError> = history.visit(|_, _, _| Ok(Go::On));
    visited.unwrap();
    assert_eq!(history.state().state_hash(), hash);

    // Without a snapshot the log has no beginning any more.
    for name in names(&path.join("snapshots")) {
        fs::remove_file(path.join("snapshots").join(name)).unwrap();
    }
    let refused = Database::open(&path).unwrap_err();
    let OpenError::Log(LogError::Segment { fault, .. }) = &refused else { panic!("{refused}") };
    assert_eq!(*fault, SegmentFault::Beginning { first: TxOffset(161) });
}

#[test]
fn a_first_segment_that_was_not_let_go_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    for retain_segments in [0, 2] {
        let path = folder.path().join(format!("data-{retain_segments}"));
        let hash = with_two_snapshots(&path, PersistenceConfig { retain_segments, ..config() });
        let first = path.join("log").join(&names(&path.join("log"))[0]);
        fs::remove_file(&first).unwrap();
        let missing = match retain_segments {
            0 => SegmentFault::NotFirst { number: 1 },
            _ => SegmentFault::Number { expected: 3, found: 4 },
        };
        let refused = Database::open(&path).unwrap_err();
        let OpenError::Log(LogError::Segment { fault, .. }) = &refused else { panic!("{refused}") };
        assert_eq!(*fault, missing);
        let dir = DataDir::open_read_only(&path).unwrap();
        assert!(History::open(&dir, TxOffset(u64::MAX)).is_err());
        let report = log_check::check(&dir, &mut |_| {}).unwrap();
        assert!(report.problems[0].path.starts_with(path.join("log")), "{:?}", report.problems);
        // The state is in the snapshots, and what is left goes on behind one.
        for mode in [Mode::Truncate, Mode::Skip, Mode::Snapshot(None)] {
            let into = folder.path().join("repaired");
            let done = recovery::repair_into(&path, mode, &into).unwrap();
            assert_eq!(done.report.damage.len(), 1, "{:?}", done.report.damage);
            assert_eq!(done.report.lost, []);
            let repaired = Database::open(&into).unwrap();
            assert_eq!(repaired.state().state_hash(), hash);
            fs::remove_dir_all(&into).unwrap();
        }
    }
}

#[test]
fn what_retention_leaves_begins_with_a_snapshot_and_is_good() {
    for (retain_segments, snapshots_kept) in [(1, 1), (2, 2), (5, 2), (9, 1), (3, 4)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let snapshots_kept: NonZeroU64 = snapshots_kept.try_into().unwrap();
        let config = PersistenceConfig { retain_segments, snapshots_kept, ..config() };
        let mut database = create(&path, config);
        let mut first = TxOffset(0);
        for round in 1..=12 {
            add(&mut database, 1 + round % 5);
            database.snapshot().unwrap();
            let dir = DataDir::open_read_only(&path).unwrap();
            let report = log_check::check(&dir, &mut |_| {}).unwrap();
            assert_eq!(report.problems, []);
            assert_eq!(report.state_hash, Some(database.state().state_hash()));
            // Every commit that is left can be replayed.
            let oldest = names(&path.join("log")).remove(0);
            assert_eq!(oldest, format!("{:020}.log", report.first.0));
            assert!(report.segments > retain_segments.min(round as u64));
            assert!(report.snapshots <= snapshots_kept.get() + 2);
            assert!(report.snapshots >= snapshots_kept.get().min(round as u64));
            first = report.first;
        }
        assert!(first > TxOffset(0), "{retain_segments} segments: nothing ever goes");
    }
}

#[test]
fn a_damaged_snapshot_that_the_log_begins_with_stays_while_its_segment_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let config =
        PersistenceConfig { retain_segments: 4, snapshots_kept: 1.try_into().unwrap(), ..config() };
    let mut database = create(&path, config);
    let oldest = || names(&path.join("log")).remove(0).replace(".log", ".snapshot");
    let first = format!("{:020}.snapshot", 0);
    while oldest() == first {
        add(&mut database, 3);
        database.snapshot().unwrap();
    }
    let beginning = path.join("snapshots").join(oldest());
    let mut bytes = fs::read(&beginning).unwrap();
    bytes[60] ^= 1;
    fs::write(&beginning, &bytes).unwrap();
    add(&mut database, 1);
    database.snapshot().unwrap();
    assert!(path.join("snapshots").join(oldest()).exists(), "{}", oldest());
}

#[test]
fn a_history_begins_with_the_oldest_snapshot_that_is_good() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let config = PersistenceConfig { retain_segments: 1, ..config() };
    let mut database = create(&path, config);
    for _ in 0..3 {
        add(&mut database, 10);
        database.snapshot().unwrap();
    }
    let hash = database.state().state_hash();
    drop(database);
    let snapshots: Vec<_> = names(&path.join("snapshots"))
        .iter()
        .map(|name| path.join("snapshots").join(name))
        .collect();
    assert_eq!(snapshots.len(), 2);
    let dir = DataDir::open_read_only(&path).unwrap();
    assert_eq!(History::open(&dir, TxOffset(0)).unwrap().first(), TxOffset(41));

    let mut damaged = fs::read(&snapshots[0]).unwrap();
    damaged[SNAPSHOT_HEADER_LEN + 9] ^= 1;
    fs::write(&snapshots[0], damaged).unwrap();
    let mut history = History::open(&dir, TxOffset(0)).unwrap();
    assert_eq!((history.first(), history.bad_snapshots().len()), (TxOffset(61), 1));
    history.visit(|_, _, _| Ok::<_, OpenError>(Go::On)).unwrap();
    assert_eq!(history.state().state_hash(), hash);
    // Without it, what is before the other one is there and leads nowhere. That
    // is no damage: a removal that was cut short leaves it, too.
    fs::remove_file(&snapshots[0]).unwrap();
    let report = log_check::check(&dir, &mut |_| {}).unwrap();
    assert_eq!(report.problems, []);
    assert_eq!((report.oldest, report.first), (TxOffset(41), TxOffset(61)));
}

#[test]
fn retention_goes_on_where_snapshots_are_damaged_or_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("data"), folder.path().join("other"));
    with_two_snapshots(&other, config());
    let config = PersistenceConfig { retain_segments: 2, ..config() };
    let mut database = create(&path, config);
    for round in 0..12 {
        add(&mut database, 3);
        let written = database.snapshot().unwrap();
        assert!(written.is_file());
        match round {
            2 => {
                let foreign = path.join("snapshots/00000000000000000021.snapshot");
                fs::copy(other.join("snapshots/00000000000000000021.snapshot"), foreign).unwrap();
            }
            4 => {
                // The one where the log would be cut next.
                let mut damaged = fs::read(&written).unwrap();
                damaged[SNAPSHOT_HEADER_LEN + 9] ^= 1;
                fs::write(&written, damaged).unwrap();
            }
            _ => {}
        }
    }
    let segments = names(&path.join("log")).len() - 1;
    assert!(segments < 10, "{segments} segments: nothing goes any more");
    assert!(path.join("snapshots/00000000000000000021.snapshot").is_file());
    let dir = DataDir::open_read_only(&path).unwrap();
    let mut history = History::open(&dir, TxOffset(0)).unwrap();
    history.visit(|_, _, _| Ok::<_, OpenError>(Go::On)).unwrap();
    assert_eq!(history.state().state_hash(), database.state().state_hash());
}

#[test]
fn where_a_history_begins_with_a_snapshot_that_one_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let mut database = create(&path, PersistenceConfig { retain_segments: 1, ..config() });
    for _ in 0..3 {
        add(&mut database, 10);
        database.snapshot().unwrap();
    }
    let first =
        History::open(&DataDir::open_read_only(&path).unwrap(), TxOffset(0)).unwrap().first();
    assert!(first > TxOffset(0));
    // From now on nothing is removed.
    database.set_config(config());
    for _ in 0..4 {
        add(&mut database, 10);
        database.snapshot().unwrap();
    }
    let dir = DataDir::open_read_only(&path).unwrap();
    assert_eq!(History::open(&dir, TxOffset(0)).unwrap().first(), first);
}

#[test]
fn what_writers_left_that_were_cut_short_goes_with_the_next_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    with_two_snapshots(&path, config());
    for dir in ["log", "snapshots"] {
        fs::write(path.join(dir).join("00000000000000000007.tmp"), "half").unwrap();
    }
    let mut database = Database::open(&path).unwrap();
    database.snapshot().unwrap();
    for dir in ["log", "snapshots"] {
        assert!(names(&path.join(dir)).iter().all(|name| !name.ends_with(".tmp")));
    }
}

#[test]
fn segments_go_by_bytes_and_by_age() {
    for (retain, left) in [
        (PersistenceConfig { retain_bytes: 1, ..config() }, 1),
        (PersistenceConfig { retain_bytes: 1 << 40, ..config() }, 5),
        // Written this hour.
        (PersistenceConfig { retain_hours: 1, ..config() }, 5),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let mut database = create(&path, retain);
        add(&mut database, 14);
        database.snapshot().unwrap();
        let mut segments = names(&path.join("log"));
        segments.retain(|name| name.ends_with(".log"));
        assert_eq!(segments.len(), left, "{segments:?}");
    }
}

#[test]
fn the_file_in_the_directory_says_how_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("interstice.toml"), "segment_bytes = 300\nsnapshot_log_bytes = 1").unwrap();
    let mut database = Database::create(&path).unwrap();
    database.install(&fixture::wasm()).unwrap();
    add(&mut database, 10);
    assert!(database.snapshot_if_due().unwrap().is_some());
    assert!(database.snapshot_if_due().unwrap().is_none(), "nothing was added");
    assert!(names(&path.join("log")).len() > 1);
    drop(database);
    fs::write(path.join("interstice.toml"), "\nsegment_bites = 300").unwrap();
    let refused = Database::open(&path).unwrap_err().to_string();
    assert!(refused.contains("interstice.toml") && refused.contains("line 2"), "{refused}");
}

#[test]
fn a_snapshot_is_due_by_what_earlier_processes_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let config = PersistenceConfig { snapshot_log_bytes: 2_000, ..config() };
    drop(create(&path, config.clone()));
    let mut lens = Vec::new();
    for _ in 0..60 {
        let dir = DataDir::open(&path).unwrap();
        let mut database = Database::start_with(dir, config.clone()).unwrap();
        add(&mut database, 1);
        if database.snapshot_if_due().unwrap().is_some() {
            lens.push(database.log().len());
        }
        database.close().unwrap();
    }
    assert!(lens.len() >= 2, "{lens:?}");
    let growth = lens.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(growth.into_iter().all(|bytes| (2_000..2_600).contains(&bytes)), "{lens:?}");
}

#[test]
fn a_snapshot_is_due_by_its_age_also_in_a_new_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let config = PersistenceConfig { snapshot_seconds: 3_600, ..config() };
    let due = || {
        let dir = DataDir::open(&path).unwrap();
        let mut database = Database::start_with(dir, config.clone()).unwrap();
        add(&mut database, 1);
        let taken = database.snapshot_if_due().unwrap();
        database.close().unwrap();
        taken
    };
    drop(create(&path, config.clone()));
    let taken = due().expect("there are commits, and no snapshot");
    assert_eq!(due(), None);
    let hour_ago = SystemTime::now() - Duration::from_secs(3_601);
    File::options().write(true).open(taken).unwrap().set_modified(hour_ago).unwrap();
    assert!(due().is_some());
    assert_eq!(due(), None);
}

#[test]
fn opening_and_closing_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let config = PersistenceConfig { snapshot_log_bytes: 1, ..config() };
    with_two_snapshots(&path, config.clone());
    let content = || {
        let mut content = Vec::new();
        for dir in ["log", "snapshots", "modules", ""] {
            for name in names(&path.join(dir)) {
                let path = path.join(dir).join(&name);
                if path.is_file() {
                    content.push((path.clone(), fs::read(&path).unwrap()));
                }
            }
        }
        content
    };
    let before = content();
    for _ in 0..3 {
        let dir = DataDir::open(&path).unwrap();
        Database::start_with(dir, config.clone()).unwrap().close().unwrap();
        assert_eq!(content(), before);
    }
}
