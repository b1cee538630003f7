//! The state hash, from its definition: the sum over everything, made anew.

use interstice_core::abi::ids::NameId;
use xxhash_rust::xxh64::xxh64;

use super::Model;

impl Model {
    /// The hash of the whole state.
    pub fn state_hash(&self) -> u64 {
        let mut sum = 0u64;
        let mut add = |bytes: &[u8], seed: u64| sum = sum.wrapping_add(xxh64(bytes, seed));
        for (table, contents) in self.tables.iter().zip(&self.contents) {
            let module = &self.modules[table.module].schema.module;
            let seed = xxh64(format!("{module}.{}", table.def.name).as_bytes(), 0);
            for row in contents.rows.values() {
                add(row, seed);
            }
            if contents.next != 1 {
                add(&contents.next.to_le_bytes(), seed.wrapping_add(1));
            }
        }
        for module in &self.modules {
            add(&[&module.content_hash, module.schema.module.as_bytes()].concat(), 2);
        }
        for waiting in &self.queue {
            let mut bytes = waiting.trigger.to_le_bytes().to_vec();
            bytes.extend_from_slice(&waiting.change.to_le_bytes());
            bytes.extend_from_slice(&(waiting.target.module as u32).to_le_bytes());
            bytes.extend_from_slice(&(waiting.target.function as u32).to_le_bytes());
            bytes.extend_from_slice(&waiting.depth.to_le_bytes());
            add(&bytes, 3);
        }
        for ((at, id), scheduled) in &self.schedule {
            let NameId(reducer) = scheduled.reducer;
            let mut bytes = id.to_le_bytes().to_vec();
            bytes.extend_from_slice(&at.to_le_bytes());
            bytes.extend_from_slice(&(scheduled.module as u32).to_le_bytes());
            bytes.extend_from_slice(&reducer.to_le_bytes());
            bytes.extend_from_slice(&scheduled.args);
            add(&bytes, 4);
        }
        sum
    }
}
