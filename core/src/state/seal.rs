//! Transaction -> what its commit says: the last place where it can fail.

use alloc::vec::Vec;

use abi::{bytes::write_varint_u64, packed};
use interstice_abi as abi;

use super::{CommittedState, Table, Trigger, change_kind};
use crate::{
    error::{Failure, Limit},
    hash,
    ids::{TableId, Timestamp},
    log::commit::{Schedule, encode_schedule},
    state::subscription::Pending,
    transaction::{NewSchedule, Transaction, Write},
};

pub(crate) const CHANGE_INSERT: u64 = 0;
pub(crate) const CHANGE_UPDATE: u64 = 1;
pub(crate) const CHANGE_DELETE: u64 = 2;

/// Buffers that sealing fills; kept from call to call.
#[derive(Debug, Default)]
pub(crate) struct Seal {
    /// The packed changes.
    pub(crate) changes: Vec<u8>,
    /// The encoded schedules.
    pub(crate) schedules: Vec<u8>,
    scratch: Vec<u8>,
    tables: Vec<TableTotals>,
}

/// What a sealed transaction comes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed {
    pub(crate) state_hash: u64,
}

/// What a transaction does to one table.
#[derive(Debug)]
struct TableTotals {
    table: TableId,
    next_number: u64,
    bytes_added: u64,
    bytes_removed: u64,
}

/// The running totals of sealing.
struct Totals {
    hash: u64,
    changes: u32,
    queued: usize,
    /// Bytes of the arguments of all that will wait.
    waiting_bytes: u64,
}

impl CommittedState {
    /// Turns a transaction into the bytes and the state hash of its commit.
    /// Writes that leave a row as it was are dropped.
    ///
    /// # Errors
    ///
    /// When the commit would exceed a limit.
    pub(crate) fn seal(
        &self,
        trigger: Trigger,
        time: Timestamp,
        transaction: &mut Transaction,
        seal: &mut Seal,
    ) -> Result<Sealed, Failure> {
        seal.clear();
        let depth = self.depth(trigger);
        let mut totals = Totals {
            hash: self.hash.wrapping_sub(self.taken_hash(trigger)),
            changes: 0,
            queued: self.queue.len() - usize::from(trigger == Trigger::Subscription),
            waiting_bytes: self.waiting_bytes - self.taken_bytes(trigger),
        };
        let mut failed = None;
        transaction.retain_writes(|write| {
            if failed.is_some() {
                return false;
            }
            match self.seal_write(write, depth, seal, &mut totals) {
                Ok(keep) => keep,
                Err(failure) => {
                    failed = Some(failure);
                    false
                }
            }
        });
        if let Some(failure) = failed {
            return Err(failure);
        }
        for table in &seal.tables {
            self.check_budget(table, &mut totals)?;
        }
        self.seal_schedules(trigger, time, transaction, seal, &mut totals)?;
        Ok(Sealed { state_hash: totals.hash })
    }

    fn seal_write(
        &self,
        write: &mut Write,
        depth: u32,
        seal: &mut Seal,
        totals: &mut Totals,
    ) -> Result<bool, Failure> {
        let Some(table) = self.table_by_id(write.table) else { return Ok(false) };
        let old = if write.existed { table.get(&write.key) } else { None };
        let new = write.new.as_deref();
        if old == new {
            return Ok(false);
        }
        seal.write_change(table, old, new)?;
        let hash = |row: Option<&[u8]>| row.map_or(0, |row| hash::row(table.hash_seed(), row));
        write.hash = hash(new);
        totals.hash = totals.hash.wrapping_add(write.hash).wrapping_sub(hash(old));
        seal.count(table, &write.key, old, new);
        let bytes = [old, new].into_iter().flatten().map(<[u8]>::len).sum();
        let kind = change_kind(old.is_some(), new.is_some());
        self.seal_routes(table, kind, bytes, depth, totals)?;
        totals.changes += 1;
        Ok(true)
    }

    /// Counts and hashes the subscriptions that a change will queue. `bytes`: of
    /// the rows that they will be given.
    fn seal_routes(
        &self,
        table: &Table,
        change: abi::schema::AccessSet,
        bytes: usize,
        depth: u32,
        totals: &mut Totals,
    ) -> Result<(), Failure> {
        for route in self.routes.of(table.id()).iter().filter(|route| route.change == change) {
            if depth >= self.limits.subscription_depth {
                return Err(Failure::Limit(Limit::SubscriptionDepth {
                    table: table.name().into(),
                    limit: self.limits.subscription_depth,
                }));
            }
            totals.queued += 1;
            if totals.queued > self.limits.queue_len {
                return Err(Failure::Limit(Limit::Queue { limit: self.limits.queue_len }));
            }
            self.wait_for(bytes, totals)?;
            let pending = Pending {
                trigger: self.next_offset,
                change: totals.changes,
                target: route.target,
                depth: depth + 1,
                args: Default::default(),
            };
            totals.hash = totals.hash.wrapping_add(pending.hash());
        }
        Ok(())
    }

    /// Counts the arguments of something that will wait.
    fn wait_for(&self, bytes: usize, totals: &mut Totals) -> Result<(), Failure> {
        totals.waiting_bytes += bytes as u64;
        match self.limits.waiting_bytes {
            limit if totals.waiting_bytes > limit => Err(Failure::Limit(Limit::Waiting { limit })),
            _ => Ok(()),
        }
    }

    fn check_budget(&self, change: &TableTotals, totals: &mut Totals) -> Result<(), Failure> {
        let Some(table) = self.table_by_id(change.table) else { return Ok(()) };
        let bytes = (table.bytes() + change.bytes_added).saturating_sub(change.bytes_removed);
        if bytes > self.limits.table_bytes && change.bytes_added > change.bytes_removed {
            return Err(Failure::Limit(Limit::Table {
                table: table.name().into(),
                bytes,
                limit: self.limits.table_bytes,
            }));
        }
        totals.hash = totals
            .hash
            .wrapping_sub(hash::sequence(table.hash_seed(), table.next_number()))
            .wrapping_add(hash::sequence(table.hash_seed(), change.next_number));
        Ok(())
    }

    fn seal_schedules(
        &self,
        trigger: Trigger,
        time: Timestamp,
        transaction: &Transaction,
        seal: &mut Seal,
        totals: &mut Totals,
    ) -> Result<(), Failure> {
        let schedules = transaction.schedules();
        let waiting = self.schedule.len() - usize::from(trigger == Trigger::Schedule);
        if !schedules.is_empty() && waiting + schedules.len() > self.limits.schedule_len {
            return Err(Failure::Limit(Limit::Schedule { limit: self.limits.schedule_len }));
        }
        for (id, schedule) in (self.next_schedule..).zip(schedules) {
            seal.scratch.clear();
            if let Some(function) = self.function(schedule.target) {
                packed::pack(function.args(), &schedule.args, &mut seal.scratch)
                    .map_err(value_error)?;
            }
            let encoded = Schedule {
                module: schedule.target.module.0,
                function: schedule.target.index,
                after: schedule.at.0.wrapping_sub(time.0),
                args: &seal.scratch,
            };
            encode_schedule(&encoded, &mut seal.schedules);
            let NewSchedule { target, at, args } = schedule;
            self.wait_for(args.len(), totals)?;
            let hash = self.scheduled_hash(id, *at, *target, args);
            totals.hash = totals.hash.wrapping_add(hash);
        }
        Ok(())
    }
}

impl Seal {
    pub(crate) fn clear(&mut self) {
        self.changes.clear();
        self.schedules.clear();
        self.scratch.clear();
        self.tables.clear();
    }

    /// Packs one change.
    fn write_change(
        &mut self,
        table: &Table,
        old: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<(), Failure> {
        let out = &mut self.changes;
        let head = u64::from(table.id().0) << 2;
        match (old, new) {
            (_, Some(new)) if old.is_none() => {
                write_varint_u64(out, head | CHANGE_INSERT);
                packed::pack(table.layout(), new, out)
            }
            (Some(old), Some(new)) => {
                write_varint_u64(out, head | CHANGE_UPDATE);
                packed::pack_columns(table.layout(), new, table.key_mask(), out)
                    .map_err(value_error)?;
                let changed = packed::changed_columns(table.layout(), old, new);
                write_varint_u64(out, changed);
                packed::pack_columns(table.layout(), new, changed, out)
            }
            (Some(old), None) => {
                write_varint_u64(out, head | CHANGE_DELETE);
                packed::pack_columns(table.layout(), old, table.key_mask(), out)
            }
            _ => Ok(()),
        }
        .map_err(value_error)
    }

    fn count(&mut self, table: &Table, key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) {
        let index = self.tables.iter().position(|totals| totals.table == table.id());
        let index = index.unwrap_or_else(|| {
            self.tables.push(TableTotals {
                table: table.id(),
                next_number: table.next_number(),
                bytes_added: 0,
                bytes_removed: 0,
            });
            self.tables.len() - 1
        });
        let Some(totals) = self.tables.get_mut(index) else { return };
        if let Some(new) = new {
            totals.bytes_added += Table::weight(key, new);
            if old.is_none()
                && let Some(auto) = table.auto()
            {
                totals.next_number = auto.advance(totals.next_number, new);
            }
        }
        if let Some(old) = old {
            totals.bytes_removed += Table::weight(key, old);
        }
    }
}

/// Rows and arguments are checked before they get here, so this is not met.
fn value_error(error: abi::layout::LayoutError) -> Failure {
    Failure::Rule(crate::error::Rule::Value { place: "row".into(), error })
}
