//! Primary keys and their prefixes.

use alloc::string::String;

use crate::{
    column::{Bytes, KeyColumn},
    encoding::{Encode, Tail},
    slot::Pair,
};

/// Something that names a row by its whole primary key.
///
/// For a key of one column of type `T`: a `T` or `&T`, and for a `String` a
/// `&str`. For a key of several columns: a tuple of those, in key order.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a primary key of this table",
    label = "this table's key is `{K}`",
    note = "a key of several columns is a tuple, in the order of the `#[key]` columns"
)]
pub trait Key<K>: Encode {}

/// Something that names rows by the first columns of their primary key.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a primary key of this table nor the first columns of one",
    label = "this table's key is `{K}`",
    note = "several columns are a tuple, in the order of the `#[key]` columns"
)]
pub trait Prefix<K>: Encode {
    /// How many columns.
    #[doc(hidden)]
    const COLUMNS: u8;
}

impl<A: KeyColumn> Key<A> for A {}
impl<A: KeyColumn> Key<A> for &A {}
impl Key<String> for &str {}
impl Key<Bytes> for &[u8] {}

impl<A: KeyColumn> Prefix<A> for A {
    const COLUMNS: u8 = 1;
}

impl<A: KeyColumn> Prefix<A> for &A {
    const COLUMNS: u8 = 1;
}

impl Prefix<String> for &str {
    const COLUMNS: u8 = 1;
}

impl Prefix<Bytes> for &[u8] {
    const COLUMNS: u8 = 1;
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

/// Keys of several columns: `whole` columns of which the first `prefix` are given.
macro_rules! composite {
    ($($count:literal: ($($column:ident $given:ident)*) $($rest:ident)*;)*) => { $(
        impl<$($column, $given: Key<$column>,)* $($rest),*>
            Prefix<($($column,)* $($rest),*)> for ($($given,)*)
        {
            const COLUMNS: u8 = $count;
        }
    )* };
}

macro_rules! whole {
    ($($($column:ident $given:ident)*;)*) => { $(
        impl<$($column, $given: Key<$column>),*> Key<($($column,)*)> for ($($given,)*) {}
    )* };
}

/// The first column of several, without a tuple around it.
macro_rules! first {
    ($($($rest:ident)*;)*) => { $(
        impl<A: KeyColumn, $($rest),*> Prefix<(A, $($rest),*)> for A {
            const COLUMNS: u8 = 1;
        }

        impl<A: KeyColumn, $($rest),*> Prefix<(A, $($rest),*)> for &A {
            const COLUMNS: u8 = 1;
        }

        impl<$($rest),*> Prefix<(String, $($rest),*)> for &str {
            const COLUMNS: u8 = 1;
        }
    )* };
}

whole! {
    A X B Y;
    A X B Y C Z;
    A X B Y C Z D U;
    A X B Y C Z D U E V;
    A X B Y C Z D U E V F W;
}

composite! {
    2: (A X B Y);
    2: (A X B Y) C;
    2: (A X B Y) C D;
    2: (A X B Y) C D E;
    2: (A X B Y) C D E F;
    3: (A X B Y C Z);
    3: (A X B Y C Z) D;
    3: (A X B Y C Z) D E;
    3: (A X B Y C Z) D E F;
    4: (A X B Y C Z D U);
    4: (A X B Y C Z D U) E;
    4: (A X B Y C Z D U) E F;
    5: (A X B Y C Z D U E V);
    5: (A X B Y C Z D U E V) F;
    6: (A X B Y C Z D U E V F W);
}

first! {
    B;
    B C;
    B C D;
    B C D E;
    B C D E F;
}
