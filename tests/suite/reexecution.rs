//! Re-execution finds the first difference and says where it is.

use interstice_core::{
    CommittedState, Difference, Differing, Limits, ReplayFault, Step, TxOffset,
    log::commit::{Body, Commit, Outcome},
};
use interstice_tests::{
    Fixture, Function, Guest,
    fixture::{HEADER, chained, commits},
    guest::{on_insert, script},
};

use crate::modules::{
    args, fail, insert, insert_into, on_row, schedule, script as script_of, scripted, update,
};

fn guest() -> Guest {
    scripted("m", &[])
        .reducer(on_row("on_note", "Note").on(on_insert("note")), &script::run_row())
        .reducer(
            Function::new("number").param("n", "u64").returns("u64"),
            "(call $args_read (i32.const 0)) (call $return_ok (i32.const 0) (i32.const 8))",
        )
}

/// What re-execution says of the last commit when it is edited like this.
fn difference(fixture: &Fixture, edit: impl Fn(&mut Commit<'_>)) -> Difference {
    let mut all: Vec<Vec<u8>> =
        commits(fixture.bytes()).into_iter().map(|(_, commit)| commit).collect();
    let last = all.pop().unwrap();
    let mut before = CommittedState::new(HEADER.seed, Limits::default());
    for (offset, commit) in (0..).map(TxOffset).zip(&all) {
        before.replay(offset, commit).unwrap();
    }
    let mut commit = Commit::decode(&last).unwrap();
    edit(&mut commit);
    let encode = |commit: &Commit<'_>| {
        let mut bytes = Vec::new();
        commit.encode(&mut bytes);
        bytes
    };
    let offset = TxOffset(all.len() as u64);
    match before.clone().replay(offset, &encode(&commit)).map_err(|error| error.fault) {
        Err(ReplayFault::StateHash { replayed, .. }) => commit.state_hash = replayed,
        other => other.unwrap(),
    }
    all.push(encode(&commit));
    let steps = fixture.reexecute(&chained(all)).unwrap();
    let (last, earlier) = steps.split_last().unwrap();
    assert!(earlier.iter().all(|step| matches!(step, Step::Identical | Step::Installed)));
    match last {
        Step::Different(difference) => difference.clone(),
        other => panic!("a difference, not {other:?}"),
    }
}

/// A fixture whose last commit runs this script.
fn after(ops: &[interstice_tests::guest::script::Op]) -> Fixture {
    let mut fixture = Fixture::of(&[&guest()]);
    fixture.call("m.run", &args(&[insert(7, b"old")])).unwrap();
    fixture.call("m.run", &args(ops)).unwrap();
    fixture
}

fn run<'a, 'b>(commit: &'b mut Commit<'a>) -> &'b mut Body<'a> {
    assert!(matches!(commit.body, Body::Run { .. }));
    &mut commit.body
}

#[test]
fn fuel() {
    let difference = difference(&after(&[insert(1, b"")]), |commit| {
        let Body::Run { fuel, .. } = run(commit) else { return };
        *fuel = 7;
    });
    assert_eq!(difference.what, Differing::Fuel);
    assert_eq!(difference.recorded, "7");
    assert!(
        difference.to_string().starts_with("commit 2, `m.run`, fuel: recorded 7, re-executed "),
        "{difference}"
    );
}

#[test]
fn a_column_of_a_row() {
    let difference = difference(&after(&[update(7, b"new")]), |commit| {
        let Body::Run { changes, .. } = run(commit) else { return };
        // Table 0, updated; key 7; column 1: a text of three bytes.
        assert_eq!(*changes, b"\x01\x07\x02\x03new");
        *changes = b"\x01\x07\x02\x03NEW";
    });
    assert_eq!(
        difference.to_string(),
        "commit 2, `m.run`, change 0, table `m.item`, row id: 7, column `data`: \
         recorded 0x4e4557, re-executed 0x6e6577"
    );
}

#[test]
fn another_row() {
    let difference = difference(&after(&[insert(1, b"x")]), |commit| {
        let Body::Run { changes, .. } = run(commit) else { return };
        *changes = b"\x00\x02\x01x";
    });
    assert_eq!(
        difference.to_string(),
        "commit 2, `m.run`, change 0, table `m.item`, row id: 2: \
         recorded insert into item: (id: 2, data: 0x78), re-executed insert into item: (id: 1, data: 0x78)"
    );
}

#[test]
fn another_kind_of_change() {
    let difference = difference(&after(&[crate::modules::delete(7)]), |commit| {
        let Body::Run { changes, .. } = run(commit) else { return };
        *changes = b"\x01\x07\x02\x00";
    });
    assert_eq!(
        difference.to_string(),
        "commit 2, `m.run`, change 0, table `m.item`, row id: 7: \
         recorded update of item: (id: 7, data: 0x), re-executed delete from item: (id: 7, data: 0x6f6c64)"
    );
}

#[test]
fn the_number_of_changes() {
    let difference = difference(&after(&[insert(1, b"")]), |commit| {
        let Body::Run { changes, .. } = run(commit) else { return };
        *changes = b"\x00\x01\x00\x00\x02\x00";
    });
    assert_eq!(difference.what, Differing::ChangeCount);
    assert_eq!(
        difference.to_string(),
        "commit 2, `m.run`, number of changes: recorded 2, re-executed 1"
    );
}

#[test]
fn the_result() {
    let mut fixture = Fixture::of(&[&guest()]);
    fixture.call("m.number", &5u64.to_le_bytes()).unwrap();
    let difference = difference(&fixture, |commit| {
        let Body::Run { outcome, .. } = run(commit) else { return };
        *outcome = Outcome::Committed { result: &[6] };
    });
    assert_eq!(difference.to_string(), "commit 1, `m.number`, result: recorded 6, re-executed 5");
}

#[test]
fn the_outcome_of_a_call() {
    // Recorded as committed; the script in its arguments now says to fail.
    let difference = difference(&after(&[fail_later()]), |commit| {
        let Body::Run { origin, changes, .. } = run(commit) else { return };
        let interstice_core::log::commit::Origin::Call { args, .. } = origin else { return };
        let script = script_of(&[fail("no")]);
        let mut packed = Vec::new();
        interstice_core::abi::bytes::write_bytes(&mut packed, &script);
        *args = Vec::leak(packed);
        *changes = b"";
    });
    assert_eq!(difference.what, Differing::Outcome);
    assert_eq!(difference.replayed, "it returned an error");
}

fn fail_later() -> interstice_tests::guest::script::Op {
    insert(1, b"")
}

#[test]
fn the_outcome_of_a_subscription() {
    let mut fixture = Fixture::of(&[&guest()]);
    let failing = script_of(&[fail("no")]);
    fixture.call("m.run", &args(&[insert_into("note", 0, &failing)])).unwrap();
    let committed = difference(&fixture, |commit| {
        let Body::Run { outcome, .. } = run(commit) else { return };
        *outcome = Outcome::Committed { result: &[] };
    });
    assert_eq!(
        committed.to_string(),
        "commit 2, `m.on_note`, outcome: recorded committed, re-executed error 0x6e6f"
    );
    let other_error = difference(&fixture, |commit| {
        let Body::Run { outcome, .. } = run(commit) else { return };
        *outcome = Outcome::Failed { code: 1, error: b"\x03yes" };
    });
    assert_eq!(
        other_error.to_string(),
        "commit 2, `m.on_note`, result: recorded error 0x796573, re-executed error 0x6e6f"
    );
    let other_code = difference(&fixture, |commit| {
        let Body::Run { outcome, .. } = run(commit) else { return };
        *outcome = Outcome::Failed { code: 3, error: b"" };
    });
    assert_eq!(other_code.recorded, "ran out of fuel");
}

#[test]
fn the_schedules() {
    let difference = difference(&after(&[schedule(50, &[])]), |commit| {
        let Body::Run { schedules, .. } = run(commit) else { return };
        *schedules = Default::default();
    });
    assert_eq!(difference.what, Differing::Schedules);
    assert_eq!(difference.recorded, "none");
    assert_eq!(difference.replayed, "m.later at 1970-01-01T00:00:00.000050Z (script: 0x)");
    assert!(
        difference.to_string().starts_with("commit 2, `m.run`, scheduled calls: recorded none, "),
        "{difference}"
    );
}

#[test]
fn the_state_hash() {
    let fixture = after(&[insert(1, b"")]);
    // A wrong hash does not replay: the state behind it is what it is.
    let mut all: Vec<Vec<u8>> =
        commits(fixture.bytes()).into_iter().map(|(_, commit)| commit).collect();
    let end = all[2].len() - 1;
    all[2][end] ^= 1;
    let error = fixture.reexecute(&chained(all)).unwrap_err();
    assert!(error.to_string().starts_with("commit 2: the state behind it has hash"), "{error}");
}

#[test]
fn code_that_is_not_given_is_named() {
    let fixture = after(&[insert(1, b"")]);
    let steps = Fixture::new().reexecute(fixture.bytes()).unwrap();
    let missing = || Step::CodeMissing { module: "m".into() };
    assert_eq!(steps, [Step::Installed, missing(), missing()]);
}

#[test]
fn other_limits_can_make_a_difference_and_are_seen() {
    let fixture = after(&[insert(1, b"")]);
    let limits = Limits { fuel_per_call: 100, ..Limits::default() };
    let mut again = interstice_core::Reexecution::new(HEADER.seed, limits);
    again.attach(&guest().wasm()).unwrap();
    let steps: Vec<Step> = commits(fixture.bytes())
        .iter()
        .map(|(offset, commit)| again.step(*offset, commit).unwrap())
        .collect();
    let Step::Different(difference) = &steps[1] else { panic!("{steps:?}") };
    assert_eq!(difference.what, Differing::Outcome);
    assert_eq!(difference.replayed, "it used up its 100 units of fuel");
}
