//! The committed state: tables, modules, queue and schedule.
//!
//! Invariants:
//! - [`CommittedState::apply`] is the only way in, for live calls and for
//!   replay, and it cannot fail;
//! - the state is a function of the log: the queue of subscriptions and the
//!   numbers of sequences follow from the commits, nothing else is kept;
//! - it knows no WebAssembly.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

use abi::{ids::NameId, schema::AccessSet};
use interstice_abi as abi;

use crate::{
    hash,
    ids::{FunctionRef, ModuleId, TableId, Timestamp, TxOffset},
    limits::{Limits, VALUE_BYTES_MAX},
    transaction::{NewSchedule, Write},
};

mod install;
mod module;
mod record;
mod repair;
mod replay;
mod seal;
pub mod snapshot;
mod subscription;
mod table;

pub use install::{InstallRefusal, Refused};
pub use module::{Function, FunctionKind, InstalledModule};
pub use record::{Cause, Record, RecordChange, RecordOutcome, RecordSchedule};
pub use repair::{Dependence, Repaired};
pub use replay::{ReplayError, ReplayFault};
pub use table::Table;

pub(crate) use install::Plan;
pub(crate) use seal::Seal;
pub(crate) use table::Row;

use subscription::{Pending, Routes};

/// Bytes of the buffer for the old row that are kept from commit to commit.
const OLD_ROW_KEPT: usize = 4096;

/// Everything that the commits so far have made.
#[derive(Clone, Debug)]
pub struct CommittedState {
    limits: Limits,
    /// As the log has them.
    encoded_limits: Vec<u8>,
    /// Those of the last commit.
    recorded_limits: Vec<u8>,
    seed: u64,
    next_offset: TxOffset,
    /// Time of the last commit.
    time: Timestamp,
    modules: Vec<InstalledModule>,
    tables: Vec<Table>,
    routes: Routes,
    /// Subscriptions that wait to run, oldest first.
    queue: VecDeque<Pending>,
    /// Calls that wait for their time; equal times in the order of scheduling.
    schedule: BTreeMap<(Timestamp, u64), Scheduled>,
    next_schedule: u64,
    /// Bytes of the arguments of all that waits.
    waiting_bytes: u64,
    hash: u64,
    /// The row that a write replaces. The buffer is kept from one to the next, unless
    /// the row was long.
    old_row: Vec<u8>,
}

/// A call that waits for its time.
#[derive(Clone, Debug)]
pub(crate) struct Scheduled {
    pub(crate) target: FunctionRef,
    /// In row layout.
    pub(crate) args: Box<[u8]>,
}

/// What a commit answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// A call from outside.
    Call,
    /// The oldest queued subscription.
    Subscription,
    /// The earliest scheduled call.
    Schedule,
}

impl CommittedState {
    /// The state of an empty log with this seed.
    pub fn new(seed: u64, limits: Limits) -> Self {
        let recorded = Limits::default();
        let mut state = Self {
            encoded_limits: Vec::new(),
            recorded_limits: recorded.encode(),
            limits: recorded,
            seed,
            next_offset: TxOffset(0),
            time: Timestamp(0),
            modules: Vec::new(),
            tables: Vec::new(),
            routes: Routes::default(),
            queue: VecDeque::new(),
            schedule: BTreeMap::new(),
            next_schedule: 0,
            waiting_bytes: 0,
            hash: 0,
            old_row: Vec::new(),
        };
        state.set_limits(limits);
        state
    }

    /// The capacities in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Those under which the last commit was made.
    pub fn recorded_limits(&self) -> Limits {
        Limits::decode(&self.recorded_limits).unwrap_or_default()
    }

    /// Goes on under these limits.
    pub(crate) fn set_limits(&mut self, mut limits: Limits) {
        limits.value_bytes = limits.value_bytes.min(VALUE_BYTES_MAX);
        self.encoded_limits = limits.encode();
        self.limits = limits;
    }

    /// What a commit says of the limits in force: nothing where they are those
    /// of the commit before.
    pub(crate) fn new_limits(&self) -> &[u8] {
        if self.encoded_limits == self.recorded_limits { &[] } else { &self.encoded_limits }
    }

    /// The commit that is being applied says so; of no limits, if there is no
    /// change.
    pub(crate) fn record_limits(&mut self, limits: &[u8]) {
        if !limits.is_empty() {
            self.recorded_limits.clear();
            self.recorded_limits.extend_from_slice(limits);
        }
    }

    /// A commit was made under the limits in force.
    pub(crate) fn limits_are_recorded(&mut self) {
        self.recorded_limits.clear();
        self.recorded_limits.extend_from_slice(&self.encoded_limits);
    }

    /// The log's seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The position of the next commit: the number of commits so far.
    pub fn next_offset(&self) -> TxOffset {
        self.next_offset
    }

    /// The time of the last commit.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// The hash of the whole state. Every commit carries the one behind it.
    pub fn state_hash(&self) -> u64 {
        self.hash
    }

    /// Subscriptions that wait to run.
    pub fn pending(&self) -> usize {
        self.queue.len()
    }

    /// Calls that wait for their time.
    pub fn scheduled(&self) -> usize {
        self.schedule.len()
    }

    /// The scheduled calls, the earliest first: when, and what.
    pub fn schedule(&self) -> impl Iterator<Item = (Timestamp, FunctionRef)> + '_ {
        self.schedule.iter().map(|((at, _), call)| (*at, call.target))
    }

    /// When the earliest scheduled call is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.schedule.first_key_value().map(|((at, _), _)| *at)
    }

    /// How many scheduled calls are due at `time`.
    pub fn due(&self, time: Timestamp) -> usize {
        self.schedule.range(..=(time, u64::MAX)).count()
    }

    /// The installed modules, in the order of installation.
    pub fn modules(&self) -> &[InstalledModule] {
        &self.modules
    }

    /// The module `name`.
    pub fn module(&self, name: &str) -> Option<&InstalledModule> {
        self.modules.iter().find(|module| module.name() == name)
    }

    /// The module with this number.
    pub fn module_by_id(&self, id: ModuleId) -> Option<&InstalledModule> {
        self.modules.get(id.0 as usize)
    }

    /// A reducer or query.
    pub fn function(&self, function: FunctionRef) -> Option<&Function> {
        self.module_by_id(function.module)?.functions.get(function.index as usize)
    }

    /// All tables, in the order of installation.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The table `name` of `module`.
    pub fn table(&self, module: &str, name: &str) -> Option<&Table> {
        let module = self.module(module)?.id;
        self.tables.iter().find(|table| table.module() == module && table.name() == name)
    }

    /// The table with this number.
    #[inline]
    pub fn table_by_id(&self, id: TableId) -> Option<&Table> {
        self.tables.get(id.0 as usize)
    }

    /// What a call that answers to `trigger` runs; `None` when nothing waits.
    pub(crate) fn next_target(&self, trigger: Trigger) -> Option<(FunctionRef, &[u8])> {
        match trigger {
            Trigger::Call => None,
            Trigger::Subscription => self.queue.front().map(|next| (next.target, &*next.args)),
            Trigger::Schedule => {
                let (_, next) = self.schedule.first_key_value()?;
                Some((next.target, &next.args))
            }
        }
    }

    /// The length of the subscription chain that a call answering to `trigger` is in.
    pub(crate) fn depth(&self, trigger: Trigger) -> u32 {
        match trigger {
            Trigger::Subscription => self.queue.front().map_or(0, |next| next.depth),
            Trigger::Call | Trigger::Schedule => 0,
        }
    }

    /// Bytes of the arguments of what a call that answers to `trigger` takes off.
    fn taken_bytes(&self, trigger: Trigger) -> u64 {
        self.next_target(trigger).map_or(0, |(_, args)| args.len() as u64)
    }

    /// The hash of what a call that answers to `trigger` takes off.
    fn taken_hash(&self, trigger: Trigger) -> u64 {
        match trigger {
            Trigger::Call => 0,
            Trigger::Subscription => self.queue.front().map_or(0, Pending::hash),
            Trigger::Schedule => self.schedule.first_key_value().map_or(0, |((at, id), next)| {
                self.scheduled_hash(*id, *at, next.target, &next.args)
            }),
        }
    }

    fn scheduled_hash(&self, id: u64, at: Timestamp, target: FunctionRef, args: &[u8]) -> u64 {
        let name = self.function(target).map_or(NameId(0), |function| function.name_id);
        hash::scheduled(id, at, target.module, name, args)
    }

    /// Makes a commit's effects the state. Everything that can fail has failed
    /// before.
    ///
    /// Returns the first table in which a write did not find the row that it
    /// says it found, or found one that it says is not there. Live calls have
    /// no such write; a log can.
    pub(crate) fn apply(
        &mut self,
        trigger: Trigger,
        time: Timestamp,
        writes: &[Write],
        schedules: impl Iterator<Item = NewSchedule>,
    ) -> Option<TableId> {
        let depth = self.depth(trigger);
        self.hash = self.hash.wrapping_sub(self.taken_hash(trigger));
        self.waiting_bytes -= self.taken_bytes(trigger);
        match trigger {
            Trigger::Call => {}
            Trigger::Subscription => drop(self.queue.pop_front()),
            Trigger::Schedule => drop(self.schedule.pop_first()),
        }
        let mut misfit = None;
        for (index, write) in (0..).zip(writes) {
            if !self.apply_write(index, depth, write) {
                misfit.get_or_insert(write.table);
            }
        }
        for schedule in schedules {
            let id = self.next_schedule;
            self.next_schedule += 1;
            let NewSchedule { target, at, args } = schedule;
            self.hash = self.hash.wrapping_add(self.scheduled_hash(id, at, target, &args));
            let args = args.into_boxed_slice();
            self.waiting_bytes += args.len() as u64;
            self.schedule.insert((at, id), Scheduled { target, args });
        }
        self.forget_old_row();
        self.time = time;
        self.next_offset = self.next_offset.next();
        misfit
    }

    /// Keeps the buffer of the old row, if it is not large.
    fn forget_old_row(&mut self) {
        self.old_row.clear();
        self.old_row.shrink_to(OLD_ROW_KEPT);
    }

    /// Applies one write, and queues what waits for it. Returns whether the
    /// row was there or not as the write says.
    fn apply_write(&mut self, index: u32, depth: u32, write: &Write) -> bool {
        let Write { table: id, key, existed, new, hash } = write;
        let Some(table) = self.tables.get_mut(id.0 as usize) else { return false };
        let new = new.as_deref();
        let (old, delta) = table.apply(key, new, *hash, &mut self.old_row);
        self.hash = self.hash.wrapping_add(delta);
        if old.is_some() != *existed {
            return false;
        }
        let change = change_kind(old.is_some(), new.is_some());
        let routes = self.routes.of(*id);
        for route in routes.iter().filter(|route| route.change == change) {
            let args = match (old, new) {
                (Some(old), Some(new)) => {
                    let function = self.modules.get(route.target.module.0 as usize);
                    let function =
                        function.and_then(|m| m.functions.get(route.target.index as usize));
                    function.map_or_else(Vec::new, |f| subscription::pair(f.args(), old, new))
                }
                (Some(row), None) | (None, Some(row)) => row.to_vec(),
                (None, None) => Vec::new(),
            };
            let pending = Pending {
                trigger: self.next_offset,
                change: index,
                target: route.target,
                // No more than a hostile snapshot says.
                depth: depth.saturating_add(1),
                args: args.into_boxed_slice(),
            };
            self.hash = self.hash.wrapping_add(pending.hash());
            self.waiting_bytes += pending.args.len() as u64;
            self.queue.push_back(pending);
        }
        true
    }
}

/// Which kind of change turns an old row into a new one.
fn change_kind(old: bool, new: bool) -> AccessSet {
    match (old, new) {
        (false, _) => AccessSet::INSERT,
        (true, true) => AccessSet::UPDATE,
        (true, false) => AccessSet::DELETE,
    }
}
