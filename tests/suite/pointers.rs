//! Pointers out of bounds, for every host call there is.
//!
//! The host calls come from the contract's one list, with the names of their
//! parameters: a call that is added there is tested here.

use interstice_core::{
    CallErrorKind, Failure, Limits,
    abi::{
        for_each_host_call,
        host_calls::{HOST_CALLS, HostCall, ValueType},
        ids::NameId,
        schema::AccessSet,
    },
};
use interstice_tests::{Fixture, Function, Guest, random::Random};

macro_rules! parameters {
    ($($(#[$doc:meta])* $name:ident($($param:ident: $ty:ident),*) $(-> $result:ident)?;)*) => {
        /// Names of the parameters of every host call.
        const PARAMETERS: &[(&str, &[&str])] =
            &[$((stringify!($name), &[$(stringify!($param)),*])),*];
    };
}
for_each_host_call!(parameters);

const MEMORY: u32 = 8192;
/// Where the probe puts its own arguments, out of the way.
const OWN_ARGS: u32 = 4096;

/// One reducer for each host call, which passes its own arguments on.
///
/// Good values: a row at 0, a key at 64, a scan of everything at 128, room at
/// 256. Before the call a scan is open, and another module was called.
fn probe(callee: &Guest) -> Guest {
    let guest = Guest::new("probe")
        .memory(MEMORY as usize)
        .table("t", &[("id", "u64"), ("x", "u64")], &[0])
        .code(r#"(data (i32.const 0) "\01") (data (i32.const 64) "\01")"#)
        .reducer(Function::new("later").param("n", "u64"), "");
    HOST_CALLS.iter().fold(guest, |guest, call| {
        let mut function = Function::new(&reducer(call)).may(AccessSet::WRITE, "t");
        function = function.calls(callee, "echo");
        if call.name == "return_ok" {
            function = function.returns("u64");
        }
        if call.name == "return_err" {
            function = function.error("u64");
        }
        let mut at = OWN_ARGS;
        let mut pushes = String::new();
        for (index, ty) in call.params.iter().enumerate() {
            let (name, width) = match ty {
                ValueType::I32 => ("i32", 4),
                ValueType::I64 => ("i64", 8),
            };
            function = function.param(&format!("p{index}"), name);
            pushes += &format!("({name}.load (i32.const {at})) ");
            at += width;
        }
        let drop = if call.result.is_some() { "(drop)" } else { "" };
        let body = format!(
            "(drop (call $scan_open (global.get $table.t) (i32.const 128) (i32.const 1)))
             (drop (call $call (global.get $call.callee.echo) (i32.const 0) (i32.const 8)))
             (call $args_read (i32.const {OWN_ARGS}))
             {pushes} (call ${}) {drop}",
            call.name
        );
        guest.reducer(function, &body)
    })
}

fn callee() -> Guest {
    Guest::new("callee").reducer(
        Function::new("echo").param("n", "u64").returns("u64"),
        "(call $args_read (i32.const 0)) (call $return_ok (i32.const 0) (i32.const 8))",
    )
}

fn reducer(call: &HostCall) -> String {
    format!("do_{}", call.name)
}

fn fixture() -> Fixture {
    let callee = callee();
    // Claimed lengths are charged for: enough fuel to get behind that.
    let limits = Limits { fuel_per_call: 1_000_000_000, ..Limits::default() };
    let mut fixture = Fixture::with_limits(limits);
    fixture.install(&callee).unwrap();
    fixture.install(&probe(&callee)).unwrap();
    fixture
}

fn names(call: &HostCall) -> &'static [&'static str] {
    PARAMETERS.iter().find(|(name, _)| *name == call.name).expect("one list").1
}

/// A value for a parameter with which the call is good.
fn good(call: &HostCall, name: &str) -> i64 {
    let id = |name: &str| i64::from(NameId::of(name).0 as i32);
    match (call.name, name) {
        (_, "table") => id("t"),
        ("schedule", "reducer") => id("later"),
        ("call", "target") => i64::from(NameId::of_external("callee", "echo").0 as i32),
        (_, "handle" | "level") => 0,
        (_, "key_ptr") => 64,
        (_, "key_len" | "args_len") => 8,
        (_, "scan_ptr") => 128,
        (_, "scan_len") => 1,
        ("insert" | "update", "ptr") => 0,
        ("insert" | "update", "len") => 16,
        ("return_ok" | "return_err" | "log" | "panic", "len") => 8,
        (_, "capacity") => 64,
        ("get" | "scan_next" | "result_read" | "args_read", "ptr") => 256,
        (_, "ptr" | "args_ptr") => 0,
        ("schedule", "at") => 5,
        (call, name) => panic!("{call} has a new parameter {name}: say what is good for it"),
    }
}

fn arguments(call: &HostCall, values: &[i64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (ty, value) in call.params.iter().zip(values) {
        match ty {
            ValueType::I32 => bytes.extend_from_slice(&(*value as i32).to_le_bytes()),
            ValueType::I64 => bytes.extend_from_slice(&value.to_le_bytes()),
        }
    }
    bytes
}

/// Calls one host call with these values. `Err` is the reason why it failed.
fn run(fixture: &mut Fixture, call: &HostCall, values: &[i64]) -> Result<(), Failure> {
    let reducer = format!("probe.{}", reducer(call));
    match fixture.call(&reducer, &arguments(call, values)) {
        Ok(_) => Ok(()),
        Err(error) => match error.kind {
            CallErrorKind::Failed(failure) => Err(*failure),
            other => panic!("{other:?}"),
        },
    }
}

#[test]
fn good_values_are_good_for_every_host_call() {
    for call in HOST_CALLS {
        let mut fixture = fixture();
        let values: Vec<i64> = names(call).iter().map(|name| good(call, name)).collect();
        match (call.name, run(&mut fixture, call, &values)) {
            ("panic", Err(Failure::Trap { .. })) | ("return_err", Err(Failure::Error(_))) => {}
            (_, outcome) => assert_eq!(outcome, Ok(()), "{}", call.name),
        }
    }
}

/// The parameter with the length of what `pointer` points to.
fn length_of(call: &HostCall, pointer: &str) -> Option<usize> {
    let wanted = match pointer {
        "key_ptr" => &["key_len"][..],
        "scan_ptr" => &["scan_len"],
        "args_ptr" => &["args_len"],
        _ => &["len", "capacity"],
    };
    names(call).iter().position(|name| wanted.contains(name))
}

#[test]
fn ranges_that_leave_memory_are_refused_by_every_host_call() {
    let mut fixture = fixture();
    // A row to be found, so that `get` and `scan_next` have something to write.
    let insert = HOST_CALLS.iter().find(|call| call.name == "insert").unwrap();
    run(&mut fixture, insert, &[good(insert, "table"), 0, 16]).unwrap();
    let mut pointers = 0;
    for call in HOST_CALLS {
        for (index, name) in names(call).iter().enumerate() {
            if !name.ends_with("ptr") {
                continue;
            }
            pointers += 1;
            let defaults: Vec<i64> = names(call).iter().map(|name| good(call, name)).collect();
            let size = i64::from(MEMORY);
            let len = match (call.name, length_of(call, name)) {
                (_, Some(length)) => defaults[length],
                // One argument of four bytes, and a result of eight.
                ("args_read", _) => 4,
                _ => 8,
            };
            let before = fixture.state().state_hash();
            for bad in [size - len + 1, size, size + 1, 1 << 31, -1, -len, i64::from(i32::MAX)] {
                let mut values = defaults.clone();
                values[index] = bad;
                let failed = run(&mut fixture, call, &values).expect_err(call.name);
                assert!(
                    failed.to_string().ends_with("which is not in its memory"),
                    "{}({name} = {bad}): {failed}",
                    call.name
                );
            }
            if let Some(length) = length_of(call, name) {
                for bad in [size + 1, 1 << 20, i64::from(i32::MAX), 1 << 31, -1] {
                    let mut values = defaults.clone();
                    values[length] = bad;
                    let failed = run(&mut fixture, call, &values).expect_err(call.name);
                    assert!(
                        matches!(failed, Failure::Rule(_) | Failure::Limit(_)),
                        "{}(length {bad}): {failed}",
                        call.name
                    );
                }
            }
            assert_eq!(fixture.state().state_hash(), before, "{}", call.name);
        }
    }
    assert!(pointers >= 16, "{pointers} pointers in the list");
}

#[test]
fn a_range_that_ends_where_memory_ends_is_good() {
    let mut fixture = fixture();
    let call = |name: &str| HOST_CALLS.iter().find(|call| call.name == name).unwrap();
    let end = i64::from(MEMORY);
    run(&mut fixture, call("log"), &[2, end - 8, 8]).unwrap();
    run(&mut fixture, call("log"), &[2, end, 0]).unwrap();
    run(&mut fixture, call("args_read"), &[end - 4]).unwrap();
    run(&mut fixture, call("result_read"), &[end - 8]).unwrap();
    assert!(run(&mut fixture, call("args_read"), &[end - 3]).is_err());
    assert!(run(&mut fixture, call("result_read"), &[end - 7]).is_err());
}

#[test]
fn any_values_at_all_are_refused_or_good() {
    let mut fixture = fixture();
    let mut random = Random::new(5);
    let size = i64::from(MEMORY);
    let edges =
        [0, 1, 8, 16, 64, 128, size - 16, size - 8, size - 1, size, size + 1, 1 << 31, -1, -8];
    for call in HOST_CALLS {
        for _ in 0..400 {
            let values: Vec<i64> = names(call)
                .iter()
                .map(|name| match random.below(4) {
                    0 => good(call, name),
                    1 => random.number() as i64,
                    _ => *random.pick(&edges),
                })
                .collect();
            let _ = run(&mut fixture, call, &values);
        }
    }
    fixture.assert_replays();
}

#[test]
fn scan_handles_belong_to_those_who_opened_them() {
    let mut fixture = fixture();
    for name in ["scan_next", "scan_close"] {
        let call = HOST_CALLS.iter().find(|call| call.name == name).unwrap();
        for handle in [1, 15, 16, 99, i64::from(i32::MAX), -1] {
            let mut values: Vec<i64> = names(call).iter().map(|name| good(call, name)).collect();
            values[0] = handle;
            let failed = run(&mut fixture, call, &values).expect_err(name);
            assert_eq!(
                failed.to_string(),
                format!("it named scan {}, which is not open", handle as u32)
            );
        }
    }
    // A callee cannot use its caller's scan.
    let thief = Guest::new("thief").reducer(
        Function::new("steal"),
        "(drop (call $scan_next (i32.const 0) (i32.const 256) (i32.const 64)))",
    );
    let owner = Guest::new("owner").table("t", &[("id", "u64")], &[0]).reducer(
        Function::new("lend").reads(&["t"]).calls(&thief, "steal"),
        "(drop (call $scan_open (global.get $table.t) (i32.const 0) (i32.const 1)))
         (drop (call $call (global.get $call.thief.steal) (i32.const 0) (i32.const 0)))",
    );
    let mut fixture = Fixture::of(&[&thief, &owner]);
    let error = fixture.call("owner.lend", &[]).unwrap_err();
    assert_eq!(error.to_string(), "`thief.steal`: it named scan 0, which is not open");
}

#[test]
fn results_are_set_once_and_as_declared() {
    let ok = "(call $return_ok (i32.const 0) (i32.const 8))";
    let err = "(call $return_err (i32.const 0) (i32.const 8))";
    let typed = |name: &str| Function::new(name).returns("u64").error("u64");
    let guest = Guest::new("m")
        .reducer(typed("nothing"), "")
        .reducer(typed("twice"), &format!("{ok}{ok}"))
        .reducer(typed("both"), &format!("{ok}{err}"))
        .reducer(typed("short"), "(call $return_ok (i32.const 0) (i32.const 7))")
        .reducer(Function::new("unasked"), ok)
        .reducer(Function::new("wrong").returns("u64"), err)
        .reducer(Function::new("quiet").error("u64"), "")
        .reducer(typed("fine"), ok);
    let mut fixture = Fixture::of(&[&guest]);
    let mut text = |reducer: &str| fixture.call(reducer, &[]).unwrap_err().to_string();
    let mismatch = "what it returned is not what its schema declares";
    assert_eq!(text("m.nothing"), format!("`m.nothing`: {mismatch}"));
    assert_eq!(text("m.twice"), "`m.twice`: it set its result twice");
    assert_eq!(text("m.both"), "`m.both`: it set its result twice");
    assert_eq!(text("m.unasked"), format!("`m.unasked`: {mismatch}"));
    assert_eq!(text("m.wrong"), format!("`m.wrong`: {mismatch}"));
    assert!(text("m.short").starts_with("`m.short`: it passed a malformed result: "));
    fixture.call("m.quiet", &[]).unwrap();
    fixture.call("m.fine", &[]).unwrap();
}
