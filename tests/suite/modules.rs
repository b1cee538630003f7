//! Modules that run scripts, for tests of one behaviour.

use interstice_core::abi::{ids::NameId, schema::AccessSet};
use interstice_tests::{
    Function, Guest,
    guest::script::{self, KeyAndRow, MEMORY, Op, ScanSpec, bytes_value},
};

/// A module with table `item { id: u64, data: bytes }`, a numbered table
/// `note { id: u64, data: bytes }`, reducers `run` and `later`, and query
/// `ask`, which take a script and return bytes. All of them may call `callees`.
pub(crate) fn scripted(name: &str, callees: &[(&Guest, &str)]) -> Guest {
    let function = |name: &str| {
        let function = Function::new(name).param("script", "bytes").returns("bytes").error("bytes");
        callees.iter().fold(function, |function, (guest, callee)| function.calls(guest, callee))
    };
    with_tables(name)
        .reducer(function("run").writes(&["item", "note"]), &script::run_argument())
        .reducer(function("later").writes(&["item", "note"]), &script::run_argument())
        .query(asking(callees).reads(&["item", "note"]), &script::run_argument())
}

fn asking(callees: &[(&Guest, &str)]) -> Function {
    let function = Function::new("ask").param("script", "bytes").returns("bytes").error("bytes");
    let queries = callees.iter().filter(|(_, callee)| *callee == "ask");
    queries.fold(function, |function, (guest, callee)| function.calls(guest, callee))
}

/// A module with the tables of [`scripted`] and the interpreter, and no function.
pub(crate) fn with_tables(name: &str) -> Guest {
    let columns: &[(&str, &str)] = &[("id", "u64"), ("data", "bytes")];
    Guest::new(name)
        .memory(MEMORY as usize)
        .table("item", columns, &[0])
        .numbered("note", columns)
        .code(&script::interpreter())
}

/// A reducer that takes a row of a table of [`scripted`] and runs its data as
/// a script.
pub(crate) fn on_row(name: &str, row: &str) -> Function {
    Function::new(name).param("row", row).error("bytes").may(AccessSet::WRITE, "item")
}

/// The bytes of a script over the tables of [`scripted`].
pub(crate) fn script(ops: &[Op]) -> Vec<u8> {
    let schema = with_tables("any").schema();
    script::encode(ops, &|table| {
        use interstice_core::abi::layout::Layout;
        let def = schema.tables.iter().find(|def| NameId::of(&def.name) == table)?;
        let layout = |fields: &[_]| Layout::of_fields(&schema, fields).ok();
        Some(KeyAndRow {
            key: layout(&schema.key_columns(def))?,
            row: layout(schema.columns(def))?,
        })
    })
}

/// The arguments of a function that takes this script.
pub(crate) fn args(ops: &[Op]) -> Vec<u8> {
    bytes_value(&script(ops))
}

/// A row of `item` or `note`.
pub(crate) fn row(id: u64, data: &[u8]) -> Vec<u8> {
    let mut row = id.to_le_bytes().to_vec();
    row.extend_from_slice(&16u32.to_le_bytes());
    row.extend_from_slice(&(data.len() as u32).to_le_bytes());
    row.extend_from_slice(data);
    row
}

/// Inserts `{ id, data }` into `item`.
pub(crate) fn insert(id: u64, data: &[u8]) -> Op {
    insert_into("item", id, data)
}

/// Inserts `{ id, data }` into a table.
pub(crate) fn insert_into(table: &str, id: u64, data: &[u8]) -> Op {
    Op::Insert(NameId::of(table), row(id, data))
}

/// Replaces the row `id` of `item`.
pub(crate) fn update(id: u64, data: &[u8]) -> Op {
    Op::Update(NameId::of("item"), row(id, data))
}

/// Deletes the row `id` of `item`.
pub(crate) fn delete(id: u64) -> Op {
    Op::Delete(NameId::of("item"), id.to_le_bytes().to_vec())
}

/// Counts the rows of `item`.
pub(crate) fn count() -> Op {
    Op::Count(NameId::of("item"), ScanSpec::default())
}

/// Calls `MODULE.FUNCTION` with a script.
pub(crate) fn call(function: &str, ops: &[Op]) -> Op {
    let (module, name) = function.split_once('.').expect("MODULE.FUNCTION");
    Op::Call(NameId::of_external(module, name), args(ops))
}

/// Returns an error.
pub(crate) fn fail(error: &str) -> Op {
    Op::Fail(bytes_value(error.as_bytes()))
}

/// Schedules the reducer `later` with a script.
pub(crate) fn schedule(at: i64, ops: &[Op]) -> Op {
    Op::Schedule(NameId::of("later"), at, args(ops))
}

/// What a script has returned, without the slot in front.
pub(crate) fn returned(result: &[u8]) -> &[u8] {
    &result[8..]
}
