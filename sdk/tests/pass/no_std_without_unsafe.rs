//! A module that allows itself nothing.

#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs, warnings)]

use interstice_sdk::prelude::*;

/// A table.
#[table]
pub struct Greeting {
    /// Its key.
    #[key(auto)]
    pub id: u64,
    /// A name.
    pub name: String,
}

/// A column type.
#[derive(Column)]
pub enum Mood {
    /// Good.
    Good,
    /// Bad, because of something.
    Bad {
        /// Of this.
        why: String,
    },
}

/// A reducer.
#[reducer(inserts(Greeting))]
pub fn greet(ctx: &GreetContext, name: String) -> Result<u64, Mood> {
    let insert = ctx.greeting.insert(Greeting { id: 0, name });
    insert.map(|greeting| greeting.id).map_err(|error| Mood::Bad { why: error.into() })
}

/// A query.
#[query(reads(Greeting))]
pub fn count(ctx: &CountContext) -> u64 {
    ctx.greeting.count()
}

fn main() {}
