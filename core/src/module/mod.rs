//! Modules as code: loading them, and running them in instances.

pub(crate) mod instance;
mod load;
mod scan;

pub use load::{Finding, LoadError, LoadedModule, inspect};

pub(crate) use load::{Code, TRANSLATION, engine};
