//! What a host sees that watches tables.

use interstice_core::{
    CallErrorKind, CommittedChange, CommittedState, Limits, Runtime, log::MemoryLog,
};
use interstice_tests::{
    Fixture, Guest,
    failing_log::FailingLog,
    fixture::{HEADER, at},
    guest::{on_insert, script},
};

use crate::modules::{
    args, delete, fail, insert, insert_into, on_row, row, schedule, script as script_of, scripted,
    update,
};

/// Rows of `note` are scripts that run.
fn guest() -> Guest {
    scripted("m", &[]).reducer(on_row("on_note", "Note").on(on_insert("note")), &script::run_row())
}

fn watching(table: &str) -> Fixture {
    let mut fixture = Fixture::of(&[&guest()]);
    let table = fixture.state().table("m", table).unwrap().id();
    fixture.runtime.watch(table);
    fixture
}

/// Changes as (commit, time, old, new).
type Seen = (u64, i64, Option<Vec<u8>>, Option<Vec<u8>>);

fn seen(changes: Vec<CommittedChange>) -> Vec<Seen> {
    let seen = |change: CommittedChange| {
        let (old, new) = (change.old.map(Vec::from), change.new.map(Vec::from));
        (change.offset.0, change.time.0, old, new)
    };
    changes.into_iter().map(seen).collect()
}

#[test]
fn changes_come_in_the_order_of_commits_and_of_the_log() {
    let mut fixture = watching("item");
    fixture.call_at("m.run", &args(&[insert(2, b"b"), insert(1, b"a")]), at(10)).unwrap();
    fixture.call_at("m.run", &args(&[update(1, b"A"), delete(2)]), at(20)).unwrap();
    let item = fixture.state().table("m", "item").unwrap().id();
    let changes = fixture.runtime.take_changes();
    assert!(changes.iter().all(|change| change.table == item));
    assert_eq!(
        seen(changes),
        [
            (1, 10, None, Some(row(2, b"b"))),
            (1, 10, None, Some(row(1, b"a"))),
            (2, 20, Some(row(1, b"a")), Some(row(1, b"A"))),
            (2, 20, Some(row(2, b"b")), None),
        ]
    );
    assert_eq!(fixture.runtime.take_changes(), [], "they were taken");
}

#[test]
fn changes_are_those_of_the_log_for_every_table() {
    let mut fixture = watching("item");
    let note = fixture.state().table("m", "note").unwrap().id();
    fixture.runtime.watch(note);
    let chain = script_of(&[insert(5, b""), insert(6, b"")]);
    let ops = [insert_into("note", 0, &chain), insert(1, b"x"), schedule(50, &[update(1, b"y")])];
    fixture.call("m.run", &args(&ops)).unwrap();
    fixture.run_due(60);
    let watched = fixture.runtime.take_changes().into_iter();
    let watched: Vec<_> =
        watched.map(|c| (c.offset, c.table, c.old.map(Vec::from), c.new.map(Vec::from))).collect();
    let logged: Vec<_> = fixture
        .records()
        .into_iter()
        .flat_map(|record| {
            let offset = record.offset;
            record.changes.into_iter().map(move |c| (offset, c.table, c.old, c.new))
        })
        .collect();
    assert!(logged.len() >= 5, "{logged:?}");
    assert_eq!(watched, logged);
}

#[test]
fn tables_that_are_not_watched_are_not_seen() {
    let mut fixture = watching("note");
    fixture.call("m.run", &args(&[insert(1, b"")])).unwrap();
    assert_eq!(fixture.runtime.take_changes(), []);
}

#[test]
fn rows_that_end_as_they_were_are_not_seen() {
    let mut fixture = watching("item");
    fixture.call("m.run", &args(&[insert(1, b"a")])).unwrap();
    fixture.runtime.take_changes();
    let ops = [update(1, b"b"), update(1, b"a"), insert(2, b""), delete(2)];
    fixture.call("m.run", &args(&ops)).unwrap();
    assert_eq!(fixture.runtime.take_changes(), []);
}

#[test]
fn what_a_failed_call_did_is_not_seen() {
    let mut fixture = watching("item");
    fixture.call("m.run", &args(&[insert(1, b""), fail("no")])).unwrap_err();
    let failing = script_of(&[insert(2, b""), fail("no")]);
    let called = fixture.call("m.run", &args(&[insert_into("note", 0, &failing)])).unwrap();
    assert_eq!(called.failures.len(), 1);
    assert_eq!(fixture.runtime.take_changes(), []);
}

#[test]
fn what_the_log_did_not_take_is_not_seen() {
    let state = CommittedState::new(HEADER.seed, Limits::default());
    let mut runtime = Runtime::new(state, FailingLog::new(MemoryLog::new(HEADER), 2, 0));
    runtime.install(&guest().wasm(), at(1)).unwrap();
    let item = runtime.state().table("m", "item").unwrap().id();
    runtime.watch(item);
    let run = runtime.reducer("m", "run").unwrap();
    runtime.call(run, &args(&[insert(1, b"")]), at(2)).unwrap();
    let error = runtime.call(run, &args(&[insert(2, b"")]), at(3)).unwrap_err();
    assert!(matches!(error.kind, CallErrorKind::Log(_)));
    assert_eq!(seen(runtime.take_changes()), [(1, 2, None, Some(row(1, b"")))]);
}

#[test]
fn a_table_is_watched_until_it_is_not() {
    let mut fixture = watching("item");
    fixture.call("m.run", &args(&[insert(1, b"")])).unwrap();
    let item = fixture.state().table("m", "item").unwrap().id();
    fixture.runtime.unwatch(item);
    fixture.call("m.run", &args(&[insert(2, b"")])).unwrap();
    let changes = seen(fixture.runtime.take_changes());
    assert_eq!(changes.len(), 1, "what was kept stays: {changes:?}");
}

#[test]
fn a_table_that_an_installation_adds_can_be_watched_before() {
    let mut fixture = Fixture::new();
    fixture.runtime.watch(interstice_core::TableId(0));
    fixture.install(&guest()).unwrap();
    fixture.call("m.run", &args(&[insert(1, b"")])).unwrap();
    assert_eq!(fixture.runtime.take_changes().len(), 1);
}
