//! What calls mean, a second time: plain maps, copied for every transaction.
//!
//! The model knows nothing of frames, overlays or incremental hashes. A
//! transaction works on a copy of all tables; a savepoint is another copy; the
//! state hash is summed up anew over everything whenever somebody asks. It
//! reads scripts as [`Op`]s, never as bytes that ran through WebAssembly.
//!
//! It shares with the core what the core's contract gives it (schemas, and
//! layouts to read rows with), and none of the core's state.

use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use interstice_core::{
    Inputs, Limits,
    abi::{
        ids::NameId,
        layout::Layout,
        schema::{AccessSet, FunctionDef, ModuleSchema, TableDef, Trigger},
    },
};

use crate::{guest::script::Op, random::derived_seed};

mod execute;
mod hash;
mod key;

pub use key::KeyPart;

use execute::Execution;

/// The model of a runtime.
#[derive(Clone, Debug)]
pub struct Model {
    limits: Limits,
    seed: u64,
    modules: Vec<ModelModule>,
    tables: Vec<ModelTable>,
    contents: Vec<Contents>,
    queue: VecDeque<Waiting>,
    schedule: BTreeMap<(i64, u64), Scheduled>,
    next_schedule: u64,
    time: i64,
    commits: u64,
    scripts: BTreeMap<Vec<u8>, Rc<[Op]>>,
}

/// What a function of a module does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Runs the script that is its argument and returns what that returns.
    RunArgument,
    /// Runs the script in the second column of the row that is its argument.
    RunRow,
    /// Inserts its arguments into table `audit`, with this number.
    Audit(u8),
}

/// A module as the model knows it.
#[derive(Clone, Debug)]
pub struct ModelModule {
    /// Its schema.
    pub schema: ModuleSchema,
    /// SHA-256 of its file.
    pub content_hash: [u8; 32],
    /// Bytes of memory it begins with.
    pub memory: u32,
    /// Its reducers by name, then its queries by name.
    functions: Vec<ModelFunction>,
}

#[derive(Clone, Debug)]
struct ModelFunction {
    def: FunctionDef,
    query: bool,
    args: Layout,
    behaviour: Behaviour,
}

#[derive(Clone, Debug)]
struct ModelTable {
    module: usize,
    def: TableDef,
    layout: Layout,
}

/// The rows of a table, and the number that its next row gets (0: none left).
#[derive(Clone, Debug)]
struct Contents {
    rows: BTreeMap<Vec<KeyPart>, Vec<u8>>,
    next: u64,
}

/// A subscription that waits.
#[derive(Clone, Debug)]
struct Waiting {
    trigger: u64,
    change: u32,
    target: Target,
    depth: u32,
    args: Vec<u8>,
}

/// A call that waits for its time.
#[derive(Clone, Debug)]
struct Scheduled {
    module: usize,
    reducer: NameId,
    args: Vec<u8>,
}

/// A function, by the positions of its module and of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Target {
    module: usize,
    function: usize,
}

/// How a call ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It commits, with this result in row layout.
    Committed(Vec<u8>),
    /// It returns its error.
    Error(Vec<u8>),
    /// It is stopped.
    Stopped(Stop),
}

/// Why a call is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It panics or traps.
    Trap,
    /// It runs out of fuel.
    Fuel,
    /// It breaks a rule of a host call.
    Rule,
    /// It reaches a limit.
    Limit,
}

impl Ending {
    /// The code of a failure in the log; 0 when there is none.
    pub fn code(&self) -> u8 {
        match self {
            Self::Committed(_) => 0,
            Self::Error(_) => 1,
            Self::Stopped(Stop::Trap) => 2,
            Self::Stopped(Stop::Fuel) => 3,
            Self::Stopped(Stop::Rule) => 4,
            Self::Stopped(Stop::Limit) => 5,
        }
    }
}

/// What comes of a call from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// How it ends.
    pub ending: Ending,
    /// The codes of the subscriptions behind it that fail, in order.
    pub failures: Vec<u8>,
}

/// What runs: a call from outside, or what waits in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Call,
    Subscription,
    Schedule,
}

impl ModelModule {
    /// A module with what each of its functions does.
    ///
    /// # Panics
    ///
    /// When a function has no behaviour.
    pub fn new(
        schema: ModuleSchema,
        content_hash: [u8; 32],
        memory: u32,
        behaviours: &[(&str, Behaviour)],
    ) -> Self {
        let reducers = schema.reducers.iter().map(|def| (def, false));
        let queries = schema.queries.iter().map(|def| (def, true));
        let functions = reducers.chain(queries).map(|(def, query)| ModelFunction {
            def: def.clone(),
            query,
            args: Layout::of_fields(&schema, &def.params).expect("a valid schema"),
            behaviour: behaviours
                .iter()
                .find(|(name, _)| *name == def.name)
                .expect("a behaviour of every function")
                .1,
        });
        Self { functions: functions.collect(), schema, content_hash, memory }
    }
}

impl Model {
    /// The model of an empty log.
    pub fn new(seed: u64, limits: Limits) -> Self {
        Self {
            limits,
            seed,
            modules: Vec::new(),
            tables: Vec::new(),
            contents: Vec::new(),
            queue: VecDeque::new(),
            schedule: BTreeMap::new(),
            next_schedule: 0,
            time: 0,
            commits: 0,
            scripts: BTreeMap::new(),
        }
    }

    /// Tells what the bytes of a script mean.
    pub fn learn(&mut self, bytes: &[u8], ops: &[Op]) {
        self.scripts.insert(bytes.to_vec(), ops.into());
    }

    /// Commits so far.
    pub fn commits(&self) -> u64 {
        self.commits
    }

    /// The time of the last commit.
    pub fn time(&self) -> i64 {
        self.time
    }

    /// Subscriptions that wait.
    pub fn pending(&self) -> usize {
        self.queue.len()
    }

    /// Calls that wait for their time.
    pub fn scheduled(&self) -> usize {
        self.schedule.len()
    }

    /// Every table: its module, its name, its rows in key order.
    pub fn tables(&self) -> impl Iterator<Item = (&str, &str, impl Iterator<Item = &[u8]>)> {
        self.tables.iter().zip(&self.contents).map(|(table, contents)| {
            let module = self.modules[table.module].schema.module.as_str();
            (module, table.def.name.as_str(), contents.rows.values().map(Vec::as_slice))
        })
    }

    /// Installs or upgrades a module without `init` and `load` reducers.
    pub fn install(&mut self, module: ModelModule, inputs: Inputs) {
        let name = &module.schema.module;
        let known = self.modules.iter().position(|known| known.schema.module == *name);
        let index = known.unwrap_or(self.modules.len());
        for def in &module.schema.tables {
            let mut tables = self.tables.iter();
            if tables.any(|table| table.module == index && table.def.name == def.name) {
                continue;
            }
            let columns = module.schema.columns(def);
            let layout = Layout::of_fields(&module.schema, columns).expect("a valid schema");
            self.tables.push(ModelTable { module: index, def: def.clone(), layout });
            self.contents.push(Contents { rows: BTreeMap::new(), next: 1 });
        }
        match self.modules.get_mut(index) {
            Some(slot) => *slot = module,
            None => self.modules.push(module),
        }
        self.time = self.time.max(inputs.time.0);
        self.commits += 1;
    }

    /// Calls a reducer from outside, and runs what that queues.
    pub fn call(&mut self, module: &str, reducer: &str, args: &[u8], inputs: Inputs) -> Expected {
        let mut failures = Vec::new();
        self.drain(inputs, &mut failures);
        let target = self.target(module, reducer);
        let ending = self.execute(Cause::Call, target, args, inputs);
        self.drain(inputs, &mut failures);
        Expected { ending, failures }
    }

    /// Asks a query.
    pub fn query(&self, module: &str, query: &str, args: &[u8], inputs: Inputs) -> Ending {
        let target = self.target(module, query);
        let mut execution = Execution::new(self, self.seed_of(inputs), self.now(inputs));
        execution.run(target, args)
    }

    /// Runs the scheduled calls that are due. Returns the codes of failures.
    pub fn run_due(&mut self, inputs: Inputs) -> Vec<u8> {
        let mut failures = Vec::new();
        let due = self.schedule.range(..=(self.now(inputs), u64::MAX)).count();
        for _ in 0..due {
            let (_, next) = self.schedule.first_key_value().expect("as many as are due");
            let target = self.target_by_id(next.module, next.reducer).expect("upgrades keep it");
            let args = next.args.clone();
            let ending = self.execute(Cause::Schedule, target, &args, Inputs::at(inputs.time));
            failures.extend((ending.code() != 0).then_some(ending.code()));
            self.drain(inputs, &mut failures);
        }
        failures
    }

    fn drain(&mut self, inputs: Inputs, failures: &mut Vec<u8>) {
        while let Some(next) = self.queue.front().cloned() {
            let inputs = Inputs::at(inputs.time);
            let ending = self.execute(Cause::Subscription, next.target, &next.args, inputs);
            failures.extend((ending.code() != 0).then_some(ending.code()));
        }
    }

    fn now(&self, inputs: Inputs) -> i64 {
        self.time.max(inputs.time.0)
    }

    fn seed_of(&self, inputs: Inputs) -> u64 {
        inputs.seed.unwrap_or_else(|| derived_seed(self.seed, self.commits))
    }

    /// Runs one transaction and commits it, or its failure.
    fn execute(&mut self, cause: Cause, target: Target, args: &[u8], inputs: Inputs) -> Ending {
        let depth = match (cause, self.queue.front()) {
            (Cause::Subscription, Some(next)) => next.depth,
            _ => 0,
        };
        let mut execution = Execution::new(self, self.seed_of(inputs), self.now(inputs));
        let mut ending = execution.run(target, args);
        let Execution { tables, touched, schedules, .. } = execution;
        let mut changes = Vec::new();
        let mut queued = Vec::new();
        if let Ending::Committed(_) = ending {
            for (table, key) in touched {
                let old = self.contents[table].rows.get(&key).cloned();
                let new = tables[table].rows.get(&key).cloned();
                if old != new {
                    let change = changes.len() as u32;
                    queued.extend(self.triggered(table, &old, &new, change, depth + 1));
                    changes.push((table, key, old, new));
                }
            }
            if !queued.is_empty() && depth >= self.limits.subscription_depth {
                ending = Ending::Stopped(Stop::Limit);
            }
        }
        if let Ending::Committed(_) = ending {
            self.commit(cause, changes, schedules);
            self.queue.extend(queued);
        } else if cause == Cause::Call {
            return ending;
        } else {
            self.commit(cause, Vec::new(), Vec::new());
        }
        self.time = self.now(inputs);
        self.commits += 1;
        ending
    }

    #[allow(clippy::type_complexity, reason = "a change is named where it is taken apart")]
    fn commit(
        &mut self,
        cause: Cause,
        changes: Vec<(usize, Vec<KeyPart>, Option<Vec<u8>>, Option<Vec<u8>>)>,
        schedules: Vec<(i64, Scheduled)>,
    ) {
        match cause {
            Cause::Call => {}
            Cause::Subscription => drop(self.queue.pop_front()),
            Cause::Schedule => drop(self.schedule.pop_first()),
        }
        for (table, key, old, new) in changes {
            let contents = &mut self.contents[table];
            match new {
                Some(row) => {
                    if old.is_none() {
                        contents.next = self.tables[table].next_after(contents.next, &row);
                    }
                    contents.rows.insert(key, row);
                }
                None => drop(contents.rows.remove(&key)),
            }
        }
        for (at, scheduled) in schedules {
            self.schedule.insert((at, self.next_schedule), scheduled);
            self.next_schedule += 1;
        }
    }

    /// The subscriptions of a change, in order.
    fn triggered(
        &self,
        table: usize,
        old: &Option<Vec<u8>>,
        new: &Option<Vec<u8>>,
        change: u32,
        depth: u32,
    ) -> Vec<Waiting> {
        let (kind, rows) = match (old, new) {
            (None, Some(new)) => (AccessSet::INSERT, vec![new]),
            (Some(old), Some(new)) => (AccessSet::UPDATE, vec![old, new]),
            (Some(old), None) => (AccessSet::DELETE, vec![old]),
            (None, None) => return Vec::new(),
        };
        let mut waiting = Vec::new();
        for (module, owner) in self.modules.iter().enumerate() {
            for (index, function) in owner.functions.iter().enumerate() {
                let Some(trigger) = &function.def.trigger else { continue };
                if !self.waits_for(module, trigger, table, kind) {
                    continue;
                }
                let target = Target { module, function: index };
                let args = self.rows_as_args(target, table, &rows);
                waiting.push(Waiting { trigger: self.commits, change, target, depth, args });
            }
        }
        waiting
    }

    fn waits_for(&self, module: usize, trigger: &Trigger, table: usize, kind: AccessSet) -> bool {
        let Some((reference, waits_for)) = trigger.table() else { return false };
        let owner = &self.modules[self.tables[table].module].schema.module;
        let named = reference.module.as_ref().unwrap_or(&self.modules[module].schema.module);
        waits_for == kind && named == owner && reference.table == self.tables[table].def.name
    }

    /// The arguments of a subscription: its rows, one behind the other.
    fn rows_as_args(&self, target: Target, table: usize, rows: &[&Vec<u8>]) -> Vec<u8> {
        use interstice_core::abi::value::Value;
        let layout = &self.tables[table].layout;
        let values = rows.iter().map(|row| layout.decode(row).expect("a canonical row"));
        let mut args = Vec::new();
        let function = &self.modules[target.module].functions[target.function];
        function.args.encode(&Value::Struct(values.collect()), &mut args).expect("its parameters");
        args
    }

    fn target(&self, module: &str, function: &str) -> Target {
        let module = self.modules.iter().position(|known| known.schema.module == module);
        let module = module.expect("an installed module");
        self.target_by_id(module, NameId::of(function)).expect("a function of the module")
    }

    fn target_by_id(&self, module: usize, id: NameId) -> Option<Target> {
        let functions = &self.modules[module].functions;
        let function = functions.iter().position(|known| NameId::of(&known.def.name) == id)?;
        Some(Target { module, function })
    }
}

impl ModelTable {
    fn key(&self, row: &[u8]) -> Vec<KeyPart> {
        key::of_row(&self.layout, &self.def.primary_key, row)
    }

    /// The next number when `row` is inserted at `next`.
    fn next_after(&self, next: u64, row: &[u8]) -> u64 {
        let Some(column) = self.def.auto_increment else { return next };
        let Some(KeyPart::Unsigned(number)) =
            key::of_row(&self.layout, &[column], row).into_iter().next()
        else {
            panic!("the model knows unsigned numbers only");
        };
        let bits = self.layout.fields()[usize::from(column)].layout.size() as u32 * 8;
        let max = u64::MAX >> (64 - bits);
        match u64::try_from(number).expect("64 bits at most") {
            number if next == 0 || number < next => next,
            number if number == max => 0,
            number => number + 1,
        }
    }
}
