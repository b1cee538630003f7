//! What stands in the parentheses of `#[reducer(...)]` and `#[query(...)]`.

use proc_macro2::Span;
use quote::ToTokens;
use syn::{
    Error, Ident, Path, Token, parenthesized,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
    spanned::Spanned,
};

use crate::names::{is_rust_name, snake_case, unknown_option};

/// What a function declares.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) tables: Vec<Table>,
    pub(crate) calls: Vec<Path>,
    pub(crate) trigger: Option<Trigger>,
    /// The first option that only reducers have.
    writing: Option<(Span, String)>,
}

/// A declared table.
pub(crate) struct Table {
    pub(crate) path: Path,
    pub(crate) insert: bool,
    pub(crate) update: bool,
    pub(crate) delete: bool,
}

/// What a reducer waits for.
pub(crate) enum Trigger {
    Init,
    Load,
    Insert(Path),
    Update(Path),
    Delete(Path),
}

const OPTIONS: [&str; 7] = ["reads", "inserts", "updates", "deletes", "writes", "on", "calls"];
const TRIGGERS: [&str; 5] = ["insert", "update", "delete", "init", "load"];

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self, Error> {
        let mut options = Self::default();
        while !input.is_empty() {
            let option: Ident = input.parse()?;
            let name = option.to_string();
            if !OPTIONS.contains(&name.as_str()) {
                return Err(unknown_option(&option, "#[reducer]", &OPTIONS));
            }
            if !input.peek(syn::token::Paren) {
                let example = match name.as_str() {
                    "on" => "on(insert(Greeting))",
                    "calls" => "calls(hello::greet)",
                    _ => "reads(Greeting)",
                };
                let why = format!("`{name}` needs its list in parentheses, as in `{example}`");
                return Err(Error::new(option.span(), why));
            }
            let list;
            parenthesized!(list in input);
            match name.as_str() {
                "on" => options.add_trigger(&option, list.parse()?)?,
                "calls" => options.calls.extend(paths(&list)?),
                _ => {
                    for path in paths(&list)? {
                        options.add_table(&name, path)?;
                    }
                }
            }
            if !matches!(name.as_str(), "reads" | "calls") && options.writing.is_none() {
                options.writing = Some((option.span(), name));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}

fn paths(list: ParseStream<'_>) -> Result<Vec<Path>, Error> {
    let paths = Punctuated::<Path, Token![,]>::parse_terminated_with(list, Path::parse_mod_style)?;
    Ok(paths.into_iter().collect())
}

impl Options {
    fn add_trigger(&mut self, option: &Ident, trigger: Trigger) -> Result<(), Error> {
        if self.trigger.is_some() {
            let why = "a reducer waits for one thing: write a reducer per trigger, and a function that they call";
            return Err(Error::new(option.span(), why));
        }
        self.trigger = Some(trigger);
        Ok(())
    }

    fn add_table(&mut self, option: &str, path: Path) -> Result<(), Error> {
        let written = |path: &Path| path.to_token_stream().to_string();
        let known = self.tables.iter_mut().find(|table| written(&table.path) == written(&path));
        let table = match known {
            Some(table) => table,
            None => {
                let field = field_name(&path);
                if !is_rust_name(&field) {
                    let why = format!(
                        "this table would be `ctx.{field}`, which cannot be a name in Rust: rename its struct, or declare it by another name with `use .. as ..`"
                    );
                    return Err(Error::new(path.span(), why));
                }
                if let Some(other) = self.tables.iter().find(|t| field_name(&t.path) == field) {
                    let why = format!(
                        "two tables would both be `ctx.{field}`: rename one, with `use .. as ..` if need be"
                    );
                    let mut error = Error::new(path.span(), why);
                    error.combine(Error::new(other.path.span(), "the other one"));
                    return Err(error);
                }
                self.tables.push(Table { path, insert: false, update: false, delete: false });
                let last = self.tables.len() - 1;
                &mut self.tables[last]
            }
        };
        table.insert |= matches!(option, "inserts" | "writes");
        table.update |= matches!(option, "updates" | "writes");
        table.delete |= matches!(option, "deletes" | "writes");
        Ok(())
    }

    /// Refuses what a query cannot declare.
    pub(crate) fn check_query(&self) -> Result<(), Error> {
        let Some((span, option)) = &self.writing else { return Ok(()) };
        let why = match option.as_str() {
            "on" => {
                "a query waits for nothing: it is asked. `#[reducer(on(...))]` runs after a change"
                    .to_owned()
            }
            _ => format!(
                "a query cannot write: declare the table with `reads(...)`, or make it a reducer with `#[reducer({option}(...))]`"
            ),
        };
        Err(Error::new(*span, why))
    }
}

/// What a table is called in a context: `day_summary` for `tables::DaySummary`.
pub(crate) fn field_name(path: &Path) -> String {
    path.segments.last().map_or_else(String::new, |last| snake_case(&last.ident.to_string()))
}

impl Parse for Trigger {
    fn parse(input: ParseStream<'_>) -> Result<Self, Error> {
        let kind: Ident = input.parse()?;
        let name = kind.to_string();
        if matches!(name.as_str(), "init" | "load") && input.is_empty() {
            let trigger = if name == "init" { Self::Init } else { Self::Load };
            return Ok(trigger);
        }
        if !TRIGGERS.contains(&name.as_str()) {
            return Err(unknown_option(&kind, "on(...)", &TRIGGERS));
        }
        if !input.peek(syn::token::Paren) {
            let why = format!("`{name}` needs a table, as in `on({name}(Greeting))`");
            return Err(Error::new(kind.span(), why));
        }
        let table;
        parenthesized!(table in input);
        let path = Path::parse_mod_style(&table)?;
        if !table.is_empty() || !input.is_empty() {
            let why = "a reducer waits for one kind of change of one table";
            return Err(Error::new(path.span(), why));
        }
        Ok(match name.as_str() {
            "insert" => Self::Insert(path),
            "update" => Self::Update(path),
            "delete" => Self::Delete(path),
            _ => {
                let why = format!("`{name}` takes no table: write `on({name})`");
                return Err(Error::new(kind.span(), why));
            }
        })
    }
}
