use interstice_sdk::prelude::*;

#[table]
struct Greeting {
    id: u64,
    name: String,
}

fn main() {}
