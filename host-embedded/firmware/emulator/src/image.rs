//! What an image takes of a board's memories.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use object::{Object as _, ObjectSection as _};

/// Bytes of an image.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ImageSize {
    /// Instructions, and tables of the processor.
    pub(crate) code: u64,
    /// Constants, and first values of statics.
    pub(crate) constants: u64,
    /// Statics, which are in RAM.
    pub(crate) statics: u64,
}

impl ImageSize {
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| path.display().to_string())?;
        let elf = object::File::parse(&*bytes)?;
        let mut size = Self::default();
        for section in elf.sections() {
            let bytes = section.size();
            match section.name()? {
                ".vector_table" | ".text" => size.code += bytes,
                ".rodata" => size.constants += bytes,
                ".data" => {
                    size.constants += bytes;
                    size.statics += bytes;
                }
                ".bss" | ".uninit" => size.statics += bytes,
                _ => {}
            }
        }
        Ok(size)
    }
}
