//! What is kept of a module file beside its code: the schema, and how much memory
//! a guest begins with.

use alloc::vec::Vec;

use interstice_abi::host_calls;
use wasmparser::{BinaryReaderError, Parser, Payload};

use crate::host_calls::cost;

/// The outline of a module file.
#[derive(Default)]
pub(super) struct Outline<'a> {
    /// The contents of the sections that are for a schema.
    pub(super) schema_sections: Vec<&'a [u8]>,
    /// Bytes that each memory begins with.
    pub(super) memories: Vec<u64>,
    /// What it takes to make an instance beside its memory, in units of fuel.
    instance_cost: u64,
}

impl<'a> Outline<'a> {
    /// Reads a module file, but not its code.
    pub(super) fn of(wasm: &'a [u8]) -> Result<Self, BinaryReaderError> {
        let mut outline = Self::default();
        for payload in Parser::new(0).parse_all(wasm) {
            outline.see(payload?)?;
        }
        Ok(outline)
    }

    /// Takes what it needs of a part of the file.
    fn see(&mut self, payload: Payload<'a>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::CustomSection(section) if section.name() == host_calls::SCHEMA_SECTION => {
                self.schema_sections.push(section.data());
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    let memory = memory?;
                    let page_log2 = memory.page_size_log2.unwrap_or(16);
                    self.memories.push(memory.initial.checked_shl(page_log2).unwrap_or(u64::MAX));
                }
            }
            Payload::FunctionSection(section) => {
                self.instance_cost += cost::INSTANCE_FUNCTION * u64::from(section.count());
            }
            Payload::GlobalSection(section) => {
                self.instance_cost += cost::INSTANCE_GLOBAL * u64::from(section.count());
            }
            Payload::ExportSection(section) => {
                self.instance_cost += cost::INSTANCE_EXPORT * u64::from(section.count());
            }
            Payload::ElementSection(section) => {
                self.instance_cost += section.range().len() as u64 / cost::SEGMENT_BYTES_PER_UNIT;
            }
            Payload::DataSection(section) => {
                self.instance_cost += section.range().len() as u64 / cost::SEGMENT_BYTES_PER_UNIT;
            }
            _ => {}
        }
        Ok(())
    }

    /// What a call into the module costs for its instance: as if it was made anew,
    /// which depends on what was called before.
    pub(super) fn instance_cost(&self) -> u64 {
        self.instance_cost + self.memory_bytes() / cost::MEMORY_BYTES_PER_UNIT
    }

    /// Bytes of memory that a guest begins with.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.memories.first().copied().unwrap_or(0)
    }
}
