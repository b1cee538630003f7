//! Modules out of WebAssembly text and a schema.
//!
//! A [`Guest`] is put together from tables, functions and their bodies; every
//! host call is imported under its own name, and the schema goes into its
//! custom section. Guests that break the rules of modules altogether are
//! written as text in full: see [`assemble`].
//!
//! In a body, `$len` is the length of the arguments, and these globals hold
//! identifiers: `$table.NAME`, `$function.NAME`, `$call.MODULE.NAME`.

use std::fmt::Write;

use interstice_core::abi::{
    host_calls::{HOST_CALLS, MODULE, QUERY_PREFIX, REDUCER_PREFIX, SCHEMA_SECTION, ValueType},
    ids::NameId,
    schema::{
        Access, AccessSet, CallDef, Field, FunctionDef, ModuleSchema, TableDef, TableRef, Trigger,
        TypeDef, TypeKind, Variant,
    },
};

mod binary;
pub mod script;

/// A module in the making.
#[derive(Clone, Debug)]
pub struct Guest {
    schema: ModuleSchema,
    memory: usize,
    code: String,
}

/// A reducer or query in the making: its entry in the schema.
#[derive(Clone, Debug)]
pub struct Function(FunctionDef);

impl Function {
    /// A function without parameters, results and rights.
    pub fn new(name: &str) -> Self {
        Self(FunctionDef { name: name.into(), ..FunctionDef::default() })
    }

    /// Takes one more parameter.
    pub fn param(mut self, name: &str, ty: &str) -> Self {
        self.0.params.push(field(name, ty));
        self
    }

    /// Returns a value.
    pub fn returns(mut self, ty: &str) -> Self {
        self.0.returns = Some(ty.parse().expect("a type"));
        self
    }

    /// Returns a `Result` with this error.
    pub fn error(mut self, ty: &str) -> Self {
        self.0.error = Some(ty.parse().expect("a type"));
        self
    }

    /// Declares what it does with a table. Reading is always included.
    pub fn may(mut self, allowed: AccessSet, table: &str) -> Self {
        let allowed = allowed.union(AccessSet::READ);
        self.0.access.push(Access { table: table.into(), allowed });
        self
    }

    /// Declares to write all these tables.
    pub fn writes(self, tables: &[&str]) -> Self {
        tables.iter().fold(self, |function, table| function.may(AccessSet::WRITE, table))
    }

    /// Declares to read all these tables.
    pub fn reads(self, tables: &[&str]) -> Self {
        tables.iter().fold(self, |function, table| function.may(AccessSet::READ, table))
    }

    /// Runs by a trigger.
    pub fn on(mut self, trigger: Trigger) -> Self {
        self.0.trigger = Some(trigger);
        self
    }

    /// Declares to call a function of another module.
    pub fn calls(mut self, other: &Guest, function: &str) -> Self {
        let schema = other.schema();
        let mut functions = schema.reducers.iter().chain(&schema.queries);
        let def = functions.find(|def| def.name == function).expect("a function of the other");
        let signature = schema.signature(def).expect("a valid schema");
        self.0.calls.push(CallDef {
            module: schema.module.clone(),
            function: function.into(),
            signature,
        });
        self
    }
}

/// Waits for a change of `table`, which is `TABLE` or `MODULE.TABLE`.
pub fn table_ref(table: &str) -> TableRef {
    match table.split_once('.') {
        Some((module, table)) => TableRef { module: Some(module.into()), table: table.into() },
        None => TableRef { module: None, table: table.into() },
    }
}

/// The trigger for inserts into a table.
pub fn on_insert(table: &str) -> Trigger {
    Trigger::Insert(table_ref(table))
}

/// The trigger for updates of a table.
pub fn on_update(table: &str) -> Trigger {
    Trigger::Update(table_ref(table))
}

/// The trigger for deletes from a table.
pub fn on_delete(table: &str) -> Trigger {
    Trigger::Delete(table_ref(table))
}

impl Guest {
    /// A module with nothing in it but 64 KiB of memory.
    pub fn new(module: &str) -> Self {
        let schema = ModuleSchema { module: module.into(), ..ModuleSchema::default() };
        Self { schema, memory: 64 << 10, code: String::new() }
    }

    /// Asks for this many bytes of memory.
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// Defines a struct.
    pub fn structure(mut self, name: &str, fields: &[(&str, &str)]) -> Self {
        let kind = TypeKind::Struct(fields.iter().map(|(name, ty)| field(name, ty)).collect());
        self.schema.types.push(TypeDef { name: name.into(), kind });
        self
    }

    /// Defines an enum.
    pub fn enumeration(mut self, name: &str, variants: &[(&str, &[(&str, &str)])]) -> Self {
        let variants = variants.iter().map(|(name, fields)| Variant {
            name: (*name).into(),
            fields: fields.iter().map(|(name, ty)| field(name, ty)).collect(),
        });
        let kind = TypeKind::Enum(variants.collect());
        self.schema.types.push(TypeDef { name: name.into(), kind });
        self
    }

    /// Defines a table whose row type is its name in CamelCase.
    pub fn table(self, name: &str, columns: &[(&str, &str)], key: &[u16]) -> Self {
        self.define_table(name, columns, key, None)
    }

    /// Defines a table whose first column is its key, numbered by the host.
    pub fn numbered(self, name: &str, columns: &[(&str, &str)]) -> Self {
        self.define_table(name, columns, &[0], Some(0))
    }

    fn define_table(
        mut self,
        name: &str,
        columns: &[(&str, &str)],
        key: &[u16],
        auto: Option<u16>,
    ) -> Self {
        let row = camel_case(name);
        self.schema.tables.push(TableDef {
            name: name.into(),
            version: 1,
            row: row.clone(),
            primary_key: key.into(),
            auto_increment: auto,
        });
        self.structure(&row, columns)
    }

    /// Adds a reducer with the body `wat`.
    pub fn reducer(mut self, function: Function, wat: &str) -> Self {
        self.export(REDUCER_PREFIX, &function.0.name, wat);
        self.schema.reducers.push(function.0);
        self
    }

    /// Adds a query with the body `wat`.
    pub fn query(mut self, function: Function, wat: &str) -> Self {
        self.export(QUERY_PREFIX, &function.0.name, wat);
        self.schema.queries.push(function.0);
        self
    }

    fn export(&mut self, prefix: &str, name: &str, wat: &str) {
        let _ = writeln!(self.code, r#"(func (export "{prefix}{name}") (param $len i32) {wat})"#);
    }

    /// Adds functions, globals or data.
    pub fn code(mut self, wat: &str) -> Self {
        self.code.push_str(wat);
        self.code.push('\n');
        self
    }

    /// The schema, as decoding gives it.
    pub fn schema(&self) -> ModuleSchema {
        let section = self.schema.encode().expect("a valid schema");
        ModuleSchema::decode(&section).expect("it reads what it writes")
    }

    /// The module file.
    pub fn wasm(&self) -> Vec<u8> {
        self.wasm_with(&self.schema)
    }

    /// The module file with another schema than it was put together from.
    pub fn wasm_with(&self, schema: &ModuleSchema) -> Vec<u8> {
        let (imports, globals) = (imports(), self.globals());
        let (memory, code) = (self.memory, &self.code);
        assemble(
            schema,
            &format!(r#"{imports}(memory (export "memory") {memory} (pagesize 1)){globals}{code}"#),
        )
    }

    /// The identifiers that host calls take.
    fn globals(&self) -> String {
        let mut globals = String::new();
        let mut global = |name: &str, id: NameId| {
            let _ = write!(globals, "(global ${name} i32 (i32.const {}))", id.0 as i32);
        };
        for table in &self.schema.tables {
            global(&format!("table.{}", table.name), NameId::of(&table.name));
        }
        let mut calls: Vec<&CallDef> = Vec::new();
        for function in self.schema.reducers.iter().chain(&self.schema.queries) {
            global(&format!("function.{}", function.name), NameId::of(&function.name));
            for call in &function.calls {
                if !calls
                    .iter()
                    .any(|known| (&known.module, &known.function) == (&call.module, &call.function))
                {
                    calls.push(call);
                }
            }
        }
        for call in calls {
            let id = NameId::of_external(&call.module, &call.function);
            global(&format!("call.{}.{}", call.module, call.function), id);
        }
        globals
    }
}

/// The module file with this schema and this text inside `(module ...)`.
///
/// # Panics
///
/// When the schema breaks a rule or the text is no WebAssembly.
pub fn assemble(schema: &ModuleSchema, wat: &str) -> Vec<u8> {
    let section = schema.encode().expect("a valid schema");
    let mut module = binary::parse(wat);
    binary::append_custom_section(&mut module, SCHEMA_SECTION, &section);
    module
}

/// The module file with this text inside `(module ...)`, and nothing else.
///
/// # Panics
///
/// When the text is no WebAssembly.
pub fn assemble_bare(wat: &str) -> Vec<u8> {
    binary::parse(wat)
}

/// Appends a custom section to a module file.
pub fn append_custom_section(wasm: &mut Vec<u8>, name: &str, content: &[u8]) {
    binary::append_custom_section(wasm, name, content);
}

/// An import of every host call, under its name.
pub fn imports() -> String {
    let mut imports = String::new();
    for call in HOST_CALLS {
        let name = |ty: &ValueType| match ty {
            ValueType::I32 => "i32",
            ValueType::I64 => "i64",
        };
        let params: Vec<&str> = call.params.iter().map(name).collect();
        let params = params.join(" ");
        let result = call.result.map_or(String::new(), |ty| format!("(result {})", name(&ty)));
        let call = call.name;
        let _ = writeln!(
            imports,
            r#"(import "{MODULE}" "{call}" (func ${call} (param {params}) {result}))"#
        );
    }
    imports
}

fn field(name: &str, ty: &str) -> Field {
    Field { name: name.into(), ty: ty.parse().expect("a type") }
}

fn camel_case(name: &str) -> String {
    let words = name.split('_');
    words
        .map(|word| {
            let (head, rest) = word.split_at(1);
            head.to_ascii_uppercase() + rest
        })
        .collect()
}
