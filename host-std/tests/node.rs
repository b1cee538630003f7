//! A node: many callers, one order, nothing said before it is durable.

use std::{collections::BTreeMap, fs, path::Path, sync::mpsc, thread};

use futures::{FutureExt, executor::block_on, future::join_all};
use interstice::{
    data_dir::DataDir,
    database::{Database, Go, History, OpenError},
    node::{Node, NodeError},
    persistence::{Durability, PersistenceConfig},
};
use interstice_core::{CallErrorKind, Cause, TxOffset};

mod fixture;

/// A database with the module `notes`.
fn notes(path: &Path, durability: Durability) -> Database {
    let dir = DataDir::create(path).unwrap();
    let config = PersistenceConfig { durability, ..PersistenceConfig::default() };
    let mut database = Database::start_with(dir, config).unwrap();
    database.install(&fixture::wasm()).unwrap();
    database
}

/// The texts of the calls of `notes.add` in the log, with their positions.
fn calls(path: &Path) -> BTreeMap<u64, String> {
    let dir = DataDir::open_read_only(path).unwrap();
    let mut history = History::open(&dir, TxOffset(0)).unwrap();
    let mut calls = BTreeMap::new();
    let visited: Result<Go, OpenError> = history.visit(|state, offset, commit| {
        let record = state.read(offset, commit).unwrap();
        if matches!(record.cause, Cause::Call(_)) {
            let text = String::from_utf8(record.args[8..].to_vec()).unwrap();
            calls.insert(offset.0, text);
        }
        Ok(Go::On)
    });
    visited.unwrap();
    calls
}

#[test]
fn the_order_of_64_callers_is_the_order_of_the_log() {
    for durability in [Durability::Group, Durability::EveryCommit, Durability::System] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let node = Node::start(notes(&path, durability));
        let callers: Vec<_> = (0..64)
            .map(|caller| {
                let handle = node.handle();
                thread::spawn(move || {
                    let call = |number| {
                        let text = format!("{caller}.{number}");
                        let args = fixture::text_argument(&text);
                        (handle.call("notes", "add", args).unwrap(), text)
                    };
                    (0..8).map(call).collect::<Vec<_>>()
                })
            })
            .collect();
        let mut answers = Vec::new();
        for caller in callers {
            let of_one = caller.join().unwrap();
            let offsets: Vec<u64> = of_one.iter().map(|(called, _)| called.offset.0).collect();
            assert!(offsets.is_sorted(), "a caller's calls keep their order");
            answers.extend(of_one);
        }
        let database = node.stop().unwrap();
        assert_eq!(database.state().next_offset().0, 1 + 2 * 64 * 8);
        database.close().unwrap();
        let logged = calls(&path);
        assert_eq!(logged.len(), answers.len());
        // The note's number is its place among the calls.
        for (called, text) in &answers {
            assert_eq!(&logged[&called.offset.0], text);
            let place = logged.range(..=called.offset.0).count() as u64;
            assert_eq!(called.result, place.to_le_bytes());
        }
    }
}

#[test]
fn what_is_answered_is_in_the_files() {
    for durability in [Durability::Group, Durability::EveryCommit, Durability::System] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let node = Node::start(notes(&path, durability));
        let handle = node.handle();
        let tickets: Vec<_> = (0..20)
            .map(|n| handle.submit("notes", "add", fixture::text_argument(&n.to_string())).unwrap())
            .collect();
        for ticket in tickets {
            let called = ticket.wait().unwrap();
            // What another process sees while this one runs.
            assert!(calls(&path).contains_key(&called.offset.0));
        }
    }
}

#[test]
fn a_query_sees_the_calls_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(notes(&folder.path().join("data"), Durability::Group));
    let handle = node.handle();
    for count in 1..=3u64 {
        handle.call("notes", "add", fixture::text_argument("x")).unwrap();
        let answer = handle.query("notes", "count", Vec::new()).unwrap();
        assert_eq!(answer.result, count.to_le_bytes());
    }
    let error = handle.query("notes", "cuont", Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "`notes.cuont`: not found; the module has count");
}

#[test]
fn a_call_that_fails_says_why_and_the_next_one_runs() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(notes(&folder.path().join("data"), Durability::Group));
    let handle = node.handle();
    let error = handle.call("notes", "boom", Vec::new()).unwrap_err();
    assert!(error.to_string().contains("boom at line 1"), "{error}");
    let error = handle.call("noets", "add", Vec::new()).unwrap_err();
    let NodeError::Call(error) = error else { panic!("{error}") };
    assert!(matches!(error.kind, CallErrorKind::UnknownModule));
    handle.call("notes", "add", fixture::text_argument("fine")).unwrap();
}

#[test]
fn watchers_get_committed_changes_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(notes(&folder.path().join("data"), Durability::Group));
    let handle = node.handle();
    handle.call("notes", "add", fixture::text_argument("before")).unwrap();
    let notes = handle.watch("notes", "note", 100).unwrap();
    let tally = handle.watch("notes", "tally", 100).unwrap();
    for text in ["one", "two"] {
        handle.call("notes", "add", fixture::text_argument(text)).unwrap();
    }
    let _ = handle.call("notes", "boom", Vec::new());
    node.stop().unwrap();
    let notes: Vec<_> = notes.collect();
    let offsets: Vec<u64> = notes.iter().map(|change| change.offset.0).collect();
    assert_eq!(offsets, [3, 5]);
    assert!(notes.iter().all(|change| change.old.is_none()));
    assert!(notes[0].new.as_ref().unwrap().ends_with(b"one"));
    let tally: Vec<_> = tally.map(|change| change.new.unwrap()[1]).collect();
    assert_eq!(tally, [2, 3]);
    assert!(matches!(handle.watch("notes", "note", 1), Err(NodeError::Stopped)));
}

#[test]
fn a_watcher_hears_nothing_of_what_was_called_before() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(notes(&folder.path().join("data"), Durability::Group));
    let handle = node.handle();
    let early = handle.watch("notes", "note", 100).unwrap();
    // It waits for its sync while the table is watched once more.
    let ticket = handle.submit("notes", "add", fixture::text_argument("before")).unwrap();
    let late = handle.watch("notes", "note", 100).unwrap();
    ticket.wait().unwrap();
    handle.call("notes", "add", fixture::text_argument("behind")).unwrap();
    node.stop().unwrap();
    assert_eq!(early.count(), 2);
    assert_eq!(late.count(), 1);
}

#[test]
fn a_watch_of_no_table_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(notes(&folder.path().join("data"), Durability::Group));
    let error = node.handle().watch("notes", "notes", 1).unwrap_err();
    assert_eq!(error.to_string(), "there is no table `notes.notes`");
}

#[test]
fn nothing_is_kept_for_watchers_that_have_left() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(notes(&folder.path().join("data"), Durability::Group));
    let handle = node.handle();
    drop(handle.watch("notes", "note", 100).unwrap());
    let other = handle.watch("notes", "tally", 100).unwrap();
    for text in ["one", "two", "three"] {
        handle.call("notes", "add", fixture::text_argument(text)).unwrap();
    }
    drop(other);
    for text in ["four", "five", "six"] {
        handle.call("notes", "add", fixture::text_argument(text)).unwrap();
    }
    let mut database = node.stop().unwrap();
    assert_eq!(database.runtime_mut().take_changes(), []);
}

#[test]
fn a_watcher_that_does_not_keep_up_is_let_go_and_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(notes(&folder.path().join("data"), Durability::Group));
    let handle = node.handle();
    let slow = handle.watch("notes", "note", 2).unwrap();
    for text in ["one", "two", "three", "four"] {
        handle.call("notes", "add", fixture::text_argument(text)).unwrap();
    }
    // The first two, and then the end.
    assert_eq!(slow.count(), 2);
    handle.call("notes", "add", fixture::text_argument("five")).unwrap();
}

#[test]
fn a_full_queue_makes_callers_wait_and_drops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let node = Node::start_with(notes(&path, Durability::Group), 2, |_| {});
    let handle = node.handle();
    // The node is busy until this test lets it go on.
    let (go_on, wait) = mpsc::channel::<()>();
    let (began, begun) = mpsc::channel::<()>();
    let busy = {
        let handle = handle.clone();
        thread::spawn(move || {
            handle.with(move |_| {
                began.send(()).unwrap();
                wait.recv().unwrap();
            })
        })
    };
    begun.recv().unwrap();
    let submit = |n: u32| handle.try_submit("notes", "add", fixture::text_argument(&n.to_string()));
    let tickets = [submit(0).unwrap(), submit(1).unwrap()];
    assert!(matches!(submit(2), Err(NodeError::Busy)));
    go_on.send(()).unwrap();
    busy.join().unwrap().unwrap();
    tickets.into_iter().for_each(|ticket| drop(ticket.wait().unwrap()));
    node.stop().unwrap().close().unwrap();
    assert_eq!(calls(&path).len(), 2);
}

#[test]
fn tasks_of_one_thread_call_ask_and_watch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    // There are fewer places in the queue than callers.
    let node = Node::start_with(notes(&path, Durability::Group), 3, |_| {});
    let handle = node.handle();
    let caller = async |caller: u64| {
        let mut offsets = Vec::new();
        for number in 0..8 {
            let args = fixture::text_argument(&format!("{caller}.{number}"));
            offsets.push(handle.call_async("notes", "add", args).await.unwrap().offset);
        }
        assert!(offsets.is_sorted(), "a caller's calls keep their order");
        offsets.len()
    };
    block_on(async {
        let mut changes = handle.watch_async("notes", "note", 1000).await.unwrap();
        let answered: usize = join_all((0..64).map(caller)).await.into_iter().sum();
        assert_eq!(answered, 64 * 8);
        let error = handle.watch_async("notes", "noets", 1).await.unwrap_err();
        assert_eq!(error.to_string(), "there is no table `notes.noets`");
        let count = handle.query_async("notes", "count", Vec::new()).await.unwrap();
        assert_eq!(count.result, 512u64.to_le_bytes());
        let error = handle.query_async("notes", "cuont", Vec::new()).await.unwrap_err();
        assert!(matches!(error, NodeError::Call(_)), "{error}");
        for _ in 0..answered {
            assert!(changes.next_async().await.unwrap().old.is_none());
        }
        let next = handle.with_async(|database| database.state().next_offset()).await.unwrap();
        assert_eq!(next.0, 1 + 2 * 512);
        node.stop().unwrap().close().unwrap();
        assert!(changes.next_async().await.is_none());
        let late = handle.call_async("notes", "add", Vec::new()).await;
        assert!(matches!(late, Err(NodeError::Stopped)));
    });
    assert_eq!(calls(&path).len(), 512);
}

/// Who waits for a place in the queue when the node stops is told, and whoever
/// leaves holds nobody up.
#[test]
fn callers_that_wait_for_a_place_are_told_that_the_node_has_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start_with(notes(&folder.path().join("data"), Durability::Group), 1, |_| {});
    let handle = node.handle();
    let (go_on, wait) = mpsc::channel::<()>();
    let (began, begun) = mpsc::channel::<()>();
    let busy = handle.clone();
    let busy = thread::spawn(move || {
        busy.with(move |_| {
            began.send(()).unwrap();
            wait.recv().unwrap();
        })
    });
    begun.recv().unwrap();
    let call = |text: &str| handle.call_async("notes", "add", fixture::text_argument(text));
    assert!(call("kept, though nobody waits").now_or_never().is_none());
    assert!(call("not kept").now_or_never().is_none());
    let mut late: Vec<_> = (0..10).map(|_| Box::pin(call("late"))).collect();
    assert!(late.iter_mut().all(|late| late.now_or_never().is_none()));
    let stopping = thread::spawn(move || node.stop().unwrap());
    go_on.send(()).unwrap();
    busy.join().unwrap().unwrap();
    let answers = block_on(join_all(late));
    let database = stopping.join().unwrap();
    let ran = answers.iter().filter(|answer| answer.is_ok()).count() as u64;
    let stopped = |answer: &Result<_, _>| matches!(answer, Err(NodeError::Stopped));
    assert!(answers.iter().all(|answer| answer.is_ok() || stopped(answer)));
    assert_eq!(database.state().next_offset().0, 1 + 2 * (1 + ran));
}

#[test]
fn stopping_answers_what_was_submitted_and_refuses_what_comes_later() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(notes(&folder.path().join("data"), Durability::Group));
    let handle = node.handle();
    let tickets: Vec<_> = (0..100)
        .map(|_| handle.submit("notes", "add", fixture::text_argument("x")).unwrap())
        .collect();
    let database = node.stop().unwrap();
    assert_eq!(database.state().next_offset().0, 201);
    assert_eq!(database.log().unsynced_len(), 0);
    assert!(tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
    let late = handle.call("notes", "add", fixture::text_argument("late"));
    assert!(matches!(late, Err(NodeError::Stopped)));
}

#[test]
fn snapshots_are_taken_while_a_node_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let config = PersistenceConfig { snapshot_log_bytes: 500, ..PersistenceConfig::default() };
    let database = Database::start_with(DataDir::create(&path).unwrap(), config).unwrap();
    let node = Node::start(database);
    let handle = node.handle();
    handle.with(|database| database.install(&fixture::wasm()).map(drop)).unwrap().unwrap();
    for _ in 0..40 {
        handle.call("notes", "add", fixture::text_argument("x")).unwrap();
    }
    let hash = node.stop().unwrap().state().state_hash();
    assert_eq!(fs::read_dir(path.join("snapshots")).unwrap().count(), 2, "two are kept");
    let database = Database::open(&path).unwrap();
    assert_eq!(database.state().state_hash(), hash);
    assert!(database.opening().snapshot.is_some());
    assert!(database.opening().commits < 40);
}
