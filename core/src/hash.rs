//! The hashes that the state hash sums.
//!
//! Specified in [the log's format](crate::log#state-hash).

use alloc::vec::Vec;

use interstice_abi::ids::NameId;
use xxhash_rust::xxh64::xxh64;

use crate::ids::{FunctionRef, ModuleId, Timestamp, TxOffset};

/// The seed of a table's rows.
pub(crate) fn table_seed(module: &str, table: &str) -> u64 {
    let mut name = Vec::with_capacity(module.len() + table.len() + 1);
    name.extend_from_slice(module.as_bytes());
    name.push(b'.');
    name.extend_from_slice(table.as_bytes());
    xxh64(&name, 0)
}

#[inline]
pub(crate) fn row(table_seed: u64, row: &[u8]) -> u64 {
    xxh64(row, table_seed)
}

/// A sequence that has not numbered anything does not count.
pub(crate) fn sequence(table_seed: u64, next: u64) -> u64 {
    if next == 1 { 0 } else { xxh64(&next.to_le_bytes(), table_seed.wrapping_add(1)) }
}

pub(crate) fn module(name: &str, content_hash: &[u8; 32]) -> u64 {
    let mut bytes = Vec::with_capacity(32 + name.len());
    bytes.extend_from_slice(content_hash);
    bytes.extend_from_slice(name.as_bytes());
    xxh64(&bytes, 2)
}

pub(crate) fn pending(trigger: TxOffset, change: u32, target: FunctionRef, depth: u32) -> u64 {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&trigger.0.to_le_bytes());
    bytes[8..12].copy_from_slice(&change.to_le_bytes());
    bytes[12..16].copy_from_slice(&target.module.0.to_le_bytes());
    bytes[16..20].copy_from_slice(&target.index.to_le_bytes());
    bytes[20..].copy_from_slice(&depth.to_le_bytes());
    xxh64(&bytes, 3)
}

pub(crate) fn scheduled(
    id: u64,
    at: Timestamp,
    module: ModuleId,
    reducer: NameId,
    args: &[u8],
) -> u64 {
    let mut bytes = Vec::with_capacity(24 + args.len());
    bytes.extend_from_slice(&id.to_le_bytes());
    bytes.extend_from_slice(&at.0.to_le_bytes());
    bytes.extend_from_slice(&module.0.to_le_bytes());
    // By name: an upgrade numbers the reducers anew.
    bytes.extend_from_slice(&reducer.0.to_le_bytes());
    bytes.extend_from_slice(args);
    xxh64(&bytes, 4)
}
