use interstice_sdk::prelude::*;

#[table]
struct Greeting {
    #[key(auto)]
    id: u64,
    name: String,
}

#[query(reads(Greeting))]
fn of(ctx: &OfContext, name: String) -> Vec<Greeting> {
    ctx.greeting.scan().filter(Greeting::nmae.eq(name)).to_vec()
}

fn main() {}
