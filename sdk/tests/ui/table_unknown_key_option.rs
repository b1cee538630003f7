use interstice_sdk::prelude::*;

#[table]
struct Greeting {
    #[key(aut)]
    id: u64,
}

fn main() {}
