//! The custom section `interstice.schema`, written at compile time.
//!
//! ```text
//!  0         4         5
//! +---------+---------+-------------+------+------------//
//! | length  | version | module name | kind | item
//! +---------+---------+-------------+------+------------//
//! ```
//!
//! One fragment per table, reducer and query, one behind the other in any
//! order: linkers concatenate the fragments of a section. `length` (u32,
//! little-endian) counts the bytes behind it. Everything behind `version` is
//! in postcard's wire format: numbers are varints, names and lists have their
//! length in front, options a 0 or 1.
//!
//! - kind 0, table: name, version, row struct's name, its fields, primary key
//!   (list of column indexes), auto-increment (option of column index).
//! - kind 1, reducer, and 2, query: name, parameters, result (option of type),
//!   error (option of type), trigger (option), access (list), calls (list).
//! - field: name, type. Type: a tag, the position in the list of plain types
//!   (0 `bool` to 15 `bytes`); 16 option and 17 list, then the inner type; 18
//!   struct, then its name and fields; 19 enum, then its name and variants
//!   (name, fields).
//! - trigger: tag 0 init, 1 load, 2 insert, 3 update, 4 delete; the last three
//!   are followed by a table: option of module name, table name.
//! - access: table name, set of operations (one byte). Call: module, function,
//!   signature.
//!
//! Everything here is `const`, so that a macro can compute a fragment without
//! seeing more than its own item. [`ModuleSchema::encode`](super::ModuleSchema::encode)
//! writes the same bytes from an owned schema.

use super::AccessSet;

/// Version of the fragments' format.
pub const FORMAT_VERSION: u8 = 1;

/// A [`Type`](super::Type), at compile time.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum TypeDesc {
    Bool,
    U8,
    U16,
    U32,
    U64,
    U128,
    I8,
    I16,
    I32,
    I64,
    I128,
    F32,
    F64,
    Timestamp,
    String,
    Bytes,
    Option(&'static TypeDesc),
    List(&'static TypeDesc),
    Struct(&'static StructDesc),
    Enum(&'static EnumDesc),
}

/// A field, column or parameter, at compile time.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "as in `Field`")]
pub struct FieldDesc {
    pub name: &'static str,
    pub ty: TypeDesc,
}

/// A struct, at compile time.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "as in `TypeDef`")]
pub struct StructDesc {
    pub name: &'static str,
    pub fields: &'static [FieldDesc],
}

/// A variant of an enum, at compile time.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "as in `Variant`")]
pub struct VariantDesc {
    pub name: &'static str,
    pub fields: &'static [FieldDesc],
}

/// An enum, at compile time.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "as in `TypeDef`")]
pub struct EnumDesc {
    pub name: &'static str,
    pub variants: &'static [VariantDesc],
}

/// A table, at compile time.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "as in `TableDef`")]
pub struct TableDesc {
    pub name: &'static str,
    pub version: u32,
    pub row: &'static StructDesc,
    pub primary_key: &'static [u16],
    pub auto_increment: Option<u16>,
}

/// A table of this or another module, at compile time.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "as in `TableRef`")]
pub struct TableRefDesc {
    pub module: Option<&'static str>,
    pub table: &'static str,
}

/// A trigger, at compile time.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "as in `Trigger`")]
pub enum TriggerDesc {
    Init,
    Load,
    Insert(TableRefDesc),
    Update(TableRefDesc),
    Delete(TableRefDesc),
}

/// A declared access, at compile time.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "as in `Access`")]
pub struct AccessDesc {
    pub table: &'static str,
    pub allowed: AccessSet,
}

/// A declared call, at compile time.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "as in `CallDef`")]
pub struct CallDesc {
    pub module: &'static str,
    pub function: &'static str,
    pub signature: u64,
}

/// A reducer or query, at compile time.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "as in `FunctionDef`")]
pub struct FunctionDesc {
    pub name: &'static str,
    pub params: &'static [FieldDesc],
    pub returns: Option<TypeDesc>,
    pub error: Option<TypeDesc>,
    pub trigger: Option<TriggerDesc>,
    pub access: &'static [AccessDesc],
    pub calls: &'static [CallDesc],
}

/// What one fragment carries.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ItemDesc {
    Table(TableDesc),
    Reducer(FunctionDesc),
    Query(FunctionDesc),
}

/// The bytes of the fragment for `item` of `module`.
pub const fn fragment_len(module: &str, item: &ItemDesc) -> usize {
    fragment_writer::<0>(module, item).len
}

/// The fragment for `item` of `module`. `N` is its [`fragment_len`].
///
/// ```
/// use interstice_abi::schema::{ModuleSchema, section::*};
///
/// const ROW: StructDesc = StructDesc {
///     name: "Greeting",
///     fields: &[FieldDesc { name: "id", ty: TypeDesc::U64 }],
/// };
/// const ITEM: ItemDesc = ItemDesc::Table(TableDesc {
///     name: "greeting", version: 1, row: &ROW, primary_key: &[0], auto_increment: Some(0),
/// });
/// static FRAGMENT: [u8; fragment_len("hello", &ITEM)] = fragment("hello", &ITEM);
///
/// let schema = ModuleSchema::decode(&FRAGMENT).unwrap();
/// assert_eq!(schema.module, "hello");
/// assert_eq!(schema.tables[0].name, "greeting");
/// ```
pub const fn fragment<const N: usize>(module: &str, item: &ItemDesc) -> [u8; N] {
    let mut writer = fragment_writer::<N>(module, item);
    assert!(writer.len == N, "N must be fragment_len(module, item)");
    let length = ((N - 4) as u32).to_le_bytes();
    let mut index = 0;
    while index < 4 {
        writer.bytes[index] = length[index];
        index += 1;
    }
    writer.bytes
}

const fn fragment_writer<const N: usize>(module: &str, item: &ItemDesc) -> Writer<N> {
    let mut writer = Writer { bytes: [0; N], len: 4 };
    writer.byte(FORMAT_VERSION);
    writer.text(module);
    match item {
        ItemDesc::Table(table) => {
            writer.byte(0);
            writer.table(table);
        }
        ItemDesc::Reducer(function) => {
            writer.byte(1);
            writer.function(function);
        }
        ItemDesc::Query(function) => {
            writer.byte(2);
            writer.function(function);
        }
    }
    writer
}

/// Writes into `bytes` as far as they reach and counts the rest, so that the
/// same code measures (`N` = 0) and writes.
struct Writer<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Writer<N> {
    const fn byte(&mut self, byte: u8) {
        if self.len < N {
            self.bytes[self.len] = byte;
        }
        self.len += 1;
    }

    const fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8);
    }

    const fn varint(&mut self, value: usize) {
        self.number(value as u64);
    }

    const fn text(&mut self, text: &str) {
        self.varint(text.len());
        let mut index = 0;
        while index < text.len() {
            self.byte(text.as_bytes()[index]);
            index += 1;
        }
    }

    const fn table(&mut self, table: &TableDesc) {
        self.text(table.name);
        self.varint(table.version as usize);
        self.text(table.row.name);
        self.fields(table.row.fields);
        self.varint(table.primary_key.len());
        let mut index = 0;
        while index < table.primary_key.len() {
            self.varint(table.primary_key[index] as usize);
            index += 1;
        }
        match table.auto_increment {
            None => self.byte(0),
            Some(column) => {
                self.byte(1);
                self.varint(column as usize);
            }
        }
    }

    const fn function(&mut self, function: &FunctionDesc) {
        self.text(function.name);
        self.fields(function.params);
        self.optional_type(&function.returns);
        self.optional_type(&function.error);
        match &function.trigger {
            None => self.byte(0),
            Some(trigger) => {
                self.byte(1);
                self.trigger(trigger);
            }
        }
        self.varint(function.access.len());
        let mut index = 0;
        while index < function.access.len() {
            self.text(function.access[index].table);
            self.byte(function.access[index].allowed.0);
            index += 1;
        }
        self.varint(function.calls.len());
        let mut index = 0;
        while index < function.calls.len() {
            self.text(function.calls[index].module);
            self.text(function.calls[index].function);
            self.number(function.calls[index].signature);
            index += 1;
        }
    }

    const fn trigger(&mut self, trigger: &TriggerDesc) {
        let table = match trigger {
            TriggerDesc::Init => return self.byte(0),
            TriggerDesc::Load => return self.byte(1),
            TriggerDesc::Insert(table) => {
                self.byte(2);
                table
            }
            TriggerDesc::Update(table) => {
                self.byte(3);
                table
            }
            TriggerDesc::Delete(table) => {
                self.byte(4);
                table
            }
        };
        match table.module {
            None => self.byte(0),
            Some(module) => {
                self.byte(1);
                self.text(module);
            }
        }
        self.text(table.table);
    }

    const fn fields(&mut self, fields: &[FieldDesc]) {
        self.varint(fields.len());
        let mut index = 0;
        while index < fields.len() {
            self.text(fields[index].name);
            self.ty(&fields[index].ty);
            index += 1;
        }
    }

    const fn optional_type(&mut self, ty: &Option<TypeDesc>) {
        match ty {
            None => self.byte(0),
            Some(ty) => {
                self.byte(1);
                self.ty(ty);
            }
        }
    }

    const fn ty(&mut self, ty: &TypeDesc) {
        match ty {
            TypeDesc::Bool => self.byte(0),
            TypeDesc::U8 => self.byte(1),
            TypeDesc::U16 => self.byte(2),
            TypeDesc::U32 => self.byte(3),
            TypeDesc::U64 => self.byte(4),
            TypeDesc::U128 => self.byte(5),
            TypeDesc::I8 => self.byte(6),
            TypeDesc::I16 => self.byte(7),
            TypeDesc::I32 => self.byte(8),
            TypeDesc::I64 => self.byte(9),
            TypeDesc::I128 => self.byte(10),
            TypeDesc::F32 => self.byte(11),
            TypeDesc::F64 => self.byte(12),
            TypeDesc::Timestamp => self.byte(13),
            TypeDesc::String => self.byte(14),
            TypeDesc::Bytes => self.byte(15),
            TypeDesc::Option(inner) => {
                self.byte(super::decode::TAG_OPTION);
                self.ty(inner);
            }
            TypeDesc::List(inner) => {
                self.byte(super::decode::TAG_LIST);
                self.ty(inner);
            }
            TypeDesc::Struct(def) => {
                self.byte(super::decode::TAG_STRUCT);
                self.text(def.name);
                self.fields(def.fields);
            }
            TypeDesc::Enum(def) => {
                self.byte(super::decode::TAG_ENUM);
                self.text(def.name);
                self.varint(def.variants.len());
                let mut index = 0;
                while index < def.variants.len() {
                    self.text(def.variants[index].name);
                    self.fields(def.variants[index].fields);
                    index += 1;
                }
            }
        }
    }
}
