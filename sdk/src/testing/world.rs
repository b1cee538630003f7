//! The state of a test host, and its answers to host calls.

use alloc::{
    collections::{BTreeMap, VecDeque},
    format,
    string::String,
    vec::Vec,
};
use core::cell::Cell;
use std::borrow::ToOwned;

use interstice_abi::{
    ids::NameId,
    key::Key,
    layout::Layout,
    schema::{AccessSet, Field, FunctionDef, ModuleSchema},
    value::Value,
};

use super::{
    LogLine, links,
    registry::{self, Code, Module},
    table::TestTable,
};
use crate::{log::Level, time::Timestamp};

/// A table of a module, by the numbers that guests use.
type TableKey = (String, NameId);

/// Everything that a test host holds.
pub(crate) struct World {
    modules: BTreeMap<String, Module>,
    /// The modules' names in the order in which they are installed.
    order: Vec<String>,
    /// How many of them are installed: all, but while they are being installed.
    pub(crate) installed: usize,
    tables: BTreeMap<TableKey, TestTable>,
    /// What the running transaction did, in order; undone from the end.
    changes: Vec<Change>,
    /// Modules of the running functions, the innermost last.
    running: Vec<String>,
    scans: Vec<Option<VecDeque<Vec<u8>>>>,
    /// What the last called function passed back.
    result: Vec<u8>,
    pub(crate) queue: VecDeque<Pending>,
    pub(crate) scheduled: Vec<Pending>,
    pub(crate) lines: Vec<LogLine>,
    pub(crate) failures: Vec<String>,
    pub(crate) time: Timestamp,
    /// The time of the last commit: time does not go back behind it.
    committed: Timestamp,
    random: u64,
    /// A module was called that is not linked into the test.
    pub(crate) is_unlinked: Cell<bool>,
}

enum Change {
    Row { table: TableKey, key: Key, old: Option<Vec<u8>>, new: Option<Vec<u8>> },
    Sequence { table: TableKey, before: u64 },
    Scheduled,
}

/// What a whole transaction did to a row.
struct NetChange {
    module: String,
    table: NameId,
    old: Option<Vec<u8>>,
    new: Option<Vec<u8>>,
}

/// A reducer that will run.
pub(crate) struct Pending {
    pub(crate) at: Timestamp,
    pub(crate) module: String,
    pub(crate) reducer: String,
    pub(crate) args: Vec<u8>,
    /// How many subscriptions led here.
    pub(crate) depth: u32,
}

impl World {
    pub(crate) fn new() -> Self {
        let modules = registry::modules();
        if let Err(refusal) = links::check(&modules) {
            panic!("{refusal}");
        }
        let order = links::installation_order(&modules);
        let mut tables = BTreeMap::new();
        for (name, module) in &modules {
            for def in &module.schema.tables {
                match TestTable::of(&module.schema, def) {
                    Ok(table) => tables.insert((name.clone(), NameId::of(&def.name)), table),
                    Err(error) => panic!("the module `{name}`: {error}"),
                };
            }
        }
        Self {
            modules,
            installed: order.len(),
            order,
            tables,
            changes: Vec::new(),
            running: Vec::new(),
            scans: Vec::new(),
            result: Vec::new(),
            queue: VecDeque::new(),
            scheduled: Vec::new(),
            lines: Vec::new(),
            failures: Vec::new(),
            time: Timestamp::from_date(2020, 1, 1),
            committed: Timestamp::from_micros(0),
            random: 0,
            is_unlinked: Cell::new(false),
        }
    }

    /// The installed modules, in the order of their installation.
    pub(crate) fn modules(&self) -> impl Iterator<Item = (&String, &Module)> {
        let installed = self.order.iter().take(self.installed);
        installed.filter_map(|name| self.modules.get_key_value(name))
    }

    pub(crate) fn linked(&self) -> usize {
        self.order.len()
    }

    /// Sets the time. Never to one before the last commit, as in the real host.
    pub(crate) fn set_time(&mut self, time: Timestamp) {
        self.time = time.max(self.committed);
    }

    /// What a commit leaves besides its changes: its time.
    pub(crate) fn record_time(&mut self) {
        self.committed = self.time;
    }

    /// The table `table` of the running module.
    fn key(&self, table: NameId) -> TableKey {
        match self.running.last() {
            Some(module) => (module.clone(), table),
            None => panic!("tables are used inside `TestHost::call` and `TestHost::query`"),
        }
    }

    pub(crate) fn table(&self, module: &str, name: &str) -> &TestTable {
        match self.tables.get(&(module.to_owned(), NameId::of(name))) {
            Some(table) => table,
            None => panic!("the module `{module}` has no table `{name}`"),
        }
    }

    fn running_table(&mut self, table: NameId) -> (TableKey, &mut TestTable) {
        let key = self.key(table);
        match self.tables.get_mut(&key) {
            Some(table) => (key, table),
            None => panic!("the module `{}` does not have this table", key.0),
        }
    }

    pub(crate) fn insert(&mut self, table: NameId, row: &mut [u8]) -> bool {
        let (place, table) = self.running_table(table);
        let mut checked = table.check(row);
        let before = table.sequence();
        table.number(&mut checked);
        let after = table.sequence();
        let key = table.key_of_row(&checked);
        if table.get(&key).is_some() {
            table.set_sequence(before);
            return false;
        }
        row.copy_from_slice(&checked);
        table.set(key.clone(), Some(checked.clone()));
        if after != before {
            self.changes.push(Change::Sequence { table: place.clone(), before });
        }
        self.changes.push(Change::Row { table: place, key, old: None, new: Some(checked) });
        true
    }

    pub(crate) fn update(&mut self, table: NameId, row: &[u8]) -> bool {
        let (place, table) = self.running_table(table);
        let checked = table.check(row);
        let key = table.key_of_row(&checked);
        if table.get(&key).is_none() {
            return false;
        }
        let old = table.set(key.clone(), Some(checked.clone()));
        self.changes.push(Change::Row { table: place, key, old, new: Some(checked) });
        true
    }

    pub(crate) fn delete(&mut self, table: NameId, key_row: &[u8]) -> bool {
        let (place, table) = self.running_table(table);
        let key = table.key_of_key_row(key_row);
        let Some(old) = table.set(key.clone(), None) else { return false };
        self.changes.push(Change::Row { table: place, key, old: Some(old), new: None });
        true
    }

    pub(crate) fn get(&mut self, table: NameId, key_row: &[u8]) -> Option<Vec<u8>> {
        let (_, table) = self.running_table(table);
        table.get(&table.key_of_key_row(key_row)).cloned()
    }

    pub(crate) fn matching(&mut self, table: NameId, scan: &[u8]) -> Vec<Vec<u8>> {
        self.running_table(table).1.matching(scan)
    }

    pub(crate) fn delete_where(&mut self, table: NameId, scan: &[u8]) -> u64 {
        let rows = self.matching(table, scan);
        for row in &rows {
            let (place, table) = self.running_table(table);
            let key = table.key_of_row(row);
            let old = table.set(key.clone(), None);
            self.changes.push(Change::Row { table: place, key, old, new: None });
        }
        rows.len() as u64
    }

    pub(crate) fn scan_open(&mut self, table: NameId, scan: &[u8]) -> i32 {
        let rows = self.matching(table, scan);
        self.scans.push(Some(rows.into()));
        (self.scans.len() - 1) as i32
    }

    pub(crate) fn scan_next(&mut self, scan: i32, buffer: &mut Vec<u8>) -> bool {
        let Some(Some(rows)) = self.scans.get_mut(scan as usize) else {
            panic!("a scan is used after the call that it belongs to");
        };
        while let Some(row) = rows.front() {
            if buffer.len() + 4 + row.len() > buffer.capacity() {
                return !buffer.is_empty();
            }
            buffer.extend_from_slice(&(row.len() as u32).to_le_bytes());
            buffer.extend_from_slice(row);
            rows.pop_front();
        }
        true
    }

    pub(crate) fn scan_close(&mut self, scan: i32) {
        if let Some(scan) = self.scans.get_mut(scan as usize) {
            *scan = None;
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.time
    }

    pub(crate) fn set_seed(&mut self, seed: u64) {
        self.random = seed;
    }

    /// SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number
    /// Generators", 2014).
    pub(crate) fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn log(&mut self, level: Level, text: &str) {
        self.lines.push(LogLine { level, text: text.to_owned() });
    }

    pub(crate) fn schedule(&mut self, reducer: NameId, args: &[u8], at: i64) {
        let Some(module) = self.running.last().cloned() else {
            panic!("reducers are scheduled inside `TestHost::call`");
        };
        let reducers = self.modules.get(&module).map_or(&[][..], |known| &known.schema.reducers);
        let Some(def) = reducers.iter().find(|def| NameId::of(&def.name) == reducer) else {
            panic!("the module `{module}` does not have the reducer that is scheduled");
        };
        self.scheduled.push(Pending {
            // What is late already is due now.
            at: Timestamp::from_micros(at).max(self.time),
            module,
            reducer: def.name.clone(),
            args: args.to_vec(),
            depth: 0,
        });
        self.changes.push(Change::Scheduled);
    }

    /// Whether a function of this module runs.
    pub(crate) fn is_running(&self, module: &str) -> bool {
        self.running.iter().any(|running| running == module)
    }

    pub(crate) fn take_result(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.result)
    }

    /// The module and code of a function of another module.
    pub(crate) fn external(&self, target: NameId) -> (String, Code) {
        for (name, module) in &self.modules {
            for (function, code) in &module.functions {
                if NameId::of_external(name, function) == target {
                    return (name.clone(), *code);
                }
            }
        }
        self.is_unlinked.set(true);
        panic!(
            "the called module is not linked into this test: add its crate to [dev-dependencies], and `use` it in the test (`use ::hello as _;`)"
        );
    }

    pub(crate) fn code(&self, module: &str, function: &str) -> Code {
        let code = self.modules.get(module).and_then(|known| known.functions.get(function));
        match code {
            Some(code) => *code,
            None => panic!("the module `{module}` has no function `{function}`"),
        }
    }

    pub(crate) fn enter(&mut self, module: &str) {
        self.running.push(module.to_owned());
    }

    pub(crate) fn leave(&mut self) {
        self.running.pop();
    }

    /// Ends everything that runs, also after a panic.
    pub(crate) fn abandon(&mut self) {
        self.running.clear();
        self.scans.clear();
    }

    /// A place in the transaction to which it can be rolled back.
    pub(crate) fn savepoint(&self) -> usize {
        self.changes.len()
    }

    pub(crate) fn roll_back(&mut self, savepoint: usize) {
        while self.changes.len() > savepoint {
            match self.changes.pop() {
                Some(Change::Row { table, key, old, .. }) => {
                    if let Some(table) = self.tables.get_mut(&table) {
                        table.set(key, old);
                    }
                }
                Some(Change::Sequence { table, before }) => {
                    if let Some(table) = self.tables.get_mut(&table) {
                        table.set_sequence(before);
                    }
                }
                Some(Change::Scheduled) => drop(self.scheduled.pop()),
                None => {}
            }
        }
    }

    pub(crate) fn set_result(&mut self, result: Vec<u8>) -> usize {
        self.result = result;
        self.result.len()
    }

    /// Forgets what the transaction did; nobody is told.
    pub(crate) fn commit_silently(&mut self) {
        self.changes.clear();
    }

    /// Ends the transaction and queues the reducers that wait for its changes.
    pub(crate) fn commit(&mut self, depth: u32) {
        self.record_time();
        let mut queued = Vec::new();
        for NetChange { module, table, old, new } in self.take_net_changes() {
            let kind = match (&old, &new) {
                (None, None) => continue,
                (old, new) if old == new => continue,
                (None, Some(_)) => AccessSet::INSERT,
                (Some(_), None) => AccessSet::DELETE,
                (Some(_), Some(_)) => AccessSet::UPDATE,
            };
            let table = &self.tables[&(module.clone(), table)];
            let rows: Vec<&Vec<u8>> = old.iter().chain(&new).collect();
            for (subscriber, known) in self.modules() {
                let waits = |def: &&FunctionDef| {
                    def.trigger.as_ref().and_then(|trigger| trigger.table()).is_some_and(
                        |(source, change)| {
                            let of = source.module.as_ref().unwrap_or(subscriber);
                            change == kind && *of == module && source.table == table.name
                        },
                    )
                };
                queued.extend(known.schema.reducers.iter().filter(waits).map(|def| Pending {
                    at: self.time,
                    module: subscriber.clone(),
                    reducer: def.name.clone(),
                    args: rows_as_args(table, &rows, &known.schema, def),
                    depth,
                }));
            }
        }
        self.queue.extend(queued);
    }

    /// Takes the calls that are due at the next time at which any is, which is
    /// behind `after` and not behind `until`.
    pub(crate) fn take_due(
        &mut self,
        after: Option<Timestamp>,
        until: Timestamp,
    ) -> Option<(Timestamp, Vec<Pending>)> {
        let times = self.scheduled.iter().map(|pending| pending.at.max(self.time));
        let time = times.filter(|time| *time <= until && Some(*time) > after).min()?;
        let scheduled = core::mem::take(&mut self.scheduled).into_iter();
        let (mut due, later): (Vec<_>, _) = scheduled.partition(|pending| pending.at <= time);
        self.scheduled = later;
        // Equal times stay in the order of scheduling.
        due.sort_by_key(|pending| pending.at);
        Some((time, due))
    }

    /// Keeps the failure of a reducer that nobody has called.
    pub(crate) fn record_failure(&mut self, pending: &Pending, why: &str) {
        self.record_time();
        self.failures.push(format!("{}.{}: {why}", pending.module, pending.reducer));
    }

    /// What the transaction did to each row from its beginning to its end, in
    /// the order in which rows were first touched.
    fn take_net_changes(&mut self) -> Vec<NetChange> {
        let mut net = Vec::<NetChange>::new();
        let mut places = BTreeMap::new();
        for change in core::mem::take(&mut self.changes) {
            let Change::Row { table: (module, table), key, old, new } = change else { continue };
            let place = *places.entry((module.clone(), table, key)).or_insert(net.len());
            match net.get_mut(place) {
                None => net.push(NetChange { module, table, old, new }),
                Some(known) => known.new = new,
            }
        }
        net
    }

    /// The text of a reducer's arguments.
    pub(crate) fn display_args(&self, pending: &Pending) -> String {
        let schema = &self.modules[&pending.module].schema;
        let fields: &[Field] =
            schema.reducer(&pending.reducer).map_or(&[], |reducer| &reducer.params);
        match Layout::of_fields(schema, fields) {
            Ok(layout) => format!("{}", layout.display(&pending.args)),
            Err(error) => format!("{error}"),
        }
    }

    /// The text of a reducer's error.
    pub(crate) fn display_error(&self, pending: &Pending, error: &[u8]) -> String {
        let schema = &self.modules[&pending.module].schema;
        let ty = schema.reducer(&pending.reducer).and_then(|reducer| reducer.error.as_ref());
        match ty.map(|ty| Layout::of_type(schema, ty)) {
            Some(Ok(layout)) => format!("{}", layout.display(error)),
            _ => String::new(),
        }
    }
}

/// Rows as the arguments of a subscribed reducer: one parameter per row.
fn rows_as_args(
    table: &TestTable,
    rows: &[&Vec<u8>],
    subscriber: &ModuleSchema,
    reducer: &FunctionDef,
) -> Vec<u8> {
    let mut args = Vec::new();
    let encoded = Layout::of_fields(subscriber, &reducer.params).map(|layout| {
        let rows = rows.iter().map(|row| table.row.decode(row)).collect::<Result<_, _>>();
        rows.map(|rows| layout.encode(&Value::Struct(rows), &mut args))
    });
    match encoded {
        Ok(Ok(Ok(()))) => args,
        other => panic!(
            "the reducer `{}.{}` does not take the rows of `{}`: {other:?}",
            subscriber.module, reducer.name, table.name
        ),
    }
}
