use interstice_sdk::prelude::*;

#[table]
struct Greeting {
    #[key(auto)]
    id: u64,
    name: String,
}

#[reducer(write(Greeting))]
fn greet(ctx: &GreetContext) {}

fn main() {}
