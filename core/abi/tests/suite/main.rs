//! Tests of the contract between core and guests: what one side writes, the
//! other reads, and nothing else is read as something.

mod arbitrary;
mod bytes;
mod filter;
mod key;
mod layout;
mod messages;
mod packed;
mod schema;
mod section;
mod value;
