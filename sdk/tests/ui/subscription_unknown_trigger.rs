use interstice_sdk::prelude::*;

#[table]
struct Greeting {
    #[key(auto)]
    id: u64,
    name: String,
}

#[reducer(on(inserted(Greeting)))]
fn greeted(ctx: &GreetedContext, row: Greeting) {}

#[reducer(on(start))]
fn begin(ctx: &BeginContext) {}

fn main() {}
