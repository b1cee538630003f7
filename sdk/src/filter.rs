//! Filters: what a scan's rows must satisfy, evaluated by the host.

use alloc::string::String;
use core::{marker::PhantomData, ops::Not};

use interstice_abi::filter::{self, Comparison};

use crate::{
    column::{Bytes, Column, Comparable},
    encoding::{Borrowed, Encode, Tail, with_encoded},
    slot::Pair,
};

/// A column of the table `T`, for filters.
///
/// `#[table]` makes one per column, named like it:
///
/// ```
/// use interstice_sdk::prelude::*;
///
/// #[table]
/// struct Reading {
///     #[key]
///     at: Timestamp,
///     celsius: f64,
///     station: String,
/// }
///
/// let cold: Filter<Reading> = Reading::celsius.lt(0.0).and(Reading::station.starts_with("SEA"));
/// ```
///
/// A struct cannot have a method with the name of a column: `fn celsius(&self)`
/// would be a duplicate definition (E0592). It takes another name, such as
/// `fn in_celsius(&self)`, or stands in a trait.
pub struct ColumnRef<T, C> {
    index: u16,
    column: PhantomData<fn(T) -> C>,
}

/// What rows of the table `T` must satisfy.
///
/// Made from [`ColumnRef`]s, passed to [`Scan::filter`](crate::Scan::filter).
#[must_use = "a filter does nothing until a scan takes it"]
pub struct Filter<T> {
    condition: filter::Filter,
    table: PhantomData<fn(T)>,
}

/// Something that a column of type `C` is compared with: a `C`, a `&C`, for a
/// `String` a `&str`, and for an `Option` what is inside it.
///
/// A column that is `None` compares with nothing: neither `eq` nor `ne` holds.
#[diagnostic::on_unimplemented(
    message = "a column of type `{C}` cannot be compared with a `{Self}`",
    label = "expected `{C}`"
)]
pub trait Operand<C> {
    /// As a value of the column's type.
    #[doc(hidden)]
    fn encoded(&self) -> impl Encode;
}

macro_rules! operands {
    ($({$($generics:tt)*} $operand:ty => $column:ty, |$value:ident| $encoded:expr;)*) => { $(
        impl<$($generics)*> Operand<$column> for $operand {
            #[inline]
            fn encoded(&self) -> impl Encode {
                let $value = self;
                $encoded
            }
        }
    )* };
}

operands! {
    {C: Comparable} C => C, |value| Borrowed(value);
    {C: Comparable} &C => C, |value| Borrowed(*value);
    {C: Comparable} C => Option<C>, |value| Present(value);
    {C: Comparable} &C => Option<C>, |value| Present(*value);
    {} &str => String, |value| Borrowed(*value);
    {} &str => Option<String>, |value| Present(*value);
    {} &[u8] => Bytes, |value| Borrowed(*value);
    {} &[u8] => Option<Bytes>, |value| Present(*value);
}

/// `Some` of what is compared with.
struct Present<'a, T: ?Sized>(&'a T);

impl<T: Encode + ?Sized> Encode for Present<'_, T> {
    type Slot = Pair<[u8; 1], T::Slot>;
    const IS_FIXED: bool = T::IS_FIXED;

    #[inline]
    fn encode(&self, tail: &mut Tail) -> Self::Slot {
        Pair([1], self.0.encode(tail))
    }
}

/// A column whose content can be searched: `String` and [`Bytes`].
#[diagnostic::on_unimplemented(
    message = "a column of type `{Self}` cannot be searched",
    label = "not a String or Bytes"
)]
pub trait Searchable: Column {
    /// What is searched for.
    type Pattern: AsRef<[u8]> + ?Sized;
}

impl Searchable for String {
    type Pattern = str;
}

impl Searchable for Bytes {
    type Pattern = [u8];
}

impl<T, C> ColumnRef<T, C> {
    #[doc(hidden)]
    pub const fn at(index: u16) -> Self {
        Self { index, column: PhantomData }
    }

    /// The column has this value.
    pub fn eq(self, value: impl Operand<C>) -> Filter<T> {
        self.compare(Comparison::Eq, value)
    }

    /// The column has another value.
    pub fn ne(self, value: impl Operand<C>) -> Filter<T> {
        self.compare(Comparison::Ne, value)
    }

    /// The column's value is less.
    pub fn lt(self, value: impl Operand<C>) -> Filter<T> {
        self.compare(Comparison::Lt, value)
    }

    /// The column's value is less or the same.
    pub fn le(self, value: impl Operand<C>) -> Filter<T> {
        self.compare(Comparison::Le, value)
    }

    /// The column's value is greater.
    pub fn gt(self, value: impl Operand<C>) -> Filter<T> {
        self.compare(Comparison::Gt, value)
    }

    /// The column's value is greater or the same.
    pub fn ge(self, value: impl Operand<C>) -> Filter<T> {
        self.compare(Comparison::Ge, value)
    }

    fn compare(self, comparison: Comparison, value: impl Operand<C>) -> Filter<T> {
        with_encoded(&value.encoded(), |value| {
            Filter::of(filter::Filter::compare(self.index, comparison, value))
        })
    }
}

impl<T, C> ColumnRef<T, Option<C>> {
    /// The column is `None`.
    pub fn is_none(self) -> Filter<T> {
        Filter::of(filter::Filter::is_none(self.index))
    }

    /// The column is `Some`.
    pub fn is_some(self) -> Filter<T> {
        Filter::of(filter::Filter::is_some(self.index))
    }
}

impl<T, C: Searchable> ColumnRef<T, C> {
    /// The column's value starts with `start`.
    pub fn starts_with(self, start: &C::Pattern) -> Filter<T> {
        Filter::of(filter::Filter::starts_with(self.index, start.as_ref()))
    }

    /// `part` is somewhere in the column's value.
    pub fn contains(self, part: &C::Pattern) -> Filter<T> {
        Filter::of(filter::Filter::contains(self.index, part.as_ref()))
    }
}

impl<T> Filter<T> {
    fn of(condition: filter::Filter) -> Self {
        Self { condition, table: PhantomData }
    }

    /// Both hold.
    pub fn and(self, other: Self) -> Self {
        Self::of(self.condition.and(other.condition))
    }

    /// One of them holds, or both.
    pub fn or(self, other: Self) -> Self {
        Self::of(self.condition.or(other.condition))
    }

    pub(crate) fn condition(self) -> filter::Filter {
        self.condition
    }
}

/// The filter does not hold.
impl<T> Not for Filter<T> {
    type Output = Self;

    fn not(self) -> Self {
        Self::of(!self.condition)
    }
}

impl<T, C> Clone for ColumnRef<T, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, C> Copy for ColumnRef<T, C> {}

impl<T> Clone for Filter<T> {
    fn clone(&self) -> Self {
        Self::of(self.condition.clone())
    }
}
