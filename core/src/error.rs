//! Why calls fail. Everything here is deterministic: a recorded failure fails
//! the same way when it is re-executed.

use alloc::{string::String, vec::Vec};
use core::fmt;

use abi::{filter::FilterError, layout::LayoutError};
use interstice_abi as abi;

/// Why a call was rolled back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The reducer or query returned its error: the value, in row layout.
    Error(Vec<u8>),
    /// The guest panicked, or the engine trapped.
    Trap {
        /// The panic's message and place, or the engine's reason.
        reason: String,
    },
    /// The call used up its fuel.
    OutOfFuel {
        /// [`Limits::fuel_per_call`](crate::Limits::fuel_per_call).
        limit: u64,
    },
    /// The guest broke a rule of a host call. Modules built with the SDK do not.
    Rule(Rule),
    /// A limit was reached.
    Limit(Limit),
    /// The arguments are not canonical row layout of the parameters: nothing ran.
    Arguments(LayoutError),
    /// The host could not run it, for a reason of its own, such as a lack of memory.
    Host {
        /// The reason.
        reason: String,
    },
    /// The module is installed, but its code was not given to this runtime.
    CodeMissing,
}

impl Failure {
    /// The code in the log: see the [format](crate::log#commit).
    pub fn code(&self) -> u8 {
        match self {
            Self::Error(_) => 1,
            Self::Trap { .. } => 2,
            Self::OutOfFuel { .. } => 3,
            Self::Rule(_) => 4,
            Self::Limit(_) => 5,
            // Not in a log: the call has not run.
            Self::Arguments(_) | Self::Host { .. } | Self::CodeMissing => 0,
        }
    }

    /// What a code from the log means, in words.
    pub fn describe_code(code: u8) -> &'static str {
        match code {
            1 => "returned its error",
            2 => "panicked or trapped",
            3 => "ran out of fuel",
            4 => "broke a rule of a host call",
            5 => "reached a limit",
            _ => "failed for an unknown reason",
        }
    }
}

/// A rule of the guest interface that a guest broke.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// A range that is not inside the guest's memory.
    Memory {
        /// Where it begins.
        ptr: u32,
        /// Its bytes.
        len: u32,
    },
    /// A value that is not canonical row layout.
    Value {
        /// What it should be: a table's row or key, arguments, a result.
        place: String,
        /// What is wrong with it.
        error: LayoutError,
    },
    /// A scan's description that does not fit the table.
    Scan {
        /// The table.
        table: String,
        /// What is wrong with it.
        error: FilterError,
    },
    /// A table that the module does not have.
    UnknownTable {
        /// The identifier the guest gave.
        id: u32,
    },
    /// A table that the function does not declare for this operation.
    Undeclared {
        /// The operation.
        operation: &'static str,
        /// The table.
        table: String,
    },
    /// A handle that names no open scan.
    UnknownScan {
        /// The handle.
        handle: u32,
    },
    /// A result or error was set twice.
    ResultTwice,
    /// The function declares a result or error type and gave none, or gave one
    /// that it does not declare.
    ResultMismatch,
    /// A function of another module that the caller does not declare.
    UndeclaredCall {
        /// The identifier the guest gave.
        id: u32,
    },
    /// A call into a module that is already running in this transaction.
    Reentrant {
        /// The module.
        module: String,
    },
    /// A query tried to call a reducer, or to schedule one.
    ReadOnly,
    /// A reducer that this module does not have, or that waits for something
    /// and cannot be scheduled.
    UnknownReducer {
        /// The identifier the guest gave.
        id: u32,
    },
    /// `result_read` without a `call` before it.
    NoResult,
}

/// A limit that a call reached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// [`Limits::table_bytes`](crate::Limits::table_bytes).
    Table {
        /// The table.
        table: String,
        /// The bytes it would have.
        bytes: u64,
        /// The bytes it may have.
        limit: u64,
    },
    /// [`Limits::transaction_rows`](crate::Limits::transaction_rows) or
    /// [`Limits::transaction_bytes`](crate::Limits::transaction_bytes).
    Transaction,
    /// [`Limits::value_bytes`](crate::Limits::value_bytes).
    Value {
        /// The bytes of the value.
        bytes: usize,
        /// The bytes it may have.
        limit: usize,
    },
    /// The auto-increment column has no number left.
    Sequence {
        /// The table.
        table: String,
    },
    /// [`Limits::subscription_depth`](crate::Limits::subscription_depth).
    SubscriptionDepth {
        /// The table whose change would have gone one step too far.
        table: String,
        /// The limit.
        limit: u32,
    },
    /// [`Limits::queue_len`](crate::Limits::queue_len).
    Queue {
        /// The limit.
        limit: usize,
    },
    /// [`Limits::schedule_len`](crate::Limits::schedule_len).
    Schedule {
        /// The limit.
        limit: usize,
    },
    /// [`Limits::waiting_bytes`](crate::Limits::waiting_bytes).
    Waiting {
        /// The limit.
        limit: u64,
    },
    /// [`Limits::key_bytes`](crate::Limits::key_bytes).
    Key {
        /// The table.
        table: String,
        /// The limit.
        limit: usize,
    },
    /// [`Limits::open_scans`](crate::Limits::open_scans).
    Scans {
        /// The limit.
        limit: usize,
    },
    /// [`Limits::call_depth`](crate::Limits::call_depth).
    CallDepth {
        /// The limit.
        limit: usize,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(_) => f.write_str("it returned an error"),
            Self::Trap { reason } => f.write_str(reason),
            Self::OutOfFuel { limit } => write!(f, "it used up its {limit} units of fuel"),
            Self::Rule(rule) => rule.fmt(f),
            Self::Limit(limit) => limit.fmt(f),
            Self::Arguments(error) => write!(f, "malformed arguments: {error}"),
            Self::Host { reason } => write!(f, "the host could not run it: {reason}"),
            Self::CodeMissing => f.write_str("the module's file is missing"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { ptr, len } => {
                write!(f, "it passed {len} bytes at {ptr}, which is not in its memory")
            }
            Self::Value { place, error } => write!(f, "it passed a malformed {place}: {error}"),
            Self::Scan { table, error } => {
                write!(f, "it passed a malformed scan of table `{table}`: {error}")
            }
            Self::UnknownTable { id } => {
                write!(f, "it named the table {id:#010x}, which its module does not have")
            }
            Self::Undeclared { operation, table } => {
                write!(f, "it does not declare to {operation} table `{table}`")
            }
            Self::UnknownScan { handle } => write!(f, "it named scan {handle}, which is not open"),
            Self::ResultTwice => f.write_str("it set its result twice"),
            Self::ResultMismatch => f.write_str("what it returned is not what its schema declares"),
            Self::UndeclaredCall { id } => {
                write!(f, "it called the function {id:#010x}, which it does not declare")
            }
            Self::Reentrant { module } => write!(
                f,
                "it called into module `{module}`, which is already running in this transaction"
            ),
            Self::ReadOnly => f.write_str("a query cannot run or schedule a reducer"),
            Self::UnknownReducer { id } => {
                write!(f, "it scheduled {id:#010x}, which is no reducer that can be called")
            }
            Self::NoResult => f.write_str("it read the result of a call it did not make"),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table { table, bytes, limit } => {
                write!(f, "table `{table}` would have {bytes} bytes; its budget is {limit}")
            }
            Self::Transaction => f.write_str("it changed more than one transaction may hold"),
            Self::Value { bytes, limit } => {
                write!(f, "it passed a value of {bytes} bytes; the limit is {limit}")
            }
            Self::Sequence { table } => {
                write!(f, "the auto-increment column of table `{table}` has no number left")
            }
            Self::SubscriptionDepth { table, limit } => write!(
                f,
                "its change of table `{table}` would run a subscription more than {limit} steps behind the first call"
            ),
            Self::Queue { limit } => write!(f, "more than {limit} subscriptions would wait"),
            Self::Schedule { limit } => write!(f, "more than {limit} scheduled calls would wait"),
            Self::Waiting { limit } => {
                write!(f, "what waits to run would have more than {limit} bytes of arguments")
            }
            Self::Key { table, limit } => {
                write!(f, "a key of table `{table}` has more than {limit} bytes")
            }
            Self::Scans { limit } => write!(f, "it opened more than {limit} scans at once"),
            Self::CallDepth { limit } => {
                write!(f, "it called more than {limit} modules deep")
            }
        }
    }
}

impl core::error::Error for Failure {}
