//! A database whose commits insert one row of 64 bytes each: eight `u64`, the
//! first of them the key. The module is written in WebAssembly text, so that no
//! compiler is measured.

use std::{fmt::Write, path::Path};

use interstice::{
    core::abi::{
        ids::NameId,
        schema::{
            Access, AccessSet, Field, FunctionDef, ModuleSchema, TableDef, Type, TypeDef, TypeKind,
        },
    },
    data_dir::DataDir,
    database::Database,
    persistence::{Durability, PersistenceConfig},
};

use crate::Result;

/// The module's name.
pub const MODULE: &str = "peers";

/// Its reducer, which takes the key of the row.
pub const REDUCER: &str = "add";

const COLUMNS: usize = 8;
const ROW_LEN: usize = 8 * COLUMNS;

/// Makes a database with the module installed. It takes no snapshot by itself.
pub fn create(path: &Path, durability: Durability) -> Result<Database> {
    let config =
        PersistenceConfig { durability, snapshot_log_bytes: 0, ..PersistenceConfig::default() };
    let mut database = Database::start_with(DataDir::create(path)?, config)?;
    database.install(&module()?)?;
    Ok(database)
}

/// The reducer's argument.
pub fn args(key: u64) -> [u8; 8] {
    key.to_le_bytes()
}

fn schema() -> ModuleSchema {
    let column = |index| Field { name: format!("c{index}"), ty: Type::U64 };
    let row = TypeKind::Struct((0..COLUMNS).map(column).collect());
    let add = FunctionDef {
        name: REDUCER.into(),
        params: vec![Field { name: "id".into(), ty: Type::U64 }],
        access: vec![Access {
            table: "item".into(),
            allowed: AccessSet::READ.union(AccessSet::INSERT),
        }],
        ..FunctionDef::default()
    };
    ModuleSchema {
        module: MODULE.into(),
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

/// Reads the key, stores the columns at address 64, inserts the row.
fn module() -> Result<Vec<u8>> {
    let mut section = String::new();
    for byte in schema().encode()? {
        write!(section, "\\{byte:02x}")?;
    }
    let mut row = String::new();
    for column in 0..COLUMNS {
        let at = ROW_LEN + column * 8;
        let factor = if column == 0 { 1 } else { 31 * column };
        write!(
            row,
            "(i64.store (i32.const {at})
                (i64.add (i64.mul (local.get $id) (i64.const {factor})) (i64.const {column})))",
        )?;
    }
    let table = NameId::of("item").0.cast_signed();
    Ok(wat::parse_str(format!(
        r#"(module
            (import "interstice_1" "args_read" (func $args_read (param i32)))
            (import "interstice_1" "insert" (func $insert (param i32 i32 i32) (result i32)))
            (memory (export "memory") 4096 (pagesize 1))
            (func (export "reducer.{REDUCER}") (param i32) (local $id i64)
                (call $args_read (i32.const 0))
                (local.set $id (i64.load (i32.const 0)))
                {row}
                (drop (call $insert (i32.const {table}) (i32.const {ROW_LEN}) (i32.const {ROW_LEN}))))
            (@custom "interstice.schema" "{section}"))"#
    ))?)
}
