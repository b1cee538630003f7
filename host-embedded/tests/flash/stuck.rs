//! A subscription whose commit is too large for the region.

use interstice_core::{
    CallErrorKind, Inputs, Limits, Timestamp,
    abi::{
        ids::NameId,
        schema::{
            Access, AccessSet, Field, FunctionDef, ModuleSchema, TableDef, TableRef, Trigger, Type,
            TypeDef, TypeKind,
        },
    },
    log::frame::LogHeader,
};
use interstice_embedded::{Device, FlashLog, flash_log::FlashLogError, mock_flash::MockFlash};

type Flash = MockFlash<4, 1024>;

/// A module whose reducer `add` inserts a row into `few`, and `on_add` then 1,000
/// into `many`.
fn module() -> Vec<u8> {
    let field = |name: &str, ty| Field { name: name.into(), ty };
    let table = |name: &str| TableDef {
        name: name.into(),
        version: 1,
        row: "R".into(),
        primary_key: vec![0],
        auto_increment: None,
    };
    let access = |table: &str| {
        vec![Access { table: table.into(), allowed: AccessSet::READ.union(AccessSet::INSERT) }]
    };
    let schema = ModuleSchema {
        module: "m".into(),
        types: vec![TypeDef {
            name: "R".into(),
            kind: TypeKind::Struct(vec![field("id", Type::U64)]),
        }],
        tables: vec![table("few"), table("many")],
        reducers: vec![
            FunctionDef {
                name: "add".into(),
                params: vec![field("id", Type::U64)],
                access: access("few"),
                ..FunctionDef::default()
            },
            FunctionDef {
                name: "on_add".into(),
                params: vec![field("row", Type::Named("R".into()))],
                trigger: Some(Trigger::Insert(TableRef { module: None, table: "few".into() })),
                access: access("many"),
                ..FunctionDef::default()
            },
        ],
        queries: Vec::new(),
    };
    let section = schema.encode().unwrap();
    let section: String = section.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let [few, many] = ["few", "many"].map(|name| NameId::of(name).0.cast_signed());
    wat::parse_str(format!(
        r#"(module
            (import "interstice_1" "args_read" (func $args_read (param i32)))
            (import "interstice_1" "insert" (func $insert (param i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "reducer.add") (param i32)
                (call $args_read (i32.const 0))
                (drop (call $insert (i32.const {few}) (i32.const 0) (i32.const 8))))
            (func (export "reducer.on_add") (param i32)
                (local $row i32)
                (loop $rows
                    (i32.store (i32.const 0) (local.get $row))
                    (drop (call $insert (i32.const {many}) (i32.const 0) (i32.const 8)))
                    (local.set $row (i32.add (local.get $row) (i32.const 1)))
                    (br_if $rows (i32.lt_u (local.get $row) (i32.const 1000)))))
            (@custom "interstice.schema" "{section}"))"#
    ))
    .unwrap()
}

fn open<'a>(flash: &'a mut Flash, wasm: &[u8]) -> Device<&'a mut Flash> {
    Device::open(flash, &Limits::default(), &[wasm]).unwrap().0
}

#[test]
fn a_device_opens_although_a_subscription_that_waits_is_too_large() {
    let wasm = module();
    let mut flash = Flash::new(8);
    let header = LogHeader { log_id: [1; 16], seed: 1 };
    let _ = FlashLog::<_>::format(&mut flash, header).unwrap();
    let is_too_large =
        |kind: &_| matches!(kind, CallErrorKind::Log(FlashLogError::TooLarge { .. }));

    let mut device = open(&mut flash, &wasm);
    assert_eq!(device.stuck(), None);
    device.runtime().install(&wasm, Inputs::at(Timestamp(0))).unwrap();
    let add = device.runtime().reducer("m", "add").unwrap();
    let called = device.runtime().call(add, &7u64.to_le_bytes(), Inputs::at(Timestamp(1)));
    let CallErrorKind::Behind { cause, .. } = called.unwrap_err().kind else {
        panic!("the call is in the log");
    };
    assert!(is_too_large(&cause.kind), "{cause}");
    let hash = device.state().state_hash();
    drop(device);

    let mut device = open(&mut flash, &wasm);
    let stuck = device.stuck().expect("it waits");
    assert_eq!(stuck.function, "m.on_add");
    assert!(is_too_large(&stuck.kind));
    assert_eq!(device.state().state_hash(), hash);
    assert_eq!(device.state().pending(), 1);
    // Nothing goes on before it.
    let called = device.runtime().call(add, &8u64.to_le_bytes(), Inputs::at(Timestamp(2)));
    assert!(is_too_large(&called.unwrap_err().kind));
    assert_eq!(device.state().state_hash(), hash);
}
