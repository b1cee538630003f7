//! Golden files: what was written once can be read for ever.
//!
//! `tests/golden` holds a log and a schema of every released version of their
//! formats. A log must replay to the state hashes written down next to it; the
//! one of the current version is also what today's code writes, byte for byte.
//!
//! `UPDATE_GOLDEN=1` writes the files of the current versions anew. After a
//! release that is right only if the version has changed too.

use std::{env, fmt::Write, fs, path::PathBuf};

use interstice_core::{
    CommittedState, Inputs, Limits, Timestamp,
    abi::schema::{AccessSet, ModuleSchema, Trigger, section},
    log::frame::{FORMAT_VERSION, Frames, Tail},
    snapshot::SNAPSHOT_VERSION,
};
use interstice_tests::{
    Fixture, Function, Guest,
    fixture::at,
    guest::{on_delete, on_insert, on_update},
    properties::{assert_same, decode_snapshot, snapshot},
};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

fn read(name: &str) -> Vec<u8> {
    let path = path(name);
    fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; UPDATE_GOLDEN=1 writes it", path.display()))
}

/// Compares with a golden file, or writes it.
fn check(name: &str, found: &[u8]) {
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path(name), found).unwrap();
        return;
    }
    let expected = read(name);
    if expected == found {
        return;
    }
    let at = expected.iter().zip(found).take_while(|(a, b)| a == b).count();
    panic!(
        "{name} differs from byte {at} on ({} bytes expected, {} found): if the format has \
         changed, give it a new version; UPDATE_GOLDEN=1 then writes its files",
        expected.len(),
        found.len()
    );
}

/// Columns of every type.
const READING: &[(&str, &str)] = &[
    ("station", "string"),
    ("at", "timestamp"),
    ("value", "f64"),
    ("small", "f32"),
    ("flags", "list<bool>"),
    ("quality", "Quality"),
    ("remark", "option<Remark>"),
    ("wide", "u128"),
    ("signed", "i128"),
    ("raw", "bytes"),
];

/// A module by hand that makes every kind of commit. Its code decides the
/// bytes of the golden log, so it uses nothing that other tests may change.
fn guest(upgraded: bool) -> Guest {
    let guest = Guest::new("golden")
        .memory(8192)
        .enumeration("Quality", &[("Good", &[]), ("Poor", &[])])
        .enumeration("Remark", &[("None", &[]), ("Text", &[("text", "string"), ("by", "u16")])])
        .table("reading", READING, &[0, 1])
        .numbered("event", &[("id", "u32"), ("kind", "u8"), ("number", "u64")])
        .code(
            "(func $event (param $kind i32) (param $number i64)
                (i32.store (i32.const 4096) (i32.const 0))
                (i32.store8 (i32.const 4100) (local.get $kind))
                (i64.store (i32.const 4101) (local.get $number))
                (drop (call $insert (global.get $table.event) (i32.const 4096) (i32.const 13))))",
        )
        .reducer(
            Function::new("put").param("row", "Reading").returns("bool").writes(&["reading"]),
            "(call $args_read (i32.const 0))
             (i32.store8 (i32.const 5000) (i32.eqz
                (call $insert (global.get $table.reading) (i32.const 0) (local.get $len))))
             (if (i32.eqz (i32.load8_u (i32.const 5000))) (then
                (drop (call $update (global.get $table.reading) (i32.const 0) (local.get $len)))))
             (call $return_ok (i32.const 5000) (i32.const 1))",
        )
        .reducer(
            Function::new("drop")
                .param("station", "string")
                .param("at", "timestamp")
                .writes(&["reading"]),
            "(call $args_read (i32.const 0))
             (drop (call $delete (global.get $table.reading) (i32.const 0) (local.get $len)))",
        )
        .reducer(
            // Ends in every way there is: by the code of the failure, or well.
            Function::new("tick")
                .param("number", "u64")
                .returns("u64")
                .error("string")
                .writes(&["event"]),
            r#"(call $args_read (i32.const 0))
             (if (i64.eq (i64.load (i32.const 0)) (i64.const 1)) (then
                (call $return_err (i32.const 6000) (i32.const 11)) (return)))
             (if (i64.eq (i64.load (i32.const 0)) (i64.const 2)) (then unreachable))
             (if (i64.eq (i64.load (i32.const 0)) (i64.const 3)) (then (loop (br 0))))
             (if (i64.eq (i64.load (i32.const 0)) (i64.const 4)) (then (call $scan_close (i32.const 7))))
             (if (i64.eq (i64.load (i32.const 0)) (i64.const 5)) (then (loop
                (drop (call $scan_open (global.get $table.event) (i32.const 100) (i32.const 1)))
                (br 0))))
             (call $event (i32.const 1) (i64.add (i64.load (i32.const 0)) (call $random)))
             (call $return_ok (i32.const 0) (i32.const 8))"#,
        )
        .code(r#"(data (i32.const 6000) "\08\00\00\00\03\00\00\00one")"#)
        .reducer(
            Function::new("plan").param("number", "u64").param("at", "timestamp"),
            "(call $args_read (i32.const 0))
             (drop (call $schedule (global.get $function.tick) (i32.const 0) (i32.const 8)
                (i64.load (i32.const 8))))",
        )
        .reducer(
            Function::new("on_put")
                .param("row", "Reading")
                .may(AccessSet::INSERT, "event")
                .on(on_insert("reading")),
            "(call $event (i32.const 2) (i64.extend_i32_u (local.get $len)))",
        )
        .reducer(
            Function::new("on_set")
                .param("old", "Reading")
                .param("new", "Reading")
                .error("u8")
                .on(on_update("reading")),
            "(call $return_err (i32.const 6008) (i32.const 1))",
        )
        .reducer(
            Function::new("on_drop").param("old", "Reading").on(on_delete("reading")),
            "unreachable",
        )
        .reducer(
            Function::new("init").may(AccessSet::INSERT, "event").on(Trigger::Init),
            "(call $event (i32.const 3) (call $now))",
        )
        .query(
            Function::new("events").returns("u64").reads(&["event"]),
            "(i64.store (i32.const 0) (call $count (global.get $table.event)
                (i32.const 100) (i32.const 1)))
             (call $return_ok (i32.const 0) (i32.const 8))",
        );
    if upgraded { guest.table("added", &[("id", "u64")], &[0]) } else { guest }
}

/// A row of `reading`, and at the same time the arguments of `put`.
fn reading(station: &str, at: i64, value: f64, text: Option<&str>) -> Vec<u8> {
    use interstice_core::abi::{layout::Layout, value::Value};
    let schema = guest(false).schema();
    let layout = Layout::of_fields(&schema, &schema.reducer("put").unwrap().params).unwrap();
    let remark = text.map(|text| {
        let fields = vec![Value::String(text.into()), Value::Unsigned(7)];
        Box::new(Value::Enum { variant: 1, fields })
    });
    let row = Value::Struct(vec![
        Value::String(station.into()),
        Value::Timestamp(at),
        Value::F64(value),
        Value::F32(value as f32),
        Value::List(vec![Value::Bool(true), Value::Bool(false)]),
        Value::Enum { variant: 1, fields: vec![] },
        Value::Option(remark),
        Value::Unsigned(u128::MAX),
        Value::Signed(i128::MIN),
        Value::Bytes(vec![0, 0xff]),
    ]);
    let mut bytes = Vec::new();
    layout.encode(&Value::Struct(vec![row]), &mut bytes).unwrap();
    bytes
}

fn key(station: &str, at: i64) -> Vec<u8> {
    let mut key = 16u32.to_le_bytes().to_vec();
    key.extend_from_slice(&(station.len() as u32).to_le_bytes());
    key.extend_from_slice(&at.to_le_bytes());
    key.extend_from_slice(station.as_bytes());
    key
}

/// Every kind of commit, in a fixed order.
fn history() -> Fixture {
    let limits = Limits { fuel_per_call: 10_000, ..Limits::default() };
    let mut fixture = Fixture::with_limits(limits);
    fixture.install(&guest(false)).unwrap();
    let day = 86_400_000_000;
    let plan = |number: u64, time: i64| [number.to_le_bytes(), time.to_le_bytes()].concat();
    let seeded = |time: i64| Inputs { time: Timestamp(time), seed: Some(0x5eed) };
    let calls: [(&str, Vec<u8>, Inputs); 13] = [
        ("put", reading("north", -1, 0.5, None), at(day)),
        ("put", reading("north", -1, f64::NAN, Some("strange")), at(day + 1)),
        ("put", reading("south\0", i64::MAX, -0.0, Some("")), seeded(day + 2)),
        ("put", reading("south\0", i64::MAX, -0.0, Some("")), at(day + 2)),
        ("tick", 9u64.to_le_bytes().to_vec(), seeded(day + 3)),
        ("tick", 9u64.to_le_bytes().to_vec(), at(2 * day)),
        ("plan", plan(1, 3 * day), at(2 * day)),
        ("plan", plan(2, 3 * day), at(2 * day)),
        ("plan", plan(3, 3 * day), at(2 * day)),
        ("plan", plan(4, 3 * day), at(2 * day)),
        ("plan", plan(5, 3 * day), at(2 * day)),
        ("plan", plan(6, 0), at(2 * day)),
        ("drop", key("north", -1), at(2 * day)),
    ];
    for (reducer, args, inputs) in calls {
        fixture.call_at(&format!("golden.{reducer}"), &args, inputs).unwrap();
    }
    fixture.run_due(3 * day);
    fixture.install(&guest(true)).unwrap();
    fixture.call_at("golden.plan", &plan(1 << 60, i64::MAX), at(4 * day)).unwrap();
    fixture
}

/// What the commits of a log say and lead to, line by line.
fn describe(bytes: &[u8]) -> String {
    let mut frames = Frames::new(bytes).expect("its header");
    let header = frames.log();
    let mut state = CommittedState::new(header.seed, Limits::default());
    let mut text = format!("log {:02x?}, seed {}\n", header.log_id, header.seed);
    for (offset, commit) in frames.by_ref() {
        let record = state.read(offset, commit).expect("it reads");
        state.replay(offset, commit).expect("it replays");
        let target = record.cause.target().and_then(|target| state.function(target));
        let what = target.map_or("install", |function| function.name());
        let outcome = match &record.outcome {
            interstice_core::RecordOutcome::Committed(result) => format!("{result:02x?}"),
            failed => format!("{failed:02x?}"),
        };
        let _ = writeln!(
            text,
            "{offset} {what}: {} bytes, time {}, fuel {}, outcome {outcome}, {} changes, {} schedules, state {:016x}",
            record.len,
            record.time.0,
            record.fuel,
            record.changes.len(),
            record.schedules.len(),
            record.state_hash,
        );
    }
    assert_eq!(frames.tail(), Tail::Clean);
    for table in state.tables() {
        for row in table.rows() {
            let _ = writeln!(text, "{}: {}", table.name(), table.layout().display(row));
        }
    }
    text
}

#[test]
fn the_log_of_this_version_has_not_changed() {
    let fixture = history();
    fixture.assert_replays();
    let kinds = fixture.records().len();
    assert!(kinds > 20, "{kinds} commits");
    check(&format!("format-{FORMAT_VERSION}.log"), fixture.bytes());
    check(&format!("format-{FORMAT_VERSION}.txt"), describe(fixture.bytes()).as_bytes());
}

#[test]
fn logs_of_every_version_replay_to_what_they_did() {
    // Versions 1 and 2 were never released.
    for version in 3..=FORMAT_VERSION {
        let log = read(&format!("format-{version}.log"));
        let text = String::from_utf8(read(&format!("format-{version}.txt"))).unwrap();
        assert_eq!(describe(&log), text, "version {version}");
    }
}

#[test]
fn the_schema_section_has_not_changed() {
    let schema = guest(false).schema();
    let version = section::FORMAT_VERSION;
    check(&format!("schema-{version}.bin"), &schema.encode().unwrap());
    let json = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    check(&format!("schema-{version}.json"), json.as_bytes());
}

#[test]
fn schemas_of_every_version_are_read() {
    for version in 1..=section::FORMAT_VERSION {
        let from_section = ModuleSchema::decode(&read(&format!("schema-{version}.bin"))).unwrap();
        let from_json: ModuleSchema =
            serde_json::from_slice(&read(&format!("schema-{version}.json"))).unwrap();
        assert_eq!(from_section, from_json, "version {version}");
        from_json.validate().unwrap();
    }
}

/// The state of the golden history with the most in it: rows, calls that are
/// scheduled, and a subscription that waits.
fn busy() -> CommittedState {
    let fixture = history();
    let cuts = (1..=fixture.records().len()).map(|commits| fixture.cut(commits));
    let mut busy = cuts.filter(|cut| cut.state().pending() > 0 && cut.state().scheduled() > 1);
    busy.next_back().expect("such a state").state().clone()
}

/// What can be seen of a state, line by line.
fn describe_state(state: &CommittedState) -> String {
    let mut text = format!(
        "seed {}, {} commits, time {}, state {:016x}\n{} pending, {} scheduled, next at {:?}\n",
        state.seed(),
        state.next_offset(),
        state.time().0,
        state.state_hash(),
        state.pending(),
        state.scheduled(),
        state.next_due().map(|at| at.0),
    );
    for module in state.modules() {
        let functions: Vec<&str> = module.functions().iter().map(|f| f.name()).collect();
        let (name, len) = (module.name(), module.wasm_len());
        let _ = writeln!(text, "module {name}: {len} bytes, {}", functions.join(" "));
    }
    for table in state.tables() {
        let (name, hash) = (table.name(), table.hash());
        let _ = writeln!(text, "table {name}: {} rows, hash {hash:016x}", table.len());
        for row in table.rows() {
            let _ = writeln!(text, "{}", table.layout().display(row));
        }
    }
    text
}

#[test]
fn the_snapshot_of_this_version_has_not_changed() {
    let state = busy();
    check(&format!("snapshot-{SNAPSHOT_VERSION}.bin"), &snapshot(&state));
    check(&format!("snapshot-{SNAPSHOT_VERSION}.txt"), describe_state(&state).as_bytes());
}

#[test]
fn snapshots_of_every_version_are_read() {
    for version in 1..=SNAPSHOT_VERSION {
        let content = read(&format!("snapshot-{version}.bin"));
        let state = decode_snapshot(&Limits::default(), content.chunks(100)).unwrap();
        let text = String::from_utf8(read(&format!("snapshot-{version}.txt"))).unwrap();
        assert_eq!(describe_state(&state), text, "version {version}");
        assert_same(&state, &decode_snapshot(&Limits::default(), [&content[..]]).unwrap());
    }
}
