//! Modules as code: loading them, and running them in instances.

use alloc::{
    borrow::ToOwned,
    string::{String, ToString},
};

pub(crate) mod instance;
mod load;
mod outline;
#[cfg(feature = "validate")]
mod rules;
pub(crate) mod trust;

pub use load::{Finding, LoadError, LoadedModule, content_hash, inspect};

pub(crate) use load::{Code, TRANSLATION, engine};

/// What to do about a file that `interstice build` would not make.
const BUILD_IT: &str = "build it with `interstice build`";

/// What the engine says, in words. A program that does not validate has modules of
/// which it says nothing, and no room for what it could say.
fn engine_text(error: &wasmi::Error) -> String {
    match cfg!(feature = "validate") {
        true => error.to_string(),
        false => "the engine does not run it".to_owned(),
    }
}
