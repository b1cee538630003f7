//! A crash anywhere: what was committed stays, what waited still runs, once.

use std::collections::BTreeMap;

use interstice_core::{Cause, Inputs, Record};
use interstice_tests::{
    Fixture, Function, Guest,
    fixture::at,
    guest::{
        on_insert,
        script::{self, Op},
    },
    properties::assert_same,
};

use crate::modules::{
    args, fail, insert, insert_into, on_row, schedule, script as script_of, with_tables,
};

/// Rows of `note` and `extra` are scripts; two reducers run each, one of which
/// goes on to `extra`.
fn branching() -> Guest {
    let function =
        |name: &str| Function::new(name).param("script", "bytes").returns("bytes").error("bytes");
    with_tables("branching")
        .numbered("extra", &[("id", "u64"), ("data", "bytes")])
        .numbered("audit", &[("id", "u64"), ("kind", "u8"), ("args", "bytes")])
        .reducer(function("run").writes(&["note", "item"]), &script::run_argument())
        .reducer(function("later").writes(&["note", "item"]), &script::run_argument())
        .reducer(
            on_row("on_note", "Note").writes(&["extra"]).on(on_insert("note")),
            &script::run_row(),
        )
        .reducer(
            Function::new("on_note_too")
                .param("row", "Note")
                .writes(&["audit"])
                .on(on_insert("note")),
            &script::audit(1),
        )
        .reducer(on_row("on_extra", "Extra").on(on_insert("extra")), &script::run_row())
        .reducer(
            Function::new("on_item").param("row", "Item").writes(&["audit"]).on(on_insert("item")),
            &script::audit(2),
        )
}

/// What a host does to the runtime.
#[derive(Clone)]
enum Act {
    Call(Vec<Op>),
    RunDue,
}

/// Calls with chains behind them: branches, failures, a trap, schedules.
fn history() -> Vec<Act> {
    let leaf = |id: u64| script_of(&[insert(id, b"leaf")]);
    let failing = script_of(&[insert(99, b""), fail("no")]);
    let trapping = script_of(&[insert(99, b""), Op::Trap]);
    let middle = |id: u64| {
        script_of(&[
            insert(id, b"middle"),
            insert_into("extra", 0, &leaf(id + 1)),
            insert_into("extra", 0, &failing),
            insert_into("extra", 0, &leaf(id + 2)),
        ])
    };
    vec![
        Act::Call(vec![insert_into("note", 0, &middle(10)), insert_into("note", 0, &trapping)]),
        Act::Call(vec![schedule(5_000, &[insert_into("note", 0, &middle(20))])]),
        Act::Call(vec![insert_into("note", 0, &middle(30)), schedule(6_000, &[insert(40, b"")])]),
        Act::RunDue,
        Act::Call(vec![Op::Now, insert(50, b"the last")]),
    ]
}

/// The time of the act with this number: so that all runs have the same times.
fn time_of(act: usize) -> Inputs {
    at(1_000 + act as i64 * 3_000)
}

fn perform(fixture: &mut Fixture, number: usize, act: &Act) {
    match act {
        Act::Call(ops) => {
            fixture.call_at("branching.run", &args(ops), time_of(number)).unwrap();
        }
        Act::RunDue => {
            fixture.runtime.run_due(time_of(number)).unwrap();
        }
    }
}

/// How often each subscription ran: by its trigger, change and reducer.
fn runs(records: &[Record]) -> BTreeMap<(u64, u32, u32), usize> {
    let mut runs = BTreeMap::new();
    for record in records {
        if let Cause::Subscription { target, trigger, change, .. } = record.cause {
            *runs.entry((trigger.0, change, target.index)).or_default() += 1;
        }
    }
    runs
}

#[test]
fn after_a_crash_anywhere_the_rest_of_every_chain_runs_once() {
    let history = history();
    let mut uncut = Fixture::of(&[&branching()]);
    // How many commits there are behind each act.
    let mut ends = vec![uncut.state().next_offset().0 as usize];
    for (number, act) in history.iter().enumerate() {
        perform(&mut uncut, number, act);
        ends.push(uncut.state().next_offset().0 as usize);
    }
    let commits = uncut.state().next_offset().0 as usize;
    let expected = runs(&uncut.records());
    assert!(commits > 30, "{commits} commits make chains to be cut");
    assert!(expected.values().all(|&count| count == 1));

    for cut in 1..=commits {
        let mut fixture = uncut.cut(cut);
        // The act that the crash has interrupted, or behind which it came.
        let act = ends.iter().position(|&end| cut <= end).unwrap();
        if act > 0 {
            let interrupted = act - 1;
            fixture.runtime.drain(time_of(interrupted)).unwrap();
            if let Act::RunDue = history[interrupted] {
                fixture.runtime.run_due(time_of(interrupted)).unwrap();
            }
        }
        for (number, act) in history.iter().enumerate().skip(act) {
            perform(&mut fixture, number, act);
        }
        assert_same(uncut.state(), fixture.state());
        assert_eq!(uncut.bytes(), fixture.bytes(), "cut behind commit {cut}: the same log");
        assert_eq!(runs(&fixture.records()), expected, "cut behind commit {cut}");
    }
}

#[test]
fn replay_runs_nothing_by_itself() {
    let mut uncut = Fixture::of(&[&branching()]);
    let leaf = script_of(&[insert(1, b"")]);
    uncut.call("branching.run", &args(&[insert_into("note", 0, &leaf)])).unwrap();
    let reopened = uncut.cut(2);
    assert_eq!(reopened.state().pending(), 2);
    assert_eq!(reopened.state().next_offset().0, 2);
    assert!(reopened.rows("branching.item").is_empty());
}

#[test]
fn what_waits_goes_on_waiting_while_code_is_missing() {
    let mut uncut = Fixture::of(&[&branching()]);
    let leaf = script_of(&[insert(1, b"")]);
    uncut.call("branching.run", &args(&[insert_into("note", 0, &leaf)])).unwrap();
    let cut = uncut.cut(2);
    let mut without_files = Fixture::new().opened(cut.bytes()).unwrap();
    let error = without_files.runtime.drain(at(2)).unwrap_err();
    assert_eq!(error.to_string(), "`branching.on_note`: the module's file is missing");
    assert_eq!(without_files.state().pending(), 2);
    assert_eq!(without_files.state().next_offset().0, 2, "nothing is recorded");

    without_files.runtime.attach(&branching().wasm()).unwrap();
    without_files.runtime.drain(at(2)).unwrap();
    assert_same(uncut.state(), without_files.state());
}

#[test]
fn a_new_call_runs_what_waits_first() {
    let mut uncut = Fixture::of(&[&branching()]);
    let leaf = script_of(&[insert(1, b"")]);
    uncut.call("branching.run", &args(&[insert_into("note", 0, &leaf)])).unwrap();
    let mut cut = uncut.cut(2);
    // The row is there already: this would be another status if it ran first.
    cut.call("branching.run", &args(&[insert(1, b"second")])).unwrap();
    assert_eq!(cut.rows("branching.item"), ["(id: 1, data: 0x)"]);
    cut.assert_replays();
}
