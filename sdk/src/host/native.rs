//! The host calls in native tests: answered by the
//! [`TestHost`](crate::testing::TestHost) that runs the call.

use alloc::{string::String, vec::Vec};
use std::borrow::ToOwned;

use interstice_abi::ids::NameId;

use super::{CallFailed, ScanHandle};
use crate::{
    log::Level,
    slot::{self, Slot},
    testing::{call_external, world},
};

pub(crate) fn insert(table: NameId, row: &mut [u8]) -> bool {
    world(|world| world.insert(table, row))
}

pub(crate) fn update(table: NameId, row: &[u8]) -> bool {
    world(|world| world.update(table, row))
}

pub(crate) fn delete(table: NameId, key: &[u8]) -> bool {
    world(|world| world.delete(table, key))
}

pub(crate) fn get_slot<S: Slot>(table: NameId, key: &[u8]) -> Option<S> {
    let row = world(|world| world.get(table, key))?;
    slot::first(&row).copied()
}

pub(crate) fn get_bytes(table: NameId, key: &[u8], _slot_len: usize) -> Option<Vec<u8>> {
    world(|world| world.get(table, key))
}

pub(crate) fn contains(table: NameId, key: &[u8]) -> bool {
    world(|world| world.get(table, key)).is_some()
}

pub(crate) fn scan_open(table: NameId, scan: &[u8]) -> ScanHandle {
    ScanHandle(world(|world| world.scan_open(table, scan)))
}

pub(crate) fn scan_next(scan: &ScanHandle, buffer: &mut Vec<u8>) -> bool {
    buffer.clear();
    world(|world| world.scan_next(scan.0, buffer))
}

pub(crate) fn scan_close(scan: &ScanHandle) {
    // Also runs while a failed test unwinds; then there may be no host.
    if !std::thread::panicking() {
        world(|world| world.scan_close(scan.0));
    }
}

pub(crate) fn count(table: NameId, scan: &[u8]) -> u64 {
    world(|world| world.matching(table, scan).len() as u64)
}

pub(crate) fn delete_where(table: NameId, scan: &[u8]) -> u64 {
    world(|world| world.delete_where(table, scan))
}

pub(crate) fn now() -> i64 {
    world(|world| world.now().micros())
}

pub(crate) fn random() -> u64 {
    world(|world| world.random())
}

pub(crate) fn log(level: Level, text: &str) {
    world(|world| world.log(level, text));
}

pub(crate) fn panic(message: &[u8]) -> ! {
    panic!("{}", String::from_utf8_lossy(message))
}

pub(crate) fn schedule(reducer: NameId, args: &[u8], at: i64) {
    world(|world| world.schedule(reducer, args, at));
}

pub(crate) fn call(target: NameId, args: &[u8]) -> Result<usize, CallFailed> {
    call_external(target, args).map_err(|error_len| CallFailed { error_len })
}

pub(crate) fn result_bytes(_len: usize) -> Vec<u8> {
    world(|world| world.take_result())
}

pub(crate) fn room(len: usize) -> Vec<u8> {
    Vec::with_capacity(len)
}

pub(crate) fn copy(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => crate::encoding::malformed(),
    }
}
