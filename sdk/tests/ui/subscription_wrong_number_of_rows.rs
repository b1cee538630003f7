use interstice_sdk::prelude::*;

#[table]
struct Greeting {
    #[key(auto)]
    id: u64,
    name: String,
}

#[reducer(on(update(Greeting)))]
fn renamed(ctx: &RenamedContext, row: Greeting) {}

#[reducer(on(insert(Greeting)))]
fn greeted(ctx: &GreetedContext, row: Greeting, more: u64) {}

#[reducer(on(init))]
fn begin(ctx: &BeginContext, name: String) {}

fn main() {}
