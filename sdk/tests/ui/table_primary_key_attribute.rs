use interstice_sdk::prelude::*;

#[table]
struct Greeting {
    #[primary_key]
    id: u64,
}

fn main() {}
