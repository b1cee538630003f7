//! Damaged files: every bit, every length, bursts, tails, sectors in the wrong
//! place. Nothing of it is read as data, and all of it is found.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use interstice::{
    data_dir::DataDir,
    database::{Database, OpenError, ReadOnlyState},
    file_system::SharedFileSystem,
    log_check::{self, Report},
    persistence::PersistenceConfig,
};
use interstice_core::log::frame::{FRAME_LEN_MIN, HEADER_LEN};
use interstice_tests::{
    faults::{FaultyDisk, Moment},
    fixture::HEADER,
    random::Random,
};

use crate::modules::{args, insert, scripted};

const DATA: &str = "/data";

/// A data directory that was closed, and what it holds.
struct Sample {
    moment: Moment,
    files: BTreeMap<PathBuf, Vec<u8>>,
    commits: u64,
    /// The hash of the state, by the number of commits.
    hashes: Vec<u64>,
}

/// A directory with `calls` calls, in segments of so many bytes, with two
/// snapshots.
fn sample(calls: u64, segment_bytes: u64) -> Sample {
    sample_with(calls, segment_bytes, 0)
}

/// As [`sample`], without the segments that retention lets go.
fn sample_with(calls: u64, segment_bytes: u64, retain_segments: u64) -> Sample {
    let disk = FaultyDisk::new();
    let files: SharedFileSystem = Arc::new(disk.clone());
    let config = PersistenceConfig {
        segment_bytes: segment_bytes.try_into().unwrap(),
        snapshot_log_bytes: 0,
        retain_segments,
        ..PersistenceConfig::default()
    };
    let dir = DataDir::create_in(files, Path::new(DATA), HEADER).unwrap();
    let mut database = Database::start_with(dir, config).unwrap();
    let mut hashes = vec![0];
    database.install(&scripted("m", &[]).wasm()).unwrap();
    hashes.push(database.state().state_hash());
    let run = database.reducer("m", "run").unwrap();
    for call in 0..calls {
        database.call(run, &args(&[insert(call, &[call as u8; 9])])).unwrap();
        hashes.push(database.state().state_hash());
        if call == calls / 3 || call == calls * 2 / 3 {
            database.snapshot().unwrap();
        }
    }
    let commits = database.state().next_offset().0;
    database.close().unwrap();
    let moment = disk.moment().settled();
    let mut files = moment.content();
    files.retain(|path, _| !path.starts_with("/data/modules"));
    Sample { moment, files, commits, hashes }
}

fn directory(disk: &FaultyDisk) -> DataDir {
    let files: SharedFileSystem = Arc::new(disk.clone());
    DataDir::open_read_only_in(files, Path::new(DATA)).unwrap()
}

impl Sample {
    /// The disk with another content of one file.
    fn with(&self, path: &Path, content: &[u8]) -> FaultyDisk {
        let mut moment = self.moment.clone();
        moment.put(path, content);
        FaultyDisk::after(moment)
    }

    fn newest_segment(&self) -> &Path {
        let is_segment = |path: &&PathBuf| path.extension().is_some_and(|it| it == "log");
        self.files.keys().rfind(is_segment).unwrap()
    }

    /// Asserts that the disk does not lead to another state: what opens has
    /// all that was there, or says what of its end it left aside. Returns what
    /// a check finds.
    fn assert_not_fooled(&self, disk: &FaultyDisk, what: &dyn Fn() -> String) -> Report {
        let report = log_check::check(&directory(disk), &mut |_| {}).unwrap();
        if let Ok(opened) = self.open(disk) {
            let commits = opened.state().next_offset().0;
            let is_told = opened.opening().torn_tail.is_some();
            assert!(commits == self.commits || is_told, "{}: {commits}", what());
            assert_eq!(opened.state().state_hash(), self.hashes[commits as usize], "{}", what());
        }
        report
    }

    fn open(&self, disk: &FaultyDisk) -> Result<ReadOnlyState, OpenError> {
        ReadOnlyState::of(directory(disk))
    }

    /// Asserts that damage in a file is found there.
    fn assert_found(&self, path: &Path, content: &[u8], what: &dyn Fn() -> String) {
        let disk = self.with(path, content);
        if let Err(error) = self.open(&disk) {
            // It names the file, or the neighbour that does not fit it.
            assert!(error.to_string().contains("/data/"), "{}: {error}", what());
            return;
        }
        let report = self.assert_not_fooled(&disk, what);
        let named = report.problems.iter().any(|problem| problem.path == path);
        let is_torn = report.torn_tail.is_some() && path == self.newest_segment();
        assert!(named || is_torn, "{}: {:?}", what(), report.problems);
    }
}

#[test]
fn a_good_directory_is_good() {
    let sample = sample(20, 400);
    assert!(sample.files.len() >= 5, "{:?}", sample.files.keys());
    let disk = FaultyDisk::after(sample.moment.clone());
    let report = sample.assert_not_fooled(&disk, &|| "as it is".to_owned());
    assert_eq!(report.problems, []);
    assert_eq!(
        (report.commits, report.state_hash),
        (sample.commits, sample.hashes.last().copied())
    );
    assert_eq!((report.snapshots, report.torn_tail), (2, None));
}

/// A file that is gone is found, too: but for snapshots, which the log stands
/// for, and the lock.
#[test]
fn every_missing_file_of_a_log_is_found() {
    for sample in [sample(12, 400), sample_with(12, 400, 1)] {
        for path in sample.files.keys().filter(|path| path.starts_with("/data/log")) {
            let mut moment = sample.moment.clone();
            moment.take_away(path);
            let disk = FaultyDisk::after(moment);
            let refused = sample.open(&disk).is_err();
            let report = log_check::check(&directory(&disk), &mut |_| {}).unwrap();
            assert!(refused && !report.problems.is_empty(), "{}", path.display());
        }
    }
}

#[test]
fn every_flipped_bit_of_every_file_is_found_and_located() {
    every_flipped_bit_is_found(&sample(12, 400));
    let cut = sample_with(12, 400, 1);
    assert!(cut.files.contains_key(Path::new("/data/log/beginning")));
    every_flipped_bit_is_found(&cut);
}

fn every_flipped_bit_is_found(sample: &Sample) {
    thread::scope(|scope| {
        for (path, content) in &sample.files {
            scope.spawn(move || {
                for bit in 0..content.len() * 8 {
                    let mut flipped = content.clone();
                    flipped[bit / 8] ^= 1 << (bit % 8);
                    let what = || format!("bit {bit} of {}", path.display());
                    sample.assert_found(path, &flipped, &what);
                    // One bit costs nobody a commit: it is refused, or the mark.
                    if let Ok(opened) = sample.open(&sample.with(path, &flipped)) {
                        assert_eq!(opened.state().next_offset().0, sample.commits, "{}", what());
                    }
                }
            });
        }
    });
}

/// `INTERSTICE_BURSTS=1000000` makes the long run (`cargo xtask torture`).
#[test]
fn every_burst_of_every_file_is_found() {
    let bursts: u64 = env::var("INTERSTICE_BURSTS").map_or(100_000, |n| n.parse().unwrap());
    let sample = sample(12, 400);
    let paths: Vec<&PathBuf> = sample.files.keys().collect();
    let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
    thread::scope(|scope| {
        for thread in 0..threads {
            let (sample, paths) = (&sample, &paths);
            scope.spawn(move || {
                for seed in (thread..bursts).step_by(threads as usize) {
                    let mut random = Random::new(seed);
                    let path = *random.pick(paths);
                    let mut content = sample.files[path].clone();
                    let len = 1 + random.below(255.min(content.len() as u64 - 1)) as usize;
                    let at = random.below((content.len() - len) as u64 + 1) as usize;
                    let garbage = match random.below(3) {
                        0 => vec![0; len],
                        1 => vec![0xff; len],
                        _ => random.bytes(len),
                    };
                    content[at..at + len].copy_from_slice(&garbage);
                    if content == sample.files[path] {
                        continue;
                    }
                    let what = || format!("seed {seed}: {len} bytes at {at} of {}", path.display());
                    sample.assert_found(path, &content, &what);
                }
            });
        }
    });
}

#[test]
fn a_file_cut_at_any_length_is_exactly_its_prefix_or_refused() {
    let sample = sample(12, 400);
    let newest = sample.newest_segment().to_owned();
    for (path, content) in &sample.files {
        for len in 0..content.len() {
            let disk = sample.with(path, &content[..len]);
            if *path != newest {
                let what = || format!("{} cut at {len}", path.display());
                sample.assert_not_fooled(&disk, &what);
                sample.assert_found(path, &content[..len], &what);
                continue;
            }
            let opened = sample.open(&disk);
            if len < HEADER_LEN {
                opened.unwrap_err();
                continue;
            }
            // The newest segment begins behind the newest snapshot.
            let Ok(opened) = opened else { panic!("{} cut at {len}", path.display()) };
            let torn = opened.opening().torn_tail.map_or(0, |torn| torn.at + torn.bytes);
            let zeros = content[..len].iter().rev().take_while(|&&byte| byte == 0).count();
            assert!(torn == 0 || torn == (len - zeros) as u64, "cut at {len}");
        }
    }
}

/// What has been in the file before, or is in another file, and comes to stand
/// behind the end of the log.
#[test]
fn a_tail_of_anything_is_never_read_as_data() {
    let sample = sample(12, 400);
    let newest = sample.newest_segment().to_owned();
    let content = &sample.files[&newest];
    let whole: Vec<u8> = sample.files.values().flatten().copied().collect();
    let mut tails: Vec<Vec<u8>> = Vec::new();
    for len in [1, 2, 5, 6, 7, 60, 100, 511, 512, 513, 4096] {
        tails.push(vec![0x00; len]);
        tails.push(vec![0xff; len]);
    }
    // Old frames and stale segments, from any byte on.
    for start in 0..whole.len() {
        tails.push(whole[start..whole.len().min(start + 300)].to_vec());
    }
    for tail in &tails {
        let longer = [&content[..], tail].concat();
        let disk = sample.with(&newest, &longer);
        let what =
            || format!("a tail of {} bytes: {:02x?}", tail.len(), &tail[..tail.len().min(8)]);
        let report = sample.assert_not_fooled(&disk, &what);
        let end = tail.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let torn = report.torn_tail.map_or(0, |torn| torn.bytes);
        assert_eq!(torn, end as u64, "{}", what());
        sample.open(&disk).unwrap_or_else(|error| panic!("{}: {error}", what()));
    }
}

/// A sector with the content of another, as a drive that misplaces writes
/// leaves it, or with what it held earlier, as one that loses them does.
///
/// One thing cannot be found: the last sectors of the newest segment put back
/// as they were after an earlier sync. That is a log that ended there.
#[test]
fn every_sector_in_the_place_of_another_and_every_lost_write_is_found() {
    const SECTOR: usize = 512;
    let sample = sample(150, 4096);
    let newest = sample.newest_segment().to_owned();
    let sectors: Vec<(&PathBuf, usize)> = sample
        .files
        .iter()
        .flat_map(|(path, content)| (0..content.len()).step_by(SECTOR).map(move |at| (path, at)))
        .collect();
    assert!(sectors.len() > 20, "{}", sectors.len());
    for &(path, at) in &sectors {
        for &(other, from) in &sectors {
            let source = &sample.files[other];
            let mut content = sample.files[path].clone();
            let len = SECTOR.min(content.len() - at).min(source.len() - from);
            content[at..at + len].copy_from_slice(&source[from..from + len]);
            if content != sample.files[path] {
                let what = || format!("{} at {at}: {} at {from}", path.display(), other.display());
                sample.assert_found(path, &content, &what);
            }
        }
        // A lost write: what was never written is zero.
        let mut content = sample.files[path].clone();
        let end = content.len().min(at + SECTOR);
        content[at..end].fill(0);
        let is_end = *path == newest && end == content.len();
        if !is_end {
            let what = || format!("{} at {at}: lost", path.display());
            sample.assert_found(path, &content, &what);
        }
    }
    assert!(sample.files[&newest].len() > HEADER_LEN + FRAME_LEN_MIN);
}
