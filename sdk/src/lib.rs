#![no_std]
//! What authors of Interstice modules use.
//!
//! A module owns typed tables. Only its reducers change them, each call one
//! transaction; queries read them. Reducers can wait for changes of a table,
//! for a time, or call other modules.
//!
//! ```standalone_crate
//! use interstice_sdk::{prelude::*, testing::TestHost};
//!
//! /// Somebody who was greeted.
//! #[table]
//! pub struct Greeting {
//!     #[key(auto)]
//!     pub id: u64,
//!     pub name: String,
//! }
//!
//! /// Greets somebody, and returns the greeting's number.
//! #[reducer(inserts(Greeting))]
//! fn greet(ctx: &GreetContext, name: String) -> Result<u64, String> {
//!     if name.is_empty() {
//!         return Err("whom?".into());
//!     }
//!     let greeting = ctx.greeting.insert(Greeting { id: 0, name })?;
//!     Ok(greeting.id)
//! }
//!
//! /// Counts the greetings.
//! #[query(reads(Greeting))]
//! fn count(ctx: &CountContext) -> u64 {
//!     ctx.greeting.count()
//! }
//!
//! let mut host = TestHost::new();
//! assert_eq!(host.call(|ctx| greet(ctx, "Ada".into())), Ok(1));
//! assert_eq!(host.call(|ctx| greet(ctx, "".into())), Err("whom?".into()));
//! assert_eq!(host.query(count), 1);
//! ```
//!
//! A module is a library crate whose `lib.rs` begins with `#![no_std]`; its name is
//! the crate's name, with `_` for `-`. `interstice new` makes one, and `interstice
//! build` the WebAssembly file from it.
//!
//! In the order in which a module is written:
//!
//! - [`table`] and [`Column`]: what is stored;
//! - [`reducer`] and [`query`]: what is done with it, through the
//!   [`Handle`]s of a [`Context`];
//! - [`Scan`] and [`Filter`]: rows found by the host;
//! - [`import!`]: other modules;
//! - [`testing`]: a host for `cargo test`.
//!
//! # How it works
//!
//! Rows lie in the module's memory as they lie in the host's (see
//! [`interstice_abi::layout`]): the private modules `slot` and `encoding`
//! write and read that form with plain stores and loads. `host` is the
//! boundary: on WebAssembly the host calls, elsewhere a
//! [`TestHost`](testing::TestHost). The arena in `wasm` gives out memory, and
//! takes none back: the host restores a module's memory before each call.
//!
//! Code marked `unsafe` is in `slot`, in `host` for WebAssembly and in the
//! arena, each piece with its proof. What the host has checked is not checked
//! again, so what says as which type it is read is `unsafe` to write by hand:
//! [`Column`] and [`Table`]. The macros write it, and modules need none: they
//! can `#![forbid(unsafe_code)]`.

extern crate alloc;
#[cfg(not(target_arch = "wasm32"))]
extern crate std;

// So that the macros' paths work in this crate's own tests.
extern crate self as interstice_sdk;

mod column;
mod context;
mod encoding;
mod filter;
mod function;
mod host;
mod key;
mod log;
mod scan;
mod slot;
mod table;
mod time;

#[cfg(target_arch = "wasm32")]
mod wasm;

#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use column::{Bytes, Column, Comparable, KeyColumn};
pub use context::{Context, QueryContext, ReducerContext};
pub use filter::{ColumnRef, Filter, Operand, Searchable};
pub use function::Outcome;
pub use interstice_sdk_macros::{Column, import, query, reducer, table};
pub use key::{Key, Prefix};
pub use log::Level;
pub use scan::{Rows, Scan};
pub use table::{
    Access, Declared, DuplicateKey, Handle, MayDelete, MayInsert, MayUpdate, NotFound, Reads,
    Table, Writes,
};
pub use time::{Date, Duration, Timestamp};

/// Everything that a module usually needs: `use interstice_sdk::prelude::*;`.
pub mod prelude {
    pub use alloc::{
        borrow::ToOwned,
        boxed::Box,
        format,
        string::{String, ToString},
        vec,
        vec::Vec,
    };

    pub use crate::{
        Bytes, Column, Context, Date, DuplicateKey, Duration, Filter, NotFound, ReducerContext,
        Timestamp, debug, error, info, query, reducer, table, trace, warn,
    };
}

/// For the code that the macros write.
#[doc(hidden)]
pub mod __private {
    pub use interstice_abi::{
        ids::NameId,
        schema::{AccessSet, section},
    };

    pub use crate::{
        column::AutoColumn,
        context::Function,
        encoding::{Decode, Encode, Stored, Tagged, Tail, malformed},
        function::{External, MayCall, Returned, call, call_fallible, schedule},
        log::log,
        slot::{Pair, Slot},
        table::{RowOf, Subscribable},
    };

    #[cfg(target_arch = "wasm32")]
    pub use crate::wasm::run;

    #[cfg(not(target_arch = "wasm32"))]
    pub use {
        crate::testing::registry::{Registration, run},
        inventory,
    };
}
