#![no_std]
#![forbid(unsafe_code)]
//! Uses another module: calls `hello`, and waits for its table.
//!
//! `schemas/hello.json` is what `interstice schema --format json` says about
//! `hello`. [`import!`](interstice_sdk::import) makes Rust of it: a name that
//! `hello` does not have, or a type that does not fit, does not compile.

use interstice_sdk::prelude::*;

interstice_sdk::import!("schemas/hello.json");

/// How often a name was greeted, by whomever.
#[table]
#[derive(Clone, Debug, PartialEq)]
pub struct Popularity {
    /// The name.
    #[key]
    pub name: String,
    /// How often.
    pub greetings: u64,
}

/// Somebody who could not be greeted.
#[table]
#[derive(Clone, Debug, PartialEq)]
pub struct Apology {
    /// Counted by the host.
    #[key(auto)]
    pub id: u64,
    /// What `hello` said.
    pub reason: String,
}

/// Greets several people: all of them, or nobody.
#[reducer(calls(hello::greet))]
pub fn greet_all(ctx: &GreetAllContext, names: Vec<String>) -> Result<Vec<u64>, String> {
    // The first error rolls everything back, also in `hello`.
    names.into_iter().map(|name| hello::greet(ctx, name)).collect()
}

/// Greets whoever can be greeted, and apologizes for the others.
#[reducer(calls(hello::greet), inserts(Apology))]
pub fn greet_each(ctx: &GreetEachContext, names: Vec<String>) -> Result<u32, String> {
    let mut greeted = 0;
    for name in names {
        match hello::greet(ctx, name) {
            Ok(_) => greeted += 1,
            // Only that one call was rolled back; this transaction goes on.
            Err(reason) => {
                ctx.apology.insert(Apology { id: 0, reason })?;
            }
        }
    }
    Ok(greeted)
}

/// Counts every greeting: runs after each transaction that inserts one.
#[reducer(on(insert(hello::Greeting)), writes(Popularity))]
pub fn tally(ctx: &TallyContext, greeting: hello::Greeting) {
    let name = greeting.name;
    let greetings = ctx.popularity.get(&name).map_or(0, |known| known.greetings);
    ctx.popularity.upsert(Popularity { name, greetings: greetings + 1 });
}

/// The names greeted at least this often.
#[query(reads(Popularity))]
pub fn popular(ctx: &PopularContext, at_least: u64) -> Vec<Popularity> {
    ctx.popularity.scan().filter(Popularity::greetings.ge(at_least)).to_vec()
}

/// How many greetings `hello` knows of.
#[query(calls(hello::count))]
pub fn greetings(ctx: &GreetingsContext) -> u64 {
    hello::count(ctx)
}

#[cfg(test)]
mod tests;
