use interstice_sdk::prelude::*;

#[reducer]
fn place(ctx: &PlaceContext, (x, y): (u64, u64)) {}

fn main() {}
