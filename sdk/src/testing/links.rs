//! What the modules of a test expect of one another, and the order in which a
//! host would install them.
//!
//! The refusals are those of the real host, in its words. What it refuses besides is
//! not looked for: subscriptions that run each other for ever, above all, which a chain
//! of too many ends here and an installation refuses there.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::{String, ToString},
    vec::Vec,
};

use interstice_abi::{
    layout::Layout,
    schema::{FunctionDef, ModuleSchema, SchemaError, TableRef},
};

use super::registry::Module;

/// Compares what the modules call, and wait for, with what there is. Modules
/// that are not linked into the test are not missed.
pub(super) fn check(modules: &BTreeMap<String, Module>) -> Result<(), String> {
    for (name, module) in modules {
        for def in functions(&module.schema) {
            let function = format!("{name}.{}", def.name);
            let checked = check_calls(modules, &function, def)
                .and_then(|()| check_trigger(modules, &function, &module.schema, def));
            checked.map_err(|why| format!("module `{name}`: {why}"))?;
        }
    }
    Ok(())
}

fn check_calls(
    modules: &BTreeMap<String, Module>,
    function: &str,
    def: &FunctionDef,
) -> Result<(), String> {
    for call in &def.calls {
        let Some(other) = modules.get(&call.module) else { continue };
        let callee = format!("{}.{}", call.module, call.function);
        let found = other.schema.reducer(&call.function);
        let Some(found) = found.or_else(|| other.schema.query(&call.function)) else {
            return Err(format!("`{function}` calls `{callee}`, which does not exist"));
        };
        let signature = other.schema.signature(found).map_err(text)?;
        if signature != call.signature || found.trigger.is_some() {
            return Err(format!(
                "`{function}` was built for another version of `{callee}`: its parameters or results have changed; build it again with the current schema file"
            ));
        }
    }
    Ok(())
}

fn check_trigger(
    modules: &BTreeMap<String, Module>,
    function: &str,
    schema: &ModuleSchema,
    def: &FunctionDef,
) -> Result<(), String> {
    let Some((owner, table)) = waits_for(def) else { return Ok(()) };
    let Some(other) = modules.get(owner) else { return Ok(()) };
    let name = format!("{owner}.{}", table.table);
    let Some(table) = other.schema.table(&table.table) else {
        return Err(format!("`{function}` waits for table `{name}`, which does not exist"));
    };
    let row = Layout::of_fields(&other.schema, other.schema.columns(table)).map_err(text)?;
    let params = Layout::of_fields(schema, &def.params).map_err(text)?;
    if params.fields().iter().any(|param| !param.layout.same_shape(&row)) {
        return Err(format!(
            "`{function}` was built for other rows than those of table `{name}`; build it again with the current schema file"
        ));
    }
    Ok(())
}

/// The linked modules, each behind those that it calls or waits for; otherwise
/// by name. Of modules that need each other, the first by name comes first: a host
/// gets such ones by an upgrade.
pub(super) fn installation_order(modules: &BTreeMap<String, Module>) -> Vec<String> {
    let mut waiting: Vec<(&String, BTreeSet<&str>)> =
        modules.iter().map(|(name, module)| (name, needs(&module.schema))).collect();
    let mut order = Vec::new();
    while !waiting.is_empty() {
        let is_ready = |needs: &BTreeSet<&str>| {
            !waiting.iter().any(|(other, _)| needs.contains(other.as_str()))
        };
        let next = waiting.iter().position(|(_, needs)| is_ready(needs));
        let next = next.or_else(|| (0..waiting.len()).find(|at| needs_itself(&waiting, *at)));
        let next = next.unwrap_or(0);
        order.push(waiting.remove(next).0.clone());
    }
    order
}

/// Whether a module needs one that needs it, in whatever many steps.
fn needs_itself(waiting: &[(&String, BTreeSet<&str>)], at: usize) -> bool {
    let mut seen = BTreeSet::new();
    let mut path = Vec::from([at]);
    while let Some(from) = path.pop() {
        for (other, (name, _)) in waiting.iter().enumerate() {
            if waiting[from].1.contains(name.as_str()) && seen.insert(other) {
                path.push(other);
            }
        }
    }
    seen.contains(&at)
}

/// The other modules that a module calls or waits for.
fn needs(schema: &ModuleSchema) -> BTreeSet<&str> {
    let mut needs = BTreeSet::new();
    for def in functions(schema) {
        needs.extend(def.calls.iter().map(|call| call.module.as_str()));
        needs.extend(waits_for(def).map(|(module, _)| module));
    }
    needs
}

/// The other module's table that a reducer waits for.
fn waits_for(def: &FunctionDef) -> Option<(&str, &TableRef)> {
    let (table, _) = def.trigger.as_ref()?.table()?;
    Some((table.module.as_deref()?, table))
}

fn functions(schema: &ModuleSchema) -> impl Iterator<Item = &FunctionDef> {
    schema.reducers.iter().chain(&schema.queries)
}

fn text(error: SchemaError) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests;
