//! The rules of a schema.

use alloc::{format, string::String, vec::Vec};

use super::{
    AccessSet, Field, FunctionDef, ModuleSchema, SchemaError, TableDef, Trigger, Type, TypeKind,
    limits, type_name::PLAIN,
};
use crate::{ids::NameId, twice};

/// Whether `text` can name a module, table, function, field or variant: a
/// letter or underscore, then letters, digits and underscores.
pub fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    let head = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    head && text.len() <= limits::NAME_LEN
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether `text` can name a type: an identifier, or two with a dot between.
pub(super) fn is_name(text: &str) -> bool {
    match text.split_once('.') {
        Some((module, name)) => is_identifier(module) && is_identifier(name),
        None => is_identifier(text),
    }
}

fn invalid<T>(at: impl Into<String>, why: impl Into<String>) -> Result<T, SchemaError> {
    Err(SchemaError::Invalid { at: at.into(), why: why.into() })
}

impl ModuleSchema {
    /// Checks every rule of a schema; see [`SchemaError::Invalid`].
    pub fn validate(&self) -> Result<(), SchemaError> {
        if self.tables.is_empty() && self.reducers.is_empty() && self.queries.is_empty() {
            return Err(SchemaError::Empty);
        }
        if !is_identifier(&self.module) {
            return invalid(
                format!("module `{}`", self.module),
                "a module's name is a letter or underscore, then letters, digits and underscores",
            );
        }
        self.check_items()?;
        for def in &self.types {
            let at = format!("type {}", def.name);
            match &def.kind {
                TypeKind::Struct(fields) if fields.is_empty() => {
                    return invalid(at, "a struct needs at least one field");
                }
                TypeKind::Struct(fields) => self.check_fields(&at, fields)?,
                TypeKind::Enum(variants) => {
                    if variants.is_empty() || variants.len() > limits::VARIANTS {
                        let why = format!("an enum has 1 to {} variants", limits::VARIANTS);
                        return invalid(at, why);
                    }
                    let names: Vec<&str> = variants.iter().map(|v| v.name.as_str()).collect();
                    check_names(&at, "variant", &names)?;
                    for variant in variants {
                        let at = format!("{at}, variant {}", variant.name);
                        self.check_fields(&at, &variant.fields)?;
                    }
                }
            }
        }
        for table in &self.tables {
            self.check_table(table)?;
        }
        for reducer in &self.reducers {
            self.check_function("reducer", reducer)?;
        }
        for query in &self.queries {
            self.check_function("query", query)?;
            self.check_query(query)?;
        }
        Ok(())
    }

    pub(super) fn check_counts(&self) -> Result<(), SchemaError> {
        let functions = self.reducers.len() + self.queries.len();
        let counts = [
            ("types", self.types.len()),
            ("tables", self.tables.len()),
            ("reducers and queries", functions),
        ];
        match counts.iter().find(|(_, count)| *count > limits::ITEMS) {
            Some((what, _)) => {
                let why = format!("more than {} {what}", limits::ITEMS);
                invalid(format!("module {}", self.module), why)
            }
            None => Ok(()),
        }
    }

    fn check_items(&self) -> Result<(), SchemaError> {
        self.check_counts()?;
        let at = format!("module {}", self.module);
        let types: Vec<&str> = self.types.iter().map(|def| def.name.as_str()).collect();
        for name in &types {
            if !is_name(name) {
                return invalid(&at, format!("`{name}` cannot name a type"));
            }
            // Its text form would be read as that type.
            if PLAIN.iter().any(|(_, plain)| plain == name) {
                return invalid(
                    &at,
                    format!("`{name}` is a type already; rename the module's own"),
                );
            }
        }
        check_unique(&at, "type", &types)?;
        let tables: Vec<&str> = self.tables.iter().map(|table| table.name.as_str()).collect();
        check_names(&at, "table", &tables)?;
        check_name_ids(&at, &tables)?;
        let functions = self.reducers.iter().chain(&self.queries);
        let functions: Vec<&str> = functions.map(|function| function.name.as_str()).collect();
        check_names(&at, "reducer or query", &functions)?;
        check_name_ids(&at, &functions)
    }

    fn check_fields(&self, at: &str, fields: &[Field]) -> Result<(), SchemaError> {
        if fields.len() > limits::FIELDS {
            return invalid(at, format!("more than {} fields", limits::FIELDS));
        }
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        check_names(at, "field", &names)?;
        // Types that are spelled out in full stay below a bound, so that
        // nothing that walks them can take long.
        let mut budget = limits::SECTION_LEN;
        for field in fields {
            self.check_type(&format!("{at}, field {}", field.name), &field.ty, 0, &mut budget)?;
        }
        Ok(())
    }

    fn check_type(
        &self,
        at: &str,
        ty: &Type,
        depth: usize,
        budget: &mut usize,
    ) -> Result<(), SchemaError> {
        if depth >= limits::TYPE_DEPTH {
            let why = format!("types are nested deeper than {}", limits::TYPE_DEPTH);
            return invalid(at, why);
        }
        let Some(left) = budget.checked_sub(1) else {
            return invalid(at, "the type is too large");
        };
        *budget = left;
        match ty {
            Type::Option(inner) | Type::List(inner) => {
                self.check_type(at, inner, depth + 1, budget)
            }
            Type::Named(name) => match self.type_def(name).map(|def| &def.kind) {
                None => invalid(at, format!("the type `{name}` is not defined")),
                Some(TypeKind::Struct(fields)) => fields
                    .iter()
                    .try_for_each(|field| self.check_type(at, &field.ty, depth + 1, budget)),
                Some(TypeKind::Enum(variants)) => variants
                    .iter()
                    .flat_map(|variant| &variant.fields)
                    .try_for_each(|field| self.check_type(at, &field.ty, depth + 1, budget)),
            },
            _ => Ok(()),
        }
    }

    fn check_table(&self, table: &TableDef) -> Result<(), SchemaError> {
        let at = format!("table {}", table.name);
        let columns = self.columns(table);
        if columns.is_empty() {
            return invalid(at, format!("its row `{}` is not a struct of the module", table.row));
        }
        if table.version == 0 {
            return invalid(at, "versions count from 1");
        }
        if table.primary_key.is_empty() {
            return invalid(at, "a table needs a primary key: mark its columns with `#[key]`");
        }
        let mut before = None;
        for &index in &table.primary_key {
            let Some(column) = columns.get(usize::from(index)) else {
                return invalid(at, format!("its key names column {index}, which does not exist"));
            };
            let at = format!("{at}, column {}", column.name);
            if before.is_some_and(|before| before >= index) {
                return invalid(
                    at,
                    "key columns stand in the order of the row's fields, each once",
                );
            }
            before = Some(index);
            if !self.is_key_type(&column.ty) {
                return invalid(
                    at,
                    format!(
                        "a column of type `{}` cannot be in a primary key; booleans, integers, timestamps, strings, bytes and enums without payload can",
                        column.ty
                    ),
                );
            }
        }
        if let Some(index) = table.auto_increment {
            let Some(column) = columns.get(usize::from(index)) else {
                return invalid(at, format!("it numbers column {index}, which does not exist"));
            };
            let at = format!("{at}, column {}", column.name);
            if !matches!(column.ty, Type::U32 | Type::U64 | Type::I32 | Type::I64) {
                let why =
                    format!("a `{}` cannot be numbered; u32, u64, i32 and i64 can", column.ty);
                return invalid(at, why);
            }
            if !table.primary_key.contains(&index) {
                return invalid(at, "a numbered column must be in the primary key");
            }
        }
        Ok(())
    }

    fn is_key_type(&self, ty: &Type) -> bool {
        match ty {
            Type::F32 | Type::F64 | Type::Option(_) | Type::List(_) => false,
            Type::Named(name) => match self.type_def(name).map(|def| &def.kind) {
                Some(TypeKind::Enum(variants)) => variants.iter().all(|v| v.fields.is_empty()),
                _ => false,
            },
            _ => true,
        }
    }

    fn check_function(&self, what: &str, function: &FunctionDef) -> Result<(), SchemaError> {
        let at = format!("{what} {}", function.name);
        self.check_fields(&at, &function.params)?;
        let mut budget = limits::SECTION_LEN;
        for ty in [&function.returns, &function.error].into_iter().flatten() {
            self.check_type(&format!("{at}, result"), ty, 0, &mut budget)?;
        }
        let tables: Vec<&str> = function.access.iter().map(|a| a.table.as_str()).collect();
        check_unique(&at, "declared table", &tables)?;
        for access in &function.access {
            if self.table(&access.table).is_none() {
                let why = format!("it declares the table `{}`, which does not exist", access.table);
                return invalid(at, why);
            }
            let known = AccessSet::WRITE.contains(access.allowed);
            if !known || !access.allowed.contains(AccessSet::READ) {
                return invalid(at, format!("unknown access to the table `{}`", access.table));
            }
        }
        let calls: Vec<String> =
            function.calls.iter().map(|c| format!("{}.{}", c.module, c.function)).collect();
        let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
        check_unique(&at, "declared call", &calls)?;
        // What a call is made by is the hash of this.
        check_name_ids(&at, &calls)?;
        for call in &function.calls {
            if !is_identifier(&call.module) || !is_identifier(&call.function) {
                return invalid(at, "a declared call has no valid name");
            }
            if call.module == self.module {
                return invalid(at, "a module calls its own functions as plain Rust functions");
            }
        }
        match &function.trigger {
            Some(trigger) => self.check_trigger(&at, function, trigger),
            None => Ok(()),
        }
    }

    fn check_trigger(
        &self,
        at: &str,
        function: &FunctionDef,
        trigger: &Trigger,
    ) -> Result<(), SchemaError> {
        let Some((reference, change)) = trigger.table() else {
            return if function.params.is_empty() {
                Ok(())
            } else {
                invalid(at, "a reducer that runs at `init` or `load` takes no parameters")
            };
        };
        let rows = if change == AccessSet::UPDATE { 2 } else { 1 };
        if function.params.len() != rows {
            let why = "it takes the changed row: one parameter; for an update two, the old and the new row";
            return invalid(at, why);
        }
        // A row of another module's table is compared when that module is known.
        if reference.module.is_some() {
            return Ok(());
        }
        let Some(table) = self.table(&reference.table) else {
            let why = format!("it waits for the table `{}`, which does not exist", reference.table);
            return invalid(at, why);
        };
        for param in &function.params {
            if param.ty != Type::Named(table.row.clone()) {
                let why = format!("its parameter `{}` must be a `{}`", param.name, table.row);
                return invalid(at, why);
            }
        }
        Ok(())
    }

    fn check_query(&self, query: &FunctionDef) -> Result<(), SchemaError> {
        let at = format!("query {}", query.name);
        if query.trigger.is_some() {
            return invalid(at, "a query cannot be triggered");
        }
        match query.access.iter().find(|access| access.allowed != AccessSet::READ) {
            Some(access) => {
                invalid(at, format!("a query cannot write; it declares `{}` so", access.table))
            }
            None => Ok(()),
        }
    }
}

fn check_names(at: &str, what: &str, names: &[&str]) -> Result<(), SchemaError> {
    for name in names {
        if !is_identifier(name) {
            let name: String = name.chars().take(limits::NAME_LEN).collect();
            return invalid(at, format!("`{name}` cannot name a {what}"));
        }
    }
    check_unique(at, what, names)
}

fn check_unique(at: &str, what: &str, names: &[&str]) -> Result<(), SchemaError> {
    match twice(names.len(), &mut |a, b| names.get(a).cmp(&names.get(b))) {
        Some((first, _)) => invalid(at, format!("the {what} `{}` is defined twice", names[first])),
        None => Ok(()),
    }
}

fn check_name_ids(at: &str, names: &[&str]) -> Result<(), SchemaError> {
    let ids: Vec<NameId> = names.iter().map(|name| NameId::of(name)).collect();
    match twice(ids.len(), &mut |a, b| ids.get(a).cmp(&ids.get(b))) {
        Some((a, b)) => {
            let why = format!(
                "the names `{}` and `{}` have the same 32-bit identifier; rename one",
                names[a], names[b]
            );
            invalid(at, why)
        }
        None => Ok(()),
    }
}
