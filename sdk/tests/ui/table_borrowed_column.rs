use interstice_sdk::prelude::*;

#[table]
struct Greeting {
    #[key]
    id: u64,
    name: &'static str,
}

fn main() {}
