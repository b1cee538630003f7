//! Interstice's test harness: one history, many ways to run it.
//!
//! Everything here is deterministic. A run is made from one seed, and the same
//! seed makes the same run, on every machine.
//!
//! - [`guest`] makes modules out of WebAssembly text and a schema, without a
//!   compiler; [`guest::script`] is a module whose calls do what their
//!   arguments say;
//! - [`model`] is a second implementation of everything a call means: plain
//!   maps, copied for every transaction;
//! - [`workload`] makes modules, rows, scripts and calls out of a seed;
//! - [`simulation`] runs a workload against runtime and model, compares them
//!   after every call, and then replays and re-executes the log;
//! - [`properties`] is what holds for every log;
//! - [`fixture`] is a runtime for tests of one behaviour;
//! - [`failing_log`] is a log whose storage fails when told to;
//! - [`faults`] is a disk that forgets, tears and refuses.

#![forbid(unsafe_code)]

pub mod failing_log;
pub mod faults;
pub mod fixture;
pub mod guest;
pub mod model;
pub mod properties;
pub mod random;
pub mod simulation;
pub mod workload;

pub use fixture::Fixture;
pub use guest::{Function, Guest};
