//! The rules for modules, beyond those of WebAssembly.
//!
//! Calls are hermetic: before each one a guest's memory and globals are put
//! back to what they were after instantiation. What could not be put back is
//! refused here: mutable globals that are not exported, and instructions that
//! change tables or drop segments.

use alloc::{format, string::String, vec::Vec};

use abi::{
    ABI_VERSION,
    host_calls::{self, HOST_CALLS, HostCall, ValueType},
    schema::ModuleSchema,
};
use interstice_abi as abi;
use wasmparser::{
    BinaryReaderError, CompositeInnerType, ExternalKind, FuncType, Operator, Parser, Payload,
    TypeRef, ValType,
};

use super::{BUILD_IT, Finding, LoadedModule, engine_text, instance, outline::Outline};
use crate::limits::Limits;

/// Checks a valid module, and that it can be instantiated. `loaded`: what was
/// made of it, if its schema is good.
pub(super) fn check(
    engine: &wasmi::Engine,
    wasm: &[u8],
    outline: &Outline<'_>,
    limits: &Limits,
    loaded: Option<&LoadedModule>,
    findings: &mut Vec<Finding>,
) {
    match Parts::of(wasm) {
        Ok(parts) => {
            parts.check(outline, limits, findings);
            if let Some(loaded) = loaded {
                parts.check_exports(&loaded.schema, findings);
            }
        }
        Err(error) => findings.push(finding("file", format!("it is not valid: {error}"), BUILD_IT)),
    }
    if let Some(loaded) = loaded.filter(|_| findings.is_empty())
        && let Err(error) = instance::instantiate(engine, &loaded.code.module, limits)
    {
        let what = format!("the module cannot be instantiated: {}", engine_text(&error));
        findings.push(finding("data and element segments", what, BUILD_IT));
    }
}

/// Mutable globals, which are put back before every call.
const MUTABLE_GLOBALS_MAX: usize = 64;

/// Refused instructions that are told.
const REFUSED_MAX: usize = 64;

/// Locals of a function, its parameters among them. The engine clears them at every
/// call, and asks no fuel for it.
const LOCALS_MAX: u64 = 512;

/// Parameters and results of a function or block, which are copied for the fuel of one
/// instruction.
const PARAMS_MAX: usize = 128;
const RESULTS_MAX: usize = 16;

/// What a module file consists of, as far as the rules go.
#[derive(Default)]
struct Parts<'a> {
    types: Vec<Option<FuncType>>,
    imports: Vec<(&'a str, &'a str, Import)>,
    /// Type indexes of all functions, the imported ones first.
    functions: Vec<u32>,
    /// With how many elements each table begins.
    tables: Vec<u64>,
    /// Whether each global is mutable.
    globals: Vec<bool>,
    exports: Vec<(&'a str, ExternalKind, u32)>,
    has_start: bool,
    /// Whether a memory has addresses of 64 bits, which the engine may have been
    /// built for.
    has_memory64: bool,
    /// Instructions that are refused, with the function they are in.
    refused: Vec<(u32, &'static str)>,
    /// Locals of each function that is not imported, without its parameters.
    locals: Vec<u64>,
}

#[derive(Clone, Copy)]
enum Import {
    Function(u32),
    Other(&'static str),
}

impl<'a> Parts<'a> {
    /// Reads a module file.
    fn of(wasm: &'a [u8]) -> Result<Self, BinaryReaderError> {
        let mut parts = Self::default();
        let mut body = 0;
        for payload in Parser::new(0).parse_all(wasm) {
            parts.payload(payload?, &mut body)?;
        }
        Ok(parts)
    }

    fn payload(&mut self, payload: Payload<'a>, body: &mut u32) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::TypeSection(section) => {
                for group in section {
                    for ty in group?.into_types() {
                        self.types.push(match ty.composite_type.inner {
                            CompositeInnerType::Func(function) => Some(function),
                            _ => None,
                        });
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section {
                    let import = import?;
                    let kind = match import.ty {
                        TypeRef::Func(ty) => {
                            self.functions.push(ty);
                            Import::Function(ty)
                        }
                        TypeRef::Table(_) => Import::Other("table"),
                        TypeRef::Memory(_) => Import::Other("memory"),
                        TypeRef::Global(_) => Import::Other("global"),
                        TypeRef::Tag(_) => Import::Other("tag"),
                    };
                    self.imports.push((import.module, import.name, kind));
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    self.functions.push(ty?);
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    self.has_memory64 |= memory?.memory64;
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    self.tables.push(table?.ty.initial);
                }
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    self.globals.push(global?.ty.mutable);
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    self.exports.push((export.name, export.kind, export.index));
                }
            }
            Payload::StartSection { .. } => self.has_start = true,
            Payload::CodeSectionEntry(code) => {
                let mut locals = 0;
                for group in code.get_locals_reader()? {
                    locals += u64::from(group?.0);
                }
                self.locals.push(locals);
                let mut operators = code.get_operators_reader()?;
                while !operators.eof() {
                    if let Some(name) = refused_operator(&operators.read()?)
                        && self.refused.len() < REFUSED_MAX
                    {
                        self.refused.push((*body, name));
                    }
                }
                *body += 1;
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks everything but the schema.
    fn check(&self, outline: &Outline<'_>, limits: &Limits, findings: &mut Vec<Finding>) {
        self.check_imports(findings);
        self.check_memory(outline, limits, findings);
        self.check_tables(limits, findings);
        if self.has_start {
            findings.push(finding(
                "section `start`",
                "a module may not run code when it is loaded",
                "remove the start function; use a reducer with `on(init)` or `on(load)`",
            ));
        }
        let imported = self.imports.iter();
        let imported = imported.filter(|(_, _, kind)| matches!(kind, Import::Function(_))).count();
        for (body, name) in &self.refused {
            findings.push(finding(
                format!("function {}", *body as usize + imported),
                format!("the instruction `{name}` changes what a call could not put back"),
                "build it with `interstice build`, which does not make it",
            ));
        }
        self.check_sizes(imported, findings);
        let mutable = self.globals.iter().filter(|mutable| **mutable).count();
        if mutable > MUTABLE_GLOBALS_MAX {
            findings.push(finding(
                "section `global`",
                format!("{mutable} globals are mutable; the limit is {MUTABLE_GLOBALS_MAX}"),
                "keep values in memory",
            ));
            return;
        }
        for (index, _) in self.globals.iter().enumerate().filter(|(_, mutable)| **mutable) {
            let exported = self.exports.iter().any(|(_, kind, export)| {
                *kind == ExternalKind::Global && *export as usize == index
            });
            if !exported {
                findings.push(finding(
                    format!("global {index}"),
                    "it is mutable and not exported, so a call could keep state in it",
                    "build it with `interstice build`, which exports the stack pointer",
                ));
            }
        }
    }

    /// Checks what a call clears and copies without paying for it.
    fn check_sizes(&self, imported: usize, findings: &mut Vec<Finding>) {
        for (index, ty) in self.types.iter().enumerate() {
            let Some(ty) = ty else { continue };
            let (params, results) = (ty.params().len(), ty.results().len());
            if params > PARAMS_MAX || results > RESULTS_MAX {
                let what = format!(
                    "it has {params} parameters and {results} results; the limits are \
                     {PARAMS_MAX} and {RESULTS_MAX}"
                );
                findings.push(finding(format!("type {index}"), what, "pass them in memory"));
                return;
            }
        }
        for (body, locals) in self.locals.iter().enumerate() {
            let index = body + imported;
            let ty = self.functions.get(index).and_then(|ty| self.function_type(*ty));
            let locals = locals.saturating_add(ty.map_or(0, |ty| ty.params().len() as u64));
            if locals > LOCALS_MAX {
                let what = format!("it has {locals} local variables; the limit is {LOCALS_MAX}");
                let fix = "build it with `interstice build`, or divide the function";
                findings.push(finding(format!("function {index}"), what, fix));
                return;
            }
        }
    }

    fn check_imports(&self, findings: &mut Vec<Finding>) {
        for (index, (module, name, kind)) in self.imports.iter().enumerate() {
            let at = format!("import `{module}.{name}`");
            // What is made of each, at every instantiation, is not paid for.
            if index >= HOST_CALLS.len() {
                let what = format!("there are only {} host calls to import", HOST_CALLS.len());
                findings.push(finding(at, what, "import each of them once"));
                return;
            }
            if *module != host_calls::MODULE {
                findings.push(foreign_import(at, module));
                continue;
            }
            let Import::Function(ty) = kind else {
                let Import::Other(kind) = kind else { continue };
                let what = format!("a module imports functions only, this is a {kind}");
                findings.push(finding(at, what, "define it inside the module"));
                continue;
            };
            let Some(call) = HOST_CALLS.iter().find(|call| call.name == *name) else {
                let what = format!("ABI {ABI_VERSION} has no host call of this name");
                findings.push(finding(at, what, "build it with the matching interstice-sdk"));
                continue;
            };
            if !self.function_type(*ty).is_some_and(|ty| has_signature(ty, call)) {
                findings.push(finding(
                    at,
                    "its type is not the host call's",
                    "build it with the matching interstice-sdk",
                ));
            }
        }
    }

    fn check_memory(&self, outline: &Outline<'_>, limits: &Limits, findings: &mut Vec<Finding>) {
        let at = "memory";
        let exported = self.exports.iter().any(|(name, kind, _)| {
            *kind == ExternalKind::Memory && *name == host_calls::MEMORY_EXPORT
        });
        if outline.memories.len() != 1 || !exported {
            let what = "a module has one memory and exports it as `memory`";
            findings.push(finding(at, what, BUILD_IT));
        }
        if self.has_memory64 {
            findings.push(finding(at, "it has addresses of 64 bits", BUILD_IT));
        }
        let limit = limits.guest_memory_bytes as u64;
        let bytes = outline.memory_bytes();
        if bytes > limit {
            findings.push(finding(
                at,
                format!("it begins with {bytes} bytes; the limit is {limit}"),
                "build it with `interstice build`, which asks for no more than it needs",
            ));
        }
    }

    fn check_tables(&self, limits: &Limits, findings: &mut Vec<Finding>) {
        if self.tables.len() > 1 {
            let what = "a module has at most one table of functions";
            findings.push(finding("table 1", what, BUILD_IT));
        }
        let limit = limits.guest_table_elements as u64;
        for (index, elements) in self.tables.iter().enumerate() {
            if *elements > limit {
                findings.push(finding(
                    format!("table {index}"),
                    format!("it begins with {elements} elements; the limit is {limit}"),
                    "build it with `interstice build`, which asks for no more than it needs",
                ));
            }
        }
    }

    /// Checks that every reducer and query of the schema is there, and no other.
    fn check_exports(&self, schema: &ModuleSchema, findings: &mut Vec<Finding>) {
        let reducers = schema.reducers.iter().map(|def| (host_calls::REDUCER_PREFIX, &def.name));
        let queries = schema.queries.iter().map(|def| (host_calls::QUERY_PREFIX, &def.name));
        let expected: Vec<String> =
            reducers.chain(queries).map(|(prefix, name)| format!("{prefix}{name}")).collect();
        for name in &expected {
            let at = format!("export `{name}`");
            let export = self.exports.iter().find(|(export, ..)| export == name);
            let Some((_, kind, index)) = export else {
                let what = "the schema names it, but it is missing";
                findings.push(finding(at, what, "do not strip exports"));
                continue;
            };
            let ty = self.functions.get(*index as usize).and_then(|ty| self.function_type(*ty));
            let fits =
                ty.is_some_and(|ty| ty.params() == [ValType::I32] && ty.results().is_empty());
            if *kind != ExternalKind::Func || !fits {
                let what = "it is not a function of type (i32) -> ()";
                findings.push(finding(at, what, "build it with the matching interstice-sdk"));
            }
        }
        for (name, ..) in &self.exports {
            let function = name.starts_with(host_calls::REDUCER_PREFIX)
                || name.starts_with(host_calls::QUERY_PREFIX);
            if function && !expected.iter().any(|expected| expected == name) {
                findings.push(finding(
                    format!("export `{name}`"),
                    "the schema does not name it",
                    "build it with the matching interstice-sdk",
                ));
            }
        }
    }

    fn function_type(&self, index: u32) -> Option<&FuncType> {
        self.types.get(index as usize)?.as_ref()
    }
}

fn finding(at: impl Into<String>, what: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding { at: at.into(), what: what.into(), fix: fix.into() }
}

fn foreign_import(at: String, module: &str) -> Finding {
    let family = host_calls::MODULE.trim_end_matches(|c: char| c.is_ascii_digit());
    if module.starts_with(family) {
        return finding(
            at,
            format!("it is built for another version of the guest interface than {ABI_VERSION}"),
            "build it with the matching interstice-sdk",
        );
    }
    if module.starts_with("wasi") {
        return finding(
            at,
            "there is no WASI here: no files, no clock, no environment",
            "build for wasm32-unknown-unknown, and take inputs as arguments",
        );
    }
    finding(at, "a module has the host calls and nothing else", "remove what imports it")
}

fn has_signature(ty: &FuncType, call: &HostCall) -> bool {
    let same = |wasm: &ValType, ours: &ValueType| match ours {
        ValueType::I32 => *wasm == ValType::I32,
        ValueType::I64 => *wasm == ValType::I64,
    };
    let (params, results) = (ty.params(), ty.results());
    params.len() == call.params.len()
        && params.iter().zip(call.params).all(|(wasm, ours)| same(wasm, ours))
        && results.len() == usize::from(call.result.is_some())
        && results.iter().zip(&call.result).all(|(wasm, ours)| same(wasm, ours))
}

fn refused_operator(operator: &Operator<'_>) -> Option<&'static str> {
    Some(match operator {
        Operator::TableSet { .. } => "table.set",
        Operator::TableGrow { .. } => "table.grow",
        Operator::TableFill { .. } => "table.fill",
        Operator::TableCopy { .. } => "table.copy",
        Operator::TableInit { .. } => "table.init",
        Operator::ElemDrop { .. } => "elem.drop",
        Operator::DataDrop { .. } => "data.drop",
        _ => return None,
    })
}
