//! A node on a disk that fails.

use std::{
    path::Path,
    sync::{Arc, mpsc},
    thread,
};

use interstice::{
    data_dir::DataDir,
    database::{Database, ReadOnlyState},
    file_system::SharedFileSystem,
    node::{Handle, Node, NodeError, Problem},
    persistence::{Durability, PersistenceConfig},
};
use interstice_tests::{
    faults::{Fault, FaultyDisk},
    fixture::HEADER,
    random::Random,
};

use crate::modules::{args, insert, schedule, scripted};

const DATA: &str = "/data";

fn node(disk: &FaultyDisk, config: PersistenceConfig) -> Node {
    node_telling(disk, config, |_| {})
}

fn node_telling(
    disk: &FaultyDisk,
    config: PersistenceConfig,
    problem: impl FnMut(&Problem) + Send + 'static,
) -> Node {
    let files: SharedFileSystem = Arc::new(disk.clone());
    let dir = DataDir::create_in(files, Path::new(DATA), HEADER).unwrap();
    let mut database = Database::start_with(dir, config).unwrap();
    database.install(&scripted("m", &[]).wasm()).unwrap();
    Node::start_with(database, 1024, problem)
}

/// What is submitted while the node is busy runs in one group.
fn in_one_group<T>(node: &Node, submit: impl FnOnce(&Handle) -> T) -> T {
    let (open, gate) = mpsc::channel::<()>();
    let handle = node.handle();
    let blocker = thread::spawn(move || handle.with(move |_| gate.recv().unwrap()));
    let submitted = submit(&node.handle());
    open.send(()).unwrap();
    let _ = blocker.join().unwrap();
    submitted
}

/// A row that the call for it inserts.
fn number_args(number: u64) -> Vec<u8> {
    args(&[insert(number, &number.to_le_bytes())])
}

/// The commits that a disk holds, as somebody finds them who opens it.
fn commits(disk: &FaultyDisk) -> u64 {
    let files: SharedFileSystem = Arc::new(disk.clone());
    let dir = DataDir::open_read_only_in(files, Path::new(DATA)).unwrap();
    ReadOnlyState::of(dir).unwrap().state().next_offset().0
}

/// Callers in threads, on a disk that fails at one operation.
#[test]
fn what_many_callers_were_told_is_there_after_a_crash_at_any_operation() {
    let mut told_in_all = 0;
    for durability in [Durability::Group, Durability::EveryCommit] {
        for (seed, operation) in (0..60).enumerate() {
            let disk = FaultyDisk::new();
            let config = PersistenceConfig {
                durability,
                // Segments are sealed and snapshots taken between the syncs.
                segment_bytes: 4096.try_into().unwrap(),
                snapshot_log_bytes: 6000,
                ..PersistenceConfig::default()
            };
            let node = node(&disk, config);
            let fault = if seed % 2 == 0 { Fault::Crash } else { Fault::Io };
            disk.fail_at(disk.operations() + operation, fault);
            let callers: Vec<_> = (0..16u64)
                .map(|caller| {
                    let handle = node.handle();
                    thread::spawn(move || {
                        let call = |n| handle.call("m", "run", number_args(caller * 100 + n));
                        let told = (0..12).map_while(|n| call(n).ok());
                        told.map(|called| called.offset.0).max().unwrap_or(0)
                    })
                })
                .collect();
            let told = callers.into_iter().map(|caller| caller.join().unwrap()).max().unwrap();
            drop(node);
            told_in_all += told;
            let found =
                commits(&FaultyDisk::after(disk.moment().crash(&mut Random::new(seed as u64))));
            assert!(found > told, "{durability:?}, {operation}: {found} commits, {told} was told");
        }
    }
    assert!(told_in_all > 0);
}

#[test]
fn a_failure_that_rests_on_what_is_lost_is_not_told() {
    let disk = FaultyDisk::new();
    let node = node(&disk, PersistenceConfig::default());
    let tickets = in_one_group(&node, |handle| {
        disk.fail_at(disk.operations(), Fault::Io);
        [(); 2].map(|()| handle.submit("m", "run", number_args(1)).unwrap())
    });
    for ticket in tickets {
        // The second is refused for the row of the first, which may be lost.
        let told = ticket.wait().unwrap_err();
        assert!(matches!(told, NodeError::NotDurable(_)), "{told}");
    }
}

#[test]
fn when_the_log_fails_watches_end_and_it_is_told_once() {
    let disk = FaultyDisk::new();
    let (tell, told) = mpsc::channel();
    let node = node_telling(&disk, PersistenceConfig::default(), move |problem| {
        tell.send(problem.to_string()).unwrap();
    });
    let handle = node.handle();
    let mut changes = handle.watch("m", "item", 10).unwrap();
    handle.call("m", "run", number_args(1)).unwrap();
    assert!(changes.next().is_some());
    disk.fail_at(disk.operations(), Fault::Io);
    for number in 2..5 {
        handle.call("m", "run", number_args(number)).unwrap_err();
    }
    assert!(changes.next().is_none(), "what is not durable is not shown");
    drop(node);
    let told: Vec<String> = told.iter().collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("the log takes nothing more: "), "{told:?}");
}

#[test]
fn scheduled_calls_run_while_requests_never_run_out() {
    let config =
        PersistenceConfig { durability: Durability::EveryCommit, ..PersistenceConfig::default() };
    let node = node(&FaultyDisk::new(), config);
    let scheduled = args(&[schedule(0, &[insert(1 << 20, b"due")])]);
    let tickets = in_one_group(&node, |handle| {
        let mut tickets = vec![handle.submit("m", "run", scheduled).unwrap()];
        tickets.extend((0..100).map(|n| handle.submit("m", "run", number_args(n)).unwrap()));
        tickets
    });
    let offsets = tickets.into_iter().map(|ticket| ticket.wait().unwrap().offset.0);
    let last = offsets.max().unwrap();
    let database = node.stop().unwrap();
    assert_eq!(database.state().table("m", "item").unwrap().len(), 101);
    assert_eq!(database.state().next_offset().0, last + 1, "what was due ran at the very end");
}
