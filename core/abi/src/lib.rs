//! The contract between Interstice's core and its guest modules.
//!
//! Both sides depend on this crate and on nothing of each other. It knows
//! bytes and types; it does not know WebAssembly engines, logs, files or
//! flash, and it builds for targets without atomics.
//!
//! In the order in which a row travels:
//!
//! - [`schema`]: the types, tables, reducers and queries of a module, and the
//!   custom section that carries them;
//! - [`layout`]: how a row lies in memory, in the guest and in the host;
//! - [`key`]: order-preserving bytes of primary keys;
//! - [`filter`]: key ranges and predicates of a scan, as data;
//! - [`packed`]: how a row lies in the log;
//! - [`value`]: a row as a tree, for tools;
//! - [`host_calls`] and [`errno`]: what a guest may ask of its host.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bytes;
pub mod errno;
pub mod filter;
pub mod host_calls;
pub mod ids;
pub mod key;
mod key_bytes;
pub mod layout;
pub mod packed;
pub mod schema;
mod twice;
pub mod value;

pub use twice::twice;

/// Major version of the guest interface. It is part of [`host_calls::MODULE`].
pub const ABI_VERSION: u32 = 1;
