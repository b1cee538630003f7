use interstice_sdk::prelude::*;

#[table]
struct Greeting {
    #[key(auto)]
    id: u64,
    name: String,
}

#[query(reads(Greeting))]
fn name(ctx: &NameContext, id: String) -> Option<Greeting> {
    ctx.greeting.get(id)
}

fn main() {}
