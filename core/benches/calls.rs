//! What a call costs: against a bare call of the same guest code, and against
//! its parts. `cargo bench -p interstice-core --features crc32c --bench calls`,
//! with the checksum that the desktop host has; the bytes are the same without.
//!
//! The row is 64 bytes: eight u64, the first of them the primary key. The
//! guest is written in WebAssembly text, so that no compiler is measured.

use std::{
    fmt::Write,
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use interstice_core::{
    CommittedState, FunctionRef, Inputs, Limits, Reexecution, Runtime, Timestamp,
    abi::{
        ids::NameId,
        schema::{
            Access, AccessSet, Field, FunctionDef, ModuleSchema, TableDef, Type, TypeDef, TypeKind,
        },
    },
    log::{MemoryLog, frame::LogHeader},
};

const HEADER: LogHeader = LogHeader { log_id: [7; 16], seed: 7 };
const ROW_LEN: usize = 64;
const COLUMNS: usize = 8;

/// Rows that a table gets before the next calls begin with an empty one.
const ROWS: u64 = 100_000;

fn schema() -> ModuleSchema {
    let column = |index| Field { name: format!("c{index}"), ty: Type::U64 };
    let row = TypeKind::Struct((0..COLUMNS).map(column).collect());
    let add = FunctionDef {
        name: "add".into(),
        params: vec![Field { name: "id".into(), ty: Type::U64 }],
        access: vec![Access {
            table: "item".into(),
            allowed: AccessSet::READ.union(AccessSet::INSERT),
        }],
        ..FunctionDef::default()
    };
    ModuleSchema {
        module: "bench".into(),
        types: vec![TypeDef { name: "Item".into(), kind: row }],
        tables: vec![TableDef {
            name: "item".into(),
            version: 1,
            row: "Item".into(),
            primary_key: vec![0],
            auto_increment: None,
        }],
        reducers: vec![add],
        queries: Vec::new(),
    }
}

/// Stores the eight columns at address 64: the id, and numbers that follow from it.
fn build_row() -> String {
    let mut body = String::new();
    for column in 0..COLUMNS {
        let at = 64 + column * 8;
        let _ = write!(
            body,
            "(i64.store (i32.const {at}) (i64.add (i64.mul (local.get $id) (i64.const {})) (i64.const {column})))",
            if column == 0 { 1 } else { 31 * column },
        );
    }
    body
}

/// The module: reads the id, builds the row, inserts it.
fn module() -> Vec<u8> {
    let section = schema().encode().expect("a valid schema");
    let section = section.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "\\{byte:02x}");
        text
    });
    let table = NameId::of("item").0 as i32;
    let row = build_row();
    wat::parse_str(format!(
        r#"(module
            (import "interstice_1" "args_read" (func $args_read (param i32)))
            (import "interstice_1" "insert" (func $insert (param i32 i32 i32) (result i32)))
            (memory (export "memory") 4096 (pagesize 1))
            (func (export "reducer.add") (param i32) (local $id i64)
                (call $args_read (i32.const 0))
                (local.set $id (i64.load (i32.const 0)))
                {row}
                (drop (call $insert (i32.const {table}) (i32.const 64) (i32.const {ROW_LEN}))))
            (@custom "interstice.schema" "{section}"))"#
    ))
    .expect("valid WebAssembly text")
}

/// The same guest code behind one host call that does nothing.
fn bare() -> (wasmi::Store<u64>, wasmi::TypedFunc<i64, ()>) {
    let row = build_row();
    let wasm = wat::parse_str(format!(
        r#"(module
            (import "host" "take" (func $take (param i32 i32 i32) (result i32)))
            (memory (export "memory") 4096 (pagesize 1))
            (func (export "run") (param $id i64)
                {row}
                (drop (call $take (i32.const 1) (i32.const 64) (i32.const {ROW_LEN})))))"#
    ))
    .expect("valid WebAssembly text");
    let mut config = wasmi::Config::default();
    config
        .consume_fuel(true)
        .compilation_mode(wasmi::CompilationMode::Eager)
        .wasm_custom_page_sizes(true);
    let engine = wasmi::Engine::new(&config);
    let module = wasmi::Module::new(&engine, wasm).expect("a valid module");
    let mut store = wasmi::Store::new(&engine, 0u64);
    store.set_fuel(u64::MAX).expect("fuel is on");
    let mut linker = wasmi::Linker::<u64>::new(&engine);
    linker
        .func_wrap(
            "host",
            "take",
            |mut caller: wasmi::Caller<'_, u64>, _: i32, _: i32, len: i32| {
                *caller.data_mut() += len as u64;
                0i32
            },
        )
        .expect("defined once");
    let instance = linker.instantiate_and_start(&mut store, &module).expect("it instantiates");
    let run = instance.get_typed_func(&store, "run").expect("it exports `run`");
    (store, run)
}

fn runtime() -> (Runtime<MemoryLog>, FunctionRef) {
    let mut log = MemoryLog::new(HEADER);
    log.reserve(ROWS as usize * 128);
    let state = CommittedState::new(HEADER.seed, Limits::default());
    let mut runtime = Runtime::new(state, log);
    runtime.install(&module(), Inputs::at(Timestamp(0))).expect("it installs");
    let add = runtime.reducer("bench", "add").expect("it has the reducer");
    (runtime, add)
}

fn calls(c: &mut Criterion) {
    let mut group = c.benchmark_group("call");
    group.throughput(Throughput::Elements(1));

    let (mut store, run) = bare();
    let mut id = 0i64;
    group.bench_function("bare wasmi: build 64 bytes, one host call", |b| {
        b.iter(|| {
            id += 1;
            run.call(&mut store, black_box(id)).expect("it runs");
        });
    });

    group.bench_function("insert a 64-byte row, log in memory", |b| {
        b.iter_custom(|calls| {
            let mut spent = Duration::ZERO;
            for begun in (0..calls).step_by(ROWS as usize) {
                let (mut runtime, add) = runtime();
                let start = Instant::now();
                insert(&mut runtime, add, ROWS.min(calls - begun));
                spent += start.elapsed();
            }
            spent
        });
    });
    group.finish();
    ratio();
    let bytes = log_of(ROWS).bytes().len() as u64;
    println!("{} bytes of log for each call", bytes / ROWS);
}

/// Both in turns, so that what else the machine does falls on both.
fn ratio() {
    const ROUNDS: usize = 21;
    let (mut store, run) = bare();
    let mut times = [(); ROUNDS].map(|()| {
        let start = Instant::now();
        for id in 0..ROWS {
            run.call(&mut store, black_box(id as i64)).expect("it runs");
        }
        let bare = start.elapsed();
        let (mut runtime, add) = runtime();
        let start = Instant::now();
        insert(&mut runtime, add, ROWS);
        (start.elapsed(), bare)
    });
    let mut median = |of: fn(&(Duration, Duration)) -> f64| {
        times.sort_by(|a, b| of(a).total_cmp(&of(b)));
        of(&times[ROUNDS / 2])
    };
    let ratio = median(|(call, bare)| call.div_duration_f64(*bare));
    let call = median(|(call, _)| call.as_secs_f64() * 1e9 / ROWS as f64);
    let bare = median(|(_, bare)| bare.as_secs_f64() * 1e9 / ROWS as f64);
    println!("in turns: {call:.0} ns a call, {bare:.0} ns bare, {ratio:.2} times as long");
}

fn insert(runtime: &mut Runtime<MemoryLog>, add: FunctionRef, rows: u64) {
    for id in 1..=rows {
        let inputs = Inputs::at(Timestamp(id as i64 * 10));
        runtime.call(add, black_box(&id.to_le_bytes()), inputs).expect("it commits");
    }
}

fn log_of(commits: u64) -> MemoryLog {
    let (mut runtime, add) = runtime();
    insert(&mut runtime, add, commits);
    runtime.log().clone()
}

fn replay(c: &mut Criterion) {
    let log = log_of(ROWS);
    let wasm = module();
    let mut group = c.benchmark_group("log in memory, 100,000 single-row commits");
    group.throughput(Throughput::Elements(ROWS));
    group.bench_function("read and verify frames", |b| {
        b.iter(|| {
            log.frames().expect("a good header").map(|(_, commit)| commit.len()).sum::<usize>()
        });
    });
    group.bench_function("replay", |b| {
        b.iter_batched(
            || CommittedState::new(HEADER.seed, Limits::default()),
            |mut state| {
                for (offset, commit) in log.frames().expect("a good header") {
                    state.replay(offset, commit).expect("it replays");
                }
                state
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("re-execute and compare", |b| {
        b.iter_batched(
            || {
                let mut run = Reexecution::new(HEADER.seed);
                run.attach(&wasm);
                run
            },
            |mut run| {
                for (offset, commit) in log.frames().expect("a good header") {
                    black_box(run.step(offset, commit).expect("it replays"));
                }
                run
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(4)).warm_up_time(Duration::from_secs(1));
    targets = calls, replay
}
criterion_main!(benches);
