//! A guest whose calls do what their arguments say.
//!
//! A script is a list of operations as bytes. The guest is an interpreter for
//! it, in WebAssembly text; whatever its host calls return goes into the
//! call's result, so that a test sees everything the guest saw.
//!
//! ```text
//!  0    1       5       9        17
//! +----+-------+-------+--------+---------//
//! | op | id    | size  | extra  | payload
//! +----+-------+-------+--------+---------//
//!  u8   u32     u32     i64      size bytes
//! ```

use std::fmt::Write;

use interstice_core::abi::{
    filter::{Comparison, Filter, ScanWriter},
    ids::NameId,
    layout::Layout,
    value::Value,
};

/// One operation of a script.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Inserts a row. Result: status, the row with its number.
    Insert(NameId, Vec<u8>),
    /// Replaces a row. Result: status.
    Update(NameId, Vec<u8>),
    /// Deletes the row with this key row. Result: status.
    Delete(NameId, Vec<u8>),
    /// Reads the row with this key row. Result: length or status, the row.
    Get(NameId, Vec<u8>),
    /// Counts. Result: the count.
    Count(NameId, ScanSpec),
    /// Reads rows through a buffer of so many bytes. Result: the rows behind
    /// their lengths, then 0 or a status.
    Scan(NameId, ScanSpec, u32),
    /// Deletes many rows. Result: how many.
    DeleteWhere(NameId, ScanSpec),
    /// Result: the time.
    Now,
    /// Result: a random number.
    Random,
    /// Schedules a reducer of the own module with these arguments. Result: status.
    Schedule(NameId, i64, Vec<u8>),
    /// Calls a function of another module with these arguments. Result: length
    /// or status, the error's length if it failed, result or error.
    Call(NameId, Vec<u8>),
    /// Counts in memory and in a global how often the guest has been asked
    /// to. Result: both counts before.
    Remember,
    /// Grows the memory by so many bytes. Result: its size before.
    Grow(u32),
    /// Returns this error value; the script ends.
    Fail(Vec<u8>),
    /// Panics with this text.
    Panic(Vec<u8>),
    /// Traps.
    Trap,
    /// Never ends.
    Spin,
    /// Calls itself without end.
    Recurse,
    /// Writes a line to the host's log.
    Log(Vec<u8>),
}

/// Which rows an operation visits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScanSpec {
    /// From this key prefix on.
    pub lower: Option<BoundSpec>,
    /// Up to this key prefix.
    pub upper: Option<BoundSpec>,
    /// From the largest key down.
    pub reverse: bool,
    /// At most so many rows.
    pub limit: Option<u32>,
    /// Only rows whose column compares like this: column, comparison, value.
    pub condition: Option<(u16, Comparison, Value)>,
}

/// A bound of a scan: the first key columns.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundSpec {
    /// The columns' values.
    pub columns: Vec<Value>,
    /// Whether keys that begin with them are meant too.
    pub inclusive: bool,
}

/// Bytes of memory the guest begins with.
pub const MEMORY: u32 = 128 << 10;

/// Where the arguments are put.
const ARGS: u32 = 1 << 10;
/// Where the result is put: a slot of 8 bytes, then its content.
const OUT: u32 = 64 << 10;
/// The address that [`Op::Remember`] counts at.
const KEPT: u32 = 16;
/// The room that [`Op::Get`] offers.
const GET_CAPACITY: u32 = 16 << 10;

/// The operations in the order of their numbers, and what the guest does.
const BODIES: &[(&str, &str)] = &[
    (
        "insert",
        "(call $emit32 (call $insert (local.get $id) (local.get $payload) (local.get $size)))
         (call $emit (local.get $payload) (local.get $size))",
    ),
    (
        "update",
        "(call $emit32 (call $update (local.get $id) (local.get $payload) (local.get $size)))",
    ),
    (
        "delete",
        "(call $emit32 (call $delete (local.get $id) (local.get $payload) (local.get $size)))",
    ),
    (
        "get",
        "(local.set $got (call $get (local.get $id) (local.get $payload) (local.get $size)
            (i32.add (global.get $out) (i32.const 4)) (i32.const GET_CAPACITY)))
         (call $emit32 (local.get $got))
         (if (i32.gt_s (local.get $got) (i32.const 0))
            (then (global.set $out (i32.add (global.get $out) (local.get $got)))))",
    ),
    (
        "count",
        "(call $emit64 (call $count (local.get $id) (local.get $payload) (local.get $size)))",
    ),
    (
        "scan",
        "(local.set $id (call $scan_open (local.get $id) (local.get $payload) (local.get $size)))
         (loop $more
            (local.set $got (call $scan_next (local.get $id) (global.get $out)
                (i32.wrap_i64 (local.get $extra))))
            (if (i32.gt_s (local.get $got) (i32.const 0)) (then
                (global.set $out (i32.add (global.get $out) (local.get $got)))
                (br $more))))
         (call $emit32 (local.get $got))
         (call $scan_close (local.get $id))",
    ),
    (
        "delete_where",
        "(call $emit64 (call $delete_where (local.get $id) (local.get $payload) (local.get $size)))",
    ),
    ("now", "(call $emit64 (call $now))"),
    ("random", "(call $emit64 (call $random))"),
    (
        "schedule",
        "(call $emit32 (call $schedule (local.get $id) (local.get $payload) (local.get $size)
            (local.get $extra)))",
    ),
    (
        "call",
        "(local.set $got (call $call (local.get $id) (local.get $payload) (local.get $size)))
         (call $emit32 (local.get $got))
         (if (i32.lt_s (local.get $got) (i32.const 0)) (then
            (local.set $got (call $error_len))
            (call $emit32 (local.get $got))))
         (call $result_read (global.get $out))
         (global.set $out (i32.add (global.get $out) (local.get $got)))",
    ),
    (
        "remember",
        "(call $emit32 (i32.load (i32.const KEPT)))
         (call $emit32 (global.get $kept))
         (i32.store (i32.const KEPT) (i32.add (i32.load (i32.const KEPT)) (i32.const 1)))
         (global.set $kept (i32.add (global.get $kept) (i32.const 1)))",
    ),
    ("grow", "(call $emit32 (memory.grow (i32.wrap_i64 (local.get $extra))))"),
    (
        "fail",
        "(call $return_err (local.get $payload) (local.get $size))
         (global.set $failed (i32.const 1)) (return)",
    ),
    ("panic", "(call $panic (local.get $payload) (local.get $size))"),
    ("trap", "(unreachable)"),
    ("spin", "(loop $forever (br $forever))"),
    ("recurse", "(call $recurse)"),
    ("log", "(call $log (i32.const 2) (local.get $payload) (local.get $size))"),
];

/// What every script guest has besides its functions.
pub fn interpreter() -> String {
    let mut opens = String::new();
    let mut cases = String::new();
    let mut numbers = String::new();
    for (number, (name, body)) in BODIES.iter().enumerate() {
        opens.insert_str(0, &format!("(block ${name}_op "));
        let _ = write!(numbers, " ${name}_op");
        let _ = write!(cases, ") ;; {number}\n {body} (br $next)\n");
    }
    let text = format!(
        "(global $out (export \"out\") (mut i32) (i32.const OUT))
        (global $failed (export \"failed\") (mut i32) (i32.const 0))
        (global $kept (export \"kept\") (mut i32) (i32.const 0))
        (func $emit32 (param $value i32)
            (i32.store (global.get $out) (local.get $value))
            (global.set $out (i32.add (global.get $out) (i32.const 4))))
        (func $emit64 (param $value i64)
            (i64.store (global.get $out) (local.get $value))
            (global.set $out (i32.add (global.get $out) (i32.const 8))))
        (func $emit (param $at i32) (param $size i32)
            (memory.copy (global.get $out) (local.get $at) (local.get $size))
            (global.set $out (i32.add (global.get $out) (local.get $size))))
        (func $recurse (call $recurse) (call $emit32 (i32.const 0)))
        (func $run (param $at i32) (param $size_all i32)
            (local $end i32) (local $op i32) (local $id i32) (local $size i32)
            (local $extra i64) (local $payload i32) (local $got i32)
            (global.set $out (i32.const OUT_CONTENT))
            (local.set $end (i32.add (local.get $at) (local.get $size_all)))
            (loop $next
                (if (i32.ge_u (local.get $at) (local.get $end)) (then (return)))
                (local.set $op (i32.load8_u (local.get $at)))
                (local.set $id (i32.load offset=1 (local.get $at)))
                (local.set $size (i32.load offset=5 (local.get $at)))
                (local.set $extra (i64.load offset=9 (local.get $at)))
                (local.set $payload (i32.add (local.get $at) (i32.const HEADER_LEN)))
                (local.set $at (i32.add (local.get $payload) (local.get $size)))
                {opens} (br_table{numbers} (local.get $op)) {cases}))
        (func $return
            (if (global.get $failed) (then (return)))
            (i32.store (i32.const OUT) (i32.const 8))
            (i32.store offset=4 (i32.const OUT)
                (i32.sub (global.get $out) (i32.const OUT_CONTENT)))
            (call $return_ok (i32.const OUT) (i32.sub (global.get $out) (i32.const OUT))))"
    );
    substitute(&text)
}

/// The body of a function with one parameter, a script, that returns bytes.
pub fn run_argument() -> String {
    substitute(
        "(call $args_read (i32.const ARGS))
         (call $run (i32.add (i32.const ARGS) (i32.const 8)) (i32.load offset=4 (i32.const ARGS)))
         (call $return)",
    )
}

/// The body of a function with one parameter, a row of a `u64` and a script,
/// that returns nothing.
pub fn run_row() -> String {
    substitute(
        "(call $args_read (i32.const ARGS))
         (call $run (i32.add (i32.const ARGS) (i32.const 16)) (i32.load offset=12 (i32.const ARGS)))",
    )
}

/// The body of a function that writes what it was called with into table
/// `audit`: a number, `kind`, and its arguments.
pub fn audit(kind: u8) -> String {
    let text = format!(
        "(call $args_read (i32.add (i32.const OUT) (i32.const 17)))
         (i32.store8 offset=8 (i32.const OUT) (i32.const {kind}))
         (i32.store offset=9 (i32.const OUT) (i32.const 17))
         (i32.store offset=13 (i32.const OUT) (local.get $len))
         (drop (call $insert (global.get $table.audit) (i32.const OUT)
            (i32.add (local.get $len) (i32.const 17))))"
    );
    substitute(&text)
}

fn substitute(text: &str) -> String {
    text.replace("OUT_CONTENT", &(OUT + 8).to_string())
        .replace("GET_CAPACITY", &GET_CAPACITY.to_string())
        .replace("HEADER_LEN", "17")
        .replace("KEPT", &KEPT.to_string())
        .replace("ARGS", &ARGS.to_string())
        .replace("OUT", &OUT.to_string())
}

/// A script as bytes. Scans are described for the tables that `layout_of` knows.
pub fn encode(ops: &[Op], key_layout_of: &dyn Fn(NameId) -> Option<KeyAndRow>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for op in ops {
        let (number, id, extra, payload) = op.parts(key_layout_of);
        bytes.push(number);
        bytes.extend_from_slice(&id.0.to_le_bytes());
        bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&extra.to_le_bytes());
        bytes.extend_from_slice(&payload);
    }
    bytes
}

/// The layouts of a table's key row and row.
#[derive(Clone, Debug)]
pub struct KeyAndRow {
    /// Of the key columns, as a row of their own.
    pub key: Layout,
    /// Of the row.
    pub row: Layout,
}

/// A value of type `bytes`, in row layout: the arguments of a function that
/// takes a script, and what it returns.
pub fn bytes_value(content: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(8 + content.len());
    value.extend_from_slice(&8u32.to_le_bytes());
    value.extend_from_slice(&(content.len() as u32).to_le_bytes());
    value.extend_from_slice(content);
    value
}

impl Op {
    /// Number, identifier, extra and payload.
    fn parts(&self, layouts: &dyn Fn(NameId) -> Option<KeyAndRow>) -> (u8, NameId, i64, Vec<u8>) {
        let none = NameId(0);
        let scan = |table: &NameId, spec: &ScanSpec| spec.encode(layouts(*table).as_ref());
        let (name, id, extra, payload) = match self {
            Self::Insert(table, row) => ("insert", *table, 0, row.clone()),
            Self::Update(table, row) => ("update", *table, 0, row.clone()),
            Self::Delete(table, key) => ("delete", *table, 0, key.clone()),
            Self::Get(table, key) => ("get", *table, 0, key.clone()),
            Self::Count(table, spec) => ("count", *table, 0, scan(table, spec)),
            Self::Scan(table, spec, capacity) => {
                ("scan", *table, i64::from(*capacity), scan(table, spec))
            }
            Self::DeleteWhere(table, spec) => ("delete_where", *table, 0, scan(table, spec)),
            Self::Now => ("now", none, 0, Vec::new()),
            Self::Random => ("random", none, 0, Vec::new()),
            Self::Schedule(reducer, at, args) => ("schedule", *reducer, *at, args.clone()),
            Self::Call(target, args) => ("call", *target, 0, args.clone()),
            Self::Remember => ("remember", none, 0, Vec::new()),
            Self::Grow(bytes) => ("grow", none, i64::from(*bytes), Vec::new()),
            Self::Fail(error) => ("fail", none, 0, error.clone()),
            Self::Panic(text) => ("panic", none, 0, text.clone()),
            Self::Trap => ("trap", none, 0, Vec::new()),
            Self::Spin => ("spin", none, 0, Vec::new()),
            Self::Recurse => ("recurse", none, 0, Vec::new()),
            Self::Log(text) => ("log", none, 0, text.clone()),
        };
        let number = BODIES.iter().position(|(body, _)| *body == name).expect("listed above");
        (number as u8, id, extra, payload)
    }
}

impl ScanSpec {
    /// The description that a guest passes. Of a table nobody knows, the scan
    /// of all rows.
    fn encode(&self, layouts: Option<&KeyAndRow>) -> Vec<u8> {
        let mut scan = ScanWriter::new();
        let Some(layouts) = layouts else { return scan.finish() };
        if self.reverse {
            scan = scan.reverse();
        }
        if let Some(limit) = self.limit {
            scan = scan.limit(limit);
        }
        if let Some(bound) = &self.lower {
            let (columns, key) = bound.encode(&layouts.key);
            scan =
                if bound.inclusive { scan.from(columns, &key) } else { scan.after(columns, &key) };
        }
        if let Some(bound) = &self.upper {
            let (columns, key) = bound.encode(&layouts.key);
            scan =
                if bound.inclusive { scan.to(columns, &key) } else { scan.before(columns, &key) };
        }
        if let Some((column, comparison, value)) = &self.condition {
            let mut bytes = Vec::new();
            let field = &layouts.row.fields()[usize::from(*column)];
            field.layout.encode(value, &mut bytes).expect("a value of the column's type");
            scan = scan.filter(Filter::compare(*column, *comparison, &bytes));
        }
        scan.finish()
    }
}

impl BoundSpec {
    /// How many columns, and their values as a row of their own.
    fn encode(&self, key: &Layout) -> (u8, Vec<u8>) {
        let fields = &key.fields()[..self.columns.len()];
        let slots = fields.iter().map(|field| field.layout.size()).sum::<usize>();
        let mut row = vec![0; slots];
        // The slots of the first columns, then their content in order.
        for (field, value) in fields.iter().zip(&self.columns) {
            let at = field.offset as usize;
            let mut bytes = Vec::new();
            field.layout.encode(value, &mut bytes).expect("a value of the column's type");
            if field.layout.is_fixed() {
                row[at..at + bytes.len()].copy_from_slice(&bytes);
            } else {
                let content = bytes.split_off(8);
                let start = row.len() as u32;
                row[at..at + 4].copy_from_slice(&start.to_le_bytes());
                row[at + 4..at + 8].copy_from_slice(&bytes[4..]);
                row.extend_from_slice(&content);
            }
        }
        (self.columns.len() as u8, row)
    }
}
