//! A log that fails: what it did not take has not happened.

use interstice_core::{
    CallErrorKind, CommittedState, InstallError, Limits, Runtime, TxOffset, log::MemoryLog,
};
use interstice_tests::{
    Fixture, Function, Guest,
    failing_log::{Broken, FailingLog},
    fixture::{HEADER, at, replay},
    guest::{on_insert, script},
    properties::assert_same,
};

use crate::modules::{args, count, insert, on_row, returned, script as script_of, scripted};

/// A script's insert into `item` runs two more subscriptions.
fn guest() -> Guest {
    scripted("m", &[])
        .numbered("audit", &[("id", "u64"), ("kind", "u8"), ("args", "bytes")])
        .reducer(
            Function::new("on_item").param("row", "Item").writes(&["audit"]).on(on_insert("item")),
            &script::audit(1),
        )
        .reducer(on_row("on_note", "Note").on(on_insert("note")), &script::run_row())
}

/// A runtime whose storage takes the installation and so many appends more.
fn runtime(appends: usize, syncs: usize) -> Runtime<FailingLog> {
    let state = CommittedState::new(HEADER.seed, Limits::default());
    let mut runtime =
        Runtime::new(state, FailingLog::new(MemoryLog::new(HEADER), appends + 1, syncs));
    runtime.install(&guest().wasm(), at(1)).unwrap();
    runtime
}

/// What another process finds of what the storage took.
fn reopened(runtime: &Runtime<FailingLog>) -> CommittedState {
    replay(runtime.log().inner().bytes(), &Limits::default()).unwrap()
}

#[test]
fn a_call_that_cannot_be_appended_is_rolled_back() {
    let mut runtime = runtime(0, 0);
    let before = runtime.state().clone();
    let run = runtime.reducer("m", "run").unwrap();
    let error = runtime.call(run, &args(&[insert(1, b"")]), at(2)).unwrap_err();
    assert_eq!(error.kind, CallErrorKind::Log(Broken));
    assert_eq!(
        error.to_string(),
        "`m.run`: the log did not take the commit: the storage is broken"
    );
    assert_same(&before, runtime.state());
    assert_same(&before, &reopened(&runtime));
}

#[test]
fn after_a_failed_append_everything_but_queries_is_refused() {
    let mut runtime = runtime(0, 9);
    let run = runtime.reducer("m", "run").unwrap();
    let ask = runtime.query_ref("m", "ask").unwrap();
    runtime.call(run, &args(&[insert(1, b"")]), at(2)).unwrap_err();
    // Even if the storage works again: what it kept is not known.
    runtime.log_mut().mend(9, 9);
    let error = runtime.call(run, &args(&[insert(1, b"")]), at(3)).unwrap_err();
    assert_eq!(error.kind, CallErrorKind::Poisoned);
    assert_eq!(
        error.to_string(),
        "`m.run`: an earlier write to the log failed; open the log again"
    );
    let other = scripted("other", &[]).wasm();
    let error = runtime.install(&other, at(4)).unwrap_err();
    assert_eq!(error, InstallError::Poisoned);
    assert_eq!(error.to_string(), "an earlier write to the log failed; open the log again");
    let answer = runtime.query(ask, &args(&[count()]), at(5)).unwrap();
    assert_eq!(returned(&answer.result), 0u64.to_le_bytes());
    assert_eq!(runtime.state().next_offset().0, 1);
}

#[test]
fn an_installation_that_cannot_be_appended_leaves_no_module() {
    let state = CommittedState::new(HEADER.seed, Limits::default());
    let mut runtime = Runtime::new(state, FailingLog::new(MemoryLog::new(HEADER), 0, 0));
    let error = runtime.install(&guest().wasm(), at(1)).unwrap_err();
    assert_eq!(error, InstallError::Log(Broken));
    assert_eq!(error.to_string(), "the log did not take the commit: the storage is broken");
    assert!(runtime.state().modules().is_empty());
    assert!(runtime.state().tables().is_empty());
}

#[test]
fn a_failed_sync_stops_the_runtime_too() {
    let mut runtime = runtime(9, 1);
    let run = runtime.reducer("m", "run").unwrap();
    runtime.call(run, &args(&[insert(1, b"")]), at(2)).unwrap();
    runtime.sync().unwrap();
    runtime.call(run, &args(&[insert(2, b"")]), at(3)).unwrap();
    assert_eq!(runtime.sync().unwrap_err(), Broken);
    let error = runtime.call(run, &args(&[insert(3, b"")]), at(4)).unwrap_err();
    assert_eq!(error.kind, CallErrorKind::Poisoned);
}

#[test]
fn a_chain_that_the_log_cuts_off_goes_on_after_reopening() {
    let chain = script_of(&[insert(1, b""), insert(2, b"")]);
    let script = args(&[crate::modules::insert_into("note", 0, &chain)]);
    let mut uncut = Fixture::of(&[&guest()]);
    uncut.call_at("m.run", &script, at(2)).unwrap();
    let commits = uncut.state().next_offset().0 as usize;
    assert_eq!(commits, 5);
    for appends in 1..commits - 1 {
        let mut runtime = runtime(appends, 0);
        let run = runtime.reducer("m", "run").unwrap();
        let error = runtime.call(run, &script, at(2)).unwrap_err();
        let CallErrorKind::Behind { offset: TxOffset(1), cause } = error.kind else {
            panic!("the call itself is committed: {error}");
        };
        assert_eq!(cause.kind, CallErrorKind::Log(Broken));
        assert_same(runtime.state(), &reopened(&runtime));

        let log = runtime.log().inner().clone();
        let mut again = Runtime::new(reopened(&runtime), log);
        again.attach(&guest().wasm()).unwrap();
        again.drain(at(2)).unwrap();
        assert_same(uncut.state(), again.state());
        assert_eq!(again.log().bytes(), uncut.bytes());
    }
}
