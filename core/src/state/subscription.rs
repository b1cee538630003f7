//! Subscriptions: which reducers a change runs.
//!
//! The queue is derived state: a commit implies what it queues, and the record
//! of the triggered call takes it off. Replay derives the same queue.

use alloc::{boxed::Box, collections::BTreeSet, format, string::String, vec, vec::Vec};

use abi::{
    bytes::Reader,
    ids::NameId,
    layout::Layout,
    packed,
    schema::{AccessSet, Trigger},
};
use interstice_abi as abi;

use super::{Function, InstalledModule};
use crate::{
    hash,
    ids::{FunctionRef, TableId, TxOffset},
};

/// A subscription that waits to run.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    /// The commit that triggered it.
    pub(crate) trigger: TxOffset,
    /// Which of that commit's changes.
    pub(crate) change: u32,
    pub(crate) target: FunctionRef,
    /// The length of the chain up to it: 1 behind a call from outside.
    pub(crate) depth: u32,
    /// In row layout.
    pub(crate) args: Box<[u8]>,
}

impl Pending {
    pub(crate) fn hash(&self) -> u64 {
        hash::pending(self.trigger, self.change, self.target, self.depth)
    }
}

/// A reducer that waits for a kind of change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) change: AccessSet,
    pub(crate) target: FunctionRef,
}

/// All subscriptions, by table. Those of a table run in the order in which
/// their modules were installed, and within a module by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes {
    by_table: Vec<Vec<Route>>,
}

impl Routes {
    #[inline]
    pub(crate) fn of(&self, table: TableId) -> &[Route] {
        self.by_table.get(table.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// Collects the subscriptions of all `modules`, which have `tables` tables.
    pub(crate) fn collect(modules: &[InstalledModule], tables: usize) -> Self {
        let mut by_table = vec![Vec::new(); tables];
        for module in modules {
            for (index, def) in (0..).zip(module.defs()) {
                let target = FunctionRef { module: module.id, index };
                let Some((table, change)) = def.trigger.as_ref().and_then(Trigger::table) else {
                    continue;
                };
                let owner = table.module.as_deref().unwrap_or(module.name());
                let owner = modules.iter().find(|module| module.name() == owner);
                if let Some(table) = owner.and_then(|owner| owner.table(NameId::of(&table.table)))
                    && let Some(routes) = by_table.get_mut(table.0 as usize)
                {
                    routes.push(Route { change, target });
                }
            }
        }
        Self { by_table }
    }
}

/// The arguments of a reducer that waits for updates: the old and the new row.
pub(crate) fn pair(args: &Layout, old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(old.len() + new.len());
    if args.is_fixed() {
        bytes.extend_from_slice(old);
        bytes.extend_from_slice(new);
        return bytes;
    }
    // Both tails move, so the rows go through the packed form. Rows in the
    // state are checked, which leaves nothing to fail.
    let mut packed = Vec::with_capacity(old.len() + new.len());
    let mut done = true;
    for (field, row) in args.fields().iter().zip([old, new]) {
        done &= packed::pack(&field.layout, row, &mut packed).is_ok();
    }
    let limit = 2 * (old.len() + new.len());
    done &= packed::unpack(args, &mut Reader::new(&packed), &mut bytes, limit).is_ok();
    debug_assert!(done);
    bytes
}

/// What a change by one reducer runs.
#[derive(Clone, Copy)]
struct Edge {
    table: TableId,
    change: AccessSet,
    target: FunctionRef,
}

/// A reducer on the path of the search, and the edges that lead on from it.
struct Visit {
    function: FunctionRef,
    edges: Vec<Edge>,
    /// How many of them were followed.
    followed: usize,
}

impl Visit {
    fn new(modules: &[InstalledModule], routes: &Routes, function: FunctionRef) -> Self {
        let mut edges = Vec::new();
        for (table, allowed) in changes_of(modules, function) {
            let routes = routes.of(table).iter();
            edges.extend(routes.filter(|route| allowed.contains(route.change)).map(|route| Edge {
                table,
                change: route.change,
                target: route.target,
            }));
        }
        Self { function, edges, followed: 0 }
    }

    fn next_edge(&mut self) -> Option<Edge> {
        let edge = self.edges.get(self.followed).copied();
        self.followed += 1;
        edge
    }

    /// The edge that the search is behind.
    fn edge(&self) -> Option<Edge> {
        self.edges.get(self.followed.checked_sub(1)?).copied()
    }
}

/// Finds a cycle of subscriptions: reducers whose declared writes would run
/// each other for ever. Returns its path, in words.
///
/// Depth first, on a stack of its own: chains are as long as modules make them.
pub(crate) fn find_cycle(modules: &[InstalledModule], routes: &Routes) -> Option<String> {
    let mut seen = BTreeSet::new();
    for module in modules {
        for index in 0..module.functions.len() {
            let start = FunctionRef { module: module.id, index: index as u32 };
            if !seen.insert(start) {
                continue;
            }
            let mut path = Vec::from([Visit::new(modules, routes, start)]);
            while let Some(visit) = path.last_mut() {
                let Some(edge) = visit.next_edge() else {
                    path.pop();
                    continue;
                };
                if seen.insert(edge.target) {
                    path.push(Visit::new(modules, routes, edge.target));
                } else if let Some(start) = path.iter().position(|v| v.function == edge.target) {
                    return Some(describe(modules, path.get(start..).unwrap_or_default()));
                }
            }
        }
    }
    None
}

/// What `function` may write, itself and through the functions it may call.
fn writes_of(modules: &[InstalledModule], function: FunctionRef) -> Vec<(TableId, AccessSet)> {
    let mut writes = Vec::new();
    // Made empty: a set of an array is sorted first, which takes a device 3 KB of code.
    let mut seen = BTreeSet::new();
    seen.insert(function);
    let mut calls = Vec::from([function]);
    while let Some(function) = calls.pop().and_then(|call| function_of(modules, call)) {
        writes.extend(&function.access);
        calls.extend(function.calls.iter().map(|(_, callee)| *callee).filter(|c| seen.insert(*c)));
    }
    writes
}

/// The changes that a call of `function` may come to, table by table. A row that is
/// deleted and inserted again is updated.
fn changes_of(modules: &[InstalledModule], function: FunctionRef) -> Vec<(TableId, AccessSet)> {
    let mut changes: Vec<(TableId, AccessSet)> = Vec::new();
    for (table, allowed) in writes_of(modules, function) {
        match changes.iter_mut().find(|(known, _)| *known == table) {
            Some((_, all)) => *all = all.union(allowed),
            None => changes.push((table, allowed)),
        }
    }
    for (_, all) in &mut changes {
        if all.contains(AccessSet::INSERT.union(AccessSet::DELETE)) {
            *all = all.union(AccessSet::UPDATE);
        }
    }
    changes
}

fn describe(modules: &[InstalledModule], cycle: &[Visit]) -> String {
    let name = |function: FunctionRef| {
        let module = modules.get(function.module.0 as usize).map_or("?", InstalledModule::name);
        let function = function_of(modules, function).map_or("?", Function::name);
        format!("{module}.{function}")
    };
    let mut text = String::new();
    for visit in cycle {
        let Some(edge) = visit.edge() else { continue };
        let verb = match edge.change {
            AccessSet::INSERT => "inserts into",
            AccessSet::UPDATE => "updates",
            _ => "deletes from",
        };
        let table = table_name(modules, edge.table);
        text += &format!("{} {verb} {table}, which runs ", name(visit.function));
    }
    text + &cycle.first().map_or_else(String::new, |visit| name(visit.function))
}

fn function_of(modules: &[InstalledModule], function: FunctionRef) -> Option<&Function> {
    modules.get(function.module.0 as usize)?.functions.get(function.index as usize)
}

fn table_name(modules: &[InstalledModule], id: TableId) -> String {
    for module in modules {
        let index = module.tables.iter().position(|(_, table)| *table == id);
        if let Some(def) = index.and_then(|index| module.schema.tables.get(index)) {
            return format!("{}.{}", module.name(), def.name);
        }
    }
    String::new()
}

/// Reducers of `module` that wait for its own installation, in order of name.
pub(crate) fn lifecycle(
    module: &InstalledModule,
    wanted: &Trigger,
) -> impl Iterator<Item = FunctionRef> {
    let id = module.id;
    (0..)
        .zip(&module.schema.reducers)
        .filter(move |(_, def)| def.trigger.as_ref() == Some(wanted))
        .map(move |(index, _)| FunctionRef { module: id, index })
}
