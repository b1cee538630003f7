use interstice_sdk::prelude::*;

#[table]
struct Greeting {
    #[key(auto)]
    id: u64,
    name: String,
}

#[query(writes(Greeting))]
fn count(ctx: &CountContext) -> u64 {
    ctx.greeting.count()
}

fn main() {}
