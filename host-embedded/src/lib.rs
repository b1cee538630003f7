//! Interstice on microcontrollers: the same core, the same modules, and the log
//! in flash.
//!
//! - [`flash_log`]: the log in a ring of NOR flash pages, blocking and async;
//!   that page specifies the format, and what it promises.
//! - [`io_log`]: the log on anything that reads, writes and seeks;
//! - [`Device`]: log, state and runtime of one device;
//! - [`stream`]: the bytes of a flash over a serial line, as `interstice log-pull` reads them;
//! - [`guide`]: from an empty firmware to a durable module.
//! - `mock_flash` (feature `_test`): a flash that loses power anywhere.
//!
//! It needs an allocator and atomics: Cortex-M3 and RV32IMAC are the smallest.
//!
//! # No panics
//!
//! In [`FlashLog`], [`IoLog`] and the [image](flash_log::image) of a log no panic is in
//! reach, whatever flash, medium and caller do, and where memory runs out. Every test run
//! shows it (`cargo xtask no-panic`): an image of all that can be done with them, in which
//! nothing is known of what surrounds them, is optimized, and then no call is left in it
//! that leads to a panic. It is a release build: where overflows are checked too, it says
//! nothing of those. It holds for [`AsyncFlashLog`] too, which they are made of,
//! as long as no future is polled again after it was ready; the compiler lets each future
//! panic then. It says nothing of the state either, which [`snapshot_of`](FlashLog::snapshot_of)
//! and [`Device`] encode and decode, nor of the runtime: they allocate as they please.
//!
//! # Example
//!
//! A module that is installed and called on a simulated flash, and a power cut.
//! Modules are written in Rust with `interstice-sdk`; this one is by hand, to
//! need nothing else.
//!
//! ```
//! use interstice_core::{
//!     Inputs, Limits, Timestamp,
//!     abi::schema::{FunctionDef, ModuleSchema},
//!     log::frame::LogHeader,
//! };
//! use interstice_embedded::{Device, FlashLog, mock_flash::MockFlash};
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
//! // Once, before the device is shipped: 16 pages of 4 KiB, words of 4 bytes.
//! let mut flash = MockFlash::<4, 4096>::new(16);
//! let header = LogHeader { log_id: [1; 16], seed: 42 };
//! let _ = FlashLog::<_>::format(&mut flash, header)?;
//!
//! // At every start.
//! let (mut device, _) = Device::<_>::open(&mut flash, &Limits::default(), &[&wasm])?;
//! device.runtime().install(&wasm, Inputs::at(Timestamp(0)))?;
//! let ping = device.runtime().reducer("demo", "ping")?;
//! device.runtime().call(ping, &[], Inputs::at(Timestamp(1)))?;
//! let hash = device.state().state_hash();
//! drop(device);
//!
//! // Power went, and comes back.
//! let (device, mounted) = Device::<_>::open(&mut flash, &Limits::default(), &[&wasm])?;
//! assert_eq!(device.state().state_hash(), hash);
//! assert_eq!(mounted.torn, None);
//! # Ok(())
//! # }
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod device;
#[doc = include_str!("../GUIDE.md")]
pub mod guide {}
pub mod flash_log;
mod io;
pub mod io_log;
mod memory;
#[cfg(feature = "_test")]
pub mod mock_flash;
pub mod stream;

pub use device::Device;
pub use flash_log::{AsyncFlashLog, FlashLog};
pub use io_log::IoLog;
