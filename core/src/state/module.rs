//! An installed module: its schema, resolved.

use alloc::{boxed::Box, vec::Vec};

use abi::{
    ids::NameId,
    layout::{Layout, Layouts},
    schema::{AccessSet, FunctionDef, ModuleSchema, SchemaError},
};
use interstice_abi as abi;

use crate::ids::{FunctionRef, ModuleId, TableId};

/// A module as the log knows it: without its code.
#[derive(Clone, Debug)]
pub struct InstalledModule {
    pub(crate) id: ModuleId,
    pub(crate) schema: ModuleSchema,
    pub(crate) content_hash: [u8; 32],
    pub(crate) wasm_len: u64,
    /// Reducers, then queries, each sorted by name.
    pub(crate) functions: Vec<Function>,
    /// In the order of the schema's tables, with the identifiers guests use.
    pub(crate) tables: Vec<(NameId, TableId)>,
}

impl InstalledModule {
    /// Whether it was installed with this schema, which is that of its file.
    pub(crate) fn is_of(&self, schema: &ModuleSchema) -> bool {
        self.schema.encode() == schema.encode()
    }

    /// Its number.
    pub fn id(&self) -> ModuleId {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.schema.module
    }

    /// Its schema.
    pub fn schema(&self) -> &ModuleSchema {
        &self.schema
    }

    /// SHA-256 of its file.
    pub fn content_hash(&self) -> &[u8; 32] {
        &self.content_hash
    }

    /// Length of its file in bytes.
    pub fn wasm_len(&self) -> u64 {
        self.wasm_len
    }

    /// Its reducers, then its queries.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// Its tables, in the order of their names.
    pub fn tables(&self) -> impl Iterator<Item = TableId> {
        self.tables.iter().map(|(_, table)| *table)
    }

    pub(crate) fn table(&self, name: NameId) -> Option<TableId> {
        self.tables.iter().find(|(id, _)| *id == name).map(|(_, table)| *table)
    }

    pub(crate) fn function(&self, name: NameId) -> Option<(u32, &Function)> {
        let index = self.functions.iter().position(|function| function.name_id == name)?;
        Some((index as u32, self.functions.get(index)?))
    }

    /// The definitions of its functions, in their order.
    pub(crate) fn defs(&self) -> impl Iterator<Item = &FunctionDef> {
        self.schema.reducers.iter().chain(&self.schema.queries)
    }

    /// A function and its definition.
    pub(crate) fn resolved(&self, index: u32) -> Option<(&Function, &FunctionDef)> {
        let queries = (index as usize).checked_sub(self.schema.reducers.len());
        let def = match queries {
            None => self.schema.reducers.get(index as usize),
            Some(query) => self.schema.queries.get(query),
        };
        Some((self.functions.get(index as usize)?, def?))
    }

    pub(crate) fn function_named(&self, name: &str) -> Option<FunctionRef> {
        let index = self.functions.iter().position(|function| function.name() == name)?;
        Some(FunctionRef { module: self.id, index: index as u32 })
    }
}

/// Whether a function may change tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionKind {
    /// It may, as it declares; calls of it are recorded.
    Reducer,
    /// It may not; calls of it leave no trace.
    Query,
}

/// A reducer or query, with its types resolved.
#[derive(Clone, Debug)]
pub struct Function {
    pub(crate) name_id: NameId,
    name: Box<str>,
    pub(crate) kind: FunctionKind,
    is_triggered: bool,
    pub(crate) args: Layout,
    pub(crate) returns: Option<Layout>,
    pub(crate) error: Option<Layout>,
    /// What it may do, by table.
    pub(crate) access: Vec<(TableId, AccessSet)>,
    /// Functions of other modules it may call, by the identifier guests use.
    pub(crate) calls: Vec<(NameId, FunctionRef)>,
}

impl Function {
    /// Resolves the types; tables and calls are resolved when the module is
    /// placed in a state.
    pub(crate) fn new(
        layouts: &mut Layouts<'_>,
        kind: FunctionKind,
        def: &FunctionDef,
    ) -> Result<Self, SchemaError> {
        let mut layout = |ty| layouts.of_type(ty);
        let returns = def.returns.as_ref().map(&mut layout).transpose()?;
        let error = def.error.as_ref().map(&mut layout).transpose()?;
        Ok(Self {
            name_id: NameId::of(&def.name),
            name: def.name.as_str().into(),
            kind,
            is_triggered: def.trigger.is_some(),
            args: layouts.of_fields(&def.params)?,
            returns,
            error,
            access: Vec::new(),
            calls: Vec::new(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reducer or query.
    pub fn kind(&self) -> FunctionKind {
        self.kind
    }

    /// Whether it runs by a trigger, and cannot be called.
    pub fn is_triggered(&self) -> bool {
        self.is_triggered
    }

    /// How its arguments lie in memory: a struct of its parameters.
    pub fn args(&self) -> &Layout {
        &self.args
    }

    /// How its result lies in memory, if it has one.
    pub fn returns(&self) -> Option<&Layout> {
        self.returns.as_ref()
    }

    /// How its error lies in memory, if it can return one.
    pub fn error(&self) -> Option<&Layout> {
        self.error.as_ref()
    }

    /// What it may do with `table`.
    pub(crate) fn access_to(&self, table: TableId) -> AccessSet {
        let access = self.access.iter().find(|(id, _)| *id == table);
        access.map_or(AccessSet(0), |(_, allowed)| *allowed)
    }
}
