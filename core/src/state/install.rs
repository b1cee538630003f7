//! Installing and upgrading modules.
//!
//! A [`Plan`] is everything an installation changes, worked out beforehand;
//! applying it cannot fail. Live installation and replay make the same plan.

use alloc::{borrow::ToOwned, format, string::String, vec::Vec};
use core::fmt;

use abi::{
    ids::NameId,
    layout::Layouts,
    schema::{ModuleSchema, SchemaError, TableDef, Trigger as SchemaTrigger},
};
use interstice_abi as abi;

use super::{
    CommittedState, Function, FunctionKind, InstalledModule, Routes, Table,
    subscription::{Pending, find_cycle, lifecycle},
};
use crate::{
    hash,
    ids::{FunctionRef, ModuleId, TableId, Timestamp},
};

/// Why a module is not installed. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallRefusal {
    /// The module.
    pub module: String,
    /// The reason.
    pub why: Refused,
}

/// The reason why a module is not installed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// Its schema breaks a rule.
    Schema(SchemaError),
    /// There are too many modules.
    TooManyModules {
        /// [`Limits::modules`](crate::Limits::modules).
        limit: usize,
    },
    /// It is installed, and recorded with another schema than its file has.
    OtherSchema,
    /// Subscriptions are still waiting to run.
    Busy,
    /// It calls, or waits for, something of a module that is not installed.
    MissingModule {
        /// The function that needs it.
        function: String,
        /// The module that is missing.
        needs: String,
    },
    /// It calls a function that the other module does not have.
    MissingFunction {
        /// The caller, with its module.
        function: String,
        /// The function that is missing, with its module.
        needs: String,
    },
    /// It calls a function whose parameters or results are not what it was built for.
    Signature {
        /// The caller, with its module.
        function: String,
        /// The function that it calls, with its module.
        callee: String,
    },
    /// A query declares to call a reducer.
    QueryCallsReducer {
        /// The query, with its module.
        function: String,
        /// The reducer, with its module.
        callee: String,
    },
    /// It waits for a table that the other module does not have.
    MissingTable {
        /// The reducer that waits.
        function: String,
        /// The table, with its module.
        needs: String,
    },
    /// It waits for a table whose rows are not what it was built for.
    Row {
        /// The reducer that waits.
        function: String,
        /// The table, with its module.
        table: String,
    },
    /// Its subscriptions would run each other for ever.
    Cycle {
        /// The path, in words.
        path: String,
    },
    /// The upgrade changes a table in a way that needs a migration.
    Table {
        /// The table.
        table: String,
        /// What it changes.
        why: String,
    },
    /// The upgrade changes or removes a reducer that is scheduled to run.
    Scheduled {
        /// The reducer.
        function: String,
    },
}

impl InstallRefusal {
    pub(crate) fn schema(error: SchemaError) -> Self {
        Self { module: String::new(), why: Refused::Schema(error) }
    }
}

impl fmt::Display for InstallRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.module.is_empty() {
            write!(f, "module `{}`: ", self.module)?;
        }
        self.why.fmt(f)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schema(error) => error.fmt(f),
            Self::TooManyModules { limit } => write!(f, "{limit} modules are installed already"),
            Self::OtherSchema => {
                f.write_str("it is recorded with another schema than its file has")
            }
            Self::Busy => f.write_str("subscriptions are waiting to run; run them first"),
            Self::MissingModule { function, needs } => write!(
                f,
                "`{function}` needs module `{needs}`, which is not installed; install `{needs}` first"
            ),
            Self::MissingFunction { function, needs } => {
                write!(f, "`{function}` calls `{needs}`, which does not exist")
            }
            Self::Signature { function, callee } => write!(
                f,
                "`{function}` was built for another version of `{callee}`: its parameters or results have changed; build it again with the current schema file"
            ),
            Self::QueryCallsReducer { function, callee } => {
                write!(
                    f,
                    "the query `{function}` calls the reducer `{callee}`; queries call queries"
                )
            }
            Self::MissingTable { function, needs } => {
                write!(f, "`{function}` waits for table `{needs}`, which does not exist")
            }
            Self::Row { function, table } => write!(
                f,
                "`{function}` was built for other rows than those of table `{table}`; build it again with the current schema file"
            ),
            Self::Cycle { path } => write!(f, "its subscriptions would never end: {path}"),
            Self::Table { table, why } => write!(
                f,
                "table `{table}`: {why}; this needs a migration, which this version does not support: keep the table as it is and add a new one"
            ),
            Self::Scheduled { function } => write!(
                f,
                "calls of `{function}` are scheduled, and the upgrade changes its parameters or removes it"
            ),
        }
    }
}

impl core::error::Error for InstallRefusal {}

/// Everything that an installation changes.
pub(crate) struct Plan {
    pub(crate) id: ModuleId,
    /// Whether the module is new, rather than upgraded.
    first: bool,
    modules: Vec<InstalledModule>,
    tables_new: Vec<Table>,
    routes: Routes,
    /// The hash of the state behind it.
    pub(crate) state_hash: u64,
}

impl CommittedState {
    /// Works out what installing a module changes.
    pub(crate) fn plan_install(
        &self,
        schema: ModuleSchema,
        content_hash: &[u8; 32],
        wasm_len: u64,
    ) -> Result<Plan, InstallRefusal> {
        let name = schema.module.clone();
        let refuse = |why| InstallRefusal { module: name.clone(), why };
        let previous = self.module(&schema.module);
        if !self.queue.is_empty() {
            return Err(refuse(Refused::Busy));
        }
        let id = previous.map_or(ModuleId(self.modules.len() as u32), |previous| previous.id);
        let (tables, tables_new) = self.plan_tables(id, &schema).map_err(refuse)?;
        let module = InstalledModule {
            id,
            functions: resolve_functions(&schema, &tables)
                .map_err(|error| refuse(Refused::Schema(error)))?,
            content_hash: *content_hash,
            wasm_len,
            tables,
            schema,
        };
        if let Some(previous) = previous {
            self.check_schedules(previous, &module).map_err(refuse)?;
        }
        let mut modules = self.modules.clone();
        let first = match modules.get_mut(id.0 as usize) {
            Some(slot) => {
                *slot = module;
                false
            }
            None => {
                modules.push(module);
                true
            }
        };
        resolve_calls(&mut modules).map_err(refuse)?;
        self.check_triggers(&modules, &tables_new).map_err(refuse)?;
        let routes = Routes::collect(&modules, self.tables.len() + tables_new.len());
        if let Some(path) = find_cycle(&modules, &routes) {
            return Err(refuse(Refused::Cycle { path }));
        }
        let mut plan = Plan { id, first, modules, tables_new, routes, state_hash: 0 };
        plan.state_hash = self.hash_after(&plan);
        Ok(plan)
    }

    /// Makes a plan the state.
    pub(crate) fn apply_install(&mut self, plan: Plan, time: Timestamp) {
        self.hash = plan.state_hash;
        self.queue.extend(self.lifecycle_of(&plan));
        let old = self.modules.get(plan.id.0 as usize).cloned();
        self.tables.extend(plan.tables_new);
        self.routes = plan.routes;
        self.modules = plan.modules;
        if let (Some(old), Some(new)) = (old, self.modules.get(plan.id.0 as usize)) {
            for ((_, id), def) in new.tables.iter().zip(&new.schema.tables) {
                if let Some(table) = self.tables.get_mut(id.0 as usize) {
                    table.redefine(def);
                }
            }
            // The reducers are numbered anew.
            for scheduled in self.schedule.values_mut() {
                let name = old.functions.get(scheduled.target.index as usize);
                if scheduled.target.module == plan.id
                    && let Some((index, _)) = name.and_then(|old| new.function(old.name_id))
                {
                    scheduled.target.index = index;
                }
            }
        }
        self.time = time;
        self.next_offset = self.next_offset.next();
    }

    /// The reducers that the installation runs: `init` when it is the first,
    /// then `load`.
    fn lifecycle_of(&self, plan: &Plan) -> Vec<Pending> {
        let Some(module) = plan.modules.get(plan.id.0 as usize) else { return Vec::new() };
        let init = plan.first.then(|| lifecycle(module, &SchemaTrigger::Init));
        let targets = init.into_iter().flatten().chain(lifecycle(module, &SchemaTrigger::Load));
        let pending = |(change, target): (u32, FunctionRef)| Pending {
            trigger: self.next_offset,
            change,
            target,
            depth: 1,
            args: Default::default(),
        };
        (0..).zip(targets).map(pending).collect()
    }

    fn hash_after(&self, plan: &Plan) -> u64 {
        let hash_of = |modules: &[InstalledModule]| {
            let module = modules.get(plan.id.0 as usize);
            module.map_or(0, |module| hash::module(module.name(), &module.content_hash))
        };
        let lifecycle = self.lifecycle_of(plan);
        let hash =
            self.hash.wrapping_sub(hash_of(&self.modules)).wrapping_add(hash_of(&plan.modules));
        lifecycle.iter().fold(hash, |hash, pending| hash.wrapping_add(pending.hash()))
    }

    /// The tables of a module: those it has, unchanged, and those that are new.
    #[allow(clippy::type_complexity, reason = "the two lists are named where they are used")]
    fn plan_tables(
        &self,
        module: ModuleId,
        schema: &ModuleSchema,
    ) -> Result<(Vec<(NameId, TableId)>, Vec<Table>), Refused> {
        for old in self.tables.iter().filter(|table| table.module() == module) {
            if schema.table(old.name()).is_none() {
                let why = "the upgrade removes it".to_owned();
                return Err(Refused::Table { table: old.name().to_owned(), why });
            }
        }
        let mut tables = Vec::new();
        let mut tables_new = Vec::new();
        for def in &schema.tables {
            let id = TableId((self.tables.len() + tables_new.len()) as u32);
            let table = Table::new(id, module, schema, def).map_err(Refused::Schema)?;
            let id = match self.table(&schema.module, &def.name) {
                Some(old) => {
                    let why = table_difference(old, &table);
                    if let Some(why) = why {
                        return Err(Refused::Table { table: def.name.clone(), why });
                    }
                    old.id()
                }
                None => {
                    tables_new.push(table);
                    id
                }
            };
            tables.push((NameId::of(&def.name), id));
        }
        Ok((tables, tables_new))
    }

    /// Scheduled calls keep the reducers and the arguments they were made for.
    fn check_schedules(&self, old: &InstalledModule, new: &InstalledModule) -> Result<(), Refused> {
        for scheduled in self.schedule.values().filter(|call| call.target.module == old.id) {
            let Some(function) = old.functions.get(scheduled.target.index as usize) else {
                continue;
            };
            let same = new.function(function.name_id).is_some_and(|(_, new)| {
                new.args == function.args
                    && new.kind == FunctionKind::Reducer
                    && !new.is_triggered()
            });
            if !same {
                return Err(Refused::Scheduled { function: function.name().to_owned() });
            }
        }
        Ok(())
    }

    /// Reducers that wait for another module's table must know its rows.
    pub(super) fn check_triggers(
        &self,
        modules: &[InstalledModule],
        tables_new: &[Table],
    ) -> Result<(), Refused> {
        for module in modules {
            for (function, def) in module.functions.iter().zip(module.defs()) {
                let table = def.trigger.as_ref().and_then(SchemaTrigger::table);
                let Some((table, _)) = table else { continue };
                let Some(owner) = table.module.as_deref() else { continue };
                let name = qualified(module, function);
                let Some(owner) = modules.iter().find(|module| module.name() == owner) else {
                    let needs = owner.to_owned();
                    return Err(Refused::MissingModule { function: name, needs });
                };
                let table_name = format!("{}.{}", owner.name(), table.table);
                let table = owner.table(NameId::of(&table.table)).and_then(|id| {
                    self.table_by_id(id).or_else(|| tables_new.iter().find(|t| t.id() == id))
                });
                let Some(table) = table else {
                    return Err(Refused::MissingTable { function: name, needs: table_name });
                };
                let rows = function.args.fields();
                if rows.iter().any(|row| !row.layout.same_shape(table.layout())) {
                    return Err(Refused::Row { function: name, table: table_name });
                }
            }
        }
        Ok(())
    }
}

fn qualified(module: &InstalledModule, function: &Function) -> String {
    format!("{}.{}", module.name(), function.name())
}

pub(super) fn resolve_functions(
    schema: &ModuleSchema,
    tables: &[(NameId, TableId)],
) -> Result<Vec<Function>, SchemaError> {
    let reducers = schema.reducers.iter().map(|def| (FunctionKind::Reducer, def));
    let queries = schema.queries.iter().map(|def| (FunctionKind::Query, def));
    let mut layouts = Layouts::of(schema);
    let mut functions = Vec::new();
    for (kind, def) in reducers.chain(queries) {
        let mut function = Function::new(&mut layouts, kind, def)?;
        for access in &def.access {
            let name = NameId::of(&access.table);
            if let Some((_, table)) = tables.iter().find(|(id, _)| *id == name) {
                function.access.push((*table, access.allowed));
            }
        }
        function.access.shrink_to_fit();
        functions.push(function);
    }
    functions.shrink_to_fit();
    Ok(functions)
}

/// Finds the functions that the modules declare to call in each other.
pub(super) fn resolve_calls(modules: &mut [InstalledModule]) -> Result<(), Refused> {
    let mut resolved = Vec::new();
    for module in modules.iter() {
        for (function, def) in module.functions.iter().zip(module.defs()) {
            let caller = qualified(module, function);
            let mut calls = Vec::new();
            for call in &def.calls {
                let callee = format!("{}.{}", call.module, call.function);
                let Some(other) = modules.iter().find(|other| other.name() == call.module) else {
                    let needs = call.module.clone();
                    return Err(Refused::MissingModule { function: caller, needs });
                };
                let target = other.function_named(&call.function);
                let found = target.and_then(|target| other.resolved(target.index));
                let (Some(target), Some((found, def))) = (target, found) else {
                    return Err(Refused::MissingFunction { function: caller, needs: callee });
                };
                let signature = other.schema.signature(def).map_err(Refused::Schema)?;
                if signature != call.signature || found.is_triggered() {
                    return Err(Refused::Signature { function: caller, callee });
                }
                if function.kind == FunctionKind::Query && found.kind == FunctionKind::Reducer {
                    return Err(Refused::QueryCallsReducer { function: caller, callee });
                }
                calls.push((NameId::of_external(&call.module, &call.function), target));
            }
            resolved.push(calls);
        }
    }
    let functions = modules.iter_mut().flat_map(|module| &mut module.functions);
    for (function, calls) in functions.zip(resolved) {
        function.calls = calls;
    }
    Ok(())
}

/// What keeps the rows of an old table from being rows of the new one.
fn table_difference(old: &Table, new: &Table) -> Option<String> {
    let key = |def: &TableDef| (def.primary_key.clone(), def.auto_increment);
    if key(old.def()) != key(new.def()) {
        return Some("the upgrade changes its primary key or its numbering".to_owned());
    }
    if old.layout() == new.layout() {
        return None;
    }
    let (old, new) = (old.layout().fields(), new.layout().fields());
    for (old, new) in old.iter().zip(new) {
        if old.name != new.name {
            return Some(format!(
                "the upgrade has column `{}` in place of `{}`",
                new.name, old.name
            ));
        }
        if old.layout != new.layout {
            return Some(format!("the upgrade changes the type of column `{}`", old.name));
        }
    }
    Some(format!("the upgrade has {} columns instead of {}", new.len(), old.len()))
}
