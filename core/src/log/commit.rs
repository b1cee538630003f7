//! Commits: the unit of durability. See the [format](super).
//!
//! [`Commit`] is a commit's envelope. It decodes without a schema; what is
//! packed inside it needs the types in force, which
//! [`CommittedState::read`](crate::CommittedState::read) has.

use alloc::vec::Vec;

use abi::bytes::{
    DecodeError, DecodeFault, Reader, unzigzag, write_bytes, write_varint_u64, zigzag,
};
use interstice_abi as abi;

use crate::limits::Limits;

/// What a commit says, with everything packed still packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit<'a> {
    /// Microseconds since the commit before.
    pub elapsed: u64,
    /// The seed the host gave, if it gave one.
    pub seed: Option<u64>,
    /// The limits under which this and the next commits were made, where they
    /// are not those of the commit before: what
    /// [`CommittedState::recorded_limits`](crate::CommittedState::recorded_limits)
    /// says behind it. Otherwise empty.
    pub limits: &'a [u8],
    /// What happened.
    pub body: Body<'a>,
    /// The hash of the state behind this commit.
    pub state_hash: u64,
}

/// What a commit records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// A module was installed or upgraded.
    Install {
        /// SHA-256 of the module file.
        content_hash: &'a [u8; 32],
        /// Its length in bytes.
        wasm_len: u64,
        /// Its schema section.
        schema: &'a [u8],
    },
    /// It takes the place of one that was lost, or that cannot be repeated.
    Repair {
        /// Whether it takes the earliest scheduled call off.
        takes_schedule: bool,
        /// The rows it changes, packed.
        changes: &'a [u8],
    },
    /// A reducer ran.
    Run {
        /// Why.
        origin: Origin<'a>,
        /// How it ended.
        outcome: Outcome<'a>,
        /// The fuel it used.
        fuel: u64,
        /// The calls it scheduled.
        schedules: Schedules<'a>,
        /// The rows it changed, packed.
        changes: &'a [u8],
    },
}

/// Why a reducer ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// It was called.
    Call {
        /// Number of its module.
        module: u32,
        /// Its number in the module.
        function: u32,
        /// The arguments, packed.
        args: &'a [u8],
    },
    /// A subscription: the oldest that was queued.
    Subscription,
    /// Its time had come: the earliest that was scheduled.
    Schedule,
}

/// How a recorded call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// Its changes are committed.
    Committed {
        /// Its result, packed; empty when there is none.
        result: &'a [u8],
    },
    /// It was rolled back.
    Failed {
        /// The code of the failure: [`Failure::code`](crate::Failure::code).
        code: u8,
        /// For code 1 the typed error, packed.
        error: &'a [u8],
    },
}

/// The calls that a commit scheduled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Schedules<'a> {
    count: u32,
    bytes: &'a [u8],
}

/// One call that a commit scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule<'a> {
    /// Number of the reducer's module.
    pub module: u32,
    /// The reducer's number in the module.
    pub function: u32,
    /// When, in microseconds from the commit's time.
    pub after: i64,
    /// The arguments, packed.
    pub args: &'a [u8],
}

const CAUSE_MASK: u8 = 0x07;
const CAUSE_CALL: u8 = 0;
const CAUSE_SUBSCRIPTION: u8 = 1;
const CAUSE_SCHEDULE: u8 = 2;
const CAUSE_INSTALL: u8 = 3;
const CAUSE_REPAIR: u8 = 4;
const HAS_SEED: u8 = 0x08;
const HAS_RESULT: u8 = 0x10;
const FAILED: u8 = 0x20;
const HAS_SCHEDULES: u8 = 0x40;
const HAS_LIMITS: u8 = 0x80;
/// The code of a failure that carries a typed error.
const CODE_ERROR: u8 = 1;
const FAILURE_CODES: core::ops::RangeInclusive<u8> = 1..=5;
const STATE_HASH_LEN: usize = 8;

impl<'a> Commit<'a> {
    /// Appends the commit's bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.tag());
        write_varint_u64(out, self.elapsed);
        if let Some(seed) = self.seed {
            out.extend_from_slice(&seed.to_le_bytes());
        }
        if !self.limits.is_empty() {
            write_bytes(out, self.limits);
        }
        match &self.body {
            Body::Install { content_hash, wasm_len, schema } => {
                out.extend_from_slice(*content_hash);
                write_varint_u64(out, *wasm_len);
                write_bytes(out, schema);
            }
            Body::Repair { takes_schedule, changes } => {
                out.push(u8::from(*takes_schedule));
                out.extend_from_slice(changes);
            }
            Body::Run { origin, outcome, fuel, schedules, changes } => {
                if let Origin::Call { module, function, args } = origin {
                    write_varint_u64(out, u64::from(*module));
                    write_varint_u64(out, u64::from(*function));
                    write_bytes(out, args);
                }
                match outcome {
                    Outcome::Committed { result: [] } => {}
                    Outcome::Committed { result } => write_bytes(out, result),
                    Outcome::Failed { code, error } => {
                        out.push(*code);
                        if *code == CODE_ERROR {
                            write_bytes(out, error);
                        }
                    }
                }
                write_varint_u64(out, *fuel);
                if schedules.count > 0 {
                    write_varint_u64(out, u64::from(schedules.count));
                    out.extend_from_slice(schedules.bytes);
                }
                out.extend_from_slice(changes);
            }
        }
        out.extend_from_slice(&self.state_hash.to_le_bytes());
    }

    fn tag(&self) -> u8 {
        let seed = if self.seed.is_some() { HAS_SEED } else { 0 };
        let limits = if self.limits.is_empty() { 0 } else { HAS_LIMITS };
        let (origin, outcome, schedules) = match &self.body {
            Body::Install { .. } => return CAUSE_INSTALL | seed | limits,
            Body::Repair { .. } => return CAUSE_REPAIR | limits,
            Body::Run { origin, outcome, schedules, .. } => (origin, outcome, schedules),
        };
        let cause = match origin {
            Origin::Call { .. } => CAUSE_CALL,
            Origin::Subscription => CAUSE_SUBSCRIPTION,
            Origin::Schedule => CAUSE_SCHEDULE,
        };
        let outcome = match outcome {
            Outcome::Committed { result: [] } => 0,
            Outcome::Committed { .. } => HAS_RESULT,
            Outcome::Failed { .. } => FAILED,
        };
        let schedules = if schedules.count > 0 { HAS_SCHEDULES } else { 0 };
        cause | seed | outcome | schedules | limits
    }

    /// Reads a commit that makes up all of `bytes`.
    ///
    /// # Errors
    ///
    /// When the bytes are no commit; nothing is copied or allocated.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let unknown_tag = reader.fault(DecodeFault::Tag);
        let tag = reader.byte()?;
        if tag & FAILED != 0 && tag & (HAS_RESULT | HAS_SCHEDULES) != 0 {
            return Err(unknown_tag);
        }
        let elapsed = reader.varint_u64()?;
        let seed = match tag & HAS_SEED {
            0 => None,
            _ => Some(u64::from_le_bytes(reader.array()?)),
        };
        let mut limits: &[u8] = &[];
        if tag & HAS_LIMITS != 0 {
            limits = reader.bytes()?;
            let at = reader.position();
            Limits::check(limits).map_err(|error| DecodeError { at, ..error })?;
        }
        let body = match tag & CAUSE_MASK {
            CAUSE_INSTALL if tag & !(CAUSE_MASK | HAS_SEED | HAS_LIMITS) == 0 => {
                let hash = reader.take(32)?;
                let wasm_len = reader.varint_u64()?;
                let schema = reader.bytes()?;
                // Taken with exactly this length.
                let content_hash = hash.first_chunk().ok_or(unknown_tag)?;
                Body::Install { content_hash, wasm_len, schema }
            }
            CAUSE_REPAIR if tag & !(CAUSE_MASK | HAS_LIMITS) == 0 => {
                let takes_schedule = match reader.byte()? {
                    0 => false,
                    1 => true,
                    _ => return Err(unknown_tag),
                };
                Body::Repair { takes_schedule, changes: take_changes(&mut reader)? }
            }
            CAUSE_CALL => {
                let origin = Origin::Call {
                    module: reader.varint_u32()?,
                    function: reader.varint_u32()?,
                    args: reader.bytes()?,
                };
                Self::decode_run(tag, origin, &mut reader)?
            }
            CAUSE_SUBSCRIPTION => Self::decode_run(tag, Origin::Subscription, &mut reader)?,
            CAUSE_SCHEDULE => Self::decode_run(tag, Origin::Schedule, &mut reader)?,
            _ => return Err(unknown_tag),
        };
        let state_hash = u64::from_le_bytes(reader.array()?);
        reader.finish()?;
        Ok(Self { elapsed, seed, limits, body, state_hash })
    }

    fn decode_run(
        tag: u8,
        origin: Origin<'a>,
        reader: &mut Reader<'a>,
    ) -> Result<Body<'a>, DecodeError> {
        let fault = reader.fault(DecodeFault::Tag);
        let failed = tag & FAILED != 0;
        if failed && matches!(origin, Origin::Call { .. }) {
            return Err(fault);
        }
        let outcome = if failed {
            let code = reader.byte()?;
            if !FAILURE_CODES.contains(&code) {
                return Err(fault);
            }
            let error = if code == CODE_ERROR { reader.bytes()? } else { &[] };
            Outcome::Failed { code, error }
        } else if tag & HAS_RESULT != 0 {
            let result = reader.bytes()?;
            if result.is_empty() {
                return Err(fault);
            }
            Outcome::Committed { result }
        } else {
            Outcome::Committed { result: &[] }
        };
        let fuel = reader.varint_u64()?;
        let schedules = if tag & HAS_SCHEDULES != 0 {
            Schedules::decode(reader)?
        } else {
            Schedules::default()
        };
        let changes = take_changes(reader)?;
        if failed && !changes.is_empty() {
            return Err(fault);
        }
        Ok(Body::Run { origin, outcome, fuel, schedules, changes })
    }
}

/// Everything up to the state hash.
fn take_changes<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let len = reader.remaining().checked_sub(STATE_HASH_LEN);
    reader.take(len.ok_or(reader.fault(DecodeFault::UnexpectedEnd))?)
}

impl<'a> Schedules<'a> {
    /// Schedules that [`encode_schedule`] has written one behind the other.
    pub fn from_encoded(count: u32, bytes: &'a [u8]) -> Self {
        Self { count, bytes }
    }

    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let none = reader.fault(DecodeFault::Tag);
        let count = reader.varint_u32()?;
        if count == 0 {
            return Err(none);
        }
        let mut ahead = reader.clone();
        for _ in 0..count {
            Schedule::decode(&mut ahead)?;
        }
        let bytes = reader.take(ahead.position() - reader.position())?;
        Ok(Self { count, bytes })
    }

    /// The schedules, in order.
    pub fn iter(&self) -> impl Iterator<Item = Schedule<'a>> + use<'a> {
        let mut reader = Reader::new(self.bytes);
        (0..self.count).map_while(move |_| Schedule::decode(&mut reader).ok())
    }
}

impl<'a> Schedule<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            module: reader.varint_u32()?,
            function: reader.varint_u32()?,
            after: unzigzag(reader.varint_u64()?),
            args: reader.bytes()?,
        })
    }
}

/// Appends one schedule to those of a commit.
pub fn encode_schedule(schedule: &Schedule<'_>, out: &mut Vec<u8>) {
    write_varint_u64(out, u64::from(schedule.module));
    write_varint_u64(out, u64::from(schedule.function));
    write_varint_u64(out, zigzag(schedule.after));
    write_bytes(out, schedule.args);
}
