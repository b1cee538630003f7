use interstice_sdk::prelude::*;

#[table(nmae = "greetings")]
struct Greeting {
    #[key]
    id: u64,
}

fn main() {}
