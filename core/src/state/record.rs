//! A commit with its types: what tools show.

use alloc::vec::Vec;

use abi::{bytes::Reader, layout::Layout, packed, schema::ModuleSchema};
use interstice_abi as abi;

use super::{CommittedState, ReplayError, ReplayFault, Trigger};
use crate::{
    ids::{FunctionRef, TableId, Timestamp, TxOffset},
    limits::{Limits, VALUE_BYTES_MAX},
    log::commit::{Body, Commit, Origin, Outcome},
    random::derived_seed,
};

/// A commit, read against the state before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its position.
    pub offset: TxOffset,
    /// Its time.
    pub time: Timestamp,
    /// The seed of its random sequence, given or derived.
    pub seed: u64,
    /// Whether the host gave the seed.
    pub seed_given: bool,
    /// Why it happened.
    pub cause: Cause,
    /// The arguments, in row layout.
    pub args: Vec<u8>,
    /// How it ended.
    pub outcome: RecordOutcome,
    /// The fuel it used.
    pub fuel: u64,
    /// The rows it changed.
    pub changes: Vec<RecordChange>,
    /// The calls it scheduled.
    pub schedules: Vec<RecordSchedule>,
    /// The hash of the state behind it.
    pub state_hash: u64,
    /// Its bytes, without the frame.
    pub len: usize,
    /// The limits of the commit before and those under which it was made, where
    /// it says that they have changed.
    pub limits: Option<[Limits; 2]>,
}

/// Why a commit happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// A module was installed or upgraded.
    Install {
        /// Its schema.
        schema: ModuleSchema,
        /// SHA-256 of its file.
        content_hash: [u8; 32],
        /// Length of its file in bytes.
        wasm_len: u64,
    },
    /// Nothing ran: it takes the place of a commit that was lost.
    Repair,
    /// A reducer was called.
    Call(FunctionRef),
    /// A subscription ran.
    Subscription {
        /// The reducer.
        target: FunctionRef,
        /// The commit that triggered it.
        trigger: TxOffset,
        /// Which of that commit's changes.
        change: u32,
        /// How many steps behind a call from outside.
        depth: u32,
    },
    /// A scheduled call ran.
    Schedule {
        /// The reducer.
        target: FunctionRef,
        /// The time it was scheduled for.
        at: Timestamp,
    },
}

impl Cause {
    /// The reducer that ran, if one did.
    pub fn target(&self) -> Option<FunctionRef> {
        match self {
            Self::Install { .. } | Self::Repair => None,
            Self::Call(target)
            | Self::Subscription { target, .. }
            | Self::Schedule { target, .. } => Some(*target),
        }
    }
}

/// How a recorded call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordOutcome {
    /// Its changes are committed. The result is in row layout, and empty when
    /// there is none.
    Committed(Vec<u8>),
    /// It was rolled back.
    Failed {
        /// See [`Failure::describe_code`](crate::Failure::describe_code).
        code: u8,
        /// The typed error, in row layout, when it returned one.
        error: Option<Vec<u8>>,
    },
}

/// One changed row, in row layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordChange {
    /// The table.
    pub table: TableId,
    /// The row before; `None` when it was inserted.
    pub old: Option<Vec<u8>>,
    /// The row after; `None` when it was deleted.
    pub new: Option<Vec<u8>>,
}

/// One scheduled call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSchedule {
    /// The reducer.
    pub target: FunctionRef,
    /// When it is due.
    pub at: Timestamp,
    /// Its arguments, in row layout.
    pub args: Vec<u8>,
}

impl CommittedState {
    /// Reads the commit at `offset`, the next one, without applying it.
    ///
    /// # Errors
    ///
    /// As [`replay`](Self::replay), except for the state hash.
    pub fn read(&self, offset: TxOffset, commit: &[u8]) -> Result<Record, ReplayError> {
        self.read_commit(offset, commit).map_err(|fault| ReplayError { offset, fault })
    }

    fn read_commit(&self, offset: TxOffset, bytes: &[u8]) -> Result<Record, ReplayFault> {
        if offset != self.next_offset {
            return Err(ReplayFault::Position { expected: self.next_offset });
        }
        let commit = Commit::decode(bytes)?;
        let time = self.time_after(commit.elapsed)?;
        let mut record = Record {
            offset,
            time,
            seed: commit.seed.unwrap_or(derived_seed(self.seed, offset)),
            seed_given: commit.seed.is_some(),
            cause: Cause::Call(FunctionRef { module: crate::ids::ModuleId(0), index: 0 }),
            args: Vec::new(),
            outcome: RecordOutcome::Committed(Vec::new()),
            fuel: 0,
            changes: Vec::new(),
            schedules: Vec::new(),
            state_hash: commit.state_hash,
            len: bytes.len(),
            limits: None,
        };
        if !commit.limits.is_empty() {
            record.limits = Some([self.recorded_limits(), Limits::decode(commit.limits)?]);
        }
        match commit.body {
            Body::Install { content_hash, wasm_len, schema } => {
                let schema = ModuleSchema::decode(schema)
                    .map_err(|error| ReplayFault::Install(super::InstallRefusal::schema(error)))?;
                let content_hash = *content_hash;
                record.cause = Cause::Install { schema, content_hash, wasm_len };
            }
            Body::Repair { changes, .. } => {
                record.cause = Cause::Repair;
                record.changes = self.read_changes(changes)?;
            }
            Body::Run { origin, outcome, fuel, schedules, changes } => {
                (record.cause, record.args) = self.read_origin(origin)?;
                record.fuel = fuel;
                record.outcome = self.read_outcome(record.cause.target(), outcome)?;
                record.changes = self.read_changes(changes)?;
                let schedules = self.decode_schedules(schedules, time)?.into_iter();
                record.schedules = schedules
                    .map(|s| RecordSchedule { target: s.target, at: s.at, args: s.args })
                    .collect();
            }
        }
        Ok(record)
    }

    fn read_origin(&self, origin: Origin<'_>) -> Result<(Cause, Vec<u8>), ReplayFault> {
        let trigger = self.trigger(origin)?;
        if let Origin::Call { module, function, args } = origin {
            let target = self.callable(module, function)?;
            return Ok((Cause::Call(target), self.unpack_args(target, args)?));
        }
        let (target, args) = self.next_target(trigger).ok_or_else(|| ReplayFault::NothingWaits)?;
        let cause = match (trigger, self.queue.front(), self.schedule.first_key_value()) {
            (Trigger::Subscription, Some(next), _) => Cause::Subscription {
                target,
                trigger: next.trigger,
                change: next.change,
                depth: next.depth,
            },
            (Trigger::Schedule, _, Some(((at, _), _))) => Cause::Schedule { target, at: *at },
            _ => return Err(ReplayFault::NothingWaits),
        };
        Ok((cause, args.to_vec()))
    }

    fn read_outcome(
        &self,
        target: Option<FunctionRef>,
        outcome: Outcome<'_>,
    ) -> Result<RecordOutcome, ReplayFault> {
        let function = target.and_then(|target| self.function(target));
        Ok(match outcome {
            Outcome::Committed { result } => {
                let layout = function.and_then(|function| function.returns());
                RecordOutcome::Committed(self.unpack_value(layout, result)?)
            }
            Outcome::Failed { code, error } => {
                let layout = function.and_then(|function| function.error());
                let error = if code == 1 { Some(self.unpack_value(layout, error)?) } else { None };
                RecordOutcome::Failed { code, error }
            }
        })
    }

    fn unpack_value(&self, layout: Option<&Layout>, bytes: &[u8]) -> Result<Vec<u8>, ReplayFault> {
        let mut value = Vec::new();
        let mut reader = Reader::new(bytes);
        if let Some(layout) = layout
            && !bytes.is_empty()
        {
            packed::unpack(layout, &mut reader, &mut value, VALUE_BYTES_MAX)?;
        }
        reader.finish()?;
        Ok(value)
    }

    fn read_changes(&self, changes: &[u8]) -> Result<Vec<RecordChange>, ReplayFault> {
        let mut reader = Reader::new(changes);
        let mut read = Vec::new();
        while let Some(write) = self.next_change(&mut reader)? {
            let old = self.table_by_id(write.table).and_then(|table| table.get(&write.key));
            read.push(RecordChange {
                table: write.table,
                old: old.map(<[u8]>::to_vec),
                new: write.new,
            });
        }
        Ok(read)
    }
}
