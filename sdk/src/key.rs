//! Primary keys and their prefixes.

use alloc::string::String;

use crate::{
    column::{Bytes, KeyColumn},
    encoding::{Borrowed, Encode},
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
pub trait Key<K> {
    /// As a row of the key columns.
    #[doc(hidden)]
    fn encoded(&self) -> impl Encode;
}

/// Something that names rows by the first columns of their primary key.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a primary key of this table nor the first columns of one",
    label = "this table's key is `{K}`",
    note = "several columns are a tuple, in the order of the `#[key]` columns"
)]
pub trait Prefix<K> {
    /// How many columns.
    #[doc(hidden)]
    const COLUMNS: u8;
    /// As a row of these columns.
    #[doc(hidden)]
    fn encoded_prefix(&self) -> impl Encode;
}

/// Keys of one column, alone and as the first of several.
macro_rules! single {
    ($({$($generics:tt)*} $given:ty => $column:ty, |$key:ident| $value:expr;)*) => { $(
        impl<$($generics)*> Key<$column> for $given {
            #[inline]
            fn encoded(&self) -> impl Encode {
                let $key = self;
                Borrowed($value)
            }
        }

        single! { @prefix $given => $column
            {$($generics)*} $column;
            {$($generics)* B} ($column, B);
            {$($generics)* B, C} ($column, B, C);
            {$($generics)* B, C, D} ($column, B, C, D);
            {$($generics)* B, C, D, E} ($column, B, C, D, E);
            {$($generics)* B, C, D, E, F} ($column, B, C, D, E, F);
        }
    )* };
    (@prefix $given:ty => $column:ty $({$($generics:tt)*} $whole:ty;)*) => { $(
        impl<$($generics)*> Prefix<$whole> for $given {
            const COLUMNS: u8 = 1;

            #[inline]
            fn encoded_prefix(&self) -> impl Encode {
                Key::<$column>::encoded(self)
            }
        }
    )* };
}

single! {
    {A: KeyColumn,} A => A, |key| key;
    {A: KeyColumn,} &A => A, |key| *key;
    {} &str => String, |key| *key;
    {} &[u8] => Bytes, |key| *key;
}

/// Keys of several columns.
macro_rules! whole {
    ($($($column:ident $given:ident $index:tt)*;)*) => { $(
        impl<$($column, $given: Key<$column>),*> Key<($($column,)*)> for ($($given,)*) {
            #[inline]
            fn encoded(&self) -> impl Encode {
                ($(self.$index.encoded(),)*)
            }
        }
    )* };
}

whole! {
    A X 0 B Y 1;
    A X 0 B Y 1 C Z 2;
    A X 0 B Y 1 C Z 2 D U 3;
    A X 0 B Y 1 C Z 2 D U 3 E V 4;
    A X 0 B Y 1 C Z 2 D U 3 E V 4 F W 5;
}

/// The first of several columns, and behind them the columns that are not given.
macro_rules! several {
    ($($count:literal: ($($column:ident $given:ident)*) $($rest:ident)*;)*) => { $(
        impl<$($column, $given: Key<$column>,)* $($rest),*>
            Prefix<($($column,)* $($rest),*)> for ($($given,)*)
        {
            const COLUMNS: u8 = $count;

            #[inline]
            fn encoded_prefix(&self) -> impl Encode {
                Key::<($($column,)*)>::encoded(self)
            }
        }
    )* };
}

several! {
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
