//! Column types.

use alloc::{string::String, vec::Vec};
use core::ops::{Deref, DerefMut};

use interstice_abi::schema::section::TypeDesc;

use crate::{
    encoding::{Encode, Place, Stored, Tail, malformed},
    host,
    slot::{self, Pair, Slot},
    time::Timestamp,
};

/// A type that columns, parameters and results can have.
///
/// | In Rust | In the schema |
/// |---|---|
/// | `bool`, `u8` to `u128`, `i8` to `i128`, `f32`, `f64` | the same |
/// | [`Timestamp`] | `timestamp` |
/// | `String` | `string` |
/// | [`Bytes`] | `bytes` |
/// | `Option<T>` | `option<T>` |
/// | `Vec<T>` | `list<T>` |
/// | a struct or enum with `#[derive(Column)]` | its name |
///
/// ```
/// use interstice_sdk::prelude::*;
///
/// #[derive(Column, Debug, PartialEq)]
/// enum Sky {
///     Clear,
///     Clouds { tenths: u8 },
/// }
///
/// #[derive(Column)]
/// struct Weather {
///     sky: Sky,
///     rain: Option<f64>,
/// }
/// # let _ = Weather { sky: Sky::Clouds { tenths: 3 }, rain: None };
/// ```
///
/// # Safety
///
/// Modules derive it; that is safe, and allowed under `#![forbid(unsafe_code)]`.
///
/// By hand, all of it must tell of the same type: whatever value of the type
/// `TYPE` the host has checked, `decode` reads only as what it is, each part as
/// its own type. A `String` that is read where the host has checked `bytes`
/// would not be UTF-8: it is not checked again.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored in a row",
    label = "not a column type",
    note = "column types are bool, u8 to u128, i8 to i128, f32, f64, Timestamp, String, Bytes, rows, and Option, Vec, structs and enums of them",
    note = "your own struct or enum becomes one with `#[derive(Column)]`"
)]
pub unsafe trait Column: Sized {
    /// The type's description for the schema.
    #[doc(hidden)]
    const TYPE: TypeDesc;
    /// The fixed part of a value in row layout.
    #[doc(hidden)]
    type Slot: Slot;
    /// Whether no value has a tail.
    #[doc(hidden)]
    const IS_FIXED: bool;
    /// Appends the value's tail to `tail`, and returns its slot.
    #[doc(hidden)]
    fn encode(&self, tail: &mut Tail) -> Self::Slot;
    /// The value with this slot, in the stored value `stored`.
    #[doc(hidden)]
    fn decode(slot: &Self::Slot, stored: Stored<'_>) -> Self;
}

/// A column type that a primary key can be made of: it has one order that
/// every machine agrees on.
#[diagnostic::on_unimplemented(
    message = "a column of type `{Self}` cannot be in a primary key",
    label = "not a key type",
    note = "key types are bool, integers, Timestamp, String, Bytes and enums without payload",
    note = "floats have values that are equal but differ (0.0 and -0.0) and values that equal nothing (NaN); a scaled integer works as a key"
)]
pub trait KeyColumn: Column {}

/// A column type that filters compare: see [`ColumnRef`](crate::ColumnRef).
#[diagnostic::on_unimplemented(
    message = "a filter cannot compare columns of type `{Self}`",
    label = "not comparable by the host",
    note = "filters compare bool, numbers, Timestamp, String, Bytes and enums without payload, also inside an Option"
)]
pub trait Comparable: Column {}

/// An integer type that the host can number rows with.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a column of type `{Self}` cannot be numbered automatically",
    label = "not a type for `#[key(auto)]`",
    note = "the host numbers columns of type u32, u64, i32 and i64"
)]
pub trait AutoColumn: KeyColumn {}

macro_rules! numbers {
    ($($ty:ty => $desc:ident $(: $key:ident)*;)*) => { $(
        // SAFETY: one number, in its own bytes; every pattern is one.
        unsafe impl Column for $ty {
            const TYPE: TypeDesc = TypeDesc::$desc;
            type Slot = [u8; size_of::<$ty>()];
            const IS_FIXED: bool = true;

            #[inline]
            fn encode(&self, _tail: &mut Tail) -> Self::Slot {
                self.to_le_bytes()
            }

            #[inline]
            fn decode(slot: &Self::Slot, _stored: Stored<'_>) -> Self {
                <$ty>::from_le_bytes(*slot)
            }
        }

        impl Comparable for $ty {}
        $(impl $key for $ty {})*
    )* };
}

// A NaN is stored as it is; the host makes it the canonical one.
numbers! {
    u8 => U8: KeyColumn;
    u16 => U16: KeyColumn;
    u32 => U32: KeyColumn: AutoColumn;
    u64 => U64: KeyColumn: AutoColumn;
    u128 => U128: KeyColumn;
    i8 => I8: KeyColumn;
    i16 => I16: KeyColumn;
    i32 => I32: KeyColumn: AutoColumn;
    i64 => I64: KeyColumn: AutoColumn;
    i128 => I128: KeyColumn;
    f32 => F32;
    f64 => F64;
}

// SAFETY: one byte that is read as nothing else.
unsafe impl Column for bool {
    const TYPE: TypeDesc = TypeDesc::Bool;
    type Slot = [u8; 1];
    const IS_FIXED: bool = true;

    #[inline]
    fn encode(&self, _tail: &mut Tail) -> [u8; 1] {
        [u8::from(*self)]
    }

    #[inline]
    fn decode(slot: &[u8; 1], _stored: Stored<'_>) -> Self {
        slot[0] != 0
    }
}

// SAFETY: as `i64`, which it is.
unsafe impl Column for Timestamp {
    const TYPE: TypeDesc = TypeDesc::Timestamp;
    type Slot = [u8; 8];
    const IS_FIXED: bool = true;

    #[inline]
    fn encode(&self, _tail: &mut Tail) -> [u8; 8] {
        self.micros().to_le_bytes()
    }

    #[inline]
    fn decode(slot: &[u8; 8], _stored: Stored<'_>) -> Self {
        Self::from_micros(i64::from_le_bytes(*slot))
    }
}

// SAFETY: the content of a value that the host has checked as `string`.
unsafe impl Column for String {
    const TYPE: TypeDesc = TypeDesc::String;
    type Slot = Place;
    const IS_FIXED: bool = false;

    #[inline]
    fn encode(&self, tail: &mut Tail) -> Place {
        tail.content(self.as_bytes())
    }

    #[inline]
    fn decode(slot: &Place, stored: Stored<'_>) -> Self {
        host::text(stored.content(slot))
    }
}

/// For keys and filters: a `String` that need not be made.
impl Encode for str {
    type Slot = Place;
    const IS_FIXED: bool = false;

    #[inline]
    fn encode(&self, tail: &mut Tail) -> Place {
        tail.content(self.as_bytes())
    }
}

/// Bytes of any meaning: a column type that is stored and passed as one piece.
///
/// (`Vec<u8>` is a list of numbers.)
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub Vec<u8>);

impl Deref for Bytes {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl<const N: usize> From<[u8; N]> for Bytes {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes.to_vec())
    }
}

// SAFETY: bytes of any meaning.
unsafe impl Column for Bytes {
    const TYPE: TypeDesc = TypeDesc::Bytes;
    type Slot = Place;
    const IS_FIXED: bool = false;

    #[inline]
    fn encode(&self, tail: &mut Tail) -> Place {
        tail.content(&self.0)
    }

    #[inline]
    fn decode(slot: &Place, stored: Stored<'_>) -> Self {
        Self(host::copy(stored.content(slot)))
    }
}

/// For keys and filters: [`Bytes`] that need not be made.
impl Encode for [u8] {
    type Slot = Place;
    const IS_FIXED: bool = false;

    #[inline]
    fn encode(&self, tail: &mut Tail) -> Place {
        tail.content(self)
    }
}

// SAFETY: a tag, and behind it a `T`, which is read as one.
unsafe impl<T: Column> Column for Option<T> {
    const TYPE: TypeDesc = TypeDesc::Option(&T::TYPE);
    type Slot = Pair<[u8; 1], T::Slot>;
    const IS_FIXED: bool = T::IS_FIXED;

    #[inline]
    fn encode(&self, tail: &mut Tail) -> Self::Slot {
        match self {
            None => Slot::ZERO,
            Some(value) => Pair([1], value.encode(tail)),
        }
    }

    #[inline]
    fn decode(Pair([tag], value): &Self::Slot, stored: Stored<'_>) -> Self {
        if *tag == 0 { None } else { Some(T::decode(value, stored)) }
    }
}

// SAFETY: a list of `T`, each of which is read as one.
unsafe impl<T: Column> Column for Vec<T> {
    const TYPE: TypeDesc = TypeDesc::List(&T::TYPE);
    type Slot = Place;
    const IS_FIXED: bool = false;

    #[inline]
    fn encode(&self, tail: &mut Tail) -> Place {
        tail.list(self)
    }

    fn decode(slot: &Place, stored: Stored<'_>) -> Self {
        let slots = stored.slots(slot, size_of::<T::Slot>());
        let mut items = Vec::with_capacity(slots.len() / size_of::<T::Slot>());
        for slot in slots.chunks_exact(size_of::<T::Slot>()) {
            items.push(T::decode(slot::first(slot).unwrap_or_else(|| malformed()), stored));
        }
        items
    }
}

macro_rules! marked {
    ($($marker:ident: $($ty:ty),*;)*) => { $($(impl $marker for $ty {})*)* };
}

marked! {
    KeyColumn: bool, Timestamp, String, Bytes;
    Comparable: bool, Timestamp, String, Bytes;
}

impl<T: Comparable> Comparable for Option<T> {}
