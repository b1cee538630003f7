//! Subscriptions: behind the commit, each its own transaction, first in first
//! out, once.

use interstice_core::{
    CallErrorKind, Cause, Failure, Limit, Limits, RecordOutcome,
    abi::schema::{AccessSet, Trigger},
};
use interstice_tests::{
    Fixture, Function, Guest,
    guest::{on_delete, on_insert, on_update, script},
};

use crate::modules::{
    args, delete, fail, insert, insert_into, on_row, schedule, script as script_of, scripted,
    update, with_tables,
};

/// Table `trace { id: u64, kind: u8, args: bytes }`, which the interpreter's
/// audit bodies write to under the name `audit`.
fn with_audit(guest: Guest) -> Guest {
    guest.numbered("audit", &[("id", "u64"), ("kind", "u8"), ("args", "bytes")])
}

fn auditing(name: &str) -> Function {
    Function::new(name).may(AccessSet::INSERT, "audit")
}

/// The kinds in the audit table, in order.
fn kinds(fixture: &Fixture, table: &str) -> Vec<u8> {
    let (module, name) = table.split_once('.').unwrap();
    let table = fixture.state().table(module, name).unwrap();
    table.rows().map(|row| row[8]).collect()
}

/// Two subscribers for each kind of change, named against their order of
/// definition.
fn watched() -> Guest {
    let guest = with_audit(scripted("watched", &[]));
    let row = |name: &str| auditing(name).param("row", "Item");
    let pair = |name: &str| auditing(name).param("old", "Item").param("new", "Item");
    guest
        .reducer(row("z_inserted").on(on_insert("item")), &script::audit(2))
        .reducer(row("a_inserted").on(on_insert("item")), &script::audit(1))
        .reducer(pair("z_updated").on(on_update("item")), &script::audit(4))
        .reducer(pair("a_updated").on(on_update("item")), &script::audit(3))
        .reducer(row("a_deleted").on(on_delete("item")), &script::audit(5))
}

#[test]
fn subscribers_run_in_the_order_of_changes_and_then_of_names() {
    let mut fixture = Fixture::of(&[&watched()]);
    fixture.call("watched.run", &args(&[insert(1, b""), insert(2, b"")])).unwrap();
    assert_eq!(kinds(&fixture, "watched.audit"), [1, 2, 1, 2]);
    fixture.call("watched.run", &args(&[delete(2), update(1, b"x")])).unwrap();
    assert_eq!(kinds(&fixture, "watched.audit"), [1, 2, 1, 2, 5, 3, 4]);
    fixture.assert_replays();
}

#[test]
fn subscribers_get_the_rows_before_and_after() {
    let mut fixture = Fixture::of(&[&watched()]);
    fixture.call("watched.run", &args(&[insert(1, b"old")])).unwrap();
    fixture.call("watched.run", &args(&[update(1, b"newer")])).unwrap();
    let rows = fixture.rows("watched.audit");
    // Two rows with their tails behind both slots: id, offset, length, twice.
    let old = "0100000000000000".to_owned() + "20000000" + "03000000";
    let new = "0100000000000000".to_owned() + "23000000" + "05000000";
    let tails = "6f6c64".to_owned() + "6e65776572";
    assert_eq!(rows[2], format!("(id: 3, kind: 3, args: 0x{old}{new}{tails})"));
}

#[test]
fn a_row_that_ends_as_it_began_triggers_nothing() {
    let mut fixture = Fixture::of(&[&watched()]);
    fixture.call("watched.run", &args(&[insert(1, b""), delete(1)])).unwrap();
    fixture.call("watched.run", &args(&[insert(2, b"x")])).unwrap();
    let before = kinds(&fixture, "watched.audit");
    fixture.call("watched.run", &args(&[update(2, b"y"), update(2, b"x")])).unwrap();
    fixture.call("watched.run", &args(&[delete(2), insert(2, b"x")])).unwrap();
    assert_eq!(kinds(&fixture, "watched.audit"), before);
    fixture.call("watched.run", &args(&[delete(2), insert(2, b"z")])).unwrap();
    assert_eq!(kinds(&fixture, "watched.audit")[before.len()..], [3, 4], "an update in the end");
    fixture.assert_replays();
}

#[test]
fn other_modules_subscribe_behind_the_modules_before_them() {
    let source = watched();
    let watch = |name: &str| {
        with_audit(Guest::new(name).memory(script::MEMORY as usize).code(&script::interpreter()))
            .structure("watched.Item", &[("id", "u64"), ("data", "bytes")])
            .reducer(
                auditing("seen").param("row", "watched.Item").on(on_insert("watched.item")),
                &script::audit(9),
            )
    };
    let mut fixture = Fixture::of(&[&source, &watch("second"), &watch("first")]);
    fixture.call("watched.run", &args(&[insert(1, b"")])).unwrap();
    assert_eq!(kinds(&fixture, "second.audit"), [9]);
    assert_eq!(kinds(&fixture, "first.audit"), [9]);
    let order: Vec<String> = fixture
        .records()
        .iter()
        .filter_map(|record| match record.cause {
            Cause::Subscription { target, .. } => {
                let module = fixture.state().module_by_id(target.module)?;
                let function = fixture.state().function(target)?;
                Some(format!("{}.{}", module.name(), function.name()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(order, ["watched.a_inserted", "watched.z_inserted", "second.seen", "first.seen"]);
    fixture.assert_replays();
}

/// `run` inserts into `t0`; a row of `tN` is a script, run by `onN`, which may
/// insert into `tN+1`.
fn chain(links: usize) -> Guest {
    let columns: &[(&str, &str)] = &[("id", "u64"), ("data", "bytes")];
    let mut guest = with_tables("chain");
    for link in 0..=links {
        guest = guest.numbered(&format!("t{link}"), columns);
    }
    let function = Function::new("run").param("script", "bytes").returns("bytes").error("bytes");
    guest = guest.reducer(function.writes(&["t0", "item"]), &script::run_argument());
    for link in 0..links {
        let (table, next) = (format!("t{link}"), format!("t{}", link + 1));
        let function = on_row(&format!("on{link}"), &table.to_uppercase());
        let function = function.writes(&[&next]).on(on_insert(&table));
        guest = guest.reducer(function, &script::run_row());
    }
    guest
}

/// A script that goes on from `tN` to the end of a chain.
fn chained(from: usize, links: usize) -> Vec<u8> {
    match from {
        _ if from == links => Vec::new(),
        _ => script_of(&[insert_into(&format!("t{}", from + 1), 0, &chained(from + 1, links))]),
    }
}

#[test]
fn a_chain_goes_as_deep_as_the_limit_and_no_deeper() {
    let limit = Limits::default().subscription_depth;
    let links = limit as usize + 1;
    let mut fixture = Fixture::of(&[&chain(links)]);
    let called =
        fixture.call("chain.run", &args(&[insert_into("t0", 0, &chained(0, links))])).unwrap();
    // Step `limit` would trigger one more and fails instead.
    assert_eq!(called.failures.len(), 1);
    assert_eq!(called.failures[0].code, 5);
    assert_eq!(
        called.failures[0].reason,
        "its change of table `t16` would run a subscription more than 16 steps behind the first call"
    );
    let reached = (0..=links).filter(|link| !fixture.rows(&format!("chain.t{link}")).is_empty());
    assert_eq!(reached.count(), limit as usize, "t0 to t15 have their row");
    fixture.assert_replays();
}

#[test]
fn a_call_whose_own_change_is_too_deep_leaves_no_trace() {
    let limits = Limits { subscription_depth: 0, ..Limits::default() };
    let mut fixture = Fixture::with_limits(limits);
    fixture.install(&chain(1)).unwrap();
    let error = fixture.call("chain.run", &args(&[insert_into("t0", 0, b"")])).unwrap_err();
    let CallErrorKind::Failed(failure) = error.kind else { panic!("{error:?}") };
    assert_eq!(*failure, Failure::Limit(Limit::SubscriptionDepth { table: "t0".into(), limit: 0 }));
    assert!(fixture.rows("chain.t0").is_empty());
}

#[test]
fn chains_run_breadth_first() {
    let mut fixture = Fixture::of(&[&chain(2)]);
    let leaf = |id: u64| script_of(&[insert(id, b"")]);
    let branch = |id: u64| {
        script_of(&[
            insert(id, b""),
            insert_into("t1", 0, &leaf(id + 1)),
            insert_into("t1", 0, &leaf(id + 2)),
        ])
    };
    let ops = [insert_into("t0", 0, &branch(10)), insert_into("t0", 0, &branch(20))];
    fixture.call("chain.run", &args(&ops)).unwrap();
    let inserted: Vec<u64> = fixture
        .records()
        .iter()
        .flat_map(|record| &record.changes)
        .filter(|change| fixture.state().table_by_id(change.table).unwrap().name() == "item")
        .map(|change| u64::from_le_bytes(change.new.as_ref().unwrap()[..8].try_into().unwrap()))
        .collect();
    assert_eq!(inserted, [10, 20, 11, 12, 21, 22]);
    fixture.assert_replays();
}

#[test]
fn a_subscription_that_fails_is_recorded_and_off_the_queue() {
    use interstice_tests::guest::script::Op;
    let mut fixture = Fixture::of(&[&chain(1)]);
    let data = |op: Op| script_of(&[insert(7, b""), op]);
    let ops = [
        insert_into("t0", 0, &data(fail("no"))),
        insert_into("t0", 0, &data(Op::Trap)),
        insert_into("t0", 0, &data(Op::Spin)),
        insert_into("t0", 0, &data(insert_into("note", 0, b""))),
        insert_into("t0", 0, &data(insert(8, b""))),
    ];
    let called = fixture.call("chain.run", &args(&ops)).unwrap();
    let codes: Vec<u8> = called.failures.iter().map(|failure| failure.code).collect();
    assert_eq!(codes, [1, 2, 3, 4]);
    assert_eq!(fixture.state().pending(), 0);
    assert_eq!(fixture.rows("chain.item").len(), 2, "only the last one has changed anything");

    let records = fixture.records();
    let outcome = |index: usize| records[called.failures[index].offset.0 as usize].outcome.clone();
    let error = b"\x08\0\0\0\x02\0\0\0no".to_vec();
    assert_eq!(outcome(0), RecordOutcome::Failed { code: 1, error: Some(error) });
    assert_eq!(outcome(1), RecordOutcome::Failed { code: 2, error: None });
    assert_eq!(outcome(2), RecordOutcome::Failed { code: 3, error: None });
    assert_eq!(outcome(3), RecordOutcome::Failed { code: 4, error: None });
    fixture.assert_replays();
}

#[test]
fn no_more_subscriptions_wait_than_the_limit_says() {
    let limits = Limits { queue_len: 2, ..Limits::default() };
    let mut fixture = Fixture::with_limits(limits);
    fixture.install(&chain(1)).unwrap();
    let row = || insert_into("t0", 0, b"");
    fixture.call("chain.run", &args(&[row(), row()])).unwrap();
    let error = fixture.call("chain.run", &args(&[row(), row(), row()])).unwrap_err();
    assert_eq!(error.to_string(), "`chain.run`: more than 2 subscriptions would wait");
    assert_eq!(fixture.rows("chain.t0").len(), 2);
}

#[test]
fn no_more_bytes_wait_than_the_limit_says() {
    // A row of 24 bytes waits for each insertion, and the script of a scheduled call.
    let limits = Limits { waiting_bytes: 60, ..Limits::default() };
    let mut fixture = Fixture::with_limits(limits);
    fixture.install(&chain(1)).unwrap();
    let row = || insert_into("t0", 0, &[0; 8]);
    fixture.call("chain.run", &args(&[row(), row()])).unwrap();
    for _ in 0..3 {
        // What has run waits no more.
        fixture.call("chain.run", &args(&[row(), row()])).unwrap();
        let error = fixture.call("chain.run", &args(&[row(), row(), row()])).unwrap_err();
        let expected = "`chain.run`: what waits to run would have more than 60 bytes of arguments";
        assert_eq!(error.to_string(), expected);
    }
    fixture.assert_replays();
    let one = args(&[insert(1, b"")]).len() as u64;
    let limits = Limits { waiting_bytes: one + 10, ..Limits::default() };
    let mut fixture = Fixture::with_limits(limits);
    fixture.install(&scripted("m", &[])).unwrap();
    let later = |bytes| schedule(9, &[insert(1, &vec![0; bytes])]);
    assert!(fixture.call("m.run", &args(&[later(40)])).is_err());
    fixture.call("m.run", &args(&[later(0)])).unwrap();
    assert!(fixture.call("m.run", &args(&[later(0)])).is_err(), "one waits already");
    assert!(fixture.run_due(100).is_empty());
    fixture.call("m.run", &args(&[later(0)])).unwrap();
    fixture.assert_replays();
}

#[test]
fn a_triggered_reducer_cannot_be_called() {
    let mut fixture = Fixture::of(&[&watched()]);
    let error = fixture.call("watched.a_deleted", &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`watched.a_deleted`: it runs when its trigger fires, and cannot be called"
    );
    // Nor by its number.
    let run = fixture.runtime.reducer("watched", "run").unwrap();
    let now = fixture.now();
    let refused = (0..fixture.state().module("watched").unwrap().functions().len() as u32)
        .map(|index| interstice_core::FunctionRef { index, ..run })
        .filter(|function| {
            let called = fixture.runtime.call(*function, &[], now);
            called.is_err_and(|error| error.kind == CallErrorKind::Triggered)
        });
    assert_eq!(refused.count(), 5);
}

/// Writes down when it is initialized and loaded.
fn lifecycle(extra: bool) -> Guest {
    let guest = with_audit(Guest::new("lifecycle"))
        .memory(script::MEMORY as usize)
        .code(&script::interpreter())
        .reducer(auditing("first").on(Trigger::Init), &script::audit(1))
        .reducer(auditing("also_first").on(Trigger::Init), &script::audit(2))
        .reducer(auditing("always").on(Trigger::Load), &script::audit(3));
    if extra { guest.table("more", &[("id", "u64")], &[0]) } else { guest }
}

#[test]
fn init_runs_at_the_first_installation_and_load_at_every_one() {
    let mut fixture = Fixture::of(&[&lifecycle(false)]);
    assert_eq!(kinds(&fixture, "lifecycle.audit"), [2, 1, 3], "init by name, then load");
    let again = fixture.install(&lifecycle(false)).unwrap();
    assert_eq!(again.offset, None, "the same file is installed once");
    assert_eq!(kinds(&fixture, "lifecycle.audit"), [2, 1, 3]);
    let upgraded = fixture.install(&lifecycle(true)).unwrap();
    assert!(upgraded.upgraded);
    assert_eq!(kinds(&fixture, "lifecycle.audit"), [2, 1, 3, 3]);
    fixture.assert_replays();
}

#[test]
fn an_init_that_fails_is_reported_and_the_module_stays() {
    let guest = Guest::new("weak")
        .reducer(Function::new("init").on(Trigger::Init), "(unreachable)")
        .reducer(Function::new("ping"), "");
    let mut fixture = Fixture::new();
    let installed = fixture.install(&guest).unwrap();
    assert_eq!(installed.failures.len(), 1);
    assert_eq!(installed.failures[0].reason, "it stopped at an `unreachable` instruction");
    fixture.call("weak.ping", &[]).unwrap();
    fixture.assert_replays();
}
