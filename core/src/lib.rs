//! Interstice's core: tables that change only through recorded, deterministic
//! calls into WebAssembly modules.
//!
//! The core is a state machine. It has no I/O, no clock, no threads and no
//! randomness of its own; hosts hand it time, seeds and something to append
//! to. It runs on anything with an allocator and atomics.
//!
//! # The straight path
//!
//! ```text
//! call -> module instance -> host calls -> transaction -> commit -> log append -> apply -> subscriptions
//! ```
//!
//! - [`Runtime::call`] is that path, on one screen;
//! - [`CommittedState`] is what the commits have made, and
//!   [`CommittedState::replay`] makes it again from the log, without running
//!   WebAssembly;
//! - [`Reexecution`] runs the recorded calls again and compares everything;
//! - [`log`] is the format, and the [`Log`](log::Log) trait that hosts implement.
//!
//! # Invariants
//!
//! - Everything that can fail fails before anything is appended; applying
//!   cannot fail; nothing is applied before it is appended.
//! - Live calls and replay change the state through one function.
//! - A call's result depends on (module file, prior state, arguments, time,
//!   seed) and on nothing else.
//!
//! # Example
//!
//! A module in WebAssembly text form, installed, called and replayed. Modules
//! are written in Rust with `interstice-sdk`; this one is by hand to show what
//! the core itself needs.
//!
//! ```
//! use interstice_core::{
//!     CommittedState, Inputs, Limits, Runtime, Timestamp,
//!     abi::schema::{FunctionDef, ModuleSchema},
//!     log::{MemoryLog, frame::LogHeader},
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ping = FunctionDef { name: "ping".into(), ..FunctionDef::default() };
//! let schema = ModuleSchema { module: "demo".into(), reducers: vec![ping], ..Default::default() };
//! let section: String = schema.encode()?.iter().map(|byte| format!("\\{byte:02x}")).collect();
//! let wasm = wat::parse_str(format!(
//!     r#"(module
//!         (memory (export "memory") 1)
//!         (func (export "reducer.ping") (param i32))
//!         (@custom "interstice.schema" "{section}"))"#
//! ))?;
//!
//! let header = LogHeader { log_id: [1; 16], seed: 42 };
//! let state = CommittedState::new(header.seed, Limits::default());
//! let mut runtime = Runtime::new(state, MemoryLog::new(header));
//! runtime.install(&wasm, Inputs::at(Timestamp(0)))?;
//! let ping = runtime.reducer("demo", "ping")?;
//! runtime.call(ping, &[], Inputs::at(Timestamp(1)))?;
//!
//! let mut replayed = CommittedState::new(header.seed, Limits::default());
//! for (offset, commit) in runtime.log().frames()? {
//!     replayed.replay(offset, commit)?;
//! }
//! assert_eq!(replayed.state_hash(), runtime.state().state_hash());
//! # Ok(())
//! # }
//! ```
#![no_std]
// But for modules that somebody vouches for: see `module::trust`.
#![deny(unsafe_code)]
#![allow(
    clippy::unnecessary_lazy_evaluations,
    reason = "an error that is built and not needed is also dropped, on the path of every call"
)]

extern crate alloc;

pub use interstice_abi as abi;

mod error;
mod executor;
mod hash;
mod host_calls;
mod ids;
pub mod limits;
pub mod log;
mod module;
mod random;
mod reexecution;
mod runtime;
mod state;
mod transaction;
mod watch;
mod world;

pub use error::{Failure, Limit, Rule};
pub use ids::{FunctionRef, Inputs, ModuleId, TableId, Timestamp, TxOffset};
pub use limits::Limits;
pub use module::{Finding, LoadError, LoadedModule, content_hash, inspect};
pub use reexecution::{Difference, Differing, Reexecution, Step};
pub use runtime::{
    Answer, AttachError, CallError, CallErrorKind, Called, InstallError, Installed, Runtime,
    SubscriptionFailure,
};
pub use state::{
    Cause, CommittedState, Dependence, Function, FunctionKind, InstallRefusal, InstalledModule,
    Record, RecordChange, RecordOutcome, RecordSchedule, Refused, Repaired, ReplayError,
    ReplayFault, Table, snapshot,
};
pub use watch::CommittedChange;
pub use world::{GuestLine, GuestLog};
