//! Interstice on microcontrollers.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod flash_log;
#[cfg(feature = "_test")]
pub mod mock_flash;

pub use flash_log::{AsyncFlashLog, FlashLog};
