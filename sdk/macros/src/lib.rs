//! The attributes of [`interstice-sdk`](https://docs.rs/interstice-sdk), which
//! re-exports them: use them from there.
//!
//! ```standalone_crate
//! use interstice_sdk::{prelude::*, testing::TestHost};
//!
//! #[table]
//! struct Visit {
//!     #[key]
//!     page: String,
//!     count: u64,
//! }
//!
//! #[reducer(writes(Visit))]
//! fn visit(ctx: &VisitContext, page: String) {
//!     let count = ctx.visit.get(&page).map_or(0, |visit| visit.count);
//!     ctx.visit.upsert(Visit { page, count: count + 1 });
//! }
//!
//! let mut host = TestHost::new();
//! host.call(|ctx| visit(ctx, "/".into()));
//! host.call(|ctx| visit(ctx, "/".into()));
//! assert_eq!(host.rows::<Visit>()[0].count, 2);
//! ```

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::{DeriveInput, Error, ItemFn, ItemStruct, LitStr, parse_macro_input};

mod column;
mod encoding;
mod function;
mod import;
mod names;
mod options;
mod table;

use function::Kind;

/// Makes a struct the row of a table.
///
/// The table's name is the struct's in snake case. Its columns are the
/// struct's fields; at least one is marked as primary key:
///
/// - `#[key]`: part of the primary key. Several fields make a key of several
///   columns, in their order.
/// - `#[key(auto)]`: the same, and the host numbers the rows: one inserted
///   with a zero there gets the next number.
///
/// In parentheses: `name = "..."` for another name of the table, and
/// `version = 2` for its version, which counts from 1.
///
/// Each column is also a constant of the struct, for filters: `Reading::celsius`.
/// A method of that name is refused (E0592, "duplicate definitions"): give it
/// another one, or put it into a trait.
///
/// ```standalone_crate
/// use interstice_sdk::prelude::*;
///
/// #[table(name = "measurement", version = 2)]
/// struct Reading {
///     #[key]
///     sensor: String,
///     #[key]
///     at: Timestamp,
///     celsius: f64,
/// }
/// # let _ = |reading: Reading| (reading.sensor, reading.at, reading.celsius);
/// ```
#[proc_macro_attribute]
pub fn table(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let item: Tokens = item.into();
    let Ok(mut table) = syn::parse2::<ItemStruct>(item.clone()) else {
        let why = "`#[table]` goes on a struct with named fields: they are the table's columns";
        let error = Error::new(proc_macro2::Span::call_site(), why).into_compile_error();
        return quote!(#error #item).into();
    };
    let expanded = syn::parse::<table::Options>(attribute)
        .and_then(|options| table::expand(&options, &mut table))
        .unwrap_or_else(|error| {
            // The struct stays, without what only `#[table]` knows, so that
            // its uses are not reported on top.
            let _ = table::take_keys(&mut table);
            error.into_compile_error()
        });
    quote!(#table #expanded).into()
}

/// Makes a struct or enum a column type.
///
/// Enums without payload can also be part of a primary key.
///
/// ```standalone_crate
/// use interstice_sdk::prelude::*;
///
/// #[derive(Column)]
/// enum Alarm {
///     Frost,
///     Wind { speed: f64 },
/// }
/// # let _ = (Alarm::Frost, Alarm::Wind { speed: 1.0 });
/// ```
#[proc_macro_derive(Column)]
pub fn column(item: TokenStream) -> TokenStream {
    let input = parse_macro_input!(item as DeriveInput);
    column::derive(&input).unwrap_or_else(Error::into_compile_error).into()
}

/// Makes a function a reducer: one transaction per call.
///
/// Its first parameter is `ctx: &NameContext`, of a type that is made here and
/// has one handle per declared table. The others are its arguments. It returns
/// nothing, a column type, or a `Result`, whose `Err` rolls everything back.
///
/// In parentheses it declares everything it does:
///
/// - `reads(A, B)`, `inserts(..)`, `updates(..)`, `deletes(..)` and
///   `writes(..)` for all of these: tables of this module. All include reading.
/// - `calls(hello::greet)`: functions of imported modules.
/// - `on(insert(A))`, `on(update(A))`, `on(delete(A))`: runs after each such
///   change of a table of this or an imported module, and takes the row; for
///   an update the old and the new one. `on(init)`: runs after the module's
///   first installation, `on(load)`: after every one.
///
/// A reducer without `on` can be scheduled: `name::schedule(ctx, at, ..)`. For
/// that there is a type with the reducer's name, beside which there can be no
/// module or type of that name (E0428, "defined multiple times"): `mod record;`
/// and a reducer `record` go together when one of them is named differently, or
/// is inside another module.
///
/// ```standalone_crate
/// use interstice_sdk::prelude::*;
///
/// #[table]
/// struct Session {
///     #[key]
///     user: String,
/// }
///
/// #[reducer(inserts(Session))]
/// fn log_in(ctx: &LogInContext, user: String) -> Result<(), String> {
///     ctx.session.insert(Session { user: user.clone() })?;
///     log_out::schedule(ctx, ctx.now() + Duration::from_hours(1), user);
///     Ok(())
/// }
///
/// #[reducer(deletes(Session))]
/// fn log_out(ctx: &LogOutContext, user: String) {
///     ctx.session.delete(&user);
/// }
/// ```
#[proc_macro_attribute]
pub fn reducer(attribute: TokenStream, item: TokenStream) -> TokenStream {
    function(Kind::Reducer, attribute, item)
}

/// Makes a function a query: it reads, and changes nothing.
///
/// As [`macro@reducer`], but it declares only `reads(..)` and `calls(..)`, of
/// other modules' queries.
///
/// ```standalone_crate
/// use interstice_sdk::prelude::*;
///
/// #[table]
/// struct Session {
///     #[key]
///     user: String,
/// }
///
/// #[query(reads(Session))]
/// fn is_here(ctx: &IsHereContext, user: String) -> bool {
///     ctx.session.contains(&user)
/// }
/// ```
#[proc_macro_attribute]
pub fn query(attribute: TokenStream, item: TokenStream) -> TokenStream {
    function(Kind::Query, attribute, item)
}

fn function(kind: Kind, attribute: TokenStream, item: TokenStream) -> TokenStream {
    let Ok(item) = syn::parse::<ItemFn>(item) else {
        let why = "`#[reducer]` and `#[query]` go on a function";
        return Error::new(proc_macro2::Span::call_site(), why).into_compile_error().into();
    };
    syn::parse(attribute)
        .and_then(|options| function::expand(kind, &options, &item))
        .unwrap_or_else(Error::into_compile_error)
        .into()
}

/// Imports another module from its schema file.
///
/// `interstice_sdk::import!("schemas/hello.json")` makes `pub mod hello`, with
/// the module's types, and a function per reducer and query. The path starts
/// at the folder of `Cargo.toml`; the file is written by `interstice schema
/// --format json`.
///
/// A function that is declared with `calls(hello::greet)` calls it as
/// `hello::greet(ctx, ..)`: in the same transaction, and rolled back alone if
/// it returns an error. A reducer waits for the other module's tables with
/// `on(insert(hello::Greeting))`.
#[proc_macro]
pub fn import(input: TokenStream) -> TokenStream {
    let file = parse_macro_input!(input as LitStr);
    import::expand(&file).unwrap_or_else(Error::into_compile_error).into()
}
