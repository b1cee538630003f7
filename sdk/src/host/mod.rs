//! The host, as safe functions.
//!
//! On WebAssembly they are the host calls; natively a
//! [`TestHost`](crate::testing::TestHost) answers them.

#[cfg(target_arch = "wasm32")]
#[path = "wasm.rs"]
mod side;

#[cfg(not(target_arch = "wasm32"))]
#[path = "native.rs"]
mod side;

pub(crate) use side::*;

/// A scan that the host keeps open.
pub(crate) struct ScanHandle(i32);

/// A called function returned its error.
pub(crate) struct CallFailed {
    /// The error's length in bytes.
    pub(crate) error_len: usize,
}
