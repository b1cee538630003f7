//! What a device cannot do any more does not keep it from opening.

use std::ops::Range;

use interstice_core::{
    CallError, CallErrorKind, Called, Failure, Inputs, Limits, Timestamp,
    abi::{
        ids::NameId,
        schema::{
            Access, AccessSet, Field, FunctionDef, ModuleSchema, TableDef, TableRef, Trigger, Type,
            TypeDef, TypeKind,
        },
    },
    log::frame::LogHeader,
};
use interstice_embedded::{
    Device, FlashLog,
    flash_log::FlashLogError,
    mock_flash::{BadPage, MockFlash},
};

type Flash = MockFlash<4, 1024>;

/// A module whose reducer `add` inserts a row into `few`, and `on_add` then as many
/// into `many` as its number says; `fill` inserts rows into `many`, from one number to before another.
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
                name: "fill".into(),
                params: vec![field("from", Type::U64), field("to", Type::U64)],
                access: access("many"),
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
            (func (export "reducer.fill") (param i32)
                (call $args_read (i32.const 0))
                (call $rows (i32.load (i32.const 0)) (i32.load (i32.const 8))))
            (func (export "reducer.on_add") (param i32)
                (call $args_read (i32.const 0))
                (call $rows (i32.const 0) (i32.load (i32.const 0))))
            (func $rows (param $row i32) (param $end i32)
                (loop $rows
                    (i32.store (i32.const 0) (local.get $row))
                    (drop (call $insert (i32.const {many}) (i32.const 0) (i32.const 8)))
                    (local.set $row (i32.add (local.get $row) (i32.const 1)))
                    (br_if $rows (i32.lt_u (local.get $row) (local.get $end)))))
            (@custom "interstice.schema" "{section}"))"#
    ))
    .unwrap()
}

fn open<'a>(flash: &'a mut Flash, wasm: &[u8]) -> Device<&'a mut Flash> {
    Device::open(flash, &Limits::default(), &[wasm]).unwrap().0
}

/// A device on a new log, with the module.
fn installed<'a>(flash: &'a mut Flash, wasm: &[u8]) -> Device<&'a mut Flash> {
    let header = LogHeader { log_id: [1; 16], seed: 1 };
    let _ = FlashLog::<_>::format(&mut *flash, header).unwrap();
    let mut device = open(flash, wasm);
    assert_eq!(device.stuck(), None);
    device.runtime().install(wasm, Inputs::at(Timestamp(0))).unwrap();
    device
}

/// Inserts rows with these numbers into `many`.
fn fill(
    device: &mut Device<&mut Flash>,
    rows: Range<u64>,
) -> Result<Called, CallError<FlashLogError>> {
    let fill = device.runtime().reducer("m", "fill").unwrap();
    let args = [rows.start.to_le_bytes(), rows.end.to_le_bytes()].concat();
    device.runtime().call(fill, &args, Inputs::at(Timestamp(1)))
}

fn erases(flash: &Flash) -> u64 {
    flash.counters.erases.iter().sum()
}

fn is_full(error: &CallError<FlashLogError>) -> bool {
    error.kind == CallErrorKind::Log(FlashLogError::Full)
}

#[test]
fn a_device_opens_although_a_subscription_that_waits_is_too_large() {
    let wasm = module();
    let mut flash = Flash::new(8);
    let is_too_large =
        |kind: &_| matches!(kind, CallErrorKind::Log(FlashLogError::TooLarge { .. }));

    let mut device = installed(&mut flash, &wasm);
    let add = device.runtime().reducer("m", "add").unwrap();
    let called = device.runtime().call(add, &1_000u64.to_le_bytes(), Inputs::at(Timestamp(1)));
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
    let called = device.runtime().call(add, &1_001u64.to_le_bytes(), Inputs::at(Timestamp(2)));
    assert!(is_too_large(&called.unwrap_err().kind));
    assert_eq!(device.state().state_hash(), hash);
}

#[test]
fn what_does_not_fit_behind_a_snapshot_fails_and_smaller_calls_go_on() {
    let wasm = module();
    let mut refused = 0;
    for rows in (0..600).step_by(50) {
        let mut flash = Flash::new(8);
        let mut device = installed(&mut flash, &wasm);
        for from in (0..rows).step_by(50) {
            fill(&mut device, from..from + 50).unwrap();
        }
        if let Err(error) = fill(&mut device, rows..rows + 480) {
            assert!(is_full(&error), "{error}");
            refused += 1;
            fill(&mut device, 10_000..10_001).unwrap();
        }
        let hash = device.state().state_hash();
        drop(device);
        assert_eq!(open(&mut flash, &wasm).state().state_hash(), hash);
    }
    assert!(refused > 0);
}

#[test]
fn a_state_that_is_too_large_for_a_snapshot_wears_nothing_and_can_be_read() {
    let wasm = module();
    let mut flash = Flash::new(8);
    let mut device = installed(&mut flash, &wasm);
    let (mut next, mut step) = (0, 64);
    while step > 0 {
        match fill(&mut device, next..next + step) {
            Ok(_) => {
                next += step;
                while device.idle(256).unwrap() {}
            }
            Err(error) => {
                assert!(is_full(&error), "{error}");
                step /= 2;
            }
        }
    }
    let hash = device.state().state_hash();
    let worn = erases(device.runtime().log_mut().flash());
    for _ in 0..10 {
        assert!(is_full(&fill(&mut device, next..next + 1).unwrap_err()));
    }
    assert_eq!(erases(device.runtime().log_mut().flash()), worn);
    drop(device);
    for _ in 0..10 {
        let mut device = open(&mut flash, &wasm);
        assert!(is_full(device.stuck().expect("it needs a snapshot")));
        assert_eq!(device.state().state_hash(), hash);
        assert!(is_full(&fill(&mut device, next..next + 1).unwrap_err()));
    }
    assert_eq!(erases(&flash), worn);
}

#[test]
fn a_device_opens_although_the_code_of_what_waits_is_missing() {
    let wasm = module();
    let mut flash = Flash::new(8);
    let mut device = installed(&mut flash, &wasm);
    let add = device.runtime().reducer("m", "add").unwrap();
    let _ = device.runtime().call(add, &1_000u64.to_le_bytes(), Inputs::at(Timestamp(1)));
    assert_eq!(device.state().pending(), 1);
    let hash = device.state().state_hash();
    drop(device);
    let device = Device::<_>::open(&mut flash, &Limits::default(), &[]).unwrap().0;
    let stuck = device.stuck().expect("its code is missing");
    assert!(
        matches!(&stuck.kind, CallErrorKind::Failed(failure) if **failure == Failure::CodeMissing)
    );
    assert_eq!(device.state().state_hash(), hash);
}

#[test]
fn a_device_that_waits_for_room_wears_nothing() {
    let wasm = module();
    let mut flash = Flash::new(8);
    let mut device = installed(&mut flash, &wasm);
    for from in (10_000..10_300).step_by(50) {
        fill(&mut device, from..from + 50).unwrap();
    }
    let add = device.runtime().reducer("m", "add").unwrap();
    let called = device.runtime().call(add, &480u64.to_le_bytes(), Inputs::at(Timestamp(1)));
    let CallErrorKind::Behind { cause, .. } = called.unwrap_err().kind else {
        panic!("the call is in the log");
    };
    assert!(is_full(&cause), "{cause}");
    device.close().unwrap();
    let worn = erases(device.runtime().log_mut().flash());
    drop(device);
    for _ in 0..10 {
        let mut device = open(&mut flash, &wasm);
        assert!(is_full(device.stuck().expect("it waits")));
        while device.idle(256).unwrap() {}
        device.close().unwrap();
    }
    assert_eq!(erases(&flash), worn);
}

#[test]
fn a_device_that_starts_and_rests_wears_nothing() {
    let wasm = module();
    let mut flash = Flash::new(2);
    let mut device = installed(&mut flash, &wasm);
    while device.idle(256).unwrap() {}
    device.close().unwrap();
    drop(device);
    // With a snapshot, and as it was made.
    let header = LogHeader { log_id: [1; 16], seed: 1 };
    let mut fresh = Flash::new(2);
    let _ = FlashLog::<_>::format(&mut fresh, header).unwrap();
    let rest = |flash: &mut Flash| {
        let mut device = open(flash, &wasm);
        while device.idle(256).unwrap() {}
        device.close().unwrap();
    };
    // The first start writes a snapshot of what there was.
    rest(&mut flash);
    for mut flash in [flash, fresh] {
        let worn = erases(&flash);
        (0..10).for_each(|_| rest(&mut flash));
        assert_eq!(erases(&flash), worn);
    }
}

/// A page in the way of the snapshot may be all that the commit behind it had room in.
#[test]
fn a_page_that_is_left_out_of_a_snapshot_stops_no_device() {
    let wasm = module();
    let mut refused = 0;
    for (bad, rows, calls) in (0..8).flat_map(|bad| {
        let rows = [100, 200, 300, 400].into_iter();
        rows.flat_map(move |rows| (0..120).step_by(8).map(move |calls| (bad, rows, calls)))
    }) {
        let more = 300;
        let mut flash = Flash::new(8);
        let mut device = installed(&mut flash, &wasm);
        let many = (0..rows).step_by(50).map(|from| from..from + 50);
        let single = (20_000..20_000 + calls).map(|row| row..row + 1);
        if many.chain(single).any(|rows| fill(&mut device, rows).is_err()) {
            continue;
        }
        device.flash().set_bad(bad, Some(BadPage::EraseFails));
        let Err(error) = fill(&mut device, rows..rows + more) else { continue };
        let what = format!("page {bad}, {rows} rows, {calls} calls: {error}");
        assert!(is_full(&error), "{what}");
        refused += 1;
        device.flash().set_bad(bad, None);
        let next = fill(&mut device, 10_000..10_001);
        assert!(next.as_ref().is_ok_and(|it| it.failures.is_empty()), "{what}; {next:?}");
        let hash = device.state().state_hash();
        drop(device);
        assert_eq!(open(&mut flash, &wasm).state().state_hash(), hash, "{what}");
    }
    assert!(refused > 0);
}
