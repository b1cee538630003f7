#![allow(non_camel_case_types)]

use interstice_sdk::prelude::*;

#[derive(Column)]
struct bytes {
    len: u64,
}

#[derive(Column)]
enum string {
    Short,
    Long,
}

#[table]
struct timestamp {
    #[key]
    at: u64,
}

fn main() {}
