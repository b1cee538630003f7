use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use interstice_core::{
    Limits,
    abi::schema::{
        AccessSet, Field, FunctionDef, ModuleSchema, TableDef, TableRef, Trigger, Type, TypeDef,
        TypeKind,
    },
};

use super::{
    exit::Exit,
    failure::{Failure, Outcome},
    open::{DataArgs, find_module},
    output::{self, Format},
    style,
};

/// Show the tables, reducers and queries of a module.
///
/// The JSON form is what `interstice_sdk::import!` reads.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A `.wasm` file, `-` for standard input, or the name of an installed module.
    #[arg(value_name = "MODULE")]
    module: String,
    /// Format of the answer.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    data: DataArgs,
}

impl Args {
    pub(super) fn run(self) -> Outcome {
        let schema = if is_file(&self.module) {
            let wasm = read_wasm(Path::new(&self.module))?;
            interstice_core::inspect(&wasm).map_err(|error| {
                Failure::bad(format!("{}: {error}", self.module))
                    .with_help(format!("see everything: interstice validate {}", self.module))
            })?
        } else {
            let opened = self.data.read_state()?;
            find_module(opened.data_dir(), opened.state(), &self.module)?.schema().clone()
        };
        output::answer(self.format, &schema, |out| Ok(write!(out, "{}", text(&schema))?))?;
        Ok(Exit::Good)
    }
}

/// Whether a word means a file rather than an installed module, whose names
/// have neither dots nor slashes.
fn is_file(word: &str) -> bool {
    word == "-" || word.contains(['.', '/', std::path::MAIN_SEPARATOR]) || Path::new(word).is_file()
}

/// Reads a module file; `-` is standard input.
pub(super) fn read_wasm(path: &Path) -> Result<Vec<u8>, Failure> {
    let (name, from): (_, Box<dyn Read>) = match path == Path::new("-") {
        true => (Path::new("standard input"), Box::new(io::stdin().lock())),
        false => (path, Box::new(File::open(path).map_err(Failure::io("read", path))?)),
    };
    // What has no end is not read to it.
    let max = 4 * Limits::default().module_bytes as u64;
    let mut wasm = Vec::new();
    from.take(max + 1).read_to_end(&mut wasm).map_err(Failure::io("read", name))?;
    match wasm.len() as u64 > max {
        true => Err(Failure::bad(format!(
            "{} is no module: it has more than {}",
            name.display(),
            style::bytes(max)
        ))
        .with_help("give the .wasm file that `interstice build` names")),
        false => Ok(wasm),
    }
}

/// The schema as a person reads it: close to the module's source.
pub(super) fn text(schema: &ModuleSchema) -> String {
    let mut text = format!("module {}\n", schema.module);
    for table in &schema.tables {
        text += &table_text(schema, table);
    }
    for (what, functions) in [("reducer", &schema.reducers), ("query", &schema.queries)] {
        for function in functions {
            text += &function_text(what, function);
        }
    }
    let is_row = |def: &TypeDef| schema.tables.iter().any(|table| table.row == def.name);
    for def in schema.types.iter().filter(|def| !is_row(def)) {
        text += &type_text(def);
    }
    text
}

fn table_text(schema: &ModuleSchema, table: &TableDef) -> String {
    let mut text = format!("\ntable {}, version {} ({})\n", table.name, table.version, table.row);
    let columns = schema.columns(table);
    let width = columns.iter().map(|column| column.name.len()).max().unwrap_or(0);
    for (index, column) in columns.iter().enumerate() {
        let index = Some(index as u16);
        let key = table.primary_key.iter().position(|key| Some(*key) == index);
        let mut marks = Vec::new();
        if let Some(place) = key {
            marks.push(match table.primary_key.len() {
                1 => "key".to_owned(),
                count => format!("key {} of {count}", place + 1),
            });
        }
        if table.auto_increment == index {
            marks.push("numbered by the host".to_owned());
        }
        let marks =
            if marks.is_empty() { String::new() } else { format!("  ({})", marks.join(", ")) };
        text += &format!("  {:width$}  {}{marks}\n", column.name, column.ty);
    }
    text
}

fn function_text(what: &str, function: &FunctionDef) -> String {
    let mut text = format!("\n{what} {}({})", function.name, fields_text(&function.params));
    let returns = function.returns.as_ref().map_or("()".to_owned(), Type::to_string);
    match (&function.returns, &function.error) {
        (_, Some(error)) => text += &format!(" -> Result<{returns}, {error}>"),
        (Some(_), None) => text += &format!(" -> {returns}"),
        (None, None) => {}
    }
    text.push('\n');
    if let Some(trigger) = &function.trigger {
        text += &format!("  runs {}\n", trigger_text(trigger));
    }
    for access in &function.access {
        text += &format!("  {} {}\n", access_text(access.allowed), access.table);
    }
    for call in &function.calls {
        text += &format!("  calls {}.{}\n", call.module, call.function);
    }
    text
}

fn fields_text(fields: &[Field]) -> String {
    let fields = fields.iter().map(|field| format!("{}: {}", field.name, field.ty));
    fields.collect::<Vec<_>>().join(", ")
}

fn trigger_text(trigger: &Trigger) -> String {
    let name = |table: &TableRef| match &table.module {
        Some(module) => format!("{module}.{}", table.table),
        None => table.table.clone(),
    };
    match trigger {
        Trigger::Init => "after the first installation".to_owned(),
        Trigger::Load => "after every installation".to_owned(),
        Trigger::Insert(table) => format!("after an insert into {}", name(table)),
        Trigger::Update(table) => format!("after an update of {}", name(table)),
        Trigger::Delete(table) => format!("after a delete from {}", name(table)),
    }
}

fn access_text(allowed: AccessSet) -> String {
    if allowed == AccessSet::WRITE {
        return "writes".to_owned();
    }
    let names = [
        (AccessSet::INSERT, "inserts into"),
        (AccessSet::UPDATE, "updates"),
        (AccessSet::DELETE, "deletes from"),
    ];
    let names = names.iter().filter(|(set, _)| allowed.contains(*set)).map(|(_, name)| *name);
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "reads".to_owned() } else { names.join(" and ") }
}

fn type_text(def: &TypeDef) -> String {
    match &def.kind {
        TypeKind::Struct(fields) => format!("\nstruct {}({})\n", def.name, fields_text(fields)),
        TypeKind::Enum(variants) => {
            let variants = variants.iter().map(|variant| match variant.fields.as_slice() {
                [] => variant.name.clone(),
                fields => format!("{}({})", variant.name, fields_text(fields)),
            });
            format!("\nenum {} = {}\n", def.name, variants.collect::<Vec<_>>().join(" | "))
        }
    }
}
