//! The types, tables, reducers and queries of a module.
//!
//! The SDK's macros put one [`section`] fragment per item into the module's
//! custom section `interstice.schema`; [`ModuleSchema::decode`] reads them
//! back without running the module, sorts them by name and [checks](ModuleSchema::validate)
//! them. A schema that was decoded is valid: names resolve, types are finite,
//! keys can be ordered.

use alloc::{boxed::Box, string::String, vec::Vec};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod decode;
mod encode;
mod error;
pub mod section;
mod type_name;
mod validate;

pub use error::SchemaError;
pub use type_name::ParseTypeError;
pub use validate::is_identifier;

/// Limits that every schema keeps.
pub mod limits {
    /// Tables, named types, and reducers and queries together: of each.
    pub const ITEMS: usize = 256;
    /// Columns of a table, fields of a struct or variant, parameters.
    pub const FIELDS: usize = 64;
    /// Variants of an enum.
    pub const VARIANTS: usize = 128;
    /// Nesting of types.
    pub const TYPE_DEPTH: usize = 16;
    /// Bytes of a name.
    pub const NAME_LEN: usize = 64;
    /// Bytes of a value's fixed part.
    pub const FIXED_SIZE: u32 = 16 * 1024;
    /// Bytes of the custom section.
    pub const SECTION_LEN: usize = 256 * 1024;
}

/// The type of a column, parameter or result.
///
/// Its text form (`u64`, `option<string>`, `list<Alarm>`) is what schema files
/// and messages show.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Type {
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
    /// Microseconds since 1970-01-01T00:00:00Z, signed 64 bits.
    Timestamp,
    String,
    Bytes,
    Option(Box<Type>),
    List(Box<Type>),
    /// A struct or enum of the module, by name: see [`ModuleSchema::types`].
    Named(String),
}

/// A named, typed place: a column, a field or a parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: Type,
}

/// A struct or enum that the module defines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeDef {
    /// Its name, unique in the module. A type of another module carries that
    /// module's name in front: `hello.Greeting`.
    pub name: String,
    /// Its fields or variants.
    #[serde(flatten)]
    pub kind: TypeKind,
}

/// What a [`TypeDef`] defines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TypeKind {
    /// Named fields, at least one.
    Struct(Vec<Field>),
    /// Variants in tag order, at least one.
    Enum(Vec<Variant>),
}

/// A variant of an enum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// Its payload; empty for a plain variant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDef {
    /// Its name, unique in the module.
    pub name: String,
    /// Its version, counted by the author from 1.
    pub version: u32,
    /// The struct of [`ModuleSchema::types`] that is its row.
    pub row: String,
    /// The primary key: indexes into the row's fields, ascending.
    pub primary_key: Vec<u16>,
    /// The integer column that the host numbers when a row is inserted with a zero there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_increment: Option<u16>,
}

/// A reducer or a query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionDef {
    /// Its name, unique among the module's reducers and queries.
    pub name: String,
    /// Its parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Field>,
    /// The type it returns; `None` for `()`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returns: Option<Type>,
    /// The type of its error, when it returns a `Result`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Type>,
    /// What runs it besides a call. A reducer with a trigger cannot be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// The tables of its module that it may touch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access: Vec<Access>,
    /// The functions of other modules that it may call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<CallDef>,
}

/// What runs a reducer besides a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// After the module's first installation.
    Init,
    /// After every installation and upgrade of the module.
    Load,
    /// After a row is inserted; the parameter is the row.
    Insert(TableRef),
    /// After a row is updated; the parameters are the old and the new row.
    Update(TableRef),
    /// After a row is deleted; the parameter is the row.
    Delete(TableRef),
}

impl Trigger {
    /// The table and the kind of change this trigger waits for.
    pub fn table(&self) -> Option<(&TableRef, AccessSet)> {
        match self {
            Self::Init | Self::Load => None,
            Self::Insert(table) => Some((table, AccessSet::INSERT)),
            Self::Update(table) => Some((table, AccessSet::UPDATE)),
            Self::Delete(table) => Some((table, AccessSet::DELETE)),
        }
    }
}

/// A table of this or another module.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableRef {
    /// The other module; `None` for this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// The table's name.
    pub table: String,
}

/// A table that a function declares to touch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The table's name.
    pub table: String,
    /// What it may do. Every declared access includes reading.
    pub allowed: AccessSet,
}

/// A function of another module, as the caller expects it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallDef {
    /// The other module.
    pub module: String,
    /// Its reducer or query.
    pub function: String,
    /// Its [`signature`](ModuleSchema::signature) when the caller was built; a
    /// caller of a function that has changed since is refused at installation.
    pub signature: u64,
}

/// A set of operations on a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessSet(pub u8);

impl AccessSet {
    /// Read rows.
    pub const READ: Self = Self(1);
    /// Insert rows.
    pub const INSERT: Self = Self(2);
    /// Update rows.
    pub const UPDATE: Self = Self(4);
    /// Delete rows.
    pub const DELETE: Self = Self(8);
    /// Everything.
    pub const WRITE: Self = Self(15);

    /// Whether every operation of `other` is in this set.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The operations of both sets.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One operation of an [`AccessSet`], by its name.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Operation {
    Read,
    Insert,
    Update,
    Delete,
}

impl Operation {
    const ALL: [(Self, AccessSet); 4] = [
        (Self::Read, AccessSet::READ),
        (Self::Insert, AccessSet::INSERT),
        (Self::Update, AccessSet::UPDATE),
        (Self::Delete, AccessSet::DELETE),
    ];
}

/// A list of names for people, such as `["read", "insert"]`.
impl Serialize for AccessSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let operations = Operation::ALL.iter().filter(|(_, set)| self.contains(*set));
        serializer.collect_seq(operations.map(|(operation, _)| operation))
    }
}

impl<'de> Deserialize<'de> for AccessSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let operations = Vec::<Operation>::deserialize(deserializer)?;
        let set_of = |wanted: &Operation| {
            Operation::ALL.iter().find(|(operation, _)| *operation as u8 == *wanted as u8)
        };
        let sets = operations.iter().filter_map(set_of).map(|(_, set)| *set);
        Ok(sets.fold(Self(0), Self::union))
    }
}

/// The schema of a module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleSchema {
    /// The module's name.
    pub module: String,
    /// Structs and enums, sorted by name.
    #[serde(default)]
    pub types: Vec<TypeDef>,
    /// Tables, sorted by name.
    #[serde(default)]
    pub tables: Vec<TableDef>,
    /// Reducers, sorted by name.
    #[serde(default)]
    pub reducers: Vec<FunctionDef>,
    /// Queries, sorted by name.
    #[serde(default)]
    pub queries: Vec<FunctionDef>,
}

impl ModuleSchema {
    /// The definition of the type `name`.
    pub fn type_def(&self, name: &str) -> Option<&TypeDef> {
        find(&self.types, name, |def| &def.name)
    }

    /// The table `name`.
    pub fn table(&self, name: &str) -> Option<&TableDef> {
        find(&self.tables, name, |def| &def.name)
    }

    /// The reducer `name`.
    pub fn reducer(&self, name: &str) -> Option<&FunctionDef> {
        find(&self.reducers, name, |def| &def.name)
    }

    /// The query `name`.
    pub fn query(&self, name: &str) -> Option<&FunctionDef> {
        find(&self.queries, name, |def| &def.name)
    }

    /// The columns of `table`; empty only in a schema that was not checked.
    pub fn columns(&self, table: &TableDef) -> &[Field] {
        match self.type_def(&table.row) {
            Some(TypeDef { kind: TypeKind::Struct(fields), .. }) => fields,
            _ => &[],
        }
    }

    /// The primary key's columns, in key order.
    pub fn key_columns(&self, table: &TableDef) -> Vec<Field> {
        let columns = self.columns(table);
        let key = table.primary_key.iter();
        key.filter_map(|&index| columns.get(usize::from(index)).cloned()).collect()
    }
}

fn find<'a, T>(items: &'a [T], name: &str, name_of: impl Fn(&T) -> &String) -> Option<&'a T> {
    // Schemas are sorted by name; one built by hand may not be yet.
    items.iter().find(|item| name_of(item) == name)
}
