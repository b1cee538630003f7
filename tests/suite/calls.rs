//! Calls from module to module: one transaction, a savepoint around the callee.

use interstice_core::{CallErrorKind, Failure, Limit, Limits, Rule};
use interstice_tests::{Fixture, Guest, guest::script::Op};

use crate::modules::{
    args, call, count, fail, insert, insert_into, returned, schedule, scripted, update,
};

/// `a` may call `b`, and `b` may call `c`.
fn three() -> [Guest; 3] {
    let c = scripted("c", &[]);
    let b = scripted("b", &[(&c, "run"), (&c, "ask")]);
    let a = scripted("a", &[(&b, "run"), (&b, "ask"), (&c, "run")]);
    [c, b, a]
}

fn fixture() -> Fixture {
    let guests = three();
    Fixture::of(&guests.each_ref())
}

/// How many rows of `item` each module has: `a`, `b`, `c`.
fn items(fixture: &Fixture) -> [usize; 3] {
    ["a.item", "b.item", "c.item"].map(|table| fixture.rows(table).len())
}

fn failure(fixture: &mut Fixture, ops: &[Op]) -> (String, Failure) {
    let before = fixture.state().state_hash();
    let error = fixture.call("a.run", &args(ops)).expect_err("it fails");
    assert_eq!(fixture.state().state_hash(), before, "a failed call leaves no trace");
    match error.kind {
        CallErrorKind::Failed(failure) => (error.function, *failure),
        other => panic!("it ran and failed, not {other:?}"),
    }
}

#[test]
fn a_call_into_another_module_is_one_commit() {
    let mut fixture = fixture();
    let commits = fixture.state().next_offset().0;
    let ops = [insert(1, b""), call("b.run", &[insert(2, b""), call("c.run", &[insert(3, b"")])])];
    fixture.call("a.run", &args(&ops)).unwrap();
    assert_eq!(items(&fixture), [1, 1, 1]);
    assert_eq!(fixture.state().next_offset().0, commits + 1);
    fixture.assert_replays();
}

#[test]
fn an_error_of_the_callee_takes_back_only_its_own_changes() {
    let mut fixture = fixture();
    let ops = [
        insert(1, b"before"),
        call("b.run", &[insert(2, b""), update(2, b"again"), fail("no")]),
        insert(3, b"behind"),
    ];
    let called = fixture.call("a.run", &args(&ops)).unwrap();
    assert_eq!(items(&fixture), [2, 0, 0]);
    // Insert: status and row. Call: status, the error's length, the error.
    let result = returned(&called.result);
    let of_call = &result[4 + 16 + 6..];
    assert_eq!(of_call[..4], (-4i32).to_le_bytes());
    assert_eq!(of_call[4..8], 10i32.to_le_bytes());
    assert_eq!(&of_call[8..18], b"\x08\0\0\0\x02\0\0\0no");
    fixture.assert_replays();
}

#[test]
fn savepoints_nest() {
    let mut fixture = fixture();
    let inner = [insert(30, b""), fail("c says no")];
    let ops = [call("b.run", &[insert(20, b""), call("c.run", &inner), insert(21, b"")])];
    fixture.call("a.run", &args(&ops)).unwrap();
    assert_eq!(items(&fixture), [0, 2, 0]);

    let ops = [
        call("b.run", &[insert(22, b""), call("c.run", &[insert(31, b"")]), fail("b says no")]),
        call("c.run", &[count(), insert(31, b"")]),
    ];
    fixture.call("a.run", &args(&ops)).unwrap();
    assert_eq!(items(&fixture), [0, 2, 1], "what c did for b went with b");
    fixture.assert_replays();
}

#[test]
fn a_caller_that_fails_takes_its_callees_changes_with_it() {
    let mut fixture = fixture();
    let (function, failed) = failure(&mut fixture, &[call("b.run", &[insert(1, b"")]), fail("no")]);
    assert_eq!(function, "a.run");
    assert!(matches!(failed, Failure::Error(_)));
    assert_eq!(items(&fixture), [0, 0, 0]);
}

#[test]
fn a_trap_of_the_callee_rolls_the_caller_back_too() {
    let mut fixture = fixture();
    for (op, expected) in [
        (Op::Trap, "`b.run`: it stopped at an `unreachable` instruction"),
        (Op::Panic(b"out of tea".to_vec()), "`b.run`: it panicked: out of tea"),
        (Op::Spin, "`b.run`: it used up its 100000000 units of fuel"),
    ] {
        let ops = [insert(1, b""), call("b.run", &[insert(2, b""), op])];
        let error = fixture.call("a.run", &args(&ops)).unwrap_err();
        assert_eq!(error.to_string(), expected, "the error names the function that failed");
        assert_eq!(items(&fixture), [0, 0, 0]);
    }
    // The instances that trapped were thrown away; new ones work.
    fixture.call("a.run", &args(&[call("b.run", &[insert(2, b"")])])).unwrap();
    assert_eq!(items(&fixture), [0, 1, 0]);
    fixture.assert_replays();
}

#[test]
fn numbers_and_schedules_of_a_failed_callee_are_taken_back() {
    let mut fixture = fixture();
    let ops = [
        call("b.run", &[insert_into("note", 0, b"x"), schedule(10, &[]), fail("no")]),
        call("b.run", &[insert_into("note", 0, b"y")]),
    ];
    fixture.call("a.run", &args(&ops)).unwrap();
    assert_eq!(fixture.rows("b.note"), ["(id: 1, data: 0x79)"]);
    assert_eq!(fixture.state().scheduled(), 0);
    fixture.assert_replays();
}

#[test]
fn a_module_that_is_running_cannot_be_called_again() {
    let a = scripted("a", &[]);
    let b = scripted("b", &[(&a, "run")]);
    let mut fixture = Fixture::of(&[&a, &b]);
    fixture.install(&scripted("a", &[(&b, "run")])).unwrap();
    let ops = [insert(1, b""), call("b.run", &[insert(2, b""), call("a.run", &[])])];
    let (_, failed) = failure(&mut fixture, &ops);
    assert_eq!(failed, Failure::Rule(Rule::Reentrant { module: "a".into() }));
    assert_eq!(
        failed.to_string(),
        "it called into module `a`, which is already running in this transaction"
    );
    // It is not left marked as running.
    fixture.call("a.run", &args(&[call("b.run", &[insert(2, b"")])])).unwrap();
}

#[test]
fn calls_go_as_deep_as_the_limit_and_no_deeper() {
    let limit = Limits::default().call_depth;
    let mut guests: Vec<Guest> = Vec::new();
    for depth in 0..=limit + 1 {
        let callee = guests.last().map(|guest| (guest, "run"));
        guests.push(scripted(&format!("m{depth}"), callee.as_slice()));
    }
    let mut fixture = Fixture::of(&guests.iter().collect::<Vec<_>>());
    let script_from = |top: usize| {
        (0..top).fold(vec![insert(1, b"")], |ops, depth| vec![call(&format!("m{depth}.run"), &ops)])
    };
    let top = format!("m{limit}.run");
    fixture.call(&top, &args(&script_from(limit))).unwrap();
    assert_eq!(fixture.rows("m0.item").len(), 1);

    let top = format!("m{}.run", limit + 1);
    let error = fixture.call(&top, &args(&script_from(limit + 1))).unwrap_err();
    let expected = CallErrorKind::Failed(Failure::Limit(Limit::CallDepth { limit }).into());
    assert_eq!(error.kind, expected);
    fixture.assert_replays();
}

#[test]
fn a_function_that_is_not_declared_cannot_be_called() {
    let mut fixture = fixture();
    for target in ["c.ask", "c.later", "a.run", "nobody.run"] {
        let (function, failed) = failure(&mut fixture, &[call(target, &[])]);
        assert_eq!(function, "a.run");
        assert!(matches!(failed, Failure::Rule(Rule::UndeclaredCall { .. })), "{target}: {failed}");
    }
}

#[test]
fn arguments_for_the_callee_are_checked() {
    use interstice_core::abi::ids::NameId;
    let mut fixture = fixture();
    let target = NameId::of_external("b", "run");
    let (_, failed) = failure(&mut fixture, &[Op::Call(target, vec![8, 0, 0, 0, 9, 0, 0, 0])]);
    assert!(
        failed.to_string().starts_with("it passed a malformed arguments of `run`: script, byte 0"),
        "{failed}"
    );
}

#[test]
fn fuel_is_one_budget_for_caller_and_callee() {
    let mut fixture = fixture();
    let alone = fixture.call("a.run", &args(&[insert(1, b"")])).unwrap().fuel;
    let both = fixture.call("a.run", &args(&[call("b.run", &[insert(1, b"")])])).unwrap().fuel;
    assert!(both > alone + 1_000, "a call costs 1000 on top: {alone} and {both}");

    // And for the callee's instance, whether it is there already or not.
    let again = fixture.call("a.run", &args(&[call("b.run", &[insert(2, b"")])])).unwrap().fuel;
    assert_eq!(again, both);

    let limits = Limits { fuel_per_call: both - 1, ..Limits::default() };
    let guests = three();
    let mut fixture = Fixture::with_limits(limits);
    for guest in &guests {
        fixture.install(guest).unwrap();
    }
    let (_, failed) = failure(&mut fixture, &[call("b.run", &[insert(1, b"")])]);
    assert_eq!(failed, Failure::OutOfFuel { limit: both - 1 });
}

#[test]
fn every_call_of_a_callee_begins_with_fresh_memory() {
    let mut fixture = fixture();
    let ops = [call("b.run", &[Op::Remember]), call("b.run", &[Op::Remember, Op::Remember])];
    let called = fixture.call("a.run", &args(&ops)).unwrap();
    let zeros_and_one: &[u8] = &[
        [0, 0, 0, 0, 0, 0, 0, 0].as_slice(),
        &[0, 0, 0, 0, 0, 0, 0, 0],
        &[1, 0, 0, 0, 1, 0, 0, 0],
    ]
    .concat();
    let result = returned(&called.result);
    assert_eq!(&result[4 + 8..4 + 16], &zeros_and_one[..8]);
    assert_eq!(&result[4 + 16 + 4 + 8..], &zeros_and_one[8..]);
}

#[test]
fn a_query_may_ask_another_modules_query() {
    let mut fixture = fixture();
    fixture.call("a.run", &args(&[call("b.run", &[insert(1, b""), insert(2, b"")])])).unwrap();
    let answer = fixture.query("a.ask", &args(&[call("b.ask", &[count()])])).unwrap();
    let result = returned(&answer.result);
    assert_eq!(result[..4], 16i32.to_le_bytes());
    assert_eq!(result[12..], 2u64.to_le_bytes());
}

#[test]
fn a_callees_missing_code_stops_the_call() {
    let fixture = fixture();
    let [_, b, a] = three();
    let bytes = fixture.bytes().to_vec();
    let mut partial = Fixture::new().opened(&bytes).unwrap();
    partial.runtime.attach(&a.wasm()).unwrap();
    let error = partial.call("a.run", &args(&[call("b.run", &[])])).unwrap_err();
    assert_eq!(error.to_string(), "`b.run`: the module's file is missing");
    partial.runtime.attach(&b.wasm()).unwrap();
    partial.call("a.run", &args(&[call("b.run", &[])])).unwrap();
}

#[test]
fn a_result_can_only_be_read_behind_a_call() {
    use interstice_tests::Function;
    let guest = Guest::new("lonely")
        .reducer(Function::new("length"), "(drop (call $error_len))")
        .reducer(Function::new("read"), "(call $result_read (i32.const 0))");
    let mut fixture = Fixture::of(&[&guest]);
    for reducer in ["lonely.length", "lonely.read"] {
        let error = fixture.call(reducer, &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("`{reducer}`: it read the result of a call it did not make")
        );
    }
}
