//! The host calls.
//!
//! The proofs below rest on the contract in `interstice_abi::host_calls`: the
//! host reads and writes exactly the memory it is told, and returns lengths of
//! what it wrote.

use alloc::{string::String, vec::Vec};
use core::{alloc::Layout, mem::MaybeUninit};

use interstice_abi::{host_calls, ids::NameId};

use super::{CallFailed, ScanHandle};
use crate::{encoding::malformed, function::Sink, log::Level, slot::Slot};

/// The host calls as they are, generated from the one list.
mod raw {
    macro_rules! imports {
        ($($(#[$doc:meta])* $name:ident($($param:ident: $ty:ident),*) $(-> $result:ident)?;)*) => {
            #[link(wasm_import_module = "interstice_1")]
            unsafe extern "C" {
                $($(#[$doc])* pub(super) fn $name($($param: $ty),*) $(-> $result)?;)*
            }
        };
    }
    interstice_abi::for_each_host_call!(imports);
}

const _: () = assert!(same(host_calls::MODULE, "interstice_1"), "the attribute above says it too");

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut index = 0;
    while index < a.len() && index < b.len() && a[index] == b[index] {
        index += 1;
    }
    index == a.len() && index == b.len()
}

fn ptr(bytes: &[u8]) -> i32 {
    bytes.as_ptr().addr() as i32
}

fn len(bytes: &[u8]) -> i32 {
    bytes.len() as i32
}

fn id(name: NameId) -> i32 {
    name.0 as i32
}

/// A length, where the host reports one condition only by a negative number.
fn length(code: i32) -> Option<usize> {
    usize::try_from(code).ok()
}

/// An empty vector with room for `len` bytes.
///
/// Does what `Vec::with_capacity` does, without what that does in case of a
/// failure: the arena has none. Modules are smaller and faster for it.
pub(crate) fn room(len: usize) -> Vec<u8> {
    match Layout::from_size_align(len, 1) {
        // SAFETY: the layout is not empty, the arena does not fail, and the
        // piece has the size and alignment that the vector is told.
        Ok(layout) if len > 0 => unsafe {
            Vec::from_raw_parts(alloc::alloc::alloc(layout), 0, len)
        },
        Ok(_) => Vec::new(),
        Err(_) => malformed(),
    }
}

/// Bytes of which the host writes `len`.
///
/// # Safety
///
/// `write` initialises `len` bytes behind the pointer it is passed.
unsafe fn written(len: usize, write: impl FnOnce(i32)) -> Vec<u8> {
    let mut bytes = room(len);
    write(bytes.as_mut_ptr().addr() as i32);
    // SAFETY: `len` bytes have room, and were initialised.
    unsafe { bytes.set_len(len) };
    bytes
}

pub(crate) fn args_slot<S: Slot>() -> S {
    let mut slot = MaybeUninit::<S>::uninit();
    if size_of::<S>() > 0 {
        // SAFETY: the host writes as many bytes as it announced; the caller
        // compared that with the slot's size.
        unsafe { raw::args_read(slot.as_mut_ptr().addr() as i32) };
    }
    // SAFETY: all bytes were written, and any bytes are a slot.
    unsafe { slot.assume_init() }
}

pub(crate) fn args_bytes(len: usize) -> Vec<u8> {
    // SAFETY: the host writes as many bytes as it announced: `len`.
    unsafe { written(len, |ptr| raw::args_read(ptr)) }
}

/// The result goes to the caller of this call.
pub(crate) struct Reply;

impl Sink for Reply {
    #[inline]
    fn ok(self, value: &[u8]) {
        // SAFETY: the host reads initialised bytes.
        unsafe { raw::return_ok(ptr(value), len(value)) }
    }

    #[inline]
    fn err(self, error: &[u8]) {
        // SAFETY: the host reads initialised bytes.
        unsafe { raw::return_err(ptr(error), len(error)) }
    }
}

/// False: there is a row with this key.
#[inline]
pub(crate) fn insert(table: NameId, row: &mut [u8]) -> bool {
    // SAFETY: the host reads the row, and writes into it; it is borrowed mutably.
    (unsafe { raw::insert(id(table), row.as_mut_ptr().addr() as i32, len(row)) }) >= 0
}

/// False: there is no row with this key.
#[inline]
pub(crate) fn update(table: NameId, row: &[u8]) -> bool {
    // SAFETY: the host reads initialised bytes.
    (unsafe { raw::update(id(table), ptr(row), len(row)) }) >= 0
}

/// False: there is no row with this key.
#[inline]
pub(crate) fn delete(table: NameId, key: &[u8]) -> bool {
    // SAFETY: the host reads initialised bytes.
    (unsafe { raw::delete(id(table), ptr(key), len(key)) }) >= 0
}

#[inline]
pub(crate) fn get_slot<S: Slot>(table: NameId, key: &[u8]) -> Option<S> {
    let mut slot = MaybeUninit::<S>::uninit();
    let start = slot.as_mut_ptr().addr() as i32;
    // SAFETY: the host reads the key, and writes at most the slot's size.
    let code = unsafe { raw::get(id(table), ptr(key), len(key), start, size_of::<S>() as i32) };
    match length(code) {
        // SAFETY: that many bytes were written, and any bytes are a slot.
        Some(len) if len == size_of::<S>() => Some(unsafe { slot.assume_init() }),
        Some(_) => malformed(),
        None => None,
    }
}

pub(crate) fn get_bytes(table: NameId, key: &[u8], slot_len: usize) -> Option<Vec<u8>> {
    // Most tails fit; a longer row is fetched again, with room for it.
    let mut row = room(slot_len.saturating_add(128));
    loop {
        let start = row.as_mut_ptr().addr() as i32;
        let capacity = row.capacity();
        // SAFETY: the host reads the key, and writes at most the capacity.
        let code = unsafe { raw::get(id(table), ptr(key), len(key), start, capacity as i32) };
        let len = length(code)?;
        if len <= capacity {
            // SAFETY: a row that fits is written in full.
            unsafe { row.set_len(len) };
            return Some(row);
        }
        row.reserve(len);
    }
}

pub(crate) fn contains(table: NameId, key: &[u8]) -> bool {
    // SAFETY: the host reads the key, and has no room to write to.
    (unsafe { raw::get(id(table), ptr(key), len(key), 0, 0) }) >= 0
}

pub(crate) fn scan_open(table: NameId, scan: &[u8]) -> ScanHandle {
    // SAFETY: the host reads initialised bytes.
    ScanHandle(unsafe { raw::scan_open(id(table), ptr(scan), len(scan)) })
}

/// Fills `buffer` with the next rows, up to its capacity. False: the next row
/// does not fit.
pub(crate) fn scan_next(scan: &ScanHandle, buffer: &mut Vec<u8>) -> bool {
    buffer.clear();
    let start = buffer.as_mut_ptr().addr() as i32;
    // SAFETY: the host writes at most the capacity.
    let code = unsafe { raw::scan_next(scan.0, start, buffer.capacity() as i32) };
    match length(code) {
        Some(written) => {
            // SAFETY: that many bytes were written, not more than the capacity.
            unsafe { buffer.set_len(written) };
            true
        }
        None => false,
    }
}

pub(crate) fn scan_close(scan: &ScanHandle) {
    // SAFETY: touches no memory.
    unsafe { raw::scan_close(scan.0) }
}

pub(crate) fn count(table: NameId, scan: &[u8]) -> u64 {
    // SAFETY: the host reads initialised bytes.
    (unsafe { raw::count(id(table), ptr(scan), len(scan)) }) as u64
}

pub(crate) fn delete_where(table: NameId, scan: &[u8]) -> u64 {
    // SAFETY: the host reads initialised bytes.
    (unsafe { raw::delete_where(id(table), ptr(scan), len(scan)) }) as u64
}

pub(crate) fn now() -> i64 {
    // SAFETY: touches no memory.
    unsafe { raw::now() }
}

pub(crate) fn random() -> u64 {
    // SAFETY: touches no memory.
    (unsafe { raw::random() }) as u64
}

pub(crate) fn log(level: Level, text: &str) {
    // SAFETY: the host reads initialised bytes.
    unsafe { raw::log(level as i32, ptr(text.as_bytes()), len(text.as_bytes())) }
}

pub(crate) fn panic(message: &[u8]) -> ! {
    // SAFETY: the host reads initialised bytes.
    unsafe { raw::panic(ptr(message), len(message)) }
    // The host call traps. Should it not, this does.
    core::arch::wasm32::unreachable()
}

pub(crate) fn schedule(reducer: NameId, args: &[u8], at: i64) {
    // SAFETY: the host reads initialised bytes.
    unsafe { raw::schedule(id(reducer), ptr(args), len(args), at) };
}

pub(crate) fn call(target: NameId, args: &[u8]) -> Result<usize, CallFailed> {
    // SAFETY: the host reads initialised bytes.
    match length(unsafe { raw::call(id(target), ptr(args), len(args)) }) {
        Some(len) => Ok(len),
        // SAFETY: touches no memory.
        None => Err(CallFailed { error_len: (unsafe { raw::error_len() }) as usize }),
    }
}

pub(crate) fn result_bytes(len: usize) -> Vec<u8> {
    // SAFETY: the host writes as many bytes as it announced: `len`.
    unsafe { written(len, |ptr| raw::result_read(ptr)) }
}

/// A copy of stored bytes.
pub(crate) fn copy(bytes: &[u8]) -> Vec<u8> {
    let mut copy = room(bytes.len());
    copy.extend_from_slice(bytes);
    copy
}

/// A stored string. The host has checked that it is UTF-8, as it checks every
/// value before it stores it or passes it to a guest; that it is read as what it
/// was checked as is the contract of `Column`, of `Table`, and of what calls.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> String {
    // SAFETY: as above. Checking again would cost every string that is read.
    unsafe { String::from_utf8_unchecked(copy(bytes)) }
}
