use interstice_sdk::prelude::*;

#[table]
struct Greeting {
    #[key(auto)]
    id: u64,
    name: String,
}

#[reducer(writes(Greting))]
fn greet(_ctx: &GreetContext) {}

fn main() {}
