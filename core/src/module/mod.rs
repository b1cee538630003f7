//! Modules as code: loading them, and running them in instances.

pub(crate) mod instance;
mod load;
mod outline;
#[cfg(feature = "validate")]
mod rules;
pub(crate) mod trust;

pub use load::{Finding, LoadError, LoadedModule, content_hash, inspect};

pub(crate) use load::{Code, TRANSLATION, engine};
