//! What only a WebAssembly module needs: memory, panics, exports.

mod arena;
mod export;
mod panic;

pub use export::run;
