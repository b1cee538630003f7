use interstice_sdk::prelude::*;

#[table]
struct Greeting {
    #[key]
    id: usize,
}

fn main() {}
