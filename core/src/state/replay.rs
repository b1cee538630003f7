//! Log -> state, without WebAssembly.

use alloc::{string::String, vec::Vec};
use core::fmt;

use abi::{
    bytes::{DecodeError, DecodeFault, Reader},
    key::Key,
    packed,
    schema::ModuleSchema,
    twice,
};
use interstice_abi as abi;

use super::{
    CommittedState, InstallRefusal, Trigger, change_kind,
    seal::{CHANGE_DELETE, CHANGE_INSERT, CHANGE_UPDATE},
};
use crate::{
    hash,
    ids::{FunctionRef, ModuleId, TableId, Timestamp, TxOffset},
    limits::{Limits, VALUE_BYTES_MAX},
    log::commit::{Body, Commit, Origin, Schedules},
    transaction::{NewSchedule, Write},
};

/// A commit that cannot be replayed, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayError {
    /// The commit.
    pub offset: TxOffset,
    /// What is wrong with it.
    pub fault: ReplayFault,
}

/// What is wrong with a commit that cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayFault {
    /// It is not the next one.
    Position {
        /// The position that is next.
        expected: TxOffset,
    },
    /// Its bytes do not decode.
    Decode(DecodeError),
    /// Its time is out of range.
    Time,
    /// It names a module that is not installed.
    UnknownModule(u32),
    /// It names a reducer that its module does not have.
    UnknownFunction(u32),
    /// It names a table that does not exist.
    UnknownTable(u32),
    /// It answers to a subscription or schedule, and none waits.
    NothingWaits,
    /// More would wait behind it than the limits let.
    Crowd,
    /// It is a call, and subscriptions wait that run before any.
    SubscriptionsWait,
    /// It changes a row that is not there, inserts one that is, or one without the
    /// number that it must have, or writes one twice.
    Row {
        /// The table.
        table: String,
    },
    /// It installs a module that cannot be installed.
    Install(InstallRefusal),
    /// The state behind it does not have the recorded hash.
    StateHash {
        /// The hash in the log.
        recorded: u64,
        /// The hash of the replayed state.
        replayed: u64,
    },
}

impl From<DecodeError> for ReplayFault {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "commit {}: {}", self.offset, self.fault)
    }
}

impl fmt::Display for ReplayFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position { expected } => write!(f, "the next commit is {expected}"),
            Self::Decode(error) => write!(f, "it does not decode: {error}"),
            Self::Time => f.write_str("its time is out of range"),
            Self::UnknownModule(id) => write!(f, "module number {id} is not installed"),
            Self::UnknownFunction(id) => write!(f, "its module has no reducer number {id}"),
            Self::UnknownTable(id) => write!(f, "there is no table number {id}"),
            Self::NothingWaits => f.write_str("it answers to something that does not wait"),
            Self::Crowd => f.write_str("more would wait behind it than its limits let"),
            Self::SubscriptionsWait => f.write_str("it runs before subscriptions that wait"),
            Self::Row { table } => write!(f, "its changes do not fit the rows of table `{table}`"),
            Self::Install(refusal) => refusal.fmt(f),
            Self::StateHash { recorded, replayed } => write!(
                f,
                "the state behind it has hash {replayed:016x}, the log says {recorded:016x}"
            ),
        }
    }
}

impl core::error::Error for ReplayError {}

impl CommittedState {
    /// Applies the commit at `offset`, which is the next one.
    ///
    /// # Errors
    ///
    /// When the commit does not decode, does not fit the state, or leads to
    /// another state hash than it records. A state that refused a commit is
    /// not to be used any more.
    pub fn replay(&mut self, offset: TxOffset, commit: &[u8]) -> Result<(), ReplayError> {
        self.replay_commit(offset, commit).map_err(|fault| ReplayError { offset, fault })
    }

    fn replay_commit(&mut self, offset: TxOffset, bytes: &[u8]) -> Result<(), ReplayFault> {
        if offset != self.next_offset {
            return Err(ReplayFault::Position { expected: self.next_offset });
        }
        let commit = Commit::decode(bytes)?;
        let time = self.time_after(commit.elapsed)?;
        self.record_limits(commit.limits);
        match commit.body {
            Body::Install { content_hash, wasm_len, schema } => {
                let decoded = ModuleSchema::decode(schema)
                    .map_err(|error| ReplayFault::Install(InstallRefusal::schema(error)))?;
                let plan = self
                    .plan_install(decoded, content_hash, wasm_len)
                    .map_err(ReplayFault::Install)?;
                self.apply_install(plan, time);
            }
            Body::Repair { takes_schedule, changes } => {
                self.replay_repair(takes_schedule, changes, time)?;
            }
            Body::Run { origin, schedules, changes, .. } => {
                let trigger = self.trigger(origin)?;
                if trigger == Trigger::Schedule && self.next_due().is_some_and(|due| due > time) {
                    return Err(ReplayFault::NothingWaits);
                }
                let schedules = self.decode_schedules(schedules, time)?;
                self.replay_changes(trigger, time, changes, schedules)?;
            }
        }
        if self.hash != commit.state_hash {
            let (recorded, replayed) = (commit.state_hash, self.hash);
            return Err(ReplayFault::StateHash { recorded, replayed });
        }
        Ok(())
    }

    fn replay_repair(
        &mut self,
        takes_schedule: bool,
        changes: &[u8],
        time: Timestamp,
    ) -> Result<(), ReplayFault> {
        if takes_schedule && self.schedule.is_empty() {
            return Err(ReplayFault::NothingWaits);
        }
        let mut reader = Reader::new(changes);
        let mut writes = Vec::new();
        while let Some(write) = self.next_change(&mut reader)? {
            writes.push(write);
        }
        self.refuse_written_twice(&writes)?;
        let misfit = self.apply_repair(takes_schedule, writes, time);
        match misfit.and_then(|table| self.table_by_id(table)) {
            Some(table) => Err(ReplayFault::Row { table: table.name().into() }),
            None => Ok(()),
        }
    }

    fn replay_changes(
        &mut self,
        trigger: Trigger,
        time: Timestamp,
        changes: &[u8],
        schedules: Vec<NewSchedule>,
    ) -> Result<(), ReplayFault> {
        let mut reader = Reader::new(changes);
        // The common commit has one change, which needs no list.
        let first = self.next_change(&mut reader)?;
        let misfit = if reader.remaining() == 0 {
            self.refuse_crowd(&[], trigger, first.as_slice(), &schedules)?;
            self.apply(trigger, time, first.as_slice(), schedules.into_iter())
        } else {
            let mut writes: Vec<Write> = first.into_iter().collect();
            while let Some(write) = self.next_change(&mut reader)? {
                writes.push(write);
            }
            self.refuse_written_twice(&writes)?;
            self.refuse_crowd(&[], trigger, &writes, &schedules)?;
            self.apply(trigger, time, &writes, schedules.into_iter())
        };
        match misfit.and_then(|table| self.table_by_id(table)) {
            Some(table) => Err(ReplayFault::Row { table: table.name().into() }),
            None => Ok(()),
        }
    }

    /// No more waits than the limits let, of which the log says what they were, or the
    /// commit, where `said` is what it says: asked before rows are copied for all that
    /// waits for them.
    pub(super) fn refuse_crowd(
        &self,
        said: &[u8],
        trigger: Trigger,
        writes: &[Write],
        schedules: &[NewSchedule],
    ) -> Result<(), ReplayFault> {
        let mut bytes: u64 = schedules.iter().map(|schedule| schedule.args.len() as u64).sum();
        let mut queued = 0;
        for write in writes.iter().filter(|write| !self.routes.of(write.table).is_empty()) {
            let table = self.table_by_id(write.table).filter(|_| write.existed);
            let old = table.and_then(|table| table.get(&write.key));
            let rows = [old, write.new.as_deref()];
            let len: usize = rows.into_iter().flatten().map(<[u8]>::len).sum();
            let change = change_kind(write.existed, write.new.is_some());
            let routes = self.routes.of(write.table).iter();
            let routes = routes.filter(|route| route.change == change).count();
            queued += routes;
            bytes = bytes.saturating_add(routes as u64 * len as u64);
        }
        if queued == 0 && bytes == 0 {
            return Ok(());
        }
        let decoded;
        let limits = match said {
            [] if self.new_limits().is_empty() => &self.limits,
            [] => {
                decoded = self.recorded_limits();
                &decoded
            }
            said => {
                decoded = Limits::decode(said)?;
                &decoded
            }
        };
        let taken = usize::from(trigger == Trigger::Subscription);
        let waiting = (self.waiting_bytes - self.taken_bytes(trigger)).saturating_add(bytes);
        let is_crowded = queued > 0 && self.queue.len() - taken + queued > limits.queue_len;
        match is_crowded || waiting > limits.waiting_bytes {
            true => Err(ReplayFault::Crowd),
            false => Ok(()),
        }
    }

    /// A transaction leaves one write of a row, whatever it did to it.
    pub(super) fn refuse_written_twice(&self, writes: &[Write]) -> Result<(), ReplayFault> {
        let place = |at: usize| writes.get(at).map(|write| (write.table, &write.key));
        let twice = twice(writes.len(), &mut |a, b| place(a).cmp(&place(b)));
        let table = twice.and_then(|(first, _)| writes.get(first));
        match table.and_then(|write| self.table_by_id(write.table)) {
            Some(table) => Err(ReplayFault::Row { table: table.name().into() }),
            None => Ok(()),
        }
    }

    /// Decodes the next change against the rows it applies to.
    pub(super) fn next_change(
        &self,
        reader: &mut Reader<'_>,
    ) -> Result<Option<Write>, ReplayFault> {
        if reader.remaining() == 0 {
            return Ok(None);
        }
        let head = reader.varint_u64()?;
        let unknown = || ReplayFault::UnknownTable((head >> 2) as u32);
        let id = u32::try_from(head >> 2).map(TableId).map_err(|_| unknown())?;
        let table = self.table_by_id(id).ok_or_else(unknown)?;
        let limit = VALUE_BYTES_MAX;
        let mut key = Key::new();
        if head & 3 == CHANGE_INSERT {
            let mut row = Vec::with_capacity(table.layout().size());
            packed::unpack(table.layout(), reader, &mut row, limit)?;
            if table.auto().is_some_and(|auto| auto.is_zero(&row)) {
                // It would have been given a number.
                return Err(ReplayFault::Row { table: table.name().into() });
            }
            table.key_layout().from_row(&row, &mut key);
            let hash = hash::row(table.hash_seed(), &row);
            let new = Some(row);
            return Ok(Some(Write { table: id, key, existed: false, new, hash }));
        }
        let mut key_row = Vec::new();
        packed::unpack(table.key_layout().row(), reader, &mut key_row, limit)?;
        table.key_layout().from_key_row(&key_row, &mut key);
        let missing = || ReplayFault::Row { table: table.name().into() };
        let old = table.get(&key).ok_or_else(missing)?;
        let new = match head & 3 {
            CHANGE_UPDATE => {
                let mask = reader.varint_u64()?;
                let columns = table.layout().fields().len() as u32;
                if mask == 0
                    || mask & table.key_mask() != 0
                    || (columns < 64 && mask >> columns != 0)
                {
                    return Err(reader.fault(DecodeFault::Tag).into());
                }
                let mut row = Vec::with_capacity(old.len());
                packed::merge_columns(table.layout(), old, mask, reader, &mut row, limit)?;
                Some(row)
            }
            CHANGE_DELETE => None,
            _ => return Err(reader.fault(DecodeFault::Tag).into()),
        };
        let hash = new.as_ref().map_or(0, |row| hash::row(table.hash_seed(), row));
        Ok(Some(Write { table: id, key, existed: true, new, hash }))
    }

    pub(super) fn time_after(&self, elapsed: u64) -> Result<Timestamp, ReplayFault> {
        self.time.0.checked_add_unsigned(elapsed).map(Timestamp).ok_or_else(|| ReplayFault::Time)
    }

    pub(super) fn trigger(&self, origin: Origin<'_>) -> Result<Trigger, ReplayFault> {
        let trigger = match origin {
            Origin::Call { .. } => Trigger::Call,
            Origin::Subscription => Trigger::Subscription,
            Origin::Schedule => Trigger::Schedule,
        };
        // Whoever changes a row runs what that has queued before anything else.
        if trigger != Trigger::Subscription && !self.queue.is_empty() {
            return Err(ReplayFault::SubscriptionsWait);
        }
        if let Origin::Call { module, function, .. } = origin {
            self.callable(module, function)?;
        } else if self.next_target(trigger).is_none() {
            return Err(ReplayFault::NothingWaits);
        }
        Ok(trigger)
    }

    pub(super) fn callable(&self, module: u32, index: u32) -> Result<FunctionRef, ReplayFault> {
        let function = FunctionRef { module: ModuleId(module), index };
        if self.module_by_id(function.module).is_none() {
            return Err(ReplayFault::UnknownModule(module));
        }
        match self.function(function) {
            Some(found) if found.kind == super::FunctionKind::Reducer && !found.is_triggered() => {
                Ok(function)
            }
            _ => Err(ReplayFault::UnknownFunction(index)),
        }
    }

    pub(super) fn decode_schedules(
        &self,
        schedules: Schedules<'_>,
        time: Timestamp,
    ) -> Result<Vec<NewSchedule>, ReplayFault> {
        let mut decoded = Vec::new();
        for schedule in schedules.iter() {
            let target = self.callable(schedule.module, schedule.function)?;
            // What is late is due at the time of the call that schedules it.
            let at = u64::try_from(schedule.after).ok();
            let at = at.and_then(|after| time.0.checked_add_unsigned(after));
            let at = at.map(Timestamp).ok_or_else(|| ReplayFault::Time)?;
            let args = self.unpack_args(target, schedule.args)?;
            decoded.push(NewSchedule { target, at, args });
        }
        Ok(decoded)
    }

    pub(super) fn unpack_args(
        &self,
        target: FunctionRef,
        bytes: &[u8],
    ) -> Result<Vec<u8>, ReplayFault> {
        let function =
            self.function(target).ok_or_else(|| ReplayFault::UnknownFunction(target.index))?;
        let mut args = Vec::new();
        let mut reader = Reader::new(bytes);
        packed::unpack(function.args(), &mut reader, &mut args, VALUE_BYTES_MAX)?;
        reader.finish()?;
        Ok(args)
    }
}
