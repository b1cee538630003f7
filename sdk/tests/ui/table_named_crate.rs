use interstice_sdk::prelude::*;

#[table]
struct Crate {
    #[key]
    id: u64,
}

#[reducer(deletes(Crate))]
fn ship(ctx: &ShipContext, id: u64) {
    ctx.krate.delete(id);
}

#[query(reads(self))]
fn count(ctx: &CountContext) -> u64 {
    0
}

fn main() {}
