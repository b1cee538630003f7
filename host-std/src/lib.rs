//! Interstice on desktops and servers: a library, and the `interstice` binary.
//!
//! [`core`] is a state machine that knows no files, no clock and no terminal.
//! This crate gives it all three:
//!
//! - [`database`]: a [`Database`](database::Database), which is a data directory, its
//!   state, and the runtime that changes it. Start here;
//! - [`node`]: a database on a thread of its own, for many callers;
//! - [`persistence`]: how it is kept: durability, segments, snapshots, retention;
//! - [`data_dir`]: the directory: lock, log, snapshots, module files;
//! - [`file_log`]: the log in files: segments, append, sync, torn tails, damage;
//! - [`snapshots`]: states in files;
//! - [`device_log`]: the log of a device, as a data directory;
//! - [`flash_plan`]: how large a log in flash must be, and how long the flash lasts;
//! - [`log_check`]: everything that is wrong with a log;
//! - [`recovery`]: saving what can be saved of it;
//! - [`file_system`]: what all of it needs of a disk;
//! - [`text`]: values as JSON, YAML, CSV and words of a command line;
//! - [`feed`]: many calls from a file of rows;
//! - [`build`]: module projects into module files, with cargo;
//! - [`cli`]: the commands of the binary.
//!
//! # Example
//!
//! Modules are written in Rust with `interstice-sdk` and built with
//! `interstice build`. This one is by hand, to be a whole program in one place:
//! it has a reducer `ping` that does nothing.
//!
//! ```
//! use interstice::{core::abi::schema::{FunctionDef, ModuleSchema}, database::Database};
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
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("data");
//! let mut database = Database::create(&path)?;
//! database.install(&wasm)?;
//! let ping = database.reducer("demo", "ping")?;
//! let called = database.call(ping, &[])?; // On the disk when it returns.
//! assert_eq!(called.offset.0, 1);
//! let hash = database.state().state_hash();
//! drop(database);
//!
//! // Opening replays the log.
//! let database = Database::open(&path)?;
//! assert_eq!(database.state().state_hash(), hash);
//! assert_eq!(database.opening().commits, 2);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod build;
pub mod cli;
mod clock;
pub mod data_dir;
pub mod database;
pub mod device_log;
pub mod feed;
pub mod file_log;
pub mod file_system;
pub mod flash_plan;
pub mod log_check;
mod module_files;
pub mod node;
mod ownership;
mod paths;
pub mod persistence;
pub mod recovery;
pub mod snapshots;
pub mod text;

pub use interstice_core as core;
