//! Calls at a later time: durable, in order, once.

use interstice_core::{CallErrorKind, Cause, Failure, Limit, Limits, Timestamp, abi::ids::NameId};
use interstice_tests::{Fixture, Guest, fixture::at, guest::script::Op, properties::assert_same};

use crate::modules::{args, fail, insert, insert_into, returned, schedule, scripted};

fn fixture() -> Fixture {
    Fixture::of(&[&scripted("m", &[])])
}

/// The ids of `m.item`, in the order in which they were inserted.
fn inserted(fixture: &Fixture) -> Vec<u64> {
    let records = fixture.records();
    let changes = records.iter().flat_map(|record| &record.changes);
    let rows = changes.filter_map(|change| change.new.as_ref());
    rows.map(|row| u64::from_le_bytes(row[..8].try_into().unwrap())).collect()
}

#[test]
fn scheduled_calls_run_by_time_and_then_by_order() {
    let mut fixture = fixture();
    let times = [(1, 500), (2, 300), (3, 500), (4, 100), (5, 300)];
    for (id, time) in times {
        fixture.call("m.run", &args(&[schedule(time, &[insert(id, b"")])])).unwrap();
    }
    assert_eq!(fixture.state().scheduled(), 5);
    assert_eq!(fixture.state().next_due(), Some(Timestamp(100)));
    assert_eq!(fixture.state().due(Timestamp(300)), 3);
    assert!(fixture.run_due(99).is_empty());
    assert_eq!(fixture.state().scheduled(), 5, "nothing is due yet");
    fixture.run_due(300);
    assert_eq!(inserted(&fixture), [4, 2, 5]);
    fixture.run_due(1_000);
    assert_eq!(inserted(&fixture), [4, 2, 5, 1, 3]);
    assert_eq!(fixture.state().next_due(), None);

    let planned: Vec<i64> = fixture
        .records()
        .iter()
        .filter_map(|record| match record.cause {
            Cause::Schedule { at, .. } => Some(at.0),
            _ => None,
        })
        .collect();
    assert_eq!(planned, [100, 300, 300, 500, 500], "the log says when each was due");
    fixture.assert_replays();
}

#[test]
fn a_time_that_has_passed_is_due_at_once() {
    let mut fixture = fixture();
    let ops = [schedule(-5, &[insert(1, b"")]), schedule(i64::MIN, &[insert(2, b"")])];
    fixture.call("m.run", &args(&ops)).unwrap();
    fixture.run_due(10);
    // Late is late: neither overtakes what was due before it.
    assert_eq!(inserted(&fixture), [1, 2]);
    fixture.assert_replays();
}

/// The clock was ahead, and is set back.
#[test]
fn what_is_due_by_the_time_of_the_log_does_not_wait_for_the_clock() {
    let mut fixture = fixture();
    fixture.call_at("m.run", &args(&[insert(1, b"")]), at(1_000)).unwrap();
    fixture.call_at("m.run", &args(&[schedule(900, &[insert(2, b"")])]), at(20)).unwrap();
    fixture.call_at("m.run", &args(&[schedule(1_001, &[insert(3, b"")])]), at(30)).unwrap();
    fixture.run_due(40);
    assert_eq!(inserted(&fixture), [1, 2]);
    fixture.run_due(1_001);
    assert_eq!(inserted(&fixture), [1, 2, 3]);
    fixture.assert_replays();
}

#[test]
fn a_time_that_never_comes_waits_for_ever() {
    let mut fixture = fixture();
    fixture.call("m.run", &args(&[schedule(i64::MAX, &[insert(1, b"")])])).unwrap();
    fixture.run_due(i64::MAX - 1);
    assert_eq!(fixture.state().scheduled(), 1);
    fixture.assert_replays();
}

#[test]
fn what_a_scheduled_call_schedules_for_the_same_time_runs_in_the_next_round() {
    let mut fixture = fixture();
    let again = [insert(1, b""), schedule(50, &[insert(2, b""), schedule(50, &[insert(3, b"")])])];
    fixture.call("m.run", &args(&[schedule(50, &again)])).unwrap();
    fixture.run_due(50);
    assert_eq!(inserted(&fixture), [1]);
    fixture.run_due(50);
    assert_eq!(inserted(&fixture), [1, 2]);
    fixture.run_due(50);
    assert_eq!(inserted(&fixture), [1, 2, 3]);
    fixture.assert_replays();
}

#[test]
fn a_scheduled_call_that_fails_is_recorded_and_does_not_come_again() {
    let mut fixture = fixture();
    let ops = [
        schedule(50, &[insert(1, b""), fail("no")]),
        schedule(51, &[insert(1, b""), Op::Trap]),
        schedule(52, &[insert(2, b"")]),
    ];
    fixture.call("m.run", &args(&ops)).unwrap();
    let failures = fixture.run_due(60);
    let found: Vec<(u64, u8)> = failures.iter().map(|f| (f.offset.0, f.code)).collect();
    assert_eq!(found, [(2, 1), (3, 2)]);
    assert_eq!(inserted(&fixture), [2]);
    assert_eq!(fixture.state().scheduled(), 0);
    fixture.assert_replays();
}

#[test]
fn a_failed_call_has_scheduled_nothing() {
    let mut fixture = fixture();
    fixture.call("m.run", &args(&[schedule(50, &[]), fail("no")])).unwrap_err();
    assert_eq!(fixture.state().scheduled(), 0);
}

#[test]
fn schedules_survive_a_crash() {
    let mut uncut = fixture();
    let ops = [schedule(50, &[insert(1, b"")]), schedule(50, &[insert(2, b"")])];
    uncut.call("m.run", &args(&ops)).unwrap();
    uncut.run_due(50);
    for commits in 2..=4 {
        let mut cut = uncut.cut(commits);
        assert_eq!(cut.state().scheduled(), 4 - commits);
        cut.runtime.run_due(at(50)).unwrap();
        assert_same(uncut.state(), cut.state());
        assert_eq!(uncut.bytes(), cut.bytes());
    }
}

#[test]
fn arguments_and_the_time_of_the_run_reach_the_call() {
    let mut fixture = fixture();
    let notes = [insert_into("note", 0, b"ran"), Op::Now];
    fixture.call("m.run", &args(&[schedule(50, &notes)])).unwrap();
    fixture.run_due(70);
    assert_eq!(fixture.rows("m.note"), ["(id: 1, data: 0x72616e)"]);
    let record = fixture.records().pop().unwrap();
    assert_eq!(record.time, Timestamp(70), "when it ran, not when it was due");
    let interstice_core::RecordOutcome::Committed(result) = record.outcome else {
        panic!("it committed")
    };
    assert!(returned(&result).ends_with(&70i64.to_le_bytes()));
}

fn failure(fixture: &mut Fixture, ops: &[Op]) -> Failure {
    match fixture.call("m.run", &args(ops)).unwrap_err().kind {
        CallErrorKind::Failed(failure) => *failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_a_reducer_of_ones_own_that_can_be_called_can_be_scheduled() {
    use interstice_tests::guest::{on_insert, script};
    let triggered = crate::modules::on_row("on_note", "Note").on(on_insert("note"));
    let guest: Guest = scripted("m", &[]).reducer(triggered, &script::run_row());
    let mut fixture = Fixture::of(&[&guest]);
    for name in ["on_note", "ask", "nobody"] {
        let failed = failure(&mut fixture, &[Op::Schedule(NameId::of(name), 5, args(&[]))]);
        assert_eq!(
            failed.to_string(),
            format!(
                "it scheduled {:#010x}, which is no reducer that can be called",
                NameId::of(name).0
            )
        );
    }
    let failed = failure(&mut fixture, &[Op::Schedule(NameId::of("later"), 5, vec![1])]);
    assert!(failed.to_string().contains("arguments of `later`"), "{failed}");
}

#[test]
fn no_more_calls_are_scheduled_than_the_limit_says() {
    let limits = Limits { schedule_len: 3, ..Limits::default() };
    let mut fixture = Fixture::with_limits(limits);
    fixture.install(&scripted("m", &[])).unwrap();
    let ops: Vec<Op> = (0..4).map(|time| schedule(100 + time, &[])).collect();
    let full = Failure::Limit(Limit::Schedule { limit: 3 });
    assert_eq!(failure(&mut fixture, &ops), full, "in one call");
    assert_eq!(full.to_string(), "more than 3 scheduled calls would wait");
    fixture.call("m.run", &args(&ops[..2])).unwrap();
    assert_eq!(failure(&mut fixture, &ops[..2]), full, "in all");
    // A scheduled call takes its own place before it schedules the next one.
    let mut fixture = Fixture::with_limits(Limits { schedule_len: 1, ..Limits::default() });
    fixture.install(&scripted("m", &[])).unwrap();
    fixture.call("m.run", &args(&[schedule(5, &[schedule(6, &[insert(1, b"")])])])).unwrap();
    assert!(fixture.run_due(5).is_empty());
    assert!(fixture.run_due(6).is_empty());
    assert_eq!(inserted(&fixture), [1]);
    fixture.assert_replays();
}

#[test]
fn arguments_of_schedules_count_as_bytes_of_the_transaction() {
    let limits = Limits { transaction_bytes: 1_000, ..Limits::default() };
    let mut fixture = Fixture::with_limits(limits);
    fixture.install(&scripted("m", &[])).unwrap();
    let long = insert(1, &[7; 300]);
    let ops: Vec<Op> = (0..4).map(|time| schedule(time, std::slice::from_ref(&long))).collect();
    assert_eq!(failure(&mut fixture, &ops), Failure::Limit(Limit::Transaction));
    fixture.call("m.run", &args(&ops[..2])).unwrap();
}
