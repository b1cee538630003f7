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

#[reducer(on(insert(Greeting)))]
fn count(_ctx: &CountContext, _total: Total) {}

fn main() {}
