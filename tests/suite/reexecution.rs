//! Re-execution finds the first difference and says where it is.

use interstice_core::{
    AttachError, CommittedState, Difference, Differing, Limits, Record, RecordOutcome, Reexecution,
    ReplayFault, Runtime, Step, TxOffset,
    abi::schema::ModuleSchema,
    log::{
        MemoryLog,
        commit::{Body, Commit, Outcome},
    },
};
use interstice_tests::{
    Fixture, Function, Guest,
    fixture::{HEADER, chained, commits},
    guest::{on_insert, script},
    properties::{decode_snapshot, snapshot},
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

/// The content hash is that of the file, and the schema is not.
#[test]
fn a_module_is_recorded_with_the_schema_of_its_file() {
    let fixture = after(&[insert(1, b"")]);
    let mut all: Vec<Vec<u8>> =
        commits(fixture.bytes()).into_iter().map(|(_, commit)| commit).collect();
    let mut commit = Commit::decode(&all[0]).unwrap();
    let Body::Install { schema, .. } = &mut commit.body else { panic!("an installation") };
    let mut other = ModuleSchema::decode(schema).unwrap();
    let run = other.reducers.iter_mut().find(|reducer| reducer.name == "run").unwrap();
    run.access.retain(|access| access.table != "note");
    let forged = other.encode().unwrap();
    *schema = &forged;
    let mut bytes = Vec::new();
    commit.encode(&mut bytes);
    all[0] = bytes;
    let log = chained(all);
    let steps = fixture.reexecute(&log).unwrap();
    let Step::Different(found) = &steps[0] else { panic!("{steps:?}") };
    assert_eq!(
        found.to_string(),
        "commit 0, `m`, schema: recorded another one, re-executed that of its file"
    );
    assert!(steps[1..].iter().all(|step| matches!(step, Step::NotRun { .. })), "{steps:?}");

    let state = interstice_tests::fixture::replay(&log, &Limits::default()).unwrap();
    let mut runtime = Runtime::new(state, MemoryLog::from_bytes(log).unwrap());
    let refused = runtime.attach(&guest().wasm());
    assert_eq!(refused, Err(AttachError::OtherSchema { module: "m".into() }));
}

/// Two hosts, one after the other, have written a log: each with limits of its
/// own, by which a subscription fails.
#[test]
fn a_log_is_run_again_under_the_limits_that_it_says() {
    let small = Limits { fuel_per_call: 3_000, guest_recursion: 20, ..Limits::default() };
    let scarce = Limits { fuel_per_call: 700, module_bytes: 5 << 20, ..Limits::default() };
    let mut fixture = Fixture::with_limits(small.clone());
    fixture.install(&guest()).unwrap();
    // The subscription inserts three rows for each note.
    let call = |fixture: &mut Fixture, id| {
        let rows = script_of(&[1, 2, 3].map(|row| insert(10 * id + row, b"")));
        fixture.call("m.run", &args(&[insert_into("note", id, &rows)]))
    };
    call(&mut fixture, 1).unwrap();
    for (id, limits) in [(2, scarce.clone()), (3, scarce.clone()), (4, Limits::default())] {
        fixture = fixture.reopened_under(limits);
        call(&mut fixture, id).unwrap();
        call(&mut fixture, 10 * id).unwrap();
    }
    let said = fixture.records().into_iter().filter_map(|record| record.limits);
    let said: Vec<Limits> = said.map(|[_, limits]| limits).collect();
    assert_eq!(said, [small, scarce.clone(), Limits::default()]);
    assert!(fixture.reexecuted().iter().all(|s| matches!(s, Step::Identical | Step::Installed)));
    fixture.assert_replays();

    // Behind any snapshot, too; and other limits would make a difference.
    let all = commits(fixture.bytes());
    for place in 1..all.len() {
        let content = snapshot(fixture.cut(place).runtime.state());
        let state = decode_snapshot(&Limits::default(), [&content[..]]).unwrap();
        let mut again = Reexecution::behind(state);
        again.attach(&guest().wasm());
        for (offset, commit) in &all[place..] {
            assert_eq!(again.step(*offset, commit), Ok(Step::Identical), "behind {place}");
        }
    }
    let failed = |record: &Record| matches!(record.outcome, RecordOutcome::Failed { .. });
    assert_eq!(fixture.records().iter().filter(|record| failed(record)).count(), 4);
}
