//! Steady state allocates what tables store rows in, and nothing else; snapshots
//! take no memory but for the state.
//!
//! Allocations are counted per thread, so that tests do not count each other's.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    convert::Infallible,
};

use interstice_core::{
    CallErrorKind, CommittedState, FunctionRef, Inputs, Limits, Runtime, Timestamp,
    abi::schema::AccessSet, log::MemoryLog, snapshot::SnapshotFault,
};
use interstice_tests::{
    Function, Guest,
    fixture::HEADER,
    guest::on_insert,
    properties::{decode_snapshot, snapshot},
};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// Bytes that are allocated, and the most that ever were.
    static BYTES: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

fn count() {
    // A thread that ends has no counter any more.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

fn count_bytes(change: isize) {
    let _ = BYTES.try_with(|bytes| {
        let (now, most) = bytes.get();
        bytes.set((now + change, most.max(now + change)));
    });
}

// SAFETY: everything is handed to the system's allocator as it comes.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        count_bytes(layout.size() as isize);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count_bytes(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        count_bytes(new_size as isize - layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(run: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.with(Cell::get);
    run();
    ALLOCATIONS.with(Cell::get) - before
}

/// The bytes that `run` leaves allocated, and the most that it had.
fn bytes_of<T>(run: impl FnOnce() -> T) -> (T, isize, isize) {
    let (before, _) = BYTES.with(Cell::get);
    BYTES.with(|bytes| bytes.set((before, before)));
    let made = run();
    let (now, most) = BYTES.with(Cell::get);
    (made, now - before, most - before)
}

/// Rows of 64 bytes: eight u64, the first of them the key.
fn guest() -> Guest {
    let names: Vec<String> = (0..8).map(|index| format!("c{index}")).collect();
    let columns: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "u64")).collect();
    let write = |name: &str| Function::new(name).param("row", "Item").may(AccessSet::WRITE, "item");
    let read_args = "(call $args_read (i32.const 0))";
    let pass_to = |call: &str, table: &str, len: u32| {
        format!("(drop (call ${call} (global.get $table.{table}) (i32.const 0) (i32.const {len})))")
    };
    Guest::new("m")
        .memory(4096)
        .table("item", &columns, &[0])
        .table("copy", &columns, &[0])
        .reducer(write("add"), &format!("{read_args}{}", pass_to("insert", "item", 64)))
        .reducer(write("set"), &format!("{read_args}{}", pass_to("update", "item", 64)))
        .reducer(write("drop"), &format!("{read_args}{}", pass_to("delete", "item", 8)))
        .reducer(
            write("fail").error("u64"),
            &format!(
                "{read_args}{}(call $return_err (i32.const 0) (i32.const 8))",
                pass_to("insert", "item", 64)
            ),
        )
        .query(
            Function::new("find").param("id", "u64").returns("u64").reads(&["item"]),
            "(call $args_read (i32.const 0))
             (drop (call $get (global.get $table.item) (i32.const 0) (i32.const 8)
                (i32.const 64) (i32.const 64)))
             (call $return_ok (i32.const 64) (i32.const 8))",
        )
}

/// Copies every row of `item`.
fn with_subscriber() -> Guest {
    guest().reducer(
        Function::new("on_item")
            .param("row", "Item")
            .may(AccessSet::INSERT, "copy")
            .on(on_insert("item")),
        "(call $args_read (i32.const 0))
         (drop (call $insert (global.get $table.copy) (i32.const 0) (i32.const 64)))",
    )
}

struct Bench {
    runtime: Runtime<MemoryLog>,
    time: i64,
}

const WARM_UP: u64 = 100;

impl Bench {
    /// A runtime that has run every reducer, with room in its log.
    fn new(guest: &Guest) -> Self {
        let mut log = MemoryLog::new(HEADER);
        log.reserve(16 << 20);
        let state = CommittedState::new(HEADER.seed, Limits::default());
        let mut runtime = Runtime::new(state, log);
        runtime.install(&guest.wasm(), Inputs::at(Timestamp(0))).expect("a good module");
        let mut bench = Self { runtime, time: 0 };
        for id in 0..WARM_UP {
            bench.call(bench.reducer("add"), id, 1);
            bench.call(bench.reducer("set"), id, 1_000);
        }
        bench
    }

    fn reducer(&self, name: &str) -> FunctionRef {
        self.runtime.reducer("m", name).expect("the module has it")
    }

    fn inputs(&mut self) -> Inputs {
        self.time += 1;
        Inputs::at(Timestamp(self.time))
    }

    fn call(&mut self, reducer: FunctionRef, id: u64, value: u64) {
        let mut row = [0; 64];
        row[..8].copy_from_slice(&id.to_le_bytes());
        row[8..16].copy_from_slice(&value.to_le_bytes());
        let inputs = self.inputs();
        self.runtime.call(reducer, &row, inputs).expect("it commits");
    }
}

const CALLS: u64 = 6_000;

#[test]
fn an_insert_allocates_a_share_of_a_run() {
    let mut bench = Bench::new(&guest());
    let add = bench.reducer("add");
    let found = allocations(|| {
        for id in 0..CALLS {
            bench.call(add, WARM_UP + id, 1);
        }
    });
    // A run takes 32 rows when they come in order, and a node of the tree takes
    // 6 runs: 1/32 + 1/192 + ...
    let rows = CALLS as usize;
    let runs = rows / 32..=rows / 25 + 10;
    assert!(runs.contains(&found), "{found} allocations for {rows} rows");
}

#[test]
fn an_update_allocates_nothing() {
    let mut bench = Bench::new(&guest());
    let set = bench.reducer("set");
    let found = allocations(|| {
        for round in 0..CALLS {
            bench.call(set, round % WARM_UP, 1_001 + round % 7);
        }
    });
    assert_eq!(found, 0);
}

#[test]
fn watching_another_table_costs_nothing() {
    let mut bench = Bench::new(&guest());
    let set = bench.reducer("set");
    let copy = bench.runtime.state().table("m", "copy").expect("the module has it").id();
    bench.runtime.watch(copy);
    let found = allocations(|| {
        for round in 0..CALLS {
            bench.call(set, round % WARM_UP, 1_001 + round % 7);
        }
    });
    assert_eq!(found, 0);
    assert_eq!(bench.runtime.take_changes(), []);
}

#[test]
fn an_update_that_changes_nothing_allocates_nothing() {
    let mut bench = Bench::new(&guest());
    let set = bench.reducer("set");
    let found = allocations(|| {
        for round in 0..CALLS {
            bench.call(set, round % WARM_UP, 1_000);
        }
    });
    assert_eq!(found, 0);
}

#[test]
fn a_subscription_allocates_a_copy_of_the_row() {
    let mut bench = Bench::new(&with_subscriber());
    let add = bench.reducer("add");
    let found = allocations(|| {
        for id in 0..CALLS {
            bench.call(add, WARM_UP + id, 1);
        }
    });
    // The copy in the queue.
    let copies = CALLS as usize;
    let runs = 2 * copies / 25 + 20;
    assert!((copies..=copies + runs).contains(&found), "{found} allocations");
}

#[test]
fn a_query_allocates_its_answer() {
    let mut bench = Bench::new(&guest());
    let find = bench.runtime.query_ref("m", "find").expect("the module has it");
    for id in 0..10u64 {
        let inputs = bench.inputs();
        bench.runtime.query(find, &id.to_le_bytes(), inputs).expect("it answers");
    }
    let found = allocations(|| {
        for round in 0..CALLS {
            let inputs = bench.inputs();
            let id = round % WARM_UP;
            bench.runtime.query(find, &id.to_le_bytes(), inputs).expect("it answers");
        }
    });
    assert_eq!(found, CALLS as usize);
}

#[test]
fn a_call_that_returns_its_error_allocates_little_more() {
    let mut bench = Bench::new(&guest());
    let fail = bench.reducer("fail");
    let mut once = |id: u64| {
        let mut row = [0; 64];
        row[..8].copy_from_slice(&id.to_le_bytes());
        let inputs = bench.inputs();
        let error = bench.runtime.call(fail, &row, inputs).expect_err("it fails");
        assert!(matches!(error.kind, CallErrorKind::Failed(_)));
    };
    (0..10).for_each(|id| once(WARM_UP + id));
    let found = allocations(|| (0..CALLS).for_each(|id| once(WARM_UP + id)));
    // The row that is thrown away, the error's value, its box, and the
    // function's name, which is put together in one or two steps.
    let per_call = found as f64 / CALLS as f64;
    assert!(per_call <= 6.0, "{per_call} allocations per failed call");
}

/// What encoding and decoding may take besides the state.
const SNAPSHOT_BYTES: isize = 16 << 10;

#[test]
fn a_snapshot_is_written_and_read_in_constant_memory() {
    let mut bench = Bench::new(&guest());
    let add = bench.reducer("add");
    (0..20_000).for_each(|id| bench.call(add, WARM_UP + id, 1));
    let live = bench.runtime.state();
    let (len, _, most) = bytes_of(|| {
        let mut len = 0;
        let written = live.encode_snapshot(&mut |piece: &[u8]| {
            len += piece.len();
            Ok::<(), Infallible>(())
        });
        written.unwrap_or_else(|never| match never {});
        len
    });
    assert!(most < SNAPSHOT_BYTES, "{most} bytes to encode {len}");

    let content = snapshot(live);
    let decode = || decode_snapshot(&Limits::default(), content.chunks(1_000));
    let (decoded, kept, most) = bytes_of(decode);
    assert!(most < kept + SNAPSHOT_BYTES, "{most} bytes to decode a state of {kept}");
    let (copy, copied, _) = bytes_of(|| live.clone());
    assert!(kept <= copied * 13 / 10, "{kept} bytes, a copy of the live state has {copied}");
    assert_eq!(decoded.expect("a good snapshot").state_hash(), copy.state_hash());
}

#[test]
fn a_length_that_a_snapshot_announces_takes_no_memory() {
    let content = snapshot(Bench::new(&guest()).runtime.state());
    // The first row stands behind its length, 64.
    let mut row = [0; 65];
    row[0] = 64;
    row[9..11].copy_from_slice(&1_000u16.to_le_bytes());
    let at = content.windows(row.len()).position(|bytes| bytes == row).expect("the first row");
    let mut announced = content[..at].to_vec();
    announced.extend_from_slice(&[0x80, 0x80, 0x80, 0x08, 1, 2, 3]);
    let decode = || decode_snapshot(&Limits::default(), announced.chunks(100)).err();
    let (error, kept, most) = bytes_of(decode);
    let error = error.expect("16 MiB are missing");
    assert_eq!(error.fault, SnapshotFault::Missing);
    assert!(kept < 1_000 && most < 8 * SNAPSHOT_BYTES, "{most} bytes");
}
