//! Commits behind a gap in the log: what of them still holds.
//!
//! The state hash is a sum, so what a commit adds to it can be compared with
//! what it added when it was recorded, whatever is missing from the state: equal
//! means that nothing it touched depends on what was lost.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::fmt;

use abi::{bytes::Reader, schema::ModuleSchema};
use interstice_abi as abi;

use super::{
    CommittedState, InstallRefusal, ReplayFault, Trigger, change_kind, subscription::Pending,
};
use crate::{
    hash,
    ids::{TableId, Timestamp},
    log::commit::{Body, Commit, Origin, Schedules},
    transaction::{NewSchedule, Write},
};

/// What has become of a commit behind a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repaired {
    /// It does not depend on anything lost: kept, with its inputs.
    Kept,
    /// It does, or may: of its changes those that fit the rows were taken over.
    TakenOver {
        /// Why it is not kept.
        why: Dependence,
        /// Changes taken over.
        taken: u32,
        /// Changes that do not fit.
        left: u32,
    },
    /// Nothing of it could be used.
    Lost {
        /// Why.
        why: Dependence,
    },
}

/// Why a commit behind a gap is not kept as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dependence {
    /// The hash before it is lost, so that it cannot be compared.
    Unverified,
    /// It had another effect on the state when it was recorded.
    Effect,
    /// It does not fit the state at all.
    Misfit(ReplayFault),
}

impl fmt::Display for Dependence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unverified => f.write_str("it follows lost commits directly"),
            Self::Effect => f.write_str("it depends on rows or numbers that lost commits made"),
            Self::Misfit(fault) => fault.fmt(f),
        }
    }
}

impl CommittedState {
    /// Takes the place of the next commit, which is lost. What waited in the
    /// queue is dropped: whether it ran is not known. Returns the commit that
    /// says so.
    pub fn repair_lost(&mut self) -> Vec<u8> {
        self.apply_repair(false, Vec::new(), self.time);
        self.encode_repair(0, &[], false, &[])
    }

    /// Repeats what the next commit says as far as it still holds behind a gap.
    /// `before` is the recorded hash of the state before it, unless that is
    /// lost; tables from number `tables_known` on may have had another number.
    ///
    /// Returns the commit that takes its place, and what has become of it.
    pub fn repair(
        &mut self,
        bytes: &[u8],
        before: Option<u64>,
        tables_known: usize,
    ) -> (Vec<u8>, Repaired) {
        let why = match self.keep(bytes, before) {
            Ok(kept) => return (kept, Repaired::Kept),
            Err(why) => why,
        };
        match self.take_over(bytes, tables_known) {
            Some((commit, taken, left)) if taken > 0 || left == 0 => {
                (commit, Repaired::TakenOver { why, taken, left })
            }
            Some((commit, ..)) => (commit, Repaired::Lost { why }),
            None => (self.repair_lost(), Repaired::Lost { why }),
        }
    }

    /// Applies the next commit if its effect is the one that was recorded, where
    /// the state before it had the hash `before`. Returns it with the hash that
    /// the state has now.
    ///
    /// # Errors
    ///
    /// When it had another effect, or does not fit. Nothing has changed then.
    pub fn keep(&mut self, bytes: &[u8], before: Option<u64>) -> Result<Vec<u8>, Dependence> {
        let misfit = Dependence::Misfit;
        let mut commit =
            Commit::decode(bytes).map_err(|error| misfit(ReplayFault::Decode(error)))?;
        let time = self.time_after(commit.elapsed).map_err(misfit)?;
        match &commit.body {
            Body::Repair { takes_schedule, changes } => {
                let writes = self.decode_repair(*takes_schedule, changes).map_err(misfit)?;
                let before = before.ok_or(Dependence::Unverified)?;
                let effect = self.hash_behind_repair(*takes_schedule, &writes);
                if effect.wrapping_sub(self.hash) != commit.state_hash.wrapping_sub(before) {
                    return Err(Dependence::Effect);
                }
                self.apply_repair(*takes_schedule, writes, time);
            }
            Body::Install { content_hash, wasm_len, schema } => {
                let decoded = ModuleSchema::decode(schema)
                    .map_err(|error| misfit(ReplayFault::Install(InstallRefusal::schema(error))))?;
                let plan = self
                    .plan_install(decoded, content_hash, *wasm_len)
                    .map_err(|refusal| misfit(ReplayFault::Install(refusal)))?;
                self.apply_install(plan, time);
            }
            Body::Run { origin, schedules, changes, .. } => {
                let (trigger, writes, schedules) =
                    self.decode_run(*origin, time, *schedules, changes).map_err(misfit)?;
                let before = before.ok_or(Dependence::Unverified)?;
                let effect = self.hash_behind(trigger, &writes, &schedules).wrapping_sub(self.hash);
                if effect != commit.state_hash.wrapping_sub(before) {
                    return Err(Dependence::Effect);
                }
                self.refuse_crowd(commit.limits, trigger, &writes, &schedules).map_err(misfit)?;
                self.apply(trigger, time, &writes, schedules.into_iter());
            }
        }
        self.record_limits(commit.limits);
        commit.state_hash = self.hash;
        let mut out = Vec::with_capacity(bytes.len());
        commit.encode(&mut out);
        Ok(out)
    }

    fn decode_run(
        &self,
        origin: Origin<'_>,
        time: Timestamp,
        schedules: Schedules<'_>,
        changes: &[u8],
    ) -> Result<(Trigger, Vec<Write>, Vec<NewSchedule>), ReplayFault> {
        let trigger = self.trigger(origin)?;
        if trigger == Trigger::Schedule && self.next_due().is_some_and(|due| due > time) {
            return Err(ReplayFault::NothingWaits);
        }
        let schedules = self.decode_schedules(schedules, time)?;
        Ok((trigger, self.decode_fitting(changes)?, schedules))
    }

    fn decode_repair(
        &self,
        takes_schedule: bool,
        changes: &[u8],
    ) -> Result<Vec<Write>, ReplayFault> {
        if takes_schedule && self.schedule.is_empty() {
            return Err(ReplayFault::NothingWaits);
        }
        self.decode_fitting(changes)
    }

    /// Changes that all fit the rows.
    fn decode_fitting(&self, changes: &[u8]) -> Result<Vec<Write>, ReplayFault> {
        let mut reader = Reader::new(changes);
        let mut writes = Vec::new();
        while let Some(write) = self.next_change(&mut reader)? {
            if !self.fits(&write) {
                let table = self.table_by_id(write.table).map_or("?", |table| table.name());
                return Err(ReplayFault::Row { table: table.into() });
            }
            writes.push(write);
        }
        self.refuse_written_twice(&writes)?;
        Ok(writes)
    }

    /// Whether the row is there or not as the write says.
    fn fits(&self, write: &Write) -> bool {
        let table = self.table_by_id(write.table);
        table.is_some_and(|table| table.get(&write.key).is_some() == write.existed)
    }

    /// The hash of the state that [`apply`](Self::apply) would lead to.
    fn hash_behind(&self, trigger: Trigger, writes: &[Write], schedules: &[NewSchedule]) -> u64 {
        let mut sum = self.hash.wrapping_sub(self.taken_hash(trigger));
        sum = sum.wrapping_add(self.rows_hash(writes));
        let depth = self.depth(trigger).saturating_add(1);
        for (change, write) in (0..).zip(writes) {
            let Some(table) = self.table_by_id(write.table) else { continue };
            let old = table.get(&write.key);
            let kind = change_kind(old.is_some(), write.new.is_some());
            for route in self.routes.of(table.id()).iter().filter(|route| route.change == kind) {
                let (trigger, target) = (self.next_offset, route.target);
                let pending = Pending { trigger, change, target, depth, args: Default::default() };
                sum = sum.wrapping_add(pending.hash());
            }
        }
        for (id, schedule) in (self.next_schedule..).zip(schedules) {
            let NewSchedule { target, at, args } = schedule;
            sum = sum.wrapping_add(self.scheduled_hash(id, *at, *target, args));
        }
        sum
    }

    /// The hash of the state that [`apply_repair`](Self::apply_repair) would
    /// lead to.
    fn hash_behind_repair(&self, takes_schedule: bool, writes: &[Write]) -> u64 {
        let mut sum = self.hash.wrapping_add(self.rows_hash(writes));
        for pending in &self.queue {
            sum = sum.wrapping_sub(pending.hash());
        }
        if takes_schedule {
            sum = sum.wrapping_sub(self.taken_hash(Trigger::Schedule));
        }
        sum
    }

    /// What writes add to the hash by rows and by numbers that are given.
    fn rows_hash(&self, writes: &[Write]) -> u64 {
        let mut sum = 0u64;
        let mut numbers: BTreeMap<TableId, u64> = BTreeMap::new();
        for write in writes {
            let Some(table) = self.table_by_id(write.table) else { continue };
            let old = table.get(&write.key);
            let row = |row: Option<&[u8]>| row.map_or(0, |row| hash::row(table.hash_seed(), row));
            sum = sum.wrapping_add(row(write.new.as_deref())).wrapping_sub(row(old));
            if let (None, Some(new), Some(auto)) = (old, &write.new, table.auto()) {
                let number = numbers.entry(table.id()).or_insert(table.next_number());
                *number = auto.advance(*number, new);
            }
        }
        for (table, number) in numbers {
            let Some(table) = self.table_by_id(table) else { continue };
            sum = sum
                .wrapping_sub(hash::sequence(table.hash_seed(), table.next_number()))
                .wrapping_add(hash::sequence(table.hash_seed(), number));
        }
        sum
    }

    /// Applies the changes of a commit that fit. Returns the commit that says
    /// so, and how many do and do not; `None` when it does not decode.
    fn take_over(&mut self, bytes: &[u8], tables_known: usize) -> Option<(Vec<u8>, u32, u32)> {
        let commit = Commit::decode(bytes).ok()?;
        let time = self.time_after(commit.elapsed).ok()?;
        let (changes, recorded_take) = match commit.body {
            Body::Run { origin, changes, .. } => (changes, matches!(origin, Origin::Schedule)),
            Body::Repair { takes_schedule, changes } => (changes, takes_schedule),
            Body::Install { .. } => return None,
        };
        let takes_schedule = recorded_take && !self.schedule.is_empty();
        let (mut kept, mut writes, mut left) = (Vec::new(), Vec::new(), 0);
        let mut written = BTreeSet::new();
        let mut reader = Reader::new(changes);
        while reader.remaining() > 0 {
            let start = reader.position();
            match self.next_change(&mut reader) {
                Ok(Some(write)) => {
                    let known = (write.table.0 as usize) < tables_known;
                    let place = (write.table, write.key.clone());
                    if known && self.fits(&write) && written.insert(place) {
                        let end = reader.position();
                        kept.extend_from_slice(changes.get(start..end).unwrap_or_default());
                        writes.push(write);
                    } else {
                        left += 1;
                    }
                }
                // An update of a row that is missing ends at no known byte.
                Ok(None) | Err(_) => {
                    left += 1;
                    break;
                }
            }
        }
        let taken = writes.len() as u32;
        self.apply_repair(takes_schedule, writes, time);
        self.record_limits(commit.limits);
        let repair = self.encode_repair(commit.elapsed, commit.limits, takes_schedule, &kept);
        Some((repair, taken, left))
    }

    /// Applies a repair: what waited in the queue is dropped, and nothing is
    /// queued. Returns the first table whose rows a write does not fit.
    pub(super) fn apply_repair(
        &mut self,
        takes_schedule: bool,
        writes: Vec<Write>,
        time: Timestamp,
    ) -> Option<TableId> {
        for pending in self.queue.drain(..) {
            self.hash = self.hash.wrapping_sub(pending.hash());
            self.waiting_bytes -= pending.args.len() as u64;
        }
        if takes_schedule {
            self.hash = self.hash.wrapping_sub(self.taken_hash(Trigger::Schedule));
            self.waiting_bytes -= self.taken_bytes(Trigger::Schedule);
            self.schedule.pop_first();
        }
        let mut misfit = None;
        for Write { table: id, key, existed, new, hash } in writes {
            let Some(table) = self.tables.get_mut(id.0 as usize) else { continue };
            let (old, delta) = table.apply(&key, new.as_deref(), hash, &mut self.old_row);
            self.hash = self.hash.wrapping_add(delta);
            if old.is_some() != existed {
                misfit.get_or_insert(id);
            }
        }
        self.forget_old_row();
        self.time = time;
        self.next_offset = self.next_offset.next();
        misfit
    }

    /// The commit that has just been applied.
    fn encode_repair(
        &self,
        elapsed: u64,
        limits: &[u8],
        takes_schedule: bool,
        changes: &[u8],
    ) -> Vec<u8> {
        let body = Body::Repair { takes_schedule, changes };
        let mut out = Vec::new();
        Commit { elapsed, seed: None, limits, body, state_hash: self.hash }.encode(&mut out);
        out
    }
}
