//! The host, as safe functions.
//!
//! On WebAssembly they are the host calls; natively a
//! [`TestHost`](crate::testing::TestHost) answers them.

use alloc::vec::Vec;

#[cfg(target_arch = "wasm32")]
#[path = "wasm.rs"]
mod side;

#[cfg(not(target_arch = "wasm32"))]
#[path = "native.rs"]
mod side;

pub(crate) use side::*;

/// Room for at least `len` bytes.
#[expect(clippy::reserve_after_initialization, reason = "`with_capacity` is more code in a guest")]
pub(crate) fn room(len: usize) -> Vec<u8> {
    let mut room = Vec::new();
    room.reserve(len);
    room
}

/// A scan that the host keeps open.
pub(crate) struct ScanHandle(i32);

/// A called function returned its error.
pub(crate) struct CallFailed {
    /// The error's length in bytes.
    pub(crate) error_len: usize,
}
