//! Slots: the fixed part of a value, as a Rust type.
//!
//! The row layout puts the slots of a struct one behind the other, without
//! padding. A slot is therefore a byte array, or a [`Pair`] of slots: laid out
//! as in C, and aligned to one byte, a chain of pairs *is* the layout. Writing
//! a slot compiles to plain stores, reading one to plain loads.

use alloc::vec::Vec;
use core::{mem::MaybeUninit, slice};

/// Bytes that lie in memory exactly as in a row.
///
/// # Safety
///
/// The type has no padding and alignment 1, and every byte pattern is one of
/// its values.
#[doc(hidden)]
pub unsafe trait Slot: Copy + 'static {
    /// All bytes zero.
    const ZERO: Self;
}

// SAFETY: byte arrays have no padding, alignment 1 and no invalid pattern.
unsafe impl<const N: usize> Slot for [u8; N] {
    const ZERO: Self = [0; N];
}

// The end of a chain of pairs.
// SAFETY: the unit type has no bytes, and alignment 1.
unsafe impl Slot for () {
    const ZERO: Self = ();
}

/// A slot and the slots behind it.
#[doc(hidden)]
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Pair<A, B>(pub A, pub B);

// SAFETY: both parts have alignment 1, so C layout puts the second one directly
// behind the first and nothing behind that, and the pair has alignment 1 too.
unsafe impl<A: Slot, B: Slot> Slot for Pair<A, B> {
    const ZERO: Self = Self(A::ZERO, B::ZERO);
}

/// The bytes of a slot.
#[inline]
pub(crate) fn bytes<S: Slot>(slot: &S) -> &[u8] {
    // SAFETY: a slot has no padding, so all its bytes are initialised.
    unsafe { slice::from_raw_parts((&raw const *slot).cast(), size_of::<S>()) }
}

/// The bytes of a slot, to be overwritten.
#[inline]
pub(crate) fn bytes_mut<S: Slot>(slot: &mut S) -> &mut [u8] {
    // SAFETY: as in `bytes`; and whatever bytes are written make a valid slot.
    unsafe { slice::from_raw_parts_mut((&raw mut *slot).cast(), size_of::<S>()) }
}

/// The slot at the start of `bytes`, if they are long enough.
#[inline]
pub(crate) fn first<S: Slot>(bytes: &[u8]) -> Option<&S> {
    if bytes.len() < size_of::<S>() {
        return None;
    }
    // SAFETY: the bytes are there, a slot has alignment 1, and every byte
    // pattern is a valid slot. The reference keeps `bytes` borrowed.
    Some(unsafe { &*bytes.as_ptr().cast::<S>() })
}

/// The slot at the start of `bytes`, to be overwritten, if they are long enough.
#[inline]
pub(crate) fn first_mut<S: Slot>(bytes: &mut [u8]) -> Option<&mut S> {
    if bytes.len() < size_of::<S>() {
        return None;
    }
    // SAFETY: as in `first`; and a slot's bytes are initialised bytes.
    Some(unsafe { &mut *bytes.as_mut_ptr().cast::<S>() })
}

/// Appends `len` zero bytes, at once: `Vec::resize` writes one by one in a
/// module that is built to be small.
pub(crate) fn append_zeros(bytes: &mut Vec<u8>, len: usize) {
    bytes.reserve(len);
    if let Some(room) = bytes.spare_capacity_mut().get_mut(..len) {
        room.fill(MaybeUninit::new(0));
        let end = bytes.len().wrapping_add(len);
        // SAFETY: there was room, and these bytes were just written.
        unsafe { bytes.set_len(end) };
    }
}
