use interstice_sdk::prelude::*;

#[table]
struct Greeting {
    #[key(auto)]
    id: u64,
    name: String,
}

#[table]
struct Total {
    #[key]
    id: u64,
}

#[reducer(writes(Greeting))]
fn greet(ctx: &GreetContext) {
    ctx.total.delete(1);
}

fn main() {}
