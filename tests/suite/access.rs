//! What a function does not declare, it cannot do.

use interstice_core::{
    CallErrorKind, Failure, InstallError, Refused, Rule,
    abi::{ids::NameId, schema::AccessSet},
};
use interstice_tests::{
    Fixture, Function, Guest,
    guest::script::{self, MEMORY, Op, ScanSpec},
};

use crate::modules::{args, count, insert, row, schedule, scripted};

const COLUMNS: &[(&str, &str)] = &[("id", "u64"), ("data", "bytes")];

/// One reducer for every set of operations that can be declared.
fn guest() -> Guest {
    let guest = Guest::new("m")
        .memory(MEMORY as usize)
        .table("item", COLUMNS, &[0])
        .table("other", COLUMNS, &[0])
        .code(&script::interpreter());
    (0..16u8).fold(guest, |guest, declared| {
        let function =
            Function::new(&format!("may{declared}")).param("script", "bytes").returns("bytes");
        let function = match declared {
            0 => function.may(AccessSet::READ, "other"),
            _ => function.may(AccessSet(declared), "item"),
        };
        guest.reducer(function, &script::run_argument())
    })
}

#[test]
fn every_table_call_needs_its_declaration() {
    let item = NameId::of("item");
    let key = 1u64.to_le_bytes().to_vec();
    let all = ScanSpec::default;
    let operations = [
        (Op::Insert(item, row(2, b"")), AccessSet::INSERT, "insert into"),
        (Op::Update(item, row(1, b"y")), AccessSet::UPDATE, "update"),
        (Op::Delete(item, key.clone()), AccessSet::DELETE, "delete from"),
        (Op::DeleteWhere(item, all()), AccessSet::DELETE, "delete from"),
        (Op::Get(item, key), AccessSet::READ, "read"),
        (Op::Count(item, all()), AccessSet::READ, "read"),
        (Op::Scan(item, all(), 64), AccessSet::READ, "read"),
    ];
    for declared in 0..16u8 {
        // Every declaration includes reading.
        let allowed = AccessSet(if declared == 0 { 0 } else { declared | 1 });
        for (op, needed, words) in &operations {
            let mut fixture = Fixture::of(&[&guest()]);
            fixture.call("m.may15", &args(&[insert(1, b"x")])).unwrap();
            let called = fixture.call(&format!("m.may{declared}"), &args(std::slice::from_ref(op)));
            if allowed.contains(*needed) {
                called.unwrap();
                continue;
            }
            let expected =
                format!("`m.may{declared}`: it does not declare to {words} table `item`");
            assert_eq!(called.unwrap_err().to_string(), expected);
            assert_eq!(fixture.rows("m.item"), ["(id: 1, data: 0x78)"]);
        }
    }
}

#[test]
fn other_modules_tables_have_no_name_here() {
    let mut fixture = Fixture::of(&[&scripted("a", &[]), &guest()]);
    let id = NameId::of("note");
    let error = fixture.call("m.may15", &args(&[Op::Count(id, ScanSpec::default())])).unwrap_err();
    let expected = CallErrorKind::Failed(Failure::Rule(Rule::UnknownTable { id: id.0 }).into());
    assert_eq!(error.kind, expected);
    assert_eq!(
        error.to_string(),
        format!("`m.may15`: it named the table {:#010x}, which its module does not have", id.0)
    );
}

#[test]
fn a_query_cannot_write_or_schedule() {
    let mut fixture = Fixture::of(&[&scripted("m", &[])]);
    fixture.call("m.run", &args(&[insert(1, b"")])).unwrap();
    let before = fixture.state().state_hash();
    let item = NameId::of("item");
    for (op, expected) in [
        (insert(2, b""), "`m.ask`: it does not declare to insert into table `item`"),
        (
            Op::DeleteWhere(item, ScanSpec::default()),
            "`m.ask`: it does not declare to delete from table `item`",
        ),
        (schedule(5, &[]), "`m.ask`: a query cannot run or schedule a reducer"),
    ] {
        let error = fixture.query("m.ask", &args(&[op])).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    fixture.query("m.ask", &args(&[count()])).unwrap();
    assert_eq!(fixture.state().state_hash(), before);
    assert_eq!(fixture.state().next_offset().0, 2, "queries leave no commit");
}

#[test]
fn a_query_that_declares_a_write_is_refused() {
    // The schema would not encode, so it is falsified behind that.
    let honest = Guest::new("sly")
        .table("item", COLUMNS, &[0])
        .query(Function::new("ask").may(AccessSet::READ, "item"), "");
    let mut wasm = honest.wasm();
    let declared = b"\x04item\x01\x00";
    let at = wasm.windows(declared.len()).rposition(|window| window == declared).unwrap();
    wasm[at + 5] = AccessSet::WRITE.0;
    let error = Fixture::new().install_file(wasm).unwrap_err();
    assert!(
        error.to_string().contains("query ask: a query cannot write; it declares `item` so"),
        "{error}"
    );
}

#[test]
fn a_query_that_declares_to_call_a_reducer_is_refused() {
    let callee = scripted("callee", &[]);
    let asking = Guest::new("asking").query(Function::new("ask").calls(&callee, "run"), "");
    let mut fixture = Fixture::of(&[&callee]);
    let InstallError::Refused(refusal) = fixture.install(&asking).unwrap_err() else {
        panic!("it is refused")
    };
    assert_eq!(
        refusal.why,
        Refused::QueryCallsReducer { function: "asking.ask".into(), callee: "callee.run".into() }
    );
    assert_eq!(
        refusal.to_string(),
        "module `asking`: the query `asking.ask` calls the reducer `callee.run`; queries call queries"
    );
}

#[test]
fn unknown_functions_are_named_with_those_there_are() {
    let a = scripted("a", &[]);
    let mut fixture = Fixture::of(&[&a, &Guest::new("q").query(Function::new("ask"), "")]);
    let text = |result: Result<_, interstice_core::CallError<_>>| match result {
        Ok(interstice_core::Called { .. }) => panic!("it is not there"),
        Err(error) => error.to_string(),
    };
    assert_eq!(text(fixture.call("b.run", &[])), "`b.run`: no such module is installed");
    assert_eq!(text(fixture.call("a.rum", &[])), "`a.rum`: not found; the module has later, run");
    assert_eq!(text(fixture.call("a.ask", &[])), "`a.ask`: not found; the module has later, run");
    assert_eq!(text(fixture.call("q.run", &[])), "`q.run`: the module has none of this kind");
    let error = fixture.query("a.run", &[]).unwrap_err();
    assert_eq!(error.to_string(), "`a.run`: not found; the module has ask");
}

#[test]
fn a_function_is_only_called_as_what_it_is() {
    let mut fixture = Fixture::of(&[&scripted("a", &[])]);
    let run = fixture.runtime.reducer("a", "run").unwrap();
    let ask = fixture.runtime.query_ref("a", "ask").unwrap();
    let now = fixture.now();
    assert!(fixture.runtime.query(run, &args(&[]), now).is_err());
    assert!(fixture.runtime.call(ask, &args(&[]), now).is_err());
    let nothing = interstice_core::FunctionRef { module: run.module, index: 99 };
    let error = fixture.runtime.call(nothing, &args(&[]), now).unwrap_err();
    assert_eq!(error.to_string(), "`a.?`: the module has none of this kind");
}

#[test]
fn arguments_from_outside_are_checked_before_anything_runs() {
    let mut fixture = Fixture::of(&[&scripted("a", &[])]);
    let before = fixture.state().state_hash();
    for (bytes, expected) in [
        (
            &b""[..],
            "`a.run`: malformed arguments: byte 0: the value is 0 bytes long where 8 are due",
        ),
        (
            b"\x08\0\0\0\x01\0\0\0",
            "`a.run`: malformed arguments: script, byte 0: its content reaches beyond the end of the value",
        ),
    ] {
        let error = fixture.call("a.run", bytes).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(fixture.state().state_hash(), before);
}
