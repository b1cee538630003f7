use interstice_sdk::prelude::*;

#[table]
struct Greeting {
    #[key(auto)]
    id: u64,
    #[key(auto)]
    number: u64,
}

fn main() {}
