//! Installing over what is there: the same, compatible, or refused with a reason.

use interstice_core::{AttachError, InstallError, Limits, Reexecution, Step};
use interstice_tests::{
    Fixture, Function, Guest,
    fixture::{HEADER, commits},
    guest::on_insert,
};

use crate::modules::{args, count, insert, insert_into, returned, schedule, scripted};

const COLUMNS: &[(&str, &str)] = &[("id", "u64"), ("data", "bytes")];

fn refusal(fixture: &mut Fixture, guest: &Guest) -> String {
    let before = fixture.state().state_hash();
    let commits = fixture.state().next_offset();
    match fixture.install(guest) {
        Err(InstallError::Refused(refusal)) => {
            assert_eq!(fixture.state().state_hash(), before, "nothing has changed");
            assert_eq!(fixture.state().next_offset(), commits);
            refusal.to_string()
        }
        other => panic!("a refusal, not {other:?}"),
    }
}

#[test]
fn the_same_file_is_installed_once() {
    let mut fixture = Fixture::of(&[&scripted("m", &[])]);
    let again = fixture.install(&scripted("m", &[])).unwrap();
    assert_eq!((again.offset, again.upgraded), (None, false));
    assert_eq!(fixture.state().next_offset().0, 1);
    fixture.call("m.run", &args(&[insert(1, b"")])).unwrap();
}

#[test]
fn a_compatible_upgrade_keeps_rows_numbers_and_schedules() {
    let mut fixture = Fixture::of(&[&scripted("m", &[])]);
    let ops = [insert_into("note", 0, b"kept"), schedule(50, &[insert(9, b"by the new code")])];
    fixture.call("m.run", &args(&ops)).unwrap();
    // New names in front of the old ones: everything is numbered anew.
    let upgraded = scripted("m", &[])
        .table("aaa", COLUMNS, &[0])
        .reducer(Function::new("aaa").writes(&["aaa"]), "")
        .query(
            Function::new("aab").returns("u64"),
            "(call $return_ok (i32.const 0) (i32.const 8))",
        );
    let installed = fixture.install(&upgraded).unwrap();
    assert!(installed.upgraded);
    assert_eq!(fixture.state().modules().len(), 1);
    fixture.call("m.run", &args(&[insert_into("note", 0, b"new")])).unwrap();
    fixture.run_due(100);
    assert_eq!(fixture.rows("m.note"), ["(id: 1, data: 0x6b657074)", "(id: 2, data: 0x6e6577)"]);
    assert_eq!(fixture.rows("m.item").len(), 1, "the scheduled call has run, with the new code");
    fixture.call("m.aaa", &[]).unwrap();
    let answer = fixture.query("m.ask", &args(&[count()])).unwrap();
    assert_eq!(returned(&answer.result), 1u64.to_le_bytes());
    fixture.assert_replays();
}

#[test]
fn changes_of_a_table_need_a_migration_and_are_refused() {
    let table = |columns: &[(&str, &str)], key: &[u16]| {
        Guest::new("m").table("t", columns, key).reducer(Function::new("ping"), "")
    };
    let two: &[(&str, &str)] = &[("id", "u64"), ("name", "string")];
    let mut fixture = Fixture::of(&[&table(two, &[0])]);
    let needs = "; this needs a migration, which this version does not support: keep the table as it is and add a new one";
    let cases: [(Guest, &str); 7] = [
        (Guest::new("m").reducer(Function::new("ping"), ""), "the upgrade removes it"),
        (table(two, &[0, 1]), "the upgrade changes its primary key or its numbering"),
        (
            Guest::new("m").numbered("t", two).reducer(Function::new("ping"), ""),
            "the upgrade changes its primary key or its numbering",
        ),
        (
            table(&[("id", "u32"), ("name", "string")], &[0]),
            "the upgrade changes the type of column `id`",
        ),
        (
            table(&[("id", "u64"), ("title", "string")], &[0]),
            "the upgrade has column `title` in place of `name`",
        ),
        (table(&[("id", "u64")], &[0]), "the upgrade has 1 columns instead of 2"),
        (
            table(&[("id", "u64"), ("name", "string"), ("more", "bool")], &[0]),
            "the upgrade has 3 columns instead of 2",
        ),
    ];
    for (guest, why) in &cases {
        assert_eq!(refusal(&mut fixture, guest), format!("module `m`: table `t`: {why}{needs}"));
    }
}

#[test]
fn a_scheduled_reducer_keeps_its_name_and_its_parameters() {
    let mut fixture = Fixture::of(&[&scripted("m", &[])]);
    fixture.call("m.run", &args(&[schedule(50, &[])])).unwrap();
    let without = Guest::new("m").table("item", COLUMNS, &[0]).numbered("note", COLUMNS);
    let expected = "module `m`: calls of `later` are scheduled, and the upgrade changes its parameters or removes it";
    let removed = without.clone().reducer(Function::new("run"), "");
    assert_eq!(refusal(&mut fixture, &removed), expected);
    let changed = without.reducer(Function::new("later").param("n", "u8"), "");
    assert_eq!(refusal(&mut fixture, &changed), expected);
    fixture.run_due(50);
    fixture.install(&changed).unwrap();
    fixture.assert_replays();
}

#[test]
fn what_a_module_needs_must_be_there_and_as_it_was() {
    let callee = scripted("callee", &[]);
    let caller = scripted("caller", &[(&callee, "run")]);
    let mut fixture = Fixture::new();
    assert_eq!(
        refusal(&mut fixture, &caller),
        "module `caller`: `caller.later` needs module `callee`, which is not installed; install `callee` first"
    );
    let other = Guest::new("callee").reducer(Function::new("ruin"), "");
    fixture.install(&other).unwrap();
    assert_eq!(
        refusal(&mut fixture, &caller),
        "module `caller`: `caller.later` calls `callee.run`, which does not exist"
    );
    let other = Guest::new("callee").reducer(Function::new("run").param("n", "u8"), "");
    let mut fixture = Fixture::of(&[&other]);
    assert_eq!(
        refusal(&mut fixture, &caller),
        "module `caller`: `caller.later` was built for another version of `callee.run`: \
         its parameters or results have changed; build it again with the current schema file"
    );
}

#[test]
fn an_upgrade_that_breaks_its_callers_is_refused() {
    let callee = scripted("callee", &[]);
    let caller = scripted("caller", &[(&callee, "run")]);
    let mut fixture = Fixture::of(&[&callee, &caller]);
    let without_run = crate::modules::with_tables("callee").reducer(Function::new("other"), "");
    assert_eq!(
        refusal(&mut fixture, &without_run),
        "module `callee`: `caller.later` calls `callee.run`, which does not exist"
    );
}

#[test]
fn subscribers_must_know_the_rows_they_wait_for() {
    let subscriber = |module: &str, table: &str, columns: &[(&str, &str)]| {
        let row = format!("{module}.Item");
        Guest::new("subscriber").structure(&row, columns).reducer(
            Function::new("seen").param("row", &row).on(on_insert(&format!("{module}.{table}"))),
            "",
        )
    };
    let mut fixture = Fixture::of(&[&scripted("m", &[])]);
    assert_eq!(
        refusal(&mut fixture, &subscriber("nobody", "item", COLUMNS)),
        "module `subscriber`: `subscriber.seen` needs module `nobody`, which is not installed; install `nobody` first"
    );
    assert_eq!(
        refusal(&mut fixture, &subscriber("m", "nothing", COLUMNS)),
        "module `subscriber`: `subscriber.seen` waits for table `m.nothing`, which does not exist"
    );
    for columns in [
        &[("id", "u64")][..],
        &[("id", "u64"), ("data", "string")],
        &[("id", "u64"), ("other", "bytes")],
    ] {
        assert_eq!(
            refusal(&mut fixture, &subscriber("m", "item", columns)),
            "module `subscriber`: `subscriber.seen` was built for other rows than those of table `m.item`; \
             build it again with the current schema file"
        );
    }
    fixture.install(&subscriber("m", "item", COLUMNS)).unwrap();
    fixture.call("m.run", &args(&[insert(1, b"")])).unwrap();
    fixture.assert_replays();
}

#[test]
fn no_more_modules_than_the_limit_says() {
    let mut fixture = Fixture::with_limits(Limits { modules: 1, ..Limits::default() });
    fixture.install(&scripted("a", &[])).unwrap();
    assert_eq!(
        refusal(&mut fixture, &scripted("b", &[])),
        "module `b`: 1 modules are installed already"
    );
    // An upgrade takes no place.
    fixture.install(&scripted("a", &[]).table("more", COLUMNS, &[0])).unwrap();
}

#[test]
fn only_the_installed_file_can_be_attached() {
    let fixture = Fixture::of(&[&scripted("m", &[])]);
    let mut reopened = Fixture::new().opened(fixture.bytes()).unwrap();
    let other = scripted("m", &[]).table("more", COLUMNS, &[0]).wasm();
    let error = reopened.runtime.attach(&other).unwrap_err();
    assert_eq!(error, AttachError::NotInstalled { module: "m".into() });
    assert_eq!(error.to_string(), "this file of module `m` is not the one that is installed");
    let error = reopened.runtime.attach(b"text").unwrap_err();
    assert!(error.to_string().starts_with("file: it is not a WebAssembly module"), "{error}");
    reopened.runtime.attach(&scripted("m", &[]).wasm()).unwrap();
    reopened.call("m.run", &args(&[insert(1, b"")])).unwrap();
}

#[test]
fn a_new_version_without_its_file_is_not_re_executed_with_the_old_one() {
    let old = scripted("m", &[]);
    let new = scripted("m", &[]).reducer(Function::new("aaa"), "");
    let mut fixture = Fixture::of(&[&old]);
    fixture.call("m.run", &args(&[insert(1, b"")])).unwrap();
    fixture.install(&new).unwrap();
    fixture.call("m.run", &args(&[insert(2, b"")])).unwrap();
    let mut again = Reexecution::new(HEADER.seed);
    again.attach(&old.wasm());
    let commits = commits(fixture.bytes());
    let steps: Vec<Step> =
        commits.iter().map(|(offset, commit)| again.step(*offset, commit).unwrap()).collect();
    let missing = Step::CodeMissing { module: "m".into() };
    assert_eq!(steps, [Step::Installed, Step::Identical, Step::Installed, missing]);
}

#[test]
fn a_table_may_take_another_version_number() {
    let mut fixture = Fixture::of(&[&scripted("m", &[])]);
    fixture.call("m.run", &args(&[insert(1, b"")])).unwrap();
    let schema = {
        let mut schema = scripted("m", &[]).schema();
        schema.tables[0].version = 2;
        schema
    };
    let code = scripted("m", &[]);
    let wasm = code.wasm_with(&schema);
    assert!(fixture.install_file(wasm).unwrap().upgraded);
    assert_eq!(fixture.state().table("m", "item").unwrap().def().version, 2);
    assert_eq!(fixture.rows("m.item").len(), 1);
    fixture.assert_replays();
}
