//! Tables, and the handles through which a function uses them.

use alloc::string::String;
use core::{fmt, marker::PhantomData};

use interstice_abi::{
    ids::NameId,
    schema::section::{TableDesc, TableRefDesc},
};

use crate::{
    column::Column,
    encoding::{from_bytes, from_slot, malformed, with_encoded},
    host,
    key::Key,
    scan::Scan,
    slot,
};

/// A row type of this module: a struct with `#[table]`.
///
/// # Safety
///
/// Modules write `#[table]`; that is safe, as with [`Column`]. By hand, `DESC`
/// must describe the type as `Column::TYPE` does, and be in the module's schema:
/// rows of the table with its name are read as this type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a table of this module",
    label = "not a table of this module",
    note = "put `#[table]` on the struct to make it one",
    note = "a table of another module cannot be declared here: subscribe to it with `on(...)`, or call one of that module's queries"
)]
pub unsafe trait Table: Column {
    /// The type of its primary key: that of the `#[key]` column, or a tuple of
    /// several ones' types.
    type Key;
    #[doc(hidden)]
    const DESC: TableDesc;
    #[doc(hidden)]
    const ID: NameId = NameId::of(Self::DESC.name);
    #[doc(hidden)]
    const MODULE: &'static str;
    /// Takes over the number that the host gave an inserted row.
    #[doc(hidden)]
    fn take_number(&mut self, slot: &Self::Slot);
}

/// A table that a reducer can wait for: of this module or an imported one.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a table",
    label = "not a table",
    note = "a reducer waits for changes of a table of its own module (a struct with `#[table]`) or of an imported one (`hello::Greeting` after `import!`)"
)]
pub trait Subscribable: Column {
    const TABLE: TableRefDesc;
}

/// A type that is the row of the table `T`: `T` itself.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "this reducer waits for changes of `{T}`, so its parameters are rows of `{T}`",
    label = "expected `{T}`, found `{Self}`"
)]
pub trait RowOf<T> {}
impl<T> RowOf<T> for T {}

/// What a function declared to do with a table, besides reading it.
pub struct Access<const INSERT: bool, const UPDATE: bool, const DELETE: bool>;

/// The access of `reads(..)`.
pub type Reads = Access<false, false, false>;
/// The access of `writes(..)`.
pub type Writes = Access<true, true, true>;

/// Any declared access.
#[doc(hidden)]
pub trait Declared {}
impl<const I: bool, const U: bool, const D: bool> Declared for Access<I, U, D> {}

/// An access that includes inserting.
#[diagnostic::on_unimplemented(
    message = "this function does not declare that it inserts into `{T}`",
    label = "`{T}` is declared without `inserts`",
    note = "declare it in the reducer's attribute: `#[reducer(inserts({T}))]`, or `writes({T})` for everything",
    note = "a query cannot write at all"
)]
pub trait MayInsert<T> {}
impl<T, const U: bool, const D: bool> MayInsert<T> for Access<true, U, D> {}

/// An access that includes updating.
#[diagnostic::on_unimplemented(
    message = "this function does not declare that it updates `{T}`",
    label = "`{T}` is declared without `updates`",
    note = "declare it in the reducer's attribute: `#[reducer(updates({T}))]`, or `writes({T})` for everything",
    note = "a query cannot write at all"
)]
pub trait MayUpdate<T> {}
impl<T, const I: bool, const D: bool> MayUpdate<T> for Access<I, true, D> {}

/// An access that includes deleting.
#[diagnostic::on_unimplemented(
    message = "this function does not declare that it deletes from `{T}`",
    label = "`{T}` is declared without `deletes`",
    note = "declare it in the reducer's attribute: `#[reducer(deletes({T}))]`, or `writes({T})` for everything",
    note = "a query cannot write at all"
)]
pub trait MayDelete<T> {}
impl<T, const I: bool, const U: bool> MayDelete<T> for Access<I, U, true> {}

/// A table, as one function may use it.
///
/// A function's context has one per declared table, named like the table's
/// struct in snake case. `A` is what the function declared. Helper functions
/// can take a handle: `fn coldest(days: &Handle<Day, impl Declared>)`.
pub struct Handle<T, A> {
    access: PhantomData<fn(T) -> A>,
}

// Without bounds: what is no table is reported where it is declared.
impl<T, A> Handle<T, A> {
    #[doc(hidden)]
    #[inline]
    pub const fn __new() -> Self {
        Self { access: PhantomData }
    }
}

impl<T: Table, A: Declared> Handle<T, A> {
    /// The row with this primary key.
    #[inline]
    pub fn get(&self, key: impl Key<T::Key>) -> Option<T> {
        with_encoded(&key.encoded(), |key| {
            if T::IS_FIXED {
                host::get_slot(T::ID, key).map(|slot| from_slot(&slot))
            } else {
                host::get_bytes(T::ID, key, size_of::<T::Slot>()).map(|row| from_bytes(&row))
            }
        })
    }

    /// Whether there is a row with this primary key.
    pub fn contains(&self, key: impl Key<T::Key>) -> bool {
        with_encoded(&key.encoded(), |key| host::contains(T::ID, key))
    }

    /// Inserts a row and returns it as it is stored. A zero in the
    /// `#[key(auto)]` column is replaced by the next number.
    ///
    /// # Errors
    ///
    /// When there is a row with the same primary key; nothing is changed.
    #[inline]
    pub fn insert(&self, mut row: T) -> Result<T, DuplicateKey>
    where
        A: MayInsert<T>,
    {
        let number = with_encoded(&row, |bytes| match host::insert(T::ID, bytes) {
            true => slot::first(bytes).copied(),
            false => None,
        });
        match number {
            Some(slot) => {
                row.take_number(&slot);
                Ok(row)
            }
            None => Err(DuplicateKey { table: T::DESC.name }),
        }
    }

    /// Replaces the row that has the same primary key.
    ///
    /// # Errors
    ///
    /// When there is none; nothing is changed.
    #[inline]
    pub fn update(&self, row: T) -> Result<(), NotFound>
    where
        A: MayUpdate<T>,
    {
        match with_encoded(&row, |bytes| host::update(T::ID, bytes)) {
            true => Ok(()),
            false => Err(NotFound { table: T::DESC.name }),
        }
    }

    /// Updates the row that has the same primary key, or inserts this one.
    pub fn upsert(&self, row: T)
    where
        A: MayInsert<T> + MayUpdate<T>,
    {
        with_encoded(&row, |bytes| {
            if !host::update(T::ID, bytes) && !host::insert(T::ID, bytes) {
                malformed()
            }
        });
    }

    /// Deletes the row with this primary key, and returns whether there was one.
    #[inline]
    pub fn delete(&self, key: impl Key<T::Key>) -> bool
    where
        A: MayDelete<T>,
    {
        with_encoded(&key.encoded(), |key| host::delete(T::ID, key))
    }

    /// All rows in key order; the [`Scan`] can be narrowed before it starts.
    pub fn scan(&self) -> Scan<T, A> {
        Scan::all()
    }

    /// How many rows the table has.
    pub fn count(&self) -> u64 {
        self.scan().count()
    }
}

/// An insert found a row with the same primary key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DuplicateKey {
    table: &'static str,
}

/// There is no row with this primary key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotFound {
    table: &'static str,
}

const DUPLICATE_KEY: [&str; 2] = ["the table `", "` already has a row with this primary key"];
const NOT_FOUND: [&str; 2] = ["the table `", "` has no row with this primary key"];

macro_rules! errors {
    ($($error:ident: $text:ident;)*) => { $(
        impl $error {
            /// The table's name.
            pub const fn table(&self) -> &'static str {
                self.table
            }
        }

        impl fmt::Display for $error {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let [before, behind] = $text;
                f.write_str(before)?;
                f.write_str(self.table)?;
                f.write_str(behind)
            }
        }

        impl core::error::Error for $error {}

        /// The same text as its `Display`, without the weight of formatting.
        impl From<$error> for String {
            fn from(error: $error) -> Self {
                let [before, behind] = $text;
                [before, error.table, behind].concat()
            }
        }
    )* };
}

errors! {
    DuplicateKey: DUPLICATE_KEY;
    NotFound: NOT_FOUND;
}
