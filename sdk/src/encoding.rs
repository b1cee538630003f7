//! Values <-> bytes in row layout.
//!
//! Sums here are of sizes of what is in memory and cannot overflow. They are
//! written as `wrapping_add` so that modules, which are built with overflow
//! checks, carry no code for that.
//!
//! A value is its slot, followed by its tail: the contents of strings, lists
//! and enum payloads, depth first. [`Encode`] returns the slot and appends to
//! the [`Tail`]; that this happens field by field is what makes the encoding
//! canonical.

use alloc::vec::Vec;
use core::mem::ManuallyDrop;

use crate::{
    column::Column,
    host,
    slot::{self, Pair, Slot},
};

/// Writes itself in row layout: column types, references to them, keys,
/// arguments.
#[doc(hidden)]
pub trait Encode {
    /// The fixed part.
    type Slot: Slot;
    /// Whether there is never a tail.
    const IS_FIXED: bool;
    /// Appends the value's tail to `tail`, and returns its slot.
    fn encode(&self, tail: &mut Tail) -> Self::Slot;
}

/// Reads itself from row layout: column types, arguments.
#[doc(hidden)]
pub trait Decode: Encode + Sized {
    /// The value with this slot, in the stored value `stored`.
    fn decode(slot: &Self::Slot, stored: Stored<'_>) -> Self;
}

impl<T: Column> Encode for T {
    type Slot = <T as Column>::Slot;
    const IS_FIXED: bool = <T as Column>::IS_FIXED;

    #[inline]
    fn encode(&self, tail: &mut Tail) -> Self::Slot {
        Column::encode(self, tail)
    }
}

impl<T: Column> Decode for T {
    #[inline]
    fn decode(slot: &Self::Slot, stored: Stored<'_>) -> Self {
        Column::decode(slot, stored)
    }
}

/// A value under construction: room for the top slot, and behind it the tail
/// as far as it was written.
#[doc(hidden)]
pub struct Tail {
    bytes: Vec<u8>,
}

/// A string's, list's or enum payload's place: offset and length.
pub(crate) type Place = [u8; 8];

/// The slot of an enum with payload: tag, and offset of the payload.
#[doc(hidden)]
pub type Tagged = Pair<[u8; 1], [u8; 4]>;

impl Tail {
    fn behind_slot(slot_len: usize) -> Self {
        // Room for a short tail, too: growing step by step takes longer.
        let mut tail = Self { bytes: host::room(slot_len.wrapping_add(64)) };
        tail.reserve(slot_len);
        tail
    }

    /// Appends the content of a string or of bytes.
    #[inline]
    pub(crate) fn content(&mut self, content: &[u8]) -> Place {
        let place = self.place(content.len());
        self.bytes.extend_from_slice(content);
        place
    }

    /// Appends a list: the slots of its elements, then their tails.
    pub(crate) fn list<T: Column>(&mut self, items: &[T]) -> Place {
        let place = self.place(items.len());
        if T::IS_FIXED {
            for item in items {
                let slot = item.encode(self);
                self.bytes.extend_from_slice(slot::bytes(&slot));
            }
            return place;
        }
        let mut at = self.reserve(items.len().wrapping_mul(size_of::<T::Slot>()));
        for item in items {
            let slot = item.encode(self);
            self.put(at, &slot);
            at = at.wrapping_add(size_of::<T::Slot>());
        }
        place
    }

    /// Appends an enum's payload.
    #[inline]
    pub fn payload<S: Slot>(&mut self, tag: u8, payload: impl FnOnce(&mut Self) -> S) -> Tagged {
        let at = self.reserve(size_of::<S>());
        let slot = payload(self);
        self.put(at, &slot);
        Pair([tag], (at as u32).to_le_bytes())
    }

    #[inline]
    fn place(&self, len: usize) -> Place {
        let offset = self.bytes.len() as u64;
        (offset | (len as u64) << 32).to_le_bytes()
    }

    /// Makes room for slots that are known only after what lies behind them.
    fn reserve(&mut self, len: usize) -> usize {
        let at = self.bytes.len();
        slot::append_zeros(&mut self.bytes, len);
        at
    }

    #[inline]
    fn put<S: Slot>(&mut self, at: usize, slot: &S) {
        // The room was reserved, so there is no other case; written this way
        // the guest carries no code for it.
        if let Some(room) = self.bytes.get_mut(at..).and_then(slot::first_mut) {
            *room = *slot;
        }
    }
}

/// Passes `value` in row layout to `with`.
///
/// The bytes may be changed there: the host stores a number into the copy of a
/// row that it was passed.
#[inline]
pub(crate) fn with_encoded<T: Encode, R>(value: &T, with: impl FnOnce(&mut [u8]) -> R) -> R {
    if T::IS_FIXED {
        // Never allocates, so there is nothing to drop either.
        let mut tail = ManuallyDrop::new(Tail { bytes: Vec::new() });
        let mut slot = value.encode(&mut tail);
        with(slot::bytes_mut(&mut slot))
    } else {
        let mut tail = Tail::behind_slot(size_of::<T::Slot>());
        let slot = value.encode(&mut tail);
        tail.put(0, &slot);
        with(&mut tail.bytes)
    }
}

/// `value` in row layout.
#[cfg(test)]
pub(crate) fn to_bytes<T: Encode>(value: &T) -> Vec<u8> {
    with_encoded(value, |bytes| bytes.to_vec())
}

/// The value that `bytes` hold in row layout.
///
/// The host checks every value before a guest sees it, so bytes that do not
/// decode are a broken host: the call ends.
pub(crate) fn from_bytes<T: Decode>(bytes: &[u8]) -> T {
    match slot::first(bytes) {
        Some(slot) => T::decode(slot, Stored { bytes }),
        None => malformed(),
    }
}

/// The value of a type without tail.
#[inline]
pub(crate) fn from_slot<T: Decode>(slot: &T::Slot) -> T {
    T::decode(slot, Stored { bytes: &[] })
}

/// A whole stored value, into which the slots' offsets point.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Stored<'a> {
    bytes: &'a [u8],
}

impl<'a> Stored<'a> {
    /// No tail: enough for types without one.
    pub const EMPTY: Stored<'static> = Stored { bytes: &[] };

    /// The content of a string or of bytes.
    #[inline]
    pub(crate) fn content(self, place: &Place) -> &'a [u8] {
        self.slots(place, 1)
    }

    /// The slots of a list's elements.
    #[inline]
    pub(crate) fn slots(self, place: &Place, slot_len: usize) -> &'a [u8] {
        let place = u64::from_le_bytes(*place);
        let (offset, count) = (place as u32 as usize, (place >> 32) as usize);
        let end = count.checked_mul(slot_len).and_then(|len| offset.checked_add(len));
        end.and_then(|end| self.bytes.get(offset..end)).unwrap_or_else(|| malformed())
    }

    /// The slot of an enum's payload.
    #[inline]
    pub fn payload<S: Slot>(self, offset: &[u8; 4]) -> &'a S {
        let offset = u32::from_le_bytes(*offset) as usize;
        self.bytes.get(offset..).and_then(slot::first).unwrap_or_else(|| malformed())
    }
}

/// Ends the call: the host passed something that it must never pass.
#[doc(hidden)]
#[cold]
#[inline(never)]
pub fn malformed() -> ! {
    host::panic(b"the host passed a value that does not decode")
}

/// A value that is written where it is.
pub(crate) struct Borrowed<'a, T: ?Sized>(pub(crate) &'a T);

impl<T: Encode + ?Sized> Encode for Borrowed<'_, T> {
    type Slot = T::Slot;
    const IS_FIXED: bool = T::IS_FIXED;

    #[inline]
    fn encode(&self, tail: &mut Tail) -> T::Slot {
        self.0.encode(tail)
    }
}

/// Tuples are structs of their elements.
macro_rules! tuples {
    ($($($name:ident $index:tt)*;)*) => { $(
        impl<$($name: Encode),*> Encode for ($($name,)*) {
            type Slot = tuples!(@slot $($name)*);
            const IS_FIXED: bool = $($name::IS_FIXED)&&*;

            #[inline]
            fn encode(&self, tail: &mut Tail) -> Self::Slot {
                tuples!(@encode self tail $($index)*)
            }
        }
    )* };
    (@slot) => { () };
    (@slot $head:ident $($rest:ident)*) => { Pair<$head::Slot, tuples!(@slot $($rest)*)> };
    (@encode $self:ident $tail:ident) => { () };
    (@encode $self:ident $tail:ident $head:tt $($rest:tt)*) => {
        Pair($self.$head.encode($tail), tuples!(@encode $self $tail $($rest)*))
    };
}

tuples! {
    A 0 B 1;
    A 0 B 1 C 2;
    A 0 B 1 C 2 D 3;
    A 0 B 1 C 2 D 3 E 4;
    A 0 B 1 C 2 D 3 E 4 F 5;
}

#[cfg(test)]
mod tests;
