//! Modules that are known to be valid, for programs that do not validate.
//!
//! Validation is a fifth of the code on a device, and a device whose modules are
//! a part of its firmware has no use for it: they were validated when that was
//! built. Without the feature `validate` only such modules are loaded, and they
//! are known by their content hash: one that is not what it was is refused.

use alloc::vec::Vec;

use wasmi::{Engine, Module};

/// The content hashes of files that somebody vouches for.
#[derive(Debug, Default)]
pub(crate) struct Trusted(Vec<[u8; 32]>);

impl Trusted {
    /// Takes the file with this content hash for valid.
    ///
    /// # Safety
    ///
    /// It has to be one that [`LoadedModule::new`](super::LoadedModule::new) loads
    /// where it validates.
    #[allow(unsafe_code)]
    pub(crate) unsafe fn add(&mut self, content_hash: [u8; 32]) {
        self.0.push(content_hash);
    }

    /// The engine's module of a file with this content hash: valid, because it is
    /// validated here.
    #[cfg(feature = "validate")]
    pub(super) fn translate(
        &self,
        engine: &Engine,
        wasm: &[u8],
        _: &[u8; 32],
    ) -> Result<Module, Refused> {
        Module::new(engine, wasm).map_err(Refused::Invalid)
    }

    /// The engine's module of a file with this content hash: valid, because it is
    /// trusted.
    #[cfg(not(feature = "validate"))]
    #[allow(unsafe_code)]
    pub(super) fn translate(
        &self,
        engine: &Engine,
        wasm: &[u8],
        content_hash: &[u8; 32],
    ) -> Result<Module, Refused> {
        if !self.0.contains(content_hash) {
            return Err(Refused::Untrusted);
        }
        // SAFETY: the engine wants a valid module. Whoever has added its hash has
        // promised that this is one.
        unsafe { Module::new_unchecked(engine, wasm) }.map_err(Refused::Invalid)
    }
}

/// Why a file is not translated.
pub(super) enum Refused {
    /// It is not valid.
    Invalid(wasmi::Error),
    /// Nobody vouches for it, and it is not validated here.
    #[cfg(not(feature = "validate"))]
    Untrusted,
}
