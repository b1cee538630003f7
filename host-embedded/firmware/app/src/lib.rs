//! A weather station: takes readings over a serial line, and keeps what they
//! lead to in flash.
//!
//! This is the whole application; what differs between boards is behind
//! [`Board`]. [`run`] is the path of a device: mount, then one command after
//! another.
//!
//! - [`command`](Command): the lines that come in;
//! - [`Station`]: the module, its tables and its log;
//! - `led`: what the device does about alarms;
//! - `report`, `self_test`: the answers that are longer than a line;
//! - [`heap`], [`stack`]: memory, and how much of it was ever used.
//!
//! Invariant: `ok` goes out when the reading and everything it led to would
//! survive a power cut, and not before.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod board;
mod command;
mod decimal;
pub mod heap;
mod led;
mod limits;
mod line;
#[cfg(target_os = "none")]
mod panic;
mod report;
mod run;
mod self_test;
pub mod stack;
mod station;

pub use board::{Board, Part};
pub use command::{Command, CommandError};
pub use run::run;
pub use station::{Station, StationError};

/// The module that the firmware carries: `sdk/examples/weather`.
pub const WEATHER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/weather.wasm"));

/// Its content hash, of when it was validated.
const WEATHER_HASH: &[u8; 32] = include_bytes!(concat!(env!("OUT_DIR"), "/weather.hash"));
