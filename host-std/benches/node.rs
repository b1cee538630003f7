//! Many callers of one node: what they gain by sharing syncs.
//!
//! `cargo bench -p interstice --bench node -- [CALLERS [ROUNDS [FOLDER]]]`
//!
//! Each round measures, one after the other, a node that syncs every commit
//! and one that syncs groups, in fresh directories of `FOLDER`, which should
//! be on the disk that counts (the default is the directory for temporary
//! files). Printed are calls per second of each round, the medians, and the
//! median of the rounds' ratios; and what one thread does without callers, by
//! groups of the same size.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

use interstice::{
    data_dir::DataDir,
    database::Database,
    node::Node,
    persistence::{Durability, PersistenceConfig},
};

#[path = "../tests/fixture/mod.rs"]
mod fixture;

/// How long one measurement takes.
const MEASUREMENT: Duration = Duration::from_millis(1500);

fn main() {
    // Cargo passes `--bench`.
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let callers: usize = args.next().map_or(64, |arg| arg.parse().expect("CALLERS is a number"));
    let rounds: usize = args.next().map_or(5, |arg| arg.parse().expect("ROUNDS is a number"));
    let folder = args.next().map_or_else(std::env::temp_dir, PathBuf::from);

    let (mut each, mut group, mut alone, mut ratios) = (vec![], vec![], vec![], vec![]);
    println!("{callers} callers, calls/s");
    println!("round   every-commit        group   ratio   without callers");
    for round in 1..=rounds {
        let one = calls_per_second(&folder, Durability::EveryCommit, callers);
        let many = calls_per_second(&folder, Durability::Group, callers);
        let ideal = without_callers(&folder, callers);
        println!("{round:>5} {one:>14.0} {many:>12.0} {:>7.1} {ideal:>17.0}", many / one);
        each.push(one);
        group.push(many);
        alone.push(ideal);
        ratios.push(many / one);
    }
    let (one, many, ratio, ideal) = (median(each), median(group), median(ratios), median(alone));
    println!("median {one:>13.0} {many:>12.0} {ratio:>7.1} {ideal:>17.0}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What one thread does that appends as many calls as there are callers, and
/// syncs: what a node would do if callers, and their waking, cost nothing.
fn without_callers(folder: &Path, callers: usize) -> f64 {
    let folder = tempfile::tempdir_in(folder).expect("a folder");
    let mut database = database(folder.path(), Durability::Group);
    let args = fixture::text_argument("sixteen letters.");
    let target = database.reducer("notes", "add").expect("a reducer");
    let start = Instant::now();
    let mut calls = 0;
    while start.elapsed() < MEASUREMENT {
        for _ in 0..callers {
            database.append(target, &args).expect("a call");
        }
        database.acknowledge().expect("a sync");
        calls += callers;
    }
    calls as f64 / start.elapsed().as_secs_f64()
}

fn database(folder: &Path, durability: Durability) -> Database {
    let dir = DataDir::create(&folder.join("data")).expect("a data directory");
    let config = PersistenceConfig { durability, ..PersistenceConfig::default() };
    let mut database = Database::start_with(dir, config).expect("a database");
    database.install(&fixture::wasm()).expect("a module");
    database
}

/// Every caller calls, waits for the answer, and calls again.
fn calls_per_second(folder: &Path, durability: Durability, callers: usize) -> f64 {
    let folder = tempfile::tempdir_in(folder).expect("a folder");
    let node = Node::start(database(folder.path(), durability));
    let begin = Arc::new(Barrier::new(callers + 1));
    let threads: Vec<_> = (0..callers)
        .map(|_| {
            let (handle, begin) = (node.handle(), begin.clone());
            thread::spawn(move || {
                let args = fixture::text_argument("sixteen letters.");
                begin.wait();
                let start = Instant::now();
                let mut calls = 0u64;
                while start.elapsed() < MEASUREMENT {
                    handle.call("notes", "add", args.clone()).expect("a call");
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    begin.wait();
    let start = Instant::now();
    let calls: u64 = threads.into_iter().map(|thread| thread.join().expect("a caller")).sum();
    let elapsed = start.elapsed();
    node.stop().expect("a node").close().expect("a log");
    calls as f64 / elapsed.as_secs_f64()
}
