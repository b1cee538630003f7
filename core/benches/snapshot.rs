//! How long a state takes to become a snapshot, and a snapshot a state.
//! `cargo bench -p interstice-core --bench snapshot`.
//!
//! A million rows of 64 bytes: eight u64, the first of them the primary key.

use std::{convert::Infallible, fmt::Write, hint::black_box, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use interstice_core::{
    CommittedState, Inputs, Limits, Runtime, Timestamp,
    abi::{
        ids::NameId,
        schema::{
            Access, AccessSet, Field, FunctionDef, ModuleSchema, TableDef, Type, TypeDef, TypeKind,
        },
    },
    log::{MemoryLog, frame::LogHeader},
    snapshot::SnapshotDecoder,
};

const HEADER: LogHeader = LogHeader { log_id: [7; 16], seed: 7 };
const ROWS: u64 = 1_000_000;
const ROWS_PER_CALL: u64 = 50_000;
const COLUMNS: usize = 8;

fn schema() -> ModuleSchema {
    let column = |index| Field { name: format!("c{index}"), ty: Type::U64 };
    let row = TypeKind::Struct((0..COLUMNS).map(column).collect());
    let allowed = AccessSet::READ.union(AccessSet::INSERT);
    let fill = FunctionDef {
        name: "fill".into(),
        params: vec![Field { name: "first".into(), ty: Type::U64 }],
        access: vec![Access { table: "item".into(), allowed }],
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
        reducers: vec![fill],
        queries: Vec::new(),
    }
}

/// A module whose reducer inserts rows from its argument on.
fn module() -> Vec<u8> {
    let section = schema().encode().expect("a valid schema");
    let section = section.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "\\{byte:02x}");
        text
    });
    let table = NameId::of("item").0 as i32;
    wat::parse_str(format!(
        r#"(module
            (import "interstice_1" "args_read" (func $args_read (param i32)))
            (import "interstice_1" "insert" (func $insert (param i32 i32 i32) (result i32)))
            (memory (export "memory") 4096 (pagesize 1))
            (func (export "reducer.fill") (param i32) (local $left i32)
                (call $args_read (i32.const 64))
                (local.set $left (i32.const {ROWS_PER_CALL}))
                (loop
                    (drop (call $insert (i32.const {table}) (i32.const 64) (i32.const 64)))
                    (i64.store (i32.const 64) (i64.add (i64.load (i32.const 64)) (i64.const 1)))
                    (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
            (@custom "interstice.schema" "{section}"))"#
    ))
    .expect("valid WebAssembly text")
}

fn state() -> CommittedState {
    let limits = Limits { fuel_per_call: u64::MAX / 2, ..Limits::default() };
    let state = CommittedState::new(HEADER.seed, limits);
    let mut runtime = Runtime::new(state, MemoryLog::new(HEADER));
    runtime.install(&module(), Inputs::at(Timestamp(0))).expect("it installs");
    let fill = runtime.reducer("bench", "fill").expect("it has the reducer");
    for first in (0..ROWS).step_by(ROWS_PER_CALL as usize) {
        let inputs = Inputs::at(Timestamp(first as i64));
        runtime.call(fill, &first.to_le_bytes(), inputs).expect("it commits");
    }
    runtime.state().clone()
}

fn encode(state: &CommittedState, content: &mut Vec<u8>) {
    let written = state.encode_snapshot(&mut |piece: &[u8]| {
        content.extend_from_slice(piece);
        Ok::<(), Infallible>(())
    });
    written.unwrap_or_else(|never| match never {});
}

fn decode(content: &[u8]) -> CommittedState {
    let mut decoder = SnapshotDecoder::new(Limits::default());
    for piece in content.chunks(64 << 10) {
        decoder.push(piece).expect("a good snapshot");
    }
    decoder.finish().expect("a good snapshot")
}

fn snapshot(c: &mut Criterion) {
    let state = state();
    let mut content = Vec::new();
    encode(&state, &mut content);
    assert_eq!(decode(&content).state_hash(), state.state_hash());
    println!("{} bytes for {ROWS} rows of 64", content.len());
    let mut group = c.benchmark_group("snapshot of 1,000,000 rows of 64 bytes");
    group.throughput(Throughput::Bytes(content.len() as u64));
    group.bench_function("encode", |b| {
        b.iter(|| {
            content.clear();
            encode(&state, &mut content);
            black_box(content.len())
        });
    });
    group.bench_function("decode", |b| {
        b.iter_batched(|| (), |()| decode(&content), BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(4)).warm_up_time(Duration::from_secs(1));
    targets = snapshot
}
criterion_main!(benches);
