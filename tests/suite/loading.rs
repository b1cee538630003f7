//! What is no module, or could break the rules of calls, is refused when it is
//! loaded: with the place, the reason and the fix, all findings at once.

use interstice_core::{
    Limits, LoadError, LoadedModule,
    abi::{
        host_calls::{HOST_CALLS, MODULE, SCHEMA_SECTION},
        schema::{
            Access, AccessSet, Field, FunctionDef, ModuleSchema, TableDef, TableRef, Trigger, Type,
            TypeDef, TypeKind,
        },
    },
    inspect,
};
use interstice_tests::{
    Function, Guest,
    guest::{append_custom_section, assemble, assemble_bare},
};

use crate::modules::scripted;

const MEMORY: &str = r#"(memory (export "memory") 1 (pagesize 1))"#;
const PING: &str = r#"(func (export "reducer.ping") (param i32))"#;

fn schema() -> ModuleSchema {
    let ping = FunctionDef { name: "ping".into(), ..FunctionDef::default() };
    ModuleSchema { module: "m".into(), reducers: vec![ping], ..ModuleSchema::default() }
}

fn load(wasm: &[u8]) -> Result<LoadedModule, LoadError> {
    LoadedModule::new(wasm, &Limits::default())
}

/// The findings of a module that is good but for `wat`.
fn findings(wat: &str) -> Vec<String> {
    let wasm = assemble(&schema(), &format!("{MEMORY}{PING}{wat}"));
    findings_of(&wasm)
}

fn findings_of(wasm: &[u8]) -> Vec<String> {
    let error = load(wasm).expect_err("it is refused");
    error.findings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_good_module_loads() {
    let loaded = load(&assemble(&schema(), &format!("{MEMORY}{PING}"))).unwrap();
    assert_eq!(loaded.schema(), &schema());
    assert_eq!(loaded.memory_bytes(), 1);
}

#[test]
fn mutable_globals_must_be_exported() {
    let build = "(build it with `interstice build`, which exports the stack pointer)";
    assert_eq!(
        findings("(global i32 (i32.const 1)) (global (mut i64) (i64.const 0))"),
        [format!(
            "global 1: it is mutable and not exported, so a call could keep state in it {build}"
        )]
    );
    load(&assemble(
        &schema(),
        &format!(r#"{MEMORY}{PING}(global (export "g") (mut i32) (i32.const 1))"#),
    ))
    .unwrap();
}

#[test]
fn there_are_no_more_mutable_globals_than_can_be_put_back() {
    let globals = |count: usize| -> String {
        let global = |n| format!(r#"(global (export "g{n}") (mut i32) (i32.const 0))"#);
        (0..count).map(global).collect()
    };
    load(&assemble(&schema(), &format!("{MEMORY}{PING}{}", globals(64)))).unwrap();
    assert_eq!(
        findings(&globals(65)),
        ["section `global`: 65 globals are mutable; the limit is 64 (keep values in memory)"]
    );
}

/// The engine clears locals, and copies parameters and results, for nothing.
#[test]
fn functions_have_no_more_locals_parameters_and_results_than_a_call_pays_for() {
    let locals = |count: usize| format!("(func (param i32) (local {}))", "i64 ".repeat(count));
    load(&assemble(&schema(), &format!("{MEMORY}{PING}{}", locals(511)))).unwrap();
    assert_eq!(
        findings(&locals(512)),
        ["function 1: it has 513 local variables; the limit is 512 (build it with `interstice \
          build`, or divide the function)"]
    );
    let ty = |params: usize, results: usize| {
        let (params, results) = ("i32 ".repeat(params), "i32 ".repeat(results));
        format!("(type (func (param {params}) (result {results})))")
    };
    load(&assemble(&schema(), &format!("{}{MEMORY}{PING}", ty(128, 16)))).unwrap();
    for (params, results) in [(129, 0), (0, 17)] {
        let wasm = assemble(&schema(), &format!("{}{MEMORY}{PING}", ty(params, results)));
        assert_eq!(
            findings_of(&wasm),
            [format!(
                "type 0: it has {params} parameters and {results} results; the limits are 128 and \
                 16 (pass them in memory)"
            )]
        );
    }
}

/// What each import takes at an instantiation is not paid for.
#[test]
fn there_are_no_more_imports_than_host_calls() {
    let imports = |count: usize| {
        let import = format!(r#"(import "{MODULE}" "now" (func (result i64)))"#);
        assemble(&schema(), &format!("{}{MEMORY}{PING}", import.repeat(count)))
    };
    load(&imports(HOST_CALLS.len())).unwrap();
    let calls = HOST_CALLS.len();
    assert_eq!(
        findings_of(&imports(calls + 2)),
        [format!(
            "import `{MODULE}.now`: there are only {calls} host calls to import (import each of \
             them once)"
        )]
    );
}

#[test]
fn instructions_that_change_what_cannot_be_put_back() {
    let setting = r#"(table $t 4 funcref) (elem $e func $f) (data $d "x") (func $f)"#;
    for (name, code) in [
        ("table.set", "(table.set $t (i32.const 0) (ref.null func))"),
        ("table.grow", "(drop (table.grow $t (ref.null func) (i32.const 1)))"),
        ("table.fill", "(table.fill $t (i32.const 0) (ref.null func) (i32.const 1))"),
        ("table.copy", "(table.copy (i32.const 0) (i32.const 1) (i32.const 1))"),
        ("table.init", "(table.init $t $e (i32.const 0) (i32.const 0) (i32.const 0))"),
        ("elem.drop", "(elem.drop $e)"),
        ("data.drop", "(data.drop $d)"),
    ] {
        assert_eq!(
            findings(&format!("{setting}(func {code})")),
            [format!(
                "function 2: the instruction `{name}` changes what a call could not put back \
                 (build it with `interstice build`, which does not make it)"
            )]
        );
    }
    // Reading a table and copying out of a passive segment are fine.
    let wasm = assemble(
        &schema(),
        &format!(
            r#"{MEMORY}{PING}{setting}(type $void (func))
            (func (call_indirect $t (type $void) (i32.const 0))
                (memory.init $d (i32.const 0) (i32.const 0) (i32.const 1)))"#
        ),
    );
    load(&wasm).unwrap();
}

#[test]
fn a_module_has_one_memory_and_exports_it() {
    let expected = [
        "memory: a module has one memory and exports it as `memory` (build it with `interstice build`)",
    ];
    assert_eq!(findings_of(&assemble(&schema(), PING)), expected);
    assert_eq!(findings_of(&assemble(&schema(), &format!("(memory 1){PING}"))), expected);
    let other = format!(r#"(memory (export "heap") 1){PING}"#);
    assert_eq!(findings_of(&assemble(&schema(), &other)), expected);
    let two = format!("{MEMORY}(memory 1){PING}");
    let findings = findings_of(&assemble(&schema(), &two));
    assert!(findings[0].starts_with("file: it is not valid: "), "{findings:?}");
    assert!(findings[0].contains("multiple memories"), "{findings:?}");
}

#[test]
fn nothing_runs_when_a_module_is_loaded() {
    assert_eq!(
        findings("(func $main) (start $main)"),
        ["section `start`: a module may not run code when it is loaded \
          (remove the start function; use a reducer with `on(init)` or `on(load)`)"]
    );
}

#[test]
fn only_host_calls_can_be_imported() {
    let import = |module: &str, name: &str, what: &str| {
        let wat = format!(r#"(import "{module}" "{name}" {what}){MEMORY}{PING}"#);
        findings_of(&assemble(&schema(), &wat))
    };
    assert_eq!(
        import("env", "now", "(func (result i64))"),
        ["import `env.now`: a module has the host calls and nothing else (remove what imports it)"]
    );
    assert_eq!(
        import("wasi_snapshot_preview1", "fd_write", "(func (param i32 i32 i32 i32) (result i32))"),
        [
            "import `wasi_snapshot_preview1.fd_write`: there is no WASI here: no files, no clock, no environment \
          (build for wasm32-unknown-unknown, and take inputs as arguments)"
        ]
    );
    assert_eq!(
        import("interstice_2", "now", "(func (result i64))"),
        [
            "import `interstice_2.now`: it is built for another version of the guest interface than 1 \
          (build it with the matching interstice-sdk)"
        ]
    );
    assert_eq!(
        import("interstice_1", "later", "(func (result i64))"),
        ["import `interstice_1.later`: ABI 1 has no host call of this name \
          (build it with the matching interstice-sdk)"]
    );
    assert_eq!(
        import("interstice_1", "now", "(func (result i32))"),
        ["import `interstice_1.now`: its type is not the host call's \
          (build it with the matching interstice-sdk)"]
    );
    assert_eq!(
        import("interstice_1", "now", "(global i64)"),
        ["import `interstice_1.now`: a module imports functions only, this is a global \
          (define it inside the module)"]
    );
    let with_table = import("interstice_1", "now", "(table 1 funcref)");
    assert!(with_table[0].contains("this is a table"), "{with_table:?}");
    let with_memory = format!(r#"(import "env" "memory" (memory 1)){PING}"#);
    let findings = findings_of(&assemble(&schema(), &with_memory));
    assert!(findings[0].starts_with("import `env.memory`: "), "{findings:?}");
}

#[test]
fn exports_are_those_of_the_schema() {
    assert_eq!(
        findings_of(&assemble(&schema(), MEMORY)),
        ["export `reducer.ping`: the schema names it, but it is missing (do not strip exports)"]
    );
    assert_eq!(
        findings(r#"(func (export "query.more") (param i32))"#),
        [
            "export `query.more`: the schema does not name it (build it with the matching interstice-sdk)"
        ]
    );
    for wrong in [
        r#"(func (export "reducer.ping"))"#,
        r#"(func (export "reducer.ping") (param i64))"#,
        r#"(func (export "reducer.ping") (param i32) (result i32) (i32.const 0))"#,
        r#"(global (export "reducer.ping") i32 (i32.const 0))"#,
    ] {
        assert_eq!(
            findings_of(&assemble(&schema(), &format!("{MEMORY}{wrong}"))),
            ["export `reducer.ping`: it is not a function of type (i32) -> () \
              (build it with the matching interstice-sdk)"]
        );
    }
}

#[test]
fn there_is_one_schema_section_and_it_decodes() {
    let code = format!("{MEMORY}{PING}");
    let without = "section `interstice.schema`: there is none: not an Interstice module \
                   (define tables and reducers with interstice-sdk, and do not strip custom sections)";
    assert_eq!(findings_of(&assemble_bare(&code)), [without]);

    let mut twice = assemble(&schema(), &code);
    append_custom_section(&mut twice, SCHEMA_SECTION, &schema().encode().unwrap());
    assert_eq!(
        findings_of(&twice),
        [
            "section `interstice.schema`: there is more than one (build the module with one linker run)"
        ]
    );

    let with = |section: &[u8]| {
        let mut wasm = assemble_bare(&code);
        append_custom_section(&mut wasm, SCHEMA_SECTION, section);
        let findings = findings_of(&wasm);
        assert_eq!(inspect(&wasm).unwrap_err().findings.len(), 1);
        findings
    };
    assert!(with(b"")[0].contains("the schema defines no table, reducer or query"));
    assert!(with(b"\xff\xff\xff\xff")[0].contains("does not decode"));
    let mut newer = schema().encode().unwrap();
    newer[4] = 9;
    assert_eq!(
        with(&newer),
        [
            "section `interstice.schema`: the schema section has format version 9, this build reads version 1 \
          (build the module with the matching interstice-sdk)"
        ]
    );
}

#[test]
fn files_that_are_no_webassembly() {
    let findings = findings_of(b"\x7fELF");
    assert_eq!(
        findings,
        ["file: it is not a WebAssembly module (it does not begin with `\\0asm`) \
          (give the .wasm file that `interstice build` names)"]
    );
    assert!(findings_of(b"")[0].contains("it is not a WebAssembly module"));
    assert!(findings_of(b"\0asm\x01\0\0\0\x01\x05")[0].contains("it is not valid"));
    let component = b"\0asm\x0d\0\x01\0";
    assert!(findings_of(component)[0].contains("it is not valid"), "{:?}", findings_of(component));
}

#[test]
fn proposals_that_are_off_are_invalid() {
    for code in [
        "(func (drop (v128.const i32x4 0 0 0 0)))",
        "(func $f (return_call $f))",
        "(memory 1 1 shared)",
        "(func (drop (i32.atomic.load (i32.const 0))))",
        "(memory i64 1)",
    ] {
        let findings = findings(code);
        assert!(findings[0].starts_with("file: it is not valid: "), "{code}: {findings:?}");
    }
}

#[test]
fn all_findings_come_at_once() {
    let wasm = assemble_bare(
        r#"(import "env" "x" (func)) (global (mut i32) (i32.const 0)) (func $s) (start $s)"#,
    );
    assert_eq!(findings_of(&wasm).len(), 5, "{:?}", findings_of(&wasm));
    let error = load(&wasm).unwrap_err().to_string();
    assert!(findings_of(&wasm).iter().all(|finding| error.contains(finding)), "{error}");
}

#[test]
fn a_module_that_is_too_large_is_not_looked_at() {
    let limits = Limits { module_bytes: 10, ..Limits::default() };
    let error = LoadedModule::new(&scripted("m", &[]).wasm(), &limits).unwrap_err();
    assert!(error.to_string().contains("the limit is 10"), "{error}");
}

#[test]
fn a_module_that_asks_for_too_much_memory_is_refused() {
    let limits = Limits::default();
    let guest = |bytes| Guest::new("m").memory(bytes).reducer(Function::new("ping"), "").wasm();
    load(&guest(limits.guest_memory_bytes)).unwrap();
    assert_eq!(
        findings_of(&guest(limits.guest_memory_bytes + 1)),
        ["memory: it begins with 16777217 bytes; the limit is 16777216 \
          (build it with `interstice build`, which asks for no more than it needs)"]
    );
    // Pages of 64 KiB count as what they are.
    let large = format!(r#"(memory (export "memory") 257){PING}"#);
    assert!(findings_of(&assemble(&schema(), &large))[0].contains("16842752 bytes"));
}

#[test]
fn a_module_that_asks_for_too_large_a_table_is_refused() {
    let findings = findings("(table 10000000 funcref)");
    assert!(findings[0].starts_with("table 0: it begins with 10000000 elements"), "{findings:?}");
    let findings = self::findings("(table 1 funcref) (table 1 funcref)");
    assert!(findings[0].starts_with("table 1: a module has at most one table"), "{findings:?}");
}

#[test]
fn a_schema_can_be_read_without_loading() {
    let guest = scripted("m", &[]);
    assert_eq!(inspect(&guest.wasm()).unwrap(), guest.schema());
    assert!(inspect(b"text").is_err());
    // Also of a module that is refused for something else.
    let refused = assemble(&schema(), "");
    assert_eq!(inspect(&refused).unwrap(), schema());
    assert!(load(&refused).is_err());
}

#[test]
fn what_no_installation_takes_does_not_load() {
    let row = |name: &str, ty: Type| TypeDef {
        name: name.into(),
        kind: TypeKind::Struct(vec![Field { name: "id".into(), ty }]),
    };
    let table = TableDef {
        name: "row".into(),
        version: 1,
        row: "Row".into(),
        primary_key: vec![0],
        auto_increment: None,
    };
    // 3 times 3 times ... of 8 bytes: more than a row may have.
    let mut types = vec![row("T0", Type::U64)];
    for level in 1..8 {
        let part =
            |name: &str| Field { name: name.into(), ty: Type::Named(format!("T{}", level - 1)) };
        let kind = TypeKind::Struct(vec![part("a"), part("b"), part("c")]);
        types.push(TypeDef { name: format!("T{level}"), kind });
    }
    types.push(TypeDef {
        name: "Row".into(),
        kind: TypeKind::Struct(vec![
            Field { name: "id".into(), ty: Type::U64 },
            Field { name: "wide".into(), ty: Type::Named("T7".into()) },
        ]),
    });
    let wide = ModuleSchema { types, tables: vec![table.clone()], ..schema() };
    let ping = |access, trigger| FunctionDef {
        name: "ping".into(),
        params: vec![Field { name: "row".into(), ty: Type::Named("Row".into()) }],
        access: vec![Access { table: "row".into(), allowed: access }],
        trigger: Some(trigger),
        ..FunctionDef::default()
    };
    let inserted = Trigger::Insert(TableRef { module: None, table: "row".into() });
    let round = ModuleSchema {
        types: vec![row("Row", Type::U64)],
        tables: vec![table],
        reducers: vec![ping(AccessSet::READ.union(AccessSet::INSERT), inserted)],
        ..schema()
    };
    for (schema, what) in [(wide, "fixed part"), (round, "would never end")] {
        let found = findings_of(&assemble(&schema, &format!("{MEMORY}{PING}")));
        assert!(matches!(&*found, [one] if one.contains(what)), "{found:?}");
    }
}
