//! The disk with faults does what its model says: everything that may happen
//! does, and nothing else.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use interstice::file_system::{self, FileSystem, OpenMode};
use interstice_tests::{
    faults::{Fault, FaultyDisk, Moment},
    random::Random,
};

const OLD: [u8; 1300] = [b'o'; 1300];
const NEW: [u8; 1300] = [b'n'; 1300];

fn path(name: &str) -> &Path {
    Path::new(name)
}

/// A disk with a durable file `/dir/file` of [`OLD`].
fn disk() -> FaultyDisk {
    let disk = FaultyDisk::new();
    disk.create_dir_all(path("/dir")).unwrap();
    disk.sync_dir(path("/")).unwrap();
    file_system::write_new(&disk, path("/dir/file"), &OLD).unwrap();
    disk
}

/// What may be under a name after a crash, over many seeds.
fn outcomes(moment: &Moment, name: &str) -> BTreeSet<Option<Vec<u8>>> {
    let crashed = |seed| moment.crash(&mut Random::new(seed)).content().remove(path(name));
    (0..400).map(crashed).collect()
}

#[test]
fn what_was_synced_is_there_after_any_crash() {
    let outcomes = outcomes(&disk().moment(), "/dir/file");
    assert_eq!(outcomes, BTreeSet::from([Some(OLD.to_vec())]));
}

#[test]
fn a_write_that_was_not_synced_is_kept_dropped_torn_or_scrambled() {
    let disk = disk();
    disk.open(path("/dir/file"), OpenMode::Write).unwrap().write_at(0, &NEW).unwrap();
    let outcomes = outcomes(&disk.moment(), "/dir/file");
    let all = |check: &dyn Fn(&[u8]) -> bool| outcomes.iter().flatten().any(|found| check(found));
    assert!(outcomes.contains(&Some(NEW.to_vec())), "kept");
    assert!(outcomes.contains(&Some(OLD.to_vec())), "dropped");
    assert!(all(&|found| found[..512] == NEW[..512] && found[512..1024] == OLD[..512]), "torn");
    assert!(
        all(&|found| found[..512] == OLD[..512] && found[512..1024] == NEW[..512]),
        "unordered"
    );
    assert!(all(&|found| found.iter().any(|byte| !b"on".contains(byte))), "scrambled");
    assert!(
        outcomes.iter().flatten().all(|found| found.len() == OLD.len()),
        "its length was synced"
    );
    // What is behind the write is untouched.
    let disk = self::disk();
    disk.open(path("/dir/file"), OpenMode::Write).unwrap().write_at(100, &NEW[..50]).unwrap();
    for found in self::outcomes(&disk.moment(), "/dir/file").into_iter().flatten() {
        assert_eq!((&found[..100], &found[150..]), (&OLD[..100], &OLD[150..]));
    }
}

#[test]
fn lengths_are_written_on_their_own() {
    let disk = disk();
    let mut file = disk.open(path("/dir/file"), OpenMode::Write).unwrap();
    file.write_at(OLD.len() as u64, &NEW).unwrap();
    let found = outcomes(&disk.moment(), "/dir/file");
    let lens: BTreeSet<usize> = found.iter().flatten().map(Vec::len).collect();
    assert!(lens.contains(&OLD.len()) && lens.contains(&(OLD.len() + NEW.len())), "{lens:?}");
    let has_zeros = |found: &Vec<u8>| found.len() == 2600 && found[1300..].iter().all(|&b| b == 0);
    assert!(found.iter().flatten().any(has_zeros), "longer, without its bytes");
    file.set_len(10).unwrap();
    let found = outcomes(&disk.moment(), "/dir/file");
    let lens: BTreeSet<usize> = found.iter().flatten().map(Vec::len).collect();
    assert!(lens.contains(&10) && lens.contains(&1300), "{lens:?}");
    file.sync().unwrap();
    assert_eq!(outcomes(&disk.moment(), "/dir/file"), BTreeSet::from([Some(OLD[..10].to_vec())]));
}

#[test]
fn names_are_written_on_their_own() {
    let disk = disk();
    let mut file = disk.open(path("/dir/other"), OpenMode::Create).unwrap();
    file.write_at(0, &NEW).unwrap();
    file.sync().unwrap();
    let found = outcomes(&disk.moment(), "/dir/other");
    assert_eq!(found, BTreeSet::from([None, Some(NEW.to_vec())]), "bytes without a name");

    disk.sync_dir(path("/dir")).unwrap();
    disk.rename(path("/dir/other"), path("/dir/file")).unwrap();
    let found = outcomes(&disk.moment(), "/dir/file");
    assert_eq!(found, BTreeSet::from([Some(OLD.to_vec()), Some(NEW.to_vec())]));
    disk.sync_dir(path("/dir")).unwrap();
    disk.remove(path("/dir/file")).unwrap();
    let found = outcomes(&disk.moment(), "/dir/file");
    assert_eq!(found, BTreeSet::from([None, Some(NEW.to_vec())]));
    disk.sync_dir(path("/dir")).unwrap();
    assert_eq!(outcomes(&disk.moment(), "/dir/file"), BTreeSet::from([None]));
}

#[test]
fn a_directory_that_is_lost_takes_its_files_along() {
    let disk = disk();
    disk.create_dir_all(path("/dir/in/side")).unwrap();
    file_system::write_new(&disk, path("/dir/in/side/file"), &NEW).unwrap();
    let found = outcomes(&disk.moment(), "/dir/in/side/file");
    assert_eq!(found, BTreeSet::from([None, Some(NEW.to_vec())]));
    disk.sync_dir(path("/dir/in")).unwrap();
    assert!(
        outcomes(&disk.moment(), "/dir/in/side/file").contains(&None),
        "one name is not durable"
    );
    disk.sync_dir(path("/dir")).unwrap();
    assert_eq!(outcomes(&disk.moment(), "/dir/in/side/file").len(), 1);
}

/// Crashes at every operation of a writer. Returns whether another content than
/// the old and the new one was ever found, or none.
fn is_caught(writer: impl Fn(&FaultyDisk) -> std::io::Result<()>) -> bool {
    let count = {
        let disk = disk();
        let before = disk.operations();
        writer(&disk).unwrap();
        disk.operations() - before
    };
    let mut caught = false;
    for operation in 0..=count {
        let disk = disk();
        disk.fail_at(disk.operations() + operation, Fault::Crash);
        let done = writer(&disk).is_ok();
        for found in outcomes(&disk.moment(), "/dir/file") {
            let is_old = found.as_deref() == Some(&OLD[..]);
            let is_new = found.as_deref() == Some(&NEW[..]);
            caught |= !(is_new || is_old && !done);
        }
    }
    caught
}

#[test]
fn writers_that_leave_out_a_step_are_caught_and_the_right_one_is_not() {
    let temporary = path("/dir/file.tmp");
    let write = |disk: &FaultyDisk, syncs: bool| {
        let mut file = disk.open(temporary, OpenMode::Create)?;
        file.write_at(0, &NEW)?;
        if syncs { file.sync() } else { Ok(()) }
    };
    assert!(!is_caught(|disk| file_system::write_new(disk, path("/dir/file"), &NEW)));
    assert!(is_caught(|disk| {
        write(disk, false)?;
        disk.rename(temporary, path("/dir/file"))?;
        disk.sync_dir(path("/dir"))
    }));
    assert!(is_caught(|disk| {
        write(disk, true)?;
        disk.rename(temporary, path("/dir/file"))
    }));
    assert!(is_caught(|disk| {
        let mut file = disk.open(path("/dir/file"), OpenMode::Write)?;
        file.write_at(0, &NEW)?;
        file.sync()
    }));
}

#[test]
fn what_a_failed_sync_has_lost_no_later_sync_brings_back() {
    let mut durable = BTreeSet::new();
    for extra in 0..3 {
        let disk = disk();
        let mut file = disk.open(path("/dir/file"), OpenMode::Write).unwrap();
        file.write_at(0, &NEW[..600]).unwrap();
        file.write_at(600, &NEW[600..]).unwrap();
        // Which of it is lost depends on the number of the operation.
        for _ in 0..extra {
            disk.sync_dir(path("/dir")).unwrap();
        }
        disk.fail_at(disk.operations(), Fault::Io);
        file.sync().unwrap_err();
        file.sync().unwrap();
        assert_eq!(disk.content()[path("/dir/file")], NEW, "it can be read");
        let found = outcomes(&disk.moment(), "/dir/file");
        assert_eq!(found.len(), 1);
        durable.extend(found);
    }
    assert!(durable.contains(&Some(OLD.to_vec())), "all is lost");
    assert!(durable.contains(&Some(NEW.to_vec())), "nothing is lost");
    assert_eq!(durable.len(), 3, "some is lost");
}

#[test]
fn a_full_disk_takes_what_fits_and_a_failed_read_says_so() {
    let disk = disk();
    disk.set_capacity(2000);
    let mut file = disk.open(path("/dir/more"), OpenMode::Create).unwrap();
    assert_eq!(file.write_at(0, &NEW).unwrap_err().raw_os_error(), Some(28));
    assert_eq!(disk.used(), 2000);
    file.set_len(701).unwrap_err();
    disk.remove(path("/dir/file")).unwrap();
    file.write_at(0, &NEW).unwrap();
    disk.fail_read_at(disk.reads());
    let read = |disk: &FaultyDisk| file_system::read(disk, path("/dir/more"));
    assert_eq!(read(&disk).unwrap_err().raw_os_error(), Some(5));
    assert_eq!(read(&disk).unwrap(), NEW);
    let shared: file_system::SharedFileSystem = Arc::new(disk);
    let lock = shared.lock(path("/dir/lock")).unwrap();
    shared.lock(path("/dir/lock")).unwrap_err();
    drop(lock);
    shared.lock(path("/dir/lock")).unwrap();
}
