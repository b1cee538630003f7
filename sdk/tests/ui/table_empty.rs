use interstice_sdk::prelude::*;

#[table]
struct Nothing {}

fn main() {}
