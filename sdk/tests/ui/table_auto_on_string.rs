use interstice_sdk::prelude::*;

#[table]
struct Greeting {
    #[key(auto)]
    name: String,
}

fn main() {}
