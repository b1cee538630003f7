use interstice_sdk::prelude::*;

#[table]
struct Greeting {
    #[key(auto)]
    id: u64,
    name: String,
}

#[query(reads(Greeting))]
fn of(ctx: &OfContext) -> Vec<Greeting> {
    ctx.greeting.scan().filter(Greeting::id.eq("Ada")).to_vec()
}

fn main() {}
