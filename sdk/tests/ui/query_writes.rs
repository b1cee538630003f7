use interstice_sdk::prelude::*;

#[table]
struct Greeting {
    #[key(auto)]
    id: u64,
    name: String,
}

#[query(reads(Greeting))]
fn count(ctx: &CountContext) -> u64 {
    ctx.greeting.scan().delete()
}

fn main() {}
