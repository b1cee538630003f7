//! Guests that want more than there is: an error that names the limit, and the
//! process goes on.

use std::{
    sync::{Arc, Mutex},
    thread,
};

use interstice_core::{CallErrorKind, Failure, Limit, Limits, abi::ids::NameId};
use interstice_tests::{
    Fixture, Function, Guest,
    guest::script::{self, Op, bytes_value},
};

use crate::modules::{args, call, insert, insert_into, row, scripted, update};

fn limited(limits: Limits) -> Fixture {
    let mut fixture = Fixture::with_limits(limits);
    fixture.install(&scripted("m", &[])).unwrap();
    fixture
}

fn failure(fixture: &mut Fixture, reducer: &str, arguments: &[u8]) -> Failure {
    let before = fixture.state().state_hash();
    let error = fixture.call(reducer, arguments).expect_err("it fails");
    assert_eq!(fixture.state().state_hash(), before);
    match error.kind {
        CallErrorKind::Failed(failure) => *failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_infinite_loop_runs_out_of_fuel() {
    let mut fixture = limited(Limits { fuel_per_call: 1_000_000, ..Limits::default() });
    let failed = failure(&mut fixture, "m.run", &args(&[insert(1, b""), Op::Spin]));
    assert_eq!(failed, Failure::OutOfFuel { limit: 1_000_000 });
    assert_eq!(failed.to_string(), "it used up its 1000000 units of fuel");
    let error = fixture.query("m.ask", &args(&[Op::Spin])).unwrap_err();
    assert_eq!(error.to_string(), "`m.ask`: it used up its 1000000 units of fuel");
}

#[test]
fn infinite_recursion_ends_at_the_limit() {
    let mut fixture = limited(Limits::default());
    let failed = failure(&mut fixture, "m.run", &args(&[insert(1, b""), Op::Recurse]));
    assert_eq!(failed.to_string(), "it trapped: call stack exhausted");
}

#[test]
fn recursion_with_large_frames_ends_at_the_stack_limit() {
    // Each call has 500 locals; together they are more than the value stack.
    let locals = "(local i64) ".repeat(500);
    let guest = Guest::new("fat")
        .code(&format!(
            "(func $deep (param $left i32) {locals}
                (if (local.get $left) (then
                    (call $deep (i32.sub (local.get $left) (i32.const 1))))))"
        ))
        .reducer(
            Function::new("deep").param("levels", "u32"),
            "(call $args_read (i32.const 0)) (call $deep (i32.load (i32.const 0)))",
        );
    let limits = Limits { guest_stack_bytes: 64 << 10, ..Limits::default() };
    let mut fixture = Fixture::with_limits(limits);
    fixture.install(&guest).unwrap();
    fixture.call("fat.deep", &5u32.to_le_bytes()).unwrap();
    let failed = failure(&mut fixture, "fat.deep", &200u32.to_le_bytes());
    assert_eq!(failed.to_string(), "it trapped: call stack exhausted");
}

#[test]
fn recursion_through_all_modules_fits_a_small_host_stack() {
    let depth = Limits::default().call_depth;
    let mut guests: Vec<Guest> = Vec::new();
    for level in 0..=depth {
        let callee = guests.last().map(|guest| (guest, "run"));
        guests.push(scripted(&format!("m{level}"), callee.as_slice()));
    }
    let ops =
        (0..depth).fold(vec![Op::Recurse], |ops, level| vec![call(&format!("m{level}.run"), &ops)]);
    let run = move || {
        let mut fixture = Fixture::of(&guests.iter().collect::<Vec<_>>());
        let failed = failure(&mut fixture, &format!("m{depth}.run"), &args(&ops));
        assert_eq!(failed.to_string(), "it trapped: call stack exhausted");
    };
    // A quarter of what threads get.
    let thread = thread::Builder::new().stack_size(512 << 10).spawn(run).unwrap();
    thread.join().unwrap();
}

#[test]
fn memory_grows_to_its_limit_and_no_further() {
    let limits = Limits { guest_memory_bytes: 1 << 20, ..Limits::default() };
    let guest = Guest::new("greedy").reducer(
        Function::new("grow").returns("u32"),
        "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 4096)) (i32.const -1))))
         (i32.store (i32.const 0) (memory.size))
         (call $return_ok (i32.const 0) (i32.const 4))",
    );
    let mut fixture = Fixture::with_limits(limits);
    fixture.install(&guest).unwrap();
    for _ in 0..3 {
        let called = fixture.call("greedy.grow", &[]).unwrap();
        assert_eq!(called.result, (1u32 << 20).to_le_bytes());
    }
    fixture.assert_replays();
}

#[test]
fn arguments_that_are_too_long_are_refused() {
    let mut fixture = limited(Limits { value_bytes: 100, ..Limits::default() });
    let failed = failure(&mut fixture, "m.run", &bytes_value(&[0; 93]));
    assert_eq!(failed, Failure::Limit(Limit::Value { bytes: 101, limit: 100 }));
    assert_eq!(failed.to_string(), "it passed a value of 101 bytes; the limit is 100");
}

#[test]
fn results_rows_and_errors_that_are_too_long_are_refused() {
    let guest = Guest::new("long")
        .table("blob", &[("data", "bytes")], &[0])
        .code(
            "(func $fill (param $size i32)
                (i32.store (i32.const 0) (i32.const 8))
                (i32.store (i32.const 4) (i32.sub (local.get $size) (i32.const 8))))",
        )
        .reducer(
            Function::new("result").returns("bytes"),
            "(call $fill (i32.const 2001)) (call $return_ok (i32.const 0) (i32.const 2001))",
        )
        .reducer(
            Function::new("error").error("bytes"),
            "(call $fill (i32.const 2001)) (call $return_err (i32.const 0) (i32.const 2001))",
        )
        .reducer(
            Function::new("row").writes(&["blob"]),
            "(call $fill (i32.const 2001))
             (drop (call $insert (global.get $table.blob) (i32.const 0) (i32.const 2001)))",
        )
        .reducer(
            Function::new("claim").returns("bytes"),
            "(call $return_ok (i32.const 0) (i32.const -1))",
        )
        .reducer(
            Function::new("fits").returns("bytes"),
            "(call $fill (i32.const 2000)) (call $return_ok (i32.const 0) (i32.const 2000))",
        );
    let mut fixture = Fixture::with_limits(Limits { value_bytes: 2_000, ..Limits::default() });
    fixture.install(&guest).unwrap();
    for reducer in ["long.result", "long.error", "long.row"] {
        let failed = failure(&mut fixture, reducer, &[]);
        assert_eq!(failed, Failure::Limit(Limit::Value { bytes: 2_001, limit: 2_000 }));
    }
    let failed = failure(&mut fixture, "long.claim", &[]);
    assert_eq!(failed, Failure::Limit(Limit::Value { bytes: u32::MAX as usize, limit: 2_000 }));
    fixture.call("long.fits", &[]).unwrap();
}

#[test]
fn no_more_scans_are_open_than_the_limit_says() {
    let limit = Limits::default().open_scans;
    let open = "(drop (call $scan_open (global.get $table.t) (i32.const 0) (i32.const 1)))";
    let guest = Guest::new("m")
        .table("t", &[("id", "u64")], &[0])
        .reducer(Function::new("most").reads(&["t"]), &open.repeat(limit))
        .reducer(Function::new("more").reads(&["t"]), &open.repeat(limit + 1))
        .reducer(
            Function::new("again").reads(&["t"]),
            &"(call $scan_close (call $scan_open (global.get $table.t) (i32.const 0) (i32.const 1)))"
                .repeat(3 * limit),
        );
    let mut fixture = Fixture::of(&[&guest]);
    for _ in 0..2 {
        fixture.call("m.most", &[]).unwrap();
        fixture.call("m.again", &[]).unwrap();
        let failed = failure(&mut fixture, "m.more", &[]);
        assert_eq!(failed, Failure::Limit(Limit::Scans { limit }));
    }
}

#[test]
fn a_transaction_touches_no_more_rows_than_the_limit_says() {
    let mut fixture = limited(Limits { transaction_rows: 10, ..Limits::default() });
    let rows = |count: u64| args(&(0..count).map(|id| insert(id, b"")).collect::<Vec<_>>());
    fixture.call("m.run", &rows(10)).unwrap();
    assert_eq!(fixture.rows("m.item").len(), 10);
    let mut fixture = limited(Limits { transaction_rows: 10, ..Limits::default() });
    let failed = failure(&mut fixture, "m.run", &rows(11));
    assert_eq!(failed, Failure::Limit(Limit::Transaction));
    assert_eq!(failed.to_string(), "it changed more than one transaction may hold");
}

#[test]
fn a_transaction_holds_no_more_bytes_than_the_limit_says() {
    let mut fixture = limited(Limits { transaction_bytes: 1_000, ..Limits::default() });
    let ops = [insert(1, &[1; 400]), insert(2, &[2; 400]), insert(3, &[3; 400])];
    assert_eq!(failure(&mut fixture, "m.run", &args(&ops)), Failure::Limit(Limit::Transaction));
    fixture.call("m.run", &args(&ops[..2])).unwrap();
    // Replaced rows do not count, deleted ones neither.
    let ops: Vec<Op> = (0..20).map(|byte| update(1, &[byte; 400])).collect();
    fixture.call("m.run", &args(&ops)).unwrap();
    let ops: Vec<Op> =
        (10..30).flat_map(|id| [insert(id, &[0; 400]), crate::modules::delete(id)]).collect();
    fixture.call("m.run", &args(&ops)).unwrap();
    fixture.assert_replays();
}

#[test]
fn bytes_that_savepoints_keep_are_bounded_too() {
    let callee = scripted("callee", &[]);
    let caller = scripted("caller", &[(&callee, "run")]);
    let limits = Limits { transaction_bytes: 2_000, ..Limits::default() };
    let mut fixture = Fixture::with_limits(limits);
    fixture.install(&callee).unwrap();
    fixture.install(&caller).unwrap();
    let mut ops = vec![insert(1, &[0; 300])];
    ops.extend((0..10).map(|byte| update(1, &[byte; 300])));
    let failed = failure(&mut fixture, "caller.run", &args(&[call("callee.run", &ops)]));
    assert_eq!(failed, Failure::Limit(Limit::Transaction));
    fixture.call("callee.run", &args(&ops)).unwrap();
}

#[test]
fn a_table_keeps_to_its_budget() {
    let mut fixture = limited(Limits { table_bytes: 1_000, ..Limits::default() });
    fixture.call("m.run", &args(&[insert(1, &[0; 400])])).unwrap();
    fixture.call("m.run", &args(&[insert(2, &[0; 300])])).unwrap();
    let used = fixture.state().table("m", "item").unwrap().bytes();
    assert_eq!(used, (16 + 400 + 8 + 48) + (16 + 300 + 8 + 48));
    let failed = failure(&mut fixture, "m.run", &args(&[insert(3, &[0; 100])]));
    let bytes = used + 16 + 100 + 8 + 48;
    assert_eq!(failed, Failure::Limit(Limit::Table { table: "item".into(), bytes, limit: 1_000 }));
    assert_eq!(
        failed.to_string(),
        format!("table `item` would have {bytes} bytes; its budget is 1000")
    );
    // Less is always possible, and another table has a budget of its own.
    fixture.call("m.run", &args(&[update(1, &[0; 10]), insert(3, &[0; 100])])).unwrap();
    fixture.call("m.run", &args(&[insert_into("note", 0, &[0; 800])])).unwrap();
    fixture.assert_replays();
}

#[test]
fn a_table_over_a_budget_that_was_lowered_can_still_shrink() {
    let mut fixture = limited(Limits::default());
    fixture.call("m.run", &args(&[insert(1, &[0; 900]), insert(2, &[0; 900])])).unwrap();
    let mut lower = Fixture::with_limits(Limits { table_bytes: 500, ..Limits::default() })
        .opened(fixture.bytes())
        .unwrap();
    lower.runtime.attach(&scripted("m", &[]).wasm()).unwrap();
    assert!(lower.call("m.run", &args(&[insert(3, b"")])).is_err());
    lower.call("m.run", &args(&[update(1, &[0; 800])])).unwrap();
    lower.call("m.run", &args(&[crate::modules::delete(2)])).unwrap();
}

#[test]
fn a_sequence_ends_with_an_error() {
    let guest = Guest::new("m")
        .memory(script::MEMORY as usize)
        .numbered("small", &[("id", "i32"), ("x", "u8")])
        .reducer(
            Function::new("put").param("row", "Small").returns("i32").writes(&["small"]),
            "(call $args_read (i32.const 0))
             (drop (call $insert (global.get $table.small) (i32.const 0) (local.get $len)))
             (call $return_ok (i32.const 0) (i32.const 4))",
        );
    let mut fixture = Fixture::of(&[&guest]);
    let put = |fixture: &mut Fixture, id: i32| {
        let row = [&id.to_le_bytes()[..], &[0]].concat();
        fixture.call("m.put", &row).map(|called| called.result)
    };
    assert_eq!(put(&mut fixture, 0).unwrap(), 1i32.to_le_bytes());
    put(&mut fixture, -5).unwrap();
    assert_eq!(put(&mut fixture, 0).unwrap(), 2i32.to_le_bytes(), "negative ones do not count");
    put(&mut fixture, i32::MAX - 1).unwrap();
    assert_eq!(put(&mut fixture, 0).unwrap(), i32::MAX.to_le_bytes());
    let error = put(&mut fixture, 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`m.put`: the auto-increment column of table `small` has no number left"
    );
    put(&mut fixture, 77).unwrap();
    fixture.assert_replays();
    assert!(put(&mut fixture.reopened(), 0).is_err());
}

#[test]
fn scans_over_many_rows_cost_fuel() {
    let mut fixture = limited(Limits::default());
    for from in (0..2_000).step_by(200) {
        let ops: Vec<Op> = (from..from + 200).map(|id| insert(id, b"")).collect();
        fixture.call("m.run", &args(&ops)).unwrap();
    }
    let limits = Limits { fuel_per_call: 30_000, ..Limits::default() };
    let mut poor = Fixture::with_limits(limits).opened(fixture.bytes()).unwrap();
    poor.runtime.attach(&scripted("m", &[]).wasm()).unwrap();
    let item = interstice_core::abi::ids::NameId::of("item");
    let all = script::ScanSpec::default;
    for op in [Op::Count(item, all()), Op::DeleteWhere(item, all()), Op::Scan(item, all(), 64)] {
        let failed = failure(&mut poor, "m.run", &args(&[op]));
        assert_eq!(failed, Failure::OutOfFuel { limit: 30_000 });
    }
    assert_eq!(poor.rows("m.item").len(), 2_000);
    poor.call("m.run", &args(&[])).unwrap();
}

#[test]
fn long_lines_and_panics_are_cut() {
    let mut fixture = limited(Limits::default());
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    fixture.runtime.set_guest_log(Box::new(move |line| sink.lock().unwrap().push(line)));
    let long = vec![b'x'; 10_000];
    fixture.call("m.run", &args(&[Op::Log(long.clone()), Op::Log(b"\xff!".to_vec())])).unwrap();
    let lines = lines.lock().unwrap();
    assert_eq!(lines[0].text.len(), 4_096);
    assert_eq!(
        (
            lines[1].module.as_str(),
            lines[1].function.as_str(),
            lines[1].level,
            lines[1].text.as_str()
        ),
        ("m", "run", 2, "\u{fffd}!")
    );
    let failed = failure(&mut fixture, "m.run", &args(&[Op::Panic(long)]));
    assert_eq!(failed.to_string().len(), "it panicked: ".len() + 4_096);
}

#[test]
fn a_module_whose_segments_do_not_fit_is_refused() {
    let data = Guest::new("data")
        .memory(16)
        .code(r#"(data (i32.const 10) "longer than that")"#)
        .reducer(Function::new("ping"), "");
    let elements = Guest::new("elements")
        .code("(table 1 funcref) (func $f) (elem (i32.const 5) $f)")
        .reducer(Function::new("ping"), "");
    let mut fixture = Fixture::new();
    for guest in [data, elements] {
        let refused = fixture.install(&guest).unwrap_err().to_string();
        assert!(refused.starts_with("data and element segments: "), "{refused}");
    }
}

#[test]
fn code_that_is_hard_to_translate_is_translated_or_refused() {
    let nested = |depth: usize| {
        let body = format!("{}{}", "(block ".repeat(depth), ")".repeat(depth));
        Guest::new("nested").reducer(Function::new("ping"), &body).wasm()
    };
    let many_locals = Guest::new("locals")
        .reducer(Function::new("ping"), &"(local i64 i64 i64 i64 i64 i64 i64 i64)".repeat(10_000))
        .wasm();
    let labels = "0 ".repeat(100_000);
    let many_labels = Guest::new("labels")
        .reducer(Function::new("ping"), &format!("(block (br_table {labels} (i32.const 0)))"))
        .wasm();
    let thread = thread::Builder::new().stack_size(1 << 20).spawn(move || {
        for wasm in [nested(500), nested(20_000), many_locals, many_labels] {
            let mut fixture = Fixture::new();
            if let Ok(installed) = fixture.install_file(wasm) {
                let _ = fixture.call(&format!("{}.ping", installed.module), &[]);
            }
        }
    });
    thread.unwrap().join().unwrap();
}

#[test]
fn a_row_is_as_long_as_a_value_may_be() {
    let limit = Limits::default().value_bytes;
    let guest = Guest::new("m")
        .memory(4 << 20)
        .table("item", &[("id", "u64"), ("data", "bytes")], &[0])
        .reducer(
            Function::new("put").param("row", "Item").writes(&["item"]),
            "(call $args_read (i32.const 0))
             (drop (call $insert (global.get $table.item) (i32.const 0) (local.get $len)))",
        );
    let mut fixture = Fixture::of(&[&guest]);
    fixture.call("m.put", &row(1, &vec![1; limit - 16])).unwrap();
    assert!(fixture.call("m.put", &row(2, &vec![1; limit - 15])).is_err());
    fixture.assert_replays();
}

/// A fixture whose `m.item` has this many rows, with long data.
fn with_rows(rows: u64) -> Fixture {
    let mut fixture = limited(Limits::default());
    for from in (0..rows).step_by(50) {
        let ops: Vec<Op> = (from..rows.min(from + 50)).map(|id| insert(id, &[7; 400])).collect();
        fixture.call("m.run", &args(&ops)).unwrap();
    }
    fixture
}

fn fuel(fixture: &mut Fixture, ops: &[Op]) -> u64 {
    fixture.call("m.run", &args(ops)).unwrap().fuel
}

#[test]
fn what_a_filter_looks_at_costs_fuel() {
    use interstice_core::abi::{filter::Comparison, ids::NameId, value::Value};
    let mut fixture = with_rows(200);
    let item = NameId::of("item");
    let count = |column: u16, value: Value| {
        let condition = Some((column, Comparison::Ne, value));
        Op::Count(item, script::ScanSpec { condition, ..Default::default() })
    };
    let plain = fuel(&mut fixture, &[Op::Count(item, script::ScanSpec::default())]);
    let number = fuel(&mut fixture, &[count(0, Value::Unsigned(5))]);
    let content = fuel(&mut fixture, &[count(1, Value::Bytes(vec![1]))]);
    assert!(number >= plain + 200, "one unit for each row: {plain}, {number}");
    assert!(content >= plain + 200 * 400 / 8, "and for its bytes: {plain}, {content}");
}

#[test]
fn rows_that_are_gone_cost_fuel_to_pass() {
    use interstice_core::abi::ids::NameId;
    let mut fixture = with_rows(500);
    let item = NameId::of("item");
    let all = script::ScanSpec::default;
    let once = fuel(&mut fixture, &[Op::DeleteWhere(item, all())]);
    let mut fixture = with_rows(500);
    let mut ops = vec![Op::DeleteWhere(item, all())];
    ops.extend((0..10).map(|_| Op::Count(item, all())));
    let counted = fuel(&mut fixture, &ops);
    assert!(counted >= once + 10 * 500 * 20, "{once}, {counted}");
}

#[test]
fn many_rows_are_not_deleted_by_one_description() {
    use interstice_core::abi::ids::NameId;
    let fixture = with_rows(300);
    let limits = Limits { transaction_rows: 299, ..Limits::default() };
    let mut lower = Fixture::with_limits(limits).opened(fixture.bytes()).unwrap();
    lower.runtime.attach(&scripted("m", &[]).wasm()).unwrap();
    let all = Op::DeleteWhere(NameId::of("item"), script::ScanSpec::default());
    assert_eq!(failure(&mut lower, "m.run", &args(&[all])), Failure::Limit(Limit::Transaction));
    let most = script::ScanSpec { limit: Some(299), ..Default::default() };
    let most = Op::DeleteWhere(NameId::of("item"), most);
    lower.call("m.run", &args(&[most])).unwrap();
    assert_eq!(lower.rows("m.item").len(), 1);
}

/// What deletes rows keeps their keys for a moment.
#[test]
fn keys_have_a_length_and_all_that_are_deleted_at_once_too() {
    let guest = Guest::new("m")
        .memory(script::MEMORY as usize)
        .table("item", &[("name", "bytes"), ("id", "u64")], &[0])
        .code(&script::interpreter())
        .reducer(
            Function::new("run").param("script", "bytes").returns("bytes").writes(&["item"]),
            &script::run_argument(),
        );
    let named = |len: usize| {
        let mut row = 16u32.to_le_bytes().to_vec();
        row.extend((len as u32).to_le_bytes());
        row.extend([0; 8]);
        row.extend(vec![1; len]);
        Op::Insert(NameId::of("item"), row)
    };
    let limits = Limits { key_bytes: 100, transaction_bytes: 700, ..Limits::default() };
    let mut fixture = Fixture::with_limits(limits);
    fixture.install(&guest).unwrap();
    let failed = failure(&mut fixture, "m.run", &args(&[named(99)]));
    assert_eq!(failed, Failure::Limit(Limit::Key { table: "item".into(), limit: 100 }));
    assert_eq!(failed.to_string(), "a key of table `item` has more than 100 bytes");
    for len in 90..=98 {
        fixture.call("m.run", &args(&[named(len)])).unwrap();
    }
    let all = Op::DeleteWhere(NameId::of("item"), script::ScanSpec::default());
    let failed = failure(&mut fixture, "m.run", &args(&[all]));
    assert_eq!(failed, Failure::Limit(Limit::Transaction));
}

/// One limit out of many, to be set.
type Set = fn(&mut Limits);

#[test]
fn limits_of_nothing_are_errors_and_never_panics() {
    let sets: [(&str, Set); 18] = [
        ("module_bytes", |limits| limits.module_bytes = 0),
        ("modules", |limits| limits.modules = 0),
        ("guest_memory_bytes", |limits| limits.guest_memory_bytes = 0),
        ("guest_table_elements", |limits| limits.guest_table_elements = 0),
        ("fuel_per_call", |limits| limits.fuel_per_call = 0),
        ("guest_recursion", |limits| limits.guest_recursion = 0),
        ("guest_stack_bytes", |limits| limits.guest_stack_bytes = 0),
        ("call_depth", |limits| limits.call_depth = 0),
        ("open_scans", |limits| limits.open_scans = 0),
        ("value_bytes", |limits| limits.value_bytes = 0),
        ("transaction_bytes", |limits| limits.transaction_bytes = 0),
        ("transaction_rows", |limits| limits.transaction_rows = 0),
        ("table_bytes", |limits| limits.table_bytes = 0),
        ("subscription_depth", |limits| limits.subscription_depth = 0),
        ("queue_len", |limits| limits.queue_len = 0),
        ("schedule_len", |limits| limits.schedule_len = 0),
        ("waiting_bytes", |limits| limits.waiting_bytes = 0),
        ("key_bytes", |limits| limits.key_bytes = 0),
    ];
    let callee = scripted("callee", &[]);
    let caller = scripted("m", &[(&callee, "run")]);
    let item = interstice_core::abi::ids::NameId::of("item");
    let ops = [
        insert(1, b"x"),
        Op::Scan(item, script::ScanSpec::default(), 64),
        call("callee.run", &[insert(2, b"")]),
        crate::modules::schedule(5, &[]),
    ];
    for (name, set) in sets {
        let mut limits = Limits::default();
        set(&mut limits);
        let mut fixture = Fixture::with_limits(limits);
        let installed = fixture.install(&callee).is_ok() && fixture.install(&caller).is_ok();
        for op in &ops {
            let _ = fixture.call("m.run", &args(std::slice::from_ref(op)));
        }
        let _ = fixture.run_due(100);
        fixture.assert_replays();
        assert!(!installed || fixture.state().next_offset().0 >= 2, "{name}");
    }
}
